// Records the viewing once enough of the video was really played: ten seconds or a third of it,
// whichever is less. Only what played counts, skipping ahead does not. The server counts a
// repeated request once, so it is simply sent again until an answer arrives.
import { backoff, pause } from './backoff.js'

const form = document.querySelector('form.record-viewing')
const video = document.querySelector('.player video')
if (form && video) watch(form, video)

function watch(form, video) {
  const player = video.closest('.player')
  const status = () => form.querySelector('.viewing')
  const words = (name) => form.querySelector(`template[data-viewing="${name}"]`)
  let begun = !words('saving') // counted before this page was made
  let earlier = 0 // seconds played before the video was loaded again
  let latest = 0 // and since

  const show = (html) =>
    htmx.swap({ text: html, target: status(), swap: 'outerMorph', sourceElement: form })
  const say = (name) => show(words(name).innerHTML.trim())

  video.addEventListener('timeupdate', check)
  video.addEventListener('ended', check)
  // The last of several sources tells that none of them can be had; these events do not bubble.
  player.addEventListener(
    'error',
    ({ target }) => {
      if (target === video || target === video.querySelector('source:last-of-type')) player.dataset.failed = ''
    },
    true,
  )
  video.addEventListener('loadeddata', () => delete player.dataset.failed)
  document.addEventListener('live', (event) => {
    // What stream.js puts together it also takes up again.
    if (event.detail === 'open' && 'failed' in player.dataset && !video.src.startsWith('blob:')) loadAgain()
  })
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    record()
  })

  function check() {
    const needed = Math.min(form.dataset.countsAfter, video.duration / 3 || Infinity)
    const now = playedSeconds(video)
    if (now < latest) earlier += latest
    latest = now
    const played = earlier + latest
    status().style.setProperty('--played', Math.min(played / needed, 1))
    if (played >= needed) record()
  }

  // The server went away while the video was being fetched, and is back.
  function loadAgain() {
    const { currentTime, paused } = video
    check()
    video.load()
    video.currentTime = currentTime
    if (!paused) video.play().catch(() => {})
  }

  async function record() {
    if (begun) return
    begun = true
    say('saving')
    for (let attempt = 0; ; attempt++) {
      const answer = await send(form)
      const html = answer && fragment(await answer.text().catch(() => ''), status().id)
      if (answer?.ok && html) return show(html)
      if (answer && !answer.ok && answer.status < 500 && ![408, 429].includes(answer.status)) {
        return html ? show(html) : say('failed')
      }
      if (attempt === 0) say('retrying')
      await pause(backoff(attempt, 1000, 30_000))
    }
  }
}

function playedSeconds({ played }) {
  let sum = 0
  for (let i = 0; i < played.length; i++) sum += played.end(i) - played.start(i)
  return sum
}

// Answers nothing when the server could not be reached. keepalive lets the request outlive the
// page, for those who leave the moment it counts.
function send(form) {
  return fetch(form.action, {
    method: 'POST',
    body: new URLSearchParams(new FormData(form)),
    headers: { 'HX-Request': 'true', Accept: 'text/html' },
    keepalive: true,
    signal: AbortSignal.timeout(10_000),
  }).catch(() => null)
}

// The answer may be the fragment alone or a page that contains it.
function fragment(html, id) {
  return new DOMParser().parseFromString(html, 'text/html').getElementById(id)?.outerHTML
}
