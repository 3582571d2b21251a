package main

import (
	"net/http"
	"net/url"
	"testing"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/db/dbtest"
)

// The page of a trace that waits draws what comes when it goes on, as pictures are drawn,
// and leaves alone what was opened on it.
func TestAPictureGrowsInTheBrowser(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	p := person(t, chromium(t)).still(true)
	p.chief(s, database)
	p.goTo(s.url + "/admin/subscriptions")
	p.press(`form[action="/admin/subscriptions/identity:commands/pause"] button`)
	p.sees("it is paused", `state-paused`)
	v := visit(t, s)
	v.register("ada@example.test", goodPassword)
	command := messagesIn(t, database, identitymsg.Category.Commands(), identitymsg.Register{})
	metadata, err := command[len(command)-1].Metadata()
	if err != nil {
		t.Fatal(err)
	}

	p.goTo(s.url + "/admin/correlated-messages/" + metadata.TraceID)
	p.sees("the line is open", `data-live="open"`)
	p.waitFor("the request and its command", `document.querySelectorAll('.trace-picture .card').length === 2`)
	p.evaluate(`document.getElementById('trace-list').open = true`)
	p.evaluate(`window.notReloaded = "same page"`)
	a := visit(t, s).entered("chief@example.test", goodPassword)
	if done := a.post("/admin/subscriptions/identity:commands/resume", url.Values{}); done.status != http.StatusSeeOther {
		t.Fatalf("resume: %d\n%s", done.status, said(done.body))
	}
	p.waitFor("the whole registration", `[...document.querySelectorAll('.trace-picture .event .name')].map(n => n.textContent).join('').includes('EmailSent')
		&& document.querySelectorAll('.trace-picture .view').length >= 3`)
	p.demandMark() // without a reload
	if got := p.evaluate(`[...document.querySelectorAll('.trace-picture *')].every(n => n.namespaceURI === 'http://www.w3.org/2000/svg')
		&& [...document.querySelectorAll('.trace-picture rect')].every(n => n.getBoundingClientRect().width > 100)`); got != "true" {
		t.Errorf("what came is not drawn: %s", got)
	}
	if got := p.evaluate(`document.getElementById('trace-list').open && document.querySelectorAll('.trace-list tbody tr').length === document.querySelectorAll('.trace-picture .card').length`); got != "true" {
		t.Errorf("the list is closed, or not the same: %s", got)
	}
	if got := p.evaluate(`new Set([...document.querySelectorAll('.trace-picture .card')].map(n => n.dataset.card)).size === document.querySelectorAll('.trace-picture .card').length`); got != "true" {
		t.Errorf("cards stand there twice: %s", got)
	}
}
