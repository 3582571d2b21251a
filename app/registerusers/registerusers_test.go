package registerusers

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/registrations"
	"videotutorials/aggregators/usercredentials"
	"videotutorials/app/live"
	"videotutorials/app/password"
	"videotutorials/app/web"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/components/sendemail/sendemailmsg"
	"videotutorials/db"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const secretWord = "correct horse battery"

// site is the application over a real store and real view data. What components would
// write the tests write.
type site struct {
	t     *testing.T
	ctx   context.Context
	app   *App
	store *messagestore.Store
	all   *messagestore.Subscriptions
	url   string
}

func start(t *testing.T, change ...func(*web.Config)) *site {
	t.Helper()
	database, log := dbtest.New(t), slog.New(slog.DiscardHandler)
	listenMessages, err := db.ListenConfig(database.MessageStoreURL)
	if err != nil {
		t.Fatal(err)
	}
	listenViews, err := db.ListenConfig(database.ViewsURL)
	if err != nil {
		t.Fatal(err)
	}
	key, err := identitymsg.NewKey([]byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, store: messagestore.New(database.MessageStore)}
	hub := live.New(log)
	sessions := web.NewSessions([]byte(strings.Repeat("s", 32)), false, func(_ context.Context, userID, sessionID string, _ int64) (web.Person, bool, error) {
		return web.Person{UserID: userID, SessionID: sessionID}, true, nil
	})
	at := time.Now() // stands still for the limits, and nobody waits for a turn
	limits := web.NewLimits(func() time.Time { return at }, func(ctx context.Context, _ time.Duration) error { return ctx.Err() })
	s.app = New(s.store, registrations.NewQueries(database.Views), usercredentials.NewQueries(database.Views), password.NewHasher(1), limits, sessions, key, hub)
	config := web.Config{AppName: "Test", Log: log, Sessions: sessions}
	for _, change := range change {
		change(&config)
	}
	router := web.New(config)
	s.app.Routes(router)
	router.POST("/test/log-in", func(c echo.Context) error {
		return errors.Join(sessions.LogIn(c, messagestore.NewID(), messagestore.NewID(), 0), c.NoContent(http.StatusOK))
	})
	router.POST("/test/remember/:trace", func(c echo.Context) error {
		return errors.Join(sessions.Remember(c, c.Param("trace")), c.NoContent(http.StatusOK))
	})
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	s.url = server.URL

	s.all = messagestore.NewSubscriptions(listenMessages, log, append(registrations.New(s.store, database.Views).Subscriptions(),
		usercredentials.New(s.store, database.Views).Subscriptions()...)...)
	listener := &messagestore.Listener{Config: listenViews, Channel: "views", Notified: hub.Notify, Connected: hub.Resync, Disconnected: hub.Deaf}
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{s.all.Run, listener.Run, hub.Run} {
		running.Go(func() { run(s.ctx) })
	}
	t.Cleanup(func() { cancel(); running.Wait() })
	return s
}

// happened writes an event or a command as a component would, and waits until it is seen.
func (s *site) happened(stream messagestore.Stream, body messagestore.Body, options ...messagestore.WriteOption) {
	s.t.Helper()
	if _, err := s.store.Write(s.ctx, stream, body, options...); err != nil {
		s.t.Fatal(err)
	}
	if err := s.all.CaughtUp(s.ctx, s.store); err != nil {
		s.t.Fatalf("%v; %+v", err, s.all.Status())
	}
}

func (s *site) commands() []messagestore.Raw {
	s.t.Helper()
	list, err := s.store.ReadCategory(s.ctx, identitymsg.Category.Commands(), messagestore.CategoryQuery{})
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

type browser struct {
	*site
	client *http.Client
}

func (s *site) browser() *browser {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &browser{s, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

type answer struct {
	status    int
	body, to  string
	cacheable string
}

func (b *browser) ask(method, path string, fields ...string) answer {
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	r, err := http.NewRequestWithContext(b.ctx, method, b.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Error(err)
		return answer{}
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := b.client.Do(r)
	if err != nil {
		b.t.Error(err)
		return answer{}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Error(err)
	}
	return answer{response.StatusCode, string(body), response.Header.Get("Location"), response.Header.Get("Cache-Control")}
}

func (b *browser) get(path string) answer { return b.ask(http.MethodGet, path) }
func (b *browser) post(path string, fields ...string) answer {
	return b.ask(http.MethodPost, path, fields...)
}

var (
	formID     = regexp.MustCompile(`name="id" value="([^"]*)"`)
	liveURL    = regexp.MustCompile(`hx-sse:connect="([^"]*)"`)
	refreshing = regexp.MustCompile(`http-equiv="refresh" content="(\d+)"`)
)

func found(t *testing.T, pattern *regexp.Regexp, body string) string {
	t.Helper()
	match := pattern.FindStringSubmatch(body)
	if match == nil {
		t.Fatalf("no %s in\n%s", pattern, body)
	}
	return strings.ReplaceAll(match[1], "&amp;", "&")
}

// register fills in the form, and returns the page that it leads to and its trace.
func (b *browser) register(email string) (page, traceID string) {
	b.t.Helper()
	id := found(b.t, formID, b.get("/register").body)
	a := b.post("/register", "id", id, "email", email, "password", secretWord)
	traceID, ok := strings.CutPrefix(a.to, "/register/")
	if a.status != http.StatusSeeOther || !ok || !messagestore.ValidID(traceID) {
		b.t.Fatalf("%d %s\n%s", a.status, a.to, a.body)
	}
	return a.to, traceID
}

// states are those of the steps of a page or a fragment, in their order.
func states(html string) string {
	var list []string
	for _, m := range regexp.MustCompile(`data-step="([a-z-]+)"\s+data-state="([a-z]+)"`).FindAllStringSubmatch(html, -1) {
		list = append(list, m[1]+" "+m[2])
	}
	return strings.Join(list, ", ")
}

// frames opens an event stream and returns its frames. It is closed when there are none
// to come.
func (b *browser) frames(path string) <-chan string {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.ctx, http.MethodGet, b.url+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	response, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: %d", path, response.StatusCode)
	}
	frames := make(chan string, 100)
	go func() {
		defer close(frames)
		defer response.Body.Close()
		var frame strings.Builder
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			if data, ok := strings.CutPrefix(lines.Text(), "data:"); ok {
				frame.WriteString(data + "\n")
			} else if lines.Text() == "" && frame.Len() > 0 {
				frames <- frame.String()
				frame.Reset()
			}
		}
	}()
	return frames
}

// await returns the first frame with a text.
func (s *site) await(frames <-chan string, text string) string {
	s.t.Helper()
	for {
		select {
		case frame, ok := <-frames:
			if !ok {
				s.t.Fatalf("the stream ended without %q", text)
			}
			if strings.Contains(frame, text) {
				return frame
			}
		case <-s.ctx.Done():
			s.t.Fatalf("no frame with %q", text)
		}
	}
}

// What is wrong with a form comes back with it, the password does not.
func TestFormThatIsWrong(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.browser()
	for _, wrong := range []struct{ email, password, says string }{
		{"nobody<b>", "long enough to pass", "register-email-problem"},
		{"a@example.com", "short", "register-password-problem"},
		{"a@example.com", "password1", "register-password-problem"},
		{"victim@example.com\r\nBcc: all@example.com", "long enough to pass", "register-email-problem"},
	} {
		a := b.post("/register", "id", messagestore.NewID(), "email", wrong.email, "password", wrong.password)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, wrong.says) || a.cacheable != "no-store" {
			t.Errorf("%+v: %d, %s\n%s", wrong, a.status, a.cacheable, a.body)
		}
		if strings.Contains(a.body, `value="`+wrong.password) || strings.Contains(a.body, "<b>") {
			t.Errorf("%+v comes back as\n%s", wrong, a.body)
		}
	}
	if a := b.post("/register", "email", "a@example.com", "password", "short"); !strings.Contains(a.body, `value="a@example.com"`) {
		t.Errorf("the address is lost:\n%s", a.body)
	}
	if a := b.post("/register?password=in+the+address+of+it", "email", "a@example.com"); a.status != http.StatusUnprocessableEntity {
		t.Errorf("a password in the address of the page: %d", a.status)
	}
	if list := s.commands(); len(list) != 0 {
		t.Errorf("%d commands were written", len(list))
	}
}

// A form that is posted again, at the same time or later, registers nobody again.
func TestDoubleClick(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.browser()
	id := found(t, formID, b.get("/register").body)
	pages := make([]string, 4)
	var posts sync.WaitGroup
	for i := range pages {
		posts.Go(func() {
			pages[i] = b.post("/register", "id", id, "email", " Anna@Example.com ", "password", secretWord).to
		})
	}
	posts.Wait()
	again := b.post("/register", "id", id, "email", "anna@example.com", "password", secretWord).to
	for _, page := range append(pages, again) {
		if page != pages[0] || page == "" {
			t.Errorf("pages %q, %q", pages, again)
		}
	}
	list := s.commands()
	if len(list) != 1 {
		t.Fatalf("%d commands", len(list))
	}
	m, err := messagestore.Decode[identitymsg.Register](list[0])
	if err != nil {
		t.Fatal(err)
	}
	traceID := strings.TrimPrefix(pages[0], "/register/")
	ok, _, err := s.app.passwords.Verify(s.ctx, secretWord, m.Data.PasswordHash)
	if err != nil || !ok || m.Data.Email != "Anna@Example.com" && m.Data.Email != "anna@example.com" || m.Metadata.TraceID != traceID ||
		m.Stream != identitymsg.Category.CommandStream(m.Data.UserID) || m.Metadata.UserID != m.Data.UserID {
		t.Errorf("%v %v: %+v", ok, err, m.Metadata)
	}
	if b.get(pages[0]).status != http.StatusOK {
		t.Error("the page is not there")
	}
	corrected := b.post("/register", "id", id, "email", "anna@example.org", "password", secretWord).to
	if corrected == pages[0] || len(s.commands()) != 2 {
		t.Errorf("a corrected address leads to %s", corrected)
	}
	stranger := s.browser()
	if page := stranger.post("/register", "id", id, "email", "anna@example.com", "password", secretWord).to; page == pages[0] {
		t.Error("another browser with the same form finds this one's registration")
	}
}

// Of two passwords that one form is sent with the first counts, and the second is not
// taken for it.
func TestAnotherPassword(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.browser()
	id := found(t, formID, b.get("/register").body)
	const other = "another horse battery"
	first := b.post("/register", "id", id, "email", "anna@example.com", "password", secretWord)
	a := b.post("/register", "id", id, "email", "Anna@example.com", "password", other)
	if a.status != http.StatusUnprocessableEntity || a.cacheable != "no-store" || !strings.Contains(a.body, `value="Anna@example.com"`) ||
		!strings.Contains(a.body, "This form was sent before with another password, and that one counts.") || strings.Contains(a.body, other) {
		t.Errorf("%d %s\n%s", a.status, a.to, a.body)
	}
	if again := found(t, formID, a.body); again == id || !messagestore.ValidID(again) {
		t.Errorf("the form comes back with the id %q", again)
	}
	list := s.commands()
	if len(list) != 1 {
		t.Fatalf("%d commands", len(list))
	}
	if ok, err := s.app.passwords.Sets(s.ctx, list[0], secretWord); err != nil || !ok {
		t.Errorf("the password is not the first one: %v", err)
	}
	if again := b.post("/register", "id", id, "email", "anna@example.com", "password", secretWord); again.to != first.to || again.to == "" {
		t.Errorf("the same once more leads to %d %s, the first to %s", again.status, again.to, first.to)
	}
}

// Where mails are kept, the page and its stream say so.
func TestMailsThatAreKept(t *testing.T) {
	t.Parallel()
	for _, kept := range []bool{false, true} {
		s := start(t, func(c *web.Config) { c.MailsKept = kept })
		b := s.browser()
		page, traceID := b.register("anna@example.com")
		userID := userOf(traceID)
		identity := identitymsg.Category.Stream(userID)
		frames := b.frames(page + "/live")
		s.happened(identity, identitymsg.Registered{UserID: userID, Email: "anna@example.com"})
		s.happened(identity, identitymsg.RegistrationEmailSent{UserID: userID, EmailID: identitymsg.WelcomeEmailID(userID)})
		for _, html := range []string{b.get(page).body, s.await(frames, `"email-sent" data-state="done"`)} {
			if strings.Contains(html, "This site sends no mail yet") != kept || strings.Contains(html, "among the spam") == kept {
				t.Errorf("mails are kept: %t\n%s", kept, html)
			}
		}
	}
}

// Each step shows when it has taken place, on the page and on its stream.
func TestSteps(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.browser()
	page, traceID := b.register("anna@example.com")
	userID := userOf(traceID)
	identity, origin := identitymsg.Category.Stream(userID), messagestore.Origin(identitymsg.Category.Stream(userID))
	emailID := identitymsg.WelcomeEmailID(userID)
	mail := sendemailmsg.Mail{EmailID: emailID, To: "anna@example.com"}

	first := b.get(page)
	if got := states(first.body); first.status != http.StatusOK ||
		got != "received done, registered waiting, email-queued waiting, email-sent waiting, confirmed waiting" {
		t.Fatalf("%d: %s\n%s", first.status, got, first.body)
	}
	frames := b.frames(found(t, liveURL, first.body))
	for _, step := range []struct {
		stream  messagestore.Stream
		body    messagestore.Body
		shows   string
		refresh string
	}{
		{identity, identitymsg.Registered{UserID: userID, Email: "anna@example.com"}, "received done, registered done, email-queued waiting, email-sent waiting, confirmed waiting", "1"},
		{sendemailmsg.Category.CommandStream(emailID), sendemailmsg.Send{Mail: mail}, "received done, registered done, email-queued done, email-sent waiting, confirmed waiting", "1"},
		{identity, identitymsg.RegistrationEmailSent{UserID: userID, EmailID: emailID}, "received done, registered done, email-queued done, email-sent done, confirmed waiting", ""},
		{identity, identitymsg.EmailConfirmed{UserID: userID, Email: "anna@example.com"}, "received done, registered done, email-queued done, email-sent done, confirmed done", ""},
	} {
		s.happened(step.stream, step.body, origin)
		for got := ""; got != step.shows; {
			got = states(s.await(frames, "data-step"))
		}
		a := b.get(page)
		if got := states(a.body); got != step.shows {
			t.Errorf("after %s: %s", step.body.MessageType(), got)
		}
		if refresh := refreshing.FindStringSubmatch(a.body); (refresh == nil) != (step.refresh == "") || refresh != nil && refresh[1] != step.refresh {
			t.Errorf("after %s it loads itself again after %v s", step.body.MessageType(), refresh)
		}
		if look := strings.Contains(a.body, "Look again"); look != strings.HasSuffix(step.shows, "email-sent done, confirmed waiting") {
			t.Errorf("after %s there is a link to look again: %t", step.body.MessageType(), look)
		}
	}
	if liveURL.MatchString(b.get(page).body) {
		t.Error("the page follows a registration that is complete")
	}
	if got := states(s.await(b.frames(page+"/live"), "data-step")); !strings.HasSuffix(got, "confirmed done") {
		t.Errorf("a stream of a page that shows nothing begins with %s", got)
	}
}

// A refusal brings the form back, with an id that is not used up.
func TestRefusal(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.browser()
	page, traceID := b.register("anna@example.com")
	userID := userOf(traceID)
	s.happened(identitymsg.Category.Stream(userID), identitymsg.RegistrationRejected{UserID: userID, Email: "anna@example.com", Reason: identitymsg.EmailTaken})
	a := b.get(page)
	id := found(t, formID, a.body)
	if a.status != http.StatusOK || !strings.Contains(a.body, `value="anna@example.com"`) || !strings.Contains(states(a.body), "registered failed") ||
		liveURL.MatchString(a.body) || refreshing.MatchString(a.body) || strings.Contains(a.body, secretWord) {
		t.Errorf("%d\n%s", a.status, a.body)
	}
	if id != found(t, formID, b.get(page).body) {
		t.Error("the form changes each time that it is shown")
	}
	for _, email := range []string{"anna@example.com", "anna@example.org"} {
		if to := b.post("/register", "id", id, "email", email, "password", secretWord).to; !strings.HasPrefix(to, "/register/") || to == page {
			t.Errorf("%s leads to %s", email, to)
		}
	}
	if n := len(s.commands()); n != 3 {
		t.Errorf("%d commands", n)
	}
}

// After five seconds without a step the page says what it waits for.
func TestLate(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.browser()
	page, traceID := b.register("anna@example.com")
	if a := b.get(page); strings.Contains(a.body, "data-late") || found(t, refreshing, a.body) != "1" {
		t.Errorf("late at once\n%s", a.body)
	}
	s.app.now = func() time.Time { return time.Now().Add(web.LateAfter) }
	if a := b.get(page); !strings.Contains(a.body, "data-late") || found(t, refreshing, a.body) != "10" {
		t.Errorf("not late after five seconds\n%s", a.body)
	}
	userID := userOf(traceID)
	s.happened(identitymsg.Category.Stream(userID), identitymsg.RegistrationRejected{UserID: userID, Email: "anna@example.com", Reason: identitymsg.EmailTaken})
	if strings.Contains(b.get(page).body, "data-late") {
		t.Error("late although nothing is waited for")
	}
}

// Another mail can be asked for, by a double click once.
func TestResend(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.browser()
	page, traceID := b.register("anna@example.com")
	at := time.Now()
	s.app.now = func() time.Time { return at }
	first, second := b.post(page+"/resend"), b.post(page+"/resend")
	if first.status != http.StatusSeeOther || first.to != second.to || !strings.HasPrefix(first.to, "/account/operations/") {
		t.Fatalf("%d %s, %d %s", first.status, first.to, second.status, second.to)
	}
	at = at.Add(time.Minute)
	if third := b.post(page + "/resend"); third.to == first.to {
		t.Error("it cannot be asked for again")
	}
	list := s.commands()
	if len(list) != 3 {
		t.Fatalf("%d commands", len(list))
	}
	m, err := messagestore.Decode[identitymsg.RequestConfirmation](list[1])
	if err != nil || m.Type != "RequestConfirmation" || m.Data.UserID != userOf(traceID) || first.to != "/account/operations/"+m.Metadata.TraceID {
		t.Errorf("%v: %+v", err, m)
	}
}

// There is nothing to ask for once the address is confirmed.
func TestResendWhenConfirmed(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.browser()
	page, traceID := b.register("anna@example.com")
	userID := userOf(traceID)
	s.happened(identitymsg.Category.Stream(userID), identitymsg.Registered{UserID: userID, Email: "anna@example.com"})
	if a := b.post(page + "/resend"); a.status != http.StatusSeeOther {
		t.Errorf("not confirmed: %d", a.status)
	}
	s.happened(identitymsg.Category.Stream(userID), identitymsg.EmailConfirmed{UserID: userID, Email: "anna@example.com"})
	s.app.now = func() time.Time { return time.Now().Add(time.Minute) }
	if a := b.post(page + "/resend"); a.status != http.StatusNotFound || !strings.Contains(a.body, "confirmed already") {
		t.Errorf("confirmed: %d\n%s", a.status, a.body)
	}
	if n := len(s.commands()); n != 2 {
		t.Errorf("%d commands", n)
	}
}

// One source can neither fill the queue of passwords nor send mails without end.
func TestTooMany(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.browser()
	page, _ := b.register("anna@example.com")
	posts := 1
	for ; b.post("/register", "email", "anna@example.com").status == http.StatusUnprocessableEntity; posts++ {
		if posts > 1000 {
			t.Fatal("there is no end")
		}
	}
	if posts != 350 { // 300 at once and 50 that wait
		t.Errorf("%d posts", posts)
	}
	for _, a := range []answer{
		b.post("/register", "id", messagestore.NewID(), "email", "b@example.com", "password", secretWord),
		b.post(page + "/resend"),
	} {
		if a.status != http.StatusTooManyRequests {
			t.Errorf("%d", a.status)
		}
	}
	if n := len(s.commands()); n != 1 {
		t.Errorf("%d commands", n)
	}
	if b.get(page).status != http.StatusOK || b.get("/register").status != http.StatusOK {
		t.Error("pages are refused, too")
	}
}

// A registration is its own browser's.
func TestOthersRegistration(t *testing.T) {
	t.Parallel()
	s := start(t)
	b, stranger := s.browser(), s.browser()
	page, _ := b.register("anna@example.com")
	stranger.register("berta@example.com")
	other := messagestore.NewID() // the trace of something else that it asked for
	stranger.post("/test/remember/" + other)
	for _, path := range []string{page, "/register/" + other, "/register/" + messagestore.NewID(), "/register/x", "/register/" + strings.ToUpper(page[len("/register/"):])} {
		for _, a := range []answer{stranger.get(path), stranger.get(path + "/live"), stranger.post(path + "/resend")} {
			if a.status != http.StatusNotFound || strings.Contains(a.body, "anna") {
				t.Errorf("%s: %d\n%s", path, a.status, a.body)
			}
		}
	}
	if n := len(s.commands()); n != 2 {
		t.Errorf("%d commands", n)
	}
}

// Whoever is signed in has an account.
func TestSignedIn(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.browser()
	page, _ := b.register("anna@example.com")
	b.post("/test/log-in")
	for _, a := range []answer{b.get("/register"), b.post("/register", "email", "b@example.com", "password", secretWord)} {
		if a.status != http.StatusSeeOther || a.to != "/account" {
			t.Errorf("%d %s", a.status, a.to)
		}
	}
	if a := b.get(page); a.status != http.StatusOK {
		t.Errorf("after the log-in the registration is %d", a.status)
	}
}
