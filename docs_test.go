package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// documents are all Markdown files of the project, by name.
func documents(t *testing.T) map[string]string {
	t.Helper()
	names, err := exec.Command("git", "ls-files", "*.md").Output()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for name := range strings.Lines(string(names)) {
		name = strings.TrimSpace(name)
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(text)
	}
	return all
}

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	all := documents(t)
	for name, text := range all {
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(found[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := name
			if target != "" {
				file = filepath.Join(filepath.Dir(name), target)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s links to %s, which does not exist", name, found[1])
			}
			if anchor != "" && !anchors(all[file])[anchor] {
				t.Errorf("%s links to %s, which has no such heading", name, found[1])
			}
		}
	}
}

func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for line := range strings.Lines(text) {
		if title := strings.TrimLeft(line, "#"); title != line && strings.HasPrefix(title, " ") {
			title = regexp.MustCompile("[^a-z0-9 -]").ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
			all[strings.ReplaceAll(title, " ", "-")] = true
		}
	}
	return all
}

func TestTestsThatAreNamedExist(t *testing.T) {
	t.Parallel()
	for name, text := range documents(t) {
		for _, test := range regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(text, -1) {
			if exec.Command("git", "grep", "-q", "func "+test+"(", "--", "*_test.go").Run() != nil {
				t.Errorf("%s names %s, which is no test", name, test)
			}
		}
	}
}

func TestTheReadmeShowsTheConfiguration(t *testing.T) {
	t.Parallel()
	readme := documents(t)["README.md"]
	settings := reflect.TypeFor[config]()
	for i := range settings.NumField() {
		tag := settings.Field(i).Tag
		flag := tag.Get("name")
		if flag == "" {
			flag = strings.ToLower(settings.Field(i).Name)
		}
		row := fmt.Sprintf("| `--%s` | `%s` |", flag, tag.Get("env"))
		if tag.Get("env") == "" {
			row = fmt.Sprintf("| `--no-%s` |", flag)
		}
		found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(row) + `.*$`).FindString(readme)
		if found == "" {
			t.Errorf("README.md has no row that begins %s", row)
		}
		if standard := tag.Get("default"); tag.Get("env") != "" && standard != "" && !strings.Contains(found, "`"+standard+"`") {
			t.Errorf("README.md does not say that the default of %s is %s", flag, standard)
		}
	}
}

// The numbers of the decisions have no gap, and each says the same four things.
func TestDecisionsAreComplete(t *testing.T) {
	t.Parallel()
	all, n := documents(t), 0
	for name, text := range all {
		if !strings.HasPrefix(name, "docs/adr/") {
			continue
		}
		n++
		for _, heading := range []string{"Context", "Decision", "Consequences", "Rejected"} {
			if !strings.Contains(text, "\n## "+heading) {
				t.Errorf("%s has no %s", name, heading)
			}
		}
	}
	for i := range n {
		if found, _ := filepath.Glob(fmt.Sprintf("docs/adr/%04d-*.md", i+1)); len(found) != 1 {
			t.Errorf("%d decisions have the number %d", len(found), i+1)
		}
	}
	if n == 0 {
		t.Error("no decisions")
	}
}
