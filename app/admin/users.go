package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/adminsummary"
	"videotutorials/aggregators/usercredentials"
	"videotutorials/app/web"
	"videotutorials/components/administration/administrationmsg"
	"videotutorials/components/viewing/viewingmsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

const (
	signInsShown  = 20
	messagesShown = 10  // by a person
	viewingsShown = 10  // of a person …
	viewingsAmong = 500 // … among so many of the newest messages of theirs
)

func (a *App) userRoutes(g *echo.Group) {
	a.page(g, views.AdminUsersPath, a.users)
	a.stream(g, livePath(views.AdminUsersPath), a.usersLive)
	a.page(g, views.AdminUserPath(":id"), a.user)
	a.form(g, views.AdminRevealUserPath(":id"), a.revealUser)
	a.back(g, views.AdminRevealUserPath(":id"), views.AdminUserPath)
}

func (a *App) users(c echo.Context) error {
	ctx := c.Request().Context()
	p, err := pageOfQuery(c)
	if err != nil {
		return err
	}
	version, err := a.Summary.Version(ctx)
	if err != nil {
		return err
	}
	found, p, err := read(p, perPage, func(p pageOf, limit int) ([]adminsummary.User, error) {
		return a.Summary.Users(ctx, adminsummary.Page{Before: p.before, After: p.after, Limit: limit})
	})
	if err != nil {
		return err
	}
	var shown views.AdminUsers
	shown.NewerURL, shown.OlderURL = found.urls(c, func(u adminsummary.User) int64 { return u.RegisteredPosition })
	for _, u := range found.lines {
		shown.Users = append(shown.Users, userLine(u))
	}
	page := web.Page(c, "Users")
	if p.first() {
		top := int64(0)
		if len(found.lines) > 0 {
			top = found.lines[0].RegisteredPosition
		}
		page.Live = liveURL(c, top, version)
	}
	return web.Render(c, http.StatusOK, views.AdminUsersPage(page, shown))
}

func (a *App) usersLive(c echo.Context) error {
	return a.newer(c, []string{adminsummary.UsersTopic}, views.Newer{One: "newer person", Many: "newer people"},
		func(ctx context.Context, top int64, limit int) (int, error) {
			list, err := a.Summary.Users(ctx, adminsummary.Page{After: top, Limit: limit})
			return len(list), err
		})
}

func userLine(u adminsummary.User) views.AdminUser {
	return views.AdminUser{ID: u.ID, RegisteredAt: u.RegisteredAt, LastAt: u.LastAt, Messages: u.Messages, Viewings: u.Viewings, SignIns: u.SignIns}
}

func (a *App) user(c echo.Context) error {
	shown, err := a.person(c)
	if err != nil {
		return err
	}
	// What is masked is not even in the page's data.
	shown.Email = ""
	if shown.PendingEmail != "" {
		shown.PendingEmail = "masked"
	}
	return web.Render(c, http.StatusOK, views.AdminPersonPage(web.Page(c, "Person"), shown))
}

// revealUser shows the addresses of a person, once that is written down. They are shown in
// this answer and nowhere else.
func (a *App) revealUser(c echo.Context) error {
	shown, err := a.person(c)
	if err != nil {
		return err
	}
	if !shown.Account {
		return web.NotFound("Nobody with this id has an account.")
	}
	fields := []string{"email"}
	if shown.PendingEmail != "" {
		fields = append(fields, "pendingEmail")
	}
	err = a.record(c, func(adminID string) messagestore.Body {
		return administrationmsg.AccountRevealed{AdminID: adminID, UserID: shown.ID, Fields: fields}
	})
	if err != nil {
		return err
	}
	shown.Revealed = true
	return web.Render(c, http.StatusOK, views.AdminPersonPage(web.Page(c, "Person"), shown))
}

// person returns what is known of the person whom the path names.
func (a *App) person(c echo.Context) (shown views.AdminPerson, err error) {
	ctx, id := c.Request().Context(), c.Param("id")
	done, err := a.Summary.User(ctx, id)
	known := !errors.Is(err, adminsummary.ErrNotFound)
	if err != nil && known {
		return shown, err
	}
	account, _, err := a.Users.ByID(ctx, id)
	if errors.Is(err, usercredentials.ErrNotFound) {
		if !known {
			return shown, web.NotFound("There is no person with this id.")
		}
		err = nil
	} else if err == nil {
		shown.Account, shown.Email, shown.PendingEmail, shown.Confirmed = true, account.Email, account.PendingEmail, account.Confirmed
		shown.Roles, shown.Generation, shown.PasswordChangedAt = account.Roles, account.Generation, account.PasswordChangedAt
	}
	if err != nil {
		return shown, err
	}
	shown.AdminUser = userLine(done)
	shown.ID = id
	if shown.Account {
		shown.RegisteredAt = account.RegisteredAt
	}
	return shown, a.addDoings(ctx, &shown, account)
}

// addDoings adds what a person did, and what is about them.
func (a *App) addDoings(ctx context.Context, shown *views.AdminPerson, account usercredentials.User) error {
	signIns, _, err := a.SignIns.Of(ctx, shown.ID, signInsShown)
	if err != nil {
		return err
	}
	for _, s := range signIns {
		// A new password ends all sessions but the one that set it, and no event says so of each.
		if s.FailedReason == "" && s.EndedAt.IsZero() && s.At.Before(account.PasswordChangedAt) && s.ID != account.KeptSession {
			s.EndedAt, s.EndedReason = account.PasswordChangedAt, "password-changed"
		}
		shown.Recent = append(shown.Recent, views.SignIn(s))
	}
	newest, err := a.Store.Find(ctx, messagestore.Query{UserID: shown.ID, Limit: viewingsAmong})
	if err != nil {
		return err
	}
	shown.Newest = lines(newest[:min(len(newest), messagesShown)])
	for _, m := range newest {
		if m.Stream.Category() == viewingmsg.Category && len(shown.Viewed) < viewingsShown {
			shown.Viewed = append(shown.Viewed, line(m))
		}
	}
	about, err := a.streamsWith(ctx, shown.ID)
	shown.About = streamLines(about)
	return err
}
