package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
	"golang.org/x/net/idna"
)

// strictTransport has browsers that came once by https never come by http again. A year is
// what is usual; other hosts of the same domain may be somebody else's.
const strictTransport = "max-age=31536000"

// checkTLS refuses what makes no sense of the settings for HTTPS.
func (c config) checkTLS() error {
	if _, err := c.domains(); err != nil {
		return err
	}
	for setting, port := range map[string]string{"HTTPS_PORT (--https-port)": c.HTTPSPort, "HTTP_PORT (--http-port)": c.HTTPPort} {
		if err := checkPort(setting, port); err != nil {
			return err
		}
		if port == "0" { // links and the authority have to know them
			return fmt.Errorf("%s is 0: it must be the one that people come to", setting)
		}
	}
	if c.HTTPSPort == c.HTTPPort {
		return fmt.Errorf("HTTPS_PORT (--https-port) and HTTP_PORT (--http-port) are both %s: they must differ", c.HTTPPort)
	}
	if u, err := url.Parse(c.ACMEDirectoryURL); c.ACMEDirectoryURL != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
		return fmt.Errorf("ACME_DIRECTORY_URL (--acme-directory-url) is %q: it must begin with https://", c.ACMEDirectoryURL)
	}
	return nil
}

// domains returns the names that the site is served at by HTTPS; none where it is not.
func (c config) domains() (names []string, err error) {
	for _, text := range c.Domain {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		name, err := idna.Lookup.ToASCII(strings.TrimSuffix(text, "."))
		if err != nil || !strings.Contains(name, ".") || net.ParseIP(name) != nil {
			return nil, fmt.Errorf("DOMAIN (--domain) has %q in it: each must be a name like videos.example", text)
		}
		names = append(names, name)
	}
	return names, nil
}

// https reports whether this process serves the site by HTTPS. One that runs other parts
// only, maybe on another machine, needs the domains for links.
func (c config) https() bool {
	names, err := c.domains()
	if err != nil || len(names) == 0 {
		return false
	}
	share, err := newShare(c.Run, "")
	return err == nil && share.runs(partWeb)
}

func (c config) certificatesDir() string { return filepath.Join(c.DataDir, "certificates") }

// certificates returns what gets them for the domains, keeps them in the data folder and
// renews them; nil where this process needs none.
func (c config) certificates() (*certificates, error) {
	names, err := c.domains()
	if err != nil || !c.https() {
		return nil, err
	}
	client := &acme.Client{DirectoryURL: c.ACMEDirectoryURL, UserAgent: "video-tutorials"}
	if client.DirectoryURL == "" {
		client.DirectoryURL = autocert.DefaultACMEDirectory
	}
	return &certificates{names, &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(c.certificatesDir()), HostPolicy: autocert.HostWhitelist(names...), Client: client,
	}}, nil
}

// certificates are those of the site.
type certificates struct {
	names   []string
	manager *autocert.Manager
}

// firstRetry doubles until it is lastRetry: who fails five times in an hour is sent away by
// Let's Encrypt for the rest of it.
const (
	firstRetry = 2 * time.Minute
	lastRetry  = time.Hour
)

// follow gets what is missing, so that no visitor waits for it, and says in the log what
// cannot be got or renewed, until ctx ends. It returns nil.
func (c *certificates) follow(ctx context.Context, log *slog.Logger) error {
	retry := firstRetry
	for {
		next := 12 * time.Hour
		for _, name := range c.names {
			certificate, err := c.get(ctx, name)
			switch {
			case ctx.Err() != nil:
				return nil
			case err != nil:
				log.Warn("no certificate: the name must lead to this machine, and its ports 443 and 80 here", "domain", name, "error", err, "tried_again_in", retry)
				next = retry
			default:
				leaf := certificate.Leaf
				log.Debug("certificate", "domain", name, "until", leaf.NotAfter)
				// It is renewed when a third of its time is left.
				if time.Until(leaf.NotAfter) < leaf.NotAfter.Sub(leaf.NotBefore)/6 {
					log.Warn("a certificate is not renewed", "domain", name, "until", leaf.NotAfter)
				}
			}
		}
		if next == retry {
			retry = min(2*retry, lastRetry)
		} else {
			retry = firstRetry
		}
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// get returns a certificate of the kind that today's browsers ask for.
func (c *certificates) get(ctx context.Context, name string) (*tls.Certificate, error) {
	type got struct {
		certificate *tls.Certificate
		err         error
	}
	answer := make(chan got, 1)
	go func() { // it does not heed ctx, and may take minutes
		certificate, err := c.manager.GetCertificate(&tls.ClientHelloInfo{ServerName: name, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}})
		answer <- got{certificate, err}
	}()
	select {
	case g := <-answer:
		return g.certificate, g.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// servePlain answers until ctx ends who comes by http: the authority that asks whether the
// domain is ours, and whoever asks whether this process is alive. All others are led to https.
func (p *program) servePlain(ctx context.Context, e *entrance) error {
	if e.plain == nil {
		return nil
	}
	others := e.certificates.manager.HTTPHandler(e.certificates.redirect(e.port))
	server := p.server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			p.alive(w, r)
			return
		}
		if host, _, err := net.SplitHostPort(r.Host); err == nil { // names are compared without
			r.Host = host
		}
		others.ServeHTTP(w, r)
	}))
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(e.plain); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve by http: %w", err)
	}
	return nil
}

// redirect leads to the same address by https, where that is served on a port.
func (c *certificates) redirect(port string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.ToLower(r.Host)
		if !slices.Contains(c.names, name) { // whatever somebody has typed or made up
			name = c.names[0]
		}
		to := url.URL{Scheme: "https", Host: hostAndPort(name, port), Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
		if !strings.HasPrefix(to.Path, "/") { // as in OPTIONS *
			to.Path, to.RawPath = "/", ""
		}
		http.Redirect(w, r, to.String(), http.StatusPermanentRedirect)
	})
}

// hostAndPort leaves out the port that https has anyway.
func hostAndPort(name, port string) string {
	if port == "443" {
		return name
	}
	return net.JoinHostPort(name, port)
}

// checkCertificates looks at those that are kept, for doctor.
func (p *program) checkCertificates(ctx context.Context) finding {
	c, err := p.config.certificates()
	if err != nil {
		return wrong("", "%v", err)
	}
	var until []string
	for _, name := range c.names {
		kept, err := c.manager.Cache.Get(ctx, name)
		if errors.Is(err, autocert.ErrCacheMiss) {
			if _, err := net.DefaultResolver.LookupHost(ctx, name); err != nil {
				return wrong("make the name lead to this machine", "%v", err)
			}
			return doubt("start the site, and see that its ports 443 and 80 are reached from the internet", "there is none for %s yet", name)
		}
		if err != nil {
			return wrong("see that this user may read "+p.config.certificatesDir(), "%v", err)
		}
		pair, err := tls.X509KeyPair(kept, kept)
		if err != nil {
			return wrong("remove "+filepath.Join(p.config.certificatesDir(), name)+": the site gets another one", "what is kept for %s is none: %v", name, err)
		}
		if ends := pair.Leaf.NotAfter; time.Now().After(ends) {
			return wrong("see what the log of the site says: the name must lead to this machine, and its ports 443 and 80 here", "the one for %s has ended on %s", name, ends.Format(time.DateOnly))
		}
		until = append(until, name+" until "+pair.Leaf.NotAfter.Format(time.DateOnly))
	}
	return fine("%s", strings.Join(until, ", "))
}
