package registerusers

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"videotutorials/app/web"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// resend asks for another mail with the link that confirms the address. The ids derive
// from the person and the moment: of a double click the second
// half would be refused as too soon, and that refusal is what the person would see.
// There is nothing to ask for once the address is confirmed.
func (a *App) resend(c echo.Context) error {
	r, err := a.mine(c)
	if err != nil {
		return err
	}
	row, _, _, err := a.registrations.Of(c.Request().Context(), r.userID)
	if err != nil {
		return err
	}
	if !row.ConfirmedAt.IsZero() {
		return web.NotFound("The address is confirmed already.")
	}
	traceID := messagestore.DeriveID("resend", r.userID, web.Moment(a.now()))
	_, err = a.store.Write(c.Request().Context(), identitymsg.Category.CommandStream(r.userID),
		identitymsg.RequestConfirmation{UserID: r.userID},
		messagestore.WithID(messagestore.DeriveID("command", traceID)),
		messagestore.WithMetadata(messagestore.Metadata{TraceID: traceID, UserID: r.userID}))
	if err != nil && !errors.Is(err, messagestore.ErrDuplicateID) {
		return err
	}
	if err := a.sessions.Remember(c, traceID); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, views.OperationPath(traceID))
}
