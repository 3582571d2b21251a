package db_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"videotutorials/db"
	"videotutorials/db/dbtest"
)

var serial atomic.Int64

// with returns a database URL with some parts replaced: "database" and "user", anything else in its query.
func with(t *testing.T, databaseURL string, parts map[string]string) string {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	for name, value := range parts {
		switch name {
		case "database":
			u.Path = "/" + value
		case "user":
			u.User = url.User(value)
		default:
			query.Set(name, value)
		}
	}
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20")
	return u.String()
}

// emptyDatabase makes a database without anything in it, beside those of server.
func emptyDatabase(t *testing.T, server string) string {
	t.Helper()
	name := fmt.Sprintf("empty_%d", serial.Add(1))
	admin := with(t, server, map[string]string{"database": "postgres"})
	exec1(t, admin, `CREATE DATABASE `+name)
	t.Cleanup(func() { exec1(t, admin, `DROP DATABASE `+name+` WITH (FORCE)`) })
	return with(t, server, map[string]string{"database": name})
}

// newRole makes a role that may log in and nothing else.
func newRole(t *testing.T, server string) string {
	t.Helper()
	name := fmt.Sprintf("role_%d", serial.Add(1))
	exec1(t, server, `CREATE ROLE `+name+` LOGIN`)
	return name
}

func migrate(viewsURL, messageStoreURL string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return db.Migrate(ctx, viewsURL, messageStoreURL, slog.New(slog.DiscardHandler))
}

// migrated checks that both databases have what the migrations make.
func migrated(t *testing.T, viewsURL, messageStoreURL string) {
	t.Helper()
	for _, table := range []string{"checkpoint", "catalogue", "view_counts", "view_total", "user_credentials", "registrations", "account_operations", "sign_ins", "creators_videos", "video_operations"} {
		query[int64](t, viewsURL, `SELECT count(*) FROM `+table)
	}
	if n := query[int](t, messageStoreURL, `SELECT count(*)::int FROM pg_trigger WHERE tgrelid = 'message_store.messages'::regclass AND NOT tgisinternal`); n != 2 {
		t.Errorf("%d triggers on messages, want 2", n)
	}
	if version := query[string](t, messageStoreURL, `SELECT message_store.message_store_version()`); version != "1.3.0" {
		t.Errorf("Message DB %s", version)
	}
}

func refused(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}

func TestMigrateByEightAtOnce(t *testing.T) {
	t.Parallel()
	server := dbtest.New(t).ViewsURL
	for _, together := range []bool{false, true} {
		t.Run(fmt.Sprintf("one database %v", together), func(t *testing.T) {
			t.Parallel()
			views := emptyDatabase(t, server)
			messages := views
			if !together {
				messages = emptyDatabase(t, server)
			}
			errs := make(chan error, 8)
			for range cap(errs) {
				go func() { errs <- migrate(views, messages) }()
			}
			for range cap(errs) {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
			migrated(t, views, messages)
		})
	}
}

// TestMigrateManyDatabasesOfANewServer lets several create the role that all databases of a server share.
func TestMigrateManyDatabasesOfANewServer(t *testing.T) {
	t.Parallel()
	p := start(t, newFolder(t))
	var urls []string
	for range 6 {
		urls = append(urls, emptyDatabase(t, p.ViewsURL()))
	}
	var all sync.WaitGroup
	for _, u := range urls {
		all.Go(func() {
			if err := migrate(u, u); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, u := range urls {
		migrated(t, u, u)
	}
}

func TestMigrateSaysWhatItDid(t *testing.T) {
	t.Parallel()
	views := emptyDatabase(t, dbtest.New(t).ViewsURL)
	for _, want := range []int{len(migrationsOf(t, "views")) + len(migrationsOf(t, "messagestore")), 0} {
		var log bytes.Buffer
		if err := db.Migrate(context.Background(), views, views, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(log.String(), "migration applied"); n != want {
			t.Errorf("%d migrations in the log, want %d:\n%s", n, want, log.String())
		}
	}
}

// migrationsOf returns the names of the files of a set, in their order.
func migrationsOf(t *testing.T, set string) (names []string) {
	t.Helper()
	files, err := os.ReadDir("migrations/" + set)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		names = append(names, file.Name())
	}
	return names
}

func TestMigrationsGoDownAndUp(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	for want := 1; want <= len(migrationsOf(t, "views")); want++ {
		if pending, err := db.RollBack(d.ViewsURL, ""); err != nil || pending != want {
			t.Fatalf("%d pending, want %d (%v)", pending, want, err)
		}
	}
	for want := 1; want <= len(migrationsOf(t, "messagestore")); want++ {
		if pending, err := db.RollBack("", d.MessageStoreURL); err != nil || pending != want {
			t.Fatalf("%d pending, want %d (%v)", pending, want, err)
		}
	}
	if n := query[int](t, d.ViewsURL, `SELECT count(*)::int FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'applied_view_migrations'`); n != 0 {
		t.Errorf("%d tables are left", n)
	}
	// What is left is a Message DB as anyone has it.
	if n := query[int](t, d.MessageStoreURL, `SELECT count(*)::int FROM pg_trigger WHERE tgrelid = 'message_store.messages'::regclass`); n != 0 {
		t.Errorf("%d triggers are left", n)
	}
	if err := migrate(d.ViewsURL, d.MessageStoreURL); err != nil {
		t.Fatal(err)
	}
	migrated(t, d.ViewsURL, d.MessageStoreURL)
}

// TestTheCatalogueFromBefore brings rows of an older program up to date, and back.
func TestTheCatalogueFromBefore(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	back := func() {
		t.Helper()
		views := migrationsOf(t, "views")
		for want := 1; want <= len(views)-slices.Index(views, "20261122000011_catalogue_of_streams.sql"); want++ {
			if pending, err := db.RollBack(d.ViewsURL, ""); err != nil || pending != want {
				t.Fatalf("%d pending, want %d (%v)", pending, want, err)
			}
		}
	}
	back()
	exec1(t, d.ViewsURL, `
		INSERT INTO catalogue (video_id, title, published_at, published_position, version)
		VALUES (md5('published')::uuid, 'A', now(), 7, 1), (md5('named')::uuid, 'B', NULL, NULL, 1);
		INSERT INTO checkpoint (name, position, version) VALUES ('catalogue', 9, 5), ('viewcounts', 9, 5)`)
	if err := migrate(d.ViewsURL, d.MessageStoreURL); err != nil {
		t.Fatal(err)
	}
	if rows := query[string](t, d.ViewsURL, `SELECT string_agg(concat_ws(' ', title, state, visibility, attempt, captions, published_position), ', ' ORDER BY title) FROM catalogue`); rows != "A published public 0 [] 7, B  public 0 []" {
		t.Error(rows)
	}
	if at := query[string](t, d.ViewsURL, `SELECT string_agg(concat_ws(' ', name, position, version), ', ' ORDER BY name) FROM checkpoint`); at != "catalogue 0 5, viewcounts 9 5" {
		t.Error(at)
	}
	// An older program would show everybody what is private, and plays nothing but one file.
	exec1(t, d.ViewsURL, `
		UPDATE catalogue SET visibility = 'private' WHERE title = 'B';
		UPDATE catalogue SET source = '/a.mp4' WHERE title = 'A';
		INSERT INTO catalogue (video_id, title, state, published_position, version)
		VALUES (md5('deleted')::uuid, 'C', 'deleted', NULL, 1), (md5('playable')::uuid, 'D', 'playable', 8, 1)`)
	back()
	if rows := query[string](t, d.ViewsURL, `SELECT string_agg(concat_ws(' ', title, published_position), ', ' ORDER BY title) FROM catalogue`); rows != "A 7, D" {
		t.Errorf("%q are left", rows)
	}
}

func TestMigrateRecognisesAMessageDB(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	exec1(t, d.MessageStoreURL, `
		DROP TRIGGER notify_of_message ON message_store.messages;
		DROP TRIGGER refuse_change ON message_store.messages;
		DROP TABLE message_store.applied_migrations`)
	writeMessage(t, d, "account-1")
	if err := migrate(d.ViewsURL, d.MessageStoreURL); err != nil {
		t.Fatal(err)
	}
	migrated(t, d.ViewsURL, d.MessageStoreURL)
	if n := query[int](t, d.MessageStoreURL, `SELECT count(*)::int FROM message_store.messages`); n != 1 {
		t.Errorf("%d messages, want the one that was there", n)
	}
}

func TestMigrateRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	exec1(t, d.MessageStoreURL, `CREATE OR REPLACE FUNCTION message_store.message_store_version() RETURNS varchar LANGUAGE sql AS $$ SELECT '1.2.6'::varchar $$`)
	refused(t, migrate(d.ViewsURL, d.MessageStoreURL), "holds Message DB 1.2.6", "knows 1.3.0", "update.sh")

	exec1(t, d.MessageStoreURL, `DROP FUNCTION message_store.message_store_version()`)
	refused(t, migrate(d.ViewsURL, d.MessageStoreURL), "not a Message DB that this program knows")

	other := emptyDatabase(t, d.ViewsURL)
	exec1(t, other, `CREATE SCHEMA message_store; CREATE TABLE message_store.messages (n int)`)
	refused(t, migrate(d.ViewsURL, other), "not a Message DB that this program knows")
}

func TestMigrateAsARestrictedUser(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)

	t.Run("the owner of a database may", func(t *testing.T) {
		owner := newRole(t, d.ViewsURL)
		u := emptyDatabase(t, d.ViewsURL)
		exec1(t, u, fmt.Sprintf(`ALTER DATABASE %s OWNER TO %s`, query[string](t, u, `SELECT current_database()`), owner))
		u = with(t, u, map[string]string{"user": owner})
		if err := migrate(u, u); err != nil {
			t.Fatal(err)
		}
		migrated(t, u, u)
	})

	t.Run("the role of Message DB may start once all is there", func(t *testing.T) {
		restricted := with(t, d.MessageStoreURL, map[string]string{"user": "message_store"})
		if err := migrate(d.ViewsURL, restricted); err != nil {
			t.Fatal(err)
		}
		exec1(t, d.MessageStoreURL, `DELETE FROM message_store.applied_migrations WHERE version = '20261122000002'`)
		refused(t, migrate(d.ViewsURL, restricted), "20261122000002_append_only.sql", "may not change the schema", "migrate command")
		if err := migrate(d.ViewsURL, d.MessageStoreURL); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("one who may nothing hears what is missing", func(t *testing.T) {
		role := newRole(t, d.ViewsURL)
		refused(t, migrate(d.ViewsURL, with(t, d.MessageStoreURL, map[string]string{"user": role})), "user "+role, "GRANT message_store TO "+role)

		u := emptyDatabase(t, d.ViewsURL)
		as := with(t, u, map[string]string{"user": role})
		refused(t, migrate(as, as), "user "+role, "schema message_store is missing", "GRANT CREATE ON DATABASE")
		exec1(t, u, `CREATE SCHEMA message_store; GRANT USAGE ON SCHEMA message_store TO `+role)
		refused(t, migrate(as, as), "extension pgcrypto is missing", "CREATE EXTENSION pgcrypto")
		exec1(t, u, `CREATE EXTENSION pgcrypto`)
		refused(t, migrate(as, as), "may not create tables", "GRANT CREATE")
		if n := query[int](t, u, `SELECT count(*)::int FROM pg_class WHERE relnamespace = 'message_store'::regnamespace`); n != 0 {
			t.Errorf("a refused installation left %d things behind", n)
		}
		exec1(t, u, `ALTER SCHEMA message_store OWNER TO `+role)
		refused(t, migrate(as, as), "view data", "permission denied")
		exec1(t, u, `GRANT CREATE ON SCHEMA public TO `+role)
		if err := migrate(as, as); err != nil {
			t.Error(err)
		}
	})

	t.Run("without the role of Message DB", func(t *testing.T) {
		p := start(t, newFolder(t))
		role := newRole(t, p.ViewsURL())
		exec1(t, p.ViewsURL(), `ALTER DATABASE message_store OWNER TO `+role)
		as := with(t, p.MessageStoreURL(), map[string]string{"user": role})
		refused(t, migrate(p.ViewsURL(), as), "role message_store is missing", "CREATE ROLE message_store")
		exec1(t, p.ViewsURL(), `CREATE ROLE message_store LOGIN`)
		if err := migrate(p.ViewsURL(), as); err != nil {
			t.Error(err)
		}
	})
}

func TestMigrateRefusesOtherURLs(t *testing.T) {
	t.Parallel()
	good := dbtest.New(t).ViewsURL
	for bad, want := range map[string]string{
		"mysql://me:s3cret@host/db":              "mysql:// URL",
		"":                                       "not a URL",
		"s3cret":                                 "not a URL",
		"host=/tmp user=me password=s3cret":      "not a",
		"postgres://me:s3cret#x@host/db":         "",
		"postgres://me:%zzs3cret@host/db":        "percent-encoded",
		"postgres://me:s3cret@host:port/db":      "percent-encoded",
		"postgres://me:s3cret@h/db?sslmode=what": "sslmode",
	} {
		errs := []error{db.CheckURL(bad), migrate(bad, good), migrate(good, bad)}
		for _, err := range errs {
			if err == nil {
				t.Errorf("%q is accepted", bad)
				continue
			}
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %q does not say %q", bad, err, want)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%q: the error tells the password: %v", bad, err)
			}
		}
	}
	if err := db.CheckURL(good); err != nil {
		t.Error(err)
	}
}

func TestMigrateIsCancelled(t *testing.T) {
	t.Parallel()
	views := emptyDatabase(t, dbtest.New(t).ViewsURL)
	ctx, cancel := context.WithCancel(context.Background())
	holder, err := pgx.Connect(ctx, views)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close(context.Background())
	if _, err := holder.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(0x766964656f207475)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- db.Migrate(ctx, views, views, slog.New(slog.DiscardHandler)) }()
	await(t, "the migration waits", func() bool {
		return query[int](t, views, `SELECT count(*)::int FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()`) == 1
	})
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it says: %v", err)
	}
}

// heard tells of each line that is logged.
type heard chan string

func (h heard) Write(line []byte) (int, error) {
	h <- string(line)
	return len(line), nil
}

// A migration that has to wait for somebody, as for a backup, lets everybody else pass meanwhile.
func TestAMigrationGivesWay(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	const version = "20261123000004"
	exec1(t, d.ViewsURL, `ALTER TABLE checkpoint DROP COLUMN skipped`)
	exec1(t, d.ViewsURL, `DELETE FROM applied_view_migrations WHERE version = '`+version+`'`)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	reading, err := d.Views.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer reading.Rollback(ctx)
	if _, err := reading.Exec(ctx, `SELECT FROM checkpoint`); err != nil {
		t.Fatal(err)
	}
	says, ended := make(heard, 1000), make(chan error, 1)
	go func() {
		url := with(t, d.ViewsURL, map[string]string{"lock_timeout": "200ms"})
		ended <- db.Migrate(ctx, url, d.MessageStoreURL, slog.New(slog.NewTextHandler(says, nil)))
	}()
	for line := ""; !strings.Contains(line, "migration waits for a lock"); {
		select {
		case line = <-says:
		case err := <-ended:
			t.Fatalf("ended by itself: %v", err)
		}
	}
	exec1(t, d.ViewsURL, `INSERT INTO checkpoint (name) VALUES ('somebody else''s')`)
	if err := reading.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if n := query[int](t, d.ViewsURL, `SELECT count(*)::int FROM checkpoint WHERE skipped = '{}'`); n == 0 {
		t.Error("the migration was not applied")
	}
}

func writeMessage(t *testing.T, d *dbtest.DB, stream string) {
	t.Helper()
	_, err := d.MessageStore.Exec(context.Background(), `SELECT write_message(gen_random_uuid()::text, $1, 'Happened', '{"n": 1}')`, stream)
	if err != nil {
		t.Fatalf("write to a stream of %d characters: %v", len(stream), err)
	}
}

func TestEveryMessageNotifies(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	d := dbtest.New(t)
	config, err := db.ListenConfig(d.MessageStoreURL)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close(context.Background())
	if _, err := listener.Exec(ctx, `LISTEN messages`); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("ü", 9000)
	for position, c := range []struct{ stream, category string }{
		{"viewing-0b5e", "viewing"},
		{"viewing:command-0b5e-1", "viewing:command"},
		{"viewing", "viewing"},
		{"two words-1", "two words"},
		{"-1", ""},
		{long + "-1", strings.Repeat("ü", 1900)},
		{strings.Repeat("😀", 9000), strings.Repeat("😀", 1900)},
	} {
		writeMessage(t, d, c.stream)
		got, err := listener.WaitForNotification(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%s %d", c.category, position+1); got.Channel != "messages" || got.Payload != want {
			t.Errorf("%.20s notified %s with %.50q, want %.50q", c.stream, got.Channel, got.Payload, want)
		}
	}

	// Also for a writer with a search path of its own, which finds nothing but what is named in full.
	for position, path := range []string{`''`, `pg_temp`, `public, pg_catalog`} {
		exec1(t, d.MessageStoreURL, fmt.Sprintf(`SET search_path = %s; INSERT INTO message_store.messages (stream_name, position, type) VALUES ('x-1', %d, 'T')`, path, position))
		if _, err := listener.WaitForNotification(ctx); err != nil {
			t.Error(path, err)
		}
	}

	// Nothing is heard of what was rolled back.
	tx, err := d.MessageStore.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, `SELECT write_message(gen_random_uuid()::text, 'undone-1', 'Happened', '{}')`); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	writeMessage(t, d, "done-1")
	if got, err := listener.WaitForNotification(ctx); err != nil || !strings.HasPrefix(got.Payload, "done ") {
		t.Errorf("heard %v %v", got, err)
	}
}

func TestMessagesAreOnlyAdded(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := dbtest.New(t)
	writeMessage(t, d, "account-1")
	for _, change := range []string{
		`UPDATE message_store.messages SET data = '{}'`,
		`UPDATE message_store.messages SET data = '{}' WHERE false`,
		`DELETE FROM message_store.messages`,
		`TRUNCATE message_store.messages`,
		`TRUNCATE message_store.messages RESTART IDENTITY CASCADE`,
		`INSERT INTO message_store.messages (id, stream_name, position, type) SELECT id, stream_name, position, type FROM message_store.messages ON CONFLICT (id) DO UPDATE SET type = 'Changed'`,
		`SET search_path = ''; DELETE FROM message_store.messages`,
	} {
		_, err := d.MessageStore.Exec(ctx, change, pgx.QueryExecModeSimpleProtocol)
		refusal, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || refusal.Code != "42501" || !strings.Contains(refusal.Message, "messages are only ever added") {
			t.Errorf("%s: %v", change, err)
		}
	}
	writeMessage(t, d, "account-1")
	if n := query[int](t, d.MessageStoreURL, `SELECT count(*)::int FROM message_store.messages WHERE data = '{"n": 1}'`); n != 2 {
		t.Errorf("%d messages as they were written, want 2", n)
	}
}
