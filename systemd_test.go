package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"videotutorials/db/dbtest"
)

// manager plays a service manager: it binds the sockets of the site, starts the program with
// them, and hears what the program says.
type manager struct {
	t       *testing.T
	sockets []*os.File
	ports   []string
	words   *net.UnixConn
	path    string
}

func newManager(t *testing.T, sockets int) *manager {
	t.Helper()
	m := &manager{t: t, path: filepath.Join(t.TempDir(), "notify")}
	for range sockets {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		socket, err := listener.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		listener.Close() // the socket stays bound
		t.Cleanup(func() { socket.Close() })
		_, port, err := net.SplitHostPort(listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		m.sockets, m.ports = append(m.sockets, socket), append(m.ports, port)
	}
	var err error
	if m.words, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.words.Close() })
	return m
}

func (m *manager) url() string { return "http://127.0.0.1:" + m.ports[0] }

// start starts the program as its unit would, and does not wait for it.
func (m *manager) start(database *dbtest.DB, env ...string) *site {
	m.t.Helper()
	program, err := built()
	if err != nil {
		m.t.Fatal(err)
	}
	s := &site{t: m.t, output: &output{grown: make(chan struct{})}, exited: make(chan error, 1)}
	// Only the process itself knows its number before it begins.
	s.command = exec.Command("sh", "-c", `LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$0"`, program)
	s.command.Dir = m.t.TempDir()
	s.env = slices.Concat(environment(database), []string{"DATA_DIR=" + folder(m.t), "PORT=" + m.ports[0]}, env)
	s.command.Env = slices.Concat(s.env, []string{"PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0", fmt.Sprint("LISTEN_FDS=", len(m.sockets)), "LISTEN_FDNAMES=any", "NOTIFY_SOCKET=" + m.path})
	s.command.ExtraFiles = m.sockets
	s.command.Stdout, s.command.Stderr = s.output, s.output
	if err := s.command.Start(); err != nil {
		m.t.Fatal(err)
	}
	go func() { s.exited <- s.command.Wait(); close(s.exited) }()
	m.t.Cleanup(s.stop)
	return s
}

// hears waits for a word of the program.
func (m *manager) hears(s *site, word string) {
	m.t.Helper()
	heard := make([]byte, 1000)
	deadline := time.Now().Add(patience)
	for {
		if err := m.words.SetReadDeadline(deadline); err != nil {
			m.t.Fatal(err)
		}
		n, err := m.words.Read(heard)
		if err != nil {
			m.t.Fatalf("%s is not said: %v\n%s", word, err, s.output)
		}
		if strings.HasPrefix(string(heard[:n]), word+"\n") || string(heard[:n]) == word {
			return
		}
	}
}

// The program says when it can be asked, that it is alive, and that it stops.
func TestServiceManagerHears(t *testing.T) {
	t.Parallel()
	m := newManager(t, 1)
	s := m.start(dbtest.New(t), "WATCHDOG_USEC=400000")
	m.hears(s, "READY=1")
	if a := get(t, m.url()+"/"); a.status != http.StatusOK {
		t.Errorf("home once it is ready: %d", a.status)
	}
	for range 3 {
		m.hears(s, "WATCHDOG=1")
	}
	s.stop()
	m.hears(s, "STOPPING=1")
}

// One program after the other serves the same socket, and nobody who asks notices.
func TestServiceManagerRestartsAndNobodyIsRefused(t *testing.T) {
	t.Parallel()
	m, database := newManager(t, 1), dbtest.New(t)
	s := m.start(database)
	m.hears(s, "READY=1")
	ctx, stop := context.WithCancel(within(t))
	var askers sync.WaitGroup
	var answered atomic.Int64
	for i := range 8 {
		askers.Go(func() {
			transport := &http.Transport{DisableKeepAlives: i%2 == 0}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport}
			for ctx.Err() == nil {
				request, err := http.NewRequestWithContext(within(t), http.MethodGet, m.url()+"/", nil)
				if err != nil {
					t.Error(err)
					return
				}
				answer, err := client.Do(request)
				if err != nil {
					t.Errorf("after %d answers: %v", answered.Load(), err)
					return
				}
				_, err = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				if err != nil || answer.StatusCode != http.StatusOK {
					t.Errorf("after %d answers: %s, %v", answered.Load(), answer.Status, err)
					return
				}
				answered.Add(1)
			}
		})
	}
	more := func() {
		before := answered.Load()
		until(t, "requests are answered", func() bool { return t.Failed() || answered.Load() >= before+50 })
	}
	for range 2 {
		more()
		s.stop()
		s = m.start(database)
		m.hears(s, "READY=1")
	}
	more()
	stop()
	askers.Wait()
	t.Logf("%d requests answered by three programs one after the other", answered.Load())
}

// A socket where nothing is served would let everybody wait who connects.
func TestServiceManagerWithAnotherPort(t *testing.T) {
	t.Parallel()
	m := newManager(t, 1)
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ set, says string }{
		"socket": {"LISTEN_FDS=1", "the service manager listens on " + "127.0.0.1:" + m.ports[0]},
		"number": {"LISTEN_FDS=x", `LISTEN_FDS="x"`},
		"none":   {"LISTEN_FDS=2", "use socket 2 of the service manager"},
		"time":   {"WATCHDOG_USEC=soon", `WATCHDOG_USEC="soon"`},
	} {
		t.Run(name, func(t *testing.T) {
			command := exec.CommandContext(within(t), "sh", "-c", `LISTEN_PID=$$ exec "$0" --port 0`, program)
			command.Dir, command.Env, command.ExtraFiles = t.TempDir(), []string{"PATH=" + os.Getenv("PATH"), c.set}, m.sockets
			if out, err := command.CombinedOutput(); err == nil || !strings.Contains(string(out), c.says) {
				t.Errorf("%v, want %q\n%s", err, c.says, out)
			}
		})
	}
}

// A process that does not answer itself is not said to be ready nor alive.
func TestServiceManagerHearsTheTruth(t *testing.T) {
	t.Parallel()
	m := newManager(t, 1)
	follow := serviceManager{socket: m.path, watchdog: 20 * time.Millisecond}
	ctx, cancel := context.WithCancel(within(t))
	ended := make(chan error, 1)
	asks, answers := make(chan struct{}), make(chan error)
	go func() {
		ended <- follow.follow(ctx, slog.New(slog.DiscardHandler), "serving", func(context.Context) error { asks <- struct{}{}; return <-answers })
	}()
	wrong := errors.New("no answer")
	var heard []string
	for _, answer := range []error{wrong, wrong, nil, nil, wrong, nil} {
		<-asks
		answers <- answer
	}
	<-asks
	cancel()
	answers <- wrong
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := follow.tell("END"); err != nil {
		t.Fatal(err)
	}
	for word := make([]byte, 100); ; {
		n, err := m.words.Read(word)
		if err != nil {
			t.Fatal(err)
		}
		if string(word[:n]) == "END" {
			break
		}
		heard = append(heard, string(word[:n]))
	}
	if want := "READY=1\nSTATUS=serving WATCHDOG=1 WATCHDOG=1"; strings.Join(heard, " ") != want {
		t.Errorf("%q, want %q", heard, want)
	}
}

// What stays wrong is logged once and then every minute, and what is wrong now at once.
func TestServiceManagerThatIsAwayFillsNoLog(t *testing.T) {
	away := serviceManager{socket: filepath.Join(t.TempDir(), "nobody")}
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		ctx, cancel := context.WithCancel(t.Context())
		asked := 0
		err := away.follow(ctx, slog.New(slog.NewTextHandler(&said, nil)), "serving", func(context.Context) error {
			asked++
			switch {
			case asked > 300:
				cancel()
			case asked > 200: // from 3:20 on
				return errors.New("no answer")
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if away, silent := strings.Count(said.String(), "tell the service manager"), strings.Count(said.String(), "no answer"); away != 4 || silent != 2 {
			t.Errorf("asked %d times, it is logged %d times that nobody hears and %d times that nothing answers:\n%s", asked, away, silent, &said)
		}
	})
}

// Told to stop, the program says at /ready to send nobody more, answers everybody meanwhile,
// and ends the streams of open pages last.
func TestDrain(t *testing.T) {
	t.Parallel()
	s := startOn(t, dbtest.New(t), "--drain", "2s")
	if status, _ := healthOf(t, s); status != http.StatusOK {
		t.Fatalf("ready: %d", status)
	}
	stream, err := http.Get(s.url + "/live?at=catalogue%3D0%2Cviewcounts%3D0&before=0")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	until(t, "the page is open", func() bool { _, h := healthOf(t, s); return h.OpenPages == 1 })
	began := time.Now()
	s.ended = true
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, err := s.output.find(within(t), "stopping: requests are still answered", s.exited); err != nil {
		t.Fatal(err)
	}
	status, h := healthOf(t, s)
	if status != http.StatusServiceUnavailable || fmt.Sprint(h.Reasons) != "[this process is stopping]" || h.OpenPages != 1 {
		t.Errorf("ready while it stops: %d %+v", status, h)
	}
	a := get(t, s.url+"/")
	if a.status != http.StatusOK {
		t.Errorf("home while it stops: %d", a.status)
	}
	if alive := get(t, s.url+"/health"); alive.status != http.StatusOK {
		t.Errorf("health while it stops: %d", alive.status)
	}
	raw, err := net.Dial("tcp", "127.0.0.1:"+s.port())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	fmt.Fprintf(raw, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(raw), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if !answer.Close {
		t.Error("a connection is kept while the program stops")
	}
	if _, err := io.Copy(io.Discard, stream.Body); err != nil {
		t.Errorf("the stream does not end in order: %v", err)
	}
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("the stream ended after %s", took)
	}
	select {
	case err := <-s.exited:
		if err != nil {
			t.Errorf("%v\n%s", err, s.output)
		}
	case <-within(t).Done():
		t.Errorf("the program does not stop\n%s", s.output)
		s.command.Process.Kill()
	}
}

// Who has connected before the end, and asks after it, is answered.
func TestDrainAnswersWhoHasConnected(t *testing.T) {
	t.Parallel()
	s := startOn(t, dbtest.New(t))
	conn, err := net.Dial("tcp", "127.0.0.1:"+s.port())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	get(t, s.url+"/health") // who comes later was answered, so conn was taken
	s.ended = true
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	until(t, "nobody else is taken", func() bool {
		other, err := net.Dial("tcp", "127.0.0.1:"+s.port())
		if err == nil {
			other.Close()
		}
		return err != nil
	})
	fmt.Fprintf(conn, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK || !answer.Close {
		t.Errorf("%s, close: %t", answer.Status, answer.Close)
	}
	if err := <-s.exited; err != nil {
		t.Errorf("%v\n%s", err, s.output)
	}
}
