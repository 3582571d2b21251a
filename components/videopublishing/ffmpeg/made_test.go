package ffmpeg

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Whatever stands where a file of ffmpeg is expected, none of ours is read or written
// through it, and nothing waits for a pipe.
func TestWhatIsNoFileIsNotFollowed(t *testing.T) {
	t.Parallel()
	theirs := secret(t)
	playlist := write(t, filepath.Join(t.TempDir(), "theirs.m3u8"), []byte("#EXTM3U\n#EXT-X-TARGETDURATION:0\n#EXTINF:4,\n360p_00000.m4s\n"))
	picture := handIn(t, filepath.Join(t.TempDir(), "theirs.jpg"), words("-f lavfi -i testsrc2=s=64x64 -frames:v 1")...)
	traps := map[string]func(path, to string) error{
		"link":   func(path, to string) error { return os.Symlink(to, path) },
		"pipe":   func(path, _ string) error { return syscall.Mkfifo(path, 0o600) },
		"folder": func(path, _ string) error { return os.Mkdir(path, 0o700) },
	}
	for about, set := range traps {
		for name, c := range map[string]struct {
			file, to string
			look     func(dir string) error
		}{
			"playlist":         {"360p.m3u8", playlist, func(dir string) error { _, err := readPlaylist(dir, "360p"); return err }},
			"segment":          {"360p_00000.m4s", theirs, func(dir string) error { _, err := readPlaylist(dir, "360p"); return err }},
			"playlist changed": {"360p.m3u8", playlist, func(dir string) error { return wholeSeconds(dir, []string{"360p"}) }},
			"our playlist":     {"360p.m3u8.ours", playlist, func(dir string) error { return wholeSeconds(dir, []string{"360p"}) }},
			"poster":           {"poster.jpg", picture, func(dir string) error { _, err := contrast(filepath.Join(dir, "poster.jpg")); return err }},
			"storyboard":       {"storyboard.jpg", picture, func(dir string) error { return hasSize(filepath.Join(dir, "storyboard.jpg"), 64, 64) }},
			"fed": {"360p_init.mp4", theirs, func(dir string) error {
				_, err := io.ReadAll(&inTurn{dir: dir, names: []string{"360p_init.mp4"}})
				return err
			}},
		} {
			dir := t.TempDir()
			if name != "playlist" && name != "playlist changed" {
				write(t, filepath.Join(dir, "360p.m3u8"), read(t, playlist))
			}
			if err := set(filepath.Join(dir, c.file), c.to); err != nil {
				t.Fatal(err)
			}
			var no *Refusal
			if err := c.look(dir); !errors.As(err, &no) || no.Reason != damaged {
				t.Errorf("%s for %s: %v", about, name, err)
			}
		}
	}
	if text := string(read(t, playlist)); !strings.Contains(text, "TARGETDURATION:0") {
		t.Errorf("another file is now %q", text)
	}
}

// A playlist names the segments that ffmpeg was told to make, in a length that it can have.
func TestPlaylistsThatAreMadeUp(t *testing.T) {
	t.Parallel()
	for about, text := range map[string]string{
		"another folder":    "#EXTINF:4,\n../360p_00000.m4s\n",
		"another file":      "#EXTINF:4,\n/etc/passwd\n",
		"another rendition": "#EXTINF:4,\n240p_00000.m4s\n",
		"a server":          "#EXTINF:4,\nhttp://127.0.0.1/360p_00000.m4s\n",
		"nothing":           "#EXTM3U\n",
		"a long line":       "#" + strings.Repeat("x", 1<<20) + "\n360p_00000.m4s\n",
		"many lines":        strings.Repeat("#\n", mostPlaylist/2) + "360p_00000.m4s\n",
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "360p.m3u8"), []byte(text))
		write(t, filepath.Join(dir, "360p_00000.m4s"), nil)
		write(t, filepath.Join(dir, "240p_00000.m4s"), nil)
		segments, err := readPlaylist(dir, "360p")
		if refusedAs(t, err, damaged); err == nil {
			t.Errorf("%s: %v", about, segments)
		}
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "360p.m3u8"), []byte(strings.Repeat("#EXTINF:1e300,\n360p_00000.m4s\n#EXTINF:-5,\n360p_00000.m4s\n", 10_000)))
	write(t, filepath.Join(dir, "360p_00000.m4s"), nil)
	if segments, err := readPlaylist(dir, "360p"); err != nil || total(segments) <= 0 {
		t.Errorf("%s, %v", total(segments), err)
	}
}
