package web

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
)

// Only what trusted proxies say about the address of a client is believed.
func TestClientAddress(t *testing.T) {
	t.Parallel()
	var proxies []*net.IPNet
	for _, network := range []string{"10.1.0.0/16", "127.0.0.1/32", "2001:db8:a::/48"} {
		_, parsed, err := net.ParseCIDR(network)
		if err != nil {
			t.Fatal(err)
		}
		proxies = append(proxies, parsed)
	}
	for _, test := range []struct {
		name    string
		trusted []*net.IPNet
		peer    string
		header  []string
		want    string
	}{
		{"no proxy", nil, "192.0.2.1:4711", nil, "192.0.2.1"},
		{"none is trusted", nil, "127.0.0.1:4711", []string{"198.51.100.7"}, "127.0.0.1"},
		{"one proxy", proxies, "10.1.2.3:4711", []string{"198.51.100.7"}, "198.51.100.7"},
		{"one proxy that says nothing", proxies, "10.1.2.3:4711", nil, "10.1.2.3"},
		{"forged by the client", proxies, "10.1.2.3:4711", []string{"203.0.113.9, 198.51.100.7"}, "198.51.100.7"},
		{"forged by the client as two headers", proxies, "10.1.2.3:4711", []string{"10.1.9.9, 203.0.113.9", "198.51.100.7"}, "198.51.100.7"},
		{"forged by an untrusted peer", proxies, "192.0.2.1:4711", []string{"203.0.113.9"}, "192.0.2.1"},
		{"forged by a neighbour", proxies, "10.2.0.1:4711", []string{"203.0.113.9"}, "10.2.0.1"},
		{"forged on the same machine", proxies[:1], "127.0.0.1:4711", []string{"203.0.113.9"}, "127.0.0.1"},
		{"forged on the same link", proxies, "169.254.1.1:4711", []string{"203.0.113.9"}, "169.254.1.1"},
		{"chain of two", proxies, "127.0.0.1:4711", []string{"203.0.113.9, 198.51.100.7, 10.1.2.3"}, "198.51.100.7"},
		{"IPv6", proxies, "[2001:db8:a::1]:4711", []string{"2001:db8:b::7"}, "2001:db8:b::7"},
		{"IPv6 in brackets", proxies, "[2001:db8:a::1]:4711", []string{"[2001:db8:b::7], 2001:db8:a:2::2"}, "2001:db8:b::7"},
		{"IPv6 from an untrusted peer", proxies, "[2001:db8:b::1]:4711", []string{"2001:db8:b::7"}, "2001:db8:b::1"},
		{"IPv4 written as IPv6", proxies, "[::ffff:10.1.2.3]:4711", []string{"198.51.100.7"}, "198.51.100.7"},
		{"no address", proxies, "10.1.2.3:4711", []string{"unknown"}, "10.1.2.3"},
	} {
		router := New(Config{Log: slog.New(slog.DiscardHandler), TrustedProxies: test.trusted})
		Get(router, "/address", func(c echo.Context) error { return c.String(http.StatusOK, c.RealIP()) })
		r := httptest.NewRequest(http.MethodGet, "/address", nil)
		r.RemoteAddr = test.peer
		r.Header[echo.HeaderXForwardedFor] = test.header
		r.Header.Set(echo.HeaderXRealIP, "203.0.113.10")
		answer := httptest.NewRecorder()
		router.ServeHTTP(answer, r)
		if got := answer.Body.String(); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// Only a trusted proxy is believed that the visitor came to it by https.
func TestForwardedScheme(t *testing.T) {
	t.Parallel()
	_, network, err := net.ParseCIDR("10.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, peer string
		header     []string
		tls, want  bool
	}{
		{"a trusted proxy, https", "10.1.2.3:4711", []string{"https"}, false, true},
		{"a trusted proxy, in capitals", "10.1.2.3:4711", []string{"HTTPS"}, false, true},
		{"a trusted proxy, written as IPv6", "[::ffff:10.1.2.3]:4711", []string{"https"}, false, true},
		{"a trusted proxy behind one with TLS", "10.1.2.3:4711", []string{"https, http"}, false, true},
		{"a trusted proxy, http", "10.1.2.3:4711", []string{"http"}, false, false},
		{"a trusted proxy, http, as it says last", "10.1.2.3:4711", []string{"http, https"}, false, false},
		{"a trusted proxy that says nothing", "10.1.2.3:4711", nil, false, false},
		{"a stranger", "198.51.100.7:4711", []string{"https"}, false, false},
		{"a stranger in a private network", "192.168.1.2:4711", []string{"https"}, false, false},
		{"a socket without an address", "@", []string{"https"}, false, false},
		{"TLS to here", "198.51.100.7:4711", []string{"http"}, true, true},
	} {
		sessions := NewSessions([]byte(strings.Repeat("secret", 6)), false, nil)
		router := New(Config{Log: slog.New(slog.DiscardHandler), TrustedProxies: []*net.IPNet{network}})
		Get(router, "/", func(c echo.Context) error {
			if _, err := sessions.ID(c); err != nil {
				return err
			}
			return c.NoContent(http.StatusNoContent)
		})
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = test.peer
		r.Header[echo.HeaderXForwardedProto] = test.header
		if test.tls {
			r.TLS = &tls.ConnectionState{}
		}
		answer := httptest.NewRecorder()
		router.ServeHTTP(answer, r)
		cookies := answer.Result().Cookies()
		if len(cookies) != 1 || cookies[0].Secure != test.want {
			t.Errorf("%s: %v, want Secure to be %t", test.name, cookies, test.want)
		}
	}
}

func TestMoment(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 0)
	if Moment(at) != Moment(at.Add(time.Second)) || Moment(at) == Moment(at.Add(doubleClick)) {
		t.Errorf("%s, %s, %s", Moment(at), Moment(at.Add(time.Second)), Moment(at.Add(doubleClick)))
	}
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	if Refresh(false) != 1 || Refresh(true) != 10 {
		t.Errorf("%d, %d", Refresh(false), Refresh(true))
	}
}
