package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"videotutorials/db/dbtest"
)

// startProxy puts the proxy of `make run-replicas` before two replicas, and returns its
// address.
func startProxy(t *testing.T, one, two *site) string {
	t.Helper()
	if _, err := exec.LookPath("caddy"); err != nil {
		t.Fatal("caddy is missing: deploy/tools.sh caddy")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(free.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	said := &output{grown: make(chan struct{})}
	proxy := exec.Command("caddy", "run", "--config", "deploy/replicas/Caddyfile")
	proxy.Env = append(os.Environ(), "PORT="+port, "WEB1="+one.port(), "WEB2="+two.port(), "HOME="+t.TempDir(), "XDG_CONFIG_HOME=", "XDG_DATA_HOME=")
	proxy.Stdout, proxy.Stderr = said, said
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- proxy.Wait() }()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the proxy:\n%s", said)
		}
		proxy.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	if _, err := said.find(within(t), `serving initial configuration`, ended); err != nil {
		t.Fatal(err)
	}
	address := "http://localhost:" + port
	until(t, "the proxy passes requests on", func() bool {
		answer, err := http.Get(address + "/ready")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	return address
}

// audience are the pages that are open at the same time, and those who watch.
type audience struct {
	address string
	client  *http.Client
	streams atomic.Int64 // that were opened

	mu    sync.Mutex
	shown map[int]int64 // by page, the total that it shows
	wrong []string      // requests that failed
}

var (
	totalIn  = regexp.MustCompile(`data-videos-watched="(\d+)"`)
	streamIn = regexp.MustCompile(`"(/live\?[^"]+)"`)
)

func (c *audience) failed(format string, values ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = append(c.wrong, fmt.Sprintf(format, values...))
}

func (c *audience) show(page int, text string) {
	found := totalIn.FindStringSubmatch(text)
	if found == nil {
		return
	}
	total, err := strconv.ParseInt(found[1], 10, 64)
	if err != nil {
		c.failed("page %d shows %q", page, found[1])
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shown[page] = total
}

// open is what a browser does with an open home page: it follows its stream, and takes it up
// again with the last id where it ends.
func (c *audience) open(ctx context.Context, page int, opened func()) {
	defer opened()
	text, err := c.get(ctx, c.client, "/")
	if err != nil {
		c.failed("page %d: %v", page, err)
		return
	}
	c.show(page, text)
	stream := streamIn.FindStringSubmatch(text)
	if stream == nil {
		c.failed("page %d has no stream", page)
		return
	}
	for last := ""; ctx.Err() == nil; {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.address+strings.ReplaceAll(stream[1], "&amp;", "&"), nil)
		if err != nil {
			c.failed("page %d: %v", page, err)
			return
		}
		request.Header.Set("Accept", "text/event-stream")
		if last != "" {
			request.Header.Set("Last-Event-ID", last)
		}
		answer, err := c.client.Do(request)
		if err != nil {
			if ctx.Err() == nil {
				c.failed("the stream of page %d: %v", page, err)
			}
			return
		}
		if answer.StatusCode != http.StatusOK {
			c.failed("the stream of page %d: %s", page, answer.Status)
		}
		c.streams.Add(1)
		opened()
		lines := bufio.NewScanner(answer.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if id, is := strings.CutPrefix(lines.Text(), "id:"); is {
				last = strings.TrimSpace(id)
			}
			c.show(page, lines.Text())
		}
		answer.Body.Close()
		select { // as long as the page waits
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (c *audience) get(ctx context.Context, client *http.Client, path string) (text string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.address+path, nil)
	if err != nil {
		return "", err
	}
	return answerTo(client, request, http.StatusOK)
}

// watch is a visitor who opens a lesson and watches it.
func (c *audience) watch(ctx context.Context, video string) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: c.client.Transport, Jar: jar}
	if _, err := c.get(ctx, client, "/videos/"+video); err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.address+"/record-viewing/"+video, strings.NewReader(url.Values{}.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", formType)
	_, err = answerTo(client, request, http.StatusOK)
	return err
}

func answerTo(client *http.Client, request *http.Request, status int) (text string, err error) {
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", request.Method, request.URL.Path, err)
	}
	if answer.StatusCode != status {
		return "", fmt.Errorf("%s %s: %s", request.Method, request.URL.Path, answer.Status)
	}
	return string(body), nil
}

// behind returns how many pages do not show a total.
func (c *audience) behind(total int64) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, shown := range c.shown {
		if shown != total {
			n++
		}
	}
	return n
}

// Two web replicas are behind a proxy, with five hundred open pages. One after the other is
// stopped and started again, while people open pages and watch: no request fails, and every
// page ends with what is true.
func TestARollingRestartBehindTheProxy(t *testing.T) {
	t.Parallel()
	const pages, watchEvery = 500, 50 * time.Millisecond
	database := dbtest.New(t)
	env := append(environment(database), "COOKIE_SECRET="+strings.Repeat("secret", 6), "PATH=/nowhere",
		"TRUSTED_PROXIES=127.0.0.0/8,::1/128", "DRAIN=3s")
	start(t, folder(t), env, "--run", "components,aggregators")
	replicas := []*site{start(t, folder(t), env, "--run", "web"), start(t, folder(t), env, "--run", "web")}
	video := lessonOf(t, replicas[0], database, "A lesson")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	transport := &http.Transport{MaxIdleConnsPerHost: pages}
	defer transport.CloseIdleConnections()
	c := &audience{address: startProxy(t, replicas[0], replicas[1]), client: &http.Client{Transport: transport}, shown: map[int]int64{}}

	begin := time.Now()
	var open, opened, watching sync.WaitGroup
	slots := make(chan struct{}, 20)
	for page := range pages {
		opened.Add(1)
		open.Go(func() {
			slots <- struct{}{}
			c.open(ctx, page, sync.OnceFunc(func() { <-slots; opened.Done() }))
		})
	}
	opened.Wait()
	if len(c.wrong) > 0 {
		t.Fatalf("%d pages were not opened: %q", len(c.wrong), c.wrong[:min(len(c.wrong), 10)])
	}
	t.Logf("%d pages are open after %s", pages, time.Since(begin))
	halves := 0
	for _, replica := range replicas {
		_, h := healthOf(t, replica)
		halves += h.OpenPages
		if h.OpenPages < pages/4 {
			t.Errorf("a replica has %d of %d open pages", h.OpenPages, pages)
		}
	}
	if halves != pages {
		t.Errorf("%d pages are open", halves)
	}

	enough := make(chan struct{})
	var total int64
	watching.Go(func() {
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			if err := c.watch(ctx, video); err != nil {
				c.failed("watch: %v", err)
			} else {
				total++
			}
			select {
			case <-tick.C:
			case <-enough:
				return
			}
		}
	})
	for i, replica := range replicas {
		port := replica.port()
		replica.stop()
		replica.startAt(port)
		until(t, "it is ready", func() bool { status, _ := healthOf(t, replica); return status == http.StatusOK })
		t.Logf("replica %d is back after %s: %d streams were opened so far", i+1, time.Since(begin), c.streams.Load())
	}
	close(enough)
	watching.Wait()
	if total == 0 {
		t.Fatal("nobody has watched")
	}
	until(t, "every page shows what is true", func() bool { return c.behind(total) == 0 })
	cancel()
	open.Wait()
	if len(c.wrong) > 0 {
		t.Errorf("%d requests failed, among them: %q", len(c.wrong), c.wrong[:min(len(c.wrong), 10)])
	}
	t.Logf("%d views, %d pages, %d streams", total, len(c.shown), c.streams.Load())
}
