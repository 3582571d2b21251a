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
	messagesShown = 10    // by a person
	viewingsShown = 10    // of a person …
	viewingsAmong = 5_000 // … among so many of the newest messages of theirs …
	viewingsRead  = 500   // … read so many at a time
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
	if err := a.addMessages(ctx, shown); err != nil {
		return err
	}
	about, err := a.Summary.With(ctx, shown.ID)
	shown.About = streamLines(about)
	return err
}

// addMessages adds the newest messages that were written on behalf of a person, and the
// newest viewings. These may be far down: it goes on to the last message, but reads no more
// than a page is worth.
func (a *App) addMessages(ctx context.Context, shown *views.AdminPerson) error {
	q := messagestore.Query{UserID: shown.ID, Limit: viewingsRead}
	for walked := 0; ; {
		list, err := a.Store.Find(ctx, q)
		if err != nil {
			return err
		}
		if walked == 0 {
			shown.Newest = lines(list[:min(len(list), messagesShown)])
		}
		for _, m := range list {
			if m.Stream.Category() == viewingmsg.Category {
				if shown.Viewed = append(shown.Viewed, line(m)); len(shown.Viewed) == viewingsShown {
					return nil
				}
			}
		}
		if len(list) < viewingsRead {
			return nil
		}
		if walked += len(list); walked >= viewingsAmong {
			shown.ViewedAmong = int64(walked)
			return nil
		}
		q.Before = list[len(list)-1].GlobalPosition
	}
}
