package messagestore_test

import (
	"testing"

	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

func TestWritesAreNoted(t *testing.T) {
	t.Parallel()
	store := messagestore.New(dbtest.New(t).MessageStore)
	var noted []messagestore.Written
	ctx := messagestore.NoteWrites(within(t), func(w messagestore.Written) { noted = append(noted, w) })
	id, stream := messagestore.NewID(), accounts.Stream("1")
	for range 2 { // the second is there already, and nothing is written
		_, _ = store.Write(ctx, stream, deposited{"1", 1}, messagestore.WithID(id), messagestore.WithMetadata(messagestore.Metadata{TraceID: "t"}))
	}
	want := messagestore.Written{ID: id, Stream: stream, Type: deposited{}.MessageType(), Metadata: messagestore.Metadata{TraceID: "t"}}
	if len(noted) != 1 || noted[0] != want {
		t.Errorf("noted %+v", noted)
	}
}
