package ffmpeg

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"os"
	"path/filepath"
	"time"
)

// mostPoster is the longest side of a poster in pixels.
const mostPoster = 1280

// Poster writes a telling picture of a film, a JPEG at most 1280 pixels wide and high: its
// cover where it has one, or else a frame of it. The folder of to is the only one that is
// written.
func (e *Encoder) Poster(ctx context.Context, file string, film Film, to string) error {
	candidate := to + ".candidate"
	defer os.Remove(candidate)
	if film.cover.width > 0 {
		telling, err := e.candidate(ctx, file, e.coverOf(film), candidate)
		var refusal *Refusal
		switch {
		case errors.As(err, &refusal): // it is damaged, which the film need not be
		case err != nil:
			return err
		case telling >= something:
			return os.Rename(candidate, to)
		}
	}
	best := -1.0
	for _, part := range []float64{0.1, 0.3, 0.6, 0} {
		telling, err := e.candidate(ctx, file, e.frame(film, time.Duration(part*float64(film.Duration))), candidate)
		if err != nil {
			return err
		}
		if telling > best {
			best = telling
			if err := os.Rename(candidate, to); err != nil {
				return err
			}
		}
		if best >= enough {
			break
		}
	}
	if best < 0 {
		return fmt.Errorf("take a picture of %s: %w", file, &Refusal{Reason: damaged, Detail: "there is no picture in it"})
	}
	return nil
}

// candidate writes one picture out of a file as a JPEG, and returns its contrast: -1 where
// there is none.
func (e *Encoder) candidate(ctx context.Context, file string, args []string, to string) (telling float64, err error) {
	if err := os.Remove(to); err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, err
	}
	args = append(append([]string{"-hide_banner", "-nostdin", "-y", "-v", "error"}, args...),
		"-map", "[p]", "-frames:v", "1", "-c:v", "mjpeg", "-q:v", "3", "-map_metadata", "-1", "-f", "image2", "-update", "1", filepath.Base(to))
	if _, err = e.run(ctx, job{program: "ffmpeg", args: args, source: file, dir: filepath.Dir(to)}); err == nil {
		if telling, err = contrast(to); errors.Is(err, os.ErrNotExist) {
			return -1, nil // nothing can be decoded from there to the end
		}
	}
	if err != nil {
		return 0, fmt.Errorf("take a picture of %s: %w", file, err)
	}
	return telling, nil
}

// frame returns the arguments that choose the picture of a film at a time, as [p].
func (e *Encoder) frame(film Film, at time.Duration) []string {
	width, height := posterSize(film.Width, film.Height)
	args := input(film)
	if at > 0 {
		// The key frame before is as good, and comes at once.
		args = append(args, "-noaccurate_seek", "-ss", exact(at))
	}
	return append(args, "-i", sourceURL, "-filter_complex", e.pictures(film, Rendition{Width: width, Height: height}, false)+","+posterFilter(width, height))
}

// coverOf returns the arguments that choose the cover of a film, as [p].
func (e *Encoder) coverOf(film Film) []string {
	width, height := posterSize(film.cover.width, film.cover.height)
	return append(input(film), "-i", sourceURL, "-filter_complex", fmt.Sprintf("[0:%d]", film.cover.stream)+posterFilter(width, height))
}

func posterFilter(width, height int) string {
	return fmt.Sprintf("scale=%d:%d:flags=bicubic:out_range=pc,setsar=1,format=yuvj420p[p]", width, height)
}

// posterSize is that of a poster of a picture of some size.
func posterSize(width, height int) (int, int) {
	scale := min(1, float64(mostPoster)/float64(max(width, height, 1)))
	return even(scale * float64(width)), even(scale * float64(height))
}

const (
	// enough contrast: what is above is taken at once.
	enough = 20
	// something is to be seen in a cover with more than this.
	something = 5
)

// contrast says how much there is to see in a JPEG: how far its brightness spreads, which
// is nothing for black, white and fades.
func contrast(file string) (float64, error) {
	f, err := Open(file, mostPicture)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	shape, err := jpeg.DecodeConfig(f)
	if err != nil {
		return 0, err
	}
	if shape.Width > mostPoster || shape.Height > mostPoster {
		return 0, fmt.Errorf("%s has %d×%d pixels", file, shape.Width, shape.Height)
	}
	if _, err := f.Seek(0, 0); err != nil {
		return 0, err
	}
	picture, err := jpeg.Decode(f)
	if err != nil {
		return 0, err
	}
	var n, sum, squares float64
	for y := picture.Bounds().Min.Y; y < picture.Bounds().Max.Y; y += 4 {
		for x := picture.Bounds().Min.X; x < picture.Bounds().Max.X; x += 4 {
			light := brightness(picture, x, y)
			n, sum, squares = n+1, sum+light, squares+light*light
		}
	}
	return math.Sqrt(max(0, squares/n-(sum/n)*(sum/n))), nil
}

func brightness(picture image.Image, x, y int) float64 {
	if p, ok := picture.(*image.YCbCr); ok {
		return float64(p.Y[p.YOffset(x, y)])
	}
	r, g, b, _ := picture.At(x, y).RGBA()
	return float64(r+g+b) / 3 / 257
}
