// Forms work without this. It adds: a form that was sent says so and is not sent twice, and a
// password can be looked at while it is typed.

// A browser that gave up waiting leaves the form as it is; then it can be sent again.
const patience = 20_000

document.addEventListener('submit', (event) => {
  const form = event.target
  if (event.defaultPrevented || form.method !== 'post') return
  if ('sent' in form.dataset) return event.preventDefault()
  form.dataset.sent = ''
  const button = event.submitter ?? form.querySelector('button')
  if (button?.dataset.busy) {
    button.dataset.label = button.innerHTML
    button.textContent = button.dataset.busy
  }
  // What a browser remembers of a form must not be a password that was shown.
  for (const toggle of form.querySelectorAll('.show-password')) show(toggle, false)
  setTimeout(restore, patience, form)
})

// Back may bring the page as it was left.
addEventListener('pageshow', (event) => {
  if (event.persisted) document.querySelectorAll('form[data-sent]').forEach(restore)
})

function restore(form) {
  delete form.dataset.sent
  for (const button of form.querySelectorAll('button[data-label]')) {
    button.innerHTML = button.dataset.label
    delete button.dataset.label
  }
}

const words = { true: 'Hide', false: 'Show' }

function show(toggle, shown) {
  toggle.previousElementSibling.type = shown ? 'text' : 'password'
  toggle.textContent = words[shown]
  toggle.setAttribute('aria-label', `${words[shown]} the password`)
}

// A form may come with a push, and a later push takes away what the server does not know of.
function addToggles() {
  for (const input of document.querySelectorAll('.field-input > input[type=password]:only-child')) {
    const toggle = document.createElement('button')
    toggle.type = 'button'
    toggle.className = 'show-password'
    input.after(toggle)
    show(toggle, false)
    toggle.addEventListener('click', () => show(toggle, input.type === 'password'))
  }
}

addToggles()
new MutationObserver(addToggles).observe(document.getElementById('main'), { childList: true, subtree: true })
