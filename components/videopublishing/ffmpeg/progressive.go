package ffmpeg

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Progressive writes one MP4 that plays while it is loaded, of a rendition, and the sound
// where the film has any, that [Encoder.HLS] has left in the folder of to. Nothing is
// encoded again.
func (e *Encoder) Progressive(ctx context.Context, film Film, rendition Rendition, to string) error {
	dir := filepath.Dir(to)
	args := []string{"-hide_banner", "-nostdin", "-y", "-v", "error", "-progress", "pipe:1", "-stats_period", "1"}
	maps := []string{}
	var pipes []io.Reader
	names := []string{rendition.Name}
	if film.Audio {
		names = append(names, audioName)
	}
	var bytes int64
	for i, name := range names {
		segments, err := readPlaylist(dir, name)
		if err != nil {
			return err
		}
		all := &inTurn{dir: dir, names: []string{name + "_init.mp4"}}
		defer all.close()
		for _, s := range segments {
			all.names = append(all.names, s.name)
			bytes += s.bytes
		}
		pipes = append(pipes, all)
		if name == audioName {
			// ffmpeg lets each begin at zero, but the first 1024 samples of AAC are there
			// only for the decoder to get going.
			args = append(args, "-itsoffset", exact(-time.Second*1024/48000))
		}
		args = append(args, "-protocol_whitelist", "pipe", "-f", "mp4", "-i", fmt.Sprintf("pipe:%d", 3+i))
		maps = append(maps, "-map", fmt.Sprintf("%d:0", i))
	}
	args = append(args, maps...)
	args = append(args, "-c", "copy", "-movflags", "+faststart", "-f", "mp4", filepath.Base(to))
	var advance progressLines
	_, err := e.run(ctx, job{program: "ffmpeg", dir: dir, args: args, pipes: pipes, most: 32<<20 + 2*bytes, wall: 10*time.Minute + film.Duration, line: func(line string) (bool, error) {
		moved, _, _ := advance.read(line)
		return moved, nil
	}})
	if err != nil {
		return fmt.Errorf("make %s: %w", to, err)
	}
	return nil
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
			f, err := os.Open(filepath.Join(t.dir, t.names[0]))
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
