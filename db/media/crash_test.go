package media_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"videotutorials/db/media"
)

// whole says whether a file is one of those that writeForEver and TestReadersSeeWholeFiles
// write: one letter, as often as the letter says.
func whole(content []byte) bool {
	return len(content) > 0 && len(content) == int(content[0]-'a'+1)<<14 && bytes.Count(content, content[:1]) == len(content)
}

func letters(i int) []byte {
	letter := byte('a' + i%20)
	return bytes.Repeat([]byte{letter}, int(letter-'a'+1)<<14)
}

// Whoever reads while a file is replaced again and again has one of them, never parts of
// two.
func TestReadersSeeWholeFiles(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, store *media.Store, dir string) {
		site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := store.Serve(w, r, "v/1/master.m3u8"); err != nil {
				t.Error(err)
			}
		}))
		defer site.Close()
		put(t, store, "v/1/master.m3u8", string(letters(0)))
		var readers sync.WaitGroup
		done := make(chan struct{})
		for range 2 {
			readers.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					if content, err := store.Read(t.Context(), "v/1/master.m3u8", 1<<22); err != nil || !whole(content) {
						t.Errorf("%d bytes were read, %v", len(content), err)
					}
					answer, err := http.Get(site.URL)
					if err != nil {
						t.Error(err)
						return
					}
					content, err := io.ReadAll(answer.Body)
					answer.Body.Close()
					if err != nil || !whole(content) {
						t.Errorf("%d bytes were served, %v", len(content), err)
					}
				}
			})
		}
		for i := range 60 {
			var err error
			if i%2 == 0 {
				err = store.Put(t.Context(), "v/1/master.m3u8", letters(i))
			} else {
				err = store.PutFile(t.Context(), "v/1/master.m3u8", file(t, string(letters(i))))
			}
			if err != nil {
				t.Error(err)
			}
		}
		close(done)
		readers.Wait()
		if dir != "" {
			names(t, dir)
		}
	})
}

// Files are written while others of the same folder are deleted.
func TestPutWhileFoldersGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := open(t, "", dir)
	var writers sync.WaitGroup
	for worker := range 4 {
		writers.Go(func() {
			for range 50 {
				key := fmt.Sprintf("v/1/%d.m4s", worker)
				if err := store.Put(t.Context(), key, []byte("x")); err != nil {
					t.Error(err)
				}
				if err := store.Delete(t.Context(), key); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	if left := names(t, dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// writeForEver is the program that TestKilled kills.
func writeForEver(dir string) {
	store, err := media.Open(context.Background(), "", dir)
	for i := 0; err == nil; i++ {
		name := filepath.Join(filepath.Dir(dir), fmt.Sprint("handed-in-", i))
		err = errors.Join(
			store.Put(context.Background(), fmt.Sprintf("v/%d/put", i), letters(i)),
			store.Put(context.Background(), "v/again", letters(i)),
			os.WriteFile(name, letters(i), 0o600),
			store.PutFile(context.Background(), fmt.Sprintf("v/%d/file", i), name),
		)
		fmt.Println(i)
	}
	fmt.Println(err)
	os.Exit(1)
}

func child(t *testing.T, variable, dir string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), program)
	c.Env = append(os.Environ(), variable+"="+dir)
	return c
}

// A program that is killed while it writes leaves whole files only under the keys, and
// what it has not finished is removed once nobody can be writing to it.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "media")
	for round := range 5 {
		c := child(t, "MEDIA_TEST_WRITES_IN", dir)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range 3 + round {
			if !lines.Scan() {
				t.Fatal("the program ended by itself")
			}
		}
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		c.Wait()
		err = filepath.WalkDir(filepath.Join(dir, "v"), func(name string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(name)
			if err == nil && !whole(content) {
				t.Errorf("%s has %d bytes", name, len(content))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	unfinished := filepath.Join(dir, ".unfinished")
	recent, old := filepath.Join(unfinished, "recent"), filepath.Join(unfinished, "old")
	long := time.Now().Add(-25 * time.Hour)
	if err := errors.Join(os.WriteFile(recent, nil, 0o600), os.WriteFile(old, nil, 0o600), os.Chtimes(old, long, long)); err != nil {
		t.Fatal(err)
	}
	open(t, "", dir)
	if _, err := os.Stat(recent); err != nil {
		t.Errorf("a file that somebody may be writing to: %v", err)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that nobody writes to is kept: %v", err)
	}
}

// fetch is the program that TestKilledWhileItFetches kills.
func fetch(dir string) {
	store, err := media.Open(context.Background(), os.Getenv("MEDIA_TEST_BUCKET"), "")
	if err == nil {
		_, err = store.Fetch(context.Background(), "uploads/v", dir)
	}
	fmt.Println(err)
	os.Exit(1)
}

// Programs that are killed while they fetch a film, one after the other, leave no more
// than one part of it, and that goes with the next who fetches it.
func TestKilledWhileItFetches(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	store := open(t, s.bucket(), "")
	content := strings.Repeat("film", 1000)
	put(t, store, "uploads/v", content)
	fetching := make(chan struct{})
	stall := func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/uploads/v") {
			return false
		}
		fetching <- struct{}{}
		<-r.Context().Done()
		return true
	}
	work := t.TempDir()
	for range 3 {
		s.between.Store(&stall)
		c := child(t, "MEDIA_TEST_FETCHES_TO", work)
		c.Env = append(c.Env, "MEDIA_TEST_BUCKET="+s.bucket())
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-fetching:
		case <-time.After(time.Minute):
			t.Fatal("the program has asked for nothing")
		}
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		c.Wait()
		if left, err := os.ReadDir(work); err != nil || len(left) != 1 {
			t.Errorf("in the work folder are %v, %v", left, err)
		}
	}
	s.between.Store(nil)
	name, err := store.Fetch(t.Context(), "uploads/v", work)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(name); err != nil || string(got) != content {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if left, err := os.ReadDir(work); err != nil || len(left) != 1 {
		t.Errorf("in the work folder are %v, %v", left, err)
	}
}

// Of two who fetch a film to the same place, the second has it, and the first does not put
// the second's half in its place.
func TestFetchedTwice(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	store := open(t, s.bucket(), "")
	put(t, store, "uploads/v", "film")
	var asked atomic.Int64
	waits, goesOn := []chan struct{}{make(chan struct{}), make(chan struct{})}, []chan struct{}{make(chan struct{}), make(chan struct{})}
	stall := func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
		if r.Method == http.MethodGet {
			i := asked.Add(1) - 1
			close(waits[i])
			<-goesOn[i]
		}
		return false
	}
	s.between.Store(&stall)
	work := t.TempDir()
	var fetched [2]chan error
	for i := range fetched {
		fetched[i] = make(chan error, 1)
		go func() {
			_, err := store.Fetch(t.Context(), "uploads/v", work)
			fetched[i] <- err
		}()
		<-waits[i]
	}
	close(goesOn[0])
	if err := <-fetched[0]; err == nil {
		t.Error("the first one has it too")
	}
	close(goesOn[1])
	if err := <-fetched[1]; err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(filepath.Join(work, "v")); err != nil || string(got) != "film" {
		t.Errorf("%q, %v", got, err)
	}
}

// fillTheDisk is a program that can write no more than a megabyte to a file.
func fillTheDisk(dir string) {
	signal.Ignore(syscall.SIGXFSZ)
	store, err := media.Open(context.Background(), "", filepath.Join(dir, "media"))
	if err == nil {
		err = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20})
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	put := store.Put(context.Background(), "v/1/master.m3u8", make([]byte, 2<<20))
	file := store.PutFile(context.Background(), "v/1/master.m3u8", os.Getenv("MEDIA_TEST_FILE"))
	fmt.Println(put)
	fmt.Println(file)
	os.Exit(0)
}

// Without room on the disk the old file stays and nothing else is left.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	elsewhere, err := os.MkdirTemp("/dev/shm", "media-test-") // so that it is copied
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(elsewhere) })
	big := filepath.Join(elsewhere, "big")
	if err := os.WriteFile(big, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	store := open(t, "", filepath.Join(dir, "media"))
	put(t, store, "v/1/master.m3u8", "old")
	c := child(t, "MEDIA_TEST_FILLS", dir)
	c.Env = append(c.Env, "MEDIA_TEST_FILE="+big)
	out, err := c.CombinedOutput()
	if lines := strings.Split(strings.TrimSpace(string(out)), "\n"); err != nil || len(lines) != 2 || strings.Count(string(out), "file too large") != 2 {
		t.Errorf("%v: %s", err, out)
	}
	holds(t, store, "v/1/master.m3u8", "old")
	names(t, filepath.Join(dir, "media"))
}
