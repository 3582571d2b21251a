package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"

	"videotutorials/app/web"
	"videotutorials/messagestore"
)

// health answers GET /health for whoever watches over the program.
type health struct{ *program }

// Routes adds the route.
func (h health) Routes(e *echo.Echo) { web.Get(e, "/health", h.show) }

// healthAnswer holds figures only: errors, which may quote data, are in the log.
type healthAnswer struct {
	Status        string               `json:"status"`    // "ok" or "unavailable"
	Databases     databasesHealth      `json:"databases"` // "ok" or "away"
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

func (h health) show(c echo.Context) error {
	ctx := c.Request().Context()
	var views, messages bool
	var asking sync.WaitGroup
	asking.Go(func() { views = answers(ctx, h.views) })
	asking.Go(func() { messages = answers(ctx, h.messages) })
	asking.Wait()
	a := healthAnswer{
		Status:    "ok",
		Databases: databasesHealth{Views: okOrAway(views), MessageStore: okOrAway(messages)},
		Listeners: databasesHealth{Views: okOrAway(h.viewsListener.Status().Connected), MessageStore: okOrAway(h.subscriptions.Listening().Connected)},
		OpenPages: h.hub.Stats().Pages,
	}
	for _, s := range h.subscriptions.Status() {
		a.Subscriptions = append(a.Subscriptions, subscriptionHealth{s.Name, s.State, s.Position, s.Head, s.LagMessages, s.LagSeconds, s.Retries, len(s.Parked)})
	}
	status := http.StatusOK
	if a.Databases != (databasesHealth{"ok", "ok"}) {
		a.Status, status = "unavailable", http.StatusServiceUnavailable
	}
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	return c.JSON(status, a)
}

func okOrAway(ok bool) string {
	if ok {
		return "ok"
	}
	return "away"
}

// answers asks a database the simplest question.
func answers(ctx context.Context, pool *pgxpool.Pool) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err := pool.Exec(ctx, `SELECT`)
	return err == nil
}
