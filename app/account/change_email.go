package account

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"videotutorials/app/web"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/views"
)

// changeEmail writes ChangeEmail for a person who knows their password. The same
// address can be asked for again, when its mail was lost, but not by a double click.
func (a *App) changeEmail(c echo.Context) error {
	ctx, post := c.Request().Context(), c.Request().PostFormValue
	person, _, err := a.sessions.Person(c)
	if err != nil {
		return err
	}
	user, _, err := a.users.ByID(ctx, person.UserID)
	if err != nil {
		return err
	}
	wanted, problem := strings.TrimSpace(post("email")), ""
	normal, err := identitymsg.NormalAddress(wanted)
	if err != nil {
		problem = identitymsg.EmailInvalid
	} else if has, err := identitymsg.NormalAddress(user.Email); err == nil && has == normal {
		problem = identitymsg.SameEmail
	}
	known, _, err := a.passwords.Verify(ctx, post("password"), user.PasswordHash)
	if err != nil {
		return err
	}
	if !known || problem != "" {
		return a.render(c, http.StatusUnprocessableEntity, func(shown *views.Account) {
			shown.NewEmail, shown.EmailProblem = wanted, problem
			if !known {
				shown.EmailPasswordProblem = wrongPassword
			}
		})
	}
	// What is refused because the password was changed meanwhile can be asked for at once.
	once := strings.Join([]string{a.key.AddressID(normal), user.PasswordHash, web.Moment(a.now())}, " ")
	return a.ask(c, user.ID, identitymsg.ChangeEmail{UserID: user.ID, Email: wanted, Replaces: user.PasswordHash}, once)
}
