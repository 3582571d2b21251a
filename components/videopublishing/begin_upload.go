package videopublishing

import (
	"context"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
)

func (c *Component) beginUpload(ctx context.Context, m messagestore.Message[publishingmsg.BeginUpload]) error {
	v, err := c.video(ctx, m.Data.VideoID)
	if err != nil || v.done(m.GlobalPosition) {
		return err
	}
	var reason string
	switch {
	case !messagestore.ValidID(v.id): // it names folders
		reason = publishingmsg.NotFound
	case v.state == gone:
		reason = publishingmsg.Deleted
	case v.state != unknown:
		reason = publishingmsg.AlreadyBegun
	case onBehalf(m.Metadata, m.Data.OwnerID) != m.Data.OwnerID:
		reason = publishingmsg.NotOwner
	default:
		return answer(ctx, c, v, m, publishingmsg.UploadBegun{
			VideoID: v.id, OwnerID: m.Data.OwnerID, FileName: m.Data.FileName, Bytes: m.Data.Bytes,
		})
	}
	return answer(ctx, c, v, m, publishingmsg.UploadRejected{VideoID: v.id, Reason: reason})
}

// abandonUpload also takes the word of the site itself, which removes what nobody has
// sent a byte of for long, on nobody's behalf.
func (c *Component) abandonUpload(ctx context.Context, m messagestore.Message[publishingmsg.AbandonUpload]) error {
	v, err := c.video(ctx, m.Data.VideoID)
	if err != nil || v.done(m.GlobalPosition) {
		return err
	}
	reason := v.closedTo(onBehalf(m.Metadata, v.ownerID))
	switch {
	case reason != "":
	case v.state != uploading:
		reason = publishingmsg.AlreadyStarted
	default:
		return answer(ctx, c, v, m, publishingmsg.UploadAbandoned{VideoID: v.id})
	}
	return answer(ctx, c, v, m, publishingmsg.UploadRejected{VideoID: v.id, Reason: reason})
}

// onBehalf returns the person for whom a message was written; otherwise where it names
// nobody.
func onBehalf(metadata messagestore.Metadata, otherwise string) string {
	if metadata.UserID == "" {
		return otherwise
	}
	return metadata.UserID
}
