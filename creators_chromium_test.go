package main

import (
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"context"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

// choose puts a file into a field, as the browser's own dialogue does.
func (p *tab) choose(selector, file string) {
	p.t.Helper()
	id := p.element(selector)
	p.do(chromedp.ActionFunc(func(ctx context.Context) error {
		return dom.SetFileInputFiles([]string{file}).WithBackendNodeID(cdp.BackendNodeID(id)).Do(ctx)
	}))
}

// creatorTab registers somebody and logs them in, in a tab.
func creatorTab(t *testing.T, s *site, browser context.Context, email string) *tab {
	t.Helper()
	member(t, s, email, goodPassword)
	p := person(t, browser)
	p.logIn(s, email, goodPassword)
	p.sees("they are logged in", `action="/auth/log-out"`)
	return p
}

// A creator uploads a film while somebody else has the home page open: its progress is
// seen, its card appears there by itself, it plays, and its views count on both.
func TestACreatorPublishesWhileAnotherLooks(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	f := newFilms(t)
	film := f.run("A first film.mp4", args(picture("1280x720", 4), sound(4), h264, "-shortest")...)
	browser := chromium(t)
	home := person(t, browser)
	home.goTo(s.url)
	home.waitFor("the line is open", line("open"))
	home.evaluate(`window.notReloaded = "same page"`)
	creator, way := creatorTab(t, s, browser, "maker@example.com"), newValve(t, s.url[len("http://"):])
	creator.goTo(way.url + "/creators-portal")
	creator.waitFor("the line is open", line("open"))
	creator.evaluate(`window.notReloaded = "same page"`)
	creator.waitFor("the page takes files", `document.querySelector('[data-upload-ready]')`)
	creator.choose("#upload-file", film)
	creator.waitFor("the upload has a card", `document.querySelector('[data-uploads] [data-upload]')`)
	creator.fill(`[data-uploads] input[name="title"]`, "A film about a test picture")
	creator.evaluate(`document.activeElement.blur()`)
	creator.waitFor("the title is saved", `document.querySelector('[data-uploads] [data-upload-note="title"] [data-field="saved"]')`)
	way.open(1 << 40) // who types is slower than this machine
	creator.waitFor("all of it has arrived", `document.querySelector('[data-uploads] [data-upload]').dataset.state === "finished"`)
	creator.waitFor("the work on it is seen", `Number(document.querySelector('[data-creators-video] [data-progress]')?.dataset.progress) > 0`)
	id := creator.evaluate(`document.querySelector('[data-creators-video]').dataset.creatorsVideo`)
	if !messagestore.ValidID(id) {
		t.Fatalf("the list names %q", id)
	}
	home.waitLong(filmPatience, "its card appears by itself", fmt.Sprintf(`document.querySelector('.card a[href="/videos/%s"]')?.textContent.includes("A film about a test picture")`, id))
	creator.waitLong(filmPatience, "it is published", `document.querySelector('[data-creators-video]').dataset.state === "published"`)
	for _, p := range []*tab{home, creator} {
		if p.evaluate(`window.notReloaded`) != "same page" {
			t.Error("a page was reloaded")
		}
	}
	viewer := person(t, browser)
	viewer.goTo(s.url + "/videos/" + id)
	viewer.waitFor("the film is there", `document.querySelector('video')?.readyState >= 2`)
	viewer.evaluate(play)
	viewer.waitFor("it plays", `document.querySelector('video').currentTime > 0.5`)
	for _, p := range []*tab{home, creator} {
		p.waitFor("the view is counted", counted(id, 1))
	}
	home.do(chromedp.Click(fmt.Sprintf(`.card a[href="/videos/%s"]`, id), chromedp.ByQuery), chromedp.WaitReady(`.player video`, chromedp.ByQuery))
	home.waitFor("it is there too", `document.querySelector('video')?.readyState >= 2`)
	home.evaluate(play)
	home.waitFor("it plays on the second page", `document.querySelector('video').currentTime > 0.5`)
}

// What is asked for a video leads to a page that says what came of it, with and without
// scripts, and gives back what was refused.
func TestAVideoIsNamedOnItsPage(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	f := newFilms(t)
	film := filmOf("320x180", 2, h264)(f)
	withAndWithoutScripts(t, func(t *testing.T, scripts bool) {
		email := fmt.Sprintf("namer-%v@example.com", scripts)
		owner := member(t, s, email, goodPassword)
		id := owner.handIn(film, "Before")
		becomes(t, database, id, "published")
		p := person(t, chromium(t)).still(scripts)
		p.logIn(s, email, goodPassword)
		edit := "/creators-portal/videos/" + id
		p.goTo(s.url + edit)
		p.fill(`form[action="`+edit+`/name"] input[name="name"]`, "After")
		p.press(`form[action="` + edit + `/name"] button`)
		p.sees("it is done", `data-operation="done"[\s\S]*After`)
		p.goTo(s.url + edit)
		p.fill(`form[action="`+edit+`/name"] input[name="name"]`, strings.Repeat("too long ", 20))
		p.press(`form[action="` + edit + `/name"] button`)
		p.sees("a name that is too long is refused, and given back", `data-operation="failed"[\s\S]*value="too long too long`)
		p.fill(`input[name="name"]`, "At last")
		p.press(`form[action="` + edit + `/name"] button`)
		p.sees("the next one is taken", `data-operation="done"[\s\S]*At last`)
		until(t, "the list has it", func() bool {
			p.goTo(s.url + "/creators-portal")
			return strings.Contains(p.now(), "At last")
		})
		if n := count(happened(t, database, id), "VideoNameRejected"); n != 1 {
			t.Errorf("refused %d times", n)
		}
	})
}

// Without scripts a form takes the film, and it can be watched.
func TestPublishingWithoutJavaScript(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	f := newFilms(t)
	film := filmOf("320x180", 2, h264)(f)
	member(t, s, "plain@example.com", goodPassword)
	p := person(t, chromium(t)).still(false)
	p.logIn(s, "plain@example.com", goodPassword)
	p.goTo(s.url + "/creators-portal")
	p.fill(`form[action="/creators-portal/videos"] input[name="title"]`, "Sent by a form")
	p.fill(`form[action="/creators-portal/videos"] textarea[name="description"]`, "And described.")
	p.choose(`#upload-file`, film)
	p.press(`form[action="/creators-portal/videos"] button`)
	p.sees("its page", `class="making"`)
	at, err := url.Parse(p.location())
	if err != nil {
		t.Fatal(err)
	}
	id := at.Path[len("/creators-portal/videos/"):]
	becomes(t, database, id, "published")
	p.goTo(s.url + at.Path)
	p.sees("it is published", `class="making" data-state="published"`)
	p.goTo(s.url + "/videos/" + id)
	p.sees("the watch page", `Sent by a form[\s\S]*And described\.`)
	p.sees("the browser plays it by itself", `<source src="/media/`+id+`/1/video.mp4"`)
	if all := happened(t, database, id); count(all, "VideoPublished") != 1 {
		t.Errorf("%v", all)
	}
}

const captionsFile = "WEBVTT\n\n00:00.000 --> 00:02.000\nThe first thing that is said.\n\n00:02.000 --> 00:05.000\nThe second thing.\n\n00:05.000 --> 00:08.000\nAnd the last.\n"

const chaptersFile = "WEBVTT\n\n00:00.000 --> 00:04.000\nBeginning\n\n00:04.000 --> 00:08.000\nEnd\n"

// Captions and chapters that were checked are on the watch page: in the player, and as a
// transcript that follows and can be searched. It goes on where a person left off, and
// says how many watch.
func TestTheWatchPage(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	f := newFilms(t)
	owner := member(t, s, "watch@example.com", goodPassword)
	id := owner.handIn(f.run("film.mp4", args(picture("640x360", 20), sound(20), h264, "-shortest")...), "With captions")
	becomes(t, database, id, "published")
	edit := "/creators-portal/videos/" + id
	browser := chromium(t)
	p := person(t, browser)
	p.logIn(s, "watch@example.com", goodPassword)
	upload := func(kind, content string) {
		t.Helper()
		p.goTo(s.url + edit)
		if kind == "captions" {
			p.fill(`#captions-language`, "en")
			p.fill(`#captions-label`, "English")
		}
		p.choose("#"+kind+"-file", f.write(kind+".vtt", []byte(content)))
		p.press(`form[action="` + edit + "/" + kind + `"] button`)
	}
	p.ignore() // an answer of 422 is an error to Chromium
	upload("captions", "WEBVTT\n\n00:05.000 --> 00:01.000\nBackwards\n")
	p.sees("what is wrong is said with its line", `(?i)line 3`)
	upload("captions", captionsFile)
	p.sees("they are taken", `data-operation="done"`)
	upload("chapters", chaptersFile)
	p.sees("they are taken", `data-operation="done"`)

	viewer := person(t, browser)
	viewer.goTo(s.url + "/videos/" + id)
	viewer.waitFor("the line is open", line("open"))
	viewer.waitFor("the film is there", `document.querySelector('video')?.readyState >= 2`)
	viewer.waitFor("the player has taken over", `!document.querySelector('video').controls && customElements.get('media-controller')`)
	viewer.waitFor("one watches", `document.querySelector('[data-watching]').dataset.watching === "1"`)
	second := person(t, browser)
	second.goTo(s.url + "/videos/" + id)
	for _, tab := range []*tab{viewer, second} {
		tab.waitFor("two watch", `document.querySelector('[data-watching]').dataset.watching === "2"`)
	}
	second.goTo(s.url + "/")
	viewer.waitFor("one is left", `document.querySelector('[data-watching]').dataset.watching === "1"`)

	viewer.waitFor("there are captions and chapters", `[...document.querySelector('video').textTracks].filter(t => t.kind === "captions").length === 1 && [...document.querySelector('video').textTracks].some(t => t.kind === "chapters" && t.cues?.length === 2)`)
	viewer.waitFor("there is a storyboard", `[...document.querySelector('video').textTracks].some(t => t.label === "thumbnails" && t.cues?.length > 0)`)
	viewer.waitFor("there are qualities to choose from", `document.querySelector('video').videoRenditions?.length >= 2`)
	viewer.do(chromedp.Click(`[data-transcript] li:nth-child(2) a`, chromedp.ByQuery))
	viewer.waitFor("a click on the transcript moves the film", `Math.abs(document.querySelector('video').currentTime - 2) < 0.7`)
	viewer.evaluate(play)
	viewer.waitFor("the transcript follows", `document.querySelector('[data-transcript] li:nth-child(3) [aria-current], [data-transcript] li:nth-child(3)[aria-current]') !== null`)
	viewer.fill(`[data-transcript-search]`, "second")
	viewer.waitFor("it can be searched", `[...document.querySelectorAll('[data-transcript] li')].filter(l => l.checkVisibility()).length === 1`)
	viewer.evaluate(`document.querySelector('video').pause()`)
	viewer.evaluate(`document.querySelector('video').currentTime = 9`)
	viewer.waitFor("it is at 9 s", `!document.querySelector('video').seeking && document.querySelector('video').currentTime > 8.9`)
	viewer.goTo(s.url + "/")
	viewer.goTo(s.url + "/videos/" + id)
	viewer.waitFor("it goes on where they left off", `document.querySelector('video').currentTime > 8`)
	viewer.goTo(s.url + "/videos/" + id + "?t=5")
	viewer.waitFor("an address with a moment wins", `Math.abs(document.querySelector('video').currentTime - 5) < 0.7`)

	native := person(t, browser)
	native.do(chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(`delete window.MediaSource; delete window.ManagedMediaSource; delete window.WebKitMediaSource`).Do(ctx)
		return err
	}))
	native.goTo(s.url + "/videos/" + id)
	native.waitFor("a browser without Media Source Extensions has the film", `document.querySelector('video')?.readyState >= 2`)
	native.evaluate(play)
	native.waitFor("it plays by what the browser has itself", `document.querySelector('video').currentTime > 0.4 && document.querySelector('video').currentSrc.endsWith('.m3u8')`)
}

// The pages of creators pass axe, in both colour schemes and at three widths, and none
// scrolls sideways.
func TestPagesOfCreatorsAreAccessible(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	f := newFilms(t)
	owner := member(t, s, "axe@example.com", goodPassword)
	empty := owner.get("/creators-portal")
	if !regexp.MustCompile(`No videos yet`).MatchString(empty.body) {
		t.Error("an empty portal does not say so")
	}
	id := owner.handIn(filmOf("270x480", 2, h264)(f), "A video with a title that is long enough to need more than a single line on a small screen")
	bad := owner.handIn(f.write("text.mp4", []byte("not a film at all, whatever its name says")), "Refused")
	becomes(t, database, id, "published")
	becomes(t, database, bad, "failed")
	store := messagestore.New(database.MessageStore)
	captions := messagestore.NewID()
	uri := "/media/" + id + "/captions-" + captions + ".vtt"
	if err := os.WriteFile(dataDir(s)+"/media/"+id+"/captions-"+captions+".vtt", []byte(captionsFile), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Write(within(t), publishingmsg.Category.Stream(id), publishingmsg.CaptionsAdded{VideoID: id, CaptionsID: captions, Language: "en", Label: "English", URI: uri}); err != nil {
		t.Fatal(err)
	}
	until(t, "the transcript is there", func() bool { return regexp.MustCompile(`data-transcript`).MatchString(owner.get("/videos/" + id).body) })
	operation := owner.submit("/creators-portal/videos/"+id, "/creators-portal/videos/"+id+"/name", "name", " ").header.Get("Location")
	p := person(t, chromium(t))
	p.logIn(s, "axe@example.com", goodPassword)
	for _, path := range []string{"/creators-portal", "/creators-portal/videos/" + id, "/creators-portal/videos/" + bad, operation, "/videos/" + id} {
		p.goTo(s.url + path)
		p.accessible(path)
	}
}
