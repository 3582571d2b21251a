package web

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"videotutorials/messagestore"
)

// Answer is a request that was answered.
type Answer struct {
	// Route is its method and the pattern of its path, as "POST /videos/:id": no ids.
	Route        string
	Status       int
	Began, Ended time.Time
	// Wrote are the messages that it has written, in their order.
	Wrote []messagestore.Written
}

const wroteKey = "wrote"

// wrote collects what a request writes, which may be from several goroutines.
type wrote struct {
	mu  sync.Mutex
	all []messagestore.Written
}

func (w *wrote) note(one messagestore.Written) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, one)
}

func (w *wrote) list() []messagestore.Written {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.all)
}

// Wrote returns the messages that this request has written until now; none where
// [Config].Answered is not set.
func Wrote(c echo.Context) []messagestore.Written {
	if w, ok := c.Get(wroteKey).(*wrote); ok {
		return w.list()
	}
	return nil
}

func observed(c echo.Context, next echo.HandlerFunc, answered func(echo.Context, Answer)) error {
	began, w := time.Now(), &wrote{}
	c.Set(wroteKey, w)
	c.SetRequest(c.Request().WithContext(messagestore.NoteWrites(c.Request().Context(), w.note)))
	if err := next(c); err != nil {
		c.Error(err) // here, or the status would not be known yet
	}
	route := c.Request().Method + " " + cmp.Or(c.Path(), "(no such page)")
	answered(c, Answer{Route: route, Status: c.Response().Status, Began: began, Ended: time.Now(), Wrote: w.list()})
	return nil
}
