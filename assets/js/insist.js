import { backoff, pause } from './backoff.js'

const firstPause = 500
const longestPause = 15_000
const passing = new Set([408, 409, 423, 425, 429])

// passes reports whether an answer of this status may be another one later: none at all, or a
// server that is on its way up or has too much to do.
export const passes = (status) => !status || passing.has(status) || (status >= 500 && status !== 507)

// rest waits before the next attempt of many.
export const rest = (attempt, signal) => pause(backoff(attempt, firstPause, longestPause), signal)

// insist sends a request until an answer comes that is final, and returns it.
export async function insist(url, options, isFinal = (status) => !passes(status), failed = () => {}) {
  for (let attempt = 0; ; attempt++) {
    const answer = await fetch(url, { ...options, keepalive: true, signal: AbortSignal.timeout(10_000) }).catch(() => null)
    if (isFinal(answer?.status, attempt)) return answer
    failed()
    await rest(attempt)
  }
}
