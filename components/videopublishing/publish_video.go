package videopublishing

import (
	"context"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
)

// publishVideo begins the first attempt. A video that nobody has begun is begun by it:
// not every file comes through an upload.
func (c *Component) publishVideo(ctx context.Context, m messagestore.Message[publishingmsg.PublishVideo]) error {
	v, err := c.video(ctx, m.Data.VideoID)
	if err != nil || v.done(m.GlobalPosition) {
		return err
	}
	if v.state == unknown {
		v.ownerID = m.Data.OwnerID
	}
	var reason string
	switch {
	case !messagestore.ValidID(v.id): // it names folders
		reason = publishingmsg.NotFound
	case v.state == gone:
		reason = publishingmsg.Deleted
	case v.ownerID != m.Data.OwnerID || onBehalf(m.Metadata, m.Data.OwnerID) != m.Data.OwnerID:
		reason = publishingmsg.NotOwner
	case v.state != unknown && v.state != uploading:
		reason = publishingmsg.AlreadyStarted
	default:
		return answer(ctx, c, v, m, publishingmsg.VideoPublishingStarted{
			VideoID: v.id, OwnerID: v.ownerID, Attempt: 1,
			SourceURI: m.Data.SourceURI, FileName: m.Data.FileName, Bytes: m.Data.Bytes,
		})
	}
	return answer(ctx, c, v, m, publishingmsg.VideoPublishingRejected{VideoID: v.id, Reason: reason})
}

func (c *Component) retryPublishing(ctx context.Context, m messagestore.Message[publishingmsg.RetryPublishing]) error {
	v, err := c.video(ctx, m.Data.VideoID)
	if err != nil || v.done(m.GlobalPosition) {
		return err
	}
	reason := v.closedTo(m.Metadata.UserID)
	switch {
	case reason != "":
	case v.state != failed && v.state != canceled:
		reason = publishingmsg.NothingToRetry
	default:
		return answer(ctx, c, v, m, publishingmsg.VideoPublishingStarted{
			VideoID: v.id, OwnerID: v.ownerID, Attempt: v.attempt + 1,
			SourceURI: v.sourceURI, FileName: v.fileName, Bytes: v.bytes,
		})
	}
	return answer(ctx, c, v, m, publishingmsg.VideoPublishingRejected{VideoID: v.id, Reason: reason})
}

// cancelPublishing only decides; the work looks once a second whether it is wanted.
func (c *Component) cancelPublishing(ctx context.Context, m messagestore.Message[publishingmsg.CancelPublishing]) error {
	v, err := c.video(ctx, m.Data.VideoID)
	if err != nil || v.done(m.GlobalPosition) {
		return err
	}
	reason := v.closedTo(m.Metadata.UserID)
	switch {
	case reason != "":
	case v.state != publishing:
		reason = publishingmsg.NothingToCancel
	default:
		return answer(ctx, c, v, m, publishingmsg.VideoPublishingCanceled{VideoID: v.id, Attempt: v.attempt})
	}
	return answer(ctx, c, v, m, publishingmsg.VideoPublishingRejected{VideoID: v.id, Reason: reason})
}
