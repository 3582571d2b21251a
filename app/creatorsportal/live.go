package creatorsportal

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/creatorsvideos"
	"videotutorials/aggregators/viewcounts"
	"videotutorials/app/live"
	"videotutorials/app/web"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/views"
)

// person returns who is signed in; a stream is for nobody else.
func (a *App) person(c echo.Context) (web.Person, error) {
	person, signedIn, err := a.sessions.Person(c)
	if err == nil && !signedIn {
		err = echo.NewHTTPError(http.StatusUnauthorized)
	}
	return person, err
}

// since returns what a page of somebody does not show yet; see [live.Page].
type since func(ctx context.Context, at live.Versions) (templ.Component, live.Versions, error)

// follow serves a stream of somebody's own. Before each push the session is asked for
// again: once it is over, however that came, the page says so in place of the element
// with an id, and shows nothing new.
func (a *App) follow(c echo.Context, topics []string, id string, since since) error {
	return a.feed.Serve(c, live.Page{Topics: topics, Since: func(ctx context.Context, at live.Versions) (templ.Component, live.Versions, error) {
		_, goesOn, err := a.sessions.Again(ctx, c)
		if err != nil {
			return nil, nil, err
		}
		if !goesOn {
			return views.Push(id, views.SessionOver(id)), at, nil
		}
		return since(ctx, at)
	}})
}

// portalLive is the stream of the page of a person's own videos.
func (a *App) portalLive(c echo.Context) error {
	person, err := a.person(c)
	if err != nil {
		return err
	}
	list, _, err := a.own.Of(c.Request().Context(), person.UserID)
	if err != nil {
		return err
	}
	topics := []string{creatorsvideos.Topic(person.UserID), publishingmsg.ProgressTopics(person.UserID)}
	counted := map[string]bool{}
	for _, v := range list {
		topics, counted[v.ID] = append(topics, viewcounts.Topic(v.ID)), true
	}
	ctx, connectAgain := context.WithCancel(c.Request().Context())
	defer connectAgain()
	c.SetRequest(c.Request().WithContext(ctx))
	shown := shownList{limits: a.limits}
	return a.follow(c, topics, views.CreatorsVideosID, func(ctx context.Context, at live.Versions) (templ.Component, live.Versions, error) {
		list, now, err := a.list(ctx, person.UserID)
		if err != nil {
			return nil, nil, err
		}
		if slices.ContainsFunc(list, func(v views.CreatorsVideo) bool { return !counted[v.ID] }) {
			// The topics of a stream stand fast, and the counts of a new video are not among
			// them: the browser fetches another stream, at once and without a gap.
			time.AfterFunc(time.Second, connectAgain)
		}
		return shown.next(list, at, now), now, nil
	})
}

// shownList is what one stream has made a page show. At first it does not know.
type shownList struct {
	list   []views.CreatorsVideo
	at     live.Versions // nil before the first push
	limits func(list []views.CreatorsVideo) views.UploadLimits
}

// next returns what brings a page that is at a version to a list: the list and how much may
// still be uploaded, or only those rows that are different, which are few while progress
// comes every second.
func (s *shownList) next(list []views.CreatorsVideo, at, now live.Versions) templ.Component {
	before, known := s.list, s.at != nil && maps.Equal(s.at, at)
	s.list, s.at = list, now
	var changed func(i int) bool
	switch {
	case known && slices.EqualFunc(before, list, sameVideo):
		changed = func(i int) bool { return !reflect.DeepEqual(before[i], list[i]) }
	case !known && maps.Equal(at, now): // a page has all but the progress since it was made
		changed = func(i int) bool { return atWork(list[i].Video) }
	default:
		return templ.Join(views.Push(views.CreatorsVideosID, views.CreatorsVideos(list)), views.Push(views.UploadLimitsID, views.UploadRoom(s.limits(list))))
	}
	var rows []templ.Component
	for i, v := range list {
		if changed(i) {
			rows = append(rows, views.Push(views.CreatorsVideoRowID(v.ID), views.CreatorsVideoRow(v)))
		}
	}
	if known {
		if room := s.limits(list); room != s.limits(before) {
			rows = append(rows, views.Push(views.UploadLimitsID, views.UploadRoom(room)))
		}
	}
	if rows == nil {
		return nil
	}
	return templ.Join(rows...)
}

func sameVideo(v, w views.CreatorsVideo) bool { return v.ID == w.ID }

// videoLive is the stream of the page of one video.
func (a *App) videoLive(c echo.Context) error {
	person, err := a.person(c)
	if err != nil {
		return err
	}
	v, err := a.mine(c)
	if err != nil {
		return err
	}
	topics := []string{creatorsvideos.Topic(person.UserID), publishingmsg.ProgressTopic(person.UserID, v.ID), viewcounts.Topic(v.ID)}
	var shown *views.CreatorsVideo
	return a.follow(c, topics, views.CreatorsVideoStateID, func(ctx context.Context, at live.Versions) (templ.Component, live.Versions, error) {
		v, now, err := a.read(ctx, v.ID)
		if errors.Is(err, creatorsvideos.ErrNotFound) {
			return nil, at, nil // it is not shown yet, or was deleted, which the page of that says
		}
		if err != nil {
			return nil, nil, err
		}
		before := shown
		shown = &v
		if before != nil && reflect.DeepEqual(*before, v) && maps.Equal(at, now) {
			return nil, now, nil
		}
		return views.Push(views.CreatorsVideoStateID, views.CreatorsVideoState(v)), now, nil
	})
}
