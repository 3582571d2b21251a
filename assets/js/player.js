// The player of the watch page: media-chrome's controls around the video that stands in the page,
// hls.js where the browser has Media Source Extensions, and what this site adds. Without it the
// browser's own controls play the same sources.
//
// Keys, where the focus is on nothing that has its own use for them:
//   space, k      play, pause                  m      sound off, on
//   j, ←          ten seconds back             f      full screen
//   l, →          ten seconds on               p      picture in picture
//   ↑ ↓           louder, quieter *            c      captions
//   < >           slower, faster               0–9    to that tenth of the video
// * while the player has the focus: elsewhere they move the page.
import './labels.js'
import './stream.js' // before the controls, which look at the video once
import 'media-chrome/media-controller'
import 'media-chrome/media-control-bar'
import 'media-chrome/media-fullscreen-button'
import 'media-chrome/media-loading-indicator'
import 'media-chrome/media-mute-button'
import 'media-chrome/media-pip-button'
import 'media-chrome/media-play-button'
import 'media-chrome/media-seek-backward-button'
import 'media-chrome/media-seek-forward-button'
import 'media-chrome/media-time-display'
import 'media-chrome/media-time-range'
import 'media-chrome/media-volume-range'
import 'media-chrome/dist/menu/media-chrome-menu-item.js'
import 'media-chrome/dist/menu/media-captions-menu.js'
import 'media-chrome/dist/menu/media-captions-menu-button.js'
import 'media-chrome/dist/menu/media-playback-rate-menu.js'
import 'media-chrome/dist/menu/media-playback-rate-menu-button.js'
import 'media-chrome/dist/menu/media-rendition-menu.js'
import 'media-chrome/dist/menu/media-rendition-menu-button.js'
import { remember } from './resume.js'
import { follow } from './transcript.js'

const others = 'input, textarea, select, button, a, summary, dialog, [contenteditable], [role^=menu]' // use keys themselves
const moves = /^([jl]|Arrow(Left|Right))$/
const keys = /^([ kmfpcjl<>]|Arrow(Left|Right))$/
const kept = 'keys on the whole page'

const controller = document.querySelector('.player media-controller')
const video = controller?.media
if (video) {
  // Who speaks to their machine may press keys without meaning to, and keep them to the player.
  const everywhere = document.querySelector('[data-player-keys]')
  try {
    everywhere.checked = localStorage.getItem(kept) !== 'false'
  } catch {} // a browser may not let us ask
  everywhere.addEventListener('change', () => {
    try {
      localStorage.setItem(kept, everywhere.checked)
    } catch {}
  })
  video.controls = false
  remember(video)
  follow(video)
  document.addEventListener('keydown', (event) => {
    const { target, key } = event
    const inside = controller.contains(target)
    if (event.ctrlKey || event.metaKey || event.altKey || (!inside && (!everywhere.checked || target.closest(others)))) return
    if (/^\d$/.test(key) && video.duration) video.currentTime = (video.duration * key) / 10
    if (inside || !keys.test(key) || (event.repeat && !moves.test(key))) return
    event.preventDefault()
    controller.keyboardShortcutHandler({ key, target: controller })
  })
}
