package videopublishing

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"videotutorials/components/videopublishing/ffmpeg"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
)

func newFolder(t *testing.T) *folder {
	t.Helper()
	f, err := openFolder(t.Context(), t.TempDir(), film, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	return f
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func damaged(err error) bool {
	var no *ffmpeg.Refusal
	return errors.As(err, &no) && no.Reason == publishingmsg.Damaged
}

// traps are what may stand where a file is expected, when a film has broken into ffmpeg;
// some lead to a secret.
func traps(t *testing.T) (secret string, set map[string]func(path string) error) {
	secret = filepath.Join(t.TempDir(), "secret")
	writeFile(t, secret, "secret")
	return secret, map[string]func(string) error{
		"link":          func(path string) error { return os.Symlink(secret, path) },
		"link to none":  func(path string) error { return os.Symlink(secret+"-none", path) },
		"second name":   func(path string) error { return os.Link(secret, path) },
		"pipe":          func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"folder":        func(path string) error { return os.MkdirAll(filepath.Join(path, "in it"), 0o700) },
		"link to /proc": func(path string) error { return os.Symlink("/proc/self/environ", path) },
		"socket": func(path string) error {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err == nil {
				l.SetUnlinkOnClose(false)
				err = l.Close()
			}
			return err
		},
	}
}

// Only plain files are taken out of the folder in which ffmpeg has run, and nothing else
// is opened.
func TestOnlyFilesAreTaken(t *testing.T) {
	t.Parallel()
	renditions := []ffmpeg.Rendition{{Name: "360p"}}
	_, all := traps(t)
	for about, set := range all {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			f := newFolder(t)
			for _, file := range []string{"360p.m3u8", "360p_00001.m4s", "360p_init.mp4"} {
				dir, err := f.making()
				if err != nil {
					t.Fatal(err)
				}
				writeFile(t, filepath.Join(dir, "360p_00000.m4s"), "pictures")
				if err := set(filepath.Join(dir, file)); err != nil {
					t.Fatal(err)
				}
				if made, err := f.keep(first, renditions, true); made != nil || !damaged(err) {
					t.Errorf("%s: %+v, %v", file, made, err)
				}
				if err := f.take(file); !damaged(err) {
					t.Errorf("%s: %v", file, err)
				}
				if _, err := os.Lstat(f.file(file)); err == nil {
					t.Errorf("%s is finished", file)
				}
			}
			if made, err := f.made(first, renditions); made != nil || err != nil {
				t.Errorf("%+v, %v", made, err)
			}
		})
	}
}

// What nobody expects stays behind.
func TestExpectedFilesAreTaken(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	dir, err := f.making()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"360p.m3u8", "360p_00000.m4s", "360p_100000.m4s", "360p_init.mp4", "audio.m3u8", "audio_00000.m4s", "audio_init.mp4"}
	for _, name := range append([]string{"360p.m3u8.tmp", "360p_1.m4s", "240p.m3u8", "poster.jpg", ".360p.m3u8", "360p", "360p_00000.m4s.m3u8", "master.m3u8"}, want...) {
		writeFile(t, filepath.Join(dir, name), name)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "passwd")); err != nil {
		t.Fatal(err)
	}
	renditions := []ffmpeg.Rendition{{Name: "360p"}}
	made, err := f.keep(first, renditions, true)
	if err != nil || !slices.Equal(made.Files, want) {
		t.Fatalf("%+v, %v", made, err)
	}
	if files := filesBelow(t, f.finished()); !slices.Equal(files, want) {
		t.Errorf("finished are %q", files)
	}
	if again, err := f.made(first, renditions); err != nil || !slices.Equal(again.Files, want) {
		t.Errorf("%+v, %v", again, err)
	}
	if dir, err = f.making(); err != nil || len(filesBelow(t, dir)) > 0 {
		t.Errorf("it begins with %q, %v", filesBelow(t, dir), err)
	}
	// Somebody has tidied up: it has to be made again.
	if err := os.Remove(f.file("360p_00000.m4s")); err != nil {
		t.Fatal(err)
	}
	if again, err := f.made(first, renditions); again != nil || err != nil {
		t.Errorf("%+v, %v", again, err)
	}
}

// A finished file has a second name in the store of files perhaps. It is replaced, not
// written to.
func TestAFinishedFileStaysAsItIs(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	stored := filepath.Join(t.TempDir(), "stored")
	content := func(path, want string) {
		t.Helper()
		if text, err := os.ReadFile(path); err != nil || string(text) != want {
			t.Errorf("%s: %q, %v", path, text, err)
		}
	}
	writeFile(t, f.file("poster.jpg"), "first")
	if err := os.Link(f.file("poster.jpg"), stored); err != nil {
		t.Fatal(err)
	}
	dir, err := f.making()
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "poster.jpg"), "second")
	if err := f.take("poster.jpg"); err != nil {
		t.Fatal(err)
	}
	content(f.file("poster.jpg"), "second")
	content(stored, "first")
	if err := f.write("poster.jpg", []byte("third")); err != nil {
		t.Fatal(err)
	}
	content(f.file("poster.jpg"), "third")
	content(stored, "first")
}

// A playlist that a film has made up leads to no other files.
func TestPlaylistsLeadNowhereElse(t *testing.T) {
	t.Parallel()
	b := newBench(t, Config{})
	b.stored(source, someoneElse+"/1/360p_00000.m4s")
	begun, err := messagestore.Decode[publishingmsg.VideoPublishingStarted](b.happened(started(1)))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../../" + source, "../../" + someoneElse + "/1/360p_00000.m4s", "./360p_00000.m4s", "x/360p_00000.m4s", "240p_00000.m4s", "360p_00000.m4s/../360p_00001.m4s", "/etc/passwd"} {
		f := newFolder(t)
		playlist := []byte("#EXTM3U\n#EXTINF:4,\n" + name + "\n")
		if err := b.config.Media.Put(b.ctx, film+"/1/360p.m3u8", playlist); err != nil {
			t.Fatal(err)
		}
		w := &work{Component: b.Component, cause: begun, seen: video{id: film}, folder: f}
		if err := w.restore(b.ctx, "360p"); !damaged(err) {
			t.Errorf("%s is fetched: %v", name, err)
		}
		if files := filesBelow(t, f.path); len(files) > 0 {
			t.Errorf("%s: there are %q", name, files)
		}
	}
}

// A file of the store that an event says is there is not: no waiting brings it back.
func TestAFileOfTheStoreIsLost(t *testing.T) {
	t.Parallel()
	b := newBench(t, Config{})
	begun, err := messagestore.Decode[publishingmsg.VideoPublishingStarted](b.happened(started(1)))
	if err != nil {
		t.Fatal(err)
	}
	w := &work{Component: b.Component, cause: begun, seen: video{id: film}, folder: newFolder(t)}
	if err := w.restore(b.ctx, "360p"); !errors.As(err, new(unexplained)) || messagestore.IsTransient(err) {
		t.Error(err)
	}
	if err := b.config.Media.Put(b.ctx, film+"/1/360p.m3u8", []byte("#EXTM3U\n#EXTINF:4,\n360p_00000.m4s\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.restore(b.ctx, "360p"); !errors.As(err, new(unexplained)) || messagestore.IsTransient(err) {
		t.Error(err)
	}
	b.stored(film + "/1/360p_00000.m4s")
	if err := w.restore(b.ctx, "360p"); err != nil || !w.folder.has("360p") {
		t.Error(err)
	}
	if err := os.Remove(w.folder.file("360p_00000.m4s")); err != nil {
		t.Fatal(err)
	}
	if w.folder.has("360p") {
		t.Error("it has lost a file")
	}
	if err := w.restore(b.ctx, "360p"); err != nil || !w.folder.has("360p") {
		t.Error(err)
	}
}

// Our own files are not written through what stands at their place.
func TestWriteFollowsNoLink(t *testing.T) {
	t.Parallel()
	secret, all := traps(t)
	delete(all, "folder")
	for about, set := range all {
		f := newFolder(t)
		for _, path := range []string{f.file("a"), f.file("a.unfinished")} {
			if err := set(path); err != nil {
				t.Fatal(err)
			}
			if path == f.file("a") {
				if text, err := f.read("a", 10); about != "second name" && err == nil {
					t.Errorf("%s: it reads %q", about, text)
				}
			}
			if err := f.write("a", []byte("ours")); err != nil {
				t.Errorf("%s: %v", about, err)
			}
			if text, err := f.read("a", 10); err != nil || string(text) != "ours" {
				t.Errorf("%s: %q, %v", about, text, err)
			}
		}
	}
	if text, err := os.ReadFile(secret); err != nil || string(text) != "secret" {
		t.Errorf("it is %q now, %v", text, err)
	}
}

// A film that breaks into ffmpeg gets nothing published but files that were made, and
// nobody waits at what it has put in their place.
func TestABrokenFFmpeg(t *testing.T) {
	// It does its work and then asks an accomplice for what Landlock keeps it from. Until that
	// is done the accomplice has the lock of the script.
	script := "%q \"$@\" || exit $?\ncase $PWD in */making) exec 8>asking 9<\"$0\"; flock 8; mv asking asks; flock 9;; esac\n"
	source := makeFilm(t, "film.mp4", "160x120", 1)
	tricks := map[string]func(path, elsewhere string) error{
		"link": func(path, elsewhere string) error {
			return errors.Join(os.Rename(path, elsewhere), os.Symlink(elsewhere, path))
		},
		"name": os.Link,
		"pipe": func(path, _ string) error { return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)) },
	}
	for name, about := range map[string]string{
		"120p.m3u8": "link", "120p_init.mp4": "pipe", "120p_00000.m4s": "link", "audio.m3u8": "pipe", "audio_00000.m4s": "name",
		"poster.jpg.candidate": "link", "storyboard.jpg": "pipe", "video.mp4": "link",
	} {
		e, program := scriptedEncoder(t, script)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			turn, err := os.Open(program)
			if err != nil {
				t.Fatal(err)
			}
			defer turn.Close()
			locks := func(file *os.File, how int) {
				if err := syscall.Flock(int(file.Fd()), how); err != nil {
					t.Error(err)
				}
			}
			locks(turn, syscall.LOCK_EX)
			b, _ := newWork(t, Config{Encoder: e})
			m := b.handedIn(source)
			dir, elsewhere := filepath.Join(b.config.WorkDir, film+"-1", "making"), filepath.Join(t.TempDir(), "elsewhere")
			done := make(chan struct{})
			var accomplice sync.WaitGroup
			accomplice.Go(func() {
				for tick := time.Tick(5 * time.Millisecond); ; {
					select {
					case <-tick:
					case <-done:
						return
					}
					asks, err := os.Open(filepath.Join(dir, "asks"))
					if err != nil {
						continue
					}
					if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
						if err := tricks[about](filepath.Join(dir, name), elsewhere); err != nil {
							t.Error(err)
						}
					}
					os.Remove(asks.Name())
					locks(turn, syscall.LOCK_UN)
					locks(asks, syscall.LOCK_EX) // when it has ended
					locks(turn, syscall.LOCK_EX)
					asks.Close()
				}
			})
			err = b.works(m)
			close(done)
			accomplice.Wait()
			if err != nil {
				t.Fatal(err)
			}
			if got := last[publishingmsg.VideoPublishingFailed](b); got != failedBy(publishingmsg.Damaged, 1) {
				t.Errorf("%+v", got)
			}
			b.deliverFiles()
			if kept := b.kept(); !slices.Equal(kept, []string{publishingmsg.SourceKey(film)}) {
				t.Errorf("there are %q", kept)
			}
			b.workDirIsEmpty()
		})
	}
}
