// Package account shows people their account and lets them change it: password,
// address, sessions. What they ask for is a command, and a page of its own follows
// what comes of it.
package account

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/accountoperations"
	"videotutorials/aggregators/signins"
	"videotutorials/aggregators/usercredentials"
	"videotutorials/app/live"
	"videotutorials/app/password"
	"videotutorials/app/web"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// signInsShown is how many sign-ins the page lists.
const signInsShown = 50

// App is the application.
type App struct {
	store      *messagestore.Store
	users      usercredentials.Queries
	signIns    signins.Queries
	operations accountoperations.Queries
	passwords  *password.Hasher
	limits     *web.Limits
	sessions   *web.Sessions
	key        identitymsg.Key
	now        func() time.Time
	feed       *live.Feed
}

// New returns the application.
func New(store *messagestore.Store, users usercredentials.Queries, signIns signins.Queries, operations accountoperations.Queries,
	passwords *password.Hasher, limits *web.Limits, sessions *web.Sessions, key identitymsg.Key, hub *live.Hub) *App {
	return &App{
		store: store, users: users, signIns: signIns, operations: operations,
		passwords: passwords, limits: limits, sessions: sessions, key: key, now: time.Now, feed: hub.Personal(),
	}
}

// Routes adds the application's routes. Links in mails work in a browser that is not
// signed in, too, and so does the page of what comes of them.
func (a *App) Routes(e *echo.Echo) {
	tryPassword := a.limits.InTurn(a.passwordTry)
	web.Get(e, views.AccountPath, a.show, web.InTime, a.sessions.SignedIn)
	e.GET(views.AccountPath+"/live", a.live)
	e.POST(views.ChangePasswordPath, a.changePassword, a.sessions.SignedIn, tryPassword, web.InTime)
	e.POST(views.ChangeEmailPath, a.changeEmail, a.sessions.SignedIn, tryPassword, web.InTime)
	e.POST(views.ResendConfirmationPath, a.requestConfirmation, web.InTime, a.sessions.SignedIn)
	e.POST(views.EndSessionPath(":id"), a.endSession, web.InTime, a.sessions.SignedIn)
	e.POST(views.EndOtherSessionsPath, a.endOtherSessions, web.InTime, a.sessions.SignedIn)
	web.Get(e, views.OperationPath(":traceId"), a.operation, web.InTime)
	e.GET(views.OperationPath(":traceId")+"/live", a.operationLive)
	web.Get(e, views.ConfirmEmailPath, a.askToConfirm, web.InTime)
	e.POST(views.ConfirmEmailPath, a.confirmEmail, web.InTime)
	web.Get(e, views.FirstAdminPath, a.offerFirstAdmin, web.InTime, a.firstAdminLink)
	e.POST(views.FirstAdminPath, a.claimFirstAdmin, web.InTime, a.firstAdminLink, a.sessions.SignedIn)
}

// passwordTry is the try of a request that comes with the person's password: whoever has
// found a browser that is signed in must not find out the password by it.
func (a *App) passwordTry(c echo.Context) (web.Try, error) {
	person, _, err := a.sessions.Person(c)
	return web.Try{Account: person.UserID, Source: c.RealIP(), Browser: person.SessionID}, err
}

func (a *App) show(c echo.Context) error {
	return a.render(c, http.StatusOK, func(*views.Account) {})
}

// render answers with the account as it is, but for what fill puts into its forms.
func (a *App) render(c echo.Context, status int, fill func(*views.Account)) error {
	person, _, err := a.sessions.Person(c)
	if err != nil {
		return err
	}
	shown, at, err := a.read(c.Request().Context(), person)
	if err != nil {
		return err
	}
	fill(&shown)
	p := web.Page(c, "Account")
	p.Live = views.AccountPath + "/live?" + url.Values{"at": {at.String()}}.Encode()
	return web.Render(c, status, views.AccountPage(p, shown))
}

// passwordChanged is why a session is over that nobody ended by itself.
const passwordChanged = "password-changed"

// read returns what a person sees of their account, and the versions of the view data
// that says so.
func (a *App) read(ctx context.Context, person web.Person) (views.Account, live.Versions, error) {
	user, userVersion, err := a.users.ByID(ctx, person.UserID)
	if err != nil {
		return views.Account{}, nil, err
	}
	list, signInsVersion, err := a.signIns.Of(ctx, person.UserID, signInsShown)
	if err != nil {
		return views.Account{}, nil, err
	}
	shown := views.Account{
		Email: user.Email, PendingEmail: user.PendingEmail, Confirmed: user.Confirmed, Roles: user.Roles,
		RegisteredAt: user.RegisteredAt, This: person.SessionID,
	}
	for _, s := range list {
		if s.FailedReason == "" && s.EndedAt.IsZero() && s.At.Before(user.PasswordChangedAt) && s.ID != user.KeptSession {
			s.EndedAt, s.EndedReason = user.PasswordChangedAt, passwordChanged
		}
		shown.SignIns = append(shown.SignIns, views.SignIn(s))
	}
	return shown, live.Versions{usercredentials.Name: userVersion, signins.Name: signInsVersion}, nil
}

// ask writes a command about a person and leads to the page of what comes of it. Both
// ids derive from what the command is and from once, which says what counts as the
// same wish: a second post of it finds the first one's page.
func (a *App) ask(c echo.Context, userID string, command messagestore.Body, once string) error {
	traceID := wish(command, userID, once)
	if err := a.write(c, userID, command, traceID); err != nil && !errors.Is(err, messagestore.ErrDuplicateID) {
		return err
	}
	return a.lead(c, traceID)
}

// write writes a command, or fails with [messagestore.ErrDuplicateID] where its wish was
// written before.
func (a *App) write(c echo.Context, userID string, command messagestore.Body, traceID string) error {
	_, err := a.store.Write(c.Request().Context(), identitymsg.Category.CommandStream(userID), command,
		messagestore.WithID(commandID(traceID)),
		messagestore.WithMetadata(messagestore.Metadata{TraceID: traceID, UserID: userID}))
	return err
}

func commandID(traceID string) string { return messagestore.DeriveID("command", traceID) }

func wish(command messagestore.Body, userID, once string) string {
	return messagestore.DeriveID(command.MessageType(), userID, once)
}

// lead leads to the page of what comes of a command.
func (a *App) lead(c echo.Context, traceID string) error {
	if err := a.sessions.Remember(c, traceID); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, views.OperationPath(traceID))
}
