package uploads

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/tus/tusd/v2/pkg/handler"
	"golang.org/x/exp/slog"

	"videotutorials/messagestore"
	"videotutorials/views"
)

// newTus returns the protocol's handler over our store. Of the protocol's extensions
// there are creation and termination: with lengths told later one could go round the
// limits, with concatenation round the owner, and nobody downloads here.
func newTus(a *App) *handler.UnroutedHandler {
	s := tusStore{a}
	composer := handler.NewStoreComposer()
	composer.UseCore(s)
	composer.UseTerminater(s)
	composer.UseLocker(s)
	tus, err := handler.NewUnroutedHandler(handler.Config{
		StoreComposer: composer, BasePath: views.UploadsPath, MaxSize: a.config.MostBytes,
		DisableDownload: true, Cors: &handler.CorsConfig{Disable: true},
		NetworkTimeout: a.times.silence, AcquireLockTimeout: 10 * time.Second, GracefulRequestCompletionTimeout: time.Second,
		Logger: slog.New(mute{}),
	})
	if err != nil {
		panic(err) // only for a path that is none, and ours is a constant
	}
	return tus
}

// mute keeps tus from logging: every request, with addresses. What fails on our side is
// logged where it fails.
type mute struct{}

func (mute) Enabled(context.Context, slog.Level) bool  { return false }
func (mute) Handle(context.Context, slog.Record) error { return nil }
func (m mute) WithAttrs([]slog.Attr) slog.Handler      { return m }
func (m mute) WithGroup(string) slog.Handler           { return m }

// notTooLarge says that a file is too large before tus does in its own words.
func (a *App) notTooLarge(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		length, err := strconv.ParseInt(c.Request().Header.Get("Upload-Length"), 10, 64)
		if errors.Is(err, strconv.ErrRange) && length > 0 || length > a.config.MostBytes {
			return c.String(http.StatusRequestEntityTooLarge, "too-large")
		}
		return next(c)
	}
}

// tusStore is where tus keeps uploads.
type tusStore struct{ *App }

// NewUpload begins an upload, and returns when everybody will hear of it.
func (s tusStore) NewUpload(ctx context.Context, info handler.FileInfo) (handler.Upload, error) {
	v := visitOf(ctx)
	name := fileName(info.MetaData["filename"])
	// What is too long to be taken is shown as such beside its field: the film need not wait.
	title, description := line(info.MetaData["title"]), text(info.MetaData["description"])
	if title == "" || tooLong(title, mostTitle) {
		title = titleOf(name)
	}
	if tooLong(description, mostDescription) {
		description = ""
	}
	u := newUpload(v.userID, name, title, description, info.Size)
	if err := s.begin(ctx, u); err != nil {
		return nil, s.answer(err, u)
	}
	v.c.Response().Header().Set(videoIDHeader, u.videoID())
	u.here = true
	return &tusUpload{upload: u, app: s.App, visit: v}, nil
}

// begin keeps a new upload and tells of it. One that nobody could be told of is not
// answered for: the sweep gives it up.
func (a *App) begin(ctx context.Context, u upload) error {
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	if err := a.admit(ctx, u, func() error { return a.folder.create(u, "") }); err != nil {
		return err
	}
	if err := a.announce(ctx, u); err != nil {
		a.tryAgain()
		return errors.Join(err, a.folder.dropBytes(u.id))
	}
	return nil
}

// queryTime is how long Postgres may take.
const queryTime = 10 * time.Second

// GetUpload returns an upload as it is, under its lock. One that is whole is handed over
// first: whoever asks has not heard that it was.
func (s tusStore) GetUpload(ctx context.Context, id string) (handler.Upload, error) {
	v := visitOf(ctx)
	u, err := s.folder.read(id)
	if errors.Is(err, errNoUpload) {
		return nil, handler.ErrNotFound
	}
	if err == nil && u.whole() {
		if err = s.finish(ctx, u); err == nil {
			u.here = false
		}
	}
	if err != nil {
		return nil, s.answer(err, u)
	}
	asking, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	if !u.here {
		published, err := s.published(asking, u)
		if err != nil {
			return nil, s.answer(err, u)
		}
		if !published { // it was given up, and that is not written yet
			return nil, handler.ErrNotFound
		}
		u.arrived = u.Bytes
		return &tusUpload{upload: u, app: s.App, visit: v}, nil
	}
	gone, err := s.gone(asking, u)
	if err == nil && gone { // its owner has deleted the video
		if err = s.folder.drop(id); err == nil {
			err = handler.ErrNotFound
		}
	}
	if err != nil {
		return nil, s.answer(err, u)
	}
	return &tusUpload{upload: u, app: s.App, visit: v}, nil
}

// AsTerminatableUpload returns the upload itself.
func (s tusStore) AsTerminatableUpload(u handler.Upload) handler.TerminatableUpload {
	return u.(*tusUpload)
}

// tusUpload is an upload as tus works on it.
type tusUpload struct {
	upload
	app   *App
	visit *visit
}

// GetInfo says how far the upload has come.
func (u *tusUpload) GetInfo(context.Context) (handler.FileInfo, error) {
	return handler.FileInfo{ID: u.id, Size: u.Bytes, Offset: u.arrived}, nil
}

// buffers hold what one read of a connection may bring.
var buffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// WriteChunk appends what comes, for as long as something comes. Whatever ends it, what
// was written stays.
func (u *tusUpload) WriteChunk(ctx context.Context, _ int64, from io.Reader) (int64, error) {
	f, err := os.OpenFile(u.app.folder.path(u.id), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return 0, u.app.answer(err, u.upload)
	}
	buffer := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buffer)
	n, err := io.CopyBuffer(struct{ io.Writer }{f}, u.app.guard(from, u.visit, func() error { return u.wanted(ctx) }), buffer[:])
	u.arrived += n
	if err = errors.Join(err, f.Close()); err != nil {
		err = u.app.answer(err, u.upload)
		u.visit.end(err) // else the answer waits for what the client has not sent yet
	}
	return n, err
}

// wanted returns an error where the upload need not go on: its owner is logged out, or
// has deleted the video.
func (u *tusUpload) wanted(ctx context.Context) error {
	if err := u.visit.stands(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	if gone, err := u.app.gone(ctx, u.upload); err == nil && gone {
		return handler.ErrNotFound
	}
	return nil
}

// GetReader is not used: nobody downloads here.
func (u *tusUpload) GetReader(context.Context) (io.ReadCloser, error) {
	return nil, handler.ErrNotImplemented
}

// FinishUpload hands over the file, of which the last byte has come.
func (u *tusUpload) FinishUpload(ctx context.Context) error {
	if err := u.app.finish(ctx, u.upload); err != nil {
		return u.app.answer(err, u.upload)
	}
	return nil
}

// Terminate gives up the upload. What is whole is a video and is deleted as such.
func (u *tusUpload) Terminate(ctx context.Context) error {
	if !u.here {
		return told(http.StatusForbidden, "already-started")
	}
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	if err := u.app.folder.dropBytes(u.id); err != nil {
		return u.app.answer(err, u.upload)
	}
	if err := u.app.abandon(ctx, u.upload, u.OwnerID); err != nil {
		u.app.complain("an upload that was given up is not written as such yet", u.upload, err)
		u.app.tryAgain()
	}
	return nil
}

// answer returns an error that tus answers with, and logs what is our fault.
func (a *App) answer(err error, u upload) error {
	var known handler.Error
	var refused refusal
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &refused):
		return told(refused.status, refused.code)
	case outOfRoom(err):
		a.complain("no room for an upload", u, err)
		return told(http.StatusInsufficientStorage, "The disk of this site is full. What has arrived is kept: choose the file again later, and it goes on from there.")
	case errors.Is(err, errGone):
		return handler.ErrNotFound
	case errors.Is(err, errUnderWay) || messagestore.IsTransient(err):
		a.complain("an upload waits", u, err)
		later := told(http.StatusServiceUnavailable, "Back in a moment. What has arrived is kept.")
		later.HTTPResponse.Header[echo.HeaderRetryAfter] = "5"
		return later
	}
	a.complain("an upload failed", u, err)
	return told(http.StatusInternalServerError, "Something went wrong here. What has arrived is kept.")
}

func (a *App) complain(what string, u upload, err error) {
	a.config.Log.Warn(what, "video_id", u.videoID(), "error", messagestore.ErrorText(err))
}

func told(status int, words string) handler.Error {
	e := handler.NewError(words, words, status)
	e.HTTPResponse.Body = words
	return e
}
