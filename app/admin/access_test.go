package admin

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/components/viewing/viewingmsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// everything is a site where each parameter of a path names something.
func everything(t *testing.T) (s *site, fill *strings.Replacer) {
	t.Helper()
	s = start(t)
	userID := s.registered("ada@example.org")
	video, trace := messagestore.NewID(), messagestore.NewID()
	m := s.written(viewingmsg.Category.Stream(video), viewingmsg.VideoViewed{VideoID: video, UserID: userID},
		messagestore.WithMetadata(messagestore.Metadata{TraceID: trace, UserID: userID}))
	s.caughtUp()
	return s, strings.NewReplacer(
		views.AdminUserPath(":id"), views.AdminUserPath(userID), ":id", m.ID, ":streamName", string(m.Stream), ":category", "viewing",
		":type", m.Type, ":userId", userID, ":traceId", trace, ":name", adminsummaryName, ":projection", adminsummaryName)
}

const adminsummaryName = "adminsummary"

// Each route of the portal, those that come later too, answers administrators and nobody
// else. What is written down of a page is written before the page is there.
func TestWhoMaySeeWhat(t *testing.T) {
	t.Parallel()
	s, fill := everything(t)
	anonymous, viewer, creator, admin := s.anonymous(), s.somebody(), s.somebody(identitymsg.Creator), s.admin()
	pages, streams, forms := 0, 0, 0
	for _, route := range s.router.Routes() {
		if !strings.HasPrefix(route.Path, views.AdminPath) || !slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodPost}, route.Method) {
			continue
		}
		path := fill.Replace(route.Path)
		if strings.Contains(path, "/:") {
			t.Errorf("nobody has said what to fill into %s", route.Path)
			continue
		}
		if a := anonymous.ask(route.Method, path, "", nil); a.status != http.StatusSeeOther || !strings.HasPrefix(a.to, views.LogInPath) {
			t.Errorf("anonymous: %s %s: %d to %q", route.Method, path, a.status, a.to)
		}
		if a := anonymous.ask(route.Method, path, eventStream, nil); a.status != http.StatusUnauthorized {
			t.Errorf("anonymous: stream %s: %d", path, a.status)
		}
		for name, b := range map[string]*browser{"viewer": viewer, "creator": creator} {
			for _, accept := range []string{"", eventStream} {
				if a := b.ask(route.Method, path, accept, nil); a.status != http.StatusForbidden || strings.Contains(a.body, "admin-body") {
					t.Errorf("%s: %s %s %s: %d", name, route.Method, path, accept, a.status)
				}
			}
			if got := s.events(b.user); len(got) > 0 {
				t.Errorf("%s: %s %s wrote %v", name, route.Method, path, got)
			}
		}
		before := len(s.events(admin.user))
		asked := path
		if strings.Contains(path, "/live") {
			asked += "?top=1"
		}
		a := admin.ask(route.Method, asked, "", nil)
		after := s.events(admin.user)[before:]
		if a.status == http.StatusUnauthorized || a.status == http.StatusForbidden || a.status >= 500 || strings.HasPrefix(a.to, views.LogInPath) {
			t.Errorf("admin: %s %s: %d to %q", route.Method, path, a.status, a.to)
		}
		switch {
		case route.Method == http.MethodPost:
			forms++
		case strings.HasPrefix(a.header.Get("Content-Type"), eventStream):
			streams++
			if len(after) > 0 {
				t.Errorf("the stream %s wrote %v", path, after)
			}
		case strings.HasPrefix(a.header.Get("Content-Type"), "text/html") && a.status == http.StatusOK:
			pages++
			if a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s may be kept: %q", path, a.header.Get("Cache-Control"))
			}
			if want := `PageOpened {"path":"` + path + `"}`; !slices.Contains(after, want) {
				t.Errorf("%s %s wrote %q, not %q", route.Method, path, after, want)
			}
		}
	}
	if pages < 20 || streams < 8 || forms < 3 {
		t.Errorf("%d pages, %d streams, %d forms", pages, streams, forms)
	}
	// What is not there is not told to others.
	for _, path := range []string{"/admin/", "/admin/nothing", "/admin/messages/nothing/more"} {
		if a := anonymous.get(path); a.status != http.StatusSeeOther {
			t.Errorf("anonymous: %s: %d", path, a.status)
		}
		if a := viewer.get(path); a.status != http.StatusForbidden {
			t.Errorf("viewer: %s: %d", path, a.status)
		}
		if a := admin.get(path); a.status != http.StatusNotFound {
			t.Errorf("admin: %s: %d", path, a.status)
		}
	}
}

// What a page is about is written down where the query says it: whose messages, of which
// trace. What somebody looks for is not, and no address is.
func TestWhatWasLookedAtIsWrittenDown(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.admin()
	for _, test := range []struct{ query, want string }{
		{"user=7d2f", `"filter":{"user":"7d2f"},`},
		{"stream=a-1&category=a&type=T&trace=t&user=u&before=7&after=&whole", `"filter":{"category":"a","stream":"a-1","trace":"t","type":"T","user":"u"},`},
		{"user=ada@example.org&type=T", `"filter":{"type":"T"},`},
		{"user=ada%40example.org", ``},
		{"text=secret&q=secret&type=", ``},
		{"user=%00&type=%ff", ``},
		{"type=" + strings.Repeat("%C3%A9", 400), `"filter":{"type":"` + strings.Repeat("é", 250) + `"},`},
		{"type=x" + strings.Repeat("%C3%A9", 400), `"filter":{"type":"x` + strings.Repeat("é", 249) + `"},`},
	} {
		before := len(s.events(b.user))
		b.get(views.AdminMessagesPath + "?" + test.query)
		want := []string{`PageOpened {` + test.want + `"path":"/admin/messages"}`}
		if got := s.events(b.user)[before:]; !slices.Equal(got, want) {
			t.Errorf("%s wrote %q, want %q", test.query, got, want)
		}
	}
	before := len(s.events(b.user))
	b.shown(views.AdminStreamsWith("1"))
	if got := s.events(b.user)[before:]; !slices.Equal(got, []string{`PageOpened {"filter":{"id":"1"},"path":"/admin/streams"}`}) {
		t.Errorf("%q", got)
	}
	// A form that is refused answers with the page.
	before = len(s.events(b.user))
	if a := b.post("/admin/subscriptions/adminsummary"+views.AdminSkipIt, "stream", "x-1"); a.status != http.StatusConflict {
		t.Fatal(a.status)
	}
	if got := s.events(b.user)[before:]; !slices.Equal(got, []string{`PageOpened {"path":"/admin/subscriptions/adminsummary"}`}) {
		t.Errorf("%q", got)
	}
}

// A link to the portal stands in the head of pages for administrators only.
func TestLinkForAdministrators(t *testing.T) {
	t.Parallel()
	s := start(t)
	const link = `<a href="/admin"`
	if a := s.admin().shown(views.AdminPath); !strings.Contains(a.body, link) {
		t.Error("no link for an administrator")
	}
	if a := s.somebody().get(views.AdminPath); strings.Contains(a.body, link) {
		t.Error("a link for a viewer")
	}
}

// Whoever loses the role, or whose session ends, sees nothing more on a page that stays
// open, and no stream of it.
func TestRoleEndsWhilePageIsOpen(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*browser){
		"role":    func(b *browser) { b.roles[b.user] = []string{identitymsg.Creator} },
		"session": func(b *browser) { b.ended[b.session] = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			b := s.admin()
			for _, path := range []string{views.AdminPath, views.AdminMessagesPath, views.AdminCategoriesPath, views.AdminStreamsPath, views.AdminTypesPath, views.AdminUsersPath} {
				stream := streamOf(t, b.shown(path))
				frames := b.frames(stream)
				s.mu.Lock()
				end(b)
				s.mu.Unlock()
				s.written("viewing-1", viewingmsg.VideoViewed{VideoID: "hidden"})
				s.registered("somebody-" + messagestore.NewID()[:8] + "@example.org")
				if frame := s.await(frames, "data-session-over"); strings.Contains(frame, "VideoViewed") {
					t.Errorf("%s: %s", path, frame)
				}
				if a := b.ask(http.MethodGet, stream, eventStream, nil); a.status != http.StatusForbidden && a.status != http.StatusUnauthorized {
					t.Errorf("%s: another stream: %d", path, a.status)
				}
				s.mu.Lock()
				b.roles[b.user], b.ended[b.session] = []string{identitymsg.Admin}, false
				s.mu.Unlock()
			}
		})
	}
}

// What cannot be written down is not shown.
func TestNothingIsShownThatIsNotWrittenDown(t *testing.T) {
	t.Parallel()
	s := start(t)
	userID := s.registered("ada@example.org")
	m, err := s.store.Last(s.ctx, identitymsg.Category.Stream(userID), "")
	if err != nil {
		t.Fatal(err)
	}
	b := s.admin()
	// Messages can be read, but no more of the category can be written.
	tx, err := s.db.MessageStore.Begin(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(s.ctx)
	if _, err := tx.Exec(s.ctx, `LOCK TABLE message_store.messages IN EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	t.Run("all at once", func(t *testing.T) {
		for _, try := range []struct{ method, path string }{
			{http.MethodGet, views.AdminMessagesPath}, {http.MethodPost, views.AdminRevealMessagePath(m.ID)}, {http.MethodPost, views.AdminRevealUserPath(userID)},
		} {
			t.Run(try.method+try.path, func(t *testing.T) {
				t.Parallel()
				a := b.ask(try.method, try.path, "", nil)
				if a.status != http.StatusServiceUnavailable || strings.Contains(a.body, "admin-body") || strings.Contains(a.body, "argon2id") {
					t.Errorf("%d after %s\n%s", a.status, time.Since(began), a.body)
				}
			})
		}
	})
}
