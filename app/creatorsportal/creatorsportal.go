// Package creatorsportal shows people the videos that they publish, and lets them name,
// describe, caption, hide and delete these. What they ask for is a command, and a page of
// its own follows what comes of it.
package creatorsportal

import (
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/creatorsvideos"
	"videotutorials/aggregators/videooperations"
	"videotutorials/aggregators/viewcounts"
	"videotutorials/app/live"
	"videotutorials/app/web"
	"videotutorials/db/media"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// Config is what the pages tell people before they upload.
type Config struct {
	// MostBytes is how long a file may be, Quota how much a person may have here, in bytes.
	MostBytes, Quota int64
	// MostLength is how long a video may last.
	MostLength time.Duration
	// AsItIs says that there is no ffmpeg here to transcode with: what browsers play is
	// published as it is, and nothing else.
	AsItIs bool
}

// App is the application.
type App struct {
	store      *messagestore.Store
	own        creatorsvideos.Queries
	operations videooperations.Queries
	counts     viewcounts.Queries
	sessions   *web.Sessions
	media      *media.Store
	board      *live.Board
	config     Config
	now        func() time.Time
	feed       *live.Feed

	turn    chan struct{}    // one at a time counts what is in the making, and adds to it
	retried map[string]retry // by video, in turn only
}

// New returns the application.
func New(store *messagestore.Store, own creatorsvideos.Queries, operations videooperations.Queries, counts viewcounts.Queries,
	sessions *web.Sessions, files *media.Store, board *live.Board, hub *live.Hub, config Config) *App {
	return &App{
		store: store, own: own, operations: operations, counts: counts,
		sessions: sessions, media: files, board: board, config: config, now: time.Now, feed: hub.Personal(),
		turn: make(chan struct{}, 1), retried: map[string]retry{},
	}
}

// UploadRoutes are the routes that files are sent to; they limit by themselves what is sent.
var UploadRoutes = []string{views.AddCaptionsPath(":id"), views.SetChaptersPath(":id")}

// Routes adds the application's routes.
func (a *App) Routes(e *echo.Echo) {
	web.Get(e, views.CreatorsPortalPath, a.portal, web.InTime, a.sessions.SignedIn)
	e.GET(views.CreatorsPortalPath+"/live", a.portalLive)
	web.Get(e, views.CreatorsVideoPath(":id"), a.video, web.InTime, a.sessions.SignedIn)
	e.GET(views.CreatorsVideoPath(":id")+"/live", a.videoLive)
	web.Get(e, views.VideoOperationPath(":traceId"), a.operation, web.InTime, a.sessions.SignedIn)
	e.GET(views.VideoOperationPath(":traceId")+"/live", a.operationLive)
	for path, handler := range map[string]echo.HandlerFunc{
		views.NameVideoPath(":id"):                     a.nameVideo,
		views.DescribeVideoPath(":id"):                 a.describeVideo,
		views.ChangeVisibilityPath(":id"):              a.changeVisibility,
		views.DeleteVideoPath(":id"):                   a.deleteVideo,
		views.CancelPublishingPath(":id"):              a.cancelPublishing,
		views.RetryPublishingPath(":id"):               a.retryPublishing,
		views.RemoveCaptionsPath(":id", ":captionsId"): a.removeCaptions,
		views.RemoveChaptersPath(":id"):                a.removeChapters,
	} {
		e.POST(path, handler, web.InTime, a.sessions.SignedIn)
		web.Get(e, path, back)
	}
	// The time for an answer begins when the file is there.
	e.POST(views.AddCaptionsPath(":id"), a.addCaptions, a.sessions.SignedIn, withFile, web.InTime)
	e.POST(views.SetChaptersPath(":id"), a.setChapters, a.sessions.SignedIn, withFile, web.InTime)
	for _, path := range slices.Concat(UploadRoutes, []string{views.UploadFormPath}) {
		web.Get(e, path, back)
	}
}

// back leads from the address of a form to the page that the form stands on: a page that
// says what is wrong with a form has that address, and may be loaded again.
func back(c echo.Context) error {
	id := c.Param("id")
	switch {
	case id == "":
		return c.Redirect(http.StatusSeeOther, views.CreatorsPortalPath)
	case !messagestore.ValidID(id):
		return web.NotFound(noVideo)
	}
	return c.Redirect(http.StatusSeeOther, views.CreatorsVideoPath(id))
}
