package creatorsportal

import (
	"github.com/labstack/echo/v4"

	"videotutorials/components/videopublishing/publishingmsg"
)

// nameVideo writes NameVideo; what is no name, the component refuses.
func (a *App) nameVideo(c echo.Context) error {
	v, err := a.mine(c)
	if err != nil {
		return err
	}
	return a.field(c, v.ID, "name", publishingmsg.NameVideo{VideoID: v.ID, Name: c.Request().PostFormValue("name")})
}
