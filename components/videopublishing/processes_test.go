package videopublishing

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"videotutorials/components/videopublishing/ffmpeg"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db"
	"videotutorials/db/dbtest"
	"videotutorials/db/media"
	"videotutorials/messagestore"
	"videotutorials/messagestore/messagestoretest"
)

// workerVariable has this program work on videos instead of testing.
const workerVariable = "VIDEOPUBLISHING_TEST_WORKER"

// place is where a worker finds everything.
type place struct{ MessageStoreURL, MediaDir, WorkDir string }

// workUntilKilled follows what a component follows and prints the steps of the work.
func workUntilKilled(text string) {
	err := func() error {
		ctx := context.Background()
		var at place
		if err := json.Unmarshal([]byte(text), &at); err != nil {
			return err
		}
		pool, err := db.OpenMessageStore(ctx, at.MessageStoreURL)
		if err != nil {
			return err
		}
		listen, err := db.ListenConfig(at.MessageStoreURL)
		if err != nil {
			return err
		}
		files, err := media.Open(ctx, "", at.MediaDir)
		if err != nil {
			return err
		}
		encoder, err := ffmpeg.Find(ffmpeg.Config{})
		if err != nil {
			return err
		}
		c := New(messagestore.New(pool), Config{Media: files, WorkDir: at.WorkDir, Encoder: encoder, AtOnce: 2, Report: func(p publishingmsg.Progress) {
			fmt.Println(p.Step, p.VideoID)
		}})
		return messagestore.NewSubscriptions(listen, nil, c.Subscriptions()...).Run(ctx)
	}()
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// worker starts a process that works, and returns what it prints.
func (b bench) worker() (*exec.Cmd, *bufio.Scanner) {
	b.t.Helper()
	at, err := json.Marshal(place{b.database.MessageStoreURL, b.mediaDir, b.config.WorkDir})
	if err != nil {
		b.t.Fatal(err)
	}
	cmd := exec.CommandContext(b.ctx, os.Args[0])
	cmd.Env = append(os.Environ(), workerVariable+"="+string(at))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd, bufio.NewScanner(out)
}

// runs follows what components follow, each as a process of its own, until the test ends.
func (b bench) runs(components ...*Component) {
	b.t.Helper()
	listen, err := db.ListenConfig(b.database.MessageStoreURL)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.ctx)
	var running sync.WaitGroup
	for _, c := range components {
		running.Go(func() {
			if err := messagestore.NewSubscriptions(listen, nil, c.Subscriptions()...).Run(ctx); err != nil {
				b.t.Error(err)
			}
		})
	}
	b.t.Cleanup(func() {
		stop()
		running.Wait()
	})
}

// until waits for an event in a stream.
func (b bench) until(stream messagestore.Stream, kind string) {
	b.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := b.store.Last(b.ctx, stream, kind); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-b.ctx.Done():
			b.t.Fatalf("no %s in %s: %q", kind, stream, b.kinds(stream))
		}
	}
}

// A process that is killed when the first rendition can be watched, with ffmpeg at work:
// the next one goes on with the others.
func TestKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	b, story := newWork(t, Config{})
	m := b.handedIn(makeFilm(t, "film.mp4", "640x480", 5))
	cmd, steps := b.worker()
	for steps.Scan() && steps.Text() != "rest "+film {
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() // the kill is what it returns
	b.write(ada, filmCommands, name("Streams"))
	if got, want := b.kinds(filmStream), []string{"VideoPublishingStarted", "RenditionTranscoded", "VideoPlayable"}; !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
	first := filepath.Join(b.mediaDir, film, "1", "360p_00000.m4s")
	before, err := os.Stat(first)
	if err != nil {
		t.Fatal(err)
	}
	b.runs(b.Component)
	b.until(filmStream, "VideoPublished")
	after, err := os.Stat(first)
	if err != nil || !os.SameFile(before, after) || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("the first rendition is another: %v", err)
	}
	if told := story.told(); told != "probing rest finishing" {
		t.Errorf("steps: %s", told)
	}
	b.until(filmStream, "VideoNamed")
	counts := map[string]int{}
	for _, kind := range b.kinds(filmStream) {
		counts[kind]++
	}
	if counts["RenditionTranscoded"] != 3 || counts["VideoPlayable"] != 1 || counts["VideoPublished"] != 1 {
		t.Errorf("%v", counts)
	}
	b.plays(1, "240p", "360p", "480p")
	b.handle(m, b.work())
	// The process that published tidies up after it has said so.
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for len(filesBelow(t, b.config.WorkDir)) > 0 {
		select {
		case <-tick.C:
		case <-b.ctx.Done():
			b.workDirIsEmpty()
			return
		}
	}
}

// Postgres restarts while ffmpeg is at work: the lock is lost, and taken again.
func TestPostgresRestartsInTheMiddle(t *testing.T) {
	t.Parallel()
	server := dbtest.NewServer(t)
	b, story := newWork(t, Config{})
	store := messagestore.New(server.MessageStore)
	b.Component, b.Scenario, b.database = New(store, b.config), messagestoretest.New(t, store), server.DB
	b.handedIn(makeFilm(t, "film.mp4", "640x480", 1))
	restarted := make(chan struct{})
	story.at["rest"] = func() {
		server.Stop()
		server.Start()
		close(restarted)
	}
	b.runs(b.Component)
	select {
	case <-restarted:
	case <-b.ctx.Done():
		t.Fatalf("it came to %q", b.kinds(filmStream))
	}
	b.until(filmStream, "VideoPublished")
	if told := story.told(); strings.Count(told, "first") != 1 || !strings.HasSuffix(told, "rest finishing") {
		t.Errorf("steps: %s", told)
	}
	b.plays(1, "240p", "360p", "480p")
	if kinds := b.kinds(filmStream); len(kinds) != 6 {
		t.Errorf("%q", kinds)
	}
}

// Two processes share the videos of the site, and none is worked on by both.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	b, _ := newWork(t, Config{})
	file := makeFilm(t, "film.mp4", "160x120", 1)
	var mu sync.Mutex
	begun := map[string]int{} // how often a step of a video was begun
	var both []*Component
	for range 2 {
		config := b.config
		steps := map[string]string{}
		config.AtOnce, config.Report = 2, func(p publishingmsg.Progress) {
			mu.Lock()
			defer mu.Unlock()
			if steps[p.VideoID] != p.Step {
				steps[p.VideoID] = p.Step
				begun[p.Step+" "+p.VideoID]++
			}
		}
		both = append(both, New(b.store, config))
	}
	b.runs(both...)
	var videos []string
	for range 4 {
		id := messagestore.NewID()
		videos = append(videos, id)
		if err := b.config.Media.PutFile(b.ctx, publishingmsg.SourceKey(id), file); err != nil {
			t.Fatal(err)
		}
		b.write(ada, publishingmsg.Category.CommandStream(id), publishingmsg.PublishVideo{VideoID: id, OwnerID: ada, SourceURI: publishingmsg.SourceKey(id)})
	}
	for _, id := range videos {
		b.until(publishingmsg.Category.Stream(id), "VideoPublished")
		if kinds := b.kinds(publishingmsg.Category.Stream(id)); len(kinds) != 4 {
			t.Errorf("%q", kinds)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for step, n := range begun {
		if n != 1 {
			t.Errorf("%s: %d times", step, n)
		}
	}
	if len(begun) != 3*len(videos) {
		t.Errorf("%v", begun)
	}
}

// A long film holds up neither a short one nor what its own owner asks for.
func TestALongFilmHoldsUpNothing(t *testing.T) {
	t.Parallel()
	b, _ := newWork(t, Config{})
	short := messagestore.DeriveID("test", "short")
	file := makeFilm(t, "film.mp4", "160x120", 1)
	released := make(chan struct{})
	config := b.config
	config.AtOnce, config.Report = 2, func(p publishingmsg.Progress) {
		if p.VideoID == film && p.Step == string(first) {
			<-released
		}
	}
	b.runs(New(b.store, config))
	release := sync.OnceFunc(func() { close(released) })
	t.Cleanup(release) // whatever happens
	for _, id := range []string{film, short} {
		if err := b.config.Media.PutFile(b.ctx, publishingmsg.SourceKey(id), file); err != nil {
			t.Fatal(err)
		}
		b.write(ada, publishingmsg.Category.CommandStream(id), publishingmsg.PublishVideo{VideoID: id, OwnerID: ada, SourceURI: publishingmsg.SourceKey(id)})
	}
	b.write(ada, filmCommands, name("Streams"))
	b.write(ada, filmCommands, name("Positions"))
	b.until(publishingmsg.Category.Stream(short), "VideoPublished")
	b.until(filmStream, "VideoNamed")
	release()
	b.until(filmStream, "VideoPublished")
	if kinds := b.kinds(filmStream); !slices.Equal(kinds[:3], []string{"VideoPublishingStarted", "VideoNamed", "VideoNamed"}) {
		t.Errorf("%q", kinds)
	}
	b.plays(1, "120p")
}

// With one slot, which a film has, a letter is refused while the film is worked on.
func TestALetterDoesNotWaitForFilms(t *testing.T) {
	t.Parallel()
	b, _ := newWork(t, Config{})
	letter, text := messagestore.DeriveID("test", "letter"), filepath.Join(t.TempDir(), "letter.mp4")
	writeFile(t, text, strings.Repeat("This is a letter. ", 1000))
	released := make(chan struct{})
	config := b.config
	config.Report = func(p publishingmsg.Progress) {
		switch {
		case p.VideoID == letter:
			t.Error("the letter is worked on")
		case p.Step == string(first):
			<-released
		}
	}
	b.runs(New(b.store, config))
	release := sync.OnceFunc(func() { close(released) })
	t.Cleanup(release) // whatever happens
	for id, file := range map[string]string{film: makeFilm(t, "film.mp4", "160x120", 1), letter: text} {
		if err := b.config.Media.PutFile(b.ctx, publishingmsg.SourceKey(id), file); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{film, letter} {
		b.write(ada, publishingmsg.Category.CommandStream(id), publishingmsg.PublishVideo{VideoID: id, OwnerID: ada, SourceURI: publishingmsg.SourceKey(id)})
	}
	b.until(publishingmsg.Category.Stream(letter), "VideoPublishingFailed")
	release()
	b.until(filmStream, "VideoPublished")
	if kinds := b.kinds(publishingmsg.Category.Stream(letter)); !slices.Equal(kinds, []string{"VideoPublishingStarted", "VideoPublishingFailed"}) {
		t.Errorf("%q", kinds)
	}
	b.plays(1, "120p")
}
