// Package media serves the files of videos to those who may watch them.
package media

import (
	"context"
	"errors"
	"path"
	"regexp"
	"time"

	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/catalogue"
	"videotutorials/aggregators/creatorsvideos"
	"videotutorials/app/web"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/media"
	"videotutorials/messagestore"
)

// App is the application.
type App struct {
	store    *media.Store
	videos   catalogue.Queries
	own      creatorsvideos.Queries
	sessions *web.Sessions
	patience time.Duration
}

// New returns the application; store keeps the files below the id of each video.
func New(store *media.Store, videos catalogue.Queries, own creatorsvideos.Queries, sessions *web.Sessions) *App {
	return &App{store, videos, own, sessions, patience}
}

// Routes adds the application's routes.
func (a *App) Routes(e *echo.Echo) { web.Get(e, media.Path(":videoId/*"), a.file) }

// What a video consists of: files of an attempt to publish it, and captions and chapters
// beside them. What was handed in has the same store, and no address.
var files = regexp.MustCompile(`^([1-9][0-9]{0,5}/)?[a-z0-9][a-z0-9_-]{0,90}\.(m3u8|m4s|mp4|webm|jpg|vtt)$`)

func (a *App) file(c echo.Context) error {
	id, name := c.Param("videoId"), c.Param("*")
	if !messagestore.ValidID(id) || !files.MatchString(name) {
		return noSuchFile()
	}
	shared, err := a.mayWatch(c, id)
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderCacheControl, caching(shared, name))
	err = a.store.Serve(&patientWriter{c.Response(), a.patience}, c.Request(), id+"/"+name)
	if errors.Is(err, media.ErrNotFound) {
		return noSuchFile()
	}
	if err != nil {
		return messagestore.Transient(err) // a disk or a bucket that is away comes back
	}
	return nil
}

// A private video, a deleted one and one that never was look the same.
func noSuchFile() error { return web.NotFound("There is no such file.") }

// accessTime is how long the question may take who may watch a video. The answer to the
// request may take longer.
const accessTime = 10 * time.Second

// mayWatch returns whether a video is for everybody who has its address; the error is
// that there is no such file where it is not for the person who asks.
func (a *App) mayWatch(c echo.Context, videoID string) (shared bool, err error) {
	ctx, cancel := context.WithTimeout(c.Request().Context(), accessTime)
	defer cancel()
	visibility, owner, err := a.videos.Access(ctx, videoID)
	if errors.Is(err, catalogue.ErrNotFound) {
		// Their owner's page may know of them before the catalogue does.
		visibility = publishingmsg.Private
		owner, err = a.ownerOf(ctx, videoID)
	}
	if err != nil {
		return false, err
	}
	if visibility == publishingmsg.Public || visibility == publishingmsg.Unlisted {
		return true, nil
	}
	person, signedIn, err := a.sessions.Person(c)
	if err != nil {
		return false, err
	}
	if !signedIn || owner == "" || person.UserID != owner {
		return false, noSuchFile()
	}
	return false, nil
}

// ownerOf returns the owner of a video that their own page says can be watched; the error
// is that there is no such file where it says no such thing.
func (a *App) ownerOf(ctx context.Context, videoID string) (string, error) {
	v, _, err := a.own.ByID(ctx, videoID)
	if errors.Is(err, creatorsvideos.ErrNotFound) || err == nil && v.State != creatorsvideos.Playable && v.State != creatorsvideos.Published {
		return "", noSuchFile()
	}
	return v.OwnerID, err
}

// caching returns how long browsers, and caches on the way to them, keep a file. All but
// playlists stay as they are for ever. A cache that many share forgets them within
// minutes, because it does not ask who may watch.
func caching(shared bool, name string) string {
	switch {
	case !shared:
		return "private, no-store"
	case path.Ext(name) == ".m3u8":
		return "no-cache"
	}
	return "public, max-age=31536000, s-maxage=300, immutable"
}
