package main

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"videotutorials/db/dbtest"
)

// cutter passes connections on to the site and cuts each after a random number of bytes.
type cutter struct {
	listener net.Listener
	mu       sync.Mutex
	to       string
	cuts     atomic.Int32
	passed   atomic.Int64
}

func newCutter(t *testing.T, to string) *cutter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	c := &cutter{listener: listener, to: to}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go c.pass(conn)
		}
	}()
	return c
}

func (c *cutter) pass(from net.Conn) {
	defer from.Close()
	c.mu.Lock()
	address := c.to
	c.mu.Unlock()
	to, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer to.Close()
	go func() {
		_, _ = io.Copy(from, to)
		from.Close()
	}()
	after := 1 + somewhere(24<<20)
	n, err := io.CopyN(to, from, after)
	c.passed.Add(n)
	if err == nil {
		c.cuts.Add(1)
	}
}

func somewhere(below int64) int64 {
	n, err := rand.Int(rand.Reader, big.NewInt(below))
	if err != nil {
		panic(err) // there is no randomness on this machine
	}
	return n.Int64()
}

// An upload of 200 MB arrives as it was sent, though the line is cut again and again and
// the server is killed twice.
func TestAnUploadSurvivesCutsAndKills(t *testing.T) {
	t.Parallel()
	const size = 200 << 20
	database, dir := dbtest.New(t), folder(t)
	s := start(t, dir, environment(database))
	creator := member(t, s, "cuts@example.com", goodPassword)
	file := filepath.Join(folder(t), "film.mp4")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(f, sum), rand.Reader, size); err != nil {
		t.Fatal(err)
	}
	line := newCutter(t, s.url[len("http://"):])
	direct := creator.url
	_, through, _ := net.SplitHostPort(line.listener.Addr().String())
	creator.url = "http://localhost:" + through // the cookies are those of a host
	creator.client.Timeout = 20 * time.Second
	creator.client.Transport = &http.Transport{DisableKeepAlives: true}
	u, a := creator.beginUpload(file, "Cut")
	if a.status != http.StatusCreated {
		t.Fatalf("%d %s", a.status, a.body)
	}
	killed, port := 0, s.port()
	untilLong(t, filmPatience, "all of it has arrived", func() bool {
		if passed := line.passed.Load(); killed < 2 && passed > int64(killed+1)*size/3 {
			s.kill()
			killed++
			s.startAt(port)
		}
		from, err := u.offset()
		if err != nil {
			return false
		}
		if from == size {
			return true
		}
		_, _ = u.send(from) // cut somewhere, most of the time
		return false
	})
	creator.url = direct
	becomes(t, database, u.id, "failed") // noise is no film
	arrived, err := os.Open(filepath.Join(dir, "media", "uploads", u.id))
	if err != nil {
		t.Fatal(err)
	}
	defer arrived.Close()
	got := sha256.New()
	if _, err := io.Copy(got, arrived); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%x", sum.Sum(nil)); fmt.Sprintf("%x", got.Sum(nil)) != want || killed != 2 || line.cuts.Load() == 0 {
		t.Errorf("%x arrived instead of %s; killed %d times, cut %d times", got.Sum(nil), want, killed, line.cuts.Load())
	}
	t.Logf("cut %d times, killed %d times, %d MB sent", line.cuts.Load(), killed, line.passed.Load()>>20)
}
