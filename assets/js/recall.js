// What this browser knows of a file whose upload is not finished, or that has words which are
// not saved: { url, id, title, description, saved }, where saved has the words that the server
// has taken or refused: these are not sent again. It outlives the page.
const prefix = 'upload '
const words = ['title', 'description']

// isSaved reports whether the server has taken or refused a word, or there is none.
export const isSaved = (memory, name) => [undefined, memory.saved?.[name]].includes(memory[name])

// recall returns what is remembered of a file, which is known by its name, length and date. Where
// its upload is over, it is another video's now: only what was not saved is still to be said.
export function recall({ name, size, lastModified }) {
  const known = memory(prefix + [size, lastModified, name])
  if (!known.url) {
    delete known.id
    words.forEach((name) => isSaved(known, name) && delete known[name])
  }
  return known
}

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
        if (memory.url || !words.every((name) => isSaved(memory, name))) localStorage.setItem(key, JSON.stringify(memory))
        else localStorage.removeItem(key)
      } catch {}
    },
  })
  try {
    Object.assign(memory, JSON.parse(localStorage.getItem(key)))
  } catch {}
  return memory
}
