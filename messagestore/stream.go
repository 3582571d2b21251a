package messagestore

import "strings"

// Category is the part of a stream name before the first dash, with its types:
// "viewing", "identity:command". All streams of a category can be read as one.
type Category string

// Stream is the full name of a stream: a category, a dash and an id, as in
// "viewing-5f0c…". A name without a dash is a category's name.
type Stream string

// Stream returns the name of the stream that holds the events of one entity.
func (c Category) Stream(id string) Stream { return Stream(string(c) + "-" + id) }

// Commands returns the category of the commands sent to c: "identity:command".
func (c Category) Commands() Category { return c + ":command" }

// CommandStream returns the name of the stream that holds the commands for one
// entity: "identity:command-5f0c…".
func (c Category) CommandStream(id string) Stream { return c.Commands().Stream(id) }

// Category returns the part of the name before the first dash.
func (s Stream) Category() Category {
	category, _, _ := strings.Cut(string(s), "-")
	return Category(category)
}

// ID returns the part of the name after the first dash, empty where there is none.
func (s Stream) ID() string {
	_, id, _ := strings.Cut(string(s), "-")
	return id
}

// CardinalID returns the first part of a compound id: "a" of "account-a+b". It
// decides which member of a consumer group reads the stream.
func (s Stream) CardinalID() string {
	cardinal, _, _ := strings.Cut(s.ID(), "+")
	return cardinal
}
