package views

// The ids of the fragments that can be swapped. Each has its root element carry the id, and
// none starts with a digit: such an id is no valid selector.
const (
	// VideosWatchedID is the id of the total over all videos.
	VideosWatchedID = "videos-watched"
	// LessonsID is the id of the list of lessons on the home page.
	LessonsID = "lessons"
)

// ViewCountID is the id of a video's view count.
func ViewCountID(videoID string) string { return "view-count-" + videoID }

// ViewingID is the id of the line beside the player that says whether this viewing is counted.
func ViewingID(videoID string) string { return "viewing-" + videoID }

// RecordViewingID is the id of the form that records a viewing of the video.
func RecordViewingID(videoID string) string { return "record-viewing-" + videoID }

// WatchPath is the path of the page that plays the video.
func WatchPath(videoID string) string { return "/videos/" + videoID }

// RecordViewingPath is the path that takes the form that records a viewing of the video.
func RecordViewingPath(videoID string) string { return "/record-viewing/" + videoID }
