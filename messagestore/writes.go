package messagestore

import (
	"errors"
	"sync/atomic"
)

// Writes are what became of the writes to a category since the store was made.
type Writes struct {
	Written    int64 // messages
	Conflicts  int64 // that ended with [ErrWrongExpectedVersion]
	Duplicates int64 // that ended with [ErrDuplicateID]
	Errors     int64 // that ended otherwise: the message may have been written
}

// Writes returns what became of all writes by category.
func (s *Store) Writes() map[Category]Writes {
	all := map[Category]Writes{}
	s.writes.Range(func(category, counted any) bool {
		c := counted.(*writeCounts)
		all[category.(Category)] = Writes{c.written.Load(), c.conflicts.Load(), c.duplicates.Load(), c.errors.Load()}
		return true
	})
	return all
}

type writeCounts struct{ written, conflicts, duplicates, errors atomic.Int64 }

func (s *Store) count(category Category, err error) {
	counted, ok := s.writes.Load(category)
	if !ok {
		counted, _ = s.writes.LoadOrStore(category, new(writeCounts))
	}
	c := counted.(*writeCounts)
	switch {
	case err == nil:
		c.written.Add(1)
	case errors.Is(err, ErrWrongExpectedVersion):
		c.conflicts.Add(1)
	case errors.Is(err, ErrDuplicateID):
		c.duplicates.Add(1)
	default:
		c.errors.Add(1)
	}
}
