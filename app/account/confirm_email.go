package account

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"videotutorials/app/web"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/views"
)

// askToConfirm shows a button: programs that follow the links of mails confirm nothing.
func (a *App) askToConfirm(c echo.Context) error {
	token := c.QueryParam("token")
	confirmation, err := a.key.ReadConfirmation(token)
	if err != nil {
		return renderConfirm(c, http.StatusNotFound, views.ConfirmEmail{Invalid: true})
	}
	return renderConfirm(c, http.StatusOK, views.ConfirmEmail{Token: token, Email: confirmation.Email})
}

// confirmEmail writes ConfirmEmail, once for each link: its ids derive from the token,
// so a second click finds what the first one came to.
func (a *App) confirmEmail(c echo.Context) error {
	token := c.Request().PostFormValue("token")
	confirmation, err := a.key.ReadConfirmation(token)
	if err != nil {
		return renderConfirm(c, http.StatusNotFound, views.ConfirmEmail{Invalid: true})
	}
	return a.ask(c, confirmation.UserID, identitymsg.ConfirmEmail(confirmation), token)
}

func renderConfirm(c echo.Context, status int, confirm views.ConfirmEmail) error {
	return web.Render(c, status, views.ConfirmEmailPage(web.Page(c, "Confirm your address"), confirm))
}
