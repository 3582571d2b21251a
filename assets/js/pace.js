// How fast an upload goes and how long it still takes, in the words of the page.
const smoothing = 4 // seconds
const often = 250 // milliseconds between two looks

export class Pace {
  speed = 0 // bytes a second

  constructor(total, word) {
    this.total = total
    this.fill = (name, values) => word(name).replace(/\{(\w+)\}/g, (_, key) => values[key])
  }

  // rest says that nothing is sent for a while.
  rest() {
    this.at = undefined
  }

  // words says how far it has come with so many bytes sent.
  words(sent) {
    const { total, fill } = this
    const percent = Math.floor((100 * sent) / total)
    const parts = [fill('facts', { percent, done: bytes(sent), total: bytes(total) })]
    if (sent < total) {
      this.#look(sent)
      if (this.speed) parts.push(fill('speed', { speed: bytes(this.speed) }), this.#left((total - sent) / this.speed))
    }
    return parts.join(' · ')
  }

  #look(sent) {
    const now = performance.now()
    if (this.at !== undefined && sent >= this.sent) {
      const seconds = (now - this.at) / 1000
      if (seconds * 1000 < often) return
      const speed = (sent - this.sent) / seconds
      this.speed += (speed - this.speed) * (this.speed ? 1 - Math.exp(-seconds / smoothing) : 1)
    }
    this.at = now
    this.sent = sent
  }

  // An estimate is said coarser than it is known: it would jump otherwise.
  #left(seconds) {
    if (seconds < 10) return this.fill('few-seconds')
    if (seconds < 60) return this.fill('seconds', { n: Math.round(seconds / 10) * 10 })
    if (seconds < 3600) return this.fill('minutes', { n: Math.round(seconds / 60) })
    return this.fill('hours', { n: Math.round(seconds / 3600) })
  }
}

// bytes writes a length as the page does.
export function bytes(n) {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  let unit = 0
  for (; n >= 1024 && unit < 4; unit++) n /= 1024
  return `${n < 10 ? Math.floor(n * 10) / 10 : Math.floor(n)} ${units[unit]}`
}
