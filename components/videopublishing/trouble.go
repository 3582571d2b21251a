package videopublishing

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"videotutorials/components/videopublishing/ffmpeg"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
)

// An attempt that fails for no known reason is tried so often; where each try takes long,
// no longer than patience after the first failure, but a few times.
const (
	mostTries  = 8
	fewTries   = 3
	patience   = 10 * time.Minute
	mostPause  = 30 * time.Second
	firstPause = 2 * time.Second
)

// attemptOf names an attempt to publish a video.
type attemptOf struct {
	videoID string
	attempt int
}

// remembered is what this process knows of an attempt between two tries.
type remembered struct {
	film *ffmpeg.Film // nil until it was probed

	failures  int // that nobody can explain
	since     time.Time
	notBefore time.Time
	last      error
}

// remember returns what is known of an attempt. Messages of one video come one after the
// other, so nobody else looks at it meanwhile.
func (c *Component) remember(of attemptOf) *remembered {
	r, _ := c.attempts.LoadOrStore(of, &remembered{})
	return r.(*remembered)
}

// forget drops what is known of attempts that ended elsewhere: in another process, or
// while they waited here to be tried again.
func (c *Component) forget(ctx context.Context) {
	c.attempts.Range(func(key, _ any) bool {
		of := key.(attemptOf)
		v, err := c.video(ctx, of.videoID)
		if err == nil && !v.works(of.attempt) {
			c.attempts.Delete(of)
		}
		return err == nil
	})
}

// again decides what follows from an error that is no fault of the film, as far as anybody
// knows: another try after a pause, or, after too many, an end that its owner hears of.
// One film must not stop its stream for ever, in which its owner's next attempt will stand.
func (w *work) again(ctx context.Context, err error) error {
	r, now := w.known, time.Now()
	if r.failures++; r.failures == 1 {
		r.since = now
	}
	log := w.config.Log.With("trace_id", w.cause.Metadata.TraceID, "video_id", w.seen.id, "attempt", w.cause.Data.Attempt)
	log.Debug("trouble with a video", "tries", r.failures, "error", fullText(err))
	if r.failures >= mostTries || r.failures >= fewTries && now.Sub(r.since) > patience {
		if err := w.fail(ctx, publishingmsg.OurFault); err != nil {
			return err
		}
		log.Error("video given up", "tries", r.failures, "error", messagestore.ErrorText(err))
		return nil
	}
	r.notBefore, r.last = now.Add(w.pause(r.failures)), err
	return messagestore.Transient(err)
}

// waits returns the last error of an attempt as long as it is too early for another try,
// so that meanwhile others have its slot.
func (r *remembered) waits() error {
	if time.Now().Before(r.notBefore) {
		return messagestore.Transient(r.last)
	}
	return nil
}

func pause(failures int) time.Duration { return min(firstPause<<min(failures-1, 10), mostPause) }

var errNoRoom = errors.New("there is no room")

// trouble marks an error of the encoder that is no refusal of the film: as one that goes
// away by itself where the disk is full, else as one that may be there for ever, whatever
// it is about. The disk itself is asked: a film may have ffmpeg say what it wants, and the
// kernel says the same where there is no room for another namespace.
func (w *work) trouble(err error) error {
	var no *ffmpeg.Refusal
	if err == nil || errors.As(err, &no) {
		return err
	}
	err = unexplained{err}
	if !w.full(w.folder.path) {
		return err
	}
	return messagestore.Transient(fmt.Errorf("%w in %s: %w", errNoRoom, filepath.Dir(w.folder.path), err))
}

// isFull reports whether the disk of a folder has so little room that ffmpeg may have
// failed for it.
func isFull(dir string) bool {
	var disk syscall.Statfs_t
	return syscall.Statfs(dir, &disk) == nil && littleIsLeft(disk)
}

// littleIsLeft says no of disks that do not tell how large they are.
func littleIsLeft(disk syscall.Statfs_t) bool {
	const bytes, files = 64 << 20, 64
	return disk.Blocks > 0 && int64(disk.Bavail)*int64(disk.Bsize) < bytes || disk.Files > 0 && disk.Ffree < files
}

// unexplained is an error of which nobody knows whether it goes away.
type unexplained struct{ error }

func (u unexplained) Unwrap() error { return u.error }

// fullText also tells what ffmpeg printed, which may hold titles and names out of the film.
func fullText(err error) string {
	text := messagestore.ErrorText(err)
	var failed *ffmpeg.Failure
	if errors.As(err, &failed) && failed.Complaints != "" {
		text += ": " + failed.Complaints
	}
	return text
}
