// Says aloud what a page that follows something shows: the last thing that happened, and after
// five seconds without anything new, once, what is being waited for.
const patience = 5000

const region = document.querySelector('[role=status][data-says]')
if (region) follow(region, document.getElementById('main'))

function follow(region, main) {
  const fragment = () => document.getElementById(region.dataset.says)
  const wait = () => fragment()?.querySelector('.wait')?.textContent
  const now = () => fragment()?.dataset.now
  let said = now()
  let timer

  const listen = () => {
    clearTimeout(timer)
    timer = setTimeout(() => (region.textContent = wait() ?? region.textContent), patience)
  }
  new MutationObserver(() => {
    if (now() === said) return
    said = now()
    region.textContent = said ?? ''
    listen()
  }).observe(main, { childList: true, subtree: true, attributeFilter: ['data-now'] })
  listen()
}
