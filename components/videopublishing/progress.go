package videopublishing

import (
	"sync"
	"time"

	"videotutorials/components/videopublishing/ffmpeg"
	"videotutorials/components/videopublishing/publishingmsg"
)

// step is a part of the work as people are told of it.
type step string

const (
	probing   step = "probing"
	first     step = "first"
	rest      step = "rest"
	finishing step = "finishing"
)

// What reading a film costs for each of its pixels, when one pixel that is made of it
// costs 1, and which part of the whole comes before and after the renditions.
const (
	decoding      = 0.25
	probingPart   = 0.04
	finishingPart = 0.03
)

// meter tells how far the work on a video has come. What it tells only grows.
type meter struct {
	report func(publishingmsg.Progress)

	mu       sync.Mutex
	progress publishingmsg.Progress
	from, to map[step]float64 // the part of the whole at which a step begins and ends
	at       float64          // the part that is done
	began    time.Time        // the first step that takes long
	beganAt  float64
}

func newMeter(report func(publishingmsg.Progress), progress publishingmsg.Progress) *meter {
	return &meter{report: report, progress: progress, from: map[step]float64{finishing: 1 - finishingPart}}
}

// plan divides the whole by what the steps cost.
func (m *meter) plan(film ffmpeg.Film, one ffmpeg.Rendition, others []ffmpeg.Rendition) {
	cost := func(renditions ...ffmpeg.Rendition) (pixels float64) {
		if len(renditions) == 0 {
			return 0
		}
		pixels = decoding * float64(film.Width*film.Height)
		for _, r := range renditions {
			pixels += float64(r.Width * r.Height)
		}
		return pixels
	}
	a, b := cost(one), cost(others...)
	between := probingPart + (1-probingPart-finishingPart)*a/(a+b)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.from = map[step]float64{first: probingPart, rest: between, finishing: 1 - finishingPart}
	m.to = map[step]float64{first: between, rest: 1 - finishingPart, finishing: 1}
}

// step begins a step, and what comes before it is done.
func (m *meter) step(s step) {
	m.mu.Lock()
	m.progress.Step = string(s)
	m.at = max(m.at, m.from[s])
	m.mu.Unlock()
	m.tell()
}

// done says which part of the step is done.
func (m *meter) done(part float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := step(m.progress.Step)
	part = min(max(part, 0), 1)
	m.at = max(m.at, m.from[s]+part*(m.to[s]-m.from[s]))
	if m.began.IsZero() {
		m.began, m.beganAt = time.Now(), m.at
	}
}

// An estimate from less than this is none.
const (
	enoughTime = 2 * time.Second
	enoughPart = 0.02
)

// tell reports what there is to report.
func (m *meter) tell() {
	m.mu.Lock()
	m.progress.Percent = int(100 * m.at)
	m.progress.Remaining = 0
	if took, gained := time.Since(m.began), m.at-m.beganAt; !m.began.IsZero() && took > enoughTime && gained > enoughPart {
		m.progress.Remaining = time.Duration(float64(took) * (1 - m.at) / gained).Round(time.Second)
	}
	progress := m.progress
	m.mu.Unlock()
	m.report(progress)
}
