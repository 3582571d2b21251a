package admin

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"videotutorials/app/live"
	"videotutorials/app/web"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// subscriptionsTopic wakes the pages that show subscriptions. It is no projection's: its
// versions are moments, and its news come from this process.
const subscriptionsTopic = "subscriptions"

func (a *App) subscriptionRoutes(g *echo.Group) {
	a.page(g, views.AdminSubscriptionsPath, a.subscriptions)
	a.page(g, views.AdminSubscriberPositionsPath, a.subscriptions)
	a.stream(g, livePath(views.AdminSubscriptionsPath), a.subscriptionsLive)
	one := views.AdminSubscriptionsPath + "/:name"
	a.page(g, one, a.subscription)
	a.stream(g, livePath(one), a.subscriptionLive)
	a.form(g, one+views.AdminPause, a.steer((*messagestore.Subscriptions).Pause, paused))
	a.form(g, one+views.AdminResume, a.steer((*messagestore.Subscriptions).Resume, resumed))
	a.form(g, one+views.AdminStep, a.steer((*messagestore.Subscriptions).Step, nil))
	a.form(g, one+views.AdminRetry, a.retry)
	a.form(g, one+views.AdminSkipIt, a.skip)
}

const (
	sampleEvery = time.Second
	keptEvery   = 5 * time.Second // of a sparkline, which so shows five minutes
	rateOver    = 10              // samples
)

// samples remember how subscriptions did of late.
type samples struct {
	mu sync.Mutex
	of map[string]*sample
}

type sample struct {
	handled []int64 // totals, one each second, the newest last
	lags    []time.Duration
}

// Run takes samples of the subscriptions until ctx ends, and wakes the pages that show them.
// It returns nil.
func (a *App) Run(ctx context.Context) error {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		if n%int(keptEvery/sampleEvery) == 0 {
			a.look(ctx)
		}
		a.samples.take(a.statuses(), n%int(keptEvery/sampleEvery) == 0)
		a.Hub.Notify(subscriptionsTopic + " " + strconv.FormatInt(time.Now().UnixMilli(), 10))
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *samples) take(list []messagestore.Status, kept bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[string]*sample{}
	}
	for _, status := range list {
		at := s.of[status.Name]
		if at == nil {
			at = &sample{}
			s.of[status.Name] = at
		}
		at.handled = append(at.handled, status.Handled)
		at.handled = at.handled[max(0, len(at.handled)-rateOver-1):]
		if kept {
			at.lags = append(at.lags, lag(status))
			at.lags = at.lags[max(0, len(at.lags)-views.SparkSamples):]
		}
	}
}

func lag(s messagestore.Status) time.Duration {
	return time.Duration(s.LagSeconds * float64(time.Second)).Round(time.Millisecond)
}

// show returns a subscription as pages show it.
func (a *App) show(s messagestore.Status) views.AdminSubscription {
	shown := views.AdminSubscription{
		Name: s.Name, Category: string(s.Category), Component: !s.Projection, State: string(s.State), Paused: s.Paused,
		Position: s.Position, Head: s.Head, LagMessages: s.LagMessages, Lag: lag(s), Handled: s.Handled, Retries: s.Retries, LastError: s.LastError,
	}
	_, shown.Where = a.elsewhere(s.Name)
	for _, stream := range slices.Sorted(maps.Keys(s.Parked)) {
		p := s.Parked[stream]
		shown.Parked = append(shown.Parked, views.AdminParked{Stream: string(stream), Position: p.Position, Error: p.Error, Attempts: p.Attempts, Released: p.Released})
	}
	a.samples.mu.Lock()
	defer a.samples.mu.Unlock()
	if at := a.samples.of[s.Name]; at != nil {
		shown.Lags = slices.Clone(at.lags)
		if n := len(at.handled); n > 1 {
			shown.Rate = max(0, float64(at.handled[n-1]-at.handled[0])) / // another process may have taken over
				(float64(n-1) * sampleEvery.Seconds())
		}
	}
	return shown
}

func (a *App) all() []views.AdminSubscription {
	var list []views.AdminSubscription
	for _, status := range a.statuses() {
		list = append(list, a.show(status))
	}
	slices.SortFunc(list, func(x, y views.AdminSubscription) int { return strings.Compare(x.Name, y.Name) })
	return list
}

// now is the version of what pages about subscriptions show.
func now() live.Versions {
	return live.Versions{subscriptionsTopic: time.Now().UnixMilli()}
}

func (a *App) subscriptions(c echo.Context) error {
	p := web.Page(c, "Subscriptions")
	p.Live = livePath(views.AdminSubscriptionsPath)
	return web.Render(c, http.StatusOK, views.AdminSubscriptionsPage(p, a.all(), a.shownProcesses()))
}

func (a *App) subscriptionsLive(c echo.Context) error {
	return a.followRested(c, []string{subscriptionsTopic}, views.AdminSubscriptionsID, func() since {
		var before []views.AdminSubscription
		var running []views.AdminProcess
		return func(context.Context, live.Versions) (templ.Component, live.Versions, error) {
			list, now, processes := a.all(), now(), a.shownProcesses()
			defer func() { before, running = list, processes }()
			if before == nil {
				return templ.Join(views.Push(views.AdminSubscriptionsID, views.AdminSubscriptions(list)), views.Push(views.AdminProcessesID, views.AdminProcesses(processes))), now, nil
			}
			var rows []templ.Component
			if !reflect.DeepEqual(processes, running) {
				rows = append(rows, views.Push(views.AdminProcessesID, views.AdminProcesses(processes)))
			}
			for i, s := range list {
				if !reflect.DeepEqual(s, before[i]) { // a process has the same ones for as long as it runs
					rows = append(rows, views.Push(views.AdminSubscriptionRowID(s.Name), views.AdminSubscriptionRow(s)))
				}
			}
			if rows == nil {
				return nil, now, nil
			}
			return templ.Join(rows...), now, nil
		}
	})
}

// status returns the subscription that a request is about.
func (a *App) status(c echo.Context) (messagestore.Status, error) {
	name, err := url.PathUnescape(c.Param("name"))
	if err == nil {
		for _, status := range a.statuses() {
			if status.Name == name {
				return status, nil
			}
		}
	}
	return messagestore.Status{}, echo.NewHTTPError(http.StatusNotFound)
}

func (a *App) subscription(c echo.Context) error {
	return a.subscriptionWith(c, http.StatusOK, views.AdminSkip{})
}

// subscriptionWith answers with the page of a subscription and what was typed into it.
func (a *App) subscriptionWith(c echo.Context, code int, skip views.AdminSkip) error {
	status, err := a.status(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	steered, err := a.Store.Find(ctx, messagestore.Query{Stream: messagestore.ControlCategory.Stream(status.Name), Limit: 20})
	if err != nil {
		return err
	}
	shown, err := a.withMessages(ctx, a.show(status))
	if err != nil {
		return err
	}
	if c.Request().Method == http.MethodPost { // it is the page all the same
		if err := a.recordOpened(c, views.AdminSubscriptionPath(status.Name), nil); err != nil {
			return err
		}
	}
	p := web.Page(c, status.Name)
	p.Live = livePath(views.AdminSubscriptionPath(status.Name))
	return web.Render(c, code, views.AdminSubscriptionPage(p, shown, skip, lines(steered)))
}

// withMessages adds which messages the parked streams wait for.
func (a *App) withMessages(ctx context.Context, s views.AdminSubscription) (views.AdminSubscription, error) {
	for i, p := range s.Parked {
		m, err := a.Store.At(ctx, messagestore.Stream(p.Stream), p.Position)
		if errors.Is(err, messagestore.ErrNoMessage) {
			continue // it was skipped, and was the last one
		}
		if err != nil {
			return s, err
		}
		s.Parked[i].MessageID, s.Parked[i].Type = m.ID, m.Type
	}
	return s, nil
}

func (a *App) subscriptionLive(c echo.Context) error {
	if _, err := a.status(c); err != nil {
		return err
	}
	return a.followRested(c, []string{subscriptionsTopic}, views.AdminSubscriptionID, func() since {
		var before views.AdminSubscription
		return func(ctx context.Context, _ live.Versions) (templ.Component, live.Versions, error) {
			status, err := a.status(c)
			if err != nil {
				return nil, nil, err
			}
			shown, err := a.withMessages(ctx, a.show(status))
			if err != nil {
				return nil, nil, err
			}
			if reflect.DeepEqual(shown, before) {
				return nil, now(), nil
			}
			before = shown
			return views.Push(views.AdminSubscriptionID, views.AdminSubscriptionDetails(shown, views.AdminSkip{})), now(), nil
		}
	})
}

func paused(s messagestore.Status) bool  { return s.Paused }
func resumed(s messagestore.Status) bool { return !s.Paused }

// steer takes a form that does something to a subscription as a whole. reached says when
// this process has heard of it, so that the page that follows shows it.
func (a *App) steer(do func(*messagestore.Subscriptions, context.Context, string, ...messagestore.WriteOption) error, reached func(messagestore.Status) bool) echo.HandlerFunc {
	return func(c echo.Context) error {
		person, status, err := a.steering(c)
		if err != nil {
			return err
		}
		ctx := c.Request().Context()
		err = do(a.Subscriptions(), ctx, status.Name, a.by(c, person))
		if errors.Is(err, messagestore.ErrNoMessage) {
			return a.subscriptionWith(c, http.StatusConflict, views.AdminSkip{Problem: "No message waits for this subscription, so there is none to step to."})
		}
		if err != nil {
			return err
		}
		if reached != nil {
			a.await(ctx, c, reached)
		}
		return a.toSubscriptions(c, status.Name)
	}
}

// await waits a moment for what was asked to be done; the page follows it all the same.
func (a *App) await(ctx context.Context, c echo.Context, reached func(messagestore.Status) bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		if status, err := a.status(c); err != nil || reached(status) {
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// steering returns who asks, and for which subscription.
func (a *App) steering(c echo.Context) (web.Person, messagestore.Status, error) {
	status, err := a.status(c)
	if err != nil {
		return web.Person{}, status, err
	}
	person, _, err := a.Sessions.Person(c)
	return person, status, err
}

// toSubscriptions leads to where the form was: the list, or the page of one.
func (a *App) toSubscriptions(c echo.Context, name string) error {
	to := views.AdminSubscriptionPath(name)
	if from, err := url.Parse(c.Request().Referer()); err == nil && from.Path == views.AdminSubscriptionsPath {
		to = from.Path
	}
	return c.Redirect(http.StatusSeeOther, to)
}

// retry takes the form that asks for another attempt: at a stream, or at all where it names
// none.
func (a *App) retry(c echo.Context) error {
	person, status, err := a.steering(c)
	if err != nil {
		return err
	}
	streams := slices.Sorted(maps.Keys(status.Parked))
	if stream := messagestore.Stream(c.FormValue("stream")); stream != "" {
		if _, parked := status.Parked[stream]; !parked {
			return a.subscriptionWith(c, http.StatusConflict, views.AdminSkip{Problem: "That stream is not parked any more."})
		}
		streams = []messagestore.Stream{stream}
	}
	for _, stream := range streams {
		if err := a.Subscriptions().Retry(c.Request().Context(), status.Name, stream, a.by(c, person)); err != nil {
			return err
		}
	}
	return a.toSubscriptions(c, status.Name)
}

// notWaiting is said where a stream has gone on before its message could be skipped.
const notWaiting = "That stream does not wait for that message any more, so nothing was skipped."

// longestReason is how long the reason for leaving out a message may be, in characters.
const longestReason = 500

// skip takes the form that leaves out the message that a stream is parked for.
func (a *App) skip(c echo.Context) error {
	person, status, err := a.steering(c)
	if err != nil {
		return err
	}
	typed := views.AdminSkip{Stream: c.FormValue("stream"), Reason: strings.TrimSpace(c.FormValue("reason"))}
	position, err := strconv.ParseInt(c.FormValue("position"), 10, 64)
	stream := messagestore.Stream(typed.Stream)
	parked, is := status.Parked[stream]
	switch {
	case err != nil || !is || parked.Position != position:
		typed.Problem = notWaiting
		return a.subscriptionWith(c, http.StatusConflict, typed)
	case typed.Reason == "":
		typed.Problem = "Say why the message is skipped: it is written down."
		return a.subscriptionWith(c, http.StatusUnprocessableEntity, typed)
	case len([]rune(typed.Reason)) > longestReason:
		typed.Problem = "The reason is longer than 500 characters."
		return a.subscriptionWith(c, http.StatusUnprocessableEntity, typed)
	}
	err = a.Subscriptions().Skip(c.Request().Context(), status.Name, stream, position, typed.Reason, a.by(c, person))
	if errors.Is(err, messagestore.ErrNotParked) {
		typed.Problem = notWaiting
		return a.subscriptionWith(c, http.StatusConflict, typed)
	}
	if err != nil {
		return err
	}
	return a.toSubscriptions(c, status.Name)
}
