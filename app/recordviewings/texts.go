package recordviewings

import (
	"context"
	"errors"
	"sync"

	"videotutorials/app/webvtt"
	"videotutorials/db/media"
	"videotutorials/views"
)

// texts reads captions and chapters. What is under an address never changes, so it is
// read once and kept, as far as there is room.
type texts struct {
	files *media.Store
	mu    sync.Mutex
	kept  map[string][]views.Cue
}

const mostTexts = 64

func newTexts(files *media.Store) *texts {
	return &texts{files: files, kept: map[string][]views.Cue{}}
}

// of returns the texts at an address on this site with their moments. A video can be
// watched without them, so where they cannot be read there are none.
func (t *texts) of(ctx context.Context, uri string) []views.Cue {
	key, ok := media.Key(uri)
	if !ok {
		return nil
	}
	t.mu.Lock()
	cues, known := t.kept[uri]
	t.mu.Unlock()
	if known {
		return cues
	}
	text, err := t.files.Read(ctx, key, webvtt.MostBytes)
	if err != nil && !errors.Is(err, media.ErrNotFound) {
		return nil // away; asked for again
	}
	read, err := webvtt.Parse(text)
	if err != nil {
		read = nil // checked when it was handed in
	}
	cues = make([]views.Cue, len(read))
	for i, c := range read {
		cues[i] = views.Cue{Start: c.Start, Text: c.Text}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for other := range t.kept { // any one: there is hardly ever more than fits
		if len(t.kept) < mostTexts {
			break
		}
		delete(t.kept, other)
	}
	t.kept[uri] = cues
	return cues
}
