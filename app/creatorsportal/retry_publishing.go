package creatorsportal

import (
	"github.com/labstack/echo/v4"

	"videotutorials/components/videopublishing/publishingmsg"
)

// retryPublishing writes RetryPublishing.
func (a *App) retryPublishing(c echo.Context) error {
	v, err := a.mine(c)
	if err != nil {
		return err
	}
	return a.ask(c, v.ID, publishingmsg.RetryPublishing{VideoID: v.ID})
}
