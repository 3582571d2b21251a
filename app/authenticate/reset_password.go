package authenticate

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/usercredentials"
	"videotutorials/app/password"
	"videotutorials/app/web"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

func (a *App) askForPassword(c echo.Context) error {
	token := c.QueryParam("token")
	if _, err := a.key.ReadPasswordReset(token); err != nil {
		return badLink(c)
	}
	return renderReset(c, http.StatusOK, views.ResetPasswordForm{Token: token})
}

func badLink(c echo.Context) error {
	return renderReset(c, http.StatusNotFound, views.ResetPasswordForm{Invalid: true})
}

func renderReset(c echo.Context, status int, form views.ResetPasswordForm) error {
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store") // it holds the token
	return web.Render(c, status, views.ResetPasswordPage(web.Page(c, "Set a new password"), form))
}

// resetPassword writes ResetPassword, once for each link.
func (a *App) resetPassword(c echo.Context) error {
	ctx := c.Request().Context()
	fields, err := form(c)
	if err != nil {
		return err
	}
	token, wanted := fields.Get("token"), fields.Get("password")
	reset, err := a.key.ReadPasswordReset(token)
	if err != nil {
		return badLink(c)
	}
	user, _, err := a.users.ByID(ctx, reset.UserID)
	if errors.Is(err, usercredentials.ErrNotFound) {
		return badLink(c)
	}
	if err != nil {
		return err
	}
	if problem := password.Check(wanted, user.Email); problem != "" {
		return renderReset(c, http.StatusUnprocessableEntity, views.ResetPasswordForm{Token: token, PasswordProblem: problem})
	}
	hash, err := a.passwords.Hash(ctx, wanted)
	if err != nil {
		return err
	}
	id := messagestore.DeriveID("reset-password", reset.ResetID)
	traceID := messagestore.DeriveID(id, "trace")
	_, err = a.store.Write(ctx, identitymsg.Category.CommandStream(user.ID),
		identitymsg.ResetPassword{UserID: user.ID, ResetID: reset.ResetID, PasswordHash: hash},
		messagestore.WithID(id), messagestore.WithMetadata(messagestore.Metadata{TraceID: traceID, UserID: user.ID}))
	if errors.Is(err, messagestore.ErrDuplicateID) {
		same, err := a.wantedAlready(c, id, reset.UserID, wanted)
		if err != nil {
			return err
		}
		if !same {
			return badLink(c)
		}
	} else if err != nil {
		return err
	}
	if err := a.sessions.Remember(c, traceID); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, views.OperationPath(traceID))
}

// wantedAlready says whether a link was used for the same password: then it is a double
// click. With another password it is a second use, and must not look as if it worked.
func (a *App) wantedAlready(c echo.Context, id, userID, wanted string) (bool, error) {
	ctx := c.Request().Context()
	last, err := a.store.Last(ctx, identitymsg.Category.CommandStream(userID), identitymsg.ResetPassword{}.MessageType())
	if err != nil || last.ID != id {
		return false, err
	}
	return a.passwords.Sets(ctx, last, wanted)
}
