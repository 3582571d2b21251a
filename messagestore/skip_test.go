package messagestore_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

// What is skipped while a rebuild is ready is left out of the copy too, also where the copy
// has parked the stream for it. Where the copy has applied it, the rebuild cannot go on.
func TestASkipDuringARebuild(t *testing.T) {
	t.Parallel()
	for name, mended := range map[string]bool{"the copy has it parked": false, "the copy has applied it": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := dbtest.New(t)
			store := messagestore.New(database.MessageStore)
			sub := messagestore.RetryQuickly(ledger(t, database, store, poison("account-3")))
			depositMany(t, database, 40, 10)
			all, stop := run(t, database, sub)
			caughtUp(t, store, all)
			await(t, sub, func(s messagestore.Status) bool { return s.State == messagestore.Parked })
			code := poison("account-3")
			if mended {
				code = nil
			}
			r, _ := rebuilds(t, database, store, ledger(t, database, store, code))
			started(t, r, "ledger")
			comesTo(t, r, "ledger", messagestore.RebuildReady)
			ok(t, all.Skip(within(t), "ledger", "account-3", 1, "it is wrong"))
			await(t, sub, func(s messagestore.Status) bool { return len(s.Parked) == 0 })
			if mended {
				if at := comesTo(t, r, "ledger", messagestore.RebuildFailed); !strings.Contains(at.Error, "begin the rebuild again") {
					t.Errorf("%+v", at)
				}
				started(t, r, "ledger")
			}
			switched(t, r, "ledger")
			stop()
			if got := queryViews[int](t, database, `SELECT deposits FROM ledger WHERE account = '3'`); got != 3 {
				t.Errorf("%d deposits, want 3", got)
			}
			if got := queryViews[string](t, database, `SELECT parked::text FROM checkpoint WHERE name = 'ledger'`); got != "{}" {
				t.Errorf("parked after the switch: %s", got)
			}
		})
	}
}

// A skip of what is not parked is refused, and no rebuild leaves it out.
func TestASkipWithoutEffect(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	sub := ledger(t, database, store, nil)
	depositMany(t, database, 40, 10)
	all, _ := run(t, database, sub)
	caughtUp(t, store, all)
	if err := all.Skip(within(t), "ledger", "account-3", 1, "by mistake"); !errors.Is(err, messagestore.ErrNotParked) {
		t.Error(err)
	}
	// Nor does an event without effect, as a crash may leave it.
	write(t, store, messagestore.ControlCategory.Stream("ledger"), messagestore.ParkedMessageSkipped{Subscription: "ledger", Stream: "account-3", Position: 1})
	r, _ := rebuilds(t, database, store, ledger(t, database, store, nil))
	started(t, r, "ledger")
	switched(t, r, "ledger")
	if got := queryViews[int](t, database, `SELECT min(deposits) FROM ledger`); got != 4 {
		t.Errorf("%d deposits, want 4", got)
	}
}

// A step is one message, also where somebody has asked for a parked stream meanwhile; what
// was asked for is done once the subscription goes on.
func TestAStepIsOneMessage(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := dbtest.New(t)
			store := messagestore.New(database.MessageStore)
			var h handled
			var mended atomic.Bool
			sub := kind(t, database, func(m messagestore.Raw) error {
				if m.Stream == "account-1" && m.Position == 0 && !mended.Load() {
					return errors.New("poison")
				}
				return h.add(m)
			})
			all, _ := run(t, database, sub)
			for range 3 {
				write(t, store, "account-1", deposited{"1", 1})
			}
			caughtUp(t, store, all)
			await(t, sub, func(s messagestore.Status) bool { return s.State == messagestore.Parked })
			ok(t, all.Pause(within(t), "laboratory"))
			await(t, sub, func(s messagestore.Status) bool { return s.Paused })
			mended.Store(true)
			ok(t, all.Retry(within(t), "laboratory", "account-1"))
			for range 2 {
				write(t, store, "account-2", deposited{"2", 1})
			}
			await(t, sub, func(s messagestore.Status) bool { return s.LagMessages == 2 })
			ok(t, all.Step(within(t), "laboratory"))
			await(t, sub, func(s messagestore.Status) bool { return s.LagMessages == 1 })
			if one, two := h.of("account-1"), h.of("account-2"); one != "[]" || two != "[0]" {
				t.Errorf("after a step: %s and %s", one, two)
			}
			ok(t, all.Resume(within(t), "laboratory"))
			await(t, sub, func(s messagestore.Status) bool { return s.State == messagestore.Live && len(s.Parked) == 0 })
			if one, two := h.of("account-1"), h.of("account-2"); one != "[0 1 2]" || two != "[0 1]" {
				t.Errorf("in the end: %s and %s", one, two)
			}
		})
	}
}
