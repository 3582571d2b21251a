package main

import (
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/chromedp"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

// An administrator rebuilds the catalogue on its page, with and without scripts. With them the
// page follows by itself, and what is ticked stays ticked; a second person's home page shows
// what the switch has changed.
func TestAnAdministratorRebuilds(t *testing.T) {
	t.Parallel()
	withAndWithoutScripts(t, func(t *testing.T, scripts bool) {
		database := dbtest.New(t)
		s := startOn(t, database)
		lesson := lessonOf(t, s, database, "The right name")
		browser := chromium(t)
		p, watcher := person(t, browser).still(scripts), person(t, browser)
		p.chief(s, database)
		if _, err := database.Views.Exec(within(t), `UPDATE catalogue SET title = 'A wrong name'`); err != nil {
			t.Fatal(err)
		}
		lessonOf(t, s, database, "Another") // a page is kept until something is published
		watcher.goTo(s.url + "/")
		watcher.sees("the wrong name", "A wrong name")
		watcher.waitFor("the line is open", line("open"))

		const path = "/admin/rebuild/catalogue"
		p.goTo(s.url + "/admin/rebuild")
		p.press(`a[href="` + path + `"]`)
		p.press(`form[action="` + path + `/start"] button`)
		follows := func(what, pattern string) string {
			t.Helper()
			if !scripts {
				until(t, what, func() bool { p.goTo(s.url + path); return strings.Contains(p.now(), pattern) })
			}
			return p.sees(what, pattern)
		}
		shown := follows("the difference", "What the switch changes")
		if !strings.Contains(shown, "A wrong name") || !strings.Contains(shown, "The right name") {
			t.Errorf("the difference is\n%s", said(shown))
		}
		if scripts {
			p.waitFor("the box is ticked", `(() => { const box = document.querySelector('[name=sure]'); box.checked = true; return true })()`)
			before := p.evaluate(`document.getElementById('rebuild-now').innerText`)
			_, err := messagestore.New(database.MessageStore).Write(within(t), publishingmsg.Category.Stream(lesson), publishingmsg.VideoNamed{VideoID: lesson, Name: "The right name"})
			if err != nil {
				t.Fatal(err)
			}
			p.waitFor("the page shows the progress", `document.getElementById('rebuild-now').innerText !== `+strconv.Quote(before))
			if ticked := p.evaluate(`document.querySelector('[name=sure]').checked`); ticked != "true" {
				t.Error("what was ticked is so no more")
			}
			p.do(chromedp.Evaluate(`document.querySelector('[name=sure]').checked = false`, nil))
		}
		box := p.element(`[name=sure]`)
		p.do(dom.Focus().WithBackendNodeID(box), chromedp.KeyEvent(" "))
		p.press(`form[action="` + path + `/switch"] button`)
		follows("that it is done", "rebuild-done")
		watcher.sees("the right name, without a reload", "The right name")
	})
}
