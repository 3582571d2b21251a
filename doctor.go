package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/components/sendemail"
	"videotutorials/components/videopublishing/ffmpeg"
	"videotutorials/db"
	"videotutorials/db/media"
	"videotutorials/messagestore"
)

// doctorAsked is what doctor is told.
type doctorAsked struct {
	JSON bool `name:"json" help:"Print the findings as JSON."`
}

// checkTime is how long one check may take.
const checkTime = 15 * time.Second

// finding is what one check found.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // "ok", "warn" or "fail"
	Says   string `json:"says"`
	Mend   string `json:"mend,omitempty"`
}

func fine(says string, args ...any) finding {
	return finding{Status: "ok", Says: fmt.Sprintf(says, args...)}
}

func doubt(mend, says string, args ...any) finding {
	return finding{Status: "warn", Says: fmt.Sprintf(says, args...), Mend: mend}
}

func wrong(mend, says string, args ...any) finding {
	return finding{Status: "fail", Says: fmt.Sprintf(says, args...), Mend: mend}
}

type check struct {
	name string
	run  func(context.Context) finding
}

// doctor makes all checks side by side and prints what they found in their order. It changes
// nothing that stays; a private Postgres that does not run is started and stopped again.
func (p *program) doctor(ctx context.Context, out io.Writer, asked doctorAsked) error {
	checks := []check{
		{"data folder", p.checkDataDir},
		{"ffmpeg", p.checkFFmpeg},
		{"mails", p.checkMails},
		{"videos", p.checkMedia},
		{"cookie secret", p.checkCookieSecret},
	}
	if p.config.https() {
		checks = append(checks, check{"certificates", p.checkCertificates})
	}
	checks = append(p.checkDatabases(ctx), checks...)
	findings := make([]finding, len(checks))
	var running sync.WaitGroup
	for i, c := range checks {
		running.Go(func() {
			limited, cancel := context.WithTimeout(ctx, checkTime)
			defer cancel()
			done := make(chan finding, 1)
			go func() { done <- c.run(limited) }()
			select {
			case findings[i] = <-done:
			case <-limited.Done(): // whatever does not heed its context
				findings[i] = wrong("", "no answer within %s", checkTime)
			}
			findings[i].Check = c.name
		})
	}
	running.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	failed := 0
	for _, f := range findings {
		if f.Status == "fail" {
			failed++
		}
		if !asked.JSON {
			fmt.Fprintf(out, "%-5s %-32s %s\n", f.Status, f.Check, f.Says)
			if f.Mend != "" {
				fmt.Fprintf(out, "%38s → %s\n", "", f.Mend)
			}
		}
	}
	if asked.JSON {
		text, err := json.MarshalIndent(findings, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s\n", text)
	}
	if failed > 0 {
		return fmt.Errorf("of %d checks %d failed", len(findings), failed)
	}
	return nil
}

// checkDatabases returns the checks of both databases, or the one finding there is where they
// cannot be reached at all.
func (p *program) checkDatabases(ctx context.Context) []check {
	only := func(f finding) []check {
		return []check{{"databases", func(context.Context) finding { return f }}}
	}
	if p.config.DatabaseURL == "" {
		if _, err := os.Stat(filepath.Join(p.config.DataDir, "postgres", "cluster")); err != nil {
			binaries, err := db.FindBinaries(ctx, p.config.DataDir)
			if err != nil {
				return only(wrong("install Postgres 14 or newer (Debian: apt-get install postgresql), or set DATABASE_URL and MESSAGE_STORE_CONNECTION_STRING", "%v", err))
			}
			return only(fine("none yet: the first start makes a private one with %s", binaries))
		}
	}
	viewsURL, messagesURL, err := p.databases(ctx)
	if err != nil {
		return only(wrong("see postgres.log in the data folder", "%v", err))
	}
	if err := p.openPools(ctx, viewsURL, messagesURL); err != nil {
		return only(wrong("", "%v", err))
	}
	var all []check
	for _, d := range []struct {
		name, variable, url string
		pool                *pgxpool.Pool
		state               func(context.Context, db.Querier) (db.Migrations, error)
		rights              func(context.Context, *pgxpool.Pool) finding
	}{
		{"message store", "MESSAGE_STORE_CONNECTION_STRING", messagesURL, p.messages, db.MessageStoreMigrations, checkMessageStoreRights},
		{"view data", "DATABASE_URL", viewsURL, p.views, db.ViewMigrations, p.checkViewRights},
	} {
		all = append(all,
			check{d.name, func(ctx context.Context) finding { return checkServer(ctx, d.pool, d.variable) }},
			check{d.name + ": migrations", func(ctx context.Context) finding { return checkMigrations(ctx, d.pool, d.state) }},
			check{d.name + ": rights", func(ctx context.Context) finding { return d.rights(ctx, d.pool) }},
			check{d.name + ": notifications", func(ctx context.Context) finding { return checkNotify(ctx, d.pool, d.url, d.variable) }},
			check{d.name + ": clock", func(ctx context.Context) finding { return checkClock(ctx, d.pool) }},
		)
	}
	return append(all,
		check{"message store: Message DB", func(ctx context.Context) finding { return checkMessageDB(ctx, p.messages) }},
		check{"message store: only added to", func(ctx context.Context) finding { return checkAppendOnly(ctx, p.messages) }},
		check{"identity key", p.checkIdentityKey},
	)
}

// notAnswered is the finding for a question that the database did not answer.
func notAnswered(err error) finding { return wrong("see the line of the database itself", "%v", err) }

func checkServer(ctx context.Context, pool *pgxpool.Pool, variable string) finding {
	var version, user, database string
	var number, most, used int
	err := pool.QueryRow(ctx, `
		SELECT current_setting('server_version'), current_setting('server_version_num')::int, current_user, current_database(),
			current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int, (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')`).
		Scan(&version, &number, &user, &database, &most, &used)
	switch {
	case err != nil:
		return wrong("see that Postgres runs and can be reached from here, and that "+variable+" has the right host, port, user, password and database", "%v", err)
	case number < 140000:
		return wrong("bring the server to Postgres 14 or newer", "Postgres %s is too old", version)
	case most-used < 20:
		return doubt("raise max_connections of the server, or lower pool_max_conns in "+variable, "Postgres %s, and of its %d connections %d are in use: a process of the site takes up to 10 of each database", version, most, used)
	}
	return fine("Postgres %s, database %s as %s", version, database, user)
}

func checkMessageDB(ctx context.Context, pool *pgxpool.Pool) finding {
	var there bool
	err := pool.QueryRow(ctx, `SELECT to_regprocedure('message_store.message_store_version()') IS NOT NULL`).Scan(&there)
	if err != nil {
		return notAnswered(err)
	}
	if !there {
		return doubt("run video-tutorials migrate, or start the site, as a user who may create schemas", "not installed yet")
	}
	var version string
	var extension bool
	if err := pool.QueryRow(ctx, `SELECT message_store.message_store_version(), EXISTS (SELECT FROM pg_extension WHERE extname = 'pgcrypto')`).Scan(&version, &extension); err != nil {
		return wrong("let the owner of the database run: GRANT message_store TO the user", "%v", err)
	}
	switch {
	case version != db.MessageDBVersion:
		return wrong("bring it to "+db.MessageDBVersion+" with the update.sh of Message DB", "Message DB %s, and this program knows %s", version, db.MessageDBVersion)
	case !extension:
		return wrong("let an administrator run in this database: CREATE EXTENSION pgcrypto", "the extension pgcrypto is missing")
	}
	return fine("Message DB %s", version)
}

func checkMigrations(ctx context.Context, pool *pgxpool.Pool, read func(context.Context, db.Querier) (db.Migrations, error)) finding {
	state, err := read(ctx, pool)
	switch {
	case err != nil:
		return notAnswered(err)
	case len(state.Missing) > 0:
		return doubt("run video-tutorials migrate, or start the site, as the owner of the database", "%d are not applied yet, from %s on", len(state.Missing), state.Missing[0])
	case len(state.Unknown) > 0:
		return doubt("use the newer version of the program", "%d were applied by a newer version of the program, from %s on", len(state.Unknown), state.Unknown[0])
	}
	return fine("all %d are applied", len(state.Applied))
}

func checkMessageStoreRights(ctx context.Context, pool *pgxpool.Pool) finding {
	var there bool
	if err := pool.QueryRow(ctx, `SELECT to_regclass('message_store.messages') IS NOT NULL`).Scan(&there); err != nil {
		return notAnswered(err)
	}
	if !there {
		return checkCreate(ctx, pool, `has_database_privilege(current_database(), 'CREATE')`)
	}
	missing, err := missingRights(ctx, pool, map[string]string{
		"use the schema message_store":     `has_schema_privilege('message_store', 'USAGE')`,
		"read the messages":                `has_table_privilege('message_store.messages', 'SELECT')`,
		"add messages":                     `has_table_privilege('message_store.messages', 'INSERT')`,
		"take the next global position":    `has_sequence_privilege('message_store.messages_global_position_seq', 'USAGE')`,
		"call the functions of Message DB": `has_function_privilege('message_store.write_message(varchar, varchar, varchar, jsonb, jsonb, bigint)', 'EXECUTE')`,
	})
	switch {
	case err != nil:
		return notAnswered(err)
	case len(missing) > 0:
		return wrong("let the owner of the database run: GRANT message_store TO the user", "the user may not %s", strings.Join(missing, ", nor "))
	}
	return fine("the user may read and add messages")
}

func (p *program) checkViewRights(ctx context.Context, pool *pgxpool.Pool) finding {
	state, err := db.ViewMigrations(ctx, pool)
	if err != nil {
		return notAnswered(err)
	}
	if len(state.Missing) > 0 {
		return checkCreate(ctx, pool, `has_schema_privilege(current_schema(), 'CREATE')`)
	}
	var missing []string
	for _, table := range append(p.viewTables(), "rebuild") {
		name := pgx.Identifier{table}.Sanitize()
		var may bool
		err := pool.QueryRow(ctx, `SELECT has_table_privilege($1, 'SELECT') AND has_table_privilege($1, 'INSERT') AND has_table_privilege($1, 'UPDATE') AND has_table_privilege($1, 'DELETE')`, name).Scan(&may)
		if err != nil {
			return notAnswered(err)
		}
		if !may {
			missing = append(missing, table)
		}
	}
	if len(missing) > 0 {
		return wrong("let their owner run: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO the user", "the user may not read and write %s", strings.Join(missing, ", "))
	}
	lacks, err := missingRights(ctx, pool, map[string]string{"create schemas": `has_database_privilege(current_database(), 'CREATE')`})
	switch {
	case err != nil:
		return notAnswered(err)
	case len(lacks) > 0:
		return doubt("let the owner of the database run: GRANT CREATE ON DATABASE … TO the user", "the user may not create schemas, so no view can be rebuilt")
	}
	return fine("the user may read and write all tables, and rebuild them")
}

func checkCreate(ctx context.Context, pool *pgxpool.Pool, right string) finding {
	var may bool
	switch err := pool.QueryRow(ctx, `SELECT `+right).Scan(&may); {
	case err != nil:
		return notAnswered(err)
	case !may:
		return wrong("run video-tutorials migrate once as the owner of the database", "the tables are not there yet, and the user may not create them")
	}
	return fine("the user may create what is not there yet")
}

func missingRights(ctx context.Context, pool *pgxpool.Pool, rights map[string]string) (missing []string, err error) {
	for what, right := range rights {
		var may bool
		if err := pool.QueryRow(ctx, `SELECT `+right).Scan(&may); err != nil {
			return nil, err
		}
		if !may {
			missing = append(missing, what)
		}
	}
	return missing, nil
}

// checkAppendOnly looks for the triggers, which somebody may have switched off for a moment.
func checkAppendOnly(ctx context.Context, pool *pgxpool.Pool) finding {
	var off []string
	err := pool.QueryRow(ctx, `
		SELECT coalesce(array_agg(name), '{}') FROM unnest(ARRAY['refuse_change', 'notify_of_message']) AS name
		WHERE NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass('message_store.messages') AND tgname = name AND tgenabled <> 'D')
			AND to_regclass('message_store.messages') IS NOT NULL`).Scan(&off)
	switch {
	case err != nil:
		return notAnswered(err)
	case len(off) > 0:
		return wrong("as the owner: ALTER TABLE message_store.messages ENABLE TRIGGER "+off[0]+"; where it is not there at all, run video-tutorials migrate", "of the table messages these triggers are missing or switched off: %s", strings.Join(off, ", "))
	}
	return fine("changes and deletions are refused")
}

// checkNotify sends itself a notification. A pooler that gives each transaction another
// connection loses it, and pages would be up to a second late.
func checkNotify(ctx context.Context, pool *pgxpool.Pool, url, variable string) finding {
	const patience = 5 * time.Second
	mend := "a pooler in transaction mode cannot pass notifications on: put the address of Postgres itself into " + variable + ", or one of a pooler in session mode"
	config, err := db.ListenConfig(url)
	if err != nil {
		return notAnswered(err)
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return notAnswered(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	channel := "doctor_" + strings.ReplaceAll(messagestore.NewID(), "-", "")
	if _, err := conn.Exec(ctx, `LISTEN `+channel); err != nil {
		return wrong(mend, "LISTEN: %v", err)
	}
	began := time.Now()
	if _, err := pool.Exec(ctx, `SELECT pg_notify($1, 'there')`, channel); err != nil {
		return wrong("", "NOTIFY: %v", err)
	}
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := conn.WaitForNotification(waiting); err != nil {
		return wrong(mend, "a notification did not arrive within %s", patience)
	}
	return fine("arrive, in %s", time.Since(began).Round(100*time.Microsecond))
}

func checkClock(ctx context.Context, pool *pgxpool.Pool) finding {
	var theirs time.Time
	if _, err := pool.Exec(ctx, `SELECT`); err != nil { // not while a connection is made
		return notAnswered(err)
	}
	before := time.Now()
	if err := pool.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&theirs); err != nil {
		return notAnswered(err)
	}
	ours := before.Add(time.Since(before) / 2)
	apart := theirs.Sub(ours).Abs().Round(time.Millisecond)
	switch {
	case apart > 30*time.Second:
		return wrong("let both machines take their time from the network (chrony, systemd-timesyncd)", "the clocks of this machine and of the database are %s apart: links in mails and sessions would end at wrong times", apart)
	case apart > time.Second:
		return doubt("let both machines take their time from the network (chrony, systemd-timesyncd)", "the clocks of this machine and of the database are %s apart", apart)
	}
	return fine("%s apart from this machine's", apart)
}

func (p *program) checkIdentityKey(ctx context.Context) finding {
	kept, err := p.config.kept(p.config.IdentityKey, "identity-key")
	if err != nil {
		return wrong("put the file back from a backup", "%v", err)
	}
	last, err := p.store.Last(ctx, identitymsg.KeyStream, "")
	var chosen messagestore.Message[identitymsg.KeyChosen]
	if err == nil {
		chosen, err = messagestore.Decode[identitymsg.KeyChosen](last)
	} else if there := (finding{}); errors.Is(err, messagestore.ErrNoMessage) || checkMessageDB(ctx, p.messages).Status == "warn" {
		if there = fine("chosen at the first start"); kept != nil {
			there = fine("there; the message store is not begun yet")
		}
		return there
	}
	if err != nil {
		return notAnswered(err)
	}
	mend := "set IDENTITY_KEY (--identity-key) to the key of this message store, or put its file identity-key back into the data folder; it is in every backup"
	if kept == nil {
		return wrong(mend, "it is neither set nor in the data folder")
	}
	key, err := identitymsg.NewKey(kept)
	if err != nil {
		return wrong("", "%v", err)
	}
	if key.ID() != chosen.Data.KeyID {
		return wrong(mend, "it is not the one that the message store was begun with")
	}
	return fine("the one that the message store was begun with")
}

func (p *program) checkCookieSecret(context.Context) finding {
	kept, err := p.config.kept(p.config.CookieSecret, "cookie-secret")
	switch {
	case err != nil:
		return wrong("remove the file: a new one is made, and everybody has to log in again", "%v", err)
	case p.config.CookieSecret != "":
		return fine("set")
	case p.config.DatabaseURL != "":
		return doubt("set COOKIE_SECRET (--cookie-secret) to the same on all of them", "kept in the data folder of this machine: several web processes need the same one")
	case kept == nil:
		return fine("made at the first start")
	}
	return fine("in the data folder")
}

func (p *program) checkDataDir(context.Context) finding {
	dir := p.config.DataDir
	mend := "give the folder to the user that runs the site, or set DATA_DIR (--data-dir) to another"
	at := dir
	for { // a folder that is not there yet is made in the nearest that is
		if info, err := os.Stat(at); err == nil && info.IsDir() {
			break
		} else if err == nil {
			return wrong(mend, "%s is no folder", at)
		} else if !errors.Is(err, os.ErrNotExist) || filepath.Dir(at) == at {
			return wrong(mend, "%v", err)
		}
		at = filepath.Dir(at)
	}
	const toWriteAndEnter = 0o3
	if err := syscall.Access(at, toWriteAndEnter); err != nil {
		return wrong(mend, "%s cannot be written to: %v", at, err)
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(at, &disk); err != nil {
		return wrong(mend, "%s: %v", at, err)
	}
	free := int64(disk.Bavail) * int64(disk.Bsize)
	// A video is there twice while it is published: as it came, and as it is shown.
	needed := 2 * p.config.MaxUploadBytes
	switch {
	case free < 1<<30:
		return wrong("make room, or set DATA_DIR (--data-dir) to a folder on a larger disk", "%s free in %s", inBytes(free), dir)
	case free < needed:
		return doubt("make room, or lower MAX_UPLOAD_BYTES (--max-upload-bytes)", "%s free in %s, and the longest video that may be handed in takes %s", inBytes(free), dir, inBytes(needed))
	}
	return fine("%s free in %s", inBytes(free), dir)
}

func (p *program) checkFFmpeg(context.Context) finding {
	encoder, err := ffmpeg.Find(ffmpeg.Config{Duration: p.config.MaxVideoLength})
	if err != nil {
		return doubt("without it videos that browsers play are published as they are, and others not at all", "%v", err)
	}
	if gaps := encoder.Gaps(); gaps != "" {
		return doubt("use a newer kernel, or allow the process to make user namespaces", "%s; %s", encoder, gaps)
	}
	return fine("%s", encoder)
}

func (p *program) checkMails(ctx context.Context) finding {
	_, port := p.config.sitePort()
	transport, outbox, err := p.config.transport(p.config.baseURL(port))
	if err != nil {
		return wrong("", "%v", err)
	}
	smtp, sent := transport.(*sendemail.SMTP)
	if !sent {
		if p.config.development() {
			return fine("written to %s", outbox)
		}
		return doubt("set SMTP_URL (--smtp-url), or nobody can confirm an address", "nobody gets any: they are written to %s", outbox)
	}
	if err := smtp.Check(ctx); err != nil {
		return wrong("see that SMTP_URL (--smtp-url) has the right host, port, user and password, and that this machine may connect there", "%v", err)
	}
	if p.config.publicURL() == "" {
		return doubt("set BASE_URL (--base-url) to the address of the site as people reach it", "%s takes mails, but links in them lead to this machine only", smtp)
	}
	return fine("%s takes mails", smtp)
}

func (p *program) checkMedia(ctx context.Context) finding {
	mend := "see that the folder media in the data folder belongs to the user that runs the site"
	if p.config.MediaBucket != "" {
		mend = "see MEDIA_BUCKET (--media-bucket), AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; the credentials need to list, read, write and delete objects"
	} else if _, err := os.Stat(p.config.mediaDir()); errors.Is(err, os.ErrNotExist) {
		return fine("none yet: kept in %s", p.config.mediaDir())
	}
	store, err := media.Open(ctx, p.config.MediaBucket, p.config.mediaDir()) // lists, writes and deletes
	if err != nil {
		return wrong(mend, "%v", err)
	}
	defer store.Close()
	key, content := "check/"+messagestore.NewID(), []byte("doctor")
	if err := store.Put(ctx, key, content); err != nil {
		return wrong(mend, "%v", err)
	}
	read, readErr := store.Read(ctx, key, 100)
	if err := store.Delete(ctx, key); err != nil {
		return wrong(mend, "%v", err)
	}
	if readErr != nil || !bytes.Equal(read, content) {
		return wrong(mend, "what was written cannot be read: %v", readErr)
	}
	return fine("%s: a file was written, read and deleted", store)
}
