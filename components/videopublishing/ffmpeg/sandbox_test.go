package ffmpeg

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	landlock "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// running returns the encoder with other programs in the place of ffmpeg, so that the
// sandbox is tried by those that want out of it.
func running(t testing.TB, programs ...string) *Encoder {
	t.Helper()
	e := *encoder(t)
	e.programs = map[string]string{"ffmpeg": e.programs["ffmpeg"]}
	for _, name := range programs {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if path, err = filepath.EvalSymlinks(path); err != nil {
			t.Fatal(err)
		}
		e.programs[name] = path
	}
	return &e
}

// listener accepts nothing gladly: whoever connects fails the test.
func listener(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Errorf("somebody connected from %s", c.RemoteAddr())
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func secret(t *testing.T) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "secret.txt")
	if err := os.WriteFile(file, []byte("nobody may read this\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// confined says whether this kernel keeps files apart; without, only what ffmpeg is told
// does so.
func confined(t *testing.T) bool {
	t.Helper()
	abi, err := landlock.LandlockGetABIVersion()
	if err != nil || abi < 1 {
		t.Logf("this kernel has no Landlock: %v", err)
		return false
	}
	return true
}

func TestSandboxKeepsFilesApart(t *testing.T) {
	t.Parallel()
	if !confined(t) {
		return
	}
	e := running(t, "cat", "bash")
	file, dir := secret(t), t.TempDir()
	read := func(j job) (lines []string, err error) {
		j.line = func(line string) (bool, error) { lines = append(lines, line); return true, nil }
		_, err = e.run(t.Context(), j)
		return lines, err
	}
	if lines, err := read(job{program: "cat", args: []string{file}}); err == nil || len(lines) > 0 {
		t.Errorf("another file was read: %q (%v)", lines, err)
	}
	if lines, err := read(job{program: "cat", args: []string{"/etc/passwd"}, dir: dir}); err == nil || len(lines) > 0 {
		t.Errorf("/etc/passwd was read: %q", lines)
	}
	if lines, err := read(job{program: "cat", args: []string{strings.TrimPrefix(sourceURL, "file:")}, source: file}); err != nil || strings.Join(lines, "\n") != "nobody may read this" {
		t.Errorf("the file of the job was read as %q (%v)", lines, err)
	}
	if _, err := read(job{program: "bash", args: []string{"-c", "echo more > /proc/self/fd/3"}, source: file}); err == nil {
		t.Error("the file of the job was written")
	}
	if _, err := read(job{program: "bash", args: []string{"-c", "echo new > here"}, dir: dir}); err != nil {
		t.Errorf("the folder of the job cannot be written: %v", err)
	}
	other := filepath.Join(t.TempDir(), "there")
	if _, err := read(job{program: "bash", args: []string{"-c", "echo new > " + other}, dir: dir}); err == nil {
		t.Error("another folder was written")
	}
	if _, err := os.Stat(other); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a file: %v", err)
	}
	if lines, err := read(job{program: "bash", args: []string{"-c", `echo "$HOME$PGPASSWORD"; ls /proc/1/root 2>&1`}}); err == nil || len(lines) == 0 || lines[0] != "" {
		t.Errorf("the environment or another process was seen: %q (%v)", lines, err)
	}
}

func TestSandboxHasNoNetwork(t *testing.T) {
	t.Parallel()
	e := running(t, "bash")
	if !e.isolated && !confined(t) {
		return
	}
	host, port, _ := net.SplitHostPort(listener(t))
	if _, err := e.run(t.Context(), job{program: "bash", args: []string{"-c", "exec 5<>/dev/tcp/" + host + "/" + port}}); err == nil {
		t.Error("a connection was made")
	}
}

// Even ffmpeg that is told nothing about what it may open opens nothing.
func TestSandboxHoldsForPlaylists(t *testing.T) {
	t.Parallel()
	e := running(t)
	if !e.isolated || !confined(t) {
		return
	}
	film := handIn(t, filepath.Join(t.TempDir(), "film.ts"), words(picture+h264fast)...)
	for name, text := range map[string]string{
		"a file":    "#EXTM3U\n#EXTINF:1,\nfile:" + film + "\n#EXT-X-ENDLIST\n",
		"a server":  "#EXTM3U\n#EXTINF:1,\nhttp://" + listener(t) + "/film.ts\n#EXT-X-ENDLIST\n",
		"by concat": "ffconcat version 1.0\nfile 'file:" + film + "'\n",
	} {
		source := filepath.Join(t.TempDir(), "film.mp4")
		if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		_, err := e.run(t.Context(), job{program: "ffmpeg", source: source, dir: dir, args: []string{"-nostdin", "-v", "error", "-protocol_whitelist", "file,http,tcp,crypto,data", "-safe", "0", "-i", sourceURL, "-c", "copy", "out.ts"}})
		if info, _ := os.Stat(filepath.Join(dir, "out.ts")); err == nil || info != nil && info.Size() > 0 {
			t.Errorf("%s: %v, %v", name, err, info)
		}
	}
}

func TestCoresAreCounted(t *testing.T) {
	t.Parallel()
	before := cores(os.Getpid())
	for cores(os.Getpid())-before < 10*time.Millisecond {
	}
	if now := cores(1 << 22); before <= 0 || now != 0 {
		t.Errorf("this process had %s of them, and none %s", before, now)
	}
}

func TestSandboxSetsLimits(t *testing.T) {
	t.Parallel()
	e := running(t, "bash")
	var lines []string
	_, err := e.run(t.Context(), job{program: "bash", args: []string{"-c", "ulimit -c; ulimit -n; ulimit -v; ulimit -f; ulimit -t; ulimit -u; nice"}, dir: t.TempDir(), most: 1 << 20, wall: time.Minute,
		line: func(line string) (bool, error) { lines = append(lines, line); return true, nil }})
	if err != nil {
		t.Fatal(err)
	}
	nice, _ := strconv.Atoi(lines[len(lines)-1])
	if got := strings.Join(lines[:4], " "); got != "0 256 3145728 1024" || nice < 10 || lines[4] == "unlimited" || e.isolated && lines[5] != "1024" {
		t.Errorf("the limits are %q", lines)
	}
}

// What asks for more than it may have is ended, with the reason.
func TestSandboxEndsWhatAsksForTooMuch(t *testing.T) {
	t.Parallel()
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, 8<<20); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		job  job
		want string
	}{
		"one large file":     {job{program: "dd", args: []string{"if=/proc/self/fd/3", "of=out", "bs=1M", "status=none"}, source: large, most: 1 << 20}, tooMuchOutput},
		"many files":         {job{program: "bash", args: []string{"-c", "for ((i=0;;i++)); do printf %100000s > $i; echo $i; done"}, most: 1 << 20}, tooMuchOutput},
		"standing still":     {job{program: "bash", args: []string{"-c", "while :; do :; done"}}, tookTooLong},
		"waiting for ever":   {job{program: "sleep", args: []string{"1000"}}, tookTooLong},
		"moving for ever":    {job{program: "bash", args: []string{"-c", "while :; do echo moving; done"}, wall: 100 * time.Second}, tookTooLong},
		"time of the cores":  {job{program: "bash", args: []string{"-c", "while :; do :; done"}, wall: time.Second}, tookTooLong},
		"a line without end": {job{program: "bash", args: []string{"-c", "while :; do printf %100000s; done"}}, damaged},
		"a crash":            {job{program: "bash", args: []string{"-c", "kill -SEGV $$"}}, damaged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := running(t, "dd", "bash", "sleep")
			switch name {
			case "standing still", "moving for ever":
				e.second = 10 * time.Millisecond
			case "waiting for ever":
				e.second = time.Millisecond
			case "many files":
				e.second = 50 * time.Millisecond
			case "time of the cores":
				e.second = time.Hour // nobody but the kernel watches
			}
			c.job.dir = t.TempDir()
			c.job.line = func(string) (bool, error) { return true, nil }
			_, err := e.run(t.Context(), c.job)
			var refusal *Refusal
			if !errors.As(err, &refusal) || refusal.Reason != c.want {
				t.Errorf("it ended with %v instead of %s", err, c.want)
			}
			if written := bytesIn(c.job.dir); written > 100<<20 {
				t.Errorf("%d bytes were written", written)
			}
		})
	}
}

// A film that needs more memory than there may be ends with an error that does not call it
// damaged, and nothing else happens. (Where it is a thread for which there is no room, the
// machine may be the reason.)
func TestSandboxBoundsMemory(t *testing.T) {
	t.Parallel()
	source := handIn(t, filepath.Join(t.TempDir(), "film.mp4"), words("-f lavfi -i testsrc2=s=3840x2160:r=25:d=0.4 "+h264fast)...)
	e := *encoder(t)
	f, err := e.Probe(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	e.config.Memory = 500 << 20 // enough to start, not for this
	_, err = e.HLS(t.Context(), source, f, Ladder(f), true, t.TempDir(), nil)
	var refusal *Refusal
	if err == nil || errors.As(err, &refusal) && refusal.Reason != tooBig {
		t.Errorf("it ended with %v", err)
	}
}

// What the operator or the machine does is not the file's fault.
func TestEndingsThatAreNotTheFilesFault(t *testing.T) {
	t.Parallel()
	for name, j := range map[string]job{
		"killed":  {program: "bash", args: []string{"-c", "kill -KILL $$"}},
		"told":    {program: "bash", args: []string{"-c", "kill -TERM $$"}},
		"ffmpeg":  {program: "bash", args: []string{"-c", "exit 255"}},
		"no room": {program: "bash", args: []string{"-c", "echo av_interleaved_write_frame: No space left on device >&2; exit 1"}},
		"no file": {program: "bash", source: "/nonexistent"},
		"no dir":  {program: "bash", dir: "/nonexistent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := running(t, "bash").run(t.Context(), j)
			var refusal *Refusal
			if err == nil || errors.As(err, &refusal) {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

// gone waits until a process is no more.
func gone(t *testing.T, pid int, within time.Duration) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, syscall.ESRCH) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for deadline := time.Now().Add(within); ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Until(deadline).Milliseconds()))
		if errors.Is(err, syscall.EINTR) && time.Now().Before(deadline) {
			continue
		}
		if err != nil || n == 0 {
			t.Errorf("process %d is still there (%v)", pid, err)
		}
		return
	}
}

// family prints its own number and that of a child, and stays.
var family = []string{"-c", "sleep 1000 & echo $!; echo $$; wait"}

func TestEndOfContextEndsTheWholeGroup(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var pids []int
	_, err := running(t, "bash").run(ctx, job{program: "bash", args: family, line: func(line string) (bool, error) {
		pid, err := strconv.Atoi(line)
		if pids = append(pids, pid); len(pids) == 2 {
			cancel()
		}
		return true, err
	}})
	if !errors.Is(err, context.Canceled) || len(pids) != 2 {
		t.Fatalf("it ended with %v, %v", pids, err)
	}
	for _, pid := range pids {
		gone(t, pid, 2*time.Second)
	}
}

// A program whose parent is killed is killed by the kernel. The children of the program
// itself are not: ffmpeg has none.
func TestDeathOfTheParentEndsTheProgram(t *testing.T) {
	t.Parallel()
	const variable = "TEST_OF_A_PARENT_THAT_DIES"
	if os.Getenv(variable) != "" {
		_, err := running(t, "sleep", "bash").run(t.Context(), job{program: "bash", args: []string{"-c", "echo $$; exec sleep 1000"}, line: func(line string) (bool, error) {
			fmt.Println("pid", line)
			return true, nil
		}})
		t.Fatal(err)
	}
	parent := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	parent.Env = append(os.Environ(), variable+"=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	defer parent.Wait()
	defer parent.Process.Kill()
	pid := 0
	for lines := bufio.NewScanner(out); pid == 0 && lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "pid "); ok {
			pid, _ = strconv.Atoi(text)
		}
	}
	if pid == 0 {
		t.Fatal("the program was not started")
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the program is not there: %v", err)
	}
	if err := parent.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	gone(t, pid, 5*time.Second)
}
