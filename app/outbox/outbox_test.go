package outbox_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"videotutorials/app/outbox"
	"videotutorials/app/web"
	"videotutorials/messagestore"
)

// mail is a file as the site writes it.
const mail = "Auto-Submitted: auto-generated\r\n" +
	"Date: Sun, 22 Nov 2026 09:30:05 +0100\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Message-ID: <7b1e9a52-3c55-5b0e-9f0e-52d3c2f1c6a4@localhost>\r\n" +
	"Subject: =?UTF-8?q?Gr=C3=BC=C3=9Fe?= %s\r\n" +
	"From: \"Video Tutorials\" <no-reply@localhost>\r\n" +
	"To: <ann@example.com>\r\n" +
	"Content-Type: multipart/alternative;\r\n boundary=abc\r\n\r\n" +
	"--abc\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\n%s\r\n" +
	"--abc\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Type: text/html; charset=UTF-8\r\n\r\n%s\r\n--abc--\r\n"

const page = `<!doctype html><html><head><title>x</title><style>p { color: #111b33 }</style></head><body><p>Hello =C3=BC</p><a href=3D"http://localhost/confirm-email?token=3Dt">Confirm</a></body></html>`

// site is the outbox over a folder.
type site struct {
	t      *testing.T
	dir    string
	router *echo.Echo
}

func newSite(t *testing.T) site {
	s := site{t, filepath.Join(t.TempDir(), "outbox"), web.New(web.Config{AppName: "Test", Log: slog.New(slog.DiscardHandler)})}
	outbox.New(s.dir).Routes(s.router)
	return s
}

func (s site) write(name, content string) {
	s.t.Helper()
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s site) get(path string) (int, http.Header, string) {
	s.t.Helper()
	server := httptest.NewServer(s.router)
	defer server.Close()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, server.URL, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if request.URL.Opaque = "//" + request.URL.Host + path; strings.Contains(path, "?") {
		s.t.Fatal(path)
	}
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(body)
}

// shows demands texts of a page.
func (s site) shows(path string, want ...string) string {
	s.t.Helper()
	status, _, body := s.get(path)
	if status != http.StatusOK {
		s.t.Errorf("%s is %d", path, status)
	}
	for _, text := range want {
		if !strings.Contains(body, text) {
			s.t.Errorf("%s does not show %q:\n%s", path, text, body)
		}
	}
	return body
}

func id(n int) string { return messagestore.DeriveID("mail", fmt.Sprint(n)) }

func TestOutboxIsEmptyBeforeTheFirstMail(t *testing.T) {
	t.Parallel()
	newSite(t).shows("/outbox", "No mail yet", "/register")
}

func TestMailIsShown(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write(id(1)+".eml", fmt.Sprintf(mail, "Ann", "Hello =C3=BC\r\n  there", page))
	s.write(".mail-123", "half a mail")
	s.write("notes.txt", "not a mail")
	list := s.shows("/outbox", "Grüße Ann", "ann@example.com", "22 November 2026, 08:30:05 UTC", "/outbox/"+id(1))
	if n := strings.Count(list, "data-letter="); n != 1 {
		t.Errorf("the list shows %d mails", n)
	}
	s.shows("/outbox/"+id(1), "Grüße Ann", "<bdi>Video Tutorials &lt;no-reply@localhost&gt;</bdi>", "<bdi>ann@example.com</bdi>", "22 November 2026, 08:30:05 UTC",
		"Hello ü\n  there", `src="/outbox/`+id(1)+`/html"`)

	status, header, body := s.get("/outbox/" + id(1) + "/html")
	if status != http.StatusOK || header.Get("Content-Type") != "text/html; charset=UTF-8" || header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", status, header)
	}
	if want := `<!DOCTYPE html><html><head><base target="_top"/><title>x</title><style>p { color: #111b33 }</style></head><body><p>Hello ü</p><a href="http://localhost/confirm-email?token=t">Confirm</a></body></html>`; strings.TrimSpace(strings.ReplaceAll(body, "\n", "")) != want {
		t.Errorf("the frame is %s", body)
	}
	sum := sha256.Sum256([]byte("p { color: #111b33 }"))
	want := "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-top-navigation-by-user-activation; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	if got := header.Values("Content-Security-Policy"); len(got) != 1 || got[0] != want {
		t.Errorf("the policy is %q, want %q", got, want)
	}
}

func TestPlainMail(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write(id(1)+".eml", "Subject: x\nTo: ann@example.com\nContent-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: base64\n\nSGVsbG8gPGI+\n")
	s.write(id(2)+".eml", "Subject: y\n\njust text")
	if body := s.shows("/outbox/"+id(1), "Hello &lt;b&gt;"); strings.Contains(body, "<iframe") {
		t.Error("a mail without HTML has a frame")
	}
	s.shows("/outbox/"+id(2), "just text", "not known")
	if status, _, _ := s.get("/outbox/" + id(1) + "/html"); status != http.StatusNotFound {
		t.Errorf("its HTML is %d", status)
	}
}

func TestNewestMailsComeFirst(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for n := range 203 {
		s.write(id(n)+".eml", fmt.Sprintf("Subject: mail %03d.\n\n", n))
		written := time.Date(2026, 11, 22, 0, 0, n, 0, time.UTC)
		if err := os.Chtimes(filepath.Join(s.dir, id(n)+".eml"), written, written); err != nil {
			t.Fatal(err)
		}
	}
	body := s.shows("/outbox", "mail 202.", "mail 003.", "Older mails")
	if strings.Index(body, "mail 202.") > strings.Index(body, "mail 201.") || strings.Contains(body, "mail 002.") {
		t.Error("the list is not the newest mails, the newest first")
	}
	s.shows("/outbox/"+id(0), "mail 000.")
}

// Nothing but mails of the folder can be had, however the address is written.
func TestNothingElseIsReachable(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write(id(1)+".eml", "Subject: inside\n\n")
	const secret = "Subject: secret\nContent-Type: text/html\n\n<p>secret"
	s.write("secret.eml", secret)
	s.write("../"+id(2)+".eml", secret)
	s.write(strings.ToUpper(id(4))+".eml", secret)
	if err := os.Symlink("../"+id(2)+".eml", filepath.Join(s.dir, id(3)+".eml")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("secret.eml", filepath.Join(s.dir, id(5)+".eml")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.dir, id(6)+".eml"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, wanted := range []string{
		"secret", "secret.eml", id(2), "..%2f" + id(2), "%2e%2e%2f" + id(2), "../" + id(2), "..%5c" + id(2), id(3), id(5), id(6), strings.ToUpper(id(4)),
		id(1) + ".eml", id(1) + "%00", id(1) + "%2f..%2fsecret", "%2fetc%2fpasswd", ".", "..", "%2e%2e", id(9), "%ff", strings.Repeat("a", 3000),
	} {
		for _, path := range []string{"/outbox/" + wanted, "/outbox/" + wanted + "/html"} {
			if status, _, body := s.get(path); status != http.StatusNotFound && status != http.StatusBadRequest || strings.Contains(body, "secret<") || strings.Contains(body, "root:") {
				t.Errorf("%s is %d:\n%s", path, status, body)
			}
		}
	}
	if body := s.shows("/outbox", "inside"); strings.Count(body, "data-letter=") != 1 || strings.Contains(body, "secret") {
		t.Errorf("the list shows more than the mail:\n%s", body)
	}
}

// What a mail says is shown and never done.
func TestHostileMail(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const hostile = `<base href=3D"https://evil.example/" target=3D"_self"><meta http-equiv=3D"refresh" content=3D"0;url=3Dhttps://evil.example/"><meta http-equiv=3D"Content-Security-Policy" content=3D"default-src *">` +
		`<script>alert(1)</script><img src=3D"https://evil.example/x.png" onerror=3D"alert(1)"><a target=3D"_self" href=3D"javascript:alert(1)">x</a><form action=3D"https://evil.example"><button formtarget=3D"_self">y</button></form>` +
		`<style>body { background: url(https://evil.example) }</style><style>second</style><svg><style>third</style></svg></body></html><p>after the end`
	s.write(id(1)+".eml", fmt.Sprintf(mail, "<script>alert(2)</script>", "</pre><script>alert(3)</script>", hostile))
	for _, path := range []string{"/outbox", "/outbox/" + id(1)} {
		if body := s.shows(path, "&lt;script&gt;alert(2)"); strings.Contains(body, "<script>alert") || strings.Contains(body, "evil.example") {
			t.Errorf("%s does what the mail says", path)
		}
	}
	_, header, body := s.get("/outbox/" + id(1) + "/html")
	for _, gone := range []string{"evil.example/\" target", "target=\"_self\"", "formtarget"} {
		if strings.Contains(body, gone) {
			t.Errorf("the frame keeps %s:\n%s", gone, body)
		}
	}
	if strings.Count(body, "<base ") != 1 || !strings.Contains(body, `<base target="_top"/>`) {
		t.Errorf("links stay in the frame:\n%s", body)
	}
	sum := sha256.Sum256([]byte("body { background: url(https://evil.example) }"))
	policy := header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || !strings.HasSuffix(policy, "style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "allow-scripts") {
		t.Errorf("the policy is %s", policy)
	}
}

func TestFileThatIsNoMail(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	nested := "Content-Type: multipart/mixed; boundary=0\n\n--0\n"
	for n := 1; n < 50; n++ {
		nested += fmt.Sprintf("Content-Type: multipart/mixed; boundary=%d\n\n--%d\n", n, n)
	}
	for n, content := range []string{
		"", "no header", "\x00\xff\xfe", "Content-Type: multipart/mixed\n\nx", "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: text/plain\n\nhalf",
		"Content-Type: ///\n\nx", "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n!!!!", nested,
		"Subject: long\n\n" + strings.Repeat("x", 2<<20),
	} {
		s.write(id(n)+".eml", content)
		s.shows("/outbox/"+id(n), "A file that is no mail", "cannot be read as a mail")
		if status, _, _ := s.get("/outbox/" + id(n) + "/html"); status != http.StatusNotFound {
			t.Errorf("%q: its HTML is %d", content[:min(len(content), 40)], status)
		}
	}
	s.write(id(100)+".eml", "Subject: =?utf-8?q?=FF=00?= and =?iso-2022-jp?q?x?=\nDate: yesterday\nContent-Type: image/png\n\nx")
	s.shows("/outbox/"+id(100), "The mail has no text.")
	s.shows("/outbox", "A file that is no mail")
	s.write(id(101)+".eml", "Content-Type: text/html\n\n"+strings.Repeat("<div>", 5000))
	if status, _, _ := s.get("/outbox/" + id(101) + "/html"); status != http.StatusOK && status != http.StatusNotFound {
		t.Errorf("HTML that is too deep is %d", status)
	}
}
