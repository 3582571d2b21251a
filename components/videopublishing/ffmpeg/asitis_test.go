package ffmpeg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestPlayableAsItIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args string
		want AsItIs
		no   string
	}{
		"film.mp4":    {picture + tone + h264fast + "-c:a aac", AsItIs{"video/mp4", 600 * time.Millisecond, 320, 180}, ""},
		"silent.mp4":  {picture + h264fast + "-movflags +faststart", AsItIs{"video/mp4", 600 * time.Millisecond, 320, 180}, ""},
		"pieces.mp4":  {picture + tone + h264fast + "-c:a aac -movflags frag_keyframe+empty_moov", AsItIs{"video/mp4", 0, 320, 180}, ""},
		"film.webm":   {picture + tone + "-c:v libvpx-vp9 -deadline realtime -c:a libopus", AsItIs{"video/webm", 608 * time.Millisecond, 320, 180}, ""},
		"av1.webm":    {picture + "-c:v libaom-av1 -cpu-used 8 -usage realtime", AsItIs{"video/webm", 600 * time.Millisecond, 320, 180}, ""},
		"vorbis.webm": {picture + tone + "-c:v libvpx -deadline realtime -c:a libvorbis", AsItIs{"video/webm", 600 * time.Millisecond, 320, 180}, ""},
		"live.webm":   {picture + tone + "-c:v libvpx -deadline realtime -c:a libopus -live 1", AsItIs{"video/webm", 0, 320, 180}, ""},
		"tenbit.mp4":  {picture + h264fast + "-pix_fmt yuv420p10le", AsItIs{}, needsFFmpeg},
		"full.mp4":    {picture + h264fast + "-pix_fmt yuv444p", AsItIs{}, needsFFmpeg},
		"hevc.mp4":    {picture + "-c:v libx265 -preset ultrafast -x265-params log-level=none", AsItIs{}, needsFFmpeg},
		"mp3.mp4":     {picture + tone + h264fast + "-c:a libmp3lame", AsItIs{}, needsFFmpeg},
		"film.mov":    {picture + h264fast, AsItIs{}, needsFFmpeg},
		"film.mkv":    {picture + h264fast, AsItIs{}, needsFFmpeg},
		"film.avi":    {picture + "-c:v mpeg4", AsItIs{}, needsFFmpeg},
		"film.ts":     {picture + h264fast, AsItIs{}, needsFFmpeg},
		"sound.m4a":   {tone + "-c:a aac", AsItIs{}, noVideoTrack},
		"sound.webm":  {tone + "-c:a libopus", AsItIs{}, noVideoTrack},
		"sound.mp3":   {tone, AsItIs{}, noVideoTrack},
		"still.jpg":   {picture + "-frames:v 1", AsItIs{}, notAVideo},
		"moving.gif":  {picture, AsItIs{}, notAVideo},
		"still.avif":  {picture + "-frames:v 1 -c:v libaom-av1 -cpu-used 8", AsItIs{}, notAVideo},
		"huge.mp4":    {"-f lavfi -i color=s=6100x6100:r=25 -frames:v 1 " + h264fast, AsItIs{}, tooBig},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := handIn(t, filepath.Join(t.TempDir(), name), words(c.args)...)
			got, err := PlayableAsItIs(file)
			if c.no != "" {
				refusedAs(t, err, c.no)
				return
			}
			if d := (got.Duration - c.want.Duration).Abs(); err != nil || d > 20*time.Millisecond {
				t.Errorf("it is %+v (%v)", got, err)
			}
			got.Duration = c.want.Duration
			if got != c.want {
				t.Errorf("it is %+v instead of %+v", got, c.want)
			}
			if c.want.Duration == 0 {
				return
			}
			_, err = PlayableAsItIs(cutOff(t, file, 0.7))
			refusedAs(t, err, damaged)
		})
	}
	t.Run("rotated", func(t *testing.T) {
		t.Parallel()
		file := handIn(t, filepath.Join(t.TempDir(), "film.mp4"), words(picture+h264fast)...)
		file = handIn(t, filepath.Join(t.TempDir(), "turned.mp4"), words("-i "+file+" -c copy -metadata:s:v:0 rotate=90")...)
		if got, err := PlayableAsItIs(file); err != nil || got.Width != 180 || got.Height != 320 {
			t.Errorf("it is %+v (%v)", got, err)
		}
	})
	for name, text := range map[string]string{"nothing": "", "text": "This is a letter.\n", "a playlist": "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/film.ts\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := PlayableAsItIs(write(t, filepath.Join(t.TempDir(), "film.mp4"), []byte(text)))
			refusedAs(t, err, notAVideo)
		})
	}
	t.Run("what is not there", func(t *testing.T) {
		t.Parallel()
		var refusal *Refusal
		if _, err := PlayableAsItIs(filepath.Join(t.TempDir(), "film.mp4")); err == nil || errors.As(err, &refusal) {
			t.Errorf("it ended with %v", err)
		}
	})
}

// Files that were made to do harm take no time, no memory, and never a panic.
func TestPlayableAsItIsOfHostileFiles(t *testing.T) {
	t.Parallel()
	box := func(name string, content ...byte) []byte {
		return append(append(binary.BigEndian.AppendUint32(nil, uint32(8+len(content))), name...), content...)
	}
	ftyp := box("ftyp", []byte("isom\x00\x00\x02\x00isomiso2avc1mp41")...)
	deep := []byte("\x00\x00\x00\x00moov")
	for range 100_000 {
		deep = append(deep, "\x00\x00\x00\x00trak\x00\x00\x00\x00mdia"...)
	}
	webm := []byte("\x1a\x45\xdf\xa3\x87\x42\x82\x84webm")
	for name, content := range map[string][]byte{
		"a box of 8 EiB":          append(bytes.Clone(ftyp), "\x00\x00\x00\x01moov\x7f\xff\xff\xff\xff\xff\xff\xff"...),
		"boxes of no length":      append(bytes.Clone(ftyp), bytes.Repeat([]byte("\x00\x00\x00\x08free"), 500_000)...),
		"boxes in boxes":          append(bytes.Clone(ftyp), deep...),
		"many headers":            append(bytes.Clone(ftyp), bytes.Repeat(box("moov", make([]byte, 1000)...), 1000)...),
		"tracks without number":   append(bytes.Clone(ftyp), box("moov", bytes.Repeat(box("trak", box("mdia", box("hdlr", make([]byte, 12)...)...)...), 10_000)...)...),
		"an element of 64 PiB":    append(bytes.Clone(webm), "\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff\x16\x54\xae\x6b\x01\xff\xff\xff\xff\xff\xff\xfe"...),
		"elements of no length":   append(append(bytes.Clone(webm), "\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff"...), bytes.Repeat([]byte("\xec\x80"), 500_000)...),
		"segments in segments":    append(bytes.Clone(webm), bytes.Repeat([]byte("\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff"), 100_000)...),
		"tracks in a short track": append(bytes.Clone(webm), "\x18\x53\x80\x67\x90\x16\x54\xae\x6b\x84\xae\xff\xff\xff\x1f\x43\xb6\x75\x80\x00"...),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			found, err := playableAsItIs(bytes.NewReader(content), int64(len(content)))
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			var refusal *Refusal
			if !errors.As(err, &refusal) {
				t.Errorf("it is %+v (%v)", found, err)
			}
			if took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 300<<20 {
				t.Errorf("it took %d bytes of memory", used)
			}
		})
	}
}

// Cut off anywhere and with any bytes changed, a file is played or refused.
func TestPlayableAsItIsOfDamagedFiles(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"film.mp4", "film.webm"} {
		codecs := "-c:v libx264 -preset ultrafast -c:a aac -movflags +faststart"
		if strings.HasSuffix(name, "webm") {
			codecs = "-c:v libvpx -deadline realtime -c:a libopus"
		}
		whole := read(t, handIn(t, filepath.Join(t.TempDir(), name), words("-f lavfi -i testsrc2=s=64x64:r=25:d=0.2 -f lavfi -i sine=d=0.2 "+codecs)...))
		look := func(content []byte, what string, n int) {
			_, err := playableAsItIs(bytes.NewReader(content), int64(len(content)))
			var refusal *Refusal
			if err != nil && !errors.As(err, &refusal) {
				t.Errorf("%s, %s %d: %v", name, what, n, err)
			}
		}
		for n := range min(len(whole), 4000) {
			look(whole[:n], "cut off at", n)
		}
		random := rand.New(rand.NewPCG(1, 2))
		for n := range 20_000 {
			content := bytes.Clone(whole[:min(len(whole), 6000)])
			for range 1 + n%8 {
				content[random.IntN(min(len(content), 2500))] = byte(random.Uint32())
			}
			look(content, "changed by seed", n)
		}
	}
}

func FuzzPlayableAsItIs(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2\x00\x00\x00\x08moov"))
	f.Add([]byte("\x1a\x45\xdf\xa3\x87\x42\x82\x84webm\x18\x53\x80\x67\x80"))
	f.Fuzz(func(t *testing.T, content []byte) {
		found, err := playableAsItIs(bytes.NewReader(content), int64(len(content)))
		if err == nil && found.ContentType == "" {
			t.Errorf("it is %+v", found)
		}
	})
}
