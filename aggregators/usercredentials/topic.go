package usercredentials

// Name is the projection's name: that of its checkpoint and the first part of its
// topics.
const Name = "usercredentials"

// Topic says that a person's credentials have changed.
func Topic(userID string) string { return Name + "/" + userID }
