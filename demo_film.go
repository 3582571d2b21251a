package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gomedium"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/gomonobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

const (
	filmWidth  = 1280
	filmHeight = 720
	filmRate   = 24    // frames per second
	voiceRate  = 16000 // samples per second of the flite voice slt, which is mono
	loudness   = -16.0 // LUFS, what players and browsers expect of speech on a page

	videoFile = "video.mp4"
	coverFile = "cover.jpg"
)

// film says what makeFilm left in the folder.
type film struct {
	Duration      time.Duration
	Width, Height int
}

// findFFmpeg returns the path of an ffmpeg that can make the lessons.
// Its error says in one line what is missing and how to get it.
func findFFmpeg() (path string, err error) {
	const remedy = "(Debian: apt-get install ffmpeg)"
	path, err = exec.LookPath("ffmpeg")
	if err != nil {
		return "", fmt.Errorf("ffmpeg is not on the PATH %s", remedy)
	}
	if _, err := exec.LookPath("ffprobe"); err != nil {
		return "", fmt.Errorf("ffprobe is not on the PATH %s", remedy)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var missing []string
	for _, part := range []struct {
		list  string
		names []string
	}{
		{"-encoders", []string{"libx264", "aac"}},
		{"-filters", []string{"flite", "ebur128", "alimiter"}},
	} {
		out, err := runFFmpeg(ctx, path, "", nil, part.list)
		if err != nil {
			return "", fmt.Errorf("ask %s what it can do: %w", path, err)
		}
		words := strings.Fields(string(out))
		for _, name := range part.names {
			if !slices.Contains(words, name) {
				missing = append(missing, name)
			}
		}
	}
	if len(missing) > 0 {
		return "", fmt.Errorf("%s was built without %s %s", path, strings.Join(missing, ", "), remedy)
	}
	return path, nil
}

// makeFilm draws, narrates and encodes l and leaves dir/video.mp4, which has its cover
// inside and is complete from the moment it has its name. A film that is there is taken
// as it is. The work runs at low priority; when it fails or ctx ends there is no file of
// that name that is not finished.
func makeFilm(ctx context.Context, ffmpeg string, l lesson, dir string) (film, error) {
	video := filepath.Join(dir, videoFile)
	if made, err := probeFilm(ctx, video); err == nil {
		return made, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return film{}, fmt.Errorf("make the lesson %s: %w", l.Slug, err)
	}
	removeAbandonedWork(dir)
	// The work folder is inside dir because a rename is only atomic within one file system.
	work, err := os.MkdirTemp(dir, workPrefix)
	if err != nil {
		return film{}, fmt.Errorf("make the lesson %s: %w", l.Slug, err)
	}
	defer os.RemoveAll(work)

	made, err := filmInto(ctx, ffmpeg, l, work)
	if err != nil {
		return film{}, fmt.Errorf("make the lesson %s: %w", l.Slug, cmp.Or(ctx.Err(), err))
	}
	if err := publishFile(filepath.Join(work, videoFile), video); err != nil {
		return film{}, fmt.Errorf("make the lesson %s: %w", l.Slug, err)
	}
	return made, nil
}

func filmInto(ctx context.Context, ffmpeg string, l lesson, work string) (film, error) {
	if err := drawCover(l, filepath.Join(work, coverFile)); err != nil {
		return film{}, err
	}
	shots := storyboard(l)
	track, err := narrateShots(ctx, ffmpeg, work, shots)
	if err != nil {
		return film{}, err
	}
	const trackFile = "track.pcm"
	if err := os.WriteFile(filepath.Join(work, trackFile), track, 0o644); err != nil {
		return film{}, fmt.Errorf("write the narration: %w", err)
	}
	gain, err := gainFor(ctx, ffmpeg, work, trackFile)
	if err != nil {
		return film{}, err
	}
	_, err = runFFmpeg(ctx, ffmpeg, work, func(w io.Writer) error { return shoot(ctx, shots, w) },
		"-f", "rawvideo", "-pix_fmt", "yuv420p", "-video_size", fmt.Sprintf("%dx%d", filmWidth, filmHeight), "-framerate", strconv.Itoa(filmRate), "-i", "pipe:0",
		"-f", "s16le", "-ar", strconv.Itoa(voiceRate), "-ac", "1", "-i", trackFile,
		"-i", coverFile,
		"-map", "0:v", "-map", "1:a", "-map", "2:v", "-threads", "1", "-filter_threads", "1",
		"-c:v:0", "libx264", "-profile:v:0", "high", "-pix_fmt:v:0", "yuv420p", "-preset", "veryfast", "-tune", "stillimage", "-x264-params", "rc-lookahead=0:mbtree=0", "-crf", "24", "-g", strconv.Itoa(4*filmRate),
		"-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv",
		"-af", fmt.Sprintf("aresample=48000,highpass=f=70,volume=%.2fdB,alimiter=limit=0.84:level=disabled", gain),
		"-c:a", "aac", "-b:a", "96k", "-ar", "48000",
		"-c:v:1", "copy", "-disposition:v:1", "attached_pic",
		"-metadata", "title="+l.Title, "-movflags", "+faststart", "-y", videoFile)
	if err != nil {
		return film{}, fmt.Errorf("encode: %w", err)
	}
	// ffmpeg also ends with 0 when its input ended early, so what it wrote is measured.
	made, err := probeFilm(ctx, filepath.Join(work, videoFile))
	if err != nil {
		return film{}, err
	}
	if want := shotsDuration(shots); (made.Duration - want).Abs() > time.Second {
		return film{}, fmt.Errorf("encode: the film lasts %s instead of %s", made.Duration, want)
	}
	return made, nil
}

// publishFile gives a finished file its name. It is synced first: after a
// power cut a name without its bytes would be taken for a finished film.
func publishFile(from, to string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(from, to)
}

const workPrefix = ".film-"

// removeAbandonedWork deletes what a killed program left. Younger folders may
// belong to another program that makes the same film right now.
func removeAbandonedWork(dir string) {
	old, _ := filepath.Glob(filepath.Join(dir, workPrefix+"*"))
	for _, work := range old {
		if info, err := os.Stat(work); err == nil && time.Since(info.ModTime()) > time.Hour {
			os.RemoveAll(work)
		}
	}
}

// probeFilm measures a video with ffprobe. It is an error if the file is not
// there or does not begin with H.264 and AAC.
func probeFilm(ctx context.Context, video string) (film, error) {
	if _, err := os.Stat(video); err != nil {
		return film{}, err
	}
	ffprobe, err := exec.LookPath("ffprobe")
	if err != nil {
		return film{}, err
	}
	out, err := runFFmpeg(ctx, ffprobe, filepath.Dir(video), nil,
		"-show_entries", "format=duration:stream=codec_name,width,height", "-of", "json", filepath.Base(video))
	if err != nil {
		return film{}, fmt.Errorf("measure %s: %w", video, err)
	}
	var found struct {
		Format  struct{ Duration string }
		Streams []struct {
			Codec  string `json:"codec_name"`
			Width  int
			Height int
		}
	}
	if err := json.Unmarshal(out, &found); err != nil {
		return film{}, fmt.Errorf("measure %s: %w", video, err)
	}
	seconds, err := strconv.ParseFloat(found.Format.Duration, 64)
	if err != nil {
		return film{}, fmt.Errorf("measure %s: %w", video, err)
	}
	if s := found.Streams; len(s) < 2 || s[0].Codec != "h264" || s[1].Codec != "aac" {
		return film{}, fmt.Errorf("measure %s: not H.264 with AAC", video)
	}
	return film{Duration: time.Duration(seconds * float64(time.Second)).Round(time.Millisecond), Width: found.Streams[0].Width, Height: found.Streams[0].Height}, nil
}

// runFFmpeg runs ffmpeg or ffprobe in dir, feeds its standard input if feed is
// not nil, and returns its standard output.
func runFFmpeg(ctx context.Context, program, dir string, feed func(io.Writer) error, args ...string) ([]byte, error) {
	common := []string{"-hide_banner", "-loglevel", "error"}
	if !strings.HasPrefix(filepath.Base(program), "ffprobe") {
		common = append(common, "-nostdin")
	}
	cmd := exec.CommandContext(ctx, program, append(common, args...)...)
	cmd.Dir = dir
	var stdout bytes.Buffer
	var stderr tail
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var stdin io.WriteCloser
	if feed != nil {
		var err error
		if stdin, err = cmd.StdinPipe(); err != nil {
			return nil, err
		}
	}
	// Pdeathsig fires when the starting thread ends, and Go may end any thread
	// whose goroutine was locked to it: this one is kept until the child is gone.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	// The site is being used while this runs; failing to step back is no reason to stop.
	_ = syscall.Setpriority(syscall.PRIO_PGRP, cmd.Process.Pid, 15)
	var fed error
	if feed != nil {
		fed = feed(stdin)
		stdin.Close()
	}
	err := cmd.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(program), err, cmp.Or(stderr.String(), "it said nothing"))
	}
	return stdout.Bytes(), fed
}

// tail keeps the end of what is written to it, on one line.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	const most = 1000
	t.kept = append(t.kept, p...)
	t.kept = t.kept[max(0, len(t.kept)-most):]
	return len(p), nil
}

func (t *tail) String() string { return strings.Join(strings.Fields(string(t.kept)), " ") }

// Narration

// spoken turns what is written on the screen into what the voice can say: it
// knows ASCII only, and reads VideoViewed and view_counts as one word each.
func spoken(text string) string {
	text = strings.NewReplacer("’", "'", "‘", "'", "“", "", "”", "", "–", ",", "…", "", "`", "", "_", " ",
		"Message DB", "message D B", "SSE", "S S E", "HTML", "H T M L", "POST", "post", "NOTIFY", "notify").Replace(text)
	var b strings.Builder
	var last rune
	for _, r := range text {
		if unicode.IsUpper(r) && unicode.IsLower(last) {
			b.WriteByte(' ')
		}
		if r < 128 && unicode.IsPrint(r) {
			b.WriteRune(r)
		}
		last = r
	}
	return loneID.ReplaceAllString(b.String(), "I D")
}

var loneID = regexp.MustCompile(`\bid\b`)

// narrate returns text as 16-bit little-endian mono samples at voiceRate.
func narrate(ctx context.Context, ffmpeg, work, text string) ([]byte, error) {
	// The words travel in a file with a plain name in the working folder, so that
	// nothing in them or in the folder's path can be read as filter syntax.
	const words = "words.txt"
	if err := os.WriteFile(filepath.Join(work, words), []byte(spoken(text)), 0o644); err != nil {
		return nil, fmt.Errorf("narrate: %w", err)
	}
	pcm, err := runFFmpeg(ctx, ffmpeg, work, nil, "-f", "lavfi", "-i", "flite=textfile="+words+":voice=slt",
		"-f", "s16le", "-ar", strconv.Itoa(voiceRate), "-ac", "1", "pipe:1")
	if err != nil {
		return nil, fmt.Errorf("narrate %q: %w", text, err)
	}
	return trimSilence(pcm), nil
}

// trimSilence cuts the pauses that the voice leaves at both ends, which differ
// from text to text; the pauses of the film are its own.
func trimSilence(pcm []byte) []byte {
	const quiet, keep = 200, voiceRate / 20
	sample := func(i int) int { return int(int16(binary.LittleEndian.Uint16(pcm[2*i:]))) }
	first, last := 0, len(pcm)/2
	for first < last && abs(sample(first)) < quiet {
		first++
	}
	for last > first && abs(sample(last-1)) < quiet {
		last--
	}
	return pcm[2*max(0, first-keep) : 2*min(len(pcm)/2, last+keep)]
}

// Seconds of silence in a scene.
const (
	pauseBefore  = 0.55
	pauseBetween = 0.40
	pauseAfter   = 0.75
)

// narrateShots speaks every beat, sets the shots' times by what was spoken and
// returns the whole track, exactly as long as the pictures.
func narrateShots(ctx context.Context, ffmpeg, work string, shots []*shot) ([]byte, error) {
	var track []byte
	silence := func(seconds float64) { track = append(track, make([]byte, 2*int(seconds*voiceRate))...) }
	for _, s := range shots {
		began := len(track)
		passed := func() float64 { return float64(len(track)-began) / 2 / voiceRate }
		silence(pauseBefore)
		for i, b := range s.beats {
			if i > 0 {
				silence(pauseBetween)
			}
			s.marks = append(s.marks, passed())
			pcm, err := narrate(ctx, ffmpeg, work, cmp.Or(b.Say, b.Text))
			if err != nil {
				return nil, err
			}
			track = append(track, pcm...)
			silence(b.Hold)
		}
		silence(pauseAfter)
		s.frames = int(math.Ceil(passed() * filmRate))
		silence(float64(s.frames)/filmRate - passed())
		s.marks = append(s.marks, float64(s.frames)/filmRate)
	}
	return track, nil
}

// gainFor returns how many dB the track has to be raised to reach loudness.
func gainFor(ctx context.Context, ffmpeg, work, track string) (float64, error) {
	out, err := runFFmpeg(ctx, ffmpeg, work, nil, "-f", "s16le", "-ar", strconv.Itoa(voiceRate), "-ac", "1", "-i", track,
		"-af", "ebur128=metadata=1,ametadata=mode=print:key=lavfi.r128.I:file=-", "-f", "null", "-")
	if err != nil {
		return 0, fmt.Errorf("measure the loudness: %w", err)
	}
	_, value, _ := strings.Cut(string(out[max(0, bytes.LastIndexByte(out, 'I')):]), "=")
	measured, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil {
		return 0, fmt.Errorf("measure the loudness: %w", err)
	}
	return min(loudness-measured, 20), nil
}

// Pictures that move

// pictureItem is one thing in a scene's picture: painted once, then shown,
// faded and moved. Times are in beats: 0 is the start of the scene, 1 the
// first word of the second sentence, 1.5 half way through it.
type pictureItem struct {
	paint       func(*canvas)
	from, until float64 // until 0: to the end of the scene
	way         []image.Point
	start, end  float64 // on its way from … to
	layer       int     // what has a higher one lies above
	rolls       bool    // comes in from below and leaves upwards, as a counter does
	wipes       bool    // grows from left to right between start and end
}

// Messages come out from under the parts that send them and slip under those that take them.
const (
	layerLines = -2
	layerCards = -1
)

func (p pictureItem) appears(beat float64) pictureItem    { p.from = beat; return p }
func (p pictureItem) disappears(beat float64) pictureItem { p.until = beat; return p }

// travels moves an item that was painted around the middle of the picture
// along a line, visible only while it is on its way.
func (p pictureItem) travels(start, end float64, way ...image.Point) pictureItem {
	p.start, p.end, p.way = start, end, way
	p.from, p.until = start, end
	return p
}

// stays keeps a travelled item where it arrived until the given beat.
func (p pictureItem) stays(beat float64) pictureItem { p.until = beat; return p }

// fills uncovers an item from left to right between two beats.
func (p pictureItem) fills(start, end float64) pictureItem {
	p.from, p.start, p.end, p.wipes = start, start, end, true
	return p
}

func (p pictureItem) on(layer int) pictureItem { p.layer = layer; return p }

func (p pictureItem) roll() pictureItem { p.rolls = true; return p }

// shot is a scene on the screen: its items as painted sprites and its times.
type shot struct {
	beats  []beat
	items  []pictureItem
	opens  bool      // the first one is there in the very first frame
	marks  []float64 // seconds at which each beat starts, and the end of the shot
	frames int
}

func shotsDuration(shots []*shot) time.Duration {
	frames := 0
	for _, s := range shots {
		frames += s.frames
	}
	return time.Duration(frames) * time.Second / filmRate
}

func (s *shot) seconds(beat float64) float64 {
	if beat <= 0 {
		return 0
	}
	i := int(beat)
	if i >= len(s.beats) {
		return s.marks[len(s.marks)-1]
	}
	return s.marks[i] + (beat-float64(i))*(s.marks[i+1]-s.marks[i])
}

// pose is how a sprite stands in a frame; a frame is repainted only where a pose changed.
type pose struct {
	offset image.Point
	alpha  uint32 // 0 to 256
	width  int    // of a filling sprite; others have their own
}

func (s *shot) pose(it pictureItem, img *image.RGBA, t float64) pose {
	const fadeIn, fadeOut, rise = 0.30, 0.25, 16
	end := s.marks[len(s.marks)-1]
	in, out := 1.0, 1.0
	if it.from > 0 {
		in = ease((t - s.seconds(it.from)) / fadeIn)
	} else if !s.opens {
		in = ease(t / (fadeIn + 0.15))
	}
	if it.until > 0 {
		gone := s.seconds(it.until)
		if len(it.way) > 0 || it.rolls {
			gone += fadeOut // it has to arrive first, or to leave while the next one comes
		}
		out = 1 - ease((t-gone+fadeOut)/fadeOut)
	}
	p := pose{width: img.Rect.Dx()}
	p.alpha = uint32(in * out * (1 - ease((t-end+fadeOut+0.05)/fadeOut)) * 256)
	if it.rolls {
		p.offset.Y = int(rise*(1-in)) - int(rise*(1-out))
	}
	if len(it.way) > 0 {
		p.offset = along(it.way, ease((t-s.seconds(it.start))/(s.seconds(it.end)-s.seconds(it.start)))).Sub(image.Pt(filmWidth/2, filmHeight/2))
	}
	if it.wipes {
		p.width = int(float64(p.width) * clamp((t-s.seconds(it.start))/(s.seconds(it.end)-s.seconds(it.start))))
	}
	return p
}

func clamp(x float64) float64 { return min(max(x, 0), 1) }

// ease starts and stops gently.
func ease(x float64) float64 { x = clamp(x); return x * x * (3 - 2*x) }

func abs(x int) int { return max(x, -x) }

// along returns the point at the fraction x of a polyline's length.
func along(way []image.Point, x float64) image.Point {
	length := func(i int) float64 {
		return math.Hypot(float64(way[i+1].X-way[i].X), float64(way[i+1].Y-way[i].Y))
	}
	var total float64
	for i := range len(way) - 1 {
		total += length(i)
	}
	rest := x * total
	for i := range len(way) - 1 {
		if l := length(i); rest <= l && l > 0 {
			return way[i].Add(image.Pt(
				int(math.Round(float64(way[i+1].X-way[i].X)*rest/l)),
				int(math.Round(float64(way[i+1].Y-way[i].Y)*rest/l))))
		}
		rest -= length(i)
	}
	return way[len(way)-1]
}

// shoot writes every frame as planar YUV. It holds one frame: what did not
// change since the frame before is neither painted nor converted again.
func shoot(ctx context.Context, shots []*shot, w io.Writer) error {
	sketch, paper := newCanvas(), image.NewUniform(inkPaper)
	frame := image.NewRGBA(sketch.Rect)
	draw.Draw(frame, frame.Rect, paper, image.Point{}, draw.Src)
	yuv := make([]byte, filmWidth*filmHeight*3/2)
	toYUV(frame, frame.Rect, yuv)
	for _, s := range shots {
		sprites := make([]*image.RGBA, len(s.items))
		poses := make([]pose, len(s.items))
		for i, it := range s.items {
			sprites[i] = sketch.sprite(it.paint)
		}
		for n := range s.frames {
			if err := ctx.Err(); err != nil {
				return err
			}
			var dirty []image.Rectangle
			for i, it := range s.items {
				next := s.pose(it, sprites[i], float64(n)/filmRate)
				if next == poses[i] || next.alpha == 0 && poses[i].alpha == 0 {
					continue
				}
				dirty = addDirty(dirty, covered(sprites[i], poses[i]).Union(covered(sprites[i], next)))
				poses[i] = next
			}
			for _, r := range dirty {
				draw.Draw(frame, r, paper, image.Point{}, draw.Src)
				for i, p := range poses {
					blend(frame, r, sprites[i], p)
				}
				toYUV(frame, r, yuv)
			}
			if _, err := w.Write(yuv); err != nil {
				return err
			}
		}
		// The pictures have faded by now; a trace that rounding left must not stay.
		draw.Draw(frame, frame.Rect, paper, image.Point{}, draw.Src)
		toYUV(frame, frame.Rect, yuv)
	}
	return nil
}

// covered is where a posed sprite shows, grown to even coordinates because
// two by two pixels share one colour in the film.
func covered(img *image.RGBA, p pose) image.Rectangle {
	if p.alpha == 0 {
		return image.Rectangle{}
	}
	r := img.Rect
	r.Max.X = r.Min.X + p.width
	r = r.Add(p.offset)
	r = image.Rect(r.Min.X&^1, r.Min.Y&^1, (r.Max.X+1)&^1, (r.Max.Y+1)&^1)
	return r.Intersect(image.Rect(0, 0, filmWidth, filmHeight))
}

func addDirty(dirty []image.Rectangle, r image.Rectangle) []image.Rectangle {
	for i := 0; i < len(dirty); {
		if !dirty[i].Overlaps(r) {
			i++
			continue
		}
		r = r.Union(dirty[i])
		dirty = slices.Delete(dirty, i, i+1)
		i = 0
	}
	if r.Empty() {
		return dirty
	}
	return append(dirty, r)
}

// blend lays a posed sprite over the part r of the frame. image/draw has no
// quick way to do it with an even transparency.
func blend(frame *image.RGBA, r image.Rectangle, img *image.RGBA, p pose) {
	if p.alpha == 0 {
		return
	}
	shown := img.Rect
	shown.Max.X = shown.Min.X + p.width
	r = r.Intersect(shown.Add(p.offset))
	for y := r.Min.Y; y < r.Max.Y; y++ {
		src := img.Pix[img.PixOffset(r.Min.X-p.offset.X, y-p.offset.Y):]
		dst := frame.Pix[frame.PixOffset(r.Min.X, y):]
		for i := 0; i < 4*r.Dx(); i += 4 {
			if src[i+3] == 0 {
				continue
			}
			rest := 255 - (uint32(src[i+3])*p.alpha)>>8
			for c := range 3 {
				dst[i+c] = uint8((uint32(src[i+c])*p.alpha>>8*255 + uint32(dst[i+c])*rest + 127) / 255)
			}
		}
	}
}

// toYUV converts the part r of the frame to BT.709 with limited range, in
// 16-bit fixed point. Both corners of r are even.
func toYUV(frame *image.RGBA, r image.Rectangle, yuv []byte) {
	const half = 1 << 15
	luma, cb := yuv[:filmWidth*filmHeight], yuv[filmWidth*filmHeight:]
	cr := cb[filmWidth*filmHeight/4:]
	for y := r.Min.Y; y < r.Max.Y; y += 2 {
		for x := r.Min.X; x < r.Max.X; x += 2 {
			var red, green, blue int
			for _, d := range [4]int{0, 1, filmWidth, filmWidth + 1} {
				at := y*filmWidth + x + d
				px := frame.Pix[4*at : 4*at+3 : 4*at+3]
				r, g, b := int(px[0]), int(px[1]), int(px[2])
				luma[at] = uint8(16 + (11966*r+40254*g+4064*b+half)>>16)
				red, green, blue = red+r, green+g, blue+b
			}
			at := y/2*filmWidth/2 + x/2
			cb[at] = uint8(128 + (-6596*red-22189*green+28784*blue+4*half)>>18)
			cr[at] = uint8(128 + (28784*red-26145*green-2639*blue+4*half)>>18)
		}
	}
}

// Ink and type

var (
	inkPaper  = color.RGBA{0xF7, 0xF3, 0xEA, 0xFF}
	inkSheet  = color.RGBA{0xFF, 0xFD, 0xF8, 0xFF}
	inkBlack  = color.RGBA{0x1A, 0x1D, 0x26, 0xFF}
	inkSoft   = color.RGBA{0x5A, 0x58, 0x55, 0xFF}
	inkHair   = color.RGBA{0xD6, 0xCF, 0xC0, 0xFF}
	inkNavy   = color.RGBA{0x12, 0x2C, 0x54, 0xFF}
	inkGrid   = color.RGBA{0x1B, 0x37, 0x62, 0xFF}
	inkChalk  = color.RGBA{0x9F, 0xB4, 0xD6, 0xFF}
	inkSignal = color.RGBA{0xD9, 0x3A, 0x1F, 0xFF} // live, and nothing else
)

type typeface int

const (
	faceText typeface = iota
	faceMedium
	faceBold
	faceMono
	faceMonoBold
)

var parsedFonts = sync.OnceValues(func() ([]*opentype.Font, error) {
	var fonts []*opentype.Font
	for _, ttf := range [][]byte{goregular.TTF, gomedium.TTF, gobold.TTF, gomono.TTF, gomonobold.TTF} {
		f, err := opentype.Parse(ttf)
		if err != nil {
			return nil, err
		}
		fonts = append(fonts, f)
	}
	return fonts, nil
})

// canvas is a film-sized picture with what it takes to draw antialiased
// shapes and text on it. It starts transparent. Whatever draws on it is given
// the picture itself: only for *image.RGBA do the libraries have their quick ways.
type canvas struct {
	*image.RGBA
	touched image.Rectangle // where something was drawn
	faces   map[faceSize]font.Face
}

type faceSize struct {
	face typeface
	size float64
}

func newCanvas() *canvas {
	return &canvas{RGBA: image.NewRGBA(image.Rect(0, 0, filmWidth, filmHeight)), faces: map[faceSize]font.Face{}}
}

func (c *canvas) clear(ink color.Color) {
	c.touched = c.Rect
	draw.Draw(c.RGBA, c.Rect, image.NewUniform(ink), image.Point{}, draw.Src)
}

// sprite paints on an empty canvas and returns a copy of the part that was touched.
func (c *canvas) sprite(paint func(*canvas)) *image.RGBA {
	draw.Draw(c.RGBA, c.touched, image.Transparent, image.Point{}, draw.Src)
	c.touched = image.Rectangle{}
	paint(c)
	img := image.NewRGBA(c.touched)
	draw.Draw(img, c.touched, c.RGBA, c.touched.Min, draw.Src)
	return img
}

type vec struct{ x, y float64 }

// fill paints closed polygons in one go; a polygon that turns the other way
// round inside another is a hole.
func (c *canvas) fill(ink color.Color, shapes ...[]vec) {
	box := image.Rectangle{}
	for _, shape := range shapes {
		for _, p := range shape {
			box = box.Union(image.Rect(int(p.x)-1, int(p.y)-1, int(p.x)+2, int(p.y)+2))
		}
	}
	box = box.Intersect(c.Rect)
	if box.Empty() {
		return
	}
	c.touched = c.touched.Union(box)
	raster := vector.NewRasterizer(box.Dx(), box.Dy())
	for _, shape := range shapes {
		for i, p := range shape {
			x, y := float32(p.x-float64(box.Min.X)), float32(p.y-float64(box.Min.Y))
			if i == 0 {
				raster.MoveTo(x, y)
			} else {
				raster.LineTo(x, y)
			}
		}
		raster.ClosePath()
	}
	raster.Draw(c.RGBA, box, image.NewUniform(ink), image.Point{})
}

func (c *canvas) rect(x, y, w, h, radius float64, ink color.Color) {
	c.fill(ink, roundRect(x, y, w, h, radius))
}

// frame draws the outline of a rectangle inside its edges.
func (c *canvas) frame(x, y, w, h, radius, width float64, ink color.Color) {
	hole := roundRect(x+width, y+width, w-2*width, h-2*width, max(0, radius-width))
	slices.Reverse(hole)
	c.fill(ink, roundRect(x, y, w, h, radius), hole)
}

func (c *canvas) disc(x, y, radius float64, ink color.Color) {
	c.fill(ink, arc(x, y, radius, 0, 2*math.Pi))
}

func (c *canvas) ring(x, y, radius, width float64, ink color.Color) {
	c.arc(x, y, radius, width, 0, 2*math.Pi, ink)
}

func (c *canvas) arc(x, y, radius, width, from, to float64, ink color.Color) {
	inner := arc(x, y, radius-width/2, from, to)
	slices.Reverse(inner)
	c.fill(ink, append(arc(x, y, radius+width/2, from, to), inner...))
}

func (c *canvas) line(width float64, ink color.Color, points ...vec) {
	var shapes [][]vec
	for i := range len(points) - 1 {
		a, b := points[i], points[i+1]
		l := math.Hypot(b.x-a.x, b.y-a.y)
		nx, ny := -(b.y-a.y)/l*width/2, (b.x-a.x)/l*width/2
		shapes = append(shapes, []vec{{a.x - nx, a.y - ny}, {b.x - nx, b.y - ny}, {b.x + nx, b.y + ny}, {a.x + nx, a.y + ny}})
		if i > 0 {
			shapes = append(shapes, arc(a.x, a.y, width/2, 0, 2*math.Pi))
		}
	}
	c.fill(ink, shapes...)
}

func (c *canvas) dashed(width float64, ink color.Color, a, b vec) {
	const dash, gap = 8.0, 6.0
	l := math.Hypot(b.x-a.x, b.y-a.y)
	at := func(d float64) vec { return vec{a.x + (b.x-a.x)*d/l, a.y + (b.y-a.y)*d/l} }
	for d := 0.0; d < l; d += dash + gap {
		c.line(width, ink, at(d), at(min(d+dash, l)))
	}
}

func roundRect(x, y, w, h, radius float64) []vec {
	if radius <= 0 {
		return []vec{{x, y}, {x + w, y}, {x + w, y + h}, {x, y + h}}
	}
	var shape []vec
	for i, p := range []vec{{x + radius, y + radius}, {x + w - radius, y + radius}, {x + w - radius, y + h - radius}, {x + radius, y + h - radius}} {
		from := math.Pi + float64(i)*math.Pi/2
		shape = append(shape, arc(p.x, p.y, radius, from, from+math.Pi/2)...)
	}
	return shape
}

func arc(x, y, radius, from, to float64) []vec {
	steps := max(6, int((to-from)*math.Sqrt(radius)*2))
	shape := make([]vec, 0, steps+1)
	for i := range steps + 1 {
		a := from + (to-from)*float64(i)/float64(steps)
		shape = append(shape, vec{x + radius*math.Cos(a), y + radius*math.Sin(a)})
	}
	return shape
}

func (c *canvas) face(f typeface, size float64) font.Face {
	key := faceSize{f, size}
	if face, ok := c.faces[key]; ok {
		return face
	}
	fonts, err := parsedFonts()
	if err == nil {
		var face font.Face
		if face, err = opentype.NewFace(fonts[f], &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingNone}); err == nil {
			c.faces[key] = face
			return face
		}
	}
	// The fonts are compiled in: that they cannot be read is a fault of the program, not of the machine.
	panic(fmt.Sprintf("the built-in font %d: %v", f, err))
}

func (c *canvas) width(f typeface, size float64, text string) float64 {
	return float64(font.MeasureString(c.face(f, size), text)) / 64
}

// text writes one line with its baseline at y; anchor 0 starts at x, 0.5 is
// centred on it, 1 ends there.
func (c *canvas) text(x, y, anchor float64, f typeface, size float64, ink color.Color, text string) {
	x -= anchor * c.width(f, size, text)
	d := font.Drawer{Dst: c.RGBA, Src: image.NewUniform(ink), Face: c.face(f, size), Dot: fixed.Point26_6{X: fixed.Int26_6(x * 64), Y: fixed.Int26_6(y * 64)}}
	// A pixel more on each side: glyphs are placed on fractions of pixels.
	bounds, _ := d.BoundString(text)
	box := image.Rect(bounds.Min.X.Floor()-1, bounds.Min.Y.Floor()-1, bounds.Max.X.Ceil()+1, bounds.Max.Y.Ceil()+1)
	c.touched = c.touched.Union(box.Intersect(c.Rect))
	d.DrawString(text)
}

// word is a run of text without a break in it, in one or two typefaces.
type word []struct {
	face typeface
	text string
}

// words splits text at its spaces; what stands between backquotes is mono and is not split.
func words(text string, plain, code typeface) []word {
	var all []word
	face, fresh := plain, true
	for i, part := range strings.Split(text, "`") {
		face = plain
		pieces := strings.Split(part, " ")
		if i%2 == 1 {
			face, pieces = code, []string{part}
		}
		for n, piece := range pieces {
			fresh = fresh || n > 0
			if piece == "" {
				continue
			}
			if fresh {
				all = append(all, nil)
			}
			last := &all[len(all)-1]
			*last = append(*last, struct {
				face typeface
				text string
			}{face, piece})
			fresh = false
		}
		fresh = fresh || strings.HasSuffix(part, " ")
	}
	return all
}

// paragraph is text to be set in lines of about the same length.
type paragraph struct {
	text          string
	plain, code   typeface
	size, leading float64
	width         float64 // at most
}

// monoScale makes mono look as large as the text around it.
const monoScale = 0.92

func (p paragraph) sizeOf(f typeface) float64 {
	if f == p.code {
		return p.size * monoScale
	}
	return p.size
}

// lines breaks the text at the given width.
func (c *canvas) lines(p paragraph, width float64) [][]word {
	space := c.width(p.plain, p.size, " ")
	var lines [][]word
	x := 0.0
	for _, w := range words(p.text, p.plain, p.code) {
		wide := 0.0
		for _, run := range w {
			wide += c.width(run.face, p.sizeOf(run.face), run.text)
		}
		if len(lines) == 0 || x+wide > width {
			lines, x = append(lines, nil), 0
		}
		lines[len(lines)-1] = append(lines[len(lines)-1], w)
		x += wide + space
	}
	return lines
}

// paragraph sets p with the first baseline at y, or the last one if y is negative
// (counted from the bottom of the film). No line is left with a single word.
func (c *canvas) paragraph(x, y float64, ink color.Color, p paragraph) {
	lines := c.lines(p, p.width)
	for width := p.width - 8; width > p.width/2; width -= 8 {
		narrower := c.lines(p, width)
		if len(narrower) > len(lines) {
			break
		}
		lines = narrower
	}
	if y < 0 {
		y += filmHeight - p.leading*float64(len(lines)-1)
	}
	for i, line := range lines {
		x := x
		for _, w := range line {
			for _, run := range w {
				c.text(x, y+float64(i)*p.leading, 0, run.face, p.sizeOf(run.face), ink, run.text)
				x += c.width(run.face, p.sizeOf(run.face), run.text)
			}
			x += c.width(p.plain, p.size, " ")
		}
	}
}

// From lesson to shots

const pageMargin = 80.0

// storyboard puts a title card before and what to keep after the scenes, and
// heading, progress and captions around each picture.
func storyboard(l lesson) []*shot {
	shots := []*shot{{
		opens: true,
		beats: []beat{{Text: fmt.Sprintf("Lesson %d. %s.", l.Number, l.Title), Hold: 0.4}},
		items: []pictureItem{{paint: func(c *canvas) { paintCover(c, l) }}},
	}}
	for i, sc := range l.Scenes {
		s := &shot{beats: sc.Beats}
		s.items = append(s.items, pictureItem{paint: func(c *canvas) { paintHead(c, sc.Heading, i, len(l.Scenes)) }})
		s.items = append(s.items, sc.Picture...)
		for n, b := range sc.Beats {
			caption := pictureItem{paint: func(c *canvas) { paintCaption(c, b.Text) }}.appears(float64(n))
			if n < len(sc.Beats)-1 {
				caption = caption.disappears(float64(n + 1))
			}
			s.items = append(s.items, caption)
		}
		slices.SortStableFunc(s.items, func(a, b pictureItem) int { return cmp.Compare(a.layer, b.layer) })
		shots = append(shots, s)
	}
	if l.Keep != "" {
		shots = append(shots, &shot{
			beats: []beat{{Text: l.Keep, Hold: 1}},
			items: []pictureItem{{paint: func(c *canvas) { paintKeep(c, l) }}},
		})
	}
	return shots
}

func paintHead(c *canvas, heading string, scene, scenes int) {
	c.text(pageMargin, 84, 0, faceBold, 38, inkBlack, heading)
	const step, gap = 34.0, 8.0
	for i := range scenes {
		ink := inkHair
		if i <= scene {
			ink = inkBlack
		}
		c.rect(filmWidth-pageMargin-float64(scenes-i)*(step+gap)+gap, 69, step, 4, 0, ink)
	}
	c.rect(pageMargin, 112, filmWidth-2*pageMargin, 1, 0, inkHair)
}

func paintCaption(c *canvas, text string) {
	c.rect(pageMargin, 582, 48, 3, 0, inkBlack)
	c.paragraph(pageMargin, 628, inkBlack, paragraph{text: text, plain: faceText, code: faceMono, size: 31, leading: 42, width: filmWidth - 2*pageMargin})
}

func paintKeep(c *canvas, l lesson) {
	c.text(pageMargin, 150, 0, faceMono, 24, inkSoft, fmt.Sprintf("Lesson %d", l.Number))
	c.text(pageMargin+150, 150, 0, faceText, 24, inkSoft, l.Title)
	c.rect(pageMargin, 176, filmWidth-2*pageMargin, 1, 0, inkHair)
	c.paragraph(pageMargin, 290, inkBlack, paragraph{text: l.Keep, plain: faceBold, code: faceMonoBold, size: 56, leading: 76, width: 1040})
}

// paintCover is the title card and the cover: one picture, so that the film starts
// where its poster stood.
func paintCover(c *canvas, l lesson) {
	c.clear(inkNavy)
	for x := 40.0; x < filmWidth; x += 80 {
		c.rect(x, 0, 1, filmHeight, 0, inkGrid)
	}
	for y := 40.0; y < filmHeight; y += 80 {
		c.rect(0, y, filmWidth, 1, 0, inkGrid)
	}
	if l.Motif != nil {
		l.Motif(c)
	}
	c.text(pageMargin, 132, 0, faceMonoBold, 76, inkChalk, strconv.Itoa(l.Number))
	c.paragraph(pageMargin, -76, inkPaper, paragraph{text: l.Title, plain: faceBold, code: faceMonoBold, size: 94, leading: 102, width: 740})
}

// Pieces of a picture

func still(paint func(*canvas)) pictureItem { return pictureItem{paint: paint} }

// partAt is a part of the system that does something.
func partAt(x, y, w, h float64, title, note string) pictureItem {
	return still(func(c *canvas) {
		c.rect(x, y, w, h, 6, inkSheet)
		c.frame(x, y, w, h, 6, 2, inkBlack)
		paintTitle(c, x+w/2, y+h/2, title, note, inkBlack, inkSoft)
	})
}

// storeAt is a place where data rests.
func storeAt(x, y, w, h float64, title, note string) pictureItem {
	return still(func(c *canvas) {
		c.rect(x, y, w, h, 6, inkNavy)
		paintTitle(c, x+w/2, y+h/2, title, note, inkPaper, inkChalk)
	})
}

func paintTitle(c *canvas, x, y float64, title, note string, ink, soft color.Color) {
	if note == "" {
		c.text(x, y+9, 0.5, faceMedium, 26, ink, title)
		return
	}
	c.text(x, y-4, 0.5, faceMedium, 26, ink, title)
	c.text(x, y+26, 0.5, faceMono, 18, soft, note)
}

// pageAt is a browser's window.
func pageAt(x, y, w, h float64) pictureItem {
	return still(func(c *canvas) {
		c.rect(x, y, w, h, 8, inkSheet)
		c.frame(x, y, w, h, 8, 2, inkBlack)
		c.rect(x, y+26, w, 2, 0, inkBlack)
		for i := range 3 {
			c.ring(x+18+float64(i)*16, y+14, 4, 1.5, inkSoft)
		}
	})
}

// videoAt is a player with nothing running yet.
func videoAt(x, y, w, h float64) pictureItem {
	return still(func(c *canvas) {
		c.rect(x, y, w, h, 3, inkNavy)
		r := h / 6
		mx, my := x+w/2, y+h/2
		c.fill(inkPaper, []vec{{mx - r*0.7, my - r}, {mx + r, my}, {mx - r*0.7, my + r}})
	})
}

// slotAt is a message in its place in a stream.
func slotAt(x, y, w float64, position, text string) pictureItem {
	return still(func(c *canvas) {
		c.rect(x, y, w, 54, 4, inkSheet)
		c.frame(x, y, w, 54, 4, 1.5, inkBlack)
		c.text(x+w/2, y+34, 0.5, faceMono, 18, inkBlack, text)
		c.text(x+w/2, y+80, 0.5, faceMono, 18, inkSoft, position)
	})
}

// cardOf is a message on its way; it is given one by travels.
func cardOf(text string) pictureItem {
	return still(func(c *canvas) {
		const height = 42
		w := c.width(faceMonoBold, 19, text) + 30
		c.rect(filmWidth/2-w/2, filmHeight/2-height/2, w, height, 4, inkSignal)
		c.text(filmWidth/2, filmHeight/2+7, 0.5, faceMonoBold, 19, inkSheet, text)
	}).on(layerCards)
}

// arrowOf runs through the points given as x, y, x, y, …; its label stands over the first stretch.
func arrowOf(label string, at ...float64) pictureItem {
	var way []vec
	for i := 0; i+1 < len(at); i += 2 {
		way = append(way, vec{at[i], at[i+1]})
	}
	return still(func(c *canvas) {
		a, b := way[len(way)-2], way[len(way)-1]
		l := math.Hypot(b.x-a.x, b.y-a.y)
		ux, uy := (b.x-a.x)/l, (b.y-a.y)/l
		shaft := slices.Clone(way)
		shaft[len(shaft)-1] = vec{b.x - 8*ux, b.y - 8*uy}
		c.line(2, inkBlack, shaft...)
		c.fill(inkBlack, []vec{b, {b.x - 14*ux - 6*uy, b.y - 14*uy + 6*ux}, {b.x - 14*ux + 6*uy, b.y - 14*uy - 6*ux}})
		if p, q := way[0], way[1]; p.x == q.x {
			c.text(p.x+14, (p.y+q.y)/2+6, 0, faceMono, 18, inkSoft, label)
		} else {
			c.text((p.x+q.x)/2, (p.y+q.y)/2-28, 0.5, faceMono, 18, inkSoft, label)
		}
	}).on(layerLines)
}

// groupAt is a dashed frame around what belongs together.
func groupAt(x, y, w, h float64, label string) pictureItem {
	return still(func(c *canvas) {
		for _, side := range [][2]vec{{{x, y}, {x + w, y}}, {{x + w, y}, {x + w, y + h}}, {{x + w, y + h}, {x, y + h}}, {{x, y + h}, {x, y}}} {
			c.dashed(2, inkSoft, side[0], side[1])
		}
		c.rect(x+18, y-14, c.width(faceMono, 19, label)+20, 28, 0, inkPaper)
		c.text(x+28, y+6, 0, faceMono, 19, inkSoft, label)
	}).on(layerLines)
}

// markAt frames what is live at this moment.
func markAt(x, y, w, h float64) pictureItem {
	return still(func(c *canvas) { c.frame(x-5, y-5, w+10, h+10, 9, 3, inkSignal) })
}

// crossAt strikes out what has stopped.
func crossAt(x, y, w, h float64) pictureItem {
	return still(func(c *canvas) {
		c.rect(x, y, w, h, 6, color.RGBA{0xC6, 0xC3, 0xBB, 0xD0})
		c.line(4, inkBlack, vec{x, y}, vec{x + w, y + h})
		c.line(4, inkBlack, vec{x + w, y}, vec{x, y + h})
	})
}

func barAt(x, y, w, h float64, ink color.Color) pictureItem {
	return still(func(c *canvas) { c.rect(x, y, w, h, 0, ink) })
}

func textAt(x, y, anchor float64, f typeface, size float64, ink color.Color, text string) pictureItem {
	return still(func(c *canvas) { c.text(x, y, anchor, f, size, ink, text) })
}

func drawCover(l lesson, path string) (err error) {
	c := newCanvas()
	paintCover(c, l)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return fmt.Errorf("write the cover: %w", err)
	}
	defer func() {
		if closed := f.Close(); err == nil && closed != nil && !errors.Is(closed, fs.ErrClosed) {
			err = fmt.Errorf("write the cover: %w", closed)
		}
	}()
	if err := jpeg.Encode(f, c.RGBA, &jpeg.Options{Quality: 72}); err != nil {
		return fmt.Errorf("write the cover: %w", err)
	}
	return nil
}
