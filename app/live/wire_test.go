package live

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"testing"
	"time"
)

func TestASlowReaderGetsTheNewestOnly(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, nil)
	s := newStore()
	s.setPad(100_000)
	s.commit("views/a")
	address, _ := serve(t, h.Feed(s.render), always(s.page("views/")), nil)
	slow := dial(t, address)
	witness := open(t, address, "", "")
	witness.until(t, "views/a", 1)
	eventually(t, "both pages open", func() bool { return h.Stats().Pages == 2 })
	for value := int64(2); value <= 100; value++ {
		notify(h, s.commit("views/a"))
		witness.until(t, "views/a", value)
	}
	if err := slow.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(slow), nil)
	if err != nil {
		t.Fatal(err)
	}
	r, frames, value := bufio.NewReader(response.Body), 0, int64(0)
	for ; value != 100; frames++ {
		f, err := readFrame(r)
		if err != nil {
			t.Fatal(err)
		}
		value = f.values()["views/a"]
	}
	if frames > 10 {
		t.Errorf("it got %d frames", frames)
	}
}

func TestAStalledReaderIsCut(t *testing.T) {
	t.Parallel()
	h, log := newHub(t, func(l *limits) { l.write = 100 * time.Millisecond })
	s := newStore()
	s.setPad(1_000_000)
	s.commit("views/a")
	address, _ := serve(t, h.Feed(s.render), always(s.page("views/")), nil)
	stalled := dial(t, address)
	eventually(t, "cut", func() bool { return h.Stats().Cut == 1 && h.Stats().Pages == 0 })
	if !log.has("live page cut") {
		t.Error("it was not logged")
	}
	// What the buffers held can still be read; then the connection is closed, with or without a reset.
	if err := stalled.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, stalled); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
}

// h2c makes a server and a browser speak HTTP/2 without TLS.
func h2c(s *http.Server) {
	s.Protocols = new(http.Protocols)
	s.Protocols.SetUnencryptedHTTP2(true)
}

func newH2CTransport() *http.Transport {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	return transport
}

func TestHTTP2(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, func(l *limits) { l.write = time.Second })
	s := newStore()
	s.commit("views/a")
	address, _ := serve(t, h.Feed(s.render), always(s.page("views/")), h2c)
	transport := newH2CTransport()
	b := openWith(t, transport, address, "", "")
	if b.response.ProtoMajor != 2 {
		t.Fatalf("got %s", b.response.Proto)
	}
	b.until(t, "views/a", 1)

	// A page of the same connection that doesn't read more than its window is cut, and the other one goes on.
	request, err := http.NewRequest(http.MethodGet, "http://"+address+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	stalled, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer stalled.Body.Close()
	s.setPad(5_000_000)
	notify(h, s.commit("views/a"))
	b.until(t, "views/a", 2)
	eventually(t, "cut", func() bool { return h.Stats().Cut == 1 && h.Stats().Pages == 1 })
	s.setPad(0)
	notify(h, s.commit("views/a"))
	b.until(t, "views/a", 3)
	h.Close()
	if err := b.end(t); err != io.EOF {
		t.Errorf("got %v", err)
	}
}

func TestTheServersTimeoutsSpareStreams(t *testing.T) {
	t.Parallel()
	for name, adjust := range map[string]func(*http.Server){"HTTP/1.1": func(*http.Server) {}, "HTTP/2": h2c} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, _ := newHub(t, func(l *limits) { l.heartbeat = 50 * time.Millisecond })
			s := newStore()
			address, _ := serve(t, h.Feed(s.render), always(s.page("views/")), func(server *http.Server) {
				server.ReadTimeout, server.WriteTimeout, server.IdleTimeout = time.Second, time.Second, time.Second
				adjust(server)
			})
			transport := &http.Transport{}
			if name == "HTTP/2" {
				transport = newH2CTransport()
			}
			b := openWith(t, transport, address, "", "")
			for began := time.Now(); time.Since(began) < 2500*time.Millisecond; {
				b.any(t)
			}
			notify(h, s.commit("views/a"))
			b.until(t, "views/a", 1)
		})
	}
}

func TestAnIdleStreamOutlivesTheWriteDeadline(t *testing.T) {
	t.Parallel()
	for name, adjust := range map[string]func(*http.Server){"HTTP/1.1": nil, "HTTP/2": h2c} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, _ := newHub(t, func(l *limits) { l.write, l.heartbeat = 50*time.Millisecond, 200*time.Millisecond })
			s := newStore()
			address, _ := serve(t, h.Feed(s.render), always(s.page("views/")), adjust)
			transport := &http.Transport{}
			if name == "HTTP/2" {
				transport = newH2CTransport()
			}
			b := openWith(t, transport, address, "", "")
			for range 3 {
				b.any(t)
			}
		})
	}
}

func TestShutdownIsQuick(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, nil)
	s := newStore()
	s.setPad(1_000_000)
	address, server := serve(t, h.Feed(s.render), always(s.page("views/")), func(server *http.Server) {
		server.RegisterOnShutdown(h.Close)
	})
	var browsers []*browser
	for range 199 {
		browsers = append(browsers, open(t, address, "", ""))
	}
	s.commit("views/a")
	dial(t, address) // and never read, in the middle of a frame
	eventually(t, "200 pages open", func() bool { return h.Stats().Pages == 200 })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	began := time.Now()
	if err := server.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
	for _, b := range browsers {
		if err := b.end(t); err != io.EOF {
			t.Fatalf("a page ended with %v", err)
		}
	}
}

func TestAWriterWithoutDeadlinesIsRefused(t *testing.T) {
	t.Parallel()
	h, _ := newHub(t, nil)
	s := newStore()
	address, _ := serve(t, h.Feed(s.render), always(s.page("views/")), func(server *http.Server) {
		inner := server.Handler
		server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			inner.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
		})
	})
	b, err := connect(&http.Transport{}, address, "", "")
	if err != nil {
		t.Fatal(err)
	}
	b.leave()
	if b.response.StatusCode != http.StatusInternalServerError || h.Stats().Pages != 0 {
		t.Errorf("got %d", b.response.StatusCode)
	}
}
