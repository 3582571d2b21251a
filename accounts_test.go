package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/mail"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/labstack/echo/v4"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/net/html"

	"videotutorials/components/authentication/authenticationmsg"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/components/sendemail/sendemailmsg"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

const (
	formType     = "application/x-www-form-urlencoded"
	goodPassword = "seven quiet lighthouses"
	nextPassword = "eleven loud lighthouses"
)

// visitor is a browser without scripts: it keeps cookies, sends forms as they stand
// on the page, and shows where an answer leads instead of going there.
type visitor struct {
	t      testing.TB
	client *http.Client
	url    string
}

func visit(t *testing.T, s *site) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, s.url}
}

// visitFrom is a visit from another address of this machine.
func visitFrom(t *testing.T, s *site, address string) *visitor {
	t.Helper()
	v := visit(t, s)
	v.client.Transport = &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).DialContext}
	return v
}

func (v *visitor) get(path string) answer {
	v.t.Helper()
	return ask(v.t, v.client, http.MethodGet, v.url+path, "", nil)
}

func (v *visitor) post(path string, form url.Values, headers ...string) answer {
	v.t.Helper()
	return ask(v.t, v.client, http.MethodPost, v.url+path, formType, strings.NewReader(form.Encode()), headers...)
}

// form returns what the form of a page that goes to an address would send, filled
// with pairs of name and value.
func (v *visitor) form(page, action string, typed ...string) url.Values {
	v.t.Helper()
	a := v.get(page)
	values, ok := formIn(a.body, action)
	if a.status != http.StatusOK || !ok {
		v.t.Fatalf("%s (%d, leads to %q) has no form that goes to %s\n%s", page, a.status, a.header.Get("Location"), action, said(a.body))
	}
	for i := 0; i+1 < len(typed); i += 2 {
		if !values.Has(typed[i]) {
			v.t.Fatalf("the form to %s has no field %q, only %v", action, typed[i], values)
		}
		values.Set(typed[i], typed[i+1])
	}
	return values
}

// submit opens a page, fills its form and sends it.
func (v *visitor) submit(page, action string, typed ...string) answer {
	v.t.Helper()
	return v.post(action, v.form(page, action, typed...))
}

// formIn finds a form by where it goes, and what it sends as it stands.
func formIn(page, action string) (url.Values, bool) {
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return nil, false
	}
	attribute := func(n *html.Node, name string) string {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val
			}
		}
		return ""
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "form" || attribute(n, "action") != action {
			continue
		}
		values := url.Values{}
		for field := range n.Descendants() {
			if name := attribute(field, "name"); field.Type == html.ElementNode && name != "" {
				values.Set(name, attribute(field, "value"))
			}
		}
		return values, true
	}
	return nil, false
}

// said returns what a page says, for the log of a test.
func said(page string) string {
	if _, main, found := strings.Cut(page, "<main"); found {
		page, _, _ = strings.Cut("<main"+main, "</main>")
	}
	return strings.Join(strings.Fields(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(page, " ")), " ")
}

// difference returns where two texts part.
func difference(a, b string) string {
	at := 0
	for at < min(len(a), len(b)) && a[at] == b[at] {
		at++
	}
	from := max(0, at-60)
	return fmt.Sprintf("…%q… and …%q…", a[from:min(len(a), at+60)], b[from:min(len(b), at+60)])
}

var registrationPath = regexp.MustCompile(`^/register/[0-9a-f-]{36}$`)

// register sends the form and returns the page that follows the registration.
func (v *visitor) register(email, password string) (page string) {
	v.t.Helper()
	a := v.submit("/register", "/register", "email", email, "password", password)
	page = a.header.Get("Location")
	if a.status != http.StatusSeeOther || !registrationPath.MatchString(page) {
		v.t.Fatalf("registering as %s: %d, leads to %q\n%s", email, a.status, page, said(a.body))
	}
	return page
}

// reached waits until a registration's page says that a step is done.
func (v *visitor) reached(page, step string) {
	v.t.Helper()
	until(v.t, page+" shows "+step, func() bool { return stepState(v.get(page).body, step) == "done" })
}

func stepState(page, step string) string {
	found := regexp.MustCompile(`data-step="` + step + `"[^>]*data-state="([a-z]+)"`).FindStringSubmatch(page)
	if found == nil {
		return ""
	}
	return found[1]
}

func (v *visitor) logIn(email, password string) answer {
	v.t.Helper()
	return v.submit("/auth/log-in", "/auth/log-in", "email", email, "password", password)
}

// entered logs in and demands that it works.
func (v *visitor) entered(email, password string) *visitor {
	v.t.Helper()
	if a := v.logIn(email, password); a.status != http.StatusSeeOther || a.header.Get("Location") != "/" {
		v.t.Fatalf("log-in of %s: %d, leads to %q\n%s", email, a.status, a.header.Get("Location"), said(a.body))
	}
	if !v.isIn() {
		v.t.Fatalf("%s is not signed in after the log-in", email)
	}
	return v
}

func (v *visitor) isIn() bool {
	v.t.Helper()
	a := v.get("/account")
	switch {
	case a.status == http.StatusOK:
		return true
	case a.status == http.StatusSeeOther && strings.HasPrefix(a.header.Get("Location"), "/auth/log-in?next="):
		return false
	}
	v.t.Fatalf("/account: %d, leads to %q\n%s", a.status, a.header.Get("Location"), said(a.body))
	return false
}

// member registers somebody and logs them in.
func member(t *testing.T, s *site, email, password string) *visitor {
	t.Helper()
	v := visit(t, s)
	v.reached(v.register(email, password), "registered")
	return v.entered(email, password)
}

// done follows an operation on the account or on a video to its end.
func (v *visitor) done(a answer) answer {
	v.t.Helper()
	page := v.asked(a)
	var last answer
	until(v.t, page+" has an outcome", func() bool {
		last = v.get(page)
		return last.status == http.StatusOK && !strings.Contains(last.body, `data-operation="pending"`)
	})
	return last
}

// asked demands that a form was taken, and returns the page that says what comes of it.
func (v *visitor) asked(a answer) (page string) {
	v.t.Helper()
	page = a.header.Get("Location")
	if a.status != http.StatusSeeOther || !strings.HasPrefix(page, "/account/operations/") && !strings.HasPrefix(page, "/creators-portal/video-operations/") {
		v.t.Fatalf("%d, leads to %q\n%s", a.status, page, said(a.body))
	}
	return page
}

// letter is a mail that was written to a file.
type letter struct {
	to, subject, text, html string
	header                  mail.Header
	source                  string
}

func outboxOf(s *site) string { return filepath.Join(dataDir(s), "outbox") }

// letters returns the mails to somebody, or all, in no order.
func letters(t *testing.T, dir, to string) (found []letter) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if l := readLetter(t, string(source)); to == "" || strings.Contains(l.to, to) {
			found = append(found, l)
		}
	}
	return found
}

func readLetter(t *testing.T, source string) letter {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(source))
	if err != nil {
		t.Fatalf("%v\n%s", err, source)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	l := letter{to: m.Header.Get("To"), subject: subject, header: m.Header, source: source}
	kind, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("a mail of type %s: %v", kind, err)
	}
	for parts := multipart.NewReader(m.Body, parameters["boundary"]); ; {
		part, err := parts.NextPart() // decodes quoted-printable
		if err == io.EOF {
			return l
		}
		if err != nil {
			t.Fatal(err)
		}
		var body io.Reader = part
		if strings.EqualFold(part.Header.Get("Content-Transfer-Encoding"), "base64") {
			body = base64.NewDecoder(base64.StdEncoding, part)
		}
		text, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/html") {
			l.html = string(text)
		} else {
			l.text = string(text)
		}
	}
}

// mailed waits for a mail to somebody with a link to a page, and returns the link's
// path and query.
func mailed(t *testing.T, dir, to, page string) (link string) {
	t.Helper()
	until(t, "a mail to "+to+" links to "+page, func() bool {
		for _, l := range letters(t, dir, to) {
			if link = linkIn(l.text, page); link != "" {
				return true
			}
		}
		return false
	})
	return link
}

func linkIn(text, page string) string {
	found := regexp.MustCompile(`https?://[^/\s]+(` + regexp.QuoteMeta(page) + `[^\s<>"]*)`).FindStringSubmatch(text)
	if found == nil {
		return ""
	}
	return found[1]
}

// messagesIn returns all messages of a category, or only those of one type.
func messagesIn(t testing.TB, database *dbtest.DB, category messagestore.Category, kind messagestore.Body) (found []messagestore.Raw) {
	t.Helper()
	all, err := messagestore.New(database.MessageStore).ReadCategory(within(t), category, messagestore.CategoryQuery{Limit: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if kind == nil || m.Type == kind.MessageType() {
			found = append(found, m)
		}
	}
	return found
}

// decoded is messagesIn with the bodies read.
func decoded[T messagestore.Body](t testing.TB, database *dbtest.DB, category messagestore.Category) (found []T) {
	t.Helper()
	var kind T
	for _, raw := range messagesIn(t, database, category, kind) {
		m, err := messagestore.Decode[T](raw)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, m.Data)
	}
	return found
}

// written returns how many messages the store holds, but for those by which
// subscriptions remember how far they are.
func written(t testing.TB, database *dbtest.DB) (n int) {
	t.Helper()
	if err := database.MessageStore.QueryRow(within(t), `
		SELECT count(*) FROM message_store.messages WHERE message_store.category(stream_name) <> $1`, string(messagestore.PositionCategory)).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func rows(t testing.TB, database *dbtest.DB, table string) (n int) {
	t.Helper()
	if err := database.Views.QueryRow(within(t), `SELECT count(*) FROM `+pgx.Identifier{table}.Sanitize()).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// settled waits until everything that was written is handled, and nothing more comes of
// it. Of two sites that share the databases one or the other does the work.
func settled(t *testing.T, database *dbtest.DB, sites ...*site) {
	t.Helper()
	follows := regexp.MustCompile(`(?:subscription|elsewhere) +(\S+) follows (\S+)`).FindAllStringSubmatch(sites[0].output.String(), -1)
	until(t, "all that was written is handled", func() bool {
		before := written(t, database)
		handled := map[string]int64{}
		for _, s := range sites {
			_, h := healthOf(t, s)
			for _, sub := range h.Subscriptions {
				handled[sub.Name] = max(handled[sub.Name], sub.Position)
			}
		}
		for _, f := range follows {
			var head int64
			err := database.MessageStore.QueryRow(within(t), `SELECT coalesce(max(global_position), 0) FROM message_store.messages WHERE message_store.category(stream_name) = $1`, f[2]).Scan(&head)
			if err != nil {
				t.Fatal(err)
			}
			if handled[f[1]] < head {
				return false
			}
		}
		return len(follows) > 0 && written(t, database) == before
	})
}

func newestSession(t *testing.T, database *dbtest.DB) string {
	t.Helper()
	all := decoded[authenticationmsg.UserLoggedIn](t, database, authenticationmsg.Category)
	if len(all) == 0 {
		t.Fatal("nobody has logged in")
	}
	return all[len(all)-1].SessionID
}

// Twenty people want one address at once, each in another spelling, half of them at
// another process.
func TestOneAddressIsOnePerson(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	sites := []*site{startOn(t, database), startOn(t, database)}
	const people, address = 20, "ada.lovelace@example.test"
	visitors, forms := make([]*visitor, people), make([]url.Values, people)
	for i := range people {
		spelled := strings.Repeat(" ", i%3) + strings.ToUpper(address[:i]) + address[i:] + strings.Repeat("\t", i%2)
		visitors[i] = visit(t, sites[i%2])
		forms[i] = visitors[i].form("/register", "/register", "email", spelled, "password", goodPassword)
	}
	begin, answers := make(chan struct{}), make([]answer, people)
	done := make(chan struct{})
	for i := range people {
		go func() {
			defer func() { done <- struct{}{} }()
			<-begin
			answers[i] = visitors[i].post("/register", forms[i])
		}()
	}
	close(begin)
	for range people {
		<-done
	}
	registered, rejected := 0, 0
	for i, a := range answers {
		page := a.header.Get("Location")
		if a.status != http.StatusSeeOther || !registrationPath.MatchString(page) {
			t.Fatalf("%d, leads to %q\n%s", a.status, page, said(a.body))
		}
		var body string
		until(t, "the registration is decided", func() bool {
			body = visitors[i].get(page).body
			_, again := formIn(body, "/register")
			return again || stepState(body, "registered") == "done"
		})
		again, isForm := formIn(body, "/register")
		if !isForm {
			registered++
			visitors[i].reached(page, "email-sent")
			continue
		}
		rejected++
		if got := again.Get("email"); strings.TrimSpace(got) != strings.TrimSpace(forms[i].Get("email")) || again.Get("password") != "" || again.Get("id") == forms[i].Get("id") {
			t.Errorf("the form came back with %v", again)
		}
		if strings.Contains(body, goodPassword) {
			t.Error("the password came back")
		}
	}
	settled(t, database, sites...)
	if registered != 1 || rejected != people-1 {
		t.Errorf("%d pages say registered, %d refused", registered, rejected)
	}
	won := decoded[identitymsg.Registered](t, database, identitymsg.Category)
	lost := decoded[identitymsg.RegistrationRejected](t, database, identitymsg.Category)
	if len(won) != 1 || len(lost) != people-1 {
		t.Fatalf("%d Registered, %d RegistrationRejected", len(won), len(lost))
	}
	for _, r := range lost {
		if r.Reason != identitymsg.EmailTaken {
			t.Errorf("refused because of %s", r.Reason)
		}
	}
	if reserved := decoded[identitymsg.EmailReserved](t, database, identitymsg.AddressCategory); len(reserved) != 1 || reserved[0].UserID != won[0].UserID {
		t.Errorf("reservations: %v", reserved)
	}
	if n := rows(t, database, "user_credentials"); n != 1 {
		t.Errorf("%d rows of credentials", n)
	}
	if sent, files := len(messagesIn(t, database, sendemailmsg.Category, sendemailmsg.Sent{})), len(letters(t, outboxOf(sites[0]), ""))+len(letters(t, outboxOf(sites[1]), "")); sent != 1 || files != 1 {
		t.Errorf("%d mails were sent, %d files written", sent, files)
	}
	visit(t, sites[0]).entered("ADA.LOVELACE@EXAMPLE.TEST ", goodPassword)
}

// One form that is sent ten times is one registration.
func TestAFormSentTwiceIsOneRegistration(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	v := visit(t, s)
	form := v.form("/register", "/register", "email", "once@example.test", "password", goodPassword)
	pages := make(chan string, 10)
	for range cap(pages) {
		go func() { pages <- v.post("/register", form).header.Get("Location") }()
	}
	first := <-pages
	for range cap(pages) - 1 {
		if page := <-pages; page != first || !registrationPath.MatchString(page) {
			t.Errorf("one form led to %q and %q", first, page)
		}
	}
	v.reached(first, "email-sent")
	if n := len(messagesIn(t, database, identitymsg.Category.Commands(), identitymsg.Register{})); n != 1 {
		t.Errorf("%d commands", n)
	}
}

// A registration is confirmed by a click on the page that the link in its mail leads
// to. Programs that look at links confirm nothing.
func TestConfirmingAnAddress(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	v := visit(t, s)
	page := v.register("grace@example.test", goodPassword)
	link := mailed(t, outboxOf(s), "grace@example.test", "/confirm-email")
	v.reached(page, "email-sent")
	if state := stepState(v.get(page).body, "confirmed"); state != "waiting" {
		t.Errorf("before anybody followed the link the last step is %q", state)
	}
	scanner := visit(t, s)
	ask(t, scanner.client, http.MethodHead, s.url+link, "", nil)
	tampered := link[:len(link)-5] + "AAAAA"
	before := written(t, database)
	if a := scanner.get(tampered); a.status >= 500 || strings.Contains(a.body, "grace@") {
		t.Errorf("a link that was tampered with: %d\n%s", a.status, said(a.body))
	}
	form := scanner.form(link, "/confirm-email")
	bad := url.Values{}
	for name, values := range form {
		bad[name] = []string{strings.Repeat("A", len(values[0]))}
	}
	if a := scanner.post("/confirm-email", bad); a.status >= 500 || a.status == http.StatusSeeOther {
		t.Errorf("a form that was tampered with: %d, leads to %q", a.status, a.header.Get("Location"))
	}
	if n := written(t, database); n != before {
		t.Errorf("looking wrote %d messages", n-before)
	}
	for range 2 { // twice does no harm
		scanner.done(scanner.post("/confirm-email", form))
	}
	v.reached(page, "confirmed")
	if confirmed := decoded[identitymsg.EmailConfirmed](t, database, identitymsg.Category); confirmed[0].Email != "grace@example.test" {
		t.Errorf("confirmed: %v", confirmed)
	}
	if n := len(messagesIn(t, database, identitymsg.Category, identitymsg.EmailConfirmationRejected{})); n != 0 {
		t.Errorf("refused %d times", n)
	}
}

// Nobody sees what belongs to somebody else, and cannot tell it from what is not there.
func TestPagesOfOthersAreNotFound(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	owner := visit(t, s)
	registration := owner.register("owner@example.test", goodPassword)
	owner.reached(registration, "registered")
	owner.entered("owner@example.test", goodPassword)
	session := newestSession(t, database)
	other := member(t, s, "other@example.test", goodPassword)
	stranger := visit(t, s)
	changed := owner.submit("/account", "/account/password", "current_password", goodPassword, "password", nextPassword)
	owner.done(changed)
	operation := changed.header.Get("Location")

	none := messagestore.NewID()
	settled(t, database, s)
	before := written(t, database)
	for name, v := range map[string]*visitor{"another person": other, "a stranger": stranger} {
		for _, path := range []string{registration, registration + "/live", operation, operation + "/live",
			"/register/" + none, "/register/" + none + "/live", "/account/operations/" + none, "/account/operations/" + none + "/live", "/register/x", "/account/operations/x"} {
			if a := v.get(path); a.status != http.StatusNotFound || strings.Contains(a.body, "owner@") {
				t.Errorf("%s, GET %s: %d\n%s", name, path, a.status, said(a.body))
			}
		}
		if a := v.post(registration+"/resend", nil); a.status != http.StatusNotFound {
			t.Errorf("%s, POST %s/resend: %d", name, registration, a.status)
		}
	}
	for _, id := range []string{session, none, "x"} {
		if a := other.post("/account/sessions/"+id+"/end", nil); a.status != http.StatusNotFound {
			t.Errorf("another person ends session %s: %d", id, a.status)
		}
		if a := stranger.post("/account/sessions/"+id+"/end", nil); a.status != http.StatusSeeOther || a.header.Get("Location") != "/auth/log-in" {
			t.Errorf("a stranger ends session %s: %d, leads to %q", id, a.status, a.header.Get("Location"))
		}
	}
	if a := stranger.get("/account/live"); a.status != http.StatusUnauthorized {
		t.Errorf("a stranger's stream of an account: %d", a.status)
	}
	if after := written(t, database); after != before {
		t.Errorf("%d messages were written", after-before)
	}
	if !owner.isIn() || owner.get(registration).status != http.StatusOK || owner.get(operation).status != http.StatusOK {
		t.Error("the owner has lost something")
	}
}

// Whoever plants a session in somebody's browser is not signed in when they are, and a
// session that is over stays over.
func TestASessionIsRenewedAtLogIn(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	v := visit(t, s)
	v.reached(v.register("fixed@example.test", goodPassword), "registered")
	site, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	planted := v.client.Jar.Cookies(site)
	if len(planted) == 0 {
		t.Fatal("a visitor who registers has no session")
	}
	thief := visit(t, s)
	thief.client.Jar.SetCookies(site, planted)
	v.entered("fixed@example.test", goodPassword)
	if thief.isIn() {
		t.Error("the session from before the log-in is signed in")
	}
	signedIn := v.client.Jar.Cookies(site)
	for _, old := range planted {
		for _, now := range signedIn {
			if old.Name == now.Name && old.Value == now.Value && old.Name == "session" {
				t.Error("the session cookie is the same after the log-in")
			}
		}
	}
	if a := v.post("/auth/log-out", nil); a.status != http.StatusSeeOther {
		t.Errorf("log-out: %d", a.status)
	}
	if v.isIn() {
		t.Error("signed in after the log-out")
	}
	until(t, "a copy of the cookie is worth nothing after the log-out", func() bool {
		thief.client.Jar.SetCookies(site, signedIn)
		return !thief.isIn()
	})
	forged := *signedIn[0]
	forged.Value = strings.Repeat("A", len(forged.Value))
	thief.client.Jar.SetCookies(site, []*http.Cookie{&forged})
	if thief.isIn() {
		t.Error("a forged cookie is signed in")
	}
	for _, a := range []answer{visit(t, s).get("/register"), visit(t, s).logIn("fixed@example.test", goodPassword)} {
		cookies := a.header.Values("Set-Cookie")
		if len(cookies) == 0 {
			t.Error("no cookie")
		}
		for _, c := range cookies {
			if !strings.Contains(c, "HttpOnly") || !strings.Contains(c, "SameSite=Lax") || strings.Contains(c, "Domain") {
				t.Errorf("cookie: %s", c)
			}
		}
	}
}

// Every form refuses what another site makes a browser send, and writes nothing.
func TestOtherSitesCannotPost(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	v := member(t, s, "target@example.test", goodPassword)
	settled(t, database, s)
	before, posts := written(t, database), 0
	for _, route := range routes(t) {
		if route.Method != http.MethodPost {
			continue
		}
		posts++
		path := regexp.MustCompile(`:[^/]+`).ReplaceAllString(route.Path, messagestore.NewID())
		form := url.Values{"email": {"target@example.test"}, "password": {nextPassword}, "current_password": {goodPassword}, "id": {messagestore.NewID()}}
		for name, headers := range map[string][]string{
			"cross-site":    {"Sec-Fetch-Site", "cross-site"},
			"same-site":     {"Sec-Fetch-Site", "same-site"},
			"older browser": {"Origin", "https://elsewhere.example"},
		} {
			if a := v.post(path, form, headers...); a.status != http.StatusForbidden || len(a.header.Values("Set-Cookie")) != 0 {
				t.Errorf("POST %s, %s: %d, cookies %v", route.Path, name, a.status, a.header.Values("Set-Cookie"))
			}
		}
	}
	if posts < 14 {
		t.Errorf("only %d routes take a POST", posts)
	}
	if n := written(t, database); n != before || !v.isIn() {
		t.Errorf("%d messages were written; still signed in: %v", n-before, v.isIn())
	}
}

func routes(t *testing.T) []*echo.Route {
	t.Helper()
	return assembled(t).router.Routes()
}

// assembled is the program as it is put together, without anything running.
func assembled(t *testing.T) *program {
	t.Helper()
	p := &program{config: config{AppName: "Video Tutorials", DataDir: t.TempDir(), Environment: "development"}, log: slog.New(slog.DiscardHandler), baseURL: "http://localhost"}
	mails, outboxDir, err := p.config.transport(p.baseURL)
	if err != nil {
		t.Fatal(err)
	}
	p.store = messagestore.New(nil)
	p.assemble(settings{&pgx.ConnConfig{}, &pgx.ConnConfig{}, []byte(strings.Repeat("secret", 6)), mails, outboxDir, nil})
	return p
}

// After a log-in one lands where one was going, on this site.
func TestALogInLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	v := member(t, s, "guest@example.test", goodPassword)
	site, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	for next, lands := range map[string]string{
		"/account":                "/account",
		"/videos/x?a=1&b=%20c":    "/videos/x?a=1&b=%20c",
		"":                        "/",
		"account":                 "/",
		"//evil.example":          "/",
		"///evil.example":         "/",
		"/\\evil.example":         "/",
		"\\\\evil.example":        "/",
		"/\t/evil.example":        "/",
		"\t//evil.example":        "/",
		"/\n/evil.example":        "/",
		" //evil.example":         "/",
		"https://evil.example":    "/",
		"https:evil.example":      "/",
		"javascript:alert(1)":     "/",
		"/\r\nSet-Cookie: evil=1": "/",
		"@evil.example":           "/",
		".evil.example":           "/",
	} {
		v.post("/auth/log-out", nil)
		a := v.submit("/auth/log-in?next="+url.QueryEscape(next), "/auth/log-in", "email", "guest@example.test", "password", goodPassword)
		to := a.header.Get("Location")
		if a.status != http.StatusSeeOther || to != lands {
			t.Errorf("next=%q: %d, leads to %q, not to %q", next, a.status, to, lands)
		}
		if resolved, err := site.Parse(to); err != nil || resolved.Host != site.Host || a.header.Get("Set-Cookie") == "evil=1" {
			t.Errorf("next=%q leads away: %q, %v", next, to, err)
		}
	}
	v.post("/auth/log-out", nil)
	a := v.get("/account")
	way := a.header.Get("Location")
	a = v.submit(way, "/auth/log-in", "email", "guest@example.test", "password", "wrong "+goodPassword)
	if form, ok := formIn(a.body, "/auth/log-in"); !ok || form.Get("next") != "/account" || form.Get("email") != "guest@example.test" || form.Get("password") != "" {
		t.Errorf("after a wrong password the form is %v", form)
	}
	if a := v.submit(way, "/auth/log-in", "email", "guest@example.test", "password", goodPassword); a.header.Get("Location") != "/account" {
		t.Errorf("whoever was going to the account lands at %q", a.header.Get("Location"))
	}
}

// What is typed as an address never becomes a header of a mail, and a mail never goes
// to somebody that was smuggled in.
func TestAnAddressIsNoHeader(t *testing.T) {
	t.Parallel()
	database, mails := dbtest.New(t), startMailServer(t)
	s := start(t, folder(t), append(environment(database), "SMTP_URL="+mails.url))
	v := visit(t, s)
	for _, email := range []string{
		"a@example.test\r\nBcc: evil@example.test",
		"a@example.test\nBcc: evil@example.test",
		"a@example.test\rBcc: evil@example.test",
		"a\r\n@example.test",
		"a@example.test%0d%0aBcc:evil@example.test",
		"a@example.test\u2028Bcc: evil@example.test",
		"a@example.test\x00",
		"a@example.test, evil@example.test",
		"a@example.test;evil@example.test",
		"a@example.test>\r\nRCPT TO:<evil@example.test",
		"\"a\\r\\nBcc: evil@example.test\"@example.test",
		"evil@example.test <a@example.test>",
		"<a@example.test>",
		"=?utf-8?q?=0d=0aBcc:_evil=40example.test?=@example.test\r\n",
	} {
		a := v.submit("/register", "/register", "email", email, "password", goodPassword)
		again, isForm := formIn(a.body, "/register")
		if strings.HasSuffix(email, "\r\n") { // space around an address is no part of it
			continue
		}
		if a.status != http.StatusUnprocessableEntity || !isForm || again.Get("password") != "" {
			t.Errorf("registering as %q: %d, leads to %q, the form again %v", email, a.status, a.header.Get("Location"), again)
		}
		for name := range a.header {
			if strings.EqualFold(name, "Bcc") {
				t.Errorf("the answer has a header %s", name)
			}
		}
	}
	// Nor where a message says so that no page of ours has written.
	store := messagestore.New(database.MessageStore)
	for _, m := range []sendemailmsg.Mail{
		{To: "a@example.test\r\nBcc: evil@example.test", Subject: "Hello"},
		{To: "b@example.test", Subject: "Hello\r\nBcc: evil@example.test"},
		{To: "c@example.test, evil@example.test", Subject: "Hello"},
	} {
		m.EmailID, m.Text, m.HTML = messagestore.NewID(), "Text", "<p>Text</p>"
		if _, err := store.Write(within(t), sendemailmsg.Category.CommandStream(m.EmailID), sendemailmsg.Send{Mail: m}); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the commands have an outcome", func() bool { return len(messagesIn(t, database, sendemailmsg.Category, sendemailmsg.Failed{})) == 3 })
	page := v.register("plain@example.test", goodPassword)
	v.reached(page, "email-sent")
	settled(t, database, s)
	for _, d := range mails.all() {
		l := readLetter(t, d.Source)
		if d.To == "evil@example.test" || l.header.Get("Bcc") != "" || l.header.Get("Cc") != "" || strings.Contains(l.to, "evil") {
			t.Errorf("to %s:\n%s", d.To, d.Source)
		}
	}
	if mails.tries("evil@example.test") != 0 {
		t.Error("a mail was brought for somebody who was smuggled in")
	}
}

// A wrong password and an address that nobody has look the same, write the same and
// take the same.
func TestNobodyLearnsWhoIsRegistered(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	const tries = 5
	name := func(kind string, i int) string { return fmt.Sprintf("%s-%02d@example.test", kind, i) }
	for i := range tries {
		v := visit(t, s)
		v.reached(v.register(name("known", i), goodPassword), "registered")
	}
	settled(t, database, s)
	type look struct {
		status  int
		headers string
		body    string
		wrote   int
	}
	try := func(path, kind string, i int, typed ...string) (look, time.Duration) {
		v := visitFrom(t, s, fmt.Sprintf("127.0.1.%d", 1+i)) // nobody is slowed
		form := v.form(path, path, append([]string{"email", name(kind, i)}, typed...)...)
		before := written(t, database)
		start := time.Now()
		a := v.post(path, form)
		took := time.Since(start)
		var headers []string
		for key, values := range a.header {
			switch key {
			case "Date":
			case "Set-Cookie": // signed, with the time inside
				for _, value := range values {
					headers = append(headers, regexp.MustCompile(`=[^;]*`).ReplaceAllString(value, "="))
				}
			default:
				headers = append(headers, key+": "+strings.Join(values, ", "))
			}
		}
		slices.Sort(headers)
		wrote := 0
		until(t, "what was asked for is written", func() bool { wrote = written(t, database) - before; return wrote > 0 })
		if path == "/auth/forgot-password" { // what comes of the command is not the answer's
			wrote = len(messagesIn(t, database, identitymsg.Category.Commands(), identitymsg.RequestPasswordReset{}))
		}
		return look{a.status, strings.Join(headers, "\n"), strings.ReplaceAll(a.body, name(kind, i), "TYPED"), wrote}, took
	}
	var known, unknown []time.Duration
	for i := range tries {
		a, took := try("/auth/log-in", "known", i, "password", "wrong "+goodPassword)
		b, tookToo := try("/auth/log-in", "nobody", i, "password", "wrong "+goodPassword)
		known, unknown = append(known, took), append(unknown, tookToo)
		if a != b || a.wrote != 1 {
			t.Errorf("a wrong password and an unknown address differ: %s", difference(fmt.Sprintf("%+v", a), fmt.Sprintf("%+v", b)))
		}
		if !strings.Contains(a.body, "not right") {
			t.Errorf("%s", said(a.body))
		}
	}
	// Without the hash an answer takes a tenth of this.
	slices.Sort(known)
	slices.Sort(unknown)
	if ratio := float64(unknown[tries/2]) / float64(known[tries/2]); ratio < 0.5 || ratio > 2 {
		t.Errorf("a wrong password takes %v, an unknown address %v", known[tries/2], unknown[tries/2])
	}
	failed := decoded[authenticationmsg.UserLoginFailed](t, database, authenticationmsg.Category)
	reasons := map[string]int{}
	for _, f := range failed {
		reasons[f.Reason]++
	}
	if len(failed) != 2*tries || reasons[authenticationmsg.WrongPassword] != tries || reasons[authenticationmsg.UnknownAddress] != tries {
		t.Errorf("written: %v", reasons)
	}
	a, _ := try("/auth/forgot-password", "known", 0)
	settled(t, database, s)
	b, _ := try("/auth/forgot-password", "nobody", 0)
	if a.status != b.status || a.headers != b.headers || a.body != b.body || b.wrote != a.wrote+1 {
		t.Errorf("a password forgotten by somebody and by nobody differ: %s", difference(fmt.Sprintf("%+v", a), fmt.Sprintf("%+v", b)))
	}
	settled(t, database, s)
	if n := len(decoded[identitymsg.PasswordResetRequested](t, database, identitymsg.Category)); n != 1 {
		t.Errorf("%d mails to set a new password", n)
	}
	for _, m := range messagesIn(t, database, authenticationmsg.Category, nil) {
		if strings.Contains(string(m.Data)+string(m.RawMetadata)+string(m.Stream), "example.test") {
			t.Errorf("an address stands in %s: %s", m.Stream, m.Data)
		}
	}
}

// A password is in no message, page, mail, file or line of the log; its hash only in
// the identity streams and in the table of credentials.
func TestSecretsStayWhereTheyBelong(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := start(t, folder(t), append(environment(database), "LOG_LEVEL=debug"))
	const wrong, third = "a wrong lighthouse 9000", "thirteen dark lighthouses"
	var pages strings.Builder
	show := func(a answer) {
		fmt.Fprintln(&pages, a.header, a.body)
	}
	v := visit(t, s)
	show(v.submit("/register", "/register", "email", "not an address", "password", goodPassword))
	show(v.submit("/register", "/register", "email", "secret@example.test", "password", "short99"))
	registration := v.register("secret@example.test", goodPassword)
	v.reached(registration, "email-sent")
	show(v.get(registration))
	show(v.logIn("secret@example.test", wrong))
	v.entered("secret@example.test", goodPassword)
	show(v.submit("/account", "/account/password", "current_password", wrong, "password", nextPassword))
	show(v.submit("/account", "/account/email", "email", "other@example.test", "password", wrong))
	show(v.done(v.submit("/account", "/account/password", "current_password", goodPassword, "password", nextPassword)))
	show(v.get("/account"))
	show(visit(t, s).submit("/auth/forgot-password", "/auth/forgot-password", "email", "secret@example.test"))
	reset := mailed(t, outboxOf(s), "secret@example.test", "/auth/reset-password")
	anew := visit(t, s)
	show(anew.submit(reset, "/auth/reset-password", "password", third))
	until(t, "the password is set", func() bool {
		return len(messagesIn(t, database, identitymsg.Category, identitymsg.PasswordChanged{})) == 2
	})
	settled(t, database, s)
	anew.entered("secret@example.test", third)
	for _, path := range []string{"/", "/account", "/health", "/outbox", "/auth/log-in", "/register"} {
		show(anew.get(path))
	}
	show(anew.post("/auth/log-in?password="+url.QueryEscape(wrong), nil)) // nobody's form does this
	settled(t, database, s)

	passwords, hashes := []string{goodPassword, nextPassword, wrong, third, "short99"}, []string{}
	for _, category := range []messagestore.Category{identitymsg.Category, identitymsg.Category.Commands()} {
		for _, m := range messagesIn(t, database, category, nil) {
			var data struct{ PasswordHash string }
			if err := json.Unmarshal(m.Data, &data); err != nil {
				t.Fatal(err)
			}
			if data.PasswordHash != "" && !slices.Contains(hashes, data.PasswordHash) {
				hashes = append(hashes, data.PasswordHash)
			}
		}
	}
	if len(hashes) != 3 {
		t.Fatalf("%d hashes", len(hashes))
	}
	for _, h := range hashes {
		if !strings.HasPrefix(h, "$argon2id$") {
			t.Errorf("a hash is of another kind: %.12s", h)
		}
	}
	free := map[string]string{"what the program prints": s.output.String(), "the pages": pages.String()}
	for _, l := range letters(t, outboxOf(s), "") {
		free["mail: "+l.subject] = l.source + l.text + l.html
	}
	for where, text := range free {
		for _, secret := range slices.Concat(passwords, hashes, []string{"argon2id"}) {
			for _, form := range []string{secret, url.QueryEscape(secret), html.EscapeString(secret)} {
				if i := strings.Index(text, form); i >= 0 {
					t.Errorf("%s: a secret in …%.200s…", where, text[max(0, i-100):])
				}
			}
		}
	}
	for _, p := range passwords {
		found, err := pgx.CollectRows(must(database.MessageStore.Query(within(t), `SELECT stream_name FROM message_store.messages WHERE position($1 IN data::text || metadata::text) > 0`, p)), pgx.RowTo[string])
		if err != nil || len(found) != 0 {
			t.Errorf("a password stands in %v, %v", found, err)
		}
	}
	elsewhere, err := pgx.CollectRows(must(database.MessageStore.Query(within(t), `
		SELECT stream_name FROM message_store.messages
		WHERE message_store.category(stream_name) NOT IN ('identity', 'identity:command') AND (data::text || metadata::text) LIKE '%argon2id%'`)), pgx.RowTo[string])
	if err != nil || len(elsewhere) != 0 {
		t.Errorf("a hash stands in %v, %v", elsewhere, err)
	}
	tables, err := pgx.CollectRows(must(database.Views.Query(within(t), `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`)), pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		var with bool
		err := database.Views.QueryRow(within(t), fmt.Sprintf(`SELECT EXISTS (SELECT FROM %s AS r WHERE r::text LIKE '%%argon2id%%')`, pgx.Identifier{table}.Sanitize())).Scan(&with)
		if err != nil || with != (table == "user_credentials") {
			t.Errorf("table %s holds a hash: %v, %v", table, with, err)
		}
	}
}

func must(found pgx.Rows, err error) pgx.Rows {
	if err != nil {
		panic(err)
	}
	return found
}

// Thirty wrong tries of a stranger are slowed, and do not keep the owner out.
func TestAStrangerLocksNobodyOut(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	owner := member(t, s, "owner@example.test", goodPassword) // on this browser before
	owner.post("/auth/log-out", nil)
	stranger := visit(t, s)
	form := stranger.form("/auth/log-in", "/auth/log-in", "email", "owner@example.test", "password", "wrong "+goodPassword)
	const tries = 30
	answers := make(chan answer, tries)
	for range tries {
		go func() { answers <- stranger.post("/auth/log-in", form) }()
	}
	refused := 0
	for range tries {
		switch a := <-answers; a.status {
		case http.StatusTooManyRequests:
			refused++
			if after := a.header.Get("Retry-After"); !regexp.MustCompile(`^[1-9]\d*$`).MatchString(after) || !strings.Contains(a.body, `role="alert"`) {
				t.Errorf("refused without a time: %q\n%s", after, said(a.body))
			}
			if again, ok := formIn(a.body, "/auth/log-in"); !ok || again.Get("email") != "owner@example.test" || again.Get("password") != "" {
				t.Errorf("the form came back with %v", again)
			}
		case http.StatusSeeOther:
			t.Error("a wrong password got in")
		}
	}
	if refused < tries/2 {
		t.Errorf("only %d of %d tries were refused", refused, tries)
	}
	start := time.Now()
	owner.entered("owner@example.test", goodPassword)
	t.Logf("%d of %d refused; the owner's own browser got in after %v", refused, tries, time.Since(start))
	start = time.Now()
	visitFrom(t, s, "127.0.0.2").entered("owner@example.test", goodPassword)
	t.Logf("another browser of the owner got in after %v", time.Since(start))
}

// A person of the original program, with a bcrypt hash and nothing else, logs in; the
// hash becomes a better one.
func TestPeopleOfTheOriginalLogIn(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	hash, err := bcrypt.GenerateFromPassword([]byte(goodPassword), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	old := strings.Replace(string(hash), "$2a$", "$2b$", 1) // as Node's bcrypt writes it
	id := messagestore.NewID()
	if _, err := messagestore.New(database.MessageStore).Write(within(t), identitymsg.Category.Stream(id), identitymsg.Registered{UserID: id, Email: "Old@Example.test", PasswordHash: old}); err != nil {
		t.Fatal(err)
	}
	until(t, "there are credentials", func() bool { return rows(t, database, "user_credentials") == 1 })
	if a := visit(t, s).logIn("old@example.test", "wrong "+goodPassword); a.status == http.StatusSeeOther {
		t.Error("a wrong password got in")
	}
	v := visit(t, s).entered("old@example.test", goodPassword)
	until(t, "the hash is upgraded", func() bool {
		return len(messagesIn(t, database, identitymsg.Category, identitymsg.PasswordHashUpgraded{})) == 1
	})
	settled(t, database, s)
	if upgraded := decoded[identitymsg.PasswordHashUpgraded](t, database, identitymsg.Category); !strings.HasPrefix(upgraded[0].PasswordHash, "$argon2id$") {
		t.Errorf("upgraded to %.10s", upgraded[0].PasswordHash)
	}
	if !v.isIn() {
		t.Error("a better hash ended the session")
	}
	visit(t, s).entered("OLD@example.test", goodPassword)
	settled(t, database, s)
	if n := len(messagesIn(t, database, identitymsg.Category.Commands(), identitymsg.UpgradePasswordHash{})); n != 1 {
		t.Errorf("upgraded %d times", n)
	}
	// The address is theirs from now on.
	late := visit(t, s)
	page := late.register("old@example.test", goodPassword)
	until(t, "the address is taken", func() bool { _, again := formIn(late.get(page).body, "/register"); return again })
}

// A new password, and a click beside a session, end sessions.
func TestSessionsCanBeEnded(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	const email = "many@example.test"
	here := member(t, s, email, goodPassword)
	there := visit(t, s).entered(email, goodPassword)
	away := newestSession(t, database)
	until(t, "the account lists the other session", func() bool {
		_, ok := formIn(here.get("/account").body, "/account/sessions/"+away+"/end")
		return ok
	})
	stream := openStream(t, there, "/account/live")
	if a := here.submit("/account", "/account/sessions/"+away+"/end"); a.status != http.StatusSeeOther || a.header.Get("Location") != "/account" {
		t.Errorf("ending a session: %d, leads to %q", a.status, a.header.Get("Location"))
	}
	stream.until("logged out here")
	if there.isIn() || !here.isIn() {
		t.Error("the wrong session ended")
	}
	if a := there.post("/account/password", url.Values{"current_password": {goodPassword}, "password": {nextPassword}}); a.header.Get("Location") != "/auth/log-in" {
		t.Errorf("a session that is over changes a password: %d", a.status)
	}
	there.entered(email, goodPassword)
	third := visit(t, s).entered(email, goodPassword)
	settled(t, database, s)
	if a := here.submit("/account", "/account/sessions/end-others"); a.status != http.StatusSeeOther {
		t.Errorf("ending the others: %d", a.status)
	}
	until(t, "the others are over", func() bool { return !there.isIn() && !third.isIn() })
	if !here.isIn() {
		t.Error("the session that ended the others is over, too")
	}

	there.entered(email, goodPassword)
	if a := here.submit("/account", "/account/password", "current_password", "wrong "+goodPassword, "password", nextPassword); a.status != http.StatusUnprocessableEntity {
		t.Errorf("a new password without the old one: %d", a.status)
	}
	stream = openStream(t, there, "/account/live")
	if a := here.done(here.submit("/account", "/account/password", "current_password", goodPassword, "password", nextPassword)); !strings.Contains(a.body, `data-operation="done"`) {
		t.Errorf("a new password: %s", said(a.body))
	}
	stream.until("logged out here")
	if there.isIn() || !here.isIn() {
		t.Errorf("after a new password: there %v, here %v", there.isIn(), here.isIn())
	}
	if a := visit(t, s).logIn(email, goodPassword); a.status == http.StatusSeeOther {
		t.Error("the old password still works")
	}
	there.entered(email, nextPassword)

	// A password that was forgotten: whoever reads the mail sets another, once.
	forgetful := visit(t, s)
	forgetful.submit("/auth/forgot-password", "/auth/forgot-password", "email", strings.ToUpper(email))
	link := mailed(t, outboxOf(s), email, "/auth/reset-password")
	form := forgetful.form(link, "/auth/reset-password", "password", "fourteen new lighthouses")
	weak := url.Values{"token": form["token"], "password": {"password1"}}
	if a := forgetful.post("/auth/reset-password", weak); a.status != http.StatusUnprocessableEntity {
		t.Errorf("a common password: %d", a.status)
	}
	forgetful.post("/auth/reset-password", form)
	until(t, "the password is set", func() bool {
		return len(messagesIn(t, database, identitymsg.Category, identitymsg.PasswordChanged{})) == 2
	})
	until(t, "every session is over", func() bool { return !here.isIn() && !there.isIn() })
	form.Set("password", "fifteen old lighthouses")
	visit(t, s).post("/auth/reset-password", form)
	settled(t, database, s)
	if n := len(messagesIn(t, database, identitymsg.Category, identitymsg.PasswordChanged{})); n != 2 {
		t.Errorf("a link worked %d times", n-1)
	}
	here.entered(email, "fourteen new lighthouses")
	if n := len(letters(t, outboxOf(s), email)); n != 4 { // welcome, link, and a notice for each new password
		t.Errorf("%d mails", n)
	}
}

// stream is an open page's line, read by a test.
type stream struct {
	t     *testing.T
	lines chan string
}

func openStream(t *testing.T, v *visitor, path string) *stream {
	t.Helper()
	request, err := http.NewRequestWithContext(within(t), http.MethodGet, v.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := v.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, response.Status)
	}
	s := &stream{t, make(chan string, 1000)}
	go func() {
		defer response.Body.Close()
		defer close(s.lines)
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			select {
			case s.lines <- lines.Text():
			case <-request.Context().Done():
				return
			}
		}
	}()
	return s
}

// until reads the stream until a line contains a text.
func (s *stream) until(text string) {
	s.t.Helper()
	for line := range s.lines {
		if strings.Contains(line, text) {
			return
		}
	}
	s.t.Fatalf("the stream ended without %q", text)
}

// An address changes when the new one is confirmed, and the old one is free then.
func TestChangingTheAddress(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	v := member(t, s, "before@example.test", goodPassword)
	visitor := visit(t, s)
	visitor.reached(visitor.register("taken@example.test", goodPassword), "registered")
	settled(t, database, s)
	if a := v.submit("/account", "/account/email", "email", "after@example.test", "password", "wrong "+goodPassword); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "after@example.test") {
		t.Errorf("a new address without the password: %d", a.status)
	}
	if a := v.done(v.submit("/account", "/account/email", "email", "TAKEN@example.test", "password", goodPassword)); !strings.Contains(a.body, `data-operation="failed"`) {
		t.Errorf("somebody else's address: %s", said(a.body))
	}
	if a := v.done(v.submit("/account", "/account/email", "email", "after@example.test", "password", goodPassword)); !strings.Contains(a.body, `data-operation="done"`) {
		t.Errorf("a new address: %s", said(a.body))
	}
	link := mailed(t, outboxOf(s), "after@example.test", "/confirm-email")
	visit(t, s).entered("before@example.test", goodPassword)
	if a := visit(t, s).logIn("after@example.test", goodPassword); a.status == http.StatusSeeOther {
		t.Error("an address that is not confirmed logs in")
	}
	reader := visit(t, s)
	reader.done(reader.submit(link, "/confirm-email"))
	settled(t, database, s)
	if !v.isIn() {
		t.Error("a new address ended the session")
	}
	visit(t, s).entered("after@example.test", goodPassword)
	if a := visit(t, s).logIn("before@example.test", goodPassword); a.status == http.StatusSeeOther {
		t.Error("the old address still logs in")
	}
	until(t, "the old address is told", func() bool { return len(letters(t, outboxOf(s), "before@example.test")) == 2 })
	next := visit(t, s)
	next.reached(next.register("before@example.test", goodPassword), "registered")
	if n := rows(t, database, "user_credentials"); n != 3 {
		t.Errorf("%d rows of credentials", n)
	}
}

// commandOn runs the program beside the site, over the same databases.
func commandOn(t *testing.T, s *site, args ...string) (string, error) {
	t.Helper()
	return longCommandOn(t, within(t), s, args...)
}

// longCommandOn is for a command that takes its time.
func longCommandOn(t *testing.T, ctx context.Context, s *site, args ...string) (string, error) {
	t.Helper()
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(ctx, program, args...)
	command.Dir = t.TempDir()
	command.Env = append([]string{"PATH=" + os.Getenv("PATH")}, s.env...)
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	err = command.Run()
	return out.String(), err
}

func rolesOf(t *testing.T, database *dbtest.DB, email string) (roles []string) {
	t.Helper()
	if err := database.Views.QueryRow(within(t), `SELECT roles FROM user_credentials WHERE address = $1`, email).Scan(&roles); err != nil {
		t.Fatal(err)
	}
	return roles
}

// An administrator is made on the command line, while the site runs.
func TestAdminGrant(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	v := member(t, s, "chief@example.test", goodPassword)
	for _, email := range []string{"nobody@example.test", "nobody"} {
		if out, err := commandOn(t, s, "admin", "grant", email); err == nil || !strings.Contains(out, email) {
			t.Errorf("admin grant %s: %v\n%s", email, err, out)
		}
	}
	for range 2 {
		if out, err := commandOn(t, s, "admin", "grant", "Chief@Example.test"); err != nil || !strings.Contains(out, "an administrator") {
			t.Fatalf("admin grant: %v\n%s", err, out)
		}
	}
	settled(t, database, s)
	if roles := rolesOf(t, database, "chief@example.test"); !slices.Equal(roles, []string{identitymsg.Admin}) {
		t.Errorf("roles: %v", roles)
	}
	// Where somebody has the subscription wait, the command says so at once.
	store := messagestore.New(database.MessageStore)
	paused := messagestore.SubscriptionPaused{Subscription: "identity:commands"}
	if _, err := store.Write(within(t), messagestore.ControlCategory.Stream(paused.Subscription), paused); err != nil {
		t.Fatal(err)
	}
	if out, err := commandOn(t, s, "admin", "revoke", "chief@example.test"); err == nil || !strings.Contains(out, "is paused") {
		t.Errorf("admin revoke while paused: %v\n%s", err, out)
	}
	if body := v.get("/account").body; !regexp.MustCompile(`(?i)admin`).MatchString(body) {
		t.Errorf("the account does not say so: %s", said(body))
	}
	s.stop()
	s.startAt("0")
	if strings.Contains(s.output.String(), "/first-admin") {
		t.Error("there is an admin, and the program prints the link for the first one")
	}
}

// The command joins the private Postgres of a site that runs, and starts it where none
// does.
func TestAdminGrantWithThePrivatePostgres(t *testing.T) {
	t.Parallel()
	s := start(t, folder(t), nil, "--no-demo")
	for _, email := range []string{"one@example.test", "two@example.test"} {
		v := visit(t, s)
		v.reached(v.register(email, goodPassword), "registered")
	}
	if out, err := commandOn(t, s, "admin", "grant", "one@example.test"); err != nil || !strings.Contains(out, "an administrator") {
		t.Fatalf("while the site runs: %v\n%s", err, out)
	}
	s.stop()
	if out, err := commandOn(t, s, "admin", "grant", "two@example.test"); err != nil || !strings.Contains(out, "an administrator") {
		t.Fatalf("while it does not: %v\n%s", err, out)
	}
	s.startAt("0")
	for _, email := range []string{"one@example.test", "two@example.test"} {
		v := visit(t, s).entered(email, goodPassword)
		until(t, email+" is an administrator", func() bool { return strings.Contains(said(v.get("/account").body), " admin ") })
	}
}

// Behind TLS cookies are for TLS only, and links in mails lead to where people reach
// the site.
func TestTheAddressOfTheSite(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := start(t, folder(t), append(environment(database), "BASE_URL=https://videos.example/"))
	v := visit(t, s)
	form := v.form("/register", "/register", "email", "far@example.test", "password", goodPassword)
	a := v.post("/register", form)
	cookies := a.header.Values("Set-Cookie")
	if a.status != http.StatusSeeOther || len(cookies) == 0 {
		t.Fatalf("%d, cookies %v", a.status, cookies)
	}
	for _, c := range cookies {
		if !strings.Contains(c, "; Secure") {
			t.Errorf("cookie: %s", c)
		}
	}
	mailed(t, outboxOf(s), "far@example.test", "/confirm-email")
	for _, l := range letters(t, outboxOf(s), "") {
		if !strings.Contains(l.text, "https://videos.example/confirm-email?token=") || strings.Contains(l.source+l.text+l.html, "localhost") || !strings.Contains(l.header.Get("From"), "@videos.example") {
			t.Errorf("the mail: %s", l.source)
		}
	}
}

var firstAdminLink = regexp.MustCompile(`http://localhost:\d+(/first-admin\?token=\S+)`)

// Where there is no administrator the program prints a link that makes one, once.
func TestTheFirstAdministrator(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	found := firstAdminLink.FindStringSubmatch(s.output.String())
	if found == nil {
		t.Fatalf("no link in\n%s", s.output)
	}
	link := found[1]
	if a := visit(t, s).get(link); a.status != http.StatusOK || !strings.Contains(a.body, `href="/auth/log-in?next=`) || strings.Contains(a.body, `action="/first-admin"`) {
		t.Errorf("a stranger follows the link: %d, %s", a.status, said(a.body))
	}
	first, second := member(t, s, "first@example.test", goodPassword), member(t, s, "second@example.test", goodPassword)
	if a := first.post("/first-admin", url.Values{"token": {strings.Repeat("0", 32)}}); a.status < 400 {
		t.Errorf("a link that nobody printed: %d, leads to %q", a.status, a.header.Get("Location"))
	}
	form := second.form(link, "/first-admin")
	if a := first.done(first.submit(link, "/first-admin")); !strings.Contains(a.body, `data-operation="done"`) {
		t.Errorf("the first: %s", said(a.body))
	}
	settled(t, database, s)
	a := second.post("/first-admin", form)
	if a.status == http.StatusSeeOther {
		if a = second.done(a); !strings.Contains(a.body, `data-operation="failed"`) {
			t.Errorf("the second: %s", said(a.body))
		}
	}
	if _, offered := formIn(second.get(link).body, "/first-admin"); offered {
		t.Error("the link still offers it")
	}
	settled(t, database, s)
	if roles := rolesOf(t, database, "first@example.test"); !slices.Equal(roles, []string{identitymsg.Admin}) {
		t.Errorf("the first has %v", roles)
	}
	if roles := rolesOf(t, database, "second@example.test"); len(roles) != 0 {
		t.Errorf("the second has %v", roles)
	}
	s.stop()
	s.startAt("0")
	if firstAdminLink.MatchString(s.output.String()) {
		t.Error("the link is printed although there is an admin")
	}
}

// populate registers people, as many as one asks for.
func TestPopulate(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	out, err := commandOn(t, s, "populate")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if n := len(messagesIn(t, database, identitymsg.Category.Commands(), identitymsg.Register{})); n != 15 {
		t.Errorf("%d commands", n)
	}
	until(t, "there are fifteen people", func() bool { return rows(t, database, "user_credentials") == 15 })
	if out, err := commandOn(t, s, "populate", "3"); err != nil {
		t.Errorf("populate 3: %v\n%s", err, out)
	}
	until(t, "there are three more", func() bool { return rows(t, database, "user_credentials") == 18 })
	settled(t, database, s)
	if n := len(messagesIn(t, database, identitymsg.Category, identitymsg.Registered{})); n != 18 {
		t.Errorf("%d are registered", n)
	}
	email, password := regexp.MustCompile(`(?m)^\S+@\S+$`).FindString(out), regexp.MustCompile(`password of all is (\S+)`).FindStringSubmatch(out)
	if email == "" || password == nil {
		t.Fatalf("populate prints neither address nor password:\n%s", out)
	}
	visit(t, s).entered(email, password[1])
}

// Each thing that a mail server can do to a mail shows on the page that waits for it.
func TestTheMailServerMakesTrouble(t *testing.T) {
	t.Parallel()
	database, mails := dbtest.New(t), startMailServer(t)
	s := start(t, folder(t), append(environment(database), "SMTP_URL="+mails.url, "SYSTEM_SENDER_EMAIL_ADDRESS=post@example.test"))
	mails.treat("refused@example.test", way{refused: true})
	mails.treat("later@example.test", way{later: 2})
	mails.treat("dropped@example.test", way{dropped: 2})
	held := make(chan struct{})
	mails.treat("slow@example.test", way{held: held})
	visitors, pages := map[string]*visitor{}, map[string]string{}
	register := func(name string) {
		visitors[name] = visit(t, s)
		pages[name] = visitors[name].register(name+"@example.test", goodPassword)
	}
	register("refused")
	until(t, "the page of the refused one says so", func() bool {
		body := visitors["refused"].get(pages["refused"]).body
		return stepState(body, "registered") == "done" && stepState(body, "email-sent") == "failed" && strings.Contains(body, "No such user here")
	})
	visit(t, s).entered("refused@example.test", goodPassword) // an account without mail is one
	register("later")
	register("plain") // does not wait for the one before
	visitors["plain"].reached(pages["plain"], "email-sent")
	visitors["later"].reached(pages["later"], "email-sent")
	register("dropped")
	visitors["dropped"].reached(pages["dropped"], "email-sent")
	register("slow")
	visitors["slow"].reached(pages["slow"], "email-queued")
	mails.wait(within(t), "the slow one is there", func() bool {
		return mails.ways["slow@example.test"] != nil && mails.ways["slow@example.test"].tries == 1
	})
	if state := stepState(visitors["slow"].get(pages["slow"]).body, "email-sent"); state != "waiting" {
		t.Errorf("the server has not answered, and the page says %q", state)
	}
	close(held)
	visitors["slow"].reached(pages["slow"], "email-sent")
	settled(t, database, s)
	for name, tries := range map[string]int{"refused": 1, "later": 3, "dropped": 3, "plain": 1, "slow": 1} {
		address := name + "@example.test"
		wanted := 1
		if name == "refused" {
			wanted = 0
		}
		took := mails.took(address)
		if len(took) != wanted || mails.tries(address) != tries {
			t.Errorf("%s: taken %d times in %d tries", name, len(took), mails.tries(address))
		}
		for _, d := range took {
			l := readLetter(t, d.Source)
			if l.header.Get("From") == "" || !strings.Contains(l.header.Get("From"), "post@example.test") || !strings.Contains(l.to, address) ||
				l.header.Get("Auto-Submitted") != "auto-generated" || linkIn(l.text, "/confirm-email") == "" || linkIn(l.text, "/confirm-email") != linkIn(html.UnescapeString(l.html), "/confirm-email") {
				t.Errorf("the mail: %s", d.Source)
			}
		}
	}
	if a := visit(t, s).get("/outbox"); a.status != http.StatusNotFound {
		t.Errorf("an outbox beside a mail server: %d", a.status)
	}
}

// The outbox is for development.
func TestTheOutboxIsNotForProduction(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := start(t, folder(t), append(environment(database), "ENVIRONMENT=production"))
	v := visit(t, s)
	registration := v.register("quiet@example.test", goodPassword)
	v.reached(registration, "email-sent")
	files := letters(t, outboxOf(s), "quiet@example.test")
	if len(files) != 1 {
		t.Fatalf("%d mails", len(files))
	}
	names, err := filepath.Glob(filepath.Join(outboxOf(s), "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	id := strings.TrimSuffix(filepath.Base(names[0]), ".eml")
	for _, path := range []string{"/outbox", "/outbox/" + id, "/outbox/" + id + "/html"} {
		if a := v.get(path); a.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	if strings.Contains(v.get("/").body, "/outbox") {
		t.Error("a page leads to the outbox")
	}
	forgotten := v.submit("/auth/forgot-password", "/auth/forgot-password", "email", "quiet@example.test").body
	for _, body := range []string{v.get(registration).body, forgotten} {
		if !strings.Contains(body, "This site sends no mail yet") || strings.Contains(body, "spam") {
			t.Errorf("nobody gets a mail, and the page says: %s", said(body))
		}
	}
}
