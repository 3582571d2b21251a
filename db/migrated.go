package db

import (
	"context"
	"fmt"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// MissingViews returns the migrations of this build that the view data lack, by their files' names. There are none where
// a process of this build has started; what a newer build has applied beyond that is no matter.
func MissingViews(ctx context.Context, views *pgxpool.Pool) ([]string, error) {
	return viewMigrations.missing(ctx, views)
}

// MissingMessageStore is like MissingViews, for the message store.
func MissingMessageStore(ctx context.Context, messages *pgxpool.Pool) ([]string, error) {
	return messageStoreMigrations.missing(ctx, messages)
}

func (s migrationSet) missing(ctx context.Context, pool *pgxpool.Pool) ([]string, error) {
	entries, err := fs.ReadDir(migrationFiles, s.dir)
	if err != nil {
		return nil, fmt.Errorf("list the migrations of the %s: %w", s.name, err)
	}
	var files, versions []string
	for _, entry := range entries {
		version, _, _ := strings.Cut(entry.Name(), "_")
		files, versions = append(files, entry.Name()), append(versions, version)
	}
	rows, err := pool.Query(ctx, `SELECT file FROM unnest($1::text[], $2::text[]) AS ours(file, version)
		WHERE version NOT IN (SELECT version FROM `+s.table+`) ORDER BY file`, files, versions)
	if err != nil {
		return nil, fmt.Errorf("read the applied migrations of the %s: %w", s.name, err)
	}
	missing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read the applied migrations of the %s: %w", s.name, err)
	}
	return missing, nil
}

// NoTable reports whether an error says that a table, or its schema, is not there.
func NoTable(err error) bool {
	state := sqlState(err)
	return state == "42P01" || state == "3F000"
}
