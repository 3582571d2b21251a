package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// mailServer is a real SMTP server that remembers what it took, and does to some
// recipients what mail servers do.
type mailServer struct {
	t      *testing.T
	server *smtp.Server
	url    string // for SMTP_URL
	closed chan struct{}

	mu       sync.Mutex
	ways     map[string]*way // by recipient
	taken    []*delivery
	sessions int
	changed  chan struct{}
}

// way is how the server treats a recipient.
type way struct {
	refused bool          // 550
	later   int           // 451, so many more times
	dropped int           // the connection, so many more times, when the whole mail is there
	held    chan struct{} // the answer waits until it is closed
	asleep  chan struct{} // nothing is taken until it is closed, and 451 is answered then, once
	tries   int
}

// delivery is one mail that the server has taken.
type delivery struct {
	To, MessageID string
	Source        string // as it came over the wire
	// Answered is when the 250 was handed to the network; zero where the connection
	// had gone by then.
	Answered time.Time
}

// startMailServer starts a server on this machine for the length of a test.
func startMailServer(t *testing.T) *mailServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mailServer{t: t, closed: make(chan struct{}), ways: map[string]*way{}, changed: make(chan struct{}),
		url: "smtp://" + listener.Addr().String() + "?tls=none"}
	m.server = smtp.NewServer(smtp.BackendFunc(m.begin))
	m.server.Domain, m.server.EnableSMTPUTF8, m.server.MaxMessageBytes = "localhost", true, 1<<20
	m.server.ErrorLog = silence{} // connections that were cut are what the tests are about
	serving := make(chan error, 1)
	go func() { serving <- m.server.Serve(watchedListener{listener}) }()
	t.Cleanup(func() {
		close(m.closed)
		m.server.Close()
		if err := <-serving; err != nil && !errors.Is(err, smtp.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return m
}

type silence struct{}

func (silence) Printf(string, ...any) {}
func (silence) Println(...any)        {}

// treat says how the server treats a recipient from now on.
func (m *mailServer) treat(to string, w way) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ways[to] = &w
}

// took returns what the server has taken for a recipient.
func (m *mailServer) took(to string) (found []delivery) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range m.taken {
		if d.To == to {
			found = append(found, *d)
		}
	}
	return found
}

// all returns everything that the server has taken.
func (m *mailServer) all() (found []delivery) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range m.taken {
		found = append(found, *d)
	}
	return found
}

// tries returns how often a mail for a recipient was brought, taken or not.
func (m *mailServer) tries(to string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ways[to] == nil {
		return 0
	}
	return m.ways[to].tries
}

// wait waits until something holds of the server; holds is called with its lock held.
func (m *mailServer) wait(ctx context.Context, what string, holds func() bool) {
	m.t.Helper()
	for {
		m.mu.Lock()
		ok, changed := holds(), m.changed
		m.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			m.t.Fatalf("still not at the mail server: %s", what)
		}
	}
}

// another waits until one more mail is answered, but not for ever.
func (m *mailServer) another(ctx context.Context, atMost time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	before := m.answered()
	for m.answered() == before {
		m.mu.Lock()
		changed := m.changed
		m.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

func (m *mailServer) answered() (n int) {
	for _, d := range m.all() {
		if !d.Answered.IsZero() {
			n++
		}
	}
	return n
}

// quiet waits until nobody is connected: a mail of a program that was killed has
// either been taken by then or never will be.
func (m *mailServer) quiet(ctx context.Context) {
	m.t.Helper()
	m.wait(ctx, "nobody is connected", func() bool { return m.sessions == 0 })
}

func (m *mailServer) change(do func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	do()
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *mailServer) begin(c *smtp.Conn) (smtp.Session, error) {
	m.change(func() { m.sessions++ })
	return &smtpSession{server: m, conn: c}, nil
}

// smtpSession is one connection; recipients are those of the mail under way.
type smtpSession struct {
	server     *mailServer
	conn       *smtp.Conn
	recipients []string
}

func (s *smtpSession) Reset() { s.recipients = nil }

func (s *smtpSession) Logout() error {
	s.server.change(func() { s.server.sessions-- })
	return nil
}

func (s *smtpSession) Mail(string, *smtp.MailOptions) error { return nil }

func (s *smtpSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	var answer error
	var asleep chan struct{}
	s.server.change(func() {
		if s.server.ways[to] == nil {
			s.server.ways[to] = &way{}
		}
		w := s.server.ways[to]
		w.tries++
		asleep, w.asleep = w.asleep, nil
		switch {
		case w.refused:
			answer = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such user here"}
		case w.later > 0:
			w.later--
			answer = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Try again later"}
		}
	})
	if asleep != nil {
		select {
		case <-asleep:
		case <-s.server.closed:
		}
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Try again later"}
	}
	if answer == nil {
		s.recipients = append(s.recipients, to)
	}
	return answer
}

func (s *smtpSession) Data(r io.Reader) error {
	source, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	parsed, err := mail.ReadMessage(bytes.NewReader(source))
	if err != nil {
		return fmt.Errorf("read the mail: %w", err)
	}
	m := s.server
	for _, to := range s.recipients {
		var held chan struct{}
		var drop bool
		m.change(func() {
			w := m.ways[to]
			held = w.held
			if drop = w.dropped > 0; drop {
				w.dropped--
			}
		})
		if drop {
			s.conn.Conn().Close()
			return errors.New("dropped")
		}
		if held != nil {
			select {
			case <-held:
			case <-m.closed:
			}
		}
	}
	wire, _ := s.conn.Conn().(*watchedConn)
	m.change(func() {
		for _, to := range slices.Compact(slices.Sorted(slices.Values(s.recipients))) {
			d := &delivery{To: to, MessageID: parsed.Header.Get("Message-Id"), Source: string(source)}
			m.taken = append(m.taken, d)
			wire.onQueued(func() { m.change(func() { d.Answered = time.Now() }) })
		}
	})
	return nil
}

// watchedListener and watchedConn tell when a 250 for a mail is on its way: go-smtp
// answers only after the backend has taken it.
type watchedListener struct{ net.Listener }

func (l watchedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &watchedConn{Conn: conn}, nil
}

type watchedConn struct {
	net.Conn
	mu     sync.Mutex
	queued []func()
}

func (c *watchedConn) onQueued(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queued = append(c.queued, f)
}

func (c *watchedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if bytes.Contains(p, []byte("OK: queued")) {
		c.mu.Lock()
		told := c.queued
		c.queued = nil
		c.mu.Unlock()
		if err == nil {
			for _, f := range told {
				f()
			}
		}
	}
	return n, err
}

// The server of the tests does what the tests say of it.
func TestTheMailServerOfTheTests(t *testing.T) {
	t.Parallel()
	m := startMailServer(t)
	send := func(to string) error {
		address := strings.TrimSuffix(strings.TrimPrefix(m.url, "smtp://"), "?tls=none")
		client, err := smtp.Dial(address)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if err := client.SendMail("from@example.test", []string{to}, strings.NewReader("Message-ID: <1@example.test>\r\nSubject: s\r\n\r\ntext\r\n")); err != nil {
			return err
		}
		return client.Quit()
	}
	status := func(err error) int {
		var answer *smtp.SMTPError
		if errors.As(err, &answer) {
			return answer.Code
		}
		return 0
	}
	if err := send("a@example.test"); err != nil {
		t.Fatal(err)
	}
	if took := m.took("a@example.test"); len(took) != 1 || took[0].MessageID != "<1@example.test>" || took[0].Answered.IsZero() {
		t.Errorf("taken: %+v", took)
	}
	m.treat("refused@example.test", way{refused: true})
	if err := send("refused@example.test"); status(err) != 550 {
		t.Errorf("refused: %v", err)
	}
	m.treat("later@example.test", way{later: 1})
	if err := send("later@example.test"); status(err) != 451 {
		t.Errorf("later: %v", err)
	}
	if err := send("later@example.test"); err != nil || m.tries("later@example.test") != 2 {
		t.Errorf("the second time: %v", err)
	}
	m.treat("dropped@example.test", way{dropped: 1})
	if err := send("dropped@example.test"); err == nil || status(err) != 0 || len(m.took("dropped@example.test")) != 0 {
		t.Errorf("dropped: %v", err)
	}
	held := make(chan struct{})
	m.treat("slow@example.test", way{held: held})
	sent := make(chan error, 1)
	go func() { sent <- send("slow@example.test") }()
	m.wait(within(t), "the slow one is there", func() bool { return m.ways["slow@example.test"].tries == 1 })
	if len(m.took("slow@example.test")) != 0 {
		t.Error("taken before its time")
	}
	close(held)
	if err := <-sent; err != nil {
		t.Error(err)
	}
	m.quiet(within(t))
	if len(m.all()) != 3 {
		t.Errorf("%d mails", len(m.all()))
	}
}
