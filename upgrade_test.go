package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/components/sendemail/sendemailmsg"
	"videotutorials/db"
	"videotutorials/db/dbtest"
)

// The build before the newest migration and this one share a database while people register,
// watch and read without a pause. This one migrates, starts beside the other and takes over;
// then everything goes back to the other, and forward again. No request fails and nothing
// is lost.
func TestAnUpgradeWhileTheSiteRuns(t *testing.T) {
	t.Parallel()
	database, mails, balancer := dbtest.NewEmpty(t), startMailServer(t), startBalancer(t)
	env := append(environment(database), "SMTP_URL="+mails.url, "PATH=/nowhere", "COOKIE_SECRET="+strings.Repeat("cookies ", 4),
		"TRUSTED_PROXIES=127.0.0.1/32", "DATA_DIR="+folder(t))
	if _, err := built(); err != nil { // before anybody comes
		t.Fatal(err)
	}
	older := &site{t: t, env: env, args: []string{"--no-demo"}, program: buildBefore(t)}
	newer := &site{t: t, env: env, args: []string{"--no-demo"}}
	for _, s := range []*site{older, newer} {
		t.Cleanup(func() {
			if s.command != nil {
				s.stop()
			}
		})
	}
	missing := func() int {
		t.Helper()
		views, err := db.ViewMigrations(within(t), database.Views)
		if err != nil {
			t.Fatal(err)
		}
		messages, err := db.MessageStoreMigrations(within(t), database.MessageStore)
		if err != nil {
			t.Fatal(err)
		}
		return len(views.Missing) + len(messages.Missing)
	}

	older.startAt("0")
	if missing() == 0 {
		t.Fatal("the build before has all migrations of this one")
	}
	balancer.add(older)
	video := lessonOf(t, older, database, "Watched through an upgrade")
	everywhere := &site{t: t, url: balancer.url}
	member := member(t, everywhere, "member@example.test", goodPassword)
	crowd := gather(t, balancer.url, video)
	phase := func(name string, more int64) {
		t.Helper()
		crowd.goOn(more)
		registered, watched := crowd.registered.Load(), crowd.watched.Load()
		until(t, name+": view data keep up", func() bool {
			return int64(rows(t, database, "user_credentials")) > registered && crowd.shown.Load() >= watched
		})
		if !member.isIn() {
			t.Errorf("%s: a session is lost", name)
		}
		t.Logf("%s: %d registered, %d watched, %d requests by the older and %d by the newer", name, crowd.registered.Load(), crowd.watched.Load(), balancer.asked(older), balancer.asked(newer))
	}
	phase("before", 4)

	if out, err := commandOn(t, newer, "migrate"); err != nil || !strings.Contains(out, "migration applied") || missing() != 0 {
		t.Fatalf("migrate: %v, %d are missing\n%s", err, missing(), out)
	}
	phase("the older one, migrated", 4)

	begin := func(s *site, ready string) {
		t.Helper()
		s.startAt("0")
		until(t, "it is ready", func() bool { return get(t, s.url+ready).status == http.StatusOK })
		balancer.add(s)
	}
	begin(newer, "/ready")
	phase("both", 8)
	if balancer.asked(newer) == 0 {
		t.Error("nobody asked the newer one")
	}

	balancer.remove(older)
	older.stop()
	phase("the newer one", 4)
	until(t, "the newer one does the work", func() bool { return newer.does("identity:commands") && newer.does("viewcounts") })

	begin(older, "/health")
	balancer.remove(newer)
	newer.stop()
	phase("back to the older one", 4)

	begin(newer, "/ready")
	balancer.remove(older)
	older.stop()
	phase("forward again", 4)

	people, watched := crowd.leave(), crowd.watched.Load()
	settled(t, database, newer)
	for what, n := range map[string]int{
		"identities":  len(messagesIn(t, database, identitymsg.Category, identitymsg.Registered{})),
		"mails sent":  len(messagesIn(t, database, sendemailmsg.Category, sendemailmsg.Sent{})),
		"credentials": rows(t, database, "user_credentials"),
		"mails":       len(mails.all()),
	} {
		if n != people+1 { // and the member
			t.Errorf("%s: %d for %d people", what, n, people+1)
		}
	}
	for id, n := range byMessage(mails.all()) {
		if n != 1 {
			t.Errorf("mail %s was sent %d times", id, n)
		}
	}
	if n := int64(viewings(t, database, video)); n != watched {
		t.Errorf("%d viewings are in the store, %d were posted", n, watched)
	}
	total := fmt.Sprintf(`data-videos-watched="%d"`, watched)
	until(t, "all views are counted", func() bool { return strings.Contains(get(t, newer.url+"/").body, total) })
	until(t, "the open page shows them, and no more", func() bool { return crowd.shown.Load() == watched })
	if crowd.connected.Load() < 4 {
		t.Errorf("the open page has connected %d times: it was to live through three ends", crowd.connected.Load())
	}
	crowd.close()
}

// buildBefore builds the program as it was before the newest migration came; what the
// browser gets is today's.
func buildBefore(t *testing.T) (program string) {
	t.Helper()
	git := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(within(t), "git", args...).Output()
		if err != nil {
			t.Fatalf("git %s: %v; the history is needed here: git fetch --unshallow", strings.Join(args, " "), err)
		}
		return strings.TrimSpace(string(out))
	}
	commit := "HEAD" // where the newest one is not committed yet
	if git("status", "--porcelain", "--", "db/migrations") == "" {
		commit = git("rev-parse", git("log", "-1", "--diff-filter=A", "--format=%H", "--", "db/migrations")+"^")
	}
	dir := t.TempDir()
	archive := filepath.Join(dir, "sources.tar")
	git("archive", "--output="+archive, commit)
	sources := filepath.Join(dir, "sources")
	if err := os.Mkdir(sources, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(within(t), "tar", "-xf", archive, "-C", sources).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	for _, generated := range []string{"assets/dist", "db/messagedb"} { // which git does not have
		if out, err := exec.CommandContext(within(t), "cp", "-R", generated+"/.", filepath.Join(sources, generated)).CombinedOutput(); err != nil {
			t.Fatalf("cp: %v\n%s", err, out)
		}
	}
	program = filepath.Join(dir, "video-tutorials-before")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", program, ".")
	build.Dir, build.Env = sources, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=") // as make builds, so that little is built anew
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", commit, err, out)
	}
	return program
}

// balancer is a proxy before all builds that run, which asks one after the other. In the
// end the test fails for each request that got no answer, or one that is about our trouble.
type balancer struct {
	url    string
	mu     sync.Mutex
	all    []*upstream
	next   int
	failed []string
}

type upstream struct {
	site  *site
	proxy *httputil.ReverseProxy
	asked int
	busy  sync.WaitGroup // requests under way, but for streams
}

func startBalancer(t *testing.T) *balancer {
	t.Helper()
	b := &balancer{}
	server := httptest.NewServer(b)
	t.Cleanup(func() {
		server.Close()
		for _, failure := range b.failed {
			t.Error(failure)
		}
	})
	b.url = server.URL
	return b
}

func (b *balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	stream := strings.HasSuffix(r.URL.Path, "/live")
	b.mu.Lock()
	if len(b.all) == 0 {
		b.mu.Unlock()
		b.fail(r, "nobody is there")
		http.Error(w, "nobody", http.StatusBadGateway)
		return
	}
	b.next++
	to := b.all[b.next%len(b.all)]
	to.asked++
	if !stream {
		to.busy.Add(1)
		defer to.busy.Done()
	}
	b.mu.Unlock()
	to.proxy.ServeHTTP(w, r)
}

func (b *balancer) fail(r *http.Request, why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = append(b.failed, r.Method+" "+r.URL.Path+": "+why)
}

// add has a site asked too.
func (b *balancer) add(s *site) {
	s.t.Helper()
	at, err := url.Parse(s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(at)
			r.SetXForwarded()
			r.Out.Host = r.In.Host
		},
		ModifyResponse: func(response *http.Response) error {
			if response.StatusCode >= 500 {
				b.fail(response.Request, response.Status)
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				b.fail(r, err.Error())
			}
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, &upstream{site: s, proxy: proxy})
}

// remove has a site asked no more, and waits for the answers that it owes.
func (b *balancer) remove(s *site) {
	b.mu.Lock()
	var gone *upstream
	for i, u := range b.all {
		if u.site == s {
			gone = u
			b.all = append(b.all[:i:i], b.all[i+1:]...)
		}
	}
	b.mu.Unlock()
	gone.busy.Wait()
}

// asked returns how many requests a site has got since it was added; 0 where it is not there.
func (b *balancer) asked(s *site) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, u := range b.all {
		if u.site == s {
			n += u.asked
		}
	}
	return n
}

// crowd are people who register and watch until they are asked to leave, and one who has the
// home page open.
type crowd struct {
	t                   *testing.T
	url, video          string
	registered, watched atomic.Int64
	shown, connected    atomic.Int64 // of the open page
	leaving             chan struct{}
	busy, open          sync.WaitGroup
	close               func()
}

func gather(t *testing.T, url, video string) *crowd {
	ctx, cancel := context.WithCancel(t.Context())
	c := &crowd{t: t, url: url, video: video, leaving: make(chan struct{})}
	c.close = func() { cancel(); c.open.Wait() }
	again := func(what func() error) {
		c.busy.Go(func() {
			for {
				select {
				case <-c.leaving:
					return
				default:
				}
				if err := what(); err != nil {
					if ctx.Err() == nil {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	var number atomic.Int64
	for range 2 {
		again(func() error {
			someone := &applicant{email: fmt.Sprintf("person-%d@example.test", number.Add(1)), url: url}
			if err := someone.apply(ctx); err != nil {
				return err
			}
			c.registered.Add(1)
			return nil
		})
	}
	again(func() error { return c.watch(ctx) })
	c.open.Go(func() {
		for ctx.Err() == nil {
			c.follow(ctx)
		}
	})
	t.Cleanup(func() { c.close(); c.busy.Wait() })
	return c
}

// watch opens the page of the video in a new browser and says that it was watched.
func (c *crowd) watch(ctx context.Context) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	browser := &http.Client{Jar: jar}
	if err := c.ask(ctx, browser, http.MethodGet, "/videos/"); err != nil {
		return err
	}
	if err := c.ask(ctx, browser, http.MethodPost, "/record-viewing/"); err != nil {
		return err
	}
	c.watched.Add(1)
	return nil
}

func (c *crowd) ask(ctx context.Context, browser *http.Client, method, path string) error {
	request, err := http.NewRequestWithContext(ctx, method, c.url+path+c.video, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", formType)
	answer, err := browser.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, path, answer.Status)
	}
	return nil
}

var watchedInAll = regexp.MustCompile(`data-videos-watched="(\d+)"`)

// follow reads the stream of the home page until it ends, as it does with the process.
func (c *crowd) follow(ctx context.Context) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/live?before=0&at=catalogue%3D0%2Cviewcounts%3D0", nil)
	if err != nil {
		c.t.Error(err)
		return
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return // a browser tries again, too
	}
	defer response.Body.Close()
	c.connected.Add(1)
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if found := watchedInAll.FindStringSubmatch(lines.Text()); found != nil {
			n, err := strconv.ParseInt(found[1], 10, 64)
			if err != nil {
				c.t.Error(err)
			}
			c.shown.Store(n)
		}
	}
}

// goOn waits until so many more have registered, and so many more have watched.
func (c *crowd) goOn(more int64) {
	c.t.Helper()
	registered, watched := c.registered.Load()+more, c.watched.Load()+more
	until(c.t, "people go on", func() bool { return c.registered.Load() >= registered && c.watched.Load() >= watched })
}

// leave ends what the crowd does, but for the open page, and returns how many have registered.
func (c *crowd) leave() int {
	close(c.leaving)
	c.busy.Wait()
	return int(c.registered.Load())
}
