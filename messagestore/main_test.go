package messagestore_test

import (
	"context"
	"log"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"videotutorials/db"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const accounts messagestore.Category = "account"

type deposited struct {
	AccountID string `json:"accountId"`
	Amount    int64  `json:"amount"`
}

func (deposited) MessageType() string { return "Deposited" }

type withdrawn struct {
	AccountID string `json:"accountId"`
	Amount    int64  `json:"amount"`
}

func (withdrawn) MessageType() string { return "Withdrawn" }

// within returns a context that ends long after everything should have happened.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// run runs subscriptions as one process does, and returns how to stop it.
func run(t testing.TB, database *dbtest.DB, subs ...*messagestore.Subscription) (*messagestore.Subscriptions, func()) {
	t.Helper()
	listen, err := db.ListenConfig(database.MessageStoreURL)
	if err != nil {
		t.Fatal(err)
	}
	all := messagestore.NewSubscriptions(listen, nil, subs...)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); all.Run(ctx) }()
	stop := func() { cancel(); <-done }
	t.Cleanup(stop)
	return all, stop
}

// eventually waits until a condition holds that nothing tells us of.
func eventually(t testing.TB, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for done := within(t).Done(); !holds(); {
		select {
		case <-tick.C:
		case <-done:
			t.Fatal("it never happens")
		}
	}
}

func write(t testing.TB, store *messagestore.Store, stream messagestore.Stream, body messagestore.Body, options ...messagestore.WriteOption) int64 {
	t.Helper()
	position, err := store.Write(within(t), stream, body, options...)
	if err != nil {
		t.Fatal(err)
	}
	return position
}

func caughtUp(t testing.TB, store *messagestore.Store, all ...*messagestore.Subscriptions) {
	t.Helper()
	for _, s := range all {
		if err := s.CaughtUp(within(t), store); err != nil {
			t.Fatal(err)
		}
	}
}

// exampleTB stands in for the test that an example does not have. What it opened
// goes with the test binary's server.
type exampleTB struct{ testing.TB }

func (exampleTB) Helper()                           {}
func (exampleTB) Cleanup(func())                    {}
func (exampleTB) Context() context.Context          { return context.Background() }
func (exampleTB) Name() string                      { return "Example" }
func (exampleTB) Fatal(args ...any)                 { log.Fatal(args...) }
func (exampleTB) Fatalf(format string, args ...any) { log.Fatalf(format, args...) }

func exampleDatabase() *dbtest.DB { return dbtest.New(exampleTB{}) }

func exampleListen(database *dbtest.DB) *pgx.ConnConfig {
	config, err := db.ListenConfig(database.MessageStoreURL)
	if err != nil {
		log.Fatal(err)
	}
	return config
}
