package media

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
)

// connection is the writer of a server: it notes what it is given to read from.
type connection struct {
	http.ResponseWriter
	files     int // pieces of files that the system can send
	deadlines int
}

func (c *connection) SetWriteDeadline(t time.Time) error {
	if t.After(time.Now().Add(patience/2)) && t.Before(time.Now().Add(2*patience)) {
		c.deadlines++
	}
	return nil
}

func (c *connection) ReadFrom(r io.Reader) (int64, error) {
	if limited, ok := r.(*io.LimitedReader); ok {
		if _, ok := limited.R.(*os.File); ok {
			c.files++
		}
	}
	return io.Copy(c.ResponseWriter, r)
}

// A file goes to the connection as a file, in pieces, and each has its own time.
func TestFilesAreSentBySystem(t *testing.T) {
	t.Parallel()
	film := bytes.Repeat([]byte("film"), piece/2) // two pieces
	name := filepath.Join(t.TempDir(), "film")
	if err := os.WriteFile(name, append(film, "end"...), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := httptest.NewRecorder()
	c := &connection{ResponseWriter: got}
	response := echo.NewResponse(c, echo.New())
	http.ServeContent(&patientWriter{response, patience}, httptest.NewRequest(http.MethodGet, "/film.mp4", nil), "film.mp4", time.Now(), f)
	if c.files != 3 || c.deadlines != 3 || response.Size != int64(len(film)+3) || got.Body.Len() != len(film)+3 {
		t.Errorf("%d pieces, %d deadlines, %d bytes, %d counted", c.files, c.deadlines, got.Body.Len(), response.Size)
	}
	// A part of it, from somewhere in the middle.
	got.Body.Reset()
	*c = connection{ResponseWriter: got}
	part := &io.LimitedReader{R: bytes.NewReader(film), N: piece + 7}
	if n, err := io.Copy(&patientWriter{response, patience}, part); n != piece+7 || err != nil || part.N != 0 || c.deadlines != 2 || got.Body.Len() != piece+7 {
		t.Errorf("%d bytes, %v, %d left, %d deadlines", n, err, part.N, c.deadlines)
	}
	// A writer that takes bytes only.
	got.Body.Reset()
	plain := &patientWriter{echo.NewResponse(struct {
		http.ResponseWriter
		deadliner
	}{got, deadliner{}}, echo.New()), patience}
	if n, err := io.Copy(plain, struct{ io.Reader }{bytes.NewReader(film)}); n != int64(len(film)) || err != nil || got.Body.Len() != len(film) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

type deadliner struct{}

func (deadliner) SetWriteDeadline(time.Time) error { return nil }
