package uploads

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// spare is what uploads leave of the disk to the databases and to the work on videos, in
// bytes: a Postgres without room stops.
const spare = 512 << 20

// errNoRoom says that uploads may take no more of the disk.
var errNoRoom = errors.New("no room on the disk")

// admit keeps an upload by keep if it is within all limits, counting each other one with
// its whole length: of two at once the second finds the first.
func (a *App) admit(ctx context.Context, u upload, keep func() error) error {
	switch {
	case u.Bytes <= 0:
		return refusal{http.StatusUnprocessableEntity, "empty-file"}
	case u.Bytes > a.config.MostBytes:
		return refusal{http.StatusRequestEntityTooLarge, "too-large"}
	}
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	uploads, _, err := a.folder.all()
	if err != nil {
		return err
	}
	for id, other := range a.receiving {
		if id != u.id {
			uploads = append(uploads, other)
		}
	}
	used, err := a.used(ctx, u.OwnerID, uploads)
	if err != nil {
		return err
	}
	if used+u.Bytes > a.config.Quota {
		return refusal{http.StatusForbidden, "over-quota"}
	}
	room, err := a.room()
	if err != nil {
		return err
	}
	for _, other := range uploads {
		if other.here {
			room -= other.Bytes - other.arrived
		}
	}
	if room-spare < u.Bytes-u.arrived {
		return refusal{http.StatusInsufficientStorage, "no-room"}
	}
	return keep()
}

// used returns how much a person has handed in or begun to, in bytes: the videos that
// the view data shows, and the uploads that it does not show yet.
func (a *App) used(ctx context.Context, ownerID string, uploads []upload) (used int64, err error) {
	videos, _, err := a.own.Of(ctx, ownerID)
	if err != nil {
		return 0, err
	}
	shown := map[string]bool{}
	for _, v := range videos {
		shown[v.ID] = true
		used += v.Bytes
	}
	for _, u := range uploads {
		if u.OwnerID != ownerID || shown[u.videoID()] {
			continue
		}
		there, err := a.there(ctx, u)
		if err != nil {
			return 0, err
		}
		if there {
			used += u.Bytes
		}
	}
	return used, nil
}

// there reports whether an upload takes room: that of a video that is deleted does not,
// nor one that was given up.
func (a *App) there(ctx context.Context, u upload) (bool, error) {
	if !u.here {
		if published, err := a.published(ctx, u); err != nil || !published {
			return false, err
		}
	}
	gone, err := a.gone(ctx, u)
	return !gone, err
}

// guard returns a reader of what comes with a request. It ends with an error when the
// request is to end, when the disk is nearly full, or where check says so, which is asked
// now and then.
func (a *App) guard(from io.Reader, v *visit, check func() error) io.Reader {
	return &guarded{Reader: from, app: a, visit: v, check: check, checked: time.Now(), unchecked: oftenEnough}
}

// oftenEnough is after how many bytes the disk is looked at again.
const oftenEnough = 16 << 20

type guarded struct {
	io.Reader
	app       *App
	visit     *visit
	check     func() error
	checked   time.Time
	unchecked int // bytes since the disk was
}

func (g *guarded) Read(p []byte) (int, error) {
	if g.unchecked >= oftenEnough {
		g.unchecked = 0
		if room, err := g.app.room(); err != nil || room < spare/2 {
			return 0, errors.Join(err, errNoRoom)
		}
	}
	if time.Since(g.checked) >= g.app.times.recheck {
		g.checked = time.Now()
		if err := g.check(); err != nil {
			return 0, err
		}
	}
	if err := g.visit.over(); err != nil {
		return 0, err
	}
	n, err := g.Reader.Read(p)
	g.unchecked += n
	if over := g.visit.over(); over != nil { // then err is only that it took too long
		err = over
	}
	return n, err
}
