// How fast an upload goes and how long it still takes, in the words of the page.
const smoothing = 4 // seconds
const often = 0.25 // seconds between two looks

// newPace returns a function that says how far an upload has come with so many bytes sent, and
// where it moves, how fast.
export function newPace(total, word) {
  const fill = (name, values) => word(name).replace(/\{(\w+)\}/g, (_, key) => values[key])
  let speed = 0 // bytes a second
  let last = { at: 0, sent: Infinity }

  return (sent, moves) => {
    const at = performance.now() / 1000
    const seconds = at - last.at
    const begins = sent < last.sent || seconds > 5 // or goes on after a while
    if (!begins && seconds > often) speed += ((sent - last.sent) / seconds - speed) * (speed ? 1 - Math.exp(-seconds / smoothing) : 1)
    if (begins || seconds > often) last = { at, sent }
    const facts = fill('facts', { percent: Math.floor((100 * sent) / total), done: bytes(sent), total: bytes(total) })
    return speed && moves && sent < total ? [facts, fill('speed', { speed: bytes(speed) }), left((total - sent) / speed)].join(' · ') : facts
  }

  // An estimate is said coarser than it is known: it would jump otherwise.
  function left(seconds) {
    if (seconds < 10) return word('few-seconds')
    if (seconds < 60) return fill('seconds', { n: Math.round(seconds / 10) * 10 })
    if (seconds < 3600) return fill('minutes', { n: Math.round(seconds / 60) })
    return fill('hours', { n: Math.round(seconds / 3600) })
  }
}

// bytes writes a length as the page does.
function bytes(n) {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  let unit = 0
  for (; n >= 1024 && unit < 4; unit++) n /= 1024
  return `${n < 100 ? Math.floor(n * 10) / 10 : Math.floor(n)} ${units[unit]}`
}
