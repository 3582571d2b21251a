package admin

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"videotutorials/app/contracts"
	"videotutorials/app/trace"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// The picture of a trace grows while somebody looks at it: with each message, and with each
// moment that this process has seen.
func TestThePictureGrowsWithTheTrace(t *testing.T) {
	t.Parallel()
	recorder := trace.NewRecorder()
	s := start(t, func(c *Config) { c.Recorder = recorder })
	b := s.admin()
	traceID, video := messagestore.NewID(), messagestore.NewID()
	by := messagestore.WithMetadata(messagestore.Metadata{TraceID: traceID, UserID: b.user})
	command := s.written(publishingmsg.Category.CommandStream(video), publishingmsg.NameVideo{VideoID: video, Name: "One"}, by)
	s.caughtUp()
	a := b.shown(views.AdminTracePath(traceID))
	if !strings.Contains(a.body, `id="`+views.TraceID+`"`) || strings.Count(a.body, `class="card command"`) != 1 {
		t.Fatalf("no picture in\n%s", a.body)
	}
	frames := b.frames(streamOf(t, a))
	s.await(frames, `class="card command"`)

	cause, err := messagestore.Decode[publishingmsg.NameVideo](command)
	if err != nil {
		t.Fatal(err)
	}
	named := s.written(publishingmsg.Category.Stream(video), publishingmsg.VideoNamed{VideoID: video, Name: "One"}, messagestore.Follow(cause))
	frame := s.await(frames, `class="card event"`)
	if strings.Count(frame, `class="edge`) != 1 || !strings.Contains(frame, "1 newer message") || !strings.Contains(frame, views.AdminMessagePath(named.ID)) {
		t.Errorf("%s", frame)
	}
	recorder.Observe(messagestore.Observation{Subscription: "creatorsvideos", Projected: true, Messages: []messagestore.Raw{named}, Topics: []string{"creatorsvideos/o"}, Version: 3, Began: named.Time, Ended: named.Time})
	if frame := s.await(frames, `class="card view"`); strings.Count(frame, `class="edge`) != 2 {
		t.Errorf("%s", frame)
	}
	// Messages of others change nothing.
	s.written(publishingmsg.Category.Stream(messagestore.NewID()), publishingmsg.VideoNamed{VideoID: video}, messagestore.WithMetadata(messagestore.Metadata{TraceID: messagestore.NewID()}))
	s.caughtUp()
	s.mu.Lock()
	s.ended[b.session] = true
	s.mu.Unlock()
	s.written(publishingmsg.Category.Stream(video), publishingmsg.VideoNamed{VideoID: video}, messagestore.Follow(cause))
	if frame := s.await(frames, "data-session-over"); strings.Contains(frame, "class=\"card") {
		t.Errorf("who is no longer signed in is shown %s", frame)
	}
}

// A name of a trace may be anything, in the address and in the topic of the page.
func TestPictureOfAHostileTrace(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.admin()
	evil := `a b/..%2f"><script>alert(1)</script>` + "\u202e"
	metadata, err := json.Marshal(map[string]any{"traceId": evil, "causationMessageGlobalPosition": 1 << 40})
	if err != nil {
		t.Fatal(err)
	}
	id := s.foreign("a-"+evil, "B"+evil, `{}`, string(metadata))
	s.caughtUp()
	a := b.shown(views.AdminTracePath(evil))
	if strings.Contains(a.body, "<script>alert") || strings.Contains(a.body, "\u202e") || !strings.Contains(a.body, views.AdminMessagePath(id)) || !strings.Contains(a.body, `class="card before"`) {
		t.Errorf("%s", a.body)
	}
	s.await(b.frames(streamOf(t, a)), `class="card message"`)
}

func TestContractsPage(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.admin()
	s.registered("ada@example.org")
	s.registered("bob@example.org")
	metadata := messagestore.Metadata{SchemaVersion: 2}
	s.written(identitymsg.Category.Stream("x"), identitymsg.Registered{UserID: "x"}, messagestore.WithMetadata(metadata))
	s.foreign("other-1", "Strange<b>", `{}`, `{}`)
	s.caughtUp()
	a := b.shown(views.AdminContractsPath)
	for _, m := range contracts.All() {
		id := `<details class="contract" id="contract-` + strings.ReplaceAll(string(m.Category), ":", ".") + "." + m.Type + `">`
		_, after, found := strings.Cut(a.body, id)
		if !found {
			t.Errorf("%s %s is not there", m.Category, m.Type)
			continue
		}
		part, _, _ := strings.Cut(after, "</details>")
		for _, f := range m.Fields {
			if !strings.Contains(part, `<td class="name">`+f.Name+`</td>`) {
				t.Errorf("%s: no field %s", m.Type, f.Name)
			}
		}
		for _, pkg := range slices.Concat(m.Writers, m.Handlers) {
			if !strings.Contains(part, "<code>"+pkg+"</code>") {
				t.Errorf("%s: %s is not named", m.Type, pkg)
			}
		}
		if m.Type == "Registered" && (!strings.Contains(part, "3 messages") || !strings.Contains(part, `<meter min="0" max="3" value="2">`) || !strings.Contains(part, "version 2") || !strings.Contains(part, views.AdminTypeMessagesPath("Registered"))) {
			t.Errorf("%s", part)
		}
	}
	if _, unknown, _ := strings.Cut(a.body, `id="contract-unknown"`); !strings.Contains(unknown, "Strange&lt;b&gt;") {
		t.Error("the unknown type is not named")
	}
	if strings.Contains(a.body, "Strange<b>") {
		t.Error("a name is taken for markup")
	}
	document := b.shown(views.AdminAsyncAPIPath)
	if document.body != string(contracts.Document()) || document.header.Get("Content-Disposition") == "" || !json.Valid([]byte(document.body)) {
		t.Errorf("%v: %.100s", document.header, document.body)
	}
	if a := s.somebody().get(views.AdminAsyncAPIPath); a.status != http.StatusForbidden {
		t.Errorf("a viewer: %d", a.status)
	}
}
