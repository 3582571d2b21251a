// Package ffmpeg makes of any film what browsers play: HLS in several sizes, a poster,
// pictures for the seek bar and one plain MP4. It does so by the programs ffmpeg and
// ffprobe, which read what strangers hand in: they run in a sandbox without network,
// without other files, and with limits on time, memory and output.
//
// Nothing here knows messages or the media store: files go in, files come out.
package ffmpeg

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Config limits what an [Encoder] takes upon itself.
type Config struct {
	// Duration is the longest film that is taken; 0: 4 hours.
	Duration time.Duration
	// Memory is the most address space that one process may have, in bytes; 0: 3 GiB.
	Memory uint64
}

// Encoder runs ffmpeg and ffprobe. It keeps no state between calls and may be used by
// several goroutines at the same time.
type Encoder struct {
	config Config
}

// Refusal is the error for what is the file's own fault: trying again does not help.
type Refusal struct {
	// Reason is one of "not-a-video", "no-video-track", "film-too-long", "too-big",
	// "damaged", "took-too-long", "too-much-output" and "needs-ffmpeg".
	Reason string
	// Detail is for the log.
	Detail string
}

// Error says the reason and the detail.
func (r *Refusal) Error() string {
	if r.Detail == "" {
		return r.Reason
	}
	return r.Reason + ": " + r.Detail
}

// Film is what [Encoder.Probe] found in a file.
type Film struct {
	Duration time.Duration
	// Width and Height are those of the picture as it is shown: rotated, with square
	// pixels.
	Width, Height int
	// FrameRate is that of the renditions, in pictures per second.
	FrameRate float64
	// Audio says whether there is sound.
	Audio bool
	// VideoCodec and AudioCodec are ffmpeg's names of them: "h264", "aac".
	VideoCodec, AudioCodec string
}

var errUnfinished = errors.New("ffmpeg: not built yet")

// Find looks for ffmpeg and ffprobe on the PATH, with all that is needed of them. Its
// error says in one sentence what is missing and how to get it.
func Find(config Config) (*Encoder, error) { return nil, errUnfinished }

// Probe looks into a file. A [*Refusal] says that it is no film, or none that is taken.
func (e *Encoder) Probe(ctx context.Context, file string) (Film, error) {
	return Film{}, errUnfinished
}

// HLS makes renditions of a film in one process: for each NAME.m3u8, NAME_init.mp4 and
// NAME_00000.m4s … in dir, and the same of "audio" where audio is set. It returns the
// renditions with their measured bit rates and lengths. progress, which may be nil, is
// told about once a second how much of the film is done.
func (e *Encoder) HLS(ctx context.Context, file string, film Film, renditions []Rendition, audio bool, dir string, progress func(done time.Duration)) ([]Rendition, error) {
	return nil, errUnfinished
}

// Poster writes a telling picture of a film, a JPEG at most 1280 pixels wide.
func (e *Encoder) Poster(ctx context.Context, file string, film Film, to string) error {
	return errUnfinished
}

// Storyboard makes storyboard.jpg and storyboard.vtt in dir of the key frames of a
// rendition that [Encoder.HLS] has left there: at most 100 small pictures.
func (e *Encoder) Storyboard(ctx context.Context, film Film, rendition Rendition, dir string) error {
	return errUnfinished
}

// Progressive writes one MP4 that plays while it is loaded, of a rendition, and the sound,
// that [Encoder.HLS] has left in the folder of to.
func (e *Encoder) Progressive(ctx context.Context, film Film, rendition Rendition, to string) error {
	return errUnfinished
}

// AsItIs is what [PlayableAsItIs] found in a file.
type AsItIs struct {
	// ContentType is "video/mp4" or "video/webm".
	ContentType   string
	Duration      time.Duration
	Width, Height int
}

// PlayableAsItIs says whether browsers play a file without anything done to it: an MP4
// with H.264, and AAC or no sound, or a WebM. It needs no ffmpeg. A [*Refusal] says why
// not.
func PlayableAsItIs(file string) (AsItIs, error) {
	return AsItIs{}, fmt.Errorf("look into %s: %w", file, errUnfinished)
}
