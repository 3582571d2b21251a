package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// checkOps refuses what makes no sense of the settings for operators.
func (c config) checkOps() error {
	if c.OpsAddress != "" {
		_, port, err := net.SplitHostPort(c.OpsAddress)
		if number, wrong := strconv.Atoi(port); err != nil || wrong != nil || number < 0 || number > 65535 {
			return fmt.Errorf("OPS_ADDRESS (--ops-address) is %q: it must be a host and a port, like 127.0.0.1:9090", c.OpsAddress)
		}
	}
	if c.ReadyLag <= 0 {
		return errors.New("READY_LAG (--ready-lag) must be more than nothing")
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		return fmt.Errorf("LOG_FORMAT (--log-format) is %q: it must be text or json", c.LogFormat)
	}
	return nil
}

// newLog returns a log with a line for each thing that happens.
func newLog(to io.Writer, format string, level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(to, options))
	}
	return slog.New(slog.NewTextHandler(to, options))
}

// listenOps takes the address that is for operators only; nil where there is none.
func (p *program) listenOps() (net.Listener, error) {
	if p.config.OpsAddress == "" {
		return nil, nil
	}
	listener, err := net.Listen("tcp", p.config.OpsAddress)
	if err != nil {
		return nil, fmt.Errorf("OPS_ADDRESS (--ops-address) %s cannot be used: %w", p.config.OpsAddress, err)
	}
	p.opsAddress = listener.Addr().String()
	return listener, nil
}

// serveOps answers operators until ctx ends. They are answered while the site stops, and
// no longer: whoever makes a profile then does not hold it up.
func (p *program) serveOps(ctx context.Context, listener net.Listener) error {
	if listener == nil {
		return nil
	}
	server := &http.Server{
		Handler:           p.ops(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      10 * time.Minute, // a profile lasts as long as it was asked to
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
	}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve operators: %w", err)
	}
	return nil
}

// ops is what operators can ask.
func (p *program) ops() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.metrics.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelWarn), MaxRequestsInFlight: 4,
	}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /health", p.alive)
	mux.HandleFunc("GET /ready", p.ready)
	return mux
}
