package videopublishing

import (
	"context"
	"strings"
	"unicode/utf8"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
)

// mostDescription is how many characters a description may have.
const mostDescription = 5000

func (c *Component) describeVideo(ctx context.Context, m messagestore.Message[publishingmsg.DescribeVideo]) error {
	v, err := c.video(ctx, m.Data.VideoID)
	if err != nil || v.done(m.GlobalPosition) {
		return err
	}
	// Browsers send a line's end as two characters, of which nobody sees one.
	description := strings.TrimSpace(strings.ReplaceAll(m.Data.Description, "\r\n", "\n"))
	reason := v.closedTo(m.Metadata.UserID)
	switch {
	case reason != "":
	case utf8.RuneCountInString(description) > mostDescription:
		reason = publishingmsg.TooLong
	case description == v.description:
		reason = publishingmsg.Same
	default:
		return answer(ctx, c, v, m, publishingmsg.VideoDescribed{VideoID: v.id, Description: description})
	}
	return answer(ctx, c, v, m, publishingmsg.VideoDescriptionRejected{VideoID: v.id, Description: description, Reason: reason})
}
