// Writes points in time as long ago as they are, and keeps that true. The exact time, in the
// reader's own zone, is what the pointer shows.
const spans = [
  ['year', 31_557_600],
  ['month', 2_629_800],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
]
const ago = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })
const exact = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeStyle: 'short' })
const selector = 'time[data-moment]'

function relative(at) {
  const seconds = (at - Date.now()) / 1000
  const [unit, length] = spans.find(([, length]) => Math.abs(seconds) >= length) ?? []
  return unit ? ago.format(Math.trunc(seconds / length), unit) : 'just now'
}

function tell() {
  for (const time of document.querySelectorAll(selector)) {
    const at = new Date(time.dateTime)
    const text = relative(at)
    if (time.textContent === text) continue
    time.textContent = text
    time.title = exact.format(at)
  }
}

tell()
setInterval(tell, 20_000)
new MutationObserver(tell).observe(document.getElementById('main'), { childList: true, subtree: true, characterData: true })
