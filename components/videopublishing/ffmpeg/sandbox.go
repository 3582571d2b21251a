package ffmpeg

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
)

// What strangers hand in is read by a million lines of C. So ffmpeg never runs as this
// program would run it: this program starts itself again, that process gives up all that
// ffmpeg does not need, and becomes ffmpeg. Nothing but this binary is needed for it, and
// it works in every test binary too.

// planVariable is what tells a process of this program that it is to become another.
const planVariable = "VIDEO_TUTORIALS_SANDBOX"

// unconfined is how a process exits that could not give up what it should.
const unconfined = 120

// sourceURL is how the program reads the file of a job: as the first file that it inherits,
// so that no name of a file is told, and no folder on the way to it must be open to it.
const sourceURL = "file:/proc/self/fd/3"

// plan is what a process gives up, and keeps, before it becomes another program.
type plan struct {
	Memory    uint64   // bytes of address space
	CPU       uint64   // seconds
	Output    uint64   // bytes of one file
	Processes uint64   // and threads; 0: as many as before
	Nice      int      // how far it stands back behind others
	Read      []string // folders of programs and libraries
	Source    bool     // whether file 3 may be opened again to be read
	Write     bool     // whether the working folder may be written
}

func init() {
	if text, ok := os.LookupEnv(planVariable); ok {
		err := become(text)
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(unconfined)
	}
}

// become returns only if it did not work out.
func become(text string) error {
	var p plan
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return err
	}
	rules := []landlock.Rule{landlock.RODirs(p.Read...).IgnoreIfMissing(), landlock.ROFiles("/etc/ld.so.cache").IgnoreIfMissing(), landlock.RWFiles("/dev/null").IgnoreIfMissing()}
	if p.Source {
		rules = append(rules, landlock.ROFiles("/proc/self/fd/3"))
	}
	if p.Write {
		rules = append(rules, landlock.RWDirs("."))
	}
	if err := landlock.V11.BestEffort().Restrict(rules...); err != nil {
		return fmt.Errorf("restrict by Landlock: %w", err)
	}
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, p.Nice); err != nil {
		return fmt.Errorf("lower the priority: %w", err)
	}
	const processes = 6 // RLIMIT_NPROC, which package syscall does not name
	for _, limit := range []struct {
		resource int
		most     uint64
	}{{syscall.RLIMIT_CORE, 0}, {syscall.RLIMIT_NOFILE, 256}, {processes, p.Processes}, {syscall.RLIMIT_CPU, p.CPU}, {syscall.RLIMIT_FSIZE, p.Output}, {syscall.RLIMIT_AS, p.Memory}} {
		if limit.resource == processes && limit.most == 0 {
			continue
		}
		if err := syscall.Setrlimit(limit.resource, &syscall.Rlimit{Cur: limit.most, Max: limit.most}); err != nil {
			return fmt.Errorf("set limit %d to %d: %w", limit.resource, limit.most, err)
		}
	}
	// Each arena of malloc takes 64 MiB of address space, and there would be eight for
	// each core.
	environment := []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "MALLOC_ARENA_MAX=4"}
	return fmt.Errorf("start %s: %w", os.Args[0], syscall.Exec(os.Args[0], os.Args, environment))
}

// job is one run of ffmpeg or ffprobe.
type job struct {
	program string
	args    []string
	// source is the file that is read as [sourceURL]; empty for none.
	source string
	// pipes are read as pipe:3 and so on; a job with a source has none.
	pipes []io.Reader
	// dir is the only folder that may be written, and the working folder; empty for none.
	dir string
	// line is told what the program prints; moved says that the work goes on. An error
	// ends the program and is what the job ends with.
	line func(line string) (moved bool, err error)
	// most is the most bytes that may be added to dir; 0: 64 MiB.
	most int64
	// wall is the longest that it may take; 0: 5 minutes.
	wall time.Duration
}

// A job without a move is ended after so many seconds, if it has had some of them from
// the cores: on a machine that is busy it may only be waiting. One that waits for ever is
// ended too.
const (
	stalled        = 60
	stalledCores   = 30
	stalledForEver = 600
)

// run does a job and returns the end of what the program complained about. A [*Refusal]
// is the file's own fault.
func (e *Encoder) run(ctx context.Context, j job) (complaints string, err error) {
	j.most, j.wall = orElse(j.most, 64<<20), orElse(j.wall, 5*time.Minute)
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)

	// The kernel kills the process when the *thread* that started it ends: it must not end
	// before the process, whatever else runs on it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cpu := uint64(j.wall/time.Second) * uint64(runtime.NumCPU())
	cmd, err := e.command(ctx, j, cpu)
	if err != nil {
		return "", err
	}
	inherited := func() {
		for _, file := range cmd.ExtraFiles {
			file.Close()
		}
	}
	defer inherited()
	var tail lastBytes
	cmd.Stderr = &tail
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	var feeding sync.WaitGroup
	defer feeding.Wait()
	for _, from := range j.pipes {
		read, write, err := os.Pipe()
		if err != nil {
			return "", err
		}
		cmd.ExtraFiles = append(cmd.ExtraFiles, read)
		feeding.Go(func() {
			defer write.Close()
			if _, err := io.Copy(write, from); err != nil && !errors.Is(err, syscall.EPIPE) {
				end(fmt.Errorf("feed %s: %w", j.program, err))
			}
		})
	}
	if err := cmd.Start(); err != nil {
		inherited() // so that whoever feeds a pipe gives up
		return "", fmt.Errorf("start %s: %w", j.program, err)
	}
	inherited()

	var moves atomic.Int64
	watching, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		e.watch(j, cmd.Process.Pid, &moves, end, watching)
	}()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if j.line == nil {
			continue
		}
		moved, err := j.line(lines.Text())
		if err != nil {
			end(err)
			break
		}
		if moved {
			moves.Add(1)
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		end(&Refusal{Reason: damaged, Detail: j.program + " prints a line without end"})
	}
	err = cmd.Wait()
	close(watching)
	<-watched
	if err == nil {
		return tail.String(), nil
	}
	if cause := context.Cause(ctx); cause != nil {
		var refusal *Refusal
		if errors.As(cause, &refusal) {
			return tail.String(), cause
		}
		return tail.String(), fmt.Errorf("run %s: %w", j.program, cause)
	}
	return tail.String(), failure(j, cmd.ProcessState, cpu, tail.String(), err)
}

// command prepares a process of this program that becomes the one of the job.
func (e *Encoder) command(ctx context.Context, j job, cpu uint64) (*exec.Cmd, error) {
	p := plan{Memory: e.config.Memory, CPU: cpu, Output: uint64(j.most), Read: e.programFolders, Source: j.source != "", Write: j.dir != ""}
	if j.source != "" || j.dir != "" {
		p.Nice = 10 // pages come first
	}
	if e.isolated {
		p.Processes = 1024 // counted in its own user namespace only
	}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = append([]string{e.programs[j.program]}, j.args...)
	cmd.Env = []string{planVariable + "=" + string(text)}
	cmd.Dir = orElse(j.dir, "/")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if e.isolated {
		// An empty network, and no capability over what is outside, even for root.
		const nobody = 65534
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: os.Getegid(), Size: 1}}
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	if j.source != "" {
		source, err := os.Open(j.source)
		if err != nil {
			return nil, err
		}
		cmd.ExtraFiles = []*os.File{source}
	}
	return cmd, nil
}

// watch ends a job that takes too long, stands still or writes too much. It counts its
// own seconds: those in which the whole machine stood still are nobody's fault.
func (e *Encoder) watch(j job, pid int, moves *atomic.Int64, end func(error), stop <-chan struct{}) {
	ticker := time.NewTicker(e.second)
	defer ticker.Stop()
	before := bytesIn(j.dir)
	seconds, still, last, used := 0, 0, int64(0), cores(pid)
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		seconds, still = seconds+1, still+1
		if now := moves.Load(); now != last {
			still, last, used = 0, now, cores(pid)
		}
		switch {
		case still >= stalled && cores(pid)-used >= stalledCores*e.second, still >= stalledForEver:
			end(&Refusal{Reason: tookTooLong, Detail: fmt.Sprintf("%s stood still for %d seconds", j.program, still)})
		case time.Duration(seconds)*time.Second >= j.wall:
			end(&Refusal{Reason: tookTooLong, Detail: fmt.Sprintf("%s took longer than %s", j.program, j.wall)})
		case bytesIn(j.dir)-before > j.most:
			end(&Refusal{Reason: tooMuchOutput, Detail: fmt.Sprintf("%s wrote more than %d bytes", j.program, j.most)})
		}
	}
}

// cores is how much time a process has had of them; zero where it is no more.
func cores(pid int) time.Duration {
	var spent unix.Timespec
	// The clock of another process, as clock_getcpuclockid(3) makes its number.
	if err := unix.ClockGettime(int32(^pid<<3|2), &spent); err != nil {
		return 0
	}
	return time.Duration(spent.Nano())
}

// bytesIn is how many bytes the files of a folder have.
func bytesIn(dir string) (bytes int64) {
	if dir == "" {
		return 0
	}
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return bytes
		}
	}
	return bytes
}

// failure says why a program ended as it did: a [*Refusal] where the file is the reason,
// another error where the machine or the operator is.
func failure(j job, state *os.ProcessState, cpu uint64, complaints string, err error) error {
	refuse := func(reason string) error { return &Refusal{Reason: reason, Detail: detail(j, complaints, err)} }
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		used := state.UserTime() + state.SystemTime()
		switch signal := status.Signal(); {
		case signal == syscall.SIGXFSZ:
			return refuse(tooMuchOutput)
		case signal == syscall.SIGKILL && used >= time.Duration(cpu)*time.Second/2: // the kernel's own count is a rough one
			return refuse(tookTooLong)
		case signal == syscall.SIGSEGV, signal == syscall.SIGBUS, signal == syscall.SIGABRT, signal == syscall.SIGFPE, signal == syscall.SIGILL, signal == syscall.SIGTRAP:
			return refuse(damaged)
		}
		return errors.New(detail(j, complaints, err))
	}
	switch {
	// ffmpeg takes a SIGTERM for the end of its work, and then exits with 255.
	case state.ExitCode() == unconfined, state.ExitCode() == 255, containsAny(complaints, "No space left on device", "Disk quota exceeded"):
		return errors.New(detail(j, complaints, err))
	case containsAny(complaints, tooManyPixels, "Cannot allocate memory", "get_buffer() failed", "malloc of size", "Error while opening encoder"):
		return refuse(tooBig) // the encoder's settings are ours: there can be nothing else about them
	case strings.Contains(complaints, "File too large"):
		return refuse(tooMuchOutput)
	}
	return refuse(damaged)
}

func containsAny(text string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
}

func detail(j job, complaints string, err error) string {
	return strings.TrimSpace(fmt.Sprintf("%s: %v: %s", j.program, err, strings.ToValidUTF8(complaints, "?")))
}

// lastBytes is a writer that keeps the end of what it is given.
type lastBytes struct{ kept bytes.Buffer }

func (l *lastBytes) Write(p []byte) (int, error) {
	const most = 4 << 10
	l.kept.Write(p[max(0, len(p)-most):])
	if over := l.kept.Len() - most; over > 0 {
		l.kept.Next(over)
	}
	return len(p), nil
}

func (l *lastBytes) String() string { return l.kept.String() }

func orElse[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}
