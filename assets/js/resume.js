// A video goes on where this browser left it. The parameter t of the address wins, and a video
// that was seen to its end begins anew.
import { fade, say } from './note.js'

const key = 'watched to'
const most = 200 // videos that are remembered
const worth = 5 // seconds that are worth remembering
const every = 5000 // milliseconds

const asked = new URLSearchParams(location.search).get('t')
const left = asked === null && read()[location.pathname]

// startOf returns where the video of this page begins, in seconds.
export const startOf = () => left || Math.max(0, Number(asked) || 0)

// remember says that the video goes on, and keeps where it is.
export function remember(video) {
  let kept = 0
  if (left) {
    say('resumed', clock(left), () => {
      video.currentTime = 0
      video.play().catch(() => {})
    })
    if (video.paused) video.addEventListener('play', fade, { once: true })
    else fade()
  }
  const keep = () => {
    const { currentTime, duration } = video
    if (!duration || !video.played.length) return
    kept = Date.now()
    const { [location.pathname]: _, ...others } = read()
    const over = currentTime > duration - Math.max(worth, duration / 50)
    write(currentTime < worth || over ? others : { ...others, [location.pathname]: Math.floor(currentTime) })
  }
  video.addEventListener('timeupdate', () => Date.now() - kept > every && keep())
  for (const event of ['pause', 'ended', 'seeked']) video.addEventListener(event, keep)
  addEventListener('pagehide', keep)
}

// clock writes seconds as the player does.
function clock(seconds) {
  const [h, m, s] = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map(Math.floor)
  const two = (n) => String(n).padStart(2, '0')
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`
}

// A browser may keep nothing, or not let us ask.
function read() {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? {}
  } catch {
    return {}
  }
}

function write(videos) {
  try {
    localStorage.setItem(key, JSON.stringify(Object.fromEntries(Object.entries(videos).slice(-most))))
  } catch {}
}
