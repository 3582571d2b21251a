package media

import (
	"io"
	"math"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

const (
	// patience is how long a browser may take for a piece. One that has buffered enough
	// stops reading; it is cut off and asks for the rest by range later.
	patience = time.Minute
	// piece is how many bytes are sent before somebody is given more time: with the
	// patience, 8 kB/s are enough.
	piece = 512 << 10
)

// patientWriter gives an answer more time as long as the browser takes it. One time for
// the whole of it would hold up a connection for hours for a long video.
type patientWriter struct {
	*echo.Response
	patience time.Duration
}

// Write implements [io.Writer].
func (w *patientWriter) Write(b []byte) (int, error) {
	if err := w.moreTime(); err != nil {
		return 0, err
	}
	return w.Response.Write(b)
}

// ReadFrom implements [io.ReaderFrom]: without it a file would come through this
// program's memory, where the system can send it by itself.
func (w *patientWriter) ReadFrom(from io.Reader) (sent int64, err error) {
	to, ok := w.Response.Writer.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{w}, from)
	}
	if !w.Committed {
		w.WriteHeader(http.StatusOK)
	}
	left := int64(math.MaxInt64)
	if limited, ok := from.(*io.LimitedReader); ok { // the system sees the file below one limit, not below two
		from, left = limited.R, limited.N
		defer func() { limited.N -= sent }()
	}
	for left > 0 {
		if err := w.moreTime(); err != nil {
			return sent, err
		}
		wanted := min(left, piece)
		n, err := to.ReadFrom(io.LimitReader(from, wanted))
		sent, left, w.Size = sent+n, left-n, w.Size+n
		if err != nil || n < wanted {
			return sent, err
		}
	}
	return sent, nil
}

func (w *patientWriter) moreTime() error {
	return http.NewResponseController(w.Response).SetWriteDeadline(time.Now().Add(w.patience))
}
