package registrations_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/aggregators/registrations"
	"videotutorials/db"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

type fixture struct {
	t        *testing.T
	ctx      context.Context
	database *dbtest.DB
	store    *messagestore.Store
	queries  registrations.Queries
	all      *messagestore.Subscriptions
	stop     func()
	log      log
}

// log hears when a batch had to be taken apart.
type log struct{ tookApart atomic.Bool }

// Write reads one line.
func (l *log) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("message by message")) {
		l.tookApart.Store(true)
	}
	return len(line), nil
}

// prepare makes a fixture whose aggregator does not run yet.
func prepare(t *testing.T) *fixture {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	database := dbtest.New(t)
	return &fixture{t: t, ctx: ctx, database: database, store: messagestore.New(database.MessageStore), queries: registrations.NewQueries(database.Views), stop: func() {}}
}

func start(t *testing.T) *fixture {
	t.Helper()
	f := prepare(t)
	f.run()
	return f
}

func (f *fixture) run() {
	f.t.Helper()
	listen, err := db.ListenConfig(f.database.MessageStoreURL)
	if err != nil {
		f.t.Fatal(err)
	}
	f.all = messagestore.NewSubscriptions(listen, slog.New(slog.NewTextHandler(&f.log, nil)), registrations.New(f.store, f.database.Views).Subscriptions()...)
	ctx, cancel := context.WithCancel(f.ctx)
	done := make(chan struct{})
	go func() { defer close(done); f.all.Run(ctx) }()
	f.stop = func() { cancel(); <-done }
	f.t.Cleanup(f.stop)
	f.caughtUp()
}

func (f *fixture) caughtUp() {
	f.t.Helper()
	if err := f.all.CaughtUp(f.ctx, f.store); err != nil {
		f.t.Fatalf("%v; %+v", err, f.all.Status())
	}
}

// written writes a message and returns its time.
func (f *fixture) written(stream messagestore.Stream, body messagestore.Body, options ...messagestore.WriteOption) time.Time {
	f.t.Helper()
	if _, err := f.store.Write(f.ctx, stream, body, options...); err != nil {
		f.t.Fatal(err)
	}
	last, err := f.store.Last(f.ctx, stream, body.MessageType())
	if err != nil {
		f.t.Fatal(err)
	}
	return last.Time
}

// happened writes a message and waits until the rows show it.
func (f *fixture) happened(stream messagestore.Stream, body messagestore.Body, options ...messagestore.WriteOption) time.Time {
	f.t.Helper()
	at := f.written(stream, body, options...)
	f.caughtUp()
	f.nothingParked()
	return at
}

func (f *fixture) nothingParked() {
	f.t.Helper()
	if f.log.tookApart.Load() {
		f.t.Error("a batch was applied message by message")
	}
	for _, s := range f.all.Status() {
		if len(s.Parked) > 0 {
			f.t.Fatalf("%+v", s)
		}
	}
}

func (f *fixture) rows() string {
	f.t.Helper()
	return f.query(`SELECT coalesce(string_agg(to_jsonb(r)::text, E'\n' ORDER BY to_jsonb(r)::text), '') FROM registrations r`)
}

func (f *fixture) query(sql string, args ...any) (answer string) {
	f.t.Helper()
	if err := f.database.Views.QueryRow(f.ctx, sql, args...).Scan(&answer); err != nil {
		f.t.Fatal(err)
	}
	return answer
}

func (f *fixture) exec(pool *pgxpool.Pool, sql string, args ...any) {
	f.t.Helper()
	if _, err := pool.Exec(f.ctx, sql, args...); err != nil {
		f.t.Fatal(err)
	}
}

// sameInOneBatch makes the rows anew, from all messages at once, and demands the same
// as they have become one by one.
func (f *fixture) sameInOneBatch() {
	f.t.Helper()
	before := f.rows()
	if before == "" {
		f.t.Fatal("there are no rows")
	}
	f.stop()
	f.exec(f.database.Views, `TRUNCATE registrations, checkpoint`)
	f.run()
	f.nothingParked()
	if after := f.rows(); after != before {
		f.t.Errorf("one by one:\n%s\nin one batch:\n%s", before, after)
	}
}

// plan returns how Postgres executes the query that ask makes.
func (f *fixture) plan(ask func(registrations.Queries) error) string {
	f.t.Helper()
	config, heard := f.database.Views.Config(), &tracer{}
	config.ConnConfig.Tracer = heard
	pool, err := pgxpool.NewWithConfig(f.ctx, config)
	if err != nil {
		f.t.Fatal(err)
	}
	defer pool.Close()
	if err := ask(registrations.NewQueries(pool)); err != nil {
		f.t.Fatal(err)
	}
	rows, err := f.database.Views.Query(f.ctx, `EXPLAIN `+heard.sql, heard.args...)
	if err != nil {
		f.t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		f.t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// planned demands that a query uses an index and reads no whole table but the few
// rows of the checkpoints.
func (f *fixture) planned(index string, ask func(registrations.Queries) error) {
	f.t.Helper()
	plan := f.plan(ask)
	for line := range strings.Lines(plan) {
		if strings.Contains(line, "Seq Scan on registrations") {
			f.t.Errorf("it reads the whole table:\n%s", plan)
		}
	}
	if !strings.Contains(plan, " "+index+" ") {
		f.t.Errorf("it does not use %s:\n%s", index, plan)
	}
}

type tracer struct {
	sql  string
	args []any
}

// TraceQueryStart remembers a query.
func (t *tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, query pgx.TraceQueryStartData) context.Context {
	t.sql, t.args = query.SQL, slices.Clone(query.Args)
	return ctx
}

// TraceQueryEnd does nothing.
func (t *tracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
