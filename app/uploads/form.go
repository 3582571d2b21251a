package uploads

import (
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"time"

	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/creatorsvideos"
	"videotutorials/views"
)

const (
	mostField = 64 << 10 // bytes of a field that is no file
	mostParts = 16
	// formBytes is how much longer than its file a form is at most.
	formBytes = 2*mostField + 64<<10
)

// form takes an upload in one request, from browsers without scripts.
func (a *App) form(c echo.Context) error {
	person, _, err := a.sessions.Person(c)
	if err != nil {
		return err
	}
	body := &slowBody{ReadCloser: c.Request().Body, c: http.NewResponseController(c.Response()), silence: a.times.silence}
	c.Request().Body = body
	f := &form{app: a, visit: &visit{c: c, sessions: a.sessions, userID: person.UserID}, body: body}
	u, err := f.receive(c.Request())
	var refused refusal
	switch {
	case err == nil:
	case errors.As(err, &refused):
	case outOfRoom(err):
		a.complain("no room for an upload", f.upload, err)
		refused = refusal{http.StatusInsufficientStorage, "no-room"}
	case errors.Is(err, errLoggedOut):
		return echo.NewHTTPError(http.StatusUnauthorized)
	default:
		return err
	}
	if refused.code != "" {
		f.typed.Problem = refused.code
		status := refused.status
		if status == http.StatusForbidden { // that is said of other sites
			status = http.StatusUnprocessableEntity
		}
		return f.refuse(status)
	}
	if err := a.finish(c.Request().Context(), u); err != nil { // it is kept, and is handed over later
		a.complain("an upload waits", u, err)
	}
	a.awaitShown(c.Request().Context(), u)
	return c.Redirect(http.StatusSeeOther, views.CreatorsVideoPath(u.videoID()))
}

// form is one that is being read.
type form struct {
	app    *App
	visit  *visit
	body   *slowBody
	typed  views.UploadForm
	upload upload // once its file has begun
	part   string // the file that it is written to
}

// refuse answers while the file is still being sent. What comes is read for a little
// while: a browser that finds the connection closed may not look for an answer.
func (f *form) refuse(status int) error {
	response := f.visit.c.Response()
	control := http.NewResponseController(response)
	if err := errors.Join(control.EnableFullDuplex(), f.app.problem(f.visit.c, status, f.typed), control.Flush(), control.SetReadDeadline(time.Now().Add(farewell))); err != nil {
		return err
	}
	io.Copy(io.Discard, f.body.ReadCloser)
	return nil
}

// farewell is how long a form is read that was refused.
const farewell = 5 * time.Second

var incomplete = refusal{http.StatusUnprocessableEntity, "incomplete"}

// receive reads a form to its end, the file to the disk as it comes, and keeps the upload.
func (f *form) receive(r *http.Request) (upload, error) {
	a, ctx := f.app, r.Context()
	parts, err := r.MultipartReader()
	if err != nil {
		return upload{}, echo.NewHTTPError(http.StatusUnsupportedMediaType)
	}
	if r.ContentLength < 0 {
		return upload{}, echo.NewHTTPError(http.StatusLengthRequired)
	}
	if r.ContentLength > a.config.MostBytes+formBytes {
		return upload{}, refusal{http.StatusRequestEntityTooLarge, "too-large"}
	}
	defer f.discard()
	for n := 0; ; n++ {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || n == mostParts {
			return upload{}, incomplete
		}
		switch part.FormName() {
		case "title":
			f.typed.Title, err = field(part, line)
		case "description":
			f.typed.Description, err = field(part, text)
		case "file":
			err = f.file(ctx, part, r.ContentLength)
		}
		if err != nil {
			return upload{}, err
		}
		switch {
		case tooLong(f.typed.Title, mostTitle):
			return upload{}, refusal{http.StatusUnprocessableEntity, "title-too-long"}
		case tooLong(f.typed.Description, mostDescription):
			return upload{}, refusal{http.StatusUnprocessableEntity, "description-too-long"}
		}
	}
	if f.part == "" {
		return upload{}, refusal{http.StatusUnprocessableEntity, "no-file"}
	}
	u := f.upload
	u.Title, u.Description = f.typed.Title, f.typed.Description
	if u.Title == "" {
		u.Title = titleOf(u.FileName)
	}
	if u.Bytes = u.arrived; u.Bytes == 0 {
		return upload{}, refusal{http.StatusUnprocessableEntity, "empty-file"}
	}
	// It is within the limits, and nobody is asked again: the person cannot send it once more
	// from where it stopped.
	if err := a.folder.create(u, f.part); err != nil {
		return upload{}, err
	}
	u.here = true
	return u, nil
}

// field reads a field that is no file.
func field(part *multipart.Part, clean func(string) string) (string, error) {
	sent, err := io.ReadAll(io.LimitReader(part, mostField+1))
	if err != nil {
		return "", incomplete
	}
	if len(sent) > mostField {
		return "", echo.NewHTTPError(http.StatusRequestEntityTooLarge)
	}
	return clean(string(sent)), nil
}

// file writes the file to the disk. How long it is is known at its end only; until then
// it counts as what is left of the form, which is exact to some kilobytes.
func (f *form) file(ctx context.Context, part *multipart.Part, length int64) error {
	if part.FileName() == "" || f.part != "" {
		return nil
	}
	a := f.app
	f.upload = newUpload(f.visit.userID, fileName(part.FileName()), "", "", max(length-f.body.read, 1))
	f.upload.Bytes = min(f.upload.Bytes, a.config.MostBytes)
	asking, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	if err := a.admit(asking, f.upload, func() error {
		counted := f.upload
		counted.here = true
		a.receiving[counted.id] = counted
		return a.folder.make()
	}); err != nil {
		return err
	}
	f.part = a.folder.path(f.upload.id) + ".part"
	to, err := os.OpenFile(f.part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	n, err := f.copy(ctx, to, part)
	if err = errors.Join(err, to.Close()); err != nil {
		return err
	}
	if f.upload.arrived = n; n > a.config.MostBytes {
		return refusal{http.StatusRequestEntityTooLarge, "too-large"}
	}
	return nil
}

func (f *form) copy(ctx context.Context, to *os.File, part io.Reader) (int64, error) {
	buffer := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buffer)
	broken := &lastError{Reader: io.LimitReader(part, f.app.config.MostBytes+1)}
	n, err := io.CopyBuffer(struct{ io.Writer }{to}, f.app.guard(broken, f.visit, func() error { return f.visit.stands(ctx) }), buffer[:])
	if err == nil {
		err = to.Sync()
	}
	if broken.err != nil { // the line's fault, not the disk's
		err = incomplete
	}
	return n, err
}

// lastError remembers what was wrong with what was read.
type lastError struct {
	io.Reader
	err error
}

func (l *lastError) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		l.err = err
	}
	return n, err
}

// discard removes what was received of a form that was not kept.
func (f *form) discard() {
	if f.upload.id == "" {
		return
	}
	f.app.turn <- struct{}{}
	delete(f.app.receiving, f.upload.id)
	<-f.app.turn
	if f.part != "" {
		if err := removed(os.Remove(f.part)); err != nil {
			f.app.complain("what arrived of a form is still there", f.upload, err)
		}
	}
}

// slowBody is the body of a request that may take as long as it likes, as long as
// something comes.
type slowBody struct {
	io.ReadCloser
	c       *http.ResponseController
	silence time.Duration
	awaited time.Time // until then, at least
	read    int64     // bytes
}

func (b *slowBody) Read(p []byte) (int, error) {
	// Not with each of many short reads: it costs more than they do.
	if now := time.Now(); b.awaited.Sub(now) < b.silence*7/8 {
		b.awaited = now.Add(b.silence)
		if err := errors.Join(b.c.SetReadDeadline(b.awaited), b.c.SetWriteDeadline(b.awaited.Add(b.silence))); err != nil {
			return 0, err
		}
	}
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	return n, err
}

// awaitShown waits until the page of a new video can be shown, a second at most: without
// scripts it is all that a person sees of it.
func (a *App) awaitShown(ctx context.Context, u upload) {
	tick, enough := time.NewTicker(10*time.Millisecond), time.After(time.Second)
	defer tick.Stop()
	for {
		if _, _, err := a.own.ByID(ctx, u.videoID()); !errors.Is(err, creatorsvideos.ErrNotFound) {
			return
		}
		select {
		case <-tick.C:
		case <-enough:
			return
		case <-ctx.Done():
			return
		}
	}
}
