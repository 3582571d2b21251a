// Lets a count roll from its old value to the new one, whoever changed it: a push, the answer
// to a form, or another module. The exact numbers are in the attributes.
const attributes = ['data-view-count', 'data-videos-watched']
const still = matchMedia('(prefers-reduced-motion: reduce)')

new MutationObserver((changes) => {
  for (const { target, attributeName, oldValue } of changes) {
    const value = target.getAttribute(attributeName)
    if (still.matches || oldValue === null || value === null || oldValue === value) continue
    target.dataset.was = Number(oldValue).toLocaleString('en-US')
    for (const animation of target.getAnimations()) animation.currentTime = 0
  }
}).observe(document.body, { subtree: true, attributeFilter: attributes, attributeOldValue: true })

document.addEventListener('animationend', ({ animationName, target }) => {
  if (animationName === 'roll') delete target.dataset.was
})
