package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/db"
	"videotutorials/db/media"
)

// restoreFrom is what restore is told.
type restoreFrom struct {
	File string `arg:"" help:"A file that backup has written."`
}

// restore puts a backup where nothing is yet: a message store without messages, view data
// without rows, no other keys, no other files. What is there already is never overwritten.
//
// The messages are committed last but for the view data, and all at once: a restore that
// is interrupted can be begun again, and one that was interrupted between the two leaves a
// site that makes its view data anew.
func (p *program) restore(ctx context.Context, out io.Writer, what restoreFrom) error {
	began := time.Now()
	b, err := openBackup(what.File)
	if err != nil {
		return fmt.Errorf("read the backup %s: %w", what.File, err)
	}
	defer b.zip.Close()
	err = p.restoreAll(ctx, out, b)
	if err != nil {
		return fmt.Errorf("restore %s: %w", what.File, err)
	}
	fmt.Fprintf(out, "Restored and checked in %s.\n", time.Since(began).Round(10*time.Millisecond))
	return nil
}

func (p *program) restoreAll(ctx context.Context, out io.Writer, b *openedBackup) (err error) {
	keys, err := p.restoredKeys(b)
	if err != nil {
		return err
	}
	viewsURL, messagesURL, err := p.databases(ctx)
	if err != nil {
		return err
	}
	// Before anything is changed there: they may be the databases of another site.
	if err := refuseFilled(ctx, viewsURL, messagesURL); err != nil {
		return err
	}
	if err := db.Migrate(ctx, viewsURL, messagesURL, p.log); err != nil {
		return err
	}
	if err := p.openPools(ctx, viewsURL, messagesURL); err != nil {
		return err
	}
	if p.media, err = media.Open(ctx, p.config.MediaBucket, p.config.mediaDir()); err != nil {
		return fmt.Errorf("open the place for videos: %w", err)
	}
	there, err := p.filesThere(ctx, b)
	if err != nil {
		return err
	}

	messages, err := p.messages.Begin(ctx)
	if err != nil {
		return fmt.Errorf("write the messages: %w", err)
	}
	defer messages.Rollback(context.WithoutCancel(ctx))
	if err := restoreMessages(ctx, messages, b); err != nil {
		return err
	}
	views, err := p.views.Begin(ctx)
	if err != nil {
		return fmt.Errorf("write the view data: %w", err)
	}
	defer views.Rollback(context.WithoutCancel(ctx))
	restored, err := p.restoreViews(ctx, views, b)
	if err != nil {
		return err
	}
	missing, err := p.restoreFiles(ctx, b, there)
	if err != nil {
		return err
	}
	for file, secret := range keys {
		if kept, err := p.config.keep(file, secret); err != nil {
			return err
		} else if !bytes.Equal(kept, secret) {
			return fmt.Errorf("another %s has appeared in the data folder %s", file, p.config.DataDir)
		}
	}
	if err := messages.Commit(ctx); err != nil {
		return fmt.Errorf("write the messages: %w", err)
	}
	if err := views.Commit(ctx); err != nil {
		return fmt.Errorf("the messages are restored, and the view data are not: the site makes them anew when it starts (%w)", err)
	}
	// Without it the planner takes the tables for empty until Postgres looks by itself.
	for _, table := range []struct {
		pool *pgxpool.Pool
		sql  string
	}{{p.messages, `ANALYZE message_store.messages`}, {p.views, `ANALYZE`}} {
		if _, err := table.pool.Exec(ctx, table.sql); err != nil {
			p.log.Warn("the statistics of the planner are not up to date", "error", err)
		}
	}

	fmt.Fprintf(out, "From %s\n", b.name)
	b.manifest.describe(out)
	if !restored && b.manifest.Views != nil {
		fmt.Fprintln(out, "The view data are of another version of the program: the site makes them anew from the messages when it starts.")
	}
	if len(missing) > 0 {
		fmt.Fprintf(out, "Files of videos that are not there: %d. The first is %s; copy them to %s.\n", len(missing), missing[0], strings.TrimPrefix(p.media.String(), "files in "))
	}
	return nil
}

// refuseFilled looks whether there is anything that a restore would overwrite.
func refuseFilled(ctx context.Context, viewsURL, messagesURL string) error {
	for _, d := range []struct {
		open       func(context.Context, string) (*pgxpool.Pool, error)
		url        string
		table, say string
	}{
		{db.OpenMessageStore, messagesURL, "message_store.messages", "the message store is not empty, and a restore overwrites nothing: name an empty database, or another data folder"},
		{db.OpenViews, viewsURL, "checkpoint", "the view data are not empty, and a restore overwrites nothing: name an empty database, or another data folder"},
	} {
		pool, err := d.open(ctx, d.url)
		if err != nil {
			return err
		}
		filled, err := hasRows(ctx, pool, d.table)
		pool.Close()
		if err == nil && filled {
			err = errors.New(d.say)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func hasRows(ctx context.Context, q db.Querier, table string) (has bool, err error) {
	if err := q.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, table).Scan(&has); err != nil || !has {
		return false, err
	}
	err = q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM `+table+`)`).Scan(&has)
	return has, err
}

// restoredKeys returns the keys that are to be kept in the data folder, by file, and refuses
// to put them in place of others.
func (p *program) restoredKeys(b *openedBackup) (map[string][]byte, error) {
	keys := map[string][]byte{}
	for _, k := range []struct{ entry, set, file, variable string }{
		{backupIdentityKey, p.config.IdentityKey, "identity-key", "IDENTITY_KEY (--identity-key)"},
		{backupCookieSecret, p.config.CookieSecret, "cookie-secret", "COOKIE_SECRET (--cookie-secret)"},
	} {
		sum, in := b.manifest.Keys[k.entry]
		if !in {
			continue
		}
		secret, err := b.read(k.entry, sum)
		if err != nil {
			return nil, err
		}
		if k.entry == backupIdentityKey && b.manifest.IdentityKey != "" {
			key, err := identitymsg.NewKey(secret)
			if err != nil {
				return nil, err
			}
			if key.ID() != b.manifest.IdentityKey {
				return nil, errors.New("the identity key in the backup is not the one that its messages were begun with")
			}
		}
		kept, err := p.config.kept(k.set, k.file)
		switch {
		case err != nil:
			return nil, err
		case kept == nil:
			keys[k.file] = secret
		case !bytes.Equal(kept, secret) && k.set != "":
			return nil, fmt.Errorf("%s is set, and differs from the %s of the backup: unset it, or set it to what is in the backup as %s", k.variable, k.file, k.entry)
		case !bytes.Equal(kept, secret):
			return nil, fmt.Errorf("the data folder %s has another %s than the backup, and a restore overwrites nothing: name another data folder", p.config.DataDir, k.file)
		}
	}
	return keys, nil
}

// restoreMessages puts the messages into the empty table, with their positions, times and
// ids, and reads them back: the transaction is kept only where they are the same to the byte.
func restoreMessages(ctx context.Context, tx pgx.Tx, b *openedBackup) error {
	if err := unhurried(ctx, tx); err != nil {
		return fmt.Errorf("write the messages: %w", err)
	}
	// Nobody can write from here on. Nobody waits for these messages either, and millions of
	// notifications in one transaction are a burden.
	_, err := tx.Exec(ctx, `LOCK TABLE message_store.messages IN ACCESS EXCLUSIVE MODE; ALTER TABLE message_store.messages DISABLE TRIGGER notify_of_message`)
	if err != nil {
		return fmt.Errorf("take the message store for the restore, as its owner: %w", err)
	}
	if filled, err := hasRows(ctx, tx, "message_store.messages"); err != nil || filled {
		return errors.Join(err, errors.New("the message store is not empty any more"))
	}
	if err := b.copyIn(ctx, tx, backupMessages, "message_store.messages", b.manifest.Messages, messageColumns); err != nil {
		return err
	}
	rows, sum, err := copyOut(ctx, tx, selectMessages(), io.Discard)
	if err != nil {
		return fmt.Errorf("read the messages back: %w", err)
	}
	if rows != b.manifest.Messages.Rows || sum != b.manifest.Messages.SHA256 {
		return fmt.Errorf("read back, %d messages are not the %d of the backup", rows, b.manifest.Messages.Rows)
	}
	if b.manifest.Sequence > 0 {
		if _, err := tx.Exec(ctx, `SELECT setval('message_store.messages_global_position_seq', $1)`, max(b.manifest.Sequence, b.manifest.Last)); err != nil {
			return fmt.Errorf("set the position of the next message: %w", err)
		}
	}
	chosen, err := chosenKey(ctx, tx)
	if err == nil && chosen != b.manifest.IdentityKey {
		err = errors.New("the messages were begun with another identity key than the manifest says")
	}
	if err == nil {
		_, err = tx.Exec(ctx, `ALTER TABLE message_store.messages ENABLE TRIGGER notify_of_message`)
	}
	return err
}

// restoreViews puts the view data back where they are of this version of the program.
func (p *program) restoreViews(ctx context.Context, tx pgx.Tx, b *openedBackup) (restored bool, err error) {
	if err := unhurried(ctx, tx); err != nil {
		return false, fmt.Errorf("write the view data: %w", err)
	}
	state, err := db.ViewMigrations(ctx, tx)
	if err != nil {
		return false, err
	}
	tables := p.viewTables()
	for _, table := range tables {
		name := pgx.Identifier{table}.Sanitize()
		if _, err := tx.Exec(ctx, `LOCK TABLE `+name+` IN ACCESS EXCLUSIVE MODE`); err != nil {
			return false, fmt.Errorf("take %s for the restore: %w", table, err)
		}
		if filled, err := hasRows(ctx, tx, name); err != nil || filled {
			return false, errors.Join(err, fmt.Errorf("the view data are not empty: there are rows in %s", table))
		}
	}
	v := b.manifest.Views
	if v == nil || !slices.Equal(v.Migrations, state.Applied) {
		return false, nil
	}
	for _, t := range v.Tables {
		if !slices.Contains(tables, t.Name) {
			return false, fmt.Errorf("the backup has a table %s, which this program does not know", t.Name)
		}
		if err := b.copyIn(ctx, tx, backupViews+t.Name, pgx.Identifier{t.Name}.Sanitize(), t, t.Columns); err != nil {
			return false, err
		}
	}
	return true, nil
}

// filesThere returns the keys of the files that are there already, and refuses others in
// their places.
func (p *program) filesThere(ctx context.Context, b *openedBackup) (map[string]bool, error) {
	sizes := map[string]int64{}
	for f, err := range p.media.Files(ctx) {
		if err != nil {
			return nil, err
		}
		sizes[f.Key] = f.Size
	}
	there := map[string]bool{}
	for _, f := range b.manifest.Media {
		size, is := sizes[f.Key]
		if !is {
			continue
		}
		there[f.Key] = true
		if size == f.Bytes && f.SHA256 != "" {
			r, err := p.media.Open(ctx, f.Key)
			if err != nil {
				return nil, err
			}
			sum, n, err := checksum(r)
			r.Close()
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", f.Key, err)
			}
			if sum == f.SHA256 && n == f.Bytes {
				continue
			}
			size = -1
		}
		if size != f.Bytes {
			return nil, fmt.Errorf("the file %s of a video is there and is not that of the backup, and a restore overwrites nothing", f.Key)
		}
	}
	return there, nil
}

// restoreFiles puts the files of the videos back that are in the backup, and returns the keys
// of those that are neither there nor in it.
func (p *program) restoreFiles(ctx context.Context, b *openedBackup, there map[string]bool) (missing []string, err error) {
	for _, f := range b.manifest.Media {
		if there[f.Key] {
			continue
		}
		if !b.manifest.MediaIn {
			missing = append(missing, f.Key)
			continue
		}
		r, err := b.open(backupMedia+f.Key, f.SHA256)
		if err != nil {
			return nil, err
		}
		err = p.media.PutFrom(ctx, f.Key, r)
		r.Close()
		if err != nil {
			return nil, err
		}
	}
	return missing, nil
}

// openedBackup is a backup that is read.
type openedBackup struct {
	name     string
	zip      *zip.ReadCloser
	manifest backupManifest
}

func openBackup(name string) (*openedBackup, error) {
	archive, err := zip.OpenReader(name)
	if errors.Is(err, zip.ErrFormat) {
		return nil, errors.New("it is not a backup, or not whole")
	}
	if err != nil {
		return nil, err
	}
	b := &openedBackup{name: name, zip: archive}
	text, err := b.read(backupManifestFile, "")
	if err == nil {
		err = json.Unmarshal(text, &b.manifest)
	}
	if err == nil && b.manifest.Format != backupFormat {
		err = fmt.Errorf("it is of format %d, and this program reads %d: use the version of the program that made it", b.manifest.Format, backupFormat)
	}
	if err != nil {
		archive.Close()
		return nil, err
	}
	return b, nil
}

// open returns the content of an entry, whose end is an error where its checksum is not sum.
// The archive's own checksums are held against what is read too.
func (b *openedBackup) open(entry, sum string) (io.ReadCloser, error) {
	r, err := b.zip.Open(entry)
	if err != nil {
		return nil, fmt.Errorf("%s is not in the backup: %w", entry, err)
	}
	return &checked{ReadCloser: r, hash: sha256.New(), entry: entry, sum: sum}, nil
}

type checked struct {
	io.ReadCloser
	hash interface {
		io.Writer
		Sum([]byte) []byte
	}
	entry, sum string
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.hash.Write(p[:n])
	switch {
	case errors.Is(err, io.EOF) && c.sum != "" && hex.EncodeToString(c.hash.Sum(nil)) != c.sum:
		err = fmt.Errorf("%s is not what the manifest of the backup says", c.entry)
	case err != nil && !errors.Is(err, io.EOF):
		err = fmt.Errorf("%s is damaged: %w", c.entry, err)
	}
	return n, err
}

func (b *openedBackup) read(entry, sum string) ([]byte, error) {
	r, err := b.open(entry, sum)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func (b *openedBackup) copyIn(ctx context.Context, tx pgx.Tx, entry, table string, t backupTable, columns []string) error {
	r, err := b.open(entry, t.SHA256)
	if err != nil {
		return err
	}
	defer r.Close()
	tag, err := tx.Conn().PgConn().CopyFrom(ctx, r, `COPY `+table+` (`+quoted(columns)+`) FROM STDIN (FORMAT binary)`)
	if err != nil {
		return fmt.Errorf("write %s: %w", t.Name, err)
	}
	if tag.RowsAffected() != t.Rows {
		return fmt.Errorf("write %s: %d rows instead of %d", t.Name, tag.RowsAffected(), t.Rows)
	}
	return nil
}
