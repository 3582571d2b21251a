//go:build screenshots

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/db/dbtest"
)

// shoot writes a picture of the page as it is now, as far as it fills the window, in 256
// colours.
func (p *tab) shoot(name string) {
	p.t.Helper()
	var picture []byte
	p.do(chromedp.CaptureScreenshot(&picture))
	plain := filepath.Join(p.t.TempDir(), name)
	if err := os.WriteFile(plain, picture, 0o600); err != nil {
		p.t.Fatal(err)
	}
	out, err := exec.CommandContext(p.ctx, "ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-i", plain,
		"-vf", "split[a][b];[a]palettegen=stats_mode=full[p];[b][p]paletteuse=dither=none", "-frames:v", "1", "-update", "1", filepath.Join("docs", "screenshots", name)).CombinedOutput()
	if err != nil {
		p.t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// wide makes the window that pictures are of.
func (p *tab) wide(height int64) *tab {
	p.t.Helper()
	p.do(emulation.SetDeviceMetricsOverride(1200, height, 1, false))
	return p
}

// The pictures of the documents, of the program with its demo lessons: make screenshots.
func TestScreenshots(t *testing.T) {
	database := dbtest.New(t)
	s := start(t, folder(t), append(environment(database), "ENVIRONMENT=development"))
	if out, err := longCommandOn(t, t.Context(), s, "demo"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	settled(t, database, s)
	ids := queried[[]string](t, database, `SELECT array_agg(video_id::text ORDER BY published_position DESC) FROM catalogue WHERE published_position IS NOT NULL`)
	for i, id := range ids {
		for range []int{41, 112, 67, 25, 18, 9, 5}[i%7] {
			somebodyWatches(t, database, id)
		}
	}
	settled(t, database, s)
	browser := chromium(t)

	visitor := person(t, browser).still(true).wide(1300)
	visitor.goTo(s.url)
	visitor.waitFor("the line is open", line("open"))
	visitor.shoot("home.png")
	visitor.wide(1050).goTo(s.url + "/videos/" + ids[0])
	visitor.waitFor("the line is open", line("open"))
	visitor.evaluate(play)
	visitor.waitFor("it plays", `document.querySelector('video').currentTime > 4`)
	visitor.shoot("watch.png")

	visitor.wide(980).goTo(s.url + "/register")
	visitor.press(".xray-switch button")
	visitor.sees("the empty panel", `xray-empty`)
	visitor.fill(`[name=email]`, "ada@example.org")
	visitor.fill(`[name=password]`, goodPassword)
	visitor.press(`form[action="/register"] button[data-busy]`)
	visitor.waitFor("the last event is in a row", cards("event", "RegistrationEmailSent")+" === 1 && "+cards("aggregator", "registrations")+" >= 2")
	visitor.shoot("xray.png")

	other := person(t, browser).still(true).wide(800)
	other.goTo(s.url + "/register")
	other.fill(`[name=email]`, "grace@example.org")
	other.fill(`[name=password]`, goodPassword)
	other.press(`form[action="/register"] button[data-busy]`)
	other.sees("the mail is kept", step("email-sent", "done"))
	other.shoot("registration.png")

	admin := person(t, browser).still(true).wide(900)
	admin.chief(s, database)
	admin.goTo(s.url + "/admin/subscriptions")
	admin.waitFor("the line is open", line("open"))
	admin.shoot("subscriptions.png")
	registered := messagesIn(t, database, identitymsg.Category, identitymsg.Registered{})[0]
	metadata, err := registered.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	admin.goTo(s.url + "/admin/correlated-messages/" + metadata.TraceID)
	admin.waitFor("the line is open", line("open"))
	admin.shoot("trace.png")

	f := newFilms(t)
	walk := f.run("A walk into the Mandelbrot set.mp4", strings.Fields("-f lavfi -i mandelbrot=size=1280x720:rate=25:start_scale=0.3:end_scale=0.03:end_pts=200 -t 8 -c:v libx264 -preset ultrafast -pix_fmt yuv420p")...)
	life := f.run("Conway's game of life.mp4", strings.Fields("-f lavfi -i life=size=640x360:rate=25:mold=10:ratio=0.2:death_color=#12254d:life_color=#c8371b,scale=1280:720:flags=neighbor -t 60 -c:v libx264 -preset ultrafast -pix_fmt yuv420p")...)
	creator := creatorTab(t, s, browser, "linus@example.org").still(true).wide(1080)
	creator.goTo(s.url + "/creators-portal")
	creator.waitFor("the line is open", line("open"))
	creator.choose("#upload-file", walk)
	creator.waitLong(4*patience, "the first is all there", `/Public/.test(document.body.innerText) && !/ % /.test(document.body.innerText)`)
	creator.goTo(s.url + "/creators-portal")
	creator.waitFor("the line is open", line("open"))
	creator.choose("#upload-file", life)
	creator.waitLong(4*patience, "the second is being made", `/All your videos[^]*\D[1-9]\d? %\s+making the first size/.test(document.body.innerText)`)
	creator.shoot("creators.png")
}
