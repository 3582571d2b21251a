package creatorsportal

import (
	"strings"

	"github.com/labstack/echo/v4"

	"videotutorials/components/videopublishing/publishingmsg"
)

// describeVideo writes DescribeVideo.
func (a *App) describeVideo(c echo.Context) error {
	v, err := a.mine(c)
	if err != nil {
		return err
	}
	// Browsers send a line's end as two characters; see [App.wish].
	text := strings.ReplaceAll(c.Request().PostFormValue("description"), "\r\n", "\n")
	return a.field(c, v.ID, "description", publishingmsg.DescribeVideo{VideoID: v.ID, Description: text})
}
