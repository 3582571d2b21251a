package videopublishing

import (
	"context"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
)

// deleteVideo works at any time, also while the file is handed in or worked on.
func (c *Component) deleteVideo(ctx context.Context, m messagestore.Message[publishingmsg.DeleteVideo]) error {
	v, err := c.video(ctx, m.Data.VideoID)
	if err != nil || v.done(m.GlobalPosition) {
		return err
	}
	if reason := v.closedTo(m.Metadata.UserID); reason != "" {
		return answer(ctx, c, v, m, publishingmsg.VideoDeletionRejected{VideoID: v.id, Reason: reason})
	}
	return answer(ctx, c, v, m, publishingmsg.VideoDeleted{VideoID: v.id})
}
