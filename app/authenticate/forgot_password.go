package authenticate

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"videotutorials/app/web"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

func (a *App) askForAddress(c echo.Context) error {
	return renderForgot(c, http.StatusOK, views.ForgotPasswordForm{})
}

func renderForgot(c echo.Context, status int, form views.ForgotPasswordForm) error {
	return web.Render(c, status, views.ForgotPasswordPage(web.Page(c, "Forgotten password"), form))
}

// forgotPassword asks for a mail to whoever has the address. It does not look whether
// anybody has: what was never found out cannot be told from the answer.
func (a *App) forgotPassword(c echo.Context) error {
	fields, err := form(c)
	if err != nil {
		return err
	}
	email := strings.TrimSpace(fields.Get("email"))
	normal, err := identitymsg.NormalAddress(email)
	if err != nil {
		return renderForgot(c, http.StatusUnprocessableEntity, views.ForgotPasswordForm{Email: email, EmailProblem: identitymsg.EmailInvalid})
	}
	addressID := a.key.AddressID(normal)
	_, err = a.store.Write(c.Request().Context(), identitymsg.Category.CommandStream(addressID),
		identitymsg.RequestPasswordReset{AddressID: addressID},
		messagestore.WithMetadata(messagestore.Metadata{TraceID: web.TraceID(c)}))
	if err != nil {
		return err
	}
	return web.Render(c, http.StatusOK, views.ForgotPasswordSentPage(web.Page(c, "Look at your mail"), email))
}
