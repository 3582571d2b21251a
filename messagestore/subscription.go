package messagestore

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// State is what a subscription is doing.
type State string

const (
	// Standby: another process does the work; this one takes over when it is gone, unless it
	// was told to leave it to others ([Subscription.Elsewhere]).
	Standby State = "standby"
	// CatchingUp: there are messages that it has not handled yet.
	CatchingUp State = "catching-up"
	// Live: it has handled everything there is.
	Live State = "live"
	// Retrying: the last attempt failed; it tries again by itself.
	Retrying State = "retrying"
	// Parked: it has handled everything but the streams that it set aside.
	Parked State = "parked"
	// Paused: somebody has it wait; see [Subscriptions.Pause].
	Paused State = "paused"
	// Draining: it is stopping and finishes what it began.
	Draining State = "draining"
)

// Status is a subscription as it stands now.
type Status struct {
	Name     string   `json:"name"`
	Category Category `json:"category"`
	// Projection says that it keeps view data; else it is a component's.
	Projection bool  `json:"projection,omitempty"`
	State      State `json:"state"`
	// Paused says that it handles nothing until it is resumed or stepped.
	Paused bool `json:"paused,omitempty"`
	// Elsewhere says that only other processes do its work.
	Elsewhere bool `json:"elsewhere,omitempty"`
	// Position is the global position up to which all is handled; Head is that of
	// the category's last message.
	Position int64 `json:"position"`
	Head     int64 `json:"head"`
	// LagMessages is how many messages wait, counted up to 10,000; LagSeconds is the
	// age of the oldest of them.
	LagMessages int64   `json:"lagMessages"`
	LagSeconds  float64 `json:"lagSeconds"`
	// Handled and Retries count since the start of the process.
	Handled   int64                   `json:"handled"`
	Retries   int64                   `json:"retries"`
	LastError string                  `json:"lastError,omitempty"`
	Parked    map[Stream]ParkedStream `json:"parked,omitempty"`
}

// ParkedStream is a stream that a subscription set aside because one of its
// messages could not be handled. Its later messages wait behind that one, in
// order, while all other streams go on.
type ParkedStream struct {
	// Position is the position in the stream of the message that failed.
	Position int64 `json:"position"`
	// Error is what the last attempt said.
	Error string `json:"error"`
	// Attempts is how often it was tried.
	Attempts int `json:"attempts"`
	// Released asks the active subscription to try again.
	Released bool `json:"released,omitempty"`
}

const (
	attemptsBeforeParking = 8
	// Beyond so many parked streams it is not the streams that are wrong: the
	// subscription retries and shows it, and sets no more of them aside.
	mostParked = 100
	// An error is kept with the parked stream up to so many bytes.
	mostErrorText = 500
	// How long a handler may go on after the end of Run's context.
	drainGrace = 2 * time.Second
)

// Subscription follows one category. Make one with [NewSubscription] for a
// component's handlers or with [NewProjection] for view data, and run it with
// [Subscriptions].
type Subscription struct {
	name     string
	category Category
	worker   worker
	store    *Store
	group    Group
	handlers []Handler   // none for a projection
	lock     *lock       // nil for a projection, which locks its checkpoint
	away     bool        // this process only knows how it stands
	unsaved  atomic.Bool // there is a position worth saving when nothing is going on
	wake     chan struct{}
	log      *slog.Logger
	retryIn  func(attempt int) time.Duration
	limit    atomic.Int64 // the greatest global position that may be handled
	observe  func(Observation)

	mu      sync.Mutex
	status  Status
	changed chan struct{} // closed and replaced whenever the status changes
	ticked  bool          // a second has passed since the worker looked after itself
	active  context.CancelFunc
}

// worker is how a subscription remembers its position: a [consumer] in the store,
// a [projection] beside its rows.
type worker interface {
	// step handles the next messages; it reports whether more are likely. What it
	// could not handle it leaves for the next step, which tries again.
	step(ctx context.Context, s *Subscription) (more bool, err error)
	// release asks whoever is active to try a parked stream again; where skip is not nil,
	// after the message at that position, and only if it is the one that failed.
	release(ctx context.Context, stream Stream, skip *int64) error
	// saved returns what was saved last, by any process.
	saved(ctx context.Context) (read, error)
	// stop saves what there is to save.
	stop(ctx context.Context, s *Subscription) error
}

// lock makes one process at a time active. The LISTEN connection holds it, and
// takes it again after it was lost; taken counts how often.
type lock struct {
	name  string
	held  atomic.Bool
	taken atomic.Int64
}

func newSubscription(store *Store, name string, category Category, w worker) *Subscription {
	s := &Subscription{
		name: name, category: category, worker: w, store: store, log: slog.New(slog.DiscardHandler),
		wake: make(chan struct{}, 1), changed: make(chan struct{}),
		status: Status{Name: name, Category: category, State: Standby},
		retryIn: func(attempt int) time.Duration {
			return min(jitter(50*time.Millisecond<<min(attempt-1, 10)), 10*time.Second)
		},
	}
	s.limit.Store(unlimited)
	return s
}

// Name returns the subscription's name, unique in the system.
func (s *Subscription) Name() string { return s.name }

// Status returns the subscription as it stands now.
func (s *Subscription) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := s.status
	status.Parked = maps.Clone(status.Parked)
	return status
}

// Elsewhere leaves the work to other processes: this one only knows how it stands. It is
// called before Run.
func (s *Subscription) Elsewhere() {
	s.away = true
	s.set(func(status *Status) { status.Elsewhere = true })
}

// Release asks for another attempt at a parked stream, from any process: the
// active one tries its messages in order and unparks it when all went through.
func (s *Subscription) Release(ctx context.Context, stream Stream) error {
	if err := s.worker.release(ctx, stream, nil); err != nil {
		return fmt.Errorf("release %s for %s: %w", stream, s.name, err)
	}
	s.nudge()
	return nil
}

func (s *Subscription) run(ctx context.Context) {
	attempt := 0
	for ctx.Err() == nil {
		more, err := s.step(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			attempt++
			s.failed(err, attempt)
			pause(ctx, s.retryIn(attempt))
		case more:
			attempt = 0
		default:
			attempt = 0
			select {
			case <-s.wake:
			case <-ctx.Done():
			}
		}
	}
	s.set(func(status *Status) { status.State = Draining })
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := s.worker.stop(stopping, s); err != nil {
		s.log.Warn("position not saved; some messages will be handled again", "subscription", s.name, "error", ErrorText(err))
	}
}

// step runs the worker. What it has begun it may finish: the end of ctx only
// cancels it after a grace period, the loss of its lock at once.
func (s *Subscription) step(ctx context.Context) (bool, error) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		s.set(func(status *Status) { status.State = Draining })
		s.nudge()
		pause(work, drainGrace)
		cancel()
	})()
	s.mu.Lock()
	s.active = cancel
	s.mu.Unlock()
	return s.worker.step(work, s)
}

// draining tells a worker between two messages that it should stop there.
func (s *Subscription) draining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status.State == Draining
}

func (s *Subscription) failed(err error, attempt int) {
	text := firstLine(err)
	first := false
	s.set(func(status *Status) {
		first = status.LastError != text
		status.State, status.LastError = Retrying, text
		status.Retries++
	})
	if first || attempt%10 == 0 { // a database away for an hour is one line and not thousands
		s.log.Warn("subscription retries", "subscription", s.name, traced(traceID(err)), "attempt", attempt, "error", ErrorText(err))
	}
}

// progressed records the position after a step; it is the end of any error.
func (s *Subscription) progressed(position int64, handled int, parked map[Stream]ParkedStream, more bool) {
	s.set(func(status *Status) { status.progressed(position, handled, parked, more) })
}

func (status *Status) progressed(position int64, handled int, parked map[Stream]ParkedStream, more bool) {
	status.Position, status.LastError = position, ""
	status.Head = max(status.Head, position)
	status.Handled += int64(handled)
	status.Parked = maps.Clone(parked)
	if position >= status.Head {
		status.LagMessages, status.LagSeconds = 0, 0
	}
	switch {
	case status.State == Draining:
	case status.Paused:
		status.State = Paused
	case more:
		status.State = CatchingUp
	case len(parked) > 0:
		status.State = Parked
	default:
		status.State = Live
	}
}

func (s *Subscription) standby(position int64, parked map[Stream]ParkedStream) {
	s.set(func(status *Status) {
		status.State, status.Position, status.Parked, status.LastError = Standby, position, maps.Clone(parked), ""
	})
}

func (s *Subscription) set(change func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.status)
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Subscription) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// takeTick reports once whether a second has passed.
func (s *Subscription) takeTick() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	ticked := s.ticked
	s.ticked = false
	return ticked
}

func (s *Subscription) head() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status.Head
}

// reach waits until the position is at least that of a message.
func (s *Subscription) reach(ctx context.Context, position int64) error {
	for {
		s.mu.Lock()
		at, changed := s.status.Position, s.changed
		s.mu.Unlock()
		if at >= position {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s is at %d of %d: %w", s.name, at, position, ctx.Err())
		}
	}
}

// Subscriptions runs all subscriptions of a process on one LISTEN connection to
// the database of the store. That connection also asks for the heads of all
// categories once a second, so that a lost notification costs a second, and holds
// the locks of the subscriptions of which only one process may be active.
type Subscriptions struct {
	listener Listener
	log      *slog.Logger
	all      []*Subscription

	watch      func()
	controls   chan struct{} // capacity 1: there may be something that steers them
	controlled atomic.Int64  // up to this global position it is obeyed
}

// NewSubscriptions returns the subscriptions of a process, to be run together.
// config leads to the database of the store, past any pooler; a nil logger logs
// nothing.
func NewSubscriptions(config *pgx.ConnConfig, log *slog.Logger, all ...*Subscription) *Subscriptions {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Subscriptions{log: log, all: all, controls: make(chan struct{}, 1)}
	for _, sub := range all {
		sub.log = log
	}
	s.listener = Listener{Config: config, Channel: "messages", Notified: s.notified, Connected: s.connected, Tick: s.tick, Disconnected: s.disconnected}
	return s
}

// Watch has f called whenever there may be new messages, and once a second. It stands
// before Run; f must not block.
func (s *Subscriptions) Watch(f func()) { s.watch = f }

// Run runs until ctx ends; then each subscription finishes the message it has
// begun and saves its position. It returns nil.
func (s *Subscriptions) Run(ctx context.Context) error {
	// The connection outlives the subscriptions: it holds their locks while they drain.
	listening, stop := context.WithCancel(context.WithoutCancel(ctx))
	listened := make(chan struct{})
	go func() { defer close(listened); s.listener.Run(listening) }()
	var running sync.WaitGroup
	if len(s.all) > 0 {
		begun := make(chan struct{})
		running.Go(func() { s.obeyControls(ctx, begun) })
		select { // one that is paused does not run for a moment first
		case <-begun:
		case <-ctx.Done():
		}
	}
	for _, sub := range s.all {
		running.Go(func() { sub.run(ctx) })
	}
	running.Wait()
	stop()
	<-listened
	return nil
}

// Status returns all subscriptions as they stand now.
func (s *Subscriptions) Status() []Status {
	all := make([]Status, len(s.all))
	for i, sub := range s.all {
		all[i] = sub.Status()
	}
	return all
}

// Listening returns the state of the LISTEN connection.
func (s *Subscriptions) Listening() ListenerStatus { return s.listener.Status() }

// CaughtUp waits until every subscription has passed every message that is in
// the store now; while the database is away it waits for that too.
func (s *Subscriptions) CaughtUp(ctx context.Context, store *Store) error {
	for _, sub := range s.all {
		head, err := store.head(ctx, sub.category)
		for err != nil && IsTransient(err) && ctx.Err() == nil {
			pause(ctx, jitter(20*time.Millisecond))
			head, err = store.head(ctx, sub.category)
		}
		if err != nil {
			return err
		}
		if err := sub.reach(ctx, head); err != nil {
			return err
		}
	}
	return nil
}

func (s *Subscriptions) notified(payload string) {
	category := payload[:max(strings.LastIndexByte(payload, ' '), 0)]
	for _, sub := range s.all {
		if string(sub.category) == category || sub.category == "" {
			sub.nudge()
		}
	}
	if category == string(ControlCategory) {
		s.wakeControls()
	}
	if s.watch != nil {
		s.watch()
	}
}

func (s *Subscriptions) wakeControls() {
	select {
	case s.controls <- struct{}{}:
	default:
	}
}

func (s *Subscriptions) connected() {
	s.log.Info("listening for messages", "subscriptions", len(s.all))
	for _, sub := range s.all {
		sub.nudge()
	}
	s.wakeControls()
}

// disconnected ends what the lost locks protected: somebody else may be active now.
func (s *Subscriptions) disconnected() {
	s.log.Warn("the connection that listens for messages is lost")
	for _, sub := range s.all {
		if sub.lock != nil {
			sub.lock.held.Store(false)
			sub.mu.Lock()
			if sub.active != nil {
				sub.active()
			}
			sub.mu.Unlock()
		}
		sub.nudge()
	}
}

// tick asks for heads and lags of all subscriptions and for the locks not held
// yet, and wakes whoever has something to do.
func (s *Subscriptions) tick(ctx context.Context, conn *pgx.Conn) error {
	if err := s.takeLocks(ctx, conn); err != nil {
		return err
	}
	if s.watch != nil {
		s.watch()
	}
	categories, positions := make([]string, len(s.all)), make([]int64, len(s.all))
	for i, sub := range s.all {
		status := sub.Status()
		categories[i], positions[i] = string(status.Category), status.Position
	}
	categories, positions = append(categories, string(ControlCategory)), append(positions, s.controlled.Load())
	// The order by both columns of messages_category keeps the planner from walking
	// the primary key through all other categories. The empty category is all of them.
	rows, err := conn.Query(ctx, `
		SELECT CASE s.category WHEN '' THEN (SELECT coalesce(max(global_position), 0) FROM message_store.messages) ELSE
		         coalesce((SELECT m.global_position FROM message_store.messages m WHERE message_store.category(m.stream_name) = s.category
		         ORDER BY message_store.category(m.stream_name) DESC, m.global_position DESC LIMIT 1), 0) END,
		       CASE s.category WHEN '' THEN (SELECT count(*) FROM (SELECT FROM message_store.messages m WHERE m.global_position > s.position
		         ORDER BY m.global_position LIMIT 10000) waiting) ELSE
		         (SELECT count(*) FROM (SELECT FROM message_store.messages m WHERE message_store.category(m.stream_name) = s.category
		         AND m.global_position > s.position ORDER BY message_store.category(m.stream_name), m.global_position LIMIT 10000) waiting) END,
		       coalesce(CASE s.category WHEN '' THEN (SELECT extract(epoch FROM (now() AT TIME ZONE 'utc') - m.time) FROM message_store.messages m
		         WHERE m.global_position > s.position ORDER BY m.global_position LIMIT 1) ELSE
		         (SELECT extract(epoch FROM (now() AT TIME ZONE 'utc') - m.time) FROM message_store.messages m WHERE message_store.category(m.stream_name) = s.category
		         AND m.global_position > s.position ORDER BY message_store.category(m.stream_name), m.global_position LIMIT 1) END, 0)::float8
		FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS s(category, position, n) ORDER BY s.n`, categories, positions)
	if err != nil {
		return fmt.Errorf("heads of categories: %w", err)
	}
	i := 0
	var head, waiting int64
	var age float64
	_, err = pgx.ForEachRow(rows, []any{&head, &waiting, &age}, func() error {
		if i == len(s.all) {
			if waiting > 0 {
				s.wakeControls()
			}
			return nil
		}
		sub := s.all[i]
		i++
		sub.mu.Lock()
		status := &sub.status
		if head > status.Head || status.Position < head {
			status.Head = max(head, status.Head)
			close(sub.changed)
			sub.changed = make(chan struct{})
		}
		if status.Position == positions[i-1] { // it has not moved since it was asked about
			status.LagMessages, status.LagSeconds = waiting, max(age, 0)
		}
		sub.ticked = true
		due := status.Position < head || len(status.Parked) > 0
		sub.mu.Unlock()
		if due || sub.unsaved.Load() {
			sub.nudge()
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("heads of categories: %w", err)
	}
	return nil
}

func (s *Subscriptions) takeLocks(ctx context.Context, conn *pgx.Conn) error {
	var wanted []string
	for _, sub := range s.all {
		if sub.lock != nil && !sub.away && !sub.lock.held.Load() {
			wanted = append(wanted, sub.lock.name)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	// Two integers: Message DB itself locks categories by one bigint.
	rows, err := conn.Query(ctx, `SELECT name FROM unnest($1::text[]) AS name WHERE pg_try_advisory_lock(hashtext('subscription'), hashtext(name))`, wanted)
	if err != nil {
		return fmt.Errorf("take the locks of subscriptions: %w", err)
	}
	taken, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("take the locks of subscriptions: %w", err)
	}
	for _, sub := range s.all {
		if sub.lock != nil && slices.Contains(taken, sub.lock.name) {
			sub.lock.taken.Add(1)
			sub.lock.held.Store(true)
			sub.nudge()
		}
	}
	return nil
}

func firstLine(err error) string {
	text, _, _ := strings.Cut(ErrorText(err), "\n")
	// It is kept as JSON in Postgres, which takes no NUL.
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "�"), "\x00", "")
	return text[:min(len(text), mostErrorText)]
}
