package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	compose "github.com/compose-spec/compose-go/v2/types"

	"videotutorials/db/dbtest"
)

// The tests here hold what the files in deploy/ and the guides in docs/deployment/ say
// against the program: its commands, flags, variables, ports, paths and parts.

// deployed is a process of the program that a file starts.
type deployed struct {
	name string
	env  map[string]string
	args []string
}

// fromElsewhere are variables that are not the program's own but read by its libraries, or
// by what starts it.
var fromElsewhere = []string{"PATH", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "POSTGRES_PASSWORD", "SITE_NAME"}

// variables are those that the program reads.
func variables(t *testing.T) (names []string) {
	t.Helper()
	var c commands
	parser, err := c.parser(io.Discard, io.Discard, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range parser.Model.Flags {
		names = append(names, f.Envs...)
	}
	return names
}

// accepted demands that the program takes each process's settings as they are, and that
// together the processes are the whole system.
func accepted(t *testing.T, file string, processes ...deployed) {
	t.Helper()
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	known, status := variables(t), assembled(t).subscriptions.Status()
	missing := map[string]bool{partWeb: true}
	for _, s := range status {
		missing[s.Name] = true
	}
	for _, d := range processes {
		env := []string{"PATH=" + os.Getenv("PATH")}
		for name, value := range d.env {
			if !slices.Contains(known, name) && !slices.Contains(fromElsewhere, name) {
				t.Errorf("%s: %s sets %s, which nobody reads", file, d.name, name)
			}
			if name != "PATH" {
				env = append(env, name+"="+value)
			}
		}
		var c commands
		parser, err := c.parser(io.Discard, io.Discard, func(int) {})
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parser.Parse(d.args)
		if err != nil {
			t.Errorf("%s: %s: %v: %v", file, d.name, d.args, err)
			continue
		}
		// The real program says whether its values make sense.
		flags := slices.DeleteFunc(slices.Clone(d.args), func(word string) bool { return word == parsed.Command() })
		command := exec.CommandContext(within(t), program, append([]string{"config"}, flags...)...)
		command.Dir, command.Env = t.TempDir(), env
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("%s: %s is refused: %v\n%s", file, d.name, err, out)
		}
		if parsed.Command() != "serve" {
			continue
		}
		run := c.Run
		if set := d.env["RUN"]; set != "" && len(run) == 0 {
			run = strings.Split(set, ",")
		}
		part, err := newShare(run, d.env["COMPONENT_GROUP"])
		if err == nil {
			err = part.check(status)
		}
		if err != nil {
			t.Errorf("%s: %s: %v", file, d.name, err)
			continue
		}
		if part.runs(partWeb) {
			delete(missing, partWeb)
		}
		for _, s := range status {
			if s.Projection && part.counts(s.Name) || !s.Projection && part.does(s.Name, part.groups()[max(0, part.member-1)]) {
				delete(missing, s.Name)
			}
		}
	}
	if len(missing) > 0 {
		t.Errorf("%s starts nobody for %v", file, slices.Sorted(maps.Keys(missing)))
	}
}

// answers demands that the program has a page at a path that somebody watches.
func answers(t *testing.T, file, path string) {
	t.Helper()
	for _, r := range routes(t) {
		if r.Path == path && r.Method == "GET" {
			return
		}
	}
	t.Errorf("%s asks for %s, which the program does not answer", file, path)
}

// instruction is one of a Dockerfile, as ENV or COPY, with its flags apart.
type instruction struct {
	name, rest string
	flags      map[string]string
}

// list returns the words of the rest: a JSON list, or separated by spaces.
func (i instruction) list() (words []string) {
	if json.Unmarshal([]byte(i.rest), &words) != nil {
		words = strings.Fields(i.rest)
	}
	return words
}

// readDockerfile returns the instructions of each stage.
func readDockerfile(t *testing.T, name string) (stages [][]instruction) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		i := instruction{strings.ToUpper(word), strings.TrimSpace(rest), map[string]string{}}
		for strings.HasPrefix(i.rest, "--") {
			flag, after, _ := strings.Cut(i.rest[2:], " ")
			key, value, _ := strings.Cut(flag, "=")
			i.flags[key], i.rest = value, strings.TrimSpace(after)
		}
		if i.name == "FROM" {
			stages = append(stages, nil)
		}
		if len(stages) == 0 {
			t.Fatalf("%s begins with %s", name, i.name)
		}
		stages[len(stages)-1] = append(stages[len(stages)-1], i)
	}
	return stages
}

// stage returns the instructions of a stage that have a name, as all its RUN.
func in(stage []instruction, name string) (found []instruction) {
	for _, i := range stage {
		if i.name == name {
			found = append(found, i)
		}
	}
	return found
}

// environmentOf is what a stage sets by ENV.
func environmentOf(stage []instruction) map[string]string {
	env := map[string]string{}
	for _, i := range in(stage, "ENV") {
		for _, pair := range i.list() {
			name, value, _ := strings.Cut(pair, "=")
			env[name] = value
		}
	}
	return env
}

// sent returns the files that Docker is sent: what is in the folder of a checkout and not ignored.
func sent(t *testing.T) (names []string) {
	t.Helper()
	text, err := os.ReadFile(".dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	var ignored []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			ignored = append(ignored, line)
		}
	}
	for _, secret := range []string{".env", "deploy/docker/.env", "data", ".git", "node_modules"} {
		if !slices.Contains(ignored, secret) {
			t.Errorf(".dockerignore lets %s into the image", secret)
		}
	}
	out, err := exec.Command("git", "ls-files", "-co", "--exclude-standard").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.Lines(string(out)) {
		name = strings.TrimSpace(name)
		if !slices.ContainsFunc(ignored, func(pattern string) bool {
			if deep, ok := strings.CutPrefix(pattern, "**/"); ok {
				matched, _ := filepath.Match(deep, filepath.Base(name))
				return matched
			}
			return name == pattern || strings.HasPrefix(name, pattern+"/")
		}) {
			names = append(names, name)
		}
	}
	return names
}

const dockerfile = "deploy/docker/Dockerfile"

func TestDockerfile(t *testing.T) {
	t.Parallel()
	stages, files := readDockerfile(t, dockerfile), sent(t)
	made := map[string]bool{}
	for _, stage := range stages {
		from := stage[0].list()
		if base := from[0]; base != "scratch" && !regexp.MustCompile(`^[a-z]+:\d[\w.-]+$`).MatchString(base) {
			t.Errorf("%s is not pinned", base)
		}
		if len(from) == 3 {
			made[from[2]] = true
		}
		for _, c := range in(stage, "COPY") {
			if c.flags["from"] != "" {
				if !made[c.flags["from"]] {
					t.Errorf("COPY from %s, which is no stage before it", c.flags["from"])
				}
				continue
			}
			words := c.list()
			for _, source := range words[:len(words)-1] {
				if source != "." && !slices.ContainsFunc(files, func(name string) bool { return name == source || strings.HasPrefix(name, source+"/") }) {
					t.Errorf("COPY %s, which Docker is not sent", source)
				}
			}
		}
	}
	last := stages[len(stages)-1]
	env := environmentOf(last)
	accepted(t, dockerfile, deployed{"the image", env, nil})
	if expose := in(last, "EXPOSE"); len(expose) != 1 || expose[0].rest != env["PORT"] {
		t.Errorf("EXPOSE %v, and PORT is %s", expose, env["PORT"])
	}
	if user := in(last, "USER"); len(user) != 1 || !regexp.MustCompile(`^[1-9]\d+:[1-9]\d+$`).MatchString(user[0].rest) {
		t.Errorf("USER %v: it must be numbers, and not root's", user)
	}
	if volume := in(last, "VOLUME"); len(volume) != 1 || volume[0].rest != env["DATA_DIR"] {
		t.Errorf("VOLUME %v, and DATA_DIR is %s", volume, env["DATA_DIR"])
	}
	asked := strings.TrimPrefix(in(last, "HEALTHCHECK")[0].rest, "CMD ")
	entry := in(last, "ENTRYPOINT")[0].list()
	if words := (instruction{rest: asked}).list(); words[0] != entry[0] || words[1] != "healthcheck" || len(words) != 2 {
		t.Errorf("HEALTHCHECK %s", asked)
	}
}

// The image as it is, without a container's walls: its files as the root folder, its user,
// its environment and its processes apart, over a database; a film that is handed in is
// published with the ffmpeg that is in it.
func TestTheImageRuns(t *testing.T) {
	t.Parallel()
	stages := readDockerfile(t, dockerfile)
	last := stages[len(stages)-1]
	sources, root := t.TempDir(), filepath.Join(t.TempDir(), "root")
	sh := func(dir, command string, env ...string) {
		t.Helper()
		c := exec.CommandContext(within(t), "sh", "-c", command)
		c.Dir, c.Env = dir, append(os.Environ(), env...)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	list := exec.CommandContext(within(t), "cp", "--parents", "--no-dereference", "--target-directory", sources)
	list.Args = append(list.Args, sent(t)...)
	if out, err := list.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, made := range []string{"assets/dist", "db/messagedb"} {
		sh(".", "mkdir -p "+sources+"/"+made+" && cp -R "+made+"/. "+sources+"/"+made)
	}
	for _, stage := range stages {
		switch name := stage[0].list(); {
		case len(name) == 3 && name[2] == "program":
			for _, run := range in(stage, "RUN") {
				sh(sources, strings.ReplaceAll(run.rest, "-o /video-tutorials", "-o "+sources+"/video-tutorials"), "VERSION=tested")
			}
		case len(name) == 3 && name[2] == "ffmpeg":
			runs := in(stage, "RUN")
			sh(".", strings.ReplaceAll(runs[len(runs)-1].rest, "/root.sh /image", "deploy/docker/root.sh "+root))
		}
	}
	sh(sources, "mv video-tutorials "+root)

	database := dbtest.New(t)
	env := relayed(t, database)
	port := freePort(t)

	// What Docker does: processes of its own, /proc, /dev and a user.
	user := in(last, "USER")[0].rest
	namespaces := []string{"--mount", "--pid", "--fork", "--kill-child"}
	if os.Geteuid() != 0 {
		namespaces, user = append(namespaces, "--map-root-user"), "0:0"
	}
	contained := func(ctx context.Context, args ...string) *exec.Cmd {
		script := `set -e; cd "$0"; user=$1; shift; mount --bind "$0" "$0"; mount -t proc proc "$0/proc"; mount --rbind /dev "$0/dev"
			exec "$(PATH=/usr/sbin:/usr/bin:/sbin:/bin command -v chroot)" --userspec="$user" "$0" "$@"`
		c := exec.CommandContext(ctx, "unshare", slices.Concat(namespaces, []string{"sh", "-c", script, root, user}, in(last, "ENTRYPOINT")[0].list(), args)...)
		for name, value := range environmentOf(last) {
			c.Env = append(c.Env, name+"="+value)
		}
		c.Env = append(append(c.Env, env...), "PORT="+port)
		c.WaitDelay = time.Second // what is in it may hold on to its output
		return c
	}
	if _, err := os.Stat(filepath.Join(root, "bin", "sh")); err == nil {
		t.Error("the image has a shell")
	}
	if os.Geteuid() == 0 {
		sh(root, "chown "+user+" data")
	}
	out, err := contained(within(t), "doctor").CombinedOutput()
	// As in Docker, there are no namespaces in it for ffmpeg; all else is well.
	if err != nil || !regexp.MustCompile(`(?m)^(ok|warn) +ffmpeg +ffmpeg \d`).Match(out) {
		t.Errorf("doctor: %v\n%s", err, out)
	}

	s := &site{t: t, env: []string{"DATA_DIR=" + filepath.Join(root, "data")}, output: &output{grown: make(chan struct{})}, exited: make(chan error, 1), url: "http://127.0.0.1:" + port}
	s.command = contained(context.Background())
	s.command.Stdout, s.command.Stderr = s.output, s.output
	s.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.exited <- s.command.Wait(); close(s.exited) }()
	t.Cleanup(func() { s.command.Process.Kill(); <-s.exited })
	asked := (instruction{rest: strings.TrimPrefix(in(last, "HEALTHCHECK")[0].rest, "CMD ")}).list()[1:]
	until(t, "the container is healthy", func() bool { return contained(within(t), asked...).Run() == nil })
	owner := member(t, s, "image@example.test", goodPassword)
	f := newFilms(t)
	id := owner.handIn(f.run("film.mp4", args(picture("640x360", 2), sound(2), h264, "-shortest")...), "In the image")
	becomes(t, database, id, "published")
}

// freePort returns a port that nobody listens at.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}

// relayed is what the program is told of a test's databases where it cannot reach their socket: they are at a port.
func relayed(t *testing.T, database *dbtest.DB) (env []string) {
	t.Helper()
	u, err := url.Parse(database.ViewsURL)
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(u.Query().Get("host"), ".s.PGSQL."+u.Query().Get("port"))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("unix", socket)
			if err != nil {
				from.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
				go func() {
					io.Copy(way[1], way[0])
					way[1].Close()
				}()
			}
		}
	}()
	host, port, _ := net.SplitHostPort(listener.Addr().String())
	for _, setting := range environment(database) {
		name, value, _ := strings.Cut(setting, "=")
		if u, err := url.Parse(value); err == nil && u.Scheme == "postgres" {
			query := u.Query()
			query.Set("host", host)
			query.Set("port", port)
			u.RawQuery = query.Encode()
			setting = name + "=" + u.String()
		}
		env = append(env, setting)
	}
	return env
}

// composed are the services of a compose file that run the program.
func composed(t *testing.T, file string) (*compose.Project, []deployed) {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("cp", "-R", "deploy/docker/.", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	example, err := os.ReadFile("deploy/docker/env.example")
	if err != nil {
		t.Fatal(err)
	}
	filled := regexp.MustCompile(`(?m)^([A-Z_]+)=$`).ReplaceAllString(string(example), "$1="+strings.Repeat("filled", 6))
	filled = regexp.MustCompile(`(?m)^SMTP_URL=.*$`).ReplaceAllString(filled, "SMTP_URL=smtps://user:password@mail.example:465")
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(filled), 0o600); err != nil {
		t.Fatal(err)
	}
	env := compose.Mapping{}
	for line := range strings.Lines(filled) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			env[name] = value
		}
	}
	project, err := loader.LoadWithContext(t.Context(), compose.ConfigDetails{WorkingDir: dir, ConfigFiles: []compose.ConfigFile{{Filename: filepath.Join(dir, file)}}, Environment: env})
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	stages := readDockerfile(t, dockerfile)
	var processes []deployed
	for _, s := range project.Services {
		if s.Image != "video-tutorials" {
			if !regexp.MustCompile(`:\d`).MatchString(s.Image) {
				t.Errorf("%s: the image of %s is not pinned", file, s.Name)
			}
			continue
		}
		d := deployed{s.Name, environmentOf(stages[len(stages)-1]), s.Command}
		for name, value := range s.Environment {
			d.env[name] = *value
		}
		processes = append(processes, d)
		for _, v := range s.Volumes {
			if v.Target != d.env["DATA_DIR"] {
				t.Errorf("%s: %s keeps %s, and DATA_DIR is %s", file, s.Name, v.Target, d.env["DATA_DIR"])
			}
		}
		for _, p := range s.Ports {
			if fmt.Sprint(p.Target) != d.env["PORT"] {
				t.Errorf("%s: %s is reached at port %d, and PORT is %s", file, s.Name, p.Target, d.env["PORT"])
			}
		}
		if s.StopGracePeriod == nil || time.Duration(*s.StopGracePeriod) <= shutdownTime {
			t.Errorf("%s: %s is killed before it has stopped", file, s.Name)
		}
	}
	return project, processes
}

func (d deployed) database(t *testing.T, variable string) string {
	t.Helper()
	u, err := url.Parse(d.env[variable])
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

func TestCompose(t *testing.T) {
	t.Parallel()
	made, err := os.ReadFile("deploy/docker/databases.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"compose.yaml", "compose.scaled.yaml"} {
		project, processes := composed(t, file)
		accepted(t, file, processes...)
		postgres := project.Services["postgres"]
		for _, d := range processes {
			if name := d.database(t, "DATABASE_URL"); name != *postgres.Environment["POSTGRES_DB"] {
				t.Errorf("%s: %s asks for the database %s, which nobody makes", file, d.name, name)
			}
			if name := d.database(t, "MESSAGE_STORE_CONNECTION_STRING"); !strings.Contains(string(made), "CREATE DATABASE "+name+";") {
				t.Errorf("%s: %s asks for the database %s, which nobody makes", file, d.name, name)
			}
			there := false
			for _, network := range project.Networks {
				there = there || len(network.Ipam.Config) > 0 && network.Ipam.Config[0].Subnet == d.env["TRUSTED_PROXIES"]
			}
			if !there {
				t.Errorf("%s: %s trusts %q, and the proxy is not there", file, d.name, d.env["TRUSTED_PROXIES"])
			}
		}
	}
	proxy, err := os.ReadFile("deploy/docker/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	stages := readDockerfile(t, dockerfile)
	if port := environmentOf(stages[len(stages)-1])["PORT"]; !strings.Contains(string(proxy), "dynamic a web "+port+" {") {
		t.Errorf("the proxy does not ask the service web at %s", port)
	}
}
