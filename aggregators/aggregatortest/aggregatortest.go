// Package aggregatortest tests an aggregator as the program runs it: over a real
// store, by its subscriptions, with its rows in a real Postgres. It shows that the rows
// become the same by one message at a time and by all in one batch, that no message is
// parked, and which index a query uses. Only tests import it.
//
//	f := aggregatortest.New(t, "view_counts", viewcounts.New, viewcounts.NewQueries)
//	f.Run()
//	f.Happened(viewingmsg.Category.Stream(id), viewingmsg.VideoViewed{VideoID: id})
//	counts, err := f.Queries.Of(f.Ctx, id)
package aggregatortest

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/db"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

// Fixture is one aggregator over databases of its own; Q are its queries. Whatever goes
// wrong in a method fails the test T.
type Fixture[Q any] struct {
	T       *testing.T
	Ctx     context.Context // ends before the test does
	Queries Q
	// Views has the rows, MessageStore the messages.
	Views, MessageStore *pgxpool.Pool

	table         string
	listen        *pgx.ConnConfig
	store         *messagestore.Store
	subscriptions func() []*messagestore.Subscription
	newQueries    func(views *pgxpool.Pool) Q

	all    *messagestore.Subscriptions
	stop   func()
	byHand bool // rows were changed by the test
	other  bool // the test is not of the aggregator
	log    log
}

// aggregator is what the function New of each aggregator returns.
type aggregator interface {
	Subscriptions() []*messagestore.Subscription
}

// New returns a fixture for the aggregator that keeps a table. It does not run yet.
func New[A aggregator, Q any](t *testing.T, table string, newAggregator func(store *messagestore.Store, views *pgxpool.Pool) A, newQueries func(views *pgxpool.Pool) Q) *Fixture[Q] {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	database := dbtest.New(t)
	listen, err := db.ListenConfig(database.MessageStoreURL)
	if err != nil {
		t.Fatal(err)
	}
	store := messagestore.New(database.MessageStore)
	f := &Fixture[Q]{
		T: t, Ctx: ctx, Queries: newQueries(database.Views), Views: database.Views, MessageStore: database.MessageStore,
		table: table, listen: listen, store: store, newQueries: newQueries, stop: func() {},
		subscriptions: func() []*messagestore.Subscription { return newAggregator(store, database.Views).Subscriptions() },
	}
	t.Cleanup(func() {
		if !f.other {
			f.wroteItsTables()
			f.rebuiltTheSame()
		}
	})
	return f
}

// OfSomethingElse says that the test only uses the aggregator's rows: it is not asked at its
// end which tables were written and whether a rebuild finds the same.
func (f *Fixture[Q]) OfSomethingElse() { f.other = true }

// Run starts the aggregator, until Stop or the end of the test, and waits until the rows
// show what has been written so far. After Stop it starts another one.
func (f *Fixture[Q]) Run() {
	f.T.Helper()
	f.all = messagestore.NewSubscriptions(f.listen, slog.New(slog.NewTextHandler(&f.log, nil)), f.subscriptions()...)
	ctx, cancel := context.WithCancel(f.Ctx)
	done := make(chan struct{})
	go func() { defer close(done); f.all.Run(ctx) }()
	f.stop = func() { cancel(); <-done }
	f.T.Cleanup(f.stop)
	f.begun()
	f.CaughtUp()
}

// begun waits until every projection has its checkpoint, which is made with the version
// that the store has then.
func (f *Fixture[Q]) begun() {
	f.T.Helper()
	names := []string{}
	for _, s := range f.all.Status() {
		names = append(names, s.Name)
	}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for begun := false; !begun; {
		select {
		case <-tick.C:
		case <-f.Ctx.Done():
			f.T.Fatalf("no checkpoint: %v; %+v", f.Ctx.Err(), f.all.Status())
		}
		if err := f.Views.QueryRow(f.Ctx, `SELECT count(*) = cardinality($1::text[]) FROM checkpoint WHERE name = ANY($1)`, names).Scan(&begun); err != nil {
			f.T.Fatal(err)
		}
	}
}

// Stop ends what Run started and waits until it has ended.
func (f *Fixture[Q]) Stop() { f.stop() }

// CaughtUp waits until the rows show what has been written so far.
func (f *Fixture[Q]) CaughtUp() {
	f.T.Helper()
	if err := f.all.CaughtUp(f.Ctx, f.store); err != nil {
		f.T.Fatalf("%v; %+v", err, f.all.Status())
	}
}

// Written writes a message and returns its time.
func (f *Fixture[Q]) Written(stream messagestore.Stream, body messagestore.Body, options ...messagestore.WriteOption) time.Time {
	f.T.Helper()
	if _, err := f.store.Write(f.Ctx, stream, body, options...); err != nil {
		f.T.Fatal(err)
	}
	last, err := f.store.Last(f.Ctx, stream, body.MessageType())
	if err != nil {
		f.T.Fatal(err)
	}
	return last.Time
}

// Happened writes a message, waits until the rows show it, demands NothingParked and
// returns the message's time.
func (f *Fixture[Q]) Happened(stream messagestore.Stream, body messagestore.Body, options ...messagestore.WriteOption) time.Time {
	f.T.Helper()
	at := f.Written(stream, body, options...)
	f.CaughtUp()
	f.NothingParked()
	return at
}

// wroteItsTables demands that the aggregator has written no table but those that its
// projections name: a rebuild makes those anew and no other.
func (f *Fixture[Q]) wroteItsTables() {
	f.T.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.Ctx), time.Minute)
	defer cancel()
	var named []string
	for _, s := range f.subscriptions() {
		named = append(named, s.Tables()...)
	}
	if !slices.Contains(named, f.table) {
		f.T.Errorf("%s is not among the tables that the projections name: %v", f.table, named)
	}
	rows, err := f.Views.Query(ctx, `SELECT tablename FROM pg_tables WHERE schemaname = 'public'
		AND tablename NOT IN ('checkpoint', 'rebuild', 'applied_view_migrations') AND tablename <> ALL($1)`, named)
	if err != nil {
		f.T.Fatal(err)
	}
	others, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		f.T.Fatal(err)
	}
	for _, other := range others {
		var written bool
		if err := f.Views.QueryRow(ctx, `SELECT EXISTS (SELECT FROM `+pgx.Identifier{other}.Sanitize()+`)`).Scan(&written); err != nil {
			f.T.Fatal(err)
		}
		if written {
			f.T.Errorf("%s has rows, and no projection of this aggregator names it", other)
		}
	}
}

// rebuiltTheSame demands that a rebuild from the first message on finds no row that is not
// as it should be.
func (f *Fixture[Q]) rebuiltTheSame() {
	f.T.Helper()
	if f.all == nil || f.byHand { // it never ran, or its rows are not its own
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.Ctx), time.Minute)
	done := make(chan struct{})
	r := messagestore.NewRebuilds(f.store, f.Views, nil, f.subscriptions()...)
	go func() { defer close(done); r.Run(ctx) }()
	defer func() { cancel(); <-done }()
	all, err := r.All(ctx)
	if err != nil {
		f.T.Fatal(err)
	}
	for _, one := range all {
		if err := r.Start(ctx, one.Name, ""); err != nil {
			f.T.Fatal(err)
		}
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for _, one := range all {
		for one.Phase != messagestore.RebuildReady {
			select {
			case <-tick.C:
			case <-ctx.Done():
				f.T.Fatalf("the rebuild of %s: %+v", one.Name, one)
			}
			if one, err = r.Of(ctx, one.Name); err != nil {
				f.T.Fatal(err)
			}
		}
		for _, d := range one.Difference.Tables {
			if d.OnlyOld+d.OnlyNew+d.Changed > 0 {
				text, _ := json.Marshal(d)
				f.T.Errorf("a rebuild makes other rows: %s", text)
			}
		}
	}
}

// NothingParked demands that every batch was applied as a whole and that no message is
// parked.
func (f *Fixture[Q]) NothingParked() {
	f.T.Helper()
	if f.TookApart() {
		f.T.Error("a batch was applied message by message")
	}
	for _, s := range f.all.Status() {
		if len(s.Parked) > 0 {
			f.T.Fatalf("%+v", s)
		}
	}
}

// TookApart says whether a batch has been applied message by message.
func (f *Fixture[Q]) TookApart() bool { return f.log.tookApart.Load() }

// Status returns the state of each subscription.
func (f *Fixture[Q]) Status() []messagestore.Status { return f.all.Status() }

// Rows returns the rows of the table as text, a line each; empty for none.
func (f *Fixture[Q]) Rows() string {
	f.T.Helper()
	return f.Query(`SELECT coalesce(string_agg(to_jsonb(r)::text, E'\n' ORDER BY to_jsonb(r)::text), '') FROM ` + f.table + ` r`)
}

// Query returns the one text that a query of the view data answers with.
func (f *Fixture[Q]) Query(sql string, args ...any) (answer string) {
	f.T.Helper()
	if err := f.Views.QueryRow(f.Ctx, sql, args...).Scan(&answer); err != nil {
		f.T.Fatal(err)
	}
	return answer
}

// Exec executes a statement in Views or MessageStore.
func (f *Fixture[Q]) Exec(pool *pgxpool.Pool, sql string, args ...any) {
	f.T.Helper()
	f.byHand = f.byHand || pool == f.Views
	if _, err := pool.Exec(f.Ctx, sql, args...); err != nil {
		f.T.Fatal(err)
	}
}

// SameInOneBatch makes the rows anew, from all messages at once, and demands the same
// as they have become one by one. It is not for a table whose rows hold the version of
// their batch.
func (f *Fixture[Q]) SameInOneBatch() {
	f.T.Helper()
	before := f.Rows()
	if before == "" {
		f.T.Fatal("there are no rows")
	}
	f.Stop()
	byHand := f.byHand
	f.Exec(f.Views, `TRUNCATE `+f.table+`, checkpoint`)
	f.byHand = byHand
	f.Run()
	f.NothingParked()
	if after := f.Rows(); after != before {
		f.T.Errorf("one by one:\n%s\nin one batch:\n%s", before, after)
	}
}

// Planned demands that the query that ask makes uses an index and does not read the
// whole table.
func (f *Fixture[Q]) Planned(index string, ask func(Q) error) {
	f.T.Helper()
	plan := f.Plan(ask)
	if strings.Contains(plan, "Seq Scan on "+f.table) {
		f.T.Errorf("it reads the whole table:\n%s", plan)
	}
	if !strings.Contains(plan, " "+index+" ") {
		f.T.Errorf("it does not use %s:\n%s", index, plan)
	}
}

// Plan returns how Postgres executes the query that ask makes.
func (f *Fixture[Q]) Plan(ask func(Q) error) string {
	f.T.Helper()
	config, heard := f.Views.Config(), &tracer{}
	config.ConnConfig.Tracer = heard
	pool, err := pgxpool.NewWithConfig(f.Ctx, config)
	if err != nil {
		f.T.Fatal(err)
	}
	defer pool.Close()
	if err := ask(f.newQueries(pool)); err != nil {
		f.T.Fatal(err)
	}
	rows, err := f.Views.Query(f.Ctx, `EXPLAIN `+heard.sql, heard.args...)
	if err != nil {
		f.T.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		f.T.Fatal(err)
	}
	return strings.Join(lines, "\n")
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
