package creatorsportal

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/creatorsvideos"
	"videotutorials/aggregators/viewcounts"
	"videotutorials/app/live"
	"videotutorials/app/web"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/views"
)

func (a *App) portal(c echo.Context) error {
	return a.Problem(c, http.StatusOK, views.UploadForm{})
}

// Problem answers with the page of a person's own videos and with what they typed into the
// form that takes a video. Somebody must be signed in.
func (a *App) Problem(c echo.Context, status int, typed views.UploadForm) error {
	ctx := c.Request().Context()
	person, _, err := a.sessions.Person(c)
	if err != nil {
		return err
	}
	list, at, err := a.list(ctx, person.UserID)
	if err != nil {
		return err
	}
	p := web.Page(c, "Your videos")
	p.Uploads = true
	p.Live = liveURL(views.CreatorsPortalPath, at)
	return web.Render(c, status, views.CreatorsPortalPage(p, views.Portal{
		Videos: list, UploadLimits: a.limits(list), AsItIs: a.config.AsItIs, Form: typed,
	}))
}

// limits are what is told to somebody with these videos before they upload.
func (a *App) limits(list []views.CreatorsVideo) views.UploadLimits {
	limits := views.UploadLimits{MostBytes: a.config.MostBytes, Quota: a.config.Quota, MostLength: a.config.MostLength}
	for _, v := range list {
		limits.Used += v.Bytes
	}
	return limits
}

func liveURL(path string, at live.Versions) string {
	return path + "/live?" + url.Values{"at": {at.String()}}.Encode()
}

// list returns a person's videos, and the versions of the view data that says so.
func (a *App) list(ctx context.Context, ownerID string) ([]views.CreatorsVideo, live.Versions, error) {
	own, version, err := a.own.Of(ctx, ownerID)
	if err != nil {
		return nil, nil, err
	}
	ids := make([]string, len(own))
	for i, v := range own {
		ids[i] = v.ID
	}
	counts, err := a.counts.Of(ctx, ids...)
	if err != nil {
		return nil, nil, err
	}
	list := make([]views.CreatorsVideo, len(own))
	notices := a.board.Below(publishingmsg.ProgressTopics(ownerID))
	for i, v := range own {
		list[i] = views.CreatorsVideo{Video: v, Views: counts.Of[v.ID], Progress: progressOf(v, notices)}
	}
	return list, live.Versions{creatorsvideos.Name: version, viewcounts.Name: counts.Version}, nil
}

// progressOf returns what the board says of the work on a video, if it says it of the
// attempt that is going on.
func progressOf(v creatorsvideos.Video, notices map[string]json.RawMessage) views.Progress {
	var p publishingmsg.Progress
	notice, known := notices[publishingmsg.ProgressTopic(v.OwnerID, v.ID)]
	if !known || !atWork(v) || json.Unmarshal(notice, &p) != nil || p.Attempt != v.Attempt {
		return views.Progress{}
	}
	return views.Progress{Step: p.Step, Percent: p.Percent, Remaining: p.Remaining}
}

func atWork(v creatorsvideos.Video) bool {
	return v.State == creatorsvideos.Publishing || v.State == creatorsvideos.Playable
}
