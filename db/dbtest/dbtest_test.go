package dbtest_test

import (
	"context"
	"testing"
	"time"

	"videotutorials/db/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func TestNewGivesMigratedDatabasesOfTheirOwn(t *testing.T) {
	t.Parallel()
	for range 4 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			d := dbtest.New(t)
			var position, count int64
			if err := d.MessageStore.QueryRow(ctx, `SELECT write_message(gen_random_uuid()::text, 'a-1', 'Happened', '{}')`).Scan(&position); err != nil {
				t.Fatal(err)
			}
			if position != 0 {
				t.Errorf("position %d of the first message, want 0", position)
			}
			if err := d.Views.QueryRow(ctx, `SELECT count(*) FROM catalogue`).Scan(&count); err != nil {
				t.Fatal(err)
			}
			if count != 0 {
				t.Errorf("%d videos in a new database", count)
			}
		})
	}
}

func TestNewEmptyHasNothingInIt(t *testing.T) {
	t.Parallel()
	d := dbtest.NewEmpty(t)
	var tables int64
	if err := d.Views.QueryRow(context.Background(), `SELECT count(*) FROM pg_tables WHERE schemaname = 'public'`).Scan(&tables); err != nil {
		t.Fatal(err)
	}
	if tables != 0 {
		t.Errorf("%d tables in an empty database", tables)
	}
}

func TestServerStopsStartsAndIsKilled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s := dbtest.NewServer(t)
	if _, err := s.Views.Exec(ctx, `INSERT INTO view_total (videos_watched, version) VALUES (7, 1)`); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if err := s.Views.Ping(ctx); err == nil {
		t.Error("a stopped server answers")
	}
	s.Start()
	s.Kill()
	s.Kill()

	var watched int64
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.Views.QueryRow(ctx, `SELECT videos_watched FROM view_total`).Scan(&watched)
		if err == nil {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
	if watched != 7 {
		t.Errorf("%d after the server was killed, want 7", watched)
	}
}

func BenchmarkNew(b *testing.B) {
	dbtest.New(b) // starts the server
	for b.Loop() {
		dbtest.New(b)
	}
}
