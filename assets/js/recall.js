// What this browser knows of a file whose upload is not finished, or that has words which are
// not saved: { url, id, title, description }. It outlives the page.
const prefix = 'upload '

// recall returns what can be remembered of a file, which is known by its name, length and date.
export function recall({ name, size, lastModified }) {
  return memoryOf(prefix + JSON.stringify([name, size, lastModified]))
}

// recallAll returns all that is remembered.
export function recallAll() {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(prefix)).map(memoryOf)
  } catch {
    return []
  }
}

// A browser may keep nothing, or not let us ask: then it is kept as long as the page.
function memoryOf(key) {
  let kept = {}
  try {
    kept = JSON.parse(localStorage.getItem(key)) ?? {}
  } catch {}
  return {
    get: () => kept,
    set(changes) {
      kept = { ...kept, ...changes }
      const { url, title, description } = kept
      try {
        if ((url ?? title ?? description) === undefined) localStorage.removeItem(key)
        else localStorage.setItem(key, JSON.stringify(kept))
      } catch {}
    },
    forget() {
      this.set({ url: undefined, title: undefined, description: undefined })
    },
  }
}
