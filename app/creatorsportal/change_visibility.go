package creatorsportal

import (
	"github.com/labstack/echo/v4"

	"videotutorials/components/videopublishing/publishingmsg"
)

// changeVisibility writes ChangeVisibility.
func (a *App) changeVisibility(c echo.Context) error {
	v, err := a.mine(c)
	if err != nil {
		return err
	}
	return a.ask(c, v.ID, publishingmsg.ChangeVisibility{VideoID: v.ID, Visibility: c.Request().PostFormValue("visibility")})
}
