package xray

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"videotutorials/app/contracts"
	"videotutorials/app/trace"
	"videotutorials/messagestore"
	"videotutorials/views"
)

const (
	mostMessages = 100 // of one trace
	mostData     = 4 << 10
	// slack is how far the clocks of this machine and of the database may be apart.
	slack = 5 * time.Millisecond
)

// drawing is a trace while its steps are put together.
type drawing struct {
	seen     seen
	document string
	began    time.Time
	messages map[int64]messagestore.Raw // by global position
	moments  []trace.Moment
	last     map[string]int64    // by projection and version: the last of its messages
	decided  map[string]bool     // ids of the cards of components that are there
	read     map[string][]string // by projection and version: the cards of its readings
}

// draw puts a trace together: a step for each message in the order of the store, with
// what led to it and what came of it.
func draw(s seen, messages []messagestore.Raw, moments []trace.Moment) views.XRayTrace {
	drawn := views.XRayTrace{TraceID: s.Trace, Route: s.Route}
	if drawn.Cut = len(messages) > mostMessages; drawn.Cut {
		messages = messages[len(messages)-mostMessages:]
	}
	// Whoever else is named in the trace, what was written for them is theirs.
	messages = slices.DeleteFunc(messages, func(m messagestore.Raw) bool { return metadataOf(m).UserID != s.Owner })
	slices.SortFunc(messages, func(a, b messagestore.Raw) int { return cmp.Compare(a.GlobalPosition, b.GlobalPosition) })
	d := drawing{seen: s, document: documentOf(s.Route), moments: moments, messages: map[int64]messagestore.Raw{}, last: map[string]int64{}, decided: map[string]bool{}, read: map[string][]string{}}
	positions := map[string]int64{}
	for _, m := range messages {
		d.messages[m.GlobalPosition] = m
		positions[m.ID] = m.GlobalPosition
	}
	for _, m := range moments {
		if m.Kind == trace.Applied && len(m.Topics) > 0 { // one without topics has made no version
			key := transaction(m)
			d.last[key] = max(d.last[key], positions[m.Message])
		}
	}
	d.began = time.Unix(s.At, 0)
	if len(messages) > 0 {
		d.began = messages[0].Time
	}
	for _, m := range moments {
		if m.Kind == trace.Request {
			d.began = m.At
			break
		}
	}
	for i, m := range messages {
		drawn.Steps = append(drawn.Steps, d.step(m, i == 0))
	}
	if len(messages) == 0 {
		drawn.Steps = append(drawn.Steps, views.XRayStep{Cards: []views.XRayCard{d.request(messagestore.Raw{})}})
	}
	return drawn
}

func metadataOf(m messagestore.Raw) messagestore.Metadata {
	metadata, err := m.Metadata()
	if err != nil {
		return messagestore.Metadata{}
	}
	return metadata
}

// transaction names a projection's transaction.
func transaction(m trace.Moment) string { return m.Name + " " + strconv.FormatInt(m.Version, 10) }

func (d *drawing) step(m messagestore.Raw, first bool) (s views.XRayStep) {
	from := ""
	if cause := metadataOf(m).CausationMessageGlobalPosition; cause == 0 {
		if request := d.request(m); first || !d.decided[request.ID] {
			d.decided[request.ID] = true
			s.Cards = append(s.Cards, request)
			from = request.ID
		} else {
			from = request.ID
		}
	} else {
		card := d.decision(m, cause)
		from = card.ID
		if !d.decided[card.ID] {
			d.decided[card.ID] = true
			s.Cards = append(s.Cards, card)
		}
	}
	s.Cards = append(s.Cards, d.message(m, from))
	s.Cards = append(s.Cards, d.failures(m)...)
	s.Cards = append(s.Cards, d.readers(m)...)
	return s
}

// request is the card of the request that wrote a message that nothing else caused.
func (d *drawing) request(m messagestore.Raw) views.XRayCard {
	card := views.XRayCard{
		ID: "hop-request", Lane: views.XRayApp, Kind: views.XRayRequest, Title: d.seen.Route, Sub: "from your browser", Instant: true,
		Walkthrough: d.link(views.XRayRequest),
	}
	for i, at := range d.moments {
		if at.Kind != trace.Request || i > 0 && m.ID != "" && at.At.After(m.Time.Add(slack)) && at.Message != m.ID {
			continue
		}
		card.ID = fmt.Sprintf("hop-request-%d", at.At.UnixMilli())
		card.Title, card.Sub = at.Name, "answered "+strconv.Itoa(at.Status)
		card.After, card.Took, card.Instant = at.At.Sub(d.began), at.Duration, false
		if at.Message == m.ID {
			break
		}
	}
	card.ID += "-" + d.seen.Trace
	card.Facts = []views.XRayFact{{Name: "Trace", Value: d.seen.Trace}}
	card.Words = "Everything below carries this request's trace id, so that it can be found together."
	return card
}

// decision is the card of the component that wrote a message because of another one.
func (d *drawing) decision(m messagestore.Raw, cause int64) views.XRayCard {
	card := views.XRayCard{
		Lane: views.XRayComponent, Kind: views.XRayDecision, Title: writer(m), Instant: true, After: m.Time.Sub(d.began),
		From: []string{messageID(cause)}, Walkthrough: d.link(views.XRayDecision),
	}
	causing, known := d.messages[cause]
	if known {
		card.Sub = "read " + causing.Type
	}
	var handled *trace.Moment
	for i, at := range d.moments {
		if at.Kind != trace.Handled || at.Message != causing.ID || at.Err != "" {
			continue
		}
		// Of several subscriptions to the message it is the one that wrote this.
		if handled == nil || slices.Contains(at.Wrote, m.ID) {
			handled = &d.moments[i]
		}
	}
	name := card.Title
	if handled != nil {
		name = handled.Name
		card.Title, _, _ = strings.Cut(name, ":")
		card.After, card.Took, card.Instant = handled.At.Sub(d.began), handled.Duration, false
		card.Facts = []views.XRayFact{{Name: "Subscription", Value: name}}
	}
	card.ID = fmt.Sprintf("hop-%d-by-%s", cause, name)
	return card
}

// writer names the component that writes messages of a type.
func writer(m messagestore.Raw) string {
	contract, _ := contracts.Of(m.Stream.Category(), m.Type)
	for _, of := range contract.Writers {
		if strings.HasPrefix(of, "components/") {
			return path.Base(of)
		}
	}
	return "a component"
}

func messageID(globalPosition int64) string { return fmt.Sprintf("hop-%d", globalPosition) }

// message is the card of a message, with its data as far as they are nobody's secret.
func (d *drawing) message(m messagestore.Raw, from string) views.XRayCard {
	card := views.XRayCard{
		ID: messageID(m.GlobalPosition), From: []string{from}, Lane: views.XRayStore, Kind: views.XRayEvent, Title: m.Type, Sub: short(string(m.Stream)),
		After: m.Time.Sub(d.began), Instant: true, Walkthrough: d.link(views.XRayEvent),
		Facts: []views.XRayFact{
			{Name: "Stream", Value: string(m.Stream)}, {Name: "Position", Value: views.XRayPosition(m.Position, m.GlobalPosition)},
			{Name: "Written", Value: m.Time.Format("15:04:05.000") + " UTC"}, {Name: "Id", Value: m.ID},
		},
	}
	if cause := metadataOf(m); cause.CausationMessageGlobalPosition != 0 {
		value := string(cause.CausationMessageStreamName)
		if causing, known := d.messages[cause.CausationMessageGlobalPosition]; known {
			value = causing.Type + " in " + value
		}
		card.Facts = append(card.Facts, views.XRayFact{Name: "Because of", Value: value})
	}
	contract, known := contracts.Of(m.Stream.Category(), m.Type)
	if contract.Kind == contracts.Command || strings.HasSuffix(string(m.Stream.Category()), ":command") {
		card.Kind, card.Walkthrough = views.XRayCommand, d.link(views.XRayCommand)
	}
	card.Words = contract.Doc
	if !known {
		card.NoData = "Nothing is known about messages of this type, so their data are not shown."
		return card
	}
	data, _ := contracts.Mask(m)
	card.Data = indented(data)
	return card
}

func indented(data json.RawMessage) string {
	var text bytes.Buffer
	if json.Indent(&text, data, "", "  ") != nil {
		return ""
	}
	shown := text.String()
	if len(shown) <= mostData {
		return shown
	}
	cut := mostData
	for !utf8.RuneStart(shown[cut]) {
		cut--
	}
	return shown[:cut] + "\n… and more"
}

// short leaves of each id in a name what tells it apart.
func short(name string) string {
	if i := len(name) - 36; i > 0 && messagestore.ValidID(name[i:]) {
		return name[:i+8] + "…"
	}
	if last := name[strings.LastIndexAny(name, "-/")+1:]; len(last) > 24 {
		return strings.TrimSuffix(name, last) + last[:8] + "…"
	}
	return name
}

// failures are the tries to handle a message that did not succeed.
func (d *drawing) failures(m messagestore.Raw) (cards []views.XRayCard) {
	for _, at := range d.moments {
		if at.Kind == trace.Handled && at.Message == m.ID && at.Err != "" {
			name, _, _ := strings.Cut(at.Name, ":")
			cards = append(cards, views.XRayCard{
				ID: fmt.Sprintf("hop-%d-failed-%d", m.GlobalPosition, len(cards)), From: []string{messageID(m.GlobalPosition)},
				Lane: views.XRayComponent, Kind: views.XRayDecision, Title: name, Sub: "could not do it yet", Failed: true,
				After: at.At.Sub(d.began), Took: at.Duration, Walkthrough: d.link(views.XRayDecision),
				Words: "This try failed. Nothing is lost: the message stands in the store, and the component tries again by itself.",
			})
		}
	}
	return cards
}

// readers are the cards of the projections that a message changed, of what they changed
// and of the pages that were told.
func (d *drawing) readers(m messagestore.Raw) (cards []views.XRayCard) {
	for _, at := range d.moments {
		if at.Kind != trace.Applied || at.Message != m.ID || len(d.own(at.Topics)) == 0 || at.Name == portalsOwn {
			continue
		}
		reader := views.XRayCard{
			ID: fmt.Sprintf("hop-%d-in-%s", m.GlobalPosition, at.Name), From: []string{messageID(m.GlobalPosition)}, Lane: views.XRayAggregator,
			Kind: views.XRayReader, Title: at.Name, Sub: "read " + m.Type, After: at.At.Sub(d.began), Took: at.Duration, Walkthrough: d.link(views.XRayReader),
			Words: "The rows and the position up to which it has read are written in one transaction, so each message counts exactly once.",
		}
		cards = append(cards, reader)
		d.read[transaction(at)] = append(d.read[transaction(at)], reader.ID)
		if d.last[transaction(at)] != m.GlobalPosition { // the rows changed with a later message of the same transaction
			continue
		}
		for _, topic := range d.own(at.Topics) {
			row := views.XRayCard{
				ID: fmt.Sprintf("hop-%d-row-%s", m.GlobalPosition, topic), From: d.read[transaction(at)], Lane: views.XRayAggregator,
				Kind: views.XRayRow, Title: short(topic), Sub: "version " + strconv.FormatInt(at.Version, 10), After: at.At.Add(at.Duration).Sub(d.began), Instant: true,
				Walkthrough: d.link(views.XRayRow), Facts: []views.XRayFact{{Name: "Row", Value: topic}, {Name: "Version", Value: strconv.FormatInt(at.Version, 10)}},
			}
			cards = append(cards, row)
			cards = append(cards, d.fragments(m, topic, at.Version, row.ID)...)
		}
	}
	return cards
}

// portalsOwn is the projection of all messages that the admin portal counts by.
const portalsOwn = "adminsummary"

// own leaves the topics that may be of this trace: one that names a thing which the trace
// does not know is somebody else's, whose messages came at the same time.
func (d *drawing) own(topics []string) (own []string) {
	for _, topic := range topics {
		id := topic[strings.LastIndexByte(topic, '/')+1:]
		if !messagestore.ValidID(id) || d.knows(id) {
			own = append(own, topic)
		}
	}
	return own
}

func (d *drawing) knows(id string) bool {
	if id == d.seen.Trace || id == d.seen.Owner {
		return true
	}
	for _, m := range d.messages {
		if strings.Contains(string(m.Stream), id) || bytes.Contains(m.Data, []byte(id)) {
			return true
		}
	}
	return false
}

var anyID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// ofTheSame leaves out elements whose ids name a thing that names does not: the page of
// somebody else may get, in the same frame, news of things that are no business of the
// person who looks, and who has the id of an unlisted video may watch it.
func ofTheSame(elements []string, names string) (own []string) {
	for _, element := range elements {
		foreign := slices.ContainsFunc(anyID.FindAllString(element, -1), func(id string) bool { return !strings.Contains(names, id) })
		if !foreign {
			own = append(own, element)
		}
	}
	return own
}

func (d *drawing) fragments(m messagestore.Raw, topic string, version int64, from string) (cards []views.XRayCard) {
	for _, at := range d.moments {
		if at.Kind != trace.Told || at.Name != topic || at.Version != version {
			continue
		}
		elements := ofTheSame(at.Elements, string(m.Stream)+" "+topic)
		card := views.XRayCard{
			ID: fmt.Sprintf("hop-%d-told-%s-%d", m.GlobalPosition, topic, len(cards)), From: []string{from}, Lane: views.XRayBrowser, Kind: views.XRayFragment,
			After: at.At.Sub(d.began), Instant: true, Walkthrough: d.link(views.XRayFragment), Elements: elements,
			Title: "in the page", Sub: "it had this when it was opened",
			Words: "The row was changed before the page was opened, so there was nothing to send.",
		}
		if at.Pages > 0 {
			card.Title = "#" + short(cmp.Or(slices.Concat(elements, []string{"page"})...))
			card.Sub = "sent to " + strconv.Itoa(at.Pages) + " open page"
			if at.Pages > 1 {
				card.Sub += "s"
			}
			card.Words = "Nobody reloaded anything: the piece of HTML came over a connection that the page keeps open, and took the place of the old piece."
		}
		cards = append(cards, card)
	}
	return cards
}
