package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/media"
	"videotutorials/messagestore"
)

// demo hands in the lessons about this system, through the same messages as any other
// video. It can be ended at any moment and run again: ids are derived, so what is
// there already is not written twice.
type demo struct {
	store *messagestore.Store
	media *media.Store
	dir   string // for films that are being made
	log   *slog.Logger
	told  atomic.Value // string
}

func newDemo(store *messagestore.Store, media *media.Store, dir string, log *slog.Logger) *demo {
	return &demo{store: store, media: media, dir: dir, log: log}
}

// demoOwner is whose videos the lessons are.
var demoOwner = messagestore.DeriveID("demo", "owner")

// notice returns what an empty list of lessons should say about the demo lessons.
func (d *demo) notice() string {
	told, _ := d.told.Load().(string)
	return told
}

// wanted reports whether no video was ever handed in here, or only some of the demo
// lessons: an earlier run that was cut off.
func (d *demo) wanted(ctx context.Context) (bool, error) {
	first, err := d.store.ReadCategory(ctx, publishingmsg.Category, messagestore.CategoryQuery{Limit: 1})
	if err != nil {
		return false, err
	}
	if len(first) == 0 {
		d.told.Store(beingMade)
		return true, nil
	}
	begun, missing := false, false
	for _, l := range demoLessons() {
		begun = begun || first[0].Stream.ID() == demoID(l)
		handedIn, err := d.handedIn(ctx, l)
		if err != nil {
			return false, err
		}
		missing = missing || !handedIn
	}
	return begun && missing, nil
}

// handedIn reports whether a lesson was handed in, or was published before there was
// anything to hand in to.
func (d *demo) handedIn(ctx context.Context, l lesson) (bool, error) {
	handedIn, err := d.store.Has(ctx, demoMessageID(l, publishingmsg.PublishVideo{}))
	if err != nil || handedIn {
		return handedIn, err
	}
	return d.store.Has(ctx, demoMessageID(l, publishingmsg.VideoPublished{}))
}

const beingMade = "The first lessons are being made on this machine right now. Each appears here as soon as it is ready."

// run makes and hands in what is missing, the last lesson first: the newest stand at
// the top of the list. Each waits for the one before it to be published, and is drawn
// meanwhile.
func (d *demo) run(ctx context.Context) error {
	ffmpeg, err := findFFmpeg()
	if err != nil {
		d.told.Store("The demo lessons could not be made: " + err.Error())
		return err
	}
	d.told.Store(beingMade)
	group, ctx := errgroup.WithContext(ctx)
	films := make(chan lesson)
	group.Go(func() error {
		defer close(films)
		for _, l := range slices.Backward(demoLessons()) {
			if err := d.make(ctx, ffmpeg, l); err != nil {
				return fmt.Errorf("demo lesson %s: %w", l.Slug, err)
			}
			select {
			case films <- l:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	group.Go(func() error {
		for l := range films {
			if err := d.publish(ctx, l); err != nil {
				return fmt.Errorf("demo lesson %s: %w", l.Slug, err)
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		d.told.Store("The demo lessons could not be made; the log says why.")
		return err
	}
	d.told.Store("")
	return os.RemoveAll(d.dir)
}

// make leaves a lesson's film in its folder, unless it was handed in already.
func (d *demo) make(ctx context.Context, ffmpeg string, l lesson) error {
	if done, err := d.handedIn(ctx, l); err != nil || done {
		return err
	}
	_, err := makeFilm(ctx, ffmpeg, l, d.folder(l))
	return err
}

// publish hands a film in as a person would, and waits until it is published.
func (d *demo) publish(ctx context.Context, l lesson) error {
	id := demoID(l)
	done, err := d.handedIn(ctx, l)
	if err != nil {
		return err
	}
	if !done {
		if err := d.handIn(ctx, l); err != nil {
			return err
		}
	}
	if err := d.published(ctx, id); err != nil {
		return err
	}
	if !done {
		d.log.Info("demo lesson published", "lesson", l.Slug)
	}
	return nil
}

func (d *demo) handIn(ctx context.Context, l lesson) error {
	id, film := demoID(l), filepath.Join(d.folder(l), videoFile)
	info, err := os.Stat(film)
	if err != nil {
		return err
	}
	if err := d.media.PutFile(ctx, publishingmsg.SourceKey(id), film); err != nil {
		return err
	}
	about := messagestore.WithMetadata(messagestore.Metadata{TraceID: messagestore.DeriveID("demo", l.Slug, "trace"), UserID: demoOwner})
	// Published last: a card that appears on an open page has its title at once.
	for _, command := range []messagestore.Body{
		publishingmsg.BeginUpload{VideoID: id, OwnerID: demoOwner, FileName: l.Slug + ".mp4", Bytes: info.Size()},
		publishingmsg.NameVideo{VideoID: id, Name: l.Title},
		publishingmsg.DescribeVideo{VideoID: id, Description: l.Description},
		publishingmsg.PublishVideo{VideoID: id, OwnerID: demoOwner, SourceURI: publishingmsg.SourceKey(id), FileName: l.Slug + ".mp4", Bytes: info.Size()},
	} {
		_, err := d.store.Write(ctx, publishingmsg.Category.CommandStream(id), command, messagestore.WithID(demoMessageID(l, command)), about)
		if err != nil && !errors.Is(err, messagestore.ErrDuplicateID) {
			return err
		}
	}
	return nil
}

// published waits until a video is published. Its owner is nobody who could retry what
// failed, so that is an error here.
func (d *demo) published(ctx context.Context, id string) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		for m, err := range d.store.Read(ctx, publishingmsg.Category.Stream(id), 0) {
			if err != nil {
				return err
			}
			switch m.Type {
			case publishingmsg.VideoPublished{}.MessageType(), publishingmsg.VideoDeleted{}.MessageType():
				return nil
			case publishingmsg.VideoPublishingFailed{}.MessageType():
				failed, err := messagestore.Decode[publishingmsg.VideoPublishingFailed](m)
				if err != nil {
					return err
				}
				return fmt.Errorf("it was not published: %s", failed.Data.Reason)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (d *demo) folder(l lesson) string { return filepath.Join(d.dir, demoID(l)) }

func demoMessageID(l lesson, body messagestore.Body) string {
	return messagestore.DeriveID("demo", l.Slug, body.MessageType())
}

func demoID(l lesson) string { return messagestore.DeriveID("demo", l.Slug) }

// makeDemo is the command: it publishes the lessons itself until all of them are there,
// unless the site is running and does.
func (p *program) makeDemo(ctx context.Context) error {
	working, cancel := context.WithCancel(ctx)
	defer cancel()
	group, working := errgroup.WithContext(working)
	group.Go(func() error { return p.publishing.Run(working) })
	group.Go(func() error {
		defer cancel()
		return p.demo.run(working)
	})
	return group.Wait()
}
