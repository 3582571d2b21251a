package uploads

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/tus/tusd/v2/pkg/handler"
)

// lock lets one request at a time work on an upload: two that append to one file mix
// their bytes. It is the kernel's lock on the record, so it is free as soon as its
// process is dead, and it holds between processes.
//
// Whoever waits says so by a file, and whoever works then stops: a browser whose line
// broke comes back before we have noticed.
type lock struct {
	folder folder
	id     string
	file   *os.File
	freed  chan struct{}
}

const lookAgain = 50 * time.Millisecond

// NewLock returns a lock that is free.
func (s tusStore) NewLock(id string) (handler.Lock, error) {
	return &lock{folder: s.folder, id: id}, nil
}

func (d folder) wanted(id string) string { return d.path(id) + ".wanted" }

// errTaken says that somebody else goes on with an upload.
var errTaken error = told(http.StatusLocked, "This upload goes on elsewhere.")

// Lock waits for its turn, and ends the request when somebody else wants to have it.
func (l *lock) Lock(ctx context.Context, _ func()) error {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		ok, err := l.try()
		if err != nil {
			return err
		}
		if ok {
			break
		}
		if f, err := os.Create(l.folder.wanted(l.id)); err == nil {
			f.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errTaken
		}
	}
	l.freed = make(chan struct{})
	go l.watch(visitOf(ctx))
	return nil
}

// try reports whether the lock was free, and takes it.
func (l *lock) try() (bool, error) {
	name := l.folder.recordPath(l.id)
	f, err := os.OpenFile(name, os.O_RDWR, 0) // to write: a network file system locks nothing for itself alone without
	if errors.Is(err, fs.ErrNotExist) {
		return false, handler.ErrNotFound
	}
	if err != nil {
		return false, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return false, nil
		}
		return false, err
	}
	// Whoever had it may have removed the upload.
	if _, err := os.Stat(name); err != nil {
		f.Close()
		return false, handler.ErrNotFound
	}
	os.Remove(l.folder.wanted(l.id))
	l.file = f
	return true, nil
}

func (l *lock) watch(v *visit) {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if _, err := os.Stat(l.folder.wanted(l.id)); err == nil {
				v.end(errTaken)
				return
			}
		case <-l.freed:
			return
		}
	}
}

// Unlock frees the lock.
func (l *lock) Unlock() error {
	if l.freed != nil {
		close(l.freed)
	}
	return l.file.Close()
}
