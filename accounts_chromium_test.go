package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/jackc/pgx/v5"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/db/dbtest"
)

// What a person does on the pages of accounts works the same with scripts and without:
// the tests below use the keyboard, the mouse and the document as it stands, and no
// script of their own where scripts may be off.

// still asks for no motion: a test clicks before a page has changed over.
func (p *tab) still(scripts bool) *tab {
	p.t.Helper()
	p.do(emulation.SetScriptExecutionDisabled(!scripts),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}}))
	return p
}

// element finds an element in the document as it is now. chromedp follows the document
// too, and each of the two makes the other's numbers of nodes void; the backend's stay.
func (p *tab) element(selector string) (found cdp.BackendNodeID) {
	p.t.Helper()
	var trouble error
	for range 20 {
		trouble = chromedp.Run(p.ctx, chromedp.ActionFunc(func(ctx context.Context) error {
			document, err := dom.GetDocument().WithDepth(0).Do(ctx)
			if err != nil {
				return err
			}
			id, err := dom.QuerySelector(document.NodeID, selector).Do(ctx)
			if err != nil {
				return err
			}
			node, err := dom.DescribeNode().WithNodeID(id).Do(ctx)
			if err == nil {
				found = node.BackendNodeID
			}
			return err
		}))
		if trouble == nil {
			return found
		}
	}
	p.t.Fatalf("find %s: %v\n%s", selector, trouble, said(p.now()))
	return 0
}

// fill types into a field what takes the place of what stands there.
func (p *tab) fill(selector, text string) {
	p.t.Helper()
	id := p.element(selector)
	p.do(chromedp.ActionFunc(func(ctx context.Context) error {
		if err := dom.Focus().WithBackendNodeID(id).Do(ctx); err != nil {
			return err
		}
		all := input.DispatchKeyEvent(input.KeyDown).WithKey("a").WithCode("KeyA").WithModifiers(input.ModifierCtrl).WithCommands([]string{"selectAll"})
		if err := all.Do(ctx); err != nil {
			return err
		}
		if err := input.DispatchKeyEvent(input.KeyUp).WithKey("a").WithCode("KeyA").WithModifiers(input.ModifierCtrl).Do(ctx); err != nil {
			return err
		}
		return input.InsertText(text).Do(ctx)
	}))
}

// press clicks what leads to another page, and waits for that page.
func (p *tab) press(selector string) {
	p.t.Helper()
	id := p.element(selector)
	_, err := chromedp.RunResponse(p.ctx, chromedp.ActionFunc(func(ctx context.Context) error {
		if err := dom.ScrollIntoViewIfNeeded().WithBackendNodeID(id).Do(ctx); err != nil {
			return err
		}
		quads, err := dom.GetContentQuads().WithBackendNodeID(id).Do(ctx)
		if err != nil {
			return err
		}
		if len(quads) == 0 {
			return fmt.Errorf("%s cannot be seen", selector)
		}
		q := quads[0]
		return chromedp.MouseClickXY((q[0]+q[4])/2, (q[1]+q[5])/2).Do(ctx)
	}))
	if err != nil {
		p.t.Fatalf("press %s: %v\n%s", selector, err, said(p.now()))
	}
}

// now is the document as it stands, empty while one page gives way to another. It asks
// for the document anew, which chromedp's own queries do not do where scripts are off.
func (p *tab) now() (text string) {
	p.t.Helper()
	err := chromedp.Run(p.ctx, chromedp.ActionFunc(func(ctx context.Context) error {
		document, err := dom.GetDocument().WithDepth(0).Do(ctx)
		if err != nil {
			return err
		}
		text, err = dom.GetOuterHTML().WithNodeID(document.NodeID).Do(ctx)
		return err
	}))
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		p.t.Fatal(err)
	}
	return text
}

// sees waits until the page shows what matches, loading nothing by itself.
func (p *tab) sees(what, pattern string) string {
	p.t.Helper()
	re, shown := regexp.MustCompile(pattern), ""
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := within(p.t).Done()
	for {
		if shown = p.now(); re.MatchString(shown) {
			return shown
		}
		select {
		case <-tick.C:
		case <-deadline:
			p.t.Fatalf("still not: %s (%s)\n%s", what, pattern, said(shown))
		}
	}
}

func step(name, state string) string {
	return `data-step="` + name + `"[^>]*data-state="` + state + `"`
}

// mark waits until a page's line is open and marks the page, so that later demandMark
// can say whether it is still the same.
func (p *tab) mark() {
	p.t.Helper()
	p.sees("the line is open", `<body class="(entry|account)"[^>]* data-live="open"`)
	p.evaluate(`window.notReloaded = "same page"`)
}

func (p *tab) demandMark() {
	p.t.Helper()
	if p.evaluate(`window.notReloaded`) != "same page" {
		p.t.Error("a page was reloaded")
	}
}

func (p *tab) logIn(s *site, email, password string) {
	p.t.Helper()
	p.goTo(s.url + "/auth/log-in")
	p.fill(`input[name="email"]`, email)
	p.fill(`input[name="password"]`, password)
	p.press(`form[action="/auth/log-in"] button[data-busy]`)
}

// openLetter goes to the outbox, opens the newest mail to somebody, and follows its
// link as a mail program would.
func (p *tab) openLetter(s *site, subject, linksTo string) {
	p.t.Helper()
	// A mail is a moment behind what asks for it. The outbox does not follow by itself.
	var row []string
	until(p.t, "the outbox has the mail", func() bool {
		p.goTo(s.url + "/outbox")
		row = regexp.MustCompile(`(?is)<a href="(/outbox/[0-9a-f-]+)"[^>]*><bdi>[^<]*` + subject).FindStringSubmatch(p.now())
		return row != nil
	})
	p.press(`a[href="` + row[1] + `"]`)
	shown := p.sees("the mail", `class="letter-html"`)
	link := linkIn(html.UnescapeString(shown), linksTo)
	if link == "" {
		p.t.Fatalf("the mail has no link to %s\n%s", linksTo, said(shown))
	}
	p.goTo(s.url + row[1] + "/html")
	p.press(`a[href*="` + linksTo + `"]`)
}

// withAndWithoutScripts runs a test in both ways.
func withAndWithoutScripts(t *testing.T, f func(t *testing.T, scripts bool)) {
	for name, scripts := range map[string]bool{"with scripts": true, "without scripts": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, scripts)
		})
	}
}

// hold keeps the registrations' view data from changing until it is let go, so that a
// page is open before anything happens.
func hold(t *testing.T, database *dbtest.DB) (letGo func()) {
	t.Helper()
	tx, err := database.Views.Begin(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(within(t), `LOCK TABLE registrations IN EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tx.Rollback(context.Background()) })
	return func() {
		t.Helper()
		if err := tx.Rollback(within(t)); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
			t.Fatal(err)
		}
	}
}

// From the form to the log-out: a person registers, sees every step come, reads the
// mail, confirms, logs in, looks at the account and logs out.
func TestAPersonRegisters(t *testing.T) {
	t.Parallel()
	withAndWithoutScripts(t, func(t *testing.T, scripts bool) {
		database := dbtest.New(t)
		s := startOn(t, database)
		browser := chromium(t)
		p, mailTab := open(t, browser).still(scripts), open(t, browser).still(scripts)
		letGo := hold(t, database)
		p.do(page.BringToFront())
		p.goTo(s.url + "/")
		p.press(`a[href="/register"]`)
		p.fill(`input[name="email"]`, "ada@example.test")
		p.fill(`input[name="password"]`, goodPassword)
		p.press(`form[action="/register"] button[data-busy]`)
		shown := p.sees("the first step", step("received", "done"))
		for _, later := range []string{"registered", "email-queued", "email-sent", "confirmed"} {
			if stepState(shown, later) != "waiting" {
				t.Errorf("nothing has happened yet, and %s is %q", later, stepState(shown, later))
			}
		}
		if scripts {
			p.mark()
		}
		letGo()
		for _, name := range []string{"registered", "email-queued", "email-sent"} {
			p.sees(name, step(name, "done"))
		}
		if scripts {
			p.demandMark()
		}

		mailTab.do(page.BringToFront())
		mailTab.openLetter(s, "", "/confirm-email")
		mailTab.sees("the address is named", `ada@example\.test`)
		if n := len(messagesIn(t, database, identitymsg.Category, identitymsg.EmailConfirmed{})); n != 0 {
			t.Error("looking at the link confirmed the address")
		}
		mailTab.press(`form[action="/confirm-email"] button[data-busy]`)
		mailTab.sees("it is confirmed", `data-operation="done"`)
		p.do(page.BringToFront())
		if !scripts { // a page that waits for the person does not load itself again
			p.press(`noscript a[href^="/register/"]`)
		}
		p.sees("the other page shows it", step("confirmed", "done"))
		if scripts {
			p.demandMark()
		}

		p.press(`main a[href="/auth/log-in"]`)
		p.fill(`input[name="email"]`, " ADA@example.test")
		p.fill(`input[name="password"]`, goodPassword)
		p.press(`form[action="/auth/log-in"] button[data-busy]`)
		if at := p.location(); at != s.url+"/" {
			t.Errorf("after the log-in one is at %s", at)
		}
		settled(t, database, s) // without scripts the page does not follow
		p.press(`header a[href="/account"]`)
		account := p.sees("the account", `data-session="[0-9a-f-]{36}" data-state="open"`)
		if !strings.Contains(account, "ada@example.test") || strings.Contains(account, "not confirmed") {
			t.Errorf("the account says: %s", said(account))
		}
		p.press(`form[action="/auth/log-out"] button`)
		p.sees("one is out", `<a href="/auth/log-in"`)
		p.goTo(s.url + "/account")
		if at := p.location(); at != s.url+"/auth/log-in?next="+url.QueryEscape("/account") {
			t.Errorf("the account without a log-in leads to %s", at)
		}
	})
}

func (p *tab) location() (at string) {
	p.t.Helper()
	p.do(chromedp.Location(&at))
	return at
}

// An address that is taken brings the form back; so do a bad address and a bad password.
func TestAFormComesBackAsItWas(t *testing.T) {
	t.Parallel()
	withAndWithoutScripts(t, func(t *testing.T, scripts bool) {
		database := dbtest.New(t)
		s := startOn(t, database)
		v := visit(t, s)
		v.reached(v.register("taken@example.test", goodPassword), "registered")
		p := person(t, chromium(t)).still(scripts)
		p.ignore() // a form that is refused is an answer of 422
		came := func(email, pattern string) {
			t.Helper()
			shown := p.sees("the form again", pattern)
			form, ok := formIn(shown, "/register")
			if !ok || form.Get("email") != email || form.Get("password") != "" || strings.Contains(shown, goodPassword) {
				t.Errorf("the form came back as %v\n%s", form, said(shown))
			}
			if !strings.Contains(shown, `aria-invalid="true"`) {
				t.Errorf("no field is marked: %s", said(shown))
			}
		}
		send := func(email, password string) {
			t.Helper()
			p.fill(`input[name="email"]`, email)
			p.fill(`input[name="password"]`, password)
			p.press(`form[action="/register"] button[data-busy]`)
		}
		p.goTo(s.url + "/register")
		send("no address", goodPassword)
		came("no address", `register-email-problem`)
		send("new@example.test", "password1")
		came("new@example.test", `register-password-problem`)
		letGo := hold(t, database)
		send("Taken@Example.test", goodPassword)
		p.sees("it is received", step("received", "done"))
		if scripts {
			p.mark()
		}
		letGo()
		came("Taken@Example.test", step("registered", "failed"))
		if scripts {
			p.demandMark()
		}
		send("new@example.test", goodPassword)
		p.sees("the second try is registered", step("registered", "done"))
	})
}

func TestWrongAndForgottenPasswords(t *testing.T) {
	t.Parallel()
	withAndWithoutScripts(t, func(t *testing.T, scripts bool) {
		database := dbtest.New(t)
		s := startOn(t, database)
		v := visit(t, s)
		v.reached(v.register("grace@example.test", goodPassword), "email-sent")
		p := person(t, chromium(t)).still(scripts)
		p.ignore()
		p.logIn(s, "grace@example.test", "wrong "+goodPassword)
		shown := p.sees("it is not right", `role="alert"`)
		if form, ok := formIn(shown, "/auth/log-in"); !ok || form.Get("email") != "grace@example.test" || form.Get("password") != "" || strings.Contains(shown, goodPassword) {
			t.Errorf("the form came back as %v", form)
		}
		p.press(`a[href="/auth/forgot-password"]`)
		p.fill(`input[name="email"]`, "grace@example.test")
		p.press(`form[action="/auth/forgot-password"] button[data-busy]`)
		p.sees("a mail is promised", `If there is an account`)
		p.openLetter(s, "password", "/auth/reset-password")
		p.fill(`input[name="password"]`, nextPassword)
		p.press(`form[action="/auth/reset-password"] button[data-busy]`)
		p.sees("the password is set", `data-operation="done"`)
		settled(t, database, s)
		p.logIn(s, "grace@example.test", goodPassword)
		p.sees("the old one is not right", `role="alert"`)
		p.logIn(s, "grace@example.test", nextPassword)
		p.sees("one is in", `action="/auth/log-out"`)
	})
}

// A session is ended from another one, and its open page says so.
func TestASessionIsEndedFromAnother(t *testing.T) {
	t.Parallel()
	withAndWithoutScripts(t, func(t *testing.T, scripts bool) {
		database := dbtest.New(t)
		s := startOn(t, database)
		v := visit(t, s)
		v.reached(v.register("two@example.test", goodPassword), "registered")
		browser := chromium(t)
		here, there := person(t, browser).still(scripts), person(t, browser).still(scripts)
		here.logIn(s, "two@example.test", goodPassword)
		settled(t, database, s) // without scripts the page does not follow
		here.goTo(s.url + "/account")
		here.sees("one session", `this browser`)
		if scripts {
			here.mark()
		}
		there.logIn(s, "two@example.test", goodPassword)
		there.goTo(s.url + "/account")
		away := newestSession(t, database)
		end := `form[action="/account/sessions/` + away + `/end"] button`
		if scripts {
			here.sees("the other session appears", `action="/account/sessions/`+away+`/end"`)
			here.demandMark()
			there.mark()
		} else {
			until(t, "the other session is listed", func() bool {
				here.goTo(s.url + "/account")
				return strings.Contains(here.now(), `action="/account/sessions/`+away+`/end"`)
			})
		}
		here.press(end)
		here.sees("it is over", `data-session="`+away+`" data-state="ended"`)
		if scripts {
			there.sees("the page of the session that ended says so", `data-session-over`)
			there.demandMark()
			there.press(`main a[href="/auth/log-in"]`)
		} else {
			there.goTo(s.url + "/account")
		}
		there.sees("one has to log in again", `action="/auth/log-in"`)
		here.goTo(s.url + "/account")
		here.sees("the one who ended it is still in", `this browser`)
	})
}

// Each step appears when its event is there and not before: the mail server hesitates,
// and refuses somebody else.
func TestThePageWaitsForTheMailServer(t *testing.T) {
	t.Parallel()
	database, mails := dbtest.New(t), startMailServer(t)
	s := start(t, folder(t), append(environment(database), "SMTP_URL="+mails.url))
	held := make(chan struct{})
	mails.treat("slow@example.test", way{held: held})
	mails.treat("refused@example.test", way{refused: true})
	p := person(t, chromium(t)).still(true)
	register := func(email string) {
		t.Helper()
		p.goTo(s.url + "/register")
		p.fill(`input[name="email"]`, email)
		p.fill(`input[name="password"]`, goodPassword)
		p.press(`form[action="/register"] button[data-busy]`)
	}
	register("refused@example.test")
	p.sees("the refusal", step("email-sent", "failed"))
	if shown := p.sees("the account", step("registered", "done")); !strings.Contains(shown, "No such user here") {
		t.Errorf("the page does not say why: %s", said(shown))
	}
	register("slow@example.test")
	p.sees("the mail is on its way", step("email-queued", "done"))
	mails.wait(within(t), "the mail is there", func() bool { return mails.ways["slow@example.test"].tries == 1 })
	p.waitFor("after five seconds it says what it waits for",
		`(() => { const w = document.querySelector('[data-step="email-sent"] .wait'); return w !== null && w.checkVisibility({opacityProperty: true, visibilityProperty: true}) && w.innerText.includes("mail server") })()`)
	p.mark()
	if state := stepState(p.now(), "email-sent"); state != "waiting" {
		t.Errorf("the server has not answered, and the page says %q", state)
	}
	close(held)
	p.sees("the mail is sent", step("email-sent", "done"))
	p.demandMark()
}

// Every page of accounts passes axe in both colour schemes and at three widths, with
// problems and without, and none scrolls sideways.
func TestPagesOfAccountsAreAccessible(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	found := firstAdminLink.FindStringSubmatch(s.output.String())
	if found == nil {
		t.Fatal("no link for the first administrator")
	}
	p := person(t, chromium(t))
	p.ignore() // forms that are refused are answers of 422
	at := func(name, path string) {
		t.Helper()
		p.goTo(s.url + path)
		p.accessible(name)
	}
	const long = "somebody.with.a.name.that.is.rather.long.and.has.no.end@a-long-domain.example.test"
	at("empty outbox", "/outbox")
	at("registering", "/register")
	p.fill(`input[name="email"]`, long+" and more")
	p.fill(`input[name="password"]`, "password1")
	p.press(`form[action="/register"] button[data-busy]`)
	p.accessible("registering, refused")
	p.fill(`input[name="email"]`, long)
	p.fill(`input[name="password"]`, goodPassword)
	letGo := hold(t, database)
	p.press(`form[action="/register"] button[data-busy]`)
	p.accessible("a registration that has just begun")
	letGo()
	p.sees("the mail is sent", step("email-sent", "done"))
	p.accessible("a registration")
	registration := strings.TrimPrefix(p.location(), s.url)

	p.goTo(s.url + "/register")
	p.fill(`input[name="email"]`, long)
	p.fill(`input[name="password"]`, goodPassword)
	p.press(`form[action="/register"] button[data-busy]`)
	p.sees("the address is taken", step("registered", "failed"))
	p.accessible("a registration that was refused")

	at("outbox", "/outbox")
	p.press(`.letter-row a`)
	p.accessible("a mail")
	at("a link that does not work", "/confirm-email?token=x")
	at("confirming", mailed(t, outboxOf(s), long, "/confirm-email"))
	p.press(`form[action="/confirm-email"] button[data-busy]`)
	p.sees("it is confirmed", `data-operation="done"`)
	p.accessible("an operation")
	at("a registration that is confirmed", registration)

	at("logging in", "/auth/log-in")
	p.logIn(s, long, "wrong "+goodPassword)
	p.accessible("logging in, refused")
	at("a forgotten password", "/auth/forgot-password")
	p.fill(`input[name="email"]`, long)
	p.press(`form[action="/auth/forgot-password"] button[data-busy]`)
	p.accessible("a mail that was promised")
	at("setting a password", mailed(t, outboxOf(s), long, "/auth/reset-password"))
	p.fill(`input[name="password"]`, "short")
	p.press(`form[action="/auth/reset-password"] button[data-busy]`)
	p.accessible("setting a password, refused")
	at("setting a password by a bad link", "/auth/reset-password?token=x")
	p.logIn(s, long, goodPassword)
	at("account", "/account")
	p.fill(`form[action="/account/password"] input[name="current_password"]`, "wrong")
	p.fill(`form[action="/account/password"] input[name="password"]`, "short")
	p.press(`form[action="/account/password"] button[data-busy]`)
	p.accessible("account, a password refused")
	p.fill(`form[action="/account/email"] input[name="email"]`, "nobody")
	p.fill(`form[action="/account/email"] input[name="password"]`, "wrong")
	p.press(`form[action="/account/email"] button[data-busy]`)
	p.accessible("account, an address refused")
	at("the first administrator", found[1])
}
