package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// unitLine is a line of a unit, like WatchdogSec=60s.
type unitLine struct{ name, value string }

func unit(t *testing.T, name string) (settings []unitLine) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("deploy/systemd", name))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(line, "#") {
			settings = append(settings, unitLine{name, value})
		}
	}
	return settings
}

func unitLines(settings []unitLine, name string) (values []string) {
	for _, s := range settings {
		if s.name == name {
			values = append(values, s.value)
		}
	}
	return values
}

// systemd understands the units, and finds them as closed as the document says.
func TestUnitsAreUnderstood(t *testing.T) {
	t.Parallel()
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"video-tutorials.service", "video-tutorials.socket"} {
		text, err := os.ReadFile(filepath.Join("deploy/systemd", name))
		if err != nil {
			t.Fatal(err)
		}
		// It wants to see the program.
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(string(text), "/usr/local/bin/video-tutorials", program)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(within(t), "systemd-analyze", "verify", "--man=no", "--recursive-errors=no", filepath.Join(dir, "video-tutorials.service"), filepath.Join(dir, "video-tutorials.socket")).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
	// From 0, which is nothing left to take away, to 100.
	out, err = exec.CommandContext(within(t), "systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", filepath.Join(dir, "video-tutorials.service")).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Log(regexp.MustCompile(`Overall exposure level.*`).FindString(string(out)))
}

// What the units name is there, under that name, in the program.
func TestUnitsNameWhatThereIs(t *testing.T) {
	t.Parallel()
	service, socket := unit(t, "video-tutorials.service"), unit(t, "video-tutorials.socket")
	var c commands
	parser, err := c.parser(io.Discard, io.Discard, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	start := unitLines(service, "ExecStart")
	if len(start) != 1 {
		t.Fatalf("ExecStart: %q", start)
	}
	words := strings.Fields(start[0])
	if _, err := parser.Parse(words[1:]); err != nil || words[0] != "/usr/local/bin/"+parser.Model.Name {
		t.Errorf("%s: %v", start[0], err)
	}
	ports := []string{c.HTTPSPort, c.HTTPPort}
	if listens := unitLines(socket, "ListenStream"); !slices.Equal(listens, ports) {
		t.Errorf("the socket listens on %q, with DOMAIN the site on %q", listens, ports)
	}

	variables := map[string]bool{}
	for i := range reflect.TypeFor[config]().NumField() {
		variables[reflect.TypeFor[config]().Field(i).Tag.Get("env")] = true
	}
	state := "/var/lib/" + strings.Join(unitLines(service, "StateDirectory"), " ")
	for _, line := range unitLines(service, "Environment") {
		name, value, _ := strings.Cut(line, "=")
		if !variables[name] || name == "" {
			t.Errorf("Environment names %q, which is no setting", name)
		}
		if name == "DATA_DIR" && value != state {
			t.Errorf("DATA_DIR is %s, where StateDirectory is %s", value, state)
		}
	}
	if dir := unitLines(service, "WorkingDirectory"); !slices.Equal(dir, []string{state}) {
		t.Errorf("WorkingDirectory is %q", dir)
	}

	// The end may take as long as it takes: requests, then the private Postgres.
	for name, least := range map[string]time.Duration{"TimeoutStopSec": shutdownTime + 30*time.Second, "WatchdogSec": 4 * healthPatience} {
		set, err := time.ParseDuration(strings.Join(unitLines(service, name), " "))
		if err != nil || set < least {
			t.Errorf("%s is %s, which is less than %s: %v", name, set, least, err)
		}
	}
	calls, err := exec.CommandContext(within(t), "systemd-analyze", "syscall-filter").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, calls)
	}
	for _, line := range unitLines(service, "SystemCallFilter") {
		for _, call := range strings.Fields(strings.TrimPrefix(line, "~")) {
			if !regexp.MustCompile(`(?m)^\s*(\S+\[\d+m)?` + regexp.QuoteMeta(call) + `\b`).Match(calls) {
				t.Errorf("systemd knows no call %s", call)
			}
		}
	}
}
