package recordviewings

import (
	"context"
	"math"
	"strconv"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/viewcounts"
	"videotutorials/app/live"
	"videotutorials/views"
)

// live is the watch page's stream: the counts of its lesson and of those beside it.
func (a *App) live(c echo.Context) error {
	video, err := a.video(c.Request().Context(), c.Param("id"))
	if err != nil {
		return err
	}
	newest, err := strconv.ParseInt(c.QueryParam("newest"), 10, 64)
	if err != nil || newest < 0 {
		newest = math.MaxInt64 // not an address that we gave: today's
	}
	others, _, err := a.others(c.Request().Context(), video.ID, newest)
	if err != nil {
		return err
	}
	shown := append(ids(others), video.ID)
	topics := make([]string, len(shown))
	for i, id := range shown {
		topics[i] = viewcounts.Topic(id)
	}
	return a.feed.Serve(c, live.Page{Topics: topics, Since: func(ctx context.Context, at live.Versions) (templ.Component, live.Versions, error) {
		return a.since(ctx, shown, at)
	}})
}

// render returns the fragment of a video's topic, for all watch pages at once.
func (a *App) render(ctx context.Context, topic string) (templ.Component, error) {
	video, _ := viewcounts.VideoOf(topic)
	counts, err := a.counts.Of(ctx, video)
	if err != nil {
		return nil, err
	}
	return views.Push(views.ViewCountID(video), views.ViewCount(video, counts.Of[video])), nil
}

// since returns the counts that one page does not show yet.
func (a *App) since(ctx context.Context, shown []string, at live.Versions) (templ.Component, live.Versions, error) {
	counts, err := a.counts.Since(ctx, at[viewcounts.Name], shown...)
	if err != nil {
		return nil, nil, err
	}
	now := live.Versions{viewcounts.Name: counts.Version}
	var fragments []templ.Component
	for _, id := range shown {
		if n, changed := counts.Of[id]; changed {
			fragments = append(fragments, views.Push(views.ViewCountID(id), views.ViewCount(id, n)))
		}
	}
	if len(fragments) == 0 {
		return nil, now, nil
	}
	return templ.Join(fragments...), now, nil
}
