package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// filmCase is a file that a person hands in, and what is to become of it.
type filmCase struct {
	name string
	make func(f *films) string // returns its path
	// A reason, or none where it is published.
	reason string
	// Wide and high is its picture as it is shown, up to its scale.
	wide, high float64
	silent     bool
}

// films makes files for tests, each in a folder of the test.
type films struct {
	t      *testing.T
	ffmpeg string
	dir    string
	other  string // another video of the store
	port   string // of this machine
	asked  *atomic.Int32
}

// newFilms returns where files are made. Whoever connects to its port is counted.
func newFilms(t *testing.T) *films {
	t.Helper()
	ffmpeg, err := findFFmpeg()
	if err != nil {
		t.Fatal(err)
	}
	f := &films{t: t, ffmpeg: ffmpeg, dir: t.TempDir(), asked: &atomic.Int32{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			f.asked.Add(1)
			c.Close()
		}
	}()
	_, f.port, _ = net.SplitHostPort(listener.Addr().String())
	return f
}

// run has ffmpeg write a file.
func (f *films) run(name string, args ...string) string {
	f.t.Helper()
	return ffmpegWrites(f.t, f.ffmpeg, filepath.Join(f.dir, name), args...)
}

func ffmpegWrites(t testing.TB, ffmpeg, file string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, ffmpeg, append(append([]string{"-nostdin", "-loglevel", "error", "-y"}, args...), file)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ffmpeg makes %s: %v\n%s", filepath.Base(file), err, out)
	}
	return file
}

// write writes a file that is no film.
func (f *films) write(name string, content []byte) string {
	f.t.Helper()
	file := filepath.Join(f.dir, name)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		f.t.Fatal(err)
	}
	return file
}

// picture and sound are what most films are made of.
func picture(size string, seconds float64) []string {
	return []string{"-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=%s:rate=25:duration=%g", size, seconds)}
}

func sound(seconds float64) []string {
	return []string{"-f", "lavfi", "-i", fmt.Sprintf("sine=frequency=330:duration=%g", seconds)}
}

func args(parts ...any) (all []string) {
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			all = append(all, strings.Fields(p)...)
		case []string:
			all = append(all, p...)
		}
	}
	return all
}

const h264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac"

func filmOf(size string, seconds float64, encode string) func(*films) string {
	return func(f *films) string {
		return f.run("film.mp4", args(picture(size, seconds), sound(seconds), encode, "-shortest")...)
	}
}

func filmCases() []filmCase {
	return []filmCase{
		{name: "landscape", make: filmOf("640x360", 3, h264), wide: 16, high: 9},
		{name: "portrait", make: filmOf("270x480", 2, h264), wide: 9, high: 16},
		{name: "square", make: filmOf("480x480", 2, h264), wide: 1, high: 1},
		{name: "odd dimensions", make: filmOf("640x360", 2, "-vf scale=321:183 -c:v libx264 -preset ultrafast -pix_fmt yuv444p -c:a aac"), wide: 321, high: 183},
		{name: "10 bit", make: filmOf("320x180", 2, "-c:v libx264 -preset ultrafast -pix_fmt yuv420p10le -c:a aac"), wide: 16, high: 9},
		{name: "HEVC", make: filmOf("320x180", 2, "-c:v libx265 -preset ultrafast -x265-params log-level=error -pix_fmt yuv420p -c:a aac"), wide: 16, high: 9},
		{name: "VP9", make: func(f *films) string {
			return f.run("film.webm", args(picture("320x180", 2), sound(2), "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus -shortest")...)
		}, wide: 16, high: 9},
		{name: "variable frame rate", make: func(f *films) string {
			return f.run("film.mp4", args(picture("320x180", 3), sound(3), "-vf", []string{"select='lt(n,20)+not(mod(n,5))'"}, "-vsync vfr", h264)...)
		}, wide: 16, high: 9},
		{name: "no sound", make: func(f *films) string { return f.run("film.mp4", args(picture("320x180", 2), h264)...) }, wide: 16, high: 9, silent: true},
		{name: "silence", make: func(f *films) string {
			return f.run("film.mp4", args(picture("320x180", 2), "-f lavfi -i anullsrc=r=44100:cl=stereo -shortest", h264)...)
		}, wide: 16, high: 9},
		{name: "5.1 sound", make: func(f *films) string {
			return f.run("film.mp4", args(picture("320x180", 2), "-f lavfi -i", []string{"sine=duration=2,pan=5.1|FL=c0|FR=c0|FC=c0|LFE=c0|BL=c0|BR=c0"}, h264, "-shortest")...)
		}, wide: 16, high: 9},
		{name: "rotated", make: func(f *films) string {
			upright := f.run("upright.mp4", args(picture("320x180", 2), sound(2), h264, "-shortest")...)
			return f.run("film.mov", args("-i", []string{upright}, "-c copy -metadata:s:v:0 rotate=90")...)
		}, wide: 9, high: 16},
		{name: "one second", make: filmOf("320x180", 1, h264), wide: 16, high: 9},
		{name: "one frame", make: func(f *films) string { return f.run("film.mp4", args(picture("320x180", 1), "-frames:v 1", h264)...) }, wide: 16, high: 9, silent: true},
		{name: "truncated", make: func(f *films) string {
			whole := f.run("whole.mp4", args(picture("320x180", 6), sound(6), h264, "-movflags +faststart -shortest")...)
			content, err := os.ReadFile(whole)
			if err != nil {
				f.t.Fatal(err)
			}
			return f.write("film.mp4", content[:len(content)*6/10])
		}, reason: "damaged"},
		{name: "text", make: func(f *films) string {
			return f.write("film.mp4", bytes.Repeat([]byte("This is a shopping list: bread, butter, tea.\n"), 400))
		}, reason: "not-a-video"},
		{name: "playlist of another video", make: func(f *films) string {
			return f.write("film.mp4", []byte("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:3,\nfile://"+f.other+"\n#EXT-X-ENDLIST\n"))
		}, reason: "not-a-video"},
		{name: "concat script of another video", make: func(f *films) string {
			return f.write("film.mp4", []byte("ffconcat version 1.0\nfile '"+f.other+"'\n"))
		}, reason: "not-a-video"},
		{name: "playlist of a port", make: func(f *films) string {
			return f.write("film.mp4", []byte("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:3,\nhttp://127.0.0.1:"+f.port+"/film.ts\n#EXT-X-ENDLIST\n"))
		}, reason: "not-a-video"},
		{name: "huge picture", make: func(f *films) string {
			return f.run("film.mov", args("-f lavfi -i color=gray:size=8000x6000:rate=5:duration=0.4 -c:v mjpeg -pix_fmt yuvj420p")...)
		}, reason: "too-big"},
		{name: "claims ten hours", make: func(f *films) string {
			return f.run("film.mp4", args(picture("320x180", 1), "-vf", []string{"setpts=N*36000/TB"}, "-vsync vfr -frames:v 2", h264)...)
		}, reason: "film-too-long"},
		{name: "image", make: func(f *films) string {
			return f.run("film.png", args(picture("640x360", 1), "-frames:v 1")...)
		}, reason: "not-a-video"},
		{name: "sound only", make: func(f *films) string { return f.run("film.mp4", args(sound(2), "-c:a aac")...) }, reason: "no-video-track"},
		{name: "nothing", make: func(f *films) string { return f.write("film.mp4", []byte{0}) }, reason: "not-a-video"},
	}
}
