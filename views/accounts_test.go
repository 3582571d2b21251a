package views

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"
)

const traceID = "5d0c8f1b-7a43-4e0e-9d55-2f0f4a1c7e33"

var (
	received = time.Date(2026, 11, 22, 9, 30, 0, 125_000_000, time.UTC)

	signedIn = with(page, func(p *Page) { p.SignedIn, p.Title, p.Path = true, "Account", AccountPath })
	stranger = with(page, func(p *Page) { p.Title, p.Path = "Register", RegisterPath })

	ours = Account{
		Email: "reader@example.com", Confirmed: true, Roles: []string{"creator", "admin"}, RegisteredAt: received, This: "here",
		SignIns: []SignIn{
			{ID: "there", At: received.Add(3 * time.Hour), Browser: "Safari on iPhone"},
			{ID: "here", At: received.Add(2 * time.Hour), Browser: "Firefox on Linux"},
			{ID: "guess", At: received.Add(time.Hour), Browser: "Chrome on Windows", FailedReason: "wrong-password"},
			{ID: "before", At: received, EndedAt: received.Add(time.Minute), EndedReason: "logged-out"},
		},
	}
)

func after(ms int) time.Time { return received.Add(time.Duration(ms) * time.Millisecond) }

// registrations are all states that a registration can be seen in, in their order.
func registrations() map[string]Registration {
	r := Registration{TraceID: traceID, Email: "reader@example.com", ReceivedAt: received}
	all := map[string]Registration{"received": r}
	r.RegisteredAt = after(38)
	all["registered"] = r
	r.QueuedAt, r.Late = after(52), true
	all["queued-late"] = r
	failed := r
	failed.FailedReason, failed.Late = "550 No such mailbox", false
	all["failed"] = failed
	r.SentAt, r.Late = after(1304), false
	all["sent"] = r
	kept := r
	kept.MailsKept = true
	all["kept"] = kept
	kept.Outbox = true
	all["in-outbox"] = kept
	r.ConfirmedAt = after(84_000)
	all["confirmed"] = r
	all["rejected"] = Registration{
		TraceID: traceID, Email: "reader@example.com", ReceivedAt: received,
		Rejected: &RegisterForm{ID: "again", Email: "reader@example.com", EmailProblem: "email-taken"},
	}
	return all
}

func TestGoldenAccounts(t *testing.T) {
	t.Parallel()
	changing := ours
	changing.PendingEmail, changing.NewEmail, changing.EmailProblem, changing.EmailPasswordProblem = "new@example.com", "new@", "email-invalid", "wrong"
	all := map[string]templ.Component{
		"register":              RegisterPage(stranger, RegisterForm{ID: "form"}),
		"register-problems":     RegisterPage(stranger, RegisterForm{ID: "form", Email: "reader@", EmailProblem: "email-invalid", PasswordProblem: "too-short"}),
		"registration-page":     RegistrationPage(with(stranger, func(p *Page) { p.Live, p.Refresh = "/register/x/live", 2 }), registrations()["received"]),
		"registration-waiting":  RegistrationPage(with(stranger, func(p *Page) { p.Live = "/register/x/live" }), registrations()["sent"]),
		"log-in":                LogInPage(stranger, LogInForm{Next: "/account"}),
		"log-in-wrong":          LogInPage(stranger, LogInForm{Email: "reader@example.com", Problem: "wrong"}),
		"log-in-too-many":       LogInPage(stranger, LogInForm{Email: "reader@example.com", Problem: "too-many", Wait: 12}),
		"forgot-password":       ForgotPasswordPage(stranger, ForgotPasswordForm{}),
		"forgot-password-wrong": ForgotPasswordPage(stranger, ForgotPasswordForm{Email: "reader", EmailProblem: "email-invalid"}),
		"forgot-password-sent":  ForgotPasswordSentPage(stranger, "reader@example.com"),
		"forgot-password-kept":  ForgotPasswordSentPage(with(stranger, func(p *Page) { p.MailsKept = true }), "reader@example.com"),
		"operation-in-outbox":   OperationState(Operation{TraceID: traceID, Outcome: "EmailChangeRequested", SignedIn: true, MailsKept: true, Outbox: true}),
		"reset-password":        ResetPasswordPage(stranger, ResetPasswordForm{Token: "token", PasswordProblem: "common"}),
		"reset-password-no":     ResetPasswordPage(stranger, ResetPasswordForm{Invalid: true}),
		"confirm-email":         ConfirmEmailPage(stranger, ConfirmEmail{Token: "token", Email: "reader@example.com"}),
		"confirm-email-no":      ConfirmEmailPage(stranger, ConfirmEmail{Invalid: true}),
		"first-admin":           FirstAdminPage(signedIn, FirstAdmin{Token: "token", Email: "reader@example.com"}),
		"first-admin-stranger":  FirstAdminPage(stranger, FirstAdmin{Token: "a&b"}),
		"first-admin-taken":     FirstAdminPage(signedIn, FirstAdmin{Taken: true}),
		"operation-pending":     OperationPage(signedIn, Operation{TraceID: traceID, SignedIn: true, Late: true}),
		"operation-done":        OperationState(Operation{TraceID: traceID, Outcome: "PasswordChanged", SignedIn: true}),
		"operation-failed":      OperationState(Operation{TraceID: traceID, Outcome: "PasswordChangeRejected", Reason: "link-expired"}),
		"account":               AccountPage(signedIn, ours),
		"account-problems":      AccountPage(signedIn, changing),
		"account-unconfirmed":   AccountDetails(Account{Email: "reader@example.com"}),
		"account-over":          SessionOver(AccountID),
	}
	for name, r := range registrations() {
		all["registration-"+name] = RegistrationSteps(r)
	}
	for name, c := range all {
		golden(t, name, c)
	}
}

func TestStepsOfARegistration(t *testing.T) {
	t.Parallel()
	state := regexp.MustCompile(`data-step="([a-z-]+)" data-state="([a-z]+)"( aria-current="step")?`)
	for name, want := range map[string]string{
		"received":    "received done, registered waiting now, email-queued waiting, email-sent waiting, confirmed waiting",
		"registered":  "received done, registered done, email-queued waiting now, email-sent waiting, confirmed waiting",
		"queued-late": "received done, registered done, email-queued done, email-sent waiting now, confirmed waiting",
		"kept":        "received done, registered done, email-queued done, email-sent done, confirmed waiting now",
		"in-outbox":   "received done, registered done, email-queued done, email-sent done, confirmed waiting now",
		"sent":        "received done, registered done, email-queued done, email-sent done, confirmed waiting now",
		"confirmed":   "received done, registered done, email-queued done, email-sent done, confirmed done",
		"failed":      "received done, registered done, email-queued done, email-sent failed, confirmed waiting",
		"rejected":    "received done, registered failed",
	} {
		r := registrations()[name]
		html := render(t, RegistrationSteps(r))
		var got []string
		for _, m := range state.FindAllStringSubmatch(html, -1) {
			line := m[1] + " " + m[2]
			if m[3] != "" {
				line += " now"
			}
			got = append(got, line)
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s shows %s, want %s", name, strings.Join(got, ", "), want)
		}
		if settled := name == "confirmed" || name == "failed" || name == "rejected"; r.Settled() != settled {
			t.Errorf("%s: Settled is %t", name, !settled)
		}
		if logIn := strings.Contains(html, `href="`+LogInPath+`"`); logIn != (name != "received") {
			t.Errorf("%s: a link to log in is there: %t", name, logIn)
		}
	}
}

// After a mail that was refused nothing is waited for, and no link is spoken of.
func TestAMailThatFailedIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	html := render(t, RegistrationSteps(registrations()["failed"]))
	for _, untrue := range []string{"aria-current", `class="wait"`, "(now)", "ollow the link in"} {
		if strings.Contains(html, untrue) {
			t.Errorf("it says %s\n%s", untrue, html)
		}
	}
}

// Where mails are kept no page says that one went out, or is to be looked for among others.
func TestMailsThatAreKept(t *testing.T) {
	t.Parallel()
	for _, outbox := range []bool{false, true} {
		p := with(stranger, func(p *Page) { p.MailsKept, p.Outbox = true, outbox })
		where := map[bool]string{false: "This site sends no mail yet", true: "in the outbox."}[outbox]
		pages := map[string]templ.Component{
			"forgotten":      ForgotPasswordPage(p, ForgotPasswordForm{}),
			"forgotten sent": ForgotPasswordSentPage(p, "reader@example.com"),
			"account":        AccountPage(p, ours),
		}
		for _, event := range []string{"ConfirmationRequested", "EmailChangeRequested"} {
			pages[event] = OperationPage(p, Operation{Outcome: event, MailsKept: true, Outbox: outbox})
		}
		for name, r := range registrations() {
			r.MailsKept, r.Outbox = true, outbox
			page := RegistrationPage(p, r)
			if !r.SentAt.IsZero() {
				pages["registration "+name] = page
			}
			demandNoMail(t, name, render(t, page))
		}
		for name, c := range pages {
			html := render(t, c)
			if !strings.Contains(html, where) {
				t.Errorf("%s does not say %s\n%s", name, where, html)
			}
			demandNoMail(t, name, html)
		}
	}
	for _, c := range []templ.Component{
		ForgotPasswordSentPage(stranger, "reader@example.com"), OperationPage(stranger, Operation{Outcome: "ConfirmationRequested"}),
		RegistrationPage(stranger, registrations()["sent"]),
	} {
		if html := render(t, c); !strings.Contains(strings.ToLower(html), "look among the spam") {
			t.Errorf("where mails are sent there is no hint for those whose mail does not come\n%s", html)
		}
	}
}

func demandNoMail(t *testing.T, name, html string) {
	t.Helper()
	for _, untrue := range []string{"spam", "on its way", "went to", "handed over", "E-mail sent", "We send", "Send the link", "mail server", "Look at your mail", "Look at the mail"} {
		if strings.Contains(html, untrue) {
			t.Errorf("%s says %q although mails are kept\n%s", name, untrue, html)
		}
	}
}

// Where the person is waited for, those without scripts look again when they like.
func TestLookAgain(t *testing.T) {
	t.Parallel()
	const link = `<noscript><p class="measure"><a href="/register/` + traceID + `">Look again</a></p></noscript>`
	for _, c := range []struct {
		page  Page
		there bool
	}{
		{with(stranger, func(p *Page) { p.Live = "/live" }), true},
		{with(stranger, func(p *Page) { p.Live, p.Refresh = "/live", 1 }), false},
		{stranger, false},
	} {
		if html := render(t, RegistrationPage(c.page, registrations()["sent"])); strings.Contains(html, link) != c.there {
			t.Errorf("with %q and %d s the link is there: %t\n%s", c.page.Live, c.page.Refresh, !c.there, html)
		}
	}
}

// The title of a page that comes back with problems says so, and no other does.
func TestTitlesOfPagesThatComeBack(t *testing.T) {
	t.Parallel()
	wrong := ours
	wrong.CurrentPasswordProblem = "wrong"
	form := RegisterForm{EmailProblem: "email-taken"}
	const said = "<title>Not accepted: "
	for name, c := range map[string]templ.Component{
		"register": RegisterPage(stranger, form),
		"rejected": RegistrationPage(stranger, Registration{Rejected: &form}),
		"log in":   LogInPage(stranger, LogInForm{Problem: "wrong"}),
		"too many": LogInPage(stranger, LogInForm{Problem: "too-many", Wait: 2}),
		"forgot":   ForgotPasswordPage(stranger, ForgotPasswordForm{EmailProblem: "email-invalid"}),
		"reset":    ResetPasswordPage(stranger, ResetPasswordForm{PasswordProblem: "common"}),
		"account":  AccountPage(signedIn, wrong),
	} {
		if !strings.Contains(render(t, c), said) {
			t.Errorf("%s comes back as if it were new", name)
		}
	}
	for name, c := range map[string]templ.Component{
		"register":     RegisterPage(stranger, RegisterForm{}),
		"registration": RegistrationPage(stranger, registrations()["sent"]),
		"log in":       LogInPage(stranger, LogInForm{}),
		"forgot":       ForgotPasswordPage(stranger, ForgotPasswordForm{}),
		"reset":        ResetPasswordPage(stranger, ResetPasswordForm{}),
		"account":      AccountPage(signedIn, ours),
	} {
		if strings.Contains(render(t, c), said) {
			t.Errorf("%s is new and says that it comes back", name)
		}
	}
}

// Somebody who is logged in is not told to log in, and a summary of problems leads to fields only.
func TestATakenAddress(t *testing.T) {
	t.Parallel()
	changing := ours
	changing.EmailProblem = "email-taken"
	for name, c := range map[string]templ.Component{
		"account":   AccountPage(signedIn, changing),
		"operation": OperationPage(signedIn, Operation{Outcome: "EmailChangeRejected", Reason: "email-taken", SignedIn: true}),
	} {
		if html := render(t, c); !strings.Contains(html, "Somebody has registered with this address already.") || strings.Contains(strings.ToLower(html), "log in") {
			t.Errorf("%s\n%s", name, html)
		}
	}
	form := RegisterForm{EmailProblem: "email-taken"}
	html := render(t, RegistrationPage(stranger, Registration{Rejected: &form}))
	for _, part := range []string{`<a href="#register-email">Somebody has registered with this address already.</a>`, `<a href="/auth/log-in">Log in</a>`} {
		if !strings.Contains(html, part) {
			t.Errorf("no %s in\n%s", part, html)
		}
	}
}

// Two databases have two clocks.
func TestNoStepIsBeforeTheFirst(t *testing.T) {
	t.Parallel()
	r := Registration{Email: "reader@example.com", ReceivedAt: received, RegisteredAt: after(-7)}
	if html := render(t, RegistrationSteps(r)); strings.Contains(html, "-7") || strings.Count(html, ">0 ms<") != 2 {
		t.Errorf("a step that is before the first is shown as %s", html)
	}
}

// Every code that components and applications know has words of its own.
func TestCodesHaveWords(t *testing.T) {
	t.Parallel()
	general := sentence("something else")
	if general == "" || strings.Contains(general, "something else") {
		t.Errorf("an unknown code is said as %q", general)
	}
	for _, code := range []string{
		"email-taken", "email-invalid", "already-registered", "not-registered", "same-email", "too-soon", "link-used",
		"link-expired", "link-outdated", "unknown-role", "admin-exists",
		"already-confirmed", "password-outdated",
		"too-short", "too-long", "common", "like-email", "wrong", "sent-before", "change-under-way",
		"wrong-password", "unknown-address", "logged-out", "ended-away", "password-changed",
	} {
		if said := sentence(code); said == general || said == "" {
			t.Errorf("%s is said as %q", code, said)
		}
	}
	if sentence("") != "" {
		t.Errorf("no problem is said as %q", sentence(""))
	}
	for _, event := range []string{
		"EmailConfirmed", "EmailConfirmationRejected", "ConfirmationRequested", "PasswordChanged", "PasswordChangeRejected",
		"EmailChangeRequested", "EmailChanged", "EmailChangeRejected", "RoleGranted", "RoleRevoked", "RoleChangeRejected",
	} {
		want := "done"
		o := Operation{Outcome: event}
		if strings.HasSuffix(event, "Rejected") {
			want, o.Reason = "failed", "not-registered"
		}
		if _, known := outcomes[event]; !known || o.state() != want || o.outcome().Text == "" {
			t.Errorf("%s is %s, said as %+v", event, o.state(), o.outcome())
		}
	}
	if o := (Operation{Outcome: "EmailConfirmationRejected", Reason: "already-confirmed"}); o.state() != "done" {
		t.Errorf("an address that is confirmed already is %s", o.state())
	}
	if o := (Operation{Outcome: "SomethingElse"}); o.state() != "done" || o.outcome().Title == "" {
		t.Errorf("an unknown event is %s, said as %+v", o.state(), o.outcome())
	}
	if o := (Operation{Outcome: "SomethingElse", Reason: "why"}); o.state() != "failed" || o.outcome().Text == "" {
		t.Errorf("an unknown refusal is %s, said as %+v", o.state(), o.outcome())
	}
}

// hostilePages are all pages of accounts with a text everywhere that people, mail servers and
// browsers have a say.
func hostilePages(text string) map[string]templ.Component {
	p := with(page, func(p *Page) { p.Title, p.Path, p.Live = text, text, text })
	form := RegisterForm{ID: text, Email: text, EmailProblem: text, PasswordProblem: text}
	sign := SignIn{ID: text, At: received, Browser: text}
	failed, ended := sign, sign
	failed.FailedReason = text
	ended.EndedAt, ended.EndedReason = received, text
	return map[string]templ.Component{
		"register":     RegisterPage(p, form),
		"registration": RegistrationPage(p, Registration{TraceID: text, Email: text, ReceivedAt: received, RegisteredAt: received, FailedReason: text}),
		"rejected":     RegistrationPage(p, Registration{TraceID: text, Email: text, ReceivedAt: received, Rejected: &form}),
		"log in":       LogInPage(p, LogInForm{Email: text, Next: text, Problem: text}),
		"forgot":       ForgotPasswordPage(p, ForgotPasswordForm{Email: text, EmailProblem: text}),
		"forgot sent":  ForgotPasswordSentPage(p, text),
		"reset":        ResetPasswordPage(p, ResetPasswordForm{Token: text, PasswordProblem: text}),
		"confirm":      ConfirmEmailPage(p, ConfirmEmail{Token: text, Email: text}),
		"first admin":  FirstAdminPage(p, FirstAdmin{Token: text, Email: text}),
		"log in first": FirstAdminPage(p, FirstAdmin{Token: text}),
		"operation":    OperationPage(p, Operation{TraceID: text, Outcome: text, Reason: text}),
		"account": AccountPage(p, Account{
			Email: text, PendingEmail: text, Roles: []string{text}, NewEmail: text, EmailProblem: text, EmailPasswordProblem: text,
			PasswordProblem: text, CurrentPasswordProblem: text, SignIns: []SignIn{sign, failed, ended},
		}),
		"push": Push(RegistrationID, RegistrationSteps(Registration{TraceID: text, Email: text, ReceivedAt: received, Rejected: &form})),
	}
}

func TestHostileTextOnAccounts(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`<script>alert(1)</script>`,
		`"><img src=x onerror=alert(1)>`,
		`' onmouseover='alert(1)`,
		`</hx-partial><hx-partial id="account">`,
		`</title></template></noscript><b>`,
		`javascript:alert(1)`,
	} {
		for name, c := range hostilePages(text) {
			html := render(t, c)
			for _, unsafe := range []string{"<script>alert", "<img src=x", "onerror=alert(1)>", "' onmouseover='", "</title></template>", `href="javascript:`, `action="javascript:`, " style="} {
				if strings.Contains(html, unsafe) {
					t.Errorf("%s with %q contains %s", name, text, unsafe)
				}
			}
			if name == "push" && strings.Count(html, "<hx-partial")+strings.Count(html, "</hx-partial") != 2 {
				t.Errorf("push with %q contains another partial", text)
			}
		}
	}
}

var (
	openingTag = regexp.MustCompile(`<[a-z][^>]*>`)
	anyID      = regexp.MustCompile(` id="([^"]*)"`)
	pointsTo   = regexp.MustCompile(` (?:aria-describedby|aria-labelledby|for|href)="([^"]*)"`)
)

// Nothing is inline, ids are single, whatever points to one finds it, a password is never given back, and a form
// that came back lets the reader go on at one field.
func TestFormsAreWhole(t *testing.T) {
	t.Parallel()
	wrong := ours
	wrong.EmailProblem, wrong.EmailPasswordProblem, wrong.PasswordProblem, wrong.CurrentPasswordProblem = "email-taken", "wrong", "common", "wrong"
	all := hostilePages("not-registered")
	delete(all, "push")
	all["account with problems"] = AccountPage(signedIn, wrong)
	all["account of one session"] = AccountPage(signedIn, Account{Email: "reader@example.com", This: "a", SignIns: []SignIn{{ID: "a", At: received}}})
	all["log in with the wrong password"] = LogInPage(page, LogInForm{Email: "reader@example.com", Problem: "wrong"})
	for name, c := range all {
		html := render(t, c)
		for _, inline := range []string{" style=", "<style", " onclick=", " hx-on", "javascript:", "<script>"} {
			if strings.Contains(html, inline) {
				t.Errorf("%s contains %s", name, inline)
			}
		}
		ids := map[string]bool{}
		for _, m := range anyID.FindAllStringSubmatch(html, -1) {
			if ids[m[1]] && !strings.HasPrefix(m[1], "session-") { // in the hostile page all sessions are one
				t.Errorf("%s has the id %q twice", name, m[1])
			}
			ids[m[1]] = true
		}
		for _, m := range pointsTo.FindAllStringSubmatch(html, -1) {
			if strings.Contains(m[0], "href=") {
				if target, isFragment := strings.CutPrefix(m[1], "#"); !isFragment || ids[target] {
					continue
				}
			}
			for id := range strings.FieldsSeq(strings.TrimPrefix(m[1], "#")) {
				if !ids[id] {
					t.Errorf("%s points to %q, which is not there", name, id)
				}
			}
		}
		focus := 0
		for _, tag := range openingTag.FindAllString(html, -1) {
			if strings.Contains(tag, `type="password"`) && strings.Contains(tag, " value=") {
				t.Errorf("%s gives a password back: %s", name, tag)
			}
			if strings.Contains(tag, " autofocus") {
				focus++
			}
			if strings.Contains(tag, `aria-invalid="true"`) && !strings.Contains(tag, "aria-describedby=") {
				t.Errorf("%s does not say what is wrong: %s", name, tag)
			}
		}
		if strings.Contains(html, `aria-invalid="true"`) && focus != 1 && name != "rejected" {
			t.Errorf("%s has %d fields with the focus", name, focus)
		}
		if (name == "rejected" || name == "registration") && focus != 0 {
			t.Errorf("%s takes the focus away with each push", name)
		}
	}
}

func TestFragmentsOfAccountsCarryTheirIDs(t *testing.T) {
	t.Parallel()
	for id, c := range map[string]templ.Component{
		RegistrationID:   RegistrationSteps(Registration{}),
		OperationID:      OperationState(Operation{}),
		AccountDetailsID: AccountDetails(ours),
		SignInsID:        SignIns(ours),
		AccountID:        SessionOver(AccountID),
	} {
		if tag, _, _ := strings.Cut(render(t, c), ">"); !strings.Contains(tag, ` id="`+id+`"`) {
			t.Errorf("the root of %s is %s>", id, tag)
		}
	}
}

func TestHeader(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		page         Page
		there, never []string
	}{
		"a stranger":      {stranger, []string{`href="/auth/log-in"`, `<a href="/register" aria-current="page"`}, []string{`href="/account"`, "Log out", "Outbox"}},
		"somebody":        {signedIn, []string{`<a href="/account" aria-current="page"`, `<form method="post" action="/auth/log-out">`}, []string{`href="/register"`, "Outbox"}},
		"in development":  {with(signedIn, func(p *Page) { p.Outbox = true }), []string{`href="/outbox"`}, nil},
		"without scripts": {with(stranger, func(p *Page) { p.Refresh = 3 }), []string{`<noscript><meta http-equiv="refresh" content="3"></noscript>`}, nil},
	} {
		html := render(t, ErrorPage(c.page, Problem{Status: 404}))
		for _, part := range c.there {
			if !strings.Contains(html, part) {
				t.Errorf("%s does not see %s", name, part)
			}
		}
		for _, part := range append(c.never, `content="0"`) {
			if strings.Contains(html, part) {
				t.Errorf("%s sees %s", name, part)
			}
		}
	}
}

func TestElapsed(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0:                                 "0 ms",
		999 * time.Microsecond:            "0 ms",
		38 * time.Millisecond:             "38 ms",
		1304 * time.Millisecond:           "1,304 ms",
		9999 * time.Millisecond:           "9,999 ms",
		10 * time.Second:                  "10.0 s",
		84*time.Second + time.Millisecond: "84.0 s",
		2 * time.Minute:                   "2 min",
		119 * time.Minute:                 "119 min",
		3 * time.Hour:                     "3 h",
		50 * time.Hour:                    "2 days",
	} {
		if got := elapsed(d); got != want {
			t.Errorf("elapsed(%s) = %s, want %s", d, got, want)
		}
	}
}
