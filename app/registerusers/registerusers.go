// Package registerusers registers people and shows each of them how their own
// registration comes along.
package registerusers

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/registrations"
	"videotutorials/aggregators/usercredentials"
	"videotutorials/app/live"
	"videotutorials/app/password"
	"videotutorials/app/web"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// App is the application.
type App struct {
	store         *messagestore.Store
	registrations registrations.Queries
	users         usercredentials.Queries
	passwords     *password.Hasher
	limits        *web.Limits
	sessions      *web.Sessions
	key           identitymsg.Key
	now           func() time.Time
	feed          *live.Feed
}

// New returns the application.
func New(store *messagestore.Store, rows registrations.Queries, users usercredentials.Queries, passwords *password.Hasher, limits *web.Limits, sessions *web.Sessions, key identitymsg.Key, hub *live.Hub) *App {
	return &App{
		store: store, registrations: rows, users: users, passwords: passwords, limits: limits, sessions: sessions, key: key,
		now: time.Now, feed: hub.Personal(),
	}
}

// Routes adds the application's routes.
func (a *App) Routes(e *echo.Echo) {
	inTurn := a.limits.InTurn(web.ToRegister)
	web.Get(e, views.RegisterPath, a.form, web.InTime, a.forStrangers)
	e.POST(views.RegisterPath, a.register, a.forStrangers, inTurn, web.InTime)
	web.Get(e, "/register/:traceId", a.show, web.InTime)
	e.GET("/register/:traceId/live", a.live)
	e.POST("/register/:traceId/resend", a.resend, inTurn, web.InTime)
}

// forStrangers leads whoever is signed in to their account: they have one.
func (a *App) forStrangers(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		_, signedIn, err := a.sessions.Person(c)
		switch {
		case err != nil:
			return err
		case signedIn:
			return c.Redirect(http.StatusSeeOther, views.AccountPath)
		}
		return next(c)
	}
}

// registration is what stands fast about one from the moment it was received.
type registration struct {
	traceID, userID, email string
	receivedAt             time.Time
	mailsKept, outbox      bool
}

// userOf returns the id of the person that a registration is for. Nothing has to be
// looked up to get from the page's address to the person's streams and rows.
func userOf(traceID string) string { return messagestore.DeriveID("user", traceID) }

// mine returns the registration at the request's address, where this browser sent it:
// anybody else's does not exist for it.
func (a *App) mine(c echo.Context) (registration, error) {
	r := registration{traceID: c.Param("traceId")}
	if !messagestore.ValidID(r.traceID) || !a.sessions.Remembers(c, r.traceID) {
		return r, web.NotFound(notHere)
	}
	r.userID = userOf(r.traceID)
	r.mailsKept, r.outbox = web.MailsKept(c)
	raw, err := a.store.Last(c.Request().Context(), identitymsg.Category.CommandStream(r.userID), identitymsg.Register{}.MessageType())
	if errors.Is(err, messagestore.ErrNoMessage) { // the trace of something else that this browser asked for
		return r, web.NotFound(notHere)
	}
	if err != nil {
		return r, err
	}
	received, err := messagestore.Decode[identitymsg.Register](raw)
	r.email, r.receivedAt = received.Data.Email, received.Time
	return r, err
}

const notHere = "A registration is shown only to the browser that sent it, and not for ever. If yours is complete, log in."

// read returns the registration as the page shows it, and the versions of the view
// data that says so.
func (a *App) read(ctx context.Context, r registration) (views.Registration, live.Versions, error) {
	row, _, versions, err := a.registrations.Of(ctx, r.userID)
	if err != nil {
		return views.Registration{}, nil, err
	}
	shown := views.Registration{
		TraceID: r.traceID, Email: r.email, ReceivedAt: r.receivedAt, MailsKept: r.mailsKept, Outbox: r.outbox,
		RegisteredAt: row.RegisteredAt, QueuedAt: row.QueuedAt, SentAt: row.SentAt, ConfirmedAt: row.ConfirmedAt,
		FailedReason: row.FailedReason,
	}
	// The page says that one can log in, so it waits for the row that one logs in by.
	_, version, err := a.users.ByID(ctx, r.userID)
	if errors.Is(err, usercredentials.ErrNotFound) { // and none of the later steps is shown before it
		shown = views.Registration{TraceID: r.traceID, Email: r.email, ReceivedAt: r.receivedAt, MailsKept: r.mailsKept, Outbox: r.outbox}
		err = nil
	}
	if err != nil {
		return views.Registration{}, nil, err
	}
	versions[usercredentials.Name] = version
	if row.RejectedReason != "" {
		// An id of its own, or what is sent next would count as sent already; and always
		// the same one, so that the page does not change each time that it is rendered.
		again := messagestore.DeriveID("form", r.traceID)
		shown.Rejected = &views.RegisterForm{ID: again, Email: r.email, EmailProblem: row.RejectedReason}
	}
	shown.Late = !shown.Settled() && a.now().Sub(lastStep(shown)) >= web.LateAfter
	return shown, versions, nil
}

func lastStep(r views.Registration) time.Time {
	last := r.ReceivedAt
	for _, t := range []time.Time{r.RegisteredAt, r.QueuedAt, r.SentAt, r.ConfirmedAt} {
		if t.After(last) {
			last = t
		}
	}
	return last
}
