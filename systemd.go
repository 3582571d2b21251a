package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// serviceManager is what has started this process and watches over it, such as systemd. The
// zero value is none. It is told how the process is as sd_notify(3) says, and may have bound
// the sockets of the site as sd_listen_fds(3) says: they stay while the process is replaced
// by another one, and whoever connects meanwhile waits and is not refused.
type serviceManager struct {
	socket   string        // where it hears; empty where nobody does
	watchdog time.Duration // how long it waits for a word before it ends the process; 0: for ever
	bound    []net.Listener
}

// newServiceManager takes what the environment says, and takes it away from the processes
// that this one starts.
func newServiceManager() (*serviceManager, error) {
	taken := func(name string) string {
		value := os.Getenv(name)
		os.Unsetenv(name)
		return value
	}
	m := &serviceManager{socket: taken("NOTIFY_SOCKET")}
	meant := func(pid string) bool { return pid == "" || pid == strconv.Itoa(os.Getpid()) }
	if limit, pid := taken("WATCHDOG_USEC"), taken("WATCHDOG_PID"); limit != "" && meant(pid) {
		microseconds, err := strconv.ParseInt(limit, 10, 64)
		if err != nil || microseconds <= 0 {
			return nil, fmt.Errorf("the service manager says WATCHDOG_USEC=%q, which is no time", limit)
		}
		m.watchdog = time.Duration(microseconds) * time.Microsecond
	}
	number, pid := taken("LISTEN_FDS"), taken("LISTEN_PID")
	taken("LISTEN_FDNAMES")
	if number == "" || pid == "" || !meant(pid) {
		return m, nil
	}
	sockets, err := strconv.Atoi(number)
	if err != nil || sockets < 0 {
		return nil, fmt.Errorf("the service manager says LISTEN_FDS=%q, which is no number of sockets", number)
	}
	const first = 3
	for fd := first; fd < first+sockets; fd++ {
		syscall.CloseOnExec(fd)
		file := os.NewFile(uintptr(fd), "socket of the service manager")
		listener, err := net.FileListener(file)
		file.Close()
		if err != nil {
			m.close()
			return nil, fmt.Errorf("use socket %d of the service manager: %w", fd-first+1, err)
		}
		m.bound = append(m.bound, listener)
	}
	return m, nil
}

// listen returns the socket with a TCP port that the service manager has bound, else a new one.
func (m *serviceManager) listen(port string) (net.Listener, error) {
	for i, listener := range m.bound {
		if address, ok := listener.Addr().(*net.TCPAddr); ok && strconv.Itoa(address.Port) == port {
			m.bound = append(m.bound[:i:i], m.bound[i+1:]...)
			return listener, nil
		}
	}
	return net.Listen("tcp", net.JoinHostPort("", port))
}

// unused refuses sockets that nobody has asked for: whoever connects there would wait for ever.
func (m *serviceManager) unused() error {
	var addresses []string
	for _, listener := range m.bound {
		addresses = append(addresses, listener.Addr().String())
	}
	if len(addresses) == 0 {
		return nil
	}
	return fmt.Errorf("the service manager listens on %s, where nothing is served: set the ports to those that it listens on (see --help), or the other way round", strings.Join(addresses, " and "))
}

// close gives up the sockets that nobody has asked for.
func (m *serviceManager) close() {
	for _, listener := range m.bound {
		listener.Close()
	}
	m.bound = nil
}

// tell says how the process is.
func (m *serviceManager) tell(state string) error {
	if m.socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: m.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	return nil
}

// follow tells the service manager that the process is ready once alive returns nil, and from
// then on until ctx ends that it is alive each time alive returns nil again: a process that
// only runs and does nothing for anybody is ended and started anew. It returns nil.
func (m *serviceManager) follow(ctx context.Context, log *slog.Logger, status string, alive func(context.Context) error) error {
	if m.socket == "" {
		return nil
	}
	every := time.Second
	if m.watchdog > 0 {
		every = m.watchdog / 4 // so that two may be late
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var logged struct { // what stays wrong is said once a minute
		text string
		at   time.Time
	}
	for ready := false; ; {
		word := "WATCHDOG=1"
		if !ready {
			word = "READY=1\nSTATUS=" + status
		}
		err := alive(ctx)
		if err == nil {
			err = m.tell(word)
			ready = ready || err == nil
		}
		if err != nil && ctx.Err() == nil && (err.Error() != logged.text || time.Since(logged.at) >= time.Minute) {
			logged.text, logged.at = err.Error(), time.Now()
			log.Error("the service manager does not hear that this process is alive", "error", err)
		}
		if ready && m.watchdog == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// stopping tells the service manager that the process ends in order.
func (m *serviceManager) stopping(log *slog.Logger) {
	if err := m.tell("STOPPING=1\nSTATUS=stopping"); err != nil && !errors.Is(err, os.ErrNotExist) {
		log.Warn("the service manager does not hear that this process stops", "error", err)
	}
}
