// The player of the watch page: media-chrome's controls around the video that stands in the page,
// hls.js where the browser has Media Source Extensions, and what this site adds. Without it the
// browser's own controls play the same sources.
//
// Keys, while the player has the focus:
//   space, k      play, pause                  m      sound off, on
//   j, ←          ten seconds back             f      full screen
//   l, →          ten seconds on               p      picture in picture
//   ↑ ↓           louder, quieter              c      captions
//   < >           slower, faster               0–9    to that tenth of the video
//   ?             lists the keys
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

const controller = document.querySelector('.player media-controller')
const video = controller?.media
if (video) {
  video.controls = false
  remember(video)
  follow(video)
  controller.addEventListener('keydown', (event) => {
    const { key, ctrlKey, metaKey, altKey } = event
    if (ctrlKey || metaKey || altKey || !/^\d$/.test(key) || !video.duration) return
    video.currentTime = (video.duration * key) / 10
  })
}
