package live

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
)

// crowd is many open pages on one topic, read by plain connections, which cost the process little.
type crowd struct {
	hub      *Hub
	store    *store
	server   *http.Server
	address  string
	readers  sync.WaitGroup
	conns    []net.Conn
	arrivals chan arrival
	stop     func() error // closes hub and server, and waits for all
}

type arrival struct {
	value int64
	at    time.Time
}

func openCrowd(t testing.TB, pages int, adjust func(*limits)) *crowd {
	t.Helper()
	c := &crowd{store: newStore(), arrivals: make(chan arrival, pages)}
	c.hub = New(slog.New(slog.DiscardHandler))
	if adjust != nil {
		adjust(&c.hub.limits)
	}
	ctx, cancel := context.WithCancel(context.Background())
	hubStopped := make(chan error, 1)
	go func() { hubStopped <- c.hub.Run(ctx) }()
	e := echo.New()
	feed := c.hub.Feed(c.store.render)
	e.GET("/live", func(ec echo.Context) error { return feed.Serve(ec, c.store.page("views/a")) })
	c.server = &http.Server{Handler: e}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.address = l.Addr().String()
	serverStopped := make(chan error, 1)
	go func() { serverStopped <- c.server.Serve(smallBuffers{l}) }()
	c.stop = func() error {
		cancel()
		err := <-hubStopped
		for _, conn := range c.conns {
			conn.Close()
		}
		c.readers.Wait()
		err = errors.Join(err, c.server.Close())
		<-serverStopped
		return err
	}
	c.conns = make([]net.Conn, pages)
	for i := range c.conns {
		c.conns[i] = dial(t, c.address)
	}
	eventually(t, fmt.Sprintf("%d pages up to date", pages), func() bool { return c.store.answered() == pages })
	return c
}

// read makes the first n browsers read and report the values they get.
func (c *crowd) read(n int) {
	for _, conn := range c.conns[:n] {
		c.readers.Go(func() {
			r := bufio.NewReader(conn)
			response, err := http.ReadResponse(r, nil)
			if err != nil {
				return
			}
			r = bufio.NewReader(response.Body) // Closing the body would read to its end.
			for {
				f, err := readFrame(r)
				if err != nil {
					return
				}
				if f.comment == "" {
					c.arrivals <- arrival{f.values()["views/a"], time.Now()}
				}
			}
		})
	}
}

// change commits and notifies the next value.
func (c *crowd) change() (value int64, began time.Time) {
	payloads := c.store.commit("views/a")
	began = time.Now()
	notify(c.hub, payloads)
	return c.store.value("views/a"), began
}

// await waits until n browsers have the value, and returns how long each took.
func (c *crowd) await(t testing.TB, n int, value int64, began time.Time) []time.Duration {
	t.Helper()
	took := make([]time.Duration, 0, n)
	deadline := time.After(patience)
	for len(took) < n {
		select {
		case a := <-c.arrivals:
			if a.value == value {
				took = append(took, a.at.Sub(began))
			}
		case <-deadline:
			t.Fatalf("%d of %d browsers got the newest value within %s", len(took), n, patience)
		}
	}
	return took
}

func percentile(took []time.Duration, p int) time.Duration {
	slices.Sort(took)
	return took[(len(took)-1)*p/100]
}

// TestOneOfTwoThousandNeverReads is not parallel: it counts goroutines.
func TestOneOfTwoThousandNeverReads(t *testing.T) {
	const reading = 1999
	before := runtime.NumGoroutine()
	c := openCrowd(t, reading, nil)
	c.read(reading)

	// The one that never reads has a frame of a megabyte on its way while the others get theirs.
	c.store.setPad(1 << 20)
	c.store.commit("views/a") // The others are not told.
	c.conns = append(c.conns, dial(t, c.address))
	eventually(t, "all pages up to date", func() bool { return c.store.answered() == reading+1 })
	c.store.setPad(200)

	var took []time.Duration
	for range 20 {
		value, began := c.change()
		took = append(took, c.await(t, reading, value, began)...)
	}
	t.Logf("20 changes, one after the other, %d browsers: p50 %s, p99 %s, max %s", reading,
		percentile(took, 50), percentile(took, 99), percentile(took, 100))
	frames := c.hub.Stats().Frames
	var value int64
	var began time.Time
	for range 500 {
		value, began = c.change()
	}
	took = c.await(t, reading, value, began)
	t.Logf("500 changes at once: the newest after p50 %s, p99 %s, in %d frames", percentile(took, 50), percentile(took, 99), c.hub.Stats().Frames-frames)

	eventually(t, "only the stalled one cut", func() bool { return c.hub.Stats().Cut == 1 && c.hub.Stats().Pages == reading })
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all goroutines gone", func() bool { return runtime.NumGoroutine() <= before })
}

func BenchmarkNotifyToFrame(b *testing.B) {
	for _, pages := range []int{1, 1000} {
		b.Run(fmt.Sprintf("pages=%d", pages), func(b *testing.B) {
			c := openCrowd(b, pages, nil)
			c.read(pages)
			value, began := c.change()
			c.await(b, pages, value, began)
			var took []time.Duration
			for b.Loop() {
				value, began := c.change()
				took = append(took, c.await(b, pages, value, began)...)
			}
			b.ReportMetric(float64(percentile(took, 50).Microseconds()), "p50-µs")
			b.ReportMetric(float64(percentile(took, 99).Microseconds()), "p99-µs")
			if err := c.stop(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkOpenPage measures what an open page takes: both ends of its connection, net/http's share and ours. Its floor
// is a handler that does nothing but keep the request open.
func BenchmarkOpenPage(b *testing.B) {
	b.Run("floor", func(b *testing.B) {
		benchmarkOpenPage(b, func() func(echo.Context) error {
			return func(c echo.Context) error {
				c.Response().Flush()
				<-c.Request().Context().Done()
				return nil
			}
		})
	})
	b.Run("hub", func(b *testing.B) {
		benchmarkOpenPage(b, func() func(echo.Context) error {
			feed := New(slog.New(slog.DiscardHandler)).Feed(newStore().render)
			return func(c echo.Context) error { return feed.Serve(c, newStore().page("views/a")) }
		})
	})
}

func benchmarkOpenPage(b *testing.B, handler func() func(echo.Context) error) {
	const pages = 1000
	measure := func() (bytes uint64, goroutines int) {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse, runtime.NumGoroutine()
	}
	for b.Loop() {
		bytesBefore, goroutinesBefore := measure()
		e := echo.New()
		e.GET("/live", handler())
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		server := &http.Server{Handler: e}
		stopped := make(chan error, 1)
		go func() { stopped <- server.Serve(l) }()
		conns := make([]net.Conn, pages)
		for i := range conns {
			conns[i] = dial(b, l.Addr().String())
		}
		for _, conn := range conns { // The header has come: the page is open.
			if _, err := conn.Read(make([]byte, 1)); err != nil {
				b.Fatal(err)
			}
		}
		bytes, goroutines := measure()
		b.ReportMetric((float64(bytes)-float64(bytesBefore))/pages, "bytes/page")
		b.ReportMetric(float64(goroutines-goroutinesBefore)/pages, "goroutines/page")
		for _, conn := range conns {
			conn.Close()
		}
		server.Close()
		<-stopped
		eventually(b, "all goroutines gone", func() bool { return runtime.NumGoroutine() <= goroutinesBefore })
	}
}
