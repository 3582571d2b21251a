package messagestore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

// seen collects what handlers were given.
type seen struct {
	mu        sync.Mutex
	positions map[messagestore.Stream][]int64
	total     int
}

func (s *seen) handle(_ context.Context, m messagestore.Message[deposited]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.positions == nil {
		s.positions = map[messagestore.Stream][]int64{}
	}
	s.positions[m.Stream] = append(s.positions[m.Stream], m.Position)
	s.total++
	return nil
}

func (s *seen) of(stream messagestore.Stream) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.positions[stream])
}

func (s *seen) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

func subscription(store *messagestore.Store, handlers ...messagestore.Handler) *messagestore.Subscription {
	return messagestore.RetryQuickly(messagestore.NewSubscription(store, messagestore.SubscriptionConfig{Name: "test", Category: accounts, Handlers: handlers, SaveEvery: 10}))
}

func TestSubscriptionGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	for i := range 25 {
		write(t, store, accounts.Stream("1"), deposited{"1", int64(i)})
	}
	var first, second seen
	all, stop := run(t, database, subscription(store, messagestore.On(first.handle)))
	caughtUp(t, store, all)
	stop() // saves the position
	write(t, store, accounts.Stream("1"), deposited{"1", 25})
	all, _ = run(t, database, subscription(store, messagestore.On(second.handle)))
	caughtUp(t, store, all)
	if first.count() != 25 || second.of("account-1") != "[25]" {
		t.Errorf("first %d, then %s", first.count(), second.of("account-1"))
	}
	last, err := store.Last(within(t), "subscriberPosition-test", "Read")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("position stream: %s", last.Data)
}

func TestSubscriptionHasOneActiveProcess(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	var a, b seen
	first := subscription(store, messagestore.On(a.handle))
	all, stop := run(t, database, first)
	if !messagestore.WaitFor(within(t).Done(), first, func(s messagestore.Status) bool { return s.State == messagestore.Live }) {
		t.Fatalf("%+v", first.Status())
	}
	second := subscription(store, messagestore.On(b.handle))
	others, _ := run(t, database, second)
	for i := range 30 {
		write(t, store, accounts.Stream("1"), deposited{"1", int64(i)})
	}
	caughtUp(t, store, all)
	if a.count() != 30 || b.count() != 0 || second.Status().State != messagestore.Standby {
		t.Errorf("active %d, standby %d (%s)", a.count(), b.count(), second.Status().State)
	}
	stopped := time.Now()
	stop()
	write(t, store, accounts.Stream("1"), deposited{"1", 30})
	caughtUp(t, store, others)
	if b.of("account-1") != "[30]" {
		t.Errorf("the standby handled %s", b.of("account-1"))
	}
	t.Logf("taken over after %s", time.Since(stopped))
}

// A process whose handler is busy loses its lock and gets it back after another one
// has done the work: it neither goes on in between nor undoes what the other saved.
func TestALostLockEndsTheWork(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	for i := range 55 {
		write(t, store, accounts.Stream("1"), deposited{"1", int64(i)})
	}
	entered, let := make(chan struct{}), make(chan struct{})
	goOn := sync.OnceFunc(func() { close(let) })
	t.Cleanup(goOn)
	var a, b seen
	first := subscription(store, messagestore.On(func(ctx context.Context, m messagestore.Message[deposited]) error {
		if a.count() == 0 {
			close(entered)
			<-let // it does not look at its context
		}
		return a.handle(ctx, m)
	}))
	all, _ := run(t, database, first)
	t.Cleanup(goOn) // before the run is waited for
	<-entered
	second := subscription(store, messagestore.On(b.handle))
	_, stopSecond := run(t, database, second)
	eventually(t, func() bool { // the first one's connection is ended until the second is active
		if !messagestore.Held(second) {
			_, err := database.MessageStore.Exec(within(t), `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
			if err != nil {
				t.Fatal(err)
			}
		}
		return b.count() >= 55
	})
	stopSecond() // saves its position
	eventually(t, func() bool { return messagestore.Held(first) })
	goOn()
	write(t, store, accounts.Stream("1"), deposited{"1", 55})
	caughtUp(t, store, all)
	if got := a.of("account-1"); got != "[0 55]" {
		t.Errorf("the first one handled %s", got)
	}
}

func TestTransientOfNothingIsNothing(t *testing.T) {
	t.Parallel()
	if err := messagestore.Transient(nil); err != nil {
		t.Error("not nil")
	}
}

func TestGroupMembersShareTheStreams(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	var got [3]seen
	var processes []*messagestore.Subscriptions
	for member := range got {
		all, _ := run(t, database, messagestore.NewSubscription(store, messagestore.SubscriptionConfig{
			Name: "test", Category: accounts, Group: messagestore.Group{Member: member, Size: len(got)}, Handlers: []messagestore.Handler{messagestore.On(got[member].handle)}}))
		processes = append(processes, all)
	}
	for i := range 300 {
		id := fmt.Sprint(i % 30)
		write(t, store, accounts.Stream(id), deposited{id, 1})
	}
	caughtUp(t, store, processes...)
	total := 0
	for member := range got {
		if got[member].count() == 0 {
			t.Errorf("member %d had nothing to do", member)
		}
		total += got[member].count()
	}
	if total != 300 {
		t.Errorf("handled %d of 300", total)
	}
}

func TestSubscriptionRetriesTransientErrorsForEver(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	tries := 0
	sub := subscription(store, messagestore.On(func(context.Context, messagestore.Message[deposited]) error {
		if tries++; tries <= 30 {
			return messagestore.Transient(errors.New("the mail server is down"))
		}
		return nil
	}))
	all, _ := run(t, database, sub)
	write(t, store, accounts.Stream("1"), deposited{"1", 1})
	caughtUp(t, store, all)
	if s := sub.Status(); s.Retries != 30 || len(s.Parked) != 0 || s.LastError != "" {
		t.Errorf("%+v", s)
	}
}

func TestSubscriptionParksAStreamAndReleasesIt(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	var mended atomic.Bool
	var got seen
	handle := messagestore.On(func(ctx context.Context, m messagestore.Message[deposited]) error {
		if m.Stream == "account-bad" && m.Position == 1 && !mended.Load() {
			panic("cannot stand this one")
		}
		return got.handle(ctx, m)
	})
	sub := subscription(store, handle)
	all, stop := run(t, database, sub)
	for i := range 100 {
		id := "good"
		if i%20 == 0 {
			id = "bad"
		}
		write(t, store, accounts.Stream(id), deposited{id, 1})
	}
	caughtUp(t, store, all)
	if p := sub.Status().Parked["account-bad"]; p.Position != 1 || p.Attempts != 8 {
		t.Fatalf("%+v", sub.Status())
	}
	if got.of("account-bad") != "[0]" || got.count() != 96 {
		t.Errorf("%d handled, of the bad stream %s", got.count(), got.of("account-bad"))
	}
	stop()
	// What is parked survives the process; another one releases it.
	mended.Store(true)
	again := subscription(store, handle)
	run(t, database, again)
	if !messagestore.WaitFor(within(t).Done(), again, func(s messagestore.Status) bool { return s.State == messagestore.Parked }) {
		t.Fatalf("%+v", again.Status())
	}
	if err := subscription(store).Release(within(t), "account-bad"); err != nil {
		t.Fatal(err)
	}
	if !messagestore.WaitFor(within(t).Done(), again, func(s messagestore.Status) bool { return s.State == messagestore.Live }) {
		t.Fatalf("%+v", again.Status())
	}
	if got.of("account-bad") != "[0 1 2 3 4]" || got.count() != 100 {
		t.Errorf("%d handled, of the bad stream %s", got.count(), got.of("account-bad"))
	}
}

func TestSubscriptionSurvivesPostgres(t *testing.T) {
	t.Parallel()
	server := dbtest.NewServer(t)
	store := messagestore.New(server.MessageStore)
	var got seen
	sub := subscription(store, messagestore.On(got.handle))
	all, _ := run(t, server.DB, sub)
	write(t, store, accounts.Stream("1"), deposited{"1", 1})
	caughtUp(t, store, all)
	server.Stop()
	if !messagestore.WaitFor(within(t).Done(), sub, func(s messagestore.Status) bool { return s.State == messagestore.Standby }) {
		t.Fatalf("%+v", sub.Status())
	}
	server.Start()
	write(t, store, accounts.Stream("1"), deposited{"1", 2})
	caughtUp(t, store, all)
	if s := got.of("account-1"); s != "[0 1]" && s != "[0 0 1]" { // at least once
		t.Error(s)
	}
}

func TestStatusShowsTheLag(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	let := make(chan struct{})
	sub := subscription(store, messagestore.On(func(context.Context, messagestore.Message[deposited]) error { <-let; return nil }))
	all, _ := run(t, database, sub)
	for range 7 {
		write(t, store, accounts.Stream("1"), deposited{"1", 1})
	}
	if !messagestore.WaitFor(within(t).Done(), sub, func(s messagestore.Status) bool { return s.LagMessages == 7 && s.LagSeconds > 0 && s.Head == 7 }) {
		t.Errorf("%+v", sub.Status())
	}
	close(let)
	caughtUp(t, store, all)
	if !messagestore.WaitFor(within(t).Done(), sub, func(s messagestore.Status) bool { return s.LagMessages == 0 && s.LagSeconds == 0 && s.Position == 7 }) {
		t.Errorf("%+v", sub.Status())
	}
}
