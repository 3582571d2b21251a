package account

import (
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"videotutorials/app/password"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/views"
)

// wrongPassword is the problem of a field that asks for the password one has.
const wrongPassword = "wrong"

// changePassword writes ChangePassword for a person who knows the current one. Its ids
// derive from how often the password was changed before, so each password is replaced
// once. The second post of a double click may come when the first has replaced it: the
// current password is wrong by then, and the new one is what was asked for.
func (a *App) changePassword(c echo.Context) error {
	ctx, post := c.Request().Context(), c.Request().PostFormValue
	person, _, err := a.sessions.Person(c)
	if err != nil {
		return err
	}
	user, _, err := a.users.ByID(ctx, person.UserID)
	if err != nil {
		return err
	}
	current, wanted := post("current_password"), post("password")
	problem := password.Check(wanted, user.Email)
	known, _, err := a.passwords.Verify(ctx, current, user.PasswordHash)
	if err != nil {
		return err
	}
	if !known && problem == "" && user.KeptSession == person.SessionID {
		done, _, err := a.passwords.Verify(ctx, wanted, user.PasswordHash)
		if err != nil {
			return err
		}
		if done {
			return a.lead(c, wish(identitymsg.ChangePassword{}, user.ID, strconv.FormatInt(user.Generation-1, 10)))
		}
	}
	if !known || problem != "" {
		return a.render(c, http.StatusUnprocessableEntity, func(shown *views.Account) {
			shown.PasswordProblem = problem
			if !known {
				shown.CurrentPasswordProblem = wrongPassword
			}
		})
	}
	hash, err := a.passwords.Hash(ctx, wanted)
	if err != nil {
		return err
	}
	return a.ask(c, user.ID, identitymsg.ChangePassword{UserID: user.ID, PasswordHash: hash, SessionID: person.SessionID},
		strconv.FormatInt(user.Generation, 10))
}
