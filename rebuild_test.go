package main

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"videotutorials/components/viewing/viewingmsg"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

// Each table of the view data is made anew by a rebuild: nothing is kept that only a table
// knows.
func TestEveryTableOfTheViewDataCanBeRebuilt(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	p := &program{config: config{AppName: "Test", DataDir: t.TempDir(), Environment: "development"}, log: slog.New(slog.DiscardHandler), store: messagestore.New(database.MessageStore), views: database.Views, baseURL: "http://localhost"}
	p.assemble(settings{&pgx.ConnConfig{}, &pgx.ConnConfig{}, []byte(strings.Repeat("secret", 6)), nil, "", nil})
	all, err := p.rebuilds.All(within(t))
	if err != nil {
		t.Fatal(err)
	}
	var rebuilt, projections []string
	for _, r := range all {
		for _, table := range r.Tables {
			rebuilt = append(rebuilt, table.Name)
		}
		for _, one := range r.Projections {
			projections = append(projections, one.Name)
		}
	}
	for _, s := range p.subscriptions.Status() {
		if s.Projection && !slices.Contains(projections, s.Name) {
			t.Errorf("the projection %s names no tables", s.Name)
		}
	}
	rows, err := database.Views.Query(within(t), `SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ('checkpoint', 'rebuild', 'process', 'applied_view_migrations')`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(rebuilt)
	slices.Sort(tables)
	if !slices.Equal(rebuilt, tables) {
		t.Errorf("rebuilt are %v, the tables are %v", rebuilt, tables)
	}
}

// queried is what a query of the view data answers with.
func queried[T any](t *testing.T, database *dbtest.DB, sql string, args ...any) (answer T) {
	t.Helper()
	if err := database.Views.QueryRow(within(t), sql, args...).Scan(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// Two processes run the site while 500 views a second are written. An administrator
// rebuilds counts and credentials, in both of which something is wrong. The process that is
// at it is killed; the other one serves on, removes what was left, and rebuilds them: no
// read fails, no mail is sent, and the rows are as they should be.
func TestARebuildOfTheRunningSite(t *testing.T) {
	t.Parallel()
	const past = 40_000
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	env := slices.Clip(append(environment(database), "COOKIE_SECRET="+strings.Repeat("rebuild", 6), "PATH=/nowhere")) // no ffmpeg is needed
	mortal, other := start(t, folder(t), env), start(t, folder(t), env)
	lesson := lessonOf(t, other, database, "Rebuilt")
	ada, chief := member(t, other, "ada@example.test", goodPassword), member(t, other, "chief@example.test", goodPassword)
	if out, err := commandOn(t, other, "admin", "grant", "chief@example.test"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := database.MessageStore.Exec(within(t), `SELECT message_store.write_message(gen_random_uuid()::text, 'viewing-' || $1, 'VideoViewed', jsonb_build_object('videoId', $1)) FROM generate_series(1, $2)`, lesson, past); err != nil {
		t.Fatal(err)
	}
	settled(t, database, mortal, other)
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := database.Views.Exec(within(t), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`UPDATE view_counts SET views = 7`)
	exec(`UPDATE user_credentials SET roles = '{admin}' WHERE email = 'ada@example.test'`)
	mails := func() int {
		return len(letters(t, outboxOf(mortal), "")) + len(letters(t, outboxOf(other), ""))
	}
	until(t, "the welcome mails are sent", func() bool { return mails() == 2 })

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
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
				if _, err := store.Write(t.Context(), viewingmsg.Category.Stream(lesson), viewingmsg.VideoViewed{VideoID: lesson}); err != nil {
					t.Error(err)
					return
				}
				written.Add(1)
			}
		})
	}
	for _, path := range []string{"/", "/videos/" + lesson, "/account"} {
		running.Go(func() {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				<-tick.C
				if a := ask(t, ada.client, http.MethodGet, other.url+path, "", nil); a.status != http.StatusOK {
					t.Errorf("%s: %d leads to %q", path, a.status, a.header.Get("Location"))
					return
				}
				reads.Add(1)
			}
		})
	}

	at := func(s *site) *visitor { return &visitor{t, chief.client, s.url} }
	page := func(s *site, name string) string {
		t.Helper()
		a := at(s).get("/admin/rebuild/" + name)
		if a.status != http.StatusOK {
			t.Fatalf("rebuild of %s: %d\n%s", name, a.status, said(a.body))
		}
		return a.body
	}
	does := func(s *site, name, what string) {
		t.Helper()
		path := "/admin/rebuild/" + name
		form, ok := formIn(page(s, name), path+"/"+what)
		if !ok {
			t.Fatalf("no form to %s %s in\n%s", what, name, said(page(s, name)))
		}
		if what == "switch" {
			form.Set("sure", "yes")
		}
		if a := at(s).post(path+"/"+what, form); a.status != http.StatusSeeOther || a.header.Get("Location") != path {
			t.Fatalf("%s %s: %d\n%s", what, name, a.status, said(a.body))
		}
	}
	does(mortal, "viewcounts", "start")
	if a := at(other).post("/admin/rebuild/viewcounts/start", nil); a.status != http.StatusConflict {
		t.Errorf("started by both: %d", a.status)
	}
	mortal.kill()
	until(t, "the other process says that it was interrupted", func() bool { return strings.Contains(page(other, "viewcounts"), "rebuild-interrupted") })
	if n := queried[int64](t, database, `SELECT views FROM view_counts`); n < 7 || n >= past {
		t.Errorf("after the kill %d views are served", n)
	}
	does(other, "viewcounts", "cancel")
	if n := queried[int](t, database, `SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'rebuild%'`); n != 0 {
		t.Errorf("%d schemas are left", n)
	}

	for _, name := range []string{"viewcounts", "usercredentials"} {
		does(other, name, "start")
	}
	took := map[string]time.Duration{}
	for _, name := range []string{"viewcounts", "usercredentials"} {
		until(t, name+" is compared", func() bool { return strings.Contains(page(other, name), "What the switch changes") })
		does(other, name, "switch")
		until(t, name+" is switched to", func() bool { return strings.Contains(page(other, name), "rebuild-done") })
		took[name] = queried[time.Duration](t, database, `SELECT ended_at - started_at FROM rebuild WHERE name = $1`, name)
	}
	atSwitch := written.Load()
	until(t, "the counts go on", func() bool {
		return queried[int64](t, database, `SELECT views FROM view_counts`) > past+atSwitch
	})
	rate := float64(written.Load()) / time.Since(began).Seconds()
	cancel()
	running.Wait()
	settled(t, database, other)
	if n := queried[int64](t, database, `SELECT views FROM view_counts`); n != past+written.Load() {
		t.Errorf("%d views are counted, want %d", n, past+written.Load())
	}
	if n := queried[int](t, database, `SELECT count(*) FROM user_credentials WHERE email = 'ada@example.test' AND roles = '{}'`); n != 1 {
		t.Error("what was wrong with ada is still so")
	}
	if n := mails(); n != 2 {
		t.Errorf("%d mails were sent by rebuilds", n-2)
	}
	t.Logf("%.0f views a second were written, %d pages were read; from the start to the end of the switch it took %v", rate, reads.Load(), took)
}
