package account

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"videotutorials/app/web"
	"videotutorials/components/authentication/authenticationmsg"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
)

// An account is shown to its person and follows what happens to it.
func TestAccount(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna, berta := s.person("anna@example.com"), s.person("berta@example.com")
	b, session := s.signedIn(anna)
	_, others := s.signedIn(berta)
	a := b.get("/account")
	if a.status != http.StatusOK || a.header.Get("Cache-Control") != "no-store" || !strings.Contains(a.body, "anna@example.com") ||
		strings.Contains(a.body, "berta") || strings.Contains(a.body, others) || sessionState(a.body, session) != "open" {
		t.Fatalf("%d %s\n%s", a.status, a.header.Get("Cache-Control"), a.body)
	}
	frames := b.frames(streamOf(t, a.body))
	s.write(identitymsg.Category.Stream(berta), identitymsg.EmailConfirmed{UserID: berta, Email: "berta@example.com"})
	_, second := s.signedIn(anna)
	if frame := s.await(frames, second); sessionState(frame, second) != "open" || strings.Contains(frame, "berta") {
		t.Error(frame)
	}
	s.write(identitymsg.Category.Stream(anna), identitymsg.RoleGranted{UserID: anna, Role: identitymsg.Creator})
	s.await(frames, identitymsg.Creator)
	s.write(authenticationmsg.Category.Stream(anna), authenticationmsg.UserLoginFailed{UserID: anna, Reason: authenticationmsg.WrongPassword, Browser: "Lynx"})
	s.await(frames, "Lynx")
	if first := s.await(b.frames("/account/live"), "anna@example.com"); !strings.Contains(first, session) {
		t.Errorf("a stream of a page that shows nothing begins with\n%s", first)
	}
}

// Nobody who is not signed in gets or changes anything of an account.
func TestSignedOut(t *testing.T) {
	t.Parallel()
	s := start(t)
	stranger := s.browser()
	if a := stranger.get("/account"); a.status != http.StatusSeeOther || a.to != "/auth/log-in?next=%2Faccount" {
		t.Errorf("%d %s", a.status, a.to)
	}
	if a := stranger.get("/account/live"); a.status != http.StatusUnauthorized {
		t.Errorf("stream: %d", a.status)
	}
	for _, path := range []string{"/account/password", "/account/email", "/account/confirmation", "/account/sessions/end-others", "/account/sessions/" + messagestore.NewID() + "/end"} {
		if a := stranger.post(path); a.status != http.StatusSeeOther || a.to != "/auth/log-in" {
			t.Errorf("%s: %d %s", path, a.status, a.to)
		}
	}
}

// A new password needs the old one, and ends every session but the one that set it.
func TestChangePassword(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna := s.person("anna@example.com")
	here, session := s.signedIn(anna)
	there, away := s.signedIn(anna)
	for _, wrong := range []struct{ current, wanted, says string }{
		{"not my password", secondPassword, "current-password-problem"},
		{"", secondPassword, "current-password-problem"},
		{firstPassword, "short", "new-password-problem"},
		{firstPassword, "anna@example.com", "new-password-problem"},
	} {
		a := here.post("/account/password", "current_password", wrong.current, "password", wrong.wanted)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, wrong.says) || strings.Contains(a.body, secondPassword) || strings.Contains(a.body, firstPassword) {
			t.Errorf("%+v: %d\n%s", wrong, a.status, a.body)
		}
	}
	if list := s.written(identitymsg.Category.Commands(), "ChangePassword"); len(list) != 0 {
		t.Fatalf("%d commands", len(list))
	}
	frames := there.frames(streamOf(t, there.get("/account").body))
	changed := here.post("/account/password", "current_password", firstPassword, "password", secondPassword)
	if a := here.outcome(changed); state(a.body) != "done" {
		t.Fatal(a.body)
	}
	ok, _, err := s.app.passwords.Verify(s.ctx, secondPassword, s.user(anna).PasswordHash)
	if err != nil || !ok {
		t.Errorf("the password is not the new one: %v", err)
	}
	over := s.await(frames, "data-session-over")
	if strings.Contains(over, "anna@") {
		t.Error(over)
	}
	if a := there.get("/account"); a.status != http.StatusSeeOther {
		t.Errorf("the other session: %d", a.status)
	}
	page := here.get("/account").body
	if !strings.Contains(page, "Ended by a new password") {
		t.Errorf("the page does not say why the other session ended\n%s", page)
	}
	if sessionState(page, session) != "open" || sessionState(page, away) != "ended" {
		t.Errorf("here %s, there %s", sessionState(page, session), sessionState(page, away))
	}
	// The second half of a double click comes after the first has done its work.
	again := here.post("/account/password", "current_password", firstPassword, "password", secondPassword)
	if again.to != changed.to {
		t.Errorf("the second post leads to %d %s, the first to %s", again.status, again.to, changed.to)
	}
	if a := here.post("/account/password", "current_password", firstPassword, "password", "a third horse battery"); a.status != http.StatusUnprocessableEntity {
		t.Errorf("the old password still counts: %d", a.status)
	}
	if list := s.written(identitymsg.Category.Commands(), "ChangePassword"); len(list) != 1 {
		t.Errorf("%d commands", len(list))
	}
	if a := here.outcome(here.post("/account/password", "current_password", secondPassword, "password", firstPassword)); state(a.body) != "done" {
		t.Error("a second change is not done")
	}
	if n := s.user(anna).Generation; n != 2 {
		t.Errorf("the password was changed %d times", n)
	}
}

// While view data is behind, another new password is not taken for the first one.
func TestChangePasswordTwice(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna := s.person("anna@example.com")
	b, _ := s.signedIn(anna)
	const third = "a third horse battery"
	change := func(wanted string) answer {
		return b.post("/account/password", "current_password", firstPassword, "password", wanted)
	}
	undo := s.behind()
	first, other, again := change(secondPassword), change(third), change(secondPassword)
	undo()
	if other.status != http.StatusUnprocessableEntity || !strings.Contains(other.body, "new-password-problem") ||
		!strings.Contains(other.body, "Another change of your password is under way.") || strings.Contains(other.body, third) {
		t.Errorf("%d %s\n%s", other.status, other.to, other.body)
	}
	if again.to != first.to {
		t.Errorf("the same once more leads to %d %s, the first to %s", again.status, again.to, first.to)
	}
	if a := b.outcome(first); state(a.body) != "done" {
		t.Error(a.body)
	}
	if ok, _, err := s.app.passwords.Verify(s.ctx, secondPassword, s.user(anna).PasswordHash); !ok || err != nil {
		t.Errorf("the password is not the first one that was asked for: %v", err)
	}
	if n := len(s.written(identitymsg.Category.Commands(), "ChangePassword")); n != 1 {
		t.Errorf("%d commands", n)
	}
}

// Whoever has an old password takes nothing by it while view data is behind; once it has
// caught up, the person can ask for the same at once.
func TestOldPassword(t *testing.T) {
	t.Parallel()
	s := start(t)
	at := time.Now()
	s.app.now = func() time.Time { return at }
	anna := s.person("anna@example.com")
	here, _ := s.signedIn(anna)
	there, _ := s.signedIn(anna)
	old := s.user(anna).PasswordHash
	forms := [][]string{
		{"/account/email", "email", "new@example.com", "password", firstPassword},
		{"/account/password", "current_password", firstPassword, "password", secondPassword},
	}
	// A better hash of the same password, which ends no session.
	better, err := s.app.passwords.Hash(s.ctx, firstPassword)
	if err != nil {
		t.Fatal(err)
	}
	undo := s.behind()
	if _, err := s.store.Write(s.ctx, identitymsg.Category.Stream(anna), identitymsg.PasswordHashUpgraded{UserID: anna, PasswordHash: better}); err != nil {
		t.Fatal(err)
	}
	var posted []answer
	for _, form := range forms {
		posted = append(posted, there.post(form[0], form[1:]...))
	}
	undo()
	for i, a := range posted {
		if a = there.outcome(a); state(a.body) != "failed" || !strings.Contains(a.body, "Your password was changed meanwhile.") {
			t.Errorf("%s: %s", forms[i][0], a.body)
		}
	}
	for _, form := range forms {
		if a := here.outcome(here.post(form[0], form[1:]...)); state(a.body) != "done" {
			t.Errorf("%s: %s", form[0], a.body)
		}
	}
	var replaced []string
	for _, kind := range []string{"ChangeEmail", "ChangePassword"} {
		for _, raw := range s.written(identitymsg.Category.Commands(), kind) {
			m, err := messagestore.Decode[struct{ Replaces string }](raw)
			if err != nil {
				t.Fatal(err)
			}
			replaced = append(replaced, m.Data.Replaces)
		}
	}
	if want := []string{old, better, old, better}; !slices.Equal(replaced, want) {
		t.Errorf("%q, want %q", replaced, want)
	}
}

// Who has found a browser that is signed in cannot find out the password by it.
func TestTooManyPasswords(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna := s.person("anna@example.com")
	b, _ := s.signedIn(anna)
	other, _ := s.signedIn(anna)
	var statuses []int
	for range 6 {
		statuses = append(statuses,
			b.post("/account/password", "current_password", "not my password", "password", secondPassword).status,
			b.post("/account/email", "email", "new@example.com", "password", "not my password").status)
	}
	for n, status := range statuses { // five at once and five that wait
		if want := map[bool]int{true: http.StatusUnprocessableEntity, false: http.StatusTooManyRequests}[n < 10]; status != want {
			t.Errorf("try %d: %d", n+1, status)
		}
	}
	if a := b.post("/account/password", "current_password", firstPassword, "password", secondPassword); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "12" {
		t.Errorf("%d %v", a.status, a.header)
	}
	if b.get("/account").status != http.StatusOK {
		t.Error("the page is refused, too")
	}
	if a := other.outcome(other.post("/account/password", "current_password", firstPassword, "password", secondPassword)); state(a.body) != "done" {
		t.Errorf("another session of the person: %s", a.body)
	}
}

// Two posts of one form at the same time are one change.
func TestDoubleClick(t *testing.T) {
	t.Parallel()
	s := start(t)
	b, _ := s.signedIn(s.person("anna@example.com"))
	at := time.Now()
	s.app.now = func() time.Time { return at }
	for _, form := range [][]string{
		{"/account/confirmation"},
		{"/account/email", "email", "new@example.com", "password", firstPassword},
		{"/account/password", "current_password", firstPassword, "password", secondPassword},
	} {
		var answers [2]answer
		var posts sync.WaitGroup
		for i := range answers {
			posts.Go(func() { answers[i] = b.post(form[0], form[1:]...) })
		}
		posts.Wait()
		if answers[0].to != answers[1].to || !strings.HasPrefix(answers[0].to, "/account/operations/") {
			t.Errorf("%s leads to %q and %q", form[0], answers[0].to, answers[1].to)
		}
		s.caughtUp()
	}
	for _, kind := range []string{"RequestConfirmation", "ChangeEmail", "ChangePassword"} {
		if n := len(s.written(identitymsg.Category.Commands(), kind)); n != 1 {
			t.Errorf("%d × %s", n, kind)
		}
	}
}

// A new address needs the password, and is there when the mail that went to it was read.
func TestChangeEmail(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna := s.person("anna@example.com")
	s.person("berta@example.com")
	b, _ := s.signedIn(anna)
	for _, wrong := range []struct{ email, password, says string }{
		{"no address", firstPassword, "email-problem"},
		{" Anna@EXAMPLE.com", firstPassword, "email-problem"},
		{"new@example.com", "not my password", "email-password-problem"},
	} {
		a := b.post("/account/email", "email", wrong.email, "password", wrong.password)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, wrong.says) ||
			!strings.Contains(a.body, `value="`+strings.TrimSpace(wrong.email)+`"`) || strings.Contains(a.body, wrong.password) {
			t.Errorf("%+v: %d\n%s", wrong, a.status, a.body)
		}
	}
	if a := b.outcome(b.post("/account/email", "email", "Berta@example.com", "password", firstPassword)); state(a.body) != "failed" {
		t.Errorf("somebody else's address: %s", a.body)
	}
	if a := b.outcome(b.post("/account/email", "email", "new@example.com", "password", firstPassword)); state(a.body) != "done" {
		t.Fatal(a.body)
	}
	if user := s.user(anna); user.Email != "anna@example.com" || user.PendingEmail != "new@example.com" || !strings.Contains(b.get("/account").body, "new@example.com") {
		t.Errorf("%s, %s", user.Email, user.PendingEmail)
	}
	token, err := s.key.ConfirmationToken(identitymsg.Confirmation{UserID: anna, Email: "new@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if a := b.outcome(b.post("/confirm-email", "token", token)); state(a.body) != "done" {
		t.Error(a.body)
	}
	if user := s.user(anna); user.Email != "new@example.com" || !user.Confirmed {
		t.Errorf("%s, %v", user.Email, user.Confirmed)
	}
}

// A link confirms an address when its button is pressed, signed in or not, once.
func TestConfirmEmail(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna := s.person("anna@example.com")
	token, err := s.key.ConfirmationToken(identitymsg.Confirmation{UserID: anna, Email: "anna@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	b, stranger := s.browser(), s.browser()
	a := b.get("/confirm-email?token=" + token)
	if a.status != http.StatusOK || !strings.Contains(a.body, token) || !strings.Contains(a.body, "anna@example.com") {
		t.Errorf("%d\n%s", a.status, a.body)
	}
	if n := len(s.written(identitymsg.Category.Commands(), "ConfirmEmail")); n != 0 {
		t.Errorf("following the link wrote %d commands", n)
	}
	for _, bad := range []string{"", "x", token + "x", token[1:]} {
		for _, a := range []answer{b.get("/confirm-email?token=" + bad), b.post("/confirm-email", "token", bad)} {
			if a.status != http.StatusNotFound || !strings.Contains(a.body, "This link does not work") {
				t.Errorf("token %q: %d\n%s", bad, a.status, a.body)
			}
		}
	}
	posted := b.post("/confirm-email", "token", token)
	if a := b.outcome(posted); state(a.body) != "done" {
		t.Error(a.body)
	}
	if !s.user(anna).Confirmed {
		t.Error("the address is not confirmed")
	}
	if a := stranger.get(posted.to); a.status != http.StatusNotFound {
		t.Errorf("another browser: %d", a.status)
	}
	if again := stranger.post("/confirm-email", "token", token); again.to != posted.to || stranger.get(again.to).status != http.StatusOK {
		t.Errorf("the link in another browser leads to %s", again.to)
	}
	if n := len(s.written(identitymsg.Category.Commands(), "ConfirmEmail")); n != 1 {
		t.Errorf("%d commands", n)
	}
}

// One becomes the first admin by the link that the program printed, signed in, once.
func TestFirstAdmin(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna, berta := s.person("anna@example.com"), s.person("berta@example.com")
	a1, _ := s.signedIn(anna)
	b1, _ := s.signedIn(berta)
	stranger, token := s.browser(), s.key.FirstAdminToken()
	for _, who := range []*browser{stranger, a1} {
		for _, bad := range []string{"", "x", strings.Repeat("0", len(token))} {
			if a := who.get("/first-admin?token=" + bad); a.status != http.StatusNotFound {
				t.Errorf("token %q: %d", bad, a.status)
			}
			if a := who.post("/first-admin?token="+token, "token", bad); a.status != http.StatusNotFound {
				t.Errorf("post of token %q: %d", bad, a.status)
			}
		}
	}
	if a := stranger.get("/first-admin?token=" + token); a.status != http.StatusOK || a.header.Get("Cache-Control") != "no-store" ||
		!strings.Contains(a.body, `href="/auth/log-in?next=%2Ffirst-admin%3Ftoken%3D`+token) || !strings.Contains(a.body, `href="/register"`) ||
		strings.Contains(a.body, `action="/first-admin"`) {
		t.Errorf("%d\n%s", a.status, a.body)
	}
	if a := stranger.post("/first-admin", "token", token); a.status != http.StatusSeeOther || a.to != "/auth/log-in" {
		t.Errorf("a stranger's post: %d %s", a.status, a.to)
	}
	if a := a1.get("/first-admin?token=" + token); a.status != http.StatusOK || !strings.Contains(a.body, token) || !strings.Contains(a.body, "anna@example.com") {
		t.Errorf("%d\n%s", a.status, a.body)
	}
	first := a1.post("/first-admin", "token", token)
	if a := a1.outcome(first); state(a.body) != "done" {
		t.Error(a.body)
	}
	if a := b1.outcome(b1.post("/first-admin", "token", token)); state(a.body) != "failed" || !strings.Contains(a.body, "with admin grant.") {
		t.Error(a.body)
	}
	if again := a1.post("/first-admin", "token", token); again.to != first.to {
		t.Errorf("a second post leads to %s", again.to)
	}
	for _, who := range []*browser{b1, stranger} {
		if a := who.get("/first-admin?token=" + token); a.status != http.StatusOK || strings.Contains(a.body, token) {
			t.Errorf("it is still offered: %d\n%s", a.status, a.body)
		}
	}
	if roles := s.user(anna).Roles; len(roles) != 1 || roles[0] != identitymsg.Admin || len(s.user(berta).Roles) != 0 {
		t.Errorf("%v, %v", roles, s.user(berta).Roles)
	}
}

// A person ends their own sessions and nobody else's.
func TestEndSession(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna := s.person("anna@example.com")
	here, session := s.signedIn(anna)
	there, away := s.signedIn(anna)
	berta, others := s.signedIn(s.person("berta@example.com"))
	s.write(authenticationmsg.Category.Stream(anna), authenticationmsg.UserLoginFailed{UserID: anna, Reason: authenticationmsg.WrongPassword})
	failed, err := s.store.Last(s.ctx, authenticationmsg.Category.Stream(anna), "UserLoginFailed")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{others, messagestore.NewID(), failed.ID, "x", strings.ToUpper(away)} {
		if a := here.post("/account/sessions/" + id + "/end"); a.status != http.StatusNotFound {
			t.Errorf("session %s: %d", id, a.status)
		}
	}
	frames := there.frames(streamOf(t, there.get("/account").body))
	watching := here.frames(streamOf(t, here.get("/account").body))
	for range 2 { // the second is of a double click
		if a := here.post("/account/sessions/" + away + "/end"); a.status != http.StatusSeeOther || a.to != "/account" {
			t.Errorf("%d %s", a.status, a.to)
		}
		if got := sessionState(here.get("/account").body, away); got != "ended" {
			t.Errorf("the page that follows says %q", got)
		}
	}
	s.await(frames, "data-session-over")
	s.await(watching, `data-session="`+away)
	if a := there.get("/account"); a.status != http.StatusSeeOther {
		t.Errorf("the session goes on: %d", a.status)
	}
	if a := there.get("/account/live"); a.status != http.StatusUnauthorized {
		t.Errorf("its stream goes on: %d", a.status)
	}
	if here.get("/account").status != http.StatusOK || berta.get("/account").status != http.StatusOK {
		t.Error("another session ended")
	}
	list := s.written(authenticationmsg.Category, "SessionEnded")
	if len(list) != 1 {
		t.Fatalf("%d events", len(list))
	}
	m, err := messagestore.Decode[authenticationmsg.SessionEnded](list[0])
	if want := (authenticationmsg.SessionEnded{UserID: anna, SessionID: away, Reason: authenticationmsg.EndedAway}); err != nil || m.Data != want ||
		m.Stream != authenticationmsg.Category.Stream(anna) || m.Metadata.TraceID == "" || m.Metadata.UserID != anna {
		t.Errorf("%v: %+v", err, m)
	}
	if a := here.post("/account/sessions/" + session + "/end"); a.status != http.StatusSeeOther {
		t.Errorf("its own session: %d", a.status)
	}
	if a := here.get("/account"); a.status != http.StatusSeeOther {
		t.Errorf("its own session goes on: %d", a.status)
	}
}

func TestEndOtherSessions(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna := s.person("anna@example.com")
	here, session := s.signedIn(anna)
	there, _ := s.signedIn(anna)
	away, _ := s.signedIn(anna)
	berta, _ := s.signedIn(s.person("berta@example.com"))
	for range 2 {
		if a := here.post("/account/sessions/end-others"); a.status != http.StatusSeeOther || a.to != "/account" {
			t.Errorf("%d %s", a.status, a.to)
		}
	}
	if there.get("/account").status != http.StatusSeeOther || away.get("/account").status != http.StatusSeeOther {
		t.Error("another session goes on")
	}
	if a := here.get("/account"); a.status != http.StatusOK || sessionState(a.body, session) != "open" || berta.get("/account").status != http.StatusOK {
		t.Errorf("this session ended, or a stranger's: %d", a.status)
	}
	if n := len(s.written(authenticationmsg.Category, "SessionEnded")); n != 2 {
		t.Errorf("%d events", n)
	}
}

// The page of a change follows it and is its own browser's.
func TestOperation(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna := s.person("anna@example.com")
	b, _ := s.signedIn(anna)
	stranger, _ := s.signedIn(s.person("berta@example.com"))
	// A trace of which nothing has come yet: its command is one that no component takes.
	trace := messagestore.NewID()
	if _, err := s.store.Write(s.ctx, identitymsg.Category.CommandStream(anna), unknownCommand{},
		messagestore.WithMetadata(messagestore.Metadata{TraceID: trace, UserID: anna})); err != nil {
		t.Fatal(err)
	}
	b.post("/test/remember/" + trace)
	page := "/account/operations/" + trace
	for _, path := range []string{page, page + "/live", "/account/operations/" + messagestore.NewID(), "/account/operations/x", strings.ToUpper(page)} {
		if a := stranger.get(path); a.status != http.StatusNotFound {
			t.Errorf("another person's %s: %d", path, a.status)
		}
	}
	a := b.get(page)
	if state(a.body) != "pending" || !strings.Contains(a.body, `http-equiv="refresh" content="1"`) || strings.Contains(a.body, "data-late") {
		t.Fatal(a.body)
	}
	now := s.app.now
	s.app.now = func() time.Time { return now().Add(web.LateAfter) }
	if a := b.get(page); !strings.Contains(a.body, "data-late") || !strings.Contains(a.body, `http-equiv="refresh" content="10"`) {
		t.Errorf("not late after five seconds\n%s", a.body)
	}
	frames := b.frames(streamOf(t, a.body))
	if _, err := s.store.Write(s.ctx, identitymsg.Category.Stream(anna), identitymsg.EmailConfirmationRejected{UserID: anna, Reason: identitymsg.TooSoon},
		messagestore.WithMetadata(messagestore.Metadata{TraceID: trace})); err != nil {
		t.Fatal(err)
	}
	if frame := s.await(frames, "data-operation"); state(frame) != "failed" {
		t.Error(frame)
	}
	if a := b.get(page); state(a.body) != "failed" || liveURL.MatchString(a.body) || strings.Contains(a.body, "refresh") {
		t.Errorf("the page follows what is settled\n%s", a.body)
	}
}

// Where mails are kept, the page of what a mail comes of and its stream say so.
func TestMailsThatAreKept(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *web.Config) { c.MailsKept, c.Outbox = true, true })
	b, _ := s.signedIn(s.person("anna@example.com"))
	posted := b.post("/account/email", "email", "new@example.com", "password", firstPassword)
	live := s.await(b.frames(posted.to+"/live"), `data-operation="done"`)
	for _, html := range []string{live, b.outcome(posted).body} {
		if !strings.Contains(html, "Mails are not sent here; they are in the outbox.") || !strings.Contains(html, `href="/outbox">Open the outbox`) {
			t.Error(html)
		}
	}
}

// unknownCommand is one that nobody handles.
type unknownCommand struct{}

func (unknownCommand) MessageType() string { return "UnknownCommand" }

// A change is told as done when the row shows it, and not as soon as the event is there.
func TestOperationWaitsForTheRow(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna := s.person("anna@example.com")
	b, _ := s.signedIn(anna)
	now := time.Now()
	s.app.now = func() time.Time { return now } // however slow the machine is, nothing is old
	undo := s.behind()
	posted := b.post("/account/password", "current_password", firstPassword, "password", secondPassword)
	trace := posted.to[strings.LastIndexByte(posted.to, '/')+1:]
	for found := false; !found; {
		var err error
		if _, found, _, err = s.app.operations.Of(s.ctx, trace); err != nil {
			t.Fatal(err)
		}
	}
	a := b.get(posted.to)
	if state(a.body) != "pending" {
		t.Errorf("%s while the old password is the one that counts", state(a.body))
	}
	frames := b.frames(streamOf(t, a.body))
	undo()
	if frame := s.await(frames, "data-operation"); state(frame) != "done" {
		t.Error(frame)
	}
}
