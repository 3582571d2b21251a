package videopublishing

import (
	"testing"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore/messagestoretest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	messagestoretest.Contract(t, "contract.md",
		publishingmsg.BeginUpload{}, publishingmsg.AbandonUpload{},
		publishingmsg.PublishVideo{}, publishingmsg.RetryPublishing{}, publishingmsg.CancelPublishing{},
		publishingmsg.NameVideo{}, publishingmsg.DescribeVideo{}, publishingmsg.ChangeVisibility{}, publishingmsg.DeleteVideo{},
		publishingmsg.AddCaptions{}, publishingmsg.RemoveCaptions{}, publishingmsg.SetChapters{}, publishingmsg.RemoveChapters{},
		publishingmsg.UploadBegun{}, publishingmsg.UploadRejected{}, publishingmsg.UploadAbandoned{},
		publishingmsg.VideoPublishingStarted{}, publishingmsg.VideoPublishingRejected{}, publishingmsg.RenditionTranscoded{}, publishingmsg.VideoPlayable{},
		publishingmsg.VideoPublished{}, publishingmsg.VideoPublishingFailed{}, publishingmsg.VideoPublishingCanceled{},
		publishingmsg.VideoNamed{}, publishingmsg.VideoNameRejected{}, publishingmsg.VideoDescribed{}, publishingmsg.VideoDescriptionRejected{},
		publishingmsg.VisibilityChanged{}, publishingmsg.VisibilityChangeRejected{},
		publishingmsg.CaptionsAdded{}, publishingmsg.CaptionsRemoved{}, publishingmsg.CaptionsRejected{},
		publishingmsg.ChaptersSet{}, publishingmsg.ChaptersRemoved{}, publishingmsg.ChaptersRejected{},
		publishingmsg.VideoDeleted{}, publishingmsg.VideoDeletionRejected{})
}
