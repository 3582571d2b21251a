package db

import (
	"bytes"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// An account is what Postgres runs as. It refuses to run as root.
type account struct {
	name     string
	uid, gid int // who owns its files, as this process sees it
	attr     syscall.SysProcAttr
}

// nobody is the number of the user that owns nothing.
const nobody = 65534

// accounts lists what Postgres may run as, the preferred first.
func accounts() []account {
	if os.Geteuid() != 0 {
		return []account{{name: "this user", uid: os.Geteuid(), gid: os.Getegid()}}
	}
	var list []account
	for _, name := range []string{"postgres", "nobody"} {
		if uid, gid, err := lookUp(name); err == nil {
			list = append(list, account{name: "user " + name, uid: uid, gid: gid, attr: syscall.SysProcAttr{
				Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)},
			}})
		}
	}

	if len(list) == 0 { // a machine without names for users; initdb wants one, the server itself does not
		list = append(list, account{name: fmt.Sprint("user ", nobody), uid: nobody, gid: nobody, attr: syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: nobody, Gid: nobody},
		}})
	}

	// In a namespace of its own the server sees an ordinary user, whose files are really root's: this reaches a
	// folder that root keeps to itself. initdb wants that user to have a name.
	inner := list[0].uid
	return append(list, account{name: "root in a user namespace", attr: syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: inner, HostID: 0, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: inner, HostID: 0, Size: 1}},
		Credential:  &syscall.Credential{Uid: uint32(inner), Gid: uint32(inner), NoSetGroups: true},
	}})
}

func lookUp(name string) (uid, gid int, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, err
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(u.Gid)
	return uid, gid, err
}

// procAttr lets a child run as the account, apart from the terminal's Ctrl-C, and has the kernel send it the signal
// when the thread that started it ends, however the program ended.
func (a account) procAttr(onParentDeath syscall.Signal) *syscall.SysProcAttr {
	attr := a.attr
	attr.Setpgid = true
	attr.Pdeathsig = onParentDeath
	return &attr
}

// runsPostmaster tells whether process pid is a Postgres server of this very folder. A pid from a file means little:
// it may long belong to another process.
func runsPostmaster(pid int, cluster string) bool {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	name, err := os.ReadFile(filepath.Join(proc, "comm"))
	if err != nil || string(bytes.TrimSpace(name)) != "postgres" {
		return false
	}
	if cwd, err := os.Readlink(filepath.Join(proc, "cwd")); err == nil {
		return cwd == cluster
	}
	// Root without CAP_SYS_PTRACE, as in most containers, may not read another user's cwd, but its arguments.
	args, err := os.ReadFile(filepath.Join(proc, "cmdline"))
	return err == nil && bytes.Contains(args, fmt.Appendf(nil, "\x00-D\x00%s\x00", cluster))
}

// syncFiles waits until all that was written beside and below dir is on the disk.
func syncFiles(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}
