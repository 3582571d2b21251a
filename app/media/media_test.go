package media

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/labstack/echo/v4"

	"videotutorials/aggregators/aggregatortest"
	"videotutorials/aggregators/catalogue"
	"videotutorials/aggregators/creatorsvideos"
	"videotutorials/app/web"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/dbtest"
	"videotutorials/db/media"
	"videotutorials/messagestore"
)

func TestMain(m *testing.M) {
	os.Setenv("AWS_ACCESS_KEY_ID", "someone")
	os.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	dbtest.Main(m)
}

// site is the application over a catalogue and a store.
type site struct {
	*aggregatortest.Fixture[catalogue.Queries]
	app      *App
	store    *media.Store
	url      string
	handled  chan error   // what came of each request, where somebody listens
	asked    atomic.Int64 // who a session belongs to
	sessions *web.Sessions
	server   *httptest.Server
}

func start(t *testing.T, bucket string, change ...func(*site)) *site {
	t.Helper()
	store, err := media.Open(t.Context(), bucket, filepath.Join(t.TempDir(), "media"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	s := &site{Fixture: aggregatortest.New(t, "catalogue", catalogue.New, catalogue.NewQueries), store: store, handled: make(chan error, 1)}
	s.OfSomethingElse()
	s.Run()
	s.sessions = web.NewSessions([]byte(strings.Repeat("s", 32)), false, func(_ context.Context, userID, _ string, _ int64) (web.Person, bool, error) {
		s.asked.Add(1)
		return web.Person{UserID: userID}, true, nil
	})
	s.app = New(store, s.Queries, creatorsvideos.NewQueries(s.Views), s.sessions)
	router := web.New(web.Config{AppName: "Test", Log: slog.New(slog.DiscardHandler), Sessions: s.sessions})
	router.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			err := next(c)
			select {
			case s.handled <- err:
			default:
			}
			return err
		}
	})
	s.app.Routes(router)
	router.GET("/test/log-in/:user", func(c echo.Context) error {
		return errors.Join(s.sessions.LogIn(c, c.Param("user"), messagestore.NewID(), 0), c.NoContent(http.StatusOK))
	})
	s.server = httptest.NewUnstartedServer(router)
	s.server.Config.WriteTimeout = 30 * time.Second // as the program has it
	for _, change := range change {
		change(s)
	}
	if s.server.EnableHTTP2 {
		s.server.StartTLS()
	} else {
		s.server.Start()
	}
	t.Cleanup(s.server.Close)
	s.url = s.server.URL
	return s
}

// bucket returns the address of one in an S3 server of its own.
func bucket(t *testing.T) string {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("videos"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(server.Close)
	return "s3://videos?s3ForcePathStyle=true&endpoint=" + url.QueryEscape(server.URL)
}

// video is one that can be watched, with all its files.
func (s *site) video(owner string) (id string) {
	s.T.Helper()
	id = messagestore.NewID()
	for _, name := range fileNames {
		s.put(id+"/"+name, "the content of "+name)
	}
	s.put("uploads/"+id, "handed in")
	s.happened(id, publishingmsg.VideoPublished{VideoID: id, OwnerID: owner, Attempt: 1, SourceURI: publishingmsg.SourceKey(id),
		HLSURI: media.Path(id + "/1/master.m3u8"), TranscodedURI: media.Path(id + "/1/video.mp4")})
	return id
}

var fileNames = []string{"1/master.m3u8", "1/360p.m3u8", "1/360p_init.mp4", "1/360p_00000.m4s", "12/audio_00001.m4s", "1/poster.jpg", "1/storyboard.vtt", "1/video.webm",
	"video.mp4", "poster.jpg", "captions-8c1b6a0e-6d3a-4a53-9f67-5f6f6f0d9a11.vtt"}

func (s *site) put(key, content string) {
	s.T.Helper()
	if err := s.store.Put(s.Ctx, key, []byte(content)); err != nil {
		s.T.Fatal(err)
	}
}

func (s *site) happened(id string, body messagestore.Body) {
	s.T.Helper()
	s.Happened(publishingmsg.Category.Stream(id), body)
}

// browser returns one in which a person is signed in, nobody where userID is empty.
func (s *site) browser(userID string) *http.Client {
	s.T.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.T.Fatal(err)
	}
	b := &http.Client{Jar: jar, Transport: s.server.Client().Transport}
	if userID != "" {
		s.ask(b, http.MethodGet, "/test/log-in/"+userID)
	}
	return b
}

type answer struct {
	status int
	header http.Header
	body   string
	proto  int
}

func (s *site) ask(b *http.Client, method, path string, headers ...string) answer {
	s.T.Helper()
	r, err := http.NewRequestWithContext(s.Ctx, method, s.url+path, nil)
	if err != nil {
		s.T.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := b.Do(r)
	if err != nil {
		s.T.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.T.Errorf("%s: %v", path, err)
	}
	return answer{response.StatusCode, response.Header, string(body), response.ProtoMajor}
}

func everywhere(t *testing.T, test func(t *testing.T, s *site)) {
	t.Run("folder", func(t *testing.T) { t.Parallel(); test(t, start(t, "")) })
	t.Run("bucket", func(t *testing.T) { t.Parallel(); test(t, start(t, bucket(t))) })
}

const (
	forEver = "public, max-age=31536000, s-maxage=300, immutable"
	again   = "no-cache"
	never   = "private, no-store"
)

// Everybody gets the files of videos that everybody may watch, and nobody is asked who
// they are for it.
func TestEverybody(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *site) {
		owner := messagestore.NewID()
		id, anna := s.video(owner), s.browser(owner)
		for _, visibility := range []string{publishingmsg.Public, publishingmsg.Unlisted} {
			s.happened(id, publishingmsg.VisibilityChanged{VideoID: id, Visibility: visibility})
			for _, name := range fileNames {
				want := forEver
				if strings.HasSuffix(name, ".m3u8") {
					want = again
				}
				a := s.ask(anna, http.MethodGet, "/media/"+id+"/"+name)
				if a.status != http.StatusOK || a.body != "the content of "+name || a.header.Get("Cache-Control") != want || a.header.Get("Etag") == "" || a.header.Get("Content-Type") != media.ContentType(name) ||
					a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Content-Disposition") != "" || len(a.header["Set-Cookie"]) > 0 {
					t.Errorf("%s: %d %q %v", name, a.status, a.body, a.header)
				}
				tag := a.header.Get("Etag")
				if a := s.ask(anna, http.MethodGet, "/media/"+id+"/"+name, "If-None-Match", tag); a.status != http.StatusNotModified || a.header.Get("Cache-Control") != want {
					t.Errorf("%s again: %d %v", name, a.status, a.header)
				}
				if a := s.ask(anna, http.MethodHead, "/media/"+id+"/"+name); a.status != http.StatusOK || a.body != "" || a.header.Get("Etag") != tag {
					t.Errorf("HEAD %s: %d %v", name, a.status, a.header)
				}
			}
		}
		for _, c := range []struct {
			headers []string
			status  int
			body    string
			part    string
		}{
			{[]string{"Range", "bytes=4-10"}, 206, "content", "bytes 4-10/24"},
			{[]string{"Range", "bytes=15-"}, 206, "video.mp4", "bytes 15-23/24"},
			{[]string{"Range", "bytes=-3"}, 206, "mp4", "bytes 21-23/24"},
			{[]string{"Range", "bytes=24-"}, 416, "", "bytes */24"},
			{[]string{"Range", "bytes=4-10", "If-Range", `"of before"`}, 200, "the content of video.mp4", ""},
		} {
			a := s.ask(anna, http.MethodGet, "/media/"+id+"/video.mp4", c.headers...)
			if a.status != c.status || c.body != "" && a.body != c.body || a.header.Get("Content-Range") != c.part || a.header.Get("Accept-Ranges") != "bytes" && c.status < 400 {
				t.Errorf("%q: %d %q %v", c.headers, a.status, a.body, a.header)
			}
		}
		if s.asked.Load() != 0 {
			t.Error("somebody was asked who they are")
		}
	})
}

// The files of a private video are its owner's alone, and to others look like files that
// never were. That is asked each time.
func TestPrivate(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *site) {
		owner := messagestore.NewID()
		id := s.video(owner)
		anna, berta, nobody := s.browser(owner), s.browser(messagestore.NewID()), s.browser("")
		unknown := s.ask(nobody, http.MethodGet, "/media/"+messagestore.NewID()+"/video.mp4")
		if unknown.status != http.StatusNotFound {
			t.Fatal(unknown.status)
		}
		for range 2 {
			s.happened(id, publishingmsg.VisibilityChanged{VideoID: id, Visibility: publishingmsg.Private})
			for _, name := range fileNames {
				a := s.ask(anna, http.MethodGet, "/media/"+id+"/"+name)
				if a.status != http.StatusOK || a.body != "the content of "+name || a.header.Get("Cache-Control") != never {
					t.Errorf("%s for the owner: %d %v", name, a.status, a.header)
				}
				for who, b := range map[string]*http.Client{"another person": berta, "nobody": nobody} {
					for _, method := range []string{http.MethodGet, http.MethodHead} {
						a := s.ask(b, method, "/media/"+id+"/"+name, "If-None-Match", a.header.Get("Etag"))
						if a.status != http.StatusNotFound || strings.Contains(a.body, "content of") || a.header.Get("Etag") != "" || strings.Contains(a.header.Get("Cache-Control"), "max-age") ||
							method == http.MethodGet && !strings.Contains(a.body, "There is no such file.") {
							t.Errorf("%s %s for %s: %d %v", method, name, who, a.status, a.header)
						}
					}
				}
			}
			s.happened(id, publishingmsg.VisibilityChanged{VideoID: id, Visibility: publishingmsg.Public})
			if a := s.ask(nobody, http.MethodGet, "/media/"+id+"/video.mp4"); a.status != http.StatusOK {
				t.Errorf("public again: %d", a.status)
			}
		}
		s.happened(id, publishingmsg.VideoDeleted{VideoID: id}) // its files are still there for a while
		for who, b := range map[string]*http.Client{"the owner": anna, "nobody": nobody} {
			if a := s.ask(b, http.MethodGet, "/media/"+id+"/video.mp4"); a.status != http.StatusNotFound {
				t.Errorf("a deleted video for %s: %d", who, a.status)
			}
		}
	})
}

// What was handed in, what is no file of a video and what lies elsewhere has no address.
func TestNoSuchFile(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *site) {
		owner := messagestore.NewID()
		id, anna := s.video(owner), s.browser(owner)
		s.put(id+"/1/page.html", "<script>")
		s.put(id+"/1/2/video.mp4", "too deep")
		notYet := messagestore.NewID() // is being made
		s.put(notYet+"/1/360p_00000.m4s", "early")
		s.happened(notYet, publishingmsg.VideoPublishingStarted{VideoID: notYet, OwnerID: owner, Attempt: 1})
		for _, path := range []string{
			"uploads/" + id, "uploads%2f" + id, id + "/../uploads/" + id, id + "/..%2fuploads%2f" + id, id + "/%2e%2e/uploads/" + id, "uploads/" + id + "/video.mp4",
			strings.ToUpper(id) + "/video.mp4", id, id + "/", id + "/1", id + "/1/", id + "//video.mp4", id + "/1//video.mp4", id + "/0/video.mp4", id + "/01/video.mp4", id + "/1/2/video.mp4", id + "/1%2f2%2fvideo.mp4",
			id + "/1/page.html", id + "/.unfinished", id + "/nothing.mp4", id + "/2/master.m3u8", id + "/VIDEO.mp4", id + "/video.mp4%00", id + "/video.mp4/", id + "/video.mp4%2f..", ".unfinished/x.mp4", "..%2f..%2fcookie-secret",
			notYet + "/1/360p_00000.m4s",
		} {
			for _, b := range []*http.Client{anna, s.browser("")} {
				a := s.ask(b, http.MethodGet, "/media/"+path)
				if a.status != http.StatusNotFound || a.header.Get("Etag") != "" || strings.Contains(a.header.Get("Cache-Control"), "max-age") {
					t.Errorf("%s: %d %v %.100q", path, a.status, a.header, a.body)
				}
			}
		}
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
			if a := s.ask(anna, method, "/media/"+id+"/video.mp4"); a.status != http.StatusMethodNotAllowed {
				t.Errorf("%s: %d", method, a.status)
			}
		}
	})
}

// While the bucket or the database is away, browsers are asked to come again, and keep no
// such answer.
func TestAway(t *testing.T) {
	t.Parallel()
	backend := s3mem.New()
	if err := backend.CreateBucket("videos"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(gofakes3.New(backend).Server())
	s := start(t, "s3://videos?s3ForcePathStyle=true&endpoint="+url.QueryEscape(server.URL))
	id, nobody := s.video(messagestore.NewID()), s.browser("")
	server.Close()
	check := func(what string) {
		t.Helper()
		a := s.ask(nobody, http.MethodGet, "/media/"+id+"/video.mp4")
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || strings.Contains(a.header.Get("Cache-Control"), "max-age") || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %d %v", what, a.status, a.header)
		}
	}
	check("without the bucket")
	s.Views.Close()
	a := s.ask(nobody, http.MethodGet, "/media/"+id+"/video.mp4")
	if a.status < 500 || strings.Contains(a.header.Get("Cache-Control"), "max-age") {
		t.Errorf("without the database: %d %v", a.status, a.header)
	}
}

// A browser that stops reading is cut off once it has had its time, and gets the rest by
// a range.
func TestStalledBrowser(t *testing.T) {
	t.Parallel()
	s := start(t, "", func(s *site) { s.app.patience = 100 * time.Millisecond })
	id := s.video(messagestore.NewID())
	s.put(id+"/1/video.mp4", strings.Repeat("film", 8<<20))
	conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET /media/"+id+"/1/video.mp4 HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-s.handled:
		if err != nil {
			t.Error(err)
		}
	case <-s.Ctx.Done():
		t.Fatal("a browser that does not read holds up its request for ever")
	}
	if n, err := io.Copy(io.Discard, conn); n >= 32<<20 {
		t.Errorf("all of it came: %d bytes, %v", n, err)
	}
	if a := s.ask(s.browser(""), http.MethodGet, "/media/"+id+"/1/video.mp4", "Range", "bytes=33554428-"); a.body != "film" {
		t.Errorf("the rest: %q", a.body)
	}
}

func TestHTTP2(t *testing.T) {
	t.Parallel()
	s := start(t, "", func(s *site) {
		s.server.EnableHTTP2 = true
		s.server.TLS = &tls.Config{}
	})
	id := s.video(messagestore.NewID())
	film := strings.Repeat("film", 1<<20)
	s.put(id+"/1/video.mp4", film)
	if a := s.ask(s.browser(""), http.MethodGet, "/media/"+id+"/1/video.mp4"); a.proto != 2 || a.body != film {
		t.Errorf("HTTP/%d: %d bytes", a.proto, len(a.body))
	}
}
