package uploads

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// A program that died after any step of handing over a file is followed by one that goes
// on there: because somebody asks, or by itself.
func TestDiesWhileHandingOver(t *testing.T) {
	t.Parallel()
	s := start(t)
	b, content := s.person(), random(30, 10_000)
	steps := map[string]func(u upload){
		"after the last byte": func(upload) {},
		"in the middle of putting it away": func(u upload) {
			if err := s.media.Put(s.ctx, publishingmsg.SourceKey(u.videoID()), content[:10]); err != nil {
				t.Fatal(err)
			}
		},
		"after putting it away": func(u upload) {
			if err := s.media.PutFile(s.ctx, publishingmsg.SourceKey(u.videoID()), s.app.folder.path(u.id)); err != nil {
				t.Fatal(err)
			}
		},
		"after asking for it to be published": func(u upload) {
			if err := s.media.PutFile(s.ctx, publishingmsg.SourceKey(u.videoID()), s.app.folder.path(u.id)); err != nil {
				t.Fatal(err)
			}
			if err := s.app.write(s.ctx, u, u.OwnerID, publishingmsg.PublishVideo{VideoID: u.videoID(), OwnerID: u.OwnerID}); err != nil {
				t.Fatal(err)
			}
		},
	}
	asks := map[string]func(path string) int{
		"HEAD":  func(path string) int { return b.head(path).status - http.StatusOK },
		"PATCH": func(path string) int { return b.patch(path, int64(len(content)), nil).status - http.StatusNoContent },
		"sweep": func(string) int {
			if err := s.app.sweep(s.ctx); err != nil {
				t.Error(err)
			}
			return 0
		},
	}
	for step, die := range steps {
		for who, ask := range asks {
			path, videoID := b.begin(int64(len(content)))
			if err := os.WriteFile(s.app.folder.path(idOf(path)), content, 0o600); err != nil {
				t.Fatal(err)
			}
			u, err := s.app.folder.read(idOf(path))
			if err != nil {
				t.Fatal(err)
			}
			die(u)
			if off := ask(path); off != 0 {
				t.Errorf("%s, %s: the status is off by %d", step, who, off)
			}
			s.handedIn(videoID, content)
			if a := b.head(path); a.status != http.StatusOK || a.offset() != int64(len(content)) {
				t.Errorf("%s, %s: %d %v", step, who, a.status, a.header)
			}
			if t.Failed() {
				t.Fatalf("died %s, then %s", step, who)
			}
		}
	}
}

// Of many who ask at once, in two processes, one hands it over.
func TestHandedOverOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	b, content := s.person(), random(31, 10_000)
	other := s.serve(s.newApp(s.app.times))
	path, videoID := b.begin(int64(len(content)))
	if err := os.WriteFile(s.app.folder.path(idOf(path)), content, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	for i := range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			url := []string{s.url, other.URL}[i%2]
			for s.ctx.Err() == nil {
				switch a := b.head(url + path); a.status {
				case http.StatusOK:
					if a.offset() != int64(len(content)) {
						t.Errorf("%v", a.header)
					}
					return
				case http.StatusServiceUnavailable, http.StatusLocked:
				default:
					t.Errorf("%d", a.status)
					return
				}
			}
		}()
	}
	for range 8 {
		<-done
	}
	s.handedIn(videoID, content)
}

// Without Postgres nothing begins, and what is whole waits: whoever asks is told to come
// back, and finds it done, or it is done without being asked.
func TestPostgresIsAway(t *testing.T) {
	t.Parallel()
	s := start(t)
	b, content := s.person(), random(32, 10_000)
	for _, asks := range []bool{true, false} {
		path, videoID := b.begin(int64(len(content)))
		running := b.patchSlowly(path, 0)
		s.sent(running, content[:9000], path, 9000)
		undo := s.leave()
		running.Write(content[9000:])
		running.Close()
		if a := s.answer(running); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("%d %q", a.status, a.body)
		}
		for _, a := range []answer{b.head(path), b.post(10)} {
			if a.status != http.StatusServiceUnavailable {
				t.Errorf("%d %q", a.status, a.body)
			}
		}
		undo()
		if asks {
			if a := b.head(path); a.status != http.StatusOK || a.offset() != int64(len(content)) {
				t.Errorf("%d %v", a.status, a.header)
			}
		} else {
			stop := s.run(s.app)
			s.until("it is handed over", func() bool { return slices.Contains(s.commands(videoID), "PublishVideo") })
			s.until("the bytes are gone", func() bool {
				_, err := os.Stat(s.app.folder.path(idOf(path)))
				return errors.Is(err, os.ErrNotExist)
			})
			stop()
		}
		s.handedIn(videoID, content)
	}
}

// An upload that began while Postgres went away is given up by itself, and does not count.
func TestBegunWithoutPostgres(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config, _ *times) { c.Quota = 1000 })
	b := s.person()
	u := newUpload(b.user, fileOf, secret, "", 1000)
	undo := s.leave()
	if err := errors.Join(s.app.folder.create(u, ""), s.app.announce(s.ctx, u)); !messagestore.IsTransient(err) {
		t.Fatal(err)
	}
	undo()
	if err := s.app.folder.dropBytes(u.id); err != nil { // as begin does
		t.Fatal(err)
	}
	if a := b.head(views.UploadsPath + "/" + u.id); a.status != http.StatusNotFound {
		t.Errorf("%d", a.status)
	}
	path, videoID := b.begin(1000)
	if err := s.app.sweep(s.ctx); err != nil {
		t.Fatal(err)
	}
	if m := command[publishingmsg.AbandonUpload](s, u.videoID()); m.Metadata.UserID != "" {
		t.Errorf("%+v", m.Metadata)
	}
	if _, err := s.app.folder.read(u.id); !errors.Is(err, errNoUpload) {
		t.Error(err)
	}
	if a := b.patch(path, 0, bytes.NewReader(random(1, 1000))); a.status != http.StatusNoContent {
		t.Errorf("%d", a.status)
	}
	s.handedIn(videoID, random(1, 1000))
}

// A program that dies while one gives up an upload is followed by one that does the rest.
func TestDiesWhileGivingUp(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.person()
	path, videoID := b.begin(1000)
	undo := s.leave()
	// The person hears that it is gone; what is owed is not theirs to wait for.
	l := &lock{folder: s.app.folder, id: idOf(path)}
	if ok, err := l.try(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	u, err := s.app.folder.read(idOf(path))
	if err != nil {
		t.Fatal(err)
	}
	if err := (&tusUpload{upload: u, app: s.app}).Terminate(s.ctx); err != nil {
		t.Error(err)
	}
	l.Unlock()
	undo()
	if a := b.head(path); a.status != http.StatusNotFound {
		t.Errorf("%d", a.status)
	}
	stop := s.run(s.newApp(s.app.times)) // the next program
	s.until("it is given up", func() bool { return slices.Contains(s.commands(videoID), "AbandonUpload") })
	s.until("its record is gone", func() bool { return len(s.files()) == 0 })
	stop()
}

// What nobody goes on with goes after a day, and is told of once.
func TestSweep(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.person()
	path, videoID := b.begin(2000)
	if a := b.patch(path, 0, bytes.NewReader(random(33, 1000))); a.status != http.StatusNoContent {
		t.Fatal(a.status)
	}
	done, doneID := b.begin(5)
	if a := b.patch(done, 0, bytes.NewReader([]byte("12345"))); a.status != http.StatusNoContent {
		t.Fatal(a.status)
	}
	stray := s.app.folder.path("whatever.part")
	if err := os.WriteFile(stray, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	at := func(later time.Duration) {
		t.Helper()
		s.app.now = func() time.Time { return time.Now().Add(later) }
		if err := s.app.sweep(s.ctx); err != nil {
			t.Fatal(err)
		}
	}
	at(strayed - time.Minute)
	if _, err := os.Stat(stray); err != nil {
		t.Error(err)
	}
	at(kept - time.Minute)
	if _, err := os.Stat(stray); err == nil {
		t.Error("what belongs to nothing is still there")
	}
	for _, p := range []string{path, done} {
		if a := b.head(p); a.status != http.StatusOK {
			t.Errorf("%d", a.status)
		}
	}
	// Somebody comes back just then.
	running := b.patchSlowly(path, 1000)
	if _, err := running.Write(random(33, 1000)); err != nil {
		t.Fatal(err)
	}
	running.Close()
	if a := s.answer(running); a.status != http.StatusNoContent {
		t.Fatal(a.status)
	}
	at(kept + time.Minute)
	if a := b.head(done); a.status != http.StatusNotFound {
		t.Errorf("%d", a.status)
	}
	at(2*kept + time.Minute)
	if a := b.head(path); a.status != http.StatusNotFound {
		t.Errorf("what was handed over is remembered for more than a day: %d", a.status)
	}
	s.handedIn(videoID, append(random(33, 1000), random(33, 1000)...))
	s.handedIn(doneID, []byte("12345"))
	if names := s.files(); len(names) != 0 {
		t.Errorf("%v", names)
	}

	path, videoID = b.begin(2000)
	running = b.patchSlowly(path, 0)
	s.sent(running, random(33, 1000), path, 1000)
	at(kept + time.Minute) // a clock that is wrong takes nothing away from somebody who is sending
	if list := s.commands(videoID); slices.Contains(list, "AbandonUpload") {
		t.Error(list)
	}
	running.CloseWithError(os.ErrClosed)
	s.answer(running)
	s.until("it is given up", func() bool { // as soon as the server has noticed that the line broke
		at(kept + time.Minute)
		return slices.Contains(s.commands(videoID), "AbandonUpload")
	})
	at(kept + time.Minute)
	if a := b.head(path); a.status != http.StatusNotFound {
		t.Errorf("%d", a.status)
	}
	if m := command[publishingmsg.AbandonUpload](s, videoID); m.Metadata.UserID != "" || len(s.commands(videoID)) != 3 {
		t.Errorf("%+v %v", m.Metadata, s.commands(videoID))
	}
	if names := s.files(); len(names) != 0 {
		t.Errorf("%v", names)
	}
}

// Handing over goes on when who asked for it has lost patience, and they find it done.
func TestPatience(t *testing.T) {
	t.Parallel()
	s := start(t, func(_ *Config, times *times) { times.patience = 0 })
	b, content := s.person(), random(34, 1000)
	path, videoID := b.begin(1000)
	tx, err := s.pool.Begin(s.ctx) // nobody can write
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(s.ctx, `LOCK TABLE message_store.messages IN EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	if a := b.patch(path, 0, bytes.NewReader(content)); a.status != http.StatusServiceUnavailable {
		t.Errorf("%d %q", a.status, a.body)
	}
	if err := tx.Rollback(context.WithoutCancel(s.ctx)); err != nil {
		t.Fatal(err)
	}
	s.until("it is handed over", func() bool { return b.head(path).status == http.StatusOK })
	s.handedIn(videoID, content)
}

// A bucket may be slow with a long file.
func TestLongestHandOver(t *testing.T) {
	t.Parallel()
	if short := longestHandOver(1); short != 15*time.Minute {
		t.Errorf("%v for a byte", short)
	}
	if long := longestHandOver(4 << 30); long < 4<<30/slowest*time.Second || long > 6*time.Hour {
		t.Errorf("%v for 4 GiB", long)
	}
}
