// What the admin portal does beyond its links and forms: keys that move, and ids that a click
// copies. "/" goes to the search, j and k to the next and the previous row; enter opens it, as it
// does every link.
import './tail.js'

const rows = () => [...document.querySelectorAll('[data-row]')]
const typing = (target) => target.closest('input, textarea, select, [contenteditable]')

function move(step) {
  const all = rows()
  const at = all.indexOf(document.activeElement)
  const next = at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1)
  all[next]?.focus()
  all[next]?.scrollIntoView({ block: 'nearest' })
}

addEventListener('keydown', (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return
  if (event.key === 'Escape' && event.target.id === 'admin-search') return event.target.blur()
  if (typing(event.target)) return
  switch (event.key) {
    case '/':
      document.getElementById('admin-search')?.select()
      break
    case 'j':
      move(1)
      break
    case 'k':
      move(-1)
      break
    case 'Enter':
      if (event.target.matches('[data-copy]')) return copy(event.target)
      return
    default:
      return
  }
  event.preventDefault()
})

addEventListener('click', (event) => {
  const id = event.target.closest('[data-copy]')
  if (id) copy(id)
})

async function copy(id) {
  try {
    await navigator.clipboard.writeText(id.dataset.copy)
  } catch {
    return // the browser does not let us; the id is selected by the click, to be copied by hand
  }
  id.dataset.copied = ''
  setTimeout(() => delete id.dataset.copied, 1500)
}

// An id that is copied by a click can be reached by keys, too.
function reachable() {
  for (const id of document.querySelectorAll('[data-copy]:not([tabindex])')) {
    id.tabIndex = 0
    id.setAttribute('role', 'button')
    id.setAttribute('aria-label', `Copy ${id.dataset.copy}`)
  }
}

reachable()
new MutationObserver(reachable).observe(document.getElementById('main'), { childList: true, subtree: true })
