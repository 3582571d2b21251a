package videopublishing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"videotutorials/components/videopublishing/ffmpeg"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
)

// folder is where the files of one attempt are made on this machine. Whoever holds the
// lock of the folder works on the attempt; the lock goes with the process.
//
//	<videoId>-<attempt>/making    what ffmpeg is writing
//	<videoId>-<attempt>/finished  what is complete
//	<videoId>-<attempt>/first.json, rest.json   which files of it are a step's
//
// A film may have broken into the ffmpeg that reads it, which then puts a link or a pipe
// where a file should be. So each run of ffmpeg has an empty folder of its own, which is
// the only one that it may write, and nothing is taken out of it but files that are
// expected; all else is taken for damage. What is finished it is only told, through a pipe.
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

func folderOf(workDir, videoID string, attempt int) string {
	return filepath.Join(workDir, videoID+"-"+strconv.Itoa(attempt))
}

// openFolder makes and locks the folder of an attempt. What a process has finished there
// that was cut off is there again.
func openFolder(ctx context.Context, workDir, videoID string, attempt int) (*folder, error) {
	path := folderOf(workDir, videoID, attempt)
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

// making returns the empty folder for one run of ffmpeg. What an earlier run has left is
// gone.
func (f *folder) making() (string, error) {
	path := filepath.Join(f.path, "making")
	if err := os.RemoveAll(path); err != nil {
		return "", err
	}
	return path, os.Mkdir(path, 0o700)
}

// take moves a file that ffmpeg has made to those that are finished. One that is there
// keeps what it has: the store of files may have it under a second name.
func (f *folder) take(name string) error {
	from, to := filepath.Join(f.path, "making", name), f.file(name)
	if err := isFile(from); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	if err := isFile(to); err != nil { // here nobody exchanges it any more
		return errors.Join(err, os.RemoveAll(to))
	}
	return onDisk(to)
}

// isFile says no to all but a plain file with one name.
func isFile(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return noFile(filepath.Base(path))
	}
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !info.Mode().IsRegular() || ok && stat.Nlink > 1 {
		return noFile(filepath.Base(path))
	}
	return nil
}

func noFile(name string) error {
	return &ffmpeg.Refusal{Reason: publishingmsg.Damaged, Detail: name + " is not a file that was expected"}
}

var partOfRendition = regexp.MustCompile(`^(\.m3u8|_init\.mp4|_\d{5,9}\.m4s)$`)

// isFileOf reports whether a file is called like one of a rendition, or of the sound.
func isFileOf(name, file string) bool {
	part, ok := strings.CutPrefix(file, name)
	return ok && partOfRendition.MatchString(part)
}

// batch is what one step has made.
type batch struct {
	Renditions []ffmpeg.Rendition
	Files      []string
}

func (f *folder) note(s step) string { return filepath.Join(f.path, string(s)+".json") }

// keep takes the files of renditions, and of the sound, that ffmpeg has written. They are on
// the disk before they count: a power cut leaves either nothing or all of it.
func (f *folder) keep(s step, renditions []ffmpeg.Rendition, sound bool) (*batch, error) {
	entries, err := os.ReadDir(filepath.Join(f.path, "making"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, r := range renditions {
		names = append(names, r.Name)
	}
	if sound {
		names = append(names, soundName)
	}
	made := &batch{Renditions: renditions}
	for _, entry := range entries {
		if !slices.ContainsFunc(names, func(name string) bool { return isFileOf(name, entry.Name()) }) {
			continue // it goes with the folder
		}
		if err := f.take(entry.Name()); err != nil {
			return nil, err
		}
		made.Files = append(made.Files, entry.Name())
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
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(unfinished, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(unfinished, path)
}

// read returns a finished file of at most so many bytes.
func (f *folder) read(name string, most int64) ([]byte, error) {
	file, err := ffmpeg.Open(f.file(name), most)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, most))
}

// has reports whether a playlist and all files that it names are here.
func (f *folder) has(playlist string) bool {
	text, err := f.read(playlist+playlistSuffix, mostPlaylist)
	return err == nil && !slices.ContainsFunc(filesOf(string(text)), func(name string) bool {
		_, err := os.Lstat(f.file(name))
		return err != nil
	})
}

// onDisk returns when a file, or the names in a folder, would survive a power cut.
func onDisk(path string) error {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Sync()
}

// made returns what a step has made here before, if that is all that is wanted and is still
// there, or nil.
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
	for _, name := range made.Files {
		if _, err := os.Lstat(f.file(name)); errors.Is(err, fs.ErrNotExist) {
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
