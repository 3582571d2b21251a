package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/components/viewing/viewingmsg"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

// backedUp runs backup for a site and returns the file.
func backedUp(t *testing.T, s *site, args ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "backup.zip")
	out, err := commandOn(t, s, append([]string{"backup", file}, args...)...)
	if err != nil {
		t.Fatalf("backup: %v\n%s", err, out)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup: %v, %v", info, err)
	}
	return file
}

// restoredTo runs restore with databases and a data folder.
func restoredTo(t *testing.T, database *dbtest.DB, dir, file string, env ...string) (string, error) {
	t.Helper()
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(within(t), program, "restore", file)
	command.Dir = t.TempDir()
	command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "DATA_DIR=" + dir}, env...)
	if database != nil {
		command.Env = append(command.Env, "DATABASE_URL="+database.ViewsURL, "MESSAGE_STORE_CONNECTION_STRING="+database.MessageStoreURL)
	}
	out, err := command.CombinedOutput()
	return string(out), err
}

// message is a message as text, column by column.
type messageRow struct {
	Position int64
	Category string
	Text     string
}

func allMessages(t *testing.T, pool *pgxpool.Pool) []messageRow {
	t.Helper()
	rows, err := pool.Query(within(t), `SELECT global_position, message_store.category(stream_name), row(m.*)::text FROM message_store.messages m ORDER BY global_position`)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[messageRow])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// viewRows returns the rows of all tables of the view data as text. Left out are the columns
// that tell when a row was written and in which transaction of its projection.
func viewRows(t *testing.T, pool *pgxpool.Pool) map[string][]string {
	t.Helper()
	query := func(sql string, args ...any) []string {
		rows, err := pool.Query(within(t), sql, args...)
		if err != nil {
			t.Fatal(err)
		}
		all, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	all := map[string][]string{}
	for _, table := range query(`SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ('rebuild', 'applied_view_migrations')`) {
		name := pgx.Identifier{table}.Sanitize()
		all[table] = query(`SELECT (to_jsonb(x) - 'version' - 'updated_at')::text FROM ` + name + ` x`)
		if table == "checkpoint" { // where it stands is compared, be it that it has looked further than its last message
			all[table] = query(`SELECT name || ' ' || parked::text || ' ' || skipped::text FROM checkpoint`)
		}
		slices.Sort(all[table])
	}
	return all
}

func sameViews(t *testing.T, got, want map[string][]string) {
	t.Helper()
	for table, rows := range want {
		if !slices.Equal(got[table], rows) {
			t.Errorf("%s has %d rows, want %d:\n%.2000s\nwant\n%.2000s", table, len(got[table]), len(rows), strings.Join(got[table], "\n"), strings.Join(rows, "\n"))
		}
	}
}

// While 200 messages a second are written to the running site, a backup is made. Restored
// elsewhere, it is the source up to its moment: message by message, no category with a hole
// or an end that is too early; the view data are right once the site has caught up.
func TestABackupUnderWritesIsTheSourceUpToItsMoment(t *testing.T) {
	t.Parallel()
	source := dbtest.New(t)
	s := start(t, folder(t), append(environment(source), "PATH=/nowhere")) // no ffmpeg is needed
	lesson := lessonOf(t, s, source, "Kept")
	member(t, s, "ada@example.test", goodPassword)
	store := messagestore.New(source.MessageStore)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var mu sync.Mutex
	var acknowledged []string // ids, in the order in which their writes returned
	var begun []string        // ids, before their writes begin
	var running sync.WaitGroup
	writing := time.Now()
	videos := []string{lesson, messagestore.NewID(), messagestore.NewID()}
	for n := range 4 { // each 50 a second in a category of its own, and who is late makes up for it
		running.Go(func() {
			for due, i := writing, 0; ; due, i = due.Add(20*time.Millisecond), i+1 {
				select {
				case <-time.After(time.Until(due)):
				case <-ctx.Done():
					return
				}
				id, video := messagestore.NewID(), videos[i%len(videos)]
				stream := viewingmsg.Category.Stream(video)
				if n > 1 {
					stream = messagestore.Category([]string{"noteA", "noteB"}[n-2]).Stream(video)
				}
				mu.Lock()
				begun = append(begun, id)
				mu.Unlock()
				if _, err := store.Write(t.Context(), stream, viewingmsg.VideoViewed{VideoID: video}, messagestore.WithID(id)); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				acknowledged = append(acknowledged, id)
				mu.Unlock()
			}
		})
	}
	known := func(list *[]string) int { mu.Lock(); defer mu.Unlock(); return len(*list) }
	until(t, "writes are under way", func() bool { return known(&acknowledged) > 400 })
	before, from := known(&acknowledged), time.Now()
	file := backedUp(t, s)
	took, after := time.Since(from), known(&begun)
	until(t, "writes go on", func() bool { return known(&acknowledged) > after+100 })
	rate := float64(known(&acknowledged)) / time.Since(writing).Seconds()
	stop()
	running.Wait()

	target, dir := dbtest.NewEmpty(t), folder(t)
	from = time.Now()
	out, err := restoredTo(t, target, dir, file)
	if err != nil {
		t.Fatalf("restore: %v\n%s", err, out)
	}
	t.Logf("%.0f writes a second; the backup took %v, the restore %v\n%s", rate, took, time.Since(from), out)
	if rate < 190 {
		t.Errorf("only %.0f messages a second were written", rate)
	}

	have, of := allMessages(t, target.MessageStore), allMessages(t, source.MessageStore)
	ends, inSource := map[string]int64{}, map[int64]messageRow{}
	for _, m := range have {
		ends[m.Category] = m.Position
	}
	for _, m := range of {
		inSource[m.Position] = m
	}
	in := map[int64]bool{}
	for _, m := range have {
		in[m.Position] = true
		if inSource[m.Position] != m {
			t.Fatalf("message %d is\n%s, in the source it is\n%s", m.Position, m.Text, inSource[m.Position].Text)
		}
	}
	for _, m := range of {
		if m.Position <= ends[m.Category] && !in[m.Position] {
			t.Errorf("message %d of %s is missing, and a later one is there", m.Position, m.Category)
		}
	}
	text := ""
	for _, m := range have {
		text += m.Text
	}
	for i, id := range acknowledged[:before] {
		if !strings.Contains(text, id) {
			t.Fatalf("message %d was written before the backup began and is missing", i)
		}
	}
	for _, id := range begun[after:] {
		if strings.Contains(text, id) {
			t.Fatal("there is a message from after the backup")
		}
	}
	if len(have) >= len(of) {
		t.Errorf("%d messages are restored, %d were written", len(have), len(of))
	}
	for _, key := range []string{"identity-key", "cookie-secret"} {
		kept, err := os.ReadFile(filepath.Join(dir, key))
		if key == "cookie-secret" {
			was, _ := os.ReadFile(filepath.Join(dataDir(s), key))
			if err != nil || string(kept) != string(was) {
				t.Errorf("%s: %v", key, err)
			}
		} else if err != nil || string(kept) != strings.Repeat("identity", 4) {
			t.Errorf("%s: %q, %v", key, kept, err)
		}
	}

	// One site goes on with the view data of the backup, another makes them anew.
	anew, anewDir := dbtest.NewEmpty(t), folder(t)
	if out, err := restoredTo(t, anew, anewDir, file); err != nil {
		t.Fatalf("restore: %v\n%s", err, out)
	}
	for table := range viewRows(t, anew.Views) {
		if _, err := anew.Views.Exec(within(t), `TRUNCATE `+pgx.Identifier{table}.Sanitize()); err != nil {
			t.Fatal(err)
		}
	}
	url := func(d *dbtest.DB) []string { // the key is in the data folder
		return []string{"DATABASE_URL=" + d.ViewsURL, "MESSAGE_STORE_CONNECTION_STRING=" + d.MessageStoreURL, "ENVIRONMENT=development", "PATH=/nowhere"}
	}
	restored, replayed := start(t, dir, url(target)), start(t, anewDir, url(anew))
	settled(t, target, restored)
	settled(t, anew, replayed)
	sameViews(t, viewRows(t, target.Views), viewRows(t, anew.Views))
	if n := queried[int64](t, target, `SELECT videos_watched FROM view_total`); int(n) < before/2 {
		t.Errorf("%d views are counted", n)
	}
	// It goes on: people log in as before, and the next message has a position of its own.
	if at := visit(t, restored).entered("ada@example.test", goodPassword); !at.isIn() {
		t.Error("nobody can log in to the restored site")
	}
	somebodyWatches(t, target, lesson)
	last := allMessages(t, target.MessageStore)
	if last[len(last)-1].Position <= have[len(have)-1].Position {
		t.Error("a new message has the position of an old one")
	}

	// At rest the view data of a restored site are those of the source.
	settled(t, source, s)
	quiet, quietDir := dbtest.NewEmpty(t), folder(t)
	if out, err := restoredTo(t, quiet, quietDir, backedUp(t, s)); err != nil {
		t.Fatalf("restore: %v\n%s", err, out)
	}
	sameViews(t, viewRows(t, quiet.Views), viewRows(t, source.Views))
	if out, err := restoredTo(t, quiet, folder(t), file); err == nil || !strings.Contains(out, "is not empty") {
		t.Errorf("a restore over messages: %v\n%s", err, out)
	}
}
