package ffmpeg

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// What ffmpeg has made is not ours to trust: a film may have broken into it, and then there
// is a link or a pipe in place of a file, in a folder that this process, which is in no
// sandbox, reads next.

// Open opens a file where ffmpeg could write, to be read: a plain one of at most so many
// bytes. Nothing else is opened, since a link may lead anywhere and whoever opens a pipe may
// wait for ever; it is a [*Refusal] ("damaged"). That there is nothing is [os.ErrNotExist].
func Open(path string, most int64) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENXIO) {
		return nil, unexpected(path)
	}
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() > most) {
		err = unexpected(path)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

func unexpected(path string) error {
	return &Refusal{Reason: damaged, Detail: filepath.Base(path) + " is not a file that was expected"}
}

const (
	// mostPlaylist and mostPicture are how many bytes are read of one.
	mostPlaylist = 4 << 20
	mostPicture  = 8 << 20
	// mostSegment is how many bytes of a few seconds are taken for such: many times what
	// the largest rendition has.
	mostSegment = 256 << 20
)

// part is one segment of a rendition that was made.
type part struct {
	name  string
	lasts time.Duration
	bytes int64
}

var partNumber = regexp.MustCompile(`^_\d{5,9}\.m4s$`)

// playlistOf returns the text of the playlist of the rendition with a name in dir.
func playlistOf(dir, name string) ([]byte, error) {
	f, err := Open(filepath.Join(dir, name+".m3u8"), mostPlaylist)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, mostPlaylist))
}

// readPlaylist returns the segments of the rendition with a name in dir. They are called
// as we have told ffmpeg to.
func readPlaylist(dir, name string) ([]part, error) {
	text, err := playlistOf(dir, name)
	if err != nil {
		return nil, err
	}
	var segments []part
	var lasts time.Duration
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		if text, ok := strings.CutPrefix(line, "#EXTINF:"); ok {
			text, _, _ = strings.Cut(text, ",")
			lasts = max(0, min(time.Hour, seconds(text))) // so that no sum is too large
			continue
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if number, ok := strings.CutPrefix(line, name); !ok || !partNumber.MatchString(number) {
			return nil, &Refusal{Reason: damaged, Detail: fmt.Sprintf("%s.m3u8 names %.100q", name, line)}
		}
		info, err := os.Lstat(filepath.Join(dir, line))
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() {
			return nil, unexpected(line)
		}
		segments = append(segments, part{line, lasts, info.Size()})
	}
	if err := lines.Err(); err != nil {
		return nil, &Refusal{Reason: damaged, Detail: fmt.Sprintf("%s.m3u8: %v", name, err)}
	}
	if len(segments) == 0 {
		return nil, &Refusal{Reason: damaged, Detail: name + ".m3u8 names no segments"}
	}
	return segments, nil
}

func total(segments []part) (lasts time.Duration) {
	for _, s := range segments {
		lasts += s.lasts
	}
	return lasts
}

// measured returns the peak of bits per second, and all bytes. A short segment, as the last
// one may be, says nothing about the peak.
func measured(segments []part) (bitsPerSecond, bytes int64) {
	for i, s := range segments {
		bytes += s.bytes
		if s.lasts > 0 && (i == 0 || s.lasts >= segment*time.Second/2) {
			bitsPerSecond = max(bitsPerSecond, int64(float64(s.bytes)*8/s.lasts.Seconds()))
		}
	}
	return bitsPerSecond, bytes
}

// wholeSeconds writes one second for none into the playlists of a film that is shorter than
// half a second: players expect segments to be no longer than is said there.
func wholeSeconds(dir string, names []string) error {
	for _, name := range names {
		text, err := playlistOf(dir, name)
		if err != nil {
			return err
		}
		const none = "#EXT-X-TARGETDURATION:0\n"
		if !bytes.Contains(text, []byte(none)) {
			continue
		}
		if err := replace(filepath.Join(dir, name+".m3u8"), bytes.Replace(text, []byte(none), []byte("#EXT-X-TARGETDURATION:1\n"), 1)); err != nil {
			return err
		}
	}
	return nil
}

// replace puts another file in place of one that ffmpeg has made. It is written where
// nothing is, and so through no link.
func replace(path string, content []byte) error {
	ours := path + ".ours"
	file, err := os.OpenFile(ours, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if errors.Is(err, os.ErrExist) {
		return unexpected(ours)
	}
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(ours, path)
}

// inTurn reads files of a folder one after the other, each opened when its turn comes.
type inTurn struct {
	dir   string
	names []string
	open  *os.File
}

func (t *inTurn) Read(p []byte) (int, error) {
	for {
		if t.open == nil {
			if len(t.names) == 0 {
				return 0, io.EOF
			}
			f, err := Open(filepath.Join(t.dir, t.names[0]), mostSegment)
			if err != nil {
				return 0, err
			}
			t.open, t.names = f, t.names[1:]
		}
		n, err := t.open.Read(p)
		if err != io.EOF {
			return n, err
		}
		t.close()
		if n > 0 {
			return n, nil
		}
	}
}

func (t *inTurn) close() {
	if t.open != nil {
		t.open.Close()
		t.open = nil
	}
}
