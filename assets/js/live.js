// Keeps the page's event stream open. htmx's extension reads it, swaps what it brings and takes
// it up again when it breaks; this module adds what the extension leaves out:
// - the first connection is tried again when it fails, and is not made by a hidden tab;
// - a tab that was hidden while it connected lets go again: over HTTP/1.1 a browser has six
//   connections for all its tabs, and a seventh page would wait for ever;
// - a tab that is shown again, or a machine that is online again, does not sit out a pause;
// - a broken stream gives its connection back;
// - an answer that will not change (401, 403, 404, 410) ends it, and a stream that ends as soon
//   as it began is not taken up at full speed.
// body[data-live] tells the state: open, reconnecting or closed; without a stream it is absent.
import { backoff } from './backoff.js'

const firstPause = 200
const longestPause = 4000
const final = new Set([401, 403, 404, 410])

const line = document.getElementById('line')
if (line) keepOpen(line)

function keepOpen(line) {
  const show = announcer(line.querySelector('[role=status]'))
  let stream = null // the extension's connection, while there is one
  let connecting = false // the first request is on its way
  let failures = 0 // of the first connection, in a row
  let timer = 0
  let openedAt = 0
  let wokenAt = -Infinity
  let over = false

  const connect = () => {
    clearTimeout(timer)
    if (stream || connecting || over || document.hidden) return
    connecting = true
    htmx.trigger(line, 'connect')
  }
  const connectLater = () => {
    show('reconnecting')
    timer = setTimeout(connect, backoff(failures++, firstPause, longestPause))
  }
  const end = () => {
    over = true
    show('closed')
  }
  const wake = () => {
    if (document.hidden) return
    wokenAt = performance.now()
    if (stream) stream.delayCanceller?.()
    else connect()
  }

  // The extension listens for the trigger only once htmx has gone through the page.
  document.addEventListener('htmx:after:process', connect, { once: true })
  document.addEventListener('visibilitychange', wake)
  addEventListener('pageshow', (event) => event.persisted && wake())
  addEventListener('online', () => {
    // The old connection may be dead without knowing it.
    stream?.reader?.cancel()
    wake()
  })

  line.addEventListener('htmx:sse:before:connection', (event) => {
    const { connection } = event.detail
    if (over) return event.preventDefault()
    if (!connection.attempt) return
    show('reconnecting')
    const now = performance.now()
    if (now - wokenAt < 1000) {
      // The pause begins right after this event.
      queueMicrotask(() => connection.delayCanceller?.())
    } else if (connection.attempt === 1) {
      const { config } = connection
      config.reconnectDelay = now - openedAt < 1000 ? Math.min(config.reconnectDelay * 2, longestPause) : firstPause
    }
  })
  line.addEventListener('htmx:sse:after:connection', (event) => {
    stream = event.detail.connection
    connecting = false
    failures = 0
    openedAt = performance.now()
    show('open')
    // The extension notices only a tab that becomes hidden, not one that is hidden already; it
    // can let go of the stream once it has begun to read it.
    if (document.hidden) queueMicrotask(() => stream?.visibilityHandler())
  })
  line.addEventListener('htmx:sse:error', (event) => {
    event.detail.connection?.abortController?.abort()
    if (final.has(event.detail.status)) end()
  })
  line.addEventListener('htmx:sse:close', () => {
    stream = null
    if (!over) connectLater()
  })
  line.addEventListener('htmx:finally:request', (event) => {
    connecting = false
    if (stream || over) return
    if (final.has(event.detail.ctx.response?.status)) end()
    else connectLater()
  })
  line.addEventListener('htmx:sse:after:message', () => {
    line.classList.add('pulse')
    for (const beat of line.getAnimations({ subtree: true })) beat.currentTime = 0
  })
  line.addEventListener('animationend', () => line.classList.remove('pulse'))
}

// The state is on body at once, for scripts and styles. Words follow only when a state lasts,
// because a line that is back within a moment is nothing to read about.
function announcer(note) {
  const words = {
    open: [[0, '']],
    reconnecting: [
      [300, 'Reconnecting…'],
      [5000, 'Reconnecting… This page may be behind. It catches up by itself, you need not reload.'],
    ],
    closed: [[0, 'This page is no longer updated. Reload it to see how things stand.']],
  }
  let timers = []
  return (state) => {
    if (document.body.dataset.live === state) return
    document.body.dataset.live = state
    timers.forEach(clearTimeout)
    timers = words[state].map(([after, text]) => setTimeout(() => (note.textContent = text), after))
    document.dispatchEvent(new CustomEvent('live', { detail: state }))
  }
}
