package videopublishing

import (
	"maps"
	"slices"
	"strings"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/media"
	"videotutorials/messagestore"
)

// video is a video as its events tell it; the zero value is one that nobody has begun.
type video struct {
	id       string
	version  int64 // of the stream, when it was fetched
	sequence int64 // global position of the last command that was answered

	state             state
	ownerID           string
	name, description string
	visibility        string            // empty: public, as every video begins
	captions          map[string]string // their files by their ids; empty: removed
	chapters          string            // the file; empty: none

	// Of the last attempt; 0: there was none.
	attempt             int
	sourceURI, fileName string
	bytes               int64
	transcoded          []publishingmsg.RenditionTranscoded
	playable            bool
}

// state is how far a video has come.
type state int

const (
	unknown    state = iota
	uploading        // the file is being handed in
	publishing       // an attempt is under way
	published
	failed
	canceled
	gone // deleted, or given up before it was anything
)

// done reports whether a command to the video has been answered. It compares the
// command's own position, which each answer carries: commands of one stream are
// handled in order.
func (v *video) done(position int64) bool { return v.sequence >= position }

// closedTo says why a person can do nothing with the video; empty where they can.
func (v *video) closedTo(userID string) string {
	switch {
	case v.state == unknown:
		return publishingmsg.NotFound
	case v.state == gone:
		return publishingmsg.Deleted
	case v.ownerID != userID:
		return publishingmsg.NotOwner
	}
	return ""
}

// works reports whether an attempt is still to be worked on.
func (v *video) works(attempt int) bool { return v.state == publishing && v.attempt == attempt }

// owns reports whether a path on this site is that of a file of the video's.
func (v *video) owns(uri string) bool {
	key, ok := media.Key(uri)
	return ok && strings.HasPrefix(key, v.id+"/")
}

// uses reports whether the captions or the chapters are in a file.
func (v *video) uses(uri string) bool {
	return uri == v.chapters || slices.Contains(slices.Collect(maps.Values(v.captions)), uri)
}

// captionsCount is how many captions the video has.
func (v *video) captionsCount() (n int) {
	for _, uri := range v.captions {
		if uri != "" {
			n++
		}
	}
	return n
}

var appliers = []messagestore.Applier[video]{
	apply(func(v *video, m messagestore.Message[publishingmsg.UploadBegun]) {
		v.state, v.ownerID = uploading, m.Data.OwnerID
	}),
	apply(func(v *video, m messagestore.Message[publishingmsg.UploadRejected]) {}),
	apply(func(v *video, m messagestore.Message[publishingmsg.UploadAbandoned]) { v.state = gone }),
	apply(func(v *video, m messagestore.Message[publishingmsg.VideoPublishingStarted]) {
		v.state, v.ownerID = publishing, m.Data.OwnerID
		v.attempt, v.sourceURI, v.fileName, v.bytes = m.Data.Attempt, m.Data.SourceURI, m.Data.FileName, m.Data.Bytes
		v.transcoded, v.playable = nil, false
	}),
	apply(func(v *video, m messagestore.Message[publishingmsg.VideoPublishingRejected]) {}),
	apply(func(v *video, m messagestore.Message[publishingmsg.RenditionTranscoded]) {
		v.transcoded = append(v.transcoded, m.Data)
	}),
	apply(func(v *video, m messagestore.Message[publishingmsg.VideoPlayable]) { v.playable = true }),
	apply(func(v *video, m messagestore.Message[publishingmsg.VideoPublished]) {
		v.finish(published, m.Data.OwnerID, m.Data.SourceURI)
	}),
	apply(func(v *video, m messagestore.Message[publishingmsg.VideoPublishingFailed]) {
		v.finish(failed, m.Data.OwnerID, m.Data.SourceURI)
	}),
	apply(func(v *video, m messagestore.Message[publishingmsg.VideoPublishingCanceled]) { v.state = canceled }),
	apply(func(v *video, m messagestore.Message[publishingmsg.VideoNamed]) { v.name = m.Data.Name }),
	apply(func(v *video, m messagestore.Message[publishingmsg.VideoNameRejected]) {}),
	apply(func(v *video, m messagestore.Message[publishingmsg.VideoDescribed]) {
		v.description = m.Data.Description
	}),
	apply(func(v *video, m messagestore.Message[publishingmsg.VideoDescriptionRejected]) {}),
	apply(func(v *video, m messagestore.Message[publishingmsg.VisibilityChanged]) {
		v.visibility = m.Data.Visibility
	}),
	apply(func(v *video, m messagestore.Message[publishingmsg.VisibilityChangeRejected]) {}),
	apply(func(v *video, m messagestore.Message[publishingmsg.CaptionsAdded]) {
		v.setCaptions(m.Data.CaptionsID, m.Data.URI)
	}),
	apply(func(v *video, m messagestore.Message[publishingmsg.CaptionsRemoved]) {
		v.setCaptions(m.Data.CaptionsID, "")
	}),
	apply(func(v *video, m messagestore.Message[publishingmsg.CaptionsRejected]) {}),
	apply(func(v *video, m messagestore.Message[publishingmsg.ChaptersSet]) { v.chapters = m.Data.URI }),
	apply(func(v *video, m messagestore.Message[publishingmsg.ChaptersRemoved]) { v.chapters = "" }),
	apply(func(v *video, m messagestore.Message[publishingmsg.ChaptersRejected]) {}),
	apply(func(v *video, m messagestore.Message[publishingmsg.VideoDeleted]) { v.state = gone }),
	apply(func(v *video, m messagestore.Message[publishingmsg.VideoDeletionRejected]) {}),
}

// apply returns an applier that also remembers the command that an event answers. An
// event that names no cause is of another program, which answered what came before it.
func apply[T messagestore.Body](change func(*video, messagestore.Message[T])) messagestore.Applier[video] {
	return messagestore.Apply(func(v *video, m messagestore.Message[T]) {
		switch m.Metadata.CausationMessageStreamName {
		case publishingmsg.Category.CommandStream(m.Stream.ID()):
			v.sequence = max(v.sequence, m.Metadata.CausationMessageGlobalPosition)
		case "":
			v.sequence = max(v.sequence, m.GlobalPosition)
		}
		change(v, m)
	})
}

// finish ends an attempt. Videos of another program were published without one that
// began.
func (v *video) finish(as state, ownerID, sourceURI string) {
	v.state, v.ownerID, v.sourceURI = as, ownerID, sourceURI
}

func (v *video) setCaptions(id, uri string) {
	if v.captions == nil {
		v.captions = map[string]string{}
	}
	v.captions[id] = uri
}
