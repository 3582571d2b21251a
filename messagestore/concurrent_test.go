package messagestore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

// stage holds each message that a handler begins until the test says how it ends.
type stage struct {
	t     testing.TB
	begun chan *call
	over  chan struct{}
}

// call is one message being handled.
type call struct {
	messagestore.Message[deposited]
	ctx context.Context
	end chan error
}

func newStage(t testing.TB) *stage {
	return &stage{t: t, begun: make(chan *call), over: make(chan struct{})}
}

func (s *stage) handle(ctx context.Context, m messagestore.Message[deposited]) error {
	c := &call{m, ctx, make(chan error)}
	select {
	case s.begun <- c:
	case <-s.over:
		return messagestore.Transient(errors.New("the test is over"))
	}
	select {
	case err := <-c.end:
		return err
	case <-s.over:
		return messagestore.Transient(errors.New("the test is over"))
	}
}

// subscription returns a concurrent one, which the stage outlives.
func (s *stage) subscription(store *messagestore.Store, concurrency int) *messagestore.Subscription {
	return messagestore.RetryQuickly(messagestore.NewSubscription(store, messagestore.SubscriptionConfig{
		Name: "test", Category: accounts, Handlers: []messagestore.Handler{messagestore.On(s.handle)}, SaveEvery: 10, Concurrency: concurrency}))
}

// run is run for subscriptions whose handlers wait for the test: none waits after it.
func (s *stage) run(database *dbtest.DB, subs ...*messagestore.Subscription) (*messagestore.Subscriptions, func()) {
	s.t.Helper()
	all, stop := run(s.t, database, subs...)
	s.t.Cleanup(sync.OnceFunc(func() {
		select {
		case <-s.over:
		default:
			close(s.over)
		}
	}))
	return all, stop
}

// next waits until the next message begins.
func (s *stage) next() *call {
	s.t.Helper()
	select {
	case c := <-s.begun:
		return c
	case <-within(s.t).Done():
		s.t.Fatal("nothing begins")
		return nil
	}
}

// take waits until the next messages begin, one of each of some streams, in any order.
func (s *stage) take(streams ...string) map[string]*call {
	s.t.Helper()
	calls := map[string]*call{}
	for range streams {
		c := s.next()
		calls[c.Stream.ID()] = c
	}
	for _, id := range streams {
		if calls[id] == nil {
			s.t.Fatalf("no message of %q among %v", id, calls)
		}
	}
	return calls
}

// String names the message: "1/0" is the first of the stream of 1.
func (c *call) String() string { return c.Stream.ID() + "/" + strconv.FormatInt(c.Position, 10) }

func await(t testing.TB, sub *messagestore.Subscription, wanted func(messagestore.Status) bool) {
	t.Helper()
	if !messagestore.WaitFor(within(t).Done(), sub, wanted) {
		t.Fatalf("%+v", sub.Status())
	}
}

// cut ends the connections that hold locks of subscriptions, as a network may.
func cut(t testing.TB, database *dbtest.DB) {
	t.Helper()
	_, err := database.MessageStore.Exec(within(t), `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	if err != nil {
		t.Fatal(err)
	}
}

func TestLongWorkHoldsUpNoOtherStream(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	stage := newStage(t)
	sub := stage.subscription(store, 2)
	write(t, store, accounts.Stream("before"), withdrawn{"before", 1})
	write(t, store, accounts.Stream("long"), deposited{"long", 1})
	write(t, store, accounts.Stream("long"), deposited{"long", 2})
	all, _ := stage.run(database, sub)
	long := stage.next()
	if long.String() != "long/0" {
		t.Fatal(long)
	}
	for i := range 30 {
		id := fmt.Sprint(i % 3)
		write(t, store, accounts.Stream(id), deposited{id, 1})
		short := stage.next()
		if want := fmt.Sprintf("%s/%d", id, i/3); short.String() != want {
			t.Fatalf("%s begins, want %s", short, want)
		}
		short.end <- nil
	}
	await(t, sub, func(s messagestore.Status) bool { return s.Handled == 31 })
	if s := sub.Status(); s.Position != 1 || s.State != messagestore.CatchingUp {
		t.Errorf("%+v", s)
	}
	long.end <- nil
	second := stage.next()
	if second.String() != "long/1" {
		t.Errorf("%s follows", second)
	}
	second.end <- nil
	caughtUp(t, store, all)
	if s := sub.Status(); s.Position != s.Head || s.Handled != 33 || s.LagMessages != 0 {
		t.Errorf("%+v", s)
	}
	await(t, sub, func(s messagestore.Status) bool { return s.State == messagestore.Live })
}

func TestWhatHasNoHandlerNeverWaits(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	stage := newStage(t)
	sub := stage.subscription(store, 3)
	for _, id := range []string{"a", "b"} {
		write(t, store, accounts.Stream(id), deposited{id, 1})
	}
	all, _ := stage.run(database, sub)
	calls := stage.take("a", "b")
	// More than is ever read ahead, in streams that are at work and in others.
	_, err := database.MessageStore.Exec(within(t), `
		SELECT message_store.write_message(gen_random_uuid()::text, 'account-' || (ARRAY['a', 'b', 'x'])[n % 3 + 1], 'Withdrawn', '{}') FROM generate_series(1, 3000) AS n`)
	if err != nil {
		t.Fatal(err)
	}
	write(t, store, accounts.Stream("c"), deposited{"c", 1})
	calls["c"] = stage.take("c")["c"]
	await(t, sub, func(s messagestore.Status) bool { return s.Handled == 3000 })
	for _, id := range []string{"c", "b", "a"} {
		if s := sub.Status(); s.Position != 0 {
			t.Errorf("%+v", s)
		}
		calls[id].end <- nil
	}
	caughtUp(t, store, all)
	if s := sub.Status(); s.Handled != 3003 || s.Position != s.Head {
		t.Errorf("%+v", s)
	}
}

// TestManyWaitForOne has so many messages wait for one of their stream that more would not
// be read, were there no free slot.
func TestManyWaitForOne(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	_, err := database.MessageStore.Exec(within(t), `
		SELECT message_store.write_message(gen_random_uuid()::text, 'account-long', 'Deposited', '{}') FROM generate_series(1, 900);
		SELECT message_store.write_message(gen_random_uuid()::text, 'account-short', 'Deposited', '{}') FROM generate_series(1, 200)`, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	stage := newStage(t)
	all, _ := stage.run(database, stage.subscription(store, 2))
	calls := stage.take("long", "short")
	calls["short"].end <- nil
	for i := 1; i < 200; i++ {
		if c := stage.next(); c.String() != fmt.Sprintf("short/%d", i) {
			t.Fatal(c)
		} else {
			c.end <- nil
		}
	}
	calls["long"].end <- nil
	for range 899 {
		stage.next().end <- nil
	}
	caughtUp(t, store, all)
}

func TestMoreThanIsReadAhead(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	_, err := database.MessageStore.Exec(within(t), `
		SELECT message_store.write_message(gen_random_uuid()::text, 'account-' || n * n % 7, 'Deposited', '{}') FROM generate_series(1, 5000) AS n`)
	if err != nil {
		t.Fatal(err)
	}
	var got seen
	sub := messagestore.NewSubscription(store, messagestore.SubscriptionConfig{
		Name: "test", Category: accounts, Handlers: []messagestore.Handler{messagestore.On(got.handle)}, Concurrency: 4})
	all, _ := run(t, database, sub)
	caughtUp(t, store, all)
	total := 0
	for stream, positions := range got.positions {
		total += len(positions)
		for i, p := range positions {
			if p != int64(i) {
				t.Fatalf("%s: %v", stream, positions)
			}
		}
	}
	if total != 5000 {
		t.Errorf("%d handled", total)
	}
}

// TestAKillInTheMiddle leaves a message that is not done behind later ones that are: the
// next process begins there.
func TestAKillInTheMiddle(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	stage := newStage(t)
	for range 12 {
		write(t, store, accounts.Stream("before"), deposited{"before", 1})
	}
	write(t, store, accounts.Stream("long"), deposited{"long", 1})
	for i := range 12 {
		id := fmt.Sprint(i)
		write(t, store, accounts.Stream(id), deposited{id, 1})
	}
	first := stage.subscription(store, 2)
	stage.run(database, first)
	var long *call
	for range 25 {
		c := stage.next()
		if c.Stream == "account-long" {
			long = c
		} else {
			c.end <- nil
		}
	}
	await(t, first, func(s messagestore.Status) bool { return s.Handled == 24 && s.Position == 12 })
	eventually(t, func() bool { // the position is saved: after so many messages, and when nothing is going on
		last, err := store.Last(within(t), "subscriberPosition-test", "Read")
		return err == nil && strings.Contains(string(last.Data), `"position": 12`)
	})

	var again seen
	second := messagestore.NewSubscription(store, messagestore.SubscriptionConfig{
		Name: "test", Category: accounts, Handlers: []messagestore.Handler{messagestore.On(again.handle)}, Concurrency: 2})
	run(t, database, second)
	eventually(t, func() bool { // the first one's lock is taken away until the second has it
		if !messagestore.Held(second) {
			cut(t, database)
		}
		again.mu.Lock()
		defer again.mu.Unlock()
		return len(again.positions) == 13
	})
	<-long.ctx.Done()
	again.mu.Lock()
	defer again.mu.Unlock()
	if len(again.positions) != 13 || again.positions["account-long"] == nil || again.positions["account-before"] != nil {
		t.Errorf("the second process handled %v", again.positions)
	}
}

// TestWorkOfALostLockEndsFirst takes the lock of a process away and gives it back, while
// a handler does not return: only when it has does anything begin again.
func TestWorkOfALostLockEndsFirst(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	stage := newStage(t)
	for _, id := range []string{"a", "b"} {
		write(t, store, accounts.Stream(id), deposited{id, 1})
	}
	sub := stage.subscription(store, 3)
	all, _ := stage.run(database, sub)
	calls := stage.take("a", "b")
	cut(t, database)
	<-calls["a"].ctx.Done()
	<-calls["b"].ctx.Done()
	eventually(t, func() bool { return messagestore.Held(sub) })
	write(t, store, accounts.Stream("c"), deposited{"c", 1})
	calls["a"].end <- nil // done, but too late to count
	select {
	case c := <-stage.begun:
		t.Fatalf("%s begins while another is not over", c)
	case calls["b"].end <- calls["b"].ctx.Err():
	}
	for _, c := range stage.take("a", "b", "c") {
		if c.ctx.Err() != nil {
			t.Errorf("%s: %v", c, c.ctx.Err())
		}
		c.end <- nil
	}
	caughtUp(t, store, all)
	if s := sub.Status(); s.Position != s.Head || len(s.Parked) > 0 {
		t.Errorf("%+v", s)
	}
}

func TestAnotherProcessMovedThePosition(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	stage := newStage(t)
	for _, id := range []string{"a", "b", "c"} {
		write(t, store, accounts.Stream(id), deposited{id, 1})
	}
	sub := stage.subscription(store, 2)
	all, _ := stage.run(database, sub)
	calls := stage.take("a", "b")
	// A process that has not noticed yet that it lost the lock saves another's position.
	if _, err := database.MessageStore.Exec(within(t), `SELECT message_store.write_message(gen_random_uuid()::text, 'subscriberPosition-test', 'Read', '{"position": 1}')`); err != nil {
		t.Fatal(err)
	}
	calls["a"].end <- nil // the position moves, and the second after it is saved
	calls["c"] = stage.take("c")["c"]
	for _, id := range []string{"b", "c"} {
		<-calls[id].ctx.Done()
		calls[id].end <- calls[id].ctx.Err()
	}
	for _, c := range stage.take("b", "c") {
		c.end <- nil
	}
	caughtUp(t, store, all)
}

func TestAConcurrentSubscriptionParksAStreamAndReleasesIt(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	stage := newStage(t)
	sub := stage.subscription(store, 2)
	write(t, store, accounts.Stream("long"), deposited{"long", 1})
	for range 3 {
		write(t, store, accounts.Stream("bad"), deposited{"bad", 1})
	}
	write(t, store, accounts.Stream("good"), deposited{"good", 1})
	all, stop := stage.run(database, sub)
	calls := stage.take("long", "bad")
	long := calls["long"]
	refuse := func(id string) {
		t.Helper()
		c := stage.next()
		if c.String() != id {
			t.Fatalf("%s begins, want %s", c, id)
		}
		c.end <- errors.New("cannot stand this one")
	}
	accept := func(ids ...string) {
		t.Helper()
		for _, id := range ids {
			c := stage.next()
			if c.String() != id {
				t.Fatalf("%s begins, want %s", c, id)
			}
			c.end <- nil
		}
	}
	release := func() {
		t.Helper()
		if err := stage.subscription(store, 2).Release(within(t), "account-bad"); err != nil {
			t.Fatal(err)
		}
	}
	parked := func(position int64, attempts int) {
		t.Helper()
		await(t, sub, func(s messagestore.Status) bool {
			p := s.Parked["account-bad"]
			return p.Position == position && p.Attempts == attempts && !p.Released && strings.Contains(p.Error, "cannot stand")
		})
	}
	calls["bad"].end <- nil
	for range 9 { // the good one goes between
		c := stage.next()
		switch c.String() {
		case "bad/1":
			c.end <- errors.New("cannot stand this one")
		case "good/0":
			c.end <- nil
		default:
			t.Fatal(c)
		}
	}
	parked(1, 8)
	await(t, sub, func(s messagestore.Status) bool { return s.Handled == 2 })
	write(t, store, accounts.Stream("bad"), deposited{"bad", 1})
	write(t, store, accounts.Stream("good"), deposited{"good", 1})
	accept("good/1")

	// It still fails, at once and then one message later: it is parked there.
	release()
	refuse("bad/1")
	parked(1, 9)
	release()
	accept("bad/1")
	refuse("bad/2")
	parked(2, 1)

	// Meanwhile written, while being released: in order behind the others.
	release()
	third, head := stage.next(), sub.Status().Head
	write(t, store, accounts.Stream("bad"), deposited{"bad", 1})
	await(t, sub, func(s messagestore.Status) bool { return s.Head > head })
	third.end <- messagestore.Transient(errors.New("not just now"))
	accept("bad/2", "bad/3", "bad/4")
	if third.String() != "bad/2" {
		t.Error(third)
	}
	await(t, sub, func(s messagestore.Status) bool { return len(s.Parked) == 0 && s.Position == 0 })
	long.end <- nil
	caughtUp(t, store, all)

	// What is parked survives the process.
	write(t, store, accounts.Stream("bad"), deposited{"bad", 1})
	for range 8 {
		refuse("bad/5")
	}
	parked(5, 8)
	stop()
	sub = stage.subscription(store, 2)
	all, _ = stage.run(database, sub)
	parked(5, 8)
	release()
	accept("bad/5")
	await(t, sub, func(s messagestore.Status) bool { return s.State == messagestore.Live })
	caughtUp(t, store, all)
}

// TestReleasedAndKilled ends a process between two messages of a released stream.
func TestReleasedAndKilled(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	stage := newStage(t)
	for range 2 {
		write(t, store, accounts.Stream("bad"), deposited{"bad", 1})
	}
	sub := stage.subscription(store, 2)
	all, _ := stage.run(database, sub)
	for range 8 {
		stage.take("bad")["bad"].end <- errors.New("cannot stand this one")
	}
	caughtUp(t, store, all)
	if err := sub.Release(within(t), "account-bad"); err != nil {
		t.Fatal(err)
	}
	stage.take("bad")["bad"].end <- nil
	second := stage.next()
	cut(t, database)
	<-second.ctx.Done()
	second.end <- second.ctx.Err()
	for _, want := range []string{"bad/0", "bad/1"} {
		c := stage.next()
		if c.String() != want {
			t.Errorf("%s begins, want %s", c, want)
		}
		c.end <- nil
	}
	await(t, sub, func(s messagestore.Status) bool { return s.State == messagestore.Live && len(s.Parked) == 0 })
	last, err := store.Last(within(t), "subscriberPosition-test", "Read")
	if err != nil || strings.Contains(string(last.Data), "parked") {
		t.Errorf("saved is %s, %v", last.Data, err)
	}
}

func TestATransientErrorHoldsUpNoOtherStream(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	var mended, got seen
	let := make(chan struct{})
	sub := messagestore.RetryQuickly(messagestore.NewSubscription(store, messagestore.SubscriptionConfig{
		Name: "test", Category: accounts, Concurrency: 2, Handlers: []messagestore.Handler{messagestore.On(func(ctx context.Context, m messagestore.Message[deposited]) error {
			if m.Stream == "account-down" {
				select {
				case <-let:
					return mended.handle(ctx, m)
				default:
					return messagestore.Transient(errors.New("the mail server is down"))
				}
			}
			return got.handle(ctx, m)
		})}}))
	all, _ := run(t, database, sub)
	write(t, store, accounts.Stream("down"), deposited{"down", 1})
	write(t, store, accounts.Stream("down"), deposited{"down", 2})
	await(t, sub, func(s messagestore.Status) bool { return s.Retries > 20 })
	for i := range 50 {
		id := fmt.Sprint(i % 5)
		write(t, store, accounts.Stream(id), deposited{id, 1})
	}
	eventually(t, func() bool { return got.count() == 50 })
	await(t, sub, func(s messagestore.Status) bool {
		return s.Handled == 50 && s.Position == 0 && s.State == messagestore.Retrying && strings.Contains(s.LastError, "the mail server is down") && len(s.Parked) == 0
	})
	close(let)
	caughtUp(t, store, all)
	await(t, sub, func(s messagestore.Status) bool {
		return s.State == messagestore.Live && s.LastError == "" && s.Position == s.Head
	})
	if mended.of("account-down") != "[0 1]" || got.count() != 50 {
		t.Errorf("%s, and %d others", mended.of("account-down"), got.count())
	}
}

// TestTroubleOfItsOwn has reading and then saving fail for a while: what is running goes
// on, and what was done counts.
func TestTroubleOfItsOwn(t *testing.T) {
	t.Parallel()
	for _, function := range []string{"get_category_messages", "write_message"} {
		t.Run(function, func(t *testing.T) {
			t.Parallel()
			database := dbtest.New(t)
			store := messagestore.New(database.MessageStore)
			stage := newStage(t)
			sub := stage.subscription(store, 2)
			for _, id := range []string{"short", "long"} {
				write(t, store, accounts.Stream(id), deposited{id, 1})
			}
			all, _ := stage.run(database, sub)
			calls := stage.take("short", "long")
			// Renamed, it is not there.
			rename := func(from, to string) {
				t.Helper()
				if _, err := database.MessageStore.Exec(within(t), fmt.Sprintf(`ALTER FUNCTION message_store.%s RENAME TO %s`, from, to)); err != nil {
					t.Fatal(err)
				}
			}
			rename(function, "gone")
			calls["short"].end <- nil
			await(t, sub, func(s messagestore.Status) bool {
				return s.State == messagestore.Retrying && strings.Contains(s.LastError, function) && s.Handled == 1
			})
			rename("gone", function)
			write(t, store, accounts.Stream("later"), deposited{"later", 1})
			stage.take("later")["later"].end <- nil
			await(t, sub, func(s messagestore.Status) bool { return s.LastError == "" && s.Handled == 2 })
			if err := calls["long"].ctx.Err(); err != nil {
				t.Error(err)
			}
			calls["long"].end <- nil
			caughtUp(t, store, all)
			eventually(t, func() bool {
				last, err := store.Last(within(t), "subscriberPosition-test", "Read")
				return err == nil && strings.Contains(string(last.Data), fmt.Sprintf(`"position": %d`, sub.Status().Position))
			})
		})
	}
}

func TestAConcurrentSubscriptionDrains(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	stage := newStage(t)
	for _, id := range []string{"quick", "slow", "deaf", "waiting"} {
		write(t, store, accounts.Stream(id), deposited{id, 1})
	}
	sub := stage.subscription(store, 3)
	_, stop := stage.run(database, sub)
	calls := stage.take("quick", "slow", "deaf")
	for range 7 {
		calls["slow"].end <- errors.New("not this time")
		calls["slow"] = stage.next()
		for calls["slow"].Stream != "account-slow" { // the one that waits has its slot
			calls["slow"].end <- messagestore.Transient(errors.New("not just now"))
			calls["slow"] = stage.next()
		}
	}
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	await(t, sub, func(s messagestore.Status) bool { return s.State == messagestore.Draining })
	calls["quick"].end <- nil // it has the time to finish
	<-calls["slow"].ctx.Done()
	calls["slow"].end <- errors.New("killed") // it has not: that is no failure of its own
	select {
	case <-stopped:
		t.Fatal("a handler is still at it")
	case c := <-stage.begun:
		t.Fatalf("%s begins", c)
	case calls["deaf"].end <- nil: // it did not look
	}
	<-stopped
	last, err := store.Last(within(t), "subscriberPosition-test", "Read")
	if err != nil || !strings.Contains(string(last.Data), `"position": 1`) || strings.Contains(string(last.Data), "parked") {
		t.Errorf("%s, %v", last.Data, err)
	}
	all, _ := stage.run(database, stage.subscription(store, 3))
	for _, c := range stage.take("slow", "deaf", "waiting") {
		c.end <- nil
	}
	caughtUp(t, store, all)
}

func TestAConcurrentSubscriptionStopsBetweenTwoTries(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	stage := newStage(t)
	write(t, store, accounts.Stream("1"), deposited{"1", 1})
	sub := messagestore.NewSubscription(store, messagestore.SubscriptionConfig{
		Name: "test", Category: accounts, Handlers: []messagestore.Handler{messagestore.On(stage.handle)}, Concurrency: 2})
	_, stop := stage.run(database, sub)
	for range 8 { // it waits longer and longer
		stage.next().end <- messagestore.Transient(errors.New("not just now"))
	}
	await(t, sub, func(s messagestore.Status) bool { return s.Retries == 8 })
	stop()
	if s := sub.Status(); s.State != messagestore.Draining || s.Position != 0 {
		t.Errorf("%+v", s)
	}
}

func TestConcurrentGroupMembersShareTheStreams(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	var got [3]seen
	var processes []*messagestore.Subscriptions
	for member := range got {
		all, _ := run(t, database, messagestore.NewSubscription(store, messagestore.SubscriptionConfig{
			Name: "test", Category: accounts, Group: messagestore.Group{Member: member, Size: len(got)}, Concurrency: 3,
			Handlers: []messagestore.Handler{messagestore.On(got[member].handle)}}))
		processes = append(processes, all)
	}
	for i := range 300 {
		id := fmt.Sprint(i % 30)
		write(t, store, accounts.Stream(id), deposited{id, 1})
	}
	caughtUp(t, store, processes...)
	if total := got[0].count() + got[1].count() + got[2].count(); total != 300 {
		t.Errorf("handled %d of 300", total)
	}
}

func TestAConcurrentSubscriptionSurvivesPostgres(t *testing.T) {
	t.Parallel()
	server := dbtest.NewServer(t)
	store := messagestore.New(server.MessageStore)
	stage := newStage(t)
	sub := stage.subscription(store, 2)
	write(t, store, accounts.Stream("long"), deposited{"long", 1})
	write(t, store, accounts.Stream("short"), deposited{"short", 1})
	all, _ := stage.run(server.DB, sub)
	calls := stage.take("long", "short")
	calls["short"].end <- nil
	server.Stop()
	<-calls["long"].ctx.Done()
	calls["long"].end <- calls["long"].ctx.Err()
	await(t, sub, func(s messagestore.Status) bool { return s.State == messagestore.Standby })
	server.Start()
	write(t, store, accounts.Stream("later"), deposited{"later", 1})
	for range 3 { // the short one again: the position stands before the long one
		stage.next().end <- nil
	}
	caughtUp(t, store, all)
}

// TestAnyOrderOfEnds lets many messages end in any order, well or not, while processes
// come and go and lose their locks: each stream is handled in order and without a gap,
// one message at a time, and never more at once than there are slots.
func TestAnyOrderOfEnds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			anyOrderOfEnds(t, rand.New(rand.NewPCG(seed, 4)))
		})
	}
}

func anyOrderOfEnds(t *testing.T, r *rand.Rand) {
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	stage := newStage(t)
	concurrency := 2 + r.IntN(4)
	sub := stage.subscription(store, concurrency)
	all, stop := stage.run(database, sub)

	written, done := map[messagestore.Stream][]int64{}, map[string]bool{}
	var running []*call
	begins := func(c *call) {
		t.Helper()
		for _, other := range running {
			if other.Stream == c.Stream {
				t.Fatalf("%s begins beside %s", c, other)
			}
		}
		for _, before := range written[c.Stream] {
			if name := fmt.Sprintf("%s/%d", c.Stream.ID(), before); before < c.Position && !done[name] {
				t.Fatalf("%s begins before %s is done", c, name)
			}
		}
		if running = append(running, c); len(running) > concurrency {
			t.Fatalf("%d at once, %d are allowed", len(running), concurrency)
		}
	}
	oneEnds := func() {
		at := r.IntN(len(running))
		c := running[at]
		running = slices.Delete(running, at, at+1)
		err := c.ctx.Err()
		switch how := r.IntN(20); {
		case err != nil:
		case how == 0:
			err = errors.New("not this time")
		case how < 3:
			err = messagestore.Transient(errors.New("not just now"))
		default:
			done[c.String()] = true
		}
		c.end <- err
	}
	// during lets messages begin and end while something goes on.
	during := func(work func()) {
		for len(running) > 0 {
			oneEnds()
		}
		over := make(chan struct{})
		go func() { defer close(over); work() }()
		for {
			select {
			case c := <-stage.begun:
				begins(c)
				oneEnds()
			case <-over:
				return
			}
		}
	}

	for range 200 {
		id := fmt.Sprint(r.IntN(12))
		if r.IntN(4) == 0 {
			write(t, store, accounts.Stream(id), withdrawn{id, 1})
		} else {
			written[accounts.Stream(id)] = append(written[accounts.Stream(id)], write(t, store, accounts.Stream(id), deposited{id, 1}))
		}
		for len(running) > 0 && r.IntN(2) == 0 {
			oneEnds()
		}
		select {
		case c := <-stage.begun:
			begins(c)
		default:
		}
		switch r.IntN(40) {
		case 0:
			cut(t, database)
		case 1:
			during(stop)
			sub = stage.subscription(store, concurrency)
			all, stop = stage.run(database, sub)
		}
	}
	var err error
	during(func() { err = all.CaughtUp(within(t), store) })
	if err != nil {
		t.Fatal(err, sub.Status())
	}
	for stream, positions := range written {
		for _, p := range positions {
			if name := fmt.Sprintf("%s/%d", stream.ID(), p); !done[name] {
				t.Errorf("%s is not done", name)
			}
		}
	}
}

// With one slot nothing runs at the same time, and what waits to be tried again takes no
// slot from others.
func TestOneSlot(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	stage := newStage(t)
	for _, id := range []string{"down", "1", "2"} {
		write(t, store, accounts.Stream(id), deposited{id, 1})
	}
	sub := messagestore.NewSubscription(store, messagestore.SubscriptionConfig{
		Name: "test", Category: accounts, Handlers: []messagestore.Handler{messagestore.On(stage.handle)}, Concurrency: 1})
	all, _ := stage.run(database, sub)
	done := map[string]bool{}
	for tries := 0; tries < 3 || len(done) < 2; {
		c := stage.next()
		select {
		case other := <-stage.begun:
			t.Fatalf("%s begins beside %s", other, c)
		default:
		}
		if c.Stream != "account-down" {
			done[c.String()] = true
			c.end <- nil
			continue
		}
		if tries++; tries > 8 {
			t.Fatalf("tried for the %dth time, and done is %v", tries, done)
		}
		c.end <- messagestore.Transient(errors.New("not just now"))
	}
	await(t, sub, func(s messagestore.Status) bool { return s.Handled == 2 && s.Position == 0 })
	stage.take("down")["down"].end <- nil
	caughtUp(t, store, all)
}

// forgetful is a connection that is lost, when told so, between a saved position and the
// answer to it.
type forgetful struct {
	net.Conn
	lose  *atomic.Bool
	saved atomic.Bool
}

func (f *forgetful) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("subscriberPosition-test")) && bytes.Contains(p, []byte(`"position"`)) && f.lose.CompareAndSwap(true, false) {
		f.saved.Store(true)
	}
	return f.Conn.Write(p)
}

func (f *forgetful) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	if !f.saved.Load() {
		return n, err
	}
	for all := p[:n]; err == nil; all = append(all, p[:n]...) {
		if bytes.Contains(all, []byte("Z\x00\x00\x00\x05I")) { // it is written, and committed
			break
		}
		n, err = f.Conn.Read(p)
	}
	f.Conn.Close()
	return 0, io.ErrUnexpectedEOF
}

// A position is saved and the answer is lost: that is no other process, and what is
// running goes on.
func TestTheAnswerToASavedPositionIsLost(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	var lose atomic.Bool
	config := database.MessageStore.Config()
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return &forgetful{Conn: conn, lose: &lose}, err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	store := messagestore.New(pool)
	stage := newStage(t)
	sub := stage.subscription(store, 2)
	write(t, store, accounts.Stream("short"), deposited{"short", 1})
	write(t, store, accounts.Stream("long"), deposited{"long", 1})
	lose.Store(true)
	all, _ := stage.run(database, sub)
	calls := stage.take("short", "long")
	calls["short"].end <- nil
	saved := func(times int64, position int64) {
		t.Helper()
		eventually(t, func() bool {
			last, err := store.Last(within(t), "subscriberPosition-test", "Read")
			return err == nil && last.Position == times-1 && strings.Contains(string(last.Data), fmt.Sprintf(`"position": %d`, position))
		})
	}
	saved(2, 1) // the first time without an answer
	if lose.Load() {
		t.Error("no answer was lost")
	}
	write(t, store, accounts.Stream("later"), deposited{"later", 1})
	stage.take("later")["later"].end <- nil
	if err := calls["long"].ctx.Err(); err != nil {
		t.Error(err)
	}
	calls["long"].end <- nil
	caughtUp(t, store, all)
	saved(3, sub.Status().Position)
	if s := sub.Status(); s.Handled != 3 || s.LastError != "" {
		t.Errorf("%+v", s)
	}
}
