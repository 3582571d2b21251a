package db

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"github.com/amacneil/dbmate/v2/pkg/dbmate"
	dbmatepostgres "github.com/amacneil/dbmate/v2/pkg/driver/postgres"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

//go:embed migrations
var migrationFiles embed.FS

// Each set has its own table of applied versions, so that one database may hold both.
var (
	viewMigrations         = migrationSet{name: "view data", dir: "migrations/views", table: "applied_view_migrations"}
	messageStoreMigrations = migrationSet{name: "Message DB", dir: "migrations/messagestore", table: "message_store.applied_migrations"}
)

type migrationSet struct {
	name, dir, table string
}

// migrationLock is the key of the advisory lock that a migrating process holds; "video tu" as a number.
const migrationLock int64 = 0x766964656f207475

const oldestServer = 14

// Migrate brings both databases to the state that this program needs: it installs Message DB where there is none,
// refuses a version of it that the program doesn't know, and applies the migrations that are missing. The URLs may
// name one and the same database. Any number of processes may call it at once: the first does the work while the
// others wait. It changes nothing, and needs no right to, where nothing is missing.
func Migrate(ctx context.Context, viewsURL, messageStoreURL string, log *slog.Logger) error {
	err := withMigrationLock(ctx, messageStoreURL, func(conn *pgx.Conn) error {
		installed, err := installMessageDB(ctx, conn)
		if err != nil {
			return err
		}
		log.InfoContext(ctx, "message db ready", "version", MessageDBVersion, "installed_now", installed, "database", conn.Config().Database)
		return messageStoreMigrations.apply(ctx, messageStoreURL, log)
	})
	if err != nil {
		return fmt.Errorf("prepare the message store: %w", err)
	}
	err = withMigrationLock(ctx, viewsURL, func(*pgx.Conn) error {
		return viewMigrations.apply(ctx, viewsURL, log)
	})
	if err != nil {
		return fmt.Errorf("prepare the view data: %w", err)
	}
	return nil
}

// withMigrationLock runs work while it holds the migration lock of the database in a session of its own. The lock
// ends with the session, so a process that dies leaves none behind. Only one database is locked at a time: two
// processes that were given them in different order cannot wait for each other.
func withMigrationLock(ctx context.Context, databaseURL string, work func(*pgx.Conn) error) error {
	config, err := connConfig(databaseURL)
	if err != nil {
		return err
	}
	config.RuntimeParams["application_name"] = applicationName + " migrate"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))

	var version int
	if err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int / 10000`).Scan(&version); err != nil {
		return fmt.Errorf("read the version of the server: %w", err)
	}
	if version < oldestServer {
		return fmt.Errorf("the server is Postgres %d; the oldest that works is %d", version, oldestServer)
	}
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, migrationLock); err != nil {
		return fmt.Errorf("wait for the migration lock: %w", err)
	}
	return work(conn)
}

// apply runs the migrations of the set that the database doesn't have yet, each in a transaction of its own.
func (s migrationSet) apply(ctx context.Context, databaseURL string, log *slog.Logger) error {
	mate, err := s.dbmate(databaseURL)
	if err != nil {
		return err
	}
	// Asked first, because dbmate creates its table again each time, which a restricted user may not.
	pending, err := s.pending(mate)
	if err != nil || len(pending) == 0 {
		return err
	}
	migrateErr := s.migrate(ctx, mate, log)
	left, err := s.pending(mate)
	if err != nil {
		return errors.Join(migrateErr, err)
	}
	for _, file := range pending {
		if !slices.Contains(left, file) {
			log.InfoContext(ctx, "migration applied", "set", s.name, "file", file)
		}
	}
	switch {
	case migrateErr == nil:
		return nil
	case len(left) == 0:
		return fmt.Errorf("migrate the %s: %w", s.name, migrateErr)
	case sqlState(migrateErr) == insufficientPrivilege:
		return fmt.Errorf("apply %s to the %s: this user may not change the schema; run the migrate command once as its owner (%w)", left[0], s.name, migrateErr)
	default:
		return fmt.Errorf("apply %s to the %s: %w", left[0], s.name, migrateErr)
	}
}

// A migration that waits for a lock has everybody else wait behind it, as long as whoever holds it does: a backup reads
// for minutes. So it gives way soon, and tries again.
const (
	migrationLockTimeout  = "3s"
	migrationLockPause    = 2 * time.Second
	migrationLockPatience = 10 * time.Minute
)

func (s migrationSet) migrate(ctx context.Context, mate *dbmate.DB, log *slog.Logger) error {
	for began := time.Now(); ; {
		err := mate.Migrate()
		if sqlState(err) != lockNotAvailable || time.Since(began) > migrationLockPatience {
			return err
		}
		log.WarnContext(ctx, "migration waits for a lock", "set", s.name)
		select {
		case <-time.After(migrationLockPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s migrationSet) pending(mate *dbmate.DB) ([]string, error) {
	all, err := mate.FindMigrations()
	if err != nil {
		return nil, fmt.Errorf("read the applied migrations of the %s: %w", s.name, err)
	}
	var files []string
	for _, migration := range all {
		if !migration.Applied {
			files = append(files, migration.FileName)
		}
	}
	return files, nil
}

func (s migrationSet) dbmate(databaseURL string) (*dbmate.DB, error) {
	u, err := parseURL(databaseURL)
	if err != nil {
		return nil, err
	}
	mate := dbmate.New(u)
	mate.FS = migrationFiles
	mate.MigrationsDir = []string{s.dir}
	mate.MigrationsTableName = s.table
	mate.AutoDumpSchema = false // It would call pg_dump, which need not be there.
	mate.Log = io.Discard
	return mate, nil
}

// dbmate connects through lib/pq, which reads URLs otherwise than pgx: it demands TLS unless told not to, and knows
// neither several hosts nor sslmode=prefer. A URL that serves the pools must serve the migrations, so they connect
// through pgx as well.
type pgxDriver struct {
	dbmate.Driver
	url *url.URL
}

func init() {
	dbmate.RegisterDriver(newPgxDriver, "postgres")
	dbmate.RegisterDriver(newPgxDriver, "postgresql")
}

func newPgxDriver(config dbmate.DriverConfig) dbmate.Driver {
	return pgxDriver{Driver: dbmatepostgres.NewDriver(config), url: config.DatabaseURL}
}

// Open returns a database that connects when it is first used.
func (d pgxDriver) Open() (*sql.DB, error) {
	config, err := connConfig(d.url.String())
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["application_name"] = applicationName + " migrate"
	if config.RuntimeParams["lock_timeout"] == "" {
		config.RuntimeParams["lock_timeout"] = migrationLockTimeout
	}
	return stdlib.OpenDB(*config), nil
}

// QueryError adds the place in the migration that Postgres complains about.
func (d pgxDriver) QueryError(query string, err error) error {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	return migrationError{&dbmate.QueryError{Err: err, Query: query, Position: int(refused.Position)}}
}

// migrationError makes dbmate's error one that can be looked into.
type migrationError struct{ *dbmate.QueryError }

func (e migrationError) Unwrap() error { return e.Err }
