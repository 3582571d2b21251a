// Package db is where data rests: the private Postgres that the program starts when it was given no database, the
// installation of Message DB, the migrations, and the connection pools.
package db

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	viewsDatabase        = "video_tutorials"
	messageStoreDatabase = "message_store"

	// The port only names the socket: the server listens to no network.
	socketPort = "5432"
	socketName = "/.s.PGSQL." + socketPort

	cannotConnectNow = "57P03"
)

// Postgres is a private server whose databases lie in the data folder. Only this program and the owner of the folder
// reach it, through a unix socket. While the program runs, a server that dies is started again; when the program
// dies, the server shuts down by itself.
type Postgres struct {
	Binaries Binaries // what was chosen

	dataDir, dir, cluster, socketDir string

	account  account
	settings []string
	log      *slog.Logger
	output   *serverLog
	lock     *os.File

	stopping context.CancelFunc // ends the supervision
	ended    chan struct{}      // closed when the supervision has ended
	stopOnce sync.Once

	mu     sync.Mutex
	server *server // nil while there is none
}

// server is one life of the server process.
type server struct {
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // why it exited; read it after exited
}

// StartPostgres starts the private server of dataDir, which it creates where it is missing, and returns when both
// databases can be used. ctx ends the start, not the server: that is what Stop is for. Settings, each "name=value",
// come after the server's own and win.
//
// Run as root, the server runs as user postgres or nobody where one of them can reach dataDir, and otherwise inside a
// user namespace.
func StartPostgres(ctx context.Context, dataDir string, log *slog.Logger, settings ...string) (*Postgres, error) {
	p := &Postgres{log: log, settings: settings, ended: make(chan struct{})}
	err := p.start(ctx, dataDir)
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, os.ErrPermission) && os.Geteuid() != 0:
		return nil, fmt.Errorf("start the private Postgres: this user cannot use DATA_DIR %s: set it to a folder of this user, or run the program as the user that made this one: %w", dataDir, err)
	default:
		return nil, fmt.Errorf("start the private Postgres in %s: %w", dataDir, err)
	}
}

func (p *Postgres) start(ctx context.Context, dataDir string) (err error) {
	if err := p.locate(dataDir); err != nil {
		return err
	}
	p.cluster = filepath.Join(p.dir, "cluster")

	if p.lock, err = lockFolder(p.dataDir); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			p.release()
		}
	}()
	if p.output, err = openServerLog(filepath.Join(p.dataDir, "postgres.log")); err != nil {
		return err
	}
	if p.Binaries, err = findBinaries(ctx, p.dataDir, p.cluster); err != nil {
		return err
	}
	if p.Binaries.embedded {
		if err := embedded.install(p.Binaries); err != nil {
			return err
		}
	}
	// Before its folder changes hands.
	if err := p.clearFormer(ctx); err != nil {
		return err
	}
	if err := p.chooseAccount(ctx); err != nil {
		return err
	}
	if err := p.makeSocketDir(); err != nil {
		return err
	}
	if err := p.initialise(ctx); err != nil {
		return err
	}

	begin := time.Now()
	s, err := p.boot(ctx)
	if err != nil {
		return err
	}
	if err := p.createDatabases(ctx); err != nil {
		s.terminate(ctx)
		return err
	}
	p.log.InfoContext(ctx, "postgres started", "version", p.Binaries.Version, "binaries", p.Binaries.Dir, "found_by", p.Binaries.Source,
		"runs_as", p.account.name, "data", p.cluster, "took_ms", time.Since(begin).Milliseconds())

	p.server = s
	life, stopping := context.WithCancel(context.Background())
	p.stopping = stopping
	go p.supervise(life, s)
	return nil
}

// locate finds the data folder, which it makes where it is missing. The server's own idea of it has no symlinks in it,
// and must be recognised.
func (p *Postgres) locate(dataDir string) (err error) {
	if err := os.MkdirAll(dataDir, 0o711); err != nil {
		return err
	}
	if dataDir, err = filepath.Abs(dataDir); err != nil {
		return err
	}
	if p.dataDir, err = filepath.EvalSymlinks(dataDir); err != nil {
		return err
	}
	p.dir = filepath.Join(p.dataDir, "postgres")
	return nil
}

// JoinPostgres returns the private server of dataDir that another process runs, once both databases can be used, and
// starts it like [StartPostgres] where no process does. Stop does nothing to the server of another process.
func JoinPostgres(ctx context.Context, dataDir string, log *slog.Logger, settings ...string) (*Postgres, error) {
	const silence = 30 * time.Second
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for heard := time.Now(); ; {
		// Whoever holds the folder may still unpack or start the server, or end before it runs: so both are tried
		// until one works, and the folder is never taken just to see who has it.
		p, err := StartPostgres(ctx, dataDir, log, settings...)
		if !errors.Is(err, errInUse) {
			return p, err
		}
		p = &Postgres{}
		if err := p.locate(dataDir); err != nil {
			return nil, err
		}
		p.socketDir = socketDirOf(p.dir)
		silent := p.answers(ctx)
		switch {
		case silent == nil:
			return p, nil
		case sqlState(silent) == cannotConnectNow: // it recovers from a crash, perhaps
			heard = time.Now()
		case time.Since(heard) > silence:
			return nil, fmt.Errorf("%w; its Postgres did not answer within %s: %w", err, silence, silent)
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the private Postgres in %s: %w", dataDir, ctx.Err())
		}
	}
}

// Joined reports whether another process runs the server.
func (p *Postgres) Joined() bool { return p.lock == nil }

// answers returns nil where both databases can be used.
func (p *Postgres) answers(ctx context.Context) error {
	for _, address := range []string{p.ViewsURL(), p.MessageStoreURL()} {
		config, err := connConfig(address)
		if err != nil {
			return err
		}
		conn, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			return err
		}
		if err := conn.Close(ctx); err != nil {
			return err
		}
	}
	return nil
}

// ViewsURL returns the address of the database for view data.
func (p *Postgres) ViewsURL() string { return p.databaseURL(viewsDatabase) }

// MessageStoreURL returns the address of the database for Message DB.
func (p *Postgres) MessageStoreURL() string { return p.databaseURL(messageStoreDatabase) }

func (p *Postgres) databaseURL(database string) string {
	query := url.Values{"host": {p.socketDir}, "port": {socketPort}, "sslmode": {"disable"}}.Encode()
	u := url.URL{
		Scheme:   "postgres",
		User:     url.User("postgres"),
		Path:     "/" + database,
		RawQuery: strings.ReplaceAll(query, "+", "%20"), // to pgx, as to libpq, a plus is a plus
	}
	return u.String()
}

// Pid returns the process id of the server, or 0 while there is none.
func (p *Postgres) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server == nil {
		return 0
	}
	return p.server.cmd.Process.Pid
}

// Stop shuts the server down and gives the data folder free. When ctx ends first, the server is cut off, and recovers
// at its next start. A second call does nothing.
func (p *Postgres) Stop(ctx context.Context) (err error) {
	if p.Joined() {
		return nil
	}
	p.stopOnce.Do(func() {
		p.stopping()
		<-p.ended
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.server != nil {
			err = p.server.terminate(ctx)
			p.server = nil
		}
		p.release()
	})
	return err
}

// release gives back what start took, as far as it came.
func (p *Postgres) release() {
	if p.socketDir != "" && !strings.HasPrefix(p.socketDir, p.dataDir) {
		os.RemoveAll(p.socketDir)
	}
	p.output.Close()
	// By itself the lock lasts until a process that is being started has closed its copy of the file as well.
	syscall.Flock(int(p.lock.Fd()), syscall.LOCK_UN)
	p.lock.Close()
}

// supervise starts the server again whenever it ends, until life does.
func (p *Postgres) supervise(life context.Context, s *server) {
	defer close(p.ended)
	trim := time.NewTicker(time.Minute)
	defer trim.Stop()
	for {
		select {
		case <-life.Done():
			return
		case <-trim.C:
			p.output.trim()
			continue
		case <-s.exited:
		}
		p.setServer(nil)
		p.log.Error("postgres ended, starting it again", "error", s.err)

		wait := 50 * time.Millisecond
		for s = nil; s == nil; {
			begin := time.Now()
			next, err := p.boot(life)
			if err == nil {
				p.log.Info("postgres started again", "took_ms", time.Since(begin).Milliseconds())
				s = next
				break
			}
			if life.Err() != nil {
				return
			}
			p.log.Error("postgres does not start, trying again", "error", err, "wait_ms", wait.Milliseconds())
			if !pause(life, wait) {
				return
			}
			wait = min(2*wait, 10*time.Second)
		}
		p.setServer(s)
	}
}

func (p *Postgres) setServer(s *server) {
	p.mu.Lock()
	p.server = s
	p.mu.Unlock()
}

// boot starts the server and waits until it answers. Where processes of a former server are still at work it waits
// for them, because two servers on one folder would ruin it.
func (p *Postgres) boot(ctx context.Context) (*server, error) {
	const patience = 30 * time.Second
	begin := time.Now()
	for {
		if err := p.clearFormer(ctx); err != nil {
			return nil, err
		}
		if err := p.clearSocket(); err != nil {
			return nil, err
		}
		p.output.trim()
		from := p.output.size()
		s, err := p.spawn()
		if err != nil {
			return nil, err
		}
		if err = p.awaitAnswer(ctx, s); err == nil {
			return s, nil
		}
		s.terminate(context.WithoutCancel(ctx))
		said := p.output.since(from)
		if strings.Contains(said, "pre-existing shared memory block") && time.Since(begin) < patience && pause(ctx, 50*time.Millisecond) {
			continue
		}
		return nil, fmt.Errorf("%w; its log says:\n%s", err, said)
	}
}

// spawn starts the server process. The kernel binds the death signal to the thread that started the child, so a
// goroutine keeps that thread for as long as the child lives.
func (p *Postgres) spawn() (*server, error) {
	args := []string{"-D", p.cluster, "-k", p.socketDir, "-p", socketPort}
	for _, setting := range p.serverSettings() {
		args = append(args, "-c", setting)
	}
	s := &server{cmd: p.Binaries.server(context.Background(), args...), exited: make(chan struct{})}
	s.cmd.Dir = p.cluster
	s.cmd.Env = serverEnv()
	s.cmd.Stdout, s.cmd.Stderr = p.output.file, p.output.file
	s.cmd.SysProcAttr = p.account.procAttr(syscall.SIGINT) // a fast shutdown

	started := make(chan error)
	go func() {
		// The server is told to stop when this thread ends, so nobody else may end it meanwhile. It is given back
		// afterwards: a thread that ended here would take the other processes that it has started with it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			s.err = s.cmd.Wait()
			close(s.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("run Postgres as %s: %w", p.account.name, err)
	}
	return s, nil
}

// serverSettings suit a small machine: little memory, nothing done at rest, nothing of what is stored in the log.
func (p *Postgres) serverSettings() []string {
	settings := []string{
		"listen_addresses=",
		"unix_socket_permissions=0700",
		"max_connections=200", // a process takes up to 20
		"shared_buffers=64MB",
		"max_wal_size=256MB",
		"min_wal_size=32MB",
		"wal_level=minimal",
		"max_wal_senders=0",
		"max_logical_replication_workers=0",
		"max_worker_processes=4",
		"max_parallel_workers=2",
		"checkpoint_timeout=15min",
		"jit=off",
		"timezone=UTC",
		"log_timezone=UTC",
		"logging_collector=off",
		"log_checkpoints=off",
		// Errors quote statements and keys, and so what people entered. They reach the program anyway.
		"log_min_messages=log",
		"log_min_error_statement=panic",
	}
	if p.Binaries.embedded {
		settings = append(settings, "dynamic_shared_memory_type=mmap") // where it starts there may be no /dev/shm
	}
	if p.Binaries.Major >= 18 {
		settings = append(settings, "io_method=sync") // no three waiting processes
	}
	return append(settings, p.settings...)
}

func serverEnv() []string {
	return []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C"}
}

// awaitAnswer waits until the server takes connections. Recovery after a crash may take long; as long as the server
// says so, it has the time.
func (p *Postgres) awaitAnswer(ctx context.Context, s *server) error {
	const silence = time.Minute
	config, err := connConfig(p.databaseURL("postgres"))
	if err != nil {
		return err
	}
	heard := time.Now()
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		conn, err := pgx.ConnectConfig(ctx, config)
		if err == nil {
			return conn.Close(ctx)
		}
		if sqlState(err) == cannotConnectNow {
			heard = time.Now()
		}
		select {
		case <-s.exited:
			return fmt.Errorf("it ended at once: %w", s.err)
		case <-ctx.Done():
			return fmt.Errorf("%w while it did not answer: %w", ctx.Err(), err)
		case <-time.After(wait):
		}
		if time.Since(heard) > silence {
			return fmt.Errorf("it runs, but did not answer within %s: %w", silence, err)
		}
	}
}

// terminate ends the server: politely while ctx lasts, then without letting it finish, at last by force.
func (s *server) terminate(ctx context.Context) error {
	for _, step := range []struct {
		signal   syscall.Signal
		patience time.Duration
	}{{syscall.SIGINT, time.Minute}, {syscall.SIGQUIT, 5 * time.Second}} {
		s.cmd.Process.Signal(step.signal)
		given, cancel := context.WithTimeout(ctx, step.patience)
		select {
		case <-s.exited:
			cancel()
			return nil
		case <-given.Done():
			cancel()
		}
		ctx = context.WithoutCancel(ctx)
	}
	s.cmd.Process.Kill()
	<-s.exited
	return errors.New("postgres did not stop when asked and was killed; it recovers at its next start")
}

// clearFormer makes way for a new server: one of this folder that outlived its program is stopped, and a pid file
// that names a process that is something else by now, which would stop Postgres from starting, is removed. The server
// itself sees to it that no process of a former server still uses the folder's shared memory.
func (p *Postgres) clearFormer(ctx context.Context) error {
	pidFile := filepath.Join(p.cluster, "postmaster.pid")
	text, err := os.ReadFile(pidFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	if pid, err := strconv.Atoi(strings.TrimSpace(first)); err == nil && pid > 0 {
		if err := p.stopFormer(ctx, pid); err != nil {
			return err
		}
	}
	if err := os.Remove(pidFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// stopFormer stops process pid if it is a server of this folder, and waits until it has gone.
func (p *Postgres) stopFormer(ctx context.Context, pid int) error {
	process, err := os.FindProcess(pid) // on Linux a handle that never means a later process of that number
	if err != nil {
		return nil
	}
	defer process.Release()
	if !runsPostmaster(pid, p.cluster) {
		return nil
	}
	p.log.WarnContext(ctx, "stopping the postgres that a former run left behind", "pid", pid)
	if err := process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop process %d, a Postgres of this folder that a former run left behind: %w", pid, err)
	}
	for begin := time.Now(); runsPostmaster(pid, p.cluster); {
		if time.Since(begin) > time.Minute {
			return fmt.Errorf("process %d, a Postgres of this folder that a former run left behind, does not stop", pid)
		}
		if !pause(ctx, 20*time.Millisecond) {
			return ctx.Err()
		}
	}
	return nil
}

// clearSocket removes the socket's lock file, which names a pid as well.
func (p *Postgres) clearSocket() error {
	for _, name := range []string{socketName, socketName + ".lock"} {
		if err := os.Remove(p.socketDir + name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (p *Postgres) createDatabases(ctx context.Context) error {
	config, err := connConfig(p.databaseURL("postgres"))
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, name := range []string{viewsDatabase, messageStoreDatabase} {
		var exists bool
		if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&exists); err != nil {
			return fmt.Errorf("look for database %s: %w", name, err)
		}
		if exists {
			continue
		}
		if _, err := conn.Exec(ctx, `CREATE DATABASE `+pgx.Identifier{name}.Sanitize()); err != nil {
			return fmt.Errorf("create database %s: %w", name, err)
		}
	}
	return nil
}

// pause waits and tells whether it came to its end before ctx did.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
