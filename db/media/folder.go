package media

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
	"time"
)

// Some videos are private, so others on this machine see nothing but the names.
const (
	folderMode = 0o750
	fileMode   = 0o640
)

// unfinished is where files are written before they get their names. A key never
// begins with a dot.
const unfinished = ".unfinished"

// forgotten is after which time nobody writes to an unfinished file any more.
const forgotten = 24 * time.Hour

func (s *Store) path(key string) string { return filepath.Join(s.folder, filepath.FromSlash(key)) }

// tidy finds out whether the folder can be written to and removes what a program that
// was killed has left.
func (s *Store) tidy() error {
	dir := filepath.Join(s.folder, unfinished)
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return err
	}
	f, err := s.unfinished()
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := f.Close(); err != nil {
		return err
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range left {
		if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > forgotten {
			if err := os.Remove(filepath.Join(dir, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

func (s *Store) unfinished() (*os.File, error) {
	return os.OpenFile(filepath.Join(s.folder, unfinished, rand.Text()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
}

// replace puts a file under a key once it is written and on the disk. The driver of the
// bucket would rename a file that is only in memory, which a power cut leaves empty.
func (s *Store) replace(key string, write func(*os.File) error) error {
	f, err := s.unfinished()
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return s.rename(f.Name(), key)
}

// take puts a file under a key, by a second name for it where the disk has that.
func (s *Store) take(key string, from *os.File) error {
	if err := from.Sync(); err != nil {
		return err
	}
	link := filepath.Join(s.folder, unfinished, rand.Text())
	if os.Link(from.Name(), link) == nil {
		defer os.Remove(link) // it stays where the key is another name of the same file already
		if same(link, from) {
			return s.rename(link, key)
		}
	}
	return s.replace(key, func(f *os.File) error { _, err := io.Copy(f, from); return err })
}

// same says whether a name still leads to an open file, and to no link to it.
func same(name string, f *os.File) bool {
	linked, err := os.Lstat(name)
	if err != nil {
		return false
	}
	opened, err := f.Stat()
	return err == nil && os.SameFile(linked, opened)
}

// openRegular opens a file that is one. A link may lead to what was never meant to be
// seen, and whoever reads from a pipe may wait for ever.
func openRegular(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// rename gives a finished file the name of its key.
func (s *Store) rename(file, key string) (err error) {
	to := s.path(key)
	for range 10 {
		if err := makeFolder(filepath.Dir(to)); err != nil {
			return err
		}
		err = os.Rename(file, to)
		if err == nil {
			return syncFolder(filepath.Dir(to))
		}
		if !errors.Is(err, fs.ErrNotExist) { // the folder, which somebody has removed as it was empty
			break
		}
	}
	return err
}

// makeFolder makes a folder whose name is on the disk when it returns.
func makeFolder(dir string) error {
	err := os.Mkdir(dir, folderMode)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeFolder(filepath.Dir(dir)); err != nil {
			return err
		}
		return makeFolder(dir)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncFolder(filepath.Dir(dir))
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // gone since, and with it what was to be kept
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// prune removes a folder and those above it as long as they are empty.
func (s *Store) prune(key string) {
	for ; key != "."; key = path.Dir(key) {
		if os.Remove(s.path(key)) != nil {
			return
		}
	}
}

// Room returns how many bytes can still be written, not known where the files are in a
// bucket.
func (s *Store) Room() (free int64, known bool) {
	if s.folder == "" {
		return 0, false
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(s.folder, &disk); err != nil {
		return 0, false
	}
	return int64(disk.Bavail) * int64(disk.Bsize), true
}
