// Package assets holds what the browser loads besides the pages: the scripts, one stylesheet,
// the fonts and the icon. build.mjs makes them; they are embedded in the program under names
// that carry the hash of their content, so a browser may keep them for ever.
package assets

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

//go:embed all:dist
var dist embed.FS

// Prefix is where Handler expects to be mounted, with its slash at the end.
const Prefix = "/assets/"

// Files that pages refer to.
var required = []string{"app.css", "app.js", "player.js", "upload.js", "admin.js", "xray.js", "favicon.svg"}

var built = sync.OnceValues(func() (*bundle, error) {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, fmt.Errorf("open the embedded assets: %w", err)
	}
	return load(files)
})

// Check says in plain words what is wrong when the program was compiled before the assets were
// built, and returns nil when all that the pages refer to is there.
func Check() error {
	_, err := built()
	return err
}

// URL returns the path of an asset by its plain name: "app.css" gives "/assets/app-HASH.css".
// An unknown name keeps its plain form, which Handler answers with 404; Check reports it.
func URL(name string) string {
	b, err := built()
	if err != nil {
		return Prefix + name
	}
	return b.url(name)
}

// Handler serves everything under Prefix, and /favicon.ico for those who ask for it unasked.
func Handler() http.Handler {
	b, err := built()
	if err != nil {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		})
	}
	return b
}

type file struct {
	contentType string
	plain       []byte
	gzipped     []byte // nil where the build found that compression gains nothing
}

type bundle struct {
	names map[string]string // plain name → name with hash
	files map[string]file   // by name with hash
}

func load(files fs.FS) (*bundle, error) {
	manifest, err := fs.ReadFile(files, "manifest.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("the stylesheet and the script are not in this program: run make build")
	}
	if err != nil {
		return nil, fmt.Errorf("read the manifest of the assets: %w", err)
	}
	b := &bundle{files: map[string]file{}}
	if err := json.Unmarshal(manifest, &b.names); err != nil {
		return nil, fmt.Errorf("read the manifest of the assets: %w; run make build", err)
	}
	for plain, name := range b.names {
		if b.files[name], err = read(files, name); err != nil {
			return nil, fmt.Errorf("read the asset %s: %w; run make build", plain, err)
		}
	}
	for _, plain := range required {
		if _, ok := b.names[plain]; !ok {
			return nil, fmt.Errorf("the asset %s is not in this program: run make build", plain)
		}
	}
	return b, nil
}

// The standard library's table depends on what the machine has installed.
var contentTypes = map[string]string{
	".css":   "text/css; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".svg":   "image/svg+xml",
	".txt":   "text/plain; charset=utf-8",
	".woff2": "font/woff2",
}

func read(files fs.FS, name string) (file, error) {
	content, err := fs.ReadFile(files, name)
	if err != nil {
		return file{}, err
	}
	f := file{contentType: contentTypes[path.Ext(name)], plain: content}
	if f.contentType == "" {
		return file{}, fmt.Errorf("no content type is known for %q", path.Ext(name))
	}
	if f.gzipped, err = fs.ReadFile(files, name+".gz"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return file{}, err
	}
	return f, nil
}

func (b *bundle) url(plain string) string {
	if name, ok := b.names[plain]; ok {
		return Prefix + name
	}
	return Prefix + plain
}

// ServeHTTP answers GET and HEAD for the names with a hash, and for /favicon.ico.
func (b *bundle) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, cache := strings.TrimPrefix(r.URL.Path, Prefix), "public, max-age=31536000, immutable"
	if r.URL.Path == "/favicon.ico" {
		name, cache = b.names["favicon.svg"], "public, max-age=86400"
	}
	f, ok := b.files[name]
	if !ok {
		http.Error(w, "There is no such file.", http.StatusNotFound)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "This file can only be read.", http.StatusMethodNotAllowed)
		return
	}
	body, header := f.plain, w.Header()
	header.Set("Content-Type", f.contentType)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", cache)
	if f.gzipped != nil {
		header.Set("Vary", "Accept-Encoding")
		if AcceptsGzip(r.Header.Get("Accept-Encoding")) {
			body = f.gzipped
			header.Set("Content-Encoding", "gzip")
		}
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	// A browser that went away is no error worth a line in the log.
	_, _ = w.Write(body)
}

// AcceptsGzip reports whether a value of Accept-Encoding allows gzip.
func AcceptsGzip(accepted string) bool {
	for _, coding := range strings.Split(accepted, ",") {
		name, parameter, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		quality, weighed := strings.CutPrefix(strings.ReplaceAll(parameter, " ", ""), "q=")
		if !weighed {
			return true
		}
		q, err := strconv.ParseFloat(quality, 64)
		return err == nil && q > 0
	}
	return false
}
