package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// healthPatience is how long healthcheck waits for an answer.
const healthPatience = 5 * time.Second

// healthcheck asks the site on this machine whether it is alive, for containers that have no
// program of their own to ask with.
func (p *program) healthcheck(ctx context.Context, out io.Writer) error {
	setting, port := p.config.sitePort()
	if p.config.https() { // where there is an answer without a certificate too
		setting, port = "HTTP_PORT (--http-port)", p.config.HTTPPort
	}
	if port == "0" {
		return fmt.Errorf("%s is 0, which takes a free one: set it to the one that the site serves on", setting)
	}
	ctx, cancel := context.WithTimeout(ctx, healthPatience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort("127.0.0.1", port)+"/health", nil)
	if err != nil {
		return fmt.Errorf("ask for the health: %w", err)
	}
	// No proxy: HTTP_PROXY is meant for elsewhere.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("not healthy: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("not healthy: the site answers %s", answer.Status)
	}
	fmt.Fprintln(out, "healthy")
	return nil
}
