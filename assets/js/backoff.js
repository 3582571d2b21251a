// How long to wait before attempt 0, 1, 2, …: twice as long each time up to most, and never the
// same for two pages, so that a server that comes back is not met by all of them at once.
export const backoff = (attempt, first, most) => Math.min(first * 2 ** attempt, most) * (0.5 + Math.random())

// pause waits, and ends early when there is a sign that the server is back, or where the signal
// says so.
export function pause(milliseconds, signal) {
  return new Promise((done) => {
    const stop = new AbortController()
    const finish = () => {
      clearTimeout(timer)
      stop.abort()
      done()
    }
    const timer = setTimeout(finish, milliseconds)
    addEventListener('online', finish, stop)
    document.addEventListener('live', (event) => event.detail === 'open' && finish(), stop)
    signal?.addEventListener('abort', finish, stop)
  })
}
