package media_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"videotutorials/db/media"
)

// What the standard library answers for the same bytes is what a store answers, from a
// folder as from a bucket.
func TestServe(t *testing.T) {
	t.Parallel()
	content := make([]byte, 1<<19)
	for i := range content {
		content[i] = byte(i * i >> 7)
	}
	everywhere(t, func(t *testing.T, store *media.Store, dir string) {
		put(t, store, "v/video.mp4", string(content))
		put(t, store, "v/empty.mp4", "")
		site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := store.Serve(w, r, strings.TrimPrefix(r.URL.Path, "/")); err != nil {
				t.Errorf("%s %v: %v", r.Method, r.Header, err)
			}
		}))
		t.Cleanup(site.Close)
		first := ask(t, site.URL+"/v/video.mp4", http.MethodHead)
		tag, modified := first.Header.Get("Etag"), first.Header.Get("Last-Modified")
		at, err := http.ParseTime(modified)
		if err != nil || tag == "" || strings.HasPrefix(tag, "W/") {
			t.Fatalf("%v", first.Header)
		}
		floor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "video/mp4")
			if r.URL.Path == "/v/empty.mp4" {
				http.ServeContent(w, r, "", at, bytes.NewReader(nil))
				return
			}
			w.Header().Set("ETag", tag)
			http.ServeContent(w, r, "", at, bytes.NewReader(content))
		}))
		t.Cleanup(floor.Close)
		later := at.Add(time.Hour).UTC().Format(http.TimeFormat)
		earlier := at.Add(-time.Hour).UTC().Format(http.TimeFormat)
		for _, c := range []struct {
			headers []string
			status  int
		}{
			{nil, 200},
			{[]string{"Range", "bytes=0-"}, 206},
			{[]string{"Range", "bytes=0-99"}, 206},
			{[]string{"Range", "bytes=100000-"}, 206},
			{[]string{"Range", "bytes=100000-200000"}, 206},
			{[]string{"Range", "bytes=0-0"}, 206},
			{[]string{"Range", "bytes=524287-524287"}, 206},
			{[]string{"Range", "bytes=524287-99999999999"}, 206},
			{[]string{"Range", "bytes=0-9223372036854775807"}, 206},
			{[]string{"Range", "bytes=-100"}, 206},
			{[]string{"Range", "bytes=-99999999"}, 206},
			{[]string{"Range", "bytes= 5 - 6"}, 206},
			{[]string{"Range", "bytes=524288-"}, 416},
			{[]string{"Range", "bytes=99999999-999999999"}, 416},
			{[]string{"Range", "bytes=6-5"}, 416},
			{[]string{"Range", "bytes=a-b"}, 416},
			{[]string{"Range", "bytes=0-99999999999999999999"}, 416},
			{[]string{"Range", "lines=1-2"}, 416},
			{[]string{"Range", "bytes=0-9", "If-Range", tag}, 206},
			{[]string{"Range", "bytes=0-9", "If-Range", `"another"`}, 200},
			{[]string{"Range", "bytes=0-9", "If-Range", modified}, 206},
			{[]string{"Range", "bytes=0-9", "If-Range", earlier}, 200},
			{[]string{"If-None-Match", tag}, 304},
			{[]string{"If-None-Match", "W/" + tag}, 304},
			{[]string{"If-None-Match", `"another", ` + tag}, 304},
			{[]string{"If-None-Match", `"another"`}, 200},
			{[]string{"If-None-Match", "*"}, 304},
			{[]string{"If-Modified-Since", modified}, 304},
			{[]string{"If-Modified-Since", later}, 304},
			{[]string{"If-Modified-Since", earlier}, 200},
			{[]string{"If-Match", tag}, 200},
			{[]string{"If-Match", `"another"`}, 412},
			{[]string{"If-Unmodified-Since", earlier}, 412},
			{[]string{"If-Unmodified-Since", later, "Range", "bytes=7-9"}, 206},
		} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				same(t, ask(t, site.URL+"/v/video.mp4", method, c.headers...), ask(t, floor.URL+"/v/video.mp4", method, c.headers...), c.status, c.headers)
			}
		}
		for _, headers := range [][]string{nil, {"Range", "bytes=0-"}, {"Range", "bytes=-1"}} {
			got := ask(t, site.URL+"/v/empty.mp4", http.MethodGet, headers...)
			want := ask(t, floor.URL+"/v/empty.mp4", http.MethodGet, headers...)
			got.Header.Del("Etag")
			got.Header.Del("Last-Modified")
			want.Header.Del("Last-Modified")
			same(t, got, want, 0, headers)
		}
		// Several parts are answered with the whole.
		got := ask(t, site.URL+"/v/video.mp4", http.MethodGet, "Range", "bytes=0-0,5-6"+strings.Repeat(",9-9", 2000))
		same(t, got, ask(t, floor.URL+"/v/video.mp4", http.MethodGet), 200, nil)
	})
}

// answer is a response whose body has been read.
type answer struct {
	*http.Response
	body []byte
}

func ask(t testing.TB, url, method string, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Errorf("%s %s %q: %v", method, url, headers, err)
	}
	return answer{response, body}
}

func same(t *testing.T, got, want answer, status int, headers []string) {
	t.Helper()
	got.Header.Del("Date")
	want.Header.Del("Date")
	if got.StatusCode != want.StatusCode || status != 0 && got.StatusCode != status || fmt.Sprint(got.Header) != fmt.Sprint(want.Header) || !bytes.Equal(got.body, want.body) {
		t.Errorf("%s %q: %d, %d bytes, %v\nwant %d (%d), %d bytes, %v", got.Request.Method, headers, got.StatusCode, len(got.body), got.Header, want.StatusCode, status, len(want.body), want.Header)
	}
}

func TestServeTypes(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, store *media.Store, dir string) {
		for name, kind := range map[string]string{
			"master.m3u8": "application/vnd.apple.mpegurl", "360p_00000.m4s": "video/iso.segment", "360p_init.mp4": "video/mp4", "video.webm": "video/webm",
			"poster.jpg": "image/jpeg", "storyboard.vtt": "text/vtt; charset=utf-8", "page.html": "application/octet-stream", "none": "application/octet-stream",
		} {
			put(t, store, "v/"+name, "<html>")
			answer := httptest.NewRecorder()
			if err := store.Serve(answer, httptest.NewRequest(http.MethodGet, "/", nil), "v/"+name); err != nil || answer.Header().Get("Content-Type") != kind || answer.Body.String() != "<html>" {
				t.Errorf("%s: %v, %v", name, answer.Header(), err)
			}
		}
		answer := httptest.NewRecorder()
		if err := store.Serve(answer, httptest.NewRequest(http.MethodGet, "/", nil), "v/nothing.mp4"); err == nil || len(answer.Header()) > 0 {
			t.Errorf("nothing: %v, %v", answer.Header(), err)
		}
	})
}

// A link that somebody has put into the folder leads nowhere.
func TestServeNoLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := open(t, "", dir)
	put(t, store, "v/video.mp4", "film")
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "v", "poster.jpg")); err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	if err := store.Serve(answer, httptest.NewRequest(http.MethodGet, "/", nil), "v/poster.jpg"); err == nil || answer.Body.Len() > 0 {
		t.Errorf("%v, %q", err, answer.Body)
	}
	if err := store.Serve(answer, httptest.NewRequest(http.MethodGet, "/", nil), "v"); err == nil {
		t.Error("a folder is served")
	}
}

// A segment of a video costs one request to the bucket.
func TestServeAsksTheBucketOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	store := open(t, s.bucket(), "")
	put(t, store, "v/1/a.m4s", strings.Repeat("x", 1000))
	for _, c := range []struct {
		headers  []string
		requests int64
	}{
		{nil, 1}, {[]string{"Range", "bytes=0-"}, 1}, {[]string{"Range", "bytes=10-19"}, 1}, {[]string{"Range", "bytes=10-9999"}, 1},
		{[]string{"Range", "bytes=-10"}, 2}, {[]string{"Range", "bytes=2000-"}, 2}, {[]string{"If-None-Match", "*"}, 1},
	} {
		before := s.requests.Load()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		for i := 0; i < len(c.headers); i += 2 {
			r.Header.Set(c.headers[i], c.headers[i+1])
		}
		if err := store.Serve(httptest.NewRecorder(), r, "v/1/a.m4s"); err != nil {
			t.Error(err)
		}
		if n := s.requests.Load() - before; n != c.requests {
			t.Errorf("%q: %d requests, want %d", c.headers, n, c.requests)
		}
	}
}

// A file whose end does not come is an answer that is not complete, and no short file.
func TestServeFromABucketThatBreaks(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	store := open(t, s.bucket(), "")
	put(t, store, "v/1/a.m4s", strings.Repeat("x", 4<<20))
	cut := func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
		next.ServeHTTP(&cutter{w, 1 << 20, &s.requests}, r)
		return true
	}
	s.between.Store(&cut)
	failed := make(chan error, 1)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { failed <- store.Serve(w, r, "v/1/a.m4s") }))
	defer site.Close()
	response, err := http.Get(site.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if content, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("%d bytes are taken for the whole", len(content))
	}
	if err := <-failed; err == nil {
		t.Error("nobody is told")
	}
}
