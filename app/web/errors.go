package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"syscall"

	"github.com/labstack/echo/v4"

	"videotutorials/messagestore"
	"videotutorials/views"
)

// NotFound returns the error for a thing that does not exist, in the words of the
// application: "There is no such lesson."
func NotFound(explanation string) error { return echo.NewHTTPError(http.StatusNotFound, explanation) }

// problems are the errors that a person can do something about. What is not here
// is our own fault and shows its trace id only.
var problems = map[int]views.Problem{
	http.StatusNotFound:              {Title: "Nothing is here", Explanation: "The address may be misspelt, or what it led to is gone."},
	http.StatusUnauthorized:          {Title: "You are not logged in", Explanation: "This is shown to those who are logged in. Log in and try again."},
	http.StatusTooManyRequests:       {Title: "Too many tries", Explanation: "This was tried too often in a short time, so it was not done. Wait a little and try again."},
	http.StatusForbidden:             {Title: "This came from another site", Explanation: "The form was sent by a page that is not ours, so nothing was done. Open this site and try again from there."},
	http.StatusMethodNotAllowed:      {Title: "That does not work here", Explanation: "This address exists, but not for what was asked of it."},
	http.StatusRequestEntityTooLarge: {Title: "That is too much", Explanation: "What was sent is longer than this form takes, so nothing was saved."},
	http.StatusUnsupportedMediaType:  {Title: "That is not a form of ours", Explanation: "What was sent is of a kind that this address does not take, so nothing was saved."},
	http.StatusBadRequest:            {Title: "That could not be read", Explanation: "What was sent is not complete or not well formed, so nothing was saved."},
	http.StatusServiceUnavailable:    {Title: "Back in a moment", Explanation: "The site is starting, stopping, waiting for its database or has too much to do. Nothing is lost; try again shortly.", Action: "Try again"},
}

// notYours is what somebody is told who is signed in, but has not the role that a page is for.
var notYours = views.Problem{Title: "This is not open to you", Explanation: "This page is for people with another role. Whoever runs the site can give it to you."}

func errorHandler(log *slog.Logger) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		status := http.StatusInternalServerError
		var known *echo.HTTPError
		switch {
		case errors.As(err, &known):
			status = known.Code
		case messagestore.IsTransient(err): // a database that is away comes back
			status = http.StatusServiceUnavailable
			c.Response().Header().Set(echo.HeaderRetryAfter, "5")
		}
		// Before the answer has begun, a broken connection is one to Postgres.
		broken := errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
		if errors.Is(c.Request().Context().Err(), context.Canceled) || broken && c.Response().Committed {
			return // whoever asked has gone
		}
		if status >= 500 {
			log.Error("request failed", "trace_id", TraceOf(c), "method", c.Request().Method, "route", c.Path(), "status", status, "error", messagestore.ErrorText(err))
		}
		if c.Response().Committed {
			return
		}
		problem, ok := problems[status]
		switch {
		case !ok && status < 500:
			problem = views.Problem{Title: http.StatusText(status), Explanation: "What was asked cannot be done, so nothing was changed."}
		case !ok:
			problem = views.Problem{Title: "Something went wrong here", Explanation: "It is our fault, not yours. What you did before is kept; trying again may help.", Action: "Try again"}
		}
		if known != nil && known.Message != http.StatusText(status) {
			switch told := known.Message.(type) {
			case views.Problem:
				problem = told
			case string:
				if status < 500 {
					problem.Explanation = told
				}
			}
		}
		if problem.Action == "Try again" {
			problem.ActionURL = retryURL(c)
		}
		problem.Status = status
		if status >= 500 {
			problem.TraceID = TraceOf(c)
		}
		c.Response().Header().Del(echo.HeaderContentLength)
		c.Response().Header().Del(echo.HeaderCacheControl) // what the page would have had
		shown := page(c, problem.Title)
		if x := configOf(c).XRay; x != nil {
			shown.XRay = x(c, false)
		}
		if err := Render(c, status, views.ErrorPage(shown, problem)); err != nil {
			log.Warn("error page not sent", "trace_id", TraceOf(c), "error", err)
		}
	}
}

func retryURL(c echo.Context) string {
	if r := c.Request(); r.Method == http.MethodGet {
		return r.URL.RequestURI()
	}
	return "/"
}
