package main

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"videotutorials/components/administration/administrationmsg"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/db/dbtest"
)

// An administrator finds a person by their address, follows what they did, and has shown
// what is masked, which is written down. Nobody else has a link to the portal.
func TestAnAdministratorLooksAround(t *testing.T) {
	t.Parallel()
	withAndWithoutScripts(t, func(t *testing.T, scripts bool) {
		database := dbtest.New(t)
		s := startOn(t, database)
		const address = "ben@example.test"
		ben := member(t, s, address, goodPassword)
		if strings.Contains(ben.get("/").body, `href="/admin"`) {
			t.Error("a viewer has a link to the portal")
		}
		p := person(t, chromium(t)).still(scripts)
		p.chief(s, database)
		p.sees("the link to the portal", `href="/admin"`)
		p.press(`a[href="/admin"]`)
		p.sees("the portal", `<h1><bdi>Overview</bdi></h1>`)
		p.fill(`#admin-search`, "BEN@example.test")
		p.do(chromedp.KeyEvent(kb.Enter))
		shown := p.sees("the person", `<h1><bdi>Person</bdi></h1>`)
		if strings.Contains(shown, address) || strings.Contains(p.location(), "@") {
			t.Errorf("the address is shown at %s", p.location())
		}
		userID := strings.TrimPrefix(p.location(), s.url+"/admin/users/")
		p.press(`form[action="/admin/users/` + userID + `/reveal"] button`)
		p.sees("the address", address)
		p.press(`a[href="/admin/streams/identity-` + userID + `"]`)
		p.sees("the person's events", `<h1><bdi>identity-`+userID)
		p.press(`a[href="/admin/type-messages/Registered"]`)
		p.sees("all registrations", `<h1><bdi>Registered</bdi></h1>`)
		registered := messagesIn(t, database, identitymsg.Category, identitymsg.Registered{})[0]
		p.press(`a[href="/admin/messages/` + registered.ID + `"]`)
		if shown := p.sees("the message", `class="masked"`); strings.Contains(shown, address) || strings.Contains(shown, "argon2") {
			t.Error("what is personal is shown")
		}
		p.press(`form[action="/admin/messages/` + registered.ID + `/reveal"] button`)
		p.sees("what is masked", "argon2")
		p.press(`a[href^="/admin/correlated-messages/"]`)
		shown = p.sees("the trace", `<h1><bdi>Trace</bdi></h1>`)
		for _, kind := range []string{"Register", "Registered", "Send", "Sent", "RegistrationEmailSent"} {
			if !strings.Contains(shown, `<bdi>`+kind+`</bdi>`) {
				t.Errorf("the trace lacks %s", kind)
			}
		}
		if n := len(messagesIn(t, database, administrationmsg.Category, administrationmsg.DataRevealed{})); n != 1 {
			t.Errorf("DataRevealed was written %d times", n)
		}
		if n := len(messagesIn(t, database, administrationmsg.Category, administrationmsg.AccountRevealed{})); n != 1 {
			t.Errorf("AccountRevealed was written %d times", n)
		}
		for _, search := range decoded[administrationmsg.SearchMade](t, database, administrationmsg.Category) {
			if search.Kind != "address" {
				t.Errorf("%+v", search)
			}
		}
	})
}

// The portal is gone through by keys, and an id is copied by a click.
func TestThePortalByKeys(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	p := person(t, chromium(t)).still(true)
	p.chief(s, database)
	p.goTo(s.url + "/admin/messages?category=identity")
	first := p.evaluate(`document.querySelectorAll('[data-row]')[0].href`)
	second := p.evaluate(`document.querySelectorAll('[data-row]')[1].href`)
	p.do(chromedp.KeyEvent("j"), chromedp.KeyEvent("j"))
	if at := p.evaluate(`document.activeElement.href`); at != second {
		t.Errorf("j leads to %s", at)
	}
	p.do(chromedp.KeyEvent("k"), chromedp.KeyEvent(kb.Enter))
	p.sees("the message", `id="metadata"`)
	if p.location() != first {
		t.Errorf("enter leads to %s", p.location())
	}
	// As a keyboard does it: a text comes of a key only where nobody prevents it.
	p.do(input.DispatchKeyEvent(input.KeyDown).WithKey("/").WithCode("Slash").WithText("/"), input.DispatchKeyEvent(input.KeyUp).WithKey("/").WithCode("Slash"))
	p.do(chromedp.KeyEvent("Registered"))
	if typed := p.evaluate(`document.getElementById("admin-search").value`); typed != "Registered" {
		t.Errorf("typed into the search: %q", typed)
	}
	p.do(chromedp.KeyEvent(kb.Enter))
	p.sees("the type", `<h1><bdi>Registered</bdi></h1>`)

	p.goTo(first)
	p.do(chromedp.Click(`code[data-copy]`, chromedp.ByQuery))
	p.waitFor("it is copied", `document.querySelector('code[data-copy]').dataset.copied === ""`)
}

// Every page of the portal passes axe in both colour schemes and at three widths, and none
// scrolls sideways.
func TestPagesOfThePortalAreAccessible(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	p := person(t, chromium(t))
	p.ignore() // what is not found is an error
	p.chief(s, database)
	if _, err := database.MessageStore.Exec(within(t), `
		SELECT message_store.write_message(gen_random_uuid()::varchar, repeat('s', 300) || '-1', repeat('t', 300), '{"a": ["long", {}, 1]}', '{"traceId": "x"}')`); err != nil {
		t.Fatal(err)
	}
	settled(t, database, s)
	registered := messagesIn(t, database, identitymsg.Category, identitymsg.Registered{})[0]
	userID := registered.Stream.ID()
	metadata, err := registered.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"/admin", "/admin/messages", "/admin/streams", "/admin/categories", "/admin/types", "/admin/users",
		"/admin/messages/" + registered.ID, "/admin/users/" + userID, "/admin/user-messages/" + userID, "/admin/streams/" + string(registered.Stream),
		"/admin/correlated-messages/" + metadata.TraceID, "/admin/messages?type=nothing", "/admin/subscriptions", "/admin/tail", "/admin/rebuild", "/admin/contracts", "/admin/nothing",
	} {
		p.goTo(s.url + path)
		p.accessible(path)
	}
}
