package authenticate

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/usercredentials"
	"videotutorials/app/password"
	"videotutorials/app/web"
	"videotutorials/components/authentication/authenticationmsg"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// failing is how long a wrong try takes at least: longer than it takes to verify a hash
// of ours while a few others wait for theirs, so that it says nothing about the address.
// A hash of another program that costs more still shows that somebody has the address,
// until that person's next log-in replaces it.
const failing = 300 * time.Millisecond

// try is one try to log in.
type try struct {
	form     views.LogInForm
	address  string // in its normal form
	password string
	attempt  web.Try
	browser  browser
}

func (a *App) askToLogIn(c echo.Context) error {
	_, signedIn, err := a.sessions.Person(c)
	if err != nil {
		return err
	}
	next := c.QueryParam("next")
	if signedIn {
		return c.Redirect(http.StatusSeeOther, web.OwnPath(next))
	}
	if next != "" {
		next = web.OwnPath(next)
	}
	return renderLogIn(c, http.StatusOK, views.LogInForm{Next: next})
}

func renderLogIn(c echo.Context, status int, form views.LogInForm) error {
	return web.Render(c, status, views.LogInPage(web.Page(c, "Log in"), form))
}

// logIn waits for its turn before anything costs anything.
func (a *App) logIn(c echo.Context) error {
	fields, err := form(c)
	if err != nil {
		return err
	}
	t := try{form: views.LogInForm{Email: strings.TrimSpace(fields.Get("email")), Next: fields.Get("next")}, password: fields.Get("password")}
	t.address = normalAddress(t.form.Email)
	t.browser = a.familiar.browser(c)
	t.attempt = web.Try{Account: a.key.AddressID(t.address), Source: c.RealIP()}
	if t.browser.knows(t.attempt.Account) {
		t.attempt.Browser = t.browser.ID
	}
	refused, err := a.limits.Enter(c.Request().Context(), t.attempt)
	if err != nil {
		return err
	}
	if refused > 0 {
		t.form.Problem, t.form.Wait = "too-many", web.RetryAfter(c, refused)
		return renderLogIn(c, http.StatusTooManyRequests, t.form)
	}
	return web.InTime(func(c echo.Context) error { return a.verify(c, t) })(c)
}

// normalAddress returns the form that an address is found by, whatever was typed:
// nobody has what is no address, and to say so earlier would be another answer.
func normalAddress(email string) string {
	if normal, err := identitymsg.NormalAddress(email); err == nil {
		return normal
	}
	// What Postgres takes as a text, and how data of another program is found.
	return strings.ToLower(strings.ReplaceAll(strings.ToValidUTF8(email, ""), "\x00", ""))
}

// verify does the same work for a wrong password and an unknown address.
func (a *App) verify(c echo.Context, t try) error {
	ctx, began := c.Request().Context(), a.now()
	user, err := a.users.ByAddress(ctx, t.address)
	if err != nil && !errors.Is(err, usercredentials.ErrNotFound) {
		return err
	}
	ok, outdated, err := a.passwords.Verify(ctx, t.password, user.PasswordHash)
	if err != nil {
		return err
	}
	if !ok {
		if err := a.fail(c, t, user); err != nil {
			return err
		}
		if err := a.wait(ctx, failing-a.now().Sub(began)); err != nil {
			return err
		}
		t.form.Problem = "wrong"
		return renderLogIn(c, http.StatusUnprocessableEntity, t.form)
	}
	if outdated {
		if err := a.upgrade(c, t, user); err != nil {
			return err
		}
	}
	return a.begin(c, t, user)
}

// fail writes UserLoginFailed: of whoever has the address, else of the address.
func (a *App) fail(c echo.Context, t try, user usercredentials.User) error {
	failed := authenticationmsg.UserLoginFailed{UserID: user.ID, Reason: authenticationmsg.WrongPassword, Browser: browserName(c.Request().UserAgent())}
	if user.ID == "" {
		failed.UserID, failed.Reason = t.attempt.Account, authenticationmsg.UnknownAddress
	}
	_, err := a.store.Write(c.Request().Context(), authenticationmsg.Category.Stream(failed.UserID), failed,
		messagestore.WithMetadata(messagestore.Metadata{TraceID: web.TraceID(c)}))
	return err
}

// upgrade asks for a better hash of the password that was just verified. Where too many
// wait for theirs, the next log-in will do.
func (a *App) upgrade(c echo.Context, t try, user usercredentials.User) error {
	ctx := c.Request().Context()
	hash, err := a.passwords.Hash(ctx, t.password)
	if errors.Is(err, password.ErrBusy) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = a.store.Write(ctx, identitymsg.Category.CommandStream(user.ID),
		identitymsg.UpgradePasswordHash{UserID: user.ID, PasswordHash: hash, Replaces: user.PasswordHash},
		messagestore.WithMetadata(messagestore.Metadata{TraceID: web.TraceID(c), UserID: user.ID}))
	return err
}

// begin writes UserLoggedIn and then, if that is written, begins the session. One that
// the browser had until now ends.
func (a *App) begin(c echo.Context, t try, user usercredentials.User) error {
	if err := a.end(c); err != nil {
		return err
	}
	sessionID := messagestore.NewID()
	_, err := a.store.Write(c.Request().Context(), authenticationmsg.Category.Stream(user.ID),
		authenticationmsg.UserLoggedIn{UserID: user.ID, SessionID: sessionID, Browser: browserName(c.Request().UserAgent())},
		messagestore.WithMetadata(messagestore.Metadata{TraceID: web.TraceID(c), UserID: user.ID}))
	if err != nil {
		return err
	}
	if err := a.sessions.LogIn(c, user.ID, sessionID, user.Generation); err != nil {
		return err
	}
	if err := a.familiar.keep(c, t.browser.with(t.attempt.Account), a.sessions.Secure(c)); err != nil {
		return err
	}
	a.limits.Succeeded(t.attempt)
	return c.Redirect(http.StatusSeeOther, web.OwnPath(t.form.Next))
}
