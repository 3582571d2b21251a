// Package web is what all applications share of HTTP: the router with its
// middleware, rendering, the error page and the session cookie.
package web

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"videotutorials/assets"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// Config is what [New] needs to know.
type Config struct {
	// AppName is the name of the site.
	AppName string
	// Log gets one line for each request that failed on our side.
	Log *slog.Logger
	// Sessions says who is signed in, for the head of each page; without it nobody is.
	Sessions *Sessions
	// TrustedProxies are the addresses of the proxies that requests come through: what
	// they say in X-Forwarded-For and X-Forwarded-Proto is believed, and nobody else.
	// Without any the client is whoever has connected.
	TrustedProxies []*net.IPNet
	// Uploads are the routes that limit by themselves how much is sent to them.
	Uploads []string
	// MailsKept says that mails are not sent from here, but kept as files.
	MailsKept bool
	// Outbox says that there is a page with the mails that were kept.
	Outbox bool
	// XRay returns the X-ray of a page, with an answer of the databases where ask is set;
	// nil where there is no X-ray.
	XRay func(c echo.Context, ask bool) *views.XRay
	// Answered is told of every request when it is answered; nil where nobody asks.
	Answered func(echo.Context, Answer)
}

// No form of this site is longer, but for those with files: see [Config].Uploads.
const mostBody = "64K"

// A video that the player's script puts together is played from a blob: URL.
const contentSecurityPolicy = "default-src 'self'; img-src 'self' data:; media-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"

// New returns the router that the applications add their routes to.
func New(c Config) *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.IPExtractor = clientAddress(c.TrustedProxies)
	e.HTTPErrorHandler = errorHandler(c.Log)
	e.Use(traced(c), middleware.Recover(), secured, sameSite, middleware.BodyLimitWithConfig(middleware.BodyLimitConfig{
		Limit:   mostBody,
		Skipper: func(ec echo.Context) bool { return slices.Contains(c.Uploads, ec.Path()) },
	}))
	files := echo.WrapHandler(assets.Handler())
	Get(e, assets.Prefix+"*", files)
	Get(e, "/favicon.ico", files)
	return e
}

// clientAddress returns how the address of a client is found: the last one of the chain
// that is not a trusted proxy's. What stands before it may be made up.
func clientAddress(trusted []*net.IPNet) echo.IPExtractor {
	if len(trusted) == 0 {
		return echo.ExtractIPDirect()
	}
	// A neighbour in a private network is nobody's proxy unless it is listed.
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, proxies := range trusted {
		options = append(options, echo.TrustIPRange(proxies))
	}
	return echo.ExtractIPFromXFFHeader(options...)
}

// byHTTPS reports whether the visitor came by https, here or to the first of the proxies.
func byHTTPS(c echo.Context) bool {
	r := c.Request()
	if r.TLS != nil {
		return true
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	neighbour := net.ParseIP(host)
	if neighbour == nil || !slices.ContainsFunc(configOf(c).TrustedProxies, func(n *net.IPNet) bool { return n.Contains(neighbour) }) {
		return false
	}
	scheme, _, _ := strings.Cut(r.Header.Get(echo.HeaderXForwardedProto), ",")
	return strings.EqualFold(strings.TrimSpace(scheme), "https")
}

// Get adds a route for GET and HEAD.
func Get(e *echo.Echo, path string, handler echo.HandlerFunc, use ...echo.MiddlewareFunc) {
	e.Match([]string{http.MethodGet, http.MethodHead}, path, handler, use...)
}

// answerTime is how long an answer may take before it is 503: a database that hangs
// must not take all connections of the pool with it.
const answerTime = 10 * time.Second

// InTime ends the context of a request that takes too long. It is not for streams, nor
// for files.
func InTime(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		request := c.Request()
		ctx, cancel := context.WithTimeout(request.Context(), answerTime)
		defer cancel()
		c.SetRequest(request.WithContext(ctx))
		defer c.SetRequest(request) // the error page comes after the end of ctx
		return next(c)
	}
}

// MostInTheMaking is how many videos of one person may be waited for at once: however short
// each is, all others come after it. Who uploads and who has one tried again keep to it.
const MostInTheMaking = 20

// LateAfter is how long a step may take before a page says what it waits for.
const LateAfter = 5 * time.Second

// Refresh returns after how many seconds a page that waits for us loads itself again
// where there are no scripts.
func Refresh(late bool) int {
	if late {
		return 10
	}
	return 1
}

// doubleClick is how long the same wish is one wish where it can be had more than once.
const doubleClick = 10 * time.Second

// Moment returns a text that is the same for two clicks of one hand, nearly always, to
// derive the id of what they ask for. Where it is not, the second is a wish of its own
// and is answered as such.
func Moment(t time.Time) string {
	return strconv.FormatInt(t.Unix()/int64(doubleClick/time.Second), 10)
}

// Gzip compresses the pages of a route. It is not for streams, nor for files that
// are compressed already.
var Gzip = middleware.GzipWithConfig(middleware.GzipConfig{MinLength: 1024, Level: 4})

// Render answers with a page or a fragment. A browser asks again before it shows it a
// second time, unless the handler has set Cache-Control to something else.
func Render(c echo.Context, status int, component templ.Component) error {
	header := c.Response().Header()
	header.Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
	if header.Get(echo.HeaderCacheControl) == "" {
		header.Set(echo.HeaderCacheControl, "no-cache")
	}
	c.Response().WriteHeader(status)
	return component.Render(c.Request().Context(), c.Response())
}

// Rendered is a page that is sent more than once as it is.
type Rendered struct{ plain, gzipped []byte }

// Prerender renders a page to be sent more than once.
func Prerender(ctx context.Context, component templ.Component) (Rendered, error) {
	var plain, gzipped bytes.Buffer
	if err := component.Render(ctx, &plain); err != nil {
		return Rendered{}, fmt.Errorf("render: %w", err)
	}
	w := gzip.NewWriter(&gzipped)
	if _, err := w.Write(plain.Bytes()); err != nil {
		return Rendered{}, fmt.Errorf("compress: %w", err)
	}
	if err := w.Close(); err != nil {
		return Rendered{}, fmt.Errorf("compress: %w", err)
	}
	return Rendered{plain.Bytes(), gzipped.Bytes()}, nil
}

// Send answers with a rendered page.
func (r Rendered) Send(c echo.Context) error {
	header, body := c.Response().Header(), r.plain
	header.Set(echo.HeaderCacheControl, "no-cache")
	header.Set(echo.HeaderVary, echo.HeaderAcceptEncoding)
	if assets.AcceptsGzip(c.Request().Header.Get(echo.HeaderAcceptEncoding)) {
		header.Set(echo.HeaderContentEncoding, "gzip")
		body = r.gzipped
	}
	header.Set(echo.HeaderContentLength, strconv.Itoa(len(body)))
	return c.HTMLBlob(http.StatusOK, body)
}

// Page returns what every page needs, for the page with a title. It asks whether the
// reader is signed in; where that cannot be found out, the cookie is believed: the head
// of a page is no secret.
func Page(c echo.Context, title string) views.Page {
	p := page(c, title)
	if sessions := configOf(c).Sessions; sessions != nil {
		if person, signedIn, err := sessions.Person(c); err == nil {
			p.SignedIn, p.Admin = signedIn, slices.Contains(person.Roles, adminRole)
		}
	}
	if x := configOf(c).XRay; x != nil {
		p.XRay = x(c, true)
	}
	return p
}

// adminRole is the role that the head of each page has a link to the admin portal for.
const adminRole = "admin"

// page is Page without a question to the database, for pages about an error.
func page(c echo.Context, title string) views.Page {
	config := configOf(c)
	return views.Page{
		Title: title, AppName: config.AppName, Path: c.Request().URL.Path, MailsKept: config.MailsKept, Outbox: config.Outbox,
		SignedIn: config.Sessions != nil && config.Sessions.looksSignedIn(c),
		CSS:      assets.URL("app.css"), JS: assets.URL("app.js"), Icon: assets.URL("favicon.svg"),
		PlayerJS: assets.URL("player.js"), UploadJS: assets.URL("upload.js"), AdminJS: assets.URL("admin.js"),
	}
}

// MailsKept reports whether mails are not sent from here, but kept as files, and whether
// a page shows these.
func MailsKept(c echo.Context) (kept, shown bool) {
	config := configOf(c)
	return config.MailsKept, config.Outbox
}

func configOf(c echo.Context) *Config {
	if config, ok := c.Get(configKey).(*Config); ok {
		return config
	}
	return &Config{}
}

// IsPartial reports whether the page's script asks, and not the browser itself: it
// wants a fragment, not a page.
func IsPartial(c echo.Context) bool { return c.Request().Header.Get("HX-Request") == "true" }

// TraceID returns the id of this request, which is also that of everything that it
// sets off.
func TraceID(c echo.Context) string {
	id, _ := c.Get(traceKey).(string)
	return id
}

// TraceOf returns the id by which to look for what a request did: that of the trace which it
// has written in, which may derive from a form, so that a second click is the same; else its own.
func TraceOf(c echo.Context) string {
	if all := Wrote(c); len(all) > 0 && all[0].Metadata.TraceID != "" {
		return all[0].Metadata.TraceID
	}
	return TraceID(c)
}

const (
	traceKey  = "trace_id"
	configKey = "config"
)

func traced(config Config) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			c.Set(traceKey, messagestore.NewID())
			c.Set(configKey, &config)
			if config.Answered == nil {
				return next(c)
			}
			return observed(c, next, config.Answered)
		}
	}
}

func secured(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Security-Policy", contentSecurityPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		return next(c)
	}
}

// sameSite refuses what another site's page makes a browser send.
func sameSite(next echo.HandlerFunc) echo.HandlerFunc {
	protection := http.NewCrossOriginProtection()
	return func(c echo.Context) error {
		if err := protection.Check(c.Request()); err != nil {
			return echo.NewHTTPError(http.StatusForbidden).SetInternal(err)
		}
		return next(c)
	}
}
