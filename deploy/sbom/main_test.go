package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The licence of everything in the program is known, and lets it be given away as it is.
func TestLicences(t *testing.T) {
	t.Chdir("../..")
	program, file := filepath.Join(t.TempDir(), "program"), filepath.Join(t.TempDir(), "dist", "sbom.cdx.json")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var table strings.Builder
	if err := run(&table, program, file); err != nil {
		t.Fatalf("%v\n%s", err, table.String())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		BOMFormat  string
		Components []component
	}
	if err := json.Unmarshal(text, &document); err != nil || document.BOMFormat != "CycloneDX" {
		t.Fatalf("%v: %.200s", err, text)
	}
	seen := map[string]bool{}
	for _, c := range document.Components {
		if seen[c.Ref] {
			t.Errorf("%s is there twice", c.Ref)
		}
		seen[c.Ref] = true
		said := c.Licences[0].Expression
		if c.Scope != "excluded" && regexp.MustCompile(`GPL`).MatchString(said) && !strings.Contains(said, " OR ") {
			t.Errorf("%s is %s", c.Name, said)
		}
	}
	for _, want := range []string{"pkg:golang/github.com/labstack/echo/v4@", "pkg:npm/htmx.org@", "pkg:npm/%40eventide/message-db@", "pkg:golang/std@"} {
		if !strings.Contains(string(text), `"purl": "`+want) {
			t.Errorf("%s is missing", want)
		}
	}
	if strings.Contains(string(text), "compose-go") {
		t.Error("what only tests use is in it")
	}
}
