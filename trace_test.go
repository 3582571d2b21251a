package main

import (
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

// tracePicture is the picture on the page of a trace.
type tracePicture struct {
	cards map[string]string // kinds by keys: the ids of messages, or what is none
	edges []string          // "cause effect"
}

func pictureIn(t *testing.T, page string) (p tracePicture) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	p.cards = map[string]string{}
	for n := range root.Descendants() {
		of := map[string]string{}
		for _, a := range n.Attr {
			of[a.Key] = a.Val
		}
		if key := of["data-card"]; key != "" {
			p.cards[key] = strings.TrimPrefix(of["class"], "card ")
		}
		if of["data-to"] != "" {
			p.edges = append(p.edges, of["data-from"]+" "+of["data-to"])
		}
	}
	return p
}

// The picture of a real registration, publication and renaming is what their metadata say,
// and nothing in it came from nowhere.
func TestThePictureOfATraceIsTheMetadata(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	store := messagestore.New(database.MessageStore)

	v := visit(t, s)
	page := v.register("ada@example.test", goodPassword)
	v.stays(page) // an open page, which is told
	v.reached(page, "email-sent")
	v.entered("ada@example.test", goodPassword)
	video := v.handIn(filmOf("320x180", 1, h264)(newFilms(t)), "The first title")
	becomes(t, database, video, "published")
	v.stays("/creators-portal/videos/" + video)
	v.done(v.submit("/creators-portal/videos/"+video, "/creators-portal/videos/"+video+"/name", "name", "The second title"))

	member(t, s, "chief@example.test", goodPassword)
	if out, err := commandOn(t, s, "admin", "grant", "chief@example.test"); err != nil {
		t.Fatalf("admin grant: %v\n%s", err, out)
	}
	settled(t, database, s)
	chief := visit(t, s).entered("chief@example.test", goodPassword)

	for name, c := range map[string]struct {
		category messagestore.Category
		command  messagestore.Body
		last     string
		views    []string
	}{
		"register": {identitymsg.Category.Commands(), identitymsg.Register{}, "RegistrationEmailSent", []string{"registrations", "usercredentials"}},
		"publish":  {publishingmsg.Category.Commands(), publishingmsg.PublishVideo{}, "VideoPublished", []string{"catalogue", "creatorsvideos"}},
		"rename":   {publishingmsg.Category.Commands(), publishingmsg.NameVideo{}, "VideoNamed", []string{"catalogue", "creatorsvideos", "videooperations"}},
	} {
		commands := messagesIn(t, database, c.category, c.command)
		if name == "rename" { // the title of the upload is set by a NameVideo, too
			commands = commands[len(commands)-1:]
		}
		metadata, err := commands[0].Metadata()
		if err != nil {
			t.Fatal(err)
		}
		trace := metadata.TraceID
		var picture tracePicture
		until(t, "the picture of "+name+" is whole", func() bool {
			a := chief.get("/admin/correlated-messages/" + trace)
			if a.status != http.StatusOK {
				t.Fatalf("%d: %s", a.status, said(a.body))
			}
			picture = pictureIn(t, a.body)
			kinds := map[string]bool{}
			for _, kind := range picture.cards {
				kinds[kind] = true
			}
			return strings.Contains(a.body, ">"+c.last+"<") && kinds["page"] && !slices.ContainsFunc(c.views, func(view string) bool {
				return !slices.ContainsFunc(keys(picture.cards), func(key string) bool { return strings.HasPrefix(key, "view "+view+" ") })
			})
		})

		all, err := store.Find(within(t), messagestore.Query{TraceID: trace, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		var want, got []string
		ids := map[int64]string{}
		for _, m := range all {
			ids[m.GlobalPosition] = m.ID
			if _, drawn := picture.cards[m.ID]; !drawn {
				t.Errorf("%s: %s is not drawn", name, m.Type)
			}
		}
		for _, m := range all {
			metadata, err := m.Metadata()
			if err != nil {
				t.Fatal(err)
			}
			if cause := metadata.CausationMessageGlobalPosition; cause != 0 {
				want = append(want, ids[cause]+" "+m.ID)
			}
		}
		led := map[string]bool{}
		requests := 0
		for _, edge := range picture.edges {
			from, to, _ := cutEdge(edge, picture.cards)
			led[to] = true
			if messagestore.ValidID(from) && messagestore.ValidID(to) {
				got = append(got, edge)
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) || len(want) == 0 {
			t.Errorf("%s: the edges are\n%s\nand the metadata say\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		for key, kind := range picture.cards {
			switch {
			case kind == "request":
				requests++
			case kind == "before" || kind == "trouble":
				t.Errorf("%s: %s %s", name, kind, key)
			case !led[key]:
				t.Errorf("%s: the %s %s came from nowhere", name, kind, key)
			}
		}
		if requests != 1 {
			t.Errorf("%s: %d requests", name, requests)
		}
	}
	if dir := outboxOf(s); len(letters(t, dir, "ada@example.test")) == 0 {
		t.Errorf("no mail in %s", filepath.Base(dir))
	}
}

func keys(of map[string]string) (all []string) {
	for key := range of {
		all = append(all, key)
	}
	return all
}

// cutEdge parts an edge where its two ends are cards: their keys hold spaces.
func cutEdge(edge string, cards map[string]string) (from, to string, found bool) {
	for from := range cards {
		if to, ok := strings.CutPrefix(edge, from+" "); ok && cards[to] != "" {
			return from, to, true
		}
	}
	return "", "", false
}

var liveLine = regexp.MustCompile(`hx-sse:connect="([^"]+)"`)

// stays opens a page and its event stream, until the test ends.
func (v *visitor) stays(page string) {
	v.t.Helper()
	a := v.get(page)
	match := liveLine.FindStringSubmatch(a.body)
	if match == nil {
		v.t.Fatalf("%s (%d) has no stream\n%s", page, a.status, said(a.body))
	}
	request, err := http.NewRequestWithContext(within(v.t), http.MethodGet, v.url+strings.ReplaceAll(match[1], "&amp;", "&"), nil)
	if err != nil {
		v.t.Fatal(err)
	}
	request.Header.Set("Accept", "text/event-stream")
	response, err := v.client.Do(request)
	if err != nil {
		v.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		v.t.Fatalf("the stream of %s: %d", page, response.StatusCode)
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for buffer := make([]byte, 4096); ; {
			if _, err := response.Body.Read(buffer); err != nil {
				return
			}
		}
	}()
	v.t.Cleanup(func() { response.Body.Close(); <-drained })
}
