package registerusers

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"videotutorials/app/password"
	"videotutorials/app/web"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// form shows an empty form, each with an id of its own.
func (a *App) form(c echo.Context) error {
	if _, err := a.sessions.ID(c); err != nil { // here, so that a double click is one browser's
		return err
	}
	return a.renderForm(c, http.StatusOK, views.RegisterForm{ID: messagestore.NewID()})
}

func (a *App) renderForm(c echo.Context, status int, form views.RegisterForm) error {
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store") // a form that was kept would have an id that is used up
	return web.Render(c, status, views.RegisterPage(web.Page(c, "Register"), form))
}

// register writes Register once for each form and address: all ids derive from these
// and the browser's session. So a double click and a reload are one registration and
// lead to the same page, and who goes back and corrects the address registers anew. Who
// goes back and corrects the password is told that the first one counts.
func (a *App) register(c echo.Context) error {
	ctx, post := c.Request().Context(), c.Request().PostFormValue // not FormValue: a password in an address ends up in logs
	form := views.RegisterForm{ID: post("id"), Email: strings.TrimSpace(post("email"))}
	if !messagestore.ValidID(form.ID) {
		form.ID = messagestore.NewID()
	}
	normal, err := identitymsg.NormalAddress(form.Email)
	if err != nil {
		form.EmailProblem = identitymsg.EmailInvalid
	}
	form.PasswordProblem = password.Check(post("password"), form.Email)
	if form.EmailProblem != "" || form.PasswordProblem != "" {
		return a.renderForm(c, http.StatusUnprocessableEntity, form)
	}
	session, err := a.sessions.ID(c)
	if err != nil {
		return err
	}
	hash, err := a.passwords.Hash(ctx, post("password"))
	if err != nil {
		return err
	}
	traceID := messagestore.DeriveID("registration", session, form.ID, a.key.AddressID(normal))
	userID := userOf(traceID)
	_, err = a.store.Write(ctx, identitymsg.Category.CommandStream(userID),
		identitymsg.Register{UserID: userID, Email: form.Email, PasswordHash: hash},
		messagestore.WithID(messagestore.DeriveID("register", userID)),
		messagestore.WithMetadata(messagestore.Metadata{TraceID: traceID, UserID: userID}))
	if errors.Is(err, messagestore.ErrDuplicateID) {
		same, err := a.registersWith(ctx, userID, post("password"))
		if err != nil {
			return err
		}
		if !same {
			form.ID, form.PasswordProblem = messagestore.NewID(), sentBefore
			return a.renderForm(c, http.StatusUnprocessableEntity, form)
		}
	} else if err != nil {
		return err
	}
	if err := a.sessions.Remember(c, traceID); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, views.RegistrationPath(traceID))
}

// sentBefore is the problem of a password where the form was sent before with another.
const sentBefore = "sent-before"

// registersWith says whether a person's registration, which was written before, has a
// password.
func (a *App) registersWith(ctx context.Context, userID, password string) (bool, error) {
	written, err := a.store.Last(ctx, identitymsg.Category.CommandStream(userID), identitymsg.Register{}.MessageType())
	if err != nil {
		return false, err
	}
	return a.passwords.Sets(ctx, written, password)
}
