package trace

import (
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"videotutorials/messagestore"
	"videotutorials/views"
)

var update = flag.Bool("update", false, "write the golden pictures anew")

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func after(ms float64) time.Time { return noon.Add(time.Duration(ms * float64(time.Millisecond))) }

// story is a trace in the making.
type story struct {
	messages []messagestore.Raw
	moments  []Moment
}

func id(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// wrote adds a message that another one caused, 0 for none, at milliseconds after noon. Its
// global position is its place in the story, from 1.
func (s *story) wrote(ms float64, stream messagestore.Stream, kind string, cause int) int {
	n := len(s.messages) + 1
	m := messagestore.Raw{ID: id(n), Stream: stream, Type: kind, GlobalPosition: int64(n), Time: after(ms), RawMetadata: []byte(`{"traceId":"t"}`)}
	for _, other := range s.messages {
		if other.Stream == stream {
			m.Position++
		}
	}
	if cause != 0 {
		of := s.messages[cause-1]
		m.RawMetadata = fmt.Appendf(nil, `{"traceId":"t","causationMessageStreamName":%q,"causationMessagePosition":%d,"causationMessageGlobalPosition":%d}`, of.Stream, of.Position, of.GlobalPosition)
	}
	s.messages = append(s.messages, m)
	return n
}

func (s *story) requested(ms float64, route string, first int) {
	s.moments = append(s.moments, Moment{At: after(ms), Kind: Request, Name: route, Message: id(first), Duration: 9 * time.Millisecond, Status: 303})
}

func (s *story) applied(ms float64, name string, message int, version int64, topics ...string) {
	s.moments = append(s.moments, Moment{At: after(ms), Kind: Applied, Name: name, Message: id(message), Version: version, Topics: topics, Duration: 2 * time.Millisecond})
}

func (s *story) told(ms float64, topic string, version int64, pages int) {
	s.moments = append(s.moments, Moment{At: after(ms), Kind: Told, Name: topic, Version: version, Pages: pages})
}

func register() (s story) {
	s.requested(0, "POST /register", 1)
	command := s.wrote(3.2, "identity:command-a", "Register", 0)
	s.wrote(8, "emailAddress-b", "EmailReserved", command)
	registered := s.wrote(11, "identity-a", "Registered", command)
	s.applied(13, "usercredentials", registered, 7, "usercredentials/a")
	s.applied(13.5, "registrations", registered, 21, "registrations/t")
	s.applied(13.6, "adminsummary", registered, 900, "adminsummary/streams")
	s.told(17, "registrations/t", 21, 1)
	send := s.wrote(19, "sendEmail:command-c", "Send", registered)
	s.applied(22, "registrations-mail", send, 5, "registrations/t")
	s.told(24, "registrations/t", 5, 1)
	sent := s.wrote(140, "sendEmail-c", "Sent", send)
	done := s.wrote(151, "identity-a", "RegistrationEmailSent", sent)
	s.applied(155, "registrations", done, 22, "registrations/t")
	s.told(158, "registrations/t", 22, 2)
	s.told(159, "other/x", 3, 2) // of nothing here
	return s
}

func publish() (s story) {
	s.requested(0, "PATCH /creators-portal/uploads/:id", 1)
	command := s.wrote(12, "videoPublishing:command-v", "PublishVideo", 0)
	started := s.wrote(20, "videoPublishing-v", "VideoPublishingStarted", command)
	s.applied(25, "creatorsvideos", started, 4, "creatorsvideos/o")
	s.applied(26, "videooperations", started, 4, "videooperations/t")
	s.told(30, "creatorsvideos/o", 4, 1)
	for i, ms := range []float64{9_000, 16_000, 31_000} {
		rendition := s.wrote(ms, "videoPublishing-v", "RenditionTranscoded", started)
		s.applied(ms+4, "creatorsvideos", rendition, int64(5+2*i), "creatorsvideos/o")
		if i == 0 {
			playable := s.wrote(ms+8, "videoPublishing-v", "VideoPlayable", started)
			s.applied(ms+11, "catalogue", playable, 3, "catalogue/all")
			s.applied(ms+11, "creatorsvideos", playable, 6, "creatorsvideos/o")
			s.told(ms+15, "catalogue/all", 3, 40)
		}
	}
	published := s.wrote(75_250, "videoPublishing-v", "VideoPublished", started)
	s.applied(75_254, "catalogue", published, 4, "catalogue/all")
	s.applied(75_255, "creatorsvideos", published, 12, "creatorsvideos/o")
	s.told(75_260, "catalogue/all", 4, 41)
	s.told(75_261, "creatorsvideos/o", 12, 1)
	return s
}

func rename() (s story) {
	s.requested(0, "POST /creators-portal/videos/:id/name", 1)
	command := s.wrote(2, "videoPublishing:command-v", "NameVideo", 0)
	s.moments = append(s.moments,
		Moment{At: after(5), Kind: Handled, Name: "videoPublishing:commands", Message: id(command), Duration: time.Millisecond, Err: "no disk"},
		Moment{At: after(105), Kind: Handled, Name: "videoPublishing:commands", Message: id(command), Duration: time.Millisecond, Err: "no disk yet"},
		Moment{At: after(205), Kind: Handled, Name: "videoPublishing:commands", Message: id(command), Duration: 4 * time.Millisecond})
	named := s.wrote(207, "videoPublishing-v", "VideoNamed", command)
	s.applied(211, "creatorsvideos", named, 31, "creatorsvideos/o")
	s.applied(211, "videooperations", named, 18, "videooperations/t")
	s.applied(212, "catalogue", named, 9, "catalogue/v")
	s.told(214, "creatorsvideos/o", 31, 1)
	s.told(215, "catalogue/v", 9, 12)
	s.told(214.5, "videooperations/t", 18, 0)
	return s
}

var lines = strings.NewReplacer("><", ">\n<")

func drawn(t *testing.T, p views.TracePicture) string {
	t.Helper()
	var b bytes.Buffer
	if err := views.TraceFigure(p).Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGoldenPictures(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]story{"register": register(), "publish": publish(), "rename": rename(), "nothing": {}} {
		got := lines.Replace(drawn(t, Picture(s.messages, s.moments))) + "\n"
		file := filepath.Join("testdata", name+".golden.html")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s is not as it was; if that is meant, run go test ./app/trace -update", name)
		}
	}
}

// edges are those of a picture between messages, as "cause effect".
func edges(p views.TracePicture) (between, other []string) {
	kinds := map[string]string{}
	for _, c := range p.Cards {
		kinds[c.Key] = c.Kind
	}
	isMessage := func(key string) bool {
		return slices.Contains([]string{views.TraceCommand, views.TraceEvent, views.TraceMessage, views.TraceBefore}, kinds[key])
	}
	for _, e := range p.Edges {
		if isMessage(e.From) && isMessage(e.To) {
			between = append(between, e.From+" "+e.To)
		} else {
			other = append(other, kinds[e.From]+" "+kinds[e.To])
		}
	}
	slices.Sort(between)
	slices.Sort(other)
	return between, other
}

// sound demands of any picture that its edges lead from cards to cards, down unless the
// metadata say otherwise, that no two cards lie upon one another, and that all of it is
// inside.
func sound(t *testing.T, name string, p views.TracePicture) {
	t.Helper()
	places := map[[2]int]bool{}
	keys := map[string]bool{}
	for _, c := range p.Cards {
		place := [2]int{c.X, c.Y}
		if places[place] || keys[c.Key] {
			t.Errorf("%s: %s lies upon another card", name, c.Key)
		}
		places[place], keys[c.Key] = true, true
		if c.X < 0 || c.Y < 0 || c.X+views.TraceCardWidth > p.Width || c.Y+views.TraceCardHeight > p.Height || c.Lane < 0 || c.Lane >= len(p.Lanes) {
			t.Errorf("%s: %+v is outside", name, c)
		}
	}
	for _, e := range p.Edges {
		if !keys[e.From] || !keys[e.To] || e.Path == "" {
			t.Errorf("%s: an edge from or to nowhere: %+v", name, e)
		}
	}
}

func TestEdgesAreTheMetadata(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]story{"register": register(), "publish": publish(), "rename": rename()} {
		var want []string
		for _, m := range s.messages {
			metadata, err := m.Metadata()
			if err != nil {
				t.Fatal(err)
			}
			if g := metadata.CausationMessageGlobalPosition; g != 0 {
				want = append(want, id(int(g))+" "+m.ID)
			}
		}
		slices.Sort(want)
		shuffled := slices.Clone(s.messages)
		slices.Reverse(shuffled)
		for _, messages := range [][]messagestore.Raw{s.messages, shuffled} {
			p := Picture(messages, s.moments)
			sound(t, name, p)
			got, other := edges(p)
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q; want %q", name, got, want)
			}
			if n := len(p.Cards) - 1; len(p.Edges) < n { // all but the request have a cause
				t.Errorf("%s: %d edges for %d cards", name, len(p.Edges), len(p.Cards))
			}
			for _, c := range p.Cards {
				if c.Kind != views.TraceRequest && !slices.ContainsFunc(p.Edges, func(e views.TraceEdge) bool { return e.To == c.Key }) {
					t.Errorf("%s: %s %s is an orphan", name, c.Kind, c.Name)
				}
			}
			t.Log(name, other)
		}
		// Without moments the same messages have the same edges, and nothing else.
		p := Picture(s.messages, nil)
		sound(t, name, p)
		if got, other := edges(p); !slices.Equal(got, want) || len(other) != 0 || len(p.Cards) != len(s.messages) {
			t.Errorf("%s without moments: %q, %q", name, got, other)
		}
	}
}

func TestWhatIsNotHere(t *testing.T) {
	t.Parallel()
	s := register()
	p := Picture(s.messages[2:], s.moments) // a later part of a long trace
	sound(t, "later", p)
	got, _ := edges(p)
	want := []string{id(3) + " " + id(4), id(4) + " " + id(5), id(5) + " " + id(6), "before 1 " + id(3)}
	if !slices.Equal(got, want) {
		t.Errorf("%q; want %q", got, want)
	}
	for _, c := range p.Cards {
		if c.Kind == views.TraceRequest {
			t.Error("the request is drawn, but nothing that it wrote")
		}
		if c.Kind == views.TraceBefore && c.URL != views.AdminMessagesBefore(2) {
			t.Errorf("%+v", c)
		}
	}
	if p := Picture(nil, s.moments); len(p.Cards) != 0 {
		t.Errorf("without messages: %+v", p.Cards)
	}
}

func TestTwoRequestsOfATrace(t *testing.T) {
	t.Parallel()
	var s story
	s.requested(0, "POST /a", 1)
	s.wrote(1, "viewing-a", "VideoViewed", 0)
	s.wrote(2, "viewing-b", "VideoViewed", 0)
	s.requested(10, "POST /b", 3)
	s.wrote(11, "viewing-c", "VideoViewed", 0)
	_, other := edges(Picture(s.messages, s.moments))
	if len(other) != 3 {
		t.Errorf("%q", other)
	}
	p := Picture(s.messages, s.moments)
	if from := p.Edges[2].From; !strings.Contains(from, "/b") {
		t.Errorf("the third comes from %s", from)
	}
}

// One transaction of a projection that took several messages of the trace is one card.
func TestOneTransactionOfSeveralMessages(t *testing.T) {
	t.Parallel()
	var s story
	a := s.wrote(1, "identity-a", "Registered", 0)
	b := s.wrote(2, "identity-a", "EmailConfirmed", a)
	for _, m := range []int{a, b} {
		s.applied(5, "registrations", m, 3, "registrations/t")
	}
	p := Picture(s.messages, s.moments)
	sound(t, "one transaction", p)
	if len(p.Cards) != 3 || len(p.Edges) != 3 {
		t.Errorf("%+v", p)
	}
}

// Others may write to the store: nothing of what they write can spoil the picture.
func TestHostileMessages(t *testing.T) {
	t.Parallel()
	evil := `</title></svg><script>alert(1)</script>"'` + "\x00\u202e\u2028"
	long := strings.Repeat("<b>", 300_000)
	m := func(n int64, stream, kind, metadata string) messagestore.Raw {
		return messagestore.Raw{ID: id(int(n)), Stream: messagestore.Stream(stream), Type: kind, Position: n - 1, GlobalPosition: n, Time: after(float64(n)), RawMetadata: []byte(metadata)}
	}
	messages := []messagestore.Raw{
		m(1, evil, evil, `{"causationMessageGlobalPosition":1}`),                                                                    // itself
		m(2, "", "", `{"causationMessageGlobalPosition":3}`),                                                                        // a circle
		m(3, "identity-1", "Registered", `{"causationMessageGlobalPosition":2}`),                                                    // the other half
		m(4, long, long, `{"causationMessageGlobalPosition":-5,"causationMessageStreamName":`+strconv.Quote(evil[:20])+`}`),         // nothing
		m(5, "a-1", "B", `{"causationMessageGlobalPosition":"x","causationMessageStreamName":"x-1","causationMessagePosition":77}`), // by its stream
		m(6, "a-1", "B", `{"causationMessageGlobalPosition":9223372036854775807,"causationMessageStreamName":"<i>-</i>"}`),          // unknown
		m(7, "a-1", "B", `[1]`), m(8, "a-1", "B", `no JSON`), m(9, "a-1", "B", ``), m(10, "a-1", "B", `null`),
		m(11, "a-1", "B", `{"causationMessageGlobalPosition":null,"causationMessageStreamName":"x-1","causationMessagePosition":null}`),
		m(12, "a-1", "B", `{"causationMessageGlobalPosition":1e99}`),
		m(13, "a-1", "B", `{"causationMessageStreamName":{"a":1},"causationMessagePosition":1.5}`),
	}
	moments := []Moment{
		{At: after(0), Kind: Request, Name: evil, Message: id(1)},
		{At: after(20), Kind: Applied, Name: evil, Message: id(1), Topics: []string{evil}},
		{At: after(21), Kind: Told, Name: evil, Pages: 1},
		{At: after(22), Kind: Handled, Name: evil, Message: id(5), Err: long},
		{At: after(22), Kind: "else", Name: evil, Message: id(5)},
		{At: after(22), Kind: Applied, Name: "", Message: "", Topics: []string{""}},
	}
	p := Picture(messages, moments)
	sound(t, "hostile", p)
	between, _ := edges(p)
	want := []string{id(1) + " " + id(1), id(2) + " " + id(3), id(3) + " " + id(2), "before 77 x-1 " + id(5), "before 9223372036854775807 " + id(6)}
	if !slices.Equal(between, want) {
		t.Errorf("%q; want %q", between, want)
	}
	html := drawn(t, p)
	if len(html) > 200_000 {
		t.Errorf("%d bytes", len(html))
	}
	for _, bad := range []string{"<script", "<b><b>", "<i>", "\x00", "\u202e", "\u2028"} {
		if strings.Contains(html, bad) {
			at := strings.Index(html, bad)
			t.Errorf("the page holds %q: %.300q", bad, html[max(0, at-150):])
		}
	}
	svg := html[strings.Index(html, `<svg class="trace-picture"`):]
	decoder := xml.NewDecoder(strings.NewReader(svg[:strings.Index(svg, "</svg>")+6]))
	for {
		if _, err := decoder.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("the picture is not well-formed: %v", err)
		}
	}
}

func TestTook(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0.0 ms", 0: "0.0 ms", 1234 * time.Microsecond: "1.2 ms", 9_999 * time.Microsecond: "10.0 ms", 12_700 * time.Microsecond: "12 ms",
		999 * time.Millisecond: "999 ms", 1500 * time.Millisecond: "1.5 s", 75 * time.Second: "1 min 15 s", 26 * time.Hour: "26 h 0 min",
	} {
		if got := took(d); got != want {
			t.Errorf("%v: %q; want %q", d, got, want)
		}
	}
}
