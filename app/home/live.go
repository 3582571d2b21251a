package home

import (
	"context"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/catalogue"
	"videotutorials/aggregators/viewcounts"
	"videotutorials/app/live"
	"videotutorials/views"
)

// live is the home page's stream. A page of older lessons follows the counts and not
// the list: what is published appears on the first page.
func (a *App) live(c echo.Context) error {
	before, err := beforeOf(c)
	if err != nil {
		return err
	}
	topics := []string{viewcounts.TotalTopic, viewcounts.AnyVideo}
	if before == 0 {
		topics = append(topics, catalogue.Topic)
	}
	return a.feed.Serve(c, live.Page{Topics: topics, Since: func(ctx context.Context, at live.Versions) (templ.Component, live.Versions, error) {
		return a.since(ctx, before, at)
	}})
}

// render returns the fragment of a topic, for all home pages at once.
func (a *App) render(ctx context.Context, topic string) (templ.Component, error) {
	if topic == catalogue.Topic {
		h, _, err := a.read(ctx, 0)
		if err != nil {
			return nil, err
		}
		return views.Push(views.LessonsID, views.LessonList(h.Lessons)), nil
	}
	video, ok := viewcounts.VideoOf(topic)
	if !ok {
		counts, err := a.counts.Of(ctx)
		if err != nil {
			return nil, err
		}
		return views.Push(views.VideosWatchedID, views.VideosWatched(counts.Total)), nil
	}
	counts, err := a.counts.Of(ctx, video)
	if err != nil {
		return nil, err
	}
	return views.Push(views.ViewCountID(video), views.ViewCount(video, counts.Of[video])), nil
}

// since returns what one page does not show yet. The version of the counts is read
// first, and no later one is claimed: a list that is still on its way to the page may
// show older counts than those read here, and the counts after that version, which
// follow it, set them right.
func (a *App) since(ctx context.Context, before int64, at live.Versions) (templ.Component, live.Versions, error) {
	claimed, err := a.counts.Of(ctx)
	if err != nil {
		return nil, nil, err
	}
	list, err := a.videos.Newest(ctx, before, perPage)
	if err != nil {
		return nil, nil, err
	}
	now := live.Versions{catalogue.Name: list.Version, viewcounts.Name: claimed.Version}
	if list.Version != at[catalogue.Name] && before == 0 {
		counts, err := a.counts.Of(ctx, ids(list)...)
		if err != nil {
			return nil, nil, err
		}
		return templ.Join(views.Push(views.LessonsID, views.LessonList(lessons(list, counts))),
			views.Push(views.VideosWatchedID, views.VideosWatched(counts.Total))), now, nil
	}
	if claimed.Version == at[viewcounts.Name] {
		return nil, now, nil
	}
	counts, err := a.counts.Since(ctx, at[viewcounts.Name], ids(list)...)
	if err != nil {
		return nil, nil, err
	}
	fragments := []templ.Component{views.Push(views.VideosWatchedID, views.VideosWatched(counts.Total))}
	for video, n := range counts.Of {
		fragments = append(fragments, views.Push(views.ViewCountID(video), views.ViewCount(video, n)))
	}
	return templ.Join(fragments...), now, nil
}
