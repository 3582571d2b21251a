package dbtest_test

import (
	"context"
	"strconv"
	"testing"

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

func BenchmarkNew(b *testing.B) {
	for i := range b.N {
		b.Run(strconv.Itoa(i), func(b *testing.B) { dbtest.New(b) })
	}
}
