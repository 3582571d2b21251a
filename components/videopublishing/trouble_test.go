package videopublishing

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"videotutorials/components/videopublishing/ffmpeg"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
)

// lendEncoder finds an encoder of which ffmpeg can be taken away and given back.
func lendEncoder(t *testing.T) (e *ffmpeg.Encoder, take, giveBack func()) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"ffmpeg", "ffprobe"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		program, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), program, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	e, err := ffmpeg.Find(ffmpeg.Config{})
	if err != nil {
		t.Fatal(err)
	}
	rename := func(from, to string) func() {
		return func() {
			if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return e, rename("ffmpeg", "away"), rename("away", "ffmpeg")
}

// scriptedEncoder is one whose ffmpeg is the script of a shell, to which the real one is
// told.
func scriptedEncoder(t *testing.T, format string) (e *ffmpeg.Encoder, program string) {
	t.Helper()
	path := os.Getenv("PATH")
	real, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Fatal(err)
	}
	e, take, _ := lendEncoder(t)
	if program, err = exec.LookPath("ffmpeg"); err != nil { // the one that is lent
		t.Fatal(err)
	}
	take()
	if err := os.WriteFile(program, fmt.Appendf([]byte("#!/bin/sh\n"), format, real), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", path)
	return e, program
}

// remembers is how many attempts the component knows something of.
func (b bench) remembers() (n int) {
	b.attempts.Range(func(any, any) bool { n++; return true })
	return n
}

// What goes wrong with ffmpeg is no fault of the film, and no reason to stop its stream:
// it is tried again, and at last its owner hears of it and may try again too.
func TestFFmpegIsMissing(t *testing.T) {
	e, take, giveBack := lendEncoder(t)
	var logged bytes.Buffer
	b, story := newWork(t, Config{Encoder: e, Log: slog.New(slog.NewTextHandler(&logged, nil))})
	var pauses []time.Duration
	b.pause = func(failures int) time.Duration {
		pauses = append(pauses, pause(failures))
		return 0
	}
	m := b.handedIn(makeFilm(t, "film.mp4", "160x120", 1))
	fails := func(m messagestore.Raw) {
		t.Helper()
		if err := b.works(m); err == nil || !messagestore.IsTransient(err) {
			t.Fatalf("%v", err)
		}
		b.attempts.Range(func(_, known any) bool { // nothing must depend on how fast the test is
			known.(*remembered).notBefore = time.Time{}
			return true
		})
	}
	take()
	for range mostTries - 1 {
		fails(m)
	}
	if err := b.works(m); err != nil {
		t.Fatal(err)
	}
	if got := last[publishingmsg.VideoPublishingFailed](b); got != failedBy(publishingmsg.OurFault, 1) {
		t.Errorf("%+v", got)
	}
	if want := []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second, 30 * time.Second}; !slices.Equal(pauses, want) {
		t.Errorf("it waits for %v", pauses)
	}
	b.workDirIsEmpty()
	if b.remembers() != 0 {
		t.Error("it is remembered")
	}

	// Another attempt, in the middle of which ffmpeg comes back.
	m = b.happened(started(2))
	fails(m)
	giveBack()
	story.told()
	b.handle(m, b.work())
	b.plays(2, "120p")
	if text := logged.String(); strings.Count(text, "video given up") != 1 || strings.Count(text, "video published") != 1 {
		t.Errorf("logged:\n%s", text)
	}
}

// One that waits to be tried again does nothing, so that it takes nothing from others.
func TestAPauseBetweenTwoTries(t *testing.T) {
	e, take, giveBack := lendEncoder(t)
	b, story := newWork(t, Config{Encoder: e})
	m := b.handedIn(makeFilm(t, "film.mp4", "160x120", 1))
	b.pause = func(int) time.Duration { return time.Hour }
	take()
	first := b.works(m)
	story.told()
	giveBack()
	if again := b.works(m); first == nil || again == nil || !messagestore.IsTransient(again) || again.Error() != first.Error() || story.told() != "" {
		t.Errorf("%v, then %v", first, again)
	}

	// It is canceled meanwhile, and another message comes before this one comes again.
	b.happened(publishingmsg.VideoPublishingCanceled{VideoID: film, Attempt: 1})
	another := started(1)
	another.VideoID = messagestore.DeriveID("test", "another")
	r, err := b.store.Write(b.ctx, publishingmsg.Category.Stream(another.VideoID), another)
	if err != nil {
		t.Fatal(err)
	}
	for raw, err := range b.store.Read(b.ctx, publishingmsg.Category.Stream(another.VideoID), r) {
		if err != nil {
			t.Fatal(err)
		}
		b.handle(raw, b.work())
	}
	if b.remembers() != 0 {
		t.Error("it is remembered")
	}
}

// Where each try takes long there are fewer.
func TestPatienceEnds(t *testing.T) {
	t.Parallel()
	b := newBench(t, Config{})
	m := b.happened(started(1))
	started, err := messagestore.Decode[publishingmsg.VideoPublishingStarted](m)
	if err != nil {
		t.Fatal(err)
	}
	v, err := b.video(b.ctx, film)
	if err != nil {
		t.Fatal(err)
	}
	w := &work{Component: b.Component, cause: started, seen: v, known: &remembered{failures: 1, since: time.Now().Add(-2 * patience)}}
	killed := unexplained{errors.New("ffmpeg: signal: killed")}
	if err := w.again(b.ctx, killed); !errors.Is(err, killed.error) || !messagestore.IsTransient(err) {
		t.Fatal(err)
	}
	if err := w.again(b.ctx, killed); err != nil {
		t.Fatal(err)
	}
	if got := last[publishingmsg.VideoPublishingFailed](b); got != failedBy(publishingmsg.OurFault, 1) {
		t.Errorf("%+v", got)
	}
}

// A full disk is not the film's fault either, and goes away. Of no other trouble is that
// known, even if it looks like that of a connection.
func TestTrouble(t *testing.T) {
	t.Parallel()
	full := false
	w := &work{Component: &Component{full: func(string) bool { return full }}, folder: &folder{path: t.TempDir()}}
	refused := &ffmpeg.Refusal{Reason: publishingmsg.Damaged}
	failed := &ffmpeg.Failure{Ended: "ffmpeg: exit status 255", Complaints: "title: Holidays of Ada"}
	for err, want := range map[error]struct{ text, full string }{
		fmt.Errorf("start ffmpeg: %w", syscall.ENOSPC):              {"start ffmpeg: no space left on device", ""}, // for a namespace
		fmt.Errorf("take a picture: %w", failed):                    {"take a picture: ffmpeg: exit status 255", ": title: Holidays of Ada"},
		&ffmpeg.Failure{Ended: "ffprobe: exit status 120: sandbox"}: {"ffprobe: exit status 120: sandbox", ""},
		fmt.Errorf("start ffmpeg: %w", syscall.EAGAIN):              {"start ffmpeg: resource temporarily unavailable", ""},
		fmt.Errorf("look at a picture: %w", io.ErrUnexpectedEOF):    {"look at a picture: unexpected EOF", ""},
	} {
		for _, full = range []bool{false, true} {
			got := w.trouble(err)
			if errors.Is(got, errNoRoom) != full || !errors.Is(got, err) || !errors.As(got, new(unexplained)) || !strings.HasSuffix(got.Error(), want.text) ||
				full && !messagestore.IsTransient(got) || strings.Contains(got.Error(), "Ada") || fullText(got) != got.Error()+want.full {
				t.Errorf("%v: %v, %s", err, got, fullText(got))
			}
		}
	}
	for _, err := range []error{fmt.Errorf("look: %w", error(refused)), &ffmpeg.Refusal{Reason: "damaged", Detail: "says No space left on device"}} {
		if got := w.trouble(err); got != err {
			t.Errorf("%v: %v", err, got)
		}
	}
	if err := w.trouble(nil); err != nil {
		t.Error(err)
	}
}

func TestIsFull(t *testing.T) {
	t.Parallel()
	if isFull(t.TempDir()) || isFull("/nonexistent") {
		t.Error("it is full")
	}
	for disk, want := range map[syscall.Statfs_t]bool{
		{Bsize: 4096}: false,
		{Bsize: 4096, Blocks: 1 << 20, Bavail: 1 << 15}:                          false,
		{Bsize: 4096, Blocks: 1 << 20, Bavail: 1 << 10}:                          true,
		{Bsize: 4096, Blocks: 1 << 20, Bavail: 1 << 15, Files: 1000, Ffree: 900}: false,
		{Bsize: 4096, Blocks: 1 << 20, Bavail: 1 << 15, Files: 1000}:             true,
	} {
		if got := littleIsLeft(disk); got != want {
			t.Errorf("%+v: %v", disk, got)
		}
	}
}

// An ffmpeg that says for ever that the disk is full is believed as long as it is.
func TestFFmpegSaysThatTheDiskIsFull(t *testing.T) {
	e, _ := scriptedEncoder(t, "case $PWD in */making) echo No space left on device >&2; exit 1;; esac\nexec %q \"$@\"\n")
	b, _ := newWork(t, Config{Encoder: e})
	b.pause = func(int) time.Duration { return 0 }
	full := true
	b.full = func(string) bool { return full }
	m := b.handedIn(makeFilm(t, "film.mp4", "160x120", 1))
	for n := range 2*mostTries + mostTries - 1 {
		full = n < 2*mostTries
		if err := b.works(m); errors.Is(err, errNoRoom) != full || !messagestore.IsTransient(err) {
			t.Fatalf("%d: %v", n, err)
		}
	}
	if err := b.works(m); err != nil {
		t.Fatal(err)
	}
	if got := last[publishingmsg.VideoPublishingFailed](b); got != failedBy(publishingmsg.OurFault, 1) {
		t.Errorf("%+v", got)
	}
	b.workDirIsEmpty()
}
