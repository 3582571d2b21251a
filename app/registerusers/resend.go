package registerusers

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// doubleClick is how long the same wish of the same person is one wish.
const doubleClick = 10 * time.Second

// resend asks for another mail with the link that confirms the address. The ids derive
// from the person and the time in steps of ten seconds: of a double click the second
// half would be refused as too soon, and that refusal is what the person would see.
func (a *App) resend(c echo.Context) error {
	r, err := a.mine(c)
	if err != nil {
		return err
	}
	traceID := messagestore.DeriveID("resend", r.userID, strconv.FormatInt(a.now().Unix()/int64(doubleClick/time.Second), 10))
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
