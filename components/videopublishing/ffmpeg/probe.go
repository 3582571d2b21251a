package ffmpeg

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

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

	video, audio int           // which streams of the file
	pictures     time.Duration // how long the pictures last: maybe not as long as the sound
	interlaced   bool
	rgb          bool
	transfer     string  // of the colors, where it is one of HDR
	loudness     float64 // LUFS
	cover        cover
}

// cover is a picture that somebody put into a file to stand for the film; it has no size
// where there is none that is of use.
type cover struct{ stream, width, height int }

// formats are the containers that are read. What is not here matters more: playlists
// and scripts (hls, concat, dash …) name other files, and addresses.
const formats = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,mxf,dv,wav,mp3,aac,flac"

// mostPixels of a picture: a bit more than 8K.
const mostPixels = 36_000_000

// tooManyPixels is in what ffmpeg complains about those.
const tooManyPixels = "exceeds specified max pixel count"

// input is how each file from outside is opened.
func input(film Film) []string {
	args := []string{"-protocol_whitelist", "file", "-format_whitelist", formats, "-max_pixels", strconv.Itoa(mostPixels), "-probesize", "20M", "-analyzeduration", "20M"}
	if film.Width*film.Height > 4096*2304 {
		return append(args, threads(mostThreads/2)...)
	}
	return append(args, threads(mostThreads)...)
}

// mostThreads of one decoder or encoder: each takes address space, up to a picture, and
// ffmpeg would start more than there are cores.
const mostThreads = 8

// threads bounds what ffmpeg starts on a machine with many cores.
func threads(most int) []string {
	if runtime.NumCPU() < most {
		return nil
	}
	return []string{"-threads", strconv.Itoa(most)}
}

// Probe looks into a file: what it is, whether all of it is there, and how loud it is. It
// reads the whole file, since headers are wrong or missing. A [*Refusal] says that it is
// no film, or none that is taken.
func (e *Encoder) Probe(ctx context.Context, file string) (Film, error) {
	header, film, err := e.look(ctx, file, 0)
	if err == nil {
		err = e.measure(ctx, file, header, &film)
	}
	if err != nil {
		return Film{}, fmt.Errorf("look into %s: %w", file, err)
	}
	return film, nil
}

// glance is the longest that [Encoder.Look] may take.
const glance = 10 * time.Second

// Look reads no more than the header of a file, for at most ten seconds. A [*Refusal] is
// what [Encoder.Probe] would say too, but for "took-too-long"; of what is not refused
// nothing is known.
func (e *Encoder) Look(ctx context.Context, file string) error {
	if _, _, err := e.look(ctx, file, glance); err != nil {
		return fmt.Errorf("look into %s: %w", file, err)
	}
	return nil
}

func (e *Encoder) look(ctx context.Context, file string, wall time.Duration) (header, Film, error) {
	start, err := beginning(file)
	if err != nil {
		return header{}, Film{}, err
	}
	h, err := e.header(ctx, file, wall)
	var refusal *Refusal
	if errors.As(err, &refusal) && refusal.Reason == damaged && !container(start) {
		refusal.Reason = notAVideo
	}
	if err != nil {
		return header{}, Film{}, err
	}
	film, err := h.film()
	if err == nil && h.duration() > e.config.Duration {
		err = &Refusal{Reason: filmTooLong, Detail: "the header says " + h.duration().String()}
	}
	return h, film, err
}

// beginning returns the first bytes of a file.
func beginning(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	start := make([]byte, 16)
	n, err := io.ReadFull(f, start)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	return start[:n], nil
}

// container says whether a file begins as a film does, so that one which cannot be read
// is called damaged.
func container(start []byte) bool {
	if len(start) < 12 {
		return false
	}
	if slices.Contains([]string{"ftyp", "moov", "mdat", "wide"}, string(start[4:8])) {
		return !still(string(start[8:12]))
	}
	return bytes.HasPrefix(start, []byte("\x1aE\xdf\xa3")) || // Matroska, WebM
		bytes.HasPrefix(start, []byte("RIFF")) && string(start[8:12]) == "AVI " ||
		bytes.HasPrefix(start, []byte("FLV\x01")) ||
		bytes.HasPrefix(start, []byte("\x30\x26\xb2\x75")) || // ASF, WMV
		bytes.HasPrefix(start, []byte("\x00\x00\x01\xba")) // MPEG
}

// still says whether a brand of ISO files is one of pictures.
func still(brand string) bool {
	return slices.Contains([]string{"avif", "avis", "heic", "heix", "heim", "heis", "hevc", "mif1", "msf1", "miaf"}, brand)
}

// header is what ffprobe tells of a file.
type header struct {
	Streams []stream `json:"streams"`
	Format  struct {
		Name     string            `json:"format_name"`
		Duration string            `json:"duration"`
		Tags     map[string]string `json:"tags"`
	} `json:"format"`
	complaints string
}

type stream struct {
	Index       int            `json:"index"`
	Type        string         `json:"codec_type"`
	Codec       string         `json:"codec_name"`
	Width       int            `json:"width"`
	Height      int            `json:"height"`
	Format      string         `json:"pix_fmt"`
	Pixels      string         `json:"sample_aspect_ratio"`
	Transfer    string         `json:"color_transfer"`
	Fields      string         `json:"field_order"`
	Rate        string         `json:"r_frame_rate"`
	AverageRate string         `json:"avg_frame_rate"`
	Duration    string         `json:"duration"`
	Disposition map[string]int `json:"disposition"`
	SideData    []struct {
		Rotation float64 `json:"rotation"`
	} `json:"side_data_list"`
}

func (e *Encoder) header(ctx context.Context, file string, wall time.Duration) (header, error) {
	args := []string{"-hide_banner", "-v", "error"}
	args = append(args, input(Film{})...)
	args = append(args, "-of", "json", "-show_entries", "format=format_name,duration:format_tags=major_brand"+
		":stream=index,codec_type,codec_name,width,height,pix_fmt,sample_aspect_ratio,color_transfer,field_order,r_frame_rate,avg_frame_rate,duration"+
		":stream_disposition=default,attached_pic,timed_thumbnails,still_image:stream_side_data=rotation", "-i", sourceURL)
	var text bytes.Buffer
	complaints, err := e.run(ctx, job{program: "ffprobe", args: args, source: file, wall: wall, line: func(line string) (bool, error) {
		if text.Len() > 4<<20 {
			return false, &Refusal{Reason: damaged, Detail: "there is no end to its streams"}
		}
		text.WriteString(line + "\n")
		return true, nil
	}})
	if err != nil {
		return header{}, err
	}
	h := header{complaints: complaints}
	if err := json.Unmarshal(text.Bytes(), &h); err != nil {
		return header{}, fmt.Errorf("read what ffprobe says: %w", err)
	}
	return h, nil
}

func (h header) duration() time.Duration { return seconds(h.Format.Duration) }

// film says what the header tells of a film.
func (h header) film() (Film, error) {
	if still(strings.TrimSpace(h.Format.Tags["major_brand"])) {
		return Film{}, &Refusal{Reason: notAVideo, Detail: "a still picture"}
	}
	video, audio := h.pick("video"), h.pick("audio")
	if video == nil {
		return Film{}, &Refusal{Reason: noVideoTrack, Detail: h.Format.Name}
	}
	if video.Width > 0 && video.Height > mostPixels/video.Width || strings.Contains(h.complaints, tooManyPixels) {
		return Film{}, &Refusal{Reason: tooBig, Detail: fmt.Sprintf("%d×%d", video.Width, video.Height)}
	}
	if video.Codec == "" || video.Width <= 0 || video.Height <= 0 {
		return Film{}, &Refusal{Reason: damaged, Detail: "nothing is known of its pictures"}
	}
	f := Film{VideoCodec: video.Codec, video: video.Index, audio: -1}
	if audio != nil {
		f.Audio, f.AudioCodec, f.audio = true, audio.Codec, audio.Index
	}
	width, height := float64(video.Width), float64(video.Height)
	if ratio := fraction(video.Pixels); ratio > 0.1 && ratio < 10 {
		width *= ratio
	}
	for _, side := range video.SideData {
		if turn := math.Mod(math.Abs(side.Rotation), 180); turn > 45 && turn < 135 {
			width, height = height, width
		}
	}
	f.Width, f.Height = max(1, int(math.Round(width))), max(1, int(math.Round(height)))
	f.interlaced = slices.Contains([]string{"tt", "bb", "tb", "bt"}, video.Fields)
	for _, prefix := range []string{"rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8"} {
		f.rgb = f.rgb || strings.HasPrefix(video.Format, prefix)
	}
	if video.Transfer == "smpte2084" || video.Transfer == "arib-std-b67" {
		f.transfer = video.Transfer
	}
	f.cover = h.cover()
	return f, nil
}

// cover returns the first cover that is neither so small nor so narrow that a frame of the
// film shows more.
func (h header) cover() cover {
	const least, narrow = 180, 3
	for _, s := range h.Streams {
		short, long := min(s.Width, s.Height), max(s.Width, s.Height)
		if s.Type == "video" && s.Disposition["attached_pic"] > 0 && short >= least && long <= narrow*short && short <= mostPixels/long {
			return cover{s.Index, s.Width, s.Height}
		}
	}
	return cover{}
}

// pick returns the stream of a kind that players show: the one that is marked so, or else
// the first. Covers and previews are no films.
func (h header) pick(kind string) *stream {
	var picked *stream
	for i := range h.Streams {
		s := &h.Streams[i]
		if s.Type != kind || s.Disposition["attached_pic"]+s.Disposition["timed_thumbnails"]+s.Disposition["still_image"] > 0 || kind == "audio" && s.Codec == "" {
			continue
		}
		if picked == nil || s.Disposition["default"] > picked.Disposition["default"] {
			picked = s
		}
	}
	return picked
}

var integrated = regexp.MustCompile(`(?m)^\s+I:\s+(-?[0-9.]+) LUFS`)

// measure reads all packets of the film and hears the sound.
func (e *Encoder) measure(ctx context.Context, file string, h header, film *Film) error {
	args := []string{"-hide_banner", "-nostdin", "-nostats", "-v", chatty}
	args = append(args, input(*film)...)
	args = append(args, "-i", sourceURL, "-map", fmt.Sprintf("0:%d", film.video))
	if film.Audio {
		args = append(args, "-map", fmt.Sprintf("0:%d", film.audio))
	}
	args = append(args, "-c", "copy", "-copyinkf", "-f", "framecrc", "pipe:1")
	if film.Audio {
		args = append(args, "-map", fmt.Sprintf("0:%d", film.audio), "-af", listened+",ebur128=framelog=verbose", "-f", "null", "-")
	}
	var tracks [2]track
	complaints, err := e.run(ctx, job{program: "ffmpeg", args: args, source: file, wall: 5*time.Minute + e.config.Duration, line: func(line string) (bool, error) {
		for i := range tracks {
			if !tracks[i].read(line, i) {
				continue
			}
			if tracks[i].end > e.config.Duration+time.Minute {
				return false, &Refusal{Reason: filmTooLong, Detail: "it goes on after " + tracks[i].end.String()}
			}
		}
		return true, nil
	}})
	if err != nil {
		return err
	}
	video, audio := tracks[0], tracks[1]
	if video.packets == 0 {
		return &Refusal{Reason: damaged, Detail: "there are no pictures"}
	}
	stream := h.pick("video")
	film.FrameRate = frameRate(fraction(stream.Rate), fraction(stream.AverageRate), video)
	picture := time.Duration(float64(time.Second) / film.FrameRate)
	film.pictures = max(video.end, picture)
	film.Duration = max(film.pictures, audio.end).Round(time.Millisecond)

	if film.Duration > e.config.Duration {
		return &Refusal{Reason: filmTooLong, Detail: "it lasts " + film.Duration.String()}
	}

	// A file that was cut off has a header for more than there is, and ffmpeg does not mind.
	var said, found time.Duration
	switch name := h.Format.Name; {
	case strings.HasPrefix(name, "mov,"):
		said, found = seconds(stream.Duration), video.end-video.start
	case strings.HasPrefix(name, "matroska,"):
		said, found = h.duration(), film.Duration
	}
	if lacking(found, said) {
		return &Refusal{Reason: damaged, Detail: fmt.Sprintf("there are %s of %s", found, said)}
	}
	film.loudness = silence
	if all := integrated.FindAllStringSubmatch(complaints, -1); film.Audio && all != nil {
		film.loudness, _ = strconv.ParseFloat(all[len(all)-1][1], 64)
	}
	return nil
}

// lacking says whether so much of a film is missing that somebody would notice.
func lacking(found, said time.Duration) bool { return said-found > max(time.Second, said/20) }

// track adds up the packets of one stream.
type track struct {
	unit       float64 // seconds
	packets    int
	start, end time.Duration
}

// read takes a line of ffmpeg's framecrc: "#tb 0: 1/12800", or
// "0, decode at, show at, lasts, bytes, sum". It says whether it was a packet of the track.
func (t *track) read(line string, index int) bool {
	prefix := strconv.Itoa(index)
	if unit, ok := strings.CutPrefix(line, "#tb "+prefix+": "); ok {
		t.unit = fraction(unit)
		return false
	}
	fields := strings.SplitN(line, ",", 5)
	if len(fields) < 5 || fields[0] != prefix {
		return false
	}
	at, err := strconv.ParseInt(strings.TrimSpace(fields[2]), 10, 64)
	lasts, err2 := strconv.ParseInt(strings.TrimSpace(fields[3]), 10, 64)
	if err != nil || err2 != nil {
		return false
	}
	start, end := duration(float64(at)*t.unit), duration((float64(at)+float64(max(0, lasts)))*t.unit)
	if t.packets == 0 || start < t.start {
		t.start = start
	}
	t.end = max(t.end, end)
	t.packets++
	return true
}

// frameRate decides how many pictures per second the renditions have: those of the film,
// 24 at least, so that seeking is fine-grained and the first picture comes at once, and 60
// at most. A film whose rate varies gets the rate that it is made for, not its average.
func frameRate(nominal, average float64, t track) float64 {
	if shown := (t.end - t.start).Seconds(); t.packets > 1 && shown > 0 {
		average = float64(t.packets) / shown
	}
	rate := nominal
	if rate <= 0 || rate > 60.5 || rate < 0.9*average {
		rate = average
		for _, usual := range []float64{24, 25, 30, 50, 60} {
			if nominal > 60.5 && average <= usual*1.02 {
				rate = usual
				break
			}
		}
	}
	if rate > 60.5 {
		rate /= math.Ceil(rate / 60.5)
	}
	if rate > 0 && rate < 24 {
		rate *= math.Ceil(23.9 / rate) // each picture as often as the others
	}
	if rate < 23.9 || rate > 60.5 || math.IsNaN(rate) {
		rate = 25
	}
	// 29.97 and the like are 30000/1001.
	if whole := math.Round(rate * 1.001); math.Abs(rate*1.001-whole) < 0.005 {
		return whole / 1.001
	}
	return math.Round(rate*100) / 100
}

// rate writes a frame rate as ffmpeg wants it.
func rate(perSecond float64) string {
	if whole := math.Round(perSecond * 1.001); math.Abs(perSecond-whole/1.001) < 1e-6 {
		return fmt.Sprintf("%.0f/1001", whole*1000)
	}
	return fmt.Sprintf("%.0f/100", perSecond*100)
}

// fraction reads "30000/1001" and "4:3"; 0 where there is none.
func fraction(text string) float64 {
	over, under, ok := strings.Cut(strings.Replace(text, ":", "/", 1), "/")
	x, err := strconv.ParseFloat(over, 64)
	y, err2 := strconv.ParseFloat(under, 64)
	if !ok || err != nil || err2 != nil || x <= 0 || y <= 0 {
		return 0
	}
	return x / y
}

// seconds reads a number of seconds; 0 where there is none.
func seconds(text string) time.Duration {
	s, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return duration(s)
}

// duration is that of so many seconds, within what a duration can be.
func duration(seconds float64) time.Duration {
	if math.IsNaN(seconds) {
		return 0
	}
	const most = 1e9 // seconds: 30 years
	return time.Duration(max(-most, min(most, seconds)) * float64(time.Second))
}
