package ffmpeg

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// segment is how long a segment lasts, and how far apart key frames are, in seconds.
	segment = 4
	// audioName is that of the sound beside the renditions: audio.m3u8.
	audioName = "audio"
	// audioBits is what a second of sound takes at most.
	audioBits = 160_000
)

// listened is how sound is heard, and made: stereo, without gaps, from the beginning.
const listened = "aresample=48000:async=1:first_pts=0,aformat=sample_fmts=fltp:channel_layouts=stereo"

const (
	loudness = -16.0 // LUFS, what players and browsers expect of speech on a page
	silence  = -70.0 // what a meter shows of it
	// mostGain is in dB: noise that somebody recorded for silence must not become a storm.
	mostGain = 20.0
)

// HLS makes renditions of a film in one process: for each NAME.m3u8, NAME_init.mp4 and
// NAME_00000.m4s … in dir, and the same of "audio" where audio is set and the film has
// sound. What has one of these names there is replaced, all else stays. It returns the renditions with their measured bit rates and lengths. progress,
// which may be nil, is told about once a second how much of the film is done.
//
// Segments of all renditions, made together or not, begin with a key frame at the same
// times. Pictures and sound begin at exactly one second, so that no time stamp is negative
// and nothing depends on edit lists, which players of HLS pass over; and the first picture
// is decoded when it is shown, so that there is no hole before it.
func (e *Encoder) HLS(ctx context.Context, file string, film Film, renditions []Rendition, audio bool, dir string, progress func(done time.Duration)) ([]Rendition, error) {
	if len(renditions) == 0 {
		return nil, errors.New("transcode: there are no renditions to make")
	}
	audio = audio && film.Audio
	asked := int64(audioBits)
	for _, r := range renditions {
		asked += r.BitsPerSecond
	}
	var advance progressLines
	_, err := e.run(ctx, job{
		program: "ffmpeg", args: e.hls(film, renditions, audio), source: file, dir: dir,
		most: 32<<20 + int64(2*film.Duration.Seconds()*float64(asked)/8),
		wall: 10*time.Minute + 30*film.Duration,
		line: func(line string) (bool, error) {
			moved, done, told := advance.read(line)
			if told && progress != nil {
				progress(max(0, min(done, film.Duration)))
			}
			return moved, nil
		},
	})
	if err != nil {
		return nil, fmt.Errorf("transcode %s: %w", file, err)
	}
	var names []string
	for _, r := range renditions {
		names = append(names, r.Name)
	}
	if audio {
		names = append(names, audioName)
	}
	if err := wholeSeconds(dir, names); err != nil {
		return nil, fmt.Errorf("transcode %s: %w", file, err)
	}
	made := make([]Rendition, len(renditions))
	for i, r := range renditions {
		segments, err := readPlaylist(dir, r.Name)
		if err != nil {
			return nil, fmt.Errorf("transcode %s: %w", file, err)
		}
		if found := total(segments); lacking(found, film.Duration) {
			return nil, fmt.Errorf("transcode %s: %w", file, &Refusal{Reason: damaged, Detail: fmt.Sprintf("there are pictures for %s of %s", found, film.Duration)})
		}
		made[i] = r
		made[i].BitsPerSecond, made[i].Bytes = measured(segments)
	}
	return made, nil
}

// hls returns the arguments for the renditions of a film.
func (e *Encoder) hls(film Film, renditions []Rendition, audio bool) []string {
	number := strconv.Itoa
	args := []string{"-hide_banner", "-nostdin", "-y", "-v", "error", "-progress", "pipe:1", "-stats_period", "1"}
	args = append(args, input(film)...)
	args = append(args, "-i", sourceURL)

	// Each is scaled from the next larger one, which takes less than all from the source.
	renditions = slices.SortedFunc(slices.Values(renditions), func(a, b Rendition) int { return b.Width - a.Width })
	filters := e.pictures(film, renditions[0], true) + ","
	var streams, maps []string
	group := ""
	if audio {
		group = ",agroup:" + audioName
		streams = append(streams, "a:0"+group+",name:"+audioName)
	}
	for i, r := range renditions {
		filters += fmt.Sprintf("scale=%d:%d:flags=bicubic,setsar=1", r.Width, r.Height)
		if i < len(renditions)-1 {
			filters += fmt.Sprintf(",split=2[v%d][s%d];[s%d]", i, i, i)
		} else {
			filters += fmt.Sprintf("[v%d]", i)
		}
		v := ":v:" + number(i)
		kbits := r.BitsPerSecond / 1000
		maps = append(maps, "-map", fmt.Sprintf("[v%d]", i), "-maxrate"+v, fmt.Sprintf("%dk", kbits), "-bufsize"+v, fmt.Sprintf("%dk", kbits*3/2), "-level"+v, level(r, film.FrameRate).name)
		streams = append(streams, fmt.Sprintf("v:%d%s,name:%s", i, group, r.Name))
	}
	args = append(args, "-filter_complex", filters)
	args = append(args, maps...)
	args = append(args, "-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", "-crf", "23", "-bf", "2", "-b_strategy", "1", "-x264-params", "b-pyramid=none",
		"-sc_threshold", "0", "-g", number(10*60), "-force_key_frames", fmt.Sprintf("expr:gte(t,n_forced*%d)", segment))
	args = append(args, threads(mostThreads)...)
	if audio {
		args = append(args, "-map", fmt.Sprintf("0:%d", film.audio), "-c:a", "aac", "-b:a", "128k", "-af", sound(film))
	}
	begins := "%v"
	if len(streams) == 1 {
		begins = renditions[0].Name // ffmpeg leaves %v as it is where there is but one
	}
	return append(args, "-sn", "-dn", "-map_metadata", "-1", "-map_chapters", "-1", "-t", exact(film.Duration), "-max_muxing_queue_size", "1024",
		"-output_ts_offset", "1", "-f", "hls", "-hls_time", number(segment), "-hls_playlist_type", "vod", "-hls_segment_type", "fmp4", "-hls_flags", "independent_segments",
		"-hls_segment_options", "movflags=+frag_discont+negative_cts_offsets:use_editlist=0:avoid_negative_ts=disabled",
		"-hls_segment_filename", "%v_%05d.m4s", "-hls_fmp4_init_filename", begins+"_init.mp4", "-var_stream_map", strings.Join(streams, " "), "%v.m3u8")
}

// pictures returns the filters between the pictures of a film and the scaling to a
// rendition: at a steady rate, and for as long as the film lasts, where steady is set.
func (e *Encoder) pictures(film Film, largest Rendition, steady bool) string {
	filters := fmt.Sprintf("[0:%d]", film.video)
	if film.interlaced {
		filters += "yadif=deint=interlaced,"
	}
	if steady {
		filters += "fps=" + rate(film.FrameRate) + ":start_time=0,"
		if more := film.Duration - film.pictures; more > 0 {
			filters += "tpad=stop_mode=clone:stop_duration=" + exact(more+time.Second) + ","
		}
	}
	switch {
	case film.transfer != "" && e.tonemaps:
		filters += fmt.Sprintf("zscale=w=%d:h=%d:pin=bt2020:min=bt2020nc:tin=%s:t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=hable:desat=0,zscale=t=bt709:m=bt709:r=tv,",
			largest.Width, largest.Height, film.transfer)
	case film.rgb:
		filters += "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p,setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv,"
	}
	return filters + "format=yuv420p"
}

// sound returns the filters for the sound of a film: as loud as all others, and for as
// long as the film lasts, since players stop where one of both ends.
func sound(film Film) string {
	gain := 0.0
	if film.loudness > silence+0.1 {
		gain = min(mostGain, loudness-film.loudness)
	}
	return fmt.Sprintf("%s,volume=%.1fdB,alimiter=limit=-1.5dB:level=0,apad=whole_dur=%s", listened, gain, exact(film.Duration))
}

// exact writes a duration in seconds.
func exact(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 6, 64) }

// progressLines reads what ffmpeg prints with -progress.
type progressLines struct{ last map[string]string }

// read says whether a line shows that the work moves on and, at the end of each report
// (told), how much of the film is done.
func (p *progressLines) read(line string) (moved bool, done time.Duration, told bool) {
	if p.last == nil {
		p.last = map[string]string{}
	}
	key, value, _ := strings.Cut(line, "=")
	value = strings.TrimSpace(value)
	switch key {
	case "frame", "out_time_us", "total_size":
		moved = p.last[key] != value
		p.last[key] = value
	case "progress":
		if us, err := strconv.ParseInt(p.last["out_time_us"], 10, 64); err == nil && us > 0 && us < math.MaxInt64/1000 {
			return false, time.Duration(us) * time.Microsecond, true
		}
	}
	return moved, 0, false
}
