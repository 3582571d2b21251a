package creatorsvideos

// Name is the projection's name: that of its checkpoint and the first part of its
// topics.
const Name = "creatorsvideos"

// Topic says that one of a person's videos has changed.
func Topic(ownerID string) string { return Name + "/" + ownerID }
