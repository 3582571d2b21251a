package messagestore

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Listener holds the one connection of a process that LISTENs to a channel of one
// database. A notification only says that there is something to read: what is not
// read because of it is found by the ticks, so a lost one costs a second and
// nothing else. The connection must reach Postgres itself and not a pooler, which
// would hand it to somebody else.
type Listener struct {
	// Config is how to connect.
	Config *pgx.ConnConfig
	// Channel is the channel to LISTEN to: "messages" or "views".
	Channel string
	// Notified is called with each notification's payload. It must not block.
	Notified func(payload string)
	// Also are further channels and what to call with their payloads; it must not block.
	Also map[string]func(payload string)
	// Connected, where set, is called after each LISTEN: notifications may have been
	// lost before it.
	Connected func()
	// Tick, where set, is called on the connection after each LISTEN and then about
	// every second; without it the connection is tried with an empty query every 10
	// seconds. An error counts as a lost connection.
	Tick func(context.Context, *pgx.Conn) error
	// Disconnected, where set, is called when an open connection is lost.
	Disconnected func()

	state atomic.Pointer[ListenerStatus]
}

// ListenerStatus is the state of a [Listener].
type ListenerStatus struct {
	// Connected says whether the connection stands and LISTENs.
	Connected bool `json:"connected"`
	// Since is when that became so.
	Since time.Time `json:"since"`
	// Error is why the connection does not stand; empty where it does.
	Error string `json:"error,omitempty"`
}

// Status returns the listener's state.
func (l *Listener) Status() ListenerStatus {
	if s := l.state.Load(); s != nil {
		return *s
	}
	return ListenerStatus{Error: "not started"}
}

const (
	tickEvery  = time.Second
	pingEvery  = 10 * time.Second
	tickLimit  = 5 * time.Second // a connection that answers no query for so long is lost
	connectTry = 5 * time.Second
)

// Run connects, and connects again whenever the connection is lost, until ctx
// ends. It returns nil.
func (l *Listener) Run(ctx context.Context) error {
	l.state.Store(&ListenerStatus{Since: time.Now(), Error: "connecting"})
	for attempt := 0; ctx.Err() == nil; attempt++ {
		opened, err := l.listen(ctx)
		if ctx.Err() != nil {
			break
		}
		if opened {
			attempt = 0
		}
		l.state.Store(&ListenerStatus{Since: time.Now(), Error: err.Error()})
		pause(ctx, min(jitter(50*time.Millisecond<<min(attempt, 6)), time.Second))
	}
	return nil
}

func (l *Listener) listen(ctx context.Context) (opened bool, err error) {
	connecting, cancel := context.WithTimeout(ctx, connectTry)
	defer cancel()
	conn, err := pgx.ConnectConfig(connecting, l.Config)
	if err != nil {
		return false, fmt.Errorf("connect to listen to %s: %w", l.Channel, err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		conn.Close(closing)
	}()
	for _, channel := range append(slices.Collect(maps.Keys(l.Also)), l.Channel) {
		if _, err := conn.Exec(connecting, `LISTEN `+pgx.Identifier{channel}.Sanitize()); err != nil {
			return false, fmt.Errorf("listen to %s: %w", channel, err)
		}
	}
	defer func() {
		if l.Disconnected != nil && ctx.Err() == nil {
			l.Disconnected()
		}
	}()
	l.state.Store(&ListenerStatus{Connected: true, Since: time.Now()})
	if l.Connected != nil {
		l.Connected()
	}
	tick, every := l.Tick, tickEvery
	if tick == nil {
		tick, every = func(ctx context.Context, c *pgx.Conn) error { return c.Ping(ctx) }, pingEvery
	}
	for {
		if err := l.tick(ctx, conn, tick); err != nil {
			return true, fmt.Errorf("listening to %s: %w", l.Channel, err)
		}
		if err := l.wait(ctx, conn, jitter(every)); err != nil {
			return true, fmt.Errorf("listening to %s: %w", l.Channel, err)
		}
	}
}

func (l *Listener) tick(ctx context.Context, conn *pgx.Conn, tick func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, tickLimit)
	defer cancel()
	return tick(ctx, conn)
}

// wait passes on notifications for a while. Running out of time leaves the
// connection as it was: pgx only gives up the read.
func (l *Listener) wait(ctx context.Context, conn *pgx.Conn, d time.Duration) error {
	waiting, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for {
		n, err := conn.WaitForNotification(waiting)
		switch {
		case err == nil && n.Channel == l.Channel:
			l.Notified(n.Payload)
		case err == nil:
			l.Also[n.Channel](n.Payload)
		case ctx.Err() != nil:
			return ctx.Err()
		case pgconn.Timeout(err) && !conn.IsClosed():
			return nil
		default:
			return err
		}
	}
}

// jitter returns a duration between three quarters and five quarters of d, so
// that replicas started together do not stay together.
func jitter(d time.Duration) time.Duration { return d*3/4 + rand.N(d/2+1) }

// pause waits for d or for the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
