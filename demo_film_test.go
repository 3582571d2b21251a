package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func ffmpegForTest(t *testing.T) string {
	t.Helper()
	ffmpeg, err := findFFmpeg()
	if err != nil {
		t.Fatalf("the films cannot be tested: %v", err)
	}
	return ffmpeg
}

// shortLesson lasts a few seconds and uses every kind of movement.
func shortLesson() lesson {
	return lesson{
		Slug: "short", Number: 7, Title: "Short",
		Scenes: []scene{{
			Heading: "One",
			Beats:   []beat{{Text: "One event, `VideoViewed`."}},
			Picture: []pictureItem{
				partAt(80, 260, 220, 130, "Application", "writes"),
				arrowOf("write", 300, 325, 700, 325),
				cardOf("VideoViewed").travels(0.1, 0.6, image.Pt(190, 325), image.Pt(800, 325)),
				barAt(80, 450, 300, 5, inkSignal).fills(0.1, 0.9),
				textAt(900, 330, 0, faceBold, 40, inkBlack, "41").roll().disappears(0.6),
				textAt(900, 330, 0, faceBold, 40, inkBlack, "42").roll().appears(0.6),
			},
		}},
		Motif: func(c *canvas) { c.disc(1000, 360, 80, inkSignal) },
	}
}

func TestLessonsAreCompleteAndDistinct(t *testing.T) {
	t.Parallel()
	lessons := demoLessons()
	if len(lessons) < 4 {
		t.Fatalf("%d lessons, at least 4 are wanted", len(lessons))
	}
	slugs := map[string]bool{}
	for i, l := range lessons {
		if l.Slug == "" || strings.Trim(l.Slug, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Errorf("lesson %d: the slug %q is not made of small letters, digits and dashes", i+1, l.Slug)
		}
		if slugs[l.Slug] {
			t.Errorf("the slug %s is there twice", l.Slug)
		}
		slugs[l.Slug] = true
		if l.Number != i+1 || l.Title == "" || l.Description == "" || l.Keep == "" || l.Motif == nil {
			t.Errorf("%s: number, title, description, what to keep or motif is missing", l.Slug)
		}
		if n := len(l.Scenes); n < 3 || n > 5 {
			t.Errorf("%s has %d scenes, 3 to 5 are wanted", l.Slug, n)
		}
		for _, sc := range l.Scenes {
			if sc.Heading == "" || len(sc.Beats) == 0 || len(sc.Picture) == 0 {
				t.Errorf("%s: the scene %q has no heading, text or picture", l.Slug, sc.Heading)
			}
			for _, b := range sc.Beats {
				if strings.TrimSpace(b.Text) == "" {
					t.Errorf("%s: the scene %q has an empty sentence", l.Slug, sc.Heading)
				}
				if strings.Count(b.Text, "`")%2 != 0 {
					t.Errorf("%s: %q opens a backquote and does not close it", l.Slug, b.Text)
				}
			}
		}
	}
}

// What is drawn over the edge, or over the caption, is cut or unreadable.
func TestPicturesStayInTheirPlace(t *testing.T) {
	t.Parallel()
	c := newCanvas()
	for _, l := range demoLessons() {
		for _, sc := range l.Scenes {
			for i, it := range sc.Picture {
				if at := c.sprite(it.paint).Rect; len(it.way) == 0 && !at.In(image.Rect(56, 118, filmWidth-56, 576)) {
					t.Errorf("%s: item %d of %q stands at %v", l.Slug, i, sc.Heading, at)
				}
				last := float64(len(sc.Beats))
				if it.from >= last || it.until > last || it.end > last || it.end < it.start {
					t.Errorf("%s: item %d of %q has times outside its %v sentences", l.Slug, i, sc.Heading, last)
				}
			}
			for _, b := range sc.Beats {
				if at := c.sprite(func(c *canvas) { paintCaption(c, b.Text) }).Rect; at.Max.X > filmWidth-pageMargin+2 || at.Max.Y > filmHeight-20 {
					t.Errorf("%s: the caption %q reaches to %v", l.Slug, b.Text, at.Max)
				}
			}
		}
		if at := c.sprite(func(c *canvas) { paintKeep(c, l) }).Rect; !at.In(image.Rect(60, 100, filmWidth-60, filmHeight-60)) {
			t.Errorf("%s: the end card stands at %v", l.Slug, at)
		}
	}
}

func TestCoversAreSmallAndDistinct(t *testing.T) {
	t.Parallel()
	var earlier [][]byte
	for _, l := range demoLessons() {
		path := filepath.Join(t.TempDir(), coverFile)
		if err := drawCover(l, path); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 60_000 {
			t.Errorf("the cover of %s has %d bytes, 60,000 are the most", l.Slug, len(data))
		}
		if config, _, err := image.DecodeConfig(bytes.NewReader(data)); err != nil || config.Width != filmWidth || config.Height != filmHeight {
			t.Errorf("the cover of %s is %dx%d, %v", l.Slug, config.Width, config.Height, err)
		}
		for _, other := range earlier {
			if bytes.Equal(data, other) {
				t.Errorf("the cover of %s is that of another lesson", l.Slug)
			}
		}
		earlier = append(earlier, data)
	}
}

func TestMakeFilm(t *testing.T) {
	t.Parallel()
	ffmpeg := ffmpegForTest(t)
	// A folder whose name is full of what means something in a filter.
	dir := filepath.Join(t.TempDir(), "it's 100%, a:b;[c]")
	made, err := makeFilm(t.Context(), ffmpeg, shortLesson(), dir)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ffprobe", "-v", "error", "-show_entries",
		"format=duration:stream=codec_name,profile,pix_fmt,width,height,avg_frame_rate,sample_rate:stream_disposition=attached_pic", "-of", "json", filepath.Join(dir, videoFile)).Output()
	if err != nil {
		t.Fatal(err)
	}
	var found struct {
		Streams []map[string]any
	}
	if err := json.Unmarshal(out, &found); err != nil || len(found.Streams) != 3 {
		t.Fatalf("ffprobe found %s, %v", out, err)
	}
	for i, want := range []map[string]any{
		{"codec_name": "h264", "profile": "High", "pix_fmt": "yuv420p", "width": 1280.0, "height": 720.0, "avg_frame_rate": "24/1"},
		{"codec_name": "aac", "sample_rate": "48000"},
		{"codec_name": "mjpeg", "width": 1280.0, "height": 720.0, "disposition": map[string]any{"attached_pic": 1.0}},
	} {
		for key, value := range want {
			if !reflect.DeepEqual(found.Streams[i][key], value) {
				t.Errorf("stream %d has %s %v, want %v", i, key, found.Streams[i][key], value)
			}
		}
	}

	shots := storyboard(shortLesson())
	track, err := narrateShots(t.Context(), ffmpeg, t.TempDir(), shots)
	if err != nil {
		t.Fatal(err)
	}
	spoken := time.Duration(len(track)/2) * time.Second / voiceRate
	if made.Width != filmWidth || made.Height != filmHeight || (made.Duration-spoken).Abs() > 150*time.Millisecond {
		t.Errorf("made %v, the narration lasts %v", made, spoken)
	}
	onlyFilmIn(t, dir)

	// The same again changes nothing.
	before, _ := os.Stat(filepath.Join(dir, videoFile))
	again, err := makeFilm(t.Context(), ffmpeg, shortLesson(), dir)
	if err != nil {
		t.Fatal(err)
	}
	after, _ := os.Stat(filepath.Join(dir, videoFile))
	if again != made || !os.SameFile(before, after) {
		t.Errorf("the second time made %v anew, the first %v", again, made)
	}

	// A half film under the name, of whatever origin, is replaced.
	if err := os.Truncate(filepath.Join(dir, videoFile), before.Size()/2); err != nil {
		t.Fatal(err)
	}
	if again, err = makeFilm(t.Context(), ffmpeg, shortLesson(), dir); err != nil || again != made {
		t.Errorf("after a damage made %v, %v; want %v", again, err, made)
	}
	onlyFilmIn(t, dir)
}

func onlyFilmIn(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != videoFile {
		t.Errorf("the folder holds %q", got)
	}
}

func TestCancelledFilmLeavesNothing(t *testing.T) {
	t.Parallel()
	ffmpeg, dir := ffmpegForTest(t), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// Cancelled from within the drawing of the scene: ffmpeg is encoding then.
	l := shortLesson()
	l.Scenes[0].Picture = append(l.Scenes[0].Picture, still(func(*canvas) { cancel() }))
	if _, err := makeFilm(ctx, ffmpeg, l, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled film ended with %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

// Not parallel: a program that another test starts while the script is being
// written would hold it open for a moment, and it could not be run ("text file busy").
func TestKilledFFmpegLeavesNothing(t *testing.T) {
	real, dir := ffmpegForTest(t), t.TempDir()
	// It narrates as ever, and is killed after the first bytes of the pictures.
	killed := filepath.Join(t.TempDir(), "ffmpeg")
	script := "#!/bin/sh\ncase \"$*\" in *rawvideo*) head -c 100000 >/dev/null; echo out of memory >&2; kill -9 $$;; esac\nexec " + real + " \"$@\"\n"
	if err := os.WriteFile(killed, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := makeFilm(t.Context(), killed, shortLesson(), dir)
	if err == nil || !strings.Contains(err.Error(), "killed") || !strings.Contains(err.Error(), "out of memory") {
		t.Errorf("a killed ffmpeg ended with %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

func TestAbandonedWorkIsRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{"1": 2 * time.Hour, "2": time.Minute} {
		work := filepath.Join(dir, workPrefix+name)
		if err := os.Mkdir(work, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(work, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	removeAbandonedWork(dir)
	if left, _ := filepath.Glob(filepath.Join(dir, workPrefix+"*")); len(left) != 1 || filepath.Base(left[0]) != workPrefix+"2" {
		t.Errorf("left are %v", left)
	}
}

// Every sign that means something to ffmpeg's filters is followed by words that
// must still be heard.
func TestNarrationSaysEverything(t *testing.T) {
	t.Parallel()
	ffmpeg, work := ffmpegForTest(t), t.TempDir()
	long := func(text string) time.Duration {
		pcm, err := narrate(t.Context(), ffmpeg, work, text)
		if err != nil {
			t.Fatalf("narrate %q: %v", text, err)
		}
		return time.Duration(len(pcm)/2) * time.Second / voiceRate
	}
	const start, rest = "One event", "and then many other words after it"
	whole := long(start + " " + rest)
	for _, sign := range []string{"'", `"`, ":", "%", `\`, ",", ";", "[", "]", "=", "`", "’", "“", "…", "\n", `':voice=kal,volume=0,aevalsrc='`, `%{pts}`, `\\'`, "%s%n"} {
		if got := long(start + sign + " " + rest); got < whole*85/100 {
			t.Errorf("with %q the narration lasts %v, without %v", sign, got, whole)
		}
	}
}

func TestSpoken(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"One event, `VideoViewed`.":     "One event, Video Viewed.",
		"the row in `view_counts`":      "the row in view counts",
		"that video’s piece of HTML…":   "that video's piece of H T M L",
		`it's 50%, a:b \ c; "[quoted]"`: `it's 50%, a:b \ c; "[quoted]"`,
	} {
		if got := spoken(text); got != want {
			t.Errorf("%q is spoken as %q, want %q", text, got, want)
		}
	}
}

// The frames that come out must be what is drawn anew from nothing: repainting
// only what moved is not to be seen.
func TestRepaintedFramesEqualFreshOnes(t *testing.T) {
	t.Parallel()
	s := storyboard(shortLesson())[1]
	s.marks, s.frames = []float64{0.3, 2}, 48
	const size = filmWidth * filmHeight * 3 / 2
	n := 0
	sketch := newCanvas()
	frames := writerFunc(func(got []byte) (int, error) {
		defer func() { n++ }()
		if n%5 != 0 && n != s.frames-1 {
			return len(got), nil
		}
		fresh := image.NewRGBA(sketch.Rect)
		for i := range fresh.Pix {
			fresh.Pix[i] = []uint8{inkPaper.R, inkPaper.G, inkPaper.B, inkPaper.A}[i%4]
		}
		for _, it := range s.items {
			img := sketch.sprite(it.paint)
			blend(fresh, fresh.Rect, img, s.pose(it, img, float64(n)/filmRate))
		}
		want := make([]byte, size)
		toYUV(fresh, fresh.Rect, want)
		if !bytes.Equal(got, want) {
			return 0, fmt.Errorf("frame %d differs", n)
		}
		return len(got), nil
	})
	if err := shoot(t.Context(), []*shot{s}, frames); err != nil {
		t.Fatal(err)
	}
	if n != s.frames {
		t.Errorf("%d frames, want %d", n, s.frames)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestTrimSilence(t *testing.T) {
	t.Parallel()
	pcm := make([]byte, 2*3*voiceRate)
	for i := voiceRate; i < 2*voiceRate; i++ {
		binary.LittleEndian.PutUint16(pcm[2*i:], 5000)
	}
	if got, want := len(trimSilence(pcm))/2, voiceRate+2*(voiceRate/20); got != want {
		t.Errorf("%d samples are left, want %d", got, want)
	}
	if got := trimSilence(make([]byte, 200)); len(got) > 200 {
		t.Errorf("silence became %d bytes", len(got))
	}
}

func TestFindFFmpegSaysWhatIsMissing(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	want := func(part string) {
		t.Helper()
		_, err := findFFmpeg()
		if err == nil || !strings.Contains(err.Error(), part) || !strings.Contains(err.Error(), "apt-get install ffmpeg") || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want a line with %q and the remedy", err, part)
		}
	}
	want("ffmpeg is not on the PATH")
	program := func(name, script string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program("ffmpeg", `echo " V....D libx264  A....D aac  ebur128 alimiter"`)
	want("ffprobe is not on the PATH")
	program("ffprobe", "")
	want("without flite")
	program("ffmpeg", `echo libx264 aac flite ebur128 alimiter`)
	if path, err := findFFmpeg(); err != nil || path != filepath.Join(bin, "ffmpeg") {
		t.Errorf("got %q, %v", path, err)
	}
}

func TestRunFFmpegTellsTheEndOfItsComplaint(t *testing.T) {
	t.Parallel()
	_, err := runFFmpeg(t.Context(), ffmpegForTest(t), t.TempDir(), nil, "-i", "there-is-none.mp4", "-f", "null", "-")
	if err == nil || !strings.Contains(err.Error(), "No such file") {
		t.Errorf("got %v", err)
	}
}
