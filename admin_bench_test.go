package main

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"videotutorials/aggregators/adminsummary"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// adminMessages are in the store when the pages of the admin portal are measured, beside the
// four of each of the people.
const (
	adminMessages = 5_000_000
	adminPeople   = 200_000
	adminVideos   = 1_000_000
)

// fill writes messages as years of use would have left them: a stream for each video and two
// for each person, traces of a hundred messages that cause one another. The components have
// handled them.
func (x *bench) fill(n int) {
	x.b.Helper()
	ctx := x.b.Context()
	p := &program{config: config{AppName: "Bench", DataDir: x.b.TempDir(), Environment: "development"}, log: slog.New(slog.DiscardHandler), store: x.store, baseURL: "http://localhost"}
	p.assemble(settings{&pgx.ConnConfig{}, &pgx.ConnConfig{}, []byte(strings.Repeat("secret", 6)), nil, "", nil})
	err := pgx.BeginFunc(ctx, x.messages, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL session_replication_role = replica`); err != nil { // no millions of notifications
			return err
		}
		if _, err := tx.Exec(ctx, `SET LOCAL statement_timeout = 0`); err != nil {
			return err
		}
		// Made at the end, the indexes take a tenth of the time.
		rows, err := tx.Query(ctx, `
			SELECT indexdef FROM pg_indexes WHERE schemaname = 'message_store' AND tablename = 'messages' AND indexname <> 'messages_pkey'`)
		if err != nil {
			return err
		}
		indexes, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			DO $$ DECLARE name regclass; BEGIN
				FOR name IN SELECT indexrelid FROM pg_index WHERE indrelid = 'message_store.messages'::regclass AND NOT indisprimary LOOP
					EXECUTE 'DROP INDEX ' || name;
				END LOOP;
			END $$`)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			INSERT INTO message_store.messages (position, stream_name, type, data, metadata)
			SELECT 0, 'identity-' || md5('user' || n)::uuid, 'Registered',
				jsonb_build_object('userId', md5('user' || n)::uuid, 'email', 'user' || n || '@example.test', 'passwordHash', 'none'), jsonb_build_object('userId', md5('user' || n)::uuid)
			FROM generate_series(1, $1::int) AS n`, adminPeople); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			INSERT INTO message_store.messages (position, stream_name, type, data, metadata)
			SELECT n / $1, 'authentication-' || md5('user' || 1 + n % $1)::uuid, 'UserLoggedIn',
				jsonb_build_object('userId', md5('user' || 1 + n % $1)::uuid, 'sessionId', gen_random_uuid()), '{}'
			FROM generate_series(0, 3 * $1::int - 1) AS n`, adminPeople); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			INSERT INTO message_store.messages (position, stream_name, type, data, metadata)
			SELECT n / $3, 'viewing-' || md5('video' || n % $3)::uuid, 'VideoViewed', jsonb_build_object('videoId', md5('video' || n % $3)::uuid),
				jsonb_build_object('traceId', md5('trace' || n / 100)::uuid, 'userId', md5('user' || 1 + n % $2)::uuid, 'causationMessageGlobalPosition', 4 * $2::int + n, 'causationMessagePosition', 0, 'causationMessageStreamName', 'viewing-1')
			FROM generate_series(0, $1::int - 1) AS n`, n, adminPeople, adminVideos)
		if err != nil {
			return err
		}
		for _, s := range p.subscriptions.Status() {
			if s.Projection {
				continue
			}
			if _, err := tx.Exec(ctx, `
				INSERT INTO message_store.messages (position, stream_name, type, data) VALUES (0, $1, 'Read', jsonb_build_object('position', $2::bigint))`,
				string(messagestore.PositionCategory.Stream(s.Name)), n+4*adminPeople); err != nil {
				return err
			}
		}
		for _, index := range indexes {
			if _, err := tx.Exec(ctx, index); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		x.b.Fatal(err)
	}
	if _, err := x.messages.Exec(ctx, `VACUUM ANALYZE message_store.messages`); err != nil {
		x.b.Fatal(err)
	}
}

// Every page of the admin portal with 5,000,000 messages in the store, beside the home page
// in the same run. The plans of its queries are logged by Postgres: none reads a table as a
// whole that grows.
func BenchmarkSiteAdmin(b *testing.B) {
	x := startBench(b, "session_preload_libraries=auto_explain", "auto_explain.log_nested_statements=on", "max_wal_size=4GB")
	start := time.Now()
	x.fill(adminMessages)
	b.Logf("%d messages written in %s", adminMessages, time.Since(start))
	start = time.Now()
	x.serve()
	v := x.creator("chief@example.test")
	if out, err := x.command("admin", "grant", "chief@example.test").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	untilLong(b, 20*time.Minute, "the summary has counted everything", func() bool {
		var counted int64
		err := x.views.QueryRow(b.Context(), `SELECT coalesce(max(position), 0) FROM checkpoint WHERE name = $1`, adminsummary.Name).Scan(&counted)
		return err == nil && counted > adminMessages+4*adminPeople
	})
	b.Logf("counted in %s", time.Since(start))
	if _, err := x.views.Exec(b.Context(), `VACUUM ANALYZE`); err != nil {
		b.Fatal(err)
	}

	middle, err := x.store.Find(b.Context(), messagestore.Query{Before: adminMessages / 2, Limit: 1})
	if err != nil {
		b.Fatal(err)
	}
	m := middle[0]
	metadata, err := m.Metadata()
	if err != nil {
		b.Fatal(err)
	}
	paths := []string{
		"/admin", "/admin/messages", "/admin/messages?before=2500000", "/admin/messages?after=5", "/admin/messages/" + m.ID,
		"/admin/correlated-messages/" + metadata.TraceID, "/admin/user-messages/" + metadata.UserID,
		"/admin/streams", "/admin/streams?category=viewing", "/admin/streams?category=viewing&after=viewing-8", "/admin/streams/" + string(m.Stream), "/admin/categories", "/admin/categories/viewing", "/admin/categories/identity",
		"/admin/types", "/admin/type-messages/VideoViewed", "/admin/type-messages/Registered", "/admin/type-messages/Nothing", "/admin/type-messages/VideoViewed?before=2500000",
		"/admin/users", "/admin/users/" + metadata.UserID, "/admin/subscriptions", "/admin/subscriptions/" + adminsummary.Name, "/admin/subscriber-positions",
		"/admin/tail", "/admin/tail?type=Nothing", "/admin/tail?category=viewing&text=none", "/admin/rebuild", "/admin/rebuild/" + adminsummary.Name, "/admin/contracts",
		"search user17@example.test", "search nobody@example.test", "search " + m.ID, "search " + string(m.Stream), "search " + metadata.TraceID, "search Registered", "search nothing",
	}
	open := func(path string) time.Duration {
		start := time.Now()
		var a answer
		if typed, is := strings.CutPrefix(path, "search "); is {
			a = v.post(views.AdminSearchPath, url.Values{"q": {typed}})
		} else {
			a = v.get(path)
		}
		if a.status == http.StatusSeeOther {
			a = v.get(a.header.Get("Location"))
		}
		if a.status != http.StatusOK && a.status != http.StatusNotFound {
			b.Errorf("%s: %d", path, a.status)
		}
		return time.Since(start)
	}

	// The plans first, with every statement logged.
	logged := filepath.Join(x.dir, "postgres.log")
	explain := func(minimum string) int {
		for _, sql := range []string{`ALTER SYSTEM SET auto_explain.log_min_duration = ` + minimum, `SELECT pg_reload_conf()`} {
			if _, err := x.messages.Exec(b.Context(), sql); err != nil {
				b.Fatal(err)
			}
		}
		text, err := os.ReadFile(logged)
		if err != nil {
			b.Fatal(err)
		}
		return len(text)
	}
	from := explain("0")
	// The sessions of the pool hear of it a moment later.
	until(b, "plans are logged", func() bool {
		open("/admin/messages")
		text, err := os.ReadFile(logged)
		return err == nil && bytes.Contains(text[from:], []byte("Query Text:"))
	})
	for _, path := range paths {
		for range 8 { // a prepared statement gets its general plan with the sixth
			open(path)
		}
	}
	explain("-1")
	text, err := os.ReadFile(logged)
	if err != nil {
		b.Fatal(err)
	}
	plans := bytes.Count(text[from:], []byte("Query Text:"))
	whole, grows := map[string]int{}, regexp.MustCompile(`Seq Scan on (messages|admin_streams|admin_users|user_credentials|sign_ins)\b.*`)
	above := ""
	for line := range strings.Lines(string(text[from:])) {
		if scan := grows.FindString(line); scan != "" && !strings.Contains(above, "Limit") { // a limit ends the scan
			whole[scan]++
		}
		above = line
	}
	for scan, times := range whole {
		b.Errorf("a table is read as a whole, %d times: %s", times, scan)
	}
	b.Logf("%d plans looked at", plans)

	const times = 40
	worst, slowest := time.Duration(0), ""
	p95 := func(path string) time.Duration {
		took := make([]time.Duration, times)
		for i := range took {
			took[i] = open(path)
		}
		slices.Sort(took)
		return took[times*95/100]
	}
	for _, path := range paths {
		p := p95(path)
		b.Logf("%-70s p95 %6.1f ms", regexp.MustCompile(`[0-9a-f-]{36}`).ReplaceAllString(path, "…"), float64(p.Microseconds())/1000)
		if p > worst {
			worst, slowest = p, path
		}
	}
	b.Logf("the slowest is %s", slowest)
	b.ReportMetric(worst.Seconds()*1000, "slowest-admin-page-p95-ms")
	b.ReportMetric(p95("/").Seconds()*1000, "home-p95-ms")
	b.ReportMetric(0, "ns/op")
}
