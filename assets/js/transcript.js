// The transcript follows the video and can be searched. Each link to a moment of the video seeks
// without loading the page again.
const patience = 5000 // milliseconds that whoever scrolls by hand is left alone

const transcript = document.querySelector('[data-transcript]')

// follow keeps the transcript at the cue that is spoken.
export function follow(video) {
  document.addEventListener('click', (event) => {
    const link = event.target.closest('a[data-start]')
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return
    event.preventDefault()
    video.currentTime = link.dataset.start
    video.play().catch(() => {})
  })
  if (!transcript) return
  const cues = [...transcript.querySelectorAll('a[data-start]')]
  let current
  let scrolled = -Infinity

  const mark = () => {
    const spoken = cues.findLast(({ dataset }) => dataset.start <= video.currentTime)
    if (spoken === current) return
    current?.removeAttribute('aria-current')
    spoken?.setAttribute('aria-current', 'true')
    current = spoken
    if (spoken && performance.now() - scrolled > patience) reveal(spoken)
  }
  for (const event of ['timeupdate', 'seeking']) video.addEventListener(event, mark)
  for (const event of ['wheel', 'touchmove', 'keydown']) {
    transcript.addEventListener(event, () => (scrolled = performance.now()), { passive: true })
  }
  search(cues)
}

// reveal scrolls the transcript and nothing around it.
function reveal(cue) {
  const box = scroller(transcript)
  if (!box) return
  const { top, bottom } = cue.getBoundingClientRect()
  const { top: first, bottom: last } = box.getBoundingClientRect()
  if (!(bottom > top) || (top >= first && bottom <= last)) return
  box.scrollTop += top - first - (last - first - (bottom - top)) / 3
}

function scroller(element) {
  for (let box = element; box && box !== document.body; box = box.parentElement) {
    if (/auto|scroll/.test(getComputedStyle(box).overflowY)) return box
  }
}

function search(cues) {
  const field = document.querySelector('[data-transcript-search]')
  const found = document.querySelector('[data-transcript-found]')
  field?.addEventListener('input', () => {
    const wanted = field.value.trim().toLowerCase()
    let matches = 0
    for (const cue of cues) {
      const fits = cue.textContent.toLowerCase().includes(wanted)
      cue.closest('li').hidden = !fits
      matches += fits
    }
    if (found) found.textContent = wanted && found.dataset.words.replace('{found}', matches).replace('{all}', cues.length)
  })
}
