// What this browser knows of a file whose upload is not finished, or that has words which are
// not saved: { url, id, title, description }. It outlives the page.
const prefix = 'upload '

// recall returns what is remembered of a file, which is known by its name, length and date.
export const recall = ({ name, size, lastModified }) => memory(prefix + [size, lastModified, name])

// recallAll returns all that is remembered.
export function recallAll() {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(prefix)).map(memory)
  } catch {
    return []
  }
}

// A browser may keep nothing, or not let us ask: then it is kept as long as the page.
function memory(key) {
  const memory = {
    keep(changes) {
      Object.assign(memory, changes)
      const kept = JSON.stringify(memory)
      try {
        if (/"(url|title|description)":/.test(kept)) localStorage.setItem(key, kept)
        else localStorage.removeItem(key)
      } catch {}
    },
  }
  try {
    Object.assign(memory, JSON.parse(localStorage.getItem(key)))
  } catch {}
  return memory
}
