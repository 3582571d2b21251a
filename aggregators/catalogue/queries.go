package catalogue

import "time"

// Video is one published lesson as the site lists it.
type Video struct {
	// ID is the video's UUID, also the id of its streams.
	ID string
	// Title is the latest accepted name; empty until one was given.
	Title string
	// Description is one or two plain sentences; it may be empty.
	Description string
	// Duration is the length of the video; zero where it is not known.
	Duration time.Duration
	// Source is the URL path of the playable file.
	Source string
	// Poster is the URL path of the still picture; empty where there is none.
	Poster string
	// PublishedAt is when the video was published, in UTC.
	PublishedAt time.Time
}
