package messagestore_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

// A rebuild of 50,000 rows from 250,000 messages: how fast it reads, how long a comparison
// takes, and how long a switch does with no row and with every row different.
func BenchmarkRebuild(b *testing.B) {
	const messages, rows = 250_000, 50_000
	database := dbtest.New(b)
	store := messagestore.New(database.MessageStore)
	execViews(b, database, `CREATE TABLE sums (account text PRIMARY KEY, deposits bigint NOT NULL, amount bigint NOT NULL, note text NOT NULL, version bigint NOT NULL)`)
	sums := messagestore.NewProjection(store, database.Views, messagestore.ProjectionConfig{
		Name: "sums", Category: accounts, Tables: []string{"sums"},
		Apply: func(ctx context.Context, tx pgx.Tx, batch messagestore.Batch) ([]string, error) {
			added := map[string]int64{}
			for _, raw := range batch.Messages {
				m, err := messagestore.Decode[deposited](raw)
				if err != nil {
					return nil, err
				}
				added[m.Data.AccountID]++
			}
			names, amounts := make([]string, 0, len(added)), make([]int64, 0, len(added))
			for account, n := range added {
				names, amounts = append(names, account), append(amounts, n)
			}
			_, err := tx.Exec(ctx, `INSERT INTO sums AS s SELECT account, n, n, repeat('a note of a hundred characters ', 3), $3 FROM unnest($1::text[], $2::bigint[]) AS t(account, n)
				ON CONFLICT (account) DO UPDATE SET deposits = s.deposits + excluded.deposits, amount = s.amount + excluded.amount, version = excluded.version`, names, amounts, batch.Version)
			return []string{"sums"}, err
		},
	})
	for range messages / rows {
		depositMany(b, database, rows, rows)
	}
	all, _ := run(b, database, sums)
	caughtUp(b, store, all)
	r, _ := rebuilds(b, database, store, sums)
	timed := func(what string, do func()) {
		began := time.Now()
		do()
		b.ReportMetric(time.Since(began).Seconds()*1000, "ms/"+what)
	}
	for b.Loop() {
		began := time.Now()
		started(b, r, "sums")
		at := comesTo(b, r, "sums", messagestore.RebuildReady)
		b.ReportMetric(messages/time.Since(began).Seconds(), "messages/s")
		timed("comparison", func() {
			if err := r.Compare(within(b), "sums"); err != nil {
				b.Fatal(err)
			}
			eventually(b, func() bool {
				now, err := r.Of(within(b), "sums")
				return err == nil && now.Difference.At != at.Difference.At
			})
		})
		timed("switch-of-none", func() { switched(b, r, "sums") })
		execViews(b, database, `UPDATE sums SET amount = 0`)
		started(b, r, "sums")
		comesTo(b, r, "sums", messagestore.RebuildReady)
		timed("switch-of-all", func() { switched(b, r, "sums") })
		if n := queryViews[int](b, database, `SELECT count(*) FROM sums WHERE amount = $1`, messages/rows); n != rows {
			b.Fatalf("%d rows are right", n)
		}
	}
}
