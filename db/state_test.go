package db_test

import (
	"context"
	"testing"

	"videotutorials/db"
	"videotutorials/db/dbtest"
)

// Before the first migration all are missing; afterwards none; one of another program is told.
func TestTheStateOfMigrations(t *testing.T) {
	t.Parallel()
	empty, full := dbtest.NewEmpty(t), dbtest.New(t)
	for name, read := range map[string]func(d *dbtest.DB) (db.Migrations, error){
		"applied_view_migrations": func(d *dbtest.DB) (db.Migrations, error) { return db.ViewMigrations(t.Context(), d.Views) },
		"message_store.applied_migrations": func(d *dbtest.DB) (db.Migrations, error) {
			return db.MessageStoreMigrations(t.Context(), d.MessageStore)
		},
	} {
		before, err := read(empty)
		if err != nil || before.Current() || len(before.Missing) == 0 || len(before.Applied) != 0 {
			t.Errorf("%s before: %+v, %v", name, before, err)
		}
		after, err := read(full)
		if err != nil || !after.Current() || len(after.Applied) != len(before.Missing) {
			t.Errorf("%s after: %+v, %v", name, after, err)
		}
		pool := full.Views
		if name != "applied_view_migrations" {
			pool = full.MessageStore
		}
		if _, err := pool.Exec(context.Background(), `INSERT INTO `+name+` (version) VALUES ('29990101000001')`); err != nil {
			t.Fatal(err)
		}
		later, err := read(full)
		if err != nil || later.Current() || len(later.Unknown) != 1 || later.Unknown[0] != "29990101000001" {
			t.Errorf("%s later: %+v, %v", name, later, err)
		}
	}
}
