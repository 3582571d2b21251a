package videopublishing

import (
	"context"
	"strconv"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/media"
	"videotutorials/messagestore"
)

// attemptKey is below what the files of an attempt are kept. Each has a place of its
// own, so that a file never changes once it can be seen.
func attemptKey(videoID string, attempt int) string { return videoID + "/" + strconv.Itoa(attempt) }

func (c *Component) dropVideo(ctx context.Context, m messagestore.Message[publishingmsg.VideoDeleted]) error {
	return c.dropAll(ctx, m.Stream, m.Data.VideoID)
}

func (c *Component) dropUpload(ctx context.Context, m messagestore.Message[publishingmsg.UploadAbandoned]) error {
	return c.dropAll(ctx, m.Stream, m.Data.VideoID)
}

// isOf reports whether a message in a stream may be believed about the video that it
// names, whose files go: an id that is none may lead anywhere, and another's to its files.
func isOf(stream messagestore.Stream, videoID string) bool {
	return messagestore.ValidID(videoID) && stream.ID() == videoID
}

// dropAll removes all that is kept of a video. That includes files of captions and chapters
// of which no message speaks, because a process died between storing one and writing the
// command: they stand below the video too, and until then nobody is told where.
func (c *Component) dropAll(ctx context.Context, stream messagestore.Stream, videoID string) error {
	if !isOf(stream, videoID) {
		return nil
	}
	if err := c.config.Media.DeleteBelow(ctx, videoID); err != nil {
		return messagestore.Transient(err)
	}
	return messagestore.Transient(c.config.Media.Delete(ctx, publishingmsg.SourceKey(videoID)))
}

func (c *Component) dropFailed(ctx context.Context, m messagestore.Message[publishingmsg.VideoPublishingFailed]) error {
	return c.dropAttempt(ctx, m.Stream, m.Data.VideoID, m.Data.Attempt)
}

func (c *Component) dropCanceled(ctx context.Context, m messagestore.Message[publishingmsg.VideoPublishingCanceled]) error {
	return c.dropAttempt(ctx, m.Stream, m.Data.VideoID, m.Data.Attempt)
}

// dropAttempt removes what an attempt has made. What was handed in stays, for the next.
func (c *Component) dropAttempt(ctx context.Context, stream messagestore.Stream, videoID string, attempt int) error {
	if !isOf(stream, videoID) {
		return nil
	}
	return messagestore.Transient(c.config.Media.DeleteBelow(ctx, attemptKey(videoID, attempt)))
}

func (c *Component) dropCaptions(ctx context.Context, m messagestore.Message[publishingmsg.CaptionsRemoved]) error {
	return c.drop(ctx, m.Stream, m.Data.VideoID, m.Data.URI)
}

func (c *Component) dropChapters(ctx context.Context, m messagestore.Message[publishingmsg.ChaptersRemoved]) error {
	return c.drop(ctx, m.Stream, m.Data.VideoID, m.Data.URI)
}

func (c *Component) dropReplacedChapters(ctx context.Context, m messagestore.Message[publishingmsg.ChaptersSet]) error {
	return c.drop(ctx, m.Stream, m.Data.VideoID, m.Data.Replaces)
}

// drop removes a file of captions or chapters that a video does not use.
func (c *Component) drop(ctx context.Context, stream messagestore.Stream, videoID, uri string) error {
	if !isOf(stream, videoID) {
		return nil
	}
	v, err := c.video(ctx, videoID)
	if err != nil || !v.owns(uri) || v.uses(uri) {
		return err
	}
	key, _ := media.Key(uri)
	return messagestore.Transient(c.config.Media.Delete(ctx, key))
}

// dropRefusedUpload removes a file that was handed in when the video was gone.
func (c *Component) dropRefusedUpload(ctx context.Context, m messagestore.Message[publishingmsg.VideoPublishingRejected]) error {
	if m.Data.Reason != publishingmsg.Deleted {
		return nil
	}
	return c.dropAll(ctx, m.Stream, m.Data.VideoID)
}

// dropRefusedCaptions and dropRefusedChapters remove a file that was stored before the
// command that was refused.
func (c *Component) dropRefusedCaptions(ctx context.Context, m messagestore.Message[publishingmsg.CaptionsRejected]) error {
	asked, ok, err := cause[publishingmsg.AddCaptions](ctx, c, m.Metadata)
	if err != nil || !ok {
		return err
	}
	return c.drop(ctx, m.Stream, m.Data.VideoID, asked.URI)
}

func (c *Component) dropRefusedChapters(ctx context.Context, m messagestore.Message[publishingmsg.ChaptersRejected]) error {
	asked, ok, err := cause[publishingmsg.SetChapters](ctx, c, m.Metadata)
	if err != nil || !ok {
		return err
	}
	return c.drop(ctx, m.Stream, m.Data.VideoID, asked.URI)
}

// cause returns the command that an event answers, if it is one of type T.
func cause[T messagestore.Body](ctx context.Context, c *Component, event messagestore.Metadata) (body T, ok bool, err error) {
	if event.CausationMessagePosition == nil {
		return body, false, nil
	}
	for r, err := range c.store.Read(ctx, event.CausationMessageStreamName, *event.CausationMessagePosition) {
		if err != nil || r.Type != body.MessageType() {
			return body, false, err
		}
		m, err := messagestore.Decode[T](r)
		return m.Data, err == nil, err
	}
	return body, false, nil
}
