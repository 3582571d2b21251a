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

// Poster writes a telling picture of a film, a JPEG at most 1280 pixels wide and high. The
// folder of to is the only one that is written.
func (e *Encoder) Poster(ctx context.Context, file string, film Film, to string) error {
	candidate := to + ".candidate"
	defer os.Remove(candidate)
	best := -1.0
	for _, part := range []float64{0.1, 0.3, 0.6, 0} {
		err := e.still(ctx, file, film, time.Duration(part*float64(film.Duration)), candidate)
		if err != nil {
			return fmt.Errorf("take a picture of %s: %w", file, err)
		}
		telling, err := contrast(candidate)
		if errors.Is(err, os.ErrNotExist) {
			continue // nothing can be decoded from there to the end
		}
		if err != nil {
			return fmt.Errorf("look at a picture of %s: %w", file, err)
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

// still writes one picture of a film as a JPEG; none if there is none at that time.
func (e *Encoder) still(ctx context.Context, file string, film Film, at time.Duration, to string) error {
	if err := os.Remove(to); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	size := rendition(film, 0, min(film.Width, film.Height), 0)
	if long := max(size.Width, size.Height); long > mostPoster {
		scale := float64(mostPoster) / float64(long)
		size.Width, size.Height = even(scale*float64(size.Width)), even(scale*float64(size.Height))
	}
	args := []string{"-hide_banner", "-nostdin", "-y", "-v", "error"}
	args = append(args, input(film)...)
	if at > 0 {
		// The key frame before is as good, and comes at once.
		args = append(args, "-noaccurate_seek", "-ss", exact(at))
	}
	args = append(args, "-i", sourceURL, "-filter_complex", e.pictures(film, size, false)+fmt.Sprintf(",scale=%d:%d:flags=bicubic:out_range=pc,setsar=1,format=yuvj420p[p]", size.Width, size.Height),
		"-map", "[p]", "-frames:v", "1", "-c:v", "mjpeg", "-q:v", "3", "-map_metadata", "-1", "-f", "image2", "-update", "1", filepath.Base(to))
	_, err := e.run(ctx, job{program: "ffmpeg", args: args, source: file, dir: filepath.Dir(to)})
	return err
}

// enough contrast: what is above is taken at once.
const enough = 20

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
