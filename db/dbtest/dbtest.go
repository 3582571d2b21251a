// Package dbtest gives tests databases of their own in a real Postgres: a private server per test binary, in memory
// where the machine allows it, and a copy of ready-made databases per test.
//
//	func TestMain(m *testing.M) { dbtest.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		t.Parallel()
//		database := dbtest.New(t)
//		…
//	}
package dbtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/db"
)

// patience is how long any single step of the preparation may take on a busy machine.
const patience = time.Minute

// DB are the two databases of one test, empty but for what db.Migrate installs.
type DB struct {
	Views, MessageStore       *pgxpool.Pool
	ViewsURL, MessageStoreURL string
}

var shared struct {
	ready  bool // Main runs
	once   sync.Once
	folder string
	server *db.Postgres
	admin  *pgxpool.Pool
	err    error

	copyCommand string
	serial      atomic.Int64
}

// Main runs the tests of a package; call it from TestMain. The server starts with the first test that asks for
// databases, and has gone when Main returns. When the tests die, the server dies with them, and its folder is removed
// by the next run.
func Main(m *testing.M) {
	shared.ready = true
	code := m.Run()
	if shared.admin != nil {
		shared.admin.Close()
	}
	if shared.server != nil {
		if err := stop(shared.server, shared.folder); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// New gives a test its own pair of databases with Message DB and all migrations in place. They and their pools are
// gone when the test ends.
func New(t testing.TB) *DB {
	t.Helper()
	useShared(t)
	n := shared.serial.Add(1)
	return openDB(t, copyDatabase(t, "template_views", "views", n), copyDatabase(t, "template_message_store", "message_store", n))
}

// NewEmpty gives a test its own pair of databases with nothing in them.
func NewEmpty(t testing.TB) *DB {
	t.Helper()
	useShared(t)
	n := shared.serial.Add(1)
	return openDB(t, copyDatabase(t, "template0", "views", n), copyDatabase(t, "template0", "message_store", n))
}

func useShared(t testing.TB) {
	t.Helper()
	if !shared.ready {
		t.Fatal("call dbtest.Main from TestMain")
	}
	shared.once.Do(func() { shared.err = startShared() })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
}

// startShared starts the server of this test binary and makes the databases that New copies.
func startShared() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if shared.folder, shared.server, err = startInNewFolder(ctx); err != nil {
		return err
	}
	if shared.admin, err = pgxpool.New(ctx, withDatabase(shared.server.ViewsURL(), "postgres")); err != nil {
		return err
	}
	if err := db.Migrate(ctx, shared.server.ViewsURL(), shared.server.MessageStoreURL(), quiet()); err != nil {
		return err
	}
	for name, from := range map[string]string{"views": shared.server.ViewsURL(), "message_store": shared.server.MessageStoreURL()} {
		// Under names of their own, and closed to connections: nobody must be connected while they are copied.
		rename := fmt.Sprintf(`ALTER DATABASE %s RENAME TO template_%s`, pgx.Identifier{databaseOf(from)}.Sanitize(), name)
		if _, err := shared.admin.Exec(ctx, rename); err != nil {
			return fmt.Errorf("prepare the template of %s: %w", name, err)
		}
		if _, err := shared.admin.Exec(ctx, fmt.Sprintf(`ALTER DATABASE template_%s WITH ALLOW_CONNECTIONS false`, name)); err != nil {
			return fmt.Errorf("prepare the template of %s: %w", name, err)
		}
	}
	shared.copyCommand = `CREATE DATABASE %s TEMPLATE %s`
	if shared.server.Binaries.Major >= 15 {
		shared.copyCommand += ` STRATEGY file_copy`
	}
	return nil
}

// copyDatabase makes a database from a template and returns its URL.
func copyDatabase(t testing.TB, template, prefix string, n int64) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	name := fmt.Sprintf("%s_%d", prefix, n)
	if _, err := shared.admin.Exec(ctx, fmt.Sprintf(shared.copyCommand, name, template)); err != nil {
		t.Fatalf("make database %s: %v", name, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if _, err := shared.admin.Exec(ctx, fmt.Sprintf(`DROP DATABASE %s WITH (FORCE)`, name)); err != nil {
			t.Errorf("drop database %s: %v", name, err)
		}
	})
	return withDatabase(shared.server.ViewsURL(), name)
}

func openDB(t testing.TB, viewsURL, messageStoreURL string) *DB {
	t.Helper()
	ctx := context.Background()
	d := &DB{ViewsURL: viewsURL, MessageStoreURL: messageStoreURL}
	var err error
	if d.Views, err = db.OpenViews(ctx, viewsURL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Views.Close)
	if d.MessageStore, err = db.OpenMessageStore(ctx, messageStoreURL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.MessageStore.Close)
	return d
}

// Server is a Postgres of one test, which the test may stop, start and kill. The addresses stay the same.
type Server struct {
	*DB

	t        testing.TB
	folder   string
	postgres *db.Postgres
}

// NewServer starts a server for this test alone, with both databases migrated. It takes about a second: use New
// unless the test makes Postgres fail.
func NewServer(t testing.TB) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	folder, postgres, err := startInNewFolder(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, folder: folder, postgres: postgres}
	t.Cleanup(func() {
		if err := stop(s.postgres, s.folder); err != nil {
			t.Error(err)
		}
	})
	if err := db.Migrate(ctx, postgres.ViewsURL(), postgres.MessageStoreURL(), quiet()); err != nil {
		t.Fatal(err)
	}
	s.DB = openDB(t, postgres.ViewsURL(), postgres.MessageStoreURL())
	return s
}

// Stop shuts the server down, cutting every connection, and returns when it has gone.
func (s *Server) Stop() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.postgres.Stop(ctx); err != nil {
		s.t.Fatal(err)
	}
}

// Start starts the server again after Stop.
func (s *Server) Start() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	postgres, err := start(ctx, s.folder)
	if err != nil {
		s.t.Fatal(err)
	}
	s.postgres = postgres
}

// Kill kills the server's process with SIGKILL. The server comes back by itself, after a recovery.
func (s *Server) Kill() {
	s.t.Helper()
	// It has no process right after the last Kill, and process 0 would be this test.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	pid := s.postgres.Pid()
	for ; pid == 0; pid = s.postgres.Pid() {
		select {
		case <-tick.C:
		case <-deadline:
			s.t.Fatal("there is no server to kill")
		}
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
}

const folderPattern = "video-tutorials-test-"

func startInNewFolder(ctx context.Context) (folder string, server *db.Postgres, err error) {
	parent := roomyFolder()
	sweep(parent)
	if folder, err = os.MkdirTemp(parent, folderPattern); err != nil {
		return "", nil, err
	}
	// The server of a root process is another user, who must get through.
	if err := os.Chmod(folder, 0o711); err != nil {
		return "", nil, err
	}
	if server, err = start(ctx, folder); err != nil {
		os.RemoveAll(folder)
		return "", nil, err
	}
	return folder, server, nil
}

// start starts a server that is fast because it need not survive a power cut. What it wrote survives its own death.
func start(ctx context.Context, folder string) (*db.Postgres, error) {
	return db.StartPostgres(ctx, folder, quiet(), "fsync=off", "full_page_writes=off", "max_connections=300")
}

func stop(server *db.Postgres, folder string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return errors.Join(server.Stop(ctx), os.RemoveAll(folder))
}

// roomyFolder is in memory where there is at least a gigabyte of it: containers often have 64 MB.
func roomyFolder() string {
	const memory, enough = "/dev/shm", 1 << 30
	var fs syscall.Statfs_t
	if syscall.Statfs(memory, &fs) == nil && fs.Bavail*uint64(fs.Bsize) > enough && syscall.Access(memory, 2) == nil {
		return memory
	}
	return os.TempDir()
}

// sweep removes the folders of test runs that were killed. A run that lives holds the lock in its folder.
func sweep(parent string) {
	folders, err := filepath.Glob(filepath.Join(parent, folderPattern+"*"))
	if err != nil {
		return
	}
	for _, folder := range folders {
		// A young one may just be about to take its lock.
		if info, err := os.Stat(folder); err != nil || time.Since(info.ModTime()) < time.Minute {
			continue
		}
		lock, err := os.Open(filepath.Join(folder, "postgres.lock"))
		if err != nil {
			continue
		}
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			os.RemoveAll(folder)
		}
		lock.Close()
	}
}

func withDatabase(databaseURL, name string) string {
	u, err := url.Parse(databaseURL)
	if err != nil {
		panic(err)
	}
	u.Path = "/" + name
	return u.String()
}

func databaseOf(databaseURL string) string {
	u, err := url.Parse(databaseURL)
	if err != nil {
		panic(err)
	}
	return u.Path[1:]
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
