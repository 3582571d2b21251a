package media_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"videotutorials/db/media"
)

func TestMain(m *testing.M) {
	os.Setenv("AWS_ACCESS_KEY_ID", "someone")
	os.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	os.Setenv("AWS_CONFIG_FILE", os.DevNull)
	os.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	if dir := os.Getenv("MEDIA_TEST_WRITES_IN"); dir != "" {
		writeForEver(dir)
	}
	if dir := os.Getenv("MEDIA_TEST_FILLS"); dir != "" {
		fillTheDisk(dir)
	}
	if dir := os.Getenv("MEDIA_TEST_FETCHES_TO"); dir != "" {
		fetch(dir)
	}
	os.Exit(m.Run())
}

// server is an S3 server with one bucket, "videos".
type server struct {
	*httptest.Server
	backend  *s3mem.Backend
	requests atomic.Int64
	// between answers a request instead of the server where it returns true.
	between atomic.Pointer[func(w http.ResponseWriter, r *http.Request, next http.Handler) bool]
}

func newServer(t testing.TB) *server {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("videos"); err != nil {
		t.Fatal(err)
	}
	s3 := gofakes3.New(backend).Server()
	s := &server{backend: backend}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		if between := s.between.Load(); between != nil && (*between)(w, r, s3) {
			return
		}
		s3.ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains about itself
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (s *server) bucket() string {
	return "s3://videos?region=us-east-1&s3ForcePathStyle=true&endpoint=" + url.QueryEscape(s.URL)
}

func open(t testing.TB, bucket, dir string) *media.Store {
	t.Helper()
	store, err := media.Open(t.Context(), bucket, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// everywhere runs a test over a store in a folder and one in a bucket; dir is empty for
// the latter.
func everywhere(t *testing.T, test func(t *testing.T, store *media.Store, dir string)) {
	t.Helper()
	t.Run("folder", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "data", "media")
		test(t, open(t, "", dir), dir)
	})
	t.Run("bucket", func(t *testing.T) {
		t.Parallel()
		test(t, open(t, newServer(t).bucket(), ""), "")
	})
}

func put(t *testing.T, store *media.Store, key, content string) {
	t.Helper()
	if err := store.Put(t.Context(), key, []byte(content)); err != nil {
		t.Fatal(err)
	}
}

// holds demands the content of a key, "" for no file.
func holds(t *testing.T, store *media.Store, key, content string) {
	t.Helper()
	got, err := store.Read(t.Context(), key, 1<<30)
	switch {
	case content == "" && !errors.Is(err, media.ErrNotFound):
		t.Errorf("%s: %d bytes, %v; it should not be there", key, len(got), err)
	case content != "" && (err != nil || string(got) != content):
		t.Errorf("%s: %.40q, %v; it should be %.40q", key, got, err, content)
	}
}

// names returns all files and folders below dir, but for those of the store itself.
func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.Name() == ".unfinished" {
			left, err := os.ReadDir(name)
			if len(left) > 0 {
				t.Errorf("unfinished files are left: %v", left)
			}
			if err != nil {
				return err
			}
			return fs.SkipDir
		}
		if name != dir {
			list = append(list, strings.TrimPrefix(name, dir+"/"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func file(t *testing.T, content string) (name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestPut(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, store *media.Store, dir string) {
		holds(t, store, "v/1/master.m3u8", "")
		put(t, store, "v/1/master.m3u8", "one")
		holds(t, store, "v/1/master.m3u8", "one")
		put(t, store, "v/1/master.m3u8", "one and two")
		put(t, store, "v/poster.jpg", "picture")
		holds(t, store, "v/1/master.m3u8", "one and two")
		if size, err := store.Size(t.Context(), "v/1/master.m3u8"); err != nil || size != 11 {
			t.Errorf("%d, %v", size, err)
		}
		if _, err := store.Read(t.Context(), "v/1/master.m3u8", 10); err == nil || !strings.Contains(err.Error(), "more than 10 bytes") {
			t.Errorf("more was read than wanted: %v", err)
		}
		if content, err := store.Read(t.Context(), "v/1/master.m3u8", 11); err != nil || len(content) != 11 {
			t.Error(err)
		}
		put(t, store, "v/empty.vtt", "")
		if content, err := store.Read(t.Context(), "v/empty.vtt", 10); err != nil || len(content) != 0 {
			t.Errorf("%q, %v", content, err)
		}
		if _, err := store.Size(t.Context(), "v/2/master.m3u8"); !errors.Is(err, media.ErrNotFound) {
			t.Errorf("the size of nothing: %v", err)
		}
		if dir == "" {
			return
		}
		if got, want := names(t, dir), []string{"v", "v/1", "v/1/master.m3u8", "v/empty.vtt", "v/poster.jpg"}; !slices.Equal(got, want) {
			t.Errorf("on the disk are %q", got)
		}
		if _, err := store.Read(t.Context(), "v/1", 10); !errors.Is(err, media.ErrNotFound) {
			t.Errorf("a folder is read: %v", err)
		}
		// From before there were stores.
		if err := os.WriteFile(filepath.Join(dir, "v", "video.mp4"), []byte("film"), 0o644); err != nil {
			t.Fatal(err)
		}
		holds(t, store, "v/video.mp4", "film")
	})
}

func TestPutFile(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, store *media.Store, dir string) {
		content := strings.Repeat("film ", 18<<20/5) // in the bucket it comes in several parts
		handedIn := file(t, content)
		for range 2 { // delivered twice
			if err := store.PutFile(t.Context(), "uploads/v", handedIn); err != nil {
				t.Fatal(err)
			}
		}
		if dir != "" {
			if got, want := names(t, dir), []string{"uploads", "uploads/v"}; !slices.Equal(got, want) {
				t.Errorf("on the disk are %q", got)
			}
			a, errA := os.Stat(handedIn)
			b, errB := os.Stat(filepath.Join(dir, "uploads", "v"))
			if err := errors.Join(errA, errB); err != nil || !os.SameFile(a, b) {
				t.Errorf("the file was copied within a disk: %v", err)
			}
		}
		if err := os.Remove(handedIn); err != nil {
			t.Fatal(err)
		}
		holds(t, store, "uploads/v", content)
		if err := store.PutFile(t.Context(), "uploads/v", file(t, "another")); err != nil {
			t.Fatal(err)
		}
		holds(t, store, "uploads/v", "another")
		if err := store.PutFile(t.Context(), "uploads/v", handedIn); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a file that is not there: %v", err)
		}
	})
}

// A link in a work folder may lead to the secrets of this machine, a pipe to nowhere.
func TestPutFileTakesRegularFilesOnly(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, store *media.Store, dir string) {
		work := t.TempDir()
		link, pipe := filepath.Join(work, "link"), filepath.Join(work, "pipe")
		if err := errors.Join(os.Symlink("/etc/passwd", link), syscall.Mkfifo(pipe, 0o600)); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{link, pipe, work} {
			if err := store.PutFile(t.Context(), "v/poster.jpg", name); err == nil {
				t.Errorf("%s was taken", name)
			}
		}
		holds(t, store, "v/poster.jpg", "")
	})
}

func TestPutFileFromAnotherDisk(t *testing.T) {
	t.Parallel()
	elsewhere, err := os.MkdirTemp("/dev/shm", "media-test-")
	if err != nil {
		elsewhere = t.TempDir() // without a second disk it is a test of links
	}
	t.Cleanup(func() { os.RemoveAll(elsewhere) })
	name := filepath.Join(elsewhere, "film")
	if err := os.WriteFile(name, bytes.Repeat([]byte("film "), 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	store := open(t, "", dir)
	for range 2 {
		if err := store.PutFile(t.Context(), "uploads/v", name); err != nil {
			t.Fatal(err)
		}
	}
	holds(t, store, "uploads/v", strings.Repeat("film ", 1<<20))
	names(t, dir)
}

func TestFetch(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, store *media.Store, dir string) {
		work, content := t.TempDir(), strings.Repeat("film ", 1<<20)
		if _, err := store.Fetch(t.Context(), "uploads/v", work); !errors.Is(err, media.ErrNotFound) {
			t.Errorf("fetched nothing: %v", err)
		}
		put(t, store, "uploads/v", content)
		for range 2 {
			name, err := store.Fetch(t.Context(), "uploads/v", work)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(name); err != nil || string(got) != content {
				t.Errorf("%s has %d bytes, %v", name, len(got), err)
			}
		}
		left, err := os.ReadDir(work)
		if err != nil || dir == "" && len(left) != 1 || dir != "" && len(left) != 0 {
			t.Errorf("in the work folder are %v, %v", left, err)
		}
	})
}

// A download goes on where the connection broke, and a complete one is not made again.
func TestFetchOverABadLine(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	store := open(t, s.bucket(), "")
	content := make([]byte, 8<<20)
	for i := range content {
		content[i] = byte(i * i >> 9)
	}
	put(t, store, "uploads/v", string(content))
	var gets, sent atomic.Int64
	cut := func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
		if r.Method != http.MethodGet {
			return false
		}
		gets.Add(1)
		next.ServeHTTP(&cutter{w, 3 << 20, &sent}, r)
		return true
	}
	s.between.Store(&cut)
	work := t.TempDir()
	name, err := store.Fetch(t.Context(), "uploads/v", work)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if gets.Load() != 3 || sent.Load() > int64(len(content))+1<<20 {
		t.Errorf("%d requests for %d bytes", gets.Load(), sent.Load())
	}
	if _, err := store.Fetch(t.Context(), "uploads/v", work); err != nil || gets.Load() != 3 {
		t.Errorf("again: %d requests, %v", gets.Load(), err)
	}
	if err := os.WriteFile(name, content[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Fetch(t.Context(), "uploads/v", work); err != nil || gets.Load() == 3 {
		t.Errorf("an incomplete copy counts: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.Fetch(ctx, "uploads/v", t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// cutter ends a connection after some bytes.
type cutter struct {
	http.ResponseWriter
	left int
	sent *atomic.Int64
}

func (c *cutter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b[:min(len(b), c.left)])
	c.sent.Add(int64(n))
	if c.left -= n; c.left == 0 {
		c.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

func TestDelete(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, store *media.Store, dir string) {
		all := []string{"v/1/a.m4s", "v/1/b.m4s", "v/1x/a.m4s", "v/video.mp4", "v2/1/a.m4s", "uploads/v"}
		for _, key := range all {
			put(t, store, key, key)
		}
		if dir != "" { // of a program that was killed, or of an operator
			if err := os.MkdirAll(filepath.Join(dir, "v", "1", "empty", "er"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := store.DeleteBelow(t.Context(), "v/1"); err != nil {
				t.Fatal(err)
			}
		}
		for i, key := range all {
			if i < 2 {
				holds(t, store, key, "")
			} else {
				holds(t, store, key, key)
			}
		}
		for range 2 {
			if err := store.Delete(t.Context(), "uploads/v", "v/video.mp4", "nothing/here.vtt"); err != nil {
				t.Fatal(err)
			}
		}
		if err := store.DeleteBelow(t.Context(), "v/"); err != nil {
			t.Fatal(err)
		}
		for i, key := range all {
			if i != 4 {
				holds(t, store, key, "")
			}
		}
		holds(t, store, "v2/1/a.m4s", "v2/1/a.m4s")
		if dir != "" {
			if got, want := names(t, dir), []string{"v2", "v2/1", "v2/1/a.m4s"}; !slices.Equal(got, want) {
				t.Errorf("on the disk are %q", got)
			}
		}
	})
}

// A bucket lists no more than 1,000 files at once.
func TestDeleteManyBelow(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	store := open(t, s.bucket(), "")
	for i := range 1050 {
		if _, err := s.backend.PutObject("videos", fmt.Sprintf("v/1/%d.m4s", i), nil, strings.NewReader("x"), 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	holds(t, store, "v/1/1049.m4s", "x")
	if err := store.DeleteBelow(t.Context(), "v"); err != nil {
		t.Fatal(err)
	}
	left, err := s.backend.ListBucket("videos", nil, gofakes3.ListBucketPage{})
	if err != nil || len(left.Contents) > 0 {
		t.Errorf("%d files are left, %v", len(left.Contents), err)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	const id = "8c1b6a0e-6d3a-4a53-9f67-5f6f6f0d9a11"
	for _, key := range []string{"uploads/" + id, id + "/1/master.m3u8", id + "/12/360p_00000.m4s", id + "/captions-" + id + ".vtt", id + "/video.mp4"} {
		if got, ok := media.Key(media.Path(key)); !ok || got != key || media.Path(key) != "/media/"+key {
			t.Errorf("%q becomes %q, %v", key, got, ok)
		}
	}
	everywhere(t, func(t *testing.T, store *media.Store, dir string) {
		for _, key := range []string{"", "/", ".", "..", "a/..", "../a", "a/../b", "a//b", "/a", "a/", "a/.b", ".unfinished/a", "a b", "a\x00b", "a%2fb", `a\b`, "ä",
			"a?b", "a/b.attrs", strings.Repeat("a", 101), "a/b/c/d/e/f", "a\n", "a/b\n"} {
			if _, ok := media.Key(media.Path(key)); ok {
				t.Errorf("%q is a key", key)
			}
			_, fetch := store.Fetch(t.Context(), key, t.TempDir())
			_, read := store.Read(t.Context(), key, 10)
			_, size := store.Size(t.Context(), key)
			for what, err := range map[string]error{
				"Put": store.Put(t.Context(), key, nil), "PutFile": store.PutFile(t.Context(), key, file(t, "")), "Read": read, "Fetch": fetch, "Size": size,
				"Delete": store.Delete(t.Context(), key),
			} {
				if err == nil || errors.Is(err, media.ErrNotFound) {
					t.Errorf("%s %q: %v", what, key, err)
				}
			}
			if err := store.DeleteBelow(t.Context(), key); err == nil && key != "a/" {
				t.Errorf("DeleteBelow %q", key)
			}
			answer := httptest.NewRecorder()
			if err := store.Serve(answer, httptest.NewRequest(http.MethodGet, "/", nil), key); !errors.Is(err, media.ErrNotFound) || answer.Body.Len() > 0 {
				t.Errorf("Serve %q: %v", key, err)
			}
		}
	})
}

func TestRoom(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, store *media.Store, dir string) {
		if free, known := store.Room(); known != (dir != "") || known && free <= 0 {
			t.Errorf("%d, %v", free, known)
		}
	})
}

// What is wrong with a store is said at once, in a sentence.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<Error><Code>InvalidAccessKeyId</Code><Message>The access key is not known.</Message></Error>`)
	}))
	t.Cleanup(refusing.Close)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	readOnly := newServer(t)
	deny := func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method == http.MethodGet {
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<Error><Code>AccessDenied</Code><Message>Access denied.</Message></Error>`)
		return true
	}
	readOnly.between.Store(&deny)
	closed := httptest.NewServer(nil)
	closed.Close()
	at := func(endpoint string) string { return "s3://videos?s3ForcePathStyle=true&endpoint=" + endpoint }
	for bucket, want := range map[string]string{
		"videos":                              "it must be like s3://name?region=eu-central-1",
		"file:///etc":                         "it must be like s3://",
		"s3://?region=x":                      "it must be like s3://",
		"s3://videos/some/path":               "it must be like s3://",
		"s3://a:b@videos":                     "it must be like s3://",
		"s3://videos":                         "it names no region",
		"s3://videos?secret=x":                "it has secret in it",
		"s3://videos?endpoint=localhost:9000": "the endpoint must be like https://host:port",
		"s3://videos?s3ForcePathStyle=maybe&region=x":            "s3ForcePathStyle must be true or false",
		"s3://videos?profile=nobody&region=x":                    "the settings for it cannot be read",
		strings.Replace(at(s.URL), "//videos", "//elsewhere", 1): "the bucket elsewhere does not exist",
		at(refusing.URL):                       "the bucket videos cannot be used: The access key is not known. (InvalidAccessKeyId)",
		at(readOnly.URL):                       "the bucket videos cannot be used: Access denied. (AccessDenied)",
		at(closed.URL):                         "the bucket videos cannot be reached: dial tcp",
		at("http://" + silent.Addr().String()): "the bucket videos did not answer in time",
	} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			if strings.Contains(want, "in time") {
				var cancel func()
				ctx, cancel = context.WithTimeout(ctx, 3*time.Second)
				defer cancel()
			}
			store, err := media.Open(ctx, bucket, t.TempDir())
			if err == nil {
				store.Close()
				t.Fatalf("%s is opened", bucket)
			}
			if !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v", bucket, err)
			}
		})
	}
	t.Run("folder", func(t *testing.T) {
		t.Parallel()
		if store, err := media.Open(t.Context(), "", filepath.Join(file(t, ""), "media")); err == nil || !strings.HasPrefix(err.Error(), "the folder for videos cannot be made: ") {
			t.Errorf("%v, %v", store, err)
		}
	})
}

func TestOpenWithoutCredentials(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	if _, err := media.Open(t.Context(), "s3://videos?region=eu-central-1", ""); err == nil || err.Error() != "there are no credentials for it: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" {
		t.Error(err)
	}
}

// A bucket that is away is an error, and no file that is missing.
func TestBucketAway(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	store := open(t, s.bucket(), "")
	put(t, store, "v/video.mp4", "film")
	gone := func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `<Error><Code>NoSuchBucket</Code><Message>The bucket is gone.</Message></Error>`)
		return true
	}
	s.between.Store(&gone)
	if _, err := store.Read(t.Context(), "v/video.mp4", 10); err == nil || errors.Is(err, media.ErrNotFound) {
		t.Errorf("without the bucket: %v", err)
	}
	s.Close()
	var tries sync.WaitGroup
	ctx, answer := t.Context(), httptest.NewRecorder()
	for what, do := range map[string]func() error{
		"read":         func() error { _, err := store.Read(ctx, "v/video.mp4", 10); return err },
		"size":         func() error { _, err := store.Size(ctx, "v/video.mp4"); return err },
		"fetch":        func() error { _, err := store.Fetch(ctx, "v/video.mp4", t.TempDir()); return err },
		"put":          func() error { return store.Put(ctx, "v/poster.jpg", []byte("x")) },
		"put file":     func() error { return store.PutFile(ctx, "v/poster.jpg", file(t, "x")) },
		"delete":       func() error { return store.Delete(ctx, "v/video.mp4") },
		"delete below": func() error { return store.DeleteBelow(ctx, "v") },
		"serve": func() error {
			defer func() {
				if len(answer.Header()) > 0 || answer.Body.Len() > 0 {
					t.Errorf("something was answered: %v", answer.Header())
				}
			}()
			return store.Serve(answer, httptest.NewRequest(http.MethodGet, "/", nil), "v/video.mp4")
		},
	} {
		tries.Go(func() { // each is tried a few times, with pauses
			if err := do(); err == nil || errors.Is(err, media.ErrNotFound) {
				t.Errorf("%s: %v", what, err)
			}
		})
	}
	tries.Wait()
}
