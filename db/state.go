package db

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Migrations tells how the migrations that a database has stand to those of this program. They are named by their
// versions, like 20261122000001, in order.
type Migrations struct {
	Applied []string
	Missing []string // the program has them, the database does not
	Unknown []string // the database has them, from another build of the program
}

// Current reports whether the database has the migrations of this program and no others.
func (m Migrations) Current() bool { return len(m.Missing) == 0 && len(m.Unknown) == 0 }

// Querier is a pool, a connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// ViewMigrations reads those of the view data. It changes nothing.
func ViewMigrations(ctx context.Context, q Querier) (Migrations, error) {
	return viewMigrations.state(ctx, q)
}

// MessageStoreMigrations reads those of the message store. It changes nothing.
func MessageStoreMigrations(ctx context.Context, q Querier) (Migrations, error) {
	return messageStoreMigrations.state(ctx, q)
}

// FindBinaries returns the programs of Postgres that [StartPostgres] would run for a data folder, without
// starting one.
func FindBinaries(ctx context.Context, dataDir string) (Binaries, error) {
	return findBinaries(ctx, dataDir, filepath.Join(dataDir, "postgres", "cluster"))
}

func (s migrationSet) state(ctx context.Context, q Querier) (m Migrations, err error) {
	files, err := migrationFiles.ReadDir(s.dir)
	if err != nil {
		return m, fmt.Errorf("read the migrations of the %s: %w", s.name, err)
	}
	var known []string
	for _, file := range files {
		version, _, _ := strings.Cut(path.Base(file.Name()), "_")
		known = append(known, version)
	}
	// Asked beforehand: in a transaction an error would end it.
	var there bool
	if err := q.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, s.table).Scan(&there); err != nil {
		return m, fmt.Errorf("look for the migrations of the %s: %w", s.name, err)
	}
	if there {
		rows, err := q.Query(ctx, `SELECT version::text FROM `+s.table+` ORDER BY version`)
		if err == nil {
			m.Applied, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err != nil {
			return m, fmt.Errorf("read the applied migrations of the %s: %w", s.name, err)
		}
	}
	for _, version := range known {
		if !slices.Contains(m.Applied, version) {
			m.Missing = append(m.Missing, version)
		}
	}
	for _, version := range m.Applied {
		if !slices.Contains(known, version) {
			m.Unknown = append(m.Unknown, version)
		}
	}
	return m, nil
}
