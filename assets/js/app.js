// One bundle, in this order: htmx starts as soon as it is loaded, and the extension must be
// there by then. As separate scripts, one page in three was left without its stream.
import 'htmx.org'
import 'htmx.org/dist/ext/hx-sse.js'
import './live.js'
import './counts.js'
import './watch.js'
import './forms.js'
import './says.js'
import './moments.js'
import './transitions.js'
