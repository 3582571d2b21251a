// One upload with its card. It goes on by itself after a lost connection or a restart of the
// server, for as long as the page is open, and where it stopped when the same file is chosen
// again.
import { Upload } from 'tus-js-client'
import { autosave } from './autosave.js'
import { insist, passes, rest } from './insist.js'
import { newPace } from './pace.js'
import { recall } from './recall.js'
import { inTurn } from './turn.js'

const running = new Set(['waiting', 'resuming', 'uploading', 'offline', 'finishing'])
const claiming = new Set(['paused', 'logged-out', 'finished', ...running]) // room that the person has
const stoppable = new Set(['paused', 'logged-out', 'over-quota', 'too-many-uploads', 'no-room', ...running])
const refusals = { 401: 'logged-out', 403: 'over-quota', 404: 'expired', 410: 'expired', 413: 'too-large', 429: 'too-many-uploads', 507: 'no-room' }
const silence = 30_000 // milliseconds without a byte after which a connection is dead
const patience = 120_000 // with all bytes sent: the server puts the file where it belongs

// newCard shows a card for a file and uploads it when its turn comes; room is how many bytes the
// person may hand in.
export function newCard(section, file, room) {
  const { endpoint, videos, mostBytes } = section.dataset
  const { name, size, type } = file
  const card = section.querySelector('[data-upload-template]').content.firstElementChild.cloneNode(true)
  const part = (name) => card.querySelector(`[data-upload-${name}]`)
  const word = (name) => card.querySelector(`[data-word="${CSS.escape(name)}"]`)?.textContent
  const memory = recall(file)
  const earlier = memory.url // of a page that was closed
  const save = autosave(part('fields'), memory, videos, word)
  const facts = newPace(size, word)
  let state
  let halt // ends what is being sent, or the pause before it is sent again
  let known = 0 // bytes that the server has
  let failures = 0
  let sent = 0
  let claimed = earlier ? 0 : size // what the server counts already is not counted twice
  let upload = newUpload(earlier)
  const runs = () => running.has(state)

  part('name').textContent = name
  part('fields').elements.title.placeholder = name.replace(/\.\w+$/, '') // as the server calls it
  part('pause').onclick = () => stop('paused')
  part('resume').onclick = queue
  part('dismiss').onclick = () => card.remove()
  part('cancel').onclick = () => {
    stop('canceled')
    if (upload.url) remove()
  }
  addEventListener('online', () => halt?.('online')) // the old connection may be dead without knowing it
  section.querySelector('[data-uploads]').append(card)
  if (!size) stop('empty-file')
  else if (size > mostBytes) stop('too-large')
  else if (claimed > room) stop('over-quota')
  else queue()
  // What stands in the list is counted by the server, until it is deleted.
  const sees = (listed) => listed === card.dataset.video && (claimed = 0)
  return { runs, sees, claims: () => claiming.has(state) && claimed }

  function queue() {
    show('waiting')
    halt?.()
    inTurn(run)
  }

  function stop(name, words) {
    show(name, words)
    halt?.(name)
  }

  async function run() {
    if (state !== 'waiting') return // it was stopped, or another turn has come first
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
      metadata: { filename: name, filetype: type },
      retryDelays: null,
      storeFingerprintForResuming: false,
      onUploadUrlAvailable() {
        upload.options.endpoint = null
        const [name] = /[^/]+$/.exec(upload.url)
        upload.url = `${endpoint}/${name}` // whatever scheme and host the server thinks it has
        const id = name.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-') // a UUID
        card.dataset.video = id
        memory.keep({ url: upload.url, id, saved: memory.id === id ? memory.saved : undefined })
        save()
        if (!runs()) halt(state)
        if (state === 'canceled') remove()
      },
      onAfterResponse(_, response) {
        const offset = Number(response.getHeader('Upload-Offset'))
        if (offset > known) failures = 0
        known = Math.max(known, offset)
      },
    })
  }

  function send() {
    let timer
    return new Promise((resolve, reject) => {
      const alive = (limit) => {
        clearTimeout(timer)
        timer = setTimeout(() => halt('silence', true), limit)
      }
      // A request that begins an upload is left to its end: its answer says where it is.
      halt = (why, inAnyCase) => {
        if (!upload.url && !inAnyCase) return
        upload.abort()
        reject(why)
      }
      Object.assign(upload.options, {
        onProgress(bytes) {
          if (!runs()) return
          sent = bytes
          alive(sent < size ? silence : patience)
          show(sent < size ? 'uploading' : 'finishing')
          tell()
        },
        onSuccess: resolve,
        onError: reject,
      })
      alive(silence)
      upload.start()
    }).finally(() => {
      clearTimeout(timer)
      halt = undefined
    })
  }

  // judge finds out what an error means: to wait and go on, or to stop.
  async function judge({ originalResponse: answer }) {
    const status = answer?.getStatus()
    if (status === 429 || !passes(status)) {
      const refusal = refusals[status] ?? 'refused'
      if (refusal !== 'expired') return stop(refusal, status === 401 ? '' : inWords(answer))
      if (known || !earlier) return memory.keep({ url: undefined }), stop(refusal)
      upload = newUpload()
      delete card.dataset.video // of what is no longer there
      claimed = size
      return
    }
    if (!answer && !(await isReadable(file))) return stop('unreadable')
    show('offline')
    const stopped = new AbortController()
    halt = () => stopped.abort()
    await rest(failures++, stopped.signal)
  }

  // inWords is what the server says, which may be the name of a word in the page.
  function inWords(answer) {
    const text = (answer.getBody() ?? '').replace(/^[A-Z_]+: /, '').trim()
    return word(text) ?? (/^text\/plain/.test(answer.getHeader('Content-Type')) && text)
  }

  function finish() {
    sent = size
    tell()
    memory.keep({ url: undefined })
    part('link').href = `${videos}/${card.dataset.video}`
    part('link').hidden = false
    show('finished')
  }

  // What the server has of it goes.
  function remove() {
    memory.keep({ url: undefined, title: undefined, description: undefined, saved: undefined })
    insist(upload.url, { method: 'DELETE', headers: { 'Tus-Resumable': '1.0.0' } })
  }

  function tell() {
    part('progress').value = (100 * sent) / size || 0
    part('facts').textContent = sent ? facts(sent, state === 'uploading') : ''
  }

  function show(name, words) {
    if (state === name) return
    state = card.dataset.state = name
    tell()
    // Of an upload that goes on, it is not known how far it is before it does.
    const said = (!sent && earlier && word(`${name}-unknown`)) || word(name)
    part('status').textContent = words || said?.replace('{percent}', Math.floor((100 * sent) / size)) || ''
    part('pause').hidden = !runs()
    part('resume').hidden = runs() || !stoppable.has(name)
    part('cancel').hidden = !stoppable.has(name)
    part('dismiss').hidden = stoppable.has(name)
  }
}

const isReadable = (file) =>
  file
    .slice(0, 1)
    .arrayBuffer()
    .then(() => true, () => false)
