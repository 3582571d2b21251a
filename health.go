package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"

	"videotutorials/app/web"
	"videotutorials/db"
	"videotutorials/messagestore"
)

// health answers whoever watches over the program. GET /health says that the process is
// alive and asks nobody: a process that is ended because its database is away is away
// itself when that comes back. GET /ready says whether it can do its work.
type health struct{ *program }

// Routes adds the routes.
func (h health) Routes(e *echo.Echo) {
	web.Get(e, "/health", echo.WrapHandler(http.HandlerFunc(h.alive)))
	web.Get(e, "/ready", echo.WrapHandler(http.HandlerFunc(h.ready)))
}

func (p *program) alive(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, http.StatusOK, struct {
		Status string `json:"status"`
	}{"ok"})
}

// healthAnswer holds figures only: errors, which may quote data, are in the log.
type healthAnswer struct {
	Status        string               `json:"status"` // "ok" or "unavailable"
	Reasons       []string             `json:"reasons,omitempty"`
	Databases     databasesHealth      `json:"databases"` // "ok", "away" or "not migrated"
	Listeners     databasesHealth      `json:"listeners"` // "ok" or "away"
	Subscriptions []subscriptionHealth `json:"subscriptions"`
	OpenPages     int                  `json:"openPages"`
}

type databasesHealth struct {
	Views        string `json:"views"`
	MessageStore string `json:"messageStore"`
}

type subscriptionHealth struct {
	Name        string             `json:"name"`
	State       messagestore.State `json:"state"`
	Position    int64              `json:"position"`
	Head        int64              `json:"head"`
	LagMessages int64              `json:"lagMessages"` // counted up to 10,000
	LagSeconds  float64            `json:"lagSeconds"`
	Retries     int64              `json:"retries"`
	Parked      int                `json:"parked"` // streams
}

func (p *program) ready(w http.ResponseWriter, r *http.Request) {
	a := p.readiness(r.Context())
	status := http.StatusOK
	if a.Status != "ok" {
		status = http.StatusServiceUnavailable
	}
	answerJSON(w, status, a)
}

func answerJSON(w http.ResponseWriter, status int, a any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(a) // whoever asked may have gone
}

func (p *program) readiness(ctx context.Context) healthAnswer {
	a := healthAnswer{
		Status:    "ok",
		Databases: p.looked.look(ctx, p.views, p.messages),
		Listeners: databasesHealth{Views: okOrAway(p.viewsListener.Status().Connected), MessageStore: okOrAway(p.subscriptions.Listening().Connected)},
		OpenPages: p.hub.Stats().Pages,
	}
	if d := a.Databases.Views; d != "ok" {
		a.Reasons = append(a.Reasons, "the view data are "+d)
	}
	if d := a.Databases.MessageStore; d != "ok" {
		a.Reasons = append(a.Reasons, "the message store is "+d)
	}
	for _, s := range p.subscriptions.Status() {
		a.Subscriptions = append(a.Subscriptions, subscriptionHealth{s.Name, s.State, s.Position, s.Head, s.LagMessages, s.LagSeconds, s.Retries, len(s.Parked)})
		if late(s, p.config.ReadyLag) {
			a.Reasons = append(a.Reasons, fmt.Sprintf("%s is %.0f s behind", s.Name, s.LagSeconds))
		}
	}
	if p.stopping.Load() {
		a.Reasons = append(a.Reasons, "this process is stopping")
	}
	if len(a.Reasons) > 0 {
		a.Status = "unavailable"
	}
	return a
}

// late reports whether a process should not be asked, because a subscription that it works
// on is behind. That says nothing of it where another process does the work, where somebody
// has paused it, or where it waits for films or for a mail server.
func late(s messagestore.Status, most time.Duration) bool {
	return s.LagSeconds > most.Seconds() && s.State != messagestore.Standby && !s.Elsewhere && !s.Paused && kindOf(s) != working
}

func okOrAway(ok bool) string {
	if ok {
		return "ok"
	}
	return "away"
}

// looked is what was last seen of the databases. Whoever asks more often than once a
// second, strangers too, is told again and costs no query.
type looked struct {
	mu   sync.Mutex
	at   time.Time
	seen databasesHealth
}

func (l *looked) look(ctx context.Context, views, messages *pgxpool.Pool) databasesHealth {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.at) < time.Second {
		return l.seen
	}
	ctx = context.WithoutCancel(ctx) // others wait for the answer too
	var asking sync.WaitGroup
	asking.Go(func() { l.seen.Views = found(ctx, views, db.ViewMigrations) })
	asking.Go(func() { l.seen.MessageStore = found(ctx, messages, db.MessageStoreMigrations) })
	asking.Wait()
	l.at = time.Now()
	return l.seen
}

// found asks a database for what it lacks. What a newer build has migrated beyond this one is no matter.
func found(ctx context.Context, pool *pgxpool.Pool, migrations func(context.Context, db.Querier) (db.Migrations, error)) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	state, err := migrations(ctx, pool)
	switch {
	case err != nil:
		return "away"
	case len(state.Missing) > 0:
		return "not migrated"
	}
	return "ok"
}
