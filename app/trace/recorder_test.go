package trace

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"videotutorials/app/live"
	"videotutorials/messagestore"
)

const (
	ada = "7a3ae395-c458-529a-905c-27ab970b38c8"
	bob = "2fa390b7-cd5b-59ab-b5be-94ec1e6f4635"
)

func message(trace string, at time.Time, about string) messagestore.Raw {
	return messagestore.Raw{ID: "message-" + trace, Stream: messagestore.Category("thing").Stream(about), Type: "Done", Time: at,
		RawMetadata: []byte(`{"traceId": "` + trace + `"}`), Data: []byte(`{}`)}
}

func projected(version int64, topics []string, messages ...messagestore.Raw) messagestore.Observation {
	now := time.Now()
	return messagestore.Observation{Subscription: "rows", Messages: messages, Began: now, Ended: now, Projected: true, Topics: topics, Version: version}
}

func frame(topic string, version int64, elements ...string) live.Delivery {
	return live.Delivery{At: time.Now(), Topics: live.Versions{topic: version}, Sent: true, Elements: elements}
}

// of is what a recorder has of a trace, a word or two for each moment.
func of(r *Recorder, trace string) (list []string) {
	for _, m := range r.Of(trace) {
		list = append(list, fmt.Sprintf("%s %s v%d p%d", m.Kind, m.Name, m.Version, m.Pages))
	}
	return list
}

func is(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %q, not %q", what, got, want)
	}
}

func TestATraceFromTheRequestToThePages(t *testing.T) {
	t.Parallel()
	r := NewRecorder()
	var changed []string
	r.Changed(func(trace string) { changed = append(changed, trace) })
	began := time.Now()
	wrote := messagestore.Written{ID: "first", Metadata: messagestore.Metadata{TraceID: "a"}}
	r.Request("POST /register", 303, began, began.Add(time.Millisecond), []messagestore.Written{wrote, wrote})
	m := message("a", began, ada)
	r.Observe(messagestore.Observation{Subscription: "thing:commands", Messages: []messagestore.Raw{m}, Began: time.Now(), Ended: time.Now(), Err: fmt.Errorf("no answer\nsecond line")})
	r.Observe(projected(4, []string{"rows/" + ada, "rows/total"}, m))
	r.Told(frame("rows/"+ada, 4, "row"))
	r.Told(frame("rows/"+ada, 4, "row"))
	r.Told(frame("rows/total", 3))
	r.Told(live.Delivery{At: time.Now(), Topics: live.Versions{"rows/": 9}})
	is(t, "the trace", of(r, "a"), "request POST /register v0 p0", "handled thing:commands v0 p0", "applied rows v4 p0",
		"told rows/"+ada+" v4 p2", "told rows/total v4 p0")
	moments := r.Of("a")
	if len(changed) != 5 || moments[0].Message != "first" || moments[0].Status != 303 || moments[1].Err != "no answer" || fmt.Sprint(moments[3].Elements) != "[row]" {
		t.Errorf("%q %+v", changed, moments)
	}
	r.Told(frame("rows/total", 12))
	is(t, "a frame after a page that had it", of(r, "a")[5:], "told rows/total v4 p1")
}

// TestAFrameIsFasterThanItsTransaction: the page can be told before the process hears
// that the transaction is committed.
func TestAFrameIsFasterThanItsTransaction(t *testing.T) {
	t.Parallel()
	r := NewRecorder()
	o := projected(7, []string{"rows/total"}, message("a", time.Now(), ada))
	r.Told(frame("rows/total", 7, "total"))
	r.Observe(o)
	is(t, "the trace", of(r, "a"), "applied rows v7 p0", "told rows/total v7 p1")
}

func TestATransactionOfSeveralPeopleIsToldApart(t *testing.T) {
	t.Parallel()
	r := NewRecorder()
	topics := []string{"rows/" + ada, "rows/" + bob, "rows/total"}
	r.Observe(projected(2, topics, message("a", time.Now(), ada), message("b", time.Now(), bob)))
	if a, b := fmt.Sprint(r.Of("a")[0].Topics), fmt.Sprint(r.Of("b")[0].Topics); a != fmt.Sprint([]string{topics[0], topics[2]}) || b != fmt.Sprint(topics[1:]) {
		t.Errorf("%s, %s", a, b)
	}
	r.Told(frame("rows/"+bob, 2))
	if len(r.Of("a")) != 1 || len(r.Of("b")) != 2 {
		t.Errorf("%v, %v", r.Of("a"), r.Of("b"))
	}
}

// TestAReplayIsNotRecorded: what is older than the recorder's memory is nobody's click.
func TestAReplayIsNotRecorded(t *testing.T) {
	t.Parallel()
	r := NewRecorder()
	old := make([]messagestore.Raw, 5000)
	for i := range old {
		old[i] = message(messagestore.NewID(), time.Now().Add(-time.Hour), ada)
	}
	began := time.Now()
	for range 200 {
		r.Observe(projected(1, []string{"rows/total"}, old...))
	}
	if took := time.Since(began); took > 2*time.Second || len(r.traces) != 0 || len(r.topics) != 0 {
		t.Errorf("a million messages took %s and left %d traces", took, len(r.traces))
	}
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	t.Parallel()
	r := NewRecorder()
	at := time.Now()
	r.now = func() time.Time { return at }
	for i := range mostTraces + 10 {
		r.Observe(projected(int64(i+1), []string{fmt.Sprint("rows/", i)}, message(fmt.Sprint(i), at, ada)))
	}
	for i := range 2 * mostMoments {
		r.Observe(projected(int64(i+1), []string{"rows/busy"}, message("busy", at, ada)))
	}
	for i := range 2 * mostTopics {
		r.Told(frame(fmt.Sprint("frames/", i), 1))
	}
	if len(r.traces) != mostTraces || len(r.order) != mostTraces || r.Of("0") != nil || len(r.Of("busy")) != mostMoments || len(r.topics) > mostTopics {
		t.Errorf("%d traces, %d in order, %d of one, %d topics", len(r.traces), len(r.order), len(r.Of("busy")), len(r.topics))
	}
	at = at.Add(keptFor + time.Minute)
	r.Observe(projected(1, nil, message("new", at, ada)))
	if len(r.traces) != 1 || len(r.order) != 1 || len(r.topics) != 0 {
		t.Errorf("%d traces, %d in order and %d topics are left", len(r.traces), len(r.order), len(r.topics))
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	r := NewRecorder()
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for i := range 200 {
				trace := fmt.Sprint(i % 20)
				switch n % 4 {
				case 0:
					r.Observe(projected(int64(i), []string{"rows/total"}, message(trace, time.Now(), ada)))
				case 1:
					r.Told(frame("rows/total", int64(i)))
				case 2:
					r.Of(trace)
				case 3:
					r.Request("POST /", 200, time.Now(), time.Now(), []messagestore.Written{{Metadata: messagestore.Metadata{TraceID: trace}}})
				}
			}
		})
	}
	all.Wait()
}
