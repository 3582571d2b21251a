package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"videotutorials/app/contracts"
	"videotutorials/components/authentication/authenticationmsg"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/components/viewing/viewingmsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

var rowLinks = regexp.MustCompile(`href="([^"]+)" data-row`)

// rows are the links of a page's rows.
func rows(a answer) (list []string) {
	for _, m := range rowLinks.FindAllStringSubmatch(a.body, -1) {
		list = append(list, m[1])
	}
	return list
}

var neighbours = regexp.MustCompile(`href="([^"]+)" rel="(prev|next)"`)

// neighbour is the address of the part of the list before or after a page.
func neighbour(a answer, rel string) string {
	for _, m := range neighbours.FindAllStringSubmatch(a.body, -1) {
		if m[2] == rel {
			return strings.ReplaceAll(m[1], "&amp;", "&")
		}
	}
	return ""
}

// Each list is walked down to its end and up again, and shows each message once.
func TestListsArePaged(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.admin()
	userID, trace := messagestore.NewID(), messagestore.NewID()
	const many = 2*perTracePage + 7
	ids := map[string]bool{}
	stream := viewingmsg.Category.Stream(messagestore.NewID())
	by := messagestore.WithMetadata(messagestore.Metadata{UserID: userID, TraceID: trace})
	for range many {
		id := messagestore.NewID()
		if _, err := s.store.Write(s.ctx, stream, viewingmsg.VideoViewed{VideoID: id}, by, messagestore.WithID(id)); err != nil {
			t.Fatal(err)
		}
		ids[views.AdminMessagePath(id)] = true
	}
	for _, path := range []string{
		views.AdminStreamPath(string(stream)), views.AdminCategoryPath("viewing"), views.AdminTypeMessagesPath("VideoViewed"),
		views.AdminUserMessagesPath(userID), views.AdminTracePath(trace),
		views.AdminMessagesPath + "?type=VideoViewed", views.AdminMessagesPath + "?category=viewing", views.AdminMessagesPath + "?stream=" + string(stream),
		views.AdminMessagesPath + "?user=" + userID, views.AdminMessagesPath + "?trace=" + trace,
	} {
		var down, up []string
		a, pages := b.shown(path), 1
		down = rows(a)
		for older := neighbour(a, "next"); older != ""; older = neighbour(a, "next") {
			a = b.shown(older)
			down = append(down, rows(a)...)
			pages++
		}
		for _, link := range down {
			if !ids[link] {
				t.Fatalf("%s shows %s", path, link)
			}
		}
		if got := len(slices.Compact(slices.Sorted(slices.Values(down)))); got != many || len(down) != many {
			t.Fatalf("%s: %d lines with %d messages on %d pages, want %d", path, len(down), got, pages, many)
		}
		up = rows(a)
		for newer := neighbour(a, "prev"); newer != ""; newer = neighbour(a, "prev") {
			a = b.shown(newer)
			up = append(rows(a), up...)
			if connects.MatchString(a.body) { // the part with the newest
				break
			}
		}
		if got := slices.Compact(slices.Sorted(slices.Values(up))); len(got) != many {
			t.Errorf("%s: %d messages on the way up", path, len(got))
		}
	}
	for _, path := range []string{"?before=x", "?before=-1", "?after=99999999999999999999", "?before=1.5"} {
		if a := b.get(views.AdminMessagesPath + path); a.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	// Above the newest there is the first part.
	if a := b.shown(views.AdminMessagesPath + "?type=VideoViewed&after=100000000"); len(rows(a)) != perPage {
		t.Errorf("%d lines", len(rows(a)))
	}
}

func TestOneMessage(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.admin()
	id := messagestore.NewID()
	stream, trace := identitymsg.Category.CommandStream(id), messagestore.NewID()
	s.written(stream, identitymsg.GrantRole{UserID: id, Role: "creator"})
	command := s.written(stream, identitymsg.GrantRole{UserID: id, Role: "admin"}, messagestore.WithMetadata(messagestore.Metadata{TraceID: trace, UserID: id}))
	s.written(stream, identitymsg.RevokeRole{UserID: id, Role: "admin"})
	cause, err := messagestore.Decode[identitymsg.GrantRole](command)
	if err != nil {
		t.Fatal(err)
	}
	first := s.written(identitymsg.Category.Stream(id), identitymsg.RoleGranted{UserID: id, Role: "admin"}, messagestore.Follow(cause))
	second := s.written(identitymsg.Category.Stream(messagestore.NewID()), identitymsg.RoleGranted{UserID: id, Role: "admin"}, messagestore.Follow(cause))

	a := b.shown(views.AdminMessagePath(command.ID))
	before, _ := s.store.At(s.ctx, stream, 0)
	after, _ := s.store.At(s.ctx, stream, 2)
	for _, want := range []string{
		views.AdminMessagePath(before.ID) + `" rel="prev"`, views.AdminMessagePath(after.ID) + `" rel="next"`, views.AdminTracePath(trace), views.AdminUserPath(id),
		views.AdminStreamPath(string(stream)), views.AdminCategoryPath("identity:command"), views.AdminTypeMessagesPath("GrantRole"),
		views.AdminMessagesBefore(command.GlobalPosition + 1), `&#34;role&#34;`, "No message. A request or a person began it.",
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %s", want)
		}
	}
	if got := rows(a); !slices.Equal(got, []string{views.AdminMessagePath(first.ID), views.AdminMessagePath(second.ID)}) {
		t.Errorf("led to %v", got)
	}
	a = b.shown(views.AdminMessagePath(first.ID))
	if got := rows(a); !slices.Equal(got, []string{views.AdminMessagePath(command.ID)}) {
		t.Errorf("caused by %v", got)
	}
	if strings.Contains(a.body, `rel="prev"`) || strings.Contains(a.body, `rel="next"`) {
		t.Error("a message that is alone in its stream has neighbours")
	}
	for _, id := range []string{messagestore.NewID(), "nothing", "%00", "%ff", "..%2f", strings.Repeat("x", 10_000)} {
		if a := b.get(views.AdminMessagesPath + "/" + id); a.status != http.StatusNotFound {
			t.Errorf("%.20s: %d", id, a.status)
		}
	}
}

// What is personal or secret is shown once, after that is written down, and nowhere else.
func TestReveal(t *testing.T) {
	t.Parallel()
	s := start(t)
	const address, hash = "ada@example.org", "$argon2id$secret"
	userID := s.registered(address)
	m, err := s.store.Last(s.ctx, identitymsg.Category.Stream(userID), "")
	if err != nil {
		t.Fatal(err)
	}
	b := s.admin()
	hidden := func(a answer) {
		t.Helper()
		if strings.Contains(a.body, address) || strings.Contains(a.body, hash) {
			t.Errorf("it is shown:\n%s", a.body)
		}
	}
	page := views.AdminMessagePath(m.ID)
	for _, path := range []string{
		page, page + "?whole", views.AdminPath, views.AdminMessagesPath, views.AdminUsersPath, views.AdminUserPath(userID), views.AdminUserMessagesPath(userID),
		views.AdminStreamPath(string(m.Stream)), views.AdminRevealMessagePath(m.ID), views.AdminRevealUserPath(userID),
	} {
		a := b.get(path)
		if a.status == http.StatusSeeOther {
			a = b.shown(a.to)
		}
		hidden(a)
	}
	if a := b.shown(page); !strings.Contains(a.body, `<span class="masked">masked</span>`) || strings.Contains(a.body, contracts.Masked) {
		t.Errorf("the masks are not seen:\n%s", a.body)
	}

	before := len(s.events(b.user))
	a := b.post(views.AdminRevealMessagePath(m.ID))
	if a.status != http.StatusOK || !strings.Contains(a.body, address) || !strings.Contains(a.body, hash) || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v\n%s", a.status, a.header, a.body)
	}
	want := []string{fmt.Sprintf(`DataRevealed {"fields":["email","passwordHash"],"messageId":%q}`, m.ID)}
	if got := s.events(b.user)[before:]; !slices.Equal(got, want) {
		t.Errorf("written: %q", got)
	}
	if connects.MatchString(a.body) {
		t.Error("the page follows a stream")
	}
	hidden(b.shown(page))

	before = len(s.events(b.user))
	a = b.post(views.AdminRevealUserPath(userID))
	if a.status != http.StatusOK || !strings.Contains(a.body, address) || strings.Contains(a.body, hash) || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v\n%s", a.status, a.header, a.body)
	}
	want = []string{fmt.Sprintf(`AccountRevealed {"fields":["email"],"userId":%q}`, userID)}
	if got := s.events(b.user)[before:]; !slices.Equal(got, want) {
		t.Errorf("written: %q", got)
	}
	hidden(b.shown(views.AdminUserPath(userID)))

	// A message of which nothing is masked reveals nothing, and nothing is written down.
	open := s.written("viewing-1", viewingmsg.VideoViewed{VideoID: "1"})
	before = len(s.events(b.user))
	if a := b.post(views.AdminRevealMessagePath(open.ID)); a.status != http.StatusOK || len(s.events(b.user)) != before {
		t.Errorf("%d, %v", a.status, s.events(b.user)[before:])
	}
	// Of a type that no contract tells of, everything is masked.
	for _, m := range []struct{ stream, kind string }{{"weather-1", "RainFell"}, {"identity-1", "RegisteredLongAgo"}, {"sendEmail-1", "Registered"}} {
		foreign := s.foreign(m.stream, m.kind, `{"email": "ada@example.org"}`, `{}`)
		hidden(b.shown(views.AdminMessagePath(foreign)))
		before = len(s.events(b.user))
		if a := b.post(views.AdminRevealMessagePath(foreign)); !strings.Contains(a.body, address) {
			t.Errorf("%s %s is not revealed", m.stream, m.kind)
		}
		want = []string{fmt.Sprintf(`DataRevealed {"fields":["*"],"messageId":%q}`, foreign)}
		if got := s.events(b.user)[before:]; !slices.Equal(got, want) {
			t.Errorf("%s %s: written: %q", m.stream, m.kind, got)
		}
		hidden(b.shown(views.AdminMessagePath(foreign)))
	}
	for _, path := range []string{views.AdminRevealUserPath(messagestore.NewID()), views.AdminRevealMessagePath(messagestore.NewID())} {
		if a := b.post(path); a.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.status)
		}
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.admin()
	userID := s.registered("Ada@Example.org")
	video, trace := messagestore.NewID(), messagestore.NewID()
	m := s.written(viewingmsg.Category.Stream(video), viewingmsg.VideoViewed{VideoID: video}, messagestore.WithMetadata(messagestore.Metadata{TraceID: trace}))
	s.written(authenticationmsg.Category.Stream(userID), authenticationmsg.UserLoggedIn{UserID: userID})
	twice := messagestore.NewID()
	s.foreign("weather-"+twice, `Rain/"fell"`, `{}`, `{}`)
	s.foreign("climate-"+twice, "Sun", `{}`, `{}`)
	s.caughtUp()
	for _, test := range []struct{ typed, to, kind string }{
		{m.ID, views.AdminMessagePath(m.ID), "message"},
		{"  " + strings.ToUpper(m.ID) + "\t", views.AdminMessagePath(m.ID), "message"},
		{fmt.Sprint(m.GlobalPosition), views.AdminMessagePath(m.ID), "message"},
		{trace, views.AdminTracePath(trace), "trace"},
		{userID, views.AdminUserPath(userID), "user"},
		{" ADA@example.ORG ", views.AdminUserPath(userID), "address"},
		{string(m.Stream), views.AdminStreamPath(string(m.Stream)), "stream"},
		{"VideoViewed", views.AdminTypeMessagesPath("VideoViewed"), "type"},
		{`Rain/"fell"`, views.AdminTypeMessagesPath(`Rain/"fell"`), "type"},
		{"viewing", views.AdminCategoryPath("viewing"), "category"},
		{video, views.AdminStreamPath(string(m.Stream)), "streams"},
		{twice, views.AdminStreamsWith(twice), "streams"},
		{"nobody@example.org", "", "nothing"},
		{"<script>alert(1)</script>", "", "nothing"},
		{"999999999999999999999", "", "nothing"},
		{"9223372036854775807", "", "nothing"},
		{"-1", "", "nothing"},
		{"a\x00b", "", "nothing"},
		{"\xff\xfe", "", "nothing"},
		{strings.Repeat("x", 60_000), "", "nothing"},
	} {
		before := len(s.events(b.user))
		a := b.post(views.AdminSearchPath, "q", test.typed)
		written := s.events(b.user)[before:]
		if a.to != test.to || test.to == "" && a.status != http.StatusNotFound || test.to != "" && a.status != http.StatusSeeOther {
			t.Errorf("%.60q: %d to %q, want %q", test.typed, a.status, a.to, test.to)
		}
		if want := []string{fmt.Sprintf(`SearchMade {"kind":%q}`, test.kind)}; !slices.Equal(written, want) {
			t.Errorf("%.60q wrote %q", test.typed, written)
		}
		if strings.Contains(a.to, "@") || strings.Contains(a.to, "%40") {
			t.Errorf("an address stands in %s", a.to)
		}
		if a.to != "" {
			b.shown(a.to)
		} else {
			plain(t, test.typed, a)
		}
	}
	if a := b.shown(views.AdminStreamsWith(twice)); len(rows(a)) != 2 {
		t.Errorf("%v", rows(a))
	}
	if a := b.post(views.AdminSearchPath); a.to != views.AdminMessagesPath {
		t.Errorf("nothing typed: %d to %q", a.status, a.to)
	}
	if a := b.get(views.AdminSearchPath); a.to != views.AdminPath {
		t.Errorf("loaded again: %d to %q", a.status, a.to)
	}
	// Whoever types an address into the bar of the browser leaves it in no event.
	before := len(s.events(b.user))
	b.get(views.AdminUserMessagesPath("ada@example.org"))
	b.get(views.AdminPath + "/user-messages/" + url.QueryEscape("ada@example.org"))
	for _, event := range s.events(b.user)[before:] {
		if event != `PageOpened {"path":"/admin/user-messages/:userId"}` {
			t.Error(event)
		}
	}
}

// A list says how much has come above it, and others show what has changed.
func TestListsFollow(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.admin()
	stream := viewingmsg.Category.Stream(messagestore.NewID())
	write := func() { s.written(stream, viewingmsg.VideoViewed{VideoID: "1"}) }
	write()
	s.caughtUp()
	follows := map[string]<-chan string{}
	pages := []string{
		views.AdminStreamPath(string(stream)), views.AdminCategoryPath("viewing"), views.AdminTypeMessagesPath("VideoViewed"),
		views.AdminMessagesPath + "?type=VideoViewed", views.AdminPath, views.AdminCategoriesPath, views.AdminTypesPath, views.AdminStreamsPath + "?category=viewing",
	}
	for _, path := range pages {
		a := b.shown(path)
		s.caughtUp()
		follows[path] = b.frames(streamOf(t, a))
	}
	write()
	write()
	for _, path := range pages[:4] {
		frame := s.await(follows[path], "2 newer messages")
		if !strings.Contains(frame, `href="`+path+`"`) {
			t.Errorf("%s: %s", path, frame)
		}
	}
	s.await(follows[views.AdminPath], "VideoViewed")
	s.await(follows[views.AdminCategoriesPath], `<td class="n" data-label="Messages">3</td>`)
	s.await(follows[views.AdminTypesPath], `<td class="n" data-label="Messages">3</td>`)
	s.await(follows[views.AdminStreamsPath+"?category=viewing"], "1 stream has newer messages")

	users := b.frames(streamOf(t, b.shown(views.AdminUsersPath)))
	s.registered("ada@example.org")
	s.registered("grace@example.org")
	s.await(users, "2 newer people")

	// More than are counted.
	a := b.shown(views.AdminStreamPath(string(stream)))
	for range mostNewer + 1 {
		write()
	}
	s.await(b.frames(streamOf(t, a)), "More than 100 newer messages")
}

// A page that was open before the view data were made anew, or that another process served,
// claims to have what has not happened yet. It is shown what there is.
func TestAPageFromTheFutureIsShownWhatThereIs(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.admin()
	trace := messagestore.NewID()
	by := messagestore.WithMetadata(messagestore.Metadata{TraceID: trace})
	m := s.written(viewingmsg.Category.Stream(messagestore.NewID()), viewingmsg.VideoViewed{}, by)
	s.written(m.Stream, viewingmsg.VideoViewed{}, by)
	s.registered("ada@example.org")
	const rebuild, subscription = views.AdminRebuildPath + "/adminsummary", views.AdminSubscriptionsPath + "/adminsummary"
	for path, want := range map[string]string{
		livePath(views.AdminPath):                                    views.AdminNowID,
		livePath(views.AdminMessagesPath) + "?top=1":                 "newer messages",
		livePath(views.AdminStreamPath(string(m.Stream))) + "?top=1": "1 newer message",
		livePath(views.AdminTracePath(trace)) + "?top=1":             views.TraceID,
		livePath(views.AdminUsersPath) + "?top=1":                    "1 newer person",
		livePath(views.AdminStreamsPath) + "?top=1":                  "streams have newer messages",
		livePath(views.AdminCategoriesPath):                          views.AdminCategoriesID,
		livePath(views.AdminTypesPath):                               views.AdminTypesID,
		livePath(views.AdminSubscriptionsPath):                       views.AdminSubscriptionsID + `"`,
		livePath(subscription):                                       views.AdminSubscriptionID,
		livePath(views.AdminRebuildPath):                             views.AdminRebuildsID,
		livePath(rebuild):                                            views.AdminRebuildNowID,
	} {
		frames := b.framesAfter(path, "adminsummary=1000000,subscriptions=99999999999999,trace=99999999999999")
		select {
		case frame := <-frames: // the first one
			if !strings.Contains(frame, want) {
				t.Errorf("%s: no %q in\n%s", path, want, frame)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("%s: nothing", path)
		}
	}
}

// However many categories and types there are, each is listed once, counted and followed.
func TestNamesArePaged(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.admin()
	const many = 1100
	if _, err := s.db.MessageStore.Exec(s.ctx, `
		SELECT message_store.write_message(gen_random_uuid()::varchar, 'c' || n || '-x', 'T' || n, '{}'::jsonb, '{}'::jsonb) FROM generate_series(1, 1100) n`); err != nil {
		t.Fatal(err)
	}
	s.caughtUp()
	for _, path := range []string{views.AdminCategoriesPath, views.AdminTypesPath} {
		seen, last := map[string]bool{}, ""
		for next := path; next != ""; {
			a := b.shown(next)
			for _, link := range rows(a) {
				if seen[link] {
					t.Fatalf("%s is listed twice", link)
				}
				seen[link] = true
			}
			if (neighbour(a, "prev") == path) != (next != path) {
				t.Errorf("%s: the first part is at %q", next, neighbour(a, "prev"))
			}
			last, next = next, neighbour(a, "next")
		}
		if len(seen) < many {
			t.Errorf("%s lists %d", path, len(seen))
		}
		// The last part follows, and does not become the first.
		frames := b.frames(streamOf(t, b.shown(last)))
		s.foreign("zzz-"+messagestore.NewID(), "Zzz"+path[len(views.AdminPath)+1:], `{}`, `{}`)
		if frame := s.await(frames, "zzz"); strings.Contains(frame, ">c1<") || !strings.Contains(frame, "First") {
			t.Errorf("%s: %s", last, frame)
		}
		for _, after := range []string{"?after=zzzzz", "?after=%00", "?after=%ff"} {
			if a := b.get(path + after); a.status != http.StatusNotFound {
				t.Errorf("%s%s: %d", path, after, a.status)
			}
		}
	}
	if text := words(b.shown(views.AdminCategoryPath("c999")).body); !strings.Contains(text, "Streams 1 Messages 1") {
		t.Errorf("c999: %s", text)
	}
	s.caughtUp()
	var categories, streams int
	if err := s.db.Views.QueryRow(s.ctx, `SELECT count(*), sum(streams) FROM admin_categories`).Scan(&categories, &streams); err != nil {
		t.Fatal(err)
	}
	if text := words(b.shown(views.AdminPath).body); !strings.Contains(text, fmt.Sprintf("Categories %d,%03d ", categories/1000, categories%1000)) || !strings.Contains(text, fmt.Sprintf("Streams %d,%03d ", streams/1000, streams%1000)) {
		t.Errorf("%d categories, %d streams: %s", categories, streams, text)
	}
	// An id is found in whatever category.
	if a := b.shown(views.AdminStreamsWith("x")); len(rows(a)) != many {
		t.Errorf("%d streams with an id", len(rows(a)))
	}
}

// However much a person did since, the viewings are found; and where they are too far down,
// the page says so.
func TestViewingsOfABusyPerson(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.admin()
	userID := s.registered("ada@example.org")
	by := messagestore.WithMetadata(messagestore.Metadata{UserID: userID})
	viewed := views.AdminMessagePath(s.written("viewing-1", viewingmsg.VideoViewed{UserID: userID}, by).ID)
	busy := func(n int) answer {
		t.Helper()
		if _, err := s.db.MessageStore.Exec(s.ctx, `
			SELECT message_store.write_message(gen_random_uuid()::varchar, 'busy-1', 'Done', '{}'::jsonb, jsonb_build_object('userId', $1::text)) FROM generate_series(1, $2::int)`, userID, n); err != nil {
			t.Fatal(err)
		}
		return b.shown(views.AdminUserPath(userID))
	}
	const early = "Only the newest 5,000 messages of this person were looked through"
	if a := busy(700); !strings.Contains(a.body, viewed) || strings.Contains(a.body, early) {
		t.Errorf("not found below 700 messages: %s", words(a.body))
	}
	if a := busy(viewingsAmong); strings.Contains(a.body, viewed) || !strings.Contains(a.body, early) || strings.Contains(a.body, "None so far.") {
		t.Errorf("the page does not say that it stopped: %s", words(a.body))
	}
	for range viewingsShown {
		s.written("viewing-1", viewingmsg.VideoViewed{UserID: userID}, by)
	}
	if a := b.shown(views.AdminUserPath(userID)); strings.Contains(a.body, early) {
		t.Error("the page says that it stopped, and had all that it shows")
	}
}

// However much is written, a page gets a few frames a second, and the last one is true.
func TestPagesRest(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.admin()
	s.written("viewing-1", viewingmsg.VideoViewed{})
	s.caughtUp()
	began := time.Now()
	follows := map[string]<-chan string{}
	for _, path := range []string{views.AdminPath, views.AdminCategoriesPath, views.AdminTypesPath} {
		follows[path] = b.frames(livePath(path))
	}
	for i := range 400 {
		s.written("viewing-1", viewingmsg.VideoViewed{})
		if i%20 == 0 {
			s.caughtUp()
		}
	}
	s.foreign("last-1", "TheLast", `{}`, `{}`)
	for path, frames := range follows {
		want, n := map[string]string{views.AdminCategoriesPath: views.AdminCategoryPath("last")}[path], 0
		if want == "" {
			want = "TheLast"
		}
		for frame := range frames {
			if n++; strings.Contains(frame, want) {
				break
			}
		}
		if took := time.Since(began); n > int(took/restOfPages)+2 {
			t.Errorf("%s: %d frames in %s", path, n, took)
		}
	}
}

// A trace is read from its beginning.
func TestTrace(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.admin()
	trace := messagestore.NewID()
	var want []string
	for range 3 {
		m := s.written(viewingmsg.Category.Stream(messagestore.NewID()), viewingmsg.VideoViewed{}, messagestore.WithMetadata(messagestore.Metadata{TraceID: trace}))
		want = append(want, views.AdminMessagePath(m.ID))
	}
	a := b.shown(views.AdminTracePath(trace))
	list := a.body[strings.LastIndex(a.body, "<table"):]
	if got := rows(answer{body: list}); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func TestPerson(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.admin()
	userID := s.registered("ada@example.org")
	by := messagestore.WithMetadata(messagestore.Metadata{UserID: userID, TraceID: messagestore.NewID()})
	viewed := s.written(viewingmsg.Category.Stream(messagestore.NewID()), viewingmsg.VideoViewed{UserID: userID}, by)
	s.written(authenticationmsg.Category.Stream(userID), authenticationmsg.UserLoggedIn{UserID: userID, SessionID: messagestore.NewID(), Browser: "Firefox on Linux"}, by)
	s.caughtUp()
	a := b.shown(views.AdminUserPath(userID))
	for _, want := range []string{"Firefox on Linux", views.AdminMessagePath(viewed.ID), views.AdminStreamPath("identity-" + userID), views.AdminStreamPath("authentication-" + userID), views.AdminUserMessagesPath(userID), "not confirmed"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %s", want)
		}
	}
	if got := rows(b.shown(views.AdminUsersPath)); !slices.Equal(got, []string{views.AdminUserPath(userID)}) {
		t.Errorf("%v", got)
	}
	// A new password ends the sessions from before.
	s.written(identitymsg.Category.Stream(userID), identitymsg.PasswordChanged{UserID: userID, PasswordHash: "y"}, by)
	s.caughtUp()
	if a := b.shown(views.AdminUserPath(userID)); !strings.Contains(a.body, "password-changed") {
		t.Error("a session from before the password is shown as open")
	}
	// Somebody whose account is not there did something all the same.
	gone := messagestore.NewID()
	s.written("viewing-1", viewingmsg.VideoViewed{}, messagestore.WithMetadata(messagestore.Metadata{UserID: gone}))
	s.caughtUp()
	if a := b.shown(views.AdminUserPath(gone)); !strings.Contains(a.body, "Nobody with this id has an account.") {
		t.Error(a.body)
	}
	if a := b.get(views.AdminUserPath(messagestore.NewID())); a.status != http.StatusNotFound {
		t.Error(a.status)
	}
}
