package account

import (
	"github.com/labstack/echo/v4"

	"videotutorials/app/web"
	"videotutorials/components/identity/identitymsg"
)

// requestConfirmation asks for another mail with the link that confirms the address.
func (a *App) requestConfirmation(c echo.Context) error {
	person, _, err := a.sessions.Person(c)
	if err != nil {
		return err
	}
	return a.ask(c, person.UserID, identitymsg.RequestConfirmation{UserID: person.UserID}, web.Moment(a.now()))
}
