package main

import (
	"context"
	"errors"
	"html"
	"io/fs"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

// A retried or duplicated post of one browser session counts once; another
// session counts again.
func TestAViewCountsOncePerSession(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	id := lessonOf(t, s, database, "Once")
	visit := func() *http.Client {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Jar: jar}
		if a := ask(t, client, http.MethodGet, s.url+"/videos/"+id, "", nil); a.status != http.StatusOK || strings.Contains(a.body, `data-viewing-status="counted"`) {
			t.Fatalf("watch page: %d\n%s", a.status, a.body)
		}
		return client
	}
	client := visit()
	done := make(chan int, 10)
	for range cap(done) {
		go func() {
			done <- ask(t, client, http.MethodPost, s.url+"/record-viewing/"+id, "application/x-www-form-urlencoded", nil).status
		}()
	}
	for range cap(done) {
		if status := <-done; status != http.StatusOK { // after the redirect to the watch page
			t.Errorf("post: %d", status)
		}
	}
	if n := viewings(t, database, id); n != 1 {
		t.Errorf("%d views were written for one session", n)
	}
	if a := ask(t, client, http.MethodGet, s.url+"/videos/"+id, "", nil); !strings.Contains(a.body, `data-viewing-status="counted"`) {
		t.Error("the watch page does not know that this view is counted")
	}
	a := ask(t, visit(), http.MethodPost, s.url+"/record-viewing/"+id, "application/x-www-form-urlencoded", nil, "HX-Request", "true")
	if a.status != http.StatusOK || !strings.Contains(a.body, `data-viewing-status="counted"`) || strings.Contains(a.body, "<html") {
		t.Errorf("the answer to the script: %d %s", a.status, a.body)
	}
	if n := viewings(t, database, id); n != 2 {
		t.Errorf("two sessions are %d views", n)
	}
	until(t, "both views are on the home page", func() bool {
		body := get(t, s.url+"/").body
		return strings.Contains(body, `data-view-count="2"`) && strings.Contains(body, `data-videos-watched="2"`)
	})
}

func TestBadInputIsAnswered(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	id := lessonOf(t, s, database, "<script>alert(1)</script> & \"quotes\"")
	form := "application/x-www-form-urlencoded"
	long := strings.Repeat("x", 100<<10)
	for name, c := range map[string]struct {
		method, path, kind, body string
		headers                  []string
		status                   int
		says                     string
	}{
		"unknown page":            {"GET", "/nothing", "", "", nil, 404, "Nothing is here"},
		"unknown lesson":          {"GET", "/videos/" + messagestore.NewID(), "", "", nil, 404, "no lesson at this address"},
		"malformed lesson":        {"GET", "/videos/1%27%20OR%201=1", "", "", nil, 404, "no lesson at this address"},
		"lesson in capitals":      {"GET", "/videos/" + strings.ToUpper(id), "", "", nil, 404, "no lesson"},
		"unknown part of list":    {"GET", "/?before=x", "", "", nil, 404, "part of the list"},
		"stream of unknown":       {"GET", "/videos/" + messagestore.NewID() + "/live", "", "", nil, 404, "no lesson"},
		"view of unknown":         {"POST", "/record-viewing/" + messagestore.NewID(), form, "", nil, 404, "no lesson"},
		"view of malformed":       {"POST", "/record-viewing/..%2f..%2fetc", form, "", nil, 404, "no lesson"},
		"view by GET":             {"GET", "/record-viewing/" + id, "", "", nil, 405, "does not work here"},
		"home by POST":            {"POST", "/", form, "", nil, 405, "does not work here"},
		"oversize":                {"POST", "/record-viewing/" + id, form, "a=" + long, nil, 413, "too much"},
		"wrong type":              {"POST", "/record-viewing/" + id, "application/json", `{}`, nil, 415, "not a form of ours"},
		"broken form":             {"POST", "/record-viewing/" + id, form, "a=%zz", nil, 400, "could not be read"},
		"cross-site":              {"POST", "/record-viewing/" + id, form, "", []string{"Sec-Fetch-Site", "cross-site"}, 403, "another site"},
		"cross-origin, older":     {"POST", "/record-viewing/" + id, form, "", []string{"Origin", "https://elsewhere.example"}, 403, "another site"},
		"file beside the film":    {"GET", "/media/" + id + "/..%2f..%2fcookie-secret", "", "", nil, 404, "no such file"},
		"file of another kind":    {"GET", "/media/" + id + "/notes.txt", "", "", nil, 404, "no such file"},
		"film of nobody":          {"GET", "/media/" + messagestore.NewID() + "/video.mp4", "", "", nil, 404, "no such file"},
		"asset that is not there": {"GET", "/assets/app.css", "", "", nil, 404, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := ask(t, &http.Client{}, c.method, s.url+c.path, c.kind, strings.NewReader(c.body), c.headers...)
			if a.status != c.status || !strings.Contains(a.body, c.says) {
				t.Errorf("%d, want %d saying %q:\n%s", a.status, c.status, c.says, a.body)
			}
			secure(t, a)
		})
	}
	t.Run("the rest", func(t *testing.T) {
		home := get(t, s.url+"/")
		secure(t, home)
		if strings.Contains(home.body, "<script>alert") || !strings.Contains(home.body, "&lt;script&gt;alert") {
			t.Error("a title is not escaped")
		}
		if a := ask(t, &http.Client{}, http.MethodHead, s.url+"/", "", nil); a.status != http.StatusOK || a.body != "" {
			t.Errorf("HEAD: %d %q", a.status, a.body)
		}
		part := ask(t, &http.Client{}, http.MethodGet, s.url+"/media/"+id+"/video.mp4", "", nil, "Range", "bytes=0-99")
		if part.status != http.StatusPartialContent || len(part.body) != 100 || part.header.Get("Content-Type") != "video/mp4" {
			t.Errorf("a range of the film: %d, %d bytes of %s", part.status, len(part.body), part.header.Get("Content-Type"))
		}
		if n := viewings(t, database, id); n != 0 {
			t.Errorf("%d views were written", n)
		}
	})
}

func secure(t *testing.T, a answer) {
	t.Helper()
	csp := a.header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'self'") || strings.Contains(csp, "unsafe") || a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers: %v", a.header)
	}
}

// Whoever connects to a stream gets at once what the page does not show yet, and
// nothing else.
func TestAStreamBeginsWithWhatIsMissing(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	a, b := lessonOf(t, s, database, "A"), lessonOf(t, s, database, "B")
	somebodyWatches(t, database, a)
	until(t, "the view is counted", func() bool { return strings.Contains(get(t, s.url+"/").body, `data-videos-watched="1"`) })
	somebodyWatches(t, database, b)
	until(t, "the second view is counted", func() bool { return strings.Contains(get(t, s.url+"/").body, `data-videos-watched="2"`) })
	// The list's version depends on how the messages were batched; the page names it.
	list := regexp.MustCompile(`at=(catalogue%3D\d+)%2Cviewcounts%3D2`).FindStringSubmatch(get(t, s.url+"/").body)
	if list == nil {
		t.Fatal("the home page does not say what it shows")
	}
	frame := firstFrame(t, s.url+"/live?at="+list[1]+"%2Cviewcounts%3D1&before=0")
	if strings.Contains(frame, "view-count-"+a) || !strings.Contains(frame, "view-count-"+b) || !strings.Contains(frame, `data-videos-watched="2"`) || strings.Contains(frame, `id="lessons"`) {
		t.Errorf("after version 1 only B and the total have changed: %s", frame)
	}
	frame = firstFrame(t, s.url+"/videos/"+a+"/live?at=viewcounts%3D1")
	if strings.Contains(frame, "view-count-"+a) || !strings.Contains(frame, "view-count-"+b) || !strings.Contains(frame, "id: viewcounts=2") {
		t.Errorf("after version 1 only B has changed: %s", frame)
	}
	frame = firstFrame(t, s.url+"/videos/"+a+"/live")
	if !strings.Contains(frame, "view-count-"+a) || !strings.Contains(frame, "view-count-"+b) {
		t.Errorf("a page that says nothing gets everything: %s", frame)
	}
	frame = firstFrame(t, s.url+"/videos/"+a+"/live?at=viewcounts%3D999")
	if !strings.Contains(frame, "view-count-"+a) {
		t.Errorf("a page from before the view data was made anew gets everything: %s", frame)
	}
}

// A watch page follows the lessons that it shows, also when newer ones have been
// published since.
func TestAWatchPageFollowsWhatItShows(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	oldest := lessonOf(t, s, database, "Oldest")
	played := lessonOf(t, s, database, "Played")
	page := get(t, s.url+"/videos/"+played).body
	stream := regexp.MustCompile(`hx-sse:connect="([^"]+)"`).FindStringSubmatch(page)
	if stream == nil || !strings.Contains(page, "view-count-"+oldest) {
		t.Fatal(page)
	}
	for i := range 7 {
		lessonOf(t, s, database, "Newer "+strconv.Itoa(i))
	}
	somebodyWatches(t, database, oldest)
	until(t, "the count that the page shows is in its first frame", func() bool {
		return strings.Contains(firstFrame(t, s.url+html.UnescapeString(stream[1])), "view-count-"+oldest)
	})
}

// subscriptions is how many the program has.
const subscriptions = 22

func TestHealth(t *testing.T) {
	t.Parallel()
	server := dbtest.NewServer(t)
	s := startOn(t, server.DB)
	until(t, "all subscriptions are there and the first is live", func() bool {
		status, h := healthOf(t, s)
		return status == 200 && h.Status == "ok" && h.Listeners == databasesHealth{"ok", "ok"} && len(h.Subscriptions) == subscriptions && h.Subscriptions[0].State == messagestore.Live
	})
	server.Stop()
	until(t, "health says that the databases are away", func() bool {
		status, h := healthOf(t, s)
		return status == 503 && h.Status == "unavailable" && h.Databases == databasesHealth{"away", "away"} && h.Listeners == databasesHealth{"away", "away"}
	})
	if a := get(t, s.url+"/"); a.status != 503 || !strings.Contains(a.body, "Back in a moment") || strings.Contains(a.body, "failed to connect") {
		t.Errorf("the home page without a database: %d\n%s", a.status, a.body)
	}
	server.Start()
	until(t, "health is well again", func() bool {
		status, h := healthOf(t, s)
		return status == 200 && h.Listeners == databasesHealth{"ok", "ok"}
	})
}

func TestTwoReplicasStartAtOnceOnEmptyDatabases(t *testing.T) {
	t.Parallel()
	empty := dbtest.NewEmpty(t)
	env := environment(empty)
	a, b := launch(t, folder(t), env), launch(t, folder(t), env)
	a.await()
	b.await()
	id := lessonOf(t, a, empty, "Shared")
	until(t, "the other replica lists it", func() bool { return strings.Contains(get(t, b.url+"/").body, id) })
	ask(t, &http.Client{}, http.MethodPost, a.url+"/record-viewing/"+id, "application/x-www-form-urlencoded", nil)
	until(t, "both count it", func() bool {
		return strings.Contains(get(t, a.url+"/").body, `data-videos-watched="1"`) && strings.Contains(get(t, b.url+"/").body, `data-videos-watched="1"`)
	})
}

func TestThePrivatePostgresSurvives(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	s := start(t, dir, nil, "--no-demo")
	if out := s.output.String(); !strings.Contains(out, "private Postgres 1") || !strings.Contains(out, dir) || strings.Count(out, "subscription  ") != subscriptions {
		t.Errorf("what it prints:\n%s", out)
	}
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	second := exec.Command(program, "--port", "0", "--data-dir", dir, "--no-demo")
	out, err := second.CombinedOutput()
	if err == nil || !strings.Contains(string(out), strconv.Itoa(s.command.Process.Pid)) {
		t.Errorf("a second start on the same folder should name process %d: %v\n%s", s.command.Process.Pid, err, out)
	}
	secret, err := os.ReadFile(filepath.Join(dir, "cookie-secret"))
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []func(){s.kill, s.stop} {
		end()
		s.startAt("0")
		if a := get(t, s.url+"/"); a.status != 200 {
			t.Errorf("home after a restart: %d", a.status)
		}
	}
	// kill -9 of Postgres itself, under the running program and together with it.
	postmaster := func() int { // 0 while there is none
		text, err := os.ReadFile(filepath.Join(dir, "postgres", "cluster", "postmaster.pid"))
		if errors.Is(err, fs.ErrNotExist) || err == nil && len(text) == 0 {
			return 0
		}
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(string(text), "\n", 2)[0]))
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	killed := postmaster()
	if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "another Postgres answers", func() bool {
		status, h := healthOf(t, s)
		return status == 200 && h.Listeners == databasesHealth{"ok", "ok"} && postmaster() != killed && postmaster() != 0
	})
	syscall.Kill(postmaster(), syscall.SIGKILL)
	s.kill()
	s.startAt("0")
	if a := get(t, s.url+"/"); a.status != 200 {
		t.Errorf("home after both were killed: %d", a.status)
	}
	if again, err := os.ReadFile(filepath.Join(dir, "cookie-secret")); err != nil || string(again) != string(secret) {
		t.Errorf("the cookie secret has changed: %v", err)
	}
}

func TestConfigurationIsCheckedAndExplained(t *testing.T) {
	t.Parallel()
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	try := func(env []string, args ...string) (string, error) {
		command := exec.CommandContext(within(t), program, args...)
		command.Dir = t.TempDir()
		command.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
		out, err := command.CombinedOutput()
		return string(out), err
	}
	for name, c := range map[string]struct {
		env  []string
		args []string
		says string
	}{
		"port":           {[]string{"PORT=http"}, nil, `PORT (--port) is "http"`},
		"port by flag":   {nil, []string{"--port", "70000"}, `PORT (--port) is "70000"`},
		"log level":      {[]string{"LOG_LEVEL=loud"}, nil, `LOG_LEVEL (--log-level) is "loud"`},
		"secret":         {[]string{"COOKIE_SECRET=short"}, nil, "COOKIE_SECRET (--cookie-secret) has 5 characters"},
		"identity key":   {[]string{"IDENTITY_KEY=short"}, nil, "IDENTITY_KEY (--identity-key) has 5 characters"},
		"base URL":       {[]string{"BASE_URL=videos.example"}, nil, `BASE_URL (--base-url) is "videos.example"`},
		"base URL, path": {[]string{"BASE_URL=https://videos.example/site"}, nil, "BASE_URL (--base-url) is"},
		"proxies":        {[]string{"TRUSTED_PROXIES=10.0.0.1"}, nil, `TRUSTED_PROXIES (--trusted-proxies) has "10.0.0.1"`},
		"environment":    {[]string{"ENVIRONMENT=test"}, nil, `ENVIRONMENT (--environment) is "test"`},
		"sender":         {[]string{"SYSTEM_SENDER_EMAIL_ADDRESS=me"}, nil, `SYSTEM_SENDER_EMAIL_ADDRESS (--system-sender-email-address) is "me"`},
		"outbox":         {[]string{"EMAIL_DIRECTORY=/proc/nope"}, nil, "EMAIL_DIRECTORY (--email-directory) cannot be written to"},
		"mail server":    {[]string{"SMTP_URL=http://user:hidden@mail.example"}, nil, "SMTP_URL (--smtp-url) cannot be used"},
		"nobody":         {nil, []string{"populate", "0"}, "at least 1"},
		"no number":      {nil, []string{"populate", "many"}, "many"},
		"one database":   {[]string{"DATABASE_URL=postgres://localhost/x"}, nil, "only one of DATABASE_URL"},
		"not a URL":      {[]string{"DATABASE_URL=host=x password=hidden", "MESSAGE_STORE_CONNECTION_STRING=postgres://localhost/x"}, nil, "DATABASE_URL (--database-url) cannot be used"},
		"upload limit":   {[]string{"MAX_UPLOAD_BYTES=0"}, nil, "MAX_UPLOAD_BYTES (--max-upload-bytes) must be"},
		"quota":          {[]string{"UPLOAD_QUOTA_BYTES=-1"}, nil, "UPLOAD_QUOTA_BYTES (--upload-quota-bytes) must be"},
		"video length":   {[]string{"MAX_VIDEO_LENGTH=long"}, nil, "--max-video-length"},
		"no transcodes":  {nil, []string{"--transcodes", "0"}, "TRANSCODES (--transcodes) must be"},
		"bucket":         {[]string{"MEDIA_BUCKET=https://user:hidden@videos.example"}, nil, "MEDIA_BUCKET (--media-bucket) cannot be used"},
		"unknown flag":   {nil, []string{"--colour"}, "unknown flag --colour"},
		"no name":        {[]string{"APP_NAME= "}, nil, "APP_NAME (--app-name) is empty"},
		"unknown folder": {nil, []string{"--data-dir", "/proc/no/such"}, "/proc/no/such"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := try(c.env, append(c.args, "--no-demo")...)
			if err == nil || !strings.Contains(out, c.says) || strings.Contains(out, "hidden") {
				t.Errorf("%v, want %q:\n%s", err, c.says, out)
			}
		})
	}
	out, err := try(nil, "--help")
	if err != nil {
		t.Errorf("--help: %v", err)
	}
	example, err := os.ReadFile(".env.example")
	if err != nil {
		t.Fatal(err)
	}
	settings := reflect.TypeFor[config]()
	for i := range settings.NumField() {
		name := settings.Field(i).Tag.Get("env")
		if name == "" {
			continue
		}
		if !strings.Contains(out, "$"+name) {
			t.Errorf("--help does not explain %s:\n%s", name, out)
		}
		if !strings.Contains(string(example), name+"=") {
			t.Errorf(".env.example does not show %s", name)
		}
	}
	for _, command := range []string{"serve", "migrate", "demo", "populate", "admin grant", "--no-demo"} {
		if !strings.Contains(out, command) && !strings.Contains(out, strings.Replace(command, "--no-", "--[no-]", 1)) {
			t.Errorf("--help does not show %s:\n%s", command, out)
		}
	}
}

// A message store is begun with one identity key, and a program with another one does
// not start: it would find nobody, and let every address be registered again.
func TestAnotherIdentityKeyIsRefused(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	startOn(t, database).stop()
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(within(t), program)
	command.Dir = t.TempDir()
	command.Env = append(environment(database), "PATH="+os.Getenv("PATH"), "PORT=0", "DATA_DIR="+folder(t), "IDENTITY_KEY="+strings.Repeat("different", 4))
	if out, err := command.CombinedOutput(); err == nil || !strings.Contains(string(out), "not the identity key") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestDotEnvIsReadAndTheEnvironmentWins(t *testing.T) {
	t.Parallel()
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte("PORT=from-file\nLOG_LEVEL=from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(within(t), program)
	command.Dir, command.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "PORT=0"}
	out, err := command.CombinedOutput()
	if err == nil || !strings.Contains(string(out), `LOG_LEVEL (--log-level) is "from-file"`) {
		t.Errorf("%v\n%s", err, out)
	}
}

// The commands do their work and end, and a second time there is nothing to do. The
// films are there already, as after a run that was ended before it handed them in.
func TestMigrateAndDemoCommands(t *testing.T) {
	t.Parallel()
	empty, dir := dbtest.NewEmpty(t), folder(t)
	for _, l := range demoLessons() {
		testFilm(t, filepath.Join(dir, "demo", demoID(l)))
	}
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"migrate", "migrate", "demo", "demo"} {
		ctx, cancel := context.WithTimeout(t.Context(), filmPatience)
		defer cancel()
		command := exec.CommandContext(ctx, program, name)
		command.Dir = t.TempDir()
		command.Env = append(environment(empty), "PATH="+os.Getenv("PATH"), "DATA_DIR="+dir)
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	for _, once := range []struct {
		category messagestore.Category
		kind     messagestore.Body
	}{{publishingmsg.Category.Commands(), publishingmsg.PublishVideo{}}, {publishingmsg.Category, publishingmsg.VideoPublished{}}} {
		if n := len(messagesIn(t, empty, once.category, once.kind)); n != len(demoLessons()) {
			t.Errorf("%d times %s for %d lessons", n, once.kind.MessageType(), len(demoLessons()))
		}
	}
	s := start(t, dir, environment(empty))
	until(t, "the lessons are listed, the first one first", func() bool {
		body := get(t, s.url+"/").body
		first, last := strings.Index(body, demoID(demoLessons()[0])), strings.Index(body, demoID(demoLessons()[len(demoLessons())-1]))
		return first >= 0 && last > first
	})
}

func TestWithoutFFmpegTheSiteRunsAndSaysSo(t *testing.T) {
	t.Parallel()
	s := start(t, folder(t), []string{"PATH=/nowhere"})
	until(t, "the home page says what is missing", func() bool {
		a := get(t, s.url+"/")
		return a.status == http.StatusOK && strings.Contains(a.body, "No lessons yet") && strings.Contains(a.body, "could not be made") && strings.Contains(a.body, "ffmpeg")
	})
}
