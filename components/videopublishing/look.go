package videopublishing

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"videotutorials/components/videopublishing/ffmpeg"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/media"
	"videotutorials/messagestore"
)

// mostLookedAt is how long a file in a bucket may be to be fetched for a look, in bytes:
// letters and photos are not longer. A film that is not longer either is fetched twice.
const mostLookedAt = 64 << 20

// look refuses what needs no more than a look: its owner hears at once that a letter is no
// film, and not after the films that are before it. All else, also whatever goes wrong
// here, is left to the work.
func (c *Component) look(ctx context.Context, m messagestore.Message[publishingmsg.VideoPublishingStarted]) error {
	key, ok := media.Key(media.Path(m.Data.SourceURI))
	if c.config.Encoder == nil || !ok || !isOf(m.Stream, m.Data.VideoID) {
		return nil
	}
	v, err := c.video(ctx, m.Data.VideoID)
	if err != nil || !v.works(m.Data.Attempt) {
		return err
	}
	folder := ""
	if _, local := c.config.Media.Room(); !local {
		size, err := c.config.Media.Size(ctx, key)
		if err != nil || size > mostLookedAt {
			return ctx.Err()
		}
		// Below the folder of the attempt, whose end removes what a kill leaves here.
		folder = filepath.Join(folderOf(c.config.WorkDir, v.id, v.attempt), "looking")
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil
		}
		defer os.Remove(filepath.Dir(folder)) // if nobody works there
		defer os.RemoveAll(folder)
	}
	source, err := c.config.Media.Fetch(ctx, key, folder)
	if err == nil {
		err = c.config.Encoder.Look(ctx, source)
	}
	var no *ffmpeg.Refusal
	if !errors.As(err, &no) || no.Reason == publishingmsg.TookTooLong { // on another day it may not
		return ctx.Err()
	}
	w := &work{Component: c, cause: m, seen: v}
	if err := w.fail(ctx, no.Reason); err != nil {
		if errors.Is(err, errUnwanted) {
			err = nil
		}
		return err
	}
	c.config.Log.Info("video refused", "trace_id", m.Metadata.TraceID, "video_id", v.id, "attempt", v.attempt, "reason", no.Reason)
	return nil
}
