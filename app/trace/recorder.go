// Package trace shows what one request set off, from the form to the page that tells of
// it: the messages from the store, and the moments between them as this process saw them.
package trace

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"videotutorials/app/live"
	"videotutorials/messagestore"
)

// Kind says what happened at a [Moment].
type Kind string

const (
	// Request: a request was answered that had written messages.
	Request Kind = "request"
	// Handled: a component has handled a message, or tried to.
	Handled Kind = "handled"
	// Applied: a projection has committed what a message changed.
	Applied Kind = "applied"
	// Told: open pages show it.
	Told Kind = "told"
)

// Moment is something that happened on the way of a trace and is no message.
type Moment struct {
	TraceID string
	// At is when it began.
	At   time.Time
	Kind Kind
	// Name is that of the route, as "POST /register", of the subscription or of the topic.
	Name string
	// Message is the id of the message that it is about, the first written one for a
	// request; empty for a page that was told.
	Message string
	// Wrote are the ids of the messages that a component has written then.
	Wrote []string
	// Topics and Version are what a projection has changed and to what, and for a page
	// that was told the version of its topic.
	Topics   []string
	Version  int64
	Duration time.Duration
	// Status is that of a request's answer.
	Status int
	// Err is why a try failed.
	Err string
	// Pages is how many pages were told by a frame; 0 says that a page had it when it was
	// opened, and needed none. Elements are the ids of what was replaced on the pages.
	Pages    int
	Elements []string
}

const (
	keptFor     = 15 * time.Minute
	mostTraces  = 10_000
	mostTopics  = 20_000
	mostMoments = 400 // of one trace
	// Of a transaction of more messages it is not asked which of them changed what.
	mostAtOnce = 200
	// A page that is opened later than this had it from the view data, like everybody.
	mostToOpen = 30 * time.Second
)

// Recorder keeps the moments of the traces of the last 15 minutes in the memory of this
// process; what other processes did it does not know. What is older when it is handled,
// as in a replay, is nobody's click any more and is not recorded.
type Recorder struct {
	now func() time.Time

	mu      sync.Mutex
	traces  map[string]*record
	order   []string // trace ids as they came
	topics  map[string]*topic
	swept   time.Time
	changed []func(traceID string)
}

type record struct {
	began   time.Time
	moments []Moment
}

// topic is what is known of one: who waits for it to be shown, and of what was shown
// last.
type topic struct {
	waiting  []change
	shown    int64 // version
	at       time.Time
	elements []string
	told     []told // whose moments count the pages of that version
}

type change struct {
	traceID string
	version int64
	at      time.Time
	had     bool // a page had it when it was opened
}

type told struct {
	trace *record
	place int
}

// NewRecorder returns an empty recorder.
func NewRecorder() *Recorder {
	return &Recorder{now: time.Now, traces: map[string]*record{}, topics: map[string]*topic{}}
}

// Changed has f, too, called with the id of each trace that has got a moment. It stands
// before everything else; f must be quick and must not call the recorder.
func (r *Recorder) Changed(f func(traceID string)) { r.changed = append(r.changed, f) }

// Of returns the moments of a trace in the order of their times.
func (r *Recorder) Of(traceID string) []Moment {
	r.mu.Lock()
	defer r.mu.Unlock()
	record := r.traces[traceID]
	if record == nil {
		return nil
	}
	moments := slices.Clone(record.moments)
	for i := range moments {
		moments[i].Elements = slices.Clone(moments[i].Elements)
	}
	slices.SortStableFunc(moments, func(a, b Moment) int { return a.At.Compare(b.At) })
	return moments
}

// Request takes a request that was answered, and what it has written: once for each
// trace.
func (r *Recorder) Request(route string, status int, began, ended time.Time, wrote []messagestore.Written) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep()
	var seen []string
	for _, w := range wrote {
		if traceID := w.Metadata.TraceID; traceID != "" && !slices.Contains(seen, traceID) {
			seen = append(seen, traceID)
			r.add(Moment{TraceID: traceID, At: began, Kind: Request, Name: route, Message: w.ID, Duration: ended.Sub(began), Status: status})
		}
	}
}

// Observe takes what a subscription did; it is for [messagestore.Subscriptions.Observe].
func (r *Recorder) Observe(o messagestore.Observation) {
	// Times come from the database, but minutes are enough here.
	oldest := r.now().Add(-keptFor)
	recent := func(m messagestore.Raw) bool { return m.Time.After(oldest) }
	if n := len(o.Messages); n == 0 || !recent(o.Messages[n-1]) {
		return
	}
	moment := Moment{At: o.Began, Kind: Handled, Name: o.Subscription, Topics: o.Topics, Version: o.Version, Duration: o.Ended.Sub(o.Began)}
	if o.Projected {
		moment.Kind = Applied
	}
	for _, w := range o.Wrote {
		moment.Wrote = append(moment.Wrote, w.ID)
	}
	if o.Err != nil {
		moment.Err, _, _ = strings.Cut(messagestore.ErrorText(o.Err), "\n")
	}
	var moments []Moment // made before the lock is taken
	for _, m := range o.Messages {
		if !recent(m) {
			continue
		}
		if moment.TraceID, moment.Message = traceOf(m), m.ID; moment.TraceID != "" {
			moment.Topics = topicsOf(m, o)
			moments = append(moments, moment)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep()
	for _, m := range moments {
		r.add(m)
		if len(o.Messages) <= mostAtOnce {
			for _, name := range m.Topics {
				r.wait(name, change{traceID: m.TraceID, version: m.Version, at: m.At})
			}
		}
	}
}

// topicsOf returns those topics of a transaction that a message of it can have changed: a
// topic of one thing is of a message that names the thing.
func topicsOf(m messagestore.Raw, o messagestore.Observation) (topics []string) {
	if len(o.Messages) == 1 {
		return o.Topics
	}
	for _, topic := range o.Topics {
		id := topic[strings.LastIndexByte(topic, '/')+1:]
		if !messagestore.ValidID(id) || len(o.Messages) <= mostAtOnce &&
			(strings.Contains(string(m.Stream), id) || bytes.Contains(m.RawMetadata, []byte(id)) || bytes.Contains(m.Data, []byte(id))) {
			topics = append(topics, topic)
		}
	}
	return topics
}

// traceOf returns the trace id of a message, empty where it has none.
func traceOf(m messagestore.Raw) string {
	var metadata struct {
		TraceID string `json:"traceId"`
	}
	if json.Unmarshal(m.RawMetadata, &metadata) != nil {
		return ""
	}
	return metadata.TraceID
}

// add appends a moment to its trace, and returns the trace and the moment's place in it:
// none where it has enough.
func (r *Recorder) add(m Moment) (of *record, place int) {
	of = r.traces[m.TraceID]
	if of == nil {
		if len(r.order) >= mostTraces {
			r.forgetOldest()
		}
		of = &record{began: r.now()}
		r.traces[m.TraceID] = of
		r.order = append(r.order, m.TraceID)
	}
	if len(of.moments) >= mostMoments {
		return nil, 0
	}
	of.moments = append(of.moments, m)
	for _, f := range r.changed {
		f(m.TraceID)
	}
	return of, len(of.moments) - 1
}

func (r *Recorder) topic(name string) *topic {
	t := r.topics[name]
	if t == nil {
		t = &topic{}
		if len(r.topics) < mostTopics { // else what is learned of it is forgotten again
			r.topics[name] = t
		}
	}
	return t
}

// wait notes that a trace waits until a topic is shown as it has changed it. A frame may
// have been faster than the word of the transaction.
func (r *Recorder) wait(name string, c change) {
	t := r.topic(name)
	switch {
	case slices.ContainsFunc(t.waiting, func(w change) bool { return w.traceID == c.traceID && w.version == c.version }), len(t.waiting) >= mostMoments:
	case t.shown >= c.version && t.at.After(c.at):
		r.tell(name, t, c, Moment{At: t.at, Pages: 1, Elements: t.elements})
	default:
		t.waiting = append(t.waiting, c)
	}
}

// Told takes what a page shows from now on; it is for [live.Hub.Observe].
func (r *Recorder) Told(d live.Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep()
	for name, version := range d.Topics {
		if !strings.HasSuffix(name, "/") {
			r.told(name, version, d)
			continue
		}
		for below, t := range r.topics {
			if len(t.waiting) > 0 && strings.HasPrefix(below, name) {
				r.told(below, version, d)
			}
		}
	}
}

func (r *Recorder) told(name string, version int64, d live.Delivery) {
	if !d.Sent {
		t := r.topic(name)
		for i, c := range t.waiting {
			if c.version <= version && !c.had && d.At.Sub(c.at) < mostToOpen {
				t.waiting[i].had = true
				r.tell(name, nil, c, Moment{At: d.At})
			}
		}
		return
	}
	t := r.topic(name)
	long := d.At.Sub(t.at) > time.Minute // since a frame: view data that was made anew may have gone back
	switch {
	case version > t.shown || long:
		t.shown, t.at, t.elements, t.told = version, d.At, d.Elements, nil
	case version == t.shown:
		for _, told := range t.told {
			told.trace.moments[told.place].Pages++
		}
	}
	t.waiting = slices.DeleteFunc(t.waiting, func(c change) bool {
		if c.version > version {
			return false
		}
		r.tell(name, t, c, Moment{At: d.At, Pages: 1, Elements: d.Elements})
		return true
	})
}

// tell adds the moment at which pages show a change; with t, it counts further pages.
func (r *Recorder) tell(name string, t *topic, c change, m Moment) {
	m.TraceID, m.Kind, m.Name, m.Version = c.traceID, Told, name, c.version
	if trace, place := r.add(m); trace != nil && t != nil {
		t.told = append(t.told, told{trace, place})
	}
}

// sweep forgets once a minute what is too old.
func (r *Recorder) sweep() {
	now := r.now()
	if now.Sub(r.swept) < time.Minute {
		return
	}
	r.swept = now
	for len(r.order) > 0 && now.Sub(r.traces[r.order[0]].began) > keptFor {
		r.forgetOldest()
	}
	for name, t := range r.topics {
		t.waiting = slices.DeleteFunc(t.waiting, func(c change) bool { return now.Sub(c.at) > keptFor })
		if now.Sub(t.at) > time.Minute {
			t.told = nil
			if len(t.waiting) == 0 {
				delete(r.topics, name)
			}
		}
	}
}

func (r *Recorder) forgetOldest() {
	delete(r.traces, r.order[0])
	r.order = r.order[1:]
}
