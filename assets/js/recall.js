// What this browser knows of a file whose upload is not finished, or that has words which are
// not saved: { url, id, title, description, saved }, where saved has the words that the server
// has. It outlives the page.
const prefix = 'upload '

// isSaved reports whether the server has a word, or there is none.
export const isSaved = (memory, name) => memory[name] === memory.saved?.[name]

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

const memories = {} // by key: whoever asks for the same file has the same

// A browser may keep nothing, or not let us ask: then it is kept as long as the page.
function memory(key) {
  if (memories[key]) return memories[key]
  const memory = (memories[key] = {
    keep(changes) {
      Object.assign(memory, changes)
      try {
        if (memory.url || !isSaved(memory, 'title') || !isSaved(memory, 'description')) localStorage.setItem(key, JSON.stringify(memory))
        else localStorage.removeItem(key)
      } catch {}
    },
  })
  try {
    Object.assign(memory, JSON.parse(localStorage.getItem(key)))
  } catch {}
  return memory
}
