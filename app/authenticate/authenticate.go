// Package authenticate logs people in and out, and helps those who have forgotten their
// password to a new one. Whoever tries learns neither from words nor from times whether
// somebody has an address.
package authenticate

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/usercredentials"
	"videotutorials/app/password"
	"videotutorials/app/web"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// App is the application.
type App struct {
	store     *messagestore.Store
	users     usercredentials.Queries
	passwords *password.Hasher
	sessions  *web.Sessions
	key       identitymsg.Key
	familiar  familiar
	limits    *web.Limits
	now       func() time.Time
	wait      func(context.Context, time.Duration) error
}

// New returns the application. A key made from secret signs what a browser keeps about
// the accounts that it was used for.
func New(store *messagestore.Store, users usercredentials.Queries, passwords *password.Hasher, limits *web.Limits, sessions *web.Sessions, key identitymsg.Key, secret []byte) *App {
	return &App{
		store: store, users: users, passwords: passwords, sessions: sessions, key: key,
		familiar: newFamiliar(secret), limits: limits, now: time.Now, wait: web.Pause,
	}
}

// Routes adds the application's routes. Where a try may have to wait for its turn, the
// time that an answer may take begins after that.
func (a *App) Routes(e *echo.Echo) {
	web.Get(e, views.LogInPath, a.askToLogIn, web.InTime)
	e.POST(views.LogInPath, a.logIn)
	e.POST(views.LogOutPath, a.logOut, web.InTime)
	web.Get(e, views.ForgotPasswordPath, a.askForAddress, web.InTime)
	e.POST(views.ForgotPasswordPath, a.forgotPassword, a.limits.InTurn(web.FromSource), web.InTime)
	web.Get(e, views.ResetPasswordPath, a.askForPassword, web.InTime)
	e.POST(views.ResetPasswordPath, a.resetPassword, a.limits.InTurn(web.FromSource), web.InTime)
}

// form returns the fields of a form that was posted, never those of the address: a
// password there ends up in logs.
func form(c echo.Context) (url.Values, error) {
	if err := c.Request().ParseForm(); err != nil {
		var known *echo.HTTPError
		if errors.As(err, &known) { // too long
			return nil, known
		}
		return nil, echo.NewHTTPError(http.StatusBadRequest).SetInternal(err)
	}
	return c.Request().PostForm, nil
}
