package messagestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
)

// PositionCategory is the category of the streams in which component
// subscriptions keep their positions, as in the book:
// "subscriberPosition-<subscription>".
const PositionCategory Category = "subscriberPosition"

// SubscriptionConfig is what [NewSubscription] needs to know.
type SubscriptionConfig struct {
	// Name is unique in the system, like "identity:commands".
	Name string
	// Category is the category that the subscription follows.
	Category Category
	// Handlers handle its messages. A message may be delivered twice: after a crash
	// everything since the last saved position comes again.
	Handlers []Handler
	// Group is the slot of a consumer group; the zero value follows all streams.
	Group Group
	// SaveEvery is after how many messages the position is saved; 0 is 100. It is
	// saved also when nothing is going on, and at the end.
	SaveEvery int
	// Concurrency 0 handles one message after the other, in the order of all streams: one
	// that has to be tried again holds up all others. From 1 on so many messages of
	// different streams are handled at the same time, and one that waits for its next try
	// takes no slot: neither its trouble nor, with more than 1, long work in one stream
	// holds up the others. The position is then the one before the oldest message that is
	// not done: after a crash later ones come again, done or not.
	Concurrency int
}

// NewSubscription returns a component's subscription. The messages of a stream are
// handled in order, at least once, by one process at a time: whoever holds the lock
// of the subscription's slot.
func NewSubscription(store *Store, c SubscriptionConfig) *Subscription {
	if c.SaveEvery == 0 {
		c.SaveEvery = 100
	}
	name := c.Name
	if c.Group.Size > 1 {
		name += ":" + strconv.Itoa(c.Group.Member+1) + "of" + strconv.Itoa(c.Group.Size)
	}
	one := &consumer{store: store, config: c, name: name, stream: PositionCategory.Stream(name), lock: &lock{name: name}}
	var w worker = one
	if c.Concurrency > 0 {
		w = concurrent{one}
	}
	s := newSubscription(store, name, c.Category, w)
	s.lock, s.group, s.handlers = one.lock, c.Group, c.Handlers
	return s
}

// read is what a subscription has read: the last message of its position stream.
type read struct {
	// Position is the global position of the last message that was read.
	Position int64 `json:"position"`
	// Parked are the streams laid aside, by name.
	Parked map[Stream]ParkedStream `json:"parked,omitempty"`
}

func (read) MessageType() string { return "Read" }

// streamReleased asks the active process to try a parked stream again.
type streamReleased struct {
	// Stream is the parked stream.
	Stream Stream `json:"stream"`
	// Skip is the position of the message to leave out, if it is the one that failed.
	Skip *int64 `json:"skip,omitempty"`
}

func (streamReleased) MessageType() string { return "StreamReleased" }

type consumer struct {
	store  *Store
	config SubscriptionConfig
	name   string
	stream Stream
	lock   *lock

	loaded   int64 // the taking of the lock that the rest was loaded under, 0 for none
	at       read
	version  int64  // of the position stream
	saving   string // the id of a position that was written, perhaps: there was no answer
	handled  int    // messages since the position was saved
	attempts int    // at the message after at.Position
}

// errMoved says that another process has saved the position.
var errMoved = errors.New("moved by another process")

// ready reports whether this process is the active one, which then knows what has been
// read and, where refresh, which streams have been released.
func (c *consumer) ready(ctx context.Context, s *Subscription, refresh bool) (bool, error) {
	taken := c.lock.taken.Load()
	if !c.lock.held.Load() {
		s.unsaved.Store(false)
		status := s.Status()
		at := read{status.Position, status.Parked}
		if refresh || s.takeTick() { // what the active one has saved
			last, err := c.last(ctx)
			if err != nil {
				return false, err
			}
			at = last.Data
		}
		s.standby(at.Position, at.Parked)
		return false, nil
	}
	if c.loaded != taken {
		if err := c.load(ctx); err != nil {
			return false, err
		}
		c.loaded = taken
	} else if refresh && len(c.at.Parked) > 0 {
		if err := c.refresh(ctx); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (c *consumer) step(ctx context.Context, s *Subscription) (bool, error) {
	ticked := s.takeTick()
	if active, err := c.ready(ctx, s, ticked); !active || err != nil {
		return false, err
	}
	if s.past(c.at.Position + 1) {
		return c.idle(ctx, s, ticked)
	}
	if !s.paused() { // a step is one message
		if err := c.retryReleased(ctx, s); err != nil {
			return false, err
		}
	}
	head := s.head()
	batch, err := c.store.ReadCategory(ctx, c.config.Category, CategoryQuery{From: c.at.Position + 1, Group: c.config.Group})
	if err != nil {
		return false, err
	}
	for _, m := range batch {
		if ctx.Err() != nil || s.draining() { // the lock is lost, or it is time to stop
			return false, ctx.Err()
		}
		if s.past(m.GlobalPosition) {
			return c.idle(ctx, s, ticked)
		}
		if _, parked := c.at.Parked[m.Stream]; !parked {
			if err := c.try(ctx, s, m); err != nil {
				return false, err
			}
		}
		c.at.Position, c.attempts = m.GlobalPosition, 0
		s.progressed(c.at.Position, 1, c.at.Parked, true)
		if c.handled++; c.handled >= c.config.SaveEvery {
			if err := c.save(ctx); err != nil {
				return false, err
			}
		}
		s.unsaved.Store(c.handled > 0)
	}
	more := len(batch) == pageSize
	if !more { // what other slots of the group read lies behind us too
		c.at.Position = max(c.at.Position, head)
	}
	s.progressed(c.at.Position, 0, c.at.Parked, more)
	if len(batch) == 0 && ticked && c.handled > 0 {
		err = c.save(ctx)
		s.unsaved.Store(c.handled > 0)
	}
	return more, err
}

// idle is a step of a paused subscription that may handle nothing further.
func (c *consumer) idle(ctx context.Context, s *Subscription, ticked bool) (more bool, err error) {
	s.progressed(c.at.Position, 0, c.at.Parked, false)
	if ticked && c.handled > 0 {
		err = c.save(ctx)
		s.unsaved.Store(c.handled > 0)
	}
	return false, err
}

// try handles one message; after too many attempts it parks the message's stream
// and reports success.
func (c *consumer) try(ctx context.Context, s *Subscription, m Raw) error {
	err := c.handle(ctx, s, m)
	if err == nil || ctx.Err() != nil || IsTransient(err) {
		return err
	}
	c.attempts++
	if c.attempts < attemptsBeforeParking || len(c.at.Parked) >= mostParked {
		return err
	}
	s.log.Error("stream parked", "subscription", c.name, traced(m.traceID()), "message", m, "attempts", c.attempts, "error", ErrorText(err))
	if c.at.Parked == nil {
		c.at.Parked = map[Stream]ParkedStream{}
	}
	c.at.Parked[m.Stream] = ParkedStream{Position: m.Position, Error: firstLine(err), Attempts: c.attempts}
	c.at.Position, c.attempts = m.GlobalPosition, 0
	return c.save(ctx)
}

// retryReleased handles the released streams' messages up to the position that
// everything else has reached.
func (c *consumer) retryReleased(ctx context.Context, s *Subscription) error {
	for stream, p := range c.at.Parked {
		if !p.Released {
			continue
		}
		delete(c.at.Parked, stream)
		for m, err := range c.store.Read(ctx, stream, p.Position) {
			if err == nil {
				err = ctx.Err()
			}
			if err == nil && m.GlobalPosition <= c.at.Position {
				err = c.handle(ctx, s, m)
			}
			if err != nil && IsTransient(err) {
				c.at.Parked[stream] = p
				return err
			}
			if err != nil {
				attempts := 1
				if m.Position == p.Position {
					attempts = p.Attempts + 1
				}
				c.at.Parked[stream] = ParkedStream{Position: m.Position, Error: firstLine(err), Attempts: attempts}
				break
			}
		}
		if err := c.save(ctx); err != nil {
			return err
		}
		s.progressed(c.at.Position, 0, c.at.Parked, true)
	}
	return nil
}

func (c *consumer) handle(ctx context.Context, s *Subscription, m Raw) error {
	return s.observed(ctx, m, c.config.Handlers)
}

func (c *consumer) load(ctx context.Context) error {
	last, err := c.last(ctx)
	if err != nil {
		return err
	}
	c.at, c.version, c.saving, c.attempts, c.handled = last.Data, last.Position, "", 0, 0
	return c.refresh(ctx)
}

// last returns the position that was saved last; before the first it is that of a stream
// without messages.
func (c *consumer) last(ctx context.Context) (Message[read], error) {
	last, err := c.store.Last(ctx, c.stream, read{}.MessageType())
	if errors.Is(err, ErrNoMessage) {
		return Message[read]{Position: NoStream}, nil
	}
	if err != nil {
		return Message[read]{}, err
	}
	return Decode[read](last)
}

func (c *consumer) saved(ctx context.Context) (read, error) {
	last, err := c.last(ctx)
	return last.Data, err
}

// refresh applies what others wrote to the position stream since. A position that
// somebody else wrote means that we were not the active one for a while.
func (c *consumer) refresh(ctx context.Context) error {
	for m, err := range c.store.Read(ctx, c.stream, c.version+1) {
		if err != nil {
			return err
		}
		if m.ID == c.saving { // our own: only the answer was lost
			c.version, c.saving = m.Position, NewID()
			continue
		}
		if m.Type != (streamReleased{}).MessageType() {
			c.loaded = 0
			return Transient(fmt.Errorf("%s was %w", c.stream, errMoved))
		}
		c.version = m.Position
		released, err := Decode[streamReleased](m)
		if err != nil {
			return err
		}
		p, parked := c.at.Parked[released.Data.Stream]
		skip := released.Data.Skip
		if !parked || skip != nil && *skip != p.Position {
			continue
		}
		p.Released = true
		if skip != nil {
			p.Position, p.Attempts = p.Position+1, 0
		}
		c.at.Parked[released.Data.Stream] = p
	}
	return nil
}

func (c *consumer) save(ctx context.Context) error {
	c.saving = cmp.Or(c.saving, NewID())
	version, err := c.store.Write(ctx, c.stream, c.at, ExpectedVersion(c.version), WithID(c.saving))
	if errors.Is(err, ErrWrongExpectedVersion) { // somebody released a stream meanwhile, or it was we
		if err := c.refresh(ctx); err != nil {
			return err
		}
		version, err = c.store.Write(ctx, c.stream, c.at, ExpectedVersion(c.version), WithID(c.saving))
	}
	if err != nil {
		c.loaded = 0 // the write may have happened all the same
		return fmt.Errorf("save the position of %s: %w", c.name, err)
	}
	c.version, c.saving = version, ""
	c.handled = 0
	return nil
}

func (c *consumer) release(ctx context.Context, stream Stream, skip *int64) error {
	_, err := c.store.Write(ctx, c.stream, streamReleased{stream, skip})
	return err
}

func (c *consumer) stop(ctx context.Context, _ *Subscription) error {
	if c.loaded != c.lock.taken.Load() || !c.lock.held.Load() || c.handled == 0 {
		return nil
	}
	return c.save(ctx)
}
