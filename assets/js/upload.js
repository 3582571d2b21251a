// Takes over from the plain form that hands in a video: files are chosen or dropped, several at
// once, and each has a card from the template in the page, where it can be followed, stopped and
// named. All words stand in the page.
import { saveDrafts } from './autosave.js'
import { newCard } from './upload_card.js'

const section = document.getElementById('upload')
if (section) takeOver(section)

function takeOver(section) {
  const form = section.querySelector('form')
  const chooser = form.elements.file
  const cards = []

  const take = (files) => {
    for (const file of files) {
      // How many bytes more the person may hand in, by what the page knows.
      const room = section.querySelector('[data-left-bytes]').dataset.leftBytes - cards.reduce((sum, card) => sum + card.claims(), 0)
      cards.push(newCard(section, file, room))
    }
    form.reset()
  }
  chooser.multiple = true
  chooser.addEventListener('change', () => take(chooser.files))
  form.addEventListener('submit', (event) => event.preventDefault())

  // A file that misses the place must not replace the page.
  const drag = (event) => {
    event.preventDefault()
    const over = section.contains(event.target)
    section.toggleAttribute('data-upload-over', over && event.type === 'dragover')
    if (over && event.type === 'drop') take(event.dataTransfer.files)
  }
  for (const event of ['dragover', 'dragleave', 'drop']) addEventListener(event, drag)
  addEventListener('beforeunload', (event) => cards.some((card) => card.runs()) && event.preventDefault())

  // What is uploaded here has its card, and need not be in the list too until it is done.
  const mark = () => {
    for (const row of document.querySelectorAll('[data-creators-video]')) {
      const id = row.dataset.creatorsVideo
      row.toggleAttribute('data-here', Boolean(section.querySelector(`[data-video="${id}"]:not([data-state=finished])`)))
      for (const card of cards) card.sees(id)
    }
  }
  new MutationObserver(mark).observe(document.getElementById('main'), { childList: true, subtree: true, attributeFilter: ['data-state', 'data-video'] })

  saveDrafts(section.dataset.videos)
  section.setAttribute('data-upload-ready', '')
}
