package admin

import (
	"context"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/adminsummary"
	"videotutorials/app/live"
	"videotutorials/app/trace"
	"videotutorials/app/web"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// tracePicture draws the messages of a trace and, for as long as this process remembers
// them, the moments between them.
func (a *App) tracePicture(_ context.Context, traceID string, messages []messagestore.Raw) templ.Component {
	var moments []trace.Moment
	if a.Recorder != nil {
		moments = a.Recorder.Of(traceID)
	}
	return views.TraceFigure(trace.Picture(messages, moments))
}

// tracePause gathers the moments of a trace before its pages are drawn anew.
const tracePause = 150 * time.Millisecond

// tracesTopic is the part of the hub's topics that say of a trace that it has moments.
const tracesTopic = "trace/"

// traces are those that somebody looks at.
type traces struct {
	mu      sync.Mutex
	pages   map[string]int // by trace
	pending map[string]bool
	version int64
}

func traceTopic(traceID string) string {
	return tracesTopic + messagestore.DeriveID("trace", traceID) // which may be anything
}

// traceChanged is told by the recorder of a trace that has got a moment.
func (a *App) traceChanged(traceID string) {
	t := &a.traces
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pages[traceID] == 0 || t.pending[traceID] {
		return
	}
	t.pending[traceID] = true
	time.AfterFunc(tracePause, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.pending, traceID)
		t.version = max(t.version+1, time.Now().UnixMilli()) // goes on rising when the program starts again
		a.Hub.Notify(traceTopic(traceID) + " " + strconv.FormatInt(t.version, 10))
	})
}

func (t *traces) opened(traceID string, by int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pages == nil {
		t.pages, t.pending = map[string]int{}, map[string]bool{}
	}
	if t.pages[traceID] += by; t.pages[traceID] == 0 {
		delete(t.pages, traceID)
	}
}

func (t *traces) at() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.version
}

// traceLive is the stream of the page of a trace: the picture grows with the trace, and the
// page tells how many messages have come above its list.
func (a *App) traceLive(c echo.Context, traceID string) error {
	top, err := strconv.ParseInt(c.QueryParam("top"), 10, 64)
	if err != nil || top < 0 {
		return web.NotFound("This part of the list does not exist.")
	}
	a.traces.opened(traceID, 1)
	defer a.traces.opened(traceID, -1)
	return a.followRested(c, []string{adminsummary.CategoriesTopic, traceTopic(traceID)}, views.AdminBodyID, func() since {
		newer := views.Newer{One: "newer message", Many: "newer messages", Most: mostNewer, URL: views.AdminTracePath(traceID)}
		drawn := ""
		return func(ctx context.Context, _ live.Versions) (templ.Component, live.Versions, error) {
			version, err := a.Summary.Version(ctx)
			if err != nil {
				return nil, nil, err
			}
			now := live.Versions{adminsummary.Name: version, strings.TrimSuffix(tracesTopic, "/"): a.traces.at()}
			list, err := a.Store.Find(ctx, messagestore.Query{TraceID: traceID, Limit: perTracePage})
			if err != nil {
				return nil, nil, err
			}
			count := 0
			for _, m := range list {
				if m.GlobalPosition > top {
					count++
				}
			}
			var html strings.Builder
			if err := a.tracePicture(ctx, traceID, list).Render(ctx, &html); err != nil {
				return nil, nil, err
			}
			if html.String() == drawn && count == newer.Count {
				return nil, now, nil
			}
			drawn, newer.Count = html.String(), count
			return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
				if err := views.Push(views.TraceID, templ.Raw(drawn)).Render(ctx, w); err != nil {
					return err
				}
				return views.Push(views.AdminNewerID, views.AdminNewer(newer)).Render(ctx, w)
			}), now, nil
		}
	})
}
