package ffmpeg

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"image/jpeg"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var found = sync.OnceValues(func() (*Encoder, error) { return Find(Config{}) })

// encoder returns one for all tests: it keeps no state.
func encoder(t testing.TB) *Encoder {
	t.Helper()
	e, err := found()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// handIn runs ffmpeg as anybody would, to make the file that a test hands in.
func handIn(t testing.TB, file string, args ...string) string {
	t.Helper()
	ffmpeg(t, append(append([]string{"-y"}, args...), file)...)
	return file
}

// ffmpeg runs it without a sandbox and returns what it prints.
func ffmpeg(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command("ffmpeg", append([]string{"-hide_banner", "-nostdin", "-nostats"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ffmpeg %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func words(text string) []string { return strings.Fields(text) }

// film is a file that people may hand in, and what is to be made of it.
type film struct {
	name string // with the extension that says which container it is
	args string // how ffmpeg makes it
	then string // and of that another, if anything: the arguments between
	want Film   // what must be found, where it is not zero
}

const (
	picture  = "-f lavfi -i testsrc2=s=320x180:r=25:d=0.6 "
	tone     = "-f lavfi -i sine=d=0.6 "
	h264fast = "-c:v libx264 -preset ultrafast "
)

var films = []film{
	{"landscape.mp4", "-f lavfi -i testsrc2=s=320x180:r=25:d=1 -f lavfi -i sine=d=1 " + h264fast + "-c:a aac", "", Film{Width: 320, Height: 180, FrameRate: 25, Duration: time.Second, Audio: true, VideoCodec: "h264", AudioCodec: "aac"}},
	{"portrait-surround.mp4", "-f lavfi -i testsrc2=s=180x320:r=25:d=0.6 -f lavfi -i sine=d=0.6,aformat=channel_layouts=5.1 " + h264fast + "-c:a aac", "", Film{Width: 180, Height: 320, Audio: true}},
	{"square-mono8k.mov", "-f lavfi -i testsrc2=s=200x200:r=25:d=0.6 -f lavfi -i sine=d=0.6:r=8000 " + h264fast + "-c:a pcm_mulaw", "", Film{Width: 200, Height: 200, AudioCodec: "pcm_mulaw"}},
	{"odd.mp4", "-f lavfi -i testsrc2=s=320x180:r=25:d=0.6,format=yuv444p,scale=321:181,setsar=1 " + tone + h264fast + "-c:a aac", "", Film{Width: 321, Height: 181}},
	{"tenbit-nosound.mp4", picture + h264fast + "-pix_fmt yuv420p10le", "", Film{Width: 320, Height: 180}},
	{"hevc.mp4", picture + tone + "-c:v libx265 -preset ultrafast -x265-params log-level=none -tag:v hvc1 -c:a aac", "", Film{VideoCodec: "hevc"}},
	{"hdr.mp4", picture + tone + "-c:v libx265 -preset ultrafast -x265-params log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc -pix_fmt yuv420p10le -c:a aac", "", Film{VideoCodec: "hevc", transfer: "smpte2084"}},
	{"vp9.webm", picture + tone + "-c:v libvpx-vp9 -deadline realtime -c:a libopus", "", Film{VideoCodec: "vp9", AudioCodec: "opus"}},
	{"varies.mp4", picture + tone + "-vf select='lt(n,6)+not(mod(n,3))' -vsync vfr " + h264fast + "-c:a aac", "", Film{FrameRate: 25}},
	{"rotated.mp4", picture + tone + h264fast + "-c:a aac", "-c copy -metadata:s:v:0 rotate=90", Film{Width: 180, Height: 320}},
	{"stretched-silence.mp4", picture + "-f lavfi -i anullsrc=d=0.6 -vf setsar=4/3 " + h264fast + "-c:a aac -t 0.6", "", Film{Width: 427, Height: 180, Audio: true}},
	{"picture.mp4", "-f lavfi -i testsrc2=s=320x180:r=25 -frames:v 1 " + h264fast, "", Film{Duration: 40 * time.Millisecond}},
	{"picture-and-sound.mp4", "-f lavfi -i testsrc2=s=320x180:r=25:d=0.04 " + tone + h264fast + "-c:a aac", "", Film{Duration: 600 * time.Millisecond}},
	{"sound-ends.mp4", "-f lavfi -i testsrc2=s=320x180:r=25:d=2 -f lavfi -i sine=d=0.5 " + h264fast + "-c:a aac", "", Film{Duration: 2 * time.Second}},
	{"late.ts", picture + tone + h264fast + "-c:a aac -output_ts_offset 10", "", Film{Audio: true}},
	{"early.mkv", picture + tone + h264fast + "-c:a aac -output_ts_offset -1", "", Film{Audio: true}},
	{"slow.mp4", "-f lavfi -i testsrc2=s=320x180:r=1:d=2 -f lavfi -i sine=d=2 " + h264fast + "-c:a aac", "", Film{FrameRate: 24, Duration: 2 * time.Second}},
	{"fast.mp4", "-f lavfi -i testsrc2=s=320x180:r=120:d=0.6 " + tone + h264fast + "-c:a aac", "", Film{FrameRate: 60}},
	{"recorded.webm", picture + tone + "-c:v libvpx -deadline realtime -c:a libopus -f webm -live 1", "", Film{VideoCodec: "vp8"}},
	{"cut.mp4", "-f lavfi -i testsrc2=s=320x180:r=25:d=2 -f lavfi -i sine=d=2 " + h264fast + "-g 25 -c:a aac", "-ss 0.6 -c copy", Film{Duration: 1400 * time.Millisecond}},
	{"interlaced.mpg", "-f lavfi -i testsrc2=s=320x240:r=25:d=0.6 " + tone + "-c:v mpeg2video -flags +ildct+ilme -c:a mp2", "", Film{VideoCodec: "mpeg2video", interlaced: true}},
	{"screen.mov", picture + tone + "-c:v png -c:a pcm_s16le", "", Film{VideoCodec: "png", rgb: true}},
	{"two.mp4", "-f lavfi -i testsrc2=s=160x90:r=25:d=0.6 " + picture + tone + "-map 0 -map 1 -map 2 -disposition:v:0 0 -disposition:v:1 default " + h264fast + "-c:a aac", "", Film{Width: 320}},
	{"thin.mp4", "-f lavfi -i testsrc2=s=1000x10:r=25:d=0.6 " + h264fast, "", Film{Width: 1000, Height: 10}},
	{"tiny.mp4", "-f lavfi -i testsrc2=s=2x2:r=25:d=0.6 " + h264fast + "-pix_fmt yuv420p", "", Film{Width: 2, Height: 2}},
	{"ladder.mp4", "-f lavfi -i testsrc2=s=640x360:r=30000/1001:d=9 -f lavfi -i sine=d=9 " + h264fast + "-c:a aac", "", Film{FrameRate: 30 / 1.001, Width: 640}},
}

// Every film that people may hand in becomes one that plays.
func TestFilms(t *testing.T) {
	t.Parallel()
	e := encoder(t)
	root := t.TempDir()
	var played []plays
	t.Run("are made", func(t *testing.T) {
		for i, f := range films {
			played = append(played, plays{Name: f.name})
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				source := handIn(t, filepath.Join(t.TempDir(), "1-"+f.name), words(f.args)...)
				if f.then != "" {
					source = handIn(t, filepath.Join(t.TempDir(), "2-"+f.name), append([]string{"-i", source}, words(f.then)...)...)
				}
				got, err := e.Probe(t.Context(), source)
				if err != nil {
					t.Fatal(err)
				}
				isLike(t, got, f.want)
				made := all(t, e, source, got, filepath.Join(root, f.name))
				largest := made[len(made)-1]
				played[i].Aspect = float64(largest.Width) / float64(largest.Height)
				played[i].Lasts = got.Duration.Seconds()
				if f.name == "ladder.mp4" {
					takeTurns(t, filepath.Join(root, f.name), made)
				}
			})
		}
	})
	made := slices.DeleteFunc(played, func(p plays) bool { return p.Lasts == 0 }) // those asked for
	if !t.Failed() {
		playInChromium(t, root, made)
	}
}

// isLike compares what a test says about a film.
func isLike(t *testing.T, got, want Film) {
	t.Helper()
	differs := func(what string, got, want any) { t.Errorf("%s is %v instead of %v", what, got, want) }
	if want.Width != 0 && got.Width != want.Width || want.Height != 0 && got.Height != want.Height {
		differs("the size", fmt.Sprint(got.Width, "×", got.Height), fmt.Sprint(want.Width, "×", want.Height))
	}
	if want.FrameRate != 0 && math.Abs(got.FrameRate-want.FrameRate) > 0.001 {
		differs("the frame rate", got.FrameRate, want.FrameRate)
	}
	if want.Duration != 0 && (got.Duration-want.Duration).Abs() > 50*time.Millisecond {
		differs("the duration", got.Duration, want.Duration)
	}
	if want.Audio && !got.Audio || want.VideoCodec != "" && got.VideoCodec != want.VideoCodec || want.AudioCodec != "" && got.AudioCodec != want.AudioCodec {
		differs("a codec", got.VideoCodec+" "+got.AudioCodec, want.VideoCodec+" "+want.AudioCodec)
	}
	if got.interlaced != want.interlaced || got.rgb != want.rgb || got.transfer != want.transfer {
		differs("what to do with the pictures", got, want)
	}
}

// boards are the sizes of which there was a storyboard: it is made of renditions, which are
// all alike but for those.
var boards sync.Map

// all makes all that can be made of a film, in two runs as the component does, checks it
// and returns the renditions.
func all(t *testing.T, e *Encoder, source string, f Film, dir string) []Rendition {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	first, rest := First(Ladder(f))
	var told []time.Duration
	made, err := e.HLS(t.Context(), source, f, []Rendition{first}, true, dir, func(done time.Duration) { told = append(told, done) })
	if err != nil {
		t.Fatal(err)
	}
	if len(rest) > 0 {
		more, err := e.HLS(t.Context(), source, f, rest, false, dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, more...)
	}
	for i := range told {
		if told[i] > f.Duration || i > 0 && told[i] < told[i-1] {
			t.Errorf("the progress was told as %v", told)
		}
	}
	if len(told) == 0 || told[len(told)-1] < f.Duration-100*time.Millisecond {
		t.Errorf("the progress ended at %v of %s", told, f.Duration)
	}
	for _, r := range made {
		isSound(t, dir, r, f)
	}
	master := Master(made, f)
	if err := os.WriteFile(filepath.Join(dir, "master.m3u8"), master, 0o644); err != nil {
		t.Fatal(err)
	}
	isMasterOf(t, string(master), dir, made, f)

	if err := e.Poster(t.Context(), source, f, filepath.Join(dir, "poster.jpg")); err != nil {
		t.Error(err)
	}
	apart := t.TempDir()
	if _, seen := boards.LoadOrStore(fmt.Sprint(made[0].Width, made[0].Height), true); !seen {
		if cues, err := e.Storyboard(t.Context(), made[0], dir, filepath.Join(apart, "storyboard.jpg")); err != nil || !strings.Contains(string(cues), "storyboard.jpg#xywh=0,0,") {
			t.Errorf("%q, %v", cues, err)
		}
	}
	if err := e.Progressive(t.Context(), f, made[0], dir, filepath.Join(apart, "video.mp4")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(apart, "video.mp4"), filepath.Join(dir, "video.mp4")); err != nil {
		t.Fatal(err)
	}
	as, err := PlayableAsItIs(filepath.Join(dir, "video.mp4"))
	if err != nil || as.Width != made[0].Width || as.Height != made[0].Height || (as.Duration-f.Duration).Abs() > 100*time.Millisecond {
		t.Errorf("video.mp4 is %+v (%v)", as, err)
	}
	return made
}

// isSound checks the files of a rendition.
func isSound(t *testing.T, dir string, r Rendition, f Film) {
	t.Helper()
	segments, err := readPlaylist(dir, r.Name)
	if err != nil {
		t.Fatal(err)
	}
	if found := total(segments); (found - f.Duration).Abs() > 60*time.Millisecond {
		t.Errorf("%s lasts %s instead of %s", r.Name, found, f.Duration)
	}
	for i, s := range segments[:len(segments)-1] {
		if (s.lasts - segment*time.Second).Abs() > 60*time.Millisecond {
			t.Errorf("segment %d of %s lasts %s", i, r.Name, s.lasts)
		}
	}
	if at := begins(t, dir, r.Name); at != 1 {
		t.Errorf("the pictures of %s begin at %v", r.Name, at)
	}
	if f.Audio {
		if at := begins(t, dir, audioName); math.Abs(at+1024.0/48000-1) > 0.0001 {
			t.Errorf("the sound begins at %v", at)
		}
		sound, err := readPlaylist(dir, audioName)
		if err != nil {
			t.Fatal(err)
		}
		if found := total(sound); (found - f.Duration).Abs() > 100*time.Millisecond {
			t.Errorf("the sound lasts %s instead of %s", found, f.Duration)
		}
		if peak, _ := measured(sound); peak > audioBits {
			t.Errorf("the sound takes %d bits per second", peak)
		}
	}
	var bytes int64
	for _, s := range segments {
		bytes += s.bytes
	}
	if r.Bytes != bytes || r.BitsPerSecond <= 0 {
		t.Errorf("%s is said to have %d bytes, %d bits per second", r.Name, r.Bytes, r.BitsPerSecond)
	}
	playlist, err := os.ReadFile(filepath.Join(dir, r.Name+".m3u8"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"#EXT-X-PLAYLIST-TYPE:VOD\n", "#EXT-X-ENDLIST\n", fmt.Sprintf("#EXT-X-MAP:URI=%q\n", r.Name+"_init.mp4")} {
		if !strings.Contains(string(playlist), line) {
			t.Errorf("%s.m3u8 has no %q:\n%s", r.Name, line, playlist)
		}
	}
	if strings.Contains(string(playlist), "TARGETDURATION:0") {
		t.Errorf("%s.m3u8 says that segments last no time", r.Name)
	}
}

// begins returns the time in seconds at which the first picture or sound of a track is
// shown, by the letter of its files.
func begins(t *testing.T, dir, name string) float64 {
	t.Helper()
	start, err := os.ReadFile(filepath.Join(dir, name+"_init.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	trak := child(child(start, "moov"), "trak")
	if child(trak, "edts") != nil {
		t.Errorf("%s has an edit list", name)
	}
	mdhd := child(child(trak, "mdia"), "mdhd")
	first, err := os.ReadFile(filepath.Join(dir, name+"_00000.m4s"))
	if err != nil {
		t.Fatal(err)
	}
	traf := child(child(first, "moof"), "traf")
	tfdt, trun := child(traf, "tfdt"), child(traf, "trun")
	at := float64(binary.BigEndian.Uint64(tfdt[4:]))
	if flags := binary.BigEndian.Uint32(trun) & 0xffffff; flags&0x800 != 0 { // it says when each is shown
		offset := 8
		for _, flag := range []uint32{0x1, 0x4, 0x100, 0x200, 0x400} {
			if flags&flag != 0 {
				offset += 4
			}
		}
		at += float64(int32(binary.BigEndian.Uint32(trun[offset:])))
	}
	return at / float64(binary.BigEndian.Uint32(mdhd[12:]))
}

// isMasterOf checks that a master playlist says what its renditions are.
func isMasterOf(t *testing.T, master, dir string, made []Rendition, f Film) {
	t.Helper()
	if f.Audio != strings.Contains(master, `TYPE=AUDIO,GROUP-ID="audio"`) {
		t.Errorf("the sound is not told as it is:\n%s", master)
	}
	for _, r := range made {
		start, err := os.ReadFile(filepath.Join(dir, r.Name+"_init.mp4"))
		if err != nil {
			t.Fatal(err)
		}
		stsd := child(child(child(child(child(child(start, "moov"), "trak"), "mdia"), "minf"), "stbl"), "stsd")
		_, entry := firstBox(stsd[8:])
		codec := "avc1." + hex.EncodeToString(child(entry[78:], "avcC")[1:4])
		width, height := binary.BigEndian.Uint16(entry[24:]), binary.BigEndian.Uint16(entry[26:])
		line := regexp.MustCompile(`#EXT-X-STREAM-INF:BANDWIDTH=(\d+),RESOLUTION=` + fmt.Sprintf("%dx%d", width, height) + `,FRAME-RATE=[0-9.]+,CODECS="` + codec + `[^\n]*\n` + r.Name + `\.m3u8\n`).FindStringSubmatch(master)
		if line == nil {
			t.Errorf("%s is %s of %d×%d, which is not told:\n%s", r.Name, codec, width, height, master)
			continue
		}
		if bits, _ := strconv.ParseInt(line[1], 10, 64); bits < r.BitsPerSecond || int(width) != r.Width || int(height) != r.Height || r.Width%2+r.Height%2 != 0 {
			t.Errorf("%s is told as %s", r.Name, line[0])
		}
	}
}

// takeTurns demands that renditions that were made in different runs can take turns at
// every segment.
func takeTurns(t *testing.T, dir string, made []Rendition) {
	t.Helper()
	if len(made) != 2 || made[0].Name != "360p" || made[1].Name != "240p" {
		t.Fatalf("made are %+v", made)
	}
	var before []part
	for _, r := range made {
		segments, err := readPlaylist(dir, r.Name)
		if err != nil {
			t.Fatal(err)
		}
		if len(segments) != 3 {
			t.Errorf("%s has %d segments", r.Name, len(segments))
		}
		for i, s := range segments {
			if before != nil && before[i].lasts != s.lasts {
				t.Errorf("segment %d lasts %s and %s", i, s.lasts, before[i].lasts)
			}
			content, err := os.ReadFile(filepath.Join(dir, s.name))
			if err != nil {
				t.Fatal(err)
			}
			trun := child(child(child(content, "moof"), "traf"), "trun")
			const first, notSync = 0x4, 0x10000
			if flags := binary.BigEndian.Uint32(trun) & 0xffffff; flags&first == 0 || binary.BigEndian.Uint32(trun[12:])&notSync != 0 {
				t.Errorf("%s does not begin with a key frame", s.name)
			}
		}
		before = segments
	}
}

// What is seen and heard at the same time in the source is so in what is made of it.
func TestPicturesAndSoundStayTogether(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]string{"from the beginning": "0", "pictures late": "0.4"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := encoder(t)
			// Black and silent for a second, then white and loud.
			source := handIn(t, filepath.Join(t.TempDir(), "film.mkv"), "-itsoffset", late,
				"-f", "lavfi", "-i", "color=black:s=320x180:r=25:d=1[a];color=white:s=320x180:r=25:d=1[b];[a][b]concat",
				"-f", "lavfi", "-i", "aevalsrc='if(gte(t,1+"+late+"),0.3*sin(2764*t),0)':d=2.4:s=48000", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac")
			f, err := e.Probe(t.Context(), source)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			all(t, e, source, f, dir)
			said := ffmpeg(t, "-i", filepath.Join(dir, "video.mp4"), "-vf", "blackdetect=d=0.1", "-af", "silencedetect=n=-40dB:d=0.1", "-f", "null", "-")
			at := func(pattern string) float64 {
				found := regexp.MustCompile(pattern).FindStringSubmatch(said)
				if found == nil {
					t.Fatalf("there is no %s in\n%s", pattern, said)
				}
				seconds, _ := strconv.ParseFloat(found[1], 64)
				return seconds
			}
			offset, _ := strconv.ParseFloat(late, 64)
			if seen, heard := at(`black_end:([0-9.]+)`), at(`silence_end: ([0-9.]+)`); math.Abs(seen-heard) > 0.04 || math.Abs(seen-1-offset) > 0.06 {
				t.Errorf("seen at %v, heard at %v", seen, heard)
			}
		})
	}
}

func TestAllFilmsAreAsLoud(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		source string
		want   float64
	}{
		"quiet":   {"sine=d=2,volume=-12dB", -16},
		"loud":    {"sine=d=2,volume=15dB", -16},
		"faint":   {"sine=d=2,volume=-25dB", -26.8}, // no more than 20 dB are added
		"silence": {"anullsrc=d=2", -70},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := encoder(t)
			source := handIn(t, filepath.Join(t.TempDir(), "film.mp4"), words("-f lavfi -i color=s=64x64:r=25:d=2 -f lavfi -i "+c.source+" "+h264fast+"-c:a aac -t 2")...)
			f, err := e.Probe(t.Context(), source)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if _, err := e.HLS(t.Context(), source, f, Ladder(f), true, dir, nil); err != nil {
				t.Fatal(err)
			}
			said := integrated.FindAllStringSubmatch(ffmpeg(t, "-i", filepath.Join(dir, "audio.m3u8"), "-af", "ebur128=framelog=verbose", "-f", "null", "-"), -1)
			if got, _ := strconv.ParseFloat(said[len(said)-1][1], 64); math.Abs(got-c.want) > 0.7 {
				t.Errorf("it is at %v LUFS instead of %v", got, c.want)
			}
		})
	}
}

// The poster shows something, even where the film begins with nothing and is black at
// times.
func TestPosterIsNotBlack(t *testing.T) {
	t.Parallel()
	e := encoder(t)
	source := handIn(t, filepath.Join(t.TempDir(), "film.mp4"), "-f", "lavfi", "-i", "color=black:s=1920x1080:r=5:d=3[a];testsrc2=s=1920x1080:r=5:d=2[b];[a][b]concat", "-c:v", "libx264", "-preset", "ultrafast", "-g", "5")
	f, err := e.Probe(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	poster := filepath.Join(t.TempDir(), "poster.jpg")
	if err := e.Poster(t.Context(), source, f, poster); err != nil {
		t.Fatal(err)
	}
	if telling, err := contrast(poster); err != nil || telling < enough {
		t.Errorf("the contrast of the poster is %v (%v)", telling, err)
	}
	if err := hasSize(poster, 1280, 720); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(poster), "*")); len(left) != 1 {
		t.Errorf("there are %v", left)
	}
}

// A cover is the poster, if it shows something, and is never taken for the film.
func TestPosterIsTheCover(t *testing.T) {
	t.Parallel()
	e := encoder(t)
	pictures := handIn(t, filepath.Join(t.TempDir(), "pictures.mp4"), words("-f lavfi -i color=blue:s=320x180:r=25:d=0.4 "+h264fast)...)
	for name, c := range map[string]struct {
		file, cover   string
		width, height int
	}{
		"an MP4":   {"film.mp4", "testsrc2=s=600x400", 600, 400},
		"Matroska": {"film.mkv", "testsrc2=s=1600x900", 1280, 720},
		"empty":    {"film.mp4", "color=red:s=600x400", 320, 180},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cover := handIn(t, filepath.Join(t.TempDir(), "cover.jpg"), "-f", "lavfi", "-i", c.cover, "-frames:v", "1")
			args := []string{"-i", pictures, "-i", cover, "-map", "0", "-map", "1", "-c", "copy", "-disposition:v:1", "attached_pic"}
			if c.file == "film.mkv" {
				args = []string{"-i", pictures, "-c", "copy", "-attach", cover, "-metadata:s:t", "mimetype=image/jpeg"}
			}
			source := handIn(t, filepath.Join(t.TempDir(), c.file), args...)
			f, err := e.Probe(t.Context(), source)
			if err != nil || f.Width != 320 || f.VideoCodec != "h264" {
				t.Fatalf("%+v, %v", f, err)
			}
			poster := filepath.Join(t.TempDir(), "poster.jpg")
			if err := e.Poster(t.Context(), source, f, poster); err != nil {
				t.Fatal(err)
			}
			if err := hasSize(poster, c.width, c.height); err != nil {
				t.Error(err)
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(poster), "*")); len(left) != 1 {
				t.Errorf("there are %v", left)
			}
		})
	}

	for size, want := range map[[2]int]int{{320, 180}: 1, {320, 179}: 0, {540, 180}: 1, {541, 180}: 0, {7000, 7000}: 0, {0, 0}: 0} {
		attached := stream{Index: 1, Type: "video", Width: size[0], Height: size[1], Disposition: map[string]int{"attached_pic": 1}}
		if got := (header{Streams: []stream{{Type: "video", Width: 320, Height: 180}, attached}}).cover(); got.stream != want {
			t.Errorf("of %v the cover is %+v", size, got)
		}
	}

	// One that cannot be read costs the film nothing.
	f, err := e.Probe(t.Context(), pictures)
	if err != nil {
		t.Fatal(err)
	}
	f.cover = cover{stream: 7, width: 600, height: 400}
	poster := filepath.Join(t.TempDir(), "poster.jpg")
	if err := errors.Join(e.Poster(t.Context(), pictures, f, poster), hasSize(poster, 320, 180)); err != nil {
		t.Error(err)
	}
}

// The storyboard of a long film has no more than 100 pictures, and those of the right times.
func TestStoryboard(t *testing.T) {
	t.Parallel()
	e := encoder(t)
	// Each picture is as bright as it is late: 404 s are 101 segments, so that every second
	// one is shown.
	source := handIn(t, filepath.Join(t.TempDir(), "film.mp4"), "-f", "lavfi", "-i", "nullsrc=s=64x48:r=2:d=404,geq=lum=16+T*200/404:cb=128:cr=128", "-c:v", "libx264", "-preset", "ultrafast")
	f, err := e.Probe(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	made, err := e.HLS(t.Context(), source, f, Ladder(f), true, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "board.jpg")
	text, err := e.Storyboard(t.Context(), made[0], dir, to)
	if err != nil {
		t.Fatal(err)
	}
	cues := regexp.MustCompile(`(?m)^(\S+) --> (\S+)\nboard.jpg#xywh=(\d+),(\d+),160,120$`).FindAllStringSubmatch(string(text), -1)
	if len(cues) != 51 || cues[0][1] != "00:00:00.000" || cues[1][1] != "00:00:08.000" || cues[50][2] != "00:06:44.000" {
		t.Fatalf("there are %d cues:\n%s", len(cues), text)
	}
	file, err := os.Open(to)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	board, err := jpeg.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, cue := range cues {
		x, _ := strconv.Atoi(cue[3])
		y, _ := strconv.Atoi(cue[4])
		want := float64(i) * 8 * 200 / 404 * 255 / 219 // limited range shown in full
		if got := brightness(board, x+80, y+60); math.Abs(got-want) > 8 {
			t.Errorf("picture %d has the brightness %v instead of %v", i, got, want)
		}
	}
}

// A context that ends, ends the work at once.
func TestHLSEndsWithItsContext(t *testing.T) {
	t.Parallel()
	e := encoder(t)
	second := handIn(t, filepath.Join(t.TempDir(), "second.mp4"), words("-f lavfi -i testsrc2=s=1280x720:r=25:d=1 "+h264fast)...)
	source := handIn(t, filepath.Join(t.TempDir(), "film.mp4"), words("-stream_loop 59 -i "+second+" -c copy")...)
	f, err := e.Probe(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var at time.Time
	_, err = e.HLS(ctx, source, f, Ladder(f), true, t.TempDir(), func(time.Duration) {
		if at.IsZero() {
			at = time.Now()
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	var refusal *Refusal
	if errors.As(err, &refusal) {
		t.Errorf("the file was blamed: %v", err)
	}
	if took := time.Since(at); at.IsZero() || took > 3*time.Second {
		t.Errorf("it took %s to end", took)
	}
}
