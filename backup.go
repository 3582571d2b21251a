package main

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/db"
	"videotutorials/db/media"
)

// backupTo is what backup is told.
type backupTo struct {
	To    string `arg:"" name:"file|folder" help:"File to write, which must not be there yet, or a folder, where it is named after the time."`
	Media bool   `help:"Put the files of the videos in as well, where they are in the data folder."`
}

// A backup is a zip file, so that everybody can look into it. Tables are as COPY writes
// them in its binary form. The manifest is written last.
const (
	backupFormat       = 1
	backupManifestFile = "manifest.json"
	backupMessages     = "messages"
	backupViews        = "views/"
	backupMedia        = "media/"
	backupIdentityKey  = "keys/identity-key"
	backupCookieSecret = "keys/cookie-secret"

	backupUnfinished = ".video-tutorials-backup-" // how the name of one that is being written begins
)

// backupManifest says what is in a backup.
type backupManifest struct {
	Format   int            `json:"format"`
	TakenAt  time.Time      `json:"takenAt"` // by the clock of the message store
	Messages backupTable    `json:"messages"`
	Last     int64          `json:"lastGlobalPosition"`
	Sequence int64          `json:"sequence"` // the last global position that was given away
	Views    *backupOfViews `json:"views,omitempty"`
	// IdentityKey is the id of the key, which says nothing about it.
	IdentityKey string            `json:"identityKeyId"`
	Keys        map[string]string `json:"keys"` // SHA-256 by the name of the entry
	Media       []backupMediaFile `json:"media"`
	MediaIn     bool              `json:"mediaIncluded"`
}

type backupOfViews struct {
	Migrations []string      `json:"migrations"`
	Tables     []backupTable `json:"tables"`
}

type backupTable struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Rows    int64    `json:"rows"`
	SHA256  string   `json:"sha256"` // of its entry, unpacked
}

type backupMediaFile struct {
	Key    string `json:"key"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256,omitempty"` // of files in the data folder
	MD5    string `json:"md5,omitempty"`    // of files in a bucket, where it knows it
}

// messageColumns are all columns of Message DB's table.
var messageColumns = []string{"global_position", "position", "time", "stream_name", "type", "data", "metadata", "id"}

// selectMessages reads all messages in the one order that they have. Its output is the same
// for the same messages in any database, so its checksum is that of the messages.
func selectMessages() string {
	return `SELECT ` + strings.Join(messageColumns, ", ") + ` FROM message_store.messages ORDER BY global_position`
}

// writeBackup makes a backup while the site runs, or while it does not.
//
// Each database is read in one snapshot, and that of the view data is taken first: what a
// projection has counted is then among the messages, and what is among the messages and
// not counted yet it counts after a restore.
func (p *program) writeBackup(ctx context.Context, out io.Writer, what backupTo) error {
	began := time.Now()
	name, err := backupName(what.To, began)
	if err != nil {
		return err
	}
	if p.config.DatabaseURL == "" { // a folder that was mistyped is not to get databases
		if _, err := os.Stat(filepath.Join(p.config.DataDir, "postgres", "cluster")); err != nil {
			return fmt.Errorf("there is no private Postgres in DATA_DIR (--data-dir) %s, and DATABASE_URL is not set: nothing to back up", p.config.DataDir)
		}
	}
	if err := p.reach(ctx); err != nil {
		return err
	}
	if p.media, err = media.Open(ctx, p.config.MediaBucket, p.config.mediaDir()); err != nil {
		return fmt.Errorf("open the place for videos: %w", err)
	}
	if what.Media && !p.media.Local() {
		return errors.New("the videos are in a bucket (MEDIA_BUCKET), which is not copied by --media: keep its versions, or a copy of it")
	}

	p.removeUnfinished(filepath.Dir(name), began)
	file, err := os.CreateTemp(filepath.Dir(name), backupUnfinished+"*") // 0600: there are keys in it
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	defer os.Remove(file.Name())
	defer file.Close()
	b := newBackupFile(file)
	manifest, err := p.backupInto(ctx, b, what.Media)
	if err == nil {
		err = b.finish(manifest)
	}
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = place(file.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("write the backup %s: %w", name, err)
	}
	info, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("write the backup %s: %w", name, err)
	}
	fmt.Fprintf(out, "%s\n", name)
	manifest.describe(out)
	fmt.Fprintf(out, "  size          %s, made in %s\n", inBytes(info.Size()), time.Since(began).Round(10*time.Millisecond))
	fmt.Fprintln(out, "Keys and hashes of passwords are in it: keep it where nobody else can read it.")
	return nil
}

// backupName returns the file to write, which is not there.
func backupName(to string, now time.Time) (string, error) {
	if info, err := os.Stat(to); err == nil && info.IsDir() {
		to = filepath.Join(to, now.Format("video-tutorials-20060102-150405.zip"))
	}
	if _, err := os.Lstat(to); err == nil {
		return "", fmt.Errorf("%s is there already, and a backup replaces nothing: name another file", to)
	}
	return to, nil
}

// removeUnfinished removes what backups that were killed have left in a folder, because there
// are keys in it. One that is being written changes all the time.
func (p *program) removeUnfinished(folder string, now time.Time) {
	entries, err := os.ReadDir(folder)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), backupUnfinished) || !e.Type().IsRegular() {
			continue
		}
		if info, infoErr := e.Info(); infoErr == nil && now.Sub(info.ModTime()) > 24*time.Hour {
			err = errors.Join(err, os.Remove(filepath.Join(folder, e.Name())))
		}
	}
	if err != nil {
		p.log.Warn("what unfinished backups left may still be there, with keys in it", "error", err)
	}
}

// place gives a file its name for good. What has appeared there meanwhile stays, and is an error.
func place(from, name string) error {
	err := os.Link(from, name)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = placeWithoutLink(from, name)
	}
	if err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := folder.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, syscall.EINVAL) { // not all file systems can
		return err
	}
	return nil
}

// placeWithoutLink is for file systems without links, such as those of memory sticks.
func placeWithoutLink(from, name string) error {
	mine, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // a rename alone would replace
	if err != nil {
		return err
	}
	mine.Close()
	if err := os.Rename(from, name); err != nil {
		os.Remove(name)
		return err
	}
	return nil
}

// reach opens the databases as they are, without bringing them up to date.
func (p *program) reach(ctx context.Context) error {
	viewsURL, messagesURL, err := p.databases(ctx)
	if err != nil {
		return err
	}
	return p.openPools(ctx, viewsURL, messagesURL)
}

func (p *program) backupInto(ctx context.Context, b *backupFile, withMedia bool) (m backupManifest, err error) {
	m = backupManifest{Format: backupFormat, Keys: map[string]string{}, MediaIn: withMedia}
	if err := p.backupDatabases(ctx, b, &m); err != nil {
		return m, err
	}
	// After the messages: a message that names a file is written when the file is there. And
	// after the end of the transactions: many films take long, and one that is open for long
	// keeps Postgres from tidying up.
	err = p.backupFiles(ctx, b, withMedia, &m)
	return m, err
}

func (p *program) backupDatabases(ctx context.Context, b *backupFile, m *backupManifest) error {
	before, err := db.ViewMigrations(ctx, p.views)
	if err != nil {
		return err
	}
	var tables []string // that are read
	if before.Current() {
		tables = p.viewTables()
	}
	var there bool
	err = p.messages.QueryRow(ctx, `SELECT to_regprocedure('message_store.message_store_version()') IS NOT NULL AND to_regclass('message_store.messages') IS NOT NULL`).Scan(&there)
	if err == nil && !there {
		err = errors.New("there is no Message DB in this database: is it the right one?")
	}
	if err != nil {
		return fmt.Errorf("read the message store: %w", err)
	}

	views, endViews, err := snapshot(ctx, p.views, quoted(tables))
	if err != nil {
		return fmt.Errorf("read the view data: %w", err)
	}
	defer endViews()
	messages, endMessages, err := snapshot(ctx, p.messages, "message_store.messages")
	if err != nil {
		return fmt.Errorf("read the message store: %w", err)
	}
	defer endMessages()
	if err := p.backupKeys(ctx, b, messages, m); err != nil {
		return err
	}
	state, err := db.ViewMigrations(ctx, views)
	if err != nil {
		return err
	}
	switch {
	case state.Current() != before.Current():
		return errors.New("the view data were brought to another version at this moment: make the backup again")
	case state.Current():
		m.Views = &backupOfViews{Migrations: state.Applied}
		for _, table := range tables {
			t, err := backupViewTable(ctx, b, views, table)
			if err != nil {
				return err
			}
			m.Views.Tables = append(m.Views.Tables, t)
		}
	default:
		p.log.Warn("the view data are of another version and left out: after a restore they are made anew from the messages", "missing", state.Missing, "unknown", state.Unknown)
	}
	endViews()
	if m.Messages, err = b.table(ctx, messages, backupMessages, "message_store.messages", messageColumns, selectMessages()); err != nil {
		return err
	}
	// A sequence is in no snapshot: what was given away meanwhile is not given away again.
	err = messages.QueryRow(ctx, `
		SELECT now(), coalesce((SELECT max(global_position) FROM message_store.messages), 0), CASE WHEN is_called THEN last_value ELSE 0 END
		FROM message_store.messages_global_position_seq`).Scan(&m.TakenAt, &m.Last, &m.Sequence)
	if err != nil {
		return fmt.Errorf("read the position of the message store: %w", err)
	}
	return nil
}

// snapshot begins to read tables, which may be none, of a database as they are at this moment,
// for as long as it takes.
func snapshot(ctx context.Context, pool *pgxpool.Pool, tables string) (_ pgx.Tx, end func(), err error) {
	tx, err := pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, nil, err
	}
	end = func() { tx.Rollback(context.WithoutCancel(ctx)) }
	// A table that is emptied by TRUNCATE or written anew by ALTER TABLE after the snapshot is
	// empty in it. So first they are locked, which takes no snapshot, nor does SET; the first
	// query is what takes it.
	err = unhurried(ctx, tx)
	if err == nil && tables != "" {
		_, err = tx.Exec(ctx, `LOCK TABLE `+tables+` IN ACCESS SHARE MODE`)
	}
	if err == nil {
		_, err = tx.Exec(ctx, `SELECT FROM pg_class LIMIT 1`)
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	return tx, end, nil
}

// unhurried lifts the limits of the pools: a table may take longer than a statement of the site.
func unhurried(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0`)
	return err
}

// viewTables are the tables of the view data that say something: those of the projections,
// and how far these are.
func (p *program) viewTables() []string {
	if p.rebuilds == nil {
		p.assemble(settings{listenMessages: &pgx.ConnConfig{}, listenViews: &pgx.ConnConfig{}, secret: make([]byte, 32)})
	}
	return append([]string{"checkpoint"}, p.rebuilds.Tables()...)
}

func backupViewTable(ctx context.Context, b *backupFile, views pgx.Tx, table string) (backupTable, error) {
	rows, err := views.Query(ctx, `SELECT attname::text FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`, pgx.Identifier{table}.Sanitize())
	if err != nil {
		return backupTable{}, fmt.Errorf("read the columns of %s: %w", table, err)
	}
	columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return backupTable{}, fmt.Errorf("read the columns of %s: %w", table, err)
	}
	return b.table(ctx, views, backupViews+table, table, columns, `SELECT `+quoted(columns)+` FROM `+pgx.Identifier{table}.Sanitize())
}

func quoted(names []string) string {
	var all []string
	for _, name := range names {
		all = append(all, pgx.Identifier{name}.Sanitize())
	}
	return strings.Join(all, ", ")
}

// backupKeys puts the keys in, where the identity key is that of the messages.
func (p *program) backupKeys(ctx context.Context, b *backupFile, messages pgx.Tx, m *backupManifest) error {
	chosen, err := chosenKey(ctx, messages)
	if err != nil {
		return err
	}
	for _, k := range []struct{ entry, set, file string }{
		{backupIdentityKey, p.config.IdentityKey, "identity-key"}, {backupCookieSecret, p.config.CookieSecret, "cookie-secret"},
	} {
		secret, err := p.config.kept(k.set, k.file)
		if err != nil {
			return err
		}
		if k.entry == backupIdentityKey {
			if secret == nil && chosen != "" {
				return fmt.Errorf("the identity key is neither set nor in the data folder %s: without it a backup is of no use, set IDENTITY_KEY (--identity-key) or DATA_DIR (--data-dir) as for the site", p.config.DataDir)
			}
			if secret != nil {
				key, err := identitymsg.NewKey(secret)
				if err != nil {
					return err
				}
				if chosen != "" && key.ID() != chosen {
					return errors.New("this is not the identity key that the message store was begun with: set IDENTITY_KEY (--identity-key) or DATA_DIR (--data-dir) as for the site")
				}
			}
			m.IdentityKey = chosen
		}
		if secret == nil {
			p.log.Warn("a key is neither set nor in the data folder, and left out", "key", k.file)
			continue
		}
		if m.Keys[k.entry], _, err = b.add(k.entry, true, bytes.NewReader(secret)); err != nil {
			return err
		}
	}
	return nil
}

// chosenKey returns the id of the key that a message store was begun with, empty where it
// was not begun.
func chosenKey(ctx context.Context, messages pgx.Tx) (string, error) {
	var data []byte
	err := messages.QueryRow(ctx, `SELECT data FROM message_store.messages WHERE stream_name = $1 ORDER BY position DESC LIMIT 1`, string(identitymsg.KeyStream)).Scan(&data)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	var chosen identitymsg.KeyChosen
	if err == nil {
		err = json.Unmarshal(data, &chosen)
	}
	if err != nil {
		return "", fmt.Errorf("read which identity key the message store was begun with: %w", err)
	}
	return chosen.KeyID, nil
}

// backupFiles writes down what files there are, and puts them in where that is wanted.
func (p *program) backupFiles(ctx context.Context, b *backupFile, withMedia bool, m *backupManifest) error {
	for f, err := range p.media.Files(ctx) {
		if err != nil {
			return err
		}
		one := backupMediaFile{Key: f.Key, Bytes: f.Size, MD5: f.MD5}
		if p.media.Local() {
			one.MD5 = ""
			r, err := p.media.Open(ctx, f.Key)
			if errors.Is(err, media.ErrNotFound) { // deleted meanwhile
				continue
			}
			if err != nil {
				return err
			}
			if withMedia {
				one.SHA256, one.Bytes, err = b.add(backupMedia+f.Key, false, r)
			} else {
				one.SHA256, one.Bytes, err = checksum(r)
			}
			r.Close()
			if err != nil {
				return fmt.Errorf("read %s: %w", f.Key, err)
			}
		}
		m.Media = append(m.Media, one)
	}
	return nil
}

func checksum(r io.Reader) (sum string, n int64, err error) {
	hash := sha256.New()
	n, err = io.Copy(hash, r)
	return hex.EncodeToString(hash.Sum(nil)), n, err
}

// backupFile is a backup that is being written.
type backupFile struct {
	zip    *zip.Writer
	buffer *bufio.Writer
}

func newBackupFile(w io.Writer) *backupFile {
	b := &backupFile{buffer: bufio.NewWriterSize(w, 1<<20)}
	b.zip = zip.NewWriter(b.buffer)
	// The fastest way is three times as fast, and the file a seventh longer.
	b.zip.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	return b
}

func (b *backupFile) entry(name string, packed bool) (io.Writer, error) {
	header := &zip.FileHeader{Name: name, Method: zip.Store, Modified: time.Now()}
	header.SetMode(0o600)
	if packed {
		header.Method = zip.Deflate
	}
	return b.zip.CreateHeader(header)
}

// add writes an entry and returns its checksum and length; films are not packed once more.
func (b *backupFile) add(name string, packed bool, r io.Reader) (sum string, n int64, err error) {
	w, err := b.entry(name, packed)
	if err != nil {
		return "", 0, fmt.Errorf("write %s: %w", name, err)
	}
	if sum, n, err = checksum(io.TeeReader(r, w)); err != nil {
		return "", 0, fmt.Errorf("write %s: %w", name, err)
	}
	return sum, n, nil
}

// table writes what a query returns.
func (b *backupFile) table(ctx context.Context, tx pgx.Tx, entry, name string, columns []string, query string) (backupTable, error) {
	t := backupTable{Name: name, Columns: columns}
	w, err := b.entry(entry, true)
	if err != nil {
		return t, fmt.Errorf("write %s: %w", entry, err)
	}
	if t.Rows, t.SHA256, err = copyOut(ctx, tx, query, w); err != nil {
		return t, fmt.Errorf("read %s: %w", name, err)
	}
	return t, nil
}

// copyOut writes what a query returns in the binary form of COPY, which is the same on all
// machines, and returns its checksum.
func copyOut(ctx context.Context, tx pgx.Tx, query string, w io.Writer) (rows int64, sum string, err error) {
	hash := sha256.New()
	buffer := bufio.NewWriterSize(io.MultiWriter(w, hash), 64<<10) // COPY writes row by row
	tag, err := tx.Conn().PgConn().CopyTo(ctx, buffer, `COPY (`+query+`) TO STDOUT (FORMAT binary)`)
	if err == nil {
		err = buffer.Flush()
	}
	return tag.RowsAffected(), hex.EncodeToString(hash.Sum(nil)), err
}

func (b *backupFile) finish(m backupManifest) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if _, _, err := b.add(backupManifestFile, true, bytes.NewReader(text)); err != nil {
		return err
	}
	if err := b.zip.Close(); err != nil {
		return err
	}
	return b.buffer.Flush()
}

// describe says in words what is in a backup.
func (m backupManifest) describe(out io.Writer) {
	fmt.Fprintf(out, "  messages      %d, up to global position %d, %s\n", m.Messages.Rows, m.Last, m.TakenAt.UTC().Format("2006-01-02 15:04:05 UTC"))
	views := "none: they are made anew from the messages"
	if m.Views != nil {
		var rows int64
		for _, t := range m.Views.Tables {
			rows += t.Rows
		}
		views = fmt.Sprintf("%d rows in %d tables", rows, len(m.Views.Tables))
	}
	fmt.Fprintf(out, "  view data     %s\n", views)
	var keys []string
	for entry := range m.Keys {
		keys = append(keys, strings.TrimPrefix(entry, "keys/"))
	}
	slices.Sort(keys)
	fmt.Fprintf(out, "  keys          %s\n", strings.Join(keys, ", "))
	var bytes int64
	for _, f := range m.Media {
		bytes += f.Bytes
	}
	in := "named, and not in the backup"
	if m.MediaIn {
		in = "in the backup"
	}
	fmt.Fprintf(out, "  videos        %d files, %s, %s\n", len(m.Media), inBytes(bytes), in)
}

func inBytes(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f kB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
