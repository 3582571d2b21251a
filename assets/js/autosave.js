// Saves the title and the description of a video while its file is on its way. What is typed is
// remembered until the server has taken it, and shown again as long as the upload goes on.
import { insist, passes } from './insist.js'
import { isSaved, recallAll } from './recall.js'

const idle = 2000 // milliseconds after which what was typed is saved
const patience = 8 // attempts after which a video that is not found is none: at first not every part of the site knows it
const forms = { title: 'name', description: 'description' } // and what each calls its field
const names = Object.keys(forms)

// autosave follows the fields of a form. Until they belong to a video they are only remembered.
export function autosave(form, memory, videos, word) {
  const saveAll = () => names.forEach((name) => save(memory, name, videos, tell))
  const tell = (name, html) => (form.querySelector(`[data-upload-note=${name}]`).innerHTML = word(html) ?? html)
  let timer
  for (const name of names) {
    const input = form.elements[name]
    input.value = memory[name] ?? ''
    input.addEventListener('input', () => {
      memory.keep({ [name]: input.value })
      clearTimeout(timer)
      timer = setTimeout(saveAll, idle)
    })
  }
  form.addEventListener('change', saveAll)
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    saveAll()
  })
  addEventListener('pagehide', saveAll)
  return saveAll
}

// saveDrafts saves what was typed in a page that was closed too soon.
export function saveDrafts(videos) {
  for (const memory of recallAll()) names.forEach((name) => save(memory, name, videos, () => {}))
}

const saving = new Set()

async function save(memory, name, videos, tell) {
  const { id, [name]: value } = memory
  if (!id || isSaved(memory, name) || saving.has(id + name)) return
  saving.add(id + name)
  tell(name, 'saving')
  const answer = await insist(
    `${videos}/${id}/${forms[name]}`,
    { method: 'POST', body: new URLSearchParams({ [forms[name]]: value }), headers: { 'HX-Request': 'true' } },
    (status, attempt) => !passes(status) && status !== 401 && (status !== 404 || attempt > patience),
    () => tell(name, 'unsaved'),
  )
  tell(name, answer.status < 300 || answer.status === 422 ? await answer.text() : 'unsaved')
  saving.delete(id + name)
  if (memory.id === id) memory.keep({ saved: { ...memory.saved, [name]: value } })
  save(memory, name, videos, tell)
}
