package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// shutdownTime is how long requests under way may take when the program stops.
	shutdownTime = 10 * time.Second
	// arrivalTime is how long of that somebody who has connected may take to ask.
	arrivalTime = 3 * time.Second
)

// entrance is where visitors come in.
type entrance struct {
	manager *serviceManager
	site    net.Listener
	port    string // of site

	// Without DOMAIN both are nil, and site is plain HTTP.
	certificates *certificates
	plain        net.Listener // of HTTP where site is HTTPS
}

// listen takes the ports.
func (p *program) listen() (*entrance, error) {
	manager, err := newServiceManager()
	if err != nil {
		return nil, err
	}
	e := &entrance{manager: manager}
	if e.certificates, err = p.config.certificates(); err != nil {
		e.close()
		return nil, err
	}
	setting, port := p.config.sitePort()
	if e.site, err = manager.listen(port); err != nil {
		e.close()
		return nil, fmt.Errorf("%s %s cannot be used: %w", setting, port, err)
	}
	if e.certificates != nil {
		if e.plain, err = manager.listen(p.config.HTTPPort); err != nil {
			e.close()
			return nil, fmt.Errorf("HTTP_PORT (--http-port) %s cannot be used: %w", p.config.HTTPPort, err)
		}
	}
	if err := manager.unused(); err != nil {
		e.close()
		return nil, err
	}
	if _, e.port, err = net.SplitHostPort(e.site.Addr().String()); err != nil {
		e.close()
		return nil, fmt.Errorf("the address that is listened on: %w", err)
	}
	return e, nil
}

func (e *entrance) close() {
	e.manager.close()
	for _, listener := range []net.Listener{e.site, e.plain} {
		if listener != nil {
			listener.Close()
		}
	}
}

// door is where this process can be asked without TLS whether it is alive.
func (e *entrance) door() net.Addr {
	if e.plain != nil {
		return e.plain.Addr()
	}
	return e.site.Addr()
}

// serve lets visitors in until the socket of the site is closed.
func (e *entrance) serve(server *http.Server) error {
	if e.certificates == nil {
		return server.Serve(e.site)
	}
	server.TLSConfig = e.certificates.manager.TLSConfig()
	return server.ServeTLS(e.site, "", "")
}

// server returns one for strangers, with their limits.
func (p *program) server(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(p.log.Handler(), slog.LevelDebug), // broken connections of others
	}
}

// serveVisitors answers them until ctx ends, and then those who have come already.
func (p *program) serveVisitors(ctx context.Context, e *entrance) error {
	var arrivals arrivals
	server := p.server(arrivals.end(p.visited()))
	server.ConnState, server.ConnContext = arrivals.state, arrivals.begin
	server.RegisterOnShutdown(p.hub.Close)
	defer context.AfterFunc(ctx, func() { e.site.Close() })()
	if err := e.serve(server); ctx.Err() == nil {
		return fmt.Errorf("serve: %w", err)
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	arrivals.wait(stopping)
	if err := server.Shutdown(stopping); err != nil {
		server.Close()
		p.log.Warn("some requests were cut off", "error", err)
	}
	return nil
}

// arrivals are the connections whose first request is still to come. A server that shuts down
// closes them without an answer, also when that request has just been sent.
type arrivals struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	fewer chan struct{} // closed when there is one less; nil where nobody waits
}

// arrival is the key of a connection in the context of its requests.
type arrival struct{}

// begin is called by the server for each connection.
func (a *arrivals) begin(ctx context.Context, conn net.Conn) context.Context {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conns == nil {
		a.conns = map[net.Conn]struct{}{}
	}
	a.conns[conn] = struct{}{}
	return context.WithValue(ctx, arrival{}, conn)
}

// state is called by the server when something happens to a connection.
func (a *arrivals) state(conn net.Conn, state http.ConnState) {
	if state == http.StateClosed || state == http.StateHijacked {
		a.remove(conn)
	}
}

// end handles requests, of which the first ends the arrival.
func (a *arrivals) end(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, ok := r.Context().Value(arrival{}).(net.Conn); ok {
			a.remove(conn)
		}
		handler.ServeHTTP(w, r)
	})
}

func (a *arrivals) remove(conn net.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.conns, conn)
	if a.fewer != nil {
		close(a.fewer)
		a.fewer = nil
	}
}

// wait returns when there are no arrivals, or when they have had their time: browsers also
// connect ahead and ask nothing.
func (a *arrivals) wait(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, arrivalTime)
	defer cancel()
	for {
		a.mu.Lock()
		n := len(a.conns)
		if a.fewer == nil {
			a.fewer = make(chan struct{})
		}
		fewer := a.fewer
		a.mu.Unlock()
		if n == 0 {
			return
		}
		select {
		case <-fewer:
		case <-ctx.Done():
			return
		}
	}
}

// visited is the site as a visitor reaches it.
func (p *program) visited() http.Handler {
	https := p.config.https()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.stopping.Load() { // a proxy that kept the connection would send the next request into its end
			w.Header().Set("Connection", "close")
		}
		if https {
			w.Header().Set("Strict-Transport-Security", strictTransport)
		}
		p.router.ServeHTTP(w, r)
	})
}

// drained returns a context that ends DRAIN after ctx: meanwhile everybody is answered, and
// whoever asks /ready hears to send nobody any more.
func (p *program) drained(ctx context.Context, manager *serviceManager) (context.Context, context.CancelFunc) {
	after, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := context.AfterFunc(ctx, func() {
		defer stop()
		p.stopping.Store(true)
		manager.stopping(p.log)
		if p.config.Drain == 0 {
			return
		}
		p.log.Info("stopping: requests are still answered, and /ready says that there should be no more", "for", p.config.Drain)
		timer := time.NewTimer(p.config.Drain)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-after.Done():
		}
	})
	return after, func() { ended(); stop() }
}

// answers returns nil where this process answers a visitor: a request comes in by the door and
// is answered, and what everything goes through can be had. What it waits for where it cannot
// is waited for, and then it does not answer.
func (p *program) answers(ctx context.Context, door net.Addr) error {
	ctx, cancel := context.WithTimeout(ctx, healthPatience)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, door.Network(), door.String())
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/health", nil)
	if err != nil {
		return fmt.Errorf("ask for the health: %w", err)
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("ask for the health: %w", err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return fmt.Errorf("ask for the health: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("ask for the health: the site answers %s", answer.Status)
	}
	p.hub.Stats()
	p.subscriptions.Status()
	return nil
}
