// What media-chrome calls its controls, where it differs from what is to be read on them: who
// speaks to the browser says what they see.
import { En } from 'media-chrome/dist/lang/en.js'

En['Playback rate {playbackRate}'] += 'x'
