package messagestore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// versionColumn holds the version of the transaction that changed a row last. It is left out
// when rows are compared, and rows that a switch changes get that of the switch.
const versionColumn = "version"

// mostExamples is how many rows of a table a difference shows.
const mostExamples = 50

// rebuildTable is a table that is served and its copy.
type rebuildTable struct {
	name           string
	served, copied string   // with their schemas
	columns        []string // those that can be written
	types          []string
	key            []string
}

// describe finds out what the tables are, before the copies come first in the search path
// and once: the copies are of those that there were at the beginning.
func (b *rebuilding) describe(ctx context.Context) (err error) {
	if b.tables != nil {
		return nil
	}
	err = b.conn.QueryRow(ctx, `SELECT max(r) FILTER (WHERE relname = 'checkpoint'), max(r) FILTER (WHERE relname = 'rebuild') FROM
		(SELECT relname, format('%I.%I', nspname, relname) AS r FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE c.oid IN (to_regclass('checkpoint'), to_regclass('rebuild'))) t`).
		Scan(&b.checkpoints, &b.state)
	if err != nil {
		return fmt.Errorf("look for the tables checkpoint and rebuild: %w", err)
	}
	b.tables, err = b.describeTables(ctx)
	return err
}

func (b *rebuilding) describeTables(ctx context.Context) ([]rebuildTable, error) {
	names := b.group.tables
	rows, err := b.conn.Query(ctx, `
		SELECT t.name, format('%I.%I', n.nspname, c.relname) AS served,
		  ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum) AS columns,
		  ARRAY(SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum) AS types,
		  ARRAY(SELECT attname::text FROM pg_index i JOIN unnest(i.indkey) WITH ORDINALITY AS k(attnum, n) ON true JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
		        WHERE i.indrelid = c.oid AND i.indisprimary ORDER BY k.n) AS key
		FROM unnest($1::text[]) WITH ORDINALITY AS t(name, n)
		JOIN pg_class c ON c.oid = to_regclass(quote_ident(t.name)) JOIN pg_namespace n ON n.oid = c.relnamespace
		ORDER BY t.n`, names)
	if err != nil {
		return nil, fmt.Errorf("describe the tables: %w", err)
	}
	tables, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t rebuildTable, err error) {
		err = row.Scan(&t.name, &t.served, &t.columns, &t.types, &t.key)
		t.copied = b.copyOf(t.name)
		if err == nil && len(t.key) == 0 {
			err = fmt.Errorf("the table %s has no primary key", t.name)
		}
		return t, err
	})
	if err == nil && len(tables) != len(names) {
		err = fmt.Errorf("not all of the tables are there: %s", strings.Join(names, ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("describe the tables: %w", err)
	}
	return tables, nil
}

// reach applies messages to the copies until they are at the same positions as the rows that
// are served.
func (b *rebuilding) reach(ctx context.Context, tx pgx.Tx, targets []int64) error {
	for i, s := range b.shadows {
		for more := true; more; {
			var err error
			if more, err = s.advance(ctx, tx, b, targets[i]); err != nil {
				return err
			}
		}
		if s.position != targets[i] {
			return Transient(errBehind)
		}
	}
	return nil
}

// compare finds the difference, in a snapshot: the rows that are served stand at one
// position in it, while their projection goes on.
func (b *rebuilding) compare(ctx context.Context) error {
	if b.phase == RebuildReading { // the planner knows nothing of the copies yet
		for _, t := range b.tables {
			if _, err := b.conn.Exec(ctx, `ANALYZE `+t.copied); err != nil {
				return fmt.Errorf("analyze %s: %w", t.copied, err)
			}
		}
	}
	difference := RebuildDifference{}
	err := pgx.BeginTxFunc(ctx, b.conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		targets, err := b.served(ctx, tx, "")
		if err != nil {
			return err
		}
		difference.At = time.Now().UTC()
		if err := b.reach(ctx, tx, targets); err != nil {
			return err
		}
		for _, t := range b.tables {
			d, err := t.difference(ctx, tx)
			if err != nil {
				return fmt.Errorf("compare %s: %w", t.name, err)
			}
			difference.Tables = append(difference.Tables, d)
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.trouble = ""
	if err := b.tell(ctx, true); err != nil { // first: who sees that it is ready sees how it became so
		return err
	}
	_, err = b.views.Exec(ctx, `
		UPDATE rebuild SET phase = 'ready', difference = $3, wanted = CASE wanted WHEN 'compare' THEN '' ELSE wanted END
		WHERE name = $1 AND run = $2 AND phase IN ('reading', 'ready')`, b.group.name, b.run, difference)
	if err != nil {
		return fmt.Errorf("write down the difference: %w", err)
	}
	b.phase = RebuildReady
	b.wanted.CompareAndSwap("compare", "")
	return nil
}

// change makes the rows that are served equal to the copies. It locks the checkpoints, so
// that their projections wait, and nothing that a reader needs.
func (b *rebuilding) change(ctx context.Context) error {
	if _, err := b.views.Exec(ctx, `UPDATE rebuild SET phase = 'switching' WHERE name = $1 AND run = $2 AND wanted = 'switch'`, b.group.name, b.run); err != nil {
		return fmt.Errorf("write down the switch: %w", err)
	}
	b.phase, b.trouble = RebuildSwitching, ""
	err := pgx.BeginFunc(ctx, b.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL synchronous_commit TO DEFAULT`); err != nil {
			return err
		}
		targets, err := b.served(ctx, tx, "FOR UPDATE OF c")
		if err != nil {
			return err
		}
		if err := b.reach(ctx, tx, targets); err != nil {
			return err
		}
		difference, err := b.replaceAll(ctx, tx)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE `+b.checkpoints+` c SET version = c.version + 1, parked = s.parked, updated_at = now()
			FROM `+b.copyOf("checkpoint")+` s WHERE s.name = c.name`)
		if err != nil {
			return fmt.Errorf("write the checkpoint: %w", err)
		}
		if err := b.drop(ctx, tx); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `
			UPDATE `+b.state+` SET phase = 'done', ended_at = now(), wanted = '', difference = $3, position = $4, target = $4, messages = $5, rate = 0, seconds_left = NULL, error = ''
			WHERE name = $1 AND run = $2 AND wanted = 'switch'`, b.group.name, b.run, difference, sum(targets), b.messages)
		if err == nil && tag.RowsAffected() == 0 {
			err = errCancelled
		}
		if err != nil {
			return fmt.Errorf("write down the end: %w", err)
		}
		if _, err := tx.Exec(ctx, `SELECT pg_notify($1, $2)`, RebuiltChannel, b.group.name); err != nil {
			return fmt.Errorf("tell of the switch: %w", err)
		}
		return nil
	})
	switch {
	case err == nil:
		b.phase = RebuildDone
		return nil
	case errors.Is(err, errCancelled), IsTransient(err): // it is tried again
		return err
	}
	b.log.Error("switch refused", "projection", b.group.name, "error", ErrorText(err))
	if _, undo := b.views.Exec(ctx, `UPDATE rebuild SET phase = 'ready', wanted = CASE wanted WHEN 'switch' THEN '' ELSE wanted END WHERE name = $1 AND run = $2`, b.group.name, b.run); undo != nil {
		return fmt.Errorf("write down that the switch was refused: %w", undo)
	}
	b.phase, b.trouble = RebuildReady, firstLine(err)
	b.wanted.CompareAndSwap("switch", "")
	return b.tell(ctx, true)
}

func (b *rebuilding) replaceAll(ctx context.Context, tx pgx.Tx) (d RebuildDifference, err error) {
	d.At = time.Now().UTC()
	for _, t := range b.tables {
		// From here on nobody changes the columns, which a newer program might have done since
		// the copies were made.
		if _, err := tx.Exec(ctx, `LOCK TABLE `+t.served+` IN ROW EXCLUSIVE MODE`); err != nil {
			return d, fmt.Errorf("lock %s: %w", t.name, err)
		}
		var same bool
		err := tx.QueryRow(ctx, `SELECT array_agg(attname::text ORDER BY attnum) = $2 AND array_agg(format_type(atttypid, atttypmod) ORDER BY attnum) = $3
			FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''`, t.served, t.columns, t.types).Scan(&same)
		if err == nil && !same {
			err = errors.New("its columns have changed since the rebuild began")
		}
		if err != nil {
			return d, fmt.Errorf("switch %s: %w", t.name, err)
		}
		counts, err := t.counts(ctx, tx)
		if err != nil {
			return d, fmt.Errorf("compare %s: %w", t.name, err)
		}
		d.Tables = append(d.Tables, counts)
		if err := t.replace(ctx, tx, b.checkpoints, b.writers(t.name)); err != nil {
			return d, fmt.Errorf("switch %s: %w", t.name, err)
		}
	}
	return d, nil
}

// writers are the projections that write a table.
func (b *rebuilding) writers(table string) (names []string) {
	for _, p := range b.group.projections {
		if slices.Contains(p.Tables, table) {
			names = append(names, p.Name)
		}
	}
	return names
}

// In the statements o is a row that is served, n one of the copy.

func quoted(column string) string { return pgx.Identifier{column}.Sanitize() }

func (t rebuildTable) sameKey() string {
	var conditions []string
	for _, k := range t.key {
		conditions = append(conditions, `o.`+quoted(k)+` = n.`+quoted(k))
	}
	return strings.Join(conditions, ` AND `)
}

// same compares byte by byte, which any type can be.
func (t rebuildTable) same() string {
	record := func(alias string) string {
		var columns []string
		for _, c := range t.columns {
			if c != versionColumn {
				columns = append(columns, alias+`.`+quoted(c))
			}
		}
		return `ROW(` + strings.Join(columns, `, `) + `)::record`
	}
	return record("o") + ` *= ` + record("n")
}

func (t rebuildTable) joined() string {
	return t.served + ` o FULL JOIN ` + t.copied + ` n ON ` + t.sameKey()
}

func (t rebuildTable) counts(ctx context.Context, tx pgx.Tx) (TableDifference, error) {
	d := TableDifference{Table: t.name}
	k := quoted(t.key[0])
	err := tx.QueryRow(ctx, `
		SELECT count(o.`+k+`), count(n.`+k+`), count(*) FILTER (WHERE n.`+k+` IS NULL), count(*) FILTER (WHERE o.`+k+` IS NULL),
		       count(*) FILTER (WHERE o.`+k+` IS NOT NULL AND n.`+k+` IS NOT NULL AND NOT `+t.same()+`) FROM `+t.joined()).
		Scan(&d.Old, &d.New, &d.OnlyOld, &d.OnlyNew, &d.Changed)
	return d, err
}

func (t rebuildTable) difference(ctx context.Context, tx pgx.Tx) (TableDifference, error) {
	d, err := t.counts(ctx, tx)
	if err != nil || d.OnlyOld+d.OnlyNew+d.Changed == 0 {
		return d, err
	}
	var order []string
	for _, k := range t.key {
		order = append(order, `coalesce(o.`+quoted(k)+`, n.`+quoted(k)+`)`)
	}
	k := quoted(t.key[0])
	rows, err := tx.Query(ctx, `SELECT CASE WHEN o.`+k+` IS NOT NULL THEN to_jsonb(o.*) END, CASE WHEN n.`+k+` IS NOT NULL THEN to_jsonb(n.*) END FROM `+t.joined()+`
		WHERE o.`+k+` IS NULL OR n.`+k+` IS NULL OR NOT `+t.same()+` ORDER BY `+strings.Join(order, `, `)+` LIMIT $1`, mostExamples)
	if err != nil {
		return d, err
	}
	var old, new map[string]json.RawMessage
	_, err = pgx.ForEachRow(rows, []any{&old, &new}, func() error {
		d.Examples = append(d.Examples, t.example(old, new))
		return nil
	})
	return d, err
}

func (t rebuildTable) example(old, new map[string]json.RawMessage) RowDifference {
	row := RowDifference{OnlyOld: new == nil, OnlyNew: old == nil}
	for _, c := range t.columns {
		one := ColumnDifference{c, old[c], new[c]}
		switch {
		case slices.Contains(t.key, c):
			row.Key = append(row.Key, one)
		case c != versionColumn && (row.OnlyOld || row.OnlyNew || !bytes.Equal(one.Old, one.New)):
			row.Columns = append(row.Columns, one)
		}
	}
	return row
}

// replace deletes what the copy does not have just so, and adds what is missing: an update
// in place would be refused where two rows exchange what is unique. writers are the
// projections of whose switch the rows get the version.
func (t rebuildTable) replace(ctx context.Context, tx pgx.Tx, checkpoints string, writers []string) error {
	_, err := tx.Exec(ctx, `DELETE FROM `+t.served+` o WHERE NOT EXISTS (SELECT FROM `+t.copied+` n WHERE `+t.sameKey()+` AND `+t.same()+`)`)
	if err != nil {
		return err
	}
	var columns, values []string
	versioned := false
	for _, c := range t.columns {
		columns = append(columns, quoted(c))
		if c == versionColumn {
			versioned = true
			values = append(values, `(SELECT max(version) + 1 FROM `+checkpoints+` WHERE name = ANY($1))`)
		} else {
			values = append(values, `n.`+quoted(c))
		}
	}
	var args []any
	if versioned {
		args = append(args, writers)
	}
	_, err = tx.Exec(ctx, `INSERT INTO `+t.served+` (`+strings.Join(columns, `, `)+`) OVERRIDING SYSTEM VALUE
		SELECT `+strings.Join(values, `, `)+` FROM `+t.copied+` n WHERE NOT EXISTS (SELECT FROM `+t.served+` o WHERE `+t.sameKey()+`)`, args...)
	return err
}
