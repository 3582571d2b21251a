package media

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// A server that has accepted a connection and says nothing is given up. While there is
// something to send to it, it may be silent.
func TestPatient(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	dialed, err := dialPatiently(t.Context(), "tcp", silent.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer dialed.Close()
	conn, ok := dialed.(patient)
	if !ok || conn.patience != stalled {
		t.Fatalf("%+v", dialed)
	}
	conn.patience = 50 * time.Millisecond
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a silent server: %v", err)
	}
	full := make([]byte, 1<<20)
	for err = nil; err == nil; {
		_, err = conn.Write(full) // until all buffers are full
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a server that takes nothing: %v", err)
	}
	noted := &deadlines{}
	conn = patient{noted, time.Hour}
	conn.Write(nil)
	if time.Until(noted.read) < 59*time.Minute || time.Until(noted.write) < 59*time.Minute {
		t.Errorf("who waits for an answer has until %v, who writes until %v", noted.read, noted.write)
	}
}

type deadlines struct {
	net.Conn
	read, write time.Time
}

func (d *deadlines) SetDeadline(t time.Time) error   { d.read, d.write = t, t; return nil }
func (d *deadlines) Write(b []byte) (n int, _ error) { return len(b), nil }
