package admin

import (
	"encoding/json"

	"videotutorials/messagestore"
	"videotutorials/views"
)

// lines are messages as lists show them.
func lines(list []messagestore.Raw) []views.AdminMessage {
	shown := make([]views.AdminMessage, len(list))
	for i, m := range list {
		shown[i] = line(m)
	}
	return shown
}

func line(m messagestore.Raw) views.AdminMessage {
	origin := originOf(m)
	return views.AdminMessage{
		ID: m.ID, Stream: string(m.Stream), Category: string(m.Stream.Category()), Type: m.Type,
		Position: m.Position, GlobalPosition: m.GlobalPosition, At: m.Time, UserID: origin.user, TraceID: origin.trace,
	}
}

// origin is what the metadata of a message says, as far as it says it in a form that can be
// read: others than ours may write to the store.
type origin struct {
	user, trace string
	cause       int64 // global position; 0 for none
}

func originOf(m messagestore.Raw) (o origin) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(m.RawMetadata, &fields) != nil {
		return o
	}
	// One after the other: a field of another kind hides only itself.
	json.Unmarshal(fields["userId"], &o.user)
	json.Unmarshal(fields["traceId"], &o.trace)
	if json.Unmarshal(fields["causationMessageGlobalPosition"], &o.cause) != nil {
		o.cause = 0
	}
	return o
}
