package creatorsportal

import (
	"net/http"
	"strings"
	"testing"

	"golang.org/x/text/language"

	"videotutorials/app/webvtt"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/media"
	"videotutorials/views"
)

const good = "WEBVTT\n\n00:01.000 --> 00:04.000\nHello\n"

func (s *site) file(uri string) string {
	s.t.Helper()
	key, ok := media.Key(uri)
	if !ok {
		s.t.Fatalf("%q is no file", uri)
	}
	text, err := s.media.Read(s.ctx, key, webvtt.MostBytes)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

func TestCaptions(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna := s.somebody()
	id := s.has(anna.user, "First lesson")
	path := views.AddCaptionsPath(id)
	added := anna.send(path, "en.vtt", good, "language", " en ", "label", " English ")
	again := anna.send(path, "en.vtt", good, "language", "en", "label", "English")
	if a := anna.outcome(added); state(a.body) != "done" || again.to != added.to {
		t.Errorf("%s, then %d %s\n%s", added.to, again.status, again.to, a.body)
	}
	if a := anna.outcome(anna.send(path, "de.vtt", "\ufeff"+good, "language", "DE_at")); state(a.body) != "done" {
		t.Error(a.body)
	}
	list := s.row(id).Captions
	if len(list) != 2 || list[0].Language != "en" || list[0].Label != "English" || list[1].Language != "de-AT" || list[1].Label != "Österreichisches Deutsch" {
		t.Fatalf("%+v", list)
	}
	if s.file(list[0].URI) != good || s.file(list[1].URI) != "\ufeff"+good || !strings.HasPrefix(list[0].URI, "/media/"+id+"/captions-"+list[0].ID) {
		t.Errorf("%+v", list)
	}
	// What was removed can be added again.
	if a := anna.outcome(anna.post(views.RemoveCaptionsPath(id, list[0].ID))); state(a.body) != "done" || len(s.row(id).Captions) != 1 {
		t.Error(a.body)
	}
	if a := anna.outcome(anna.send(path, "en.vtt", good, "language", "en", "label", "English")); state(a.body) != "done" || len(s.row(id).Captions) != 2 {
		t.Error(a.body)
	}
}

func TestChapters(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna := s.somebody()
	id := s.has(anna.user, "First lesson")
	set := anna.send(views.SetChaptersPath(id), "x.vtt", good)
	again := anna.send(views.SetChaptersPath(id), "x.vtt", good)
	if a := anna.outcome(set); state(a.body) != "done" || again.to != set.to {
		t.Errorf("%s, then %s\n%s", set.to, again.to, a.body)
	}
	first := s.row(id).Chapters
	const other = "WEBVTT\n\n00:01.000 --> 00:04.000\nOther\n"
	if a := anna.outcome(anna.send(views.SetChaptersPath(id), "x.vtt", other)); state(a.body) != "done" || s.row(id).Chapters == first || s.file(s.row(id).Chapters) != other {
		t.Errorf("%s\n%s", s.row(id).Chapters, a.body)
	}
	if a := anna.outcome(anna.post(views.RemoveChaptersPath(id))); state(a.body) != "done" || s.row(id).Chapters != "" {
		t.Error(a.body)
	}
}

// Captions without a label are called as those who speak the language call it.
func TestLanguageName(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"en": "English", "de": "Deutsch", "pt-BR": "Português", "zh-Hant": "繁體中文", "nds": "Low German", "qaa": "qaa", "und": "und", "x-ours": "x-ours",
	} {
		if got := languageName(language.MustParse(code)); got != want {
			t.Errorf("%s is called %q, want %q", code, got, want)
		}
	}
}

// A page that says what is wrong with a form has the address of the form; to load it again
// leads to the page of the video.
func TestReload(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna := s.somebody()
	id := s.has(anna.user, "First lesson")
	for path, want := range map[string]string{
		views.AddCaptionsPath(id): views.CreatorsVideoPath(id), views.SetChaptersPath(id): views.CreatorsVideoPath(id), views.NameVideoPath(id): views.CreatorsVideoPath(id),
		views.RetryPublishingPath(id): views.CreatorsVideoPath(id), views.RemoveCaptionsPath(id, id): views.CreatorsVideoPath(id), views.UploadFormPath: views.CreatorsPortalPath,
	} {
		if a := anna.get(path); a.status != http.StatusSeeOther || a.to != want {
			t.Errorf("%s: %d to %s", path, a.status, a.to)
		}
	}
	if a := anna.get(views.AddCaptionsPath("x")); a.status != http.StatusNotFound {
		t.Errorf("captions of no video: %d", a.status)
	}
}

// A wrong file is refused with its line and the reason; what was typed beside it stays, and
// nothing is written.
func TestWrongFiles(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna := s.somebody()
	id := s.has(anna.user, "First lesson")
	for _, path := range []string{views.AddCaptionsPath(id), views.SetChaptersPath(id)} {
		for name, wrong := range map[string]struct{ name, file, says string }{
			"backwards": {"x.vtt", "WEBVTT\n\n00:04.000 --> 00:01.000\nHello\n", "Line 3: The cue ends before it begins"},
			"quoted":    {"x.vtt", "WEBVTT\n\n<b>&%s\n", "Line 3: Here should be the times of a cue"},
			"no text":   {"x.vtt", "\x89PNG\r\n", "Line 1: This is not UTF-8."},
			"empty":     {"x.vtt", "", "The file is empty."},
			"none":      {"", "", "No file was chosen."},
			"long":      {"x.vtt", "WEBVTT\n\n" + strings.Repeat("x", webvtt.MostBytes), "The file is longer than 1 MB."},
		} {
			a := anna.send(path, wrong.name, wrong.file, "language", "en-GB", "label", "My <English>")
			if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, wrong.says) {
				t.Errorf("%s to %s: %d, without %q\n%s", name, path, a.status, wrong.says, a.body)
			}
			if path == views.AddCaptionsPath(id) && (!strings.Contains(a.body, `value="en-GB"`) || !strings.Contains(a.body, `value="My &lt;English&gt;"`)) {
				t.Errorf("%s: what was typed is lost\n%s", name, a.body)
			}
			if !strings.Contains(a.body, "First lesson") {
				t.Errorf("%s: it is not the page of the video", name)
			}
		}
		if a := anna.post(path, "language", "en"); a.status != http.StatusUnsupportedMediaType {
			t.Errorf("another form: %d", a.status)
		}
		if a := anna.do(http.MethodPost, path, "multipart/form-data; boundary=x", strings.NewReader("--x\r\nContent-Dis"), false); a.status != http.StatusBadRequest {
			t.Errorf("half a form: %d", a.status)
		}
		parts := strings.Repeat("--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n", mostParts+1) + "--x--\r\n"
		if a := anna.do(http.MethodPost, path, "multipart/form-data; boundary=x", strings.NewReader(parts), false); a.status != http.StatusBadRequest {
			t.Errorf("a form of many parts: %d", a.status)
		}
	}
	if a := anna.send(views.AddCaptionsPath(id), "x.mov", strings.Repeat("x", mostForm), "language", "en-GB"); a.status != http.StatusUnprocessableEntity ||
		!strings.Contains(a.body, "The file is longer than 1 MB.") || !strings.Contains(a.body, `value="en-GB"`) {
		t.Errorf("a film: %d\n%s", a.status, a.body)
	}
	for language, says := range map[string]string{
		"": "Say in which language they are", "english": "There is no language with this code", "xx": "There is no language with this code", "e": "There is no language with this code",
	} {
		a := anna.send(views.AddCaptionsPath(id), "x.vtt", good, "language", language, "label", "Mine")
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, `<a href="#captions-language">`+says) || strings.Contains(a.body, `href="#captions-file"`) || !strings.Contains(a.body, `value="Mine"`) {
			t.Errorf("%q: %d\n%s", language, a.status, a.body)
		}
	}
	if len(s.written(id, "AddCaptions"))+len(s.written(id, "SetChapters")) != 0 {
		t.Error("something was written")
	}
	// What only the component knows is said on the page of what comes of it.
	if a := anna.outcome(anna.send(views.AddCaptionsPath(id), "x.vtt", good, "language", "en", "label", strings.Repeat("x", 51))); state(a.body) != "failed" {
		t.Error(a.body)
	}
	if a := anna.outcome(anna.send(views.AddCaptionsPath(id), "x.vtt", good, "language", "x-ours", "label", "Ours")); state(a.body) != "failed" || !strings.Contains(a.body, "There is no language with this code") {
		t.Error(a.body)
	}
	if _, err := s.store.Last(s.ctx, publishingmsg.Category.Stream(id), "CaptionsRejected"); err != nil {
		t.Error(err)
	}
}
