package videopublishing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"videotutorials/components/videopublishing/ffmpeg"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/media"
	"videotutorials/messagestore"
)

var findEncoder = sync.OnceValues(func() (*ffmpeg.Encoder, error) { return ffmpeg.Find(ffmpeg.Config{}) })

func encoder(t *testing.T) *ffmpeg.Encoder {
	t.Helper()
	e, err := findEncoder()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// makeFilm has ffmpeg make a film; its extension says which kind.
func makeFilm(t *testing.T, name, size string, seconds int, more ...string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), name)
	args := []string{"-v", "error", "-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=%s:rate=25:duration=%d", size, seconds)}
	if !slices.Contains(more, "-an") {
		args = append(args, "-f", "lavfi", "-i", fmt.Sprintf("sine=frequency=440:duration=%d", seconds))
	}
	args = append(append(args, "-preset", "ultrafast", "-pix_fmt", "yuv420p"), more...)
	if out, err := exec.CommandContext(t.Context(), "ffmpeg", append(args, to)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return to
}

// story is what was reported of the work.
type story struct {
	mu    sync.Mutex
	all   []publishingmsg.Progress
	steps []string
	// at is done, once, at the beginning of a step, before the step is.
	at map[string]func()
}

func (s *story) report(p publishingmsg.Progress) {
	s.mu.Lock()
	s.all = append(s.all, p)
	var now func()
	if len(s.steps) == 0 || s.steps[len(s.steps)-1] != p.Step {
		s.steps = append(s.steps, p.Step)
		now = s.at[p.Step]
		delete(s.at, p.Step)
	}
	s.mu.Unlock()
	if now != nil {
		now()
	}
}

// told returns the steps so far, and forgets them.
func (s *story) told() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	steps := strings.Join(s.steps, " ")
	s.steps = nil
	return steps
}

// newWork is a bench with an encoder.
func newWork(t *testing.T, config Config) (bench, *story) {
	t.Helper()
	s := &story{at: map[string]func(){}}
	config.Report = s.report
	if config.Encoder == nil {
		config.Encoder = encoder(t)
	}
	return newBench(t, config), s
}

// handedIn puts a file into the media store and begins an attempt.
func (b bench) handedIn(file string) messagestore.Raw {
	b.t.Helper()
	if err := b.config.Media.PutFile(b.ctx, source, file); err != nil {
		b.t.Fatal(err)
	}
	return b.happened(started(1))
}

// works gives the beginning of an attempt to the work.
func (b bench) works(m messagestore.Raw) error {
	return messagestore.Handle(b.ctx, m, b.work()...)
}

// workDirIsEmpty demands that nothing is left behind.
func (b bench) workDirIsEmpty() {
	b.t.Helper()
	if left := filesBelow(b.t, b.config.WorkDir); len(left) > 0 {
		b.t.Errorf("in the work folder there are %q", left)
	}
}

// last returns the last event of a kind.
func last[T messagestore.Body](b bench) T {
	b.t.Helper()
	var kind T
	r, err := b.store.Last(b.ctx, filmStream, kind.MessageType())
	if err != nil {
		b.t.Fatal(err)
	}
	m, err := messagestore.Decode[T](r)
	if err != nil {
		b.t.Fatal(err)
	}
	if m.Metadata.TraceID == "" || m.Metadata.UserID != ada || m.Metadata.CausationMessageStreamName != filmStream {
		b.t.Errorf("%s follows from %+v", kind.MessageType(), m.Metadata)
	}
	return m.Data
}

// plays demands that the files that the events name are there, with all that they name.
func (b bench) plays(attempt int, renditions ...string) {
	b.t.Helper()
	published := last[publishingmsg.VideoPublished](b)
	for _, uri := range []string{published.TranscodedURI, published.HLSURI, published.PosterURI, published.StoryboardURI} {
		key, ok := media.Key(uri)
		if size, err := b.config.Media.Size(b.ctx, key); !ok || err != nil || size == 0 {
			b.t.Errorf("%q: %d bytes, %v", uri, size, err)
		}
		if !strings.HasPrefix(key, attemptKey(film, attempt)+"/") {
			b.t.Errorf("%s is of another attempt", uri)
		}
	}
	read := func(name string) string {
		text, err := b.config.Media.Read(b.ctx, attemptKey(film, attempt)+"/"+name, 1<<20)
		if err != nil {
			b.t.Error(err)
		}
		return string(text)
	}
	master := read(masterFile)
	for _, r := range renditions {
		if !strings.Contains(master, "\n"+r+playlistSuffix) {
			b.t.Errorf("the master playlist lacks %s:\n%s", r, master)
		}
	}
	if n := strings.Count(master, "#EXT-X-STREAM-INF"); n != len(renditions) {
		b.t.Errorf("the master playlist has %d renditions:\n%s", n, master)
	}
	for _, r := range renditions {
		for _, file := range filesOf(read(r + playlistSuffix)) {
			if size, err := b.config.Media.Size(b.ctx, attemptKey(film, attempt)+"/"+file); err != nil || size == 0 {
				b.t.Errorf("%s names %s: %d bytes, %v", r, file, size, err)
			}
		}
	}
}

func TestAFilmIsPublished(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	b, story := newWork(t, Config{Log: slog.New(slog.NewTextHandler(&logged, nil))})
	m := b.handedIn(makeFilm(t, "lesson.mov", "640x480", 1))
	b.handle(m, b.work())
	want := []string{"VideoPublishingStarted", "RenditionTranscoded", "VideoPlayable", "RenditionTranscoded", "RenditionTranscoded", "VideoPublished"}
	if got := b.kinds(filmStream); !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
	b.plays(1, "240p", "360p", "480p")
	b.workDirIsEmpty()
	if steps := story.told(); steps != "probing first rest finishing" {
		t.Errorf("steps: %s", steps)
	}
	before := publishingmsg.Progress{}
	for _, p := range story.all {
		if p.VideoID != film || p.OwnerID != ada || p.Attempt != 1 || p.Percent < before.Percent || p.Percent > 100 || p.Remaining < 0 {
			t.Errorf("%+v after %+v", p, before)
		}
		before = p
	}
	playable, published := last[publishingmsg.VideoPlayable](b), last[publishingmsg.VideoPublished](b)
	if playable.Width != 640 || playable.Height != 480 || playable.DurationMS < 900 || playable.DurationMS > 1100 ||
		published.Width != 640 || published.DurationMS != playable.DurationMS || published.HLSURI != playable.HLSURI || published.PosterURI != playable.PosterURI ||
		published.SourceURI != source || published.OwnerID != ada || published.Attempt != 1 {
		t.Errorf("%+v\n%+v", playable, published)
	}
	first := b.all(filmStream)[1]
	made, err := messagestore.Decode[publishingmsg.RenditionTranscoded](first)
	if err != nil || made.Data.Name != "360p" || made.Data.Height != 360 || made.Data.BitsPerSecond == 0 || made.Data.Bytes == 0 || made.Data.Attempt != 1 {
		t.Errorf("%+v, %v", made.Data, err)
	}

	// Again: nothing happens.
	kept := b.kept()
	b.handle(m, b.work())
	if got := b.kinds(filmStream); len(got) != len(want) || !slices.Equal(b.kept(), kept) || story.told() != "" {
		t.Errorf("%q", got)
	}
	if text := logged.String(); strings.Count(text, "video published") != 1 || !strings.Contains(text, film) || strings.Contains(text, "lesson") {
		t.Errorf("logged:\n%s", text)
	}
}

// A film as small as its only rendition, and silent.
func TestASmallFilmIsPublished(t *testing.T) {
	t.Parallel()
	b, story := newWork(t, Config{})
	b.handle(b.handedIn(makeFilm(t, "small.mp4", "160x120", 1, "-an")), b.work())
	if got, want := b.kinds(filmStream), []string{"VideoPublishingStarted", "RenditionTranscoded", "VideoPlayable", "VideoPublished"}; !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
	b.plays(1, "120p")
	b.workDirIsEmpty()
	if steps := story.told(); steps != "probing first finishing" {
		t.Errorf("steps: %s", steps)
	}
}

// What is wrong with a file is said once. Its owner may put another in its place and try
// again.
func TestAFileIsRefused(t *testing.T) {
	t.Parallel()
	b, _ := newWork(t, Config{})
	text := filepath.Join(t.TempDir(), "text.mp4")
	if err := os.WriteFile(text, bytes.Repeat([]byte("Not a film. "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	m := b.handedIn(text)
	b.handle(m, b.work())
	b.handle(m, b.work())
	if kinds := b.kinds(filmStream); len(kinds) != 2 {
		t.Fatalf("%q", kinds)
	}
	if got := last[publishingmsg.VideoPublishingFailed](b); got != failedBy(publishingmsg.NotAVideo, 1) {
		t.Errorf("%+v", got)
	}
	b.deliverFiles()
	if kept := b.kept(); !slices.Equal(kept, []string{source}) {
		t.Errorf("there are %q", kept)
	}
	b.workDirIsEmpty()

	if err := b.config.Media.Delete(b.ctx, source); err != nil {
		t.Fatal(err)
	}
	elsewhere := started(2)
	elsewhere.SourceURI = "upload:lesson 1.mov" // as another program may call it
	b.handle(b.happened(elsewhere), b.work())
	if got := last[publishingmsg.VideoPublishingFailed](b); got.Reason != publishingmsg.SourceMissing || got.SourceURI != elsewhere.SourceURI {
		t.Errorf("%+v", got)
	}
	b.handle(b.happened(started(3)), b.work())
	if got := last[publishingmsg.VideoPublishingFailed](b); got != failedBy(publishingmsg.SourceMissing, 3) {
		t.Errorf("%+v", got)
	}
	if err := b.config.Media.PutFile(b.ctx, source, makeFilm(t, "small.mp4", "160x120", 1)); err != nil {
		t.Fatal(err)
	}
	b.handle(b.happened(started(4)), b.work())
	b.plays(4, "120p")
	b.handle(m, b.work()) // the first attempt once more
	b.deliverFiles()
	b.plays(4, "120p")
}

// Names that come at every moment of the work, and conflict with what it writes, cost
// nothing.
func TestNamedInTheMiddle(t *testing.T) {
	t.Parallel()
	b, story := newWork(t, Config{})
	m := b.handedIn(makeFilm(t, "film.mp4", "320x240", 1))
	ctx, stop := context.WithCancel(b.ctx)
	var naming sync.WaitGroup
	naming.Go(func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for n := range 500 {
			if _, err := b.store.Write(ctx, filmStream, named(fmt.Sprint(n))); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	err := b.works(m)
	stop()
	naming.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if steps := story.told(); steps != "probing first finishing" {
		t.Errorf("steps: %s", steps)
	}
	kinds := slices.DeleteFunc(b.kinds(filmStream), func(kind string) bool { return kind == "VideoNamed" })
	if want := []string{"VideoPublishingStarted", "RenditionTranscoded", "VideoPlayable", "VideoPublished"}; !slices.Equal(kinds, want) {
		t.Errorf("%q, want %q", kinds, want)
	}
	b.plays(1, "240p")
}

// A person who cancels or deletes does not wait for the end of a long film.
func TestStoppedInTheMiddle(t *testing.T) {
	t.Parallel()
	canceled := publishingmsg.VideoPublishingCanceled{VideoID: film, Attempt: 1}
	short := makeFilm(t, "short.mp4", "640x480", 2)
	long := filepath.Join(t.TempDir(), "long.mp4")
	if out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-stream_loop", "149", "-i", short, "-c", "copy", long).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for about, test := range map[string]struct {
		film  string
		step  string
		event messagestore.Body
		kept  []string
	}{
		"canceled at once":               {long, "first", canceled, []string{source}},
		"canceled when it can be seen":   {short, "rest", canceled, []string{source}},
		"deleted at once":                {long, "first", deleted, nil},
		"deleted when it can be watched": {short, "rest", deleted, nil},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			b, story := newWork(t, Config{})
			var at time.Time
			story.at[test.step] = func() {
				at = time.Now()
				b.handle(b.happened(test.event), b.files())
			}
			m := b.handedIn(test.film)
			if err := b.works(m); err != nil {
				t.Fatal(err)
			}
			if at.IsZero() {
				t.Error("nothing was stopped")
			}
			t.Logf("stopped after %s", time.Since(at))
			if percent := story.all[len(story.all)-1].Percent; test.film == long && percent > 30 { // the first rendition ends at 36
				t.Errorf("stopped at %d percent of five minutes of film", percent)
			}
			if kinds := b.kinds(filmStream); kinds[len(kinds)-1] != test.event.MessageType() {
				t.Errorf("%q", kinds)
			}
			if kept := b.kept(); !slices.Equal(kept, test.kept) {
				t.Errorf("there are %q", kept)
			}
			b.workDirIsEmpty()
		})
	}
}

// A process that is killed when somebody has canceled leaves files, which the next one
// finds.
func TestWhatAKilledProcessLeftIsRemoved(t *testing.T) {
	t.Parallel()
	b, _ := newWork(t, Config{})
	m := b.happened(started(1))
	b.happened(publishingmsg.VideoPublishingCanceled{VideoID: film, Attempt: 1})
	b.stored(film+"/1/360p_00000.m4s", film+"/captions-"+captionsA+".vtt", source)
	over := filepath.Join(b.config.WorkDir, film+"-1")
	busy := filepath.Join(b.config.WorkDir, film+"-2")
	foreign := filepath.Join(b.config.WorkDir, "notes")
	for _, dir := range []string{over, busy, foreign} {
		if err := os.MkdirAll(filepath.Join(dir, "making"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	lock, err := lockFolder(busy)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	b.handle(m, b.work())
	if kept, want := b.kept(), []string{film + "/captions-" + captionsA + ".vtt", source}; !slices.Equal(kept, want) {
		t.Errorf("there are %q, want %q", kept, want)
	}
	for dir, stays := range map[string]bool{over: false, busy: true, foreign: true} {
		if _, err := os.Stat(dir); (err == nil) != stays {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// A folder that somebody has removed between its opening and its locking is another.
func TestALockIsThatOfTheName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, err := openFolder(t.Context(), dir, film, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	if _, err := openFolder(t.Context(), dir, film, 1); !errors.Is(err, errBusy) {
		t.Errorf("locked twice: %v", err)
	}
	if err := f.remove(); err != nil {
		t.Fatal(err)
	}
	again, err := openFolder(t.Context(), dir, film, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	if _, err := openFolder(t.Context(), dir, film, 1); !errors.Is(err, errBusy) {
		t.Errorf("locked twice: %v", err)
	}
}

// While one process works on a video another does not, and it is none of the film's fault.
func TestOneProcessWorksOnAVideo(t *testing.T) {
	t.Parallel()
	b, story := newWork(t, Config{})
	m := b.handedIn(makeFilm(t, "film.mp4", "160x120", 1))
	another := New(b.store, b.config)
	story.at["first"] = func() {
		if err := messagestore.Handle(b.ctx, m, another.work()...); !errors.Is(err, errBusy) || !messagestore.IsTransient(err) {
			t.Errorf("%v", err)
		}
	}
	if err := b.works(m); err != nil {
		t.Fatal(err)
	}
	if err := messagestore.Handle(b.ctx, m, another.work()...); err != nil {
		t.Fatal(err)
	}
	if steps := story.told(); steps != "probing first finishing" {
		t.Errorf("steps: %s", steps)
	}
	b.plays(1, "120p")
}

// A machine that was cut off from the database for a while finds that another one has
// published the video, and leaves that alone.
func TestAnotherMachineWasFaster(t *testing.T) {
	t.Parallel()
	b, story := newWork(t, Config{})
	m := b.handedIn(makeFilm(t, "film.mp4", "360x360", 1))
	config := b.config
	config.WorkDir = t.TempDir()
	story.at["rest"] = func() {
		if err := messagestore.Handle(b.ctx, m, New(b.store, config).work()...); err != nil {
			t.Error(err)
		}
	}
	if err := b.works(m); err != nil {
		t.Fatal(err)
	}
	b.plays(1, "240p", "360p")
	b.workDirIsEmpty()
	if got, want := b.kinds(filmStream), []string{"VideoPublishingStarted", "RenditionTranscoded", "VideoPlayable", "RenditionTranscoded", "VideoPublished"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Files cannot be kept for a while. That is no fault of the film, and what is made of it
// is made once.
func TestTheStoreOfFilesIsAway(t *testing.T) {
	t.Parallel()
	b, story := newWork(t, Config{})
	m := b.handedIn(makeFilm(t, "film.mp4", "360x360", 1))
	var made os.FileInfo
	for _, test := range []struct{ stuck, steps string }{
		{film, "probing first"},                               // none can be kept
		{film + "/1/poster.jpg/x", "probing first"},           // the first rendition can
		{film + "/1/240p.m3u8/x", "probing rest"},             // it can be watched
		{film + "/1/master.m3u8/x", "probing rest finishing"}, // all renditions can
		{film + "/1/video.mp4/x", "probing finishing"},        // and all else
		{film + "/1/storyboard.jpg", "probing finishing"},     // which is there, as another file
	} {
		obstacle := filepath.Join(b.mediaDir, test.stuck)
		if strings.HasSuffix(test.stuck, "/x") { // a folder in place of the file
			if err := os.RemoveAll(filepath.Dir(obstacle)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.MkdirAll(filepath.Dir(obstacle), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(obstacle, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		err := b.works(m)
		if steps := story.told(); steps != test.steps {
			t.Errorf("%s: steps: %s", test.stuck, steps)
		}
		if test.stuck == film+"/1/storyboard.jpg" {
			if err != nil {
				t.Error(err)
			}
			break
		}
		if err == nil || !messagestore.IsTransient(err) {
			t.Fatalf("%s: %v", test.stuck, err)
		}
		if strings.HasSuffix(test.stuck, "/x") {
			obstacle = filepath.Dir(obstacle)
		}
		if err := os.RemoveAll(obstacle); err != nil {
			t.Fatal(err)
		}
		// What was made and could not be kept is still here, and not made again.
		now, err := os.Stat(filepath.Join(b.config.WorkDir, film+"-1", "finished", "360p_00000.m4s"))
		if err != nil {
			t.Fatal(err)
		}
		if made == nil {
			made = now
		}
		if !os.SameFile(made, now) {
			t.Errorf("%s: the first rendition was made again", test.stuck)
		}
	}
	b.plays(1, "240p", "360p")
	if got, want := b.kinds(filmStream), []string{"VideoPublishingStarted", "RenditionTranscoded", "VideoPlayable", "RenditionTranscoded", "VideoPublished"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	b.workDirIsEmpty()
}

// Without an encoder what browsers play is published as it is.
func TestWithoutAnEncoder(t *testing.T) {
	t.Parallel()
	for about, test := range map[string]struct {
		file   string
		kept   string
		most   time.Duration
		reason string
	}{
		"long": {file: makeFilm(t, "film.mp4", "160x120", 2, "-c:v", "libx264", "-c:a", "aac"), most: 1500 * time.Millisecond, reason: publishingmsg.FilmTooLong},
		"MP4":  {file: makeFilm(t, "film.mp4", "160x120", 1, "-c:v", "libx264", "-c:a", "aac"), kept: "video.mp4"},
		"WebM": {file: makeFilm(t, "film.webm", "160x120", 1, "-c:v", "libvpx", "-c:a", "libopus"), kept: "video.webm"},
		"AVI":  {file: makeFilm(t, "film.avi", "160x120", 1), reason: publishingmsg.NeedsFFmpeg},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			story := &story{}
			b := newBench(t, Config{Report: story.report, MostLength: test.most})
			m := b.handedIn(test.file)
			b.handle(m, b.work())
			b.handle(m, b.work())
			b.deliverFiles()
			if kinds := b.kinds(filmStream); len(kinds) != 2 {
				t.Fatalf("%q", kinds)
			}
			b.workDirIsEmpty()
			if test.reason != "" {
				if got := last[publishingmsg.VideoPublishingFailed](b); got != failedBy(test.reason, 1) {
					t.Errorf("%+v", got)
				}
				return
			}
			published := last[publishingmsg.VideoPublished](b)
			if published.TranscodedURI != media.Path(film+"/1/"+test.kept) || published.HLSURI != "" || published.PosterURI != "" || published.StoryboardURI != "" ||
				published.Width != 160 || published.Height != 120 || published.DurationMS < 900 || published.DurationMS > 1200 {
				t.Errorf("%+v", published)
			}
			if kept, want := b.kept(), []string{film + "/1/" + test.kept, source}; !slices.Equal(kept, want) {
				t.Errorf("there are %q, want %q", kept, want)
			}
			if steps := story.told(); steps != "probing finishing" {
				t.Errorf("steps: %s", steps)
			}
		})
	}
}

// bucket starts an S3 server with a bucket. While away is set it answers nothing else.
func bucket(t *testing.T) (address string, away *atomic.Bool) {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("videos"); err != nil {
		t.Fatal(err)
	}
	s3 := gofakes3.New(backend).Server()
	away = &atomic.Bool{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			http.Error(w, "away", http.StatusForbidden) // 5xx is tried again for seconds
			return
		}
		s3.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains about itself
	server.Start()
	t.Cleanup(server.Close)
	return "s3://videos?region=us-east-1&s3ForcePathStyle=true&endpoint=" + url.QueryEscape(server.URL), away
}

// With a bucket another machine goes on, with files that it fetches.
func TestAnotherMachineGoesOn(t *testing.T) {
	t.Parallel()
	address, away := bucket(t)
	store, err := media.Open(t.Context(), address, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	b, story := newWork(t, Config{Media: store})
	m := b.handedIn(makeFilm(t, "film.mp4", "360x360", 1))
	story.at["rest"] = func() { away.Store(true) }
	if err := b.works(m); err == nil || !messagestore.IsTransient(err) {
		t.Fatal(err)
	}
	away.Store(false)
	if steps := story.told(); steps != "probing first rest" {
		t.Errorf("steps: %s", steps)
	}
	config := b.config
	config.WorkDir = t.TempDir()
	if err := messagestore.Handle(b.ctx, m, New(b.store, config).work()...); err != nil {
		t.Fatal(err)
	}
	if steps := story.told(); steps != "probing rest finishing" {
		t.Errorf("steps: %s", steps)
	}
	b.plays(1, "240p", "360p")
	if left := filesBelow(t, config.WorkDir); len(left) > 0 {
		t.Errorf("in the work folder there are %q", left)
	}
	b.handle(m, b.work()) // the first machine finds that all is done
	b.workDirIsEmpty()

	b.happened(deleted)
	b.deliverFiles()
	if _, err := b.config.Media.Size(b.ctx, film+"/1/"+masterFile); !errors.Is(err, media.ErrNotFound) {
		t.Error(err)
	}
}
