// How long to wait before attempt 0, 1, 2, …: twice as long each time up to most, and never the
// same for two pages, so that a server that comes back is not met by all of them at once.
export const backoff = (attempt, first, most) => Math.min(first * 2 ** attempt, most) * (0.5 + Math.random())
