// Saves the title and the description of a video while its file is on its way. What is typed is
// remembered until the server has taken it.
import { backoff, pause } from './backoff.js'
import { recallAll } from './recall.js'

const idle = 2000 // milliseconds after which what was typed is saved
const firstPause = 500
const longestPause = 30_000
const paths = { title: 'name', description: 'description' } // of the forms, and what they call the field

// autosave follows the fields of a form. Until they belong to a video they are only remembered.
export function autosave(form, memory, videos, word, typed) {
  const fields = Object.keys(paths).map((name) => {
    const input = form.elements[name]
    const note = form.querySelector(`[data-upload-note="${name}"]`)
    let saving = false
    let timer

    input.value = memory.get()[name] ?? typed[name] ?? ''
    const remember = () => {
      memory.set({ [name]: input.value })
      clearTimeout(timer)
      timer = setTimeout(save, idle)
    }
    const save = async () => {
      clearTimeout(timer)
      if (saving) return
      saving = true
      for (let attempt = 0; memory.get().id && memory.get()[name] !== undefined; attempt++) {
        const value = memory.get()[name]
        if (!attempt) say(note, word('saving'))
        const answer = await send(videos, memory, name)
        if (answer) {
          show(note, answer)
          if (memory.get()[name] === value) memory.set({ [name]: undefined })
          attempt = -1
        } else {
          say(note, word('unsaved'))
          await pause(backoff(attempt, firstPause, longestPause))
        }
      }
      saving = false
    }
    if (input.value) memory.set({ [name]: input.value })
    input.addEventListener('input', remember)
    input.addEventListener('change', save)
    addEventListener('pagehide', save)
    return save
  })
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    fields.forEach((save) => save())
  })
  return {
    values: () => Object.fromEntries(Object.keys(paths).map((name) => [name, form.elements[name].value])),
    belongTo(id) {
      memory.set({ id })
      fields.forEach((save) => save())
    },
  }
}

// saveDrafts saves what was typed in a page that was closed too soon.
export function saveDrafts(videos) {
  for (const memory of recallAll()) {
    for (const name of Object.keys(paths)) {
      if (memory.get().id && memory.get()[name] !== undefined) {
        send(videos, memory, name).then((answer) => answer && memory.set({ [name]: undefined }))
      }
    }
  }
}

// send returns the answer as HTML, or nothing where it is to be tried again. A video that is
// begun is not known everywhere at once.
async function send(videos, memory, name) {
  const { id, [name]: value } = memory.get()
  const answer = await fetch(`${videos}/${id}/${paths[name]}`, {
    method: 'POST',
    body: new URLSearchParams({ [paths[name]]: value }),
    headers: { 'HX-Request': 'true', Accept: 'text/html' },
    keepalive: true,
    signal: AbortSignal.timeout(10_000),
  }).catch(() => null)
  return answer?.ok || answer?.status === 422 ? answer.text() : undefined
}

function say(note, words) {
  delete note.dataset.field
  note.className = 'field-note'
  note.textContent = words
}

// show puts the fragment into the note, whose place in the page it has.
function show(note, html) {
  const fragment = new DOMParser().parseFromString(html, 'text/html').querySelector('.field-note')
  if (!fragment) return
  note.className = fragment.className
  note.dataset.field = fragment.dataset.field
  note.replaceChildren(...fragment.childNodes)
}
