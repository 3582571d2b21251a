package web

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/labstack/echo/v4"
)

// A connection to Postgres that breaks is answered with the page for that; one to a
// browser that has begun to read is nobody's fault and not logged.
func TestBrokenConnections(t *testing.T) {
	t.Parallel()
	for _, broken := range []error{syscall.EPIPE, syscall.ECONNRESET} {
		var logged strings.Builder
		e := New(Config{AppName: "Test", Log: slog.New(slog.NewTextHandler(&logged, nil))})
		Get(e, "/database", func(echo.Context) error { return fmt.Errorf("read: %w", broken) }, InTime)
		Get(e, "/browser", func(c echo.Context) error {
			c.Response().WriteHeader(http.StatusOK)
			return fmt.Errorf("write: %w", broken)
		})
		answer := httptest.NewRecorder()
		e.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/browser", nil))
		if logged.Len() > 0 {
			t.Errorf("%v to a browser is logged: %s", broken, &logged)
		}
		answer = httptest.NewRecorder()
		e.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/database", nil))
		if answer.Code != http.StatusServiceUnavailable || !strings.Contains(answer.Body.String(), "Back in a moment") || logged.Len() == 0 {
			t.Errorf("%v to Postgres: %d, log %q\n%s", broken, answer.Code, &logged, answer.Body)
		}
	}
}
