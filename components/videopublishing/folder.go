package videopublishing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"videotutorials/components/videopublishing/ffmpeg"
	"videotutorials/messagestore"
)

// folder is where the files of one attempt are made on this machine. Whoever holds the
// lock of the folder works on the attempt; the lock goes with the process.
//
//	<videoId>-<attempt>/making    what ffmpeg is writing
//	<videoId>-<attempt>/finished  what is complete
//	<videoId>-<attempt>/first.json, rest.json   which files of it are a step's
type folder struct {
	path string
	lock *os.File
}

var errBusy = errors.New("another process works on this video")

// unlock gives a lock back. Closing alone would not while a program is being started
// elsewhere in this process: until it runs it has all files of ours.
func unlock(lock *os.File) {
	syscall.Flock(int(lock.Fd()), syscall.LOCK_UN)
	lock.Close()
}

// openFolder makes and locks the folder of an attempt. What a process has finished there
// that was cut off is there again.
func openFolder(ctx context.Context, workDir, videoID string, attempt int) (*folder, error) {
	path := filepath.Join(workDir, videoID+"-"+strconv.Itoa(attempt))
	for ctx.Err() == nil {
		if err := os.MkdirAll(filepath.Join(path, "finished"), 0o700); err != nil {
			return nil, err
		}
		lock, err := lockFolder(path)
		if errors.Is(err, fs.ErrNotExist) { // somebody cleaned up
			continue
		}
		if err != nil {
			return nil, err
		}
		return &folder{path, lock}, nil
	}
	return nil, ctx.Err()
}

// lockFolder takes the lock of a folder that still has its name then.
func lockFolder(path string) (*os.File, error) {
	lock, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == syscall.EWOULDBLOCK {
		err = errBusy
	}
	if err == nil {
		var locked, named os.FileInfo
		if locked, err = lock.Stat(); err == nil {
			named, err = os.Stat(path)
		}
		if err == nil && !os.SameFile(locked, named) {
			err = fs.ErrNotExist
		}
	}
	if err != nil {
		unlock(lock)
		return nil, err
	}
	return lock, nil
}

func (f *folder) close() { unlock(f.lock) }

func (f *folder) remove() error { return os.RemoveAll(f.path) }

func (f *folder) finished() string { return filepath.Join(f.path, "finished") }

// file returns the path of a finished file.
func (f *folder) file(name string) string { return filepath.Join(f.finished(), name) }

// fresh returns the path of a file that is not there. One that is there may be kept by
// the store of files under a second name: it must not be written to.
func (f *folder) fresh(name string) (string, error) {
	path := f.file(name)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return path, nil
}

// making returns an empty folder.
func (f *folder) making() (string, error) {
	path := filepath.Join(f.path, "making")
	if err := os.RemoveAll(path); err != nil {
		return "", err
	}
	return path, os.Mkdir(path, 0o700)
}

// batch is what one step has made.
type batch struct {
	Renditions []ffmpeg.Rendition
	Files      []string
}

func (f *folder) note(s step) string { return filepath.Join(f.path, string(s)+".json") }

// keep takes what ffmpeg has written as finished. It is on the disk before it counts: a
// power cut leaves either nothing or all of it.
func (f *folder) keep(s step, renditions []ffmpeg.Rendition) (*batch, error) {
	making := filepath.Join(f.path, "making")
	entries, err := os.ReadDir(making)
	if err != nil {
		return nil, err
	}
	made := &batch{Renditions: renditions}
	for _, entry := range entries {
		made.Files = append(made.Files, entry.Name())
		if err := onDisk(filepath.Join(making, entry.Name())); err != nil {
			return nil, err
		}
		if err := os.Rename(filepath.Join(making, entry.Name()), f.file(entry.Name())); err != nil {
			return nil, err
		}
	}
	note, err := json.Marshal(made)
	if err != nil {
		return nil, err
	}
	if err := onDisk(f.finished()); err != nil {
		return nil, err
	}
	return made, write(f.note(s), note)
}

// write writes a finished file.
func (f *folder) write(name string, content []byte) error { return write(f.file(name), content) }

// write leaves either nothing or a whole file that is on the disk.
func write(path string, content []byte) error {
	unfinished := path + ".unfinished"
	if err := os.WriteFile(unfinished, content, 0o600); err != nil {
		return err
	}
	if err := onDisk(unfinished); err != nil {
		return err
	}
	return os.Rename(unfinished, path)
}

func onDisk(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Sync()
}

// made returns what a step has made here before, if that is all that is wanted, or nil.
func (f *folder) made(s step, wanted []ffmpeg.Rendition) (*batch, error) {
	note, err := os.ReadFile(f.note(s))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var made batch
	if err := json.Unmarshal(note, &made); err != nil {
		return nil, fmt.Errorf("what was made before: %w", err)
	}
	for _, r := range wanted {
		if !slices.ContainsFunc(made.Renditions, func(m ffmpeg.Rendition) bool { return m.Name == r.Name }) {
			return nil, nil
		}
	}
	return &made, nil
}

// sweep removes the folders of attempts that are over, which processes left that were
// killed. One that cannot be removed waits for the next sweep.
func (c *Component) sweep(ctx context.Context) {
	entries, err := os.ReadDir(c.config.WorkDir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		videoID, attempt, ok := parseFolder(entry.Name())
		if !ok {
			continue
		}
		v, err := c.video(ctx, videoID)
		if err != nil {
			return
		}
		if v.works(attempt) {
			continue
		}
		path := filepath.Join(c.config.WorkDir, entry.Name())
		lock, err := lockFolder(path)
		if err != nil {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			c.config.Log.Warn("a work folder cannot be removed", "video_id", videoID, "attempt", attempt, "error", err)
		}
		unlock(lock)
	}
}

func parseFolder(name string) (videoID string, attempt int, ok bool) {
	at := strings.LastIndexByte(name, '-')
	if at < 0 {
		return "", 0, false
	}
	attempt, err := strconv.Atoi(name[at+1:])
	return name[:at], attempt, err == nil && messagestore.ValidID(name[:at])
}
