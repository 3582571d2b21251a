package messagestore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

const (
	// How often a rebuild looks for new messages and for what is asked of it.
	rebuildEvery = 200 * time.Millisecond
	// How often it tells how far it is.
	rebuildTells = 250 * time.Millisecond
	// Over how long its speed is measured.
	rebuildSpeed = 5 * time.Second
	// How long it may take to remove what it made.
	rebuildGrace = 5 * time.Second
)

var (
	errCancelled  = errors.New("somebody cancelled the rebuild")
	errSuperseded = errors.New("the rebuild has ended already")
	errBehind     = errors.New("the projection itself reads its messages anew and is behind its rebuild")
	errNotApplied = errors.New("a message cannot be applied")
)

// rebuilding is a rebuild under way, in the process that does it.
type rebuilding struct {
	*Rebuilds
	group   group
	run     string
	schema  string // of the copies
	shadows []*shadow
	tables  []rebuildTable
	// checkpoints and state name the tables that are served, whatever the search path.
	checkpoints, state string

	conn   *pgx.Conn // holds the lock; its search path begins with the copies
	phase  RebuildPhase
	wanted atomic.Value // the string that somebody asked for
	wake   chan struct{}

	messages int64
	target   int64
	trouble  string // what holds it up
	samples  []sample
	told     time.Time
}

// shadow is one projection of a rebuild. It applies batches as the real one does.
type shadow struct {
	*projection
	sub      *Subscription // that nobody runs
	position int64
	parked   map[Stream]ParkedStream
	heeded   bool // it is known what to skip
}

type sample struct {
	at                 time.Time
	messages, position int64
}

func (r *Rebuilds) rebuilding(g group, run string) *rebuilding {
	b := &rebuilding{Rebuilds: r, group: g, run: run, schema: "rebuild_" + g.name, phase: RebuildReading, wake: make(chan struct{}, 1)}
	b.wanted.Store("")
	for _, config := range g.projections {
		p := &projection{store: r.store, config: config}
		sub := newSubscription(r.store, config.Name, config.Category, p)
		sub.log = r.log.With("rebuild", true)
		b.shadows = append(b.shadows, &shadow{projection: p, sub: sub})
	}
	return b
}

// connect opens the connection of the rebuild and takes its lock, or fails with
// [ErrRebuilding].
func (b *rebuilding) connect(ctx context.Context) (err error) {
	config := b.views.Config().ConnConfig
	config.RuntimeParams["application_name"] += " rebuild"
	config.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler { // else the server would finish what was cancelled
		return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: time.Second}
	}
	if b.conn, err = pgx.ConnectConfig(ctx, config); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() {
		if err != nil {
			b.disconnect()
		}
	}()
	var mine bool
	if err := b.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtext('rebuild'), hashtext($1))`, b.group.name).Scan(&mine); err != nil {
		return fmt.Errorf("take the lock: %w", err)
	}
	if !mine {
		return ErrRebuilding
	}
	if err := b.describe(ctx); err != nil {
		return err
	}
	// Rows are compared as long as it takes. A plan that was made for a copy without rows
	// would read all of it again for each batch. What a crash of Postgres takes of the
	// copies it takes of their checkpoint too.
	_, err = b.conn.Exec(ctx, `SELECT set_config('search_path', quote_ident($1) || ', ' || current_setting('search_path'), false),
		set_config('statement_timeout', '0', false), set_config('plan_cache_mode', 'force_custom_plan', false), set_config('synchronous_commit', 'off', false)`, b.schema)
	if err != nil {
		return fmt.Errorf("set the search path: %w", err)
	}
	return nil
}

// disconnect gives the lock back.
func (b *rebuilding) disconnect() {
	if b.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		b.conn.Close(ctx)
		b.conn = nil
	}
}

// prepare makes the copies, without rows, in place of what an interrupted rebuild left.
func (b *rebuilding) prepare(ctx context.Context, by string) error {
	names := b.names()
	return pgx.BeginFunc(ctx, b.conn, func(tx pgx.Tx) error {
		if err := b.drop(ctx, tx); err != nil {
			return err
		}
		statements := `CREATE SCHEMA ` + b.quoted() + `; CREATE TABLE ` + b.copyOf("checkpoint") + ` (LIKE ` + b.checkpoints + ` INCLUDING ALL)`
		for _, t := range b.tables {
			statements += `; CREATE TABLE ` + t.copied + ` (LIKE ` + t.served + ` INCLUDING ALL)`
		}
		if _, err := tx.Exec(ctx, statements); err != nil {
			return fmt.Errorf("make the schema %s: %w", b.schema, err)
		}
		tag, err := tx.Exec(ctx, `INSERT INTO `+b.copyOf("checkpoint")+` (name) SELECT name FROM `+b.checkpoints+` WHERE name = ANY($1)`, names)
		if err == nil && int(tag.RowsAffected()) != len(names) {
			err = errors.New("the projection has not run yet")
		}
		if err != nil {
			return fmt.Errorf("make the checkpoint: %w", err)
		}
		_, err = tx.Exec(ctx, `
			INSERT INTO `+b.state+` (name, run, phase, started_by) VALUES ($1, $2, 'reading', $3)
			ON CONFLICT (name) DO UPDATE SET run = excluded.run, phase = excluded.phase, wanted = '', started_by = excluded.started_by,
				started_at = now(), ended_at = NULL, position = 0, target = 0, messages = 0, rate = 0, seconds_left = NULL, parked = '{}', difference = NULL, error = ''`,
			b.group.name, b.run, by)
		if err != nil {
			return fmt.Errorf("write down the start: %w", err)
		}
		return nil
	})
}

func (b *rebuilding) names() (names []string) {
	for _, s := range b.shadows {
		names = append(names, s.config.Name)
	}
	return names
}

func (b *rebuilding) quoted() string { return pgx.Identifier{b.schema}.Sanitize() }

func (b *rebuilding) copyOf(table string) string { return pgx.Identifier{b.schema, table}.Sanitize() }

func (b *rebuilding) drop(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `DROP SCHEMA IF EXISTS `+b.quoted()+` CASCADE`); err != nil {
		return fmt.Errorf("remove the schema %s: %w", b.schema, err)
	}
	return nil
}

// work does the rebuild until it is switched to, cancelled, or ctx ends.
func (b *rebuilding) work(ctx context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() { defer close(watched); b.watch(ctx, cancel) }()
	defer func() { cancel(nil); <-watched }()
	for attempt := 0; ; {
		more, err := b.turn(ctx)
		switch cause := context.Cause(ctx); {
		case b.phase == RebuildDone, errors.Is(err, errSuperseded), errors.Is(cause, errSuperseded):
			b.disconnect()
			b.log.Info("rebuild ended", "projection", b.group.name, "phase", b.phase)
			return
		case errors.Is(cause, errCancelled), errors.Is(err, errCancelled):
			b.end(RebuildCancelled, nil)
			return
		case cause != nil:
			b.end(RebuildCancelled, errors.New("the process that did it was stopped"))
			return
		case err != nil && !IsTransient(err):
			b.end(RebuildFailed, err)
			return
		case err != nil:
			attempt++
			if attempt == 1 || attempt%10 == 0 {
				b.log.Warn("rebuild retries", "projection", b.group.name, "attempt", attempt, "error", ErrorText(err))
			}
			b.trouble = firstLine(err)
			b.tell(ctx, true)
			longest := 5 * time.Second
			if errors.Is(err, errNotApplied) { // no waiting mends that
				longest = 50 * time.Millisecond
			}
			pause(ctx, min(jitter(20*time.Millisecond<<min(attempt-1, 10)), longest))
		default:
			if attempt > 0 {
				attempt, b.trouble = 0, ""
			}
			if !more {
				b.rest(ctx)
			}
		}
	}
}

// rest waits until something may be new.
func (b *rebuilding) rest(ctx context.Context) {
	timer := time.NewTimer(rebuildEvery)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-b.wake:
	case <-ctx.Done():
	}
}

// watch looks what is asked of the rebuild. It does so beside the work, because a comparison
// of many rows takes long and can be cancelled all the same.
func (b *rebuilding) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(rebuildEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		var run, wanted string
		err := b.views.QueryRow(ctx, `SELECT run, wanted FROM rebuild WHERE name = $1`, b.group.name).Scan(&run, &wanted)
		switch {
		case err != nil: // the view data is away, and comes back
		case run != b.run:
			cancel(errSuperseded)
		case wanted == "cancel":
			cancel(errCancelled)
		case b.wanted.Swap(wanted) != wanted:
			select {
			case b.wake <- struct{}{}:
			default:
			}
		}
	}
}

// turn brings the copies one batch further; once there is none left it does what is asked.
func (b *rebuilding) turn(ctx context.Context) (more bool, err error) {
	if b.conn == nil || b.conn.IsClosed() {
		if err := b.reconnect(ctx); err != nil {
			return false, err
		}
	}
	targets, err := b.served(ctx, b.conn, "")
	if err != nil {
		return false, err
	}
	for i, s := range b.shadows {
		var further bool
		err := pgx.BeginFunc(ctx, b.conn, func(tx pgx.Tx) (err error) {
			further, err = s.advance(ctx, tx, b, targets[i])
			return err
		})
		if err != nil {
			return false, err
		}
		more = more || further
	}
	b.target = sum(targets)
	if err := b.tell(ctx, false); err != nil || more {
		return more, err
	}
	switch wanted := b.wanted.Load(); {
	case b.phase == RebuildReading, wanted == "compare":
		err = b.compare(ctx)
	case wanted == "switch":
		err = b.change(ctx)
	}
	return false, err
}

// reconnect goes on where a lost connection left off, unless the rebuild has ended since.
func (b *rebuilding) reconnect(ctx context.Context) error {
	b.conn = nil
	if err := b.connect(ctx); err != nil {
		if errors.Is(err, ErrRebuilding) { // Postgres has not missed the old connection yet, or somebody else is at it
			err = Transient(err)
		}
		return err
	}
	var current bool
	err := b.conn.QueryRow(ctx, `SELECT run = $2 AND phase IN ('reading', 'ready', 'switching') FROM `+b.state+` WHERE name = $1`, b.group.name, b.run).Scan(&current)
	if err != nil {
		return fmt.Errorf("read where the rebuild is: %w", err)
	}
	if !current {
		return errSuperseded
	}
	return nil
}

// served returns up to which positions the rows that are served are, in the order of the
// shadows.
func (b *rebuilding) served(ctx context.Context, q querier, lock string) ([]int64, error) {
	rows, err := q.Query(ctx, `SELECT position FROM `+b.checkpoints+` c JOIN unnest($1::text[]) WITH ORDINALITY AS w(name, n) USING (name) ORDER BY n `+lock, b.names())
	if err != nil {
		return nil, fmt.Errorf("positions of %s: %w", b.group.name, err)
	}
	positions, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err == nil && len(positions) != len(b.shadows) {
		err = Transient(errors.New("the checkpoint is gone"))
	}
	if err != nil {
		return nil, fmt.Errorf("positions of %s: %w", b.group.name, err)
	}
	return positions, nil
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// advance applies a batch to the copies, up to the position where the rows that are served
// stand and no further: whoever compares them needs both at the same one. Whatever there
// will ever be up to that position is there, be it of a category or of all.
func (s *shadow) advance(ctx context.Context, tx pgx.Tx, b *rebuilding, target int64) (more bool, err error) {
	var at checkpoint
	skipped := map[Stream][]int64{}
	err = tx.QueryRow(ctx, `
		SELECT c.position, c.version + 1, c.parked, live.skipped FROM checkpoint c JOIN `+b.checkpoints+` live USING (name) WHERE c.name = $1`,
		s.config.Name).Scan(&at.position, &at.version, &at.parked, &skipped)
	if err != nil {
		return false, fmt.Errorf("checkpoint of the rebuild of %s: %w", s.config.Name, err)
	}
	if err := s.heedSkips(ctx, tx, skipped, &at); err != nil {
		return false, err
	}
	s.position, s.parked = at.position, at.parked
	if at.position >= target {
		if at.changed {
			at.topics = nil
			err = s.save(ctx, tx, &at)
		}
		return false, err
	}
	limit := s.config.Limit
	batch, err := s.readUpTo(ctx, at.position+1, target, limit)
	if err != nil {
		return false, err
	}
	end := target
	if more = len(batch) == limit; more {
		end = batch[limit-1].GlobalPosition
	}
	read := len(batch)
	batch = slices.DeleteFunc(batch, func(m Raw) bool { return slices.Contains(s.skipped[m.Stream], m.Position) })
	handled, failure := s.applyBatch(ctx, tx, s.sub, batch, &at)
	if failure != nil && (handled == 0 && !at.changed || !s.careful || IsTransient(failure)) {
		if !IsTransient(failure) && (!s.careful || s.attempts <= attemptsBeforeParking) {
			s.careful = true
			failure = Transient(fmt.Errorf("%w: %w", errNotApplied, failure))
		}
		return false, failure
	}
	if failure == nil {
		at.position = end
	} else { // a batch up to the message that fails, which the next one begins with
		read, more = handled, true
	}
	at.topics = nil // nobody is told
	if err := s.save(ctx, tx, &at); err != nil {
		return false, err
	}
	s.position, s.parked = at.position, at.parked
	b.messages += int64(read)
	return more, nil
}

// readUpTo returns the next messages up to a position. The batch after a full one is read
// while that one is applied.
func (s *shadow) readUpTo(ctx context.Context, from, target int64, limit int) ([]Raw, error) {
	read := func(ctx context.Context, from int64) ([]Raw, error) {
		if s.config.Category == "" {
			return s.store.messages(ctx, `messages WHERE global_position >= $1 AND global_position <= $2 ORDER BY global_position LIMIT $3`, s.data(), from, target, limit)
		}
		return s.store.ReadCategory(ctx, s.config.Category, CategoryQuery{From: from, Limit: limit})
	}
	var ahead readAhead
	if s.ahead != nil {
		ahead = <-s.ahead // it ends with the context of the work
		s.ahead = nil
	}
	batch, err := ahead.batch, ahead.err
	if ahead.from != from || err != nil || len(batch) < limit { // there may be more by now
		batch, err = read(ctx, from)
	}
	if err != nil {
		return nil, fmt.Errorf("read for the rebuild of %s from %d: %w", s.config.Name, from, err)
	}
	if i := slices.IndexFunc(batch, func(m Raw) bool { return m.GlobalPosition > target }); i >= 0 {
		batch = batch[:i]
	}
	if len(batch) == limit {
		result, next := make(chan readAhead, 1), batch[limit-1].GlobalPosition+1
		s.ahead = result
		go func() {
			batch, err := read(ctx, next)
			result <- readAhead{next, batch, err}
		}()
	}
	return batch, nil
}

func (s *shadow) data() string {
	if s.config.WithoutData {
		return `NULL::jsonb AS data`
	}
	return `data`
}

// errSkipped says that somebody decided to leave out a message that the copy has applied.
var errSkipped = errors.New("a message was skipped that the copy has already applied: begin the rebuild again")

// heedSkips leaves out what the projection itself left out, because somebody decided so:
// from what is still to come, and from a stream that the copy has parked for it.
func (s *shadow) heedSkips(ctx context.Context, tx pgx.Tx, skipped map[Stream][]int64, at *checkpoint) error {
	for stream, positions := range skipped {
		for _, position := range positions {
			p, parked := at.parked[stream]
			if parked && p.Position == position {
				p.Position, p.Attempts, p.Released = position+1, 0, true
				at.parked[stream] = p
				continue
			}
			known := slices.Contains(s.skipped[stream], position)
			if known || !s.heeded || parked && p.Position < position {
				continue // the copy comes to it
			}
			m, err := s.store.At(ctx, stream, position)
			if err != nil {
				return err
			}
			if m.GlobalPosition <= at.position {
				return errSkipped
			}
		}
	}
	s.skipped, s.heeded = skipped, true
	return s.retryReleased(ctx, tx, at)
}

// tell writes down how far the rebuild is, every now and then.
func (b *rebuilding) tell(ctx context.Context, now bool) error {
	if !now && time.Since(b.told) < rebuildTells {
		return nil
	}
	b.told = time.Now()
	at := sample{at: b.told, messages: b.messages}
	parked := map[Stream]ParkedStream{}
	for _, s := range b.shadows {
		at.position += s.position
		maps.Copy(parked, s.parked)
	}
	rate, left := b.speed(at)
	_, err := b.views.Exec(ctx, `
		UPDATE rebuild SET position = $3, target = $4, messages = $5, rate = $6, seconds_left = $7, parked = $8, error = $9
		WHERE name = $1 AND run = $2 AND phase IN ('reading', 'ready', 'switching')
		  AND (position, target, messages, rate, seconds_left, parked, error) IS DISTINCT FROM ($3, $4, $5, $6, $7, $8, $9)`,
		b.group.name, b.run, at.position, b.target, b.messages, rate, left, parked, b.trouble)
	if err != nil {
		return fmt.Errorf("tell how far the rebuild of %s is: %w", b.group.name, err)
	}
	return nil
}

// speed returns how many messages a second were read of late, and in how many seconds the
// rest will be, nil where that is not known.
func (b *rebuilding) speed(now sample) (rate float64, left *float64) {
	b.samples = append(b.samples, now)
	for len(b.samples) > 2 && now.at.Sub(b.samples[0].at) > rebuildSpeed {
		b.samples = b.samples[1:]
	}
	first := b.samples[0]
	seconds := now.at.Sub(first.at).Seconds()
	if seconds <= 0 {
		return 0, nil
	}
	rate = float64(now.messages-first.messages) / seconds
	if positions := float64(now.position-first.position) / seconds; positions > 0 && b.phase == RebuildReading {
		rest := float64(max(b.target-now.position, 0)) / positions
		left = &rest
	}
	return rate, left
}

// end removes the copies and writes down how it went; the rows that are served are as they
// were. Where the view data is away for longer the rebuild is left interrupted.
func (b *rebuilding) end(phase RebuildPhase, cause error) {
	ctx, cancel := context.WithTimeout(context.Background(), rebuildGrace)
	defer cancel()
	defer b.disconnect()
	err := b.remove(ctx, phase, cause)
	for err != nil && IsTransient(err) && ctx.Err() == nil {
		pause(ctx, jitter(100*time.Millisecond))
		err = b.remove(ctx, phase, cause)
	}
	if err != nil && !errors.Is(err, errSuperseded) {
		b.log.Error("what a rebuild made is left behind", "projection", b.group.name, "schema", b.schema, "error", ErrorText(err))
		return
	}
	b.phase = phase
	b.log.Info("rebuild ended", "projection", b.group.name, "phase", phase, "cause", text(cause))
}

func (b *rebuilding) remove(ctx context.Context, phase RebuildPhase, cause error) error {
	if b.conn == nil || b.conn.IsClosed() {
		if err := b.reconnect(ctx); err != nil {
			return err
		}
	}
	return pgx.BeginFunc(ctx, b.conn, func(tx pgx.Tx) error {
		if err := b.drop(ctx, tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			UPDATE `+b.state+` SET phase = $3, ended_at = now(), wanted = '', difference = NULL, rate = 0, seconds_left = NULL, error = $4
			WHERE name = $1 AND run = $2 AND phase IN ('reading', 'ready', 'switching')`, b.group.name, b.run, phase, text(cause))
		if err != nil {
			return fmt.Errorf("write down the end: %w", err)
		}
		return nil
	})
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return firstLine(err)
}

func sum(all []int64) (n int64) {
	for _, one := range all {
		n += one
	}
	return n
}
