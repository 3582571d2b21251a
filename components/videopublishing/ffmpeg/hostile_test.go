package ffmpeg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// refusedAs fails unless a file is refused for a reason.
func refusedAs(t *testing.T, err error, reason string) {
	t.Helper()
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Reason != reason {
		t.Errorf("it ended with %v instead of %s", err, reason)
	}
	if err != nil && strings.Contains(err.Error(), "nobody may read this") {
		t.Errorf("a secret is told: %v", err)
	}
}

func write(t *testing.T, file string, content []byte) string {
	t.Helper()
	if err := os.WriteFile(file, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// part of a file that is cut off.
func cutOff(t *testing.T, file string, keep float64) string {
	t.Helper()
	content := read(t, file)
	return write(t, filepath.Join(t.TempDir(), "cut-"+filepath.Base(file)), content[:int(keep*float64(len(content)))])
}

func TestWhatIsNoFilmIsRefused(t *testing.T) {
	t.Parallel()
	pictures := "-f lavfi -i testsrc2=s=320x180:r=25 -frames:v 1"
	three := "-f lavfi -i testsrc2=s=320x180:r=25:d=3 -f lavfi -i sine=d=3 " + h264fast + "-c:a aac "
	asMP4 := func(t *testing.T, content []byte) string {
		return write(t, filepath.Join(t.TempDir(), "film.mp4"), content)
	}
	made := func(name, args string) func(t *testing.T) string {
		return func(t *testing.T) string { return handIn(t, filepath.Join(t.TempDir(), name), words(args)...) }
	}
	text := func(text string) func(t *testing.T) string {
		return func(t *testing.T) string { return asMP4(t, []byte(text)) }
	}
	for name, c := range map[string]struct {
		file func(t *testing.T) string
		want string
	}{
		"nothing":   {text(""), notAVideo},
		"text":      {text("This is a letter, not a film.\n"), notAVideo},
		"subtitles": {text("1\n00:00:00,000 --> 00:00:01,000\nhello\n"), notAVideo},
		"noise":     {func(t *testing.T) string { return asMP4(t, noise(1, 100_000)) }, notAVideo},
		"JPEG":      {made("still.jpg", pictures), notAVideo},
		"PNG":       {made("still.png", pictures), notAVideo},
		"WebP":      {made("still.webp", pictures), notAVideo},
		"GIF":       {made("moving.gif", "-f lavfi -i testsrc2=s=320x180:r=5:d=1"), notAVideo},
		"AVIF":      {made("still.avif", pictures+" -c:v libaom-av1 -cpu-used 8"), notAVideo},
		"sound":     {made("sound.m4a", "-f lavfi -i sine=d=1 -c:a aac"), noVideoTrack},
		"MP3":       {made("sound.mp3", "-f lavfi -i sine=d=1"), noVideoTrack},
		"a cover": {func(t *testing.T) string {
			cover := made("cover.jpg", pictures)(t)
			return handIn(t, filepath.Join(t.TempDir(), "sound.m4a"), words("-f lavfi -i sine=d=1 -i "+cover+" -map 0 -map 1 -c:a aac -c:v mjpeg -disposition:v attached_pic")...)
		}, noVideoTrack},
		"MP4 cut off, its header was at the end":       {func(t *testing.T) string { return cutOff(t, made("film.mp4", three)(t), 0.5) }, damaged},
		"MP4 cut off, its header was at the beginning": {func(t *testing.T) string { return cutOff(t, made("film.mp4", three+"-movflags +faststart")(t), 0.5) }, damaged},
		"WebM cut off": {func(t *testing.T) string {
			return cutOff(t, made("film.webm", "-f lavfi -i testsrc2=s=160x90:r=25:d=3 -c:v libvpx -deadline realtime")(t), 0.5)
		}, damaged},
		"nothing but a head":                              {text("\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2"), damaged},
		"an MP4 of ten hours in two pictures":             {made("film.mp4", "-f lavfi -i testsrc2=s=320x180:r=25:d=0.08 -vf setpts=N*36000/TB -vsync passthrough "+h264fast), filmTooLong},
		"a header of ten hours":                           {func(t *testing.T) string { return lasting(t, made("film.mkv", three)(t), 10*time.Hour) }, filmTooLong},
		"a huge picture":                                  {made("film.mp4", "-f lavfi -i color=s=6100x6100:r=25 -frames:v 1 "+h264fast), tooBig},
		"a picture that was small before it was unpacked": {made("film.mov", "-f lavfi -i color=s=6100x6100:r=25 -frames:v 1 -pix_fmt gray -c:v png"), tooBig},
		"a playlist of another file": {func(t *testing.T) string {
			return asMP4(t, []byte("#EXTM3U\n#EXTINF:1,\nfile:"+secret(t)+"\n#EXT-X-ENDLIST\n"))
		}, notAVideo},
		"a playlist of another film": {func(t *testing.T) string {
			return asMP4(t, []byte("#EXTM3U\n#EXTINF:1,\n"+made("film.ts", picture+h264fast)(t)+"\n#EXT-X-ENDLIST\n"))
		}, notAVideo},
		"a playlist of a server": {func(t *testing.T) string {
			return asMP4(t, []byte("#EXTM3U\n#EXTINF:1,\nhttp://"+listener(t)+"/film.ts\n#EXT-X-ENDLIST\n"))
		}, notAVideo},
		"a master playlist": {func(t *testing.T) string {
			return asMP4(t, []byte("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://"+listener(t)+"/film.m3u8\n"))
		}, notAVideo},
		"a script of another film": {func(t *testing.T) string {
			return asMP4(t, []byte("ffconcat version 1.0\nfile '"+made("film.mp4", picture+h264fast)(t)+"'\n"))
		}, notAVideo},
		"a script of a server": {func(t *testing.T) string {
			return asMP4(t, []byte("ffconcat version 1.0\nfile 'http://"+listener(t)+"/film.mp4'\n"))
		}, notAVideo},
		"a manifest of a server": {func(t *testing.T) string {
			return asMP4(t, []byte(`<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>http://`+listener(t)+`/film.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>`))
		}, notAVideo},
		"a session of a server": {func(t *testing.T) string {
			return asMP4(t, []byte("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"))
		}, notAVideo},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := encoder(t)
			file := c.file(t)
			f, err := e.Probe(t.Context(), file)
			refusedAs(t, err, c.want)
			if err == nil {
				t.Logf("%+v", f)
			}
		})
	}
}

// noise is the same every time.
func noise(seed uint64, n int) []byte {
	random := rand.New(rand.NewPCG(seed, seed))
	content := make([]byte, n)
	for i := range content {
		content[i] = byte(random.Uint32())
	}
	return content
}

// lasting writes another duration into the header of a Matroska file.
func lasting(t *testing.T, file string, d time.Duration) string {
	t.Helper()
	content := read(t, file)
	at := bytes.Index(content, []byte("\x44\x89\x88"))
	if at < 0 {
		t.Fatal("there is no duration")
	}
	binary.BigEndian.PutUint64(content[at+3:], math.Float64bits(float64(d.Milliseconds())))
	return write(t, file, content)
}

// A header may claim little: what counts is what is there.
func TestHeaderThatClaimsLittle(t *testing.T) {
	t.Parallel()
	e := *encoder(t)
	source := lasting(t, handIn(t, filepath.Join(t.TempDir(), "film.mkv"), words("-f lavfi -i testsrc2=s=320x180:r=25:d=6 "+h264fast)...), time.Second)
	f, err := e.Probe(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	if f.Duration != 6*time.Second {
		t.Errorf("it lasts %s", f.Duration)
	}
	e.config.Duration = 3 * time.Second
	source = handIn(t, filepath.Join(t.TempDir(), "film.mkv"), words("-f lavfi -i testsrc2=s=64x64:r=25:d=70 "+h264fast)...)
	_, err = e.Probe(t.Context(), lasting(t, source, time.Second))
	refusedAs(t, err, filmTooLong)

	// And if it was not so when it was looked at, no more is made than was agreed.
	e.config.Duration = time.Hour
	f.Duration = time.Second
	dir := t.TempDir()
	made, err := e.HLS(t.Context(), source, f, Ladder(f), false, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if segments, _ := readPlaylist(dir, made[0].Name); total(segments) != time.Second {
		t.Errorf("%s were made", total(segments))
	}
}

// Whatever is done to a film: it is published or refused, in bounded time.
func TestDamagedFilmsEndSomehow(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]string{
		"mp4":  picture + tone + h264fast + "-bf 2 -c:a aac -movflags +faststart",
		"webm": picture + tone + "-c:v libvpx -deadline realtime -c:a libopus",
		"ts":   picture + tone + h264fast + "-c:a aac",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := encoder(t)
			whole := read(t, handIn(t, filepath.Join(t.TempDir(), "film."+name), words(args)...))
			published := 0
			for seed := range uint64(4) {
				random := rand.New(rand.NewPCG(seed, 4))
				content := bytes.Clone(whole)
				for range 2 << (3 * seed) { // 2, 16, 128 … bytes
					content[random.IntN(len(content))] ^= byte(1 + random.IntN(255))
				}
				file := write(t, filepath.Join(t.TempDir(), "film."+name), content)
				f, err := e.Probe(t.Context(), file)
				if err == nil {
					_, err = e.HLS(t.Context(), file, f, Ladder(f), true, t.TempDir(), nil)
				}
				var refusal *Refusal
				switch {
				case err == nil:
					published++
				case !errors.As(err, &refusal):
					t.Errorf("with seed %d it ended with %v", seed, err)
				}
			}
			t.Logf("%d of 4 were published", published)
		})
	}
}

// A header with streams without number is not read for ever.
func TestManyStreams(t *testing.T) {
	t.Parallel()
	var maps []string
	for range 60 {
		maps = append(maps, "-map", "0")
	}
	source := handIn(t, filepath.Join(t.TempDir(), "film.mkv"), append(append(words("-f lavfi -i testsrc2=s=64x64:r=25:d=0.2"), maps...), words(h264fast)...)...)
	f, err := encoder(t).Probe(t.Context(), source)
	if err != nil || f.Width != 64 {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestFindSaysWhatIsMissing(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("PATH", folder)
	if _, err := Find(Config{}); err == nil || err.Error() != "ffmpeg is not on the PATH (Debian: apt-get install ffmpeg)" {
		t.Errorf("without ffmpeg: %v", err)
	}
	for _, name := range []string{"ffmpeg", "ffprobe"} {
		if err := os.Symlink("/usr/bin/true", filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Find(Config{}); err == nil || !strings.Contains(err.Error(), "lacks -hls_segment_options, libx264, aac, mjpeg, fps") {
		t.Errorf("with another program: %v", err)
	}
}

// Only where ffmpeg says that it has all is it not asked for each part.
func TestCompleteBuilds(t *testing.T) {
	t.Parallel()
	const built = "ffmpeg version 5.1.9 Copyright (c) the FFmpeg developers\nconfiguration: %s\nlibavutil      57. 28.100 / 57. 28.100\nlibavformat    %s.100 / 59. 27.100\n"
	for _, c := range []struct {
		configuration, formats string
		want                   bool
	}{
		{"--enable-gpl --disable-stripping --enable-libx264", "59. 27", true},
		{"--enable-libx264", "58. 76", true},
		{"--enable-libx264", "58. 45", false},
		{"--enable-libx264", "62.  3", true},
		{"--enable-gpl", "59. 27", false},
		{"--enable-libx264 --disable-filters --enable-filter=scale", "59. 27", false},
		{"--disable-everything --enable-libx264", "59. 27", false},
		{"--enable-libx264 --disable-encoder=aac", "59. 27", false},
	} {
		if got := complete(fmt.Sprintf(built, c.configuration, c.formats)); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if complete("") {
		t.Error("what says nothing is complete")
	}
	e := encoder(t)
	version, err := e.list(t.Context(), "-version")
	if err != nil {
		t.Fatal(err)
	}
	if filters, err := e.list(t.Context(), "-filters"); err != nil || complete(version) && e.tonemaps != strings.Contains(filters, " zscale ") {
		t.Errorf("tonemaps: %v, %v", e.tonemaps, err)
	}
}

func TestStringSaysWhatTheSandboxIs(t *testing.T) {
	t.Parallel()
	if text := fmt.Sprint(encoder(t)); !strings.HasPrefix(text, "ffmpeg ") || !strings.Contains(text, "namespaces") {
		t.Errorf("it says %q", text)
	}
}

// A look at a file that takes for ever is short.
func TestALookIsShort(t *testing.T) {
	t.Parallel()
	e := running(t, "ffprobe")
	e.second = 10 * time.Millisecond
	e.programs["ffprobe"] = filepath.Join(t.TempDir(), "ffprobe")
	if err := os.WriteFile(e.programs["ffprobe"], []byte("#!/bin/sh\nexec sleep 1000\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	err := e.Look(t.Context(), secret(t))
	refusedAs(t, err, tookTooLong)
	if err != nil && !strings.Contains(err.Error(), "longer than 10s") {
		t.Error(err)
	}
}
