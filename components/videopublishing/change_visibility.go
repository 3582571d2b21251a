package videopublishing

import (
	"cmp"
	"context"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
)

func (c *Component) changeVisibility(ctx context.Context, m messagestore.Message[publishingmsg.ChangeVisibility]) error {
	v, err := c.video(ctx, m.Data.VideoID)
	if err != nil || v.done(m.GlobalPosition) {
		return err
	}
	wanted := m.Data.Visibility
	reason := v.closedTo(m.Metadata.UserID)
	switch {
	case reason != "":
	case wanted != publishingmsg.Public && wanted != publishingmsg.Unlisted && wanted != publishingmsg.Private:
		reason = publishingmsg.UnknownChoice
	case wanted == cmp.Or(v.visibility, publishingmsg.Public):
		reason = publishingmsg.Same
	default:
		return answer(ctx, c, v, m, publishingmsg.VisibilityChanged{VideoID: v.id, Visibility: wanted})
	}
	return answer(ctx, c, v, m, publishingmsg.VisibilityChangeRejected{VideoID: v.id, Visibility: wanted, Reason: reason})
}
