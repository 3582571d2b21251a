package uploads

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"videotutorials/messagestore"
)

// folder keeps uploads as files. A record is written once, as a whole and to the disk,
// before anybody is told of the upload.
type folder string

// record is what is kept beside the bytes of an upload.
type record struct {
	OwnerID     string `json:"ownerId"`
	FileName    string `json:"fileName,omitempty"`
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	Bytes       int64  `json:"bytes"` // of the whole file
}

// upload is a file that is being handed in.
type upload struct {
	id string
	record

	here    bool  // its bytes are; else it was handed over or given up
	arrived int64 // bytes
	touched time.Time
}

func newUpload(ownerID, fileName, title, description string, bytes int64) upload {
	return upload{
		id:     strings.ReplaceAll(messagestore.NewID(), "-", ""),
		record: record{OwnerID: ownerID, FileName: fileName, Title: title, Description: description, Bytes: bytes},
	}
}

func (u upload) videoID() string {
	return u.id[:8] + "-" + u.id[8:12] + "-" + u.id[12:16] + "-" + u.id[16:20] + "-" + u.id[20:]
}

// whole reports whether all bytes have arrived and nobody has taken them over.
func (u upload) whole() bool { return u.here && u.arrived == u.Bytes }

// errNoUpload says that there is no record of an upload.
var errNoUpload = errors.New("no such upload")

const recordSuffix = ".info"

func (d folder) path(id string) string       { return filepath.Join(string(d), id) }
func (d folder) recordPath(id string) string { return d.path(id) + recordSuffix }

// create keeps an upload: without a byte, or with all of them where they are in a file.
func (d folder) create(u upload, from string) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("keep upload %s: %w", u.id, err), os.RemoveAll(d.path(u.id)), os.RemoveAll(d.recordPath(u.id)))
		}
	}()
	if err := d.make(); err != nil {
		return err
	}
	if from != "" {
		err = os.Rename(from, d.path(u.id))
	} else {
		err = writeFile(d.path(u.id), nil)
	}
	if err != nil {
		return err
	}
	text, err := json.Marshal(u.record)
	if err != nil {
		return err
	}
	unfinished := d.path(u.id) + ".new"
	if err := writeFile(unfinished, text); err != nil {
		return errors.Join(err, os.RemoveAll(unfinished))
	}
	if err := os.Rename(unfinished, d.recordPath(u.id)); err != nil {
		return err
	}
	return syncFile(string(d))
}

func (d folder) make() error { return os.MkdirAll(string(d), 0o700) }

// read returns an upload as it is, or [errNoUpload].
func (d folder) read(id string) (upload, error) {
	text, err := os.ReadFile(d.recordPath(id))
	if errors.Is(err, fs.ErrNotExist) {
		return upload{}, errNoUpload
	}
	if err != nil {
		return upload{}, fmt.Errorf("read the record of upload %s: %w", id, err)
	}
	u := upload{id: id}
	if err := json.Unmarshal(text, &u.record); err != nil {
		return upload{}, fmt.Errorf("read the record of upload %s: %w", id, err)
	}
	info, err := os.Stat(d.path(id))
	switch {
	case err == nil:
		u.here, u.arrived = true, info.Size()
	case errors.Is(err, fs.ErrNotExist):
		if info, err = os.Stat(d.recordPath(id)); errors.Is(err, fs.ErrNotExist) {
			return upload{}, errNoUpload
		}
	}
	if err != nil {
		return upload{}, fmt.Errorf("look at upload %s: %w", id, err)
	}
	u.touched = info.ModTime()
	return u, nil
}

// all returns the uploads that there are, and the files that belong to none. It does not
// look at those that are known.
func (d folder) all(known map[string]bool) (list []upload, strays []os.DirEntry, err error) {
	entries, err := os.ReadDir(string(d))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("list the uploads: %w", err)
	}
	recorded := map[string]bool{}
	for _, entry := range entries {
		if id, ok := strings.CutSuffix(entry.Name(), recordSuffix); ok && validID.MatchString(id) {
			recorded[id] = true
		}
	}
	for _, entry := range entries {
		id, isRecord := strings.CutSuffix(entry.Name(), recordSuffix)
		if !recorded[id] {
			strays = append(strays, entry)
		}
		if !isRecord || !recorded[id] || known[id] {
			continue
		}
		u, err := d.read(id)
		var unreadable *json.SyntaxError
		switch {
		case errors.Is(err, errNoUpload): // it went meanwhile
		case errors.As(err, &unreadable):
			strays = append(strays, entry)
		case err != nil:
			return nil, nil, err
		default:
			list = append(list, u)
		}
	}
	return list, strays, nil
}

// dropBytes removes what has arrived of an upload; its record stays.
func (d folder) dropBytes(id string) error { return removed(os.Remove(d.path(id))) }

// drop removes an upload.
func (d folder) drop(id string) error {
	return errors.Join(d.dropBytes(id), removed(os.Remove(d.recordPath(id))), removed(os.Remove(d.wanted(id))))
}

func removed(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// room returns how many bytes are left on the disk.
func (d folder) room() (int64, error) {
	if err := d.make(); err != nil {
		return 0, err
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(string(d), &disk); err != nil {
		return 0, fmt.Errorf("room in %s: %w", d, err)
	}
	return int64(disk.Bavail) * int64(disk.Bsize), nil
}

// writeFile writes a new file to the disk.
func writeFile(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncFile returns when a file, or what a folder lists, is on the disk.
func syncFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
