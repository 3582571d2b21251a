package catalogue

// Name is the projection's name: that of its checkpoint and of its topic.
const Name = "catalogue"

// Topic says that the list of published videos, or one of them, has changed.
const Topic = Name
