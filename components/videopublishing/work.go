package videopublishing

import (
	"context"
	"errors"
	"path"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/media"
	"videotutorials/messagestore"
)

const (
	playlistSuffix = ".m3u8"
	// keptAtOnce is how many files are on their way: a bucket takes a while for each.
	keptAtOnce = 8
	// mostPlaylist and mostSegment are how many bytes are read of a file of our own.
	mostPlaylist = 4 << 20
	mostSegment  = 64 << 20
)

// work is what goes on for one attempt.
type work struct {
	*Component
	cause  messagestore.Message[publishingmsg.VideoPublishingStarted]
	seen   video // as it was when it was last looked at
	known  *remembered
	folder *folder
	meter  *meter
	began  time.Time
}

// run does the work while a second goroutine looks whether it is wanted. Where it is not,
// no other error is of interest: the source may have gone with the video.
func (w *work) run(parent context.Context) error {
	ctx, stop := context.WithCancel(parent)
	var watching sync.WaitGroup
	version := w.seen.version
	watching.Go(func() { w.watch(ctx, version, stop) })
	defer watching.Wait()
	defer stop()
	err := w.publish(ctx)
	if err == nil {
		return nil
	}
	if v, fetching := w.video(parent, w.seen.id); fetching == nil && !v.works(w.cause.Data.Attempt) {
		return errUnwanted
	}
	return err
}

// watch tells once a second how far the work is and stops it when nobody wants it any
// more. That the database is away is no reason to.
func (w *work) watch(ctx context.Context, version int64, stop context.CancelFunc) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		w.meter.tell()
		now, err := w.store.Version(ctx, publishingmsg.Category.Stream(w.cause.Data.VideoID))
		if err != nil || now == version {
			continue
		}
		v, err := w.video(ctx, w.cause.Data.VideoID)
		if err != nil {
			continue
		}
		version = v.version
		if !v.works(w.cause.Data.Attempt) {
			stop()
		}
	}
}

// tell writes an event of the work, if the attempt is still wanted. That something else
// has happened to the video, a new name perhaps, is no reason to do anything again.
func (w *work) tell(ctx context.Context, event messagestore.Body, which string) error {
	id := messagestore.DeriveID(w.cause.ID, "transcode", event.MessageType(), which)
	for {
		v, err := w.video(ctx, w.seen.id)
		if err != nil {
			return err
		}
		w.seen = v
		if !v.works(w.cause.Data.Attempt) {
			return errUnwanted
		}
		_, err = w.store.Write(ctx, publishingmsg.Category.Stream(v.id), event, messagestore.Follow(w.cause),
			messagestore.WithID(id), messagestore.ExpectedVersion(v.version))
		if !errors.Is(err, messagestore.ErrWrongExpectedVersion) {
			return unlessDone(err)
		}
	}
}

func (w *work) key(name string) string {
	return path.Join(attemptKey(w.seen.id, w.cause.Data.Attempt), name)
}

func (w *work) uri(name string) string { return media.Path(w.key(name)) }

// put keeps finished files: first those that playlists name, then the playlists.
func (w *work) put(ctx context.Context, names []string) error {
	isPlaylist := func(name string) bool { return strings.HasSuffix(name, playlistSuffix) }
	for _, playlists := range []bool{false, true} {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(keptAtOnce)
		for _, name := range names {
			if isPlaylist(name) == playlists {
				group.Go(func() error { return w.config.Media.PutFile(ctx, w.key(name), w.folder.file(name)) })
			}
		}
		if err := group.Wait(); err != nil {
			return messagestore.Transient(err)
		}
	}
	return nil
}

// restore fetches the files of a playlist that an earlier process has made, or another
// machine, unless they are here.
func (w *work) restore(ctx context.Context, name string) error {
	if w.folder.has(name) {
		return nil
	}
	text, err := w.kept(ctx, name+playlistSuffix, mostPlaylist)
	if err != nil {
		return err
	}
	for _, file := range filesOf(string(text)) {
		if !isFileOf(name, file) { // the file of another video, perhaps
			return noFile(file)
		}
		content, err := w.kept(ctx, file, mostSegment)
		if err != nil {
			return err
		}
		if err := w.folder.write(file, content); err != nil {
			return messagestore.Transient(err)
		}
	}
	return messagestore.Transient(w.folder.write(name+playlistSuffix, text))
}

// kept returns a file of this attempt from the store of files. That it lacks one that an
// event says is there does not go away, but another attempt makes it again.
func (w *work) kept(ctx context.Context, name string, most int64) ([]byte, error) {
	content, err := w.config.Media.Read(ctx, w.key(name), most)
	if errors.Is(err, media.ErrNotFound) {
		return nil, unexplained{err}
	}
	return content, messagestore.Transient(err)
}

// filesOf returns the files that a playlist names.
func filesOf(playlist string) (files []string) {
	for line := range strings.Lines(playlist) {
		line = strings.TrimSpace(line)
		if _, after, ok := strings.Cut(line, `#EXT-X-MAP:URI="`); ok {
			line, _, _ = strings.Cut(after, `"`)
		}
		if line != "" && !strings.HasPrefix(line, "#") {
			files = append(files, line)
		}
	}
	return files
}
