// One upload with its card. It goes on by itself after a lost connection or a restart of the
// server, for as long as the page is open, and where it stopped when the same file is chosen
// again.
import { Upload } from 'tus-js-client'
import { autosave } from './autosave.js'
import { backoff, pause } from './backoff.js'
import { bytes, Pace } from './pace.js'
import { recall } from './recall.js'
import { inTurn } from './turn.js'

const running = new Set(['waiting', 'resuming', 'uploading', 'offline', 'finishing'])
const stoppable = new Set(['paused', 'logged-out', ...running])
const firstPause = 500
const longestPause = 15_000
const silence = 30_000 // milliseconds without a byte after which a connection is dead
const patience = 120_000 // with all bytes sent: the server puts the file where it belongs

// newCard shows a card for a file and uploads it when its turn comes; room is how many bytes the
// person may hand in.
export function newCard(section, file, room, typed) {
  const { endpoint, videos, mostBytes } = section.dataset
  const card = section.querySelector('[data-upload-template]').content.firstElementChild.cloneNode(true)
  const part = (name) => card.querySelector(`[data-upload-${name}]`)
  const word = (name) => card.querySelector(`[data-word="${CSS.escape(name)}"]`)?.textContent
  const memory = recall(file)
  const earlier = memory.get().url // of a page that was closed
  const pace = new Pace(file.size, word)
  const fields = autosave(part('fields'), memory, videos, word, typed)
  let halt = () => {}
  let nudge
  let known = 0 // bytes that the server has
  let failures = 0
  let claimed = earlier ? 0 : file.size // what the server counts already is not counted twice
  let upload = newUpload(earlier)

  const state = () => card.dataset.state
  const runs = () => running.has(state())

  part('name').textContent = file.name
  part('pause').addEventListener('click', () => stop('paused'))
  part('resume').addEventListener('click', queue)
  part('cancel').addEventListener('click', () => {
    stop('canceled')
    if (upload.url) remove()
  })
  addEventListener('online', () => halt('online')) // the old connection may be dead without knowing it
  section.querySelector('[data-uploads]').prepend(card)
  const refusal = !file.size ? 'empty-file' : file.size > mostBytes ? 'too-large' : claimed > room ? 'over-quota' : ''
  if (refusal) stop(refusal)
  else queue()
  return { runs, claims: () => claimed }

  function queue() {
    show('waiting')
    nudge?.abort()
    inTurn(run)
  }

  function stop(name, words) {
    show(name, words)
    if (!stoppable.has(name)) claimed = 0
    halt(name)
    nudge?.abort()
  }

  async function run() {
    if (state() !== 'waiting') return // it was stopped, or another turn has come first
    while (runs()) {
      show(upload.url || earlier ? 'resuming' : 'uploading')
      try {
        await send()
        return finish()
      } catch (error) {
        if (runs()) await judge(error)
      }
    }
  }

  function newUpload(url) {
    return new Upload(file, {
      // Where there is an URL, tus must not begin anew because a server that restarts has said 502.
      endpoint: url ? null : endpoint,
      uploadUrl: url,
      metadata: { filename: file.name, filetype: file.type, ...fields.values() },
      retryDelays: null,
      storeFingerprintForResuming: false,
      onUploadUrlAvailable() {
        upload.options.endpoint = null
        fields.belongTo((card.dataset.video = idOf(upload.url)))
        memory.set({ url: upload.url })
        if (!runs()) halt(state())
        if (state() === 'canceled') remove()
      },
      onAfterResponse(_, response) {
        const offset = Number(response.getHeader('Upload-Offset'))
        if (offset > known) failures = 0
        known = Math.max(known, offset)
      },
    })
  }

  function send() {
    return new Promise((resolve, reject) => {
      let timer
      const alive = (limit) => {
        clearTimeout(timer)
        timer = setTimeout(() => halt('silence', true), limit)
      }
      // A request that begins an upload is left to its end: its answer says where it is.
      halt = (why, inAnyCase) => {
        if (!upload.url && !inAnyCase) return
        clearTimeout(timer)
        upload.abort()
        reject(why)
      }
      Object.assign(upload.options, {
        onProgress(sent) {
          if (!runs()) return
          alive(sent < file.size ? silence : patience)
          show(sent < file.size ? 'uploading' : 'finishing')
          tell(sent)
        },
        onSuccess: resolve,
        onError: reject,
      })
      alive(silence)
      pace.rest()
      upload.start()
    }).finally(() => halt('over'))
  }

  // judge finds out what an error means: to wait and go on, or to stop.
  async function judge(error) {
    const answer = error.originalResponse
    const status = answer?.getStatus()
    const final = { 401: 'logged-out', 403: 'over-quota', 404: 'expired', 410: 'expired', 413: 'too-large', 507: 'no-room' }[status]
    if (final === 'expired' && earlier && !known) {
      upload = newUpload()
      claimed = file.size
    } else if (final || (status >= 400 && status < 500 && ![408, 409, 423, 425, 429].includes(status))) {
      if (final === 'expired') memory.set({ url: undefined })
      stop(final ?? 'refused', final === 'expired' || status === 401 ? undefined : said(answer))
    } else if (!answer && !(await isReadable(file))) {
      stop('unreadable')
    } else {
      show('offline')
      nudge = new AbortController()
      await pause(backoff(failures++, firstPause, longestPause), nudge.signal)
    }
  }

  // said is what the server says, which may be the name of a word in the page.
  function said(answer) {
    const text = (answer.getBody() ?? '').replace(/^[A-Z_]+: /, '').trim()
    return word(text) ?? (/^text\/plain/.test(answer.getHeader('Content-Type')) && text.length < 300 && text)
  }

  function finish() {
    tell(file.size)
    memory.set({ url: undefined })
    const link = part('link')
    link.href = `${videos}/${card.dataset.video}`
    link.hidden = false
    show('finished')
  }

  // What the server has of it goes; the list does not wait for that.
  async function remove() {
    memory.forget()
    for (let attempt = 0; ; attempt++) {
      const status = await Upload.terminate(upload.url, { retryDelays: null }).then(
        () => 204,
        (error) => error.originalResponse?.getStatus() ?? 503,
      )
      if (status < 500 && ![409, 423, 429].includes(status)) return
      await pause(backoff(attempt, firstPause, longestPause))
    }
  }

  function tell(sent) {
    part('progress').value = (100 * sent) / file.size
    part('facts').textContent = pace.words(sent)
  }

  function show(name, words = word(name)) {
    if (state() === name) return
    card.dataset.state = name
    part('status').textContent = words || word(name) || ''
    part('pause').hidden = !runs()
    part('resume').hidden = runs() || !stoppable.has(name)
    part('cancel').hidden = !stoppable.has(name)
  }
}

// The id of a video is that of its upload, with the dashes of a UUID.
const idOf = (url) => /[^/]+$/.exec(url)[0].replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')

const isReadable = (file) =>
  file
    .slice(0, 1)
    .arrayBuffer()
    .then(() => true, () => false)
