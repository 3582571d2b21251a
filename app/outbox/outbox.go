// Package outbox shows the mails that the site wrote into a folder instead of sending
// them, as a mail program would. It shows everybody's mails to everybody: it is for
// development only.
package outbox

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"videotutorials/app/web"
	"videotutorials/views"
)

// App is the application.
type App struct{ dir string }

// New returns the application; dir holds the mails, "<emailId>.eml".
func New(dir string) *App { return &App{dir} }

// Routes adds the application's routes.
func (a *App) Routes(e *echo.Echo) {
	web.Get(e, "/outbox", a.list, web.InTime)
	web.Get(e, "/outbox/:id", a.show, web.InTime)
	web.Get(e, "/outbox/:id/html", a.html, web.InTime)
}

func (a *App) list(c echo.Context) error {
	o, err := a.letters()
	if err != nil {
		return err
	}
	return web.Render(c, http.StatusOK, views.OutboxPage(web.Page(c, "Outbox"), o))
}

func (a *App) show(c echo.Context) error {
	l, _, err := a.letter(c.Param("id"))
	if err != nil {
		return err
	}
	o, err := a.letters()
	if err != nil {
		return err
	}
	return web.Render(c, http.StatusOK, views.OutboxLetterPage(web.Page(c, "Outbox"), o, l))
}

// html answers with the HTML part alone, for the frame in the page of the mail.
func (a *App) html(c echo.Context) error {
	l, source, err := a.letter(c.Param("id"))
	if err != nil {
		return err
	}
	if !l.HTML {
		return web.NotFound("This mail has no HTML.")
	}
	f, err := framed(source)
	if err != nil {
		return web.NotFound("The HTML of this mail cannot be shown.")
	}
	header := c.Response().Header()
	header.Set("Content-Security-Policy", f.policy)
	header.Set("Referrer-Policy", "no-referrer") // the address of a mail is nobody's business
	header.Set(echo.HeaderCacheControl, "no-store")
	return c.HTMLBlob(http.StatusOK, f.page)
}
