package videooperations

// Name is the projection's name: that of its checkpoint and the first part of its
// topics.
const Name = "videooperations"

// Topic says that there is an outcome of what was asked for under a trace.
func Topic(traceID string) string { return Name + "/" + traceID }
