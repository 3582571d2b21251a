package signins

// Name is the projection's name: that of its checkpoint and the first part of its
// topics.
const Name = "signins"

// Topic says that somebody logged in as a person, tried to, or that a session ended.
func Topic(userID string) string { return Name + "/" + userID }
