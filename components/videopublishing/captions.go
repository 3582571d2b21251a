package videopublishing

import (
	"context"
	"regexp"
	"strings"
	"unicode/utf8"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
)

const (
	// mostCaptions is how many captions a video may have.
	mostCaptions = 20
	// mostLabel is how many characters the name of captions in the menu may have.
	mostLabel = 50
)

// language is the form of a BCP 47 tag, as far as browsers look at it.
var language = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}$`)

func (c *Component) addCaptions(ctx context.Context, m messagestore.Message[publishingmsg.AddCaptions]) error {
	v, err := c.video(ctx, m.Data.VideoID)
	if err != nil || v.done(m.GlobalPosition) {
		return err
	}
	label := strings.TrimSpace(m.Data.Label)
	_, used := v.captions[m.Data.CaptionsID]
	reason := v.closedTo(m.Metadata.UserID)
	switch {
	case reason != "":
	case label == "":
		reason = publishingmsg.Blank
	case utf8.RuneCountInString(label) > mostLabel:
		reason = publishingmsg.TooLong
	case !language.MatchString(m.Data.Language):
		reason = publishingmsg.UnknownChoice
	case !v.owns(m.Data.URI):
		reason = publishingmsg.NotFound
	case used || v.uses(m.Data.URI): // also those that were removed: their file is on its way out
		reason = publishingmsg.Same
	case v.captionsCount() >= mostCaptions:
		reason = publishingmsg.TooMany
	default:
		return answer(ctx, c, v, m, publishingmsg.CaptionsAdded{
			VideoID: v.id, CaptionsID: m.Data.CaptionsID, Language: m.Data.Language, Label: label, URI: m.Data.URI,
		})
	}
	return answer(ctx, c, v, m, publishingmsg.CaptionsRejected{VideoID: v.id, CaptionsID: m.Data.CaptionsID, Reason: reason})
}

func (c *Component) removeCaptions(ctx context.Context, m messagestore.Message[publishingmsg.RemoveCaptions]) error {
	v, err := c.video(ctx, m.Data.VideoID)
	if err != nil || v.done(m.GlobalPosition) {
		return err
	}
	uri := v.captions[m.Data.CaptionsID]
	reason := v.closedTo(m.Metadata.UserID)
	switch {
	case reason != "":
	case uri == "":
		reason = publishingmsg.NotFound
	default:
		return answer(ctx, c, v, m, publishingmsg.CaptionsRemoved{VideoID: v.id, CaptionsID: m.Data.CaptionsID, URI: uri})
	}
	return answer(ctx, c, v, m, publishingmsg.CaptionsRejected{VideoID: v.id, CaptionsID: m.Data.CaptionsID, Reason: reason})
}
