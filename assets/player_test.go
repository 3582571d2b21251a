package assets_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"videotutorials/aggregators/catalogue"
	"videotutorials/assets"
	"videotutorials/views"
)

const strictPolicy = "default-src 'self'; img-src 'self' data:; media-src 'self' blob:"

// film is half a minute as it is published: two renditions with sound beside them, one file, and
// the pictures for the seek bar.
var film = sync.OnceValues(func() (map[string][]byte, error) {
	dir, err := os.MkdirTemp("", "film")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	for _, arguments := range [][]string{
		{"-f", "lavfi", "-i", "testsrc2=s=256x144:r=10:d=30", "-f", "lavfi", "-i", "sine=d=30",
			"-filter_complex", "[0:v]split[a][b];[b]scale=128:72[c]", "-map", "[c]", "-map", "[a]", "-map", "1:a",
			"-c:v", "libx264", "-preset", "ultrafast", "-g", "20", "-keyint_min", "20", "-sc_threshold", "0", "-c:a", "aac", "-b:a", "48k",
			"-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod", "-hls_segment_type", "fmp4", "-hls_flags", "independent_segments",
			"-hls_fmp4_init_filename", "%v_init.mp4", "-hls_segment_filename", "%v_%03d.m4s", "-master_pl_name", "master.m3u8",
			"-var_stream_map", "v:0,agroup:sound,name:72p v:1,agroup:sound,name:144p a:0,agroup:sound,default:yes,name:audio", "%v.m3u8"},
		{"-i", "144p.m3u8", "-i", "audio.m3u8", "-c", "copy", "-bsf:a", "aac_adtstoasc", "-movflags", "faststart", "video.mp4"},
		{"-i", "72p.m3u8", "-vf", "fps=1/5,tile=6x1", "-frames:v", "1", "storyboard.jpg"},
	} {
		command := exec.Command("ffmpeg", append([]string{"-v", "error", "-nostdin", "-y"}, arguments...)...)
		command.Dir = dir
		if said, err := command.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("make a film: %w: %s", err, said)
		}
	}
	files := map[string][]byte{
		"captions.vtt": []byte("WEBVTT\n\n00:01.000 --> 00:05.000\nFirst we write\n\n00:05.000 --> 00:12.000\nthen we read\n\n00:12.000 --> 00:28.000\nand it was written\n"),
		"chapters.vtt": []byte("WEBVTT\n\n00:00.000 --> 00:10.000\nBeginning\n\n00:10.000 --> 00:30.000\nEnd\n"),
	}
	var board strings.Builder
	board.WriteString("WEBVTT\n")
	for i := range 6 {
		fmt.Fprintf(&board, "\n00:%02d.000 --> 00:%02d.000\nstoryboard.jpg#xywh=%d,0,128,72\n", i*5, i*5+5, i*128)
	}
	files["storyboard.vtt"] = []byte(board.String())
	made, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range made {
		if files[entry.Name()], err = os.ReadFile(filepath.Join(dir, entry.Name())); err != nil {
			return nil, err
		}
	}
	return files, nil
})

var filmTypes = map[string]string{
	".m3u8": "application/vnd.apple.mpegurl", ".m4s": "video/iso.segment", ".mp4": "video/mp4", ".vtt": "text/vtt", ".jpg": "image/jpeg",
}

// cinema is a page that plays the film, whose server can be away.
type cinema struct {
	url      string
	shown    views.Watch
	away     atomic.Bool
	hold     atomic.Bool // of the film nothing is to be had
	gone     atomic.Bool // the renditions are not there
	single   atomic.Bool // there is only the first rendition so far
	asked    sync.Map    // names of files that were asked for
	recorded atomic.Int64
	server   *httptest.Server
}

func newCinema(t *testing.T) *cinema {
	t.Helper()
	files, err := film()
	if err != nil {
		t.Fatal(err)
	}
	c := &cinema{shown: views.Watch{
		Lesson: views.Lesson{Video: catalogue.Video{
			ID: videoID, Title: "A lesson", HLS: "/media/master.m3u8", Source: "/media/video.mp4", Storyboard: "/media/storyboard.vtt", Chapters: "/media/chapters.vtt",
			Captions: []catalogue.Captions{{ID: "1", Language: "en", Label: "English", URI: "/media/captions.vtt"}, {ID: "2", Language: "de", Label: "Deutsch", URI: "/media/captions.vtt"}},
			Duration: 30 * time.Second, Width: 256, Height: 144,
		}},
		Chapters: []views.Cue{{Text: "Beginning"}, {Start: 10 * time.Second, Text: "End"}},
	}}
	for i := range 30 {
		c.shown.Cues = append(c.shown.Cues, views.Cue{Start: time.Duration(i) * time.Second, Text: fmt.Sprintf("Sentence %d, which is said.", i)})
	}
	mux := http.NewServeMux()
	mux.Handle(assets.Prefix, assets.Handler())
	mux.HandleFunc("GET "+views.WatchPath("{id}"), func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", strictPolicy)
		_ = views.WatchPage(views.Page{
			AppName: "Test", CSS: assets.URL("app.css"), JS: assets.URL("app.js"), PlayerJS: assets.URL("player.js"), Icon: assets.URL("favicon.svg"),
			Player: true, Path: r.URL.Path,
		}, c.shown).Render(r.Context(), w)
	})
	mux.HandleFunc("POST "+views.RecordViewingPath(videoID), func(w http.ResponseWriter, r *http.Request) {
		c.recorded.Add(1)
		_ = views.Viewing(videoID, views.ViewingState{Status: views.ViewingCounted}).Render(r.Context(), w)
	})
	mux.HandleFunc("GET /media/{name}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		c.asked.Store(name, true)
		content, ok := files[name]
		if c.hold.Load() {
			panic(http.ErrAbortHandler)
		}
		if !ok || c.gone.Load() && filepath.Ext(name) != ".mp4" {
			http.NotFound(w, r)
			return
		}
		if name == "master.m3u8" && c.single.Load() {
			lines := strings.SplitAfter(string(content), "\n")
			content = nil
			for i, line := range lines {
				if !strings.Contains(line, "144p") && !(i+1 < len(lines) && strings.Contains(lines[i+1], "144p")) {
					content = append(content, line...)
				}
			}
		}
		w.Header().Set("Content-Type", filmTypes[filepath.Ext(name)])
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.away.Load() {
			panic(http.ErrAbortHandler)
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	c.server, c.url = server, server.URL+views.WatchPath(videoID)
	return c
}

// watched opens a browser that notes what goes wrong in a page.
func watched(t *testing.T) context.Context {
	t.Helper()
	ctx := browser(t)
	do(t, ctx, chromedp.EmulateViewport(1100, 900), chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(`window.refused = []
			addEventListener('securitypolicyviolation', (event) => refused.push(event.violatedDirective + ' ' + event.sourceFile + ':' + event.lineNumber))`).Do(ctx)
		return err
	}))
	chromedp.ListenTarget(ctx, func(event any) {
		if thrown, ok := event.(*runtime.EventExceptionThrown); ok {
			t.Errorf("the page threw %v", thrown.ExceptionDetails)
		}
	})
	return ctx
}

const (
	theVideo   = `document.querySelector('video')`
	hasControl = `document.querySelector('media-controller').mediaStore && !` + theVideo + `.controls`
	told       = `document.querySelector('media-controller').mediaStore.getState()` // what the controls know
	noRefusals = `window.refused.length === 0`
	playsHLS   = theVideo + `.currentSrc.startsWith('blob:')`
)

func isPast(seconds float64) string { return fmt.Sprintf(`%s.currentTime > %g`, theVideo, seconds) }

// isAt allows for a film that is a moment longer than it should be, and waits until the controls
// know it too.
func isAt(seconds float64) string {
	return fmt.Sprintf(`Math.abs(%s.currentTime - %g) < 0.2 && Math.abs(`+told+`.mediaCurrentTime - %[2]g) < 0.2`, theVideo, seconds)
}

func pressPlay(t *testing.T, ctx context.Context) {
	t.Helper()
	until(t, ctx, hasControl)
	do(t, ctx, chromedp.Click("media-play-button"))
	until(t, ctx, `!`+theVideo+`.paused`)
}

func seek(seconds float64) chromedp.Action {
	return chromedp.Evaluate(fmt.Sprintf(`%s.currentTime = %g`, theVideo, seconds), nil)
}

func TestPlayerPlays(t *testing.T) {
	t.Parallel()
	c, ctx := newCinema(t), watched(t)
	do(t, ctx, chromedp.Navigate(c.url))
	until(t, ctx, hasControl+` && `+theVideo+`.readyState >= 2`)
	// Before somebody presses play, no more is fetched than to begin with.
	if _, early := c.asked.Load("144p_010.m4s"); early {
		t.Error("the whole film was fetched before it was played")
	}
	pressPlay(t, ctx)
	until(t, ctx, playsHLS+` && `+isPast(1))
	until(t, ctx, `[document, ...[...document.querySelectorAll('*')].flatMap(({ shadowRoot }) => shadowRoot ?? [])].every((root) => !root.querySelector(':not(:defined)'))`)
	// A sheet of media-chrome's own applies.
	until(t, ctx, `getComputedStyle(document.querySelector('media-play-button')).cursor === 'pointer'`)
	until(t, ctx, noRefusals)
}

func TestPlayerQuality(t *testing.T) {
	t.Parallel()
	c, ctx := newCinema(t), watched(t)
	do(t, ctx, chromedp.Navigate(c.url))
	pressPlay(t, ctx)
	const items = `[...document.querySelector('media-rendition-menu').shadowRoot.querySelectorAll('media-chrome-menu-item')]`
	until(t, ctx, items+`.map((item) => item.value).join() === '1,0,auto'`)
	until(t, ctx, items+`[0].textContent.trim() === '144p' && `+items+`[1].textContent.trim() === '72p' && `+items+`[2].ariaChecked === 'true'`)
	do(t, ctx, chromedp.Click("media-rendition-menu-button"))
	until(t, ctx, `!document.querySelector('media-rendition-menu').hidden`)
	for item, height := range map[int]int{1: 72, 0: 144} {
		do(t, ctx, chromedp.Evaluate(fmt.Sprintf(items+`[%d].click()`, item), nil), seek(0))
		until(t, ctx, fmt.Sprintf(items+`[%d].ariaChecked === 'true' && `+theVideo+`.videoHeight === %d`, item, height))
	}
	until(t, ctx, noRefusals)
}

func TestPlayerWithTheFirstRenditionOnly(t *testing.T) {
	t.Parallel()
	c, ctx := newCinema(t), watched(t)
	c.single.Store(true)
	c.shown.Lesson.Source, c.shown.Lesson.Storyboard = "", ""
	do(t, ctx, chromedp.Navigate(c.url))
	pressPlay(t, ctx)
	until(t, ctx, playsHLS+` && `+isPast(1)+` && `+theVideo+`.videoHeight === 72`)
	until(t, ctx, `document.querySelector('media-rendition-menu-button').hasAttribute('mediarenditionunavailable')`)
}

func TestPlayerWithoutHLS(t *testing.T) {
	t.Parallel()
	c, ctx := newCinema(t), watched(t)
	c.shown.Lesson.HLS, c.shown.Lesson.Storyboard, c.shown.Lesson.Captions, c.shown.Lesson.Chapters = "", "", nil, ""
	c.shown.Cues = nil
	do(t, ctx, chromedp.Navigate(c.url+"?t=7"))
	pressPlay(t, ctx)
	until(t, ctx, theVideo+`.currentSrc.includes('/media/video.mp4') && `+isPast(7.5))
	until(t, ctx, noRefusals)
}

// The renditions are gone, the single file is not.
func TestPlayerFallsBack(t *testing.T) {
	t.Parallel()
	c, ctx := newCinema(t), watched(t)
	c.gone.Store(true)
	do(t, ctx, chromedp.Navigate(c.url+"?t=7"))
	until(t, ctx, theVideo+`.currentTime === 7`)
	pressPlay(t, ctx)
	until(t, ctx, theVideo+`.currentSrc.includes('/media/video.mp4') && `+isPast(7.5)+` && !document.querySelector('[data-failed]')`)
	until(t, ctx, `document.querySelector('media-rendition-menu-button').hasAttribute('mediarenditionunavailable')`)
}

func TestPlayerCaptions(t *testing.T) {
	t.Parallel()
	c, ctx := newCinema(t), watched(t)
	do(t, ctx, chromedp.Navigate(c.url))
	pressPlay(t, ctx)
	const items = `[...document.querySelector('media-captions-menu').shadowRoot.querySelectorAll('media-chrome-menu-item')]`
	until(t, ctx, items+`.map((item) => item.textContent.trim()).join() === 'Off,English,Deutsch'`)
	do(t, ctx, chromedp.Evaluate(items+`[1].click()`, nil), seek(6))
	until(t, ctx, theVideo+`.textTracks[0].mode === 'showing' && `+theVideo+`.textTracks[0].activeCues?.[0]?.text === 'then we read'`)
}

// The seek bar has a picture and the name of the chapter for each moment.
func TestPlayerSeekBar(t *testing.T) {
	t.Parallel()
	c, ctx := newCinema(t), watched(t)
	do(t, ctx, chromedp.Navigate(c.url))
	until(t, ctx, hasControl+` && `+theVideo+`.duration > 29`)
	until(t, ctx, `[...`+theVideo+`.textTracks].filter(({ kind }) => kind !== 'captions').every(({ cues }) => cues?.length > 1)`)
	do(t, ctx, chromedp.Evaluate(`document.querySelector('media-time-range').dispatchEvent(new CustomEvent('mediapreviewrequest', { bubbles: true, composed: true, detail: 12 }))`, nil))
	until(t, ctx, `document.querySelector('media-time-range').getAttribute('mediapreviewimage')?.endsWith('storyboard.jpg#xywh=256,0,128,72')`)
	until(t, ctx, `document.querySelector('media-time-range').getAttribute('mediapreviewchapter') === 'End'`)
	until(t, ctx, noRefusals)
}

func TestPlayerKeys(t *testing.T) {
	t.Parallel()
	c, ctx := newCinema(t), watched(t)
	do(t, ctx, chromedp.Navigate(c.url))
	pressPlay(t, ctx)
	until(t, ctx, isPast(0.2))
	for _, key := range []struct{ keys, leads string }{
		{"k", theVideo + `.paused`},
		{"5", isAt(15)},
		{"l", isAt(25)},
		{"j", isAt(15)},
		{kb.ArrowRight, isAt(25)},
		{kb.ArrowLeft, isAt(15)},
		{"m", theVideo + `.muted && ` + told + `.mediaVolumeLevel === 'off'`},
		{"c", theVideo + `.textTracks[0].mode === 'showing'`},
		{">", told + `.mediaPlaybackRate == 1.25`},
		{"<", told + `.mediaPlaybackRate == 1`},
		{"0", theVideo + `.currentTime === 0`},
		{" ", `!` + theVideo + `.paused && !` + told + `.mediaPaused`},
		{"f", `document.fullscreenElement?.localName === 'media-controller' && ` + told + `.mediaIsFullscreen`},
	} {
		do(t, ctx, chromedp.KeyEvent(key.keys))
		until(t, ctx, key.leads)
	}
	do(t, ctx, chromedp.KeyEvent("f"))
	until(t, ctx, `!document.fullscreenElement && !`+told+`.mediaIsFullscreen`)
	// They work also while nothing has the focus, and move nothing else then.
	do(t, ctx, chromedp.Evaluate(`document.activeElement.blur(); window.before = scrollY`, nil))
	for _, key := range []struct{ keys, leads string }{
		{" ", theVideo + `.paused && ` + told + `.mediaPaused && scrollY === window.before`},
		{"3", isAt(9)},
		{kb.ArrowRight, isAt(19)},
		{"j", isAt(9)},
		{"m", `!` + theVideo + `.muted && ` + told + `.mediaVolumeLevel !== 'off'`},
		{"m", theVideo + `.muted && ` + told + `.mediaVolumeLevel === 'off'`},
		{"c", theVideo + `.textTracks[0].mode !== 'showing'`},
		{"k", `!` + theVideo + `.paused && !` + told + `.mediaPaused`},
		{"f", `document.fullscreenElement?.localName === 'media-controller' && ` + told + `.mediaIsFullscreen`},
	} {
		do(t, ctx, chromedp.KeyEvent(key.keys))
		until(t, ctx, key.leads)
	}
	do(t, ctx, chromedp.KeyEvent("f"))
	until(t, ctx, `!document.fullscreenElement && !`+told+`.mediaIsFullscreen`)
	// Whoever types elsewhere only types, and what has the focus has its own keys.
	do(t, ctx, chromedp.Focus("[data-transcript-search]"), chromedp.KeyEvent("m0 "))
	until(t, ctx, theVideo+`.muted && document.querySelector('[data-transcript-search]').value === 'm0 '`)
	do(t, ctx, chromedp.Focus(".keys summary"), chromedp.KeyEvent(" "), chromedp.KeyEvent("m"))
	until(t, ctx, `document.querySelector('.keys').open && !`+theVideo+`.paused && `+theVideo+`.muted`)
	do(t, ctx, chromedp.Focus("media-play-button"), chromedp.KeyEvent("?"))
	until(t, ctx, `!document.querySelector('media-keyboard-shortcuts-dialog')`)
}

// Who wants keys to be for the player only says so once.
func TestPlayerKeysCanBeKeptToThePlayer(t *testing.T) {
	t.Parallel()
	c, ctx := newCinema(t), watched(t)
	const choice = `document.querySelector('[data-player-keys]')`
	turn := func() { do(t, ctx, chromedp.Click(".keys summary"), chromedp.Click("[data-player-keys]")) }
	do(t, ctx, chromedp.Navigate(c.url))
	pressPlay(t, ctx)
	until(t, ctx, isPast(0.2)+` && `+choice+`.checked`)
	turn()
	until(t, ctx, `!`+choice+`.checked`)
	do(t, ctx, chromedp.Evaluate(`document.activeElement.blur()`, nil), chromedp.KeyEvent("m"))
	do(t, ctx, chromedp.Focus("media-play-button"), chromedp.KeyEvent("k"))
	until(t, ctx, theVideo+`.paused`)
	until(t, ctx, `!`+theVideo+`.muted`)
	do(t, ctx, chromedp.Navigate("about:blank"), chromedp.Navigate(c.url))
	until(t, ctx, hasControl+` && !`+choice+`.checked`)
	turn()
	do(t, ctx, chromedp.Evaluate(`document.activeElement.blur()`, nil), chromedp.KeyEvent("m"))
	until(t, ctx, choice+`.checked && `+theVideo+`.muted`)
}

// That it goes on where it was left is said until somebody plays it, and for a while then.
func TestPlayerSaysThatItGoesOn(t *testing.T) {
	t.Parallel()
	c, ctx := newCinema(t), watched(t)
	const said = `document.querySelector('.player-note [role=status]').textContent`
	do(t, ctx, chromedp.Navigate(c.url))
	pressPlay(t, ctx)
	do(t, ctx, seek(14))
	until(t, ctx, `!`+theVideo+`.seeking && `+isPast(14.3))
	do(t, ctx, chromedp.Navigate("about:blank"), chromedp.ActionFunc(func(ctx context.Context) error {
		// The while is over at once.
		_, err := page.AddScriptToEvaluateOnNewDocument(`{
			const later = setTimeout
			window.setTimeout = (what, after, ...values) => later(what, after === 6000 ? 0 : after, ...values)
		}`).Do(ctx)
		return err
	}), chromedp.Navigate(c.url))
	until(t, ctx, `/^Goes on at 0:1[4-9]$/.test(`+said+`) && `+theVideo+`.readyState > 1`)
	do(t, ctx, chromedp.Evaluate(`setTimeout(() => (window.later = true), 6000)`, nil))
	until(t, ctx, `window.later`)
	until(t, ctx, said+` !== '' && !document.querySelector('.player-note button').hidden`)
	pressPlay(t, ctx)
	until(t, ctx, said+` === '' && document.querySelector('.player-note button').hidden`)
}

// What the player did by itself, or was asked for, it says; and it can be undone by a key.
func TestPlayerSaysWhatItDid(t *testing.T) {
	t.Parallel()
	c, ctx := newCinema(t), watched(t)
	const said = `document.querySelector('.player-note [role=status]').textContent`
	do(t, ctx, chromedp.Navigate(c.url))
	pressPlay(t, ctx)
	until(t, ctx, isPast(0.2)+` && `+said+` === ''`)
	do(t, ctx, seek(14))
	until(t, ctx, `!`+theVideo+`.seeking && `+isPast(14.3))
	do(t, ctx, chromedp.Navigate("about:blank"), chromedp.Navigate(c.url))
	until(t, ctx, `/^Goes on at 0:1[4-9]$/.test(`+said+`)`)
	until(t, ctx, theVideo+`.readyState > 1`)
	do(t, ctx, chromedp.Focus(".player-note button"), chromedp.KeyEvent(" "))
	until(t, ctx, `!`+theVideo+`.paused && `+theVideo+`.currentTime < 9 && `+said+` === '' && document.activeElement.localName === 'media-play-button'`)
	until(t, ctx, `document.querySelector('media-playback-rate-menu-button').ariaLabel === 'Playback rate 1x'`)
	const items = `[...document.querySelector('media-rendition-menu').shadowRoot.querySelectorAll('media-chrome-menu-item')]`
	until(t, ctx, items+`.length === 3`)
	do(t, ctx, chromedp.Evaluate(items+`[1].click()`, nil))
	until(t, ctx, said+` === 'Quality: 72p'`)
	do(t, ctx, chromedp.Evaluate(items+`[2].click()`, nil))
	until(t, ctx, said+` === 'Quality: as the line allows'`)
	until(t, ctx, said+` === ''`)
}

func TestPlayerGoesOnWhereItWasLeft(t *testing.T) {
	t.Parallel()
	c, ctx := newCinema(t), watched(t)
	leaveAt := func(seconds float64) {
		t.Helper()
		do(t, ctx, seek(seconds))
		until(t, ctx, `!`+theVideo+`.seeking && `+isPast(seconds+0.3))
		do(t, ctx, chromedp.Navigate("about:blank"), chromedp.Navigate(c.url))
	}
	beginsAt := func(seconds float64) {
		t.Helper()
		pressPlay(t, ctx)
		until(t, ctx, fmt.Sprintf(`%s.played.length && Math.abs(%[1]s.played.start(0) - %g) < 1.5`, theVideo, seconds))
	}
	do(t, ctx, chromedp.Navigate(c.url))
	beginsAt(0)
	leaveAt(14)
	beginsAt(14)
	do(t, ctx, chromedp.Navigate(c.url+"?t=20.5"))
	beginsAt(20.5)
	leaveAt(28.5)
	beginsAt(0)
}

func TestTranscript(t *testing.T) {
	t.Parallel()
	c, ctx := newCinema(t), watched(t)
	do(t, ctx, chromedp.Navigate(c.url))
	pressPlay(t, ctx)
	current := func(seconds int) string {
		return fmt.Sprintf(`[...document.querySelectorAll('[aria-current=true]')].map((cue) => cue.dataset.start).join() === '%d'`, seconds)
	}
	inView := `(() => {
		const { top, bottom } = document.querySelector('[aria-current=true]').getBoundingClientRect()
		const box = document.querySelector('[data-transcript]').getBoundingClientRect()
		return top >= box.top && bottom <= box.bottom && document.querySelector('[data-transcript]').scrollTop > 0 && scrollY === 0
	})()`
	do(t, ctx, chromedp.Evaluate(`window.kept = true; `+theVideo+`.pause()`, nil), seek(25.2))
	until(t, ctx, current(25)+` && `+inView)
	do(t, ctx, chromedp.Evaluate(`document.querySelector('[data-start="17"]').click()`, nil))
	until(t, ctx, theVideo+`.currentTime >= 17 && !`+theVideo+`.paused && window.kept`)
	until(t, ctx, current(18)) // it goes on from there
	do(t, ctx, chromedp.SendKeys("[data-transcript-search]", "TENCE 1"))
	until(t, ctx, `document.querySelector('[data-transcript-found]').textContent === '11 of 30 lines'`)
	until(t, ctx, `[...document.querySelectorAll('[data-transcript] li')].filter((line) => line.checkVisibility()).length === 11`)
	do(t, ctx, chromedp.SendKeys("[data-transcript-search]", kb.Backspace+kb.Backspace+kb.Backspace+kb.Backspace+kb.Backspace+kb.Backspace+kb.Backspace))
	until(t, ctx, `document.querySelector('[data-transcript-found]').textContent === '' && !document.querySelector('[data-transcript] [hidden]')`)
	until(t, ctx, `window.kept`)
}

// The server goes away in the middle, for longer than what is there lasts.
func TestPlayerGoesOnByItself(t *testing.T) {
	t.Parallel()
	c, ctx := newCinema(t), watched(t)
	do(t, ctx, chromedp.Navigate(c.url+"?t=4"))
	until(t, ctx, hasControl+` && `+theVideo+`.readyState >= 2`)
	c.away.Store(true)
	c.server.CloseClientConnections()
	pressPlay(t, ctx)
	until(t, ctx, theVideo+`.readyState < 3`)
	c.away.Store(false)
	until(t, ctx, theVideo+`.readyState >= 3 && !`+theVideo+`.paused && `+isPast(10))
	until(t, ctx, theVideo+`.error === null && !document.querySelector('[data-failed]')`)
}

// It is away already when the page has only just come.
func TestPlayerWaitsForTheServer(t *testing.T) {
	t.Parallel()
	c, ctx := newCinema(t), watched(t)
	c.hold.Store(true)
	do(t, ctx, chromedp.Navigate(c.url))
	until(t, ctx, hasControl)
	do(t, ctx, chromedp.Click("media-play-button"))
	until(t, ctx, `!`+theVideo+`.paused`)
	c.hold.Store(false)
	do(t, ctx, chromedp.Evaluate(`window.dispatchEvent(new Event('online'))`, nil)) // which ends a pause
	until(t, ctx, playsHLS+` && `+isPast(0.5)+` && !document.querySelector('[data-failed]')`)
}

func TestViewingOfAStreamCounts(t *testing.T) {
	t.Parallel()
	c, ctx := newCinema(t), watched(t)
	do(t, ctx, chromedp.Navigate(c.url))
	pressPlay(t, ctx)
	do(t, ctx, chromedp.Evaluate(theVideo+`.playbackRate = 2; `+theVideo+`.muted = true`, nil))
	until(t, ctx, isPast(4))
	do(t, ctx, seek(20))
	until(t, ctx, isPast(22))
	if n := c.recorded.Load(); n != 0 {
		t.Fatal("6 s were played, and the viewing is recorded already")
	}
	until(t, ctx, hasStatus(views.ViewingCounted))
	if n := c.recorded.Load(); n != 1 {
		t.Errorf("the viewing was recorded %d times", n)
	}
}
