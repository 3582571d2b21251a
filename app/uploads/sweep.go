package uploads

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/tus/tusd/v2/pkg/handler"
)

const (
	sweepEvery = 10 * time.Minute
	// kept is how long an upload is without a byte, and how long it is remembered that
	// one was handed over.
	kept = 24 * time.Hour
	// strayed is after how long a file goes that nobody was told of.
	strayed = time.Hour
	// goodbye is how long files may take to be handed over when the program stops.
	goodbye = 5 * time.Second
)

// Run finishes what others have left, at the start and every ten minutes, and removes
// what nobody goes on with. When ctx ends, it ends the requests under way; what has
// arrived of them is kept.
func (a *App) Run(ctx context.Context) error {
	defer a.close()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := a.sweep(ctx); err != nil && ctx.Err() == nil {
			a.config.Log.Warn("the uploads were not looked through", "error", err)
			a.tryAgain()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-a.owed:
			retry := time.NewTimer(a.times.retry)
			select {
			case <-ctx.Done():
				retry.Stop()
				return nil
			case <-retry.C:
			}
		}
	}
}

// tryAgain makes Run look soon for what is left to be done.
func (a *App) tryAgain() {
	select {
	case a.owed <- struct{}{}:
	default:
	}
}

// close ends all requests, and waits for files that are being handed over.
func (a *App) close() {
	a.mu.Lock()
	a.stop()
	var flights []*flight
	for _, f := range a.flights {
		flights = append(flights, f)
	}
	a.mu.Unlock()
	enough := time.After(goodbye)
	for _, f := range flights {
		select {
		case <-f.done:
		case <-enough:
			return
		}
	}
}

// sweep does for each upload what is due.
func (a *App) sweep(ctx context.Context) error {
	uploads, strays, err := a.folder.all(nil)
	if err != nil {
		return err
	}
	for _, u := range uploads {
		if err := a.settle(ctx, u); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			a.complain("an upload is not settled", u, err)
			a.tryAgain()
		}
	}
	for _, stray := range strays {
		if info, err := stray.Info(); err == nil && a.now().Sub(info.ModTime()) >= strayed {
			if err := os.RemoveAll(a.folder.path(stray.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle does what is due for an upload. What is whole never goes: it is handed over.
func (a *App) settle(ctx context.Context, u upload) error {
	if u.whole() {
		err := a.finish(ctx, u)
		if errors.Is(err, errGone) {
			return nil
		}
		return err
	}
	l := &lock{folder: a.folder, id: u.id}
	ok, err := l.try()
	if errors.Is(err, handler.ErrNotFound) {
		return nil
	}
	if err != nil || !ok { // somebody is at it
		return err
	}
	defer l.Unlock()
	u, err = a.folder.read(u.id)
	if errors.Is(err, errNoUpload) || u.whole() { // it went meanwhile, or it is being handed over
		return nil
	}
	if err != nil {
		return err
	}
	old := a.now().Sub(u.touched) >= kept
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	gone, err := a.gone(ctx, u)
	if err != nil {
		return err
	}
	if gone { // its owner has deleted the video
		return a.folder.drop(u.id)
	}
	if u.here {
		if !old {
			return nil
		}
		if err := a.folder.dropBytes(u.id); err != nil {
			return err
		}
		return a.abandon(ctx, u, "")
	}
	published, err := a.published(ctx, u)
	switch {
	case err != nil:
		return err
	case !published:
		return a.abandon(ctx, u, "")
	case old:
		return a.folder.drop(u.id)
	}
	return nil
}
