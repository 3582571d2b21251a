package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"videotutorials/components/sendemail/sendemailmsg"
	"videotutorials/components/viewing/viewingmsg"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

// TestAliveIsNotReady: a process whose databases are away is alive, and says that it is
// not ready and for which of them.
func TestAliveIsNotReady(t *testing.T) {
	t.Parallel()
	server := dbtest.NewServer(t)
	s := start(t, folder(t), append(environment(server.DB), "OPS_ADDRESS=127.0.0.1:0"), "--no-demo")
	ops := opsOf(t, s)
	ready := func(status int, says ...string) func() bool {
		return func() bool {
			for _, at := range []string{s.url, ops} {
				a := get(t, at+"/ready")
				if a.status != status || a.header.Get("Cache-Control") != "no-store" {
					return false
				}
				for _, text := range says {
					if !strings.Contains(a.body, text) {
						return false
					}
				}
			}
			return true
		}
	}
	alive := func() {
		t.Helper()
		for _, at := range []string{s.url, ops} {
			if a := get(t, at+"/health"); a.status != http.StatusOK || strings.TrimSpace(a.body) != `{"status":"ok"}` {
				t.Errorf("%s/health: %d %s", at, a.status, a.body)
			}
		}
	}
	until(t, "it is ready", ready(200, `"status":"ok"`, `"views":"ok"`))
	alive()
	server.Stop()
	until(t, "it is not", ready(503, "the view data are away", "the message store is away"))
	alive()
	server.Start()
	until(t, "it is ready again", ready(200, `"status":"ok"`))
	for _, path := range []string{"/", "/metrics", "/debug/pprof/"} { // each address has its own
		onSite, onOps := get(t, s.url+path).status, get(t, ops+path).status
		if path == "/" && (onSite != 200 || onOps != 404) || path != "/" && (onSite != 404 || onOps != 200) {
			t.Errorf("%s: %d on the site, %d for operators", path, onSite, onOps)
		}
	}
}

// TestNotReadyWithoutItsMigrations: a database that was put back as it was under an older
// build is not what this one works with.
func TestNotReadyWithoutItsMigrations(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	until(t, "it is ready", func() bool { status, _ := healthOf(t, s); return status == 200 })
	var last string
	err := database.Views.QueryRow(within(t), `DELETE FROM applied_view_migrations WHERE version = (SELECT max(version) FROM applied_view_migrations) RETURNING version`).Scan(&last)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "it is not", func() bool {
		status, h := healthOf(t, s)
		return status == 503 && h.Databases == databasesHealth{"not migrated", "ok"}
	})
	if _, err := database.Views.Exec(within(t), `INSERT INTO applied_view_migrations (version) VALUES ($1), ('99991231000000')`, last); err != nil {
		t.Fatal(err)
	}
	until(t, "a newer build's migration is no matter", func() bool { status, _ := healthOf(t, s); return status == 200 })
}

// TestNotReadyWhileBehind: view data that cannot keep up make a process not ready, unless
// somebody else has them in their hands.
func TestNotReadyWhileBehind(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := start(t, folder(t), append(environment(database), "READY_LAG=1s"), "--no-demo")
	until(t, "it is ready", func() bool { status, _ := healthOf(t, s); return status == 200 })
	// The rows of the count cannot be changed, so that the projection's transaction waits.
	tx, err := database.Views.Begin(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(within(t), `LOCK TABLE view_counts IN EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	store, video := messagestore.New(database.MessageStore), messagestore.NewID()
	if _, err := store.Write(within(t), viewingmsg.Category.Stream(video), viewingmsg.VideoViewed{VideoID: video}); err != nil {
		t.Fatal(err)
	}
	until(t, "it is behind", func() bool {
		status, h := healthOf(t, s)
		return status == 503 && len(h.Reasons) == 1 && strings.HasPrefix(h.Reasons[0], "viewcounts is ") && h.Databases == databasesHealth{"ok", "ok"}
	})
	if err := tx.Rollback(within(t)); err != nil && err != pgx.ErrTxClosed {
		t.Fatal(err)
	}
	until(t, "it has caught up", func() bool { status, _ := healthOf(t, s); return status == 200 })
}

func TestWhatMayBeLate(t *testing.T) {
	t.Parallel()
	behind := messagestore.Status{Name: "viewcounts", Projection: true, State: messagestore.CatchingUp, LagSeconds: 31}
	changed := func(change func(*messagestore.Status)) messagestore.Status {
		s := behind
		change(&s)
		return s
	}
	for name, c := range map[string]struct {
		status messagestore.Status
		late   bool
	}{
		"behind":           {behind, true},
		"retrying":         {changed(func(s *messagestore.Status) { s.State = messagestore.Retrying }), true},
		"not so far":       {changed(func(s *messagestore.Status) { s.LagSeconds = 29 }), false},
		"another process'": {changed(func(s *messagestore.Status) { s.State = messagestore.Standby }), false},
		"paused":           {changed(func(s *messagestore.Status) { s.Paused = true }), false},
		"mails": {changed(func(s *messagestore.Status) {
			s.Name, s.Projection, s.Category = "sendEmail:commands", false, sendemailmsg.Category.Commands()
		}), false},
		"films": {changed(func(s *messagestore.Status) {
			s.Name, s.Projection, s.Category = "videoPublishing:transcoding", false, "videoPublishing"
		}), false},
		"commands": {changed(func(s *messagestore.Status) {
			s.Name, s.Projection, s.Category = "videoPublishing:commands", false, "videoPublishing:command"
		}), true},
		"identity": {changed(func(s *messagestore.Status) {
			s.Name, s.Projection, s.Category = "identity:events:2of5", false, "identity"
		}), true},
	} {
		if got := late(c.status, 30*time.Second); got != c.late {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// opsOf returns where a site answers operators.
func opsOf(t *testing.T, s *site) string {
	t.Helper()
	found, err := s.output.find(within(t), `operators +(http://127\.0\.0\.1:\d+)/metrics`, s.exited)
	if err != nil {
		t.Fatal(err)
	}
	return found[1]
}
