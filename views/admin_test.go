package views

import (
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"
)

var (
	adminPage = with(page, func(p *Page) {
		p.Title, p.Path, p.SignedIn, p.Admin, p.AdminJS, p.Live = "Admin", AdminPath, true, true, "/assets/admin.js", "/admin/live?at=adminsummary%3D7"
	})
	written = time.Date(2026, 11, 23, 4, 50, 7, 123_000_000, time.UTC)
	grant   = AdminMessage{
		ID: playID, Stream: "identity:command-" + changeID, Category: "identity:command", Type: "GrantRole", Position: 3, GlobalPosition: 1234567,
		At: written, UserID: changeID, TraceID: capsID,
	}
	bare = AdminMessage{ID: capsID, Stream: "subscriberPosition-identity", Category: "subscriberPosition", Type: "Read", GlobalPosition: 9, At: written}
)

// adminPages are the pages of the portal and what is pushed to them.
func adminPages() map[string]templ.Component {
	one := AdminOne{
		AdminMessage: grant, Known: "GrantRole gives a person a role.", Masked: []string{"email", "passwordHash"},
		Data:       Data{JSON: []byte(`{"email": "[masked]", "roles": ["a", 1, true, null, {}], "deep": {"list": []}}`), Masks: true, Mask: "[masked]"},
		Metadata:   Data{JSON: []byte(`{"traceId": "` + capsID + `"}`)},
		PreviousID: changeID, NextID: capsID, Cause: &bare, Effects: []AdminMessage{bare, grant}, MoreEffects: true,
	}
	shownOnce := one
	shownOnce.Revealed, shownOnce.Data = true, Data{JSON: []byte(`{"email": "ada@example.org"}`)}
	long := AdminOne{AdminMessage: bare, Data: Data{JSON: []byte(`"` + strings.Repeat("x", 3000) + `"`)}, Metadata: Data{JSON: []byte(`null`)}}
	stream := AdminStream{Stream: grant.Stream, Category: grant.Category, LastType: grant.Type, Messages: 1234, LastPosition: grant.GlobalPosition, LastAt: written}
	user := AdminUser{ID: changeID, RegisteredAt: written, LastAt: written, Messages: 1234, Viewings: 12, SignIns: 3}
	person := AdminPerson{
		AdminUser: user, Account: true, PendingEmail: "masked", Roles: []string{"admin", "creator"}, Generation: 1, PasswordChangedAt: written,
		Recent: []SignIn{
			{ID: playID, At: written, Browser: "Firefox on Linux"}, {ID: capsID, At: written, FailedReason: "wrong-password"},
			{ID: changeID, At: written, EndedAt: written.Add(time.Hour), EndedReason: "logged-out"},
		},
		Viewed: []AdminMessage{bare}, Newest: []AdminMessage{grant}, About: []AdminStream{stream},
	}
	known := person
	known.ViewedAmong = 5000
	known.Revealed, known.Email, known.PendingEmail, known.Confirmed = true, "ada@example.org", "grace@example.org", true
	at := func(path string) Page { return with(adminPage, func(p *Page) { p.Path = path }) }
	return map[string]templ.Component{
		"admin-overview":       AdminOverviewPage(adminPage, AdminOverview{Head: grant.GlobalPosition, Messages: 1234560, Streams: 4321, Categories: 12, Newest: []AdminMessage{grant, bare}}),
		"admin-overview-empty": AdminOverviewPage(adminPage, AdminOverview{}),
		"admin-messages": AdminListPage(at(AdminMessagesPath), AdminList{
			Title: "Messages", Section: AdminMessagesPath, Facts: []Fact{{"Only of type", "GrantRole"}}, Links: []Link{{"Show all messages", AdminMessagesPath}},
			Messages: []AdminMessage{grant, bare}, NewerURL: "/admin/messages?after=1234567&type=GrantRole", OlderURL: "/admin/messages?before=9&type=GrantRole",
		}),
		"admin-messages-empty":   AdminListPage(at(AdminUserMessagesPath(changeID)), AdminList{Title: "Messages by a person", Section: AdminUsersPath}),
		"admin-trace":            AdminListPage(at(AdminTracePath(capsID)), AdminList{Title: "Trace", Section: AdminMessagesPath, Messages: []AdminMessage{bare, grant}, OldestFirst: true}),
		"admin-message":          AdminMessagePage(at(AdminMessagePath(playID)), one),
		"admin-message-revealed": AdminMessagePage(at(AdminRevealMessagePath(playID)), shownOnce),
		"admin-message-long":     AdminMessagePage(at(AdminMessagePath(capsID)), long),
		"admin-streams":          AdminStreamsPage(at(AdminStreamsPath), AdminStreams{Title: "Streams", Streams: []AdminStream{stream}, OlderURL: "/admin/streams?before=9"}),
		"admin-categories":       AdminCategoriesPage(at(AdminCategoriesPath), []AdminCategory{{Category: "identity:command", Streams: 12, Messages: 1234, LastPosition: 99, LastAt: written}}, AdminPart{FirstURL: AdminCategoriesPath, NextURL: AdminCategoriesPath + "?after=identity%3Acommand"}),
		"admin-types":            AdminTypesPage(at(AdminTypesPath), []AdminType{{Type: "GrantRole", Category: "identity:command", SchemaVersion: 2, Messages: 1234, LastPosition: 99, LastAt: written}}, AdminPart{}),
		"admin-users":            AdminUsersPage(at(AdminUsersPath), AdminUsers{Users: []AdminUser{user, {ID: playID}}, NewerURL: "/admin/users?after=9"}),
		"admin-person":           AdminPersonPage(at(AdminUserPath(changeID)), person),
		"admin-person-revealed":  AdminPersonPage(at(AdminRevealUserPath(changeID)), known),
		"admin-person-unknown":   AdminPersonPage(at(AdminUserPath(playID)), AdminPerson{AdminUser: AdminUser{ID: playID}}),
		"admin-nothing-found":    AdminSearchPage(at(AdminSearchPath), "<b>"),
		"admin-newer":            Push(AdminNewerID, AdminNewer(Newer{Count: 2, Most: 100, One: "newer message", Many: "newer messages", URL: AdminMessagesPath})),
		"admin-over":             Push(AdminBodyID, AdminOver(AdminBodyID)),
	}
}

func TestGoldenAdmin(t *testing.T) {
	t.Parallel()
	for name, c := range adminPages() {
		golden(t, name, c)
	}
}

// What is masked is not in the page at all.
func TestMaskedIsNotThere(t *testing.T) {
	t.Parallel()
	pages := adminPages()
	for _, name := range []string{"admin-message", "admin-person"} {
		html := render(t, pages[name])
		if strings.Contains(html, "@example.org") || !strings.Contains(html, `class="masked"`) || !strings.Contains(html, `/reveal"`) {
			t.Errorf("%s: %s", name, html)
		}
	}
}

func TestData(t *testing.T) {
	t.Parallel()
	tags := strings.NewReplacer(`<pre class="data" tabindex="0">`, "", "</pre>", "", `<span class="key">`, "", `<span class="text">`, "", "</span>", "", "&#34;", `"`)
	for in, want := range map[string]string{
		`{}`:                    `{}`,
		`[ ]`:                   `[]`,
		`null`:                  `null`,
		`-1.5e300`:              `-1.5e300`,
		``:                      ``,
		`{"a":1,"b":[true,{}]}`: "{\n  \"a\": 1,\n  \"b\": [\n    true,\n    {}\n  ]\n}",
		`"a\"b\\"`:              `"a\"b\\"`,
		`"<b>&"`:                `"&lt;b&gt;&amp;"`,
		"\"\u202e\u200b\"":      `"\u202e\u200b"`,
		"\"a\xffb\"":            `"a\xffb"`,
		`{"a`:                   "{\n  \"a", // no JSON, and no reason to fall over
		`]]]}`:                  "\n]\n]\n]\n}",
		`"a\`:                   `"a\`,
	} {
		if got := tags.Replace(render(t, data(Data{JSON: []byte(in)}))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	long := `{"a": "` + strings.Repeat("é", 3000) + `"}`
	if cut := (Data{JSON: []byte(long)}); !cut.cut() || !strings.Contains(render(t, data(cut)), "(3,002 characters)") {
		t.Error("a long text is not cut")
	}
	if whole := (Data{JSON: []byte(long), Whole: true}); whole.cut() || !strings.Contains(render(t, data(whole)), strings.Repeat("é", 3000)) {
		t.Error("the whole of a long text is not shown")
	}
	deep := strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)
	if html := render(t, data(Data{JSON: []byte(deep)})); len(html) > mostData+1000 || !strings.Contains(html, "more</span>") {
		t.Errorf("%d bytes of deep data", len(html))
	}
	if html := render(t, data(Data{JSON: []byte(deep), Whole: true})); len(html) > 2_000_000 {
		t.Errorf("%d bytes of all deep data", len(html))
	}
	if html := render(t, data(Data{JSON: []byte(`"[masked]"`)})); strings.Contains(html, "masked\">") {
		t.Error("a text passes for a mask")
	}
}

func FuzzData(f *testing.F) {
	for _, seed := range []string{`{"a":[1,"<b>"]}`, `"\u0000`, "\xff", `{{{`, `]`, `"a" : "b"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		html := render(t, data(Data{JSON: in}))
		inside := strings.TrimSuffix(strings.TrimPrefix(html, `<pre class="data" tabindex="0">`), `</pre>`)
		for _, ours := range []string{`<span class="key">`, `<span class="text">`, `<span class="left-out">`, `</span>`} {
			inside = strings.ReplaceAll(inside, ours, "")
		}
		if strings.ContainsAny(inside, "<>") {
			t.Errorf("%q: %s", in, inside)
		}
	})
}

func TestShown(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                           "",
		"viewing-1":                  "viewing-1",
		"a b":                        "a b",
		"a\u00a0b":                   `a\u00a0b`,
		"a\nb\x00":                   `a\u000ab\u0000`,
		"\u202eabc":                  `\u202eabc`,
		"\xff\xfe":                   `\xff\xfe`,
		"\uFFFD":                     "\uFFFD",
		"\U000E0041":                 `\u{e0041}`,
		strings.Repeat("é", 120):     strings.Repeat("é", 120),
		strings.Repeat("é", 121):     strings.Repeat("é", 120) + "… (121 characters)",
		"<script>alert(1)</script> ": "<script>alert(1)</script> ",
	} {
		if got := shown(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Names may be anything, and lead to themselves.
func TestPathsOfNames(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		AdminStreamPath("identity:command-1"): "/admin/streams/identity:command-1",
		AdminStreamPath("a/b?c#d%"):           "/admin/streams/a%2Fb%3Fc%23d%25",
		AdminStreamPath(".."):                 "/admin/messages?stream=..",
		AdminCategoryPath("."):                "/admin/messages?category=.",
		AdminTypeMessagesPath("<b>"):          "/admin/type-messages/%3Cb%3E",
		AdminUserMessagesPath(".."):           "/admin/messages?user=..",
		AdminTracePath("a b"):                 "/admin/correlated-messages/a%20b",
		AdminStreamsOf("a&b"):                 "/admin/streams?category=a%26b",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
