package messagestore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// RebuiltChannel is the channel of the view data on which a switch notifies the name of
// what was rebuilt. Rows may have changed in any of its topics: every page that shows one
// asks what changed after its version.
const RebuiltChannel = "rebuilt"

var (
	// ErrNoRebuild is returned for a name that nothing is rebuilt by, and where there is
	// no rebuild under way.
	ErrNoRebuild = errors.New("no such rebuild is under way")
	// ErrRebuilding is returned by [Rebuilds.Start] while the same is being rebuilt.
	ErrRebuilding = errors.New("it is being rebuilt already")
	// ErrNotReady is returned by [Rebuilds.Switch] and [Rebuilds.Compare] before a rebuild
	// has read all messages and been compared, and while it already does as it was asked.
	ErrNotReady = errors.New("the rebuild is not ready for that")
)

// RebuildPhase is how far a rebuild is.
type RebuildPhase string

const (
	// RebuildReading: it reads the messages from the first one on.
	RebuildReading RebuildPhase = "reading"
	// RebuildReady: it has read all of them and follows along until it is switched to.
	RebuildReady RebuildPhase = "ready"
	// RebuildSwitching: the rows that are served become those of the rebuild.
	RebuildSwitching RebuildPhase = "switching"
	// RebuildDone: they have.
	RebuildDone RebuildPhase = "done"
	// RebuildCancelled: somebody ended it, or the process was stopped; nothing has changed.
	RebuildCancelled RebuildPhase = "cancelled"
	// RebuildFailed: it could not go on; nothing has changed.
	RebuildFailed RebuildPhase = "failed"
	// RebuildInterrupted: its process is gone, or cannot reach the view data. Nothing has
	// changed; [Rebuilds.Cancel] or the next Start removes what it left.
	RebuildInterrupted RebuildPhase = "interrupted"
)

// Rebuild is one projection, or several that share a table and are rebuilt together, with
// the rebuild under way or the last one that there was.
type Rebuild struct {
	// Name is that of the first of the projections.
	Name string
	// Projections and Tables are what is rebuilt.
	Projections []RebuildProjection
	Tables      []RebuildTable
	// Phase is empty where there never was a rebuild.
	Phase RebuildPhase
	// By is who started it, as [Rebuilds.Start] was told.
	By string
	// Began is when; Ended is zero while it is under way.
	Began, Ended time.Time
	// Position is up to which global position it has read; Target is where the rows that
	// are served stand. Where several projections are rebuilt both are sums.
	Position, Target int64
	// Messages is how many it has read, Rate how many a second of late.
	Messages int64
	Rate     float64
	// Left is how long it will read at this rate; negative while that is not known.
	Left time.Duration
	// Parked are the streams that the rebuild had to set aside, in all its projections. They
	// stay parked after the switch.
	Parked map[Stream]ParkedStream
	// Difference is that between the rows that are served and those of the rebuild, from
	// when it is ready until it ends. After a switch it says how many rows changed, without
	// examples.
	Difference *RebuildDifference
	// Error is what holds it up, or why it failed.
	Error string
}

// RebuildProjection is one of the projections of a [Rebuild].
type RebuildProjection struct {
	Name string
	// Position is the global position up to which its rows that are served are.
	Position int64
}

// RebuildTable is one of the tables of a [Rebuild].
type RebuildTable struct {
	Name string
	// Rows is how many there are. Beyond 10,000 they are not counted: then it is what Postgres
	// estimates since it last looked, and Estimated says so.
	Rows      int64
	Estimated bool
}

// UnderWay reports whether a rebuild has begun and not ended, be it interrupted.
func (r Rebuild) UnderWay() bool {
	switch r.Phase {
	case RebuildReading, RebuildReady, RebuildSwitching, RebuildInterrupted:
		return true
	}
	return false
}

// Percent is how much of what there is to read has been read, from 0 to 100.
func (r Rebuild) Percent() float64 {
	switch {
	case r.Phase == RebuildDone || r.Phase != "" && r.Position >= r.Target:
		return 100
	case r.Target == 0:
		return 0
	}
	return 100 * float64(r.Position) / float64(r.Target)
}

// RebuildDifference is what a switch changes.
type RebuildDifference struct {
	// At is when the rows were compared, all at the same positions.
	At     time.Time         `json:"at"`
	Tables []TableDifference `json:"tables"`
}

// Rows returns how many rows differ.
func (d RebuildDifference) Rows() (n int64) {
	for _, t := range d.Tables {
		n += t.OnlyOld + t.OnlyNew + t.Changed
	}
	return n
}

// TableDifference is what a switch changes in one table. The column "version" is left out
// of the comparison: it counts transactions, of which a rebuild has others.
type TableDifference struct {
	Table string `json:"table"`
	// Old is how many rows are served, New how many the rebuild has.
	Old int64 `json:"old"`
	New int64 `json:"new"`
	// OnlyOld is how many of them only the old have, by primary key, OnlyNew only the new;
	// Changed is how many differ in another column.
	OnlyOld int64 `json:"onlyOld"`
	OnlyNew int64 `json:"onlyNew"`
	Changed int64 `json:"changed"`
	// Examples are the first 50 of these in the order of the key.
	Examples []RowDifference `json:"examples,omitempty"`
}

// RowDifference is one row that differs. Values are as in JSON; nil stands for a row that
// is not there.
type RowDifference struct {
	Key     []ColumnDifference `json:"key"`
	OnlyOld bool               `json:"onlyOld,omitempty"`
	OnlyNew bool               `json:"onlyNew,omitempty"`
	// Columns are those that differ; all where the row is on one side only.
	Columns []ColumnDifference `json:"columns"`
}

// ColumnDifference is a column of a row in both versions.
type ColumnDifference struct {
	Column string          `json:"column"`
	Old    json.RawMessage `json:"old,omitempty"`
	New    json.RawMessage `json:"new,omitempty"`
}

// Rebuilds makes the rows of projections anew from the messages while the site serves the
// old ones. It applies all messages to copies of the tables in a schema of their own, which
// comes first in the search path of its connection, and tells nobody: topics are not
// notified, components are not involved. When it is told to switch, one transaction makes
// the rows that are served equal to the copies: whoever reads sees all as before or all anew,
// and nobody waits.
//
// A rebuild belongs to the process that was asked to start it, which holds an advisory lock
// on a connection to the view data, past any pooler. Any other process can follow it, switch
// and cancel. It survives a restart of Postgres, but not that of its process.
//
// The view data needs the table
//
//	rebuild (name text PRIMARY KEY, run uuid NOT NULL, phase text NOT NULL, wanted text NOT NULL DEFAULT '',
//	         started_by text NOT NULL, started_at timestamptz NOT NULL DEFAULT now(), ended_at timestamptz,
//	         position bigint NOT NULL DEFAULT 0, target bigint NOT NULL DEFAULT 0, messages bigint NOT NULL DEFAULT 0,
//	         rate double precision NOT NULL DEFAULT 0, seconds_left double precision,
//	         parked jsonb NOT NULL DEFAULT '{}', difference jsonb, error text NOT NULL DEFAULT '')
//
// and a user who may create schemas. Tables need a primary key; what Apply writes it names
// without a schema.
type Rebuilds struct {
	store   *Store
	views   *pgxpool.Pool
	log     *slog.Logger
	groups  []group
	started chan *rebuilding
}

// group is what has to be rebuilt together.
type group struct {
	name        string
	projections []ProjectionConfig
	tables      []string
}

// NewRebuilds returns the rebuilds of those of the subscriptions that are projections; views
// leads to their view data. A nil logger logs nothing.
func NewRebuilds(store *Store, views *pgxpool.Pool, log *slog.Logger, all ...*Subscription) *Rebuilds {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	r := &Rebuilds{store: store, views: views, log: log, started: make(chan *rebuilding)}
	for _, s := range all {
		if p, ok := s.worker.(*projection); ok && len(p.config.Tables) > 0 {
			r.add(p.config)
		}
	}
	return r
}

// add takes all groups that share a table with a projection, and the projection, together.
func (r *Rebuilds) add(p ProjectionConfig) {
	joined, at := group{name: p.Name}, -1
	var others []group
	for _, g := range r.groups {
		if !slices.ContainsFunc(g.tables, func(t string) bool { return slices.Contains(p.Tables, t) }) {
			others = append(others, g)
			continue
		}
		if at < 0 {
			at, joined.name = len(others), g.name
		}
		joined.projections = append(joined.projections, g.projections...)
		joined.tables = append(joined.tables, g.tables...)
	}
	joined.projections = append(joined.projections, p)
	for _, t := range p.Tables {
		if !slices.Contains(joined.tables, t) {
			joined.tables = append(joined.tables, t)
		}
	}
	if at < 0 {
		at = len(others)
	}
	r.groups = slices.Insert(others, at, joined)
}

// Tables returns all tables that can be rebuilt, in the order in which the projections were given.
func (r *Rebuilds) Tables() (all []string) {
	for _, g := range r.groups {
		all = append(all, g.tables...)
	}
	return all
}

// Tables returns the tables of the view data that a projection writes; nil for a component.
func (s *Subscription) Tables() []string {
	if p, ok := s.worker.(*projection); ok {
		return p.config.Tables
	}
	return nil
}

// Run does what is started until ctx ends; then it ends what is under way. It returns nil.
func (r *Rebuilds) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		select {
		case b := <-r.started:
			running.Go(func() { b.work(ctx) })
		case <-ctx.Done():
			return nil
		}
	}
}

// Start begins to rebuild a projection, or all of those that share a table with it, in this
// process. by says who asked for it. It fails with [ErrRebuilding] while that is going on in
// any process, and removes what an interrupted one left.
func (r *Rebuilds) Start(ctx context.Context, name, by string) error {
	g, err := r.group(name)
	if err != nil {
		return err
	}
	b := r.rebuilding(g, NewID())
	if err := b.connect(ctx); err != nil {
		return fmt.Errorf("rebuild %s: %w", g.name, err)
	}
	if err := b.prepare(ctx, by); err != nil {
		b.disconnect()
		return fmt.Errorf("rebuild %s: %w", g.name, err)
	}
	select {
	case r.started <- b:
		r.log.Info("rebuild started", "projection", g.name)
		return nil
	case <-ctx.Done():
		b.end(RebuildCancelled, nil)
		return ctx.Err()
	}
}

// Compare has the difference made again, which is as old as [RebuildDifference] says.
func (r *Rebuilds) Compare(ctx context.Context, name string) error {
	return r.want(ctx, name, "compare")
}

// Switch has the rows that are served made equal to those of the rebuild. It returns when
// that has been asked for; how it went the phase tells: done, or ready again with an error.
func (r *Rebuilds) Switch(ctx context.Context, name string) error {
	return r.want(ctx, name, "switch")
}

func (r *Rebuilds) want(ctx context.Context, name, what string) error {
	g, err := r.group(name)
	if err != nil {
		return err
	}
	tag, err := r.views.Exec(ctx, `UPDATE rebuild SET wanted = $2 WHERE name = $1 AND phase = 'ready' AND difference IS NOT NULL AND wanted = '' AND `+locked, g.name, what)
	if err != nil {
		return fmt.Errorf("%s the rebuild of %s: %w", what, g.name, err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("%s the rebuild of %s: %w", what, g.name, ErrNotReady)
	}
	return nil
}

// Cancel ends a rebuild at any time before its switch is committed; the rows that are served
// stay as they are. It removes what an interrupted one left. [ErrNoRebuild] says that nothing
// is under way, perhaps because the switch was quicker.
func (r *Rebuilds) Cancel(ctx context.Context, name string) error {
	g, err := r.group(name)
	if err != nil {
		return err
	}
	var run string
	err = r.views.QueryRow(ctx, `UPDATE rebuild SET wanted = 'cancel' WHERE name = $1 AND phase IN ('reading', 'ready', 'switching') RETURNING run`, g.name).Scan(&run)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNoRebuild
	}
	if err != nil {
		return fmt.Errorf("cancel the rebuild of %s: %w", g.name, err)
	}
	b := r.rebuilding(g, run)
	err = b.connect(ctx)
	if errors.Is(err, ErrRebuilding) { // a process is at it, and will see
		return nil
	}
	if err == nil {
		err = b.remove(ctx, RebuildCancelled, nil)
		b.disconnect()
	}
	if err != nil {
		return fmt.Errorf("cancel the rebuild of %s: %w", g.name, err)
	}
	return nil
}

func (r *Rebuilds) group(name string) (group, error) {
	for _, g := range r.groups {
		if slices.ContainsFunc(g.projections, func(p ProjectionConfig) bool { return p.Name == name }) {
			return g, nil
		}
	}
	return group{}, fmt.Errorf("%q: %w", name, ErrNoRebuild)
}

// locked is true for a row of the table rebuild that a process is at.
const locked = `EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
	AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
	AND l.classid = hashtext('rebuild')::oid AND l.objid = hashtext(rebuild.name)::oid)`

// All returns all that can be rebuilt, in the order in which the projections were given.
func (r *Rebuilds) All(ctx context.Context) ([]Rebuild, error) { return r.read(ctx, r.groups) }

// Of returns the one that a projection belongs to.
func (r *Rebuilds) Of(ctx context.Context, name string) (Rebuild, error) {
	g, err := r.group(name)
	if err != nil {
		return Rebuild{}, err
	}
	all, err := r.read(ctx, []group{g})
	if err != nil {
		return Rebuild{}, err
	}
	return all[0], nil
}

func (r *Rebuilds) read(ctx context.Context, groups []group) ([]Rebuild, error) {
	all := make([]Rebuild, len(groups))
	var batch pgx.Batch
	for i, g := range groups {
		one := &all[i]
		one.Name, one.Left = g.name, -1
		one.Projections, one.Tables = make([]RebuildProjection, len(g.projections)), make([]RebuildTable, len(g.tables))
		for j, config := range g.projections {
			p := &one.Projections[j]
			p.Name = config.Name
			batch.Queue(`SELECT coalesce((SELECT position FROM checkpoint WHERE name = $1), 0)`, p.Name).
				QueryRow(func(row pgx.Row) error { return row.Scan(&p.Position) })
		}
		for j, name := range g.tables {
			t := &one.Tables[j]
			t.Name = name
			table := pgx.Identifier{name}.Sanitize()
			batch.Queue(`SELECT n, n > 10000 FROM (SELECT CASE WHEN reltuples > 10000 THEN reltuples::bigint
				ELSE (SELECT count(*) FROM (SELECT FROM `+table+` LIMIT 10001) AS counted) END FROM pg_class WHERE oid = $1::regclass) AS t (n)`, table).
				QueryRow(func(row pgx.Row) error { return row.Scan(&t.Rows, &t.Estimated) })
		}
		batch.Queue(`SELECT CASE WHEN phase IN ('reading', 'ready', 'switching') AND NOT `+locked+` THEN 'interrupted' ELSE phase END,
			started_by, started_at, ended_at, position, target, messages, rate, seconds_left, parked, difference, error FROM rebuild WHERE name = $1`, one.Name).
			QueryRow(one.scan)
	}
	if err := r.views.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, fmt.Errorf("read the rebuilds: %w", err)
	}
	return all, nil
}

func (r *Rebuild) scan(row pgx.Row) error {
	var ended *time.Time
	var left *float64
	err := row.Scan(&r.Phase, &r.By, &r.Began, &ended, &r.Position, &r.Target, &r.Messages, &r.Rate, &left, &r.Parked, &r.Difference, &r.Error)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if ended != nil {
		r.Ended = *ended
	}
	if left != nil {
		r.Left = time.Duration(*left * float64(time.Second))
	}
	return err
}
