package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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
	for _, table := range query(`SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ('rebuild', 'process', 'applied_view_migrations')`) {
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

// A table that is written anew or emptied while a backup begins, or while it reads, is in it
// as it was before or after, and never empty: neither is seen by snapshots.
func TestABackupSeesNoTableBetween(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	ctx := within(t)
	exec := func(on interface {
		Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
	}, sql string) {
		t.Helper()
		if _, err := on.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(database.Views, `CREATE TABLE first (n int); CREATE TABLE second (n int); INSERT INTO first VALUES (1); INSERT INTO second VALUES (1)`)
	rewriting, err := database.Views.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer rewriting.Rollback(context.WithoutCancel(ctx))
	exec(rewriting, `INSERT INTO second VALUES (2); ALTER TABLE second ALTER n TYPE bigint`)
	type begun struct {
		tx  pgx.Tx
		end func()
		err error
	}
	came := make(chan begun, 1)
	go func() {
		tx, end, err := snapshot(ctx, database.Views, quoted([]string{"first", "second"}))
		came <- begun{tx, end, err}
	}()
	until(t, "the backup waits for the table", func() bool {
		return queried[bool](t, database, `SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'second'::regclass AND NOT granted)`)
	})
	if err := rewriting.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	backup := <-came
	if backup.err != nil {
		t.Fatal(backup.err)
	}
	defer backup.end()
	var blocked *pgconn.PgError
	if _, err := database.Views.Exec(ctx, `BEGIN; SET LOCAL lock_timeout = 50; TRUNCATE first; COMMIT`); !errors.As(err, &blocked) || blocked.Code != "55P03" {
		t.Errorf("a table that will be read is emptied: %v", err)
	}
	exec(database.Views, `INSERT INTO first VALUES (3)`) // nobody else waits for a backup
	for table, want := range map[string]int{"first": 1, "second": 2} {
		var n int
		if err := backup.tx.QueryRow(ctx, `SELECT count(*) FROM `+table).Scan(&n); err != nil || n != want {
			t.Errorf("%s has %d rows (%v), want %d", table, n, err, want)
		}
	}
}

// A backup comes under its name, and a file that has appeared there stays, be there links or not.
func TestABackupIsPlacedAndReplacesNothing(t *testing.T) {
	t.Parallel()
	for way, put := range map[string]func(from, name string) error{"a link": place, "a rename": placeWithoutLink} {
		dir := t.TempDir()
		from, name := filepath.Join(dir, "unfinished"), filepath.Join(dir, "backup.zip")
		for file, content := range map[string]string{from: "backup", name: "of somebody else"} {
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := put(from, name); !errors.Is(err, fs.ErrExist) {
			t.Errorf("by %s over a file: %v", way, err)
		}
		if content, err := os.ReadFile(name); string(content) != "of somebody else" {
			t.Errorf("by %s a file became %q: %v", way, content, err)
		}
		name = filepath.Join(dir, "other.zip")
		if err := put(from, name); err != nil {
			t.Errorf("by %s: %v", way, err)
		}
		if content, err := os.ReadFile(name); string(content) != "backup" {
			t.Errorf("by %s it is %q: %v", way, content, err)
		}
	}
}

// What a backup replaces or a restore would overwrite is refused, and so is a backup that is
// not whole; nothing has changed afterwards.
func TestARestoreOverwritesNothing(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	s := start(t, dir, []string{"PATH=" + os.Getenv("PATH"), "ENVIRONMENT=development"}, "--no-demo") // a private Postgres
	member(t, s, "ada@example.test", goodPassword)
	film := filepath.Join(dir, "media", messagestore.NewID(), "1")
	if err := os.MkdirAll(film, 0o755); err != nil {
		t.Fatal(err)
	}
	content := strings.Repeat("not really a film ", 1000)
	if err := os.WriteFile(filepath.Join(film, "video.mp4"), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	file, without := backedUp(t, s, "--media"), backedUp(t, s)
	if out, err := commandOn(t, s, "backup", file); err == nil || !strings.Contains(out, "is there already") {
		t.Errorf("a backup over a backup: %v\n%s", err, out)
	}
	if out, err := commandOn(t, s, "restore", file); err == nil || !strings.Contains(out, "is not empty") {
		t.Errorf("a restore into the running site: %v\n%s", err, out)
	}
	s.stop()
	into := t.TempDir()
	killed, busy := filepath.Join(into, ".video-tutorials-backup-1"), filepath.Join(into, ".video-tutorials-backup-2")
	for _, unfinished := range []string{killed, busy} {
		if err := os.WriteFile(unfinished, []byte("keys"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if long := time.Now().Add(-25 * time.Hour); os.Chtimes(killed, long, long) != nil {
		t.Fatal("the time of a file is not changed")
	}
	if out, err := commandOn(t, s, "backup", into); err != nil {
		t.Errorf("a backup into a folder while the site does not run: %v\n%s", err, out)
	}
	if found, _ := filepath.Glob(filepath.Join(into, "*")); len(found) != 2 || found[0] != busy || !strings.HasSuffix(found[1], ".zip") {
		t.Errorf("in the folder is %v", found)
	}
	nowhere := &site{t: t, env: []string{"DATA_DIR=" + t.TempDir()}}
	if out, err := commandOn(t, nowhere, "backup", t.TempDir()); err == nil || !strings.Contains(out, "nothing to back up") {
		t.Errorf("a backup of nothing: %v\n%s", err, out)
	}

	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damaged := func(change func([]byte) []byte) string {
		name := filepath.Join(t.TempDir(), "damaged.zip")
		if err := os.WriteFile(name, change(slices.Clone(whole)), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	empty := dbtest.NewEmpty(t)
	elsewhere := func(name, content string) string {
		dir := folder(t)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	other := folder(t)
	there := filepath.Join(other, "media", filepath.Base(filepath.Dir(film)), "1")
	if err := os.MkdirAll(there, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(there, "video.mp4"), []byte(strings.ToUpper(content)), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file, dir string
		env       []string
		says      string
	}{
		"cut off":               {damaged(func(b []byte) []byte { return b[:len(b)-100] }), folder(t), nil, "not whole"},
		"a bit of the messages": {damaged(func(b []byte) []byte { return flipped(b, backupMessages) }), folder(t), nil, "damaged"},
		"another file":          {damaged(func([]byte) []byte { return []byte("hello") }), folder(t), nil, "not a backup"},
		"another identity key":  {file, elsewhere("identity-key", strings.Repeat("x", 64)), nil, "another identity-key"},
		"another cookie secret": {file, elsewhere("cookie-secret", strings.Repeat("x", 64)), nil, "another cookie-secret"},
		"another key is set":    {file, folder(t), []string{"IDENTITY_KEY=" + strings.Repeat("x", 64)}, "IDENTITY_KEY (--identity-key) is set"},
		"another film":          {file, other, nil, "is there and is not that of the backup"},
	} {
		out, err := restoredTo(t, empty, c.dir, c.file, c.env...)
		if err == nil || !strings.Contains(out, c.says) {
			t.Errorf("%s: %v, want %q\n%s", name, err, c.says, out)
		}
		// Not even a key is left where nothing came of it.
		if kept, err := os.ReadFile(filepath.Join(c.dir, "identity-key")); err == nil && name != "another identity key" {
			t.Errorf("%s: the data folder has an identity key of %d bytes", name, len(kept))
		}
	}
	if has, err := hasRows(within(t), empty.MessageStore, "message_store.messages"); err != nil || has {
		t.Errorf("the database is not empty: %v", err)
	}

	again := folder(t)
	if out, err := restoredTo(t, nil, again, without); err != nil || !strings.Contains(out, "that are not there: 1.") {
		t.Errorf("without the films: %v\n%s", err, out)
	}
	last := folder(t)
	out, err := restoredTo(t, nil, last, file)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if text, err := os.ReadFile(filepath.Join(last, "media", filepath.Base(filepath.Dir(film)), "1", "video.mp4")); err != nil || string(text) != content {
		t.Errorf("the film: %d bytes, %v", len(text), err)
	}
	restored := start(t, last, []string{"ENVIRONMENT=development"}, "--no-demo")
	if at := visit(t, restored).entered("ada@example.test", goodPassword); !at.isIn() {
		t.Error("nobody can log in to the restored site")
	}
}

// flipped changes a byte in the middle of an entry.
func flipped(archive []byte, entry string) []byte {
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		panic(err)
	}
	for _, f := range r.File {
		if f.Name == entry {
			at, err := f.DataOffset()
			if err != nil {
				panic(err)
			}
			archive[at+int64(f.CompressedSize64/2)] ^= 1
		}
	}
	return archive
}
