// Keeps the list of the live tail as long as a page bears it; what leaves it stays in the store.
const most = 500
const rows = document.getElementById('tail-rows')
if (rows) {
  new MutationObserver(() => {
    while (rows.rows.length > most) rows.deleteRow(-1)
  }).observe(rows, { childList: true })
}
