// Package media serves the files of published videos.
package media

import (
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/labstack/echo/v4"

	"videotutorials/app/web"
	"videotutorials/messagestore"
)

// App is the application.
type App struct{ dir string }

// New returns the application; dir holds a folder for each video, named by its id.
func New(dir string) *App { return &App{dir} }

// Routes adds the application's routes.
func (a *App) Routes(e *echo.Echo) { web.Get(e, "/media/:videoId/:file", a.file) }

// Only what a published video consists of is served, and each with its own type.
var contentTypes = map[string]string{"video.mp4": "video/mp4", "poster.jpg": "image/jpeg"}

// slowest is the slowest connection that a download is kept up for, in bytes per
// second. A browser that has buffered enough stops reading and asks for the rest
// by range later.
const slowest = 32 << 10

func (a *App) file(c echo.Context) error {
	id, name := c.Param("videoId"), c.Param("file")
	kind, known := contentTypes[name]
	if !known || !messagestore.ValidID(id) {
		return web.NotFound("There is no such file.")
	}
	f, err := os.Open(filepath.Join(a.dir, id, name))
	if os.IsNotExist(err) {
		return web.NotFound("There is no such file.")
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	patience := time.Minute + time.Duration(info.Size()/slowest)*time.Second
	if err := http.NewResponseController(c.Response()).SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	header := c.Response().Header()
	header.Set(echo.HeaderContentType, kind)
	header.Set(echo.HeaderCacheControl, "public, max-age=3600")
	http.ServeContent(c.Response(), c.Request(), "", info.ModTime(), f)
	return nil
}
