package registerusers

import (
	"context"
	"maps"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/registrations"
	"videotutorials/aggregators/usercredentials"
	"videotutorials/app/live"
	"videotutorials/views"
)

// live is the stream of a registration's page. Whose it is stands fast while it is
// open: a browser that forgets it finds no stream when it connects again.
func (a *App) live(c echo.Context) error {
	r, err := a.mine(c)
	if err != nil {
		return err
	}
	return a.feed.Serve(c, live.Page{
		Topics: []string{registrations.Topic(r.userID), registrations.MailTopic(r.userID), usercredentials.Topic(r.userID)},
		Since: func(ctx context.Context, at live.Versions) (templ.Component, live.Versions, error) {
			shown, now, err := a.read(ctx, r)
			if err != nil || maps.Equal(now, at) {
				return nil, now, err
			}
			return views.Push(views.RegistrationID, views.RegistrationSteps(shown)), now, nil
		},
	})
}
