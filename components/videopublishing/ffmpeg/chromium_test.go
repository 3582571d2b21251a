package ffmpeg

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// plays is a film in a folder of its own, and what a browser must show of it.
type plays struct {
	Name          string
	Aspect, Lasts float64
}

// page plays what its address says, to the end, and keeps what it saw.
const page = `<!doctype html><title>films</title><link rel="icon" href="data:,"><script src="/hls.js"></script><script>
window.seen = {};
function watch(key, video, source) {
  const s = seen[key] = { problems: [] };
  video.muted = video.autoplay = true;
  video.defaultPlaybackRate = video.playbackRate = 4;
  video.addEventListener('error', () => s.problems.push('error ' + video.error.code + ' ' + video.error.message));
  video.addEventListener('ended', () => { Object.assign(s, { at: video.currentTime, lasts: video.duration, width: video.videoWidth, height: video.videoHeight, from: video.buffered.length ? video.buffered.start(0) : -1, done: true }); });
  document.documentElement.append(video);
}
for (const name of JSON.parse(decodeURIComponent(location.hash.slice(1)))) {
  const path = '/films/' + name + '/';
  { const v = document.createElement('video'), hls = new Hls({ startPosition: 0 });
    watch('hls.js ' + name, v);
    hls.on(Hls.Events.ERROR, (_, d) => { // on a busy machine it stalls; if it does not go on by itself, more is told
      if (d.fatal || d.details !== 'bufferStalledError') seen['hls.js ' + name].problems.push(d.details + ' ' + (d.error || '')); });
    hls.loadSource(path + 'master.m3u8'); hls.attachMedia(v); }
  for (const [kind, file] of [['native HLS', 'master.m3u8'], ['MP4', 'video.mp4']]) {
    const v = document.createElement('video'); v.src = path + file; watch(kind + ' ' + name, v); }
}
</script>`

// playInChromium plays films by hls.js, by the HLS of the browser and as one MP4.
func playInChromium(t *testing.T, root string, films []plays) {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("Chromium is missing: make test installs it where it can (apt-get install chromium)")
	}
	library := "../../../node_modules/hls.js/dist/hls.min.js"
	if _, err := os.Stat(library); err != nil {
		t.Fatalf("hls.js is missing: make generate fetches it: %v", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/films/", http.StripPrefix("/films/", http.FileServer(http.Dir(root))))
	mux.HandleFunc("/hls.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, library) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, page)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	ctx, closeAll := chromedp.NewExecAllocator(ctx, chromedp.ExecPath(program), chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"), chromedp.Flag("mute-audio", true))
	defer closeAll()
	ctx, closeTab := chromedp.NewContext(ctx)
	defer closeTab()
	defer func() {
		if err := chromedp.Cancel(ctx); err != nil { // it ends by itself, and removes its folder
			t.Error(err)
		}
	}()
	began := time.Now()
	defer func() { t.Logf("played in %s", time.Since(began)) }()
	// A browser has not players enough for all at once.
	for len(films) > 0 {
		some := films[:min(8, len(films))]
		films = films[len(some):]
		var names []string
		for _, f := range some {
			names = append(names, f.Name)
		}
		list, err := json.Marshal(names)
		if err != nil {
			t.Fatal(err)
		}
		var text string
		address := server.URL + fmt.Sprintf("/?%d#", len(films)) + strings.ReplaceAll(string(list), `"`, "%22")
		err = chromedp.Run(ctx, chromedp.Navigate(address),
			chromedp.Poll(`Object.values(seen).every(s => s.done || s.problems.length)`, nil, chromedp.WithPollingTimeout(time.Minute), chromedp.WithPollingInterval(50*time.Millisecond)))
		if readErr := chromedp.Run(ctx, chromedp.Evaluate(`JSON.stringify(seen)`, &text)); readErr != nil {
			t.Fatalf("%v; %v", err, readErr)
		}
		var seen map[string]struct {
			Problems        []string
			Done            bool
			At, Lasts, From float64
			Width, Height   float64
		}
		if err := json.Unmarshal([]byte(text), &seen); err != nil {
			t.Fatal(err)
		}
		for _, f := range some {
			for _, kind := range []string{"hls.js ", "native HLS ", "MP4 "} {
				s := seen[kind+f.Name]
				if !s.Done || len(s.Problems) > 0 || s.At < f.Lasts-0.1 || math.Abs(s.Lasts-f.Lasts) > 0.1 || s.From != 0 || math.Abs(s.Width/s.Height/f.Aspect-1) > 0.02 {
					t.Errorf("%s%s, %v s long with an aspect of %.3f, was seen as %+v", kind, f.Name, f.Lasts, f.Aspect, s)
				}
			}
		}
	}
}
