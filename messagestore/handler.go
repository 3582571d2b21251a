package messagestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Handler handles messages of one type. Make one with [On].
type Handler struct {
	kind   string
	handle func(context.Context, Raw) error
}

// On returns a handler for the type of T. A method fits:
//
//	messagestore.On(c.nameVideo)
func On[T Body](handle func(context.Context, Message[T]) error) Handler {
	var body T
	return Handler{kind: body.MessageType(), handle: func(ctx context.Context, r Raw) error {
		m, err := Decode[T](r)
		if err != nil {
			return err
		}
		return handle(ctx, m)
	}}
}

// Handle gives a message to the handlers of its type; a message of another type
// is none of their business and is passed over. A handler that panics returns an
// error here.
func Handle(ctx context.Context, m Raw, handlers ...Handler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("handle %s at %d: panic: %v\n%s", m.Type, m.GlobalPosition, p, debug.Stack())
		}
	}()
	for _, h := range handlers {
		if h.kind == m.Type {
			if err := h.handle(ctx, m); err != nil {
				return fmt.Errorf("handle %s at %d: %w", m.Type, m.GlobalPosition, err)
			}
		}
	}
	return nil
}

// handling is an error of the work on one message, which names the message's trace for the
// log.
type handling struct {
	error
	message Raw
}

func (h handling) Unwrap() error { return h.error }

// traceID returns the trace of the message that an error is about; empty for none.
func traceID(err error) string {
	if h, ok := errors.AsType[handling](err); ok {
		return h.message.traceID()
	}
	return ""
}

// traced names a trace in a line of the log, unless there is none.
func traced(id string) slog.Attr {
	if id == "" {
		return slog.Attr{}
	}
	return slog.String("trace_id", id)
}

// ErrorText returns what an error says without the values that Postgres quotes in
// it ("invalid input syntax for type uuid: …"): they may be personal, and logs and
// pages must not hold them.
func ErrorText(err error) string {
	text := err.Error()
	var pg *pgconn.PgError
	if errors.As(err, &pg) && strings.HasPrefix(pg.Code, "22") {
		text = strings.ReplaceAll(text, pg.Message, "a value that Postgres refuses")
	}
	return text
}

// Transient marks an error as one that goes away by itself, like a mail server
// that is down: the message is retried for as long as it takes and its stream is
// never parked.
func Transient(err error) error {
	if err == nil {
		return nil
	}
	return transientError{err}
}

type transientError struct{ error }

func (e transientError) Unwrap() error { return e.error }

// IsTransient reports whether an error is worth retrying for ever: marked by
// [Transient], the network's, or Postgres being away, overloaded or in conflict.
func IsTransient(err error) bool {
	var marked transientError
	var connect *pgconn.ConnectError
	var network net.Error
	if errors.As(err, &marked) || errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return true
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code {
	case "40001", "40P01", "55P03", "57014", "25P03", "25006": // serialization failure, deadlock, time limits, a standby
		return true
	}
	return strings.HasPrefix(pg.Code, "08") || strings.HasPrefix(pg.Code, "53") || strings.HasPrefix(pg.Code, "57P") // connection, resources, shutdown
}
