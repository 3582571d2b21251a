package messagestore

import (
	"context"
	"fmt"
)

// Applier folds messages of one type into an entity. Make one with [Apply].
type Applier[E any] struct {
	kind  string
	apply func(*E, Raw) error
}

// Apply returns an applier for the type of T. A method expression fits:
//
//	messagestore.Apply((*Account).deposited)
func Apply[E any, T Body](apply func(*E, Message[T])) Applier[E] {
	var body T
	return Applier[E]{kind: body.MessageType(), apply: func(entity *E, r Raw) error {
		m, err := Decode[T](r)
		if err != nil {
			return err
		}
		apply(entity, m)
		return nil
	}}
}

// Fetch reads a stream to its end and folds its messages into an entity whose
// zero value means that nothing has happened yet. It returns the entity with the
// version to expect when writing what was decided on it, [NoStream] for an empty
// stream. Messages without an applier count for the version only.
func Fetch[E any](ctx context.Context, s *Store, stream Stream, appliers ...Applier[E]) (entity E, version int64, err error) {
	version = NoStream
	for r, err := range s.Read(ctx, stream, 0) {
		if err != nil {
			return entity, version, fmt.Errorf("fetch: %w", err)
		}
		for _, a := range appliers {
			if a.kind == r.Type {
				if err := a.apply(&entity, r); err != nil {
					return entity, version, fmt.Errorf("fetch: %w", err)
				}
			}
		}
		version = r.Position
	}
	return entity, version, nil
}
