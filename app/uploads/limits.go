package uploads

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"videotutorials/aggregators/creatorsvideos"
	"videotutorials/app/web"
)

// spare is what uploads leave of the disk to the databases and to the work on videos, in
// bytes: a Postgres without room stops.
const spare = 512 << 20

// errNoRoom says that uploads may take no more of the disk.
var errNoRoom = errors.New("no room on the disk")

// mostUnfinished is how many uploads of a person may be unfinished: however short it is,
// each takes something of the disk and of Postgres.
const mostUnfinished = 20

// admit keeps an upload by keep if it is within all limits, counting each other one with
// its whole length: of two at once the second finds the first.
func (a *App) admit(ctx context.Context, u upload, keep func() error) error {
	switch {
	case u.Bytes <= 0:
		return refusal{http.StatusUnprocessableEntity, "empty-file"}
	case u.Bytes > a.config.MostBytes:
		return refusal{http.StatusRequestEntityTooLarge, "too-large"}
	}
	// What takes its time comes before the turn; in it only what has begun since is looked at.
	others, _, err := a.folder.all(nil)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, other := range others {
		known[other.id] = true
	}
	has, err := a.counted(ctx, u.OwnerID, others)
	if err != nil {
		return err
	}
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	begun, _, err := a.folder.all(known)
	if err != nil {
		return err
	}
	for _, other := range begun {
		known[other.id] = true
	}
	for id, other := range a.receiving {
		if !known[id] {
			begun = append(begun, other)
		}
	}
	for _, other := range begun {
		if other.OwnerID == u.OwnerID {
			has.add(other)
		}
	}
	switch {
	case has.unfinished >= mostUnfinished || has.unpublished >= web.MostInTheMaking:
		return refusal{http.StatusTooManyRequests, "too-many-uploads"}
	case has.bytes+u.Bytes > a.config.Quota:
		return refusal{http.StatusForbidden, "over-quota"}
	}
	room, err := a.room()
	if err != nil {
		return err
	}
	for _, other := range append(others, begun...) {
		if other.here {
			room -= other.Bytes - other.arrived
		}
	}
	if room-spare < u.Bytes-u.arrived {
		return refusal{http.StatusInsufficientStorage, "no-room"}
	}
	return keep()
}

// count is what a person has handed in or begun to.
type count struct {
	bytes                   int64
	unfinished, unpublished int
	shown                   map[string]creatorsvideos.State // by video
}

// counted counts the videos that the view data shows of a person, and the uploads that
// it does not show yet. What is due for these is done first: the bytes of a video that
// is deleted count until they are gone.
func (a *App) counted(ctx context.Context, ownerID string, uploads []upload) (count, error) {
	videos, _, err := a.own.Of(ctx, ownerID)
	if err != nil {
		return count{}, err
	}
	has := count{shown: map[string]creatorsvideos.State{}}
	for _, v := range videos {
		has.shown[v.ID] = v.State
		has.bytes += v.Bytes
		if v.State == creatorsvideos.Publishing || v.State == creatorsvideos.Playable {
			has.unpublished++
		}
	}
	for _, u := range uploads {
		if u.OwnerID != ownerID {
			continue
		}
		if _, shown := has.shown[u.videoID()]; !shown && !u.whole() {
			if err := a.settle(ctx, u); err != nil {
				return count{}, err
			}
			switch u, err = a.folder.read(u.id); {
			case errors.Is(err, errNoUpload):
				continue
			case err != nil:
				return count{}, err
			}
		}
		has.add(u)
	}
	return has, nil
}

// add adds an upload of the same person.
func (c *count) add(u upload) {
	state, shown := c.shown[u.videoID()]
	if !shown {
		c.bytes += u.Bytes
	}
	switch {
	case u.here:
		c.unfinished++
	case !shown || state == creatorsvideos.Uploading: // the view data does not say yet that it was handed in
		c.unpublished++
	}
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
