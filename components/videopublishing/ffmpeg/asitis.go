package ffmpeg

import (
	"errors"
	"fmt"
	"time"
)

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
	return AsItIs{}, fmt.Errorf("look into %s: %w", file, errors.New("not built yet"))
}
