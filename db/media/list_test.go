package media_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"videotutorials/db/media"
)

// Files are listed with their lengths, nothing else is, and what is read from one place can be
// put into another; what breaks off on the way is not there.
func TestFilesAreListedAndCopied(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, store *media.Store, _ string) {
		put(t, store, "b/1/video.mp4", "a film")
		put(t, store, "a/poster.jpg", "a picture")
		broken := errors.New("the line broke")
		if err := store.PutFrom(t.Context(), "c/video.mp4", io.MultiReader(strings.NewReader("half of"), iotest.ErrReader(broken))); !errors.Is(err, broken) {
			t.Errorf("a copy that breaks off: %v", err)
		}
		r, err := store.Open(t.Context(), "b/1/video.mp4")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if err := store.PutFrom(t.Context(), "copy/video.mp4", r); err != nil {
			t.Fatal(err)
		}
		holds(t, store, "copy/video.mp4", "a film")
		if _, err := store.Open(t.Context(), "nothing"); !errors.Is(err, media.ErrNotFound) {
			t.Errorf("a file that is not there: %v", err)
		}
		sizes := map[string]int64{}
		for f, err := range store.Files(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			sizes[f.Key] = f.Size
			if (f.MD5 == "") != store.Local() {
				t.Errorf("%+v in %s", f, store)
			}
		}
		if len(sizes) != 3 || sizes["a/poster.jpg"] != 9 || sizes["b/1/video.mp4"] != 6 || sizes["copy/video.mp4"] != 6 {
			t.Errorf("the files are %v", sizes)
		}
	})
}
