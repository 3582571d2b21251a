package videopublishing

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/media"
	"videotutorials/messagestore"
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

// A file that takes long to be fetched for a look does not hold up the next.
func TestTwoLooksAtATime(t *testing.T) {
	t.Parallel()
	address, _ := bucket(t)
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	options := at.Query()
	real, err := url.Parse(options.Get("endpoint"))
	if err != nil {
		t.Fatal(err)
	}
	letter, text := messagestore.DeriveID("test", "letter"), filepath.Join(t.TempDir(), "letter.mp4")
	writeFile(t, text, "This is a letter.")
	asked := make(chan struct{})
	ask, proxy := sync.OnceFunc(func() { close(asked) }), httputil.NewSingleHostReverseProxy(real)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch isOf := strings.HasSuffix; {
		case r.Method != http.MethodGet:
		case isOf(r.URL.Path, letter):
			ask()
		case isOf(r.URL.Path, film):
			select {
			case <-asked:
			case <-r.Context().Done():
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	proxy.ErrorLog = log.New(io.Discard, "", 0) // it complains where nobody waits for the rest
	t.Cleanup(server.Close)
	options.Set("endpoint", server.URL)
	at.RawQuery = options.Encode()
	store, err := media.Open(t.Context(), at.String(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	b, _ := newWork(t, Config{Media: store})
	for id, file := range map[string]string{film: makeFilm(t, "film.mp4", "160x120", 1), letter: text} {
		if err := store.PutFile(b.ctx, publishingmsg.SourceKey(id), file); err != nil {
			t.Fatal(err)
		}
	}
	b.runs(b.Component)
	for _, id := range []string{film, letter} {
		b.write(ada, publishingmsg.Category.CommandStream(id), publishingmsg.PublishVideo{VideoID: id, OwnerID: ada, SourceURI: publishingmsg.SourceKey(id)})
	}
	b.until(publishingmsg.Category.Stream(letter), "VideoPublishingFailed")
	b.until(filmStream, "VideoPublished")
}
