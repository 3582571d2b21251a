package creatorsportal

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"videotutorials/aggregators/creatorsvideos"
	"videotutorials/app/web"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// Who may do what is asked for each route: nobody who is not signed in, and nobody else
// than the owner.
func TestEveryRouteIsTheOwners(t *testing.T) {
	t.Parallel()
	s := start(t)
	stranger, anna, berta := s.browser(), s.somebody(), s.somebody()
	id := s.has(anna.user, "First lesson")
	asked := anna.post(views.NameVideoPath(id), "name", "Second name")
	anna.outcome(asked)
	captions := messagestore.NewID()
	operation := views.VideoOperationPath(traceOf(asked.to))
	before := len(s.written(id, "NameVideo"))

	for _, path := range []string{views.CreatorsPortalPath, views.CreatorsVideoPath(id), operation} {
		if a := stranger.get(path); a.status != http.StatusSeeOther || !strings.HasPrefix(a.to, "/auth/log-in?next=") {
			t.Errorf("%s of a stranger: %d %s", path, a.status, a.to)
		}
		if a := stranger.get(path + "/live"); a.status != http.StatusUnauthorized {
			t.Errorf("the stream of %s of a stranger: %d", path, a.status)
		}
		if a := anna.get(path); a.status != http.StatusOK || strings.Contains(a.body, "Nothing is here") {
			t.Errorf("%s of the owner: %d", path, a.status)
		}
		if path == views.CreatorsPortalPath {
			continue
		}
		for _, p := range []string{path, path + "/live"} {
			if a := berta.get(p); a.status != http.StatusNotFound {
				t.Errorf("%s of somebody else: %d", p, a.status)
			}
		}
	}
	posts := []string{
		views.NameVideoPath(id), views.DescribeVideoPath(id), views.ChangeVisibilityPath(id), views.DeleteVideoPath(id),
		views.CancelPublishingPath(id), views.RetryPublishingPath(id), views.AddCaptionsPath(id), views.SetChaptersPath(id),
		views.RemoveCaptionsPath(id, captions), views.RemoveChaptersPath(id),
	}
	for _, path := range posts {
		post := func(b *browser, path string) answer {
			if path == views.AddCaptionsPath(id) || path == views.SetChaptersPath(id) || strings.HasSuffix(path, "/captions") || strings.HasSuffix(path, "/chapters") {
				return b.send(path, "x.vtt", good, "language", "en")
			}
			return b.post(path, "name", "Taken over", "description", "Taken over", "visibility", "private")
		}
		if a := post(stranger, path); a.status != http.StatusSeeOther || a.to != "/auth/log-in" {
			t.Errorf("%s of a stranger: %d %s", path, a.status, a.to)
		}
		if a := stranger.types(path, "name", "x"); a.status != http.StatusUnauthorized {
			t.Errorf("%s of a stranger's script: %d", path, a.status)
		}
		if a := post(berta, path); a.status != http.StatusNotFound {
			t.Errorf("%s of somebody else: %d", path, a.status)
		}
		for _, none := range []string{messagestore.NewID(), "x", strings.ToUpper(id)} {
			if a := post(anna, strings.Replace(path, id, none, 1)); a.status != http.StatusNotFound {
				t.Errorf("%s of no video: %d", path, a.status)
			}
		}
	}
	for _, path := range []string{views.CreatorsVideoPath("x"), views.CreatorsVideoPath(messagestore.NewID()), views.VideoOperationPath("x"), views.VideoOperationPath(messagestore.NewID()), views.RemoveCaptionsPath(id, "x")} {
		ask := anna.get
		if strings.HasSuffix(path, "/remove") {
			ask = func(path string) answer { return anna.post(path) }
		}
		if a := ask(path); a.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	s.caughtUp()
	if n := len(s.written(id, "NameVideo")); n != before || len(s.written(id, "DeleteVideo")) != 0 || s.row(id).Title != "Second name" {
		t.Errorf("%d names, %+v", n, s.row(id))
	}
	// Another browser of the same person sees what came of it.
	if a := s.signedIn(anna.user).get(asked.to); a.status != http.StatusOK {
		t.Errorf("another browser: %d", a.status)
	}
}

// What is asked for leads to a page that says by itself what comes of it, also without
// scripts.
func TestNames(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna := s.somebody()
	id := s.has(anna.user, "First lesson")
	undo := s.behind("video_operations")
	asked := anna.post(views.NameVideoPath(id), "name", "  Second name ")
	pending := anna.get(asked.to)
	if pending.status != http.StatusOK || state(pending.body) != "pending" || !strings.Contains(pending.body, `http-equiv="refresh"`) || strings.Contains(pending.body, "data-late") {
		t.Errorf("%d\n%s", pending.status, pending.body)
	}
	frames := anna.frames(streamOf(t, pending))
	undo()
	if frame := s.await(frames, "Second name"); state(frame) != "done" {
		t.Error(frame)
	}
	if a := anna.outcome(asked); state(a.body) != "done" || strings.Contains(a.body, `http-equiv="refresh"`) || strings.Contains(a.body, "hx-sse:connect") {
		t.Error(a.body)
	}
	command, err := messagestore.Decode[publishingmsg.NameVideo](s.written(id, "NameVideo")[1])
	if err != nil || command.Metadata.UserID != anna.user || command.Metadata.TraceID != traceOf(asked.to) || s.row(id).Title != "Second name" {
		t.Errorf("%+v, %v", command, err)
	}

	for _, refused := range []struct{ path, field, value, shown, says string }{
		{views.NameVideoPath(id), "name", "   ", "", "A video needs a name."},
		{views.NameVideoPath(id), "name", "Second name", "Second name", "This is its name already."},
		{views.NameVideoPath(id), "name", strings.Repeat("x", 101), strings.Repeat("x", 101), "This name is too long."},
		{views.DescribeVideoPath(id), "description", strings.Repeat("y", 5001), strings.Repeat("y", 5001), "This description is too long."},
		{views.ChangeVisibilityPath(id), "visibility", "secret", "", "This is none of the choices."},
		{views.CancelPublishingPath(id), "", "", "", "There is nothing to stop"},
		{views.RetryPublishingPath(id), "", "", "", "There is nothing to try again"},
		{views.RemoveChaptersPath(id), "", "", "", "There are no chapters."},
		{views.RemoveCaptionsPath(id, messagestore.NewID()), "", "", "", ""},
	} {
		a := anna.outcome(anna.post(refused.path, refused.field, refused.value))
		if state(a.body) != "failed" || !strings.Contains(a.body, refused.says) || !strings.Contains(a.body, refused.shown) {
			t.Errorf("%+v\n%s", refused, a.body)
		}
		if refused.shown != "" && !strings.Contains(a.body, `action="`+refused.path+`"`) {
			t.Errorf("%s is not given back in its form\n%s", refused.field, a.body)
		}
	}
	if a := anna.outcome(anna.post(views.DescribeVideoPath(id), "description", "One.\r\nTwo.")); state(a.body) != "done" || s.row(id).Description != "One.\nTwo." {
		t.Errorf("%q\n%s", s.row(id).Description, a.body)
	}
	if a := anna.outcome(anna.post(views.ChangeVisibilityPath(id), "visibility", "unlisted")); state(a.body) != "done" || s.row(id).Visibility != publishingmsg.Unlisted {
		t.Error(a.body)
	}
}

// Two names one right after the other are both taken, in their order, however often each
// was sent.
func TestTwoNamesAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna := s.somebody()
	id := s.has(anna.user, "First lesson")
	undo := s.behind("creators_videos, video_operations")
	var pages []string
	for _, name := range []string{"One", "One", "Two", "Two", "One"} {
		a := anna.post(views.NameVideoPath(id), "name", name)
		if a.status != http.StatusSeeOther {
			t.Fatalf("%d\n%s", a.status, a.body)
		}
		pages = append(pages, a.to)
	}
	undo()
	if pages[0] != pages[1] || pages[2] != pages[3] || pages[0] == pages[2] || pages[4] == pages[0] {
		t.Errorf("%q", pages)
	}
	for i, want := range map[int]string{0: "“One”", 2: "“Two”", 4: "“One”"} {
		if a := anna.outcome(answer{status: http.StatusSeeOther, to: pages[i]}); state(a.body) != "done" || !strings.Contains(a.body, want) {
			t.Errorf("%d: %s", i, a.body)
		}
	}
	if list := s.written(id, "NameVideo"); len(list) != 4 || s.row(id).Title != "One" {
		t.Errorf("%d names, the title is %q", len(list), s.row(id).Title)
	}
	// After a while it is a wish of its own.
	s.app.now = func() time.Time { return time.Now().Add(doubleClick) }
	if a := anna.post(views.NameVideoPath(id), "name", "One"); a.to == pages[4] {
		t.Error("the same name of long ago is taken for this one")
	}
}

// Clicks that come at the same moment are one wish.
func TestDoubleClick(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna := s.somebody()
	id := s.has(anna.user, "First lesson")
	var pages sync.Map
	var clicks sync.WaitGroup
	for range 8 {
		clicks.Go(func() {
			a := anna.post(views.DeleteVideoPath(id))
			if a.status != http.StatusSeeOther {
				t.Errorf("%d\n%s", a.status, a.body)
			}
			pages.Store(a.to, true)
		})
	}
	clicks.Wait()
	if n := len(s.written(id, "DeleteVideo")); n != 1 {
		t.Errorf("%d commands", n)
	}
	pages.Range(func(page, _ any) bool {
		if a := anna.outcome(answer{status: http.StatusSeeOther, to: page.(string)}); state(a.body) != "done" {
			t.Error(a.body)
		}
		return true
	})
	first := ""
	pages.Range(func(page, _ any) bool { first = page.(string); return true })
	if a := anna.post(views.DeleteVideoPath(id)); a.to != first {
		t.Errorf("a click when it is gone leads to %d %s, the first one to %s", a.status, a.to, first)
	}
	if a := anna.get(views.CreatorsVideoPath(id)); a.status != http.StatusNotFound {
		t.Errorf("the page of a deleted video: %d", a.status)
	}
	if a := anna.post(views.NameVideoPath(id), "name", "x"); a.status != http.StatusNotFound {
		t.Errorf("the name of a deleted video: %d", a.status)
	}
}

// While nobody hears commands the page waits, says so after five seconds, and goes on.
func TestLateAndThenDone(t *testing.T) {
	t.Parallel()
	s := start(t, true)
	anna, berta := s.somebody(), s.somebody()
	id := messagestore.NewID()
	s.happened(id, publishingmsg.UploadBegun{VideoID: id, OwnerID: anna.user})
	s.happened(id, publishingmsg.VideoNamed{VideoID: id, Name: "First lesson"})
	s.caughtUp()
	first := anna.post(views.NameVideoPath(id), "name", "Second name")
	anna.post(views.DescribeVideoPath(id), "description", "Words") // waits behind it
	early := anna.get(first.to)
	s.app.now = func() time.Time { return time.Now().Add(6 * time.Second) }
	late := anna.get(first.to)
	if state(early.body) != "pending" || strings.Contains(early.body, "data-late") || !strings.Contains(early.body, `content="1"`) {
		t.Error(early.body)
	}
	if state(late.body) != "pending" || !strings.Contains(late.body, "data-late") || !strings.Contains(late.body, `content="10"`) {
		t.Error(late.body)
	}
	if !strings.Contains(early.body, "First lesson") {
		t.Errorf("which video it is about is not said\n%s", early.body)
	}
	if a := berta.get(first.to); a.status != http.StatusNotFound {
		t.Errorf("somebody else: %d", a.status)
	}
	for _, lie := range []string{"", "?video=x", "?video=" + messagestore.NewID()} {
		if a := anna.get(views.VideoOperationPath(traceOf(first.to)) + lie); a.status != http.StatusOK || state(a.body) != "pending" {
			t.Errorf("%q: %d\n%s", lie, a.status, a.body)
		}
	}
	frames := anna.frames(streamOf(t, late))
	s.happened(id, publishingmsg.VideoNamed{VideoID: id, Name: "Second name"}, messagestore.WithMetadata(messagestore.Metadata{TraceID: traceOf(first.to), UserID: anna.user}))
	if frame := s.await(frames, "Second name"); state(frame) != "done" {
		t.Error(frame)
	}
}

// A retry is followed from its begin to the video.
func TestRetryIsFollowed(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna := s.somebody()
	id := s.begins(anna.user, "First lesson")
	s.caughtUp()
	s.happened(id, publishingmsg.VideoPublishingStarted{VideoID: id, OwnerID: anna.user, SourceURI: publishingmsg.SourceKey(id), Attempt: 1})
	s.happened(id, publishingmsg.VideoPublishingFailed{VideoID: id, OwnerID: anna.user, Attempt: 1, Reason: publishingmsg.Damaged})
	s.caughtUp()
	if page := anna.get(views.CreatorsVideoPath(id)).body; !strings.Contains(page, "The file is damaged or incomplete.") || !strings.Contains(page, views.RetryPublishingPath(id)) {
		t.Error(page)
	}
	asked := anna.post(views.RetryPublishingPath(id))
	begun := anna.outcome(asked)
	if state(begun.body) != "done" || !strings.Contains(begun.body, `http-equiv="refresh"`) {
		t.Fatal(begun.body)
	}
	frames := anna.frames(streamOf(t, begun))
	trace := messagestore.WithMetadata(messagestore.Metadata{TraceID: traceOf(asked.to), UserID: anna.user})
	s.happened(id, publishingmsg.VideoPlayable{VideoID: id, OwnerID: anna.user, Attempt: 2, HLSURI: "/media/x/2/master.m3u8"}, trace)
	s.await(frames, "It can be watched already.")
	s.happened(id, publishingmsg.VideoPublished{VideoID: id, OwnerID: anna.user, Attempt: 2, TranscodedURI: "/media/x/2/video.mp4"}, trace)
	s.await(frames, "Your video is published.")
	if a := anna.outcome(asked); strings.Contains(a.body, `http-equiv="refresh"`) {
		t.Error("a page of what is over is loaded again")
	}
	// Stopping works on what is going on.
	other := s.begins(anna.user, "Other lesson")
	s.caughtUp()
	s.happened(other, publishingmsg.VideoPublishingStarted{VideoID: other, OwnerID: anna.user, SourceURI: publishingmsg.SourceKey(other), Attempt: 1})
	s.caughtUp()
	if a := anna.outcome(anna.post(views.CancelPublishingPath(other))); state(a.body) != "done" || s.row(other).State != "canceled" {
		t.Errorf("%s\n%s", s.row(other).State, a.body)
	}
}

// What stops the making of a video is another wish, and the page of the first one says so
// too, also where the view data of the videos is behind.
func TestWhatIsStoppedIsNotPending(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna := s.somebody()
	for name, stop := range map[string]struct {
		path func(videoID string) string
		says string
	}{
		"canceled": {views.CancelPublishingPath, "The work is stopped."},
		"deleted":  {views.DeleteVideoPath, "The video is deleted."},
	} {
		id := s.begins(anna.user, "Lesson that is "+name)
		s.caughtUp()
		s.happened(id, publishingmsg.VideoPublishingStarted{VideoID: id, OwnerID: anna.user, SourceURI: publishingmsg.SourceKey(id), Attempt: 1})
		s.happened(id, publishingmsg.VideoPublishingCanceled{VideoID: id, Attempt: 1})
		s.caughtUp()
		asked := anna.post(views.RetryPublishingPath(id))
		page := anna.outcome(asked)
		if !strings.Contains(page.body, "It is on its way.") { // not that the attempt before was stopped
			t.Fatalf("%s: %s", name, page.body)
		}
		frames := anna.frames(streamOf(t, page))
		anna.outcome(anna.post(stop.path(id)))
		s.await(frames, stop.says)
		if a := anna.get(asked.to); !strings.Contains(a.body, stop.says) || strings.Contains(a.body, "hx-sse:connect") {
			t.Errorf("%s: %s", name, a.body)
		}
		// Who was away meanwhile is told too.
		s.await(anna.frames(streamOf(t, page)), stop.says)
	}
}

// What is stopped while the page is being read is on that page: otherwise its version would be
// the newest, and nothing would be pushed.
func TestWhatIsStoppedMeanwhileIsNotPending(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna := s.somebody()
	id := s.begins(anna.user, "First lesson")
	s.caughtUp()
	s.happened(id, publishingmsg.VideoPublishingStarted{VideoID: id, OwnerID: anna.user, SourceURI: publishingmsg.SourceKey(id), Attempt: 1})
	s.happened(id, publishingmsg.VideoPublishingCanceled{VideoID: id, Attempt: 1})
	s.caughtUp()
	asked := anna.post(views.RetryPublishingPath(id))
	anna.outcome(asked)
	undo := s.locked("creators_videos", "ACCESS EXCLUSIVE")
	read := make(chan answer, 1)
	go func() { read <- anna.get(asked.to) }()
	s.isWaitedFor("creators_videos")
	s.happened(id, publishingmsg.VideoPublishingCanceled{VideoID: id, Attempt: 2})
	undo()
	if a := <-read; !strings.Contains(a.body, "The work is stopped.") || strings.Contains(a.body, "hx-sse:connect") {
		t.Errorf("%d\n%s", a.status, a.body)
	}
}

// Nobody has more videos in the making by having stopped ones tried again.
func TestTooManyRetries(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna, berta := s.somebody(), s.somebody()
	stopped := func(b *browser) string {
		id := messagestore.NewID()
		s.happened(id, publishingmsg.UploadBegun{VideoID: id, OwnerID: b.user, Bytes: 1})
		s.happened(id, publishingmsg.VideoPublishingStarted{VideoID: id, OwnerID: b.user, SourceURI: publishingmsg.SourceKey(id), Attempt: 1})
		s.happened(id, publishingmsg.VideoPublishingCanceled{VideoID: id, Attempt: 1})
		return id
	}
	var ids []string
	for range web.MostInTheMaking + 2 {
		ids = append(ids, stopped(anna))
	}
	bertas := stopped(berta)
	s.caughtUp()
	// None of them shows in the view data before all are asked for.
	undo := s.behind("creators_videos")
	var asked sync.WaitGroup
	var mu sync.Mutex
	answers := map[int][]answer{}
	for _, id := range ids {
		asked.Go(func() {
			a := anna.post(views.RetryPublishingPath(id))
			mu.Lock()
			defer mu.Unlock()
			answers[a.status] = append(answers[a.status], a)
		})
	}
	asked.Wait()
	undo()
	refused := answers[http.StatusTooManyRequests]
	if len(answers[http.StatusSeeOther]) != web.MostInTheMaking || len(refused) != 2 || !strings.Contains(refused[0].body, "Many of your videos are being made already.") {
		t.Fatalf("%d taken, %d refused", len(answers[http.StatusSeeOther]), len(refused))
	}
	s.caughtUp()
	s.caughtUp()
	for _, id := range ids {
		if s.row(id).State == creatorsvideos.Canceled {
			if a := anna.post(views.RetryPublishingPath(id)); a.status != http.StatusTooManyRequests {
				t.Errorf("one too many: %d", a.status)
			}
		}
	}
	if a := berta.post(views.RetryPublishingPath(bertas)); a.status != http.StatusSeeOther {
		t.Errorf("somebody else is held up: %d", a.status)
	}
}

// What is typed while a file is on its way is saved, and the script is told what comes of
// it, also before the view data knows the video.
func TestTyping(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna, berta := s.somebody(), s.somebody()
	undo := s.behind("creators_videos")
	id := s.begins(anna.user, "film")
	for _, typed := range []struct {
		path, field, value string
		status             int
		says               string
	}{
		{views.NameVideoPath(id), "name", "A first lesson", http.StatusAccepted, "Saved"},
		{views.NameVideoPath(id), "name", " A first lesson", http.StatusAccepted, "Saved"}, // the same, to the component
		{views.DescribeVideoPath(id), "description", "What it is about", http.StatusAccepted, "Saved"},
		{views.DescribeVideoPath(id), "description", "", http.StatusAccepted, "Saved"},
		{views.NameVideoPath(id), "name", " ", http.StatusUnprocessableEntity, "A video needs a name."},
		{views.NameVideoPath(id), "name", strings.Repeat("x", 101), http.StatusUnprocessableEntity, "This name is too long."},
	} {
		a := anna.types(typed.path, typed.field, typed.value)
		if a.status != typed.status || !strings.Contains(a.body, typed.says) || !strings.Contains(a.body, `id="`+typed.field+"-note-"+id+`"`) {
			t.Errorf("%+v: %d\n%s", typed, a.status, a.body)
		}
	}
	if a := berta.types(views.NameVideoPath(id), "name", "Taken over"); a.status != http.StatusNotFound {
		t.Errorf("somebody else: %d", a.status)
	}
	if a := anna.get(views.CreatorsVideoPath(id)); a.status != http.StatusOK || !strings.Contains(a.body, `data-state="uploading"`) || !strings.Contains(a.body, "film.mov") {
		t.Errorf("the page before the view data: %d\n%s", a.status, a.body)
	}
	frames := anna.frames(streamOf(t, anna.get(views.CreatorsVideoPath(id))))
	undo()
	s.await(frames, `data-state="uploading"`)
	s.caughtUp()
	if s.row(id).Title != "A first lesson" {
		t.Errorf("%+v", s.row(id))
	}

	// An upload that was given up is nobody's any more.
	if _, err := s.store.Write(s.ctx, publishingmsg.Category.CommandStream(id), publishingmsg.AbandonUpload{VideoID: id}); err != nil {
		t.Fatal(err)
	}
	s.caughtUp()
	s.caughtUp()
	if a := anna.types(views.NameVideoPath(id), "name", "x"); a.status != http.StatusNotFound {
		t.Errorf("a name after the end: %d", a.status)
	}
}

// Nothing comes of it in time: that is said, and it is not lost.
func TestTypingWhileNobodyHears(t *testing.T) {
	t.Parallel()
	s := start(t, true)
	anna := s.somebody()
	id := messagestore.NewID()
	s.happened(id, publishingmsg.UploadBegun{VideoID: id, OwnerID: anna.user})
	s.caughtUp()
	if a := anna.types(views.NameVideoPath(id), "name", "First lesson"); a.status != http.StatusAccepted || !strings.Contains(a.body, "Written down.") {
		t.Errorf("%d\n%s", a.status, a.body)
	}
	if n := len(s.written(id, "NameVideo")); n != 1 {
		t.Errorf("%d commands", n)
	}
}
