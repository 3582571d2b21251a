package videopublishing

import (
	"context"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
)

func (c *Component) setChapters(ctx context.Context, m messagestore.Message[publishingmsg.SetChapters]) error {
	v, err := c.video(ctx, m.Data.VideoID)
	if err != nil || v.done(m.GlobalPosition) {
		return err
	}
	reason := v.closedTo(m.Metadata.UserID)
	switch {
	case reason != "":
	case !v.owns(m.Data.URI):
		reason = publishingmsg.NotFound
	case v.uses(m.Data.URI):
		reason = publishingmsg.Same
	default:
		return answer(ctx, c, v, m, publishingmsg.ChaptersSet{VideoID: v.id, URI: m.Data.URI, Replaces: v.chapters})
	}
	return answer(ctx, c, v, m, publishingmsg.ChaptersRejected{VideoID: v.id, Reason: reason})
}

func (c *Component) removeChapters(ctx context.Context, m messagestore.Message[publishingmsg.RemoveChapters]) error {
	v, err := c.video(ctx, m.Data.VideoID)
	if err != nil || v.done(m.GlobalPosition) {
		return err
	}
	reason := v.closedTo(m.Metadata.UserID)
	switch {
	case reason != "":
	case v.chapters == "":
		reason = publishingmsg.NotFound
	default:
		return answer(ctx, c, v, m, publishingmsg.ChaptersRemoved{VideoID: v.id, URI: v.chapters})
	}
	return answer(ctx, c, v, m, publishingmsg.ChaptersRejected{VideoID: v.id, Reason: reason})
}
