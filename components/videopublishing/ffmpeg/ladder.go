package ffmpeg

import (
	"bytes"
	"fmt"
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
// where the film has any. The one that is made first stands first: players begin with it.
func Master(renditions []Rendition, film Film) []byte {
	first, rest := First(renditions)
	var text bytes.Buffer
	text.WriteString("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n")
	var audio int64
	codecs, group := "", ""
	if film.Audio {
		audio, codecs, group = audioBits, ",mp4a.40.2", `,AUDIO="`+audioName+`"`
		fmt.Fprintf(&text, "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=%q,NAME=\"Sound\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",URI=%q\n", audioName, audioName+".m3u8")
	}
	for _, r := range append([]Rendition{first}, rest...) {
		if r.Name == "" {
			continue // there are none
		}
		fmt.Fprintf(&text, "#EXT-X-STREAM-INF:BANDWIDTH=%d,RESOLUTION=%dx%d,FRAME-RATE=%.3f,CODECS=\"avc1.6400%02x%s\"%s,CLOSED-CAPTIONS=NONE\n%s.m3u8\n",
			r.BitsPerSecond+audio, r.Width, r.Height, film.FrameRate, level(r, film.FrameRate).code, codecs, group, r.Name)
	}
	return text.Bytes()
}

// h264Level is what a decoder must be able to do, in blocks of 16 by 16 pixels: of one
// picture and of a second.
type h264Level struct {
	name               string
	code               int
	picture, perSecond float64
}

var h264Levels = []h264Level{
	{"2.1", 21, 792, 19800}, {"3.0", 30, 1620, 40500}, {"3.1", 31, 3600, 108000}, {"3.2", 32, 5120, 216000},
	{"4.0", 40, 8192, 245760}, {"4.2", 42, 8704, 522240}, {"5.0", 50, 22080, 589824}, {"5.1", 51, 36864, 983040}, {"5.2", 52, 36864, 2073600},
}

// level returns the least level of H.264 for a rendition. It is told to the encoder and
// written into the master playlist, so that this can be made without looking into files.
func level(r Rendition, frameRate float64) h264Level {
	blocks := func(side int) float64 { return math.Ceil(float64(side) / 16) }
	picture := blocks(r.Width) * blocks(r.Height)
	for _, l := range h264Levels {
		if picture <= l.picture && picture*frameRate <= l.perSecond && max(blocks(r.Width), blocks(r.Height)) <= math.Sqrt(8*l.picture) {
			return l
		}
	}
	return h264Levels[len(h264Levels)-1]
}
