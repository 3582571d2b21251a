package views

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"

	"videotutorials/aggregators/catalogue"
	"videotutorials/aggregators/creatorsvideos"
)

const capsID = "2f0b1d34-9a7c-4e55-8c11-6a2d9e0f4b10"

var (
	creator = with(signedIn, func(p *Page) {
		p.Title, p.Path, p.Live, p.Uploads, p.UploadJS = "Your videos", CreatorsPortalPath, "/creators-portal/live?at=creatorsvideos%3D7", true, "/assets/upload.js"
	})

	// streamed is a lesson with all that a lesson can have.
	streamed = Lesson{
		Video: catalogue.Video{
			ID: playID, Title: play.Title, Description: play.Description, Duration: 84 * time.Second, Width: 1920, Height: 1080, Visibility: "unlisted",
			HLS: "/media/" + playID + "/1/master.m3u8", Source: "/media/" + playID + "/1/video.mp4", Poster: "/media/" + playID + "/1/poster.jpg",
			Storyboard: "/media/" + playID + "/1/storyboard.vtt", Chapters: "/media/" + playID + "/chapters-1.vtt",
			Captions:    []catalogue.Captions{{ID: capsID, Language: "en", Label: "English", URI: "/media/" + playID + "/captions-" + capsID + ".vtt"}},
			PublishedAt: play.PublishedAt,
		},
		Views: 12,
	}
	said  = []Cue{{0, "What happens when you press play?"}, {3500 * time.Millisecond, "First, the form is sent."}}
	parts = []Cue{{0, "What we want to know"}, {80 * time.Second, "Following one request"}}
)

// ownVideos are all states that a person sees a video of theirs in.
func ownVideos() map[string]CreatorsVideo {
	v := CreatorsVideo{
		Video: creatorsvideos.Video{
			ID: playID, OwnerID: changeID, Visibility: "public", FileName: "how it works.mov", Bytes: 734_003_200,
			State: creatorsvideos.Uploading, Attempt: 1, BegunAt: received,
		},
		Views: 3,
	}
	all := map[string]CreatorsVideo{"uploading": v}
	v.Title, v.State = "How it works", creatorsvideos.Publishing
	all["publishing"] = v
	v.Progress = Progress{Step: "waiting"}
	all["waiting"] = v
	v.Progress = Progress{Step: "probing", Percent: 1}
	all["probing"] = v
	v.Progress = Progress{Step: "first", Percent: 17, Remaining: 94 * time.Second}
	all["first"] = v
	v.State, v.Duration, v.Width, v.Height, v.Poster, v.Renditions = creatorsvideos.Playable, 84*time.Second, 1920, 1080, "/media/poster.jpg", []string{"360p"}
	v.Progress = Progress{Step: "rest", Percent: 62, Remaining: 41 * time.Second}
	all["playable"] = v
	v.Renditions = []string{"240p", "360p", "480p", "720p", "1080p"}
	v.Progress = Progress{Step: "finishing", Percent: 97, Remaining: 2 * time.Second}
	all["finishing"] = v
	v.State, v.Progress, v.PublishedAt = creatorsvideos.Published, Progress{}, after(60_000)
	all["published"] = v
	v.Visibility = "unlisted"
	v.Captions, v.Chapters = []creatorsvideos.Captions{{ID: capsID, Language: "en", Label: "English", URI: "/media/captions.vtt"}}, "/media/chapters.vtt"
	all["unlisted"] = v
	v.Visibility = "private"
	all["private"] = v
	v.Visibility, v.Renditions = "public", nil
	all["as-it-is"] = v
	failed := all["first"]
	failed.State, failed.Reason, failed.Progress = creatorsvideos.Failed, "not-a-video", Progress{}
	all["failed"] = failed
	failed.Reason, failed.Renditions = "took-too-long", []string{"360p"}
	all["failed-late"] = failed
	failed.State, failed.Reason, failed.Renditions = creatorsvideos.Canceled, "", nil
	all["canceled"] = failed
	return all
}

func portal(change func(*Portal)) Portal {
	c := Portal{UploadLimits: UploadLimits{MostBytes: 4 << 30, Quota: 20 << 30, Used: 3<<30 + 1, MostLength: 4 * time.Hour}}
	if change != nil {
		change(&c)
	}
	return c
}

func TestGoldenCreators(t *testing.T) {
	t.Parallel()
	all := ownVideos()
	var list []CreatorsVideo
	for _, name := range slices.Sorted(maps.Keys(all)) {
		v := all[name]
		v.ID = name + "-" + v.ID[:8]
		list = append(list, v)
	}
	page := with(creator, func(p *Page) {
		p.Title, p.Path, p.Uploads, p.Live = "How it works", CreatorsVideoPath(playID), false, CreatorsVideoPath(playID)+"/live"
	})
	fragments := map[string]templ.Component{
		"portal":          CreatorsPortalPage(creator, portal(func(c *Portal) { c.Videos = list })),
		"portal-empty":    CreatorsPortalPage(creator, portal(nil)),
		"portal-missing":  CreatorsPortalPage(creator, portal(func(c *Portal) { c.AsItIs = true })),
		"portal-problem":  CreatorsPortalPage(creator, portal(func(c *Portal) { c.Form = UploadForm{"Typed", "Typed too", "too-large"} })),
		"own-video":       CreatorsVideoPage(page, CreatorsVideoEdit{Video: all["unlisted"]}),
		"own-video-first": CreatorsVideoPage(page, CreatorsVideoEdit{Video: all["uploading"]}),
		"own-video-problems": CreatorsVideoPage(page, CreatorsVideoEdit{
			Video: all["published"], NameProblem: "blank", Description: "Too much", DescriptionProblem: "too-long",
			Language: "englisch", LanguageProblem: "unknown-language", Label: "English", CaptionsProblem: "Line 3: the end is before the beginning.", ChaptersProblem: "no-file",
			Problem: "too-many-in-the-making",
		}),
		"field-saved":   FieldSaved("note", "Saved."),
		"field-problem": FieldProblem("name-note-1", "too-long"),
		"watch-all": WatchPage(with(page, func(p *Page) { p.Player, p.PlayerJS, p.NoIndex = true, "/assets/player.js", true }), Watch{
			Lesson: streamed, Cues: said, Chapters: parts, Start: 3500 * time.Millisecond, Watching: 3, Owner: true, More: []Lesson{change},
		}),
		"watch-playable":          WatchPage(page, Watch{Lesson: Lesson{Video: catalogue.Video{ID: playID, HLS: "/media/a/1/master.m3u8", Width: 608, Height: 1080}}}),
		"watching":                Watching(playID, 1234),
		"watching-none":           Watching(playID, 0),
		"video-operation":         VideoOperationPage(page, VideoOperation{TraceID: traceID, VideoID: playID, Title: "How it works", Late: true}),
		"video-operation-named":   VideoOperationState(VideoOperation{TraceID: traceID, VideoID: playID, Title: "How it works", Outcome: "VideoNamed", Value: "How it works"}),
		"video-operation-refused": VideoOperationState(VideoOperation{TraceID: traceID, VideoID: playID, Outcome: "VideoNameRejected", Reason: "same", Value: "How it works"}),
		"video-operation-deleted": VideoOperationState(VideoOperation{TraceID: traceID, VideoID: playID, Outcome: "VideoDeleted"}),
		"video-operation-failed":  VideoOperationState(VideoOperation{TraceID: traceID, VideoID: playID, Outcome: "VideoPublishingFailed", Reason: "damaged"}),
	}
	for name, v := range all {
		fragments["making-"+name] = CreatorsVideoState(v)
		fragments["row-"+name] = CreatorsVideoRow(v)
	}
	for name, c := range fragments {
		golden(t, name, c)
	}
}

// What a video has been through, and what is going on, is never told wrong.
func TestStepsOfAVideo(t *testing.T) {
	t.Parallel()
	state := regexp.MustCompile(`data-step="([a-z]+)" data-state="([a-z]+)"( aria-current="step")?`)
	for name, want := range map[string]string{
		"uploading":   "uploaded waiting now, probed waiting, playable waiting, renditions waiting, published waiting",
		"publishing":  "uploaded done, probed waiting now, playable waiting, renditions waiting, published waiting",
		"waiting":     "uploaded done, probed waiting now, playable waiting, renditions waiting, published waiting",
		"probing":     "uploaded done, probed waiting now, playable waiting, renditions waiting, published waiting",
		"first":       "uploaded done, probed done, playable waiting now, renditions waiting, published waiting",
		"playable":    "uploaded done, probed done, playable done, renditions waiting now, published waiting",
		"finishing":   "uploaded done, probed done, playable done, renditions done, published waiting now",
		"published":   "uploaded done, probed done, playable done, renditions done, published done",
		"as-it-is":    "uploaded done, probed done, published done",
		"failed":      "uploaded done, probed failed, playable waiting, renditions waiting, published waiting",
		"failed-late": "uploaded done, probed done, playable done, renditions failed, published waiting",
		"canceled":    "uploaded done, probed done, playable waiting, renditions waiting, published waiting",
	} {
		var got []string
		for _, m := range state.FindAllStringSubmatch(render(t, CreatorsVideoState(ownVideos()[name])), -1) {
			step := m[1] + " " + m[2]
			if m[3] != "" {
				step += " now"
			}
			got = append(got, step)
		}
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("%s is shown as %s, want %s", name, s, want)
		}
	}
}

// What can be done is offered where it can be done, and nowhere else.
func TestWhatCanBeDoneWithAVideo(t *testing.T) {
	t.Parallel()
	offers := map[string]string{
		"watch": `href="` + WatchPath(playID) + `"`, "stop": `action="` + CancelPublishingPath(playID) + `"`,
		"retry": `action="` + RetryPublishingPath(playID) + `"`, "upload": `href="/creators-portal#upload"`,
	}
	for name, want := range map[string]string{
		"uploading": "upload", "publishing": "stop", "waiting": "stop", "probing": "stop", "first": "stop", "playable": "stop watch", "finishing": "stop watch",
		"published": "watch", "unlisted": "watch", "private": "watch", "as-it-is": "watch", "failed": "retry upload", "failed-late": "retry upload", "canceled": "retry",
	} {
		html := render(t, CreatorsVideoState(ownVideos()[name]))
		var got []string
		for _, offer := range slices.Sorted(maps.Keys(offers)) {
			if strings.Contains(html, offers[offer]) {
				got = append(got, offer)
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s offers %q, want %q", name, s, want)
		}
	}
}

// A screen reader hears of steps and sizes, and not of each percent.
func TestWhatIsSaidOfTheWork(t *testing.T) {
	t.Parallel()
	v := ownVideos()["playable"]
	before := v.now()
	v.Progress.Percent, v.Progress.Remaining = 63, 40*time.Second
	if v.now() != before {
		t.Errorf("a percent is said: %q", v.now())
	}
	v.Renditions = append(v.Renditions, "480p")
	if v.now() == before {
		t.Error("a size that is done is not said")
	}
	html := render(t, CreatorsVideoState(v))
	for _, part := range []string{`<progress class="bar" max="100" value="63" aria-label="Work on How it works">63 %</progress>`, `data-progress="63"`, "about 40 s left"} {
		if !strings.Contains(html, part) {
			t.Errorf("no %s in %s", part, html)
		}
	}
}

func TestLimitsAreTold(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]Portal{
		"At most 4 GB and 4 hours for one video. You have 16.9 GB of 20 GB left.": portal(nil),
		"At most 4 GB and 4 hours for one video. You have 0 bytes of 20 GB left.": portal(func(c *Portal) { c.Used = 21 << 30 }),
		"At most 500 MB and 1 hour 30 minutes for one video. You have 10 kB of 1.5 TB": portal(func(c *Portal) {
			c.MostBytes, c.Quota, c.MostLength, c.Used = 500<<20, 3<<39, 90*time.Minute, 3<<39-10<<10
		}),
	} {
		html := render(t, CreatorsPortalPage(creator, c))
		if !strings.Contains(html, want) {
			t.Errorf("the limits are not told as %q", want)
		}
		if left := `data-left-bytes="` + strconv.FormatInt(c.left(), 10) + `"`; !strings.Contains(html, left) {
			t.Errorf("no %s", left)
		}
	}
}

// Every reason that the contract of publishing has is said in words of its own.
func TestReasonsOfPublishingHaveWords(t *testing.T) {
	t.Parallel()
	reasons := constants(t, "../components/videopublishing/publishingmsg/publishing.go", "Why something was refused or failed.")
	if len(reasons) < 15 {
		t.Fatalf("the contract has %d reasons", len(reasons))
	}
	for _, code := range append(reasons, "no-file", "empty-file", "too-large", "over-quota", "no-room", "incomplete", "title-too-long", "description-too-long", "too-many-in-the-making", "no-language", "unknown-language") {
		if said, known := videoSentences[code]; !known || len(said) < 20 || videoSentence(code) != said {
			t.Errorf("%s is said as %q", code, said)
		}
	}
	for text, want := range map[string]string{
		"": "", "some-code": sentence("some-code"), "email-taken": sentence("email-taken"), "Line 3: there is no arrow.": "Line 3: there is no arrow.",
	} {
		if got := videoSentence(text); got != want {
			t.Errorf("%q is said as %q, want %q", text, got, want)
		}
	}
}

// constants returns the values of the constants that stand below a comment.
func constants(t *testing.T, file, comment string) (values []string) {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range tree.Decls {
		block, ok := d.(*ast.GenDecl)
		if !ok || block.Tok != token.CONST || strings.TrimSpace(block.Doc.Text()) != comment {
			continue
		}
		for _, spec := range block.Specs {
			for _, value := range spec.(*ast.ValueSpec).Values {
				text, err := strconv.Unquote(value.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, text)
			}
		}
	}
	return values
}

// Every event that a request about a video can come to has words of its own.
func TestOutcomesOfVideoOperations(t *testing.T) {
	t.Parallel()
	tree, err := parser.ParseFile(token.NewFileSet(), "../components/videopublishing/publishingmsg/publishing.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	events := 0
	for _, d := range tree.Decls {
		block, ok := d.(*ast.GenDecl)
		if !ok || block.Tok != token.TYPE {
			continue
		}
		name := block.Specs[0].(*ast.TypeSpec).Name.Name
		isEvent := regexp.MustCompile(`(Begun|Rejected|Abandoned|Started|Playable|Published|Failed|Canceled|Named|Described|Changed|Deleted|Added|Removed|ChaptersSet)$`).MatchString(name)
		if !isEvent {
			continue
		}
		events++
		o := VideoOperation{VideoID: playID, Outcome: name, Value: "public"}
		want := "done"
		if strings.HasSuffix(name, "Rejected") || strings.HasSuffix(name, "Failed") {
			want, o.Reason = "failed", "damaged"
		}
		if _, known := videoOutcomes[name]; !known || o.state() != want || o.outcome().Title == "" || o.outcome().Text == "" {
			t.Errorf("%s is %s, said as %+v", name, o.state(), o.outcome())
		}
	}
	if events != len(videoOutcomes) {
		t.Errorf("the contract has %d events, the page has words for %d", events, len(videoOutcomes))
	}
	for _, o := range []VideoOperation{{Outcome: "SomethingElse"}, {Outcome: "SomethingElse", Reason: "why"}} {
		if said := o.outcome(); said.Title == "" || (o.Reason != "") != said.Failed {
			t.Errorf("%+v is said as %+v", o, said)
		}
	}
}

// What was refused stands in its form again; where nothing can be changed any more, there is none.
func TestWhatWasRefusedIsGivenBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		o    VideoOperation
		part string
		form bool
	}{
		{VideoOperation{VideoID: playID, Outcome: "VideoNameRejected", Reason: "too-long", Value: "A & B"}, `value="A &amp; B"`, true},
		{VideoOperation{VideoID: playID, Outcome: "VideoNameRejected", Reason: "blank"}, `name="name"`, true},
		{VideoOperation{VideoID: playID, Outcome: "VideoDescriptionRejected", Reason: "same", Value: "A & B"}, `>A &amp; B</textarea>`, true},
		{VideoOperation{VideoID: playID, Outcome: "VideoNameRejected", Reason: "deleted", Value: "A"}, "This video is deleted.", false},
		{VideoOperation{VideoID: playID, Outcome: "VideoDescriptionRejected", Reason: "not-owner", Value: "A"}, "belongs to somebody else", false},
		{VideoOperation{Outcome: "VideoNameRejected", Reason: "not-found", Value: "A"}, "There is no such video", false},
	} {
		html := render(t, VideoOperationState(c.o))
		if !strings.Contains(html, c.part) || strings.Contains(html, "<form") != c.form {
			t.Errorf("%+v is shown as %s", c.o, html)
		}
	}
}

// Where the browser has no scripts, all of a page is there: the video with its controls and
// sources, links into it that load the page at that moment, forms for everything.
func TestWatchingWithoutScripts(t *testing.T) {
	t.Parallel()
	html := render(t, WatchPage(page, Watch{Lesson: streamed, Cues: said, Chapters: parts, Start: 90 * time.Second}))
	for _, part := range []string{
		`<video slot="media" controls`, `/master.m3u8#t=90" type="application/vnd.apple.mpegurl"`, `/video.mp4#t=90"`, `<a href="?t=3.5" data-start="3.5">`,
		`<track kind="captions"`, `<track kind="chapters"`, `<track kind="metadata" label="thumbnails"`,
	} {
		if !strings.Contains(html, part) {
			t.Errorf("no %s", part)
		}
	}
	if strings.Index(html, "<source") > strings.Index(html, "<track") {
		t.Error("tracks stand before sources")
	}
	if html := render(t, WatchPage(page, Watch{Lesson: play})); strings.Contains(html, "#t=") || strings.Contains(html, "Transcript") || strings.Contains(html, "Chapters") || strings.Contains(html, "rendition") {
		t.Errorf("a plain file has more than it has\n%s", html)
	}
}

func TestShapes(t *testing.T) {
	t.Parallel()
	for want, sizes := range map[string][][2]int{
		"wide": {{0, 0}, {1920, 1080}, {2048, 858}, {1440, 1000}}, "square": {{640, 480}, {1080, 1080}, {810, 1080}}, "tall": {{608, 1080}, {1080, 1920}},
	} {
		for _, s := range sizes {
			if got := (Lesson{Video: catalogue.Video{Width: s[0], Height: s[1]}}).shape(); got != want {
				t.Errorf("%d × %d is %s, want %s", s[0], s[1], got, want)
			}
		}
	}
}

func TestSizesAndTimes(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{-1: "0 bytes", 0: "0 bytes", 1023: "1023 bytes", 1024: "1 kB", 1536: "1.5 kB", 1<<20 - 1: "1023 kB", 734_003_200: "700 MB", 9<<30 + 1<<29: "9.5 GB", 10<<30 + 1<<29: "10.5 GB", 5 << 50: "5120 TB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0 seconds", time.Second: "1 second", 90 * time.Minute: "1 hour 30 minutes", 4 * time.Hour: "4 hours", time.Hour + time.Second: "1 hour 1 second", 61 * time.Second: "1 minute 1 second"} {
		if got := span(d); got != want {
			t.Errorf("span(%s) = %s, want %s", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "", 4 * time.Second: "a few seconds left", 12 * time.Second: "about 10 s left", 41 * time.Second: "about 40 s left", 59 * time.Second: "about 1 min left", 94 * time.Second: "about 2 min left", 50 * time.Minute: "about 50 min left", 59*time.Minute + 50*time.Second: "about 1 h left", 150 * time.Minute: "about 3 h left"} {
		if got := left(d); got != want {
			t.Errorf("left(%s) = %s, want %s", d, got, want)
		}
	}
}

// hostileCreators are all pages and fragments of this file with a text everywhere that people,
// files and components have a say.
func hostileCreators(text string) map[string]templ.Component {
	p := with(creator, func(p *Page) { p.Title, p.Path, p.Live = text, text, text })
	all := map[string]templ.Component{
		"field":      FieldProblem("note", text),
		"saved":      FieldSaved("note", text),
		"operation":  VideoOperationPage(p, VideoOperation{TraceID: text, VideoID: text, Title: text, Outcome: "VideoNameRejected", Reason: text, Value: text}),
		"described":  VideoOperationPage(p, VideoOperation{TraceID: text, VideoID: text, Title: text, Outcome: "VideoDescriptionRejected", Reason: text, Value: text}),
		"named":      VideoOperationPage(p, VideoOperation{TraceID: text, VideoID: text, Title: text, Outcome: "VideoNamed", Value: text}),
		"unexpected": VideoOperationPage(p, VideoOperation{TraceID: text, VideoID: text, Outcome: text, Reason: text, Value: text}),
		"watch": WatchPage(p, Watch{
			Lesson: Lesson{Video: catalogue.Video{
				ID: text, Title: text, Description: text, HLS: text, Source: text, Poster: text, Storyboard: text, Chapters: text, Visibility: text,
				Captions: []catalogue.Captions{{ID: text, Language: text, Label: text, URI: text}},
			}},
			Cues: []Cue{{0, text}}, Chapters: []Cue{{0, text}}, Owner: true, Watching: 2,
		}),
	}
	for name, v := range ownVideos() {
		v.ID, v.Title, v.Description, v.FileName, v.Reason, v.Poster, v.Chapters, v.Progress.Step = "own-video", text, text, text, text, text, text, text
		v.Renditions, v.Captions = []string{text}, []creatorsvideos.Captions{{ID: text, Language: text, Label: text, URI: text}}
		all["edit "+name] = CreatorsVideoPage(p, CreatorsVideoEdit{
			Video: v, Name: text, NameProblem: text, Description: text, DescriptionProblem: text, Language: text, LanguageProblem: text, Label: text, CaptionsProblem: text, ChaptersProblem: text, Problem: text,
		})
		all["portal "+name] = CreatorsPortalPage(p, portal(func(c *Portal) {
			c.Videos, c.Form = []CreatorsVideo{v}, UploadForm{text, text, text}
		}))
	}
	all["push"] = Push(CreatorsVideosID, CreatorsVideos([]CreatorsVideo{{Video: creatorsvideos.Video{ID: "own-video", Title: text, State: creatorsvideos.Failed, Reason: text}}}))
	return all
}

func TestHostileTextOfCreators(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`<script>alert(1)</script>`,
		`"><img src=x onerror=alert(1)>`,
		`' onmouseover='alert(1)`,
		`</textarea></template></pre><b>`,
		`</hx-partial><hx-partial id="account">`,
		`javascript:alert(1)`,
	} {
		for name, c := range hostileCreators(text) {
			html := render(t, c)
			for _, unsafe := range []string{"<script>alert", "<img src=x", "onerror=alert(1)>", "' onmouseover='", "</textarea></template>", `href="javascript:`, `action="javascript:`, " style="} {
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

// Nothing is inline, ids are single, whatever points to one finds it, and what came back lets the
// person go on at one field.
func TestFormsOfCreatorsAreWhole(t *testing.T) {
	t.Parallel()
	inline := regexp.MustCompile(` style=| on[a-z]+=| hx-on|javascript:|<script>|<style`)
	all := hostileCreators("damaged")
	delete(all, "push") // it carries its id twice
	for name, c := range all {
		html := render(t, c)
		if name == "field" || name == "saved" { // fragments for pages that have the icons
			html = render(t, icons()) + html
		}
		if m := inline.FindString(html); m != "" {
			t.Errorf("%s contains %s", name, m)
		}
		ids := map[string]bool{}
		for _, m := range anyID.FindAllStringSubmatch(html, -1) {
			if ids[m[1]] && !strings.HasPrefix(m[1], "viewing-") { // its templates take each other's place
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
		focus := strings.Count(html, " autofocus")
		if page := strings.HasPrefix(name, "edit ") || strings.HasPrefix(name, "portal "); page && focus != 1 || !page && focus != 0 {
			t.Errorf("%s has %d fields with the focus", name, focus)
		}
		for _, tag := range openingTag.FindAllString(html, -1) {
			if strings.Contains(tag, `type="file"`) && strings.Contains(tag, " value=") {
				t.Errorf("%s gives a file a value: %s", name, tag)
			}
			if strings.HasPrefix(tag, "<progress") && !strings.Contains(tag, "aria-label") {
				t.Errorf("%s has a bar without a name: %s", name, tag)
			}
		}
	}
	for id, c := range map[string]templ.Component{
		CreatorsVideosID:           CreatorsVideos(nil),
		CreatorsVideoRowID(playID): CreatorsVideoRow(ownVideos()["first"]),
		CreatorsVideoStateID:       CreatorsVideoState(ownVideos()["first"]),
		VideoOperationID:           VideoOperationState(VideoOperation{}),
		WatchingID(playID):         Watching(playID, 1),
		"note":                     FieldSaved("note", "Saved."),
	} {
		if tag, _, _ := strings.Cut(render(t, c), ">"); !strings.Contains(tag, ` id="`+id+`"`) {
			t.Errorf("the root of %s is %s>", id, tag)
		}
	}
	for name, c := range map[string]templ.Component{
		"portal": CreatorsPortalPage(creator, portal(func(c *Portal) { c.Form.Problem = "over-quota" })),
		"edit":   CreatorsVideoPage(creator, CreatorsVideoEdit{Video: ownVideos()["published"], NameProblem: "blank"}),
	} {
		if !strings.Contains(render(t, c), "<title>Not accepted: ") {
			t.Errorf("%s comes back as if it were new", name)
		}
	}
}

func TestScriptsOfPages(t *testing.T) {
	t.Parallel()
	plain := render(t, ErrorPage(page, Problem{Status: 404}))
	all := render(t, ErrorPage(with(page, func(p *Page) {
		p.Player, p.Uploads, p.PlayerJS, p.UploadJS, p.NoIndex = true, true, "/assets/player.js", "/assets/upload.js", true
	}), Problem{Status: 404}))
	for _, part := range []string{`<script src="/assets/player.js" defer></script>`, `<script src="/assets/upload.js" defer></script>`, `<meta name="robots" content="noindex">`} {
		if strings.Contains(plain, part) || !strings.Contains(all, part) {
			t.Errorf("%s stands where it does not belong, or not where it does", part)
		}
	}
}
