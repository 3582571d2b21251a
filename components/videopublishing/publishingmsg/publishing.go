// Package publishingmsg is the wire contract of video publishing: who writes or
// reads a message of this category imports this package and nothing else of it.
package publishingmsg

import "videotutorials/messagestore"

// Category holds one stream for each video: "videoPublishing-<videoId>".
const Category messagestore.Category = "videoPublishing"

// VideoPublished says that a video can be watched.
type VideoPublished struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// OwnerID is the UUID of who published it.
	OwnerID string `json:"ownerId"`
	// SourceURI is the file that was handed in.
	SourceURI string `json:"sourceUri"`
	// TranscodedURI is the file that browsers play, as a path on this site.
	TranscodedURI string `json:"transcodedUri"`
	// PosterURI is a still picture of it, as a path on this site; empty for none.
	PosterURI string `json:"posterUri,omitempty"`
	// DurationMS is its length in milliseconds; zero where it is not known.
	DurationMS int64 `json:"durationMs,omitempty"`
	// Width and Height are the size of the picture in pixels.
	Width  int `json:"width,omitempty"`
	Height int `json:"height,omitempty"`
}

// MessageType returns "VideoPublished".
func (VideoPublished) MessageType() string { return "VideoPublished" }

// VideoNamed says that a video has a new title.
type VideoNamed struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// Name is the title.
	Name string `json:"name"`
}

// MessageType returns "VideoNamed".
func (VideoNamed) MessageType() string { return "VideoNamed" }

// VideoDescribed says that a video has a new description.
type VideoDescribed struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// Description is plain text.
	Description string `json:"description"`
}

// MessageType returns "VideoDescribed".
func (VideoDescribed) MessageType() string { return "VideoDescribed" }
