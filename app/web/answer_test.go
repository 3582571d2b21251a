package web

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"videotutorials/messagestore"
)

// TestEveryAnswerIsToldOf: once, with the status that the browser got.
func TestEveryAnswerIsToldOf(t *testing.T) {
	t.Parallel()
	var told []Answer
	router := New(Config{Log: slog.New(slog.DiscardHandler), Answered: func(_ echo.Context, a Answer) { told = append(told, a) }})
	Get(router, "/things/:id", func(c echo.Context) error { return c.String(http.StatusOK, "") })
	router.POST("/fails", func(echo.Context) error { return errors.New("broken") })
	router.POST("/panics", func(echo.Context) error { panic("broken") })
	for _, test := range []struct {
		method, path, route string
		status              int
	}{
		{"GET", "/things/7?secret=1", "GET /things/:id", 200},
		{"GET", "/nothing/secret", "GET (no such page)", 404},
		{"POST", "/fails", "POST /fails", 500},
		{"POST", "/panics", "POST /panics", 500},
	} {
		told = nil
		answer := httptest.NewRecorder()
		router.ServeHTTP(answer, httptest.NewRequest(test.method, test.path, nil))
		if len(told) != 1 || told[0].Route != test.route || told[0].Status != test.status || answer.Code != test.status || told[0].Ended.Before(told[0].Began) {
			t.Errorf("%s %s: %d, told %+v", test.method, test.path, answer.Code, told)
		}
	}
}

// TestTheTraceOfARequest: the error page names the trace that a request has written in, for
// nothing is found by another.
func TestTheTraceOfARequest(t *testing.T) {
	t.Parallel()
	trace, own := messagestore.NewID(), ""
	router := New(Config{Log: slog.New(slog.DiscardHandler), Answered: func(c echo.Context, _ Answer) { own = TraceID(c) }})
	router.POST("/fails", func(echo.Context) error { return errors.New("broken") })
	router.POST("/fails-late", func(c echo.Context) error {
		c.Get(wroteKey).(*wrote).note(messagestore.Written{Metadata: messagestore.Metadata{TraceID: trace}})
		return errors.New("broken")
	})
	for _, path := range []string{"/fails", "/fails-late"} {
		answer := httptest.NewRecorder()
		router.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, path, nil))
		if page := answer.Body.String(); strings.Contains(page, trace) != (path == "/fails-late") || strings.Contains(page, own) != (path == "/fails") {
			t.Errorf("%s: the request is %s, what it wrote %s:\n%s", path, own, trace, page)
		}
	}
}
