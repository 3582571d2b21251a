package creatorsportal

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/media"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// setChapters keeps the file of chapters and writes SetChapters.
func (a *App) setChapters(c echo.Context) error {
	v, err := a.mine(c)
	if err != nil {
		return err
	}
	given := givenFile(c)
	if given.problem != "" {
		return a.edit(c, http.StatusUnprocessableEntity, v, views.CreatorsVideoEdit{ChaptersProblem: given.problem})
	}
	return a.keep(c, v, "SetChapters", given.file, func(traceID string) (key string, _ messagestore.Body) {
		key = v.ID + "/chapters-" + messagestore.DeriveID("chapters", traceID) + ".vtt"
		return key, publishingmsg.SetChapters{VideoID: v.ID, URI: media.Path(key)}
	})
}

// removeChapters writes RemoveChapters.
func (a *App) removeChapters(c echo.Context) error {
	v, err := a.mine(c)
	if err != nil {
		return err
	}
	return a.ask(c, v.ID, publishingmsg.RemoveChapters{VideoID: v.ID})
}
