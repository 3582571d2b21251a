package web

import (
	"container/list"
	"context"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"
)

// longestWait is how long a try waits for its turn. One that would wait longer is
// refused.
const longestWait = 10 * time.Second

// punished is how much longer a try takes while an account is tried from everywhere.
const punished = time.Second

// Try says where something comes from that is slowed, and what it is for.
type Try struct {
	// Account is whom a password is tried for; empty where it is for nobody.
	Account string
	// Source is the IP address of the browser.
	Source string
	// Browser is the id of a browser or a session that was let in as Account before,
	// else empty.
	Browser string
	// Registers says that somebody registers, and tries no password.
	Registers bool
}

// Limits make those wait who try too often. There are three on trying passwords: on one
// account from one source, on one source, and on one account from everywhere. The last
// one slows and never refuses, so a stranger cannot lock anybody out, and a browser that
// was let in before has a limit of its own instead of all three. On those who register
// there is one for each source, wide enough for a class that does so together.
//
// They know what this process has seen, and forget it when the process ends.
type Limits struct {
	now  func() time.Time
	wait func(context.Context, time.Duration) error

	mu       sync.Mutex
	tries    limiters // of an account, by source or browser
	sources  limiters
	accounts limiters
	register limiters // by source
}

// NewLimits returns limits that tell the time by now and wait by wait: [time.Now] and
// [Pause] outside of tests.
func NewLimits(now func() time.Time, wait func(context.Context, time.Duration) error) *Limits {
	const most = 20_000 // each some 300 bytes
	return &Limits{
		now: now, wait: wait,
		tries:    newLimiters(rate.Every(2*time.Second), 5, most),
		sources:  newLimiters(2, 60, most),
		accounts: newLimiters(rate.Every(6*time.Second), 10, most),
		register: newLimiters(5, 300, most),
	}
}

// Pause waits for some time, or until ctx ends, which is an error.
func Pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Enter returns when it is the turn of a try; where that is too far away, it returns at
// once after how long another one may come.
func (l *Limits) Enter(ctx context.Context, t Try) (refused time.Duration, err error) {
	turn, ok := l.turn(t)
	if !ok {
		return turn, nil
	}
	return 0, l.wait(ctx, turn)
}

// InTurn returns a middleware that lets a request pass when it is the turn of its try;
// one that is refused is answered with 429. It stands before [InTime]: the time that an
// answer may take begins after the wait.
func (l *Limits) InTurn(try func(echo.Context) (Try, error)) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			t, err := try(c)
			if err != nil {
				return err
			}
			refused, err := l.Enter(c.Request().Context(), t)
			if err != nil {
				return err
			}
			if refused > 0 {
				RetryAfter(c, refused)
				return echo.NewHTTPError(http.StatusTooManyRequests)
			}
			return next(c)
		}
	}
}

// FromSource is the try of a request that is for no account, for [Limits.InTurn].
func FromSource(c echo.Context) (Try, error) { return Try{Source: c.RealIP()}, nil }

// ToRegister is the try of a request that registers, for [Limits.InTurn].
func ToRegister(c echo.Context) (Try, error) { return Try{Source: c.RealIP(), Registers: true}, nil }

// RetryAfter says in the answer when the next try may come, in seconds, and returns it.
func RetryAfter(c echo.Context, wait time.Duration) (seconds int) {
	seconds = int((wait + time.Second - 1) / time.Second)
	c.Response().Header().Set(echo.HeaderRetryAfter, strconv.Itoa(seconds))
	return seconds
}

// turn returns after how long it is the turn of a try, which counts unless it is
// refused.
func (l *Limits) turn(t Try) (after time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	var limits []*rate.Limiter
	if t.Account != "" {
		limits = append(limits, l.tries.of(t.who()))
	}
	switch {
	case t.Registers:
		limits = append(limits, l.register.of(network(t.Source)))
	case t.Browser == "":
		limits = append(limits, l.sources.of(network(t.Source)))
	}
	taken := make([]*rate.Reservation, len(limits))
	for i, limit := range limits {
		taken[i] = limit.ReserveN(now, 1)
		after = max(after, taken[i].DelayFrom(now))
	}
	if after > longestWait {
		for _, r := range taken {
			r.CancelAt(now)
		}
		return after, false
	}
	if t.Account != "" && t.Browser == "" && !l.accounts.of(t.Account).AllowN(now, 1) {
		after += punished
	}
	return after, true
}

// Succeeded forgives the tries before one that was right.
func (l *Limits) Succeeded(t Try) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tries.forget(t.who())
}

func (t Try) who() string {
	if t.Browser != "" {
		return t.Account + " browser " + t.Browser
	}
	return t.Account + " " + network(t.Source)
}

// network returns what one household has of addresses: one of IPv4, 2^64 of IPv6.
func network(source string) string {
	address, err := netip.ParseAddr(source)
	if err != nil {
		return source
	}
	address = address.Unmap().WithZone("")
	if address.Is4() {
		return address.String()
	}
	prefix, _ := address.Prefix(64)
	return prefix.String()
}

// limiters holds a limiter for each key, those used last: how many somebody can think
// up must not decide how much memory there is.
type limiters struct {
	every rate.Limit
	burst int
	most  int
	byKey map[string]*list.Element
	used  *list.List // of *keyed, the last used first
}

type keyed struct {
	key     string
	limiter *rate.Limiter
}

func newLimiters(every rate.Limit, burst, most int) limiters {
	return limiters{every, burst, most, map[string]*list.Element{}, list.New()}
}

func (l *limiters) of(key string) *rate.Limiter {
	if e, ok := l.byKey[key]; ok {
		l.used.MoveToFront(e)
		return e.Value.(*keyed).limiter
	}
	if len(l.byKey) >= l.most {
		l.forget(l.used.Back().Value.(*keyed).key)
	}
	k := &keyed{key, rate.NewLimiter(l.every, l.burst)}
	l.byKey[key] = l.used.PushFront(k)
	return k.limiter
}

func (l *limiters) forget(key string) {
	if e, ok := l.byKey[key]; ok {
		l.used.Remove(e)
		delete(l.byKey, key)
	}
}
