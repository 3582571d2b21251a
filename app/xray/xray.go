// Package xray shows people what their own clicks set off: a switch in the corner of
// every page, and a panel that follows each request of the browser through the system.
//
// Nobody sees what somebody else did. Which traces a browser may see stands in a signed
// cookie of its own that only the answer to the request itself extends, and each is
// bound to the person on whose behalf the request wrote. What is written on nobody's
// behalf is recorded in the categories of [Config].Open only: a log-in that fails or a
// password that was forgotten would tell whether an address is known here.
package xray

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/a-h/templ"
	"github.com/gorilla/securecookie"
	"github.com/labstack/echo/v4"

	"videotutorials/app/live"
	"videotutorials/app/trace"
	"videotutorials/app/web"
	"videotutorials/assets"
	"videotutorials/messagestore"
	"videotutorials/views"
)

const (
	cookieName = "xray"
	// switchedOn is how long a browser remembers the switch.
	switchedOn = 30 * 24 * time.Hour
	// A trace is shown for as long as the recorder knows it, and no more than these.
	shownFor   = 15 * time.Minute
	mostTraces = 4
	topics     = "xray/"
	// Moments come in bursts, and a panel is drawn once for those of so much time.
	gathered = 40 * time.Millisecond
)

// Config is what [New] needs to know.
type Config struct {
	Store    *messagestore.Store
	Recorder *trace.Recorder
	Sessions *web.Sessions
	Hub      *live.Hub
	Log      *slog.Logger
	// Secret signs the cookie.
	Secret []byte
	// Open are the categories of which a trace is shown that is nobody's.
	Open []messagestore.Category
	// Documents holds the walkthroughs, named as [walkthroughs] says.
	Documents fs.FS
}

// App is the application. A nil one is off: it has no routes and no panel.
type App struct {
	Config
	feed      *live.Feed
	cookies   *securecookie.SecureCookie
	documents map[string]views.XRayDocument
	now       func() time.Time

	mu       sync.Mutex
	watched  map[string]*watched        // by the id of the cookie, while a panel is open
	watching map[string]map[string]bool // ids of cookies by trace
	pending  map[string]bool            // ids of cookies whose panels are about to be told
	version  int64
}

// watched is what the open panels of one browser show beside what their cookie said when
// they were opened.
type watched struct {
	panels int
	seen   []seen
}

// cookie is what the browser keeps: that the X-ray is on, and whose way it may see.
type cookie struct {
	ID   string `json:"i"`
	Seen []seen `json:"s"`
}

// seen is a trace that a request of this browser began or went on with.
type seen struct {
	Trace string `json:"t"`
	// Owner is on whose behalf it wrote, empty for nobody. Anonymous says that nobody was
	// logged in then.
	Owner     string `json:"o,omitempty"`
	Anonymous bool   `json:"a,omitempty"`
	Route     string `json:"r"`
	At        int64  `json:"u"` // Unix time in seconds
}

// New returns the application. It takes [trace.Recorder.Changed] for itself.
func New(c Config) *App {
	key := sha256.Sum256(append([]byte("xray cookie "), c.Secret...))
	a := &App{
		Config: c, feed: c.Hub.Personal(), documents: readDocuments(c.Documents), now: time.Now,
		cookies: securecookie.New(key[:], nil).SetSerializer(securecookie.JSONEncoder{}).MaxAge(int(switchedOn.Seconds())),
		watched: map[string]*watched{}, watching: map[string]map[string]bool{}, pending: map[string]bool{},
	}
	c.Recorder.Changed(a.changed)
	return a
}

// Routes adds the application's routes, and looks at what all others write.
func (a *App) Routes(e *echo.Echo) {
	if a == nil {
		return
	}
	e.Use(a.remember)
	e.POST(views.XRayPath, a.turn)
	e.GET(views.XRayLivePath, a.live)
	web.Get(e, views.XRayWalkthroughPath(":name"), a.walkthrough, web.InTime, web.Gzip)
}

// turn switches the X-ray on or off and leads back to the page.
func (a *App) turn(c echo.Context) error {
	if c.Request().PostFormValue("on") == "yes" {
		if err := a.give(c, cookie{ID: messagestore.NewID()}); err != nil {
			return err
		}
	} else {
		c.SetCookie(&http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: a.Sessions.Secure(c)})
	}
	return c.Redirect(http.StatusSeeOther, back(c.Request()))
}

// back is the page that the form stood on.
func back(r *http.Request) string {
	from, err := url.Parse(r.Referer())
	if err != nil || from.Host != r.Host {
		return "/"
	}
	return web.OwnPath(from.RequestURI())
}

// read returns what the request's cookie says; without an id the X-ray is off.
func (a *App) read(c echo.Context) (k cookie) {
	given, err := c.Cookie(cookieName)
	if err != nil || a.cookies.Decode(cookieName, given.Value, &k) != nil || !messagestore.ValidID(k.ID) {
		return cookie{}
	}
	return k
}

func (a *App) give(c echo.Context, k cookie) error {
	value, err := a.cookies.Encode(cookieName, k)
	if err != nil {
		return fmt.Errorf("sign the cookie of the X-ray: %w", err)
	}
	c.SetCookie(&http.Cookie{Name: cookieName, Value: value, Path: "/", MaxAge: int(switchedOn.Seconds()), HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: a.Sessions.Secure(c)})
	return nil
}

// remember adds what a request has written to the browser's cookie, right before the
// answer begins. Who logs out leaves nothing behind for the next one at this browser.
func (a *App) remember(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		k := a.read(c)
		if k.ID == "" || c.Path() == views.XRayPath {
			return next(c)
		}
		before, _ := a.Sessions.Claimed(c)
		c.Response().Before(func() {
			after, _ := a.Sessions.Claimed(c)
			added := a.written(c, before, after)
			switch {
			case before != "" && after == "":
				k.Seen, added = nil, nil
				a.forget(k.ID)
			case len(added) == 0:
				return
			}
			k.Seen = merge(k.Seen, added)
			if err := a.give(c, k); err != nil {
				a.Log.Warn("the X-ray does not follow a request", "trace_id", web.TraceID(c), "error", err)
			}
			a.follow(k.ID, added)
		})
		return next(c)
	}
}

// written returns the traces of what a request has written and its browser may see.
func (a *App) written(c echo.Context, before, after string) (list []seen) {
	for _, w := range web.Wrote(c) {
		s := seen{Trace: w.Metadata.TraceID, Owner: w.Metadata.UserID, Anonymous: before == "", Route: c.Request().Method + " " + c.Path(), At: a.now().Unix()}
		switch {
		case !messagestore.ValidID(s.Trace):
		case s.Owner == "" && !slices.Contains(a.Open, w.Stream.Category()):
		case s.Owner != "" && before != "" && s.Owner != before && s.Owner != after: // on behalf of somebody else
		default:
			// Of two people in one trace, as when one logs in while another is logged in,
			// it is of the one who is so afterwards.
			if i := slices.IndexFunc(list, func(other seen) bool { return other.Trace == s.Trace }); i >= 0 {
				if s.Owner == after {
					list[i] = s
				}
				continue
			}
			list = append(list, s)
		}
	}
	return list
}

// merge puts the newest first.
func merge(old, added []seen) []seen {
	for _, s := range added {
		old = slices.DeleteFunc(slices.Clone(old), func(o seen) bool { return o.Trace == s.Trace })
		old = slices.Insert(old, 0, s)
	}
	return old[:min(len(old), mostTraces)]
}

// visible says whether whoever sits at the browser now may see a trace.
func (s seen) visible(userID string, now time.Time) bool {
	if now.Sub(time.Unix(s.At, 0)) > shownFor {
		return false
	}
	return s.Owner == "" || s.Owner == userID || userID == "" && s.Anonymous
}

// Panel returns the switch or the panel for a page. Where ask is not set, the panel is
// filled by its stream only.
func (a *App) Panel(c echo.Context, ask bool) *views.XRay {
	if a == nil {
		return nil
	}
	x := &views.XRay{JS: assets.URL("xray.js")}
	k := a.read(c)
	if x.On = k.ID != ""; !x.On || !ask {
		return x
	}
	// The page holds what the person may see, whoever else comes to this browser.
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	person, _, err := a.Sessions.Person(c)
	if err == nil {
		x.Traces, err = a.traces(c.Request().Context(), k.Seen, person.UserID)
	}
	if err != nil { // the page is not worse for it
		a.Log.Warn("the X-ray cannot be drawn", "trace_id", web.TraceID(c), "error", messagestore.ErrorText(err))
	}
	return x
}

// live is the panel's stream. Whose traces are shown is asked anew before each frame.
func (a *App) live(c echo.Context) error {
	k := a.read(c)
	if k.ID == "" {
		return web.NotFound("The X-ray is off.")
	}
	a.open(k)
	defer a.closed(k.ID)
	return a.feed.Serve(c, live.Page{Topics: []string{topics + k.ID}, Since: func(ctx context.Context, _ live.Versions) (templ.Component, live.Versions, error) {
		now := live.Versions{"xray": a.at()}
		person, _, err := a.Sessions.Again(ctx, c)
		if err != nil {
			return nil, nil, err
		}
		drawn, err := a.traces(ctx, a.seenBy(k.ID), person.UserID)
		if err != nil {
			return nil, nil, err
		}
		return views.XRayTraces(drawn), now, nil
	}})
}

func (a *App) traces(ctx context.Context, list []seen, userID string) (drawn []views.XRayTrace, err error) {
	for _, s := range list {
		if !s.visible(userID, a.now()) {
			continue
		}
		messages, err := a.Store.Find(ctx, messagestore.Query{TraceID: s.Trace, Limit: mostMessages + 1, Data: true})
		if err != nil {
			return nil, err
		}
		slices.Reverse(messages)
		drawn = append(drawn, draw(s, messages, a.Recorder.Of(s.Trace)))
	}
	return drawn, nil
}

// open counts a panel of a browser.
func (a *App) open(k cookie) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.watched[k.ID]
	if w == nil {
		w = &watched{}
		a.watched[k.ID] = w
	}
	w.panels++
	slices.Reverse(k.Seen)
	a.see(k.ID, w, k.Seen)
	if len(k.Seen) > 0 {
		a.lookAgain(k.ID)
	}
}

func (a *App) closed(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.watched[id]
	if w.panels--; w.panels > 0 {
		return
	}
	a.see(id, w, nil)
	for _, s := range w.seen {
		a.unfollow(id, s.Trace)
	}
	delete(a.watched, id)
}

// see has the panels of a browser show more traces.
func (a *App) see(id string, w *watched, added []seen) {
	before := w.seen
	w.seen = merge(w.seen, added)
	for _, s := range before {
		if !slices.ContainsFunc(w.seen, func(o seen) bool { return o.Trace == s.Trace }) {
			a.unfollow(id, s.Trace)
		}
	}
	for _, s := range w.seen {
		if a.watching[s.Trace] == nil {
			a.watching[s.Trace] = map[string]bool{}
		}
		a.watching[s.Trace][id] = true
	}
}

func (a *App) unfollow(id, traceID string) {
	delete(a.watching[traceID], id)
	if len(a.watching[traceID]) == 0 {
		delete(a.watching, traceID)
	}
}

func (a *App) follow(id string, added []seen) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w := a.watched[id]; w != nil {
		a.see(id, w, added)
		a.tell(id)
		a.lookAgain(id)
	}
}

// lookAgain has the panels of a browser drawn again in a while: another process may write
// what follows from a request, and its moments are not known here.
func (a *App) lookAgain(id string) {
	for _, after := range []time.Duration{time.Second / 2, 2 * time.Second, 5 * time.Second} {
		time.AfterFunc(after, func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			if a.watched[id] != nil {
				a.tell(id)
			}
		})
	}
}

// forget takes everything from the panels of a browser.
func (a *App) forget(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w := a.watched[id]; w != nil {
		for _, s := range w.seen {
			a.unfollow(id, s.Trace)
		}
		w.seen = nil
		a.tell(id)
	}
}

func (a *App) seenBy(id string) []seen {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w := a.watched[id]; w != nil {
		return slices.Clone(w.seen)
	}
	return nil
}

// changed is told by the recorder of a trace that has got a moment.
func (a *App) changed(traceID string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id := range a.watching[traceID] {
		a.tell(id)
	}
}

// tell has the panels of a browser drawn again in a moment, with a.mu held.
func (a *App) tell(id string) {
	if a.pending[id] {
		return
	}
	a.pending[id] = true
	time.AfterFunc(gathered, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.pending, id)
		// Moments, so that they go on rising when the program starts again.
		a.version = max(a.version+1, time.Now().UnixMilli())
		a.Hub.Notify(topics + id + " " + strconv.FormatInt(a.version, 10))
	})
}

func (a *App) at() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.version
}
