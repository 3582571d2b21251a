package db

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The SQL of Message DB comes from its npm package when the program is built; nothing of it is committed.
// `npm ci` fetches it, `go generate ./db` copies it here.

//go:generate cp -R ../node_modules/@eventide/message-db/database/. messagedb/
//go:generate cp ../node_modules/@eventide/message-db/MIT-License.txt messagedb/

//go:embed all:messagedb
var messageDB embed.FS

// MessageDBVersion is the version of Message DB that the program is written for.
const MessageDBVersion = "1.3.0"

// messageDBSteps are the files of Message DB in the order of its install.sh. Each step is left out where the query in
// unless says that it is done: the statements would be refused to a user who may not create roles, schemas or
// extensions even when there is nothing left to create.
var messageDBSteps = []struct {
	files   []string
	unless  string
	missing string
}{
	{
		files:   []string{"roles/message-store.sql"},
		unless:  `SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'message_store')`,
		missing: "the role message_store is missing and this user may not create roles; let an administrator run: CREATE ROLE message_store WITH LOGIN",
	},
	{
		files:   []string{"schema/message-store.sql"},
		unless:  `SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'message_store')`,
		missing: "the schema message_store is missing and this user may not create it; let the database's owner run: GRANT CREATE ON DATABASE … TO …",
	},
	{
		files:   []string{"extensions/pgcrypto.sql"},
		unless:  `SELECT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'pgcrypto')`,
		missing: "the extension pgcrypto is missing and cannot be created here; let an administrator install Postgres' contrib modules and run in this database: CREATE EXTENSION pgcrypto",
	},
	{
		missing: "this user may not create tables and functions in the schema message_store; use its owner, or let it run: GRANT CREATE, USAGE ON SCHEMA message_store TO …",
		files: []string{
			"tables/messages.sql",

			"types/message.sql",

			"functions/message-store-version.sql",
			"functions/hash-64.sql",
			"functions/acquire-lock.sql",
			"functions/category.sql",
			"functions/is-category.sql",
			"functions/id.sql",
			"functions/cardinal-id.sql",
			"functions/stream-version.sql",
			"functions/write-message.sql",
			"functions/get-stream-messages.sql",
			"functions/get-category-messages.sql",
			"functions/get-last-stream-message.sql",

			"indexes/messages-id.sql",
			"indexes/messages-stream.sql",
			"indexes/messages-category.sql",

			"views/stream-summary.sql",
			"views/type-summary.sql",
			"views/stream-type-summary.sql",
			"views/type-stream-summary.sql",
			"views/category-type-summary.sql",
			"views/type-category-summary.sql",

			"privileges/schema.sql",
			"privileges/table.sql",
			"privileges/sequence.sql",
			"privileges/functions.sql",
			"privileges/views.sql",
		},
	},
}

// installMessageDB makes sure that the database of conn holds Message DB in the version this program knows. It
// reports whether it had to be installed. The caller holds the migration lock of that database.
func installMessageDB(ctx context.Context, conn *pgx.Conn) (installed bool, err error) {
	found, err := foundMessageDB(ctx, conn)
	if err != nil {
		return false, err
	}
	switch found {
	case MessageDBVersion:
		return false, nil
	case "":
	default:
		return false, fmt.Errorf("the database holds Message DB %s, and this program knows %s: bring it to %s with Message DB's update.sh, or name another database",
			found, MessageDBVersion, MessageDBVersion)
	}

	// Two databases of one server share their roles, and the lock is per database: whoever creates the role second
	// starts over and finds it.
	for range 3 {
		if err = runMessageDBSteps(ctx, conn); err == nil {
			return true, nil
		}
		if code := sqlState(err); code != "23505" && code != "42710" {
			return false, err
		}
	}
	return false, err
}

// foundMessageDB returns the version of the Message DB in the database of conn, or "" where there is none.
func foundMessageDB(ctx context.Context, conn *pgx.Conn) (version string, err error) {
	var hasVersion, hasMessages bool
	err = conn.QueryRow(ctx, `
		SELECT
			EXISTS (SELECT FROM pg_catalog.pg_proc WHERE proname = 'message_store_version' AND pronamespace = n.oid),
			EXISTS (SELECT FROM pg_catalog.pg_class WHERE relname = 'messages' AND relnamespace = n.oid)
		FROM pg_catalog.pg_namespace AS n
		WHERE n.nspname = 'message_store'`).Scan(&hasVersion, &hasMessages)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("look for Message DB: %w", err)
	case !hasVersion && !hasMessages:
		return "", nil
	case !hasVersion:
		return "", errors.New("the schema message_store has a table messages but no message_store_version(): it is not a Message DB that this program knows; name another database")
	}
	err = conn.QueryRow(ctx, `SELECT message_store.message_store_version()`).Scan(&version)
	if sqlState(err) == insufficientPrivilege {
		return "", fmt.Errorf("user %s may not use Message DB here; let its owner run: GRANT message_store TO %[1]s (%w)", conn.Config().User, err)
	} else if err != nil {
		return "", fmt.Errorf("read the version of Message DB: %w", err)
	}
	return version, nil
}

func runMessageDBSteps(ctx context.Context, conn *pgx.Conn) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		// The files speak in NOTICEs, and the extension goes to the first schema of the path.
		if _, err := tx.Exec(ctx, `SET LOCAL client_min_messages = warning; SET LOCAL search_path = public`); err != nil {
			return fmt.Errorf("prepare to install Message DB: %w", err)
		}
		for _, step := range messageDBSteps {
			if step.unless != "" {
				var done bool
				if err := tx.QueryRow(ctx, step.unless).Scan(&done); err != nil {
					return fmt.Errorf("install Message DB: %w", err)
				}
				if done {
					continue
				}
			}
			for _, file := range step.files {
				sql, err := messageDB.ReadFile(path.Join("messagedb", file))
				if errors.Is(err, fs.ErrNotExist) {
					return errors.New("this program was built without Message DB's SQL: run `npm ci` and `go generate ./db`, then build it again")
				} else if err != nil {
					return fmt.Errorf("read Message DB's %s: %w", file, err)
				}
				_, err = tx.Exec(ctx, string(sql))
				switch sqlState(err) {
				case insufficientPrivilege, "0A000", "58P01", "22023": // not permitted; extension not available, file missing
					return fmt.Errorf("install Message DB as user %s: %s (%s: %w)", conn.Config().User, step.missing, file, err)
				}
				if err != nil {
					return fmt.Errorf("install Message DB, %s: %w", file, err)
				}
			}
		}
		return nil
	})
}

const (
	insufficientPrivilege = "42501"
	lockNotAvailable      = "55P03"
)

// sqlState returns the SQLSTATE that Postgres answered with, or "" where err is none of its errors.
func sqlState(err error) string {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refused.Code
	}
	return ""
}
