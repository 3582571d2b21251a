package ffmpeg

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"syscall"
	"time"

	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// confines says whether this system can keep a program from what is not its business.
const confines = true

// planVariable is what tells a process of this program that it is to become another.
const planVariable = "VIDEO_TUTORIALS_SANDBOX"

// plan is what a process gives up, and keeps, before it becomes another program.
type plan struct {
	Memory    uint64 // bytes of address space
	CPU       uint64 // seconds
	Output    uint64 // bytes of one file
	Processes uint64 // and threads; 0: as many as before
	Nice      int    // how far it stands back behind others
	Source    bool   // whether file 3 may be opened again to be read
	Write     bool   // whether the working folder may be written
}

func init() {
	if text, ok := os.LookupEnv(planVariable); ok {
		err := become(text)
		fmt.Fprintf(os.Stderr, "%s%v\n", sandboxSays, err)
		os.Exit(unconfined)
	}
}

// become returns only if it did not work out.
func become(text string) error {
	var p plan
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return err
	}
	// From now on the end of the parent is that of this process. If it has ended before, the
	// first process of a namespace was not told, but nobody reads its output.
	output := []unix.PollFd{{Fd: 1}}
	if _, err := unix.Poll(output, 0); err == nil && output[0].Revents&unix.POLLERR != 0 {
		return errors.New("nobody waits for it")
	}
	runtime.LockOSThread() // which is all that is left of this program when it becomes the other
	if err := giveUpPrivileges(); err != nil {
		return err
	}
	if err := confine(p, os.Args[0]); err != nil {
		return fmt.Errorf("restrict by Landlock: %w", err)
	}
	if err := standBack(p.Nice); err != nil {
		return fmt.Errorf("lower the priority: %w", err)
	}
	const processes = 6 // RLIMIT_NPROC, which package syscall does not name
	for _, l := range []struct {
		resource int
		most     uint64
	}{{syscall.RLIMIT_CORE, 0}, {syscall.RLIMIT_NOFILE, 256}, {processes, p.Processes}, {syscall.RLIMIT_CPU, p.CPU}, {syscall.RLIMIT_FSIZE, p.Output}, {syscall.RLIMIT_AS, p.Memory}} {
		if l.resource == processes && l.most == 0 {
			continue
		}
		if err := limit(l.resource, l.most); err != nil {
			return fmt.Errorf("set limit %d to %d: %w", l.resource, l.most, err)
		}
	}
	// Each arena of malloc takes 64 MiB of address space, and there would be eight for
	// each core.
	environment := []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "MALLOC_ARENA_MAX=4"}
	return fmt.Errorf("start %s: %w", os.Args[0], syscall.Exec(os.Args[0], os.Args, environment))
}

// giveUpPrivileges has the program start without what root may do, also where there is no
// namespace in which root is nobody, and keeps it from gaining anything.
func giveUpPrivileges() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("gain no privileges: %w", err)
	}
	// Who gains no privileges has no more of them after the start of a program than before,
	// also as root; and what is not permitted any more is not ambient either.
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("give up privileges: %w", err)
	}
	return nil
}

// systemFolders are those of programs and libraries, and have nothing else in them. All of
// /usr is not here: somebody may have put the site and its data there.
var systemFolders = []string{"/bin", "/lib", "/lib64", "/usr/bin", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store", "/gnu/store"}

const (
	readFiles   = ll.AccessFSReadFile
	runPrograms = ll.AccessFSReadFile | ll.AccessFSReadDir | ll.AccessFSExecute
	// filesOnly is what may be done in the working folder: plain files are read, written,
	// given another name and removed. There is no need of links, pipes and folders.
	filesOnly = ll.AccessFSReadFile | ll.AccessFSReadDir | ll.AccessFSWriteFile | ll.AccessFSTruncate | ll.AccessFSMakeReg | ll.AccessFSRemoveFile
)

// confine takes from this thread all that Landlock knows of, as far as the kernel has it,
// but for the program, its libraries and what the plan names. (The package above the one that is used here takes it from
// all threads, and for that looks for them in /proc, which in a namespace of its own shows
// others.)
func confine(p plan, program string) error {
	version := landlockVersion()
	if version == 0 {
		return nil
	}
	attr := ll.RulesetAttr{HandledAccessFS: ll.AccessFSRefer - 1}
	for _, since := range []struct {
		version         int
		files, net, ipc uint64
	}{
		{2, ll.AccessFSRefer, 0, 0}, {3, ll.AccessFSTruncate, 0, 0}, {4, 0, ll.AccessNetBindTCP | ll.AccessNetConnectTCP, 0},
		{5, ll.AccessFSIoctlDev, 0, 0}, {6, 0, 0, ll.ScopeAbstractUnixSocket | ll.ScopeSignal},
		{9, ll.AccessFSResolveUnix, 0, 0}, {10, 0, ll.AccessNetBindUDP | ll.AccessNetConnectSendUDP, 0},
	} {
		if version >= since.version {
			attr.HandledAccessFS, attr.HandledAccessNet, attr.Scoped = attr.HandledAccessFS|since.files, attr.HandledAccessNet|since.net, attr.Scoped|since.ipc
		}
	}
	rules, err := ll.LandlockCreateRuleset(&attr, 0)
	if err != nil {
		return fmt.Errorf("create rules: %w", err)
	}
	defer syscall.Close(rules)
	allow := func(path string, rights uint64) error {
		fd, err := syscall.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open %s: %w", path, err)
		}
		defer syscall.Close(fd)
		var stat unix.Stat_t
		if err := unix.Fstat(fd, &stat); err != nil {
			return fmt.Errorf("look at %s: %w", path, err)
		}
		if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
			rights &^= ll.AccessFSReadDir
		}
		if err := ll.LandlockAddPathBeneathRule(rules, &ll.PathBeneathAttr{AllowedAccess: rights & attr.HandledAccessFS, ParentFd: fd}, 0); err != nil {
			return fmt.Errorf("allow %s: %w", path, err)
		}
		return nil
	}
	allowed := map[string]uint64{"/etc/ld.so.cache": readFiles, "/dev/null": readFiles | ll.AccessFSWriteFile | ll.AccessFSTruncate, program: runPrograms}
	for _, folder := range systemFolders {
		allowed[folder] = runPrograms
	}
	for _, library := range libraries(program) {
		allowed[library] = readFiles
	}
	for path, rights := range allowed {
		if err := allow(path, rights); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if p.Source {
		if err := allow("/proc/self/fd/3", readFiles); err != nil {
			return err
		}
	}
	if p.Write {
		if err := allow(".", filesOnly); err != nil {
			return err
		}
	}
	return ll.LandlockRestrictSelf(rules, 0)
}

// libraries returns those beside the folder of a program: /opt/ffmpeg/lib of
// /opt/ffmpeg/bin/ffmpeg. What else is there, or beside the program, may be anything: the
// data of the site where its folder is the one of ffmpeg, too.
func libraries(program string) (files []string) {
	folder := filepath.Join(filepath.Dir(program), "../lib")
	if slices.Contains(systemFolders, folder) {
		return nil
	}
	entries, _ := os.ReadDir(folder)
	for _, entry := range entries {
		if isLibrary.MatchString(entry.Name()) && !entry.IsDir() {
			files = append(files, filepath.Join(folder, entry.Name()))
		}
	}
	return files
}

var isLibrary = regexp.MustCompile(`^lib.*\.so(\.[0-9]+)*$`)

// standBack lowers the priority, unless it is that low already.
func standBack(nice int) error {
	raw, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil || 20-raw >= nice { // that is how the kernel tells it
		return err
	}
	return syscall.Setpriority(syscall.PRIO_PROCESS, 0, nice)
}

// limit sets a limit, unless it is that low already.
func limit(resource int, most uint64) error {
	var now syscall.Rlimit
	if err := syscall.Getrlimit(resource, &now); err != nil {
		return err
	}
	most = min(most, now.Max)
	return syscall.Setrlimit(resource, &syscall.Rlimit{Cur: most, Max: most})
}

// command prepares a process of this program that becomes the one of the job.
func (e *Encoder) command(ctx context.Context, j job, cpu uint64) (*exec.Cmd, error) {
	p := plan{Memory: e.config.Memory, CPU: cpu, Output: uint64(j.most), Source: j.source != "", Write: j.dir != ""}
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
		// An empty network, no capability over what is outside, even for root, and no
		// process that stays when the program ends, wherever it has hidden from the group.
		const nobody = 65534
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC
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

// cores is how much time a process has had of them; zero where it is no more.
func cores(pid int) time.Duration {
	var spent unix.Timespec
	// The clock of another process, as clock_getcpuclockid(3) makes its number.
	if err := unix.ClockGettime(int32(^pid<<3|2), &spent); err != nil {
		return 0
	}
	return time.Duration(spent.Nano())
}
