package main

import (
	"encoding/json"
	"fmt"
	"go/constant"
	"go/token"
	"go/types"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// block is a piece of a guide that a reader types: in "sh" it is run here, in "sh cloud" it
// needs a machine or an account of theirs.
type block struct{ document, kind, text string }

func guides(t *testing.T) (blocks []block) {
	t.Helper()
	fenced := regexp.MustCompile("(?ms)^```([^\n]*)\n(.*?)^```$")
	all := documents(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !strings.HasPrefix(name, "docs/deployment/") {
			continue
		}
		for _, found := range fenced.FindAllStringSubmatch(all[name], -1) {
			blocks = append(blocks, block{name, found[1], found[2]})
		}
	}
	return blocks
}

// Every command of the guides is one that the program, make and the shell understand, and
// whatever needs no cloud is run.
func TestGuides(t *testing.T) {
	t.Parallel()
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	repository, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	tools := t.TempDir()
	if err := os.Symlink(program, filepath.Join(tools, "video-tutorials")); err != nil {
		t.Fatal(err)
	}
	// What make makes is the matter of other tests; here it only has to know how.
	dry := "#!/bin/sh\nexec env -u MAKEFLAGS -u MAKELEVEL /usr/bin/make --dry-run --directory " + repository + " \"$@\" >/dev/null\n"
	if err := os.WriteFile(filepath.Join(tools, "make"), []byte(dry), 0o755); err != nil {
		t.Fatal(err)
	}
	known := append(variables(t), fromElsewhere...)
	called := regexp.MustCompile(`(?m)(?:^|&& |-- (?:env (?:\w+=\S+ )*)?|exec site /|/usr/local/bin/)video-tutorials ([^\n|&]+)`)
	assigned := regexp.MustCompile(`(?m)^(?:variable )?([A-Z][A-Z_]+)[= ]`)
	files := regexp.MustCompile(`(?:deploy|\.do|\.ebextensions|\.platform)/[\w./-]*\w`)
	folders, ran := map[string]string{}, 0
	for _, b := range guides(t) {
		if b.kind != "sh" && b.kind != "sh cloud" {
			t.Errorf("%s has a block of %q, which nobody checks", b.document, b.kind)
			continue
		}
		syntax := exec.CommandContext(within(t), "sh", "-n")
		syntax.Stdin = strings.NewReader(b.text)
		if out, err := syntax.CombinedOutput(); err != nil {
			t.Errorf("%s: %v %s\n%s", b.document, err, out, b.text)
		}
		for _, found := range called.FindAllStringSubmatch(b.text, -1) {
			var c commands
			parser, err := c.parser(io.Discard, io.Discard, func(int) {})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parser.Parse(strings.Fields(found[1])); err != nil {
				t.Errorf("%s: video-tutorials %s: %v", b.document, found[1], err)
			}
		}
		whole := documents(t)[b.document]
		for _, found := range assigned.FindAllStringSubmatch(b.text, -1) {
			if !slices.Contains(known, found[1]) && !strings.Contains(whole, "$"+found[1]) {
				t.Errorf("%s sets %s, which nobody reads", b.document, found[1])
			}
		}
		for _, name := range files.FindAllString(b.text, -1) {
			if _, err := os.Stat(name); err != nil && !slices.Contains([]string{"deploy/docker/.env", ".ebextensions/https.config"}, name) {
				t.Errorf("%s names %s, which does not exist", b.document, name)
			}
		}
		if b.kind != "sh" {
			continue
		}
		if folders[b.document] == "" {
			folders[b.document] = t.TempDir()
			if out, err := exec.Command("cp", "-R", "--parents", "deploy/docker", ".do", ".ebextensions", folders[b.document]).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		ran++
		run := exec.CommandContext(within(t), "sh", "-eu")
		run.Dir, run.Env, run.Stdin = folders[b.document], []string{"PATH=" + tools + ":" + os.Getenv("PATH")}, strings.NewReader(b.text)
		if out, err := run.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s\n%s", b.document, err, b.text, out)
		}
	}
	if ran == 0 {
		t.Error("nothing was run")
	}

	// What they made is what is needed.
	text, err := os.ReadFile(filepath.Join(folders["docs/deployment/elastic-beanstalk.md"], "settings.json"))
	if err != nil {
		t.Fatal(err)
	}
	var options []struct{ OptionName, Value string }
	if err := json.Unmarshal(text, &options); err != nil {
		t.Fatalf("settings.json: %v\n%s", err, text)
	}
	_, d := beanstalk(t)
	for _, o := range options {
		d.env[o.OptionName] = o.Value
	}
	accepted(t, "settings.json", d)
	secrets, err := os.ReadFile(filepath.Join(folders["docs/deployment/virtual-machine.md"], "deploy/docker/.env"))
	if err != nil || !regexp.MustCompile(`(?m)^IDENTITY_KEY=[0-9a-f]{64}$`).Match(secrets) {
		t.Errorf("the secrets for compose: %v\n%s", err, secrets)
	}
	app, err := os.ReadFile(filepath.Join(folders["docs/deployment/digitalocean.md"], "app.yaml"))
	if err != nil || !regexp.MustCompile(`key: COOKIE_SECRET, value: [0-9a-f]{64}, type: SECRET`).Match(app) {
		t.Errorf("the secrets for App Platform: %v\n%s", err, app)
	}
}

func TestMakeHasWhatDocumentsName(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("(?m)(?:`|^)(?:GOARCH=\\w+ )?make ([a-z][a-z-]*)(?:`|$| +#)")
	for name, text := range documents(t) {
		for _, found := range named.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(string(makefile), "\n"+found[1]+": ") {
				t.Errorf("%s names make %s, which there is not", name, found[1])
			}
		}
	}
}

// The costs in the comparison are what their arithmetic gives, and the totals their sums.
func TestCostsAddUp(t *testing.T) {
	t.Parallel()
	text := documents(t)["docs/deployment/README.md"]
	sum, totals := 0.0, 0
	for _, row := range regexp.MustCompile(`(?m)^\| ([^|]+) \|([^|]*)\| ([\d.]+) \|$`).FindAllStringSubmatch(text, -1) {
		says, err := strconv.ParseFloat(row[3], 64)
		if err != nil {
			t.Fatal(err)
		}
		if row[1] == "total" {
			if math.Abs(sum-says) > 0.03 {
				t.Errorf("a total is %.2f, not %s", sum, row[3])
			}
			if !strings.Contains(text, fmt.Sprintf("| %.0f USD ", says)) {
				t.Errorf("the comparison does not have the total of %s", row[3])
			}
			sum, totals = 0, totals+1
			continue
		}
		value, err := types.Eval(token.NewFileSet(), nil, token.NoPos, strings.ReplaceAll(strings.TrimSpace(row[2]), "×", "*"))
		if err != nil {
			t.Errorf("%s: %v", row[1], err)
			continue
		}
		if is, _ := constant.Float64Val(constant.ToFloat(value.Value)); math.Abs(is-says) > 0.006 {
			t.Errorf("%s is %.3f, not %s", row[1], is, row[3])
		}
		sum += says
	}
	if totals != 4 {
		t.Errorf("%d totals", totals)
	}
}
