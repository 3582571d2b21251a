package creatorsportal

import (
	"github.com/labstack/echo/v4"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
)

// deleteVideo writes DeleteVideo. The second half of a double click may come when the video
// is gone; it leads where the first one has led.
func (a *App) deleteVideo(c echo.Context) error {
	command := publishingmsg.DeleteVideo{VideoID: c.Param("id")}
	_, notMine := a.mine(c)
	if notMine == nil {
		return a.ask(c, command.VideoID, command)
	}
	person, signedIn, err := a.sessions.Person(c)
	if err != nil || !signedIn || !messagestore.ValidID(command.VideoID) {
		return notMine
	}
	traceID, written, err := a.wish(c.Request().Context(), person.UserID, command.VideoID, says(command))
	if err != nil || !written {
		return notMine
	}
	return a.lead(c, traceID, command.VideoID)
}
