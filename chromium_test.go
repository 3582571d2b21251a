package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"videotutorials/db/dbtest"
)

// chromium is one browser for a test; each person in it has cookies of their own.
func chromium(t *testing.T) context.Context {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("Chromium is missing: make test installs it where it can (apt-get install chromium)")
	}
	profile, err := os.MkdirTemp("", "video-tutorials-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(program), chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("autoplay-policy", "no-user-gesture-required"), chromedp.Flag("mute-audio", true),
		chromedp.WindowSize(1280, 900), chromedp.UserDataDir(profile), chromedp.WSURLReadTimeout(patience),
	}
	allocator, closeAll := chromedp.NewExecAllocator(context.Background(), options...)
	// It does not know of the newest events: whoever listens to a page would read of each.
	unheard := chromedp.WithErrorf(func(format string, args ...any) {
		if !strings.HasPrefix(format, "unhandled node event") {
			fmt.Fprintf(os.Stderr, "chromedp: "+format+"\n", args...)
		}
	})
	browser, closeBrowser := chromedp.NewContext(allocator, unheard)
	t.Cleanup(func() {
		closeBrowser()
		closeAll()
		// Its last processes may write for a moment after the browser has ended.
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(patience); os.RemoveAll(profile) != nil; <-tick.C {
			if time.Now().After(deadline) {
				t.Errorf("the browser's profile %s cannot be removed", profile)
				return
			}
		}
	})
	if err := chromedp.Run(browser); err != nil {
		t.Fatal(err)
	}
	return browser
}

// tab is one open page. What Chromium complains about fails the test.
type tab struct {
	t       *testing.T
	ctx     context.Context
	cookies cdp.BrowserContextID // empty for the browser's own

	mu       sync.Mutex
	ignoring bool // a server that is away is no complaint
}

// person opens a tab of somebody with cookies of their own. Chromium wants a window
// for that, which chromedp's own option does not ask for.
func person(t *testing.T, browser context.Context) *tab {
	t.Helper()
	var cookies cdp.BrowserContextID
	err := chromedp.Run(browser, chromedp.ActionFunc(func(ctx context.Context) (err error) {
		cookies, err = target.CreateBrowserContext().Do(cdp.WithExecutor(ctx, chromedp.FromContext(ctx).Browser))
		return err
	}))
	if err != nil {
		t.Fatal(err)
	}
	return window(t, browser, cookies)
}

// window opens a tab that has certain cookies.
func window(t *testing.T, browser context.Context, cookies cdp.BrowserContextID) *tab {
	t.Helper()
	var id target.ID
	err := chromedp.Run(browser, chromedp.ActionFunc(func(ctx context.Context) (err error) {
		id, err = target.CreateTarget("about:blank").WithBrowserContextID(cookies).WithNewWindow(true).Do(cdp.WithExecutor(ctx, chromedp.FromContext(ctx).Browser))
		return err
	}))
	if err != nil {
		t.Fatal(err)
	}
	p := open(t, browser, chromedp.WithTargetID(id))
	p.cookies = cookies
	return p
}

func open(t *testing.T, parent context.Context, options ...chromedp.ContextOption) *tab {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(parent, options...)
	ctx, cancel := context.WithTimeout(ctx, 8*patience)
	t.Cleanup(func() { cancel(); closeTab() })
	p := &tab{t: t, ctx: ctx}
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			p.complain("exception: " + e.ExceptionDetails.Error())
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError || strings.Contains(e.Entry.Text, "Content Security Policy") {
				p.complain(e.Entry.Text + " " + e.Entry.URL)
			}
		}
	})
	p.do(log.Enable(), runtime.Enable())
	return p
}

func (p *tab) complain(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ignoring {
		p.t.Errorf("Chromium complains: %s", text)
	}
}

func (p *tab) ignore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ignoring = true
}

func (p *tab) do(actions ...chromedp.Action) {
	p.t.Helper()
	if err := chromedp.Run(p.ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *tab) goTo(url string) {
	p.t.Helper()
	p.do(chromedp.Navigate(url))
}

// waitFor waits until an expression of JavaScript is true in the page.
func (p *tab) waitFor(what, expression string) {
	p.t.Helper()
	p.waitLong(patience, what, expression)
}

// waitLong waits for what takes its time.
func (p *tab) waitLong(patience time.Duration, what, expression string) {
	p.t.Helper()
	err := chromedp.Run(p.ctx, chromedp.Poll(expression, nil, chromedp.WithPollingTimeout(patience)))
	if err != nil {
		var state string
		chromedp.Run(p.ctx, chromedp.Evaluate(`document.body.dataset.live + " " + document.body.innerText`, &state))
		p.t.Fatalf("still not: %s (%s): %v\npage: %s", what, expression, err, state)
	}
}

func (p *tab) evaluate(expression string) (result string) {
	p.t.Helper()
	p.do(chromedp.Evaluate(`String(`+expression+`)`, &result))
	return result
}

// The stable hooks of the pages.
func counted(video string, n int) string {
	return fmt.Sprintf(`document.querySelector('[data-video="%s"] [data-view-count]')?.dataset.viewCount === "%d"`, video, n)
}

func watched(n int) string {
	return fmt.Sprintf(`document.querySelector('[data-videos-watched]')?.dataset.videosWatched === "%d"`, n)
}

func line(state string) string { return fmt.Sprintf(`document.body.dataset.live === "%s"`, state) }

const play = `(() => { const v = document.querySelector('video'); v.muted = true; v.play(); return true })()`

// Two people on the home page and one on a watch page see what a fourth one's
// watching does, without a reload.
func TestEverybodySeesTheCountChange(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	id, other := lessonOf(t, s, database, "A lesson"), lessonOf(t, s, database, "Another lesson")
	browser := chromium(t)
	home1, home2, watching, viewer := person(t, browser), person(t, browser), person(t, browser), person(t, browser)
	for _, p := range []*tab{home1, home2} {
		p.goTo(s.url)
		p.waitFor("the line is open", line("open"))
		p.waitFor("nothing is watched yet", watched(0)+" && "+counted(id, 0))
	}
	watching.goTo(s.url + "/videos/" + id)
	watching.waitFor("the line is open", line("open"))
	for _, p := range []*tab{home1, home2, watching} {
		p.evaluate(`window.notReloaded = "same page"`)
	}

	viewer.goTo(s.url + "/videos/" + id)
	viewer.evaluate(play)
	viewer.waitFor("the video plays", `document.querySelector('video').currentTime > 0.5`)
	viewer.waitFor("the view is counted", `document.querySelector('[data-viewing-status="counted"]') !== null`)
	for _, p := range []*tab{home1, home2} {
		p.waitFor("one view on the home page", watched(1)+" && "+counted(id, 1)+" && "+counted(other, 0))
	}
	watching.waitFor("one view on the watch page", counted(id, 1))
	viewer.waitFor("one view on the viewer's own page", counted(id, 1))

	// The same person again: a reload, and the video once more.
	viewer.do(chromedp.Reload())
	viewer.evaluate(play)
	viewer.waitFor("the video has ended", `document.querySelector('video').ended`)
	if n := viewings(t, database, id); n != 1 {
		t.Errorf("one person's viewing was written %d times", n)
	}
	// Seeking is not watching: half a second of three is less than a third.
	watching.evaluate(`(() => { const v = document.querySelector('video'); v.currentTime = 2.5; v.muted = true; v.play(); return true })()`)
	watching.waitFor("the end is reached", `document.querySelector('video').ended`)
	somebodyWatches(t, database, id)
	for _, p := range []*tab{home1, home2, watching} {
		p.waitFor("two views", counted(id, 2))
		if p.evaluate(`window.notReloaded`) != "same page" {
			t.Error("a page was reloaded")
		}
	}
	if n := viewings(t, database, id); n != 2 {
		t.Errorf("seeking was counted: %d views", n)
	}
}

// A lesson published while the home page is open appears on it, and is live there.
func TestALessonAppearsWithoutAReload(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	home := person(t, chromium(t))
	home.goTo(s.url)
	home.waitFor("the line is open", line("open"))
	if text := home.evaluate(`document.querySelector('main').innerText`); !strings.Contains(text, "No lessons yet") {
		t.Errorf("the empty page says: %s", text)
	}
	id := lessonOf(t, s, database, "Just published")
	home.waitFor("the card is there", counted(id, 0))
	somebodyWatches(t, database, id)
	home.waitFor("its count follows", counted(id, 1)+" && "+watched(1))
}

func TestTenTabsInOneBrowser(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	id := lessonOf(t, s, database, "Ten times")
	browser := chromium(t)
	tabs := make([]*tab, 10)
	for i := range tabs { // of one person: one pool of six connections
		tabs[i] = open(t, browser)
		tabs[i].do(page.BringToFront())
		tabs[i].goTo(s.url)
		tabs[i].waitFor("the tab shows the lesson", counted(id, 0))
	}
	for i, p := range tabs {
		p.do(page.BringToFront())
		somebodyWatches(t, database, id)
		p.waitFor("the tab in front follows", counted(id, i+1))
	}
	tabs[0].do(page.BringToFront())
	tabs[0].waitFor("the first tab is right when one comes back to it", counted(id, 10))
}

// The server goes away and comes back: every page says so, and ends at the true
// number without a reload, also where it changed in between.
func TestPagesFollowThroughARestart(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	id := lessonOf(t, s, database, "Interrupted")
	browser := chromium(t)
	home, watch := person(t, browser), person(t, browser)
	home.goTo(s.url)
	watch.goTo(s.url + "/videos/" + id)
	for _, p := range []*tab{home, watch} {
		p.waitFor("the line is open", line("open"))
		p.evaluate(`window.notReloaded = "same page"`)
		p.ignore()
	}
	port := s.port()
	for round, end := range []func(){s.stop, s.kill} {
		end()
		for _, p := range []*tab{home, watch} {
			p.waitFor("the page says that it is reconnecting", line("reconnecting"))
		}
		somebodyWatches(t, database, id)
		s.startAt(port)
		for _, p := range []*tab{home, watch} {
			p.waitFor("the page is live again and right", line("open")+" && "+counted(id, round+1))
			if p.evaluate(`window.notReloaded`) != "same page" {
				t.Error("the page was reloaded")
			}
		}
	}
	home.waitFor("the total is right", watched(2))
}

// A view that is posted while the server is away arrives when it is back, once.
func TestAViewIsNotLost(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	id := lessonOf(t, s, database, "Persistent")
	viewer := person(t, chromium(t))
	viewer.goTo(s.url + "/videos/" + id)
	viewer.waitFor("the line is open", line("open"))
	viewer.ignore()
	port := s.port()
	s.stop()
	// What the script does when enough was played; the video itself may not have come far
	// enough to play without the server.
	viewer.evaluate(`document.querySelector('form.record-viewing').requestSubmit()`)
	viewer.waitFor("the page says that it is not saved yet", `document.querySelector('[data-viewing-status="retrying"]') !== null`)
	s.startAt(port)
	viewer.waitFor("it is counted", `document.querySelector('[data-viewing-status="counted"]') !== null && `+counted(id, 1))
	if n := viewings(t, database, id); n != 1 {
		t.Errorf("written %d times", n)
	}
}

// Postgres is restarted and killed under the running program.
func TestPagesFollowThroughPostgres(t *testing.T) {
	t.Parallel()
	server := dbtest.NewServer(t)
	s := startOn(t, server.DB)
	id := lessonOf(t, s, server.DB, "Under way")
	home := person(t, chromium(t))
	home.goTo(s.url)
	home.waitFor("the line is open", line("open"))
	home.evaluate(`window.notReloaded = "same page"`)
	somebodyWatches(t, server.DB, id)
	home.waitFor("one view", counted(id, 1))
	server.Stop()
	server.Start()
	somebodyWatches(t, server.DB, id)
	home.waitFor("two views", counted(id, 2)+" && "+watched(2))
	server.Kill()
	until(t, "the database is back", func() bool {
		status, h := healthOf(t, s)
		return status == http.StatusOK && h.Listeners == databasesHealth{"ok", "ok"}
	})
	somebodyWatches(t, server.DB, id)
	home.waitFor("three views", counted(id, 3)+" && "+watched(3))
	if home.evaluate(`window.notReloaded`) != "same page" {
		t.Error("the page was reloaded")
	}
}

func TestWithoutJavaScript(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	id := lessonOf(t, s, database, "Plain")
	plain := person(t, chromium(t))
	plain.do(emulation.SetScriptExecutionDisabled(true), // and no motion: a test clicks before a page has changed over
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}}))
	plain.goTo(s.url)
	plain.press(`a[href="/videos/` + id + `"]`)
	plain.press(`form.record-viewing button`)
	plain.sees("the answer says that it is counted", `data-viewing-status="counted"`)
	until(t, "the count is there after a reload", func() bool {
		plain.goTo(s.url + "/videos/" + id)
		return strings.Contains(plain.now(), `data-view-count="1"`)
	})
	if n := viewings(t, database, id); n != 1 {
		t.Errorf("written %d times", n)
	}
}

// The first run with a private Postgres makes the demo lessons without holding up
// the start, and an open page sees them come.
func TestDemoLessonsAppearByThemselves(t *testing.T) {
	t.Parallel()
	s := start(t, folder(t), nil)
	home := person(t, chromium(t))
	home.goTo(s.url)
	if text := home.evaluate(`document.querySelector('main').innerText`); !strings.Contains(text, "being made") {
		t.Errorf("the first page says: %s", text)
	}
	home.waitFor("the line is open", line("open"))
	err := chromedp.Run(home.ctx, chromedp.Poll(`document.querySelectorAll('.card').length >= 1`, nil, chromedp.WithPollingTimeout(2*patience)))
	if err != nil {
		t.Fatalf("%v\n%s", err, s.output)
	}
	home.do(chromedp.Click(`.card a`, chromedp.ByQuery), chromedp.WaitReady(`video`, chromedp.ByQuery))
	home.evaluate(play)
	home.waitFor("the lesson plays", `document.querySelector('video').currentTime > 1`)
}

// accessible demands that axe finds nothing on the page and that it does not scroll sideways, at
// three widths; dark, where only colours are different, is asked about those.
func (p *tab) accessible(name string) {
	p.t.Helper()
	axe, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if err != nil {
		p.t.Fatal(err)
	}
	p.do(chromedp.Evaluate(string(axe), nil))
	for _, look := range []struct {
		scheme  string
		width   int64
		options string
	}{
		{"light", 320, `{iframes: false}`}, {"light", 768, `{iframes: false}`}, {"light", 1440, `{iframes: false}`},
		{"dark", 320, `{iframes: false, runOnly: ['color-contrast', 'link-in-text-block']}`}, {"dark", 1440, `{iframes: false, runOnly: ['color-contrast', 'link-in-text-block']}`},
	} {
		p.do(emulation.SetDeviceMetricsOverride(look.width, 900, 1, look.width < 500),
			emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: look.scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}))
		var violations string
		p.do(chromedp.Evaluate(`axe.run(`+look.options+`).then(r => r.violations.map(v => v.id + ": " + v.nodes.map(n => n.html).join(" | ")).join("\n"))`, &violations,
			func(e *runtime.EvaluateParams) *runtime.EvaluateParams { return e.WithAwaitPromise(true) }))
		if violations != "" {
			p.t.Errorf("%s, %s, %d px: %s", name, look.scheme, look.width, violations)
		}
		if p.evaluate(`document.documentElement.scrollWidth > innerWidth || [...document.querySelectorAll('.xray-sheet')].some(sheet => sheet.scrollWidth > sheet.clientWidth)`) == "true" {
			p.t.Errorf("%s scrolls sideways at %d px", name, look.width)
		}
	}
	p.do(emulation.SetDeviceMetricsOverride(1280, 900, 1, false))
}

func TestPagesAreAccessible(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	empty := get(t, s.url+"/").body
	if !strings.Contains(empty, "No lessons yet") {
		t.Error("the empty page does not say so")
	}
	id := lessonOf(t, s, database, "A lesson with a title that is long enough to need more than a single line on a small screen")
	lessonOf(t, s, database, "Another one")
	p := person(t, chromium(t))
	p.ignore() // the error page is an error
	for _, path := range []string{"/", "/videos/" + id, "/nothing-is-here"} {
		p.goTo(s.url + path)
		p.accessible(path)
	}
}
