package videopublishing

import (
	"context"
	"strings"
	"unicode/utf8"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
)

// mostName is how many characters a title may have.
const mostName = 100

func (c *Component) nameVideo(ctx context.Context, m messagestore.Message[publishingmsg.NameVideo]) error {
	v, err := c.video(ctx, m.Data.VideoID)
	if err != nil || v.done(m.GlobalPosition) {
		return err
	}
	name := strings.TrimSpace(m.Data.Name)
	reason := v.closedTo(m.Metadata.UserID)
	switch {
	case reason != "":
	case name == "":
		reason = publishingmsg.Blank
	case utf8.RuneCountInString(name) > mostName:
		reason = publishingmsg.TooLong
	case name == v.name:
		reason = publishingmsg.Same
	default:
		return answer(ctx, c, v, m, publishingmsg.VideoNamed{VideoID: v.id, Name: name})
	}
	return answer(ctx, c, v, m, publishingmsg.VideoNameRejected{VideoID: v.id, Name: name, Reason: reason})
}
