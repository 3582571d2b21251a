package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/components/viewing/viewingmsg"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

// The tests beside this file run the real program, built with the race detector,
// over real databases, and look at it with real Chromium (see chromium_test.go).

func TestMain(m *testing.M) { dbtest.Main(m) }

// patience is how long anything may take on a busy machine before it counts as
// never happening.
const patience = time.Minute

var built = sync.OnceValues(func() (string, error) {
	program, err := filepath.Abs("bin/video-tutorials-race")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-race", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return program, nil
})

// site is a running program.
type site struct {
	t       *testing.T
	args    []string
	env     []string
	url     string
	command *exec.Cmd
	output  *output
	exited  chan error
	ended   bool   // by the test
	program string // another build than this one
}

// output keeps what the program prints and lets a test wait for a line of it.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	close(o.grown)
	o.grown = make(chan struct{})
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// find waits until the output matches, and returns the match.
func (o *output) find(ctx context.Context, pattern string, exited <-chan error) ([]string, error) {
	re := regexp.MustCompile(pattern)
	for {
		o.mu.Lock()
		found, grown := re.FindStringSubmatch(o.text.String()), o.grown
		o.mu.Unlock()
		if found != nil {
			return found, nil
		}
		select {
		case <-grown:
		case err := <-exited:
			return nil, fmt.Errorf("the program ended: %v\n%s", err, o)
		case <-ctx.Done():
			return nil, fmt.Errorf("%q is not in the output\n%s", pattern, o)
		}
	}
}

// startOn starts the program over databases of a test.
func startOn(t *testing.T, database *dbtest.DB, args ...string) *site {
	t.Helper()
	return start(t, folder(t), environment(database), args...)
}

// environment is what the program is told to run over databases of a test. One key
// for all, because a message store belongs to one.
func environment(database *dbtest.DB) []string {
	return []string{"DATABASE_URL=" + database.ViewsURL, "MESSAGE_STORE_CONNECTION_STRING=" + database.MessageStoreURL,
		"IDENTITY_KEY=" + strings.Repeat("identity", 4), "ENVIRONMENT=development"}
}

// folder returns a data folder that the private Postgres's user can reach.
func folder(t *testing.T) string {
	t.Helper()
	parent := "/dev/shm"
	if _, err := os.Stat(parent); err != nil {
		parent = ""
	}
	dir, err := os.MkdirTemp(parent, "video-tutorials-site-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func start(t *testing.T, dataDir string, env []string, args ...string) *site {
	t.Helper()
	s := launch(t, dataDir, env, args...)
	s.await()
	return s
}

// launch starts the program without waiting for it.
func launch(t *testing.T, dataDir string, env []string, args ...string) *site {
	t.Helper()
	s := &site{t: t, args: args, env: append(env, "DATA_DIR="+dataDir)}
	s.launchAt("0")
	t.Cleanup(s.stop)
	return s
}

func (s *site) startAt(port string) {
	s.t.Helper()
	s.launchAt(port)
	s.await()
}

func (s *site) launchAt(port string) {
	s.t.Helper()
	program := s.program
	if program == "" {
		var err error
		if program, err = built(); err != nil {
			s.t.Fatal(err)
		}
	}
	s.output, s.exited, s.ended = &output{grown: make(chan struct{})}, make(chan error, 1), false
	s.command = exec.Command(program, s.args...)
	s.command.Dir = s.t.TempDir() // no .env of the checkout
	// Else the race detector sleeps for a second at each end.
	s.command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "GORACE=atexit_sleep_ms=0", "PORT=" + port}, s.env...)
	s.command.Stdout, s.command.Stderr = s.output, s.output
	if err := s.command.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func(command *exec.Cmd, exited chan error) { exited <- command.Wait(); close(exited) }(s.command, s.exited)
}

// await waits until the program says where it is.
func (s *site) await() {
	s.t.Helper()
	found, err := s.output.find(within(s.t), `(?s)address +(http://localhost:\d+).*viewcounts follows viewing\n`, s.exited)
	if err != nil {
		s.t.Fatal(err)
	}
	s.url = found[1]
}

func (s *site) port() string { return s.url[strings.LastIndex(s.url, ":")+1:] }

// stop ends the program as Ctrl-C does.
func (s *site) stop() { s.end(syscall.SIGINT) }

// kill ends it with kill -9.
func (s *site) kill() { s.end(syscall.SIGKILL) }

// end demands that the program ran until now, and that it ends in order when asked to.
func (s *site) end(signal syscall.Signal) {
	s.t.Helper()
	if s.ended {
		return
	}
	s.ended = true
	select {
	case err := <-s.exited:
		s.t.Errorf("the program ended by itself: %v\n%s", err, s.output)
		return
	default:
	}
	if err := s.command.Process.Signal(signal); err != nil {
		s.t.Error(err)
	}
	select {
	case err := <-s.exited:
		if signal == syscall.SIGINT && err != nil { // a data race is an exit code too
			s.t.Errorf("the program did not end in order: %v\n%s", err, s.output)
		}
	case <-time.After(patience):
		s.t.Errorf("the program does not stop\n%s", s.output)
		s.command.Process.Kill()
	}
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// until waits until a condition holds that nothing tells us of.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	untilLong(t, patience, what, holds)
}

// untilLong waits for what takes its time.
func untilLong(t testing.TB, patience time.Duration, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("still not: %s", what)
		}
	}
}

// lessonOf publishes a lesson whose video is a real file of a few seconds, through
// the messages that any video comes by.
func lessonOf(t *testing.T, s *site, database *dbtest.DB, title string) (id string) {
	t.Helper()
	id = messagestore.NewID()
	testFilm(t, filepath.Join(dataDir(s), "media", id))
	store := messagestore.New(database.MessageStore)
	for _, body := range []messagestore.Body{
		publishingmsg.VideoNamed{VideoID: id, Name: title},
		publishingmsg.VideoDescribed{VideoID: id, Description: "Three seconds of a test picture."},
		publishingmsg.VideoPublished{VideoID: id, OwnerID: messagestore.NewID(), SourceURI: "test", TranscodedURI: "/media/" + id + "/video.mp4", PosterURI: "/media/" + id + "/poster.jpg", DurationMS: 3000},
	} {
		if _, err := store.Write(within(t), publishingmsg.Category.Stream(id), body); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the lesson is listed", func() bool { return strings.Contains(get(t, s.url+"/").body, id) })
	return id
}

// testFilm makes three seconds of a test picture with a tone.
func testFilm(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ffmpeg, err := findFFmpeg()
	if err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"video.mp4":  {"-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=3", "-f", "lavfi", "-i", "sine=duration=3", "-shortest", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-movflags", "+faststart"},
		"poster.jpg": {"-f", "lavfi", "-i", "testsrc2=size=320x180:rate=1:duration=1", "-frames:v", "1"},
	} {
		out, err := exec.CommandContext(within(t), ffmpeg, append(append([]string{"-nostdin", "-loglevel", "error"}, args...), filepath.Join(dir, name))...).CombinedOutput()
		if err != nil {
			t.Fatalf("ffmpeg: %v\n%s", err, out)
		}
	}
}

func dataDir(s *site) string {
	for _, e := range s.env {
		if dir, ok := strings.CutPrefix(e, "DATA_DIR="); ok {
			return dir
		}
	}
	return ""
}

// viewings returns how many VideoViewed the store holds for a video.
func viewings(t *testing.T, database *dbtest.DB, video string) int {
	t.Helper()
	version, err := messagestore.New(database.MessageStore).Version(within(t), viewingmsg.Category.Stream(video))
	if err != nil {
		t.Fatal(err)
	}
	return int(version + 1)
}

// somebodyWatches writes a view as another visitor's browser would have, which
// tries again while the database is away.
func somebodyWatches(t *testing.T, database *dbtest.DB, video string) {
	t.Helper()
	store, id := messagestore.New(database.MessageStore), messagestore.NewID()
	until(t, "the view is written", func() bool {
		_, err := store.Write(within(t), viewingmsg.Category.Stream(video), viewingmsg.VideoViewed{VideoID: video}, messagestore.WithID(id))
		if err != nil && !errors.Is(err, messagestore.ErrDuplicateID) && !messagestore.IsTransient(err) {
			t.Fatal(err)
		}
		return err == nil || errors.Is(err, messagestore.ErrDuplicateID)
	})
}

type answer struct {
	status int
	header http.Header
	body   string
}

func get(t testing.TB, url string) answer {
	t.Helper()
	return ask(t, &http.Client{}, http.MethodGet, url, "", nil)
}

func ask(t testing.TB, client *http.Client, method, url, contentType string, body io.Reader, headers ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(within(t), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(text)}
}

// healthOf returns the answer of /ready.
func healthOf(t *testing.T, s *site) (status int, h healthAnswer) {
	t.Helper()
	a := get(t, s.url+"/ready")
	if err := json.Unmarshal([]byte(a.body), &h); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return a.status, h
}

// firstFrame opens a stream and returns its first message.
func firstFrame(t *testing.T, url string) string {
	t.Helper()
	return frameWith(t, url, "data:")
}

// frameWith opens a stream and returns its first message that has a text.
func frameWith(t *testing.T, url, text string) string {
	t.Helper()
	return frameFor(t, http.DefaultClient, url, text)
}

// frameFor opens it as somebody.
func frameFor(t *testing.T, client *http.Client, url, text string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(within(t), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var frame strings.Builder
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		frame.WriteString(lines.Text() + "\n")
		if lines.Text() != "" {
			continue
		}
		if strings.Contains(frame.String(), text) {
			return frame.String()
		}
		frame.Reset()
	}
	t.Fatalf("the stream ended without %s: %v", text, lines.Err())
	return ""
}
