package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/viewcounts"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/components/viewing/viewingmsg"
	"videotutorials/db"
	"videotutorials/messagestore"
)

// These benchmarks (make bench) measure the program that make build leaves, over a
// private Postgres with its real settings, each beside its floor in the same run: what
// the same work takes without us. docs/benchmarks.md has the figures.

// bench is a running program and the databases below it.
type bench struct {
	b        *testing.B
	dir      string // of the private Postgres
	data     string // of the program
	url      string
	pid      int
	views    *pgxpool.Pool
	messages *pgxpool.Pool
	store    *messagestore.Store
	postgres *db.Postgres
	started  time.Duration // from start to the first answered page
}

func startBench(b *testing.B, settings ...string) *bench {
	b.Helper()
	dir, err := os.MkdirTemp("", "video-tutorials-bench-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	x := &bench{b: b, dir: dir}
	x.postgres, err = db.StartPostgres(b.Context(), dir, slog.New(slog.DiscardHandler), append(settings, "max_connections=100")...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { x.postgres.Stop(context.Background()) })
	if err := db.Migrate(b.Context(), x.postgres.ViewsURL(), x.postgres.MessageStoreURL(), slog.New(slog.DiscardHandler)); err != nil {
		b.Fatal(err)
	}
	if x.views, err = db.OpenViews(b.Context(), x.postgres.ViewsURL()); err != nil {
		b.Fatal(err)
	}
	if x.messages, err = db.OpenMessageStore(b.Context(), x.postgres.MessageStoreURL()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { x.views.Close(); x.messages.Close() })
	x.store = messagestore.New(x.messages)
	return x
}

// serve starts the program over the databases.
func (x *bench) serve() *bench {
	x.b.Helper()
	out := &output{grown: make(chan struct{})}
	x.data = x.b.TempDir()
	command := x.command()
	command.Stdout, command.Stderr = out, out
	start := time.Now()
	if err := command.Start(); err != nil {
		x.b.Fatal("make build first: ", err)
	}
	exited := make(chan error, 1)
	go func() { exited <- command.Wait(); close(exited) }()
	x.b.Cleanup(func() { command.Process.Signal(os.Interrupt); <-exited })
	found, err := out.find(x.b.Context(), `address +(http://localhost:\d+)`, exited)
	if err != nil {
		x.b.Fatal(err)
	}
	x.url, x.pid = found[1], command.Process.Pid
	response, err := http.Get(x.url)
	if err != nil {
		x.b.Fatal(err)
	}
	response.Body.Close()
	x.started = time.Since(start)
	return x
}

// command is the program over the databases.
func (x *bench) command(args ...string) *exec.Cmd {
	command := exec.Command("bin/video-tutorials", args...)
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "PORT=0", "DATA_DIR=" + x.data, "LOG_LEVEL=warn",
		"DATABASE_URL=" + x.postgres.ViewsURL(), "MESSAGE_STORE_CONNECTION_STRING=" + x.postgres.MessageStoreURL()}
	return command
}

// publish lists lessons without films.
func (x *bench) publish(n int) (ids []string) {
	x.b.Helper()
	for i := range n {
		id := messagestore.NewID()
		for _, body := range []messagestore.Body{
			publishingmsg.VideoNamed{VideoID: id, Name: fmt.Sprintf("Lesson %d of the benchmark", i)},
			publishingmsg.VideoDescribed{VideoID: id, Description: "A description of about the length that a description of a lesson has, which is two lines."},
			publishingmsg.VideoPublished{VideoID: id, TranscodedURI: "/media/" + id + "/video.mp4", PosterURI: "/media/" + id + "/poster.jpg", DurationMS: 42000},
		} {
			if _, err := x.store.Write(x.b.Context(), publishingmsg.Category.Stream(id), body); err != nil {
				x.b.Fatal(err)
			}
		}
		ids = append(ids, id)
	}
	until(x.b, "the lessons are listed", func() bool {
		response, err := http.Get(x.url)
		if err != nil {
			x.b.Fatal(err)
		}
		defer response.Body.Close()
		page, err := io.ReadAll(response.Body)
		return err == nil && strings.Contains(string(page), ids[n-1])
	})
	return ids
}

func quantiles(b *testing.B, name string, took []time.Duration) {
	slices.Sort(took)
	ms := func(q float64) float64 { return took[int(q*float64(len(took)-1))].Seconds() * 1000 }
	b.ReportMetric(ms(0.5), name+"-p50-ms")
	b.ReportMetric(ms(0.99), name+"-p99-ms")
}

// From the POST of a view to the frame on the wire of a page that shows the count.
// Floor: two commits and two notifications in bare pgx.
func BenchmarkSiteViewToFrame(b *testing.B) {
	x := startBench(b).serve()
	video := x.publish(1)[0]
	ctx := b.Context()

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, x.url+"/videos/"+video+"/live?at=viewcounts%3D0", nil)
	if err != nil {
		b.Fatal(err)
	}
	stream, err := http.DefaultClient.Do(request)
	if err != nil {
		b.Fatal(err)
	}
	defer stream.Body.Close()
	frames := make(chan string, 100)
	go func() {
		shown := regexp.MustCompile(`data-view-count="(\d+)"`)
		lines := bufio.NewReader(stream.Body)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			if found := shown.FindStringSubmatch(line); found != nil {
				frames <- found[1]
			}
		}
	}()
	viewed := 0
	site := func() time.Duration {
		viewed++
		start := time.Now()
		response, err := http.DefaultTransport.RoundTrip(postOf(b, x.url+"/record-viewing/"+video))
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
		for shown := range frames {
			if shown == strconv.Itoa(viewed) {
				break
			}
		}
		return time.Since(start)
	}
	floor := x.floorOfAView()
	const blocks, each = 10, 50
	site()
	floor()
	var ours, theirs []time.Duration
	for range blocks { // in turn, so that both meet the same moods of the machine
		for range each {
			ours = append(ours, site())
		}
		for range each {
			theirs = append(theirs, floor())
		}
	}
	quantiles(b, "site", ours)
	quantiles(b, "floor", theirs)
	b.ReportMetric(0, "ns/op")
}

func postOf(b *testing.B, url string) *http.Request {
	request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, nil)
	if err != nil {
		b.Fatal(err)
	}
	request.Header.Set("HX-Request", "true")
	return request
}

// floorOfAView is a view without us: write_message commits and notifies, whoever
// listens counts and notifies in a second commit, and somebody hears of that.
func (x *bench) floorOfAView() func() time.Duration {
	ctx := x.b.Context()
	connect := func(url string) *pgx.Conn {
		config, err := pgx.ParseConfig(url)
		if err != nil {
			x.b.Fatal(err)
		}
		config.RuntimeParams["search_path"] = "message_store,public"
		conn, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			x.b.Fatal(err)
		}
		x.b.Cleanup(func() { conn.Close(context.Background()) })
		return conn
	}
	writer, woken := connect(x.postgres.MessageStoreURL()), connect(x.postgres.MessageStoreURL())
	counter, told := connect(x.postgres.ViewsURL()), connect(x.postgres.ViewsURL())
	exec := func(conn *pgx.Conn, sql string, args ...any) {
		if _, err := conn.Exec(ctx, sql, args...); err != nil {
			x.b.Fatal(err)
		}
	}
	exec(woken, `LISTEN messages`)
	exec(told, `LISTEN floor`)
	exec(counter, `CREATE TABLE floor (n bigint)`)
	exec(counter, `INSERT INTO floor VALUES (0)`)
	heard, counted := make(chan struct{}), make(chan struct{})
	go func() {
		for {
			n, err := woken.WaitForNotification(ctx)
			if err != nil {
				return
			}
			if strings.HasPrefix(n.Payload, "floor ") {
				heard <- struct{}{}
			}
		}
	}()
	go func() {
		for {
			if _, err := told.WaitForNotification(ctx); err != nil {
				return
			}
			counted <- struct{}{}
		}
	}()
	return func() time.Duration {
		start := time.Now()
		exec(writer, `SELECT message_store.write_message($1, 'floor-1', 'VideoViewed', '{"videoId":"1"}')`, messagestore.NewID())
		<-heard
		exec(counter, `WITH counted AS (UPDATE floor SET n = n + 1 RETURNING n) SELECT pg_notify('floor', n::text) FROM counted`)
		<-counted
		return time.Since(start)
	}
}

// messagestore.Write against pgbench calling write_message, and against itself in a store
// without the indexes of the admin portal; one and four connections.
func BenchmarkSiteWrite(b *testing.B) {
	x, bare := startBench(b), startBench(b)
	const indexes = `message_store.messages_type, message_store.messages_trace, message_store.messages_user, message_store.messages_cause`
	if _, err := bare.messages.Exec(b.Context(), `DROP INDEX `+indexes); err != nil {
		b.Fatal(err)
	}
	pgbench := postgresTool(b, x, "pgbench")
	script := filepath.Join(b.TempDir(), "write.sql")
	err := os.WriteFile(script, []byte(`\set n random(1, 1000)
SELECT message_store.write_message(gen_random_uuid()::varchar, 'pgbench-' || :n, 'VideoViewed', '{"videoId":"8d0b5a0f-3c52-4f0e-9a61-27d4c17eb635"}'::jsonb, '{"traceId":"8d0b5a0f3c524f0e9a6127d4c17eb635"}'::jsonb);
`), 0o644)
	if err != nil {
		b.Fatal(err)
	}
	address := x.messages.Config().ConnConfig
	const seconds, turns = 2, 10
	for _, clients := range []int{1, 4} {
		var ours, theirs, without float64
		for range turns {
			ours += writes(b, x.store, clients, seconds*time.Second) / turns
			without += writes(b, bare.store, clients, seconds*time.Second) / turns
			command := exec.CommandContext(b.Context(), pgbench, "-n", "-M", "prepared", "-f", script, "-T", strconv.Itoa(seconds), "-c", strconv.Itoa(clients), "-j", "1",
				"-h", address.Host, "-p", strconv.Itoa(int(address.Port)), "-U", address.User, address.Database)
			command.Env = append(os.Environ(), "PGOPTIONS=-c search_path=message_store,public")
			out, err := command.CombinedOutput()
			if err != nil {
				b.Fatalf("%v\n%s", err, out)
			}
			found := regexp.MustCompile(`tps = ([\d.]+)`).FindSubmatch(out)
			tps, err := strconv.ParseFloat(string(found[1]), 64)
			if err != nil {
				b.Fatal(err)
			}
			theirs += tps / turns
		}
		suffix := "-writes/s-" + strconv.Itoa(clients)
		b.ReportMetric(ours, "site"+suffix)
		b.ReportMetric(theirs, "pgbench"+suffix)
		b.ReportMetric(without, "without-indexes"+suffix)
	}
	b.ReportMetric(0, "ns/op")
}

func writes(b *testing.B, store *messagestore.Store, clients int, d time.Duration) float64 {
	start, done, total := time.Now(), make(chan int, clients), 0
	for range clients {
		go func() {
			n := 0
			for time.Since(start) < d {
				stream := messagestore.Category("bench").Stream(strconv.Itoa(n % 1000))
				_, err := store.Write(b.Context(), stream, viewingmsg.VideoViewed{VideoID: "8d0b5a0f-3c52-4f0e-9a61-27d4c17eb635"},
					messagestore.WithMetadata(messagestore.Metadata{TraceID: "8d0b5a0f3c524f0e9a6127d4c17eb635"}))
				if err != nil {
					b.Error(err)
					break
				}
				n++
			}
			done <- n
		}()
	}
	for range clients {
		total += <-done
	}
	return float64(total) / time.Since(start).Seconds()
}

// A projection of 1,000,000 events from zero, against reading them by COPY.
func BenchmarkSiteReplay(b *testing.B) {
	x := startBench(b)
	const events = 1_000_000
	ctx := b.Context()
	err := pgx.BeginFunc(ctx, x.messages, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL session_replication_role = replica`); err != nil { // no million notifications
			return err
		}
		_, err := tx.Exec(ctx, `
			INSERT INTO message_store.messages (position, stream_name, type, data, metadata)
			SELECT n / 200, 'viewing-' || id, 'VideoViewed', jsonb_build_object('videoId', id), jsonb_build_object('traceId', md5(n::text))
			FROM (SELECT n, md5((n % 200)::text)::uuid AS id FROM generate_series(0, $1::int - 1) AS n) AS views`, events)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := x.messages.Exec(ctx, `VACUUM ANALYZE message_store.messages`); err != nil {
		b.Fatal(err)
	}
	conn, err := x.messages.Acquire(ctx)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Release()
	listen, err := db.ListenConfig(x.postgres.MessageStoreURL())
	if err != nil {
		b.Fatal(err)
	}
	var ours, theirs time.Duration
	for range 2 { // in turn
		start := time.Now()
		_, err = conn.Conn().PgConn().CopyTo(ctx, io.Discard, `
			COPY (SELECT id, stream_name, type, position, global_position, time, data, metadata FROM message_store.messages
				WHERE message_store.category(stream_name) = 'viewing' ORDER BY global_position) TO STDOUT`)
		if err != nil {
			b.Fatal(err)
		}
		theirs += time.Since(start)

		if _, err := x.views.Exec(ctx, `TRUNCATE view_counts, view_total; DELETE FROM checkpoint`); err != nil {
			b.Fatal(err)
		}
		all := messagestore.NewSubscriptions(listen, nil, viewcounts.New(x.store, x.views).Subscriptions()...)
		running, stop := context.WithCancel(ctx)
		stopped := make(chan error)
		start = time.Now()
		go func() { stopped <- all.Run(running) }()
		if err := all.CaughtUp(ctx, x.store); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(start)
		stop()
		<-stopped
		var total int
		if err := x.views.QueryRow(ctx, `SELECT sum(views) FROM view_counts`).Scan(&total); err != nil || total != events {
			b.Fatalf("counted %d of %d: %v", total, events, err)
		}
	}
	b.ReportMetric(2*events/ours.Seconds(), "site-events/s")
	b.ReportMetric(2*events/theirs.Seconds(), "copy-events/s")
	b.ReportMetric(0, "ns/op")
}

// The home page with 24 lessons against an Echo handler that answers nothing.
func BenchmarkSiteHome(b *testing.B) {
	wrk, err := exec.LookPath("wrk")
	if err != nil {
		b.Fatal("wrk is missing: apt-get install wrk")
	}
	x := startBench(b).serve()
	x.publish(24)
	empty := echo.New()
	empty.HideBanner, empty.HidePort = true, true
	empty.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	empty.Listener = listener
	go empty.Start("")
	defer empty.Close()
	load := func(url string) (perSecond, p99 float64) {
		out, err := exec.CommandContext(b.Context(), wrk, "-t1", "-c32", "-d5s", "--latency", "-H", "Accept-Encoding: gzip", url).CombinedOutput()
		if err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		if bytes.Contains(out, []byte("Non-2xx")) {
			b.Fatalf("%s", out)
		}
		rate := regexp.MustCompile(`Requests/sec:\s+([\d.]+)`).FindSubmatch(out)
		tail := regexp.MustCompile(`99%\s+([\d.]+)(us|ms|s)`).FindSubmatch(out)
		perSecond, _ = strconv.ParseFloat(string(rate[1]), 64)
		p99, _ = strconv.ParseFloat(string(tail[1]), 64)
		return perSecond, p99 * map[string]float64{"us": 0.001, "ms": 1, "s": 1000}[string(tail[2])]
	}
	var figures [2][2]float64
	for range 2 { // in turn
		for i, url := range []string{x.url + "/", "http://" + listener.Addr().String() + "/"} {
			perSecond, p99 := load(url)
			figures[i][0] += perSecond / 2
			figures[i][1] += p99 / 2
		}
	}
	b.ReportMetric(figures[0][0], "site-requests/s")
	b.ReportMetric(figures[0][1], "site-p99-ms")
	b.ReportMetric(figures[1][0], "empty-requests/s")
	b.ReportMetric(figures[1][1], "empty-p99-ms")
	b.ReportMetric(0, "ns/op")
}

// What one more open page takes of the program's memory: 1,000 of them.
func BenchmarkSiteOpenPages(b *testing.B) {
	x := startBench(b).serve()
	x.publish(24)
	before := memory(b, x.pid)
	const pages = 1000
	for range pages {
		response, err := (&http.Transport{}).RoundTrip(getOf(b, x.url+"/live?before=0"))
		if err != nil {
			b.Fatal(err)
		}
		defer response.Body.Close()
		if _, err := bufio.NewReader(response.Body).ReadString('\n'); err != nil { // the first frame is there
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(memory(b, x.pid)-before)/pages/1024, "kB/page")
	b.ReportMetric(0, "ns/op")
}

func getOf(b *testing.B, url string) *http.Request {
	request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
	if err != nil {
		b.Fatal(err)
	}
	return request
}

// The program with nobody there, for a minute.
func BenchmarkSiteAtRest(b *testing.B) {
	x := startBench(b).serve()
	x.publish(24)
	b.ReportMetric(x.started.Seconds()*1000, "start-ms")
	const minute = time.Minute
	ticks, queries := processorTicks(b, x.pid), x.transactions()
	<-time.After(minute)
	// The kernel counts in hundredths of a second.
	b.ReportMetric(float64(processorTicks(b, x.pid)-ticks)/100/minute.Seconds()*100, "%-of-a-core")
	b.ReportMetric(float64(x.transactions()-queries)/minute.Seconds(), "transactions/s")
	b.ReportMetric(float64(memory(b, x.pid))/(1<<20), "MB")
	b.ReportMetric(0, "ns/op")
}

// memory returns the resident memory of a process in bytes.
func memory(b *testing.B, pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		b.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// processorTicks returns the processor time of a process, in user and system mode.
func processorTicks(b *testing.B, pid int) (ticks int64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return ticks
}

// transactions returns how many transactions both databases have ended. At rest each
// is one query.
func (x *bench) transactions() (n int64) {
	for _, pool := range []*pgxpool.Pool{x.views, x.messages} {
		var of int64
		err := pool.QueryRow(x.b.Context(), `SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()`).Scan(&of)
		if err != nil {
			x.b.Fatal(err)
		}
		n += of
	}
	return n
}

func postgresTool(b *testing.B, x *bench, name string) string {
	if program, err := exec.LookPath(name); err == nil {
		return program
	}
	return filepath.Join(x.postgres.Binaries.Dir, name)
}
