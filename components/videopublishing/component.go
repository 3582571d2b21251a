// Package videopublishing decides what happens to videos, from the first byte of an
// upload to their end, and does the work that lies between: it probes a file that was
// handed in, transcodes it and keeps what browsers play. contract.md says which
// messages it takes and writes.
package videopublishing

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"videotutorials/components/videopublishing/ffmpeg"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/media"
	"videotutorials/messagestore"
)

// Config is what [New] needs to know.
type Config struct {
	// Media is where the files are: those that were handed in and those that browsers play.
	Media *media.Store
	// WorkDir is a folder of this machine for files that are being made. Processes may
	// share it.
	WorkDir string
	// Encoder is nil where this machine has none: then a file is published as it is, if
	// browsers play it.
	Encoder *ffmpeg.Encoder
	// MostLength is the longest film that is published where there is no encoder, which
	// has a limit of its own; 0: 4 hours.
	MostLength time.Duration
	// AtOnce is how many videos are worked on at the same time; 0 is one.
	AtOnce int
	// Report is told, about once a second for each video that is worked on, how far the
	// work has come; several may call it at once. Nil: nobody wants to know.
	Report func(publishingmsg.Progress)
	// Working is told that the work on a video begins, and the function that it returns
	// that it has ended, one way or another; several may call it at once. Nil: nobody wants
	// to know.
	Working func() (ended func())
	// Group is the share of the work that this one does; the zero value is all of it.
	Group messagestore.Group
	// Log is told what was published and how long it took; nil logs nothing.
	Log *slog.Logger
}

// looksAtOnce keeps one file that is slow to look at from holding up all others.
const looksAtOnce = 2

// Component handles the commands to videos and does the work that follows.
type Component struct {
	store    *messagestore.Store
	config   Config
	attempts sync.Map                         // what is remembered of attempts that are worked on, by attemptOf
	pause    func(failures int) time.Duration // none in tests
	full     func(dir string) bool            // says of a disk what tests want
}

// New returns the component.
func New(store *messagestore.Store, config Config) *Component {
	if config.Report == nil {
		config.Report = func(publishingmsg.Progress) {}
	}
	if config.Working == nil {
		config.Working = func() func() { return func() {} }
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	config.MostLength = cmp.Or(config.MostLength, 4*time.Hour)
	config.AtOnce = max(config.AtOnce, 1) // 0 would have one film in trouble hold up all others
	return &Component{store: store, config: config, pause: pause, full: isFull}
}

// Subscriptions returns what the component follows: the commands, which never wait for
// work; the attempts to publish a video, first for a look and then for the work, several at
// a time; and what leaves files behind that nobody needs.
func (c *Component) Subscriptions() []*messagestore.Subscription {
	return []*messagestore.Subscription{
		messagestore.NewSubscription(c.store, messagestore.SubscriptionConfig{
			Name: "videoPublishing:commands", Category: publishingmsg.Category.Commands(), Handlers: c.commands(), Group: c.config.Group,
		}),
		messagestore.NewSubscription(c.store, messagestore.SubscriptionConfig{
			Name: "videoPublishing:looking", Category: publishingmsg.Category, Handlers: c.looks(), Group: c.config.Group, Concurrency: looksAtOnce,
		}),
		messagestore.NewSubscription(c.store, messagestore.SubscriptionConfig{
			Name: "videoPublishing:transcoding", Category: publishingmsg.Category, Handlers: c.work(), Group: c.config.Group, Concurrency: c.config.AtOnce,
		}),
		messagestore.NewSubscription(c.store, messagestore.SubscriptionConfig{
			Name: "videoPublishing:files", Category: publishingmsg.Category, Handlers: c.files(), Group: c.config.Group,
		}),
	}
}

func (c *Component) commands() []messagestore.Handler {
	return []messagestore.Handler{
		messagestore.On(c.beginUpload), messagestore.On(c.abandonUpload),
		messagestore.On(c.publishVideo), messagestore.On(c.retryPublishing), messagestore.On(c.cancelPublishing),
		messagestore.On(c.nameVideo), messagestore.On(c.describeVideo), messagestore.On(c.changeVisibility),
		messagestore.On(c.addCaptions), messagestore.On(c.removeCaptions),
		messagestore.On(c.setChapters), messagestore.On(c.removeChapters),
		messagestore.On(c.deleteVideo),
	}
}

func (c *Component) looks() []messagestore.Handler {
	return []messagestore.Handler{messagestore.On(c.look)}
}

func (c *Component) work() []messagestore.Handler {
	return []messagestore.Handler{messagestore.On(c.transcode)}
}

func (c *Component) files() []messagestore.Handler {
	return []messagestore.Handler{
		messagestore.On(c.dropVideo), messagestore.On(c.dropUpload), messagestore.On(c.dropFailed), messagestore.On(c.dropCanceled),
		messagestore.On(c.dropCaptions), messagestore.On(c.dropReplacedChapters), messagestore.On(c.dropChapters),
		messagestore.On(c.dropRefusedUpload), messagestore.On(c.dropRefusedCaptions), messagestore.On(c.dropRefusedChapters),
	}
}

// video fetches the video with an id; the zero video where nothing is known of it.
func (c *Component) video(ctx context.Context, videoID string) (video, error) {
	v, version, err := messagestore.Fetch(ctx, c.store, publishingmsg.Category.Stream(videoID), appliers...)
	v.id, v.version = videoID, version
	return v, err
}

// answer writes what was decided about a video after a command: one event for each
// command, expecting that nothing has happened to the video since it was fetched.
func answer[T any](ctx context.Context, c *Component, v video, m messagestore.Message[T], event messagestore.Body) error {
	_, err := c.store.Write(ctx, publishingmsg.Category.Stream(v.id), event, messagestore.Follow(m),
		messagestore.WithID(messagestore.DeriveID(m.ID, "answer")), messagestore.ExpectedVersion(v.version))
	return unlessDone(err)
}

// unlessDone takes a derived id that is there already for what it is: done before.
func unlessDone(err error) error {
	if errors.Is(err, messagestore.ErrDuplicateID) {
		return nil
	}
	return err
}
