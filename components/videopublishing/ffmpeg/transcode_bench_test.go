package ffmpeg

import (
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// BenchmarkTranscode makes all that is made of a film of one minute in 720p, and compares
// it with one command as somebody would write it by hand, who makes the same renditions
// with the same settings, lets the filter that there is for it make the sound as loud as
// others, and wants neither a picture nor anything to watch before the end. Both run at the same low priority, in turns.
//
//	s/film            what all takes, from the first look to the last file
//	s-to-first        until the first rendition can be watched, with its poster
//	x-of-one-command  s/film, in units of that command
//	x-of-its-cores    the same of the time of the cores, which other work on the machine
//	                  disturbs less
func BenchmarkTranscode(b *testing.B) {
	for name, pictures := range map[string]string{
		"test picture": "testsrc2=s=1280x720:r=30:d=60",
		"fractal":      "mandelbrot=s=640x360:r=30,scale=1280:720,noise=alls=8:allf=t,trim=duration=60",
	} {
		b.Run(name, func(b *testing.B) {
			e := encoder(b)
			source := handIn(b, filepath.Join(b.TempDir(), "film.mp4"), words("-f lavfi -i "+pictures+" -f lavfi -i sine=d=60 -c:v libx264 -preset veryfast -pix_fmt yuv420p -c:a aac -t 60")...)
			var ours, first, theirs, ourCores, theirCores time.Duration
			for b.Loop() {
				t, f, c := ourWay(b, e, source)
				ours, first, ourCores = ours+t, first+f, ourCores+c
				t, c = byHand(b, source)
				theirs, theirCores = theirs+t, theirCores+c
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(ours.Seconds()/float64(b.N), "s/film")
			b.ReportMetric(first.Seconds()/float64(b.N), "s-to-first")
			b.ReportMetric(ours.Seconds()/theirs.Seconds(), "x-of-one-command")
			b.ReportMetric(ourCores.Seconds()/theirCores.Seconds(), "x-of-its-cores")
		})
	}
}

// ended returns the time of the cores that the children took that have ended.
func ended(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func ourWay(b *testing.B, e *Encoder, source string) (took, first, used time.Duration) {
	dir := b.TempDir()
	start, before := time.Now(), ended(b)
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	film, err := e.Probe(b.Context(), source)
	must(err)
	one, rest := First(Ladder(film))
	_, err = e.HLS(b.Context(), source, film, []Rendition{one}, true, dir, nil)
	must(err)
	must(e.Poster(b.Context(), source, film, filepath.Join(dir, "poster.jpg")))
	first = time.Since(start)
	_, err = e.HLS(b.Context(), source, film, rest, false, dir, nil)
	must(err)
	_, err = e.Storyboard(b.Context(), one, dir, filepath.Join(b.TempDir(), "storyboard.jpg"))
	must(err)
	must(e.Progressive(b.Context(), film, one, dir, filepath.Join(b.TempDir(), "video.mp4")))
	return time.Since(start), first, ended(b) - before
}

func byHand(b *testing.B, source string) (took, used time.Duration) {
	dir := b.TempDir()
	start, before := time.Now(), ended(b)
	cmd := exec.Command("nice", words(`-n 10 ffmpeg -v error -nostdin -i `+source+`
		-filter_complex [0:v]fps=30,split=4[a][b][c][d];[a]scale=426:240[v0];[b]scale=640:360[v1];[c]scale=852:480[v2];[d]scale=1280:720[v3]
		-map [v0] -maxrate:v:0 400k -bufsize:v:0 600k -map [v1] -maxrate:v:1 800k -bufsize:v:1 1200k
		-map [v2] -maxrate:v:2 1400k -bufsize:v:2 2100k -map [v3] -maxrate:v:3 2800k -bufsize:v:3 4200k
		-c:v libx264 -preset veryfast -profile:v high -crf 23 -bf 2 -x264-params b-pyramid=none -sc_threshold 0 -g 600 -force_key_frames expr:gte(t,n_forced*4)
		-map 0:a -c:a aac -b:a 128k -ac 2 -af loudnorm=I=-16:TP=-1.5:LRA=11,aresample=48000
		-f hls -hls_time 4 -hls_playlist_type vod -hls_segment_type fmp4 -hls_segment_filename %v_%05d.m4s -hls_fmp4_init_filename %v_init.mp4
		-var_stream_map`)...)
	cmd.Args = append(cmd.Args, "a:0,agroup:a,name:audio v:0,agroup:a,name:240p v:1,agroup:a,name:360p v:2,agroup:a,name:480p v:3,agroup:a,name:720p", "%v.m3u8")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return time.Since(start), ended(b) - before
}
