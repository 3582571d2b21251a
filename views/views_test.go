package views

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"

	"videotutorials/aggregators/catalogue"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	playID   = "0b2f6c1e-6d0f-4c57-8a64-1d1f0a8f3c11"
	changeID = "9c4e2a77-52a1-4f0b-9a3d-7f6f9d1e5b22"
)

var (
	page = Page{
		Title: "Lessons", Description: "Short lessons.", AppName: "Video Tutorials",
		CSS: "/assets/app.css", JS: "/assets/app.js", Icon: "/assets/favicon.svg", Path: "/",
	}
	play = Lesson{
		Video: catalogue.Video{
			ID: playID, Title: "What happens when you press play", Description: "One view on its way through the system.",
			Duration: 84 * time.Second, Source: "/media/play.mp4", Poster: "/media/play.jpg",
			PublishedAt: time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC),
		},
		Views: 1,
	}
	change = Lesson{
		Video: catalogue.Video{ID: changeID, Duration: time.Hour + 62*time.Second},
		Views: 1234567,
	}
)

func with(p Page, change func(*Page)) Page {
	change(&p)
	return p
}

func render(t *testing.T, c templ.Component) string {
	t.Helper()
	var b bytes.Buffer
	if err := c.Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Every element begins on a line of its own, so that a difference can be read.
var lines = strings.NewReplacer("><", ">\n<")

func TestGolden(t *testing.T) {
	t.Parallel()
	live := with(page, func(p *Page) { p.Live = "/live?after=7" })
	watch := with(live, func(p *Page) { p.Title, p.Path = play.Title, WatchPath(playID) })
	for name, c := range map[string]templ.Component{
		"home":             HomePage(live, Home{Lessons: []Lesson{play, change}, VideosWatched: 1234568, Older: "/?before=7"}),
		"home-empty":       HomePage(page, Home{Notice: "Four lessons are being made."}),
		"watch":            WatchPage(watch, Watch{Lesson: play, More: []Lesson{change}}),
		"watch-counted":    WatchPage(watch, Watch{Lesson: play, Viewing: ViewingState{Status: ViewingCounted}}),
		"watch-unready":    WatchPage(watch, Watch{Lesson: change}),
		"error":            ErrorPage(page, Problem{Status: 404, Title: "There is no such lesson", Explanation: "It may have been taken down.", TraceID: "7f6f9d1e"}),
		"error-action":     ErrorPage(page, Problem{Status: 503, Title: "The site is busy", Explanation: "Try again.", Action: "Try again", ActionURL: "/videos/" + playID}),
		"viewing-waiting":  Viewing(playID, ViewingState{CountsAfter: 6500 * time.Millisecond}),
		"viewing-saving":   Viewing(playID, ViewingState{Status: ViewingSaving}),
		"viewing-retrying": Viewing(playID, ViewingState{Status: ViewingRetrying}),
		"viewing-counted":  Viewing(playID, ViewingState{Status: ViewingCounted}),
		"viewing-failed":   Viewing(playID, ViewingState{Status: ViewingFailed, Reason: "The lesson was taken down.", Advice: "Choose another."}),
		"push-count":       Push(ViewCountID(playID), ViewCount(playID, 2)),
		"push-total":       Push(VideosWatchedID, VideosWatched(1)),
		"push-lessons":     Push(LessonsID, LessonList([]Lesson{play})),
	} {
		golden(t, name, c)
	}
}

// golden compares what is rendered with the file of that name.
func golden(t *testing.T, name string, c templ.Component) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		got := lines.Replace(render(t, c)) + "\n"
		file := filepath.Join("testdata", name+".golden.html")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("%v; run go test ./views -update", err)
		}
		if got != string(want) {
			t.Errorf("%s differs from what is rendered now; look at the difference after go test ./views -update. Got:\n%s", file, got)
		}
	})
}

// What people type must stay text: in content, in attributes, and inside the push wrapper,
// whose tags the script recognises by their spelling.
func TestHostileText(t *testing.T) {
	t.Parallel()
	for _, hostile := range []string{
		`<script>alert(1)</script>`,
		`"><img src=x onerror=alert(1)>`,
		`' onmouseover='alert(1)`,
		`</hx-partial><hx-partial id="videos-watched">`,
		`</title></template><b>`,
		"line one\nline two\r\ndata: three\n\nid: 9",
	} {
		lesson := Lesson{Video: catalogue.Video{ID: playID, Title: hostile, Description: hostile, Source: "/media/a.mp4", Poster: "/media/a.jpg"}}
		p := with(page, func(p *Page) { p.Title, p.Description, p.AppName = hostile, hostile, hostile })
		for name, c := range map[string]templ.Component{
			"home":    HomePage(p, Home{Lessons: []Lesson{lesson}, Notice: hostile}),
			"watch":   WatchPage(p, Watch{Lesson: lesson, More: []Lesson{lesson}}),
			"error":   ErrorPage(p, Problem{Status: 400, Title: hostile, Explanation: hostile, TraceID: hostile, Action: hostile, ActionURL: "/"}),
			"viewing": Viewing(playID, ViewingState{Status: ViewingFailed, Reason: hostile, Advice: hostile}),
			"push":    Push(LessonsID, LessonList([]Lesson{lesson})),
		} {
			html := render(t, c)
			for _, unsafe := range []string{"<script>alert", "<img src=x", "onerror=alert(1)>", "' onmouseover='", "</title></template>"} {
				if strings.Contains(html, unsafe) {
					t.Errorf("%s with %q contains %s", name, hostile, unsafe)
				}
			}
			if name == "push" && strings.Count(html, "<hx-partial")+strings.Count(html, "</hx-partial") != 2 {
				t.Errorf("push with %q contains another partial", hostile)
			}
		}
	}
	for _, address := range []string{"javascript:alert(1)", "data:text/html,x"} {
		html := render(t, ErrorPage(page, Problem{Status: 400, Action: "Go on", ActionURL: address}))
		if strings.Contains(html, address) {
			t.Errorf("the action leads to %s", address)
		}
	}
}

// The content policy of the site allows no inline style, script or handler.
func TestNothingInline(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]templ.Component{
		"home":  HomePage(page, Home{Lessons: []Lesson{play}}),
		"watch": WatchPage(page, Watch{Lesson: play, More: []Lesson{change}}),
		"error": ErrorPage(page, Problem{Status: 500}),
	} {
		html := render(t, c)
		for _, inline := range []string{" style=", "<style", " onclick=", " hx-on", "javascript:", "<script>"} {
			if strings.Contains(html, inline) {
				t.Errorf("%s contains %s", name, inline)
			}
		}
	}
}

// A swapped fragment must keep the id it is found by.
func TestFragmentsCarryTheirIDs(t *testing.T) {
	t.Parallel()
	for id, c := range map[string]templ.Component{
		ViewCountID(playID): ViewCount(playID, 3),
		VideosWatchedID:     VideosWatched(3),
		LessonsID:           LessonList(nil),
		ViewingID(playID):   Viewing(playID, ViewingState{}),
	} {
		html := render(t, c)
		if tag, _, _ := strings.Cut(html, ">"); !strings.Contains(tag, ` id="`+id+`"`) {
			t.Errorf("the root of %s is %s>", id, tag)
		}
		if c := id[0]; c < 'a' || c > 'z' {
			t.Errorf("%s is no valid selector", id)
		}
	}
}

func TestCountsAreExactAndReadable(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 views", 1: "1 view", 2: "2 views", 999: "999 views", 1000: "1,000 views", 1234567: "1,234,567 views",
		9223372036854775807: "9,223,372,036,854,775,807 views",
	} {
		html := render(t, ViewCount(playID, n))
		number, unit, _ := strings.Cut(want, " ")
		if !strings.Contains(html, ">"+number+"</span> "+unit+"</span>") {
			t.Errorf("%d is shown as %s, want %s", n, html, want)
		}
		if !strings.Contains(html, `data-view-count="`+strings.ReplaceAll(number, ",", "")+`"`) {
			t.Errorf("%d is not exact in %s", n, html)
		}
	}
	if html := render(t, VideosWatched(1)); !strings.Contains(html, "video watched<") {
		t.Errorf("one is not singular: %s", html)
	}
}

func TestLength(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		400 * time.Millisecond:                  "0:00",
		7 * time.Second:                         "0:07",
		59*time.Second + 600*time.Millisecond:   "0:59",
		12*time.Minute + 30*time.Second:         "12:30",
		time.Hour + 2*time.Minute + time.Second: "1:02:01",
		26 * time.Hour:                          "26:00:00",
		59*time.Minute + 59900*time.Millisecond: "59:59",
	} {
		if got := length(d); got != want {
			t.Errorf("length(%s) = %s, want %s", d, got, want)
		}
	}
}

func TestCountsAfter(t *testing.T) {
	t.Parallel()
	for length, want := range map[time.Duration]time.Duration{
		0:                10 * time.Second,
		-time.Second:     10 * time.Second,
		12 * time.Second: 4 * time.Second,
		30 * time.Second: 10 * time.Second,
		time.Hour:        10 * time.Second,
	} {
		if got := CountsAfter(length); got != want {
			t.Errorf("CountsAfter(%s) = %s, want %s", length, got, want)
		}
	}
	if got := spokenSeconds(6100 * time.Millisecond); got != "7 seconds" {
		t.Errorf("6.1 s is spoken as %s", got)
	}
	if got := spokenSeconds(time.Second); got != "1 second" {
		t.Errorf("1 s is spoken as %s", got)
	}
}
