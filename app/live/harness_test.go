package live

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"
)

// patience is how long a test waits for something that must happen.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	if code == 0 && !happens(func() bool { return runtime.NumGoroutine() <= before }) {
		fmt.Fprintln(os.Stderr, "goroutines are left after the tests:")
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		code = 1
	}
	os.Exit(code)
}

// happens waits for a condition that no channel tells of.
func happens(condition func() bool) bool {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for !condition() {
		select {
		case <-look.C:
		case <-deadline.C:
			return false
		}
	}
	return true
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	if !happens(condition) {
		t.Fatalf("after %s: not %s", patience, what)
	}
}

// journal keeps what is logged.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) has(s string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Contains(j.text.String(), s)
}

// secret stands in every fragment of a store, and must stand in no log.
const secret = "for-the-browser-only"

// newHub returns a running hub that retries fast. At the end of the test it must stop by itself.
func newHub(t testing.TB, adjust func(*limits)) (*Hub, *journal) {
	t.Helper()
	log := &journal{}
	h := New(slog.New(slog.NewTextHandler(log, nil)))
	h.limits.retryMin, h.limits.retryMax = time.Millisecond, 20*time.Millisecond
	if adjust != nil {
		adjust(&h.limits)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		if log.has(secret) {
			t.Error("a fragment was logged")
		}
	})
	return h, log
}

// smallBuffers makes a server notice soon that a browser doesn't read.
type smallBuffers struct{ net.Listener }

func (l smallBuffers) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		err = c.(*net.TCPConn).SetWriteBuffer(32 << 10)
	}
	return c, err
}

// serve starts a server with a page at /live, and returns its address.
func serve(t testing.TB, f *Feed, show func(echo.Context) Page, adjust func(*http.Server)) (address string, server *http.Server) {
	t.Helper()
	e := echo.New()
	e.GET("/live", func(c echo.Context) error { return f.Serve(c, show(c)) })
	server = &http.Server{Handler: e}
	if adjust != nil {
		adjust(server)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(smallBuffers{l}) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-stopped; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return l.Addr().String(), server
}

func always(p Page) func(echo.Context) Page {
	return func(echo.Context) Page { return p }
}

// store is a view database: rows with a value and the version of the transaction that last changed them.
type store struct {
	pad string // makes fragments longer

	mu      sync.Mutex
	rows    map[string]row // by topic
	at      Versions
	version int64
	failing func(topic string) error // for renders; Since asks for ""
	renders map[string]int
	asked   int // calls of Since that were answered
}

type row struct {
	value   int64
	version int64
}

func newStore() *store {
	return &store{rows: map[string]row{}, at: Versions{}, renders: map[string]int{}}
}

// commit changes the rows of the topics, which are of one projection, in one transaction, and returns its notifications.
func (s *store) commit(topics ...string) (payloads []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	for _, topic := range topics {
		s.rows[topic] = row{s.rows[topic].value + 1, s.version}
		s.at[projectionOf(topic)] = s.version
		payloads = append(payloads, fmt.Sprintf("%s %d", topic, s.version))
	}
	return payloads
}

func (s *store) value(topic string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows[topic].value
}

func (s *store) fail(how func(topic string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing = how
}

func (s *store) setPad(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pad = strings.Repeat("x", n)
}

func (s *store) answered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *store) rendered(topic string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.renders[topic]
}

func (s *store) render(_ context.Context, topic string) (templ.Component, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.renders[topic]++
	if s.failing != nil {
		if err := s.failing(topic); err != nil {
			return nil, err
		}
	}
	return templ.Raw(s.html(topic)), nil
}

func (s *store) html(topic string) string {
	return fmt.Sprintf("%s=%d %s%s\n", topic, s.rows[topic].value, secret, s.pad)
}

// page is a page that shows the topics.
func (s *store) page(topics ...string) Page {
	return Page{Topics: topics, Since: func(_ context.Context, at Versions) (templ.Component, Versions, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.failing != nil {
			if err := s.failing(""); err != nil {
				return nil, nil, err
			}
		}
		s.asked++
		var html strings.Builder
		now := Versions{}
		for topic := range s.rows {
			if !shown(topics, topic) {
				continue
			}
			if s.rows[topic].version > at[projectionOf(topic)] {
				html.WriteString(s.html(topic))
			}
		}
		for _, topic := range topics {
			now[projectionOf(topic)] = s.at[projectionOf(topic)]
		}
		if html.Len() == 0 {
			return nil, now, nil
		}
		return templ.Raw(html.String()), now, nil
	}}
}

func shown(topics []string, topic string) bool {
	return slices.ContainsFunc(topics, func(t string) bool {
		return t == topic || strings.HasSuffix(t, "/") && strings.HasPrefix(topic, t)
	})
}

func notify(h *Hub, payloads []string) {
	for _, p := range payloads {
		h.Notify(p)
	}
}

// frame is one event, or one comment, of a stream.
type frame struct {
	id      string
	data    string
	comment string
}

// values reads "topic=value …" lines.
func (f frame) values() map[string]int64 {
	values := map[string]int64{}
	for line := range strings.Lines(f.data) {
		var value int64
		topic, rest, found := strings.Cut(strings.TrimSpace(line), "=")
		if _, err := fmt.Sscanf(rest, "%d", &value); found && err == nil {
			values[topic] = value
		}
	}
	return values
}

// readFrame reads the next event or comment.
func readFrame(r *bufio.Reader) (f frame, err error) {
	var data []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return f, err
		}
		line = strings.TrimSuffix(line, "\n")
		field, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "" && data == nil && f.comment == "":
		case line == "":
			f.data = strings.Join(data, "\n")
			return f, nil
		case field == "id":
			f.id = value
		case field == "data":
			data = append(data, value)
		case field == "":
			f.comment = value
		}
	}
}

// browser is an open page.
type browser struct {
	response *http.Response
	close    context.CancelFunc
	frames   chan frame
	err      error // how the stream ended, once frames is closed
	ids      []Versions
}

// open connects with a client of its own.
func open(t testing.TB, address, query, lastEventID string) *browser {
	t.Helper()
	return openWith(t, &http.Transport{}, address, query, lastEventID)
}

func openWith(t testing.TB, transport *http.Transport, address, query, lastEventID string) *browser {
	t.Helper()
	b, err := connect(transport, address, query, lastEventID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.leave)
	if b.response.StatusCode != http.StatusOK {
		t.Fatalf("got status %d", b.response.StatusCode)
	}
	return b
}

func connect(transport *http.Transport, address, query, lastEventID string) (*browser, error) {
	ctx, cancel := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/live"+query, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	if lastEventID != "" {
		request.Header.Set("Last-Event-ID", lastEventID)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		cancel()
		return nil, err
	}
	b := &browser{response: response, frames: make(chan frame)}
	b.close = func() { cancel(); transport.CloseIdleConnections() }
	go func() {
		defer close(b.frames)
		defer response.Body.Close()
		r := bufio.NewReader(response.Body)
		for {
			f, err := readFrame(r)
			if err != nil {
				b.err = err
				return
			}
			select {
			case b.frames <- f:
			case <-ctx.Done():
				b.err = ctx.Err()
				return
			}
		}
	}()
	return b, nil
}

// leave closes the page and waits until its reader is gone.
func (b *browser) leave() {
	b.close()
	for range b.frames {
	}
}

// next returns the next frame that has data.
func (b *browser) next(t testing.TB) frame {
	t.Helper()
	for {
		if f := b.any(t); f.comment == "" {
			return f
		}
	}
}

// any returns the next frame or comment.
func (b *browser) any(t testing.TB) frame {
	t.Helper()
	select {
	case f, ok := <-b.frames:
		if !ok {
			t.Fatalf("the stream ended: %v", b.err)
		}
		if f.comment == "" {
			at, err := ParseVersions(f.id)
			if err != nil || len(at) == 0 {
				t.Fatalf("id %q: %v", f.id, err)
			}
			if n := len(b.ids); n > 0 && at.before(b.ids[n-1]) {
				t.Fatalf("id %q after %q", f.id, b.ids[n-1])
			}
			b.ids = append(b.ids, at)
		}
		return f
	case <-time.After(patience):
		t.Fatalf("no frame for %s", patience)
		return frame{}
	}
}

// until reads frames until one has the topic's value, and returns that one.
func (b *browser) until(t testing.TB, topic string, value int64) frame {
	t.Helper()
	for {
		f := b.next(t)
		if got, ok := f.values()[topic]; ok && got == value {
			return f
		}
	}
}

// end reads until the stream ends.
func (b *browser) end(t testing.TB) error {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case _, ok := <-b.frames:
			if !ok {
				return b.err
			}
		case <-deadline:
			t.Fatalf("the stream didn't end for %s", patience)
		}
	}
}

// dial opens a page without reading anything of it.
func dial(t testing.TB, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.(*net.TCPConn).SetReadBuffer(32 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET /live HTTP/1.1\r\nHost: "+address+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return c
}

// counter counts what runs at the same time.
type counter struct{ now, most atomic.Int64 }

func (c *counter) enter() {
	n := c.now.Add(1)
	for {
		most := c.most.Load()
		if n <= most || c.most.CompareAndSwap(most, n) {
			return
		}
	}
}

func (c *counter) leave() { c.now.Add(-1) }
