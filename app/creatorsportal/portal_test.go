package creatorsportal

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"videotutorials/aggregators/creatorsvideos"
	"videotutorials/app/live"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/components/viewing/viewingmsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// The page of a person's own videos follows what happens to them, and to nobody else's.
func TestPortal(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna, berta := s.somebody(), s.somebody()
	first, others := s.has(anna.user, "First lesson"), s.has(berta.user, "Of somebody else")
	page := anna.get("/creators-portal")
	if page.status != http.StatusOK || page.header.Get("Cache-Control") != "no-store" || !strings.Contains(page.body, "First lesson") ||
		!strings.Contains(page.body, "no ffmpeg") || strings.Contains(page.body, others) || strings.Contains(page.body, "Of somebody else") {
		t.Fatalf("%d\n%s", page.status, page.body)
	}
	frames, bertas := anna.frames(streamOf(t, page)), berta.frames(streamOf(t, berta.get("/creators-portal")))

	second := s.begins(anna.user, "Second lesson")
	// The whole list, and what room it leaves.
	if frame := s.await(frames, second); !strings.Contains(frame, first) || strings.Contains(frame, others) || !strings.Contains(frame, `data-left-bytes="3221223472"`) {
		t.Error(frame)
	}
	// The counts of the second video are not in this stream: the browser fetches another one.
	for range frames {
	}
	s.caughtUp()
	s.caughtUp()
	if page = anna.get("/creators-portal"); !strings.Contains(page.body, "Second lesson") {
		t.Error(page.body)
	}
	frames = anna.frames(streamOf(t, page))
	for _, id := range []string{first, second, others} {
		if _, err := s.store.Write(s.ctx, viewingmsg.Category.Stream(id), viewingmsg.VideoViewed{VideoID: id}); err != nil {
			t.Fatal(err)
		}
	}
	if frame := s.await(frames, `data-video="`+second+`"><span class="count" data-view-count="1"`); strings.Contains(frame, others) {
		t.Error(frame)
	}
	s.caughtUp()
	s.happened(second, publishingmsg.VideoPublishingStarted{VideoID: second, OwnerID: anna.user, Attempt: 1})
	s.await(frames, `data-state="publishing"`)
	s.progress(anna.user, second, 1, 47)
	if frame := s.await(frames, `data-progress="47"`); strings.Contains(frame, first) {
		t.Errorf("more than one row came for its progress:\n%s", frame)
	}
	s.happened(second, publishingmsg.VideoDeleted{VideoID: second})
	for {
		if frame := s.await(frames, first); !strings.Contains(frame, second) {
			if !strings.Contains(frame, `data-left-bytes="3221224472"`) {
				t.Error(frame)
			}
			break
		}
	}
	// Whatever happened to Anna's videos, Berta's page was told of its own only.
	s.happened(others, publishingmsg.VideoNamed{VideoID: others, Name: "The end"})
	for frame := range bertas {
		if strings.Contains(frame, first) || strings.Contains(frame, second) || strings.Contains(frame, "Second lesson") {
			t.Errorf("somebody else was told:\n%s", frame)
		}
		if strings.Contains(frame, "The end") {
			break
		}
	}
}

func (s *site) progress(ownerID, videoID string, attempt, percent int) {
	s.t.Helper()
	p := publishingmsg.Progress{VideoID: videoID, OwnerID: ownerID, Attempt: attempt, Step: "first", Percent: percent, Remaining: time.Minute}
	if err := s.board.Post(s.ctx, publishingmsg.ProgressTopic(ownerID, videoID), p, time.Minute); err != nil {
		s.t.Fatal(err)
	}
}

// Once the session is over, a page that is open says so and shows nothing new.
func TestSessionOver(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna := s.somebody()
	id := s.has(anna.user, "First lesson")
	list, video := anna.frames(streamOf(t, anna.get("/creators-portal"))), anna.frames(streamOf(t, anna.get(views.CreatorsVideoPath(id))))
	asked := anna.post(views.NameVideoPath(id), "name", "Second name")
	operation := anna.frames(strings.Replace(asked.to, "?", "/live?", 1))
	s.await(operation, "Second name")
	anna.logsOut()
	s.happened(id, publishingmsg.VideoNamed{VideoID: id, Name: "Third name"}, messagestore.WithMetadata(messagestore.Metadata{TraceID: traceOf(asked.to)}))
	for _, frames := range []<-chan string{list, video, operation} {
		for frame := range frames {
			if strings.Contains(frame, "Third name") {
				t.Errorf("told after the end:\n%s", frame)
			}
			if strings.Contains(frame, "data-session-over") {
				break
			}
		}
	}
}

// traceOf returns the trace in the address of an operation's page.
func traceOf(path string) string {
	path, _, _ = strings.Cut(strings.TrimPrefix(path, views.VideoOperationPath("")), "?")
	return path
}

// What was typed into the form that takes a video comes back with what is wrong.
func TestProblem(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna := s.somebody()
	s.has(anna.user, "First lesson")
	a := anna.post("/test/problem")
	for _, want := range []string{"Typed title", "Typed words", "This file is larger than is taken here.", "First lesson"} {
		if a.status != http.StatusRequestEntityTooLarge || !strings.Contains(a.body, want) {
			t.Errorf("%d, without %q\n%s", a.status, want, a.body)
		}
	}
}

// What the board says counts only for the attempt that is going on.
func TestProgress(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna := s.somebody()
	id := s.begins(anna.user, "First lesson")
	s.caughtUp()
	s.happened(id, publishingmsg.VideoPublishingStarted{VideoID: id, OwnerID: anna.user, Attempt: 2})
	s.caughtUp()
	frames := anna.frames(streamOf(t, anna.get(views.CreatorsVideoPath(id))))
	s.await(frames, `data-state="publishing"`)
	s.progress(anna.user, id, 1, 91)
	s.progress(anna.user, id, 2, 23)
	if frame := s.await(frames, `data-progress="23"`); strings.Contains(frame, `data-progress="91"`) {
		t.Error(frame)
	}
	if page := anna.get(views.CreatorsVideoPath(id)).body; !strings.Contains(page, `data-progress="23"`) || strings.Contains(page, `data-progress="91"`) {
		t.Error(page)
	}
	s.happened(id, publishingmsg.VideoPlayable{VideoID: id, OwnerID: anna.user, Attempt: 2, HLSURI: "/media/x/2/master.m3u8"})
	if frame := s.await(frames, `data-state="playable"`); !strings.Contains(frame, `data-progress="23"`) {
		t.Error(frame)
	}
	s.happened(id, publishingmsg.VideoPublished{VideoID: id, OwnerID: anna.user, Attempt: 2, TranscodedURI: "/media/x/2/video.mp4"})
	if frame := s.await(frames, `data-state="published"`); strings.Contains(frame, `data-progress="23"`) {
		t.Error(frame)
	}
}

// A page gets the rows that are different from what it shows, and the list where that is
// not known.
func TestShownList(t *testing.T) {
	t.Parallel()
	video := func(id string, state creatorsvideos.State, percent int) views.CreatorsVideo {
		return views.CreatorsVideo{Video: creatorsvideos.Video{ID: id, State: state}, Progress: views.Progress{Step: "first", Percent: percent}}
	}
	longer := func(list []views.CreatorsVideo) []views.CreatorsVideo {
		list[0].Bytes++
		return list
	}
	list := func(percent int) []views.CreatorsVideo {
		return []views.CreatorsVideo{video("a", creatorsvideos.Published, 0), video("b", creatorsvideos.Publishing, percent)}
	}
	v1, v2 := live.Versions{"creatorsvideos": 1}, live.Versions{"creatorsvideos": 2}
	s := shownList{limits: (&App{}).limits}
	for i, step := range []struct {
		list    []views.CreatorsVideo
		at, now live.Versions
		want    string // ids of what is pushed
	}{
		{list(1), v1, v1, "creators-video-b"}, // a page of just now
		{list(1), v1, v1, ""},
		{list(2), v1, v1, "creators-video-b"},
		{append(list(2), video("c", creatorsvideos.Uploading, 0)), v1, v2, "creators-videos upload-limits"},
		{list(2), v2, v2, "creators-videos upload-limits"},
		{longer(list(2)), v2, v2, "creators-video-a upload-limits"},
		{list(3), v1, v2, "creators-videos upload-limits"}, // what was to be sent last got lost
		{list(3), live.Versions{}, v2, "creators-videos upload-limits"},
	} {
		var html strings.Builder
		if component := s.next(step.list, step.at, step.now); component != nil {
			if err := component.Render(t.Context(), &html); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for part := range strings.SplitSeq(html.String(), `<hx-partial id="`) {
			if id, _, ok := strings.Cut(part, `"`); ok {
				got = append(got, id)
			}
		}
		if strings.Join(got, " ") != step.want {
			t.Errorf("step %d: pushed %q, want %q", i, got, step.want)
		}
	}
}
