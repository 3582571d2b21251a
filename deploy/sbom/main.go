// Sbom lists what a program is made of: the Go modules that are in it, and the npm packages
// that it is built with, each with its version and licence. It prints a table, and writes
// the same as a CycloneDX document.
//
//	go run ./deploy/sbom bin/video-tutorials dist/sbom.cdx.json
package main

import (
	"bytes"
	"cmp"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/google/licensecheck"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "sbom: give the program and the file to write")
		os.Exit(2)
	}
	if err := run(os.Stdout, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// component is a piece of the program, as CycloneDX has it.
type component struct {
	Type     string    `json:"type"`
	Ref      string    `json:"bom-ref"`
	Name     string    `json:"name"`
	Version  string    `json:"version,omitempty"`
	Scope    string    `json:"scope,omitempty"` // "required" is in the program, "optional" in a full one, "excluded" only makes or tests it
	Hashes   []hash    `json:"hashes,omitempty"`
	Licences []licence `json:"licenses,omitempty"`
	URL      string    `json:"purl,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type licence struct {
	Expression string `json:"expression"`
}

func run(out io.Writer, program, file string) error {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return fmt.Errorf("read %s: %w", program, err)
	}
	components, err := modules(info)
	if err != nil {
		return err
	}
	packages, err := packages("package-lock.json")
	if err != nil {
		return err
	}
	components = append(components, packages...)
	document, err := json.MarshalIndent(map[string]any{
		"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
		"metadata":   map[string]any{"component": component{Type: "application", Ref: info.Main.Path, Name: "video-tutorials", Version: info.Main.Version, Licences: []licence{{"MIT"}}}},
		"components": components,
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("write the document: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(file, append(document, '\n'), 0o644); err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	var unknown []string
	for _, c := range components {
		says := "unknown"
		if len(c.Licences) > 0 {
			says = c.Licences[0].Expression
		} else {
			unknown = append(unknown, c.Name)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.Name, c.Version, says, c.Scope)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(unknown) > 0 {
		return fmt.Errorf("the licences of %s are not known", strings.Join(unknown, ", "))
	}
	return nil
}

// modules are those that are linked into the program, with the standard library.
func modules(info *buildinfo.BuildInfo) ([]component, error) {
	std := component{Type: "library", Ref: "pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go"), Name: "std", Version: info.GoVersion, Scope: "required", Licences: []licence{{"BSD-3-Clause"}}}
	std.URL = std.Ref
	all := []component{std}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		c := component{Type: "library", Name: m.Path, Version: m.Version, Scope: "required", URL: "pkg:golang/" + m.Path + "@" + m.Version}
		c.Ref = c.URL
		dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", m.Path).Output()
		if err != nil {
			return nil, fmt.Errorf("look for the sources of %s: %w", m.Path, complaint(err))
		}
		if c.Licences, err = licencesIn(strings.TrimSpace(string(dir))); err != nil {
			return nil, fmt.Errorf("look for the licence of %s: %w", m.Path, err)
		}
		all = append(all, c)
	}
	return all, nil
}

func complaint(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	return err
}

var licenceFile = regexp.MustCompile(`(?i)^(un)?(licen[cs]e|copying)(\.md|\.txt|[-.].+)?$`)

var spdx = regexp.MustCompile(`SPDX-License-Identifier: ([\w.+ ()-]*[\w.+)])`)

// saidInReadme are licences of packages that have no field and no file for it.
var saidInReadme = map[string]string{"combine-errors": "MIT"}

// covered is how much of a file must be the text of licences, in percent.
const covered = 70

// licencesIn names the licences whose texts lie in a folder.
func licencesIn(dir string) ([]licence, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		if e.IsDir() || !licenceFile.MatchString(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		if said := spdx.FindSubmatch(text); said != nil {
			return []licence{{string(said[1])}}, nil
		}
		cover := licensecheck.Scan(text)
		if cover.Percent < covered {
			continue
		}
		for _, m := range cover.Match {
			if !slices.Contains(found, m.ID) {
				found = append(found, m.ID)
			}
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	return []licence{{strings.Join(found, " AND ")}}, nil
}

// packages are those of a lock file of npm.
func packages(lock string) ([]component, error) {
	text, err := os.ReadFile(lock)
	if err != nil {
		return nil, err
	}
	var locked struct {
		Packages map[string]struct {
			Version, License, Integrity string
			Dev, Optional               bool
		}
	}
	if err := json.Unmarshal(text, &locked); err != nil {
		return nil, fmt.Errorf("read %s: %w", lock, err)
	}
	var all []component
	for path, p := range locked.Packages {
		i := strings.LastIndex(path, "node_modules/")
		if i < 0 {
			continue
		}
		name := path[i+len("node_modules/"):]
		c := component{Type: "library", Name: name, Version: p.Version, Scope: "required", URL: "pkg:npm/" + strings.Replace(name, "@", "%40", 1) + "@" + p.Version}
		c.Ref = c.URL + "#" + path
		switch {
		case p.Dev:
			c.Scope = "excluded"
		case p.Optional:
			c.Scope = "optional"
		}
		if said := cmp.Or(p.License, saidInReadme[name]); said != "" {
			c.Licences = []licence{{said}}
		}
		if encoded, ok := strings.CutPrefix(p.Integrity, "sha512-"); ok {
			sum, err := base64.StdEncoding.DecodeString(encoded)
			if err != nil {
				return nil, fmt.Errorf("%s: the checksum of %s: %w", lock, path, err)
			}
			c.Hashes = []hash{{"SHA-512", hex.EncodeToString(sum)}}
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b component) int { return strings.Compare(a.Ref, b.Ref) })
	return all, nil
}
