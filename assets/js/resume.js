// A video goes on where this browser left it. The parameter t of the address wins, and a video
// that was seen to its end begins anew.
const key = 'watched to'
const most = 200 // videos that are remembered
const worth = 5 // seconds that are worth remembering
const every = 5000 // milliseconds

// startOf returns where the video of this page begins, in seconds.
export function startOf() {
  const asked = new URLSearchParams(location.search).get('t')
  return asked === null ? (read()[location.pathname] ?? 0) : Math.max(0, Number(asked) || 0)
}

// remember keeps where the video is.
export function remember(video) {
  let kept = 0
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
