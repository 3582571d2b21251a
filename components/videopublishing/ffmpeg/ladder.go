package ffmpeg

import (
	"math"
	"strconv"
)

// Rendition is one size in which a film is made.
type Rendition struct {
	// Name is the short side: "360p".
	Name          string
	Width, Height int
	// BitsPerSecond is the most that was asked for; what [Encoder.HLS] returns has the
	// measured peak.
	BitsPerSecond int64
	// Bytes is the length of all its files, in what [Encoder.HLS] returns.
	Bytes int64
}

// rungs are the short sides of the renditions and the most bits per second that they may
// take at up to 30 pictures per second.
var rungs = []struct {
	side          int
	bitsPerSecond int64
}{{240, 400_000}, {360, 800_000}, {480, 1_400_000}, {720, 2_800_000}, {1080, 5_000_000}}

// mostSide is the longest side of a rendition in pixels: what the decoders of browsers
// and phones take without doubt.
const mostSide = 4096

// Ladder returns the renditions of a film, the smallest first. None is larger than the
// film, and one that misses the size of a rung by 5 % or less has its own size there.
func Ladder(film Film) []Rendition {
	short := min(film.Width, film.Height)
	var ladder []Rendition
	for _, r := range rungs {
		if float64(short) >= 0.95*float64(r.side) {
			ladder = append(ladder, rendition(film, r.side, min(r.side, short), r.bitsPerSecond))
		}
	}
	if ladder == nil {
		ladder = []Rendition{rendition(film, short, short, rungs[0].bitsPerSecond)}
	}
	return ladder
}

func rendition(film Film, name, short int, bitsPerSecond int64) Rendition {
	scale := float64(short) / float64(max(1, min(film.Width, film.Height)))
	if long := scale * float64(max(film.Width, film.Height)); long > mostSide {
		scale *= mostSide / long
	}
	if film.FrameRate > 30.5 {
		bitsPerSecond += bitsPerSecond / 2
	}
	return Rendition{Name: strconv.Itoa(name) + "p", Width: even(scale * float64(film.Width)), Height: even(scale * float64(film.Height)), BitsPerSecond: bitsPerSecond}
}

// even returns the nearest even number that is not larger by more than rounding allows:
// the sizes of 4:2:0 pictures are even.
func even(side float64) int { return max(2, 2*int(math.Floor(side/2+0.25))) }

// First says which rendition is made first, so that the film can be watched soon, and
// which are left: 360p where there is one.
func First(ladder []Rendition) (first Rendition, rest []Rendition) {
	if len(ladder) == 0 {
		return Rendition{}, nil
	}
	at := 0
	for i, r := range ladder {
		if r.Name == "360p" {
			at = i
		}
	}
	rest = append(append(rest, ladder[:at]...), ladder[at+1:]...)
	return ladder[at], rest
}

// Master returns the master playlist over renditions that are there, and over the sound
// where the film has any.
func Master(renditions []Rendition, film Film) []byte { return nil }
