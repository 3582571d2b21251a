package main

import (
	"bytes"
	"crypto/rand"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
)

// creator registers somebody and logs them in.
func (x *bench) creator(email string) *visitor {
	x.b.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		x.b.Fatal(err)
	}
	v := &visitor{x.b, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, x.url}
	v.reached(v.register(email, goodPassword), "registered")
	return v.entered(email, goodPassword)
}

// An upload of 256 MB, from the first byte to the last, through HTTP and tus to the disk.
// Floor: io.Copy of as many bytes to a file of the same disk, and to have it there.
func BenchmarkSiteUpload(b *testing.B) {
	const size = 256 << 20
	x := startBench(b).serve()
	v := x.creator("uploads@example.test")
	dir := b.TempDir()
	file := filepath.Join(dir, "noise.bin")
	noise := make([]byte, size)
	if _, err := rand.Read(noise); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(file, noise, 0o600); err != nil {
		b.Fatal(err)
	}
	ours := func() time.Duration {
		u, a := v.beginUpload(file, "Noise")
		if a.status != http.StatusCreated {
			b.Fatalf("%d %s", a.status, a.body)
		}
		start := time.Now()
		if status, err := u.send(0); err != nil || status != http.StatusNoContent {
			b.Fatalf("%d, %v", status, err)
		}
		took := time.Since(start)
		x.becomes(u.id, publishingmsg.VideoPublishingFailed{})
		return took
	}
	floor := func() time.Duration {
		to, err := os.Create(filepath.Join(dir, "copy.bin"))
		if err != nil {
			b.Fatal(err)
		}
		defer to.Close()
		start := time.Now()
		// Neither end has a way of its own to copy, as a connection has none to a file.
		if _, err := io.Copy(struct{ io.Writer }{to}, struct{ io.Reader }{bytes.NewReader(noise)}); err != nil {
			b.Fatal(err)
		}
		if err := to.Sync(); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	var site, copied time.Duration
	const rounds = 6
	ours()
	floor()
	for range rounds { // in turn
		site += ours()
		copied += floor()
	}
	megabytes := func(d time.Duration) float64 { return rounds * float64(size) / 1e6 / d.Seconds() }
	b.ReportMetric(megabytes(site), "upload-MB/s")
	b.ReportMetric(megabytes(copied), "copy-MB/s")
	b.ReportMetric(0, "ns/op")
}

// becomes waits until an event has happened to a video, and returns when it was written.
func (x *bench) becomes(video string, event messagestore.Body) (at time.Time) {
	x.b.Helper()
	deadline := time.Now().Add(10 * time.Minute)
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		last, err := x.store.Last(x.b.Context(), publishingmsg.Category.Stream(video), event.MessageType())
		if err == nil {
			return last.Time
		}
		if time.Now().After(deadline) {
			x.b.Fatalf("%s does not become %s", video, event.MessageType())
		}
	}
}

// A film of one minute in 720p, from its last byte to when it can be watched and to when
// all of it is there.
func BenchmarkSitePublish(b *testing.B) {
	x := startBench(b).serve()
	v := x.creator("films@example.test")
	ffmpeg, err := findFFmpeg()
	if err != nil {
		b.Fatal(err)
	}
	film := ffmpegWrites(b, ffmpeg, filepath.Join(b.TempDir(), "film.mp4"), args("-f lavfi -i testsrc2=size=1280x720:rate=25:duration=60",
		"-f lavfi -i sine=duration=60 -c:v libx264 -preset veryfast -pix_fmt yuv420p -c:a aac -shortest")...)
	var playable, published time.Duration
	const rounds = 2
	for i := range rounds {
		id := v.handIn(film, "Film "+strconv.Itoa(i))
		last := time.Now()
		x.becomes(id, publishingmsg.VideoPublished{})
		published += time.Since(last)
		// Both machines' clocks are one.
		playable += x.becomes(id, publishingmsg.VideoPlayable{}).Sub(last.UTC())
	}
	b.ReportMetric(playable.Seconds()/rounds, "playable-s")
	b.ReportMetric(published.Seconds()/rounds, "published-s")
	b.ReportMetric(0, "ns/op")
}
