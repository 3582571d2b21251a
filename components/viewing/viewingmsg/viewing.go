// Package viewingmsg is the wire contract of viewings: who writes or reads a
// message of this category imports this package and nothing else of it.
package viewingmsg

import "videotutorials/messagestore"

// Category holds one stream for each video: "viewing-<videoId>".
const Category messagestore.Category = "viewing"

// VideoViewed says that somebody has watched enough of a video for it to count.
type VideoViewed struct {
	// VideoID is the UUID of the video.
	VideoID string `json:"videoId"`
	// UserID is who watched; empty for a visitor who is not signed in.
	UserID string `json:"userId,omitempty"`
}

// MessageType returns "VideoViewed".
func (VideoViewed) MessageType() string { return "VideoViewed" }
