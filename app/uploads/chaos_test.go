package uploads

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"videotutorials/components/videopublishing/publishingmsg"
)

// 200 MB through a line that breaks at random, to a server that dies twice, arrive as
// they were sent.
//
// It moves so much that it runs alone.
func TestChaos(t *testing.T) {
	const length = 200 << 20
	s := start(t, func(_ *Config, times *times) { times.silence = 5 * time.Second })
	b, content := s.person(), film(random(50, 1<<20-3))
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	line := newLine(t, s.url, rand.New(rand.NewPCG(uint64(seed), 0)))
	path, videoID := b.begin(length)
	url := "http://" + line.Addr().String() + path
	deaths := []int64{length / 3, 2 * length / 3}
	requests := 0
	for s.ctx.Err() == nil {
		requests++
		a := b.head(url)
		if a.status != http.StatusOK {
			continue // the line is broken, or the lock not free yet
		}
		at := a.offset()
		if at == length {
			break
		}
		body := &dying{Reader: io.NewSectionReader(content, at, length-at), at: at}
		if len(deaths) > 0 {
			body.dies, body.die = deaths[0], func() {
				// What the process had in memory is gone, and its connections with it. The next
				// one has nothing but the folder.
				deaths = deaths[1:]
				s.app = s.newApp(s.app.times)
				line.lead(s.serve(s.app).URL)
			}
		}
		b.patch(url, at, body)
	}
	if len(deaths) != 0 {
		t.Errorf("the server did not die %d times", len(deaths))
	}
	t.Logf("%d requests, %d connections, %d of them cut", requests, line.taken.Load(), line.cut.Load())
	if line.cut.Load() < 10 {
		t.Errorf("only %d connections were cut", line.cut.Load())
	}
	name, err := s.media.Fetch(s.ctx, publishingmsg.SourceKey(videoID), "")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if sum(t, got) != sum(t, io.NewSectionReader(content, 0, length)) {
		t.Error("the bytes are not those that were sent")
	}
	if want := []string{"BeginUpload", "NameVideo", "PublishVideo"}; !slices.Equal(s.commands(videoID), want) {
		t.Errorf("%v", s.commands(videoID))
	}
}

// film is a long file without an end, of which little is in memory: it repeats itself
// after a number of bytes that nothing else is a multiple of.
type film []byte

func (f film) ReadAt(p []byte, at int64) (n int, err error) {
	for n < len(p) {
		n += copy(p[n:], f[(at+int64(n))%int64(len(f)):])
	}
	return n, nil
}

func sum(t *testing.T, content io.Reader) string {
	t.Helper()
	hash := sha256.New()
	if _, err := io.Copy(hash, content); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// dying is a body during which the server dies.
type dying struct {
	io.Reader
	at, dies int64
	die      func()
}

func (d *dying) Read(p []byte) (int, error) {
	n, err := d.Reader.Read(p)
	if d.at += int64(n); d.die != nil && d.at >= d.dies {
		d.die()
		d.die = nil
	}
	return n, err
}

// badLine is a proxy whose connections break after some megabytes, often in the middle of a
// request and without a word.
type badLine struct {
	net.Listener
	mu         sync.Mutex
	to         string
	random     *rand.Rand
	open       map[net.Conn]bool
	taken, cut atomic.Int64
}

func newLine(t *testing.T, url string, random *rand.Rand) *badLine {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &badLine{Listener: listener, to: url[len("http://"):], random: random, open: map[net.Conn]bool{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { l.pass(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		l.breakAll()
		running.Wait()
	})
	return l
}

// lead makes the line lead elsewhere; what there was of it breaks.
func (l *badLine) lead(url string) {
	l.mu.Lock()
	l.to = url[len("http://"):]
	l.mu.Unlock()
	l.breakAll()
}

func (l *badLine) breakAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.open {
		conn.(*net.TCPConn).SetLinger(0) // a reset, as of a process that was killed
		conn.Close()
	}
}

func (l *badLine) pass(from net.Conn) {
	l.taken.Add(1)
	l.mu.Lock()
	address, most, reset := l.to, l.random.Int64N(16<<20), l.random.IntN(2) == 0
	l.mu.Unlock()
	to, err := net.Dial("tcp", address)
	if err != nil {
		from.Close()
		return
	}
	l.mu.Lock()
	l.open[from], l.open[to] = true, true
	l.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() {
		io.Copy(from, to)
		from.Close()
	})
	if n, _ := io.CopyN(to, from, most); n == most {
		l.cut.Add(1)
		if reset {
			to.(*net.TCPConn).SetLinger(0)
		}
	}
	to.Close()
	from.Close()
	both.Wait()
	l.mu.Lock()
	delete(l.open, from)
	delete(l.open, to)
	l.mu.Unlock()
}
