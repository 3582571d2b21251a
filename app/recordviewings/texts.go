package recordviewings

import (
	"context"
	"errors"
	"sync"
	"time"

	"videotutorials/app/webvtt"
	"videotutorials/db/media"
	"videotutorials/views"
)

const (
	// textsKept is how many files are kept in memory; one may have a megabyte, few have
	// more than a tenth of that.
	textsKept = 50
	// textPatience is how long a page waits for a transcript: the video plays without it.
	textPatience = 2 * time.Second
)

// texts are the cues of captions and chapters, by the paths of their files, which never
// change what they hold.
type texts struct {
	files *media.Store

	mu   sync.Mutex
	cues map[string][]views.Cue
}

func newTexts(files *media.Store) *texts {
	return &texts{files: files, cues: map[string][]views.Cue{}}
}

// of returns the cues of a file.
func (t *texts) of(ctx context.Context, uri string) ([]views.Cue, error) {
	t.mu.Lock()
	cues, known := t.cues[uri]
	t.mu.Unlock()
	if known {
		return cues, nil
	}
	key, ok := media.Key(uri)
	if !ok {
		return nil, media.ErrNotFound
	}
	ctx, cancel := context.WithTimeout(ctx, textPatience)
	defer cancel()
	text, err := t.files.Read(ctx, key, webvtt.MostBytes)
	if err != nil {
		return nil, err
	}
	parsed, err := webvtt.Parse(text)
	if err != nil {
		return nil, err
	}
	for _, c := range parsed {
		cues = append(cues, views.Cue{Start: c.Start, Text: c.Text})
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for other := range t.cues {
		if len(t.cues) < textsKept {
			break
		}
		delete(t.cues, other) // whichever comes: it is read again when it is wanted
	}
	t.cues[uri] = cues
	return cues, nil
}

// cues returns what a file says, or nothing where it cannot be had now: a page without a
// transcript is better than none.
func (a *App) cues(ctx context.Context, uri string) []views.Cue {
	if uri == "" {
		return nil
	}
	cues, err := a.texts.of(ctx, uri)
	if err != nil && !errors.Is(err, media.ErrNotFound) {
		a.log.Warn("a watch page goes without its captions or chapters", "uri", uri, "error", err)
	}
	return cues
}
