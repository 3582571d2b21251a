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

	"videotutorials/assets"
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

// cinema serves a page that plays the film, and can be away.
type cinema struct {
	url    string
	away   atomic.Bool
	gone   atomic.Bool // the renditions are not there
	single atomic.Bool // only the first rendition is there
	asked  sync.Map    // names of files that were asked for
	markup func(string) string
}

func newCinema(t *testing.T) *cinema {
	t.Helper()
	files, err := film()
	if err != nil {
		t.Fatal(err)
	}
	c := &cinema{}
	mux := http.NewServeMux()
	mux.Handle(assets.Prefix, assets.Handler())
	mux.HandleFunc("GET /videos/{id}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", strictPolicy)
		html := fmt.Sprintf(fixture, assets.URL("favicon.svg"), assets.URL("app.css"), assets.URL("app.js"), assets.URL("player.js"))
		if c.markup != nil {
			html = c.markup(html)
		}
		_, _ = w.Write([]byte(html))
	})
	mux.HandleFunc("GET /size.css", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/css")
		fmt.Fprint(w, "media-controller{display:block;width:100%;height:100%}[data-transcript]{height:4rem;overflow-y:auto}[aria-current]{background:gold}")
	})
	mux.HandleFunc("GET /media/{name}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		c.asked.Store(name, true)
		content, ok := files[name]
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
	c.url = server.URL + "/videos/" + videoID
	return c
}

const fixture = `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Film</title>
<link rel="icon" href="%s"><link rel="stylesheet" href="%s"><link rel="stylesheet" href="/size.css"><script src="%s" defer></script><script src="%s" defer></script></head>
<body class="watch"><main id="main"><div class="player" data-hls="/media/master.m3u8">
<media-controller>
<video slot="media" controls playsinline preload="metadata"><source src="/media/master.m3u8" type="application/vnd.apple.mpegurl"><source src="/media/video.mp4" type="video/mp4">
<track kind="captions" srclang="en" label="English" src="/media/captions.vtt"><track kind="chapters" default src="/media/chapters.vtt"><track kind="metadata" label="thumbnails" default src="/media/storyboard.vtt"></video>
<media-loading-indicator slot="centered-chrome" noautohide></media-loading-indicator>
<media-rendition-menu hidden anchor="auto"></media-rendition-menu><media-playback-rate-menu hidden anchor="auto" rates="0.5 1 1.5 2"></media-playback-rate-menu><media-captions-menu hidden anchor="auto"></media-captions-menu>
<media-time-range></media-time-range>
<media-control-bar><media-play-button></media-play-button><media-seek-backward-button></media-seek-backward-button><media-seek-forward-button></media-seek-forward-button><media-mute-button></media-mute-button><media-volume-range></media-volume-range><media-time-display showduration></media-time-display>
<media-captions-menu-button></media-captions-menu-button><media-playback-rate-menu-button></media-playback-rate-menu-button><media-rendition-menu-button></media-rendition-menu-button><media-pip-button></media-pip-button><media-fullscreen-button></media-fullscreen-button></media-control-bar>
</media-controller><p class="player-trouble" role="alert">The video did not load.</p></div>
<input type="search" data-transcript-search aria-label="Search"><p data-transcript-found data-words="{found} of {all} lines" role="status"></p>
<ol data-transcript><li><a href="?t=1" data-start="1">First we write</a></li><li><a href="?t=5" data-start="5">then we read</a></li><li><a href="?t=12" data-start="12.5">and it was written</a></li></ol>
</main></body></html>`

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
	noRefusals = `window.refused.length === 0 || console.error(window.refused.join())`
)

func pressPlay(t *testing.T, ctx context.Context) {
	t.Helper()
	until(t, ctx, hasControl)
	do(t, ctx, chromedp.Click("media-play-button"))
	until(t, ctx, `!`+theVideo+`.paused`)
}

func TestPlayerPlays(t *testing.T) {
	t.Parallel()
	c, ctx := newCinema(t), watched(t)
	do(t, ctx, chromedp.Navigate(c.url))
	pressPlay(t, ctx)
	until(t, ctx, theVideo+`.currentTime > 1 && `+theVideo+`.currentSrc.startsWith('blob:')`)
	until(t, ctx, `!document.querySelector(':not(:defined)')`)
	until(t, ctx, noRefusals)
	if path := os.Getenv("SHOT"); path != "" {
		var picture []byte
		do(t, ctx, chromedp.FullScreenshot(&picture, 90))
		_ = os.WriteFile(path, picture, 0o644)
	}
	_ = kb.Enter
}
