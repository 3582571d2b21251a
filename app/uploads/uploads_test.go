package uploads

import (
	"bytes"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// An upload is a video from its first byte, and is handed over with its last.
func TestUpload(t *testing.T) {
	t.Parallel()
	s := start(t)
	b, content := s.person(), random(1, 3<<20)
	path, videoID := b.begin(int64(len(content)), "title", secret+" title", "description", secret+"\r\nsecond line")
	if want := []string{"BeginUpload", "DescribeVideo", "NameVideo"}; !slices.Equal(s.commands(videoID), want) {
		t.Errorf("%v, want %v", s.commands(videoID), want)
	}
	begun := command[publishingmsg.BeginUpload](s, videoID)
	if want := (publishingmsg.BeginUpload{VideoID: videoID, OwnerID: b.user, FileName: fileOf, Bytes: int64(len(content))}); begun.Data != want || begun.Metadata.UserID != b.user {
		t.Errorf("%+v", begun)
	}
	if m := command[publishingmsg.DescribeVideo](s, videoID); m.Data.Description != secret+"\nsecond line" {
		t.Errorf("%+v", m)
	}
	if a := b.head(path); a.status != http.StatusOK || a.offset() != 0 || a.header.Get("Upload-Length") != "3145728" || a.header.Get("X-Video-Id") != videoID || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", a.status, a.header)
	}
	for at := 0; at < len(content); at += 1 << 20 {
		if a := b.patch(path, int64(at), bytes.NewReader(content[at:at+1<<20])); a.status != http.StatusNoContent || a.offset() != int64(at+1<<20) {
			t.Fatalf("%d %q", a.status, a.body)
		}
	}
	s.handedIn(videoID, content)
	published := command[publishingmsg.PublishVideo](s, videoID)
	if want := (publishingmsg.PublishVideo{VideoID: videoID, OwnerID: b.user, SourceURI: publishingmsg.SourceKey(videoID), FileName: fileOf, Bytes: int64(len(content))}); published.Data != want {
		t.Errorf("%+v", published.Data)
	}
	if m := published.Metadata; m.UserID != b.user || !messagestore.ValidID(m.TraceID) || m.TraceID == begun.Metadata.TraceID {
		t.Errorf("%+v", m)
	}
	// A browser that did not hear the last answer asks again.
	if a := b.head(path); a.status != http.StatusOK || a.offset() != int64(len(content)) {
		t.Errorf("%d %v", a.status, a.header)
	}
	if a := b.patch(path, int64(len(content)), nil); a.status != http.StatusNoContent {
		t.Errorf("%d", a.status)
	}
	if a := b.patch(path, 0, bytes.NewReader(content)); a.status != http.StatusConflict {
		t.Errorf("%d", a.status)
	}
	if a := b.send(http.MethodDelete, path, nil); a.status != http.StatusForbidden {
		t.Errorf("%d", a.status)
	}
	s.handedIn(videoID, content)
}

// What has arrived before a line breaks stays, and the upload goes on from there.
func TestGoesOn(t *testing.T) {
	t.Parallel()
	s := start(t)
	b, content := s.person(), random(2, 1<<20)
	path, videoID := b.begin(int64(len(content)))
	if a := b.patch(path, 5, bytes.NewReader(content)); a.status != http.StatusConflict {
		t.Errorf("an offset that is none: %d", a.status)
	}
	half := b.patchSlowly(path, 0)
	s.sent(half, content[:1<<19], path, 1<<19)
	half.CloseWithError(os.ErrClosed) // the line breaks
	s.answer(half)
	a := b.head(path)
	if a.status != http.StatusOK || a.offset() != 1<<19 {
		t.Fatalf("%d %v", a.status, a.header)
	}
	if a := b.patch(path, a.offset(), bytes.NewReader(content[1<<19:])); a.status != http.StatusNoContent {
		t.Fatalf("%d %q", a.status, a.body)
	}
	s.handedIn(videoID, content)
	if m := command[publishingmsg.NameVideo](s, videoID); m.Data.Name != secret+" 1" {
		t.Errorf("a video without a title is called %q", m.Data.Name)
	}
}

// The one who comes last has the upload: the other's line is broken and nobody knows.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	b, content := s.person(), random(3, 1<<20)
	// The second comes by another process that shares the folder.
	other := s.serve(s.newApp(s.app.times))
	for _, url := range []string{s.url, other.URL} {
		path, videoID := b.begin(int64(len(content)))
		first := b.patchSlowly(path, 0)
		s.sent(first, content[:1000], path, 1000)
		if a := b.patch(url+path, 1000, bytes.NewReader(content[1000:2000])); a.status != http.StatusNoContent || a.offset() != 2000 {
			t.Fatalf("%d %q", a.status, a.body)
		}
		if a := s.answer(first); a.status == http.StatusNoContent {
			t.Errorf("the first one was not stopped: %d", a.status)
		}
		second := b.patchSlowly(path, 2000)
		s.sent(second, content[2000:3000], path, 3000)
		if a := b.head(url + path); a.offset() != 3000 {
			t.Fatalf("%d %v", a.status, a.header)
		}
		s.answer(second)
		if a := b.patch(url+path, 3000, bytes.NewReader(content[3000:])); a.status != http.StatusNoContent {
			t.Fatalf("%d %q", a.status, a.body)
		}
		s.handedIn(videoID, content)
	}
}

// Many who append at once do not mix their bytes.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	b, content := s.person(), random(4, 256<<10)
	path, videoID := b.begin(int64(len(content)))
	done := make(chan struct{})
	for range 6 {
		go func() {
			defer func() { done <- struct{}{} }()
			for s.ctx.Err() == nil {
				a := b.head(path)
				at := a.offset()
				if a.status != http.StatusOK {
					continue
				}
				if at == int64(len(content)) {
					return
				}
				b.patch(path, at, bytes.NewReader(content[at:min(at+20_000, int64(len(content)))]))
			}
		}()
	}
	for range 6 {
		<-done
	}
	s.handedIn(videoID, content)
}

// An upload can be given up while it is going on.
func TestDeleteWhileItGoesOn(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.person()
	path, videoID := b.begin(1 << 20)
	running := b.patchSlowly(path, 0)
	s.sent(running, random(5, 1000), path, 1000)
	if a := b.send(http.MethodDelete, path, nil); a.status != http.StatusNoContent {
		t.Fatalf("%d %q", a.status, a.body)
	}
	if a := s.answer(running); a.status == http.StatusNoContent {
		t.Errorf("%d", a.status)
	}
	if m := command[publishingmsg.AbandonUpload](s, videoID); m.Metadata.UserID != b.user {
		t.Errorf("%+v", m.Metadata)
	}
	for _, method := range []string{http.MethodHead, http.MethodPatch, http.MethodDelete} {
		if a := b.send(method, path, nil); a.status != http.StatusNotFound {
			t.Errorf("%s: %d", method, a.status)
		}
	}
	if names := s.files(); len(names) != 0 {
		t.Errorf("%v", names)
	}
}

// Who deletes the video need not wait for its upload, which ends by itself.
func TestDeletedVideo(t *testing.T) {
	t.Parallel()
	s := start(t, func(_ *Config, times *times) { times.recheck = 0 })
	b := s.person()
	path, videoID := b.begin(1 << 20)
	running := b.patchSlowly(path, 0)
	s.sent(running, random(6, 1000), path, 1000)
	s.write(videoID, publishingmsg.VideoDeleted{VideoID: videoID})
	running.Write(random(6, 1000)) // with the next byte it is noticed
	if a := s.answer(running); a.status != http.StatusNotFound {
		t.Errorf("%d %q", a.status, a.body)
	}
	if a := b.head(path); a.status != http.StatusNotFound {
		t.Errorf("%d", a.status)
	}
	if names := s.files(); len(names) != 0 {
		t.Errorf("%v", names)
	}

	// Deleted with the last byte: nothing of it stays in the media store.
	u := newUpload(b.user, fileOf, secret, "", 3)
	if err := s.app.folder.create(u, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.app.folder.path(u.id), []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.write(u.videoID(), publishingmsg.VideoDeleted{VideoID: u.videoID()})
	if a := b.head(views.UploadsPath + "/" + u.id); a.status != http.StatusNotFound {
		t.Errorf("%d", a.status)
	}
	if _, err := s.media.Size(s.ctx, publishingmsg.SourceKey(u.videoID())); err == nil || len(s.files()) != 0 {
		t.Errorf("%v %v", err, s.files())
	}
	if list := s.commands(u.videoID()); slices.Contains(list, "PublishVideo") {
		t.Errorf("%v", list)
	}
}

// A client that sends nothing is cut, and goes on later.
func TestSilence(t *testing.T) {
	t.Parallel()
	s := start(t, func(_ *Config, times *times) { times.silence = time.Second })
	b, content := s.person(), random(7, 2000)
	path, videoID := b.begin(2000)
	stalled := b.patchSlowly(path, 0)
	s.sent(stalled, content[:500], path, 500)
	if a := s.answer(stalled); a.status == http.StatusNoContent {
		t.Errorf("%d", a.status)
	}
	// However slow the machine is, the rest comes at some time.
	s.until("it is handed in", func() bool {
		switch a := b.head(path); {
		case a.status != http.StatusOK:
		case a.offset() == 2000:
			return true
		case a.offset() == 500:
			b.patch(path, 500, bytes.NewReader(content[500:]))
		default:
			t.Errorf("%d", a.offset())
			return true
		}
		return false
	})
	s.handedIn(videoID, content)
}

// A session that ends in the middle ends the upload, until the same person is back.
func TestSessionEnds(t *testing.T) {
	t.Parallel()
	s := start(t, func(_ *Config, times *times) { times.recheck = 0 })
	b, content := s.person(), random(8, 2000)
	path, videoID := b.begin(2000)
	running := b.patchSlowly(path, 0)
	s.sent(running, content[:500], path, 500)
	s.ended.Store(b.session, true)
	running.Write(content[500:600])
	if a := s.answer(running); a.status != http.StatusUnauthorized || a.body != "logged-out" {
		t.Errorf("%d %q", a.status, a.body)
	}
	if a := b.head(path); a.status != http.StatusUnauthorized {
		t.Errorf("%d", a.status)
	}
	b.logIn(b.user)
	a := b.head(path)
	if a.status != http.StatusOK || a.offset() < 500 {
		t.Fatalf("%d %v", a.status, a.header)
	}
	if a := b.patch(path, a.offset(), bytes.NewReader(content[a.offset():])); a.status != http.StatusNoContent {
		t.Fatalf("%d %q", a.status, a.body)
	}
	s.handedIn(videoID, content)
}

// When the program stops, what has arrived is kept.
func TestStop(t *testing.T) {
	t.Parallel()
	s := start(t)
	stop := s.run(s.app)
	b, content := s.person(), random(9, 2000)
	path, videoID := b.begin(2000)
	running := b.patchSlowly(path, 0)
	s.sent(running, content[:500], path, 500)
	stop()
	if a := s.answer(running); a.status != http.StatusServiceUnavailable {
		t.Errorf("%d %q", a.status, a.body)
	}
	if a := b.head(path); a.status != http.StatusServiceUnavailable {
		t.Errorf("%d", a.status)
	}
	s.app = s.newApp(s.app.times)
	s.url = s.serve(s.app).URL
	b.logIn(b.user)
	if a := b.patch(path, b.head(path).offset(), bytes.NewReader(content[500:])); a.status != http.StatusNoContent {
		t.Fatalf("%d %q", a.status, a.body)
	}
	s.handedIn(videoID, content)
}

// The limits count what others have begun, also what the view data does not show yet.
func TestQuota(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config, _ *times) { c.MostBytes, c.Quota = 1000, 2500 })
	b, other := s.person(), s.person()
	if a := b.post(1001); a.status != http.StatusRequestEntityTooLarge || a.body != "too-large" {
		t.Errorf("%d %q", a.status, a.body)
	}
	if a := b.post(0); a.status != http.StatusUnprocessableEntity || a.body != "empty-file" {
		t.Errorf("%d %q", a.status, a.body)
	}
	// Five at once, of which two fit.
	taken := make(chan answer)
	for range 5 {
		go func() { taken <- b.post(1000, "filename", fileOf) }()
	}
	var paths []string
	for range 5 {
		switch a := <-taken; a.status {
		case http.StatusCreated:
			paths = append(paths, a.header.Get("Location"))
		case http.StatusForbidden:
			if a.body != "over-quota" {
				t.Errorf("%q", a.body)
			}
		default:
			t.Errorf("%d %q", a.status, a.body)
		}
	}
	if len(paths) != 2 {
		t.Fatalf("%d were taken", len(paths))
	}
	if a := other.post(1000); a.status != http.StatusCreated {
		t.Errorf("somebody else: %d %q", a.status, a.body)
	}
	// One is handed in and shown: it still counts once. One is given up: it does not.
	first := b.head(paths[0]).header.Get("X-Video-Id")
	if a := b.patch(paths[0], 0, bytes.NewReader(random(10, 1000))); a.status != http.StatusNoContent {
		t.Fatalf("%d", a.status)
	}
	full := func(is bool) {
		t.Helper()
		a := b.post(700)
		if is != (a.status == http.StatusForbidden) {
			t.Errorf("full: %v, but %d %q", is, a.status, a.body)
		}
		if a.status == http.StatusCreated {
			b.send(http.MethodDelete, a.header.Get("Location"), nil)
		}
	}
	full(true)
	s.write(first, publishingmsg.UploadBegun{VideoID: first, OwnerID: b.user, FileName: fileOf, Bytes: 1000})
	full(true)
	if a := b.send(http.MethodDelete, paths[1], nil); a.status != http.StatusNoContent {
		t.Fatalf("%d", a.status)
	}
	full(false)
	if a := b.post(1000); a.status != http.StatusCreated {
		t.Fatalf("%d %q", a.status, a.body)
	}
	full(true)
	s.write(first, publishingmsg.VideoDeleted{VideoID: first})
	full(false)
}

// A disk that is full refuses what has not begun and keeps what has.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	s := start(t)
	b, content := s.person(), random(11, 4000)
	path, videoID := b.begin(4000)
	s.app.room = func() (int64, error) { return spare + 5000, nil }
	if a := b.post(1001); a.status != http.StatusInsufficientStorage || a.body != "no-room" {
		t.Errorf("4,000 bytes of 5,000 are promised: %d %q", a.status, a.body)
	}
	if a := b.post(1000); a.status != http.StatusCreated {
		t.Errorf("%d %q", a.status, a.body)
	}
	if a := b.patch(path, 0, bytes.NewReader(content[:1000])); a.status != http.StatusNoContent {
		t.Fatalf("%d %q", a.status, a.body)
	}
	s.app.room = func() (int64, error) { return spare / 4, nil }
	full := func() {
		t.Helper()
		a := b.patch(path, 1000, bytes.NewReader(content[1000:]))
		if a.status != http.StatusInsufficientStorage || !strings.Contains(a.body, "What has arrived is kept") {
			t.Errorf("%d %q", a.status, a.body)
		}
	}
	full()
	// The kernel itself says so.
	s.app.room = s.app.folder.room
	bytesOf := s.app.folder.path(idOf(path))
	if err := os.Rename(bytesOf, bytesOf+".aside"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", bytesOf); err != nil {
		t.Fatal(err)
	}
	if a := b.patch(path, 0, bytes.NewReader(content)); a.status != http.StatusInsufficientStorage {
		t.Errorf("%d %q", a.status, a.body)
	}
	if err := os.Rename(bytesOf+".aside", bytesOf); err != nil {
		t.Fatal(err)
	}
	if a := b.patch(path, 1000, bytes.NewReader(content[1000:])); a.status != http.StatusNoContent {
		t.Fatalf("%d %q", a.status, a.body)
	}
	s.handedIn(videoID, content)
}
