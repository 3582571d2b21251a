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

// live is the watch page's stream: how many people watch its lesson, and the counts of
// that and of those beside it.
func (a *App) live(c echo.Context) error {
	video, _, err := a.video(c, c.Param("id"))
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
	topics := []string{watchingTopics(video.ID)}
	for _, id := range shown {
		topics = append(topics, viewcounts.Topic(id))
	}
	defer a.audience.enter(video.ID)()
	return a.feed.Serve(c, live.Page{Topics: topics, Since: func(ctx context.Context, at live.Versions) (templ.Component, live.Versions, error) {
		return a.since(ctx, video.ID, shown, at)
	}})
}

// render returns the fragment of a topic, for all watch pages at once.
func (a *App) render(ctx context.Context, topic string) (templ.Component, error) {
	if video, ok := watchedIn(topic); ok {
		return a.watching(video), nil
	}
	video, _ := viewcounts.VideoOf(topic)
	counts, err := a.counts.Of(ctx, video)
	if err != nil {
		return nil, err
	}
	return views.Push(views.ViewCountID(video), views.ViewCount(video, counts.Of[video])), nil
}

func (a *App) watching(videoID string) templ.Component {
	return views.Push(views.WatchingID(videoID), views.Watching(videoID, a.audience.of(videoID)))
}

// since returns the counts that one page does not show yet, and how many watch, of which
// no version tells whether the page shows it.
func (a *App) since(ctx context.Context, watched string, shown []string, at live.Versions) (templ.Component, live.Versions, error) {
	counts, err := a.counts.Since(ctx, at[viewcounts.Name], shown...)
	if err != nil {
		return nil, nil, err
	}
	fragments := []templ.Component{a.watching(watched)}
	for _, id := range shown {
		if n, changed := counts.Of[id]; changed {
			fragments = append(fragments, views.Push(views.ViewCountID(id), views.ViewCount(id, n)))
		}
	}
	return templ.Join(fragments...), live.Versions{viewcounts.Name: counts.Version}, nil
}
