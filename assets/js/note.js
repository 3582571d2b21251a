// Says in the player what was done there, for a while. The words stand in the page.
const lasts = 6000

const note = document.querySelector('.player-note')
const [said, button] = note?.children ?? []
let timer

// say shows a word; {} in it is the value. Where there is something to undo, a button offers it,
// and stays until fade is called.
export function say(word, value, undo) {
  if (!note) return
  said.textContent = said.dataset[word].replace('{}', value)
  button.hidden = !undo
  button.onclick = () => {
    undo()
    note.parentElement.querySelector('media-play-button').focus()
    clear()
  }
  clearTimeout(timer)
  if (!undo) fade()
}

// fade takes the note away after a while, but from nobody who is at it.
export function fade() {
  clearTimeout(timer)
  timer = setTimeout(() => (note.matches(':hover, :focus-within') ? fade() : clear()), lasts)
}

function clear() {
  said.textContent = ''
  button.hidden = true
}

// The keys that press a button are not for the player.
button?.addEventListener('keydown', (event) => event.stopPropagation())
