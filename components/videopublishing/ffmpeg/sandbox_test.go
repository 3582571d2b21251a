package ffmpeg

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
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

// copied puts a copy of a program into a folder.
func copied(t *testing.T, name, dir string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, name), read(t, path), 0o755)); err != nil {
		t.Fatal(err)
	}
}

// What is beside ffmpeg, perhaps the data of the site, is not its business.
func TestSandboxKeepsNeighboursApart(t *testing.T) {
	if !confined(t) {
		return
	}
	root := t.TempDir()
	site, links := filepath.Join(root, "site"), filepath.Join(root, "links")
	if err := os.Mkdir(links, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ffmpeg", "ffprobe"} {
		copied(t, name, site)
		if err := os.Symlink(filepath.Join(site, name), filepath.Join(links, name)); err != nil {
			t.Fatal(err)
		}
	}
	neighbours := []string{"site/cookie-secret", "site/data/identity-key", "links/.env", "lib/film.mp4", "lib/data/film.mp4", ".env"}
	for _, name := range neighbours {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(root, name), []byte("nobody may read this\n"))
	}
	path := os.Getenv("PATH")
	for _, dir := range []string{site, links} {
		t.Setenv("PATH", dir+string(filepath.ListSeparator)+path)
		e, err := Find(Config{})
		if err != nil {
			t.Fatal(err)
		}
		reads := func(j job, file string) (text string) {
			j.program, j.args = "ffmpeg", []string{"-hide_banner", "-nostdin", "-v", "error", "-f", "data", "-i", file, "-map", "0", "-c", "copy", "-f", "data", "pipe:1"}
			j.line = func(line string) (bool, error) { text += line; return true, nil }
			if _, err := e.run(t.Context(), j); (err == nil) != (text != "") {
				t.Errorf("%s: %q, %v", file, text, err)
			}
			return text
		}
		for _, name := range neighbours {
			if text := reads(job{}, "file:"+filepath.Join(root, name)); text != "" {
				t.Errorf("%s was read", name)
			}
		}
		if text := reads(job{source: filepath.Join(root, neighbours[0])}, sourceURL); text != "nobody may read this" {
			t.Errorf("the file of the job was read as %q", text)
		}
	}
}

// The libraries of a program that has a folder for itself are.
func TestSandboxAllowsLibraries(t *testing.T) {
	t.Parallel()
	if !confined(t) {
		return
	}
	root := t.TempDir()
	copied(t, "cat", filepath.Join(root, "bin"))
	if err := os.MkdirAll(filepath.Join(root, "lib/libfolder.so"), 0o755); err != nil {
		t.Fatal(err)
	}
	e := running(t)
	e.programs["cat"] = filepath.Join(root, "bin/cat")
	for name, allowed := range map[string]bool{"libx.so": true, "libx-a.so.12.3": true, "libx.so.key": false, "libx.sock": false, "x.so": false, "key": false, "libfolder.so/libx.so": false} {
		file := write(t, filepath.Join(root, "lib", name), []byte("text"))
		if _, err := e.run(t.Context(), job{program: "cat", args: []string{file}}); (err == nil) != allowed {
			t.Errorf("%s: %v", name, err)
		}
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

// Whoever runs this, the program has no privileges: it cannot take its low priority back.
func TestSandboxGivesUpPrivileges(t *testing.T) {
	t.Parallel()
	for _, isolated := range []bool{encoder(t).isolated, false} {
		e := running(t, "bash")
		e.isolated = isolated
		if _, err := e.run(t.Context(), job{program: "bash", args: []string{"-c", "renice -n -1 -p $$"}}); err == nil {
			t.Errorf("the priority was raised, isolated: %v", isolated)
		}
		if _, err := e.run(t.Context(), job{program: "bash", args: []string{"-c", "renice -n 19 -p $$"}}); err != nil {
			t.Error(err)
		}
	}
}

// Nothing stays of capabilities, not even of those that a start leaves as they are.
func TestSandboxGivesUpCapabilities(t *testing.T) {
	t.Parallel()
	for _, isolated := range []bool{encoder(t).isolated, false} {
		e := running(t, "bash")
		e.isolated = isolated
		cmd, err := e.command(t.Context(), job{program: "bash", args: []string{"-c", "echo there; read"}}, 10)
		if err != nil {
			t.Fatal(err)
		}
		if os.Geteuid() == 0 && !isolated {
			cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_KILL}
		}
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		bufio.NewReader(out).ReadString('\n')
		status := string(read(t, fmt.Sprintf("/proc/%d/status", cmd.Process.Pid)))
		in.Close()
		cmd.Wait() // read has found no line, which bash returns
		for _, kind := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
			_, found, _ := strings.Cut(status, kind+":\t")
			if found, _, _ = strings.Cut(found, "\n"); found != "0000000000000000" {
				t.Errorf("isolated: %v, %s is %q", isolated, kind, found)
			}
		}
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
			case "a crash":
				e.isolated = false // the first process of a namespace survives its own signals
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
		"no room": {program: "bash", args: []string{"-c", "echo Holidays of Ada: No space left on device >&2; exit 1"}, dir: t.TempDir()},
		"quota":   {program: "bash", args: []string{"-c", "echo Disk quota exceeded >&2; exit 1"}, dir: t.TempDir()},
		"no file": {program: "bash", source: "/nonexistent"},
		"no dir":  {program: "bash", dir: "/nonexistent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := running(t, "bash")
			e.isolated = false // the first process of a namespace survives its own signals
			_, err := e.run(t.Context(), j)
			var refusal *Refusal
			if err == nil || errors.As(err, &refusal) || strings.Contains(err.Error(), "Ada") {
				t.Errorf("it ended with %v", err)
			}
			var failed *Failure
			if errors.As(err, &failed) != (name != "no file" && name != "no dir") || name == "no room" && !strings.Contains(failed.Complaints, "Ada") {
				t.Errorf("it ended with %+v", failed)
			}
		})
	}
}

// Where nothing is written no disk is full, and a title is no error.
func TestTitlesAreNotBelieved(t *testing.T) {
	t.Parallel()
	e := running(t, "bash")
	_, err := e.run(t.Context(), job{program: "bash", args: []string{"-c", "echo No space left on device >&2; exit 1"}})
	refusedAs(t, err, damaged)

	lies := []string{"No space left on device", "Disk quota exceeded", "Resource temporarily unavailable", "Cannot allocate memory", "File too large"}
	title := "title=" + strings.Join(lies, "\n[error] ") + "\n[mp4 @ 0x0] [error] " + strings.Join(lies, " ")
	source := handIn(t, filepath.Join(t.TempDir(), "film.mp4"), append(words(picture+tone+h264fast+"-c:a aac -metadata"), title)...)
	if _, err := encoder(t).Probe(t.Context(), source); err != nil {
		t.Fatal(err)
	}
	// With sound that cannot be heard.
	content := bytes.ReplaceAll(bytes.ReplaceAll(read(t, source), []byte("mp4a"), []byte("mhm1")), []byte("esds"), []byte("free"))
	_, err = encoder(t).Probe(t.Context(), write(t, source, content))
	refusedAs(t, err, damaged)
	if err != nil && !strings.Contains(err.Error(), lies[0]) {
		t.Errorf("the title was not printed: %v", err)
	}

	for text, want := range map[string]string{
		"[info] a\n[error] b\nc\n[warning] d\n":                        "[error] b\nc\n",
		"a\n  title : [error] b\n[aac @ 0x5f] [fatal] c\n":             "[aac @ 0x5f] [fatal] c\n",
		"[a @ 0x1] [b,c @ 0x2] [error] d\n[info] [error] e\n[panic] f": "[a @ 0x1] [b,c @ 0x2] [error] d\n[panic] f",
	} {
		if found := errorsAmong(text); found != want {
			t.Errorf("of %q there are %q", text, found)
		}
	}
	var tail lastBytes
	fmt.Fprint(&tail, strings.Repeat("long ", 1000)+"[error] Cannot allocate memory\n[error] last\n")
	if text := tail.String(); text != "[error] last\n" {
		t.Errorf("it ends with %q", text)
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
	e := running(t, "bash")
	e.isolated = false // where it is, the number of a process is another outside
	_, err := e.run(ctx, job{program: "bash", args: family, line: func(line string) (bool, error) {
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

// locking has a shell take the lock of a file in its folder, which all its children keep.
const locking = "exec 9>lock; flock 9; "

// unlocked waits until nobody has the lock of a file.
func unlocked(t *testing.T, file string, within time.Duration) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	free := make(chan error, 1)
	go func() { free <- syscall.Flock(int(f.Fd()), syscall.LOCK_EX) }()
	select {
	case err = <-free:
	case <-time.After(within):
		err = errors.New("a process is still there")
	}
	if err != nil {
		t.Error(err)
	}
}

// Nothing stays of a program that has hidden from its group, however it ends.
func TestNothingOutlivesTheProgram(t *testing.T) {
	t.Parallel()
	for name, ending := range map[string]string{"canceled": "wait", "ended": "exit 0"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := running(t, "bash")
			if !e.isolated {
				t.Log("this machine allows no namespaces")
				return
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			dir := t.TempDir()
			_, err := e.run(ctx, job{program: "bash", dir: dir, args: []string{"-c", locking + "setsid sleep 1000 & echo there; " + ending}, line: func(string) (bool, error) {
				if name == "canceled" {
					cancel()
				}
				return true, nil
			}})
			if (err == nil) != (name == "ended") {
				t.Error(err)
			}
			unlocked(t, filepath.Join(dir, "lock"), 5*time.Second)
		})
	}
}

// Without a namespace of its own one that has hidden stays, but holds up nobody.
func TestWhoHidesHoldsUpNobody(t *testing.T) {
	t.Parallel()
	e := running(t, "bash")
	e.isolated = false
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var hidden int
	_, err := e.run(ctx, job{program: "bash", args: []string{"-c", "setsid sleep 1000 2>/dev/null & echo $!; wait"}, line: func(line string) (_ bool, err error) {
		hidden, err = strconv.Atoi(line)
		cancel()
		return true, err
	}})
	if hidden > 0 {
		defer syscall.Kill(hidden, syscall.SIGKILL)
	}
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A pipe that cannot be made ends the job, and what is fed into one does not go on without
// the program.
func TestPipesEndWithTheProgram(t *testing.T) {
	t.Parallel()
	e := running(t, "bash")
	endless := zeros{}
	if _, err := e.run(t.Context(), job{program: "bash", args: []string{"-c", "exit 0"}, pipes: []io.Reader{endless, endless}}); err != nil {
		t.Error(err)
	}
	broken := errors.New("broken")
	_, err := e.run(t.Context(), job{program: "bash", args: []string{"-c", "read -N 1 <&3; read -N 1 <&4"}, pipes: []io.Reader{endless, iotest.ErrReader(broken)}})
	if !errors.Is(err, broken) {
		t.Error(err)
	}
	missing := *e
	missing.programs = map[string]string{"bash": "/nonexistent"}
	if _, err := missing.run(t.Context(), job{program: "bash", pipes: []io.Reader{endless, endless}}); err == nil {
		t.Error("it was started")
	}
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// Plain files are all that can be made in the folder of a job.
func TestSandboxMakesOnlyFiles(t *testing.T) {
	t.Parallel()
	if !confined(t) {
		return
	}
	dir := t.TempDir()
	script := "echo made > file; mv file renamed; ln -s / link; mkfifo pipe; mkdir folder; cp /bin/true program; ./program && echo ran > ran; rm program; exit 0"
	if _, err := running(t, "bash").run(t.Context(), job{program: "bash", args: []string{"-c", script}, dir: dir}); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "renamed" {
		t.Errorf("there are %v, %v", entries, err)
	}
}

func TestGaps(t *testing.T) {
	t.Parallel()
	if found := gaps(3, true); found != "" {
		t.Errorf("it lacks %q", found)
	}
	for version, want := range map[int]string{0: "without Landlock in the kernel it could read", 2: "kernel before 6.2 it could empty files"} {
		if found := gaps(version, true); !strings.Contains(found, want) {
			t.Errorf("it lacks %q", found)
		}
	}
	if found := gaps(0, false); !strings.Contains(found, "without Landlock in") || !strings.Contains(found, "; without user, process and network namespaces") {
		t.Errorf("it lacks %q", found)
	}
	e := encoder(t)
	if found := e.Gaps(); strings.Contains(found, "namespaces") == e.isolated {
		t.Errorf("it lacks %q", found)
	}
}

// A program whose parent is killed is killed by the kernel.
func TestDeathOfTheParentEndsTheProgram(t *testing.T) {
	t.Parallel()
	const variable = "TEST_OF_A_PARENT_THAT_DIES"
	if dir := os.Getenv(variable); dir != "" {
		_, err := running(t, "bash").run(t.Context(), job{program: "bash", dir: dir, args: []string{"-c", locking + "echo there; exec sleep 1000"}, line: func(line string) (bool, error) {
			fmt.Println(line)
			return true, nil
		}})
		t.Fatal(err)
	}
	dir := t.TempDir()
	parent := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	parent.Env = append(os.Environ(), variable+"="+dir)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	defer parent.Wait()
	defer parent.Process.Kill()
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "there" {
	}
	lock, err := os.Open(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != syscall.EWOULDBLOCK {
		t.Fatalf("the program is not there: %v", err)
	}
	if err := parent.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	unlocked(t, lock.Name(), 5*time.Second)
}

// One whose parent has died before the kernel was told to mind that does not begin.
func TestAProgramThatNobodyWaitsForDoesNotBegin(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer write.Close()
	read.Close()
	cmd, err := running(t, "bash").command(t.Context(), job{program: "bash", args: []string{"-c", "exit 0"}}, 10)
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = write, &said
	if err := cmd.Run(); err == nil || !strings.Contains(said.String(), "nobody waits") {
		t.Errorf("%v, %s", err, said.String())
	}
}
