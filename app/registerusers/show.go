package registerusers

import (
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"videotutorials/app/web"
	"videotutorials/views"
)

// show is the page that a registration is followed on. Without scripts it loads itself
// again: often while the work is ours, less so while we wait for the person.
func (a *App) show(c echo.Context) error {
	r, err := a.mine(c)
	if err != nil {
		return err
	}
	shown, at, err := a.read(c.Request().Context(), r)
	if err != nil {
		return err
	}
	p := web.Page(c, "Your registration")
	if shown.ConfirmedAt.IsZero() && shown.Rejected == nil { // a mail that failed can still be followed by one that arrives
		p.Live = views.RegistrationPath(r.traceID) + "/live?" + url.Values{"at": {at.String()}}.Encode()
	}
	switch {
	case shown.Settled():
	case shown.SentAt.IsZero():
		p.Refresh = 1
	default:
		p.Refresh = 10
	}
	return web.Render(c, http.StatusOK, views.RegistrationPage(p, shown))
}
