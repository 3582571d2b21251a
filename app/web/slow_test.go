package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
)

// limitsAt returns limits at a time that stands still until it is moved on. They never wait.
func limitsAt() (l *Limits, later func(time.Duration)) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	l = NewLimits(func() time.Time { return at }, func(ctx context.Context, _ time.Duration) error { return ctx.Err() })
	return l, func(d time.Duration) { at = at.Add(d) }
}

func expectTurn(t *testing.T, s *Limits, a Try, want time.Duration, ok bool) {
	t.Helper()
	if after, accepted := s.turn(a); after != want || accepted != ok {
		t.Errorf("%+v: after %v, accepted %v; want %v, %v", a, after, accepted, want, ok)
	}
}

func TestOneAccountFromOneSource(t *testing.T) {
	t.Parallel()
	s, later := limitsAt()
	a := Try{Account: "anna", Source: "192.0.2.1"}
	for range 5 {
		expectTurn(t, s, a, 0, true)
	}
	for n := range 5 { // together, each behind the last; from the 11th on the account costs more
		expectTurn(t, s, a, time.Duration(n+1)*2*time.Second, true)
	}
	for range 100 { // what is refused does not count
		expectTurn(t, s, a, 12*time.Second, false)
	}
	expectTurn(t, s, Try{Account: "ben", Source: "192.0.2.1"}, 0, true)
	later(2 * time.Second)
	expectTurn(t, s, a, longestWait+punished, true)
	later(time.Hour)
	expectTurn(t, s, a, 0, true)
}

func TestSuccessForgives(t *testing.T) {
	t.Parallel()
	s, _ := limitsAt()
	a := Try{Account: "anna", Source: "192.0.2.1"}
	for range 5 {
		expectTurn(t, s, a, 0, true)
	}
	s.Succeeded(Try{Account: "ben", Source: "192.0.2.1"})
	expectTurn(t, s, a, 2*time.Second, true)
	s.Succeeded(a)
	expectTurn(t, s, a, 0, true)
}

func TestManyAccountsFromOneSource(t *testing.T) {
	t.Parallel()
	s, _ := limitsAt()
	try := func(n int) Try { return Try{Account: fmt.Sprint("account", n), Source: "2001:db8::1"} }
	for n := range 60 {
		expectTurn(t, s, try(n), 0, true)
	}
	for n := range 20 {
		expectTurn(t, s, try(100+n), time.Duration(n+1)*500*time.Millisecond, true)
	}
	expectTurn(t, s, try(200), 10*time.Second+500*time.Millisecond, false)
	expectTurn(t, s, Try{Source: "2001:db8::1"}, 10*time.Second+500*time.Millisecond, false)
	expectTurn(t, s, Try{Account: "x", Source: "2001:db8::ffff:1"}, 10*time.Second+500*time.Millisecond, false) // the same network
	expectTurn(t, s, Try{Account: "x", Source: "2001:db8:0:1::1"}, 0, true)
	expectTurn(t, s, Try{Account: "x", Source: "192.0.2.1"}, 0, true)
	// A refused try took nothing from the other limit either.
	for range 4 {
		expectTurn(t, s, Try{Account: "x", Source: "192.0.2.1"}, 0, true)
	}
}

// Strangers who try one account from a thousand places slow the next one by a second,
// never lock it, and the person's own browser does not notice.
func TestNobodyIsLockedOut(t *testing.T) {
	t.Parallel()
	s, _ := limitsAt()
	for n := range 1000 {
		want := time.Duration(0)
		if n >= 10 {
			want = punished
		}
		expectTurn(t, s, Try{Account: "anna", Source: fmt.Sprintf("198.51.%d.%d", n/250, n%250)}, want, true)
	}
	const home = "192.0.2.1"
	for range 1000 {
		s.turn(Try{Account: "anna", Source: home})
	}
	expectTurn(t, s, Try{Account: "anna", Source: home}, 12*time.Second, false)
	own := Try{Account: "anna", Source: home, Browser: "b"}
	for range 5 {
		expectTurn(t, s, own, 0, true)
	}
	expectTurn(t, s, own, 2*time.Second, true) // its own tries count
}

// A class registers together; whoever fills the queue of passwords is stopped. That has
// nothing to do with logging in.
func TestRegistering(t *testing.T) {
	t.Parallel()
	s, later := limitsAt()
	const school = "192.0.2.1"
	for range 300 {
		expectTurn(t, s, Try{Source: school, Registers: true}, 0, true)
	}
	for n := range 50 {
		want := time.Duration(n+1) * 200 * time.Millisecond // but for what a fraction cannot say exactly
		if after, ok := s.turn(Try{Source: school, Registers: true}); after.Round(time.Microsecond) != want || !ok {
			t.Errorf("after %v, accepted %v; want %v", after, ok, want)
		}
	}
	expectTurn(t, s, Try{Source: school, Registers: true}, longestWait+200*time.Millisecond, false)
	expectTurn(t, s, Try{Source: "192.0.2.2", Registers: true}, 0, true)
	expectTurn(t, s, Try{Source: school}, 0, true)
	expectTurn(t, s, Try{Account: "anna", Source: school}, 0, true)
	later(200 * time.Millisecond)
	expectTurn(t, s, Try{Source: school, Registers: true}, longestWait, true)
}

// What is refused never reaches the handler, and is told when to come again; the time
// that an answer may take begins after the wait.
func TestInTurn(t *testing.T) {
	t.Parallel()
	at := time.Now()
	var waited []time.Duration
	l := NewLimits(func() time.Time { return at }, func(_ context.Context, d time.Duration) error {
		waited = append(waited, d)
		return nil
	})
	router := New(Config{Log: slog.New(slog.DiscardHandler)})
	router.POST("/slow", func(c echo.Context) error {
		deadline, ok := c.Request().Context().Deadline()
		if !ok || time.Until(deadline) < answerTime/2 {
			t.Errorf("%v, %v", deadline, ok)
		}
		return c.NoContent(http.StatusNoContent)
	}, l.InTurn(FromSource), InTime)
	router.POST("/register", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) }, l.InTurn(ToRegister))
	router.POST("/fails", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) },
		l.InTurn(func(echo.Context) (Try, error) { return Try{}, NotFound("") }))
	post := func(path string) *httptest.ResponseRecorder {
		answer := httptest.NewRecorder()
		router.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, path, nil))
		return answer
	}
	for n := range 80 {
		if answer := post("/slow"); answer.Code != http.StatusNoContent {
			t.Fatalf("%d: %d", n, answer.Code)
		}
	}
	if len(waited) != 80 || waited[59] != 0 || waited[79] != longestWait {
		t.Errorf("%v", waited)
	}
	if answer := post("/slow"); answer.Code != http.StatusTooManyRequests || answer.Header().Get("Retry-After") != "11" {
		t.Errorf("%d %v", answer.Code, answer.Header())
	}
	if answer := post("/register"); answer.Code != http.StatusNoContent {
		t.Errorf("registering: %d", answer.Code)
	}
	if answer := post("/fails"); answer.Code != http.StatusNotFound {
		t.Errorf("%d", answer.Code)
	}
}

func TestLimitersAreBounded(t *testing.T) {
	t.Parallel()
	l := newLimiters(1, 1, 3)
	now := time.Now()
	for n := range 100 {
		l.of("often").AllowN(now, 1)
		l.of(fmt.Sprint(n)).AllowN(now, 1)
	}
	if len(l.byKey) != 3 || l.used.Len() != 3 {
		t.Errorf("%d limiters, %d in the list", len(l.byKey), l.used.Len())
	}
	if l.of("often").AllowN(now, 1) {
		t.Error("a limiter that is used is forgotten")
	}
	if !l.of("0").AllowN(now, 1) {
		t.Error("a limiter that is not used is kept")
	}
}

func TestWhoLeavesDoesNotWait(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, d := range []time.Duration{-1, 0, time.Hour} {
		if err := Pause(ctx, d); !errors.Is(err, context.Canceled) {
			t.Errorf("%v: %v", d, err)
		}
	}
	if err := Pause(t.Context(), time.Nanosecond); err != nil {
		t.Error(err)
	}
	s := NewLimits(time.Now, Pause)
	if refused, err := s.Enter(ctx, Try{Account: "anna", Source: "192.0.2.1"}); refused != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", refused, err)
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"192.0.2.1":             "192.0.2.1",
		"::ffff:192.0.2.1":      "192.0.2.1",
		"2001:db8:1:2:3:4:5:6":  "2001:db8:1:2::/64",
		"fe80::1%eth0":          "fe80::/64",
		"":                      "",
		"something else at all": "something else at all",
	} {
		if got := network(source); got != want {
			t.Errorf("network(%q) = %q, want %q", source, got, want)
		}
	}
}
