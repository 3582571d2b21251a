package uploads

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
)

// flight is a file that is being handed over.
type flight struct {
	done chan struct{}
	err  error
}

var (
	// errUnderWay says that a file is still being handed over; asking again later helps.
	errUnderWay = errors.New("the file is still being handed over")
	// errGone says that the video of an upload is no more.
	errGone = errors.New("the video is deleted")
)

// slowest is how many bytes a second the media store takes at least.
const slowest = 256_000

// longestHandOver is how long the media store may take for a file of so many bytes.
func longestHandOver(bytes int64) time.Duration {
	return 15*time.Minute + time.Duration(bytes/slowest)*time.Second
}

// finish hands over an upload that is whole, once, however many ask for it. It goes on
// when those who ask have gone or lost patience: what is whole is never taken back. What
// it writes is noted for the first of them.
func (a *App) finish(ctx context.Context, u upload) error {
	f, err := a.flight(ctx, u)
	if err != nil {
		return err
	}
	enough := time.NewTimer(a.times.patience)
	defer enough.Stop()
	select {
	case <-f.done:
		return f.err
	case <-enough.C:
		return errUnderWay
	case <-ctx.Done():
		return errUnderWay
	}
}

func (a *App) flight(ctx context.Context, u upload) (*flight, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if f := a.flights[u.id]; f != nil {
		return f, nil
	}
	if a.stopping.Err() != nil { // the next start does it
		return nil, errUnderWay
	}
	f := &flight{done: make(chan struct{})}
	a.flights[u.id] = f
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longestHandOver(u.Bytes))
		defer cancel()
		err := a.handOver(ctx, u)
		if err != nil && !errors.Is(err, errGone) {
			a.tryAgain()
		}
		a.mu.Lock()
		delete(a.flights, u.id)
		a.mu.Unlock()
		f.err = err
		close(f.done)
	}()
	return f, nil
}

// handOver puts a file into the media store and asks for it to be published. Each step
// can be done again: a process may die after any of them.
func (a *App) handOver(ctx context.Context, u upload) error {
	published, err := a.published(ctx, u)
	if err != nil {
		return err
	}
	if !published {
		if err := a.announceOnce(ctx, u); err != nil {
			return err
		}
		if err := syncFile(a.folder.path(u.id)); errors.Is(err, fs.ErrNotExist) {
			return errUnderWay // another process has just done it
		} else if err != nil {
			return fmt.Errorf("write upload %s to the disk: %w", u.id, err)
		}
		key := publishingmsg.SourceKey(u.videoID())
		if err := a.media.PutFile(ctx, key, a.folder.path(u.id)); err != nil {
			// Not every trouble of a bucket says of itself that it passes; none is the file's fault.
			return messagestore.Transient(fmt.Errorf("hand over upload %s: %w", u.id, err))
		}
		// Whoever deletes the video after this finds the file. Before it, they found none.
		gone, err := a.gone(ctx, u)
		if err != nil {
			return err
		}
		if gone {
			if err := a.media.Delete(ctx, key); err != nil {
				return messagestore.Transient(fmt.Errorf("take back upload %s: %w", u.id, err))
			}
			return errors.Join(errGone, a.folder.drop(u.id))
		}
		if err := a.write(ctx, u, u.OwnerID, publishingmsg.PublishVideo{
			VideoID: u.videoID(), OwnerID: u.OwnerID, SourceURI: key, FileName: u.FileName, Bytes: u.Bytes,
		}); err != nil {
			return err
		}
	}
	now := a.now()
	return errors.Join(removed(os.Chtimes(a.folder.recordPath(u.id), now, now)), a.folder.dropBytes(u.id))
}

// published reports whether PublishVideo has been written for an upload.
func (a *App) published(ctx context.Context, u upload) (bool, error) {
	return a.store.Has(ctx, commandID(publishingmsg.PublishVideo{}, u))
}

// gone reports whether the video of an upload has been deleted or given up.
func (a *App) gone(ctx context.Context, u upload) (bool, error) {
	for _, event := range []messagestore.Body{publishingmsg.VideoDeleted{}, publishingmsg.UploadAbandoned{}} {
		_, err := a.store.Last(ctx, publishingmsg.Category.Stream(u.videoID()), event.MessageType())
		if !errors.Is(err, messagestore.ErrNoMessage) {
			return err == nil, err
		}
	}
	return false, nil
}

// announce tells that an upload has begun, and what it is called.
func (a *App) announce(ctx context.Context, u upload) error {
	commands := []messagestore.Body{publishingmsg.BeginUpload{VideoID: u.videoID(), OwnerID: u.OwnerID, FileName: u.FileName, Bytes: u.Bytes}}
	if u.Description != "" {
		commands = append(commands, publishingmsg.DescribeVideo{VideoID: u.videoID(), Description: u.Description})
	}
	// The last one: announceOnce looks for it.
	commands = append(commands, publishingmsg.NameVideo{VideoID: u.videoID(), Name: u.Title})
	for _, command := range commands {
		if err := a.write(ctx, u, u.OwnerID, command); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) announceOnce(ctx context.Context, u upload) error {
	announced, err := a.store.Has(ctx, commandID(publishingmsg.NameVideo{}, u))
	if err != nil || announced {
		return err
	}
	return a.announce(ctx, u)
}

// abandon writes that an upload was given up, of which the bytes are gone, and forgets it.
func (a *App) abandon(ctx context.Context, u upload, onBehalf string) error {
	if err := a.write(ctx, u, onBehalf, publishingmsg.AbandonUpload{VideoID: u.videoID()}); err != nil {
		return err
	}
	return a.folder.drop(u.id)
}

// write writes a command about an upload, each type of them once. It has a trace of its
// own, which a page can follow.
func (a *App) write(ctx context.Context, u upload, onBehalf string, command messagestore.Body) error {
	_, err := a.store.Write(ctx, publishingmsg.Category.CommandStream(u.videoID()), command,
		messagestore.WithID(commandID(command, u)),
		messagestore.WithMetadata(messagestore.Metadata{TraceID: traceID(command, u), UserID: onBehalf}))
	if errors.Is(err, messagestore.ErrDuplicateID) {
		return nil
	}
	return err
}

func traceID(command messagestore.Body, u upload) string {
	return messagestore.DeriveID(command.MessageType(), u.videoID())
}

func commandID(command messagestore.Body, u upload) string {
	return messagestore.DeriveID("command", traceID(command, u))
}
