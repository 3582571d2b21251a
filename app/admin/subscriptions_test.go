package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"videotutorials/aggregators/usercredentials"
	"videotutorials/components/viewing/viewingmsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// steered returns what was written of what people did to a subscription.
func (s *site) steered(name string) (list []string) {
	s.t.Helper()
	for m, err := range s.store.Read(s.ctx, messagestore.ControlCategory.Stream(name), 0) {
		if err != nil {
			s.t.Fatal(err)
		}
		metadata, err := m.Metadata()
		if err != nil {
			s.t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%s %s by %s", m.Type, m.Data, metadata.UserID))
	}
	return list
}

// becomes waits until a page shows a text, by its stream.
func (b *browser) becomes(path, text string) answer {
	b.t.Helper()
	a := b.shown(path)
	if !strings.Contains(a.body, text) {
		b.await(b.frames(streamOf(b.t, a)), text)
		a = b.shown(path)
	}
	return a
}

func TestASubscriptionIsPausedSteppedAndResumed(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.admin()
	path := views.AdminSubscriptionPath(usercredentials.Name)
	first := s.registered("ada@example.org")
	if a := b.post(path + views.AdminPause); a.status != http.StatusSeeOther || a.to != path {
		t.Fatalf("pause: %d to %q", a.status, a.to)
	}
	if a := b.shown(path); !strings.Contains(a.body, "state-paused") || !strings.Contains(a.body, "SubscriptionPaused") || !strings.Contains(a.body, path+views.AdminStep) {
		t.Errorf("after the pause: %s", a.body)
	}
	if a := b.post(path + views.AdminStep); a.status != http.StatusConflict || !strings.Contains(a.body, "No message waits") {
		t.Errorf("a step without a message: %d", a.status)
	}
	stream := messagestore.Stream("identity-" + messagestore.NewID())
	for range 3 {
		s.foreign(string(stream), "Nothing", `{}`, `{}`)
	}
	b.becomes(path, "3 messages,")
	if a := b.post(path + views.AdminStep); a.status != http.StatusSeeOther {
		t.Errorf("step: %d", a.status)
	}
	b.becomes(path, "2 messages,")
	if a := b.post(path + views.AdminResume); a.status != http.StatusSeeOther {
		t.Errorf("resume: %d", a.status)
	}
	b.becomes(path, "state-live")
	want := []string{"SubscriptionPaused", "SubscriptionStepped", "SubscriptionResumed"}
	got := s.steered(usercredentials.Name)
	for i, kind := range want {
		if len(got) != len(want) || !strings.HasPrefix(got[i], kind) || !strings.HasSuffix(got[i], "by "+b.user) {
			t.Fatalf("written down: %q", got)
		}
	}
	if _, _, err := s.app.Users.ByID(s.ctx, first); err != nil {
		t.Error(err)
	}
	if a := b.post(views.AdminSubscriptionPath("nothing") + views.AdminPause); a.status != http.StatusNotFound {
		t.Errorf("one that is not there: %d", a.status)
	}
}

// A stream that is parked shows its message and its error; it is retried, and its message is
// left out only with a reason and only if it is still the one.
func TestAParkedStreamIsRetriedAndSkipped(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.admin()
	path := views.AdminSubscriptionPath(usercredentials.Name)
	stream := `identity-<script>"x"`
	id := s.foreign(stream, "Registered", `{"userId": 5}`, `{}`)
	a := b.becomes(path, "failed 8 times")
	if !strings.Contains(a.body, views.AdminMessagePath(id)) || strings.Contains(a.body, "<script>\"") || !strings.Contains(a.body, "cannot unmarshal") {
		t.Errorf("the parked stream: %s", a.body)
	}
	if a := b.shown(views.AdminSubscriptionsPath); !strings.Contains(a.body, "1 parked") {
		t.Error("the list does not say that a stream is parked")
	}
	if a := b.post(path+views.AdminRetry, "stream", "identity-other"); a.status != http.StatusConflict {
		t.Errorf("a retry of what is not parked: %d", a.status)
	}
	if a := b.post(path+views.AdminRetry, "stream", stream); a.status != http.StatusSeeOther {
		t.Errorf("retry: %d", a.status)
	}
	b.becomes(path, "failed 9 times")
	for code, typed := range map[int][]string{
		http.StatusUnprocessableEntity: {"stream", stream, "position", "0", "reason", "  "},
		http.StatusConflict:            {"stream", stream, "position", "1", "reason", `because "<b>`},
	} {
		a := b.post(path+views.AdminSkipIt, typed...)
		if a.status != code || !strings.Contains(a.body, `role="alert"`) || code == http.StatusConflict && !strings.Contains(a.body, `value="because &#34;&lt;b&gt;"`) {
			t.Errorf("skip %q: %d", typed, a.status)
		}
	}
	if a := b.post(path+views.AdminSkipIt, "stream", stream, "position", "0", "reason", strings.Repeat("x", longestReason+1)); a.status != http.StatusUnprocessableEntity {
		t.Errorf("a reason without end: %d", a.status)
	}
	if a := b.post(path+views.AdminSkipIt, "stream", stream, "position", "0", "reason", "no person"); a.status != http.StatusSeeOther {
		t.Errorf("skip: %d", a.status)
	}
	b.becomes(path, "A stream is set aside when")
	said := s.steered(usercredentials.Name)
	last := said[len(said)-1]
	if !strings.Contains(last, "ParkedMessageSkipped") || !strings.Contains(last, `"reason": "no person"`) || !strings.HasSuffix(last, b.user) {
		t.Errorf("written down: %q", said)
	}
}

func TestSamples(t *testing.T) {
	t.Parallel()
	var a App
	for second := range 700 {
		a.samples.take([]messagestore.Status{{Name: "one", Handled: int64(second) * 3, LagSeconds: float64(second)}}, second%5 == 0)
	}
	shown := a.show(messagestore.Status{Name: "one"})
	if shown.Rate != 3 || len(shown.Lags) != views.SparkSamples || shown.Lags[views.SparkSamples-1] != 695*time.Second {
		t.Errorf("%+v", shown)
	}
	if shown := a.show(messagestore.Status{Name: "unknown"}); shown.Rate != 0 || shown.Lags != nil {
		t.Errorf("%+v", shown)
	}
}

// The tail shows what passes its filter, counts the rest, and goes on where it stopped.
func TestTheTail(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.admin()
	ann, trace := messagestore.NewID(), messagestore.NewID()
	write := func(n int) {
		for i := range n {
			s.written(messagestore.Stream(fmt.Sprintf("viewing-%d", i)), viewingmsg.VideoViewed{VideoID: "Needle"},
				messagestore.WithMetadata(messagestore.Metadata{UserID: ann, TraceID: trace}))
			s.foreign(fmt.Sprintf(`<i>-%d`, i), "Other", `{"text": "hay"}`, `[]`)
		}
	}
	write(2)
	for query, passing := range map[string][]string{
		"category=viewing": {"VideoViewed"}, "type=VideoViewed": {"VideoViewed"}, "user=" + ann: {"VideoViewed"}, "trace=" + trace: {"VideoViewed"},
		"text=needle": {"VideoViewed"}, "text=" + url.QueryEscape("<i>"): {"Other"}, "": {"VideoViewed", "Other"},
	} {
		a := b.shown(views.AdminTailPath + "?" + query)
		if shown := strings.Count(a.body, ">VideoViewed<"); (shown > 0) != (passing[0] == "VideoViewed") {
			t.Errorf("%s: %d rows at first", query, shown)
		}
		stream := streamOf(t, a)
		frames := b.frames(stream)
		write(1)
		frame := s.await(frames, "<tr>")
		for _, kind := range []string{"VideoViewed", "Other"} {
			wanted := passing[0] == kind || len(passing) == 2
			shown := strings.Contains(frame, ">"+kind+"<")
			if wanted && !shown && len(passing) == 2 { // the two were written one after the other
				shown = strings.Contains(s.await(frames, ">"+kind+"<"), ">"+kind+"<")
			}
			if shown != wanted {
				t.Errorf("%s: %s is shown: %t, wanted %t\n%s", query, kind, shown, wanted, frame)
			}
		}
		if strings.Contains(frame, "<i>") {
			t.Errorf("a name is markup: %s", frame)
		}
	}

	// What is masked cannot be guessed by its text.
	s.registered("needle@example.org")
	if a := b.shown(views.AdminTailPath + "?category=identity&text=needle"); strings.Contains(a.body, ">Registered<") {
		t.Error("a masked address is found by its text")
	}

	// Paused it stands still; from there on nothing is missing.
	head, err := s.store.Head(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	write(3)
	paused := b.shown(fmt.Sprintf("%s?type=Other&paused=%d", views.AdminTailPath, head))
	if connects.MatchString(paused.body) || !strings.Contains(paused.body, fmt.Sprintf("from=%d", head)) {
		t.Error("a paused page follows, or leads nowhere")
	}
	frames := b.frames(streamOf(t, b.shown(fmt.Sprintf("%s?type=Other&from=%d", views.AdminTailPath, head))))
	if frame := s.await(frames, "<tr>"); strings.Count(frame, ">Other<") != 3 {
		t.Errorf("after the pause: %s", frame)
	}

	// What is too much for one frame is counted.
	frames = b.frames(streamOf(t, b.shown(fmt.Sprintf("%s?type=Load&from=%d", views.AdminTailPath, head))))
	if _, err := s.db.MessageStore.Exec(s.ctx, `
		SELECT message_store.write_message(gen_random_uuid()::varchar, 'load-1', 'Load', '{}') FROM generate_series(1, $1::int)`, tailRows+25); err != nil {
		t.Fatal(err)
	}
	frame := s.await(frames, "came too fast")
	if !strings.Contains(frame, ">25 more<") || strings.Count(frame, ">Load<") != tailRows {
		t.Errorf("%d rows, %t", strings.Count(frame, ">Load<"), strings.Contains(frame, ">25 more<"))
	}
	for _, bad := range []string{"paused=x", "from=-7", "from=99999999999999999999"} {
		if a := b.get(views.AdminTailPath + "?" + bad); a.status != http.StatusNotFound {
			t.Errorf("%s: %d", bad, a.status)
		}
	}
}

// A message that takes its position before the page is opened, and is committed after that,
// comes too.
func TestTheTailBeginsWithoutAHole(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.admin()
	tx, err := s.db.MessageStore.Begin(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(s.ctx)
	if _, err := tx.Exec(s.ctx, `SELECT message_store.write_message(gen_random_uuid()::varchar, 'slow-1', 'Slow', '{}')`); err != nil {
		t.Fatal(err)
	}
	s.written("viewing-1", viewingmsg.VideoViewed{})
	a := b.shown(views.AdminTailPath)
	frames := b.frames(streamOf(t, a))
	if err := tx.Commit(s.ctx); err != nil {
		t.Fatal(err)
	}
	frame := s.await(frames, ">Slow<")
	if strings.Contains(a.body, ">VideoViewed<") == strings.Contains(frame, ">VideoViewed<") {
		t.Errorf("the one after it is on the page (%t) or comes after it", strings.Contains(a.body, ">VideoViewed<"))
	}
}
