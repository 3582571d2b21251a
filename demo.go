package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync/atomic"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
)

// demo publishes the lessons about this system, through the same messages as any
// other video. It can be ended at any moment and run again: ids are derived, so
// what is there already is not written twice.
type demo struct {
	store *messagestore.Store
	media string
	log   *slog.Logger
	told  atomic.Value // string
}

func newDemo(store *messagestore.Store, media string, log *slog.Logger) *demo {
	return &demo{store: store, media: media, log: log}
}

// notice returns what an empty list of lessons should say about the demo lessons.
func (d *demo) notice() string {
	told, _ := d.told.Load().(string)
	return told
}

// wanted reports whether no video was ever published here, or only some of the
// demo lessons: an earlier run that was cut off.
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
		published, err := d.published(ctx, l)
		if err != nil {
			return false, err
		}
		missing = missing || !published
	}
	return begun && missing, nil
}

func (d *demo) published(ctx context.Context, l lesson) (bool, error) {
	return d.store.Has(ctx, demoMessageID(l, publishingmsg.VideoPublished{}))
}

const beingMade = "The first lessons are being made on this machine right now. Each appears here as soon as it is ready."

// run makes and publishes what is missing, the last lesson first: the newest stand
// at the top of the list.
func (d *demo) run(ctx context.Context) error {
	ffmpeg, err := findFFmpeg()
	if err != nil {
		d.told.Store("The demo lessons could not be made: " + err.Error())
		return err
	}
	d.told.Store(beingMade)
	for _, l := range slices.Backward(demoLessons()) {
		if err := d.publish(ctx, ffmpeg, l); err != nil {
			d.told.Store("The demo lessons could not be made; the log says why.")
			return fmt.Errorf("demo lesson %s: %w", l.Slug, err)
		}
	}
	d.told.Store("")
	return nil
}

func (d *demo) publish(ctx context.Context, ffmpeg string, l lesson) error {
	id := demoID(l)
	film, err := makeFilm(ctx, ffmpeg, l, filepath.Join(d.media, id))
	if err != nil {
		return err
	}
	if done, err := d.published(ctx, l); err != nil || done {
		return err
	}
	published := publishingmsg.VideoPublished{
		VideoID: id, OwnerID: messagestore.DeriveID("demo", "owner"), SourceURI: "demo:" + l.Slug,
		TranscodedURI: "/media/" + id + "/video.mp4", PosterURI: "/media/" + id + "/poster.jpg",
		DurationMS: film.Duration.Milliseconds(), Width: film.Width, Height: film.Height,
	}
	trace := messagestore.WithMetadata(messagestore.Metadata{TraceID: messagestore.NewID()})
	// Published last: a card that appears on an open page has its title at once.
	for _, body := range []messagestore.Body{
		publishingmsg.VideoNamed{VideoID: id, Name: l.Title},
		publishingmsg.VideoDescribed{VideoID: id, Description: l.Description},
		published,
	} {
		_, err := d.store.Write(ctx, publishingmsg.Category.Stream(id), body,
			messagestore.WithID(demoMessageID(l, body)), trace)
		if err != nil && !errors.Is(err, messagestore.ErrDuplicateID) {
			return err
		}
	}
	d.log.Info("demo lesson published", "lesson", l.Slug, "length", film.Duration)
	return nil
}

func demoMessageID(l lesson, body messagestore.Body) string {
	return messagestore.DeriveID("demo", l.Slug, body.MessageType())
}

func demoID(l lesson) string { return messagestore.DeriveID("demo", l.Slug) }
