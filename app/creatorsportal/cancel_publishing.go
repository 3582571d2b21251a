package creatorsportal

import (
	"github.com/labstack/echo/v4"

	"videotutorials/components/videopublishing/publishingmsg"
)

// cancelPublishing writes CancelPublishing.
func (a *App) cancelPublishing(c echo.Context) error {
	v, err := a.mine(c)
	if err != nil {
		return err
	}
	return a.ask(c, v.ID, publishingmsg.CancelPublishing{VideoID: v.ID})
}
