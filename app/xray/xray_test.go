package xray

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"videotutorials/app/trace"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/components/viewing/viewingmsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

const (
	ada   = "7a3ae395-c458-529a-905c-27ab970b38c8"
	bob   = "2fa390b7-cd5b-59ab-b5be-94ec1e6f4635"
	click = "6f11a788-bbb6-508b-8729-736d3702f10b"
)

// TestWhoMaySeeATrace: whoever it was recorded for, for as long as it is kept; where
// nobody was logged in, nobody in particular, until somebody else logs in.
// A frame of somebody's page may change much; only what is of the same thing is named.
func TestElementsOfOthers(t *testing.T) {
	t.Parallel()
	own, other := messagestore.NewID(), messagestore.NewID()
	got := ofTheSame([]string{"creators-video-" + other, "registration", "view-count-" + own}, "viewing-"+own+" viewcounts/video/"+own)
	if want := []string{"registration", "view-count-" + own}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWhoMaySeeATrace(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, test := range []struct {
		name string
		seen seen
		sees []string // "" is nobody
	}{
		{"hers", seen{Owner: ada, At: now.Unix()}, []string{ada}},
		{"hers, before she was logged in", seen{Owner: ada, Anonymous: true, At: now.Unix()}, []string{ada, ""}},
		{"nobody's", seen{At: now.Unix()}, []string{ada, bob, ""}},
		{"an old one", seen{Owner: ada, At: now.Add(-shownFor - time.Minute).Unix()}, nil},
	} {
		for _, who := range []string{ada, bob, ""} {
			if got := test.seen.visible(who, now); got != slices.Contains(test.sees, who) {
				t.Errorf("%s, seen by %q: %t", test.name, who, got)
			}
		}
	}
}

func TestTheNewestTracesAreKept(t *testing.T) {
	t.Parallel()
	var kept []seen
	for _, name := range strings.Fields("a b c b d e") {
		kept = merge(kept, []seen{{Trace: name}})
	}
	var names string
	for _, s := range kept {
		names += s.Trace
	}
	if names != "edbc" {
		t.Errorf("kept %s", names)
	}
}

func raw(t *testing.T, global int64, stream messagestore.Stream, kind string, data any, metadata messagestore.Metadata) messagestore.Raw {
	t.Helper()
	d, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	m, err := json.Marshal(metadata)
	if err != nil {
		t.Fatal(err)
	}
	return messagestore.Raw{ID: messagestore.DeriveID(kind, string(stream)), Stream: stream, Type: kind, GlobalPosition: global, Time: time.Now(), Data: d, RawMetadata: m}
}

// TestWhatIsDrawn: only what was written for the person, with what is personal masked,
// nothing of a type that nobody knows, and no row that names somebody else.
func TestWhatIsDrawn(t *testing.T) {
	t.Parallel()
	command := raw(t, 1, identitymsg.Category.CommandStream(ada), "Register",
		identitymsg.Register{UserID: ada, Email: "ada@example.org", PasswordHash: "$argon2id$secret"}, messagestore.Metadata{TraceID: click, UserID: ada})
	unknown := raw(t, 2, messagestore.Category("later").Stream(ada), "FromTheFuture", map[string]string{"secret": "sesame"}, messagestore.Metadata{TraceID: click, UserID: ada})
	others := raw(t, 3, identitymsg.Category.Stream(bob), "PasswordResetRequested", identitymsg.PasswordResetRequested{UserID: bob}, messagestore.Metadata{TraceID: click, UserID: bob})
	moments := []trace.Moment{
		{TraceID: click, At: time.Now(), Kind: trace.Request, Name: "POST /register", Message: command.ID, Status: 303},
		{TraceID: click, At: time.Now(), Kind: trace.Handled, Name: "identity:commands", Message: command.ID, Err: "cannot reach ada@example.org"},
		{TraceID: click, At: time.Now(), Kind: trace.Applied, Name: "registrations", Message: command.ID, Topics: []string{"registrations/" + ada, "registrations/" + bob, "total"}, Version: 7},
		{TraceID: click, At: time.Now(), Kind: trace.Told, Name: "registrations/" + ada, Version: 7, Pages: 1, Elements: []string{"registration"}},
		{TraceID: click, At: time.Now(), Kind: trace.Told, Name: "registrations/" + bob, Version: 7, Pages: 1},
	}
	drawn := draw(seen{Trace: click, Owner: ada, Route: "POST /register", At: time.Now().Unix()}, []messagestore.Raw{command, unknown, others}, moments)
	text, err := json.Marshal(drawn)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{bob, "ada@example.org", "argon2", "sesame", "PasswordResetRequested"} {
		if strings.Contains(string(text), secret) {
			t.Errorf("it shows %s", secret)
		}
	}
	var kinds []string
	for _, s := range drawn.Steps {
		for _, c := range s.Cards {
			kinds = append(kinds, c.Kind)
			if c.Kind == views.XRayFragment && !slices.Equal(c.Elements, []string{"registration"}) {
				t.Errorf("the fragment changed %q", c.Elements)
			}
			if c.Title == "FromTheFuture" && (c.Data != "" || c.NoData == "") {
				t.Errorf("of an unknown type: %+v", c)
			}
		}
	}
	if got := strings.Join(kinds, ", "); got != "request, command, component, aggregator, view row, fragment, view row, event" {
		t.Errorf("drawn: %s", got)
	}
}

// TestOfNobodyOnlyNobodysMessages: a trace without an owner shows no message that has one.
func TestOfNobodyOnlyNobodysMessages(t *testing.T) {
	t.Parallel()
	nobodys := raw(t, 1, viewingmsg.Category.Stream(bob), "VideoViewed", viewingmsg.VideoViewed{VideoID: bob}, messagestore.Metadata{TraceID: click})
	hers := raw(t, 2, identitymsg.Category.Stream(ada), "Registered", identitymsg.Registered{UserID: ada}, messagestore.Metadata{TraceID: click, UserID: ada})
	drawn := draw(seen{Trace: click, Route: "POST /record-viewing/:id"}, []messagestore.Raw{nobodys, hers}, nil)
	if len(drawn.Steps) != 1 || drawn.Steps[0].Cards[1].Title != "VideoViewed" {
		t.Errorf("%+v", drawn)
	}
}

// TestWalkthroughsExplainEveryHop: each link of a card leads to a section that is there.
func TestWalkthroughsExplainEveryHop(t *testing.T) {
	t.Parallel()
	documents := readDocuments(os.DirFS("../.."))
	for name, sections := range walkthroughs {
		if documents[name].Title == "" {
			t.Errorf("%s has no title", name)
		}
		for _, kind := range []string{views.XRayRequest, views.XRayCommand, views.XRayDecision, views.XRayEvent, views.XRayReader, views.XRayRow, views.XRayFragment} {
			if !slices.ContainsFunc(documents[name].Sections, func(s views.XRaySection) bool { return s.ID == "step-"+sections[kind] }) {
				t.Errorf("%s does not explain %s: it has no section %q", name, kind, sections[kind])
			}
		}
	}
	d := parse("# Title\n\n## 1. First\n\nA [link](x.go) and\n`code`.\n![picture](x.svg)\n\n```\n# kept\n```\n| a |\n| b |\nafter\n")
	want := []views.XRayBlock{{Text: "A link and `code`."}, {Preformatted: true, Text: "# kept"}, {Preformatted: true, Text: "| a |\n| b |\nafter"}}
	if d.Title != "Title" || len(d.Sections) != 1 || d.Sections[0].ID != "step-1" || !slices.Equal(d.Sections[0].Blocks, want) {
		t.Errorf("%+v", d)
	}
}
