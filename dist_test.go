package main

import (
	"bytes"
	"debug/elf"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/db/dbtest"
)

// distribute runs make for one of the files to hand out, and returns where it is.
func distribute(folder, target string) (string, error) {
	build := exec.Command("make", "--no-print-directory", target, "VERSION=tested")
	build.Dir = folder
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "MAKE") && !strings.HasPrefix(variable, "MFLAGS") { // of a make that runs the tests
			build.Env = append(build.Env, variable)
		}
	}
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("make %s: %w\n%s", target, err, out)
	}
	name := strings.Replace(target, "dist", "video-tutorials", 1)
	return filepath.Abs(filepath.Join(folder, "dist", name+"-tested-linux-"+runtime.GOARCH))
}

var fullFile = sync.OnceValues(func() (string, error) { return distribute(".", "dist-full") })

// emptyRoot makes a folder that holds the full file and nothing else, neither /proc nor
// /dev/null nor /tmp, and belongs to the user.
func emptyRoot(t testing.TB, uid int) string {
	t.Helper()
	file, err := fullFile()
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.MkdirTemp("", "video-tutorials-root-") // on a disk: a folder in memory may not be for programs
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	if err := os.Chown(root, uid, uid); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	// Another process copies it: a file that is open for writing in a child that is just being started cannot be run.
	if out, err := exec.Command("cp", file, filepath.Join(root, "video-tutorials")).CombinedOutput(); err != nil {
		t.Fatalf("copy %s: %v %s", file, err, out)
	}
	return root
}

// startFull starts the full file with nothing but a port, and returns how long it was to
// the first page. An ordinary user cannot change roots, and starts it where it is.
func startFull(t testing.TB, root string, uid int) (*site, time.Duration) {
	t.Helper()
	s := &site{output: &output{grown: make(chan struct{})}, exited: make(chan error, 1), env: []string{"DATA_DIR=" + filepath.Join(root, "data")}}
	s.t, _ = t.(*testing.T)
	if os.Geteuid() == 0 {
		s.command = exec.Command("/video-tutorials")
		s.command.Dir = "/"
		s.command.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
		if uid != 0 {
			s.command.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
		}
	} else {
		s.command = exec.Command(filepath.Join(root, "video-tutorials"))
		s.command.Dir = root
	}
	s.command.Env = []string{"PORT=0"}
	s.command.Stdout, s.command.Stderr = s.output, s.output
	begin := time.Now()
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.exited <- s.command.Wait(); close(s.exited) }()
	t.Cleanup(func() {
		if !s.ended {
			s.command.Process.Kill()
			<-s.exited
		}
	})
	found, err := s.output.find(within(t), `address +(http://localhost:\d+)`, s.exited)
	if err != nil {
		t.Fatal(err)
	}
	s.url = found[1]
	if a := get(t, s.url+"/"); a.status != http.StatusOK {
		t.Fatalf("the home page: %d\n%s", a.status, a.body)
	}
	return s, time.Since(begin)
}

// databasesOf reaches the private Postgres of a started file from outside.
func databasesOf(t *testing.T, root string) *dbtest.DB {
	t.Helper()
	open := func(name string) *pgxpool.Pool {
		query := url.Values{"host": {filepath.Join(root, "data", "postgres", "socket")}, "port": {"5432"}, "search_path": {"message_store,public"}}
		pool, err := pgxpool.New(within(t), "postgres://postgres@/"+name+"?"+query.Encode())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		return pool
	}
	return &dbtest.DB{Views: open("video_tutorials"), MessageStore: open("message_store")}
}

// asksForExecutableStack reports whether a program or library, if the file is one, is loaded
// with a stack that can be executed.
func asksForExecutableStack(t *testing.T, file string) bool {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil || !bytes.HasPrefix(content, []byte(elf.ELFMAG)) {
		return false // a folder, or data
	}
	program, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for _, part := range program.Progs {
		if part.Type == elf.PT_GNU_STACK {
			return part.Flags&elf.PF_X != 0
		}
	}
	return true // what does not say, does
}

// Copying one file to a machine with nothing on it, and starting it, is the whole
// installation.
func TestOneFileIsTheWholeInstallation(t *testing.T) {
	t.Parallel()
	users := map[string]int{"ordinary user": 4711, "root": 0}
	if os.Geteuid() != 0 {
		users = map[string]int{"ordinary user": os.Geteuid()}
	}
	identifiers := map[int64]string{}
	for name, uid := range users {
		t.Run(name, func(t *testing.T) {
			root := emptyRoot(t, uid)
			s, first := startFull(t, root, uid)
			info, err := os.Stat(filepath.Join(root, "video-tutorials"))
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%.1f MB, the first page after %v", float64(info.Size())/1e6, first)
			if info.Size() > 60_000_000 {
				t.Errorf("the file has %d bytes", info.Size())
			}
			if out := s.output.String(); !strings.Contains(out, "inside this program") || strings.Contains(out, "migration applied") {
				t.Errorf("what it says:\n%s", out)
			}

			member(t, s, "ada@example.test", goodPassword)
			database := databasesOf(t, root)
			var identifier int64
			if err := database.Views.QueryRow(within(t), `SELECT system_identifier FROM pg_control_system()`).Scan(&identifier); err != nil {
				t.Fatal(err)
			}
			if other, known := identifiers[identifier]; known {
				t.Errorf("it has the system identifier of the one of %s", other)
			}
			identifiers[identifier] = name
			id := lessonOf(t, s, database, "One file")
			v := visit(t, s)
			v.get("/videos/" + id)
			v.post("/record-viewing/"+id, url.Values{})
			counted := func() bool { return strings.Contains(get(t, s.url+"/").body, `data-videos-watched="1"`) }
			until(t, "the view is counted", counted)

			s.kill()
			s, again := startFull(t, root, uid)
			t.Logf("after kill -9 the first page comes after %v", again)
			visit(t, s).entered("ada@example.test", goodPassword)
			if !counted() {
				t.Error("the view is lost")
			}
			s.stop()

			programs, err := filepath.Glob(filepath.Join(root, "data", "postgres-programs", "*", "*", "*"))
			if err != nil || len(programs) == 0 {
				t.Fatalf("%v: %v", programs, err)
			}
			for _, file := range programs {
				if asksForExecutableStack(t, file) {
					t.Errorf("%s does not start where its unit forbids to execute what is written", file)
				}
			}

			// What a disk or a crash did to the programs is mended.
			damaged, err := filepath.Glob(filepath.Join(root, "data", "postgres-programs", "*", "lib", "libz.so.1"))
			if err != nil || len(damaged) != 1 {
				t.Fatalf("%v: %v", damaged, err)
			}
			if err := os.WriteFile(damaged[0], bytes.Repeat([]byte("x"), 100), 0o644); err != nil {
				t.Fatal(err)
			}
			s, _ = startFull(t, root, uid)
			visit(t, s).entered("ada@example.test", goodPassword)
			s.stop()
			s, again = startFull(t, root, uid)
			t.Logf("after an orderly end the first page comes after %v", again)
			s.stop()
		})
	}
}

// The file to hand out needs nothing of the machine, says which build it is, and comes
// out the same in another folder.
func TestTwoBuildsGiveTheSameFile(t *testing.T) {
	t.Parallel()
	var files [2][]byte
	for i, folder := range []string{filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "a", "longer", "path")} {
		if out, err := exec.Command("git", "clone", "--quiet", ".", folder).CombinedOutput(); err != nil {
			t.Fatalf("clone: %v %s", err, out)
		}
		// What npm gives, which the build would fetch.
		for _, made := range []string{"assets/dist", "db/messagedb"} {
			if out, err := exec.Command("cp", "-R", made+"/.", filepath.Join(folder, made)).CombinedOutput(); err != nil {
				t.Fatalf("copy %s: %v %s", made, err, out)
			}
		}
		file, err := distribute(folder, "dist")
		if err != nil {
			t.Fatal(err)
		}
		check := exec.Command("sha256sum", "--check", "--quiet", "SHA256SUMS")
		check.Dir = filepath.Dir(file)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("SHA256SUMS: %v %s", err, out)
		}
		if files[i], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			continue
		}
		program, err := elf.NewFile(bytes.NewReader(files[i]))
		if err != nil {
			t.Fatal(err)
		}
		if program.Section(".interp") != nil || program.Section(".symtab") != nil {
			t.Error("it is not static, or not stripped")
		}
		commit, err := exec.Command("git", "rev-parse", "HEAD").Output()
		if err != nil {
			t.Fatal(err)
		}
		said, err := exec.Command(file, "--version").CombinedOutput()
		if err != nil || !strings.Contains(string(said), "commit "+strings.TrimSpace(string(commit))+", 20") {
			t.Errorf("--version: %v %s", err, said)
		}
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("two builds of the same commit differ")
	}
}

// The full file in an empty root: the very first start and later ones, each to the first
// answered page.
func BenchmarkSiteDist(b *testing.B) {
	file, err := fullFile()
	if err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		b.Fatal(err)
	}
	const laterStarts = 5
	var first, later time.Duration
	var rest int64
	for range b.N {
		root := emptyRoot(b, os.Geteuid())
		for i := range 1 + laterStarts {
			s, took := startFull(b, root, os.Geteuid())
			if i == 0 {
				first += took
			} else {
				later += took
			}
			rest = memory(b, s.command.Process.Pid)
			s.ended = true
			s.command.Process.Signal(syscall.SIGINT)
			if err := <-s.exited; err != nil {
				b.Fatalf("%v\n%s", err, s.output)
			}
		}
	}
	b.ReportMetric(float64(info.Size())/1e6, "file-MB")
	b.ReportMetric(first.Seconds()*1000/float64(b.N), "first-start-ms")
	b.ReportMetric(later.Seconds()*1000/float64(b.N*laterStarts), "later-start-ms")
	b.ReportMetric(float64(rest)/(1<<20), "MB")
	b.ReportMetric(0, "ns/op")
}
