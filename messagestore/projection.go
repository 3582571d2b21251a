package messagestore

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ProjectionConfig is what [NewProjection] needs to know.
type ProjectionConfig struct {
	// Name is the projection's name and that of its row in the table checkpoint.
	Name string
	// Category is the category that the projection follows; empty is all messages, in the
	// order of their global positions and without a hole.
	Category Category
	// Tables are the tables of the view data that Apply writes.
	Tables []string
	// Apply brings the rows up to date with a batch, in the transaction that also
	// moves the checkpoint, and returns the topics of what it changed: each is sent
	// on the channel "views" as "<topic> <version>" when the transaction commits.
	// It should fold the batch and write the net changes.
	Apply func(ctx context.Context, tx pgx.Tx, b Batch) (topics []string, err error)
	// Limit is the greatest number of messages in a batch; 0 is 5,000.
	Limit int
	// WithoutData says that Apply needs no bodies; it is for projections over all messages.
	WithoutData bool
}

// Batch is what a projection applies in one transaction.
type Batch struct {
	// Messages are in the order of their global positions.
	Messages []Raw
	// Version is the version of the view data that this transaction makes: it counts
	// the transactions of the projection that changed a topic. A row that remembers it can be found by "what
	// changed after version N", also when a released stream or a rebuild changed it
	// without any new message.
	Version int64
}

// NewProjection returns a subscription that keeps view data. Rows and checkpoint
// are written in one transaction that holds the checkpoint's row lock: each
// message counts exactly once, whatever dies and however many processes run the
// same projection. views is a pool of connections to the view data, which needs
// the table
//
//	checkpoint (name text PRIMARY KEY, position bigint NOT NULL DEFAULT 0, version bigint NOT NULL DEFAULT 0,
//	            parked jsonb NOT NULL DEFAULT '{}', skipped jsonb NOT NULL DEFAULT '{}', updated_at timestamptz NOT NULL DEFAULT now())
func NewProjection(store *Store, views *pgxpool.Pool, c ProjectionConfig) *Subscription {
	if c.Limit == 0 {
		c.Limit = 5 * pageSize
	}
	s := newSubscription(store, c.Name, c.Category, &projection{store: store, views: views, config: c})
	s.status.Projection = true
	return s
}

type projection struct {
	store  *Store
	views  *pgxpool.Pool
	config ProjectionConfig

	all     *AllReader // of a projection over all messages
	created bool
	// skipped are messages that a rebuild leaves out; the projection itself is past them.
	skipped map[Stream][]int64
	// careful: a batch has failed, so its messages are applied one by one, each
	// under a savepoint, to find the one that is wrong.
	careful  bool
	failing  int64 // global position of the message that failed last
	attempts int   // at that message
	// ahead holds the batch after a full one: it is read while that one is applied.
	ahead     chan readAhead
	dropAhead context.CancelFunc
}

type readAhead struct {
	from  int64
	batch []Raw
	err   error
}

func (p *projection) stop(context.Context, *Subscription) error {
	if p.dropAhead != nil {
		p.dropAhead()
	}
	return nil
}

// checkpoint is the projection's row while a transaction works on it.
type checkpoint struct {
	position int64
	version  int64 // that this transaction makes
	parked   map[Stream]ParkedStream
	topics   []string // in the order of the changes, each once
	changed  bool
	observed bool
	applied  []Raw // where observed
}

func (p *projection) step(ctx context.Context, s *Subscription) (more bool, err error) {
	if s.away {
		last, err := p.saved(ctx)
		if err == nil {
			s.standby(last.Position, last.Parked)
		}
		return false, err
	}
	began := time.Now()
	if err := p.create(ctx); err != nil {
		return false, err
	}
	tx, err := p.views.Begin(ctx)
	if err != nil {
		return false, fmt.Errorf("begin for %s: %w", p.config.Name, err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	at := checkpoint{observed: s.observe != nil}
	row := `SELECT position, version + 1, parked FROM checkpoint WHERE name = $1`
	err = tx.QueryRow(ctx, row+` FOR UPDATE SKIP LOCKED`, p.config.Name).Scan(&at.position, &at.version, &at.parked)
	if errors.Is(err, pgx.ErrNoRows) { // another process is at it
		err = tx.QueryRow(ctx, row, p.config.Name).Scan(&at.position, &at.version, &at.parked)
		p.created = !errors.Is(err, pgx.ErrNoRows)
		if err == nil {
			s.standby(at.position, at.parked)
		}
		return false, err
	}
	if err != nil {
		return false, fmt.Errorf("checkpoint of %s: %w", p.config.Name, err)
	}
	if s.past(at.position + 1) {
		s.progressed(at.position, 0, at.parked, false)
		return false, nil
	}
	if !s.paused() { // a step is one message
		if err := p.retryReleased(ctx, tx, &at); err != nil {
			return false, err
		}
	}
	batch, err := p.read(ctx, at.position+1)
	if err != nil {
		return false, err
	}
	more = len(batch) == p.config.Limit || p.config.Category == "" && len(batch) > 0 // a hole ends a batch of all
	if i := slices.IndexFunc(batch, func(m Raw) bool { return s.past(m.GlobalPosition) }); i >= 0 {
		batch, more = batch[:i], false
	}
	handled, failure := p.applyBatch(ctx, tx, s, batch, &at)
	if failure != nil && (handled == 0 && !at.changed || !p.careful || IsTransient(failure)) {
		return p.retryCarefully(s, failure)
	}
	if handled > 0 || at.changed {
		if err := p.save(ctx, tx, &at); err != nil {
			return false, err
		}
		if err := tx.Commit(ctx); err != nil {
			return false, fmt.Errorf("commit of %s: %w", p.config.Name, err)
		}
		if len(at.applied) > 0 {
			s.observe(Observation{Subscription: s.name, Messages: at.applied, Began: began, Ended: time.Now(), Projected: true, Topics: at.topics, Version: at.version})
		}
	}
	s.progressed(at.position, handled, at.parked, more)
	return more, failure
}

func (p *projection) read(ctx context.Context, from int64) (batch []Raw, err error) {
	var ahead readAhead
	if p.ahead != nil {
		select {
		case ahead = <-p.ahead:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		p.ahead = nil
	}
	if ahead.from == from && ahead.err == nil {
		batch = ahead.batch
	} else if batch, err = p.readFrom(ctx, from); err != nil {
		return nil, err
	}
	if len(batch) == p.config.Limit {
		result, next := make(chan readAhead, 1), batch[len(batch)-1].GlobalPosition+1
		reading, drop := context.WithCancel(context.WithoutCancel(ctx)) // outlives the step that begins it
		p.ahead, p.dropAhead = result, drop
		go func() {
			defer drop()
			batch, err := p.readFrom(reading, next)
			result <- readAhead{next, batch, err}
		}()
	}
	return batch, nil
}

func (p *projection) readFrom(ctx context.Context, from int64) ([]Raw, error) {
	if p.config.Category == "" {
		if p.all == nil || p.all.Position() != from-1 {
			p.all = p.store.All(from - 1)
			if p.config.WithoutData {
				p.all.WithoutData()
			}
		}
		return p.all.Next(ctx, p.config.Limit)
	}
	return p.store.ReadCategory(ctx, p.config.Category, CategoryQuery{From: from, Limit: p.config.Limit})
}

func (p *projection) create(ctx context.Context) error {
	if p.created {
		return nil
	}
	// View data that is made anew goes on above any version that it can have had: open
	// pages still know one, and there were never more versions than messages.
	head, err := p.store.head(ctx, p.config.Category)
	if err != nil {
		return err
	}
	_, err = p.views.Exec(ctx, `INSERT INTO checkpoint (name, version) VALUES ($1, $2) ON CONFLICT DO NOTHING`, p.config.Name, head)
	if err != nil {
		return fmt.Errorf("checkpoint of %s: %w", p.config.Name, err)
	}
	p.created = true
	return nil
}

// applyBatch applies a batch and moves the checkpoint behind it; it returns how
// many messages it has passed, which in a careful pass may be some of them with
// the error of the next.
func (p *projection) applyBatch(ctx context.Context, tx pgx.Tx, s *Subscription, batch []Raw, at *checkpoint) (int, error) {
	if len(batch) == 0 {
		return 0, nil
	}
	if !p.careful {
		due := make([]Raw, 0, len(batch))
		for _, m := range batch {
			if _, parked := at.parked[m.Stream]; !parked {
				due = append(due, m)
			}
		}
		if err := p.apply(ctx, tx, Batch{Messages: due, Version: at.version}, at); err != nil {
			return 0, err
		}
		at.position = batch[len(batch)-1].GlobalPosition
		return len(batch), nil
	}
	for i, m := range batch {
		if _, parked := at.parked[m.Stream]; !parked {
			if err := p.try(ctx, tx, s, m, at); err != nil {
				return i, err
			}
		}
		at.position = m.GlobalPosition
	}
	p.careful = false
	return len(batch), nil
}

// try applies one message; after too many attempts it parks the message's stream
// and reports success.
func (p *projection) try(ctx context.Context, tx pgx.Tx, s *Subscription, m Raw, at *checkpoint) error {
	err := p.apply(ctx, tx, Batch{Messages: []Raw{m}, Version: at.version}, at)
	if err == nil || IsTransient(err) {
		return err
	}
	if p.failing != m.GlobalPosition {
		p.failing, p.attempts = m.GlobalPosition, 0
	}
	p.attempts++
	if p.attempts < attemptsBeforeParking || len(at.parked) >= mostParked {
		return err
	}
	s.log.Error("stream parked", "subscription", p.config.Name, traced(m.traceID()), "message", m, "attempts", p.attempts, "error", ErrorText(err))
	at.park(m, ParkedStream{Position: m.Position, Error: firstLine(err), Attempts: p.attempts})
	return nil
}

func (at *checkpoint) park(m Raw, p ParkedStream) {
	if at.parked == nil {
		at.parked = map[Stream]ParkedStream{}
	}
	at.parked[m.Stream] = p
	at.changed = true
}

// apply runs Apply under a savepoint, so that what it wrote before an error is gone.
func (p *projection) apply(ctx context.Context, tx pgx.Tx, b Batch, at *checkpoint) (err error) {
	if len(b.Messages) == 0 {
		return nil
	}
	var topics []string
	protected := func(tx pgx.Tx) (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
			}
		}()
		topics, err = p.config.Apply(ctx, tx, b)
		return err
	}
	if p.careful {
		err = pgx.BeginFunc(ctx, tx, protected)
	} else {
		err = protected(tx)
	}
	if err != nil {
		err = fmt.Errorf("apply %d messages from %d: %w", len(b.Messages), b.Messages[0].GlobalPosition, err)
		if len(b.Messages) == 1 {
			return about(b.Messages[0], err)
		}
		return err
	}
	for _, t := range topics {
		if !slices.Contains(at.topics, t) {
			at.topics = append(at.topics, t)
		}
	}
	if at.observed {
		at.applied = append(at.applied, b.Messages...)
	}
	return nil
}

// retryCarefully decides what an error of a whole batch means: one that does not
// go away by itself is looked for message by message, at once.
func (p *projection) retryCarefully(s *Subscription, failure error) (more bool, err error) {
	if !p.careful && !IsTransient(failure) {
		s.log.Warn("a batch is applied message by message", "subscription", p.config.Name, "error", ErrorText(failure))
		p.careful = true
		return true, nil
	}
	return false, failure
}

// retryReleased applies the released streams' messages up to the checkpoint.
func (p *projection) retryReleased(ctx context.Context, tx pgx.Tx, at *checkpoint) error {
	for stream, parked := range at.parked {
		if !parked.Released {
			continue
		}
		delete(at.parked, stream)
		at.changed = true
		wasCareful := p.careful
		p.careful = true
		err := p.applyStream(ctx, tx, stream, parked, at)
		p.careful = wasCareful
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *projection) applyStream(ctx context.Context, tx pgx.Tx, stream Stream, parked ParkedStream, at *checkpoint) error {
	for m, err := range p.store.Read(ctx, stream, parked.Position) {
		if err != nil {
			return err
		}
		if m.GlobalPosition > at.position {
			return nil // the batches come to it
		}
		if slices.Contains(p.skipped[stream], m.Position) {
			continue
		}
		err = p.apply(ctx, tx, Batch{Messages: []Raw{m}, Version: at.version}, at)
		if IsTransient(err) {
			return err
		}
		if err != nil {
			attempts := 1
			if m.Position == parked.Position {
				attempts = parked.Attempts + 1
			}
			at.park(m, ParkedStream{Position: m.Position, Error: firstLine(err), Attempts: attempts})
			return nil
		}
	}
	return nil
}

// Versions returns the version of each projection's view data. conn leads to the
// view data.
func Versions(ctx context.Context, conn *pgx.Conn) (map[string]int64, error) {
	rows, err := conn.Query(ctx, `SELECT name, version FROM checkpoint`)
	if err != nil {
		return nil, fmt.Errorf("versions of view data: %w", err)
	}
	versions, name, version := map[string]int64{}, "", int64(0)
	_, err = pgx.ForEachRow(rows, []any{&name, &version}, func() error { versions[name] = version; return nil })
	if err != nil {
		return nil, fmt.Errorf("versions of view data: %w", err)
	}
	return versions, nil
}

func (p *projection) save(ctx context.Context, tx pgx.Tx, at *checkpoint) error {
	if at.parked == nil {
		at.parked = map[Stream]ParkedStream{}
	}
	if len(at.topics) == 0 {
		at.version--
	}
	var batch pgx.Batch
	batch.Queue(`UPDATE checkpoint SET position = $2, version = $3, parked = $4, updated_at = now() WHERE name = $1`, p.config.Name, at.position, at.version, at.parked)
	if len(at.topics) > 0 {
		batch.Queue(`SELECT pg_notify('views', topic || ' ' || $2::bigint) FROM unnest($1::text[]) AS topic`, at.topics, at.version)
	}
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("save the checkpoint of %s: %w", p.config.Name, err)
	}
	return nil
}

func (p *projection) release(ctx context.Context, stream Stream, skip *int64) error {
	_, err := p.views.Exec(ctx, `
		UPDATE checkpoint SET parked = jsonb_set(parked, ARRAY[$2::text], parked -> $2::text || '{"released": true}' ||
			CASE WHEN $3::bigint IS NULL THEN '{}' ELSE jsonb_build_object('position', $3::bigint + 1, 'attempts', 0) END),
			skipped = CASE WHEN $3::bigint IS NULL THEN skipped
				ELSE jsonb_set(skipped, ARRAY[$2::text], coalesce(skipped -> $2::text, '[]') || to_jsonb($3::bigint)) END
		WHERE name = $1 AND parked ? $2::text AND ($3::bigint IS NULL OR (parked -> $2::text ->> 'position')::bigint = $3::bigint)`,
		p.config.Name, string(stream), skip)
	return err
}

func (p *projection) saved(ctx context.Context) (at read, err error) {
	err = p.views.QueryRow(ctx, `SELECT position, parked FROM checkpoint WHERE name = $1`, p.config.Name).Scan(&at.Position, &at.Parked)
	if errors.Is(err, pgx.ErrNoRows) {
		return read{}, nil
	}
	return at, err
}
