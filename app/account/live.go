package account

import (
	"context"
	"maps"
	"net/http"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/signins"
	"videotutorials/aggregators/usercredentials"
	"videotutorials/app/live"
	"videotutorials/views"
)

// live is the stream of the account's page. Before each push the session is asked for
// again: once it is over, however that came, the page says so and shows nothing else.
func (a *App) live(c echo.Context) error {
	person, signedIn, err := a.sessions.Person(c)
	switch {
	case err != nil:
		return err
	case !signedIn:
		return echo.NewHTTPError(http.StatusUnauthorized)
	}
	return a.feed.Serve(c, live.Page{
		Topics: []string{usercredentials.Topic(person.UserID), signins.Topic(person.UserID)},
		Since: func(ctx context.Context, at live.Versions) (templ.Component, live.Versions, error) {
			person, goesOn, err := a.sessions.Again(ctx, c)
			if err != nil {
				return nil, nil, err
			}
			if !goesOn {
				return views.Push(views.AccountID, views.SessionOver(views.AccountID)), at, nil
			}
			shown, now, err := a.read(ctx, person)
			if err != nil || maps.Equal(now, at) {
				return nil, now, err
			}
			return templ.Join(views.Push(views.AccountDetailsID, views.AccountDetails(shown)),
				views.Push(views.SignInsID, views.SignIns(shown))), now, nil
		},
	})
}
