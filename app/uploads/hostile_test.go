package uploads

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// An upload is its owner's; for others there is none, and nothing for the signed out.
func TestSomebodyElses(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna, berta, nobody := s.person(), s.person(), s.browser()
	path, videoID := anna.begin(1000)
	for _, method := range []string{http.MethodHead, http.MethodPatch, http.MethodDelete} {
		headers := []string{"Content-Type", "application/offset+octet-stream", "Upload-Offset", "0"}
		if a := berta.send(method, path, strings.NewReader("x"), headers...); a.status != http.StatusNotFound || a.header.Get("X-Video-Id") != "" {
			t.Errorf("%s of somebody else: %d %v", method, a.status, a.header)
		}
		if a := nobody.send(method, path, strings.NewReader("x"), headers...); a.status != http.StatusUnauthorized {
			t.Errorf("%s of nobody: %d", method, a.status)
		}
		if a := anna.send(method, path, strings.NewReader("x"), append(headers, "Sec-Fetch-Site", "cross-site")...); method != http.MethodHead && a.status != http.StatusForbidden {
			t.Errorf("%s from another site: %d", method, a.status)
		}
	}
	if a := nobody.post(1000); a.status != http.StatusUnauthorized || a.body != "logged-out" {
		t.Errorf("%d %q", a.status, a.body)
	}
	if a := anna.send(http.MethodPost, views.UploadsPath, nil, "Upload-Length", "5", "Sec-Fetch-Site", "cross-site"); a.status != http.StatusForbidden {
		t.Errorf("%d", a.status)
	}
	if a := anna.head(path); a.offset() != 0 || len(s.commands(videoID)) != 2 {
		t.Errorf("%d %v", a.offset(), s.commands(videoID))
	}
}

// Only ids of ours lead anywhere, also with a file where the path would lead to.
func TestIDs(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.person()
	path, videoID := b.begin(1000)
	id := idOf(path)
	outside := filepath.Join(filepath.Dir(s.dir), "outside"+id)
	for _, name := range []string{outside, outside + ".info", filepath.Join(s.dir, "x.info"), filepath.Join(s.dir, "x")} {
		if err := os.WriteFile(name, []byte(`{"ownerId":"`+b.user+`","bytes":1000}`), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Remove(name) })
	}
	for _, bad := range []string{
		"..%2foutside" + id, "%2e%2e%2foutside" + id, "../outside" + id, "x", videoID, strings.ToUpper(id), id + ".info", id + "%00", id + "/", id + "%2f", "%2f" + id,
		"." + id, id[:31], id + "0", "", ".", "..", "%2e%2e", strings.Repeat("f", 32), id + "%0a", id + "%20", strings.Repeat("a", 5000), "%",
	} {
		for _, method := range []string{http.MethodHead, http.MethodPatch, http.MethodDelete, http.MethodGet} {
			a := raw(t, s, b, method+" "+views.UploadsPath+"/"+bad+" HTTP/1.1", "Tus-Resumable: 1.0.0", "Content-Type: application/offset+octet-stream", "Upload-Offset: 0", "Content-Length: 0")
			if a.status < 400 || a.status >= 500 {
				t.Errorf("%s %q: %d", method, bad, a.status)
			}
		}
	}
	if a := b.send(http.MethodGet, path, nil); a.status != http.StatusMethodNotAllowed {
		t.Errorf("a download: %d", a.status)
	}
	if a := b.head(path); a.status != http.StatusOK {
		t.Errorf("%d", a.status)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
}

// raw sends a request as it stands here, which no client would write.
func raw(t *testing.T, s *site, b *browser, lines ...string) answer {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	r, err := http.NewRequest(http.MethodGet, s.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	var cookies []string
	for _, c := range b.client.Jar.Cookies(r.URL) {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	head, body, _ := strings.Cut(strings.Join(lines, "\r\n"), "\r\n\r\n")
	fmt.Fprintf(conn, "%s\r\nHost: %s\r\nCookie: %s\r\nConnection: close\r\n\r\n%s", head, r.URL.Host, strings.Join(cookies, "; "), body)
	method, _, _ := strings.Cut(lines[0], " ")
	r.Method = method
	response, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		return answer{}
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return answer{response.StatusCode, string(text), response.Header}
}

// What the protocol allows and this site does not need is closed.
func TestExtensions(t *testing.T) {
	t.Parallel()
	s := start(t)
	anna, berta := s.person(), s.person()
	path, videoID := anna.begin(1000)
	options := berta.send(http.MethodOptions, views.UploadsPath, nil)
	if options.status != http.StatusOK || options.header.Get("Tus-Extension") != "creation,creation-with-upload,termination" ||
		options.header.Get("Tus-Max-Size") != "1073741824" || options.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%d %v", options.status, options.header)
	}
	// Another method in a header.
	for _, method := range []string{"DELETE", "PATCH", "HEAD"} {
		a := anna.send(http.MethodPost, path, strings.NewReader("x"), "X-HTTP-Method-Override", method, "Content-Type", "application/offset+octet-stream", "Upload-Offset", "0")
		if a.status != http.StatusMethodNotAllowed {
			t.Errorf("POST as %s: %d", method, a.status)
		}
		a = anna.send(http.MethodPost, views.UploadsPath, nil, "X-HTTP-Method-Override", method, "Upload-Length", "9")
		if a.status != http.StatusCreated {
			t.Errorf("POST as %s: %d", method, a.status)
		}
	}
	// Somebody else's bytes by concatenation.
	a := berta.send(http.MethodPost, views.UploadsPath, nil, "Upload-Concat", "final;"+path)
	if a.status != http.StatusBadRequest {
		t.Errorf("%d %q", a.status, a.body)
	}
	for _, concat := range []string{"final;" + path, "partial", "x"} {
		a := berta.send(http.MethodPost, views.UploadsPath, nil, "Upload-Concat", concat, "Upload-Length", "7")
		if h := berta.head(a.header.Get("Location")); a.status != http.StatusCreated || h.offset() != 0 || h.header.Get("Upload-Concat") != "" {
			t.Errorf("%d %d %v", a.status, h.status, h.header)
		}
	}
	// Lengths told later, or never, or twice, or none at all.
	for _, length := range [][]string{{"Upload-Defer-Length", "1"}, {"Upload-Defer-Length", "1", "Upload-Length", "5"}, {}, {"Upload-Length", "-1"}, {"Upload-Length", "x"},
		{"Upload-Length", "1e3"}, {"Upload-Length", "99999999999999999999"}, {"Upload-Length", "-99999999999999999999"}, {"Upload-Length", "9223372036854775807"}} {
		if a := anna.send(http.MethodPost, views.UploadsPath, nil, length...); a.status != http.StatusBadRequest && a.status != http.StatusNotImplemented && a.status != http.StatusRequestEntityTooLarge {
			t.Errorf("%q: %d %q", length, a.status, a.body)
		}
	}
	if a := anna.send(http.MethodPatch, path, strings.NewReader("x"), "Upload-Length", "1", "Upload-Offset", "0", "Content-Type", "application/offset+octet-stream"); a.status != http.StatusNotImplemented {
		t.Errorf("%d %q", a.status, a.body)
	}
	// The draft of another protocol.
	if a := anna.send(http.MethodPost, views.UploadsPath, nil, "Tus-Resumable", "", "Upload-Draft-Interop-Version", "6", "Upload-Complete", "?1"); a.status != http.StatusPreconditionFailed {
		t.Errorf("%d %q", a.status, a.body)
	}
	for _, offset := range []string{"", "-1", "x", "1.5", "99999999999999999999"} {
		if a := anna.send(http.MethodPatch, path, strings.NewReader("x"), "Upload-Offset", offset, "Content-Type", "application/offset+octet-stream"); a.status != http.StatusBadRequest {
			t.Errorf("offset %q: %d", offset, a.status)
		}
	}
	if a := anna.send(http.MethodPatch, path, strings.NewReader("x"), "Upload-Offset", "0", "Content-Type", "video/mp4"); a.status != http.StatusBadRequest {
		t.Errorf("%d", a.status)
	}
	if a := anna.head(path); a.offset() != 0 || slices.Contains(s.commands(videoID), "PublishVideo") {
		t.Errorf("%d %v", a.offset(), s.commands(videoID))
	}
	// Where tus is told to come from elsewhere, the browser is not led there.
	if a := anna.send(http.MethodPost, views.UploadsPath, nil, "Upload-Length", "9", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "ftp"); !strings.HasPrefix(a.header.Get("Location"), "/") {
		t.Errorf("%v", a.header)
	}
	// The first bytes may come with the request that begins.
	if a := anna.send(http.MethodPost, views.UploadsPath, strings.NewReader("abc"), "Upload-Length", "3", "Content-Type", "application/offset+octet-stream"); a.status != http.StatusCreated || a.offset() != 3 {
		t.Errorf("%d %q", a.status, a.body)
	} else {
		s.handedIn(a.header.Get("X-Video-Id"), []byte("abc"))
	}
}

// More bytes than were declared are not taken, however they are sent.
func TestMoreThanDeclared(t *testing.T) {
	t.Parallel()
	s := start(t)
	b, content := s.person(), random(20, 1<<20)
	path, videoID := b.begin(1000)
	if a := b.patch(path, 0, bytes.NewReader(content[:1001])); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %q", a.status, a.body)
	}
	if a := b.head(path); a.offset() != 0 {
		t.Errorf("%d", a.offset())
	}
	b.patch(path, 0, struct{ io.Reader }{bytes.NewReader(content)}) // in chunks, without a length
	if a := b.head(path); a.offset() != 1000 {
		t.Errorf("%d", a.offset())
	}
	s.handedIn(videoID, content[:1000])
}

// Names are shown on pages: what cannot be is left out, and a video has a title anyway.
func TestMetadata(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.person()
	for _, one := range []struct{ name, title, wantName, wantTitle string }{
		{`C:\films\` + fileOf, "", fileOf, secret + " 1"},
		{"../../etc/" + fileOf, " " + secret + " \n title ", fileOf, secret + " title"},
		{"a\x00b\x1b[31m\u202e\u200b" + fileOf, "\x00\x07", "ab[31m\u200b" + fileOf, "ab[31m\u200b" + secret + " 1"},
		{"\xff\xfe.mp4", "", "\uFFFD.mp4", "\uFFFD"},
		{".mp4", "", ".mp4", ".mp4"},
		{"/", "", "", "Untitled"},
		{"日本語 👩‍🏫.webm", "", "日本語 👩‍🏫.webm", "日本語 👩‍🏫"},
		{strings.Repeat("é", 3000) + ".mp4", strings.Repeat("ü", 101), strings.Repeat("é", 200), strings.Repeat("é", 100)},
		{fileOf, strings.Repeat("ü", 100), fileOf, strings.Repeat("ü", 100)},
	} {
		_, videoID := b.begin(10, "filename", one.name, "title", one.title)
		begun, named := command[publishingmsg.BeginUpload](s, videoID), command[publishingmsg.NameVideo](s, videoID)
		if begun.Data.FileName != one.wantName || named.Data.Name != one.wantTitle || !utf8.ValidString(named.Data.Name) {
			t.Errorf("%q: %q, %q", one.name, begun.Data.FileName, named.Data.Name)
		}
	}
	// What is no base64 is no metadata, and a great deal of it no request.
	for _, metadata := range []string{"filename !!!", "filename YQ==,filename", "filename YQ== YQ==", ",,,", " ", "owner " + "YQ==", strings.Repeat("x YQ==,", 3000), "filename " + strings.Repeat("YWFh", 5000)} {
		if a := b.send(http.MethodPost, views.UploadsPath, nil, "Upload-Length", "10", "Upload-Metadata", metadata); a.status != http.StatusCreated {
			t.Errorf("%.30q: %d %q", metadata, a.status, a.body)
		} else if begun := command[publishingmsg.BeginUpload](s, a.header.Get("X-Video-Id")); begun.Data.OwnerID != b.user || tooLong(begun.Data.FileName, mostFileName) {
			t.Errorf("%+v", begun.Data)
		}
	}
	if a := b.send(http.MethodPost, views.UploadsPath, nil, "Upload-Length", "10", "Upload-Metadata", "filename "+strings.Repeat("YWFh", 20_000)); a.status != http.StatusRequestHeaderFieldsTooLarge && a.status != 0 {
		t.Errorf("%d", a.status)
	}
	if a := b.send(http.MethodPost, views.UploadsPath, nil, "Upload-Length", "10", "X-Request-ID", strings.Repeat("\t"+secret, 50)); a.status != http.StatusCreated {
		t.Errorf("%d", a.status)
	}
}

// A folder that has nothing to do with uploads answers as one without.
func TestUnreadableRecord(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.person()
	path, _ := b.begin(10)
	broken := strings.ReplaceAll(messagestore.NewID(), "-", "")
	if err := os.WriteFile(s.app.folder.recordPath(broken), []byte(`{"ownerId":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if a := b.head(views.UploadsPath + "/" + broken); a.status != http.StatusInternalServerError {
		t.Errorf("%d", a.status)
	}
	if a := b.post(10); a.status != http.StatusCreated {
		t.Errorf("%d %q", a.status, a.body)
	}
	if a := b.head(path); a.status != http.StatusOK {
		t.Errorf("%d", a.status)
	}
	s.app.now = func() time.Time { return time.Now().Add(strayed) }
	if err := s.app.sweep(s.ctx); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(s.files(), broken+".info") {
		t.Errorf("%v", s.files())
	}
	if a := b.head(path); a.status != http.StatusOK {
		t.Errorf("%d", a.status)
	}
}
