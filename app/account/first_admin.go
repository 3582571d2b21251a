package account

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"videotutorials/app/web"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// firstAdminLink lets only those pass who have the link that the program printed.
func (a *App) firstAdminLink(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		token := c.QueryParam("token")
		if c.Request().Method == http.MethodPost {
			token = c.Request().PostFormValue("token")
		}
		if !a.key.IsFirstAdminToken(token) {
			return web.NotFound("This is not the link that the program printed.")
		}
		return next(c)
	}
}

// offerFirstAdmin also answers those who are not signed in: whoever has just set up the
// site has to register first.
func (a *App) offerFirstAdmin(c echo.Context) error {
	person, _, err := a.sessions.Person(c)
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store") // it holds the token
	version, err := a.store.Version(c.Request().Context(), identitymsg.FirstAdminStream)
	if err != nil {
		return err
	}
	return web.Render(c, http.StatusOK, views.FirstAdminPage(web.Page(c, "First admin"),
		views.FirstAdmin{Token: c.QueryParam("token"), Email: person.Email, Taken: version != messagestore.NoStream}))
}

// claimFirstAdmin writes ClaimFirstAdmin, once for each person: who came first stays so.
func (a *App) claimFirstAdmin(c echo.Context) error {
	person, _, err := a.sessions.Person(c)
	if err != nil {
		return err
	}
	return a.ask(c, person.UserID, identitymsg.ClaimFirstAdmin{UserID: person.UserID}, "")
}
