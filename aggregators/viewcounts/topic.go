package viewcounts

import "strings"

// Name is the projection's name: that of its checkpoint and the first part of its
// topics.
const Name = "viewcounts"

const (
	// AnyVideo stands for the counts of all videos.
	AnyVideo = Name + "/video/"
	// TotalTopic says that the number of videos watched has changed.
	TotalTopic = Name + "/total"
)

// Topic says that a video's count has changed.
func Topic(videoID string) string { return AnyVideo + videoID }

// VideoOf returns the video that a topic is about.
func VideoOf(topic string) (videoID string, ok bool) { return strings.CutPrefix(topic, AnyVideo) }
