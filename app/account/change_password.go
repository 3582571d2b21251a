package account

import (
	"context"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/usercredentials"
	"videotutorials/app/password"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// wrongPassword is the problem of a field that asks for the password one has.
const wrongPassword = "wrong"

// underWay is the problem of a new password where the current one is about to be replaced
// by another.
const underWay = "change-under-way"

// changePassword writes ChangePassword for a person who knows the current one. Its ids
// derive from the hash of that, so each password is replaced once. Of two posts the
// second may come before view data has followed the first: it counts as the same if it
// wants the same. Or it comes afterwards: then the current password is wrong, and the
// new one is what was asked for.
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
	problem, currentProblem := password.Check(wanted, user.Email), ""
	known, _, err := a.passwords.Verify(ctx, current, user.PasswordHash)
	if err != nil {
		return err
	}
	if !known {
		currentProblem = wrongPassword
	}
	if !known && problem == "" && user.KeptSession == person.SessionID {
		traceID, err := a.changeTo(ctx, user, wanted)
		if err != nil {
			return err
		}
		if traceID != "" {
			return a.lead(c, traceID)
		}
	}
	if !known || problem != "" {
		return a.renderPasswordProblems(c, problem, currentProblem)
	}
	hash, err := a.passwords.Hash(ctx, wanted)
	if err != nil {
		return err
	}
	command := identitymsg.ChangePassword{UserID: user.ID, PasswordHash: hash, SessionID: person.SessionID, Replaces: user.PasswordHash}
	traceID := wish(command, user.ID, user.PasswordHash)
	err = a.write(c, user.ID, command, traceID)
	if errors.Is(err, messagestore.ErrDuplicateID) {
		last, err := a.lastChange(ctx, user.ID)
		if err != nil {
			return err
		}
		same, err := a.passwords.Sets(ctx, last, wanted)
		if err != nil {
			return err
		}
		if !same || last.ID != commandID(traceID) {
			return a.renderPasswordProblems(c, underWay, "")
		}
	} else if err != nil {
		return err
	}
	return a.lead(c, traceID)
}

func (a *App) renderPasswordProblems(c echo.Context, problem, currentProblem string) error {
	return a.render(c, http.StatusUnprocessableEntity, func(shown *views.Account) {
		shown.PasswordProblem, shown.CurrentPasswordProblem = problem, currentProblem
	})
}

// changeTo returns the trace of the change that made a password the person's, "" where
// they have another one or did not come by it so.
func (a *App) changeTo(ctx context.Context, user usercredentials.User, wanted string) (traceID string, err error) {
	raw, err := a.lastChange(ctx, user.ID)
	if errors.Is(err, messagestore.ErrNoMessage) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	last, err := messagestore.Decode[identitymsg.ChangePassword](raw)
	if err != nil || last.Data.PasswordHash != user.PasswordHash {
		return "", err
	}
	done, _, err := a.passwords.Verify(ctx, wanted, user.PasswordHash)
	if err != nil || !done {
		return "", err
	}
	return last.Metadata.TraceID, nil
}

func (a *App) lastChange(ctx context.Context, userID string) (messagestore.Raw, error) {
	return a.store.Last(ctx, identitymsg.Category.CommandStream(userID), identitymsg.ChangePassword{}.MessageType())
}
