package main

import (
	"os/exec"
	"path"
	"strings"
	"testing"
)

// imports says which packages of ours each package may import; a pattern is one of
// path.Match. What is ours and not listed is forbidden.
var imports = []struct {
	pkg  string
	ours []string
	// third names the third-party modules that only some may import: those not
	// listed here are closed to everyone who does not list them.
	third []string
}{
	{"messagestore", nil, []string{pgxModule}},
	{"messagestore/messagestoretest", []string{"messagestore"}, nil},
	{"components/*/*msg", []string{"messagestore"}, nil},
	{"components/videopublishing", []string{"components/*/*msg", "components/videopublishing/ffmpeg", "messagestore", "db/media"}, nil},
	{"components/videopublishing/ffmpeg", nil, nil},
	{"components/*", []string{"components/*/*msg", "messagestore", "db/media"}, []string{templModule}},
	{"aggregators/aggregatortest", []string{"messagestore", "db", "db/dbtest"}, []string{pgxModule}},
	{"aggregators/*", []string{"components/*/*msg", "messagestore"}, []string{pgxModule}},
	{"views", []string{"aggregators/*"}, []string{templModule}},
	{"app/contracts", []string{"components/*/*msg", "messagestore"}, nil},
	{"app/live", nil, []string{echoModule, templModule, sseModule}},
	{"app/password", []string{"messagestore"}, nil},
	{"app/web", []string{"assets", "messagestore", "views"}, []string{echoModule, templModule}},
	{"app/webvtt", nil, nil},
	{"app/xray", []string{"app/web", "app/live", "app/contracts", "app/trace", "views", "messagestore", "assets"}, []string{echoModule, templModule}},
	{"app/*", []string{"app/web", "app/live", "app/password", "app/webvtt", "app/contracts", "app/trace", "views", "aggregators/*", "components/*/*msg", "messagestore", "db/media"}, []string{echoModule, templModule}},
	{"assets", nil, nil},
	{"db", nil, []string{pgxModule}},
	{"db/media", nil, []string{blobModule, awsModule}},
	{"db/dbtest", []string{"db"}, []string{pgxModule}},
	{"deploy/sbom", nil, nil},
}

const (
	ours        = "videotutorials/"
	pgxModule   = "github.com/jackc/pgx/v5"
	templModule = "github.com/a-h/templ"
	echoModule  = "github.com/labstack/echo/v4"
	sseModule   = "github.com/r3labs/sse/v2"
	blobModule  = "gocloud.dev"
	awsModule   = "github.com/aws"
)

func TestImportTable(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		pkg, isOurs := strings.CutPrefix(fields[0], ours)
		for _, imported := range fields[1:] {
			if isForTests(imported) && !isForTests(fields[0]) {
				t.Errorf("%s imports %s, which is for tests only", fields[0], imported)
			}
		}
		if !isOurs {
			continue // main may import everything
		}
		rule := -1
		for i, r := range imports {
			if ok, _ := path.Match(r.pkg, pkg); ok {
				rule = i
				break
			}
		}
		if rule < 0 {
			t.Errorf("%s has no line in the import table", pkg)
			continue
		}
		seen[imports[rule].pkg] = true
		for _, imported := range fields[1:] {
			if complaint := forbidden(imports[rule].ours, imports[rule].third, imported); complaint != "" {
				t.Errorf("%s imports %s: %s", pkg, imported, complaint)
			}
		}
	}
	for _, r := range imports {
		if !seen[r.pkg] && r.pkg != "components/*" && r.pkg != "components/*/*msg" { // a component may be a contract only
			t.Errorf("the import table has a line for %s, which is no package", r.pkg)
		}
	}
}

// isForTests says whether a package is one of ours for tests, as its name tells. The
// patterns of the table, as aggregators/*, match such packages too.
func isForTests(pkg string) bool {
	return strings.HasPrefix(pkg, ours) && strings.HasSuffix(pkg, "test")
}

func forbidden(allowed, third []string, imported string) string {
	if name, isOurs := strings.CutPrefix(imported, ours); isOurs {
		for _, pattern := range allowed {
			if ok, _ := path.Match(pattern, name); ok {
				return ""
			}
		}
		return "the table does not allow it"
	}
	for _, guarded := range []string{pgxModule, templModule, echoModule, sseModule, blobModule, awsModule} {
		if imported != guarded && !strings.HasPrefix(imported, guarded+"/") {
			continue
		}
		for _, module := range third {
			if module == guarded {
				return ""
			}
		}
		return "the table does not allow " + guarded
	}
	return ""
}

func TestMessageStoreStandsAlone(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, "./messagestore").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if name := strings.TrimSpace(line); strings.Contains(name, ".") && !strings.HasPrefix(name, pgxModule) {
			t.Errorf("messagestore imports %s; it may import pgx and the standard library", name)
		}
	}
}
