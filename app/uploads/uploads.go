// Package uploads takes the files of videos from those who publish them: by the tus
// protocol, where an upload goes on where it stopped, and from a plain form.
//
// An upload is a video from its first byte. Its bytes lie in a folder of this machine,
// its record beside them, and what is left there after a crash says what remains to be
// done:
//
//	<id> and <id>.info, not all bytes   it goes on, or is given up after a day
//	<id> and <id>.info, all bytes       it is handed over: to the media store, then PublishVideo
//	<id>.info, PublishVideo is written  it was handed over; a browser that did not hear so is told
//	<id>.info, it is not                it was given up; AbandonUpload is still owed
//	any of these, VideoDeleted          it goes
//	anything else                       nobody has been told of it; it goes
//
// The id of an upload is that of its video, without dashes. The ids of the commands are
// derived from it, so whatever is done twice is written once.
package uploads

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"sync"
	"syscall"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/tus/tusd/v2/pkg/handler"

	"videotutorials/aggregators/creatorsvideos"
	"videotutorials/app/web"
	"videotutorials/db/media"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// Routes are the routes that files are sent to; they limit by themselves what is sent.
var Routes = []string{views.UploadsPath, uploadPath, views.UploadFormPath}

const uploadPath = views.UploadsPath + "/:id"

// Config is what [New] needs to know.
type Config struct {
	// Dir is the folder for what has not been handed over; it is made if need be. Several
	// processes may share it.
	Dir string
	// MostBytes is how long a file may be, in bytes, and Quota how much a person may hand
	// in altogether.
	MostBytes, Quota int64
	// Log gets what fails on our side, without names of files or titles.
	Log *slog.Logger
}

// App is the application.
type App struct {
	store    *messagestore.Store
	own      creatorsvideos.Queries
	sessions *web.Sessions
	media    *media.Store
	problem  func(c echo.Context, status int, typed views.UploadForm) error
	config   Config
	times    times
	folder   folder
	tus      *handler.UnroutedHandler
	now      func() time.Time
	room     func() (int64, error) // bytes left on the disk of the folder

	turn      chan struct{}     // one at a time counts what there is, and adds to it
	receiving map[string]upload // those from forms, of which there is no record yet; in turn only

	stopping context.Context // over when the program stops
	stop     context.CancelFunc
	owed     chan struct{} // has one where something is to be tried again soon

	mu      sync.Mutex
	flights map[string]*flight // what is being handed over
}

// times are how long things may take, or are waited for.
type times struct {
	silence  time.Duration // without a byte, before a request is cut
	recheck  time.Duration // between two looks whether the session still stands
	patience time.Duration // of a request for its file to be handed over
	retry    time.Duration // before what failed is tried again
}

var usual = times{silence: 30 * time.Second, recheck: 30 * time.Second, patience: 20 * time.Second, retry: 5 * time.Second}

// New returns the application. It shows what is wrong with a form by problem, which
// renders the page that the form stands on; the problem of a form is a code.
func New(store *messagestore.Store, own creatorsvideos.Queries, sessions *web.Sessions, media *media.Store,
	problem func(c echo.Context, status int, typed views.UploadForm) error, config Config) *App {
	return newApp(store, own, sessions, media, problem, config, usual)
}

func newApp(store *messagestore.Store, own creatorsvideos.Queries, sessions *web.Sessions, media *media.Store,
	problem func(c echo.Context, status int, typed views.UploadForm) error, config Config, times times) *App {
	a := &App{
		store: store, own: own, sessions: sessions, media: media, problem: problem, config: config, times: times,
		folder: folder(config.Dir), now: time.Now,
		turn: make(chan struct{}, 1), receiving: map[string]upload{}, owed: make(chan struct{}, 1), flights: map[string]*flight{},
	}
	a.room = a.folder.room
	a.tus = newTus(a)
	a.stopping, a.stop = context.WithCancel(context.Background())
	return a
}

// Routes adds the application's routes.
func (a *App) Routes(e *echo.Echo) {
	e.OPTIONS(views.UploadsPath, a.serve(func(http.ResponseWriter, *http.Request) {}), a.signedIn)
	e.POST(views.UploadsPath, a.serve(a.tus.PostFile), a.signedIn, a.notTooLarge)
	e.HEAD(uploadPath, a.serve(a.tus.HeadFile), a.signedIn, a.owned)
	e.PATCH(uploadPath, a.serve(a.tus.PatchFile), a.signedIn, a.owned)
	e.DELETE(uploadPath, a.serve(a.tus.DelFile), a.signedIn, a.owned)
	e.POST(views.UploadFormPath, a.form, a.sessions.SignedIn)
}

// signedIn lets only those pass who are signed in. Scripts that upload are not led to
// the log-in, unlike browsers.
func (a *App) signedIn(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		_, ok, err := a.sessions.Person(c)
		if err != nil {
			return err
		}
		c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
		if !ok {
			return c.String(http.StatusUnauthorized, "logged-out")
		}
		return next(c)
	}
}

var validID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// owned lets only the owner of an upload pass. For everybody else there is none.
func (a *App) owned(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		person, _, err := a.sessions.Person(c)
		if err != nil {
			return err
		}
		id := c.Param("id")
		if !validID.MatchString(id) {
			return web.NotFound(noUpload)
		}
		u, err := a.folder.read(id)
		if errors.Is(err, errNoUpload) || err == nil && u.OwnerID != person.UserID {
			return web.NotFound(noUpload)
		}
		if err != nil {
			return err
		}
		c.Response().Header().Set(videoIDHeader, u.videoID())
		return next(c)
	}
}

const (
	noUpload      = "There is no such upload."
	videoIDHeader = "X-Video-Id"
)

// serve answers by a handler of tus. Of the request it passes on what this site wants:
// the id that was checked, and no other method than the one that it came with.
func (a *App) serve(handle http.HandlerFunc) echo.HandlerFunc {
	tus := a.tus.Middleware(handle)
	return func(c echo.Context) error {
		person, _, err := a.sessions.Person(c)
		if err != nil {
			return err
		}
		if a.stopping.Err() != nil {
			return echo.NewHTTPError(http.StatusServiceUnavailable)
		}
		v := &visit{c: c, sessions: a.sessions, userID: person.UserID}
		defer v.leave()
		defer context.AfterFunc(a.stopping, func() { v.end(handler.ErrServerShutdown) })()
		r := c.Request().WithContext(context.WithValue(c.Request().Context(), visitKey{}, v))
		r.URL = &url.URL{Path: "/" + c.Param("id")}
		r.Header.Del("X-HTTP-Method-Override")
		// Behind a proxy we do not know the scheme that we are reached by: the browser does.
		c.Response().Before(func() {
			h := c.Response().Header()
			if at, err := url.Parse(h.Get(echo.HeaderLocation)); err == nil && at.Host != "" {
				h.Set(echo.HeaderLocation, at.Path)
			}
		})
		tus.ServeHTTP(c.Response(), r)
		return nil
	}
}

// visit is what the store of tus knows of a request.
type visit struct {
	c        echo.Context
	sessions *web.Sessions
	userID   string

	mu    sync.Mutex
	left  bool  // it is answered
	ended error // why no more of it is read; nil while it is
}

type visitKey struct{}

func visitOf(ctx context.Context) *visit {
	v, _ := ctx.Value(visitKey{}).(*visit)
	return v
}

// end makes the request end with an error, also one that waits for a byte. tus has a way
// for this too, with a race in it.
func (v *visit) end(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.left {
		return // the connection may be another request's by now
	}
	v.ended = err
	http.NewResponseController(v.c.Response()).SetReadDeadline(time.Now())
}

func (v *visit) over() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.ended
}

func (v *visit) leave() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.left = true
}

var errLoggedOut error = told(http.StatusUnauthorized, "logged-out")

// stands returns [errLoggedOut] where the person of a visit is no longer signed in.
// While that cannot be found out, they are.
func (v *visit) stands(ctx context.Context) error {
	person, signedIn, err := v.sessions.Again(ctx, v.c)
	if err == nil && (!signedIn || person.UserID != v.userID) {
		return errLoggedOut
	}
	return nil
}

// refusal is why something is not taken: a code that the pages have words for.
type refusal struct {
	status int
	code   string
}

func (r refusal) Error() string { return r.code }

// outOfRoom reports whether an error says that the disk is full.
func outOfRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, errNoRoom)
}
