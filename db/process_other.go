//go:build !linux

package db

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// An account is what Postgres runs as. Only Linux can start it as another one than ours.
type account struct {
	name     string
	uid, gid int
}

func accounts() []account {
	return []account{{name: "this user", uid: os.Geteuid(), gid: os.Getegid()}}
}

// procAttr keeps a child apart from the terminal's Ctrl-C. Without Linux nothing tells it that the program died: the
// next start stops it.
func (a account) procAttr(syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// runsPostmaster tells whether process pid is a Postgres server of this very folder.
func runsPostmaster(pid int, cluster string) bool {
	out, err := exec.Command("ps", "-ww", "-o", "args=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && strings.Contains(string(out), "postgres") && strings.Contains(string(out), "-D "+cluster+" ")
}

// syncFiles has all that was written taken to the disk.
func syncFiles(string) error { return syscall.Sync() }
