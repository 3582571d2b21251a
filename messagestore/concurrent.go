package messagestore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"
)

// mostUnfinished is how many messages are read ahead, at most: those being handled and
// those waiting.
const mostUnfinished = 1000

// concurrent is a consumer that handles messages of several streams at the same time, and
// lets none wait for one that has to be tried again.
type concurrent struct{ *consumer }

// step lasts as long as anything is unfinished: its end would cancel what it began.
func (c concurrent) step(ctx context.Context, s *Subscription) (bool, error) {
	if active, err := c.ready(ctx, s, false); !active || err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancel(ctx)
	sh := &shift{consumer: c.consumer, s: s, taken: c.loaded, read: c.at.Position, unread: true, finished: make(chan *task)}
	defer func() {
		cancel()
		for sh.running > 0 { // before all of it has ended nothing begins again
			sh.done(ctx, <-sh.finished)
		}
		sh.move()
		sh.show()
	}()
	for {
		err := sh.turn(ctx)
		switch {
		case ctx.Err() != nil: // the lock is lost, or the time to finish is over
			return false, ctx.Err()
		case errors.Is(err, errMoved), len(sh.tasks) == 0, sh.running == 0 && s.draining():
			return sh.unread, err
		case err != nil: // what is running goes on meanwhile
			sh.retry(&sh.own, err)
		}
		sh.show()
		sh.wait(ctx)
	}
}

// shift is what a concurrent subscription has begun.
type shift struct {
	*consumer
	s        *Subscription
	taken    int64   // the taking of the lock under which it works
	read     int64   // what is not after this position is handled, parked or a task
	unread   bool    // there may be messages after it
	tasks    []*task // first those of released streams, then messages in their order
	running  int
	finished chan *task

	passed  int  // messages since the position moved
	unshown int  // messages that the status does not count yet
	due     bool // what is parked has changed, or it is time to save the position
	own     task // the work of turn, of which only its failures are of interest
}

// task is a message to be handled or, where released, all messages of a stream that
// was parked, up to a position.
type task struct {
	stream   Stream
	message  Raw // where released: the one that it has come to
	released bool
	upTo     int64

	running   bool
	err       error  // of what ran last
	failure   string // what that said
	tries     int    // that failed
	attempts  int    // those of them at this message that no waiting will mend
	notBefore time.Time
}

// turn takes up what is new, begins what can begin and saves the position.
func (sh *shift) turn(ctx context.Context) error {
	if time.Now().Before(sh.own.notBefore) {
		sh.begin(ctx)
		return nil
	}
	ticked := sh.s.takeTick()
	if ticked && len(sh.at.Parked) > 0 {
		if err := sh.refresh(ctx); err != nil {
			return err
		}
	}
	sh.takeReleased()
	sh.begin(ctx)
	if sh.wantsMore() {
		if err := sh.readAhead(ctx); err != nil {
			return err
		}
		sh.begin(ctx)
	}
	sh.move()
	sh.due = sh.due || sh.handled >= sh.config.SaveEvery || ticked && sh.handled > 0
	if sh.due {
		if err := sh.save(ctx); err != nil {
			return err
		}
		sh.loaded = sh.taken // what is known is what is there, after trouble with saving too
		sh.due = false
	}
	sh.s.unsaved.Store(sh.handled > 0)
	sh.own = task{}
	return nil
}

// takeReleased makes tasks of released streams. The stream stays parked until its task
// is done, in case the process dies; messages that are read from now on wait behind it.
func (sh *shift) takeReleased() {
	for stream, p := range sh.at.Parked {
		taken := slices.ContainsFunc(sh.tasks, func(t *task) bool { return t.released && t.stream == stream })
		if p.Released && !taken {
			sh.tasks = slices.Insert(sh.tasks, 0, &task{
				stream: stream, message: Raw{Position: p.Position}, released: true, upTo: sh.read, attempts: p.Attempts})
		}
	}
}

// wantsMore reports whether to read: when half of what was read is done, and as long as
// slots are free because the rest cannot begin.
func (sh *shift) wantsMore() bool {
	n := len(sh.tasks)
	return sh.unread && !sh.s.draining() && (n <= mostUnfinished/2 || n < mostUnfinished && sh.running < sh.config.Concurrency)
}

func (sh *shift) readAhead(ctx context.Context) error {
	room := mostUnfinished - len(sh.tasks)
	head := sh.s.head()
	batch, err := sh.store.ReadCategory(ctx, sh.config.Category, CategoryQuery{From: sh.read + 1, Limit: room, Group: sh.config.Group})
	if err != nil {
		return err
	}
	for _, m := range batch {
		sh.read = m.GlobalPosition
		p, parked := sh.at.Parked[m.Stream]
		if handles(sh.config.Handlers, m.Type) && (!parked || p.Released) {
			sh.tasks = append(sh.tasks, &task{stream: m.Stream, message: m})
		} else {
			sh.passed++
			sh.unshown++
		}
	}
	sh.unread = len(batch) == room
	if !sh.unread { // what other slots of the group read lies behind us too
		sh.read = max(sh.read, head)
	}
	return nil
}

// begin runs the first task of each stream, as far as there are slots. One that waits
// to be tried again takes none.
func (sh *shift) begin(ctx context.Context) {
	busy, now, draining := map[Stream]bool{}, time.Now(), sh.s.draining()
	for _, t := range sh.tasks {
		if draining || sh.running == sh.config.Concurrency {
			return
		}
		held := t.released && sh.s.paused() || !t.released && sh.s.past(t.message.GlobalPosition)
		if !busy[t.stream] && !t.running && !held && !now.Before(t.notBefore) {
			t.running = true
			sh.running++
			go func() {
				t.err = sh.handle(ctx, t)
				sh.finished <- t
			}()
		}
		busy[t.stream] = true
	}
}

func (sh *shift) handle(ctx context.Context, t *task) error {
	if !t.released {
		return sh.consumer.handle(ctx, sh.s, t.message)
	}
	for m, err := range sh.store.Read(ctx, t.stream, t.message.Position) {
		if err != nil {
			return err
		}
		if m.GlobalPosition > t.upTo {
			break
		}
		if m.Position > t.message.Position {
			t.attempts = 0
		}
		t.message = m
		if err := sh.consumer.handle(ctx, sh.s, m); err != nil {
			return err
		}
	}
	return nil
}

// move brings the position as far as everything before it is done.
func (sh *shift) move() {
	position := sh.read
	if i := slices.IndexFunc(sh.tasks, func(t *task) bool { return !t.released }); i >= 0 {
		position = sh.tasks[i].message.GlobalPosition - 1
	}
	if position > sh.at.Position {
		sh.at.Position = position
		sh.handled, sh.passed = sh.handled+sh.passed, 0
	}
}

// show tells the status; what is being retried stays visible while other streams go on.
func (sh *shift) show() {
	failure := sh.own.failure
	for _, t := range sh.tasks {
		failure = cmp.Or(failure, t.failure)
	}
	sh.s.set(func(status *Status) {
		status.progressed(sh.at.Position, sh.unshown, sh.at.Parked, len(sh.tasks) > 0 || sh.unread)
		if failure != "" && status.State != Draining {
			status.State, status.LastError = Retrying, failure
		}
	})
	sh.unshown = 0
}

// wait waits until something has changed.
func (sh *shift) wait(ctx context.Context) {
	var next <-chan time.Time
	if at := sh.next(); !at.IsZero() {
		timer := time.NewTimer(time.Until(at))
		defer timer.Stop()
		next = timer.C
	}
	select {
	case t := <-sh.finished:
		sh.done(ctx, t)
	case <-sh.s.wake:
		sh.unread = true
	case <-next:
	case <-ctx.Done():
	}
}

// next returns when there is something to do without any further news; zero is never.
func (sh *shift) next() (at time.Time) {
	if sh.s.draining() {
		return at
	}
	if sh.own.tries > 0 || sh.wantsMore() {
		at = cmp.Or(sh.own.notBefore, time.Now())
	}
	for _, t := range sh.tasks {
		waits := t.tries > 0 && !t.running && sh.running < sh.config.Concurrency && !sh.s.paused()
		if waits && (at.IsZero() || t.notBefore.Before(at)) {
			at = t.notBefore
		}
	}
	return at
}

// done decides what the end of a task means.
func (sh *shift) done(ctx context.Context, t *task) {
	sh.running--
	t.running = false
	if t.err == nil {
		sh.tasks = slices.DeleteFunc(sh.tasks, func(other *task) bool { return other == t })
		if t.released {
			delete(sh.at.Parked, t.stream)
			sh.due = true
		} else {
			sh.passed++
			sh.unshown++
		}
		return
	}
	if ctx.Err() != nil {
		return // it was cut off
	}
	if IsTransient(t.err) {
		sh.retry(t, t.err)
		return
	}
	if p := sh.at.Parked[t.stream]; t.released && p.Released && p.Position > t.message.Position {
		// Somebody has decided meanwhile to leave the message out.
		sh.tasks = slices.DeleteFunc(sh.tasks, func(other *task) bool { return other == t })
		return
	}
	t.attempts++
	if !t.released && (t.attempts < attemptsBeforeParking || len(sh.at.Parked) >= mostParked) {
		sh.retry(t, t.err)
		return
	}
	sh.s.log.Error("stream parked", "subscription", sh.name, traced(t.message.traceID()), "message", t.message, "attempts", t.attempts, "error", ErrorText(t.err))
	if sh.at.Parked == nil {
		sh.at.Parked = map[Stream]ParkedStream{}
	}
	sh.at.Parked[t.stream] = ParkedStream{Position: t.message.Position, Error: firstLine(t.err), Attempts: t.attempts}
	sh.due = true
	sh.tasks = slices.DeleteFunc(sh.tasks, func(other *task) bool { return other.stream == t.stream })
}

// retry has a task wait before it is tried again.
func (sh *shift) retry(t *task, err error) {
	t.tries++
	t.failure, t.notBefore = firstLine(err), time.Now().Add(sh.s.retryIn(t.tries))
	sh.s.set(func(status *Status) { status.Retries++ })
	if t.tries == 1 || t.tries%10 == 0 {
		sh.s.log.Warn("subscription retries", "subscription", sh.name, traced(traceID(err)), "attempt", t.tries, "error", ErrorText(err))
	}
}
