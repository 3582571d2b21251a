package videopublishing

import (
	"context"
	"errors"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"videotutorials/components/videopublishing/ffmpeg"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/media"
	"videotutorials/messagestore"
)

// Names of the files of an attempt that all kinds of videos share.
const (
	masterFile      = "master.m3u8"
	posterFile      = "poster.jpg"
	storyboardFile  = "storyboard.vtt"
	storyboardImage = "storyboard.jpg"
	audioPlaylist   = "audio"
)

// errUnwanted ends the work on a video that was deleted or canceled meanwhile.
var errUnwanted = errors.New("the video is not to be published any more")

// transcode works on an attempt until the video is published, refused or unwanted. What
// an event says is done is not done again, and what this machine has made is made once,
// however often the store of files or the database is away before all can see it.
func (c *Component) transcode(ctx context.Context, m messagestore.Message[publishingmsg.VideoPublishingStarted]) error {
	c.sweep(ctx)
	v, err := c.video(ctx, m.Data.VideoID)
	if err != nil {
		return err
	}
	if !v.works(m.Data.Attempt) {
		return c.leave(ctx, v.id, m.Data.Attempt)
	}
	folder, err := openFolder(ctx, c.config.WorkDir, v.id, v.attempt)
	if err != nil {
		return messagestore.Transient(err)
	}
	defer folder.close()
	w := &work{Component: c, cause: m, video: v, folder: folder, began: time.Now()}
	w.meter = newMeter(c.config.Report, publishingmsg.Progress{VideoID: v.id, OwnerID: v.ownerID, Attempt: v.attempt})
	err = w.run(ctx)
	var no *ffmpeg.Refusal
	if errors.As(err, &no) {
		c.config.Log.Info("video refused", "video_id", v.id, "attempt", v.attempt, "reason", no.Reason, "took", time.Since(w.began))
		err = w.tell(ctx, publishingmsg.VideoPublishingFailed{
			VideoID: v.id, OwnerID: v.ownerID, SourceURI: m.Data.SourceURI, Attempt: v.attempt, Reason: no.Reason,
		}, "")
	}
	if errors.Is(err, errUnwanted) {
		c.config.Log.Info("video no longer worked on", "video_id", v.id, "attempt", v.attempt, "took", time.Since(w.began))
		err = c.leave(ctx, v.id, v.attempt)
	}
	if err != nil {
		return err
	}
	c.films.Delete(m.ID)
	return messagestore.Transient(folder.remove())
}

// leave removes the files of an attempt that is over, unless it is the one that was
// published. Whoever decided that it is over removes them too, but a file may come after
// that: from work that did not know yet, or that was killed before it could clean up.
func (c *Component) leave(ctx context.Context, videoID string, attempt int) error {
	v, err := c.video(ctx, videoID)
	if err != nil || v.state == published && v.attempt == attempt {
		return err
	}
	return c.dropAttempt(ctx, videoID, attempt)
}

// work is what goes on for one attempt.
type work struct {
	*Component
	cause  messagestore.Message[publishingmsg.VideoPublishingStarted]
	video  video // when it was last looked at
	folder *folder
	meter  *meter
	began  time.Time
}

// run does the work while a second goroutine looks whether it is wanted. Where it is not,
// no other error is of interest: the source may have gone with the video.
func (w *work) run(parent context.Context) error {
	ctx, stop := context.WithCancelCause(parent)
	var watching sync.WaitGroup
	version := w.video.version
	watching.Go(func() { w.watch(ctx, version, stop) })
	defer watching.Wait()
	defer stop(nil)
	err := w.publish(ctx)
	if err == nil {
		return nil
	}
	if v, fetching := w.Component.video(parent, w.video.id); fetching == nil && !v.works(w.cause.Data.Attempt) {
		return errUnwanted
	}
	return err
}

// watch tells once a second how far the work is and stops it when nobody wants it any
// more. That the database is away is no reason to.
func (w *work) watch(ctx context.Context, version int64, stop context.CancelCauseFunc) {
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
		v, err := w.Component.video(ctx, w.cause.Data.VideoID)
		if err != nil {
			continue
		}
		version = v.version
		if !v.works(w.cause.Data.Attempt) {
			stop(errUnwanted)
		}
	}
}

// tell writes an event of the work, if the attempt is still wanted. That something else
// has happened to the video, a new name perhaps, is no reason to do anything again.
func (w *work) tell(ctx context.Context, event messagestore.Body, which string) error {
	id := messagestore.DeriveID(w.cause.ID, "transcode", event.MessageType(), which)
	for {
		v, err := w.Component.video(ctx, w.video.id)
		if err != nil {
			return err
		}
		w.video = v
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

func (w *work) publish(ctx context.Context) error {
	w.meter.step(probing)
	source, err := w.config.Media.Fetch(ctx, w.cause.Data.SourceURI, w.folder.path)
	if errors.Is(err, media.ErrNotFound) {
		return &ffmpeg.Refusal{Reason: publishingmsg.SourceMissing}
	}
	if err != nil {
		return messagestore.Transient(err)
	}
	if w.config.Encoder == nil {
		return w.publishAsItIs(ctx, source)
	}
	film, err := w.probe(ctx, source)
	if err != nil {
		return w.folder.trouble(err)
	}
	ladder := ffmpeg.Ladder(film)
	one, others := ffmpeg.First(ladder)
	w.meter.plan(film, one, others)

	if err := w.make(ctx, first, source, film, []ffmpeg.Rendition{one}); err != nil {
		return err
	}
	if err := w.playable(ctx, source, film); err != nil {
		return err
	}
	if err := w.make(ctx, rest, source, film, others); err != nil {
		return err
	}
	w.meter.step(finishing)
	return w.finish(ctx, film, ladder[0], one)
}

// probe reads the whole film, which may be long: once for each process.
func (w *work) probe(ctx context.Context, source string) (ffmpeg.Film, error) {
	if film, ok := w.films.Load(w.cause.ID); ok {
		return film.(ffmpeg.Film), nil
	}
	film, err := w.config.Encoder.Probe(ctx, source)
	if err == nil {
		w.films.Store(w.cause.ID, film)
	}
	return film, err
}

// make makes those of some renditions that are not there yet, the first one together
// with the sound, and keeps their files.
func (w *work) make(ctx context.Context, s step, source string, film ffmpeg.Film, renditions []ffmpeg.Rendition) error {
	missing := slices.DeleteFunc(slices.Clone(renditions), w.has)
	if len(missing) == 0 {
		return nil
	}
	w.meter.step(s)
	made, err := w.folder.made(s, missing)
	if err != nil {
		return messagestore.Transient(err)
	}
	if made == nil {
		dir, err := w.folder.making()
		if err != nil {
			return messagestore.Transient(err)
		}
		done, err := w.config.Encoder.HLS(ctx, source, film, missing, s == first && film.Audio, dir, func(done time.Duration) {
			w.meter.done(float64(done) / float64(max(film.Duration, 1)))
		})
		if err != nil {
			return w.folder.trouble(err)
		}
		if made, err = w.folder.keep(s, done); err != nil {
			return messagestore.Transient(err)
		}
	}
	if err := w.put(ctx, made.Files); err != nil {
		return err
	}
	for _, r := range made.Renditions {
		if w.has(r) {
			continue
		}
		err := w.tell(ctx, publishingmsg.RenditionTranscoded{
			VideoID: w.video.id, Attempt: w.cause.Data.Attempt, Name: r.Name,
			Width: r.Width, Height: r.Height, BitsPerSecond: r.BitsPerSecond, Bytes: r.Bytes,
		}, r.Name)
		if err != nil {
			return err
		}
	}
	return nil
}

// has reports whether a rendition of this attempt is there.
func (w *work) has(r ffmpeg.Rendition) bool {
	return slices.ContainsFunc(w.video.transcoded, func(there publishingmsg.RenditionTranscoded) bool { return there.Name == r.Name })
}

// playable lets people watch the first rendition.
func (w *work) playable(ctx context.Context, source string, film ffmpeg.Film) error {
	if w.video.playable {
		return nil
	}
	poster, err := w.folder.fresh(posterFile)
	if err != nil {
		return messagestore.Transient(err)
	}
	if err := w.config.Encoder.Poster(ctx, source, film, poster); err != nil {
		return w.folder.trouble(err)
	}
	if err := w.put(ctx, []string{posterFile}); err != nil {
		return err
	}
	if err := w.putMaster(ctx, film); err != nil {
		return err
	}
	err = w.tell(ctx, publishingmsg.VideoPlayable{
		VideoID: w.video.id, OwnerID: w.cause.Data.OwnerID, Attempt: w.cause.Data.Attempt,
		HLSURI: w.uri(masterFile), PosterURI: w.uri(posterFile),
		DurationMS: film.Duration.Milliseconds(), Width: film.Width, Height: film.Height,
	}, "")
	if err == nil {
		w.config.Log.Info("video playable", "video_id", w.video.id, "attempt", w.cause.Data.Attempt, "length", film.Duration, "took", time.Since(w.began))
	}
	return err
}

// putMaster keeps the playlist of all renditions that are there.
func (w *work) putMaster(ctx context.Context, film ffmpeg.Film) error {
	v, err := w.Component.video(ctx, w.video.id)
	if err != nil {
		return err
	}
	w.video = v
	var there []ffmpeg.Rendition
	for _, r := range v.transcoded {
		there = append(there, ffmpeg.Rendition{Name: r.Name, Width: r.Width, Height: r.Height, BitsPerSecond: r.BitsPerSecond, Bytes: r.Bytes})
	}
	slices.SortFunc(there, func(a, b ffmpeg.Rendition) int { return a.Width*a.Height - b.Width*b.Height })
	return messagestore.Transient(w.config.Media.Put(ctx, w.key(masterFile), ffmpeg.Master(there, film)))
}

// finish makes what is made of renditions.
func (w *work) finish(ctx context.Context, film ffmpeg.Film, smallest, one ffmpeg.Rendition) error {
	if err := w.putMaster(ctx, film); err != nil {
		return err
	}
	playlists := []string{smallest.Name, one.Name}
	if film.Audio {
		playlists = append(playlists, audioPlaylist)
	}
	for _, name := range playlists {
		if err := w.restore(ctx, name); err != nil {
			return messagestore.Transient(err)
		}
	}
	for _, name := range []string{storyboardFile, storyboardImage, mp4File} {
		if _, err := w.folder.fresh(name); err != nil {
			return messagestore.Transient(err)
		}
	}
	if err := w.config.Encoder.Storyboard(ctx, film, smallest, w.folder.finished()); err != nil {
		return w.folder.trouble(err)
	}
	if err := w.config.Encoder.Progressive(ctx, film, one, w.folder.file(mp4File)); err != nil {
		return w.folder.trouble(err)
	}
	if err := w.put(ctx, []string{storyboardImage, storyboardFile, mp4File}); err != nil {
		return err
	}
	return w.published(ctx, publishingmsg.VideoPublished{
		TranscodedURI: w.uri(mp4File), HLSURI: w.uri(masterFile), PosterURI: w.uri(posterFile), StoryboardURI: w.uri(storyboardFile),
		DurationMS: film.Duration.Milliseconds(), Width: film.Width, Height: film.Height,
	})
}

func (w *work) published(ctx context.Context, event publishingmsg.VideoPublished) error {
	event.VideoID, event.OwnerID, event.SourceURI, event.Attempt = w.video.id, w.cause.Data.OwnerID, w.cause.Data.SourceURI, w.cause.Data.Attempt
	if err := w.tell(ctx, event, ""); err != nil {
		return err
	}
	w.config.Log.Info("video published", "video_id", event.VideoID, "attempt", event.Attempt, "renditions", len(w.video.transcoded),
		"length", time.Duration(event.DurationMS)*time.Millisecond, "took", time.Since(w.began))
	return nil
}

const (
	mp4File  = "video.mp4"
	webMFile = "video.webm"
)

// publishAsItIs publishes a file that browsers play, where nothing can be made of it.
func (w *work) publishAsItIs(ctx context.Context, source string) error {
	found, err := ffmpeg.PlayableAsItIs(source)
	if err != nil {
		return w.folder.trouble(err)
	}
	name := mp4File
	if found.ContentType == media.ContentType(webMFile) {
		name = webMFile
	}
	w.meter.step(finishing)
	if err := w.config.Media.PutFile(ctx, w.key(name), source); err != nil {
		return messagestore.Transient(err)
	}
	return w.published(ctx, publishingmsg.VideoPublished{
		TranscodedURI: w.uri(name), DurationMS: found.Duration.Milliseconds(), Width: found.Width, Height: found.Height,
	})
}

func (w *work) key(name string) string {
	return path.Join(attemptKey(w.video.id, w.cause.Data.Attempt), name)
}

func (w *work) uri(name string) string { return media.Path(w.key(name)) }

// A bucket takes a while for each file.
const keptAtOnce = 8

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

const playlistSuffix = ".m3u8"

// mostPlaylist and mostSegment are how many bytes are read of a file of our own.
const (
	mostPlaylist = 4 << 20
	mostSegment  = 256 << 20
)

// restore fetches the files of a playlist that an earlier process has made, or another
// machine.
func (w *work) restore(ctx context.Context, name string) error {
	playlist := w.folder.file(name + playlistSuffix)
	if _, err := os.Stat(playlist); err == nil {
		return nil
	}
	text, err := w.config.Media.Read(ctx, w.key(name+playlistSuffix), mostPlaylist)
	if err != nil {
		return err
	}
	for _, file := range filesOf(string(text)) {
		content, err := w.config.Media.Read(ctx, w.key(file), mostSegment)
		if err != nil {
			return err
		}
		if err := os.WriteFile(w.folder.file(path.Base(file)), content, 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(playlist, text, 0o600)
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
