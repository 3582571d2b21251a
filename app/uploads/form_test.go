package uploads

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/views"
)

// submit sends the form as a browser does; the fields are names and values in turn.
func (b *browser) submit(file string, content []byte, fields ...string) answer {
	body, kind := encode(file, content, fields...)
	return b.send(http.MethodPost, views.UploadFormPath, bytes.NewReader(body), "Content-Type", kind)
}

func encode(file string, content []byte, fields ...string) (body []byte, kind string) {
	var to bytes.Buffer
	w := multipart.NewWriter(&to)
	for i := 0; i+1 < len(fields); i += 2 {
		w.WriteField(fields[i], fields[i+1])
	}
	part, _ := w.CreateFormFile("file", file)
	part.Write(content)
	w.Close()
	return to.Bytes(), w.FormDataContentType()
}

// videoOf returns the video that the answer to a form leads to.
func (s *site) videoOf(a answer) string {
	s.t.Helper()
	to := a.header.Get("Location")
	if a.status != http.StatusSeeOther || !strings.HasPrefix(to, views.CreatorsVideoPath("")) {
		s.t.Fatalf("%d %s %q", a.status, to, a.body)
	}
	return to[strings.LastIndexByte(to, '/')+1:]
}

// Without scripts a form does the same.
func TestForm(t *testing.T) {
	t.Parallel()
	s := start(t)
	b, content := s.person(), random(40, 1<<20)
	videoID := s.videoOf(b.submit(fileOf, content, "title", " "+secret+"\ttitle ", "description", "one\r\ntwo"))
	s.handedIn(videoID, content)
	if want := []string{"BeginUpload", "DescribeVideo", "NameVideo", "PublishVideo"}; !slices.Equal(s.commands(videoID), want) {
		t.Errorf("%v", s.commands(videoID))
	}
	begun, named := command[publishingmsg.BeginUpload](s, videoID), command[publishingmsg.NameVideo](s, videoID)
	if want := (publishingmsg.BeginUpload{VideoID: videoID, OwnerID: b.user, FileName: fileOf, Bytes: 1 << 20}); begun.Data != want || begun.Metadata.UserID != b.user {
		t.Errorf("%+v", begun)
	}
	if named.Data.Name != secret+" title" || command[publishingmsg.DescribeVideo](s, videoID).Data.Description != "one\ntwo" {
		t.Errorf("%+v", named)
	}
	videoID = s.videoOf(b.submit("C:\\"+"日本 "+fileOf, []byte("x"), "title", "  ", "description", ""))
	if want := []string{"BeginUpload", "NameVideo", "PublishVideo"}; !slices.Equal(s.commands(videoID), want) {
		t.Errorf("%v", s.commands(videoID))
	}
	if m := command[publishingmsg.NameVideo](s, videoID); m.Data.Name != "日本 "+secret+" 1" {
		t.Errorf("%q", m.Data.Name)
	}
	s.handedIn(videoID, []byte("x"))
}

// What is wrong with a form is said with what was typed, and nothing of it stays.
func TestFormProblems(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config, _ *times) { c.MostBytes, c.Quota = 200_000, 300_000 })
	b := s.person()
	try := func(status int, says string, file string, content []byte, fields ...string) {
		t.Helper()
		if a := b.submit(file, content, fields...); a.status != status || a.body != says {
			t.Errorf("%d %.80q, want %d %.80q", a.status, a.body, status, says)
		}
	}
	long := strings.Repeat("ü", 101)
	try(422, "no-file|T|D", "", nil, "title", "T", "description", "D")
	try(422, "empty-file|T|D", fileOf, nil, "title", "T", "description", "D")
	try(422, "title-too-long|"+long+"|", fileOf, []byte("x"), "title", long)
	try(422, "description-too-long|T|"+strings.Repeat("d", 5001), fileOf, []byte("x"), "title", "T", "description", strings.Repeat("d", 5001))
	try(413, "too-large|T|D", fileOf, make([]byte, 200_001), "title", "T", "description", "D")
	try(413, "too-large||", fileOf, make([]byte, 600_000), "title", "T", "description", "D") // by its length: it is not read
	s.app.room = func() (int64, error) { return spare, nil }
	try(507, "no-room|T|", fileOf, []byte("x"), "title", "T")
	s.app.room = s.app.folder.room
	s.handedIn(s.videoOf(b.submit(fileOf, make([]byte, 200_000))), make([]byte, 200_000)) // exactly
	try(422, "over-quota|T|", fileOf, make([]byte, 110_000), "title", "T")
	s.handedIn(s.videoOf(b.submit(fileOf, make([]byte, 100_000))), make([]byte, 100_000)) // exactly
	try(422, "over-quota|T|", fileOf, []byte("x"), "title", "T")

	// Not a form, or not a whole one.
	if a := b.send(http.MethodPost, views.UploadFormPath, strings.NewReader("title=x"), "Content-Type", "application/x-www-form-urlencoded"); a.status != http.StatusUnsupportedMediaType {
		t.Errorf("%d", a.status)
	}
	b = s.person()
	body, kind := encode(fileOf, make([]byte, 1000))
	if a := b.send(http.MethodPost, views.UploadFormPath, struct{ io.Reader }{bytes.NewReader(body)}, "Content-Type", kind); a.status != http.StatusLengthRequired {
		t.Errorf("%d", a.status)
	}
	if a := b.send(http.MethodPost, views.UploadFormPath, bytes.NewReader(body[:len(body)-20]), "Content-Type", kind); a.status != 422 || a.body != "incomplete||" {
		t.Errorf("%d %q", a.status, a.body)
	}
	if a := b.submit(fileOf, nil, "title", strings.Repeat("x", mostField+1)); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("%d", a.status)
	}
	var many []string
	for range mostParts {
		many = append(many, "x", "y")
	}
	if a := b.submit(fileOf, []byte("x"), many...); a.status != 422 {
		t.Errorf("%d", a.status)
	}
	nobody := s.browser()
	if a := nobody.submit(fileOf, []byte("x")); a.status != http.StatusSeeOther || a.header.Get("Location") != "/auth/log-in" {
		t.Errorf("%d %v", a.status, a.header)
	}
	if a := b.send(http.MethodPost, views.UploadFormPath, bytes.NewReader(body), "Content-Type", kind, "Sec-Fetch-Site", "cross-site"); a.status != http.StatusForbidden {
		t.Errorf("%d", a.status)
	}
	for _, name := range s.files() {
		if filepath.Ext(name) != recordSuffix {
			t.Errorf("%s is left", name)
		}
	}
	if len(s.app.receiving) != 0 {
		t.Errorf("%v", s.app.receiving)
	}
}

// slowForm begins to send a form whose file the test writes.
func (b *browser) slowForm(length int, fields ...string) *slow {
	body, kind := encode(fileOf, make([]byte, length), fields...)
	from, to := io.Pipe()
	s := &slow{to, make(chan answer, 1)}
	end := bytes.LastIndex(body, []byte("\r\n--"))
	go func() {
		r, err := http.NewRequestWithContext(b.ctx, http.MethodPost, b.url+views.UploadFormPath, io.MultiReader(bytes.NewReader(body[:end-length]), io.LimitReader(from, int64(length)), bytes.NewReader(body[end:])))
		if err != nil {
			b.t.Error(err)
			return
		}
		r.ContentLength = int64(len(body))
		r.Header.Set("Content-Type", kind)
		response, err := b.client.Do(r)
		from.CloseWithError(errors.New("answered"))
		if err != nil {
			s.answered <- answer{}
			return
		}
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		s.answered <- answer{response.StatusCode, string(text), response.Header}
	}()
	return s
}

// received waits until so many bytes of the only form are on the disk.
func (s *site) received(have int64) {
	s.t.Helper()
	s.until("the bytes are on the disk", func() bool {
		parts, err := filepath.Glob(filepath.Join(s.dir, "*.part"))
		if err != nil || len(parts) != 1 {
			return false
		}
		info, err := os.Stat(parts[0])
		return err == nil && info.Size() == have
	})
}

// A file goes to the disk as it comes, and counts from its first byte; of one that does
// not come whole nothing stays.
func TestFormIsStreamed(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config, times *times) {
		c.Quota = 9 << 20
		times.recheck = 0
	})
	content := random(41, 8<<20)
	b := s.person()
	form := b.slowForm(len(content), "title", secret)
	form.Write(content[:5<<20])
	s.received(5 << 20)
	if a := b.post(2 << 20); a.status != http.StatusForbidden || a.body != "over-quota" {
		t.Errorf("%d %q", a.status, a.body)
	}
	form.Write(content[5<<20:])
	s.handedIn(s.videoOf(s.answer(form)), content)

	b = s.person()
	form = b.slowForm(len(content))
	form.Write(content[:1<<20])
	s.received(1 << 20)
	form.CloseWithError(os.ErrClosed) // the line breaks
	s.answer(form)
	s.cleared()

	form = b.slowForm(len(content))
	form.Write(content[:1<<20])
	s.received(1 << 20)
	s.ended.Store(b.session, true)
	form.Write(content[:1000])
	if a := s.answer(form); a.status != http.StatusUnauthorized {
		t.Errorf("%d %q", a.status, a.body)
	}
	s.cleared()
}

// cleared waits until nothing is left of forms that were not kept.
func (s *site) cleared() {
	s.t.Helper()
	s.until("nothing is left", func() bool {
		return !slices.ContainsFunc(s.files(), func(name string) bool { return filepath.Ext(name) != recordSuffix })
	})
}

// A form of which nothing comes any more is cut.
func TestFormSilence(t *testing.T) {
	t.Parallel()
	s := start(t, func(_ *Config, times *times) { times.silence = time.Second })
	b := s.person()
	form := b.slowForm(2000)
	form.Write(make([]byte, 1000))
	if a := s.answer(form); a.status != 0 && (a.status != 422 || a.body != "incomplete||") {
		t.Errorf("%d %q", a.status, a.body)
	}
	s.cleared()
}

// A form that came whole is not lost when Postgres goes away just then: nobody can send
// it again from where it stopped.
func TestFormWithoutPostgres(t *testing.T) {
	t.Parallel()
	s := start(t)
	b, content := s.person(), random(42, 1<<20)
	form := b.slowForm(len(content), "title", secret+" title", "description", secret)
	form.Write(content[:1000])
	s.received(1000)
	undo := s.leave()
	form.Write(content[1000:])
	videoID := s.videoOf(s.answer(form))
	undo()
	stop := s.run(s.newApp(s.app.times)) // the next program
	s.until("it is handed over", func() bool { return slices.Contains(s.commands(videoID), "PublishVideo") })
	s.until("only the record is left", func() bool { return len(s.files()) == 1 })
	stop()
	s.handedIn(videoID, content)
	if want := []string{"BeginUpload", "DescribeVideo", "NameVideo", "PublishVideo"}; !slices.Equal(s.commands(videoID), want) {
		t.Errorf("%v", s.commands(videoID))
	}
	if m := command[publishingmsg.NameVideo](s, videoID); m.Data.Name != secret+" title" {
		t.Errorf("%+v", m.Data)
	}
}

// A page that follows the form finds the video, where the view data is not far behind.
func TestFormWaitsForTheVideo(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.person()
	answered := make(chan answer, 1)
	go func() { answered <- b.submit(fileOf, []byte("x")) }()
	var videoID string
	s.until("the upload is there", func() bool {
		for _, name := range s.files() {
			if id, ok := strings.CutSuffix(name, recordSuffix); ok {
				videoID = upload{id: id}.videoID()
			}
		}
		return videoID != ""
	})
	s.write(videoID, publishingmsg.UploadBegun{VideoID: videoID, OwnerID: b.user})
	select {
	case a := <-answered:
		if got := s.videoOf(a); got != videoID {
			t.Errorf("%s, want %s", got, videoID)
		}
	case <-s.ctx.Done():
		t.Fatal("no answer")
	}
}
