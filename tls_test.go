package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"

	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

// authority is Let's Encrypt's own test server, for which every name leads to this machine.
type authority struct {
	directory string
	trusted   string         // file by which its address is trusted
	roots     *x509.CertPool // by which its certificates are
}

// startAuthority starts one that asks at the ports given whether a name is the asker's.
func startAuthority(t *testing.T, httpsPort, httpPort string) *authority {
	t.Helper()
	here, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	names := &dns.Server{Listener: here, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, asked *dns.Msg) {
		answer := new(dns.Msg).SetReply(asked)
		if q := asked.Question[0]; q.Qtype == dns.TypeA {
			answer.Answer = append(answer.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: q.Qclass}, A: net.IPv4(127, 0, 0, 1)})
		}
		if err := w.WriteMsg(answer); err != nil {
			t.Error(err)
		}
	})}
	go names.ActivateAndServe()
	t.Cleanup(func() { names.Shutdown() })

	os.Setenv("PEBBLE_VA_NOSLEEP", "1") // else it waits some seconds before it asks
	port := func(text string) int {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	quiet, store := log.New(io.Discard, "", 0), db.NewMemoryStore()
	issuer := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: 90 * 24 * 3600}})
	asks := va.New(quiet, port(httpPort), port(httpsPort), true, here.Addr().String(), store)
	front := wfe.New(quiet, store, asks, issuer, []string{"authority.example"}, true, false, 1, 1)
	handler := front.Handler()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Real authorities say here where the order is, and the client needs it.
		if order, ok := strings.CutPrefix(r.URL.Path, "/finalize-order/"); ok {
			w.Header().Set("Location", "https://"+r.Host+"/my-order/"+order)
		}
		handler.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = quiet
	server.StartTLS()
	t.Cleanup(server.Close)
	a := &authority{directory: server.URL + wfe.DirectoryPath, trusted: filepath.Join(t.TempDir(), "authority.pem"), roots: x509.NewCertPool()}
	if err := os.WriteFile(a.trusted, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	a.roots.AddCert(issuer.GetRootCert(0).Cert)
	return a
}

// browser returns a client for which every name leads to this machine, and which trusts the
// authority. It follows no redirect.
func (a *authority) browser() *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: a.roots}, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+port)
		}},
	}
}

// domain is the environment of a site at two names whose ports are m's.
func (m *manager) domain(a *authority, dir string) []string {
	return []string{"DOMAIN=videos.example, WWW.videos.example", "HTTPS_PORT=" + m.ports[0], "HTTP_PORT=" + m.ports[1], "ACME_DIRECTORY_URL=" + a.directory, "SSL_CERT_FILE=" + a.trusted, "DATA_DIR=" + dir}
}

// The site gets its certificate by itself, is served by HTTP/2 and HTTP/1.1, and leads there
// who comes by HTTP.
func TestTLSByDomain(t *testing.T) {
	t.Parallel()
	m, database, dir := newManager(t, 2), dbtest.New(t), folder(t)
	authority := startAuthority(t, m.ports[0], m.ports[1])
	s := m.start(database, m.domain(authority, dir)...)
	m.hears(s, "READY=1")
	browser, site := authority.browser(), "https://videos.example:"+m.ports[0]
	home := func() (*http.Response, string) {
		t.Helper()
		answer, err := browser.Get(site + "/")
		if err != nil {
			t.Fatalf("%v\n%s", err, s.output)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer, string(body)
	}
	first, body := home()
	if first.StatusCode != http.StatusOK || first.ProtoMajor != 2 || first.Header.Get("Strict-Transport-Security") != strictTransport || !strings.Contains(body, "No lessons yet") {
		t.Errorf("home: %s %s %v\n%s", first.Proto, first.Status, first.Header, body)
	}
	if a := ask(t, browser, http.MethodGet, "https://www.videos.example:"+m.ports[0]+"/auth/log-in", "", nil); a.status != http.StatusOK {
		t.Errorf("log-in at the second name: %d", a.status)
	}
	a := ask(t, browser, http.MethodPost, site+"/auth/log-out", "application/x-www-form-urlencoded", nil)
	if cookie := a.header.Get("Set-Cookie"); !strings.Contains(cookie, "; Secure") {
		t.Errorf("the cookie: %d %q", a.status, cookie)
	}
	if _, err := browser.Get("https://other.example:" + m.ports[0]); err == nil {
		t.Error("another name is served")
	}
	older := authority.browser()
	older.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	older.Transport.(*http.Transport).TLSClientConfig.NextProtos = []string{"http/1.1"}
	if answer, err := older.Get(site + "/health"); err != nil || answer.ProtoMajor != 1 || answer.StatusCode != http.StatusOK {
		t.Errorf("HTTP/1.1: %v, %v", answer, err)
	}

	// What happens is on an open page at once, over HTTP/2 too.
	stream, err := browser.Get(site + "/live?at=catalogue%3D0%2Cviewcounts%3D0&before=0")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	if stream.ProtoMajor != 2 || stream.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("the stream: %s %v", stream.Proto, stream.Header)
	}
	somebodyWatches(t, database, messagestore.NewID())
	lines, seen := bufio.NewScanner(stream.Body), false
	for !seen && lines.Scan() {
		seen = strings.Contains(lines.Text(), `data-videos-watched="1"`)
	}
	if !seen {
		t.Errorf("the stream ended: %v", lines.Err())
	}

	// By HTTP.
	plain := "http://videos.example:" + m.ports[1]
	for _, c := range []struct{ method, from, to string }{
		{http.MethodGet, plain + "/videos/a%2Fb?part=2&x=%20", site + "/videos/a%2Fb?part=2&x=%20"},
		{http.MethodPost, plain + "/register", site + "/register"},
		{http.MethodGet, "http://www.videos.example:" + m.ports[1], "https://www.videos.example:" + m.ports[0] + "/"},
		{http.MethodGet, "http://127.0.0.1:" + m.ports[1] + "//other.example/", site + "//other.example/"},
		{http.MethodGet, plain + "/.well-known/other", site + "/.well-known/other"},
	} {
		a := ask(t, browser, c.method, c.from, "", nil)
		if to, err := url.Parse(a.header.Get("Location")); err != nil || a.status != http.StatusPermanentRedirect || to.String() != c.to || a.header.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s %s: %d to %q, want %q", c.method, c.from, a.status, to, c.to)
		}
	}
	if a := ask(t, browser, http.MethodGet, plain+"/.well-known/acme-challenge/unknown", "", nil); a.status != http.StatusNotFound {
		t.Errorf("an unknown challenge: %d", a.status)
	}
	if out, err := commandOn(t, s, "healthcheck"); err != nil || out != "healthy\n" {
		t.Errorf("%v\n%s", err, out)
	}
	info, err := os.Stat(filepath.Join(dir, "certificates"))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder of the certificates: %v, %v", info, err)
	}

	checked := &program{config: config{Domain: []string{"videos.example"}, DataDir: dir}}
	if f := checked.checkCertificates(within(t)); f.Status != "ok" || f.Says != "videos.example until "+first.TLS.PeerCertificates[0].NotAfter.Format(time.DateOnly) {
		t.Errorf("doctor: %+v", f)
	}
	checked.config.DataDir = t.TempDir()
	if f := checked.checkCertificates(within(t)); f.Status == "ok" || f.Mend == "" {
		t.Errorf("doctor without certificates: %+v", f)
	}

	// Kept: the next program has it, whoever is away.
	s.stop()
	if _, err := io.Copy(io.Discard, stream.Body); err != nil {
		t.Errorf("the stream does not end in order: %v", err)
	}
	browser.CloseIdleConnections()
	s = m.start(database, slices.Concat(m.domain(authority, dir), []string{"ACME_DIRECTORY_URL=https://127.0.0.1:1/"})...)
	m.hears(s, "READY=1")
	if again, _ := home(); !again.TLS.PeerCertificates[0].Equal(first.TLS.PeerCertificates[0]) {
		t.Error("another certificate after a restart")
	}
	browser.CloseIdleConnections()
}

// Where something before the site ends TLS, the authority asks by HTTP.
func TestTLSIsProvenByHTTP(t *testing.T) {
	t.Parallel()
	m := newManager(t, 2)
	authority := startAuthority(t, "1", m.ports[1])
	s := m.start(dbtest.New(t), m.domain(authority, folder(t))...)
	m.hears(s, "READY=1")
	if a := ask(t, authority.browser(), http.MethodGet, "https://videos.example:"+m.ports[0]+"/health", "", nil); a.status != http.StatusOK {
		t.Errorf("%d\n%s", a.status, s.output)
	}
}

// A site without its certificate is alive, says what is missing, and is not started anew for it.
func TestTLSWithoutAnAuthority(t *testing.T) {
	t.Parallel()
	m := newManager(t, 2)
	s := m.start(dbtest.New(t), append(m.domain(&authority{directory: "https://127.0.0.1:1/"}, folder(t)), "WATCHDOG_USEC=1000000")...)
	m.hears(s, "READY=1")
	if _, err := s.output.find(within(t), "no certificate: .*domain=videos.example", s.exited); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		m.hears(s, "WATCHDOG=1")
	}
	if a := get(t, fmt.Sprintf("http://127.0.0.1:%s/health", m.ports[1])); a.status != http.StatusOK {
		t.Errorf("health: %d", a.status)
	}
}

func TestTLSSettings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		config config
		says   string
	}{
		{config{Domain: []string{"videos.example", " "}, HTTPSPort: "443", HTTPPort: "80"}, ""},
		{config{HTTPSPort: "443", HTTPPort: "80"}, ""},
		{config{Domain: []string{"localhost"}}, `DOMAIN (--domain) has "localhost"`},
		{config{Domain: []string{"127.0.0.1"}}, `has "127.0.0.1"`},
		{config{Domain: []string{"https://videos.example"}}, `has "https://videos.example"`},
		{config{Domain: []string{"*.videos.example"}}, `has "*.videos.example"`},
		{config{Domain: []string{"videos.example:443"}}, `has "videos.example:443"`},
		{config{HTTPSPort: "https", HTTPPort: "80"}, `HTTPS_PORT (--https-port) is "https"`},
		{config{HTTPSPort: "443", HTTPPort: "-1"}, `HTTP_PORT (--http-port) is "-1"`},
		{config{HTTPSPort: "443", HTTPPort: "443"}, "are both 443"},
		{config{HTTPSPort: "443", HTTPPort: "0"}, "HTTP_PORT (--http-port) is 0"},
		{config{HTTPSPort: "443", HTTPPort: "80", ACMEDirectoryURL: "http://authority.example"}, "ACME_DIRECTORY_URL (--acme-directory-url)"},
	} {
		err := c.config.checkTLS()
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %q", c.config, err, c.says)
		}
	}
	for port, want := range map[string]string{"443": "https://xn--bcher-kva.example", "8443": "https://xn--bcher-kva.example:8443"} {
		c := config{Domain: []string{"Bücher.example."}, HTTPSPort: port}
		if got := c.baseURL("3000"); got != want || !c.https() {
			t.Errorf("the address is %s, want %s", got, want)
		}
		// The process that writes the mails knows the same address, and is not the one that serves it.
		c.Run = []string{"components"}
		if got := c.baseURL("3000"); got != want || c.https() {
			t.Errorf("components: the address is %s, want %s", got, want)
		}
		if setting, port := c.sitePort(); setting != "PORT (--port)" || port != c.Port {
			t.Errorf("components: served on %s %s", setting, port)
		}
	}
}

// Behind a proxy that ends TLS, cookies are for https only where the proxy is trusted.
func TestTLSEndsAtAProxy(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	for _, c := range []struct {
		args   []string
		says   string
		secure bool
	}{{[]string{"--trusted-proxies", "127.0.0.0/8,::1/128"}, "https", true}, {[]string{"--trusted-proxies", "127.0.0.0/8,::1/128"}, "http", false}, {nil, "https", false}} {
		s := startOn(t, database, c.args...)
		a := ask(t, &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, http.MethodPost, s.url+"/auth/log-out", "application/x-www-form-urlencoded", nil, "X-Forwarded-Proto", c.says)
		if cookie := a.header.Get("Set-Cookie"); cookie == "" || strings.Contains(cookie, "; Secure") != c.secure {
			t.Errorf("%q, and %s: %q", c.args, c.says, cookie)
		}
		if to := a.header.Get("Location"); !strings.HasPrefix(to, "/") {
			t.Errorf("leads to %q", to)
		}
		if a.header.Get("Strict-Transport-Security") != "" {
			t.Error("promises https, which is the proxy's to promise")
		}
		s.stop()
	}
}
