package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"videotutorials/components/viewing/viewingmsg"
	"videotutorials/db/dbtest"
)

// hop is a card of the X-ray.
type hop struct {
	ID, Kind, Lane, Title, Text string
	From                        []string
}

// hops are the cards of the panel from its top to its bottom.
func (p *tab) hops() (list []hop) {
	p.t.Helper()
	text := p.evaluate(`JSON.stringify([...document.querySelectorAll('.xray-card')].map((card) => ({
		ID: card.id, Kind: card.dataset.kind, Lane: card.closest('[data-lane]').dataset.lane, Title: card.querySelector('strong').textContent,
		Text: card.textContent, From: card.dataset.from?.split(' ') ?? []})))`)
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		p.t.Fatal(err)
	}
	return list
}

const panelIsOpen = `document.querySelector('.xray') !== null`

// cards counts the cards of a kind.
func cards(kind, title string) string {
	return `[...document.querySelectorAll('.xray-card[data-kind="` + kind + `"] strong')].filter((title) => title.textContent === "` + title + `").length`
}

// TestXRayOfARegistration: all its hops are there, in order, each caused by one above it,
// from the click to the page; who else looks sees nothing of it.
func TestXRayOfARegistration(t *testing.T) {
	t.Parallel()
	s, browser := startOn(t, dbtest.New(t), "--no-demo"), chromium(t)
	looking := func() *tab {
		p := person(t, browser).still(true)
		p.goTo(s.url + "/register")
		p.press(".xray-switch button")
		p.waitFor("the panel says that there is nothing", panelIsOpen+` && document.querySelector('.xray-empty') !== null && location.pathname === "/register"`)
		return p
	}
	bob := looking()
	ada := looking()
	ada.fill(`[name=email]`, "ada@example.org")
	ada.fill(`[name=password]`, "correct horse battery")
	ada.press(`form[action="/register"] button[data-busy]`)
	ada.waitFor("the last event is in a row", cards("event", "RegistrationEmailSent")+" === 1 && "+cards("aggregator", "registrations")+" >= 2")
	ada.waitFor("the page has the row", `[...document.querySelectorAll('.xray-card[data-kind="fragment"]')].some((fragment) =>
		document.getElementById(fragment.dataset.from).querySelector('strong').textContent.startsWith("registrations/"))`)

	hops, seen := ada.hops(), map[string]hop{}
	for _, h := range hops {
		for _, from := range h.From {
			if _, before := seen[from]; !before {
				t.Errorf("%s %q comes from %q, which does not stand above it", h.Kind, h.Title, from)
			}
		}
		if len(h.From) == 0 && h.Kind != "request" {
			t.Errorf("%s %q comes from nowhere", h.Kind, h.Title)
		}
		seen[h.ID] = h
	}
	// The way of the registration's own fragment, backwards.
	i := slices.IndexFunc(hops, func(h hop) bool {
		return h.Kind == "fragment" && strings.HasPrefix(seen[h.From[0]].Title, "registrations/")
	})
	var way []string
	for h := hops[i]; ; h = seen[h.From[0]] {
		way = append(way, h.Lane+": "+h.Kind)
		if len(h.From) == 0 {
			break
		}
	}
	slices.Reverse(way)
	want := []string{"app: request", "message-store: command", "component: component", "message-store: event", "aggregator: aggregator", "aggregator: view row", "browser: fragment"}
	if !slices.Equal(way, want) {
		t.Errorf("the way to the page is %q", way)
	}
	var messages []string
	for _, h := range hops {
		if h.Lane == "message-store" {
			messages = append(messages, h.Title)
		}
	}
	if got := strings.Join(messages, " "); got != "Register EmailReserved Registered Send Sent RegistrationEmailSent" {
		t.Errorf("messages: %s", got)
	}
	for _, h := range hops {
		if strings.Contains(h.Text, "ada@example.org") || strings.Contains(h.Text, "argon2") || strings.Contains(h.Text, "token=") {
			t.Errorf("%s %q shows what is secret: %s", h.Kind, h.Title, h.Text)
		}
	}
	if person := hops[1]; !strings.Contains(person.Text, `"passwordHash": "[masked]"`) {
		t.Errorf("the data of the command are not shown: %s", person.Text)
	}

	ada.waitFor("the panel is still there on the next page", panelIsOpen)
	ada.goTo(s.url)
	ada.waitFor("and shows the same", cards("event", "Registered")+" === 1")
	bob.goTo(s.url)
	bob.waitFor("the panel is open", panelIsOpen+` && document.querySelector('.xray-empty') !== null`)
	if n := len(bob.hops()); n != 0 {
		t.Errorf("somebody else sees %d hops", n)
	}
	bob.press(".xray-off button")
	bob.waitFor("the panel is gone", `document.querySelector('.xray') === null && document.querySelector('.xray-switch') !== null`)
}

// TestXRayFollowsAClickThatLoadsNothing: the page's script posts, and the panel shows it
// without a reload; the element that the fragment replaced can be found by it.
func TestXRayFollowsAClickThatLoadsNothing(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	id := lessonOf(t, s, database, "A lesson")
	viewer := person(t, chromium(t)).still(true)
	viewer.goTo(s.url + "/videos/" + id)
	viewer.press(".xray-switch button")
	viewer.waitFor("the panel is open", panelIsOpen+" && "+line("open"))
	viewer.evaluate(`window.notReloaded = "same page"`)
	viewer.evaluate(play)
	viewer.waitFor("the page is told", `document.querySelector('.xray-card[data-kind="fragment"][data-elements~="view-count-`+id+`"]') !== null`)
	viewer.evaluate(`document.querySelector('.xray-card[data-elements~="view-count-` + id + `"] summary').focus()`)
	viewer.waitFor("the count is marked", `document.getElementById("view-count-`+id+`").classList.contains("xray-lit")`)
	viewer.waitFor("with all that led to it", `document.querySelectorAll('.xray-related').length >= 5 && document.querySelector('.xray-card[data-kind="request"]').classList.contains("xray-related")`)
	if viewer.evaluate(`window.notReloaded`) != "same page" {
		t.Error("the page was reloaded")
	}
	// Somebody else's view of the same lesson is not theirs.
	before := viewer.evaluate(cards("event", viewingmsg.VideoViewed{}.MessageType()))
	somebodyWatches(t, database, id)
	viewer.waitFor("two views", counted(id, 2))
	if after := viewer.evaluate(cards("event", viewingmsg.VideoViewed{}.MessageType())); before != "1" || after != before {
		t.Errorf("%s views were drawn, now %s", before, after)
	}
}

// TestXRayWithoutScripts: the switch and what the page was made of work by themselves.
func TestXRayWithoutScripts(t *testing.T) {
	t.Parallel()
	s := startOn(t, dbtest.New(t), "--no-demo")
	p := person(t, chromium(t)).still(false)
	p.goTo(s.url + "/register")
	p.press(".xray-switch button")
	p.sees("the empty panel", `xray-empty`)
	p.fill(`[name=email]`, "ada@example.org")
	p.fill(`[name=password]`, "correct horse battery")
	p.press(`form[action="/register"] button[data-busy]`)
	p.sees("the last event", `<strong>RegistrationEmailSent</strong>`)
}

// TestXRayIsAccessible: axe finds nothing, and no width scrolls sideways.
func TestXRayIsAccessible(t *testing.T) {
	t.Parallel()
	s := startOn(t, dbtest.New(t), "--no-demo")
	p := person(t, chromium(t)).still(true)
	p.goTo(s.url + "/register")
	p.press(".xray-switch button")
	p.fill(`[name=email]`, "ada@example.org")
	p.fill(`[name=password]`, "correct horse battery")
	p.press(`form[action="/register"] button[data-busy]`)
	p.waitFor("the last event is in a row", cards("aggregator", "registrations")+" >= 2")
	for _, path := range []string{"", "/xray/walkthrough/registration", "/xray/walkthrough/publishing", "/xray/walkthrough/walkthrough"} {
		if path != "" {
			p.goTo(s.url + path)
		}
		p.evaluate(`document.querySelectorAll('.xray-card').forEach((card, i) => (card.open = i < 2))`)
		p.accessible("X-ray " + path)
	}
}

// TestXRayTellsNothingOfOthers: what is asked without saying who asks leaves no trace at
// the browser, whether the address is somebody's or not, and a log-out takes all away.
func TestXRayTellsNothingOfOthers(t *testing.T) {
	t.Parallel()
	s := startOn(t, dbtest.New(t), "--no-demo")
	member(t, s, "ada@example.org", "correct horse battery")
	stranger := visit(t, s)
	on := func(v *visitor) string {
		a := v.post("/xray", url.Values{"on": {"yes"}}, "Referer", v.url+"/register?x=1")
		if to := a.header.Get("Location"); a.status != http.StatusSeeOther || to != "/register?x=1" {
			t.Fatalf("%d, leads to %q", a.status, to)
		}
		return v.get("/").body
	}
	if !strings.Contains(on(stranger), "xray-empty") {
		t.Error("there is no panel")
	}
	for _, email := range []string{"ada@example.org", "nobody@example.org"} {
		for _, a := range []answer{
			stranger.submit("/auth/forgot-password", "/auth/forgot-password", "email", email),
			stranger.logIn(email, "a wrong password"),
		} {
			if cookies := strings.Join(a.header.Values("Set-Cookie"), " "); strings.Contains(cookies, "xray=") {
				t.Errorf("of %s: %s", email, cookies)
			}
		}
	}
	if body := stranger.get("/").body; !strings.Contains(body, "xray-empty") || strings.Contains(body, "xray-card") {
		t.Error("the panel shows what others are asked about")
	}

	// Her own log-in she sees, and after the log-out nobody at this browser does.
	ada := visit(t, s)
	on(ada)
	ada.entered("ada@example.org", "correct horse battery")
	if body := ada.get("/account").body; !strings.Contains(body, "<strong>UserLoggedIn</strong>") {
		t.Errorf("her log-in is not drawn: %s", said(body))
	}
	ada.post("/auth/log-out", url.Values{})
	if body := ada.get("/").body; strings.Contains(body, "xray-card") || !strings.Contains(body, "xray-empty") {
		t.Error("what she did is there after the log-out")
	}
	// A cookie that was made up is none.
	forged := visit(t, s)
	if body := ask(t, forged.client, http.MethodGet, s.url+"/", "", nil, "Cookie", "xray=eyJpIjoiMDAwMDAwMDAtMDAwMC00MDAwLTgwMDAtMDAwMDAwMDAwMDAwIn0=").body; !strings.Contains(body, "xray-switch") {
		t.Error("a forged cookie opens the panel")
	}
}

// TestXRayOff: no switch and no route where it is off, which is so in production unless
// it is switched on.
func TestXRayOff(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"XRAY=off", "ENVIRONMENT=production"} {
		s := start(t, folder(t), append(environment(dbtest.New(t)), setting), "--no-demo")
		v := visit(t, s)
		if strings.Contains(v.get("/").body, "xray") {
			t.Errorf("%s: there is a switch", setting)
		}
		if a := v.post("/xray", url.Values{"on": {"yes"}}); a.status != http.StatusNotFound || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: the switch is answered %d", setting, a.status)
		}
		for _, path := range []string{"/xray", "/xray/live", "/xray/walkthrough/registration"} {
			if a := v.get(path); a.status != http.StatusNotFound {
				t.Errorf("%s: %s is %d", setting, path, a.status)
			}
		}
	}
}
