package messagestore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

// kinds are the three ways of following a category; handle gets each message, in the order
// of its stream.
var kinds = map[string]func(t testing.TB, database *dbtest.DB, handle func(messagestore.Raw) error) *messagestore.Subscription{
	"one after the other": func(t testing.TB, database *dbtest.DB, handle func(messagestore.Raw) error) *messagestore.Subscription {
		return component(database, 0, handle)
	},
	"several at once": func(t testing.TB, database *dbtest.DB, handle func(messagestore.Raw) error) *messagestore.Subscription {
		return component(database, 4, handle)
	},
	"projection": func(t testing.TB, database *dbtest.DB, handle func(messagestore.Raw) error) *messagestore.Subscription {
		return messagestore.RetryQuickly(messagestore.NewProjection(messagestore.New(database.MessageStore), database.Views, messagestore.ProjectionConfig{
			Name: "laboratory", Category: accounts,
			Apply: func(_ context.Context, _ pgx.Tx, b messagestore.Batch) ([]string, error) {
				return []string{"laboratory"}, handle(b.Messages[0])
			},
			Limit: 1, // so that nothing of what handle did is undone
		}))
	},
}

func component(database *dbtest.DB, concurrency int, handle func(messagestore.Raw) error) *messagestore.Subscription {
	return messagestore.RetryQuickly(messagestore.NewSubscription(messagestore.New(database.MessageStore), messagestore.SubscriptionConfig{
		Name: "laboratory", Category: accounts, Concurrency: concurrency, SaveEvery: 10,
		Handlers: []messagestore.Handler{messagestore.On(func(_ context.Context, m messagestore.Message[deposited]) error {
			return handle(messagestore.Raw{Stream: m.Stream, Position: m.Position, GlobalPosition: m.GlobalPosition, Type: m.Type})
		})},
	}))
}

// handled collects what was handled.
type handled struct {
	mu  sync.Mutex
	all map[messagestore.Stream][]int64
}

func (h *handled) add(m messagestore.Raw) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all = map[messagestore.Stream][]int64{}
	}
	h.all[m.Stream] = append(h.all[m.Stream], m.Position)
	return nil
}

func (h *handled) of(stream messagestore.Stream) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return fmt.Sprint(h.all[stream])
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestPauseStepResume(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := dbtest.New(t)
			store := messagestore.New(database.MessageStore)
			var h handled
			one, two := kind(t, database, h.add), kind(t, database, h.add)
			first, stopFirst := run(t, database, one)
			second, stopSecond := run(t, database, two)
			write(t, store, accounts.Stream("1"), deposited{"1", 0})
			caughtUp(t, store, first, second)

			// The process that is told need not be the one that works.
			ok(t, second.Pause(within(t), "laboratory"))
			for _, sub := range []*messagestore.Subscription{one, two} {
				await(t, sub, func(s messagestore.Status) bool { return s.Paused })
			}
			for i := range 3 {
				write(t, store, accounts.Stream("1"), deposited{"1", int64(i)})
			}
			lagging := func(n int64) func(s messagestore.Status) bool {
				return func(s messagestore.Status) bool { return s.Paused && s.LagMessages == n && s.LagSeconds > 0 }
			}
			eventually(t, func() bool { return lagging(3)(one.Status()) || lagging(3)(two.Status()) })
			if got := h.of("account-1"); got != "[0]" {
				t.Fatalf("handled while paused: %s", got)
			}

			ok(t, second.Step(within(t), "laboratory"))
			eventually(t, func() bool {
				return h.of("account-1") == "[0 1]" && (lagging(2)(one.Status()) || lagging(2)(two.Status()))
			})

			// Whoever goes or comes, it stays paused; and asked for twice before it is done, a step
			// is one.
			stopFirst()
			stopSecond()
			ok(t, first.Step(within(t), "laboratory"))
			ok(t, second.Step(within(t), "laboratory"))
			three := kind(t, database, h.add)
			third, _ := run(t, database, three)
			await(t, three, lagging(1))
			if got := h.of("account-1"); got != "[0 1 2]" {
				t.Errorf("after two steps that are one: %s", got)
			}

			ok(t, third.Resume(within(t), "laboratory"))
			caughtUp(t, store, third)
			if got := h.of("account-1"); got != "[0 1 2 3]" {
				t.Errorf("in the end %s", got)
			}
			if err := third.Step(within(t), "laboratory"); !errors.Is(err, messagestore.ErrNoMessage) {
				t.Errorf("a step without a message: %v", err)
			}
			if err := third.Pause(within(t), "nobody"); !errors.Is(err, messagestore.ErrNoSubscription) {
				t.Errorf("somebody else's: %v", err)
			}
		})
	}
}

// Of 1,000 streams one has a message that cannot be handled: it is set aside, all others go
// on in their order. With mended code and a retry its messages are handled in order too;
// where the message is left out instead, those after it are.
func TestPoisonLaboratory(t *testing.T) {
	t.Parallel()
	const streams, each, bad = 1000, 3, "account-417"
	for name, kind := range kinds {
		for _, way := range []string{"retry", "skip"} {
			t.Run(name+", "+way, func(t *testing.T) {
				t.Parallel()
				database := dbtest.New(t)
				store := messagestore.New(database.MessageStore)
				_, err := database.MessageStore.Exec(within(t), `
					SELECT message_store.write_message(gen_random_uuid()::varchar, 'account-' || s, 'Deposited', jsonb_build_object('accountId', s::text, 'amount', n))
					FROM generate_series(1, $1::int) AS n, generate_series(1, $2::int) AS s`, each, streams)
				ok(t, err)
				var h handled
				var mended atomic.Bool
				sub := kind(t, database, func(m messagestore.Raw) error {
					if m.Stream == bad && m.Position == 1 && !mended.Load() {
						return errors.New("poison")
					}
					return h.add(m)
				})
				all, _ := run(t, database, sub)
				caughtUp(t, store, all)
				await(t, sub, func(s messagestore.Status) bool { return s.State == messagestore.Parked })
				parked := sub.Status().Parked
				if p := parked[bad]; len(parked) != 1 || p.Position != 1 || p.Attempts != 8 || p.Error == "" {
					t.Fatalf("parked: %+v", parked)
				}
				for n := 1; n <= streams; n++ {
					stream, want := messagestore.Stream(fmt.Sprint("account-", n)), "[0 1 2]"
					if stream == bad {
						want = "[0]"
					}
					if got := h.of(stream); got != want {
						t.Fatalf("%s: %s", stream, got)
					}
				}

				want := "[0 1 2]"
				if way == "retry" {
					mended.Store(true)
					ok(t, all.Retry(within(t), "laboratory", bad))
				} else {
					want = "[0 2]"
					if err := all.Skip(within(t), "laboratory", bad, 0, "it did not fail"); !errors.Is(err, messagestore.ErrNotParked) {
						t.Error(err)
					}
					ok(t, all.Skip(within(t), "laboratory", bad, 1, "its amount is no number"))
				}
				await(t, sub, func(s messagestore.Status) bool { return len(s.Parked) == 0 })
				if got := h.of(bad); got != want {
					t.Errorf("after %s: %s, want %s", way, got, want)
				}
				var said []string
				for m, err := range store.Read(within(t), messagestore.ControlCategory.Stream("laboratory"), 0) {
					ok(t, err)
					said = append(said, m.Type)
				}
				if written := map[string][]string{"retry": {"ParkedStreamRetried"}, "skip": {"ParkedMessageSkipped"}}[way]; !slices.Equal(said, written) {
					t.Errorf("written down: %v", said)
				}
			})
		}
	}
}

// A projection over all messages gets each once and in order, while writers of many
// categories overtake one another and roll back.
func TestAProjectionOverAllMessages(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	pool := wide(t, database.MessageStoreURL, 20)
	store := messagestore.New(pool)
	var mu sync.Mutex
	var got []int64
	sub := messagestore.NewProjection(store, database.Views, messagestore.ProjectionConfig{
		Name: "everything", Limit: 50,
		Apply: func(_ context.Context, tx pgx.Tx, b messagestore.Batch) ([]string, error) {
			mu.Lock()
			defer mu.Unlock()
			for _, m := range b.Messages {
				got = append(got, m.GlobalPosition)
			}
			return nil, nil
		},
	})
	all, _ := run(t, database, sub)
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for range 25 {
				if err := disorderly(within(t), pool, []messagestore.Category{"a", "b", "c", "d", "e", "f"}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	caughtUp(t, store, all)
	rows, err := pool.Query(within(t), `SELECT global_position FROM message_store.messages ORDER BY global_position`)
	ok(t, err)
	want, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	ok(t, err)
	mu.Lock()
	defer mu.Unlock()
	if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		t.Errorf("of %d messages it got %d", len(want), len(got))
	}
}

func TestWhatSubscriptionsDoIsObserved(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := dbtest.New(t)
			store := messagestore.New(database.MessageStore)
			failed := false
			sub := kind(t, database, func(m messagestore.Raw) error {
				if m.Position == 1 && !failed {
					failed = true
					return errors.New("once")
				}
				return nil
			})
			listenOnly := messagestore.NewSubscriptions(nil, nil, sub)
			observed := make(chan messagestore.Observation, 100)
			listenOnly.Observe(func(o messagestore.Observation) { observed <- o })
			write(t, store, accounts.Stream("1"), deposited{"1", 1})
			write(t, store, accounts.Stream("1"), withdrawn{"1", 1})
			all, _ := run(t, database, sub)
			caughtUp(t, store, all)
			first := <-observed
			if first.Subscription != "laboratory" || len(first.Messages) != 1 || first.Messages[0].Type != "Deposited" || first.Ended.Before(first.Began) || first.Err != nil {
				t.Errorf("%+v", first)
			}
			if name == "projection" && (!slices.Equal(first.Topics, []string{"laboratory"}) || first.Version == 0) {
				t.Errorf("%+v", first)
			}
		})
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	trace, user := messagestore.NewID(), messagestore.NewID()
	id := messagestore.NewID()
	write(t, store, "account-1", deposited{"1", 1}, messagestore.WithID(id), messagestore.WithMetadata(messagestore.Metadata{TraceID: trace, UserID: user}))
	cause, err := store.ByID(within(t), id)
	ok(t, err)
	first, err := messagestore.Decode[deposited](cause)
	ok(t, err)
	for i := range 9 {
		write(t, store, accounts.Stream(fmt.Sprint(i%3)), deposited{"1", int64(i)}, messagestore.Follow(first))
	}
	write(t, store, "other-1", withdrawn{"1", 1})
	for name, test := range map[string]struct {
		query messagestore.Query
		want  string
	}{
		"all":           {messagestore.Query{Limit: 3}, "[11 10 9]"},
		"before":        {messagestore.Query{Limit: 3, Before: 9}, "[8 7 6]"},
		"after":         {messagestore.Query{Limit: 3, After: 2}, "[5 4 3]"},
		"stream":        {messagestore.Query{Stream: "account-1", Limit: 3}, "[9 6 3]"},
		"stream before": {messagestore.Query{Stream: "account-1", Before: 6}, "[3 1]"},
		"stream after":  {messagestore.Query{Stream: "account-1", After: 1, Limit: 2}, "[6 3]"},
		"category":      {messagestore.Query{Category: accounts, Limit: 2, Before: 5}, "[4 3]"},
		"type":          {messagestore.Query{Type: "Withdrawn"}, "[11]"},
		"trace":         {messagestore.Query{TraceID: trace, After: 9}, "[10]"},
		"user":          {messagestore.Query{UserID: user, Before: 3}, "[2 1]"},
		"effects":       {messagestore.Query{CausedBy: first.GlobalPosition, Limit: 2}, "[10 9]"},
		"no such type":  {messagestore.Query{Type: "Deposited\x00"}, "[]"},
	} {
		found, err := store.Find(within(t), test.query)
		ok(t, err)
		positions := []int64{}
		for _, m := range found {
			positions = append(positions, m.GlobalPosition)
			if m.Data != nil {
				t.Errorf("%s: a list loads bodies", name)
			}
		}
		if got := fmt.Sprint(positions); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
	found, err := store.Find(within(t), messagestore.Query{Type: "Withdrawn", Data: true})
	ok(t, err)
	if len(found) != 1 || string(found[0].Data) == "" {
		t.Errorf("with its body: %+v", found)
	}
	if m, err := store.At(within(t), "account-1", 1); err != nil || m.GlobalPosition != 3 {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := store.At(within(t), "account-1", 99); !errors.Is(err, messagestore.ErrNoMessage) {
		t.Error(err)
	}
	if head, err := store.Head(within(t)); err != nil || head != 11 {
		t.Error(head, err)
	}
	if _, err := store.ByID(within(t), "'"); !errors.Is(err, messagestore.ErrNoMessage) {
		t.Error(err)
	}
}

// However many messages there are, no question of a person reads them all.
func TestFindUsesItsIndexes(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	config, asked := database.MessageStore.Config(), &asked{}
	config.ConnConfig.Tracer = asked
	pool, err := pgxpool.NewWithConfig(within(t), config)
	ok(t, err)
	defer pool.Close()
	store := messagestore.New(pool)
	ok(t, pgx.BeginFunc(within(t), database.MessageStore, func(tx pgx.Tx) error {
		_, err := tx.Exec(within(t), `SET LOCAL session_replication_role = replica`) // no notifications
		if err == nil {
			_, err = tx.Exec(within(t), `
				INSERT INTO message_store.messages (position, stream_name, type, data, metadata)
				SELECT n / 10, 'c' || n % 3 || '-' || n % 1000, 'T' || n % 5, '{}', jsonb_build_object('traceId', 'trace' || n % 1000, 'userId', 'user' || n % 100, 'causationMessageGlobalPosition', n)
				FROM generate_series(0, 9999) AS n`)
		}
		return err
	}))
	_, err = database.MessageStore.Exec(within(t), `ANALYZE message_store.messages`)
	ok(t, err)
	for index, query := range map[string]messagestore.Query{
		"messages_pkey": {}, "messages_stream": {Stream: "c1-1"}, "messages_category": {Category: "c1"}, "messages_type": {Type: "T1"},
		"messages_trace": {TraceID: "trace7"}, "messages_user": {UserID: "user7"}, "messages_cause": {CausedBy: 77},
	} {
		for _, bound := range []func(*messagestore.Query){
			func(*messagestore.Query) {}, func(q *messagestore.Query) { q.Before = 9000 }, func(q *messagestore.Query) { q.After = 9000 },
		} {
			bound(&query)
			if _, err := store.Find(within(t), query); err != nil {
				t.Fatal(err)
			}
			rows, err := database.MessageStore.Query(within(t), `EXPLAIN `+asked.sql, asked.args...)
			ok(t, err)
			lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
			ok(t, err)
			plan := strings.Join(lines, "\n")
			sorted := strings.Contains(plan, "Sort") && query.Stream == "" // a few rows of a stream may be
			if strings.Contains(plan, "Seq Scan") || sorted || !strings.Contains(plan, index) {
				t.Errorf("%+v:\n%s", query, plan)
			}
		}
	}
}

// asked remembers the last query.
type asked struct {
	sql  string
	args []any
}

func (a *asked) TraceQueryStart(ctx context.Context, _ *pgx.Conn, query pgx.TraceQueryStartData) context.Context {
	a.sql, a.args = query.SQL, slices.Clone(query.Args)
	return ctx
}

func (a *asked) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
