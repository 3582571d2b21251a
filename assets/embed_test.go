package assets

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

var style = strings.Repeat(".lesson { display: grid }\n", 40)

func sample() fstest.MapFS {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := io.WriteString(w, style)
	if err = errors.Join(err, w.Close()); err != nil {
		panic(err)
	}
	return fstest.MapFS{
		"manifest.json": {Data: []byte(`{"app.css":"app-1.css","app.js":"app-2.js","player.js":"player-5.js","upload.js":"upload-6.js","admin.js":"admin-7.js","xray.js":"xray-8.js","favicon.svg":"favicon-3.svg","serif.woff2":"serif-4.woff2"}`)},
		"app-1.css":     {Data: []byte(style)},
		"app-1.css.gz":  {Data: packed.Bytes()},
		"app-2.js":      {Data: []byte("0")},
		"player-5.js":   {Data: []byte("0")},
		"upload-6.js":   {Data: []byte("0")},
		"admin-7.js":    {Data: []byte("0")},
		"xray-8.js":     {Data: []byte("0")},
		"favicon-3.svg": {Data: []byte("<svg/>")},
		"serif-4.woff2": {Data: []byte("wOF2")},
		".gitkeep":      {Data: nil},
		"stray.css":     {Data: []byte("stray")},
	}
}

func loaded(t *testing.T) *bundle {
	t.Helper()
	b, err := load(sample())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func get(h http.Handler, method, target, encoding string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	if encoding != "" {
		r.Header.Set("Accept-Encoding", encoding)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func TestMissingBuildIsExplained(t *testing.T) {
	t.Parallel()
	whole := sample()
	cases := map[string]struct {
		remove string
		change []byte
	}{
		"no manifest":            {remove: "manifest.json"},
		"a file is missing":      {remove: "app-1.css"},
		"manifest cut short":     {change: []byte(`{"app.css"`)},
		"manifest names too few": {change: []byte(`{"app.css":"app-1.css"}`)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := fstest.MapFS{}
			for name, f := range whole {
				files[name] = f
			}
			delete(files, c.remove)
			if c.change != nil {
				files["manifest.json"] = &fstest.MapFile{Data: c.change}
			}
			_, err := load(files)
			if err == nil || !strings.Contains(err.Error(), "run make build") {
				t.Fatalf("load = %v, want an error that says what to run", err)
			}
		})
	}
}

func TestURL(t *testing.T) {
	t.Parallel()
	b := loaded(t)
	if got := b.url("app.css"); got != "/assets/app-1.css" {
		t.Errorf("url(app.css) = %s", got)
	}
	if got := b.url("other.css"); got != "/assets/other.css" {
		t.Errorf("url(other.css) = %s", got)
	}
}

func TestServesForEver(t *testing.T) {
	t.Parallel()
	for target, contentType := range map[string]string{
		"/assets/app-1.css":     "text/css; charset=utf-8",
		"/assets/app-2.js":      "text/javascript; charset=utf-8",
		"/assets/favicon-3.svg": "image/svg+xml",
		"/assets/serif-4.woff2": "font/woff2",
	} {
		res := get(loaded(t), http.MethodGet, target, "")
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d", target, res.StatusCode)
		}
		if got := res.Header.Get("Content-Type"); got != contentType {
			t.Errorf("%s: content type %q, want %q", target, got, contentType)
		}
		if got := res.Header.Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
			t.Errorf("%s: cache control %q", target, got)
		}
	}
}

func TestIconUnasked(t *testing.T) {
	t.Parallel()
	res := get(loaded(t), http.MethodGet, "/favicon.ico", "")
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "image/svg+xml" {
		t.Fatalf("status %d, content type %q", res.StatusCode, res.Header.Get("Content-Type"))
	}
	if strings.Contains(res.Header.Get("Cache-Control"), "immutable") {
		t.Error("/favicon.ico has no hash in its name and must not be kept for ever")
	}
}

func TestUnknownNames(t *testing.T) {
	t.Parallel()
	for _, target := range []string{
		"/assets/", "/assets/app.css", "/assets/stray.css", "/assets/manifest.json", "/assets/.gitkeep",
		"/assets/../embed.go", "/assets/app-1.css/", "/else",
	} {
		if res := get(loaded(t), http.MethodGet, target, ""); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", target, res.StatusCode)
		}
	}
}

func TestOnlyReads(t *testing.T) {
	t.Parallel()
	res := get(loaded(t), http.MethodPost, "/assets/app-1.css", "")
	if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: status %d, Allow %q", res.StatusCode, res.Header.Get("Allow"))
	}
	res = get(loaded(t), http.MethodHead, "/assets/app-1.css", "")
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK || len(body) != 0 || res.Header.Get("Content-Length") == "" {
		t.Errorf("HEAD: status %d, %d bytes, length %q", res.StatusCode, len(body), res.Header.Get("Content-Length"))
	}
}

func TestCompressesOnlyForThoseWhoAccept(t *testing.T) {
	t.Parallel()
	for accepted, want := range map[string]string{
		"": "", "gzip": "gzip", "br, gzip;q=0.5": "gzip", "deflate, GZIP": "gzip",
		"gzip;q=0": "", "gzip; q=0.0": "", "br": "", "identity": "",
	} {
		res := get(loaded(t), http.MethodGet, "/assets/app-1.css", accepted)
		if got := res.Header.Get("Content-Encoding"); got != want {
			t.Errorf("Accept-Encoding %q: got encoding %q, want %q", accepted, got, want)
		}
		if res.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("Accept-Encoding %q: no Vary", accepted)
		}
		var body io.Reader = res.Body
		if want == "gzip" {
			unpacked, err := gzip.NewReader(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			body = unpacked
		}
		content, err := io.ReadAll(body)
		if err != nil || !bytes.Equal(content, []byte(style)) {
			t.Errorf("Accept-Encoding %q: content differs (%v)", accepted, err)
		}
	}
	if res := get(loaded(t), http.MethodGet, "/assets/serif-4.woff2", "gzip"); res.Header.Get("Content-Encoding") != "" {
		t.Error("a font is compressed already")
	}
}
