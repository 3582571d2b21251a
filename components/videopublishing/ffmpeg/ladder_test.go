package ffmpeg

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

func TestLadder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		width, height int
		want          string
	}{
		{1920, 1080, "240p 426×240, 360p 640×360, 480p 852×480, 720p 1280×720, 1080p 1920×1080"},
		{3840, 2160, "240p 426×240, 360p 640×360, 480p 852×480, 720p 1280×720, 1080p 1920×1080"},
		{1080, 1920, "240p 240×426, 360p 360×640, 480p 480×852, 720p 720×1280, 1080p 1080×1920"},
		{1280, 720, "240p 426×240, 360p 640×360, 480p 852×480, 720p 1280×720"},
		{700, 700, "240p 240×240, 360p 360×360, 480p 480×480, 720p 700×700"}, // nearly
		{641, 361, "240p 426×240, 360p 638×360"},
		{320, 180, "180p 320×180"},
		{321, 181, "181p 320×180"},
		{230, 230, "240p 230×230"},
		{5120, 1000, "240p 1228×240, 360p 1842×360, 480p 2458×480, 720p 3686×720"},
		{8000, 1080, "240p 1778×240, 360p 2666×360, 480p 3556×480, 720p 4096×552, 1080p 4096×552"},
		{1000, 10, "10p 1000×10"},
		{1, 1, "1p 2×2"},
	} {
		var got []string
		ladder := Ladder(Film{Width: c.width, Height: c.height, FrameRate: 25})
		for _, r := range ladder {
			got = append(got, fmt.Sprintf("%s %d×%d", r.Name, r.Width, r.Height))
			if (r.Width > c.width || r.Height > c.height) && c.width > 1 {
				t.Errorf("%d×%d is scaled up to %d×%d", c.width, c.height, r.Width, r.Height)
			}
		}
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("%d×%d becomes %s instead of %s", c.width, c.height, text, c.want)
		}
	}
}

func TestFirst(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		height int
		first  string
		rest   int
	}{{180, "180p", 0}, {240, "240p", 0}, {360, "360p", 1}, {1080, "360p", 4}} {
		ladder := Ladder(Film{Width: c.height * 16 / 9, Height: c.height, FrameRate: 25})
		first, rest := First(ladder)
		if first.Name != c.first || len(rest) != c.rest || len(ladder) != 1+len(rest) {
			t.Errorf("of %d first is %s, then %d", c.height, first.Name, len(rest))
		}
	}
	if first, rest := First(nil); first != (Rendition{}) || rest != nil {
		t.Errorf("of none first is %+v, then %+v", first, rest)
	}
}

func TestMaster(t *testing.T) {
	t.Parallel()
	film := Film{Width: 640, Height: 360, FrameRate: 30 / 1.001, Audio: true}
	renditions := []Rendition{{"240p", 426, 240, 300_000, 1}, {"360p", 640, 360, 700_000, 2}}
	want := `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="Sound",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="audio.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=860000,RESOLUTION=640x360,FRAME-RATE=29.970,CODECS="avc1.64001e,mp4a.40.2",AUDIO="audio",CLOSED-CAPTIONS=NONE
360p.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=460000,RESOLUTION=426x240,FRAME-RATE=29.970,CODECS="avc1.640015,mp4a.40.2",AUDIO="audio",CLOSED-CAPTIONS=NONE
240p.m3u8
`
	if got := string(Master(renditions, film)); got != want {
		t.Errorf("it is\n%s", got)
	}
	film.Audio = false
	if got := string(Master(renditions[:1], film)); strings.Contains(got, "mp4a") || strings.Contains(got, "AUDIO") || !strings.HasSuffix(got, "240p.m3u8\n") {
		t.Errorf("without sound it is\n%s", got)
	}
}

func TestFrameRate(t *testing.T) {
	t.Parallel()
	second := func(pictures int) track { return track{packets: pictures, end: time.Second} }
	for _, c := range []struct {
		nominal, average float64
		track            track
		want             float64
		text             string
	}{
		{25, 25, second(25), 25, "2500/100"},
		{30000.0 / 1001, 30000.0 / 1001, track{packets: 2997, end: 100 * time.Second}, 30 / 1.001, "30000/1001"},
		{24000.0 / 1001, 0, track{packets: 2398, end: 100 * time.Second}, 24 / 1.001, "24000/1001"},
		{60, 60, second(60), 60, "6000/100"},
		{30, 0, second(8), 30, "3000/100"},     // it varies
		{90000, 0, second(29), 30, "3000/100"}, // nothing is said
		{1000, 0, second(14), 24, "2400/100"},
		{120, 120, second(120), 60, "6000/100"},
		{100, 100, second(100), 50, "5000/100"},
		{240, 240, second(240), 60, "6000/100"},
		{15, 15, second(15), 30, "3000/100"}, // each picture twice
		{12.5, 12.5, track{packets: 25, end: 2 * time.Second}, 25, "2500/100"},
		{1, 1, second(1), 24, "2400/100"},
		{0, 0, track{packets: 1}, 25, "2500/100"},
		{25, 0, second(50), 50, "5000/100"}, // fields
	} {
		got := frameRate(c.nominal, c.average, c.track)
		if math.Abs(got-c.want) > 1e-9 || rate(got) != c.text {
			t.Errorf("%v (%v) becomes %v, %s", c.nominal, c.track, got, rate(got))
		}
	}
}
