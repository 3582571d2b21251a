// Plays the HLS of the page's video by hls.js. A browser without Media Source Extensions plays
// it by itself, as a source of the video; so it does without this script.
import Hls from 'hls.js'
import { backoff } from './backoff.js'
import { Renditions } from './renditions.js'
import { startOf } from './resume.js'

const firstPause = 500
const longestPause = 5000
const firstBuffer = 4 // seconds that are fetched before anybody presses play
const buffer = 60

// Who presses play while a source takes the place of another hears of it by the new one.
addEventListener('unhandledrejection', (event) => event.reason?.name === 'AbortError' && event.preventDefault())

const player = document.querySelector('.player')
const video = player?.querySelector('video')
const url = player?.dataset.hls
if (url && Hls.isSupported()) stream(video, url)
else if (video) startAt(video, startOf())

function stream(video, url) {
  const { paused } = video // somebody may have pressed play already
  const start = video.currentTime || startOf()
  const hls = new Hls({
    startPosition: start || -1,
    capLevelToPlayerSize: true,
    maxBufferLength: firstBuffer,
    maxMaxBufferLength: firstBuffer,
    backBufferLength: buffer,
    enableWorker: false, // one from a blob: URL would be against the site's policy; fMP4 needs none
    // Captions are tracks of the page, which these would empty.
    subtitleStreamController: undefined,
    subtitleTrackController: undefined,
    timelineController: undefined,
  })
  let failures = 0
  let recovered = -Infinity
  let timer = 0

  const again = () => {
    timer = clearTimeout(timer)
    if (hls.levels.length) hls.startLoad()
    else hls.loadSource(url)
  }
  const wake = () => timer && again()

  video.videoRenditions = new Renditions(hls)
  hls.on(Hls.Events.FRAG_LOADED, () => (failures = 0))
  hls.on(Hls.Events.ERROR, (_, { fatal, type, response }) => {
    if (!fatal) return
    const gone = response?.code >= 400 && response.code < 500 && ![408, 429].includes(response.code)
    if (type === Hls.ErrorTypes.NETWORK_ERROR && !gone) {
      clearTimeout(timer)
      timer = setTimeout(again, backoff(failures++, firstPause, longestPause))
    } else if (type === Hls.ErrorTypes.MEDIA_ERROR && performance.now() - recovered > longestPause) {
      recovered = performance.now()
      hls.recoverMediaError()
    } else giveUp()
  })
  addEventListener('online', wake)
  document.addEventListener('live', (event) => event.detail === 'open' && wake())
  const play = () => {
    hls.config.maxBufferLength = hls.config.maxMaxBufferLength = buffer
  }
  video.addEventListener('play', play)
  hls.loadSource(url)
  hls.attachMedia(video)
  if (!paused) video.play().catch(() => {})

  // What is left are the sources in the page.
  function giveUp() {
    const { currentTime, paused } = video
    clearTimeout(timer)
    hls.destroy()
    video.removeAttribute('src')
    video.load()
    startAt(video, currentTime || start)
    if (!paused) video.play().catch(() => {})
  }
}

function startAt(video, seconds) {
  if (!seconds) return
  const seek = () => (video.currentTime = seconds)
  if (video.readyState) seek()
  else video.addEventListener('loadedmetadata', seek, { once: true })
}
