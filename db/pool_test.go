package db_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/db"
	"videotutorials/db/dbtest"
)

func TestPoolSettings(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := dbtest.New(t)
	for setting, want := range map[string]string{
		"search_path":       "message_store,public",
		"application_name":  "video-tutorials message store",
		"statement_timeout": "1min",
		"lock_timeout":      "15s",
	} {
		var got string
		if err := d.MessageStore.QueryRow(ctx, `SELECT current_setting($1)`, setting).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, want %q (%v)", setting, got, want, err)
		}
	}
	if n := d.MessageStore.Config().MaxConns; n != 8 {
		t.Errorf("at most %d connections", n)
	}

	// What the URL says counts, except for the search path.
	pool, err := db.OpenMessageStore(ctx, with(t, d.MessageStoreURL, map[string]string{
		"pool_max_conns": "3", "application_name": "mine", "statement_timeout": "5s", "search_path": "other",
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var name, timeout, path string
	err = pool.QueryRow(ctx, `SELECT current_setting('application_name'), current_setting('statement_timeout'), current_setting('search_path')`).Scan(&name, &timeout, &path)
	if err != nil || name != "mine" || timeout != "5s" || path != "message_store,public" || pool.Config().MaxConns != 3 {
		t.Errorf("%s %s %s %d %v", name, timeout, path, pool.Config().MaxConns, err)
	}
}

func TestOpenPoolNeedsNoDatabase(t *testing.T) {
	t.Parallel()
	pool, err := db.OpenViews(context.Background(), "postgres://me@localhost:1/nothing")
	if err != nil {
		t.Fatal(err)
	}
	pool.Close()
	if _, err := db.OpenViews(context.Background(), "nonsense"); err == nil {
		t.Error("opened nonsense")
	}
}

// TestPoolAfterARestart uses connections that the server closed while they rested.
func TestPoolAfterARestart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s := dbtest.NewServer(t)
	for name, interrupt := range map[string]func(){
		"restarted": func() { s.Stop(); s.Start() },
		"killed": func() {
			s.Kill()
			await(t, "the server is back", func() bool {
				probe, err := db.OpenViews(ctx, s.ViewsURL)
				if err != nil {
					t.Fatal(err)
				}
				defer probe.Close()
				return probe.Ping(ctx) == nil
			})
		},
	} {
		var resting []*pgxpool.Conn
		for range 5 {
			conn, err := s.Views.Acquire(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if !db.Silent(conn.Conn().PgConn().Conn()) {
				t.Error("a connection at rest is taken for a broken one")
			}
			resting = append(resting, conn)
		}
		for _, conn := range resting {
			conn.Release()
		}
		interrupt()
		for range 10 {
			if _, err := s.Views.Exec(ctx, `SELECT count(*) FROM catalogue`); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestListenConnectionHasNoTimeout(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	config, err := db.ListenConfig(with(t, d.MessageStoreURL, map[string]string{"pool_max_conns": "3"}))
	if err != nil {
		t.Fatal(err)
	}
	if config.RuntimeParams["statement_timeout"] != "" || config.RuntimeParams["pool_max_conns"] != "" {
		t.Errorf("%v", config.RuntimeParams)
	}
	if _, err := db.ListenConfig("nonsense"); err == nil {
		t.Error("accepted nonsense")
	}
}
