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
	"time"

	"github.com/jackc/pgx/v5"

	"videotutorials/db"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

// ledger is a projection of accounts into the tables ledger and ledger_total; fail may break
// a batch. address is unique and not deferrable: two rows that exchange it cannot be updated
// in place.
func ledger(t testing.TB, database *dbtest.DB, store *messagestore.Store, fail func(b messagestore.Batch) error) *messagestore.Subscription {
	execViews(t, database, `CREATE TABLE IF NOT EXISTS ledger (account text PRIMARY KEY, deposits bigint NOT NULL, amount bigint NOT NULL, address text UNIQUE, version bigint NOT NULL);
		CREATE TABLE IF NOT EXISTS ledger_total (singleton boolean PRIMARY KEY DEFAULT true, amount bigint NOT NULL)`)
	return messagestore.NewProjection(store, database.Views, messagestore.ProjectionConfig{
		Name: "ledger", Category: accounts, Tables: []string{"ledger", "ledger_total"}, Limit: 1000,
		Apply: func(ctx context.Context, tx pgx.Tx, b messagestore.Batch) (topics []string, err error) {
			if fail != nil {
				if err := fail(b); err != nil {
					return nil, err
				}
			}
			total, deposits, amounts := int64(0), map[string]int64{}, map[string]int64{}
			for _, raw := range b.Messages {
				m, err := messagestore.Decode[deposited](raw)
				if err != nil {
					return nil, err
				}
				deposits[m.Data.AccountID]++
				amounts[m.Data.AccountID] += m.Data.Amount
				total += m.Data.Amount
			}
			var batch pgx.Batch
			for account := range deposits {
				batch.Queue(`INSERT INTO ledger AS l VALUES ($1, $2, $3, 'at ' || $1, $4) ON CONFLICT (account) DO UPDATE
					SET deposits = l.deposits + excluded.deposits, amount = l.amount + excluded.amount, version = excluded.version`,
					account, deposits[account], amounts[account], b.Version)
				topics = append(topics, "ledger/"+account)
			}
			batch.Queue(`INSERT INTO ledger_total AS l (amount) VALUES ($1) ON CONFLICT (singleton) DO UPDATE SET amount = l.amount + excluded.amount`, total)
			return topics, tx.SendBatch(ctx, &batch).Close()
		},
	})
}

func execViews(t testing.TB, database *dbtest.DB, sql string, args ...any) {
	t.Helper()
	if _, err := database.Views.Exec(within(t), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func queryViews[T any](t testing.TB, database *dbtest.DB, sql string, args ...any) (answer T) {
	t.Helper()
	if err := database.Views.QueryRow(within(t), sql, args...).Scan(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// depositMany writes n deposits of 1 into some accounts, quickly.
func depositMany(t testing.TB, database *dbtest.DB, n, accounts int) {
	t.Helper()
	_, err := database.MessageStore.Exec(within(t), `SELECT message_store.write_message(gen_random_uuid()::text, 'account-' || i % $2, 'Deposited',
		jsonb_build_object('accountId', (i % $2)::text, 'amount', 1)) FROM generate_series(1, $1) AS i`, n, accounts)
	if err != nil {
		t.Fatal(err)
	}
}

const ledgerRows = `SELECT (SELECT string_agg(concat_ws(' ', account, deposits, amount, address), E'\n' ORDER BY account) FROM ledger) || E'\ntotal ' || (SELECT amount FROM ledger_total)`

// freshLedger makes the rows anew, in place, and returns them.
func freshLedger(t testing.TB, database *dbtest.DB, store *messagestore.Store) string {
	t.Helper()
	execViews(t, database, `TRUNCATE ledger, ledger_total; UPDATE checkpoint SET position = 0 WHERE name = 'ledger'`)
	fresh, _ := run(t, database, ledger(t, database, store, nil))
	caughtUp(t, store, fresh)
	return queryViews[string](t, database, ledgerRows)
}

// rebuilds runs the rebuilds of a process until the test ends or it is stopped.
func rebuilds(t testing.TB, database *dbtest.DB, store *messagestore.Store, subs ...*messagestore.Subscription) (*messagestore.Rebuilds, func()) {
	t.Helper()
	r := messagestore.NewRebuilds(store, database.Views, nil, subs...)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	stop := func() { cancel(); <-done }
	t.Cleanup(stop)
	return r, stop
}

// comesTo waits until a rebuild is in a phase.
func comesTo(t testing.TB, r *messagestore.Rebuilds, name string, phase messagestore.RebuildPhase) (at messagestore.Rebuild) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ctx := within(t); ; {
		var err error
		if at, err = r.Of(ctx, name); err == nil && at.Phase == phase {
			return at
		}
		if err != nil && !messagestore.IsTransient(err) || err == nil && phase != messagestore.RebuildFailed && at.Phase == messagestore.RebuildFailed {
			t.Fatalf("it failed: %+v, %v", at, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it does not come to %s: %+v, %v", phase, at, err)
		}
	}
}

func started(t testing.TB, r *messagestore.Rebuilds, name string) {
	t.Helper()
	if err := r.Start(within(t), name, "tester"); err != nil {
		t.Fatal(err)
	}
}

func switched(t testing.TB, r *messagestore.Rebuilds, name string) messagestore.Rebuild {
	t.Helper()
	comesTo(t, r, name, messagestore.RebuildReady)
	if err := r.Switch(within(t), name); err != nil {
		t.Fatal(err)
	}
	return comesTo(t, r, name, messagestore.RebuildDone)
}

func schemas(t testing.TB, database *dbtest.DB) string {
	return queryViews[string](t, database, `SELECT coalesce(string_agg(nspname, ' '), '') FROM pg_namespace WHERE nspname LIKE 'rebuild%'`)
}

// heardOn collects what is notified on channels of the view data.
func heardOn(t testing.TB, database *dbtest.DB, channels ...string) (heard func() []string) {
	t.Helper()
	config, err := db.ListenConfig(database.ViewsURL)
	if err != nil {
		t.Fatal(err)
	}
	connected := make(chan struct{}, 1)
	var mu sync.Mutex
	var all []string
	note := func(channel string) func(string) {
		return func(payload string) {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, channel+": "+payload)
		}
	}
	also := map[string]func(string){}
	for _, c := range channels[1:] {
		also[c] = note(c)
	}
	listener := &messagestore.Listener{Config: config, Channel: channels[0], Notified: note(channels[0]), Also: also, Connected: func() { connected <- struct{}{} }}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); listener.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	<-connected
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// damage breaks rows of the ledger in three ways; damaged counts them in one look.
const (
	damage  = `DELETE FROM ledger WHERE account = '7'; UPDATE ledger SET amount = -1 WHERE account = '8'; INSERT INTO ledger VALUES ('ghost', 1, 1, 'nowhere', 1)`
	damaged = `SELECT (NOT EXISTS (SELECT FROM ledger WHERE account = '7'))::int + (EXISTS (SELECT FROM ledger WHERE account = '8' AND amount = -1))::int + (EXISTS (SELECT FROM ledger WHERE account = 'ghost'))::int`
)

// 500 messages a second are written while a damaged ledger is rebuilt: the result is that of
// a fresh projection, no read fails, and each sees all of the damage or none.
func TestARebuildUnderWritesEqualsAFreshProjection(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(wide(t, database.MessageStoreURL, 20))
	sub := ledger(t, database, store, nil)
	all, stop := run(t, database, sub)
	depositMany(t, database, 20_000, 500)
	caughtUp(t, store, all)
	execViews(t, database, damage)
	heard := heardOn(t, database, "views", messagestore.RebuiltChannel)
	r, _ := rebuilds(t, database, store, sub)

	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	var written, reads atomic.Int64
	began := time.Now()
	for range 5 { // each 100 a second, and who is late makes up for it
		running.Go(func() {
			for due := began; ; due = due.Add(10 * time.Millisecond) {
				select {
				case <-time.After(time.Until(due)):
				case <-ctx.Done():
					return
				}
				account := fmt.Sprint(10 + int(written.Add(1))%300)
				if _, err := store.Write(t.Context(), accounts.Stream(account), deposited{account, 1}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	slowest := time.Duration(0)
	running.Go(func() {
		for last := 3; ctx.Err() == nil; reads.Add(1) {
			asked, n := time.Now(), -1
			if err := database.Views.QueryRow(t.Context(), damaged).Scan(&n); err != nil {
				t.Errorf("a read failed: %v", err)
				return
			}
			slowest = max(slowest, time.Since(asked))
			if n != 3 && n != 0 || n > last {
				t.Errorf("a read saw %d of 3 damages, after %d", n, last)
				return
			}
			last = n
		}
	})
	started(t, r, "ledger")
	ready := comesTo(t, r, "ledger", messagestore.RebuildReady)
	atReady := written.Load()
	eventually(t, func() bool { return written.Load() > atReady+500 }) // it follows along
	if ready, err := r.Of(within(t), "ledger"); err != nil || ready.Messages < 20_000+atReady {
		t.Errorf("it does not follow: %+v, %v", ready, err)
	}
	done := switched(t, r, "ledger")
	atSwitch := written.Load()
	eventually(t, func() bool { return written.Load() > atSwitch+200 }) // and the projection goes on
	rate := float64(written.Load()) / time.Since(began).Seconds()
	cancel()
	running.Wait()
	caughtUp(t, store, all)
	stop()

	got := queryViews[string](t, database, ledgerRows)
	if n := queryViews[int](t, database, damaged); n != 0 {
		t.Errorf("%d damages are left", n)
	}
	if want := freshLedger(t, database, store); got != want {
		t.Errorf("rebuilt:\n%s\nfresh:\n%s", got, want)
	}
	if d := ready.Difference; d == nil || d.Tables[0].OnlyOld != 1 || d.Tables[0].OnlyNew != 1 || d.Tables[0].Changed != 1 || d.Rows() != 3 {
		t.Errorf("the difference was %+v", d)
	}
	if done.Difference.Rows() != 3 || done.Percent() != 100 || done.By != "tester" || done.Ended.IsZero() {
		t.Errorf("it ended as %+v", done)
	}
	if s := schemas(t, database); s != "" {
		t.Errorf("%s is left", s)
	}
	rebuilt := slices.DeleteFunc(heard(), func(s string) bool { return strings.HasPrefix(s, "views: ") })
	if !slices.Equal(rebuilt, []string{"rebuilt: ledger"}) {
		t.Errorf("heard %v", rebuilt)
	}
	t.Logf("%.0f messages a second were written; %d reads, the slowest took %s; the rebuild read %d messages and took %s",
		rate, reads.Load(), slowest, done.Messages, done.Ended.Sub(done.Began).Round(time.Millisecond))
}

// Nothing is told before the switch; the rows that it changed are newer then than any
// version that a page knows, and the others keep theirs.
func TestARebuildTellsNobodyUntilItSwitches(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	sub := ledger(t, database, store, nil)
	all, _ := run(t, database, sub)
	depositMany(t, database, 100, 10)
	caughtUp(t, store, all)
	execViews(t, database, damage)
	heard := heardOn(t, database, "views", messagestore.RebuiltChannel)
	version := queryViews[int64](t, database, `SELECT version FROM checkpoint WHERE name = 'ledger'`)
	r, _ := rebuilds(t, database, store, sub)
	started(t, r, "ledger")
	comesTo(t, r, "ledger", messagestore.RebuildReady)
	if n := queryViews[int](t, database, damaged); n != 3 || len(heard()) != 0 {
		t.Errorf("%d damages and %v before the switch", n, heard())
	}
	switched(t, r, "ledger")
	eventually(t, func() bool { return len(heard()) > 0 })
	if got := heard(); !slices.Equal(got, []string{"rebuilt: ledger"}) {
		t.Errorf("told of %v", got)
	}
	if got := queryViews[string](t, database, `SELECT string_agg(account, ' ' ORDER BY account) || ' ' || (SELECT version FROM checkpoint WHERE name = 'ledger') FROM ledger WHERE version = $1`, version+1); got != fmt.Sprint("7 8 ", version+1) {
		t.Errorf("after version %d the rows changed in version %d are %q", version, version+1, got)
	}
}

func TestTheDifferenceIsShownRowByRow(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	sub := ledger(t, database, store, nil)
	all, _ := run(t, database, sub)
	depositMany(t, database, 1000, 100)
	caughtUp(t, store, all)
	r, _ := rebuilds(t, database, store, sub)
	started(t, r, "ledger")
	at := comesTo(t, r, "ledger", messagestore.RebuildReady)
	if at.Difference.Rows() != 0 || at.Difference.Tables[0].Old != 100 || at.Difference.Tables[0].New != 100 || at.Difference.Tables[1].Table != "ledger_total" {
		t.Errorf("nothing is wrong yet: %+v", at.Difference)
	}
	// Two exchange their addresses, one has a wrong amount, as many as are shown are missing.
	execViews(t, database, damage+`; DELETE FROM ledger WHERE account >= '5' AND account < '7'; UPDATE ledger_total SET amount = 1;
		UPDATE ledger SET address = 'x' WHERE account = '1'; UPDATE ledger SET address = 'at 1' WHERE account = '2'; UPDATE ledger SET address = 'at 2' WHERE account = '1'`)
	if err := r.Compare(within(t), "ledger"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		var err error
		at, err = r.Of(within(t), "ledger")
		return err == nil && at.Difference.Rows() != 0
	})
	d := at.Difference.Tables[0]
	if d.Old != 78 || d.New != 100 || d.OnlyNew != 23 || d.OnlyOld != 1 || d.Changed != 3 || len(d.Examples) != 27 || at.Difference.Tables[1].Changed != 1 {
		t.Errorf("%+v", at.Difference)
	}
	describe := func(row messagestore.RowDifference) string {
		text := fmt.Sprintf("%s old %v new %v:", row.Key[0].Column, row.OnlyOld, row.OnlyNew)
		for _, c := range slices.Concat(row.Key, row.Columns) {
			text += fmt.Sprintf(" %s %s→%s", c.Column, c.Old, c.New)
		}
		return text
	}
	var got []string
	for _, e := range d.Examples {
		if text := describe(e); !strings.Contains(text, `account →"5`) && !strings.Contains(text, `account →"6`) {
			got = append(got, text)
		}
	}
	want := []string{
		`account old false new false: account "1"→"1" address "at 2"→"at 1"`,
		`account old false new false: account "2"→"2" address "at 1"→"at 2"`,
		`account old false new true: account →"7" deposits →10 amount →10 address →"at 7"`,
		`account old false new false: account "8"→"8" amount -1→10`,
		`account old true new false: account "ghost"→ deposits 1→ amount 1→ address "nowhere"→`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	switched(t, r, "ledger")
	got1 := queryViews[string](t, database, ledgerRows)
	if want := freshLedger(t, database, store); got1 != want {
		t.Errorf("rebuilt:\n%s\nfresh:\n%s", got1, want)
	}
}

// gate holds up what Apply does from a message on, until it is opened.
type gate struct {
	from   int64
	come   chan struct{}
	opened chan struct{}
}

func newGate(from int64) *gate {
	return &gate{from: from, come: make(chan struct{}, 1000), opened: make(chan struct{})}
}

func (g *gate) pass(b messagestore.Batch) error {
	if b.Messages[len(b.Messages)-1].GlobalPosition >= g.from {
		g.come <- struct{}{}
		<-g.opened
	}
	return nil
}

func TestARebuildIsCancelledInEachPhase(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	all, _ := run(t, database, ledger(t, database, store, nil))
	depositMany(t, database, 3000, 50)
	caughtUp(t, store, all)
	execViews(t, database, damage)
	before := queryViews[string](t, database, ledgerRows)
	unchanged := func(phase messagestore.RebuildPhase) {
		t.Helper()
		if got := queryViews[string](t, database, ledgerRows); got != before || schemas(t, database) != "" {
			t.Errorf("cancelled while %s it left %q and\n%s", phase, schemas(t, database), got)
		}
	}
	cancelled := func(r *messagestore.Rebuilds) {
		t.Helper()
		if err := r.Cancel(within(t), "ledger"); err != nil {
			t.Fatal(err)
		}
	}
	held := newGate(2000)
	r, _ := rebuilds(t, database, store, ledger(t, database, store, held.pass))
	if err := r.Cancel(within(t), "ledger"); !errors.Is(err, messagestore.ErrNoRebuild) {
		t.Errorf("cancelled nothing: %v", err)
	}
	started(t, r, "ledger")
	<-held.come
	if err := r.Switch(within(t), "ledger"); !errors.Is(err, messagestore.ErrNotReady) {
		t.Errorf("switched too early: %v", err)
	}
	if at := comesTo(t, r, "ledger", messagestore.RebuildReading); at.Percent() > 99 || !at.UnderWay() {
		t.Errorf("%+v", at)
	}
	cancelled(r)
	close(held.opened)
	if at := comesTo(t, r, "ledger", messagestore.RebuildCancelled); at.UnderWay() || at.Difference != nil {
		t.Errorf("%+v", at)
	}
	unchanged(messagestore.RebuildReading)

	started(t, r, "ledger")
	comesTo(t, r, "ledger", messagestore.RebuildReady)
	cancelled(r)
	comesTo(t, r, "ledger", messagestore.RebuildCancelled)
	unchanged(messagestore.RebuildReady)

	// The projection is in the middle of something that takes long; the switch waits for it.
	started(t, r, "ledger")
	comesTo(t, r, "ledger", messagestore.RebuildReady)
	busy, err := database.Views.Begin(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := busy.Exec(within(t), `SELECT FROM checkpoint WHERE name = 'ledger' FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	if err := r.Switch(within(t), "ledger"); err != nil {
		t.Fatal(err)
	}
	comesTo(t, r, "ledger", messagestore.RebuildSwitching)
	cancelled(r)
	comesTo(t, r, "ledger", messagestore.RebuildCancelled)
	if err := busy.Rollback(within(t)); err != nil {
		t.Fatal(err)
	}
	unchanged(messagestore.RebuildSwitching)

	started(t, r, "ledger")
	switched(t, r, "ledger")
	if err := r.Cancel(within(t), "ledger"); !errors.Is(err, messagestore.ErrNoRebuild) {
		t.Errorf("cancelled what is done: %v", err)
	}
	if queryViews[int](t, database, damaged) != 0 {
		t.Error("the switch changed nothing")
	}
}

// Whatever ends a rebuild in the middle, the old rows are served and the next one begins anew.
func TestARebuildIsKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	all, _ := run(t, database, ledger(t, database, store, nil))
	depositMany(t, database, 3000, 50)
	caughtUp(t, store, all)
	execViews(t, database, damage)
	before := queryViews[string](t, database, ledgerRows)
	unchanged := func() {
		t.Helper()
		if got := queryViews[string](t, database, ledgerRows); got != before {
			t.Errorf("other rows are served:\n%s", got)
		}
	}
	const terminate = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '% rebuild'`

	// The process is stopped.
	held := newGate(2000)
	first, stop := rebuilds(t, database, store, ledger(t, database, store, held.pass))
	started(t, first, "ledger")
	<-held.come
	close(held.opened)
	stop()
	if at := comesTo(t, first, "ledger", messagestore.RebuildCancelled); !strings.Contains(at.Error, "stopped") || schemas(t, database) != "" {
		t.Errorf("%+v", at)
	}
	unchanged()

	// The connection is cut in the middle: it goes on by itself.
	cut := newGate(2000)
	r, _ := rebuilds(t, database, store, ledger(t, database, store, cut.pass))
	started(t, r, "ledger")
	<-cut.come
	if n := queryViews[int](t, database, terminate); n != 1 {
		t.Errorf("%d connections cut", n)
	}
	close(cut.opened)
	comesTo(t, r, "ledger", messagestore.RebuildReady)
	unchanged()
	// And again before the switch.
	if n := queryViews[int](t, database, terminate); n != 1 {
		t.Errorf("%d connections cut", n)
	}
	eventually(t, func() bool { // until it has the lock again nobody is told that it would be done
		return r.Switch(within(t), "ledger") == nil
	})
	comesTo(t, r, "ledger", messagestore.RebuildDone)
	if queryViews[int](t, database, damaged) != 0 {
		t.Error("the switch changed nothing")
	}

	// A process was killed: what it left is there, and nobody holds the lock.
	execViews(t, database, damage)
	left := `CREATE SCHEMA rebuild_ledger; CREATE TABLE rebuild_ledger.ledger (LIKE ledger); INSERT INTO rebuild_ledger.ledger TABLE ledger;
		UPDATE rebuild SET phase = 'ready', ended_at = NULL, run = gen_random_uuid(), difference = '{}' WHERE name = 'ledger'`
	execViews(t, database, left)
	if at := comesTo(t, r, "ledger", messagestore.RebuildInterrupted); !at.UnderWay() {
		t.Errorf("%+v", at)
	}
	if err := r.Switch(within(t), "ledger"); !errors.Is(err, messagestore.ErrNotReady) {
		t.Errorf("switched to what nobody is at: %v", err)
	}
	if err := r.Cancel(within(t), "ledger"); err != nil {
		t.Fatal(err)
	}
	comesTo(t, r, "ledger", messagestore.RebuildCancelled)
	if s := schemas(t, database); s != "" {
		t.Errorf("%s is left", s)
	}
	unchanged()
	execViews(t, database, left)
	started(t, r, "ledger")
	switched(t, r, "ledger")
	if got, want := queryViews[string](t, database, ledgerRows), freshLedger(t, database, store); got != want {
		t.Errorf("rebuilt:\n%s\nfresh:\n%s", got, want)
	}
}

// Postgres itself restarts in the middle.
func TestARebuildSurvivesPostgres(t *testing.T) {
	t.Parallel()
	server := dbtest.NewServer(t)
	store := messagestore.New(server.MessageStore)
	sub := ledger(t, server.DB, store, nil)
	all, _ := run(t, server.DB, sub)
	depositMany(t, server.DB, 3000, 50)
	caughtUp(t, store, all)
	execViews(t, server.DB, damage)
	r, _ := rebuilds(t, server.DB, store, sub)
	started(t, r, "ledger")
	comesTo(t, r, "ledger", messagestore.RebuildReady)
	server.Kill()
	eventually(t, func() bool { return r.Switch(within(t), "ledger") == nil })
	comesTo(t, r, "ledger", messagestore.RebuildDone)
	if got, want := queryViews[string](t, server.DB, ledgerRows), freshLedger(t, server.DB, store); got != want {
		t.Errorf("rebuilt:\n%s\nfresh:\n%s", got, want)
	}
}

// Two processes: one rebuilds, the other cannot begin the same, sees how far it is and
// switches.
func TestTwoProcessesRebuild(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	all, _ := run(t, database, ledger(t, database, store, nil))
	depositMany(t, database, 300, 30)
	caughtUp(t, store, all)
	execViews(t, database, damage)
	one, _ := rebuilds(t, database, store, ledger(t, database, store, nil))
	other, _ := rebuilds(t, database, store, ledger(t, database, store, nil))
	results := make(chan error, 10)
	for i := range 10 {
		go func() { results <- []*messagestore.Rebuilds{one, other}[i%2].Start(within(t), "ledger", "tester") }()
	}
	won := 0
	for range 10 {
		switch err := <-results; {
		case err == nil:
			won++
		case !errors.Is(err, messagestore.ErrRebuilding):
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d have begun", won)
	}
	comesTo(t, one, "ledger", messagestore.RebuildReady)
	switched(t, other, "ledger")
	if at, err := one.Of(within(t), "ledger"); err != nil || at.Phase != messagestore.RebuildDone || queryViews[int](t, database, damaged) != 0 {
		t.Errorf("%+v, %v", at, err)
	}
}

func poison(streams ...string) func(messagestore.Batch) error {
	return func(b messagestore.Batch) error {
		for _, m := range b.Messages {
			if m.Position == 1 && slices.Contains(streams, string(m.Stream)) {
				return errors.New("cannot stand this one")
			}
		}
		return nil
	}
}

// What the program of before parked a mended one applies; what the mended one cannot stand
// is parked after the switch; what somebody skipped stays left out.
func TestParkedStreamsOfARebuild(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	sub := messagestore.RetryQuickly(ledger(t, database, store, poison("account-3", "account-4", "account-5")))
	depositMany(t, database, 30, 10)
	all, stop := run(t, database, sub)
	caughtUp(t, store, all)
	if err := all.Skip(within(t), "ledger", "account-4", 1, "it was a mistake"); err != nil {
		t.Fatal(err)
	}
	mended := ledger(t, database, store, poison("account-5", "account-6"))
	r, _ := rebuilds(t, database, store, mended)
	started(t, r, "ledger")
	at := comesTo(t, r, "ledger", messagestore.RebuildReady)
	if p := at.Parked["account-5"]; len(at.Parked) != 2 || p.Position != 1 || p.Attempts != 8 || !strings.Contains(p.Error, "cannot stand") {
		t.Errorf("the rebuild has parked %+v", at.Parked)
	}
	depositMany(t, database, 10, 10)
	caughtUp(t, store, all)
	switched(t, r, "ledger")
	stop()
	want := map[string]int{"3": 4, "4": 3, "5": 1, "6": 1, "7": 4}
	for account, deposits := range want {
		if got := queryViews[int](t, database, `SELECT deposits FROM ledger WHERE account = $1`, account); got != deposits {
			t.Errorf("account %s has %d deposits, want %d", account, got, deposits)
		}
	}
	if got := queryViews[string](t, database, `SELECT string_agg(k, ' ' ORDER BY k) FROM checkpoint, jsonb_object_keys(parked) k WHERE name = 'ledger'`); got != "account-5 account-6" {
		t.Errorf("%q are parked after the switch", got)
	}
	// Released, their messages come in order.
	whole := ledger(t, database, store, nil)
	for _, stream := range []messagestore.Stream{"account-5", "account-6"} {
		if err := whole.Release(within(t), stream); err != nil {
			t.Fatal(err)
		}
	}
	run(t, database, whole)
	if !messagestore.WaitFor(within(t).Done(), whole, func(s messagestore.Status) bool { return s.State == messagestore.Live && len(s.Parked) == 0 }) {
		t.Fatalf("%+v", whole.Status())
	}
	if got := queryViews[int](t, database, `SELECT min(deposits) FROM ledger WHERE account <> '4'`); got != 4 {
		t.Errorf("an account has %d deposits", got)
	}
}

// counted is a projection of a category, or of all messages, that counts them by type.
func counted(t testing.TB, database *dbtest.DB, store *messagestore.Store, name string, category messagestore.Category, column string, tables ...string) *messagestore.Subscription {
	execViews(t, database, `CREATE TABLE IF NOT EXISTS counted (type text PRIMARY KEY, one bigint NOT NULL DEFAULT 0, two bigint NOT NULL DEFAULT 0); CREATE TABLE IF NOT EXISTS everything (type text PRIMARY KEY, n bigint NOT NULL)`)
	return messagestore.NewProjection(store, database.Views, messagestore.ProjectionConfig{
		Name: name, Category: category, Tables: tables, Limit: 7,
		Apply: func(ctx context.Context, tx pgx.Tx, b messagestore.Batch) ([]string, error) {
			for _, m := range b.Messages {
				if _, err := tx.Exec(ctx, `INSERT INTO `+tables[0]+` AS c (type, `+column+`) VALUES ($1, 1) ON CONFLICT (type) DO UPDATE SET `+column+` = c.`+column+` + 1`, m.Type); err != nil {
					return nil, err
				}
			}
			return []string{name}, nil
		},
	})
}

// Two projections write one table: they are rebuilt together. Another is of all messages.
func TestProjectionsThatShareATable(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	const customers messagestore.Category = "customer"
	subs := []*messagestore.Subscription{
		counted(t, database, store, "one", accounts, "one", "counted"),
		counted(t, database, store, "everything", "", "n", "everything"),
		counted(t, database, store, "two", customers, "two", "counted"),
	}
	all, _ := run(t, database, subs...)
	for i := range 100 {
		write(t, store, accounts.Stream(fmt.Sprint(i%5)), deposited{"1", 1})
		write(t, store, customers.Stream(fmt.Sprint(i%5)), withdrawn{"1", 1})
	}
	caughtUp(t, store, all)
	truth := func() string {
		return queryViews[string](t, database, `SELECT (SELECT string_agg(concat_ws(' ', type, one, two), ', ' ORDER BY type) FROM counted) || '; ' || (SELECT string_agg(concat_ws(' ', type, n), ', ' ORDER BY type) FROM everything)`)
	}
	want := truth()
	if want != "Deposited 100 0, Withdrawn 0 100; Deposited 100, Withdrawn 100" {
		t.Fatal(want)
	}
	execViews(t, database, `UPDATE counted SET one = one + 1; UPDATE everything SET n = 0`)
	r, _ := rebuilds(t, database, store, subs...)
	list, err := r.All(within(t))
	if err != nil || len(list) != 2 || list[0].Name != "one" || len(list[0].Projections) != 2 || list[0].Projections[1].Name != "two" ||
		len(list[0].Tables) != 1 || list[0].Tables[0].Rows != 2 || list[1].Name != "everything" || list[1].Projections[0].Position != 200 {
		t.Fatalf("%+v, %v", list, err)
	}
	started(t, r, "two") // the group goes by any of its names
	started(t, r, "everything")
	versions := `SELECT string_agg(name || ' ' || version, ', ' ORDER BY name) FROM checkpoint`
	before := queryViews[string](t, database, versions)
	switched(t, r, "one")
	switched(t, r, "everything")
	if got := truth(); got != want {
		t.Errorf("rebuilt: %s", got)
	}
	if after := queryViews[string](t, database, versions); after == before {
		t.Errorf("the versions are still %s", after)
	}
	if err := r.Start(within(t), "nothing", "tester"); !errors.Is(err, messagestore.ErrNoRebuild) {
		t.Error(err)
	}
}

// While a rebuild goes on a newer program adds a column: the switch is refused, and the old
// rows are served.
func TestATableThatChangesIsNotSwitchedTo(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	sub := ledger(t, database, store, nil)
	all, _ := run(t, database, sub)
	depositMany(t, database, 30, 10)
	caughtUp(t, store, all)
	execViews(t, database, damage)
	r, _ := rebuilds(t, database, store, sub)
	started(t, r, "ledger")
	comesTo(t, r, "ledger", messagestore.RebuildReady)
	execViews(t, database, `ALTER TABLE ledger ADD COLUMN note text NOT NULL DEFAULT ''`)
	if err := r.Switch(within(t), "ledger"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		at, err := r.Of(within(t), "ledger")
		return err == nil && at.Phase == messagestore.RebuildReady && strings.Contains(at.Error, "columns have changed")
	})
	if n := queryViews[int](t, database, damaged); n != 3 {
		t.Errorf("%d damages are left", n)
	}
	if err := r.Cancel(within(t), "ledger"); err != nil {
		t.Fatal(err)
	}
	comesTo(t, r, "ledger", messagestore.RebuildCancelled)
	execViews(t, database, `ALTER TABLE ledger DROP COLUMN note`)
	started(t, r, "ledger")
	switched(t, r, "ledger")
}

// A projection was set back by hand: a rebuild waits until it has come as far again.
func TestAProjectionBehindItsRebuild(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	all, stop := run(t, database, ledger(t, database, store, nil))
	depositMany(t, database, 30, 10)
	caughtUp(t, store, all)
	stop()
	r, _ := rebuilds(t, database, store, ledger(t, database, store, nil))
	started(t, r, "ledger")
	comesTo(t, r, "ledger", messagestore.RebuildReady)
	execViews(t, database, `UPDATE checkpoint SET position = 10; TRUNCATE ledger, ledger_total`)
	if err := r.Switch(within(t), "ledger"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		at, err := r.Of(within(t), "ledger")
		return err == nil && strings.Contains(at.Error, "behind its rebuild")
	})
	execViews(t, database, `UPDATE checkpoint SET position = 0`)
	run(t, database, ledger(t, database, store, nil))
	comesTo(t, r, "ledger", messagestore.RebuildDone)
	if at := queryViews[int64](t, database, `SELECT position FROM checkpoint`); at != 30 {
		t.Errorf("the projection is at %d", at)
	}
}

// A table that cannot be compared is refused at once.
func TestATableWithoutAKeyIsNotRebuilt(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	execViews(t, database, `CREATE TABLE loose (type text)`)
	sub := counted(t, database, store, "loose", accounts, "n", "loose")
	r, _ := rebuilds(t, database, store, sub)
	if err := r.Start(within(t), "loose", "tester"); err == nil || !strings.Contains(err.Error(), "no primary key") {
		t.Error(err)
	}
	if err := r.Start(within(t), "loose", "tester"); errors.Is(err, messagestore.ErrRebuilding) {
		t.Error("the lock is still held")
	}
}
