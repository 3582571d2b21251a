package videopublishing

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"time"

	"videotutorials/components/videopublishing/ffmpeg"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/media"
	"videotutorials/messagestore"
)

// What the files of an attempt are called, beside those of the renditions.
const (
	masterFile      = "master.m3u8"
	posterFile      = "poster.jpg"
	storyboardFile  = "storyboard.vtt"
	storyboardImage = "storyboard.jpg"
	mp4File         = "video.mp4"
	webMFile        = "video.webm"

	soundName = "audio" // beside the names of the renditions
)

// errUnwanted ends the work on a video that was deleted or canceled meanwhile.
var errUnwanted = errors.New("the video is not to be published any more")

// transcode works on an attempt until the video is published, refused or unwanted. What
// an event says is done is not done again, and what this machine has made is made once,
// however often the store of files or the database is away before all can see it. It ends
// with an error only where that may go away by itself: no film parks its stream.
func (c *Component) transcode(ctx context.Context, m messagestore.Message[publishingmsg.VideoPublishingStarted]) error {
	if !isOf(m.Stream, m.Data.VideoID) { // it names a folder
		return nil
	}
	c.sweep(ctx)
	c.forget(ctx)
	v, err := c.video(ctx, m.Data.VideoID)
	if err != nil {
		return err
	}
	of := attemptOf{v.id, m.Data.Attempt}
	if !v.works(m.Data.Attempt) {
		c.attempts.Delete(of)
		return c.leave(ctx, m.Stream, m.Data.Attempt)
	}
	known := c.remember(of)
	if err := known.waits(); err != nil {
		return err
	}
	folder, err := openFolder(ctx, c.config.WorkDir, v.id, v.attempt)
	if err != nil {
		return messagestore.Transient(err)
	}
	defer folder.close()
	w := &work{Component: c, cause: m, seen: v, known: known, folder: folder, began: time.Now()}
	w.meter = newMeter(c.config.Report, publishingmsg.Progress{VideoID: v.id, OwnerID: v.ownerID, Attempt: v.attempt})
	ended := c.config.Working()
	err = w.run(ctx)
	ended()
	var no *ffmpeg.Refusal
	switch {
	case err == nil, errors.Is(err, errUnwanted), errors.Is(err, errNoRoom), ctx.Err() != nil: // what was cut off says nothing
	case errors.As(err, &no):
		if err = w.fail(ctx, no.Reason); err == nil {
			c.config.Log.Info("video refused", "trace_id", m.Metadata.TraceID, "video_id", v.id, "attempt", v.attempt, "reason", no.Reason, "took", time.Since(w.began))
		}
	case errors.As(err, new(unexplained)), !messagestore.IsTransient(err):
		err = w.again(ctx, err)
	}
	if errors.Is(err, errUnwanted) {
		c.config.Log.Info("video no longer worked on", "trace_id", m.Metadata.TraceID, "video_id", v.id, "attempt", v.attempt, "took", time.Since(w.began))
		err = c.leave(ctx, m.Stream, v.attempt)
	}
	if err != nil {
		return err
	}
	c.attempts.Delete(of)
	return messagestore.Transient(folder.remove())
}

// leave removes the files of an attempt that is over, unless it is the one that was
// published. Whoever decided that it is over removes them too, but a file may come after
// that: from work that did not know yet, or that was killed before it could clean up.
func (c *Component) leave(ctx context.Context, stream messagestore.Stream, attempt int) error {
	v, err := c.video(ctx, stream.ID())
	if err != nil || v.state == published && v.attempt == attempt {
		return err
	}
	return c.dropAttempt(ctx, stream, v.id, attempt)
}

func (w *work) publish(ctx context.Context) error {
	w.meter.step(probing)
	source, err := w.fetch(ctx)
	if err != nil {
		return err
	}
	if w.config.Encoder == nil {
		return w.publishAsItIs(ctx, source)
	}
	film, err := w.probe(ctx, source)
	if err != nil {
		return w.trouble(err)
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

// fetch returns the path of the file that was handed in.
func (w *work) fetch(ctx context.Context) (string, error) {
	missing := &ffmpeg.Refusal{Reason: publishingmsg.SourceMissing}
	key, ok := media.Key(media.Path(w.cause.Data.SourceURI))
	if !ok { // what another program calls a file
		return "", missing
	}
	source, err := w.config.Media.Fetch(ctx, key, w.folder.path)
	if errors.Is(err, media.ErrNotFound) {
		return "", missing
	}
	return source, messagestore.Transient(err)
}

// probe reads the whole film, which may be long: once for each process.
func (w *work) probe(ctx context.Context, source string) (ffmpeg.Film, error) {
	if w.known.film != nil {
		return *w.known.film, nil
	}
	film, err := w.config.Encoder.Probe(ctx, source)
	if err == nil {
		w.known.film = &film
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
			return w.trouble(err)
		}
		if made, err = w.folder.keep(s, done, s == first && film.Audio); err != nil {
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
			VideoID: w.seen.id, Attempt: w.cause.Data.Attempt, Name: r.Name,
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
	return slices.ContainsFunc(w.seen.transcoded, func(there publishingmsg.RenditionTranscoded) bool { return there.Name == r.Name })
}

// playable lets people watch the first rendition.
func (w *work) playable(ctx context.Context, source string, film ffmpeg.Film) error {
	if w.seen.playable {
		return nil
	}
	dir, err := w.folder.making()
	if err != nil {
		return messagestore.Transient(err)
	}
	if err := w.config.Encoder.Poster(ctx, source, film, filepath.Join(dir, posterFile)); err != nil {
		return w.trouble(err)
	}
	if err := w.folder.take(posterFile); err != nil {
		return messagestore.Transient(err)
	}
	if err := w.put(ctx, []string{posterFile}); err != nil {
		return err
	}
	if err := w.putMaster(ctx, film); err != nil {
		return err
	}
	err = w.tell(ctx, publishingmsg.VideoPlayable{
		VideoID: w.seen.id, OwnerID: w.cause.Data.OwnerID, Attempt: w.cause.Data.Attempt,
		HLSURI: w.uri(masterFile), PosterURI: w.uri(posterFile),
		DurationMS: film.Duration.Milliseconds(), Width: film.Width, Height: film.Height,
	}, "")
	if err == nil {
		w.config.Log.Info("video playable", "trace_id", w.cause.Metadata.TraceID, "video_id", w.seen.id, "attempt", w.cause.Data.Attempt, "length", film.Duration, "took", time.Since(w.began))
	}
	return err
}

// putMaster keeps the playlist of all renditions that are there.
func (w *work) putMaster(ctx context.Context, film ffmpeg.Film) error {
	v, err := w.video(ctx, w.seen.id)
	if err != nil {
		return err
	}
	w.seen = v
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
	used := []string{smallest.Name, one.Name}
	if film.Audio {
		used = append(used, soundName)
	}
	for _, name := range used {
		if err := w.restore(ctx, name); err != nil {
			return err
		}
	}
	dir, err := w.folder.making()
	if err != nil {
		return messagestore.Transient(err)
	}
	cues, err := w.config.Encoder.Storyboard(ctx, smallest, w.folder.finished(), filepath.Join(dir, storyboardImage))
	if err != nil {
		return w.trouble(err)
	}
	if err := w.folder.take(storyboardImage); err != nil {
		return messagestore.Transient(err)
	}
	if err := w.folder.write(storyboardFile, cues); err != nil {
		return messagestore.Transient(err)
	}
	if dir, err = w.folder.making(); err != nil {
		return messagestore.Transient(err)
	}
	if err := w.config.Encoder.Progressive(ctx, film, one, w.folder.finished(), filepath.Join(dir, mp4File)); err != nil {
		return w.trouble(err)
	}
	if err := w.folder.take(mp4File); err != nil {
		return messagestore.Transient(err)
	}
	if err := w.put(ctx, []string{storyboardImage, storyboardFile, mp4File}); err != nil {
		return err
	}
	return w.complete(ctx, publishingmsg.VideoPublished{
		TranscodedURI: w.uri(mp4File), HLSURI: w.uri(masterFile), PosterURI: w.uri(posterFile), StoryboardURI: w.uri(storyboardFile),
		DurationMS: film.Duration.Milliseconds(), Width: film.Width, Height: film.Height,
	})
}

// fail ends the attempt.
func (w *work) fail(ctx context.Context, reason string) error {
	return w.tell(ctx, publishingmsg.VideoPublishingFailed{
		VideoID: w.seen.id, OwnerID: w.cause.Data.OwnerID, SourceURI: w.cause.Data.SourceURI, Attempt: w.cause.Data.Attempt, Reason: reason,
	}, "")
}

func (w *work) complete(ctx context.Context, event publishingmsg.VideoPublished) error {
	event.VideoID, event.OwnerID, event.SourceURI, event.Attempt = w.seen.id, w.cause.Data.OwnerID, w.cause.Data.SourceURI, w.cause.Data.Attempt
	if err := w.tell(ctx, event, ""); err != nil {
		return err
	}
	w.config.Log.Info("video published", "trace_id", w.cause.Metadata.TraceID, "video_id", event.VideoID, "attempt", event.Attempt, "renditions", len(w.seen.transcoded),
		"length", time.Duration(event.DurationMS)*time.Millisecond, "took", time.Since(w.began))
	return nil
}

// publishAsItIs publishes a file that browsers play, where nothing can be made of it. Of a
// file that does not say how long it is nobody knows here.
func (w *work) publishAsItIs(ctx context.Context, source string) error {
	found, err := ffmpeg.PlayableAsItIs(source)
	if err != nil {
		return w.trouble(err)
	}
	if found.Duration > w.config.MostLength {
		return &ffmpeg.Refusal{Reason: publishingmsg.FilmTooLong, Detail: found.Duration.String()}
	}
	name := mp4File
	if found.ContentType == media.ContentType(webMFile) {
		name = webMFile
	}
	w.meter.step(finishing)
	if err := w.config.Media.PutFile(ctx, w.key(name), source); err != nil {
		return messagestore.Transient(err)
	}
	return w.complete(ctx, publishingmsg.VideoPublished{
		TranscodedURI: w.uri(name), DurationMS: found.Duration.Milliseconds(), Width: found.Width, Height: found.Height,
	})
}
