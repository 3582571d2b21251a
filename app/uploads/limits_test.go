package uploads

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"

	"videotutorials/app/web"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/views"
)

// What has arrived of a video that its owner deletes counts until it is gone, which is
// at once where nobody is sending.
func TestDeletedUnfinished(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config, _ *times) { c.Quota = 1000 })
	b := s.person()
	path, videoID := b.begin(1000)
	running := b.patchSlowly(path, 0)
	s.sent(running, random(70, 500), path, 500)
	s.write(videoID, publishingmsg.UploadBegun{VideoID: videoID, OwnerID: b.user, FileName: fileOf, Bytes: 1000})
	s.write(videoID, publishingmsg.VideoDeleted{VideoID: videoID})
	if a := b.post(1); a.status != http.StatusForbidden || a.body != "over-quota" {
		t.Errorf("500 bytes are on the disk, but do not count: %d %q", a.status, a.body)
	}
	running.CloseWithError(os.ErrClosed)
	s.answer(running)
	s.until("there is room", func() bool { // as soon as the server has noticed that the line broke
		a := b.post(1000)
		path, videoID = a.header.Get("Location"), a.header.Get("X-Video-Id")
		return a.status == http.StatusCreated
	})
	if names := s.files(); len(names) != 2 {
		t.Errorf("%v", names)
	}

	// Without anybody who asks the sweep does it.
	if a := b.patch(path, 0, strings.NewReader("some")); a.status != http.StatusNoContent {
		t.Fatal(a.status)
	}
	s.write(videoID, publishingmsg.VideoDeleted{VideoID: videoID})
	if err := s.app.sweep(s.ctx); err != nil {
		t.Fatal(err)
	}
	if names := s.files(); len(names) != 0 {
		t.Errorf("%v", names)
	}
}

// A person has so many uploads and no more, however short they are.
func TestTooManyUnfinished(t *testing.T) {
	t.Parallel()
	s := start(t)
	b, other := s.person(), s.person()
	const asked = mostUnfinished + 5
	taken := make(chan answer)
	for range asked {
		go func() { taken <- b.post(1) }()
	}
	var paths []string
	for range asked {
		switch a := <-taken; {
		case a.status == http.StatusCreated:
			paths = append(paths, a.header.Get("Location"))
		case a.status != http.StatusTooManyRequests || a.body != "too-many-uploads":
			t.Errorf("%d %q", a.status, a.body)
		}
	}
	if len(paths) != mostUnfinished {
		t.Fatalf("%d were taken", len(paths))
	}
	if a := b.submit(fileOf, []byte("x"), "title", "T"); a.status != http.StatusTooManyRequests || a.body != "too-many-uploads|T|" {
		t.Errorf("%d %q", a.status, a.body)
	}
	if a := other.post(1); a.status != http.StatusCreated {
		t.Errorf("somebody else: %d %q", a.status, a.body)
	}
	if a := b.send(http.MethodDelete, paths[0], nil); a.status != http.StatusNoContent {
		t.Fatal(a.status)
	}
	if a := b.post(1); a.status != http.StatusCreated {
		t.Errorf("%d %q", a.status, a.body)
	}
}

// Nor do they have more than so many videos made at a time, whether the view data shows
// them already or not.
func TestTooManyUnpublished(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.person()
	handIn := func() answer {
		return b.send(http.MethodPost, views.UploadsPath, strings.NewReader("x"), "Upload-Length", "1", "Content-Type", "application/offset+octet-stream")
	}
	full := func() {
		t.Helper()
		if a := handIn(); a.status != http.StatusTooManyRequests || a.body != "too-many-uploads" {
			t.Errorf("%d %q", a.status, a.body)
		}
	}
	var videos []string
	for range web.MostInTheMaking {
		a := handIn()
		if a.status != http.StatusCreated || a.offset() != 1 {
			t.Fatalf("%d %q", a.status, a.body)
		}
		videos = append(videos, a.header.Get("X-Video-Id"))
	}
	full()
	s.write(videos[0], publishingmsg.UploadBegun{VideoID: videos[0], OwnerID: b.user, Bytes: 1})
	full()
	s.write(videos[0], publishingmsg.VideoPublishingStarted{VideoID: videos[0], OwnerID: b.user, Attempt: 1})
	full()
	s.write(videos[0], publishingmsg.VideoPlayable{VideoID: videos[0], OwnerID: b.user, Attempt: 1})
	full()
	s.write(videos[0], publishingmsg.VideoPublished{VideoID: videos[0], OwnerID: b.user, Attempt: 1})
	if a := handIn(); a.status != http.StatusCreated {
		t.Errorf("%d %q", a.status, a.body)
	}
	full()
	s.write(videos[1], publishingmsg.VideoDeleted{VideoID: videos[1]})
	if a := handIn(); a.status != http.StatusCreated {
		t.Errorf("%d %q", a.status, a.body)
	}
	full()
}

// While Postgres is asked about one person's videos, others have their turn, and in it
// nobody's records are read that were read before.
func TestTurnIsShort(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.person()
	path, _ := s.person().begin(10)
	tx, err := s.views.Begin(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(s.ctx))
	if _, err := tx.Exec(s.ctx, `LOCK TABLE creators_videos IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	asked := make(chan answer, 1)
	go func() { asked <- b.post(10) }()
	s.until("Postgres is asked", func() bool {
		var waiting bool
		if err := tx.QueryRow(s.ctx, `
			SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'creators_videos'::regclass AND mode = 'AccessShareLock' AND NOT granted)`).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
		return waiting
	})
	select {
	case s.app.turn <- struct{}{}:
		<-s.app.turn
	default:
		t.Fatal("it has its turn while it asks Postgres")
	}
	record := s.app.folder.recordPath(idOf(path))
	if err := errors.Join(os.Remove(record), os.Mkdir(record, 0o700)); err != nil { // who reads it now fails
		t.Fatal(err)
	}
	if err := tx.Rollback(s.ctx); err != nil {
		t.Fatal(err)
	}
	if a := <-asked; a.status != http.StatusCreated {
		t.Errorf("%d %q", a.status, a.body)
	}
}
