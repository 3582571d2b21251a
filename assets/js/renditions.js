import Hls from 'hls.js'
import { say } from './note.js'

// Renditions is what media-chrome's quality menu asks of a video. Where there is only one
// rendition, there is nothing to choose.
export class Renditions extends EventTarget {
  length = 0

  constructor(hls) {
    super()
    this.hls = hls
    hls.on(Hls.Events.MANIFEST_PARSED, (_, { levels }) => {
      if (levels.length < 2) return
      levels.forEach(({ width, height, bitrate }, i) => (this[i] = { id: String(i), width, height, bitrate }))
      this.length = levels.length
      this.dispatchEvent(new Event('addrendition'))
    })
    hls.on(Hls.Events.DESTROYING, () => {
      this.length = 0
      this.dispatchEvent(new Event('removerendition'))
    })
  }

  [Symbol.iterator]() {
    return Array.prototype.values.call(this)
  }

  get selectedIndex() {
    return this.hls.manualLevel
  }

  set selectedIndex(index) {
    this.hls.nextLevel = index
    this.dispatchEvent(new Event('change'))
    const { width, height } = this[index] ?? {}
    if (width) say('quality', Math.min(width, height))
    else say('auto')
  }
}
