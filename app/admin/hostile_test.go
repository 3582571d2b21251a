package admin

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// plain demands that a page is ours alone: no script but our files, no handlers, and no
// link that leaves the site.
func plain(t *testing.T, name string, a answer) (text string) {
	t.Helper()
	var all strings.Builder
	for in := html.NewTokenizer(strings.NewReader(a.body)); ; {
		kind := in.Next()
		if kind == html.ErrorToken {
			return all.String()
		}
		token := in.Token()
		if kind == html.TextToken {
			all.WriteString(token.Data)
			continue
		}
		if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
			continue
		}
		foreign := token.Data == "img" || token.Data == "iframe"
		if token.Data == "script" {
			foreign = len(token.Attr) == 0 || !strings.HasPrefix(token.Attr[0].Val, "/assets/")
		}
		for _, attribute := range token.Attr {
			switch {
			case strings.HasPrefix(attribute.Key, "on"):
				foreign = true
			case attribute.Key == "href" || attribute.Key == "action" || attribute.Key == "src":
				foreign = foreign || !strings.HasPrefix(attribute.Val, "/") && !strings.HasPrefix(attribute.Val, "#") || strings.HasPrefix(attribute.Val, "//")
			}
		}
		if foreign {
			t.Errorf("%.80s: %v", name, token)
		}
	}
}

const (
	script = `<script>alert("x")</script>`
	quotes = `"'><img src=x onerror=alert(1)>&amp;`
	seenAs = "a\u202ecod.exe\u0007\u200b"
)

func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\u0007", `\u0007`).Replace(s) + `"`
}

// Whatever stands in a message is shown as data, on each page that shows anything of it.
func TestHostileMessages(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.admin()
	deep := strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)
	followed := map[string]bool{}
	for name, m := range map[string]struct{ stream, kind, data, metadata string }{
		"script":     {script + "-" + script, script, `{` + quoted(script) + `: ` + quoted(script) + `}`, `{"traceId": ` + quoted(script) + `, "userId": ` + quoted(script) + `, "causationMessageGlobalPosition": "1"}`},
		"quotes":     {quotes + "-1", quotes, `{` + quoted(quotes) + `: [` + quoted(quotes) + `]}`, `{"traceId": ` + quoted(quotes) + `, "userId": ` + quoted(quotes) + `, "x": ` + quoted(quotes) + `}`},
		"unseen":     {seenAs + "-" + seenAs, seenAs, `{"a": ` + quoted(seenAs) + `}`, `{"traceId": ` + quoted(seenAs) + `}`},
		"slashes":    {"a/b?c#d%2f-../..", "a/../b", `{}`, `{"traceId": "../x", "userId": "?a=b#c"}`},
		"dots":       {"..", ".", `{}`, `{"traceId": "..", "userId": "."}`},
		"escapes":    {`a\u0000-1`, `\u0000`, `{"a": "\\u0000"}`, `{"traceId": "\\u0000"}`},
		"javascript": {"javascript:alert(1)-1", "javascript:alert(1)", `{"url": "javascript:alert(1)"}`, `{"traceId": "javascript:alert(1)"}`},
		"megabyte":   {"big-1", "Big", `{"a": "` + strings.Repeat("é", 1<<20) + `"}`, `{"traceId": "` + strings.Repeat("t", 1<<20) + `", "userId": "` + strings.Repeat("u", 1<<20) + `"}`},
		"long names": {strings.Repeat("s", 1000) + "-1", strings.Repeat("t", 1<<20), `{}`, `{}`},
		"deep":       {"deep-1", "Deep", deep, `{"x": ` + deep + `}`},
		"deep twice": {"deep-2", "Deep", `{"a": ` + strings.Repeat(`{"b":`, 1000) + `1` + strings.Repeat(`}`, 1000) + `}`, `{}`},
		"no object":  {"odd-1", "Odd", `null`, `[1, "two"]`},
		"a text":     {"odd-2", "Odd", quoted(script), quoted(script)},
		"a number":   {"odd-3", "Odd", `1e400`, `17`},
		"nothing":    {"odd-4", "Odd", `{}`, `null`},
		"fields":     {"odd-5", "Odd", `[]`, `{"traceId": {}, "userId": [1], "causationMessageGlobalPosition": 99999999999999999999}`},
		"known":      {"identity-1", "Registered", `{"email": ` + quoted(script) + `, "userId": {"a": ` + quoted(script) + `}, ` + quoted(script) + `: 1}`, `{}`},
		"known deep": {"identity-3", "Registered", `{"userId": "1", "email": ` + deep + `, "x": ` + deep[1:len(deep)-1] + `}`, `{}`},
		"known odd":  {"identity-2", "Registered", quoted(script), `{}`},
		"masked":     {"odd-6", "Odd", `{"a": "[masked]"}`, `{"a": "[masked]"}`},
	} {
		id := s.foreign(m.stream, m.kind, m.data, m.metadata)
		s.caughtUp()
		a := b.shown(views.AdminMessagePath(id))
		plain(t, name, a)
		revealed := b.post(views.AdminRevealMessagePath(id)) // nobody knows most of the types, so all of their data are masked
		text := plain(t, name, revealed)
		if len(a.body) > 400_000 || len(revealed.body) > 400_000 {
			t.Errorf("%s: pages of %d and %d bytes", name, len(a.body), len(revealed.body))
		}
		if name == "script" && strings.Count(text, script) < 5 {
			t.Errorf("%s: the text is not shown:\n%s", name, text)
		}
		if name == "unseen" && (strings.ContainsAny(a.body+revealed.body, "\u202e\u200b\u0007") || !strings.Contains(text, `a\u202ecod.exe\u0007\u200b`)) {
			t.Errorf("%s: what cannot be seen is not made seen", name)
		}
		if name == "masked" && strings.Contains(revealed.body, `class="masked"`) {
			t.Errorf("%s: a text passes for a mask", name)
		}
		plain(t, name, b.shown(views.AdminMessagePath(id)+"?whole"))
		plain(t, name, b.post(views.AdminRevealMessagePath(id)+"?whole"))
		// All that the page leads to is there.
		for in := html.NewTokenizer(strings.NewReader(a.body)); in.Next() != html.ErrorToken; {
			for _, attribute := range in.Token().Attr {
				if attribute.Key == "href" && !followed[attribute.Val] && strings.HasPrefix(attribute.Val, views.AdminPath+"/") && !strings.HasPrefix(attribute.Val, views.AdminContractsPath) && !strings.HasPrefix(attribute.Val, views.AdminRebuildPath) {
					followed[attribute.Val] = true
					to := b.get(attribute.Val)
					if to.status != http.StatusOK && !strings.HasPrefix(attribute.Val, views.AdminUsersPath+"/") {
						t.Errorf("%s leads to %.200s: %d", name, attribute.Val, to.status)
					}
					plain(t, name+" "+attribute.Val, to)
				}
			}
		}
	}
	s.caughtUp()
	for _, path := range []string{
		views.AdminPath, views.AdminMessagesPath, views.AdminStreamsPath, views.AdminCategoriesPath, views.AdminTypesPath, views.AdminUsersPath,
		views.AdminStreamsOf(script), views.AdminMessagesPath + "?" + url.Values{"type": {quotes}}.Encode(),
	} {
		a := b.shown(path)
		plain(t, path, a)
		if len(a.body) > 300_000 { // no list has what the messages hold
			t.Errorf("%s has %d bytes", path, len(a.body))
		}
	}
}

// The addresses of pages are data too.
func TestHostileAddresses(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.admin()
	for _, path := range []string{
		views.AdminMessagesPath + "/:x", views.AdminStreamPath(":x"), views.AdminCategoryPath(":x"), views.AdminTypeMessagesPath(":x"),
		views.AdminUserPath(":x"), views.AdminUserMessagesPath(":x"), views.AdminTracePath(":x"),
		views.AdminMessagesPath + "?type=:x", views.AdminMessagesPath + "?stream=:x", views.AdminStreamsPath + "?category=:x", views.AdminStreamsPath + "?id=:x",
		views.AdminMessagesPath + "?before=:x", views.AdminUsersPath + "?after=:x", "/admin/live/messages?top=:x",
	} {
		for _, x := range []string{
			url.PathEscape(script), url.QueryEscape(quotes), "%00", "%ff%fe", "%c0%80", "%2e%2e", "%2F..%2F", "%25", strings.Repeat("a", 8000), "ada@example.org",
			url.PathEscape("' OR 1=1; --"), "%E2%80%AE",
		} {
			a := b.get(strings.Replace(path, ":x", x, 1))
			if a.status >= 500 {
				t.Errorf("%s with %.40s: %d", path, x, a.status)
			}
			plain(t, path+" "+x, a)
		}
	}
}

// Addresses with markup in them are what people register with.
func TestHostilePeople(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.admin()
	userID := messagestore.NewID()
	s.written(identitymsg.Category.Stream(userID), identitymsg.Registered{UserID: userID, Email: script + "@example.org", PasswordHash: "x"})
	s.foreign("authentication-"+userID, "UserLoggedIn", `{"userId": "`+userID+`", "sessionId": "`+messagestore.NewID()+`", "browser": `+quoted(script)+`}`, `{"userId": "`+userID+`"}`)
	s.caughtUp()
	for _, a := range []answer{b.shown(views.AdminUserPath(userID)), b.post(views.AdminRevealUserPath(userID)), b.shown(views.AdminUsersPath)} {
		plain(t, "person", a)
	}
	if a := b.post(views.AdminRevealUserPath(userID)); !strings.Contains(plain(t, "revealed", a), script+"@example.org") {
		t.Error("the address is not shown")
	}
}
