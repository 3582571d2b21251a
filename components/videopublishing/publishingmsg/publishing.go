// Package publishingmsg is the wire contract of video publishing: who writes or
// reads a message of this category imports this package and nothing else of it.
package publishingmsg

import (
	"time"

	"videotutorials/messagestore"
)

// Category holds one stream for each video: "videoPublishing-<videoId>".
const Category messagestore.Category = "videoPublishing"

// Who may find and watch a video.
const (
	// Public videos are listed.
	Public = "public"
	// Unlisted videos can be watched by whoever has the link.
	Unlisted = "unlisted"
	// Private videos are shown to their owner only.
	Private = "private"
)

// Why something was refused or failed.
const (
	Blank          = "blank"
	TooLong        = "too-long"
	Same           = "same"
	NotOwner       = "not-owner"
	NotFound       = "not-found"
	Deleted        = "deleted"
	AlreadyBegun   = "already-begun"
	AlreadyStarted = "already-started"
	// NothingToRetry and NothingToCancel: the video is in no state for it.
	NothingToRetry  = "nothing-to-retry"
	NothingToCancel = "nothing-to-cancel"
	UnknownChoice   = "unknown-choice"
	TooMany         = "too-many"

	NotAVideo     = "not-a-video"
	NoVideoTrack  = "no-video-track"
	FilmTooLong   = "film-too-long"
	TooBig        = "too-big" // the picture
	Damaged       = "damaged"
	TookTooLong   = "took-too-long"
	TooMuchOutput = "too-much-output"
	NeedsFFmpeg   = "needs-ffmpeg"
	SourceMissing = "source-missing"
	// OurFault: the work failed again and again for no fault of the file.
	OurFault = "our-fault"
)

// SourceKey is where the media store keeps the file that was handed in for a video.
func SourceKey(videoID string) string { return "uploads/" + videoID }

// Progress is how far the work on a video has come. It is no message: it is true only
// for a moment.
type Progress struct {
	VideoID string `json:"videoId"`
	OwnerID string `json:"ownerId"`
	Attempt int    `json:"attempt"`
	// Step is "probing", "first", "rest" or "finishing".
	Step string `json:"step"`
	// Percent is over all steps.
	Percent int `json:"percent"`
	// Remaining is an estimate; zero where there is none yet.
	Remaining time.Duration `json:"remaining"`
}

// ProgressTopic names the progress of a video; below [ProgressTopics] of its owner.
func ProgressTopic(ownerID, videoID string) string { return ProgressTopics(ownerID) + videoID }

// ProgressTopics is the prefix of the progress of all videos of a person.
func ProgressTopics(ownerID string) string { return "progress/" + ownerID + "/" }

// BeginUpload says that a person has begun to hand in a file.
type BeginUpload struct {
	// VideoID is the UUID of the new video.
	VideoID string `json:"videoId"`
	// OwnerID is the UUID of the person.
	OwnerID string `json:"ownerId"`
	// FileName is what the file is called on their machine.
	FileName string `json:"fileName,omitempty"`
	// Bytes is how long the file is said to be.
	Bytes int64 `json:"bytes,omitempty"`
}

// MessageType returns "BeginUpload".
func (BeginUpload) MessageType() string { return "BeginUpload" }

// AbandonUpload gives up an upload that was not finished.
type AbandonUpload struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
}

// MessageType returns "AbandonUpload".
func (AbandonUpload) MessageType() string { return "AbandonUpload" }

// PublishVideo asks for a file that was handed in to be published.
type PublishVideo struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// OwnerID is the UUID of who publishes it.
	OwnerID string `json:"ownerId"`
	// SourceURI is the file: a key of the media store.
	SourceURI string `json:"sourceUri"`
	// FileName is what it was called on their machine.
	FileName string `json:"fileName,omitempty"`
	// Bytes is its length.
	Bytes int64 `json:"bytes,omitempty"`
}

// MessageType returns "PublishVideo".
func (PublishVideo) MessageType() string { return "PublishVideo" }

// RetryPublishing asks for another attempt after one that failed or was canceled.
type RetryPublishing struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
}

// MessageType returns "RetryPublishing".
func (RetryPublishing) MessageType() string { return "RetryPublishing" }

// CancelPublishing asks for the work on a video to stop.
type CancelPublishing struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
}

// MessageType returns "CancelPublishing".
func (CancelPublishing) MessageType() string { return "CancelPublishing" }

// NameVideo asks for a new title.
type NameVideo struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// Name is the title.
	Name string `json:"name"`
}

// MessageType returns "NameVideo".
func (NameVideo) MessageType() string { return "NameVideo" }

// DescribeVideo asks for a new description.
type DescribeVideo struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// Description is plain text.
	Description string `json:"description"`
}

// MessageType returns "DescribeVideo".
func (DescribeVideo) MessageType() string { return "DescribeVideo" }

// ChangeVisibility says who may find and watch a video.
type ChangeVisibility struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// Visibility is [Public], [Unlisted] or [Private].
	Visibility string `json:"visibility"`
}

// MessageType returns "ChangeVisibility".
func (ChangeVisibility) MessageType() string { return "ChangeVisibility" }

// DeleteVideo asks for a video and its files to go. Its history stays.
type DeleteVideo struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
}

// MessageType returns "DeleteVideo".
func (DeleteVideo) MessageType() string { return "DeleteVideo" }

// AddCaptions adds captions that were checked and stored.
type AddCaptions struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// CaptionsID is the UUID of these captions.
	CaptionsID string `json:"captionsId"`
	// Language is a BCP 47 tag: "en".
	Language string `json:"language"`
	// Label is what the menu calls them: "English".
	Label string `json:"label"`
	// URI is the WebVTT file, as a path on this site.
	URI string `json:"uri"`
}

// MessageType returns "AddCaptions".
func (AddCaptions) MessageType() string { return "AddCaptions" }

// RemoveCaptions takes captions away.
type RemoveCaptions struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// CaptionsID is the UUID of the captions.
	CaptionsID string `json:"captionsId"`
}

// MessageType returns "RemoveCaptions".
func (RemoveCaptions) MessageType() string { return "RemoveCaptions" }

// SetChapters gives a video chapters that were checked and stored.
type SetChapters struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// URI is the WebVTT file, as a path on this site.
	URI string `json:"uri"`
}

// MessageType returns "SetChapters".
func (SetChapters) MessageType() string { return "SetChapters" }

// RemoveChapters takes the chapters away.
type RemoveChapters struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
}

// MessageType returns "RemoveChapters".
func (RemoveChapters) MessageType() string { return "RemoveChapters" }

// UploadBegun says that a person is handing in a file.
type UploadBegun struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// OwnerID is the UUID of the person.
	OwnerID string `json:"ownerId"`
	// FileName is what the file is called on their machine.
	FileName string `json:"fileName,omitempty"`
	// Bytes is how long the file is said to be.
	Bytes int64 `json:"bytes,omitempty"`
}

// MessageType returns "UploadBegun".
func (UploadBegun) MessageType() string { return "UploadBegun" }

// UploadRejected says why an upload was not begun or not given up.
type UploadRejected struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// Reason is a code that says why.
	Reason string `json:"reason"`
}

// MessageType returns "UploadRejected".
func (UploadRejected) MessageType() string { return "UploadRejected" }

// UploadAbandoned says that an upload was given up; nothing of it is kept.
type UploadAbandoned struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
}

// MessageType returns "UploadAbandoned".
func (UploadAbandoned) MessageType() string { return "UploadAbandoned" }

// VideoPublishingStarted says that the work on a video goes on from here.
type VideoPublishingStarted struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// OwnerID is the UUID of who publishes it.
	OwnerID string `json:"ownerId"`
	// SourceURI is the file that was handed in: a key of the media store.
	SourceURI string `json:"sourceUri"`
	// Attempt counts from 1; a retry is a new one.
	Attempt int `json:"attempt,omitempty"`
	// FileName is what it was called on their machine.
	FileName string `json:"fileName,omitempty"`
	// Bytes is its length.
	Bytes int64 `json:"bytes,omitempty"`
}

// MessageType returns "VideoPublishingStarted".
func (VideoPublishingStarted) MessageType() string { return "VideoPublishingStarted" }

// VideoPublishingRejected says why nothing was started, tried again or canceled.
type VideoPublishingRejected struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// Reason is a code that says why.
	Reason string `json:"reason"`
}

// MessageType returns "VideoPublishingRejected".
func (VideoPublishingRejected) MessageType() string { return "VideoPublishingRejected" }

// RenditionTranscoded says that one rendition of a video is complete.
type RenditionTranscoded struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// Attempt counts from 1; a retry is a new one.
	Attempt int `json:"attempt,omitempty"`
	// Name is its short side: "360p".
	Name string `json:"name"`
	// Width and Height are the size of the picture in pixels.
	Width  int `json:"width,omitempty"`
	Height int `json:"height,omitempty"`
	// BitsPerSecond is the most that it needs.
	BitsPerSecond int64 `json:"bitsPerSecond"`
	// Bytes is the length of its files.
	Bytes int64 `json:"bytes"`
}

// MessageType returns "RenditionTranscoded".
func (RenditionTranscoded) MessageType() string { return "RenditionTranscoded" }

// VideoPlayable says that a video can be watched in its first rendition, while others are
// being made.
type VideoPlayable struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// OwnerID is the UUID of who publishes it.
	OwnerID string `json:"ownerId"`
	// Attempt counts from 1; a retry is a new one.
	Attempt int `json:"attempt,omitempty"`
	// HLSURI is the master playlist, as a path on this site.
	HLSURI string `json:"hlsUri"`
	// PosterURI is a still picture of it, as a path on this site; empty for none.
	PosterURI string `json:"posterUri,omitempty"`
	// DurationMS is its length in milliseconds; zero where it is not known.
	DurationMS int64 `json:"durationMs,omitempty"`
	// Width and Height are the size of the picture in pixels.
	Width  int `json:"width,omitempty"`
	Height int `json:"height,omitempty"`
}

// MessageType returns "VideoPlayable".
func (VideoPlayable) MessageType() string { return "VideoPlayable" }

// VideoPublished says that a video can be watched, and that all of it is there.
type VideoPublished struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// OwnerID is the UUID of who publishes it.
	OwnerID string `json:"ownerId"`
	// SourceURI is the file that was handed in: a key of the media store.
	SourceURI string `json:"sourceUri"`
	// TranscodedURI is one file that browsers play, as a path on this site.
	TranscodedURI string `json:"transcodedUri"`
	// HLSURI is the master playlist of all renditions, as a path on this site; empty for none.
	HLSURI string `json:"hlsUri,omitempty"`
	// PosterURI is a still picture of it, as a path on this site; empty for none.
	PosterURI string `json:"posterUri,omitempty"`
	// StoryboardURI is a WebVTT file of small pictures for the seek bar, as a path on this site; empty for none.
	StoryboardURI string `json:"storyboardUri,omitempty"`
	// DurationMS is its length in milliseconds; zero where it is not known.
	DurationMS int64 `json:"durationMs,omitempty"`
	// Width and Height are the size of the picture in pixels.
	Width  int `json:"width,omitempty"`
	Height int `json:"height,omitempty"`
	// Attempt counts from 1; a retry is a new one.
	Attempt int `json:"attempt,omitempty"`
}

// MessageType returns "VideoPublished".
func (VideoPublished) MessageType() string { return "VideoPublished" }

// VideoPublishingFailed says why a file could not be published.
type VideoPublishingFailed struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// OwnerID is the UUID of who publishes it.
	OwnerID string `json:"ownerId"`
	// SourceURI is the file that was handed in: a key of the media store.
	SourceURI string `json:"sourceUri"`
	// Attempt counts from 1; a retry is a new one.
	Attempt int `json:"attempt,omitempty"`
	// Reason is a code that says why.
	Reason string `json:"reason"`
}

// MessageType returns "VideoPublishingFailed".
func (VideoPublishingFailed) MessageType() string { return "VideoPublishingFailed" }

// VideoPublishingCanceled says that the work on a video was stopped.
type VideoPublishingCanceled struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// Attempt counts from 1; a retry is a new one.
	Attempt int `json:"attempt,omitempty"`
}

// MessageType returns "VideoPublishingCanceled".
func (VideoPublishingCanceled) MessageType() string { return "VideoPublishingCanceled" }

// VideoNamed says that a video has a new title.
type VideoNamed struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// Name is the title.
	Name string `json:"name"`
}

// MessageType returns "VideoNamed".
func (VideoNamed) MessageType() string { return "VideoNamed" }

// VideoNameRejected says why a title was not taken.
type VideoNameRejected struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// Name is the title.
	Name string `json:"name"`
	// Reason is a code that says why.
	Reason string `json:"reason"`
}

// MessageType returns "VideoNameRejected".
func (VideoNameRejected) MessageType() string { return "VideoNameRejected" }

// VideoDescribed says that a video has a new description.
type VideoDescribed struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// Description is plain text.
	Description string `json:"description"`
}

// MessageType returns "VideoDescribed".
func (VideoDescribed) MessageType() string { return "VideoDescribed" }

// VideoDescriptionRejected says why a description was not taken.
type VideoDescriptionRejected struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// Description is plain text.
	Description string `json:"description"`
	// Reason is a code that says why.
	Reason string `json:"reason"`
}

// MessageType returns "VideoDescriptionRejected".
func (VideoDescriptionRejected) MessageType() string { return "VideoDescriptionRejected" }

// VisibilityChanged says who may find and watch a video from now on.
type VisibilityChanged struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// Visibility is [Public], [Unlisted] or [Private].
	Visibility string `json:"visibility"`
}

// MessageType returns "VisibilityChanged".
func (VisibilityChanged) MessageType() string { return "VisibilityChanged" }

// VisibilityChangeRejected says why that stays as it is.
type VisibilityChangeRejected struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// Visibility is what was asked for.
	Visibility string `json:"visibility"`
	// Reason is a code that says why.
	Reason string `json:"reason"`
}

// MessageType returns "VisibilityChangeRejected".
func (VisibilityChangeRejected) MessageType() string { return "VisibilityChangeRejected" }

// VideoDeleted says that a video is gone, and its files with it.
type VideoDeleted struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
}

// MessageType returns "VideoDeleted".
func (VideoDeleted) MessageType() string { return "VideoDeleted" }

// VideoDeletionRejected says why a video was not deleted.
type VideoDeletionRejected struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// Reason is a code that says why.
	Reason string `json:"reason"`
}

// MessageType returns "VideoDeletionRejected".
func (VideoDeletionRejected) MessageType() string { return "VideoDeletionRejected" }

// CaptionsAdded says that a video has captions.
type CaptionsAdded struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// CaptionsID is the UUID of these captions.
	CaptionsID string `json:"captionsId"`
	// Language is a BCP 47 tag: "en".
	Language string `json:"language"`
	// Label is what the menu calls them: "English".
	Label string `json:"label"`
	// URI is the WebVTT file, as a path on this site.
	URI string `json:"uri"`
}

// MessageType returns "CaptionsAdded".
func (CaptionsAdded) MessageType() string { return "CaptionsAdded" }

// CaptionsRemoved says that captions are gone.
type CaptionsRemoved struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// CaptionsID is the UUID of the captions.
	CaptionsID string `json:"captionsId"`
	// URI is the file that goes with them.
	URI string `json:"uri"`
}

// MessageType returns "CaptionsRemoved".
func (CaptionsRemoved) MessageType() string { return "CaptionsRemoved" }

// CaptionsRejected says why captions were not added or removed.
type CaptionsRejected struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// CaptionsID is the UUID of the captions.
	CaptionsID string `json:"captionsId"`
	// Reason is a code that says why.
	Reason string `json:"reason"`
}

// MessageType returns "CaptionsRejected".
func (CaptionsRejected) MessageType() string { return "CaptionsRejected" }

// ChaptersSet says that a video has chapters.
type ChaptersSet struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// URI is the WebVTT file, as a path on this site.
	URI string `json:"uri"`
	// Replaces is the file of the chapters before; empty for none.
	Replaces string `json:"replaces,omitempty"`
}

// MessageType returns "ChaptersSet".
func (ChaptersSet) MessageType() string { return "ChaptersSet" }

// ChaptersRemoved says that a video has no chapters any more.
type ChaptersRemoved struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// URI is the file that goes with them.
	URI string `json:"uri"`
}

// MessageType returns "ChaptersRemoved".
func (ChaptersRemoved) MessageType() string { return "ChaptersRemoved" }

// ChaptersRejected says why chapters were not set or removed.
type ChaptersRejected struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// Reason is a code that says why.
	Reason string `json:"reason"`
}

// MessageType returns "ChaptersRejected".
func (ChaptersRejected) MessageType() string { return "ChaptersRejected" }
