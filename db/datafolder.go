package db

// What the private Postgres has in the data folder: the lock, the account that owns its files, the socket's folder,
// the databases' folder and the log.

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// The kernel's limit is 108 bytes with the closing zero.
const longestSocketPath = 107

var errInUse = errors.New("the folder is in use")

// lockFolder takes the data folder for this process. The kernel gives the lock back when the process ends, however it
// ends; what stands in the file only tells others who holds it.
func lockFolder(dataDir string) (*os.File, error) {
	path := filepath.Join(dataDir, "postgres.lock")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer file.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		holder, _ := io.ReadAll(io.LimitReader(file, 1024))
		if len(holder) == 0 {
			holder = []byte("another process")
		}
		return nil, fmt.Errorf("%w by %s: stop that one first, or set DATA_DIR to another folder", errInUse, strings.TrimSpace(string(holder)))
	}
	says := fmt.Sprintf("%s (process %d) since %s\n", filepath.Base(os.Args[0]), os.Getpid(), time.Now().Format("2006-01-02 15:04:05 MST"))
	err = file.Truncate(0)
	if err == nil {
		_, err = file.WriteAt([]byte(says), 0)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	return file, nil
}

// chooseAccount finds an account that can run the binaries and enter the data folder, and gives it the folder.
func (p *Postgres) chooseAccount(ctx context.Context) error {
	if err := os.Mkdir(p.dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	var refused []error
	for _, a := range accounts() {
		if err := p.try(ctx, a); err != nil {
			refused = append(refused, fmt.Errorf("as %s: %w", a.name, err))
			continue
		}
		p.account = a
		return chownTree(p.dir, a)
	}
	if os.Geteuid() != 0 {
		return errors.Join(refused...)
	}
	return fmt.Errorf("Postgres does not run as root, and no other account can use DATA_DIR %s with the programs in %s: set DATA_DIR to a folder that every user may enter, such as /var/lib/video-tutorials, or run the program as an ordinary user: %w",
		p.dataDir, p.Binaries.Dir, errors.Join(refused...))
}

// try runs the server program as the account from inside the folder, without starting a server.
func (p *Postgres) try(ctx context.Context, a account) error {
	if err := chown(p.dir, a); err != nil {
		return err
	}
	cmd := p.Binaries.server(ctx, "--version")
	cmd.Dir = p.dir
	cmd.Env = serverEnv()
	cmd.SysProcAttr = a.procAttr(0)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// chownTree gives a folder to the account. The folder of the databases comes last of all, so that a change that was
// interrupted is noticed and done again.
func chownTree(dir string, a account) error {
	cluster := filepath.Join(dir, "cluster")
	if owned(cluster, a) {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == cluster {
			return err
		}
		return chown(path, a)
	})
	if err != nil {
		return err
	}
	if err := chown(cluster, a); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func chown(path string, a account) error {
	if owned(path, a) {
		return nil
	}
	return os.Lchown(path, a.uid, a.gid)
}

func owned(path string, a account) bool {
	info, err := os.Lstat(path)
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == a.uid
}

func socketDirOf(dir string) string {
	beside := filepath.Join(dir, "socket")
	if len(beside)+len(socketName) <= longestSocketPath && !strings.Contains(beside, ",") {
		return beside
	}
	hash := fnv.New64a()
	io.WriteString(hash, dir)
	return filepath.Join(os.TempDir(), fmt.Sprintf("video-tutorials-%x", hash.Sum64()))
}

// makeSocketDir makes the folder of the socket: beside the databases, or where its path would be longer than the
// kernel takes (or hold the comma that separates folders) a private one for temporary files, always the same for the
// same data folder.
func (p *Postgres) makeSocketDir() error {
	p.socketDir = socketDirOf(p.dir)
	if err := os.Mkdir(p.socketDir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	info, err := os.Lstat(p.socketDir)
	if err != nil {
		return err
	}
	// Anyone may make a folder among the temporary files: it must be ours before it is used.
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || info.Mode().Perm() != 0o700 || int(stat.Uid) != os.Geteuid() && int(stat.Uid) != p.account.uid {
		return fmt.Errorf("%s is there already and belongs to someone else or is open to others: remove it", p.socketDir)
	}
	return chown(p.socketDir, p.account)
}

// initialise makes the databases' folder where there is none. It is made under another name first: what an
// interrupted run left is swept away, never taken for a database.
func (p *Postgres) initialise(ctx context.Context) error {
	leftovers, err := filepath.Glob(filepath.Join(p.dir, "new-*"))
	if err != nil {
		return err
	}
	for _, leftover := range leftovers {
		// Its processes may live a moment longer than the program and still write: then the next start sweeps.
		if err := os.RemoveAll(leftover); err != nil {
			p.log.WarnContext(ctx, "an unfinished database folder stays behind", "path", leftover, "error", err)
		}
	}
	if _, err := os.Stat(filepath.Join(p.cluster, "PG_VERSION")); err == nil {
		return nil
	}
	begin := time.Now()
	made, err := os.MkdirTemp(p.dir, "new-")
	if err != nil {
		return err
	}
	if err := chown(made, p.account); err != nil {
		return err
	}
	if p.Binaries.embedded {
		err = embedded.makeCluster(made, p.account)
	} else {
		err = p.initdb(ctx, made)
	}
	if err != nil {
		os.RemoveAll(made)
		return err
	}
	if err := os.Rename(made, p.cluster); err != nil {
		return err
	}
	if err := syncDir(p.dir); err != nil {
		return err
	}
	p.log.InfoContext(ctx, "postgres databases made", "path", p.cluster, "took_ms", time.Since(begin).Milliseconds())
	return nil
}

// initdb runs with text in UTF-8 that sorts by code point, without depending on the machine's locales where the
// version allows it.
func (p *Postgres) initdb(ctx context.Context, dir string) error {
	var out []byte
	var err error
	locales := [][]string{{"--locale=C.UTF-8"}, {"--locale=C"}}
	if p.Binaries.Major >= 17 {
		locales = [][]string{{"--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"}}
	}
	for _, locale := range locales {
		args := append([]string{"-D", dir, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--lc-messages=C", "--no-instructions"}, locale...)
		cmd := exec.CommandContext(ctx, p.Binaries.path("initdb"), args...)
		cmd.Dir = p.dir
		cmd.Env = serverEnv()
		cmd.SysProcAttr = p.account.procAttr(syscall.SIGKILL)
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread() // see spawn
			defer runtime.UnlockOSThread()
			out, err = cmd.CombinedOutput()
		}()
		<-done
		if err == nil || !strings.Contains(string(out), "locale") {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("make the databases with initdb as %s: %w\n%s", p.account.name, err, out)
	}
	return nil
}

// serverLog is the file that the server writes to by itself, also when the program is gone.
type serverLog struct{ file *os.File }

const (
	longestServerLog = 4 << 20
	keptServerLog    = 1 << 20
	quotedServerLog  = 4 << 10
)

func openServerLog(path string) (*serverLog, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	return &serverLog{file}, nil
}

func (l *serverLog) size() int64 {
	info, err := l.file.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// since returns the end of what the server said after it had said size bytes.
func (l *serverLog) since(size int64) string {
	from := max(size, l.size()-quotedServerLog)
	text, _ := io.ReadAll(io.NewSectionReader(l.file, from, quotedServerLog))
	return strings.TrimSpace(string(text))
}

// trim cuts a long log down to its end. The file stays the same one, because the server holds it open.
func (l *serverLog) trim() {
	size := l.size()
	if size <= longestServerLog {
		return
	}
	end := make([]byte, keptServerLog)
	n, _ := l.file.ReadAt(end, size-keptServerLog)
	if l.file.Truncate(0) == nil {
		l.file.Write(end[:n])
	}
}

// Close closes the file; a log that was never opened has none.
func (l *serverLog) Close() {
	if l != nil {
		l.file.Close()
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
