package sendemail

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"videotutorials/components/sendemail/sendemailmsg"
	"videotutorials/db"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
	"videotutorials/messagestore/messagestoretest"
)

// transportFunc is a transport that does what a test says.
type transportFunc func(ctx context.Context, mail sendemailmsg.Mail) error

func (f transportFunc) Send(ctx context.Context, mail sendemailmsg.Mail) error { return f(ctx, mail) }

func commandStream(m sendemailmsg.Mail) messagestore.Stream {
	return sendemailmsg.Category.CommandStream(m.EmailID)
}
func stream(m sendemailmsg.Mail) messagestore.Stream { return sendemailmsg.Category.Stream(m.EmailID) }

func TestSend(t *testing.T) {
	t.Parallel()
	ann, bob := welcome("ann@example.com"), welcome("bob@example.com")
	injected := ann
	injected.Subject += "\r\nBcc: eve@example.com"
	for name, c := range map[string]struct {
		transport   func(t *testing.T) Transport
		given, want []messagestore.Body
		mail        sendemailmsg.Mail
	}{
		"sent": {
			mail: ann, want: []messagestore.Body{sendemailmsg.Sent{Mail: ann}},
			transport: func(t *testing.T) Transport { return newMailServer(t, startTLS, &mailServer{}).client("smtp://", "") },
		},
		"written": {
			mail: bob, want: []messagestore.Body{sendemailmsg.Sent{Mail: bob}},
			transport: func(t *testing.T) Transport { return NewDirectory(filepath.Join(t.TempDir(), "outbox"), sender) },
		},
		"refused for good": {
			mail: ann, want: []messagestore.Body{sendemailmsg.Failed{Mail: ann, Reason: "the mail server refused the recipient: 550 5.1.1 Not this one"}},
			transport: func(t *testing.T) Transport {
				return newMailServer(t, noTLS, &mailServer{onRcpt: func(*smtp.Conn, string) error { return refusal(550) }}).client("smtp://", "?tls=none")
			},
		},
		"refused for now": {
			mail: ann, want: []messagestore.Body{sendemailmsg.Postponed{EmailID: ann.EmailID, Attempt: 1, Reason: "the mail server refused the mail: 451 4.1.1 Not this one"}},
			transport: func(t *testing.T) Transport {
				return newMailServer(t, noTLS, &mailServer{onData: func(*smtp.Conn, string, []byte) error { return refusal(451) }}).client("smtp://", "?tls=none")
			},
		},
		"no mail at all": {
			mail: injected, want: []messagestore.Body{sendemailmsg.Failed{Mail: injected, Reason: "the subject is not one line of text"}},
			transport: func(t *testing.T) Transport {
				return newMailServer(t, noTLS, &mailServer{}).client("smtp://", "?tls=none")
			},
		},
		"sent before": {
			mail: ann, given: []messagestore.Body{sendemailmsg.Sent{Mail: ann}},
			transport: func(t *testing.T) Transport { return unused(t) },
		},
		"failed before": {
			mail: ann, given: []messagestore.Body{sendemailmsg.Failed{Mail: ann, Reason: "no"}},
			transport: func(t *testing.T) Transport { return unused(t) },
		},
		"postponed before": {
			mail: ann, given: []messagestore.Body{sendemailmsg.Postponed{EmailID: ann.EmailID, Attempt: 1, Reason: "later"}},
			transport: func(t *testing.T) Transport { return unused(t) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := messagestore.New(dbtest.New(t).MessageStore)
			component := New(store, c.transport(t), Config{})
			messagestoretest.New(t, store).
				Given(stream(c.mail), c.given...).
				When([]messagestore.Handler{messagestore.On(component.send)}, commandStream(c.mail), sendemailmsg.Send{Mail: c.mail}, sendemailmsg.Send{Mail: c.mail}). // asked for twice
				Then(stream(c.mail), c.want...)
		})
	}
}

func unused(t *testing.T) Transport {
	return transportFunc(func(context.Context, sendemailmsg.Mail) error {
		t.Error("a mail is sent that must not be")
		return nil
	})
}

func TestRetry(t *testing.T) {
	t.Parallel()
	mail := welcome("ann@example.com")
	pauses := []time.Duration{time.Millisecond, 2 * time.Millisecond}
	postponed := func(attempt int) sendemailmsg.Postponed {
		return sendemailmsg.Postponed{EmailID: mail.EmailID, Attempt: attempt, Reason: "later"}
	}
	for name, c := range map[string]struct {
		err    error
		config Config
		given  []messagestore.Body
		when   messagestore.Body
		want   []messagestore.Body
	}{
		"sent":              {when: postponed(1), want: []messagestore.Body{sendemailmsg.Sent{Mail: mail}}},
		"postponed again":   {err: &Refusal{Reason: "later"}, when: postponed(1), want: []messagestore.Body{postponed(2)}},
		"and again":         {err: &Refusal{Reason: "later"}, given: []messagestore.Body{postponed(1), postponed(2)}, when: postponed(3), want: []messagestore.Body{postponed(4)}},
		"refused for good":  {err: &Refusal{Reason: "never", Permanent: true}, when: postponed(1), want: []messagestore.Body{sendemailmsg.Failed{Mail: mail, Reason: "never"}}},
		"given up":          {err: &Refusal{Reason: "later"}, config: Config{GiveUpAfter: time.Millisecond}, when: postponed(1), want: []messagestore.Body{sendemailmsg.Failed{Mail: mail, Reason: "later"}}},
		"sent at last":      {config: Config{GiveUpAfter: time.Millisecond}, when: postponed(1), want: []messagestore.Body{sendemailmsg.Sent{Mail: mail}}},
		"settled meanwhile": {given: []messagestore.Body{postponed(1), sendemailmsg.Sent{Mail: mail}}, when: postponed(1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := messagestore.New(dbtest.New(t).MessageStore)
			c.config.RetryAfter = pauses
			component := New(store, transportFunc(func(context.Context, sendemailmsg.Mail) error { return c.err }), c.config)
			handlers := []messagestore.Handler{messagestore.On(component.retry(0)), messagestore.On(component.retry(1))}
			messagestoretest.New(t, store).
				Given(commandStream(mail), sendemailmsg.Send{Mail: mail}).
				Given(stream(mail), c.given...).
				When(handlers, stream(mail), c.when).
				Then(stream(mail), c.want...)
		})
	}
}

// running is a component at work.
type running struct {
	t     *testing.T
	store *messagestore.Store
	all   *messagestore.Subscriptions
	stop  func()
}

func start(t *testing.T, database *dbtest.DB, transport Transport, config Config) running {
	t.Helper()
	store := messagestore.New(database.MessageStore)
	listen, err := db.ListenConfig(database.MessageStoreURL)
	if err != nil {
		t.Fatal(err)
	}
	all := messagestore.NewSubscriptions(listen, nil, New(store, transport, config).Subscriptions()...)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); all.Run(ctx) }()
	stop := func() { cancel(); <-done }
	t.Cleanup(stop)
	return running{t, store, all, stop}
}

const origin messagestore.Stream = "identity-1"

func (r running) send(mails ...sendemailmsg.Mail) {
	r.t.Helper()
	for _, mail := range mails {
		_, err := r.store.Write(soon(r.t), commandStream(mail), sendemailmsg.Send{Mail: mail},
			messagestore.WithMetadata(messagestore.Metadata{TraceID: "trace", UserID: "1", OriginStreamName: origin}))
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

// until waits until the events of a mail are these, and holds their metadata against
// the command's.
func (r running) until(mail sendemailmsg.Mail, want ...string) {
	r.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ctx := soon(r.t); ; {
		got := r.events(mail)
		if slices.Equal(got, want) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.t.Fatalf("%s has %q, want %q; %+v", mail.To, got, want, r.all.Status())
		}
	}
}

func (r running) events(mail sendemailmsg.Mail) (types []string) {
	r.t.Helper()
	for m, err := range r.store.Read(context.WithoutCancel(r.t.Context()), stream(mail), 0) {
		if messagestore.IsTransient(err) { // Postgres is away
			return nil
		}
		if err != nil {
			r.t.Fatal(err)
		}
		types = append(types, m.Type)
		if metadata, err := m.Metadata(); err != nil || metadata.OriginStreamName != origin || metadata.TraceID != "trace" || metadata.UserID != "1" {
			r.t.Errorf("%s lost what the command said of its origin: %+v, %v", m.Type, metadata, err)
		}
	}
	return types
}

func TestMailsAreSentOnce(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	server := newMailServer(t, startTLS, &mailServer{}, "PLAIN")
	smtp := server.client("smtp://"+login, "")
	r := start(t, database, smtp, Config{})
	var mails []sendemailmsg.Mail
	for n := range 20 {
		mails = append(mails, welcome(fmt.Sprintf("person-%d@example.com", n)))
	}
	r.send(mails...)
	r.send(mails...)
	if err := r.all.CaughtUp(soon(t), r.store); err != nil {
		t.Fatal(err)
	}
	r.stop()
	again := New(r.store, smtp, Config{}) // another process, whose position is far behind
	for _, mail := range mails {
		for m, err := range r.store.Read(soon(t), commandStream(mail), 0) {
			if err != nil {
				t.Fatal(err)
			}
			if err := messagestore.Handle(soon(t), m, messagestore.On(again.send)); err != nil {
				t.Error(err)
			}
		}
		r.until(mail, "Sent")
		if n := server.to(mail.To); n != 1 {
			t.Errorf("%s has %d mails", mail.To, n)
		}
	}
}

// A mail that the server wants later is sent later, and the others go on meanwhile.
func TestOneMailIsPostponed(t *testing.T) {
	t.Parallel()
	later, others := welcome("later@example.com"), []sendemailmsg.Mail{welcome("ann@example.com"), welcome("bob@example.com")}
	server := &mailServer{}
	server.onRcpt = func(_ *smtp.Conn, to string) error {
		if to == later.To && server.to("bob@example.com") == 0 {
			return refusal(450)
		}
		return nil
	}
	newMailServer(t, noTLS, server)
	r := start(t, dbtest.New(t), server.client("smtp://", "?tls=none"), Config{RetryAfter: []time.Duration{500 * time.Millisecond, 20 * time.Millisecond}})
	r.send(later)
	r.until(later, "Postponed")
	r.send(others...)
	for _, mail := range others {
		r.until(mail, "Sent")
	}
	r.until(later, "Postponed", "Sent")
	if got := server.deliveries(); len(got) != 3 || got[2].to != later.To {
		t.Errorf("arrived: %d mails, the last to %s", len(got), got[len(got)-1].to)
	}
}

// A mail that waits long holds up no mail that waits shortly.
func TestLongPauseHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	never, soonish := welcome("never@example.com"), welcome("soon@example.com")
	var tried atomic.Bool
	transport := transportFunc(func(_ context.Context, m sendemailmsg.Mail) error {
		if m.To == never.To || !tried.Swap(true) {
			return &Refusal{Reason: "later"}
		}
		return nil
	})
	r := start(t, dbtest.New(t), transport, Config{RetryAfter: []time.Duration{time.Millisecond, time.Hour}})
	r.send(never)
	r.until(never, "Postponed", "Postponed")
	r.send(soonish)
	r.until(soonish, "Postponed", "Sent")
	r.until(never, "Postponed", "Postponed")
}

func TestGivesUp(t *testing.T) {
	t.Parallel()
	mail := welcome("ann@example.com")
	server := newMailServer(t, noTLS, &mailServer{onMail: func(*smtp.Conn, string) error { return refusal(452) }})
	r := start(t, dbtest.New(t), server.client("smtp://", "?tls=none"), Config{RetryAfter: []time.Duration{10 * time.Millisecond, 100 * time.Millisecond}, GiveUpAfter: 150 * time.Millisecond})
	r.send(mail)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	ctx := soon(t)
	for {
		if got := r.events(mail); len(got) > 0 && got[len(got)-1] == "Failed" {
			if len(got) < 3 { // at most 110 ms pass before the second retry
				t.Errorf("it gave up early: %q", got)
			}
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it never gives up: %q", r.events(mail))
		}
	}
	last, err := r.store.Last(ctx, stream(mail), "")
	if err != nil {
		t.Fatal(err)
	}
	if m, err := messagestore.Decode[sendemailmsg.Failed](last); err != nil || m.Data.Mail != mail || !strings.Contains(m.Data.Reason, "452") {
		t.Errorf("%+v, %v", m.Data, err)
	}
}

// A program that is stopped while a mail waits sends it when it is back.
func TestPostponedMailOutlivesTheProgram(t *testing.T) {
	t.Parallel()
	mail := welcome("ann@example.com")
	var up atomic.Bool
	server := newMailServer(t, noTLS, &mailServer{onRcpt: func(*smtp.Conn, string) error {
		if !up.Load() {
			return refusal(451)
		}
		return nil
	}})
	database := dbtest.New(t)
	config := Config{RetryAfter: []time.Duration{10 * time.Millisecond, 3 * time.Second}}
	r := start(t, database, server.client("smtp://", "?tls=none"), config)
	r.send(mail)
	r.until(mail, "Postponed", "Postponed")
	r.stop()
	up.Store(true)
	r = start(t, database, server.client("smtp://", "?tls=none"), config)
	r.until(mail, "Postponed", "Postponed", "Sent")
	if n := server.to(mail.To); n != 1 {
		t.Errorf("%d mails arrived", n)
	}
}

// A server that is away is waited for: no mail is refused, and all go in the end.
func TestServerIsAway(t *testing.T) {
	t.Parallel()
	down := newMailServer(t, noTLS, &mailServer{onMail: func(c *smtp.Conn, _ string) error { return errors.Join(refusal(421), c.Conn().Close()) }})
	up := newMailServer(t, noTLS, &mailServer{})
	var current atomic.Pointer[SMTP]
	unreachable := down.client("smtp://", "?tls=none")
	unreachable.port = "1" // where nobody listens
	current.Store(unreachable)
	r := start(t, dbtest.New(t), transportFunc(func(ctx context.Context, m sendemailmsg.Mail) error { return current.Load().Send(ctx, m) }), Config{})
	mails := []sendemailmsg.Mail{welcome("ann@example.com"), welcome("bob@example.com")}
	r.send(mails...)
	retried := func(n int64) {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for ctx := soon(t); r.all.Status()[0].Retries < n; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatalf("%+v", r.all.Status()[0])
			}
		}
	}
	retried(3)
	if status := r.all.Status()[0]; len(status.Parked) > 0 || status.State != messagestore.Retrying {
		t.Errorf("%+v", status)
	}
	current.Store(down.client("smtp://", "?tls=none"))
	retried(5)
	current.Store(up.client("smtp://", "?tls=none"))
	for _, mail := range mails {
		r.until(mail, "Sent")
		if n := up.to(mail.To); n != 1 {
			t.Errorf("%s has %d mails", mail.To, n)
		}
	}
}

// When Postgres goes away just after the server took a mail, the mail does not go
// again.
func TestPostgresGoesAwayAfterTheMailWent(t *testing.T) {
	t.Parallel()
	database := dbtest.NewServer(t)
	var stop atomic.Bool
	stopped := make(chan struct{})
	server := newMailServer(t, noTLS, &mailServer{onData: func(*smtp.Conn, string, []byte) error {
		if stop.Swap(false) {
			database.Stop()
			close(stopped)
		}
		return nil
	}})
	r := start(t, database.DB, server.client("smtp://", "?tls=none"), Config{})
	stop.Store(true)
	mail := welcome("ann@example.com")
	r.send(mail)
	<-stopped
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ctx := soon(t); r.all.Status()[0].Retries == 0; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%+v", r.all.Status()[0])
		}
	}
	database.Start()
	r.until(mail, "Sent")
	if n := server.to(mail.To); n != 1 {
		t.Errorf("%d mails arrived", n)
	}
}

// A mail that goes while the program is told to stop is known to have gone.
func TestStoppedWhileAMailGoes(t *testing.T) {
	t.Parallel()
	store := messagestore.New(dbtest.New(t).MessageStore)
	mail := welcome("ann@example.com")
	ctx, cancel := context.WithCancel(soon(t))
	component := New(store, transportFunc(func(context.Context, sendemailmsg.Mail) error { cancel(); return nil }), Config{})
	if _, err := store.Write(ctx, commandStream(mail), sendemailmsg.Send{Mail: mail}); err != nil {
		t.Fatal(err)
	}
	command, err := store.Last(ctx, commandStream(mail), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := messagestore.Handle(ctx, command, messagestore.On(component.send)); err != nil {
		t.Error(err)
	}
	if _, err := store.Last(soon(t), stream(mail), "Sent"); err != nil {
		t.Error(err)
	}
}
