// The X-ray's panel: follows its own stream, beside that of the page, and shows for the card that
// is looked at what caused it, what came of it and what it changed on the page. Without this
// script the panel shows how things stood when the page was made.
const panel = document.querySelector('.xray')
const fold = document.getElementById('xray-fold')
const folded = 'xray-folded'
let stream = null
let looking = null

fold.open = sessionStorage.getItem(folded) === null
fold.addEventListener('toggle', () => {
  if (fold.open) sessionStorage.removeItem(folded)
  else sessionStorage.setItem(folded, '')
})

// A hidden tab gives its connection back: over HTTP/1.1 there are six for all tabs.
function connect() {
  if (document.hidden) {
    stream?.close()
    stream = null
  } else if (!stream) {
    stream = new EventSource(panel.dataset.live)
    stream.onmessage = ({ data }) => draw(data)
  }
}
// Any earlier, and Chromium would never call the page loaded.
if (document.readyState === 'complete') connect()
else addEventListener('load', connect)
document.addEventListener('visibilitychange', () => document.readyState === 'complete' && connect())
addEventListener('pagehide', () => stream?.close())
addEventListener('pageshow', (event) => {
  if (!event.persisted) return
  stream = null
  connect()
})

// draw puts in what has changed: cards that are the same stay, with their focus, and those that
// are open stay open.
function draw(html) {
  const template = document.createElement('template')
  template.innerHTML = html
  const old = document.getElementById('xray-traces')
  const fresh = template.content.firstElementChild
  const focused = panel.contains(document.activeElement) && document.activeElement.closest('.xray-card')?.id
  let added = 0
  for (const card of fresh.querySelectorAll('.xray-card')) {
    const known = document.getElementById(card.id)
    if (!known) {
      card.classList.add('xray-new')
      added++
    } else if (bare(known) === bare(card)) card.replaceWith(known)
    else card.open = known.open
  }
  old.replaceWith(fresh)
  if (focused && document.activeElement === document.body) document.getElementById(focused)?.querySelector('summary').focus()
  if (added) document.getElementById('xray-said').textContent = fresh.querySelector('.xray-trace header')?.textContent ?? ''
  look(looking)
}

// bare is a card without what this script and its reader did to it.
function bare(card) {
  const copy = card.cloneNode(true)
  copy.removeAttribute('open')
  copy.removeAttribute('class')
  return copy.outerHTML
}

// look shows what belongs to a card: all that led to it, and all that it led to.
function look(id) {
  looking = id
  const cards = [...panel.querySelectorAll('.xray-card')]
  const from = new Map(cards.map((card) => [card.id, card.dataset.from?.split(' ') ?? []]))
  const related = new Set()
  const causes = (of) => from.get(of)?.forEach((cause) => related.has(cause) || (related.add(cause), causes(cause)))
  const effects = (of) => from.forEach((list, card) => list.includes(of) && !related.has(card) && (related.add(card), effects(card)))
  if (from.has(id)) {
    effects(id)
    causes(id)
    related.add(id)
  }
  panel.classList.toggle('xray-looking', related.size > 0)
  document.querySelectorAll('.xray-lit').forEach((element) => element.classList.remove('xray-lit'))
  for (const card of cards) {
    card.classList.toggle('xray-related', related.has(card.id))
    if (!related.has(card.id)) continue
    for (const element of card.dataset.elements?.split(' ') ?? []) document.getElementById(element)?.classList.add('xray-lit')
  }
}

const cardOf = (event) => event.target.closest?.('.xray-card')?.id ?? null
panel.addEventListener('mouseover', (event) => look(cardOf(event)))
panel.addEventListener('mouseleave', () => look(null))
panel.addEventListener('focusin', (event) => look(cardOf(event)))
panel.addEventListener('focusout', () => look(null))
