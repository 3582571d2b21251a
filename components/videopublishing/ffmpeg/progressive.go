package ffmpeg

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"
)

// Progressive writes one MP4 that plays while it is loaded, of a rendition, and the sound
// where the film has any, that [Encoder.HLS] has made and that are in the folder from now.
// Nothing is encoded again. The folder of to, another, is the only one that is written.
func (e *Encoder) Progressive(ctx context.Context, film Film, rendition Rendition, from, to string) error {
	args := []string{"-hide_banner", "-nostdin", "-y", "-v", "error", "-progress", "pipe:1", "-stats_period", "1"}
	maps := []string{}
	var pipes []io.Reader
	names := []string{rendition.Name}
	if film.Audio {
		names = append(names, audioName)
	}
	var bytes int64
	for i, name := range names {
		segments, err := readPlaylist(from, name)
		if err != nil {
			return fmt.Errorf("make %s: %w", to, err)
		}
		all := &inTurn{dir: from, names: []string{name + "_init.mp4"}}
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
	_, err := e.run(ctx, job{program: "ffmpeg", dir: filepath.Dir(to), args: args, pipes: pipes, most: 32<<20 + 2*bytes, wall: 10*time.Minute + film.Duration, line: func(line string) (bool, error) {
		moved, _, _ := advance.read(line)
		return moved, nil
	}})
	if err != nil {
		return fmt.Errorf("make %s: %w", to, err)
	}
	return nil
}
