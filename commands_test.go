package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"videotutorials/components/viewing/viewingmsg"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

// Each command shows an example that it understands, and the manual and the completion know
// each command and each flag.
func TestEveryCommandIsExplained(t *testing.T) {
	t.Parallel()
	var c commands
	parser, err := c.parser(io.Discard, io.Discard, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	var manual bytes.Buffer
	if err := printManual(&manual, parser.Model); err != nil {
		t.Fatal(err)
	}
	scripts := map[string]string{"manual": strings.ReplaceAll(manual.String(), `\-`, "-")}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		var script bytes.Buffer
		if err := printCompletion(&script, parser.Model, shell); err != nil {
			t.Fatal(err)
		}
		scripts[shell] = script.String()
	}
	commands := parser.Model.Leaves(true)
	if len(commands) != len(examples) {
		t.Errorf("%d commands have %d examples", len(commands), len(examples))
	}
	for _, command := range commands {
		name := commandPath(command)
		line, _, _ := strings.Cut(examples[name], " | ")
		line, _, _ = strings.Cut(line, " > ")
		words := strings.Fields(line)
		if len(words) == 0 {
			t.Errorf("%s has no example", name)
			continue
		}
		parsed, err := parser.Parse(words[1:])
		if err != nil || parsed.Selected() != command {
			t.Errorf("the example of %s is not understood: %v", name, err)
		}
		flags := slices.Concat(parser.Model.Flags, command.Flags)
		for where, text := range scripts {
			if !strings.Contains(text, command.Name) {
				t.Errorf("%s does not know %s", where, name)
			}
			for _, f := range flags {
				if !strings.Contains(text, f.Name) {
					t.Errorf("%s does not know --%s", where, f.Name)
				}
			}
		}
	}
}

func TestBashCompletes(t *testing.T) {
	t.Parallel()
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	script, err := exec.CommandContext(within(t), program, "completion", "bash").Output()
	if err != nil {
		t.Fatal(err)
	}
	for typed, want := range map[string]string{
		"ba": "backup", "admin gr": "grant", "admin grant --ro": "--role", "--environment d": "development", "completion z": "zsh", "backup --med": "--media-bucket --media", "--no-d": "--no-demo",
	} {
		words := append([]string{"video-tutorials"}, strings.Split(typed, " ")...)
		command := exec.CommandContext(within(t), "bash", "-c", string(script)+"\nCOMP_WORDS=(\"$@\"); COMP_CWORD=$(($#-1)); _video_tutorials; echo \"${COMPREPLY[*]}\"", "bash")
		command.Args = append(command.Args, words...)
		out, err := command.CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("%q completes to %q, want %q: %v", typed, out, want, err)
		}
	}
}

// config says what holds and why, and no secret is in what it prints.
func TestConfigSaysWhereValuesComeFrom(t *testing.T) {
	t.Parallel()
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte("LOG_LEVEL=warn\nTRANSCODES=2\nAPP_NAME=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(within(t), program, "config", "--port", "8080", "--no-demo")
	command.Dir = dir
	command.Env = []string{"TRANSCODES=3", "DATABASE_URL=postgres://site:hidden@db.example/views?sslpassword=hidden", "MESSAGE_STORE_CONNECTION_STRING=postgres://site:hidden@db.example/messages",
		"COOKIE_SECRET=" + strings.Repeat("hidden", 6), "IDENTITY_KEY=" + strings.Repeat("hidden", 7), "SMTP_URL=smtps://site:hidden@mail.example"}
	out, err := command.CombinedOutput()
	if err != nil || strings.Contains(string(out), "hidden") {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range [][]string{
		{"PORT", "8080", "flag", "--port"}, {"LOG_LEVEL", "warn", ".env"}, {"TRANSCODES", "3", "environment"}, {"DATA_DIR", "./data", "default"}, {"BASE_URL", "(not", "set)", "-"},
		{"APP_NAME", "Video", "Tutorials", "default"}, {"COOKIE_SECRET", "(set,", "36", "characters)", "environment"}, {"--demo", "false", "flag", "--demo"},
		{"DATABASE_URL", "postgres://site:***@db.example/views?sslpassword=***", "environment"}, {"SMTP_URL", "smtps://site:***@mail.example", "environment"},
	} {
		if !slices.ContainsFunc(strings.Split(string(out), "\n"), func(line string) bool { return slices.Equal(strings.Fields(line), want) }) {
			t.Errorf("no line %q in\n%s", want, out)
		}
	}
	// What makes no sense is shown, and said; what is no URL may be a password.
	command = exec.CommandContext(within(t), program, "config")
	command.Dir, command.Env = t.TempDir(), []string{"PORT=http", "SMTP_URL=hidden:hidden"}
	out, err = command.CombinedOutput()
	if err == nil || !strings.Contains(string(out), `PORT (--port) is "http"`) || strings.Contains(string(out), "hidden") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	s := startOn(t, dbtest.New(t))
	if out, err := commandOn(t, s, "healthcheck", "--port", s.port()); err != nil || out != "healthy\n" {
		t.Errorf("%v\n%s", err, out)
	}
	s.stop()
	if out, err := commandOn(t, s, "healthcheck", "--port", s.port()); err == nil || !strings.Contains(out, "not healthy") {
		t.Errorf("of a site that is not there: %v\n%s", err, out)
	}
}

// A trace is found by its id and by that of each of its messages, and each message stands
// below the one that led to it.
func TestTraceIsPrintedAsATree(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	member(t, s, "ada@example.test", goodPassword)
	settled(t, database, s)
	var id, message string
	err := database.MessageStore.QueryRow(within(t), `SELECT metadata ->> 'traceId', id FROM message_store.messages WHERE type = 'Registered'`).Scan(&id, &message)
	if err != nil {
		t.Fatal(err)
	}
	out, err := commandOn(t, s, "trace", id)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	depth := func(kind string) int {
		for line := range strings.Lines(out) {
			if strings.Contains(line, " "+kind+" ") {
				return strings.IndexFunc(line, func(r rune) bool { return r >= 'a' && r <= 'z' })
			}
		}
		t.Fatalf("no %s in\n%s", kind, out)
		return 0
	}
	if !(depth("Register") < depth("Registered") && depth("Registered") < depth("Send") && depth("Send") < depth("Sent")) {
		t.Errorf("the tree:\n%s", out)
	}
	if strings.Contains(out, "ada@") {
		t.Errorf("personal data are in\n%s", out)
	}
	if by, err := commandOn(t, s, "trace", message); err != nil || by != out {
		t.Errorf("by the id of a message: %v\n%s", err, by)
	}
	if out, err := commandOn(t, s, "trace", messagestore.NewID()); err == nil || !strings.Contains(out, "no message has the trace") {
		t.Errorf("an unknown one: %v\n%s", err, out)
	}
}

// A projection is rebuilt on the command line while the site runs: only what the person
// agrees to is served, and Ctrl-C leaves everything as it was.
func TestRebuildOnTheCommandLine(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := start(t, folder(t), append(environment(database), "PATH=/nowhere"))
	lesson := lessonOf(t, s, database, "Rebuilt")
	for range 3 {
		somebodyWatches(t, database, lesson)
	}
	settled(t, database, s)
	spoil := func() {
		if _, err := database.Views.Exec(within(t), `UPDATE view_counts SET views = 70`); err != nil {
			t.Fatal(err)
		}
	}
	spoil()
	views := func() int64 { return queried[int64](t, database, `SELECT views FROM view_counts`) }
	nothingLeft := func() {
		t.Helper()
		if n := queried[int](t, database, `SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'rebuild%'`); n != 0 {
			t.Errorf("%d schemas are left", n)
		}
	}
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	rebuild := func(args ...string) (*exec.Cmd, *output, io.WriteCloser) {
		t.Helper()
		command := exec.CommandContext(within(t), program, append([]string{"rebuild", "viewcounts"}, args...)...)
		command.Dir, command.Env = t.TempDir(), s.env
		said := &output{grown: make(chan struct{})}
		command.Stdout, command.Stderr = said, said
		in, err := command.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		return command, said, in
	}
	asked := func(said *output) {
		t.Helper()
		if _, err := said.find(within(t), `views 70 → 3(?s).*\[y/N\]`, nil); err != nil {
			t.Fatal(err)
		}
	}

	command, said, in := rebuild()
	asked(said)
	io.WriteString(in, "n\n")
	if err := command.Wait(); err != nil || !strings.Contains(said.String(), "The rows of before stay") || views() != 70 {
		t.Errorf("no: %v, %d views\n%s", err, views(), said)
	}
	nothingLeft()

	// It is written down as cancelled before the command ends.
	phase := func() string {
		return queried[string](t, database, `SELECT phase || ' ' || error FROM rebuild WHERE name = 'viewcounts'`)
	}
	if got := phase(); got != "cancelled " {
		t.Errorf("after no it is %q", got)
	}

	command, said, in = rebuild()
	asked(said)
	in.Close()
	if err := command.Wait(); err == nil || !strings.Contains(said.String(), "nobody answered") || views() != 70 {
		t.Errorf("no answer: %v, %d views\n%s", err, views(), said)
	}
	nothingLeft()
	if got := phase(); got != "cancelled " {
		t.Errorf("without an answer it is %q", got)
	}

	command, said, _ = rebuild()
	asked(said)
	if err := command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := command.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(said.String(), "nothing has changed") || views() != 70 {
		t.Errorf("Ctrl-C: %v, %d views\n%s", err, views(), said)
	}
	nothingLeft()

	command, said, in = rebuild()
	asked(said)
	io.WriteString(in, "y\n")
	if err := command.Wait(); err != nil || !strings.Contains(said.String(), "The new rows are served") || views() != 3 {
		t.Errorf("yes: %v, %d views\n%s", err, views(), said)
	}
	nothingLeft()

	spoil()
	if out, err := commandOn(t, s, "rebuild", "viewcounts", "--yes"); err != nil || views() != 3 {
		t.Errorf("--yes: %v, %d views\n%s", err, views(), out)
	}
	if out, err := commandOn(t, s, "rebuild", "viewcounts"); err != nil || !strings.Contains(out, "are right, and stay") {
		t.Errorf("where nothing differs: %v\n%s", err, out)
	}
	if out, err := commandOn(t, s, "rebuild", "nothing"); err == nil || !strings.Contains(out, "viewcounts") {
		t.Errorf("an unknown one: %v\n%s", err, out)
	}
	store := messagestore.New(database.MessageStore)
	if _, err := store.Write(within(t), viewingmsg.Category.Stream(lesson), viewingmsg.VideoViewed{VideoID: lesson}); err != nil {
		t.Fatal(err)
	}
	until(t, "the site goes on counting", func() bool { return views() == 4 })
}

// A notification that does not come back is found: here it goes to another database, as a
// pooler in transaction mode would let it go to another connection.
func TestDoctorMissesANotification(t *testing.T) {
	t.Parallel()
	here, there := dbtest.New(t), dbtest.New(t)
	if f := checkNotify(within(t), here.Views, there.ViewsURL, "DATABASE_URL"); f.Status != "fail" || !strings.Contains(f.Mend, "pooler") {
		t.Errorf("%+v", f)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if f := checkNotify(ctx, here.Views, here.ViewsURL, "DATABASE_URL"); f.Status != "fail" {
		t.Errorf("without a connection: %+v", f)
	}
}
