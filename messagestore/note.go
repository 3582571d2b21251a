package messagestore

import "context"

// Written names a message that was written.
type Written struct {
	ID       string
	Stream   Stream
	Type     string
	Position int64 // in the stream
	Metadata Metadata
}

type noteKey struct{}

// NoteWrites returns a context with which [Store.Write] tells f of each message that it
// has written. What was there already is not told of, nor what was written although no
// answer came. f is called by whoever writes, which may be several at once.
func NoteWrites(ctx context.Context, f func(Written)) context.Context {
	return context.WithValue(ctx, noteKey{}, f)
}

func note(ctx context.Context, written Written) {
	if f, ok := ctx.Value(noteKey{}).(func(Written)); ok {
		f(written)
	}
}
