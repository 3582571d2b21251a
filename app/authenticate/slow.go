package authenticate

import (
	"container/list"
	"context"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// longestWait is how long a try waits for its turn. One that would wait longer is
// refused.
const longestWait = 10 * time.Second

// punished is how much longer a try takes while an account is tried from everywhere.
const punished = time.Second

// attempt says where a try to log in comes from and what it is for.
type attempt struct {
	account string // "" where it is for none
	source  string // an IP address
	browser string // the id of one that has logged in to the account before, else ""
}

// slow makes those wait who try too often. There are three limits: on one account from
// one source, on one source, and on one account from everywhere. The last one slows and
// never refuses, so a stranger cannot lock anybody out, and a browser that has logged
// in to the account before has a limit of its own instead of all three.
//
// It knows what this process has seen, and forgets it when the process ends.
type slow struct {
	now  func() time.Time
	wait func(context.Context, time.Duration) error

	mu       sync.Mutex
	tries    limiters // of an account, by source or browser
	sources  limiters
	accounts limiters
}

func newSlow(now func() time.Time, wait func(context.Context, time.Duration) error) *slow {
	const most = 20_000 // each some 300 bytes
	return &slow{
		now: now, wait: wait,
		tries:    newLimiters(rate.Every(2*time.Second), 5, most),
		sources:  newLimiters(2, 60, most),
		accounts: newLimiters(rate.Every(6*time.Second), 10, most),
	}
}

// pause waits for some time, or until ctx ends, which is an error.
func pause(ctx context.Context, d time.Duration) error {
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

// enter returns when it is the turn of a try; where that is too far away, it returns at
// once after how long another one may come.
func (s *slow) enter(ctx context.Context, t attempt) (refused time.Duration, err error) {
	turn, ok := s.turn(t)
	if !ok {
		return turn, nil
	}
	return 0, s.wait(ctx, turn)
}

// turn returns after how long it is the turn of a try, which counts unless it is
// refused.
func (s *slow) turn(t attempt) (after time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	var limits []*rate.Limiter
	if t.account != "" {
		limits = append(limits, s.tries.of(t.who()))
	}
	if t.browser == "" {
		limits = append(limits, s.sources.of(network(t.source)))
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
	if t.account != "" && t.browser == "" && !s.accounts.of(t.account).AllowN(now, 1) {
		after += punished
	}
	return after, true
}

// succeeded forgives the tries before one that was right.
func (s *slow) succeeded(t attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries.forget(t.who())
}

func (t attempt) who() string {
	if t.browser != "" {
		return t.account + " browser " + t.browser
	}
	return t.account + " " + network(t.source)
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
