// Takes over from the plain form that hands in a video: files are chosen or dropped, several at
// once, and each has a card from the template in the page, where it can be followed, stopped and
// named. All words stand in the page.
import { newCard } from './upload_card.js'
import { saveDrafts } from './autosave.js'

const section = document.getElementById('upload')
if (section) takeOver(section)

function takeOver(section) {
  const form = section.querySelector('form')
  const { file: chooser, title, description } = form.elements
  const cards = []

  const take = (files) => {
    const typed = { title: title.value, description: description.value }
    for (const file of files) cards.push(newCard(section, file, room(), files.length === 1 ? typed : {}))
    form.reset()
  }
  // How many bytes more the person may hand in, by what was known when the page was made.
  const room = () => section.dataset.leftBytes - cards.reduce((sum, card) => sum + card.claims(), 0)

  chooser.multiple = true
  chooser.addEventListener('change', () => take(chooser.files))
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    take(chooser.files)
  })
  // A file that misses the place must not replace the page.
  addEventListener('dragover', (event) => {
    event.preventDefault()
    section.toggleAttribute('data-upload-over', section.contains(event.target))
  })
  addEventListener('dragleave', (event) => event.relatedTarget || section.removeAttribute('data-upload-over'))
  addEventListener('drop', (event) => {
    event.preventDefault()
    section.removeAttribute('data-upload-over')
    if (section.contains(event.target)) take(event.dataTransfer.files)
  })
  addEventListener('beforeunload', (event) => cards.some((card) => card.runs()) && event.preventDefault())

  // What is uploaded here has its card, and need not be in the list too until it is done.
  const main = document.getElementById('main')
  const mark = () => {
    for (const row of main.querySelectorAll('[data-creators-video]')) {
      const here = section.querySelector(`[data-upload][data-video="${row.dataset.creatorsVideo}"]:not([data-state=finished])`)
      row.toggleAttribute('data-here', Boolean(here))
    }
  }
  new MutationObserver(mark).observe(main, { childList: true, subtree: true, attributeFilter: ['data-state', 'data-video'] })

  saveDrafts(section.dataset.videos)
  section.setAttribute('data-upload-ready', '')
}
