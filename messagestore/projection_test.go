package messagestore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/db"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

// balances is a projection of accounts; fail may break a message or a batch.
func balances(t testing.TB, database *dbtest.DB, store *messagestore.Store, fail func(b messagestore.Batch) error) *messagestore.Subscription {
	_, err := database.Views.Exec(within(t), `CREATE TABLE IF NOT EXISTS balances (account text PRIMARY KEY, deposits bigint NOT NULL, amount bigint NOT NULL, last bigint NOT NULL)`)
	if err != nil {
		t.Fatal(err)
	}
	return messagestore.NewProjection(store, database.Views, messagestore.ProjectionConfig{
		Name: "balances", Category: accounts, Limit: 100,
		Apply: func(ctx context.Context, tx pgx.Tx, b messagestore.Batch) (topics []string, err error) {
			for _, raw := range b.Messages {
				m, err := messagestore.Decode[deposited](raw)
				if err != nil {
					return nil, err
				}
				// "last" shows whether the messages of an account came in order.
				tag, err := tx.Exec(ctx, `
					INSERT INTO balances AS b VALUES ($1, 1, $2, $3) ON CONFLICT (account) DO UPDATE
					SET deposits = b.deposits + 1, amount = b.amount + excluded.amount, last = excluded.last WHERE b.last = excluded.last - 1`,
					m.Data.AccountID, m.Data.Amount, m.Position)
				if err != nil {
					return nil, err
				}
				if tag.RowsAffected() == 0 {
					return nil, fmt.Errorf("position %d of %s came out of order", m.Position, m.Stream)
				}
				topics = append(topics, "balances/"+m.Data.AccountID)
			}
			if fail != nil {
				err = fail(b)
			}
			return topics, err
		},
	})
}

func rowsOf(t testing.TB, pool *pgxpool.Pool) string {
	t.Helper()
	rows, err := pool.Query(within(t), `SELECT account || ' ' || deposits || ' ' || amount || ' ' || last FROM balances ORDER BY account`)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n")
}

// Three processes run the same projection, a tenth of all transactions ends
// before its commit, and each of 20,000 events counts once; a rebuild from zero
// gives the same rows.
func TestProjectionIsExactlyOnce(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(wide(t, database.MessageStoreURL, 20))
	var aborted atomic.Int64
	abort := func(messagestore.Batch) error {
		if rand.Float64() < 0.1 {
			aborted.Add(1)
			return messagestore.Transient(errors.New("gone before the commit"))
		}
		return nil
	}
	processes := make([]*messagestore.Subscriptions, 3)
	for i := range processes {
		processes[i], _ = run(t, database, messagestore.RetryQuickly(balances(t, database, store, abort)))
	}
	const events, writers = 20_000, 8
	var running sync.WaitGroup
	for range writers {
		running.Go(func() {
			for range events / writers {
				id := fmt.Sprint(rand.IntN(50))
				if _, err := store.Write(t.Context(), accounts.Stream(id), deposited{id, 1}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
	caughtUp(t, store, processes...)

	truth := `SELECT stream_name AS account, count(*) AS deposits FROM message_store.messages GROUP BY 1`
	rows, err := database.MessageStore.Query(within(t), `SELECT substr(account, 9) || ' ' || deposits || ' ' || deposits || ' ' || deposits - 1 FROM (`+truth+`) AS t ORDER BY substr(account, 9)`)
	if err != nil {
		t.Fatal(err)
	}
	want, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	got := rowsOf(t, database.Views)
	if got != strings.Join(want, "\n") {
		t.Errorf("rows:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
	if aborted.Load() == 0 {
		t.Error("no transaction was aborted: the test shows nothing")
	}
	if _, err := database.Views.Exec(within(t), `TRUNCATE balances; UPDATE checkpoint SET position = 0 WHERE name = 'balances'`); err != nil {
		t.Fatal(err)
	}
	rebuilt, _ := run(t, database, balances(t, database, store, nil))
	caughtUp(t, store, rebuilt)
	if again := rowsOf(t, database.Views); again != got {
		t.Errorf("rebuilt:\n%s\nbefore:\n%s", again, got)
	}
	t.Logf("%d transactions aborted", aborted.Load())
}

func TestProjectionNotifiesItsTopics(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	config, err := db.ListenConfig(database.ViewsURL)
	if err != nil {
		t.Fatal(err)
	}
	connected, payloads := make(chan struct{}, 1), make(chan string, 10)
	listener := &messagestore.Listener{Config: config, Channel: "views", Notified: func(p string) { payloads <- p }, Connected: func() { connected <- struct{}{} }}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); listener.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	<-connected

	sub := balances(t, database, store, nil)
	run(t, database, sub)
	if !messagestore.WaitFor(within(t).Done(), sub, func(s messagestore.Status) bool { return s.State == messagestore.Live }) {
		t.Fatalf("%+v", sub.Status())
	}
	write(t, store, accounts.Stream("7"), deposited{"7", 1})
	if got := <-payloads; got != "balances/7 1" {
		t.Errorf("notified %q", got)
	}
	write(t, store, accounts.Stream("7"), deposited{"7", 1})
	if got := <-payloads; got != "balances/7 2" {
		t.Errorf("the second transaction notified %q", got)
	}
}

func TestProjectionParksAStreamAndReleasesIt(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	var mended atomic.Bool
	poisoned := func(b messagestore.Batch) error {
		for _, m := range b.Messages {
			if m.Stream == "account-bad" && m.Position == 1 && !mended.Load() {
				return errors.New("cannot stand this one\x00\xff")
			}
		}
		return nil
	}
	for i := range 300 { // three batches, the bad one in the middle
		id := fmt.Sprint(i % 10)
		if i == 140 || i == 150 || i == 160 || i == 250 {
			id = "bad"
		}
		write(t, store, accounts.Stream(id), deposited{id, 1})
	}
	sub := messagestore.RetryQuickly(balances(t, database, store, poisoned))
	all, stop := run(t, database, sub)
	caughtUp(t, store, all)
	status := sub.Status()
	parked, ok := status.Parked["account-bad"]
	if !ok || parked.Position != 1 || parked.Attempts != 8 || !strings.Contains(parked.Error, "cannot stand") || status.State != messagestore.Parked {
		t.Fatalf("%+v", status)
	}
	if got := rowsOf(t, database.Views); !strings.Contains(got, "bad 1 1 0") || strings.Count(got, "\n") != 10 {
		t.Errorf("the other streams did not go on:\n%s", got)
	}
	write(t, store, accounts.Stream("bad"), deposited{"bad", 1})
	caughtUp(t, store, all)

	// Released while it is still broken: parked again, with one attempt more.
	if err := sub.Release(within(t), "account-bad"); err != nil {
		t.Fatal(err)
	}
	if !messagestore.WaitFor(within(t).Done(), sub, func(s messagestore.Status) bool { return s.Parked["account-bad"].Attempts == 9 }) {
		t.Fatalf("%+v", sub.Status())
	}
	// Mended, in another process: what waited comes in order.
	stop()
	mended.Store(true)
	other := balances(t, database, store, poisoned)
	if err := other.Release(within(t), "account-bad"); err != nil {
		t.Fatal(err)
	}
	run(t, database, other)
	if !messagestore.WaitFor(within(t).Done(), other, func(s messagestore.Status) bool { return s.State == messagestore.Live && len(s.Parked) == 0 }) {
		t.Fatalf("%+v", other.Status())
	}
	if got := rowsOf(t, database.Views); !strings.Contains(got, "bad 5 5 4") {
		t.Errorf("what waited was not applied:\n%s", got)
	}
}

func TestProjectionSurvivesAPanic(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	var panicked atomic.Bool
	sub := messagestore.RetryQuickly(balances(t, database, store, func(messagestore.Batch) error {
		if !panicked.Swap(true) {
			panic("out of my depth")
		}
		return nil
	}))
	all, _ := run(t, database, sub)
	write(t, store, accounts.Stream("1"), deposited{"1", 1})
	caughtUp(t, store, all)
	if got := rowsOf(t, database.Views); got != "1 1 1 0" {
		t.Error(got)
	}
}

// Postgres is stopped and killed under running subscriptions: they come back by
// themselves and nothing is counted twice.
func TestProjectionSurvivesPostgres(t *testing.T) {
	t.Parallel()
	server := dbtest.NewServer(t)
	store := messagestore.New(server.MessageStore)
	all, _ := run(t, server.DB, balances(t, server.DB, store, nil))
	write(t, store, accounts.Stream("1"), deposited{"1", 1})
	caughtUp(t, store, all)
	server.Stop()
	server.Start()
	write(t, store, accounts.Stream("1"), deposited{"1", 1})
	caughtUp(t, store, all)
	server.Kill()
	id := messagestore.NewID()
	for { // the caller's retry, with the same id
		_, err := store.Write(within(t), accounts.Stream("1"), deposited{"1", 1}, messagestore.WithID(id))
		if err == nil || errors.Is(err, messagestore.ErrDuplicateID) {
			break
		}
		if !messagestore.IsTransient(err) {
			t.Fatal(err)
		}
	}
	caughtUp(t, store, all)
	if got := rowsOf(t, server.Views); got != "1 3 3 2" {
		t.Error(got)
	}
}
