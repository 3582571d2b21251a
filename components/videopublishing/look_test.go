package videopublishing

import (
	"path/filepath"
	"slices"
	"testing"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/media"
)

// A look refuses a letter once, also out of a bucket, and says nothing of films and of what
// it cannot see.
func TestLook(t *testing.T) {
	t.Parallel()
	address, away := bucket(t)
	store, err := media.Open(t.Context(), address, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	letter := filepath.Join(t.TempDir(), "letter.mp4")
	writeFile(t, letter, "This is a letter.")
	small := makeFilm(t, "film.mp4", "160x120", 1)
	for about, config := range map[string]Config{"files": {}, "a bucket": {Media: store}} {
		b, story := newWork(t, config)
		begun := []string{"VideoPublishingStarted"}
		m := b.handedIn(small)
		b.handle(m, b.looks())
		if kinds := b.kinds(filmStream); !slices.Equal(kinds, begun) {
			t.Errorf("%s: of a film there are %q", about, kinds)
		}
		if err := b.config.Media.Delete(b.ctx, source); err != nil {
			t.Fatal(err)
		}
		b.handle(m, b.looks())
		if about == "a bucket" {
			away.Store(true)
			b.handle(m, b.looks())
			away.Store(false)
		}
		if kinds := b.kinds(filmStream); !slices.Equal(kinds, begun) {
			t.Errorf("%s: of nothing there are %q", about, kinds)
		}
		if err := b.config.Media.PutFile(b.ctx, source, letter); err != nil {
			t.Fatal(err)
		}
		b.handle(m, b.looks())
		b.handle(m, b.looks())
		b.handle(m, b.work())
		if kinds := b.kinds(filmStream); !slices.Equal(kinds, append(begun, "VideoPublishingFailed")) {
			t.Errorf("%s: of a letter there are %q", about, kinds)
		}
		if got := last[publishingmsg.VideoPublishingFailed](b); got != failedBy(publishingmsg.NotAVideo, 1) {
			t.Errorf("%s: %+v", about, got)
		}
		if steps := story.told(); steps != "" {
			t.Errorf("%s: steps: %s", about, steps)
		}
		b.workDirIsEmpty()
	}
}
