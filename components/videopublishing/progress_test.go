package videopublishing

import (
	"testing"
	"testing/synctest"
	"time"

	"videotutorials/components/videopublishing/ffmpeg"
	"videotutorials/components/videopublishing/publishingmsg"
)

// pass lets time pass, of a bubble of synctest.
func pass(d time.Duration) { <-time.After(d) }

// A minute of work, of which the percent grows with what it costs, and the estimate with
// how long it took so far.
func TestProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told publishingmsg.Progress
		m := newMeter(func(p publishingmsg.Progress) { told = p }, publishingmsg.Progress{VideoID: film, OwnerID: ada, Attempt: 2})
		is := func(step string, percent int, remaining time.Duration) {
			t.Helper()
			want := publishingmsg.Progress{VideoID: film, OwnerID: ada, Attempt: 2, Step: step, Percent: percent, Remaining: remaining}
			if told != want {
				t.Errorf("%+v, want %+v", told, want)
			}
		}
		m.step(probing)
		is("probing", 0, 0)
		one := ffmpeg.Rendition{Width: 600, Height: 400}
		m.plan(ffmpeg.Film{Width: 1200, Height: 800}, one, []ffmpeg.Rendition{{Width: 1200, Height: 800}, {Width: 300, Height: 200}})
		m.step(first)
		is("first", 4, 0)
		m.done(0)
		pass(time.Second)
		m.done(0.25)
		m.tell()
		is("first", 10, 0) // too soon to say
		pass(3 * time.Second)
		m.done(1)
		m.tell()
		is("first", 29, 11*time.Second)
		m.done(0.5) // ffmpeg says less than before
		m.tell()
		is("first", 29, 11*time.Second)
		m.step(rest)
		pass(8 * time.Second)
		m.done(2)
		m.tell()
		is("rest", 97, 0)
		m.step(finishing)
		is("finishing", 97, 0)
	})
}

// Work that goes on after a kill begins where it was, and estimates by its own speed.
func TestProgressOfWorkThatGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told publishingmsg.Progress
		m := newMeter(func(p publishingmsg.Progress) { told = p }, publishingmsg.Progress{})
		m.step(probing)
		one := ffmpeg.Rendition{Width: 640, Height: 360}
		m.plan(ffmpeg.Film{Width: 640, Height: 360}, one, []ffmpeg.Rendition{one})
		m.step(rest)
		if told.Percent != 50 {
			t.Errorf("%+v", told)
		}
		m.done(0)
		pass(10 * time.Second)
		m.done(0.5)
		m.tell()
		if told.Percent != 73 || told.Remaining != 11*time.Second {
			t.Errorf("%+v", told)
		}
	})
}
