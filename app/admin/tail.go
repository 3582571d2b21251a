package admin

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"videotutorials/app/contracts"
	"videotutorials/app/live"
	"videotutorials/app/web"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// The names of what the id of a frame of the tail holds: up to which global position the
// page has seen everything, and how much that was since it was opened. So a stream that is
// taken up again goes on exactly there.
const (
	tailTopic   = "tail"
	tailSeen    = "seen"
	tailMatched = "matched"
)

const (
	tailPause = 100 * time.Millisecond // between two frames, in which what comes is gathered
	tailRows  = 200                    // of one frame; what is more is counted
	tailPage  = 500                    // messages of one read
	// With their bodies, which may be a megabyte each, fewer are read at once.
	tailPageWhole = 50
	tailFrame     = 2_000 // messages read for one frame
	tailBefore    = 50    // rows of a page that is opened
	rateSpan      = 5 * time.Second
)

func (a *App) tailRoutes(g *echo.Group) {
	a.page(g, views.AdminTailPath, a.tail)
	a.stream(g, livePath(views.AdminTailPath), a.tailLive)
}

// wakes tells the hub that there may be news for pages of this process, a moment after the
// first of them and once for all that come meanwhile.
type wakes struct {
	pages   atomic.Int64 // that wait for them
	pending atomic.Bool
	version atomic.Int64
}

// Woken says that there may be new messages.
func (a *App) Woken() {
	if a.tails.pages.Load() > 0 && a.tails.pending.CompareAndSwap(false, true) {
		time.AfterFunc(tailPause, func() {
			a.tails.pending.Store(false)
			a.Hub.Notify(tailTopic + " " + strconv.FormatInt(a.tails.version.Add(1), 10))
		})
	}
}

func tailFilter(c echo.Context) views.AdminTailFilter {
	return views.AdminTailFilter{
		Category: c.QueryParam("category"), Type: c.QueryParam("type"), User: c.QueryParam("user"), Trace: c.QueryParam("trace"), Text: c.QueryParam("text"),
	}
}

// passes reports whether a message passes a filter. The text may stand in its body, as far as
// that is not masked, or in its stream: what one may not see can not be guessed either.
func passes(f views.AdminTailFilter, m messagestore.Raw) bool {
	origin := originOf(m)
	return (f.Category == "" || string(m.Stream.Category()) == f.Category) && (f.Type == "" || m.Type == f.Type) &&
		(f.User == "" || origin.user == f.User) && (f.Trace == "" || origin.trace == f.Trace) &&
		(f.Text == "" || strings.Contains(string(m.Stream), f.Text) || within(f.Text, m))
}

func within(text string, m messagestore.Raw) bool {
	data, _ := contracts.Mask(m)
	return bytes.Contains(bytes.ToLower(data), bytes.ToLower([]byte(text)))
}

func (a *App) tail(c echo.Context) error {
	ctx, f := c.Request().Context(), tailFilter(c)
	paused := c.QueryParams().Has("paused")
	position, err := strconv.ParseInt(cmp.Or(c.QueryParam("paused"), c.QueryParam("from"), "-1"), 10, 64)
	if err != nil || position < -1 {
		return web.NotFound("The tail has no such position.")
	}
	if position < 0 {
		if position, err = a.Store.Settled(ctx); err != nil {
			return err
		}
	}
	list, err := a.upTo(ctx, f, position)
	if err != nil {
		return err
	}
	categories, err := a.Summary.Categories(ctx, "", firstNames)
	if err != nil {
		return err
	}
	types, err := a.Summary.Types(ctx, "", firstNames)
	if err != nil {
		return err
	}
	t := views.AdminTail{Filter: f, Paused: paused, Status: views.AdminTailStatus{Filter: f, Position: position}, Messages: lines(list)}
	for _, category := range categories {
		t.Categories = append(t.Categories, string(category.Category))
	}
	for _, kind := range types {
		t.Types = append(t.Types, kind.Type)
	}
	slices.Sort(t.Types)
	t.Types = slices.Compact(t.Types)
	p := web.Page(c, "Live tail")
	if !paused {
		at := live.Versions{tailTopic: position, tailSeen: 0, tailMatched: 0}
		p.Live = f.URL(livePath(views.AdminTailPath), "", 0)
		p.Live += map[bool]string{true: "&", false: "?"}[f != views.AdminTailFilter{}] + url.Values{"at": {at.String()}}.Encode()
	}
	return web.Render(c, http.StatusOK, views.AdminTailPage(p, t))
}

// upTo returns the newest messages up to a position that pass a filter, as far as they are
// found near it.
func (a *App) upTo(ctx context.Context, f views.AdminTailFilter, position int64) ([]messagestore.Raw, error) {
	q := messagestore.Query{Before: position + 1, Limit: 4 * tailBefore}
	switch {
	case f.Trace != "":
		q.TraceID = f.Trace
	case f.User != "":
		q.UserID = f.User
	case f.Type != "":
		q.Type = f.Type
	default:
		q.Category = messagestore.Category(f.Category)
	}
	if f.Text != "" {
		q.Data, q.Limit = true, tailBefore
	}
	found, err := a.Store.Find(ctx, q)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(m messagestore.Raw) bool { return !passes(f, m) })
	return found[:min(len(found), tailBefore)], nil
}

// tailLive is the stream of the tail. Each page reads for itself, from where it is.
func (a *App) tailLive(c echo.Context) error {
	a.tails.pages.Add(1)
	defer a.tails.pages.Add(-1)
	t := tailReader{App: a, filter: tailFilter(c)}
	return a.follow(c, []string{tailTopic}, views.AdminTailStatusID, t.next)
}

// tailReader is what one stream of the tail remembers.
type tailReader struct {
	*App
	filter views.AdminTailFilter
	reader *messagestore.AllReader
	told   views.AdminTailStatus
	counts []counted // of the last seconds
}

type counted struct {
	at   time.Time
	seen int64
}

func (t *tailReader) next(ctx context.Context, at live.Versions) (templ.Component, live.Versions, error) {
	from, known := at[tailTopic]
	if !known {
		var err error
		if from, err = t.Store.Settled(ctx); err != nil {
			return nil, nil, err
		}
	}
	if t.reader == nil || t.reader.Position() != from {
		t.reader = t.Store.All(from)
		if t.filter.Text == "" {
			t.reader.WithoutData()
		}
	}
	status := views.AdminTailStatus{Filter: t.filter, Seen: at[tailSeen], Matched: at[tailMatched]}
	size := tailPage
	if t.filter.Text != "" { // these bring their bodies
		size = tailPageWhole
	}
	var rows []views.AdminMessage
	read, dropped := 0, 0
	for read < tailFrame {
		page, err := t.reader.Next(ctx, size)
		if err != nil {
			return nil, nil, err
		}
		if len(page) == 0 {
			break
		}
		read += len(page)
		for _, m := range page {
			if passes(t.filter, m) {
				rows = append(rows, line(m))
			}
		}
		if over := len(rows) - tailRows; over > 0 {
			dropped += over
			rows = slices.Delete(rows, 0, over)
		}
	}
	if read >= tailFrame {
		t.Woken() // there is more
	}
	gap := views.AdminTailGap{Count: int64(dropped)}
	status.Position, status.Seen, status.Matched = t.reader.Position(), status.Seen+int64(read), status.Matched+int64(len(rows)+dropped)
	status.Rate = t.rate(status.Seen)
	now := live.Versions{tailTopic: status.Position, tailSeen: status.Seen, tailMatched: status.Matched}
	if read == 0 && status == t.told {
		return nil, now, nil
	}
	t.told = status
	pushed := views.Push(views.AdminTailStatusID, views.AdminTailStatusLine(status))
	if len(rows) > 0 {
		gap.Before = rows[0].GlobalPosition
		slices.Reverse(rows)
		pushed = templ.Join(views.AdminTailRows(rows, gap), pushed)
	}
	return pushed, now, nil
}

// rate is how many messages a second came in the last seconds.
func (t *tailReader) rate(seen int64) float64 {
	now := time.Now()
	t.counts = append(t.counts, counted{now, seen})
	for len(t.counts) > 1 && now.Sub(t.counts[1].at) >= rateSpan {
		t.counts = t.counts[1:]
	}
	first := t.counts[0]
	return float64(seen-first.seen) / max(now.Sub(first.at).Seconds(), 1)
}
