package trace

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"videotutorials/app/contracts"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// The lanes that are no component and no aggregator.
const (
	browserLane = "browser"
	webLane     = "web"
	programLane = "program"
	unknownLane = "unknown writer"
)

// Picture draws a trace. Its edges are those that the metadata of the messages tell of:
// from each cause to its effect. What the moments know is added: the request, from which
// the messages without a cause come, the views that a message changed, and the pages that
// were told of it. A moment that belongs to nothing in the picture is left out. The order of
// the messages does not matter.
func Picture(messages []messagestore.Raw, moments []Moment) views.TracePicture {
	d := drawing{at: map[string]int{}}
	d.messages(messages)
	d.requests(moments)
	d.troubles(moments)
	d.views(moments)
	d.pages(moments)
	return d.picture()
}

// drawing is a picture before it has a layout.
type drawing struct {
	cards []card
	edges []edge
	at    map[string]int // the cards by their keys
}

// card is something that happened.
type card struct {
	views.TraceCard
	lane string
	// rank orders lanes: the browser, the web, components, aggregators.
	rank       int
	began, end time.Time
	message    messagestore.Raw // of a message
	topics     []string         // of a view
	version    int64
}

type edge struct{ from, to string }

func (d *drawing) add(c card) {
	if _, there := d.at[c.Key]; !there {
		d.at[c.Key] = len(d.cards)
		d.cards = append(d.cards, c)
	}
}

func (d *drawing) join(from, to string) {
	if !slices.Contains(d.edges, edge{from, to}) {
		d.edges = append(d.edges, edge{from, to})
	}
}

// cause is what the metadata say of the message that led to another.
type cause struct {
	stream   messagestore.Stream
	position int64 // in the stream; -1 where it is not said
	global   int64 // 0 where it is not said
}

// causeOf reads what it can: others than ours may write to the store.
func causeOf(m messagestore.Raw) (c cause) {
	c.position = -1
	var fields map[string]json.RawMessage
	if json.Unmarshal(m.RawMetadata, &fields) != nil {
		return c
	}
	read := func(name string, into any) bool {
		value, ok := fields[name]
		return ok && string(value) != "null" && json.Unmarshal(value, into) == nil
	}
	read("causationMessageStreamName", &c.stream)
	if !read("causationMessagePosition", &c.position) {
		c.position = -1
	}
	if !read("causationMessageGlobalPosition", &c.global) {
		c.global = 0
	}
	return c
}

// none reports whether the message began something.
func (c cause) none() bool { return c.global <= 0 && (c.stream == "" || c.position < 0) }

func (c cause) is(m messagestore.Raw) bool {
	if c.global > 0 {
		return c.global == m.GlobalPosition
	}
	return c.stream == m.Stream && c.position == m.Position
}

func (d *drawing) messages(messages []messagestore.Raw) {
	messages = slices.Clone(messages)
	slices.SortFunc(messages, func(a, b messagestore.Raw) int { return cmp.Compare(a.GlobalPosition, b.GlobalPosition) })
	for _, m := range messages {
		d.add(ofMessage(m))
	}
	for _, m := range messages {
		c := causeOf(m)
		if c.none() {
			continue
		}
		i := slices.IndexFunc(messages, c.is)
		if i >= 0 {
			d.join(messages[i].ID, m.ID)
			continue
		}
		before := card{lane: unknownLane, rank: 1, began: m.Time, end: m.Time}
		before.Kind = views.TraceBefore
		before.Name = string(c.stream)
		if c.global > 0 {
			before.Key = "before " + strconv.FormatInt(c.global, 10)
			before.Detail = "position " + strconv.FormatInt(c.global, 10)
			before.URL = views.AdminMessagesBefore(c.global + 1)
			if before.Name == "" {
				before.Name, before.Detail = before.Detail, ""
			}
		} else {
			before.Key = "before " + strconv.FormatInt(c.position, 10) + " " + string(c.stream)
			before.Detail = "position " + strconv.FormatInt(c.position, 10)
		}
		if category := c.stream.Category(); category != "" {
			before.lane = strings.TrimSuffix(string(category), string(messagestore.Category("").Commands()))
			before.rank = 3
		}
		d.add(before)
		d.join(before.Key, m.ID)
	}
}

func ofMessage(m messagestore.Raw) card {
	c := card{lane: unknownLane, rank: 5, began: m.Time, end: m.Time, message: m}
	c.Key, c.Kind, c.Name = m.ID, views.TraceMessage, m.Type
	c.Detail = string(m.Stream.Category()) + " " + strconv.FormatInt(m.Position, 10)
	c.URL = views.AdminMessagePath(m.ID)
	known, ok := contracts.Of(m.Stream.Category(), m.Type)
	if !ok {
		return c
	}
	c.Kind = known.Kind // views has the same words
	for _, writer := range known.Writers {
		kind, name, _ := strings.Cut(writer, "/")
		switch {
		case kind == "app" && c.rank > 2:
			c.lane, c.rank = webLane, 2
		case kind == "components" && c.rank > 3:
			c.lane, c.rank = name, 3
		case kind == "main" && c.rank > 4, kind == "messagestore" && c.rank > 4:
			c.lane, c.rank = programLane, 4
		}
	}
	return c
}

// requests draws what the browser sent; each message without a cause comes from the last
// request before it.
func (d *drawing) requests(moments []Moment) {
	var requests []card
	for _, m := range moments {
		if m.Kind != Request {
			continue
		}
		c := card{lane: browserLane, rank: 1, began: m.At, end: m.At.Add(m.Duration)}
		c.Key, c.Kind, c.Name = "request "+strconv.Itoa(len(requests))+" "+m.Name, views.TraceRequest, m.Name
		c.Detail = strconv.Itoa(m.Status) + " in " + took(m.Duration)
		requests = append(requests, c)
	}
	if len(requests) == 0 {
		return
	}
	led := map[string]bool{}
	for _, e := range d.edges {
		led[e.to] = true
	}
	for _, c := range slices.Clone(d.cards) {
		if c.message.ID == "" || led[c.Key] {
			continue
		}
		from := requests[0]
		for _, r := range requests {
			if !r.began.After(c.began) {
				from = r
			}
		}
		d.add(from)
		d.join(from.Key, c.Key)
	}
}

// troubles draws the tries at a message that ended with an error, one card for each that
// tried.
func (d *drawing) troubles(moments []Moment) {
	tries := map[string]int{}
	for _, m := range moments {
		if m.Err == "" || (m.Kind != Handled && m.Kind != Applied) {
			continue
		}
		of, known := d.at[m.Message]
		if !known {
			continue
		}
		c := card{lane: laneOf(m), rank: 3, began: m.At, end: m.At.Add(m.Duration)}
		if m.Kind == Applied {
			c.rank = 6
		}
		c.Key, c.Kind, c.Name = "trouble "+m.Message+" "+m.Name, views.TraceTrouble, m.Name
		d.add(c)
		d.join(d.cards[of].Key, c.Key)
		tries[c.Key]++
		if n := tries[c.Key]; n > 1 {
			d.cards[d.at[c.Key]].Detail = strconv.Itoa(n) + " times: " + m.Err
		} else {
			d.cards[d.at[c.Key]].Detail = m.Err
		}
	}
}

// laneOf is the component or aggregator of a subscription, by its name: "identity:mails" and
// "registrations-mail" are of identity and registrations.
func laneOf(m Moment) string {
	name, _, _ := strings.Cut(m.Name, ":")
	if m.Kind == Applied {
		name, _, _ = strings.Cut(name, "-")
	}
	return strings.ToLower(name)
}

// views draws the transactions of the projections that handle a type by name: one that
// only counts all messages tells nothing of this trace.
func (d *drawing) views(moments []Moment) {
	for _, m := range moments {
		if m.Kind != Applied || m.Err != "" {
			continue
		}
		i, known := d.at[m.Message]
		if !known {
			continue
		}
		of := d.cards[i].message
		contract, ok := contracts.Of(of.Stream.Category(), of.Type)
		if ok && !slices.Contains(contract.Handlers, "aggregators/"+laneOf(m)) || !ok && len(m.Topics) == 0 {
			continue
		}
		key := "view " + m.Name + " " + strconv.FormatInt(m.Version, 10) + " " + strconv.FormatInt(m.At.UnixNano(), 10)
		if j, there := d.at[key]; there {
			for _, topic := range m.Topics {
				if !slices.Contains(d.cards[j].topics, topic) {
					d.cards[j].topics = append(d.cards[j].topics, topic)
				}
			}
		} else {
			c := card{lane: laneOf(m), rank: 6, began: m.At, end: m.At.Add(m.Duration), topics: slices.Clone(m.Topics), version: m.Version}
			c.Key, c.Kind, c.Name = key, views.TraceView, m.Name
			c.Detail = "in " + took(m.Duration)
			if len(m.Topics) > 0 {
				c.Detail = "version " + strconv.FormatInt(m.Version, 10) + ", " + took(m.Duration)
			}
			d.add(c)
		}
		d.join(m.Message, key)
	}
}

// pages draws what open pages were told.
func (d *drawing) pages(moments []Moment) {
	for _, m := range moments {
		if m.Kind != Told {
			continue
		}
		for _, view := range d.cards {
			if view.Kind != views.TraceView || view.version != m.Version || !slices.Contains(view.topics, m.Name) {
				continue
			}
			c := card{lane: browserLane, rank: 1, began: m.At, end: m.At.Add(m.Duration)}
			c.Key, c.Kind = "page "+m.Name+" "+view.Key, views.TracePage
			c.Name, _, _ = strings.Cut(m.Name, "/")
			switch {
			case m.Pages == 0:
				c.Detail = "when opened"
			case m.Pages == 1:
				c.Detail = "1 page"
			default:
				c.Detail = strconv.Itoa(m.Pages) + " pages"
			}
			d.add(c)
			d.join(view.Key, c.Key)
			break
		}
	}
}

// picture gives everything its place. What happened later stands further down, each lane
// has one card in a row, and an effect is below its cause.
func (d *drawing) picture() views.TracePicture {
	var p views.TracePicture
	if len(d.cards) == 0 {
		return p
	}
	order := slices.Clone(d.cards)
	causes := map[string][]string{}
	for _, e := range d.edges {
		causes[e.to] = append(causes[e.to], e.from)
	}
	slices.SortStableFunc(order, func(a, b card) int {
		return cmp.Or(a.began.Compare(b.began), cmp.Compare(a.message.GlobalPosition, b.message.GlobalPosition))
	})
	order = causesFirst(order, causes)

	type lane struct {
		name string
		rank int
	}
	var lanes []lane
	for _, c := range order {
		i := slices.IndexFunc(lanes, func(l lane) bool { return l.name == c.lane })
		if i < 0 {
			lanes = append(lanes, lane{c.lane, c.rank})
		} else {
			lanes[i].rank = min(lanes[i].rank, c.rank)
		}
	}
	slices.SortStableFunc(lanes, func(a, b lane) int { return cmp.Compare(a.rank, b.rank) })
	for i, l := range lanes {
		p.Lanes = append(p.Lanes, views.TraceLane{Name: l.name, X: views.TraceLaneWidth/2 + i*views.TraceLaneWidth})
	}

	start, end := order[0].began, order[0].end
	for _, c := range order {
		if c.Kind != views.TraceBefore {
			start, end = earliest(start, c.began), latest(end, c.end)
		}
	}
	rows, last, below := map[string]int{}, map[string]int{}, 0
	for _, c := range order {
		row := last[c.lane]
		for _, from := range causes[c.Key] {
			if r, placed := rows[from]; placed {
				row = max(row, r+1)
			}
		}
		rows[c.Key], last[c.lane] = row, row+1
		below = max(below, row)
		shown := c.TraceCard
		shown.Lane = slices.IndexFunc(lanes, func(l lane) bool { return l.name == c.lane })
		shown.X = p.Lanes[shown.Lane].X - views.TraceCardWidth/2
		shown.Y = top(row)
		if c.Kind != views.TraceBefore {
			shown.At = took(c.began.Sub(start))
		}
		p.Cards = append(p.Cards, shown)
	}
	p.Width, p.Height = len(lanes)*views.TraceLaneWidth, top(below)+views.TraceCardHeight+views.TraceRowGap/2
	p.Took = took(end.Sub(start))
	at := map[string]int{}
	for i, c := range p.Cards {
		at[c.Key] = i
	}
	for _, e := range d.edges {
		from, to := p.Cards[at[e.from]], p.Cards[at[e.to]]
		line := views.TraceEdge{From: e.from, To: e.to, Kind: to.Kind, Path: path(from, to), HeadX: to.X + views.TraceCardWidth/2, HeadY: to.Y}
		if from.Kind != views.TraceBefore {
			line.Took = took(hop(d.cards[d.at[e.from]], d.cards[d.at[e.to]]))
		}
		line.X, line.Y = line.HeadX+7, line.HeadY-5-11*len(to.Because)
		p.Cards[at[e.to]].Because = append(to.Because, views.TraceCause{Name: from.Name, Took: line.Took})
		p.Edges = append(p.Edges, line)
	}
	return p
}

// causesFirst moves each card behind its causes, where the times of two clocks, or
// whoever wrote the metadata, say otherwise; those of a circle stay as they are.
func causesFirst(order []card, causes map[string][]string) []card {
	var sorted []card
	placed := map[string]bool{}
	for len(order) > 0 {
		var rest []card
		for _, c := range order {
			if slices.ContainsFunc(causes[c.Key], func(from string) bool { return from != c.Key && !placed[from] }) {
				rest = append(rest, c)
				continue
			}
			placed[c.Key] = true
			sorted = append(sorted, c)
		}
		if len(rest) == len(order) {
			return append(sorted, rest...)
		}
		order = rest
	}
	return sorted
}

// hop is how long it took from one card to the next: until a message was written, until a
// view was committed, until a page was told.
func hop(from, to card) time.Duration {
	switch {
	case from.Kind == views.TraceRequest:
		return to.began.Sub(from.began)
	case to.Kind == views.TraceView:
		return to.end.Sub(from.began)
	}
	return to.began.Sub(from.end)
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func top(row int) int {
	return views.TraceRowGap*3/4 + row*(views.TraceCardHeight+views.TraceRowGap)
}

// path leads from the foot of a card to the head of another: down the gap below the one,
// along the gap between two lanes where it is further, and never through a card.
func path(from, to views.TraceCard) string {
	x1, y1 := from.X+views.TraceCardWidth/2, from.Y+views.TraceCardHeight
	x2, y2 := to.X+views.TraceCardWidth/2, to.Y
	aside := from.Lane % 4 * 4 // lines from different lanes do not lie upon one another
	leave := y1 + 6 + aside
	var points [][2]int
	switch {
	case x1 == x2 && y2-y1 == views.TraceRowGap:
		points = [][2]int{{x1, y1}, {x2, y2}}
	case y2-y1 == views.TraceRowGap:
		points = [][2]int{{x1, y1}, {x1, leave}, {x2, leave}, {x2, y2}}
	default: // also back, from a message that says it was caused by a later one
		gutter := to.X - 6
		enter := y2 - views.TraceRowGap + 6 + aside
		points = [][2]int{{x1, y1}, {x1, leave}, {gutter, leave}, {gutter, enter}, {x2, enter}, {x2, y2}}
	}
	var b strings.Builder
	for i, p := range points {
		b.WriteString(map[bool]string{true: "M", false: " L"}[i == 0] + strconv.Itoa(p[0]) + " " + strconv.Itoa(p[1]))
	}
	return b.String()
}

// took writes a duration as it is read fastest. The clocks of two machines may differ: less
// than nothing is nothing.
func took(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < 10*time.Millisecond:
		return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 1, 64) + " ms"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d.Minutes())) + " min " + strconv.Itoa(int(d.Seconds())%60) + " s"
	}
	return strconv.Itoa(int(d.Hours())) + " h " + strconv.Itoa(int(d.Minutes())%60) + " min"
}
