package messagestore_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

// Writers that roll back, that hold their transaction open, and that take their
// transaction id long before their message: a reader by "position greater than the
// last" misses a third of the messages here.
func TestAllReaderMissesNothing(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	store := messagestore.New(database.MessageStore)
	ctx := within(t)
	pool := wide(t, database.MessageStoreURL, 20)

	const writers, each = 16, 60
	categories := []messagestore.Category{"alpha", "beta", "delta", "epsilon", "gamma", "zeta"}
	written := make(chan struct{})
	go func() {
		defer close(written)
		var running sync.WaitGroup
		for range writers {
			running.Go(func() {
				for range each {
					if err := disorderly(ctx, pool, categories); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		running.Wait()
	}()

	reader := store.All(0)
	var got []int64
	for done := false; ; {
		page, err := reader.Next(ctx, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page {
			got = append(got, m.GlobalPosition)
		}
		if len(page) == 0 && done {
			break // nobody writes any more, so no hole is left open
		}
		select {
		case <-written:
			done = len(page) == 0
		default:
		}
	}
	rows, err := database.MessageStore.Query(ctx, `SELECT global_position FROM message_store.messages ORDER BY global_position`)
	if err != nil {
		t.Fatal(err)
	}
	want, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		t.Fatal(err)
	}
	if len(want) < writers*each/2 {
		t.Fatalf("only %d messages were committed", len(want))
	}
	if holes := int(want[len(want)-1]) - len(want); holes == 0 {
		t.Fatal("nothing was rolled back: the test shows nothing")
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("read %d messages, committed were %d, or in another order", len(got), len(want))
	}
}

// wide returns a pool of more connections than the program's own.
func wide(t testing.TB, url string, connections int32) *pgxpool.Pool {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = connections
	config.ConnConfig.RuntimeParams["search_path"] = "message_store,public"
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func disorderly(ctx context.Context, pool *pgxpool.Pool, categories []messagestore.Category) error {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	if rand.Float64() < 0.3 {
		if _, err := tx.Exec(ctx, `SELECT pg_current_xact_id(), pg_sleep($1)`, rand.Float64()*0.015); err != nil {
			return err
		}
	}
	// A second category only after the first in the alphabet: two transactions that
	// take them in opposite order would deadlock on Message DB's locks.
	first := rand.IntN(len(categories))
	chosen := []int{first}
	if rand.Float64() < 0.2 && first+1 < len(categories) {
		chosen = append(chosen, first+1+rand.IntN(len(categories)-first-1))
	}
	for _, c := range chosen {
		_, err := tx.Exec(ctx, `SELECT message_store.write_message($1, $2, 'Written', '{}')`, messagestore.NewID(), string(categories[c].Stream("1")))
		if err != nil {
			return err
		}
	}
	if rand.Float64() < 0.5 {
		if _, err := tx.Exec(ctx, `SELECT pg_sleep($1)`, rand.Float64()*0.025); err != nil {
			return err
		}
	}
	if rand.Float64() < 0.1 {
		return tx.Rollback(ctx)
	}
	return tx.Commit(ctx)
}
