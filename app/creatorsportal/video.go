package creatorsportal

import (
	"context"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/creatorsvideos"
	"videotutorials/aggregators/viewcounts"
	"videotutorials/app/live"
	"videotutorials/app/web"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// video is the page on which a person changes a video of theirs.
func (a *App) video(c echo.Context) error {
	v, err := a.mine(c)
	if err != nil {
		return err
	}
	return a.edit(c, http.StatusOK, v, views.CreatorsVideoEdit{})
}

// edit answers with the page of a video, its forms as they are given.
func (a *App) edit(c echo.Context, status int, own creatorsvideos.Video, forms views.CreatorsVideoEdit) error {
	v, at, err := a.read(c.Request().Context(), own.ID)
	if errors.Is(err, creatorsvideos.ErrNotFound) {
		v, at, err = views.CreatorsVideo{Video: own}, nil, nil
	}
	if err != nil {
		return err
	}
	title := v.Title
	if title == "" {
		title = "Your video"
	}
	forms.Video = v
	p := web.Page(c, title)
	p.Live = liveURL(views.CreatorsVideoPath(v.ID), at)
	return web.Render(c, status, views.CreatorsVideoPage(p, forms))
}

// read returns a video as its owner sees it, and the versions of the view data that says so.
func (a *App) read(ctx context.Context, videoID string) (views.CreatorsVideo, live.Versions, error) {
	v, version, err := a.own.ByID(ctx, videoID)
	if err != nil {
		return views.CreatorsVideo{}, nil, err
	}
	counts, err := a.counts.Of(ctx, videoID)
	if err != nil {
		return views.CreatorsVideo{}, nil, err
	}
	shown := views.CreatorsVideo{Video: v, Views: counts.Of[v.ID], Progress: progressOf(v, a.board.Below(publishingmsg.ProgressTopic(v.OwnerID, v.ID)))}
	return shown, live.Versions{creatorsvideos.Name: version, viewcounts.Name: counts.Version}, nil
}

const noVideo = "You have no such video. It may have been deleted."

// mine returns the video at the request's address, if it is that of who is signed in:
// anybody else's does not exist for them.
func (a *App) mine(c echo.Context) (creatorsvideos.Video, error) {
	ctx, id := c.Request().Context(), c.Param("id")
	person, _, err := a.sessions.Person(c)
	if err != nil {
		return creatorsvideos.Video{}, err
	}
	v, _, err := a.own.ByID(ctx, id)
	switch {
	case errors.Is(err, creatorsvideos.ErrNotFound) && messagestore.ValidID(id):
		return a.begun(ctx, person.UserID, id)
	case errors.Is(err, creatorsvideos.ErrNotFound) || err == nil && (v.OwnerID == "" || v.OwnerID != person.UserID):
		return creatorsvideos.Video{}, web.NotFound(noVideo)
	}
	return v, err
}

// begun returns a video that a person has begun to upload, and that the view data does not
// show yet: its title is typed while the upload runs, and must not get lost.
func (a *App) begun(ctx context.Context, userID, videoID string) (creatorsvideos.Video, error) {
	none := web.NotFound(noVideo)
	for _, gone := range []messagestore.Body{publishingmsg.VideoDeleted{}, publishingmsg.UploadAbandoned{}} {
		_, err := a.store.Last(ctx, publishingmsg.Category.Stream(videoID), gone.MessageType())
		if err == nil {
			return creatorsvideos.Video{}, none
		}
		if !errors.Is(err, messagestore.ErrNoMessage) {
			return creatorsvideos.Video{}, err
		}
	}
	last, err := a.store.Last(ctx, publishingmsg.Category.CommandStream(videoID), publishingmsg.BeginUpload{}.MessageType())
	if errors.Is(err, messagestore.ErrNoMessage) {
		return creatorsvideos.Video{}, none
	}
	if err != nil {
		return creatorsvideos.Video{}, err
	}
	begin, err := messagestore.Decode[publishingmsg.BeginUpload](last)
	if err != nil {
		return creatorsvideos.Video{}, err
	}
	if begin.Metadata.UserID != userID || begin.Data.OwnerID != userID {
		return creatorsvideos.Video{}, none
	}
	return creatorsvideos.Video{
		ID: videoID, OwnerID: userID, State: creatorsvideos.Uploading, Visibility: publishingmsg.Public,
		FileName: begin.Data.FileName, Bytes: begin.Data.Bytes, BegunAt: begin.Time,
	}, nil
}
