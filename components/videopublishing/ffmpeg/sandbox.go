package ffmpeg

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// What strangers hand in is read by a million lines of C. So ffmpeg never runs as this
// program would run it: this program starts itself again, that process gives up all that
// ffmpeg does not need, and becomes ffmpeg. Nothing but this binary is needed for it, and
// it works in every test binary too.

// unconfined is how a process exits that could not give up what it should.
const unconfined = 120

// sandboxSays is before what it says then.
const sandboxSays = "sandbox: "

// sourceURL is how the program reads the file of a job: as the first file that it inherits,
// so that no name of a file is told, and no folder on the way to it must be open to it.
const sourceURL = "file:/proc/self/fd/3"

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
// is the file's own fault, a [*Failure] is not.
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
	var fed []*os.File
	defer func() { closeAll(append(fed, cmd.ExtraFiles...)) }()
	for range j.pipes {
		read, write, err := os.Pipe()
		if err != nil {
			return "", err
		}
		cmd.ExtraFiles, fed = append(cmd.ExtraFiles, read), append(fed, write)
	}
	var tail lastBytes
	cmd.Stderr = &tail
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("start %s: %w", j.program, err)
	}
	closeAll(cmd.ExtraFiles)
	// Who left the group of the program may hold its output open for ever.
	defer context.AfterFunc(ctx, func() { out.Close() })()

	var feeding sync.WaitGroup
	for i, from := range j.pipes {
		feeding.Go(func() {
			defer fed[i].Close()
			if _, err := io.Copy(fed[i], from); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, os.ErrClosed) {
				end(fmt.Errorf("feed %s: %w", j.program, err))
			}
		})
	}
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
	closeAll(fed) // nobody reads them any more
	feeding.Wait()
	// A program that has just ended well by itself does not make up for what was wrong.
	if cause := context.Cause(ctx); cause != nil {
		var refusal *Refusal
		if errors.As(cause, &refusal) {
			return tail.String(), cause
		}
		return tail.String(), fmt.Errorf("run %s: %w", j.program, cause)
	}
	if err == nil {
		return tail.String(), nil
	}
	return tail.String(), failure(j, cmd.ProcessState, cpu, tail.String(), err)
}

// closeAll closes files, some of which may be closed.
func closeAll(files []*os.File) {
	for _, file := range files {
		file.Close()
	}
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

// Failure is the error for a program that ended as it should not, where the machine or its
// operator may be the reason.
type Failure struct {
	// Ended says which program ended, and how: "ffmpeg: exit status 1". A process that
	// could not give up what it should says more.
	Ended string
	// Complaints is the end of what the program printed: titles and names out of the film
	// may be in it.
	Complaints string
}

// Error says how the program ended, and nothing out of the film.
func (f *Failure) Error() string { return f.Ended }

// failure says why a program ended as it did: a [*Refusal] where the file is the reason,
// a [*Failure] where it may not be.
func failure(j job, state *os.ProcessState, cpu uint64, complaints string, err error) error {
	complaints = strings.TrimSpace(strings.ToValidUTF8(complaints, "?"))
	failed := &Failure{Ended: fmt.Sprintf("%s: %v", j.program, err), Complaints: complaints}
	refuse := func(reason string) error {
		return &Refusal{Reason: reason, Detail: failed.Ended + ": " + complaints}
	}
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
		return failed
	}
	said := complaints
	if slices.Contains(j.args, chatty) {
		said = errorsAmong(complaints)
	}
	switch {
	case state.ExitCode() == unconfined && strings.HasPrefix(complaints, sandboxSays): // ffmpeg was not there yet
		failed.Ended, failed.Complaints = failed.Ended+": "+complaints, ""
		return failed
	case j.dir != "" && containsAny(said, "No space left on device", "Disk quota exceeded"):
		return failed
	// ffmpeg takes a SIGTERM for the end of its work, and then exits with 255.
	case state.ExitCode() == 255, state.ExitCode() == unconfined, strings.Contains(said, "Resource temporarily unavailable"):
		return failed
	case containsAny(said, tooManyPixels, "Cannot allocate memory", "get_buffer() failed", "malloc of size", "Error while opening encoder"):
		return refuse(tooBig) // the encoder's settings are ours: there can be nothing else about them
	case strings.Contains(said, "File too large"):
		return refuse(tooMuchOutput)
	}
	return refuse(damaged)
}

// chatty has ffmpeg print more than errors, with the level before each message.
const chatty = "level+info"

var levelOf = regexp.MustCompile(`^(?:\[[^]]* @ 0x[0-9a-f]+\] )*\[(\w+)\] `)

// errorsAmong returns the errors among what a chatty ffmpeg printed. Titles out of the film
// are there too, and may say anything; but of a message of several lines, which one may be,
// only the first begins with a level.
func errorsAmong(complaints string) string {
	var found strings.Builder
	isError := false
	for line := range strings.Lines(complaints) {
		if level := levelOf.FindStringSubmatch(line); level != nil {
			isError = slices.Contains([]string{"error", "fatal", "panic"}, level[1])
		}
		if isError {
			found.WriteString(line)
		}
	}
	return found.String()
}

func containsAny(text string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
}

// lastBytes is a writer that keeps the end of what it is given, in whole lines.
type lastBytes struct {
	kept bytes.Buffer
	cut  bool
}

func (l *lastBytes) Write(p []byte) (int, error) {
	const most = 4 << 10
	l.kept.Write(p[max(0, len(p)-most):])
	if over := l.kept.Len() - most; over > 0 {
		l.kept.Next(over)
	}
	l.cut = l.cut || l.kept.Len() == most
	return len(p), nil
}

func (l *lastBytes) String() string {
	text := l.kept.String()
	if _, whole, ok := strings.Cut(text, "\n"); ok && l.cut {
		return whole
	}
	return text
}

func orElse[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}
