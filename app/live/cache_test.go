package live

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
)

func TestCacheKeepsUntilAProjectionChanges(t *testing.T) {
	t.Parallel()
	h := New(slog.New(slog.DiscardHandler))
	c := NewCache[int64](h, "viewcounts")
	var made atomic.Int64
	get := func() int64 {
		t.Helper()
		n, err := c.Get(t.Context(), func(context.Context) (int64, bool, error) { return made.Add(1), true, nil })
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if a, b := get(), get(); a == b {
		t.Error("kept before anything could be heard")
	}
	h.Resync()
	first := get()
	if get() != first {
		t.Error("made again although nothing has changed")
	}
	h.Notify("catalogue 1")
	if get() != first {
		t.Error("made again for another projection")
	}
	h.Notify("viewcounts/video/a 1")
	second := get()
	if second == first || get() != second {
		t.Error("a change of the projection was not noticed, or noticed twice")
	}
	h.Notify("viewcounts/video/a 1") // a second topic of one transaction
	if get() == second {
		t.Error("a second notification of one version was not noticed")
	}
	h.Deaf()
	if a, b := get(), get(); a == b {
		t.Error("kept while nothing is heard")
	}
	third := get()
	h.Resync()
	if get() == third {
		t.Error("kept over a time in which notifications were lost")
	}
}

// What changes while something is being made must not be kept for ever.
func TestCacheNoticesAChangeWhileMaking(t *testing.T) {
	t.Parallel()
	h := New(slog.New(slog.DiscardHandler))
	h.Resync()
	c := NewCache[string](h, "viewcounts")
	old, err := c.Get(t.Context(), func(context.Context) (string, bool, error) {
		h.Notify("viewcounts/total 1")
		return "old", true, nil
	})
	if err != nil || old != "old" {
		t.Fatal(old, err)
	}
	if now, err := c.Get(t.Context(), func(context.Context) (string, bool, error) { return "new", true, nil }); err != nil || now != "new" {
		t.Errorf("%q, %v", now, err)
	}
}

func TestCacheIsMadeOnceForAll(t *testing.T) {
	t.Parallel()
	h := New(slog.New(slog.DiscardHandler))
	h.Resync()
	c := NewCache[int64](h, "viewcounts")
	var made atomic.Int64
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if _, err := c.Get(t.Context(), func(context.Context) (int64, bool, error) { return made.Add(1), true, nil }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if made.Load() != 1 {
		t.Errorf("made %d times", made.Load())
	}
	broken := errors.New("away")
	h.Notify("viewcounts/total 1")
	if _, err := c.Get(t.Context(), func(context.Context) (int64, bool, error) { return 0, true, broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	if n, err := c.Get(t.Context(), func(context.Context) (int64, bool, error) { return 7, false, nil }); err != nil || n != 7 {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := c.Get(t.Context(), func(context.Context) (int64, bool, error) { return 8, true, nil }); err != nil || n != 8 {
		t.Errorf("what was not to be kept was kept: %d, %v", n, err)
	}
}

// A notification that never came is found by the poll, one that came is not taken
// for lost.
func TestPollFindsALostNotification(t *testing.T) {
	t.Parallel()
	h := New(slog.New(slog.DiscardHandler))
	c := NewCache[int](h, "viewcounts")
	made := 0
	get := func() int {
		t.Helper()
		n, err := c.Get(t.Context(), func(context.Context) (int, bool, error) { made++; return made, true, nil })
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	h.Resync()
	first := get()
	h.Poll(Versions{"viewcounts": 5})
	h.Poll(Versions{"viewcounts": 5})
	if get() != first || h.notified["viewcounts"] != 0 {
		t.Error("what was there when listening began is not lost")
	}
	h.Poll(Versions{"viewcounts": 6}) // its notification may be on the way
	if get() != first {
		t.Error("not given the time to arrive")
	}
	h.Poll(Versions{"viewcounts": 6})
	second := get()
	if second == first {
		t.Error("a lost notification was not noticed")
	}
	h.Poll(Versions{"viewcounts": 7})
	h.Notify("viewcounts/video/a 7")
	third := get()
	h.Poll(Versions{"viewcounts": 7})
	h.Poll(Versions{"viewcounts": 7})
	if get() != third || third == second {
		t.Error("a notification that came counts as lost")
	}
	h.Notify("viewcounts/video/a 1") // the view data was made anew
	fourth := get()
	h.Poll(Versions{"viewcounts": 1})
	h.Poll(Versions{"viewcounts": 1})
	if get() != fourth {
		t.Error("view data that was made anew counts as lost")
	}
}
