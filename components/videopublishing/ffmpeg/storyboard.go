package ffmpeg

import (
	"bytes"
	"context"
	"fmt"
	"image/jpeg"
	"io"
	"path/filepath"
	"time"
)

const (
	mostStills = 100
	stillSide  = 160 // the long side of a picture of the storyboard, in pixels
	stillsWide = 10
)

// Storyboard writes a JPEG of at most 100 small pictures side by side, which are key frames
// of a rendition that [Encoder.HLS] has made and that is in the folder from now. It returns
// the WebVTT that says at which times which of them is shown. The folder of to, another, is
// the only one that is written.
func (e *Encoder) Storyboard(ctx context.Context, rendition Rendition, from, to string) (cues []byte, err error) {
	segments, err := readPlaylist(from, rendition.Name)
	if err != nil {
		return nil, fmt.Errorf("make the storyboard of %s: %w", rendition.Name, err)
	}
	// Each segment begins with its key frame: as many segments as there are pictures are
	// read, however long the film is.
	each := (len(segments) + mostStills - 1) / mostStills
	type still struct{ from, to time.Duration }
	var stills []still
	var read []string
	var now time.Duration
	for i, s := range segments {
		if i%each == 0 {
			stills = append(stills, still{from: now})
			read = append(read, s.name)
		}
		now += s.lasts
		stills[len(stills)-1].to = now
	}
	columns := min(stillsWide, len(stills))
	rows := (len(stills) + columns - 1) / columns
	scale := float64(stillSide) / float64(max(rendition.Width, rendition.Height))
	width, height := even(scale*float64(rendition.Width)), even(scale*float64(rendition.Height))

	keys := &inTurn{dir: from, names: append([]string{rendition.Name + "_init.mp4"}, read...)}
	defer keys.close()
	_, err = e.run(ctx, job{program: "ffmpeg", dir: filepath.Dir(to), pipes: []io.Reader{keys}, args: []string{
		"-hide_banner", "-nostdin", "-y", "-v", "error", "-protocol_whitelist", "pipe", "-skip_frame", "nokey", "-f", "mp4", "-i", "pipe:3",
		"-vf", fmt.Sprintf("scale=%d:%d:out_range=pc,format=yuvj420p,tile=%dx%d", width, height, columns, rows), "-frames:v", "1",
		"-c:v", "mjpeg", "-q:v", "5", "-f", "image2", "-update", "1", filepath.Base(to)}})
	if err == nil {
		err = hasSize(to, width*columns, height*rows)
	}
	if err != nil {
		return nil, fmt.Errorf("make the storyboard of %s: %w", rendition.Name, err)
	}
	var text bytes.Buffer
	text.WriteString("WEBVTT\n")
	for i, s := range stills {
		fmt.Fprintf(&text, "\n%s --> %s\n%s#xywh=%d,%d,%d,%d\n", cueTime(s.from), cueTime(s.to), filepath.Base(to), i%columns*width, i/columns*height, width, height)
	}
	return text.Bytes(), nil
}

// hasSize says no where a JPEG is not there, or not as large as it should be.
func hasSize(file string, width, height int) error {
	f, err := Open(file, mostPicture)
	if err != nil {
		return err
	}
	defer f.Close()
	shape, err := jpeg.DecodeConfig(f)
	if err == nil && (shape.Width != width || shape.Height != height) {
		err = fmt.Errorf("it has %d×%d pixels instead of %d×%d", shape.Width, shape.Height, width, height)
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", file, err)
	}
	return nil
}

// cueTime writes a time as WebVTT does.
func cueTime(d time.Duration) string {
	ms := d.Round(time.Millisecond).Milliseconds()
	return fmt.Sprintf("%02d:%02d:%02d.%03d", ms/3_600_000, ms/60_000%60, ms/1000%60, ms%1000)
}
