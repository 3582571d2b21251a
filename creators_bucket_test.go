package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"videotutorials/db/dbtest"
)

// bucketOf starts an S3 server with a bucket, and returns what the program is told of it
// and a way to list what is in it.
func bucketOf(t *testing.T) (env []string, keys func(prefix string) []string) {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("videos"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(gofakes3.New(backend).Server())
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains about itself
	server.Start()
	t.Cleanup(server.Close)
	env = []string{
		"MEDIA_BUCKET=s3://videos?region=us-east-1&s3ForcePathStyle=true&endpoint=" + url.QueryEscape(server.URL),
		"AWS_ACCESS_KEY_ID=someone", "AWS_SECRET_ACCESS_KEY=secret", "AWS_EC2_METADATA_DISABLED=true",
	}
	return env, func(prefix string) (keys []string) {
		t.Helper()
		list, err := backend.ListBucket("videos", &gofakes3.Prefix{HasPrefix: prefix != "", Prefix: prefix}, gofakes3.ListBucketPage{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list.Contents {
			keys = append(keys, c.Key)
		}
		return keys
	}
}

// Two programs with nothing in common but the databases and a bucket are one site: what is
// handed in to one of them is seen being made, played and deleted on the other.
func TestTwoReplicasShareABucket(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	env, keys := bucketOf(t)
	env = append(env, append(environment(database), "COOKIE_SECRET="+strings.Repeat("cookies", 6))...)
	first, second := start(t, folder(t), env), start(t, folder(t), env)
	browser := chromium(t)
	f := newFilms(t)
	owner := member(t, first, "bucket@example.com", goodPassword)
	portal := person(t, browser)
	portal.logIn(second, "bucket@example.com", goodPassword)
	portal.sees("they are logged in", `action="/auth/log-out"`)
	portal.goTo(second.url + "/creators-portal")
	portal.waitFor("the line is open", line("open"))
	id := owner.handIn(f.run("film.mp4", args(picture("1280x720", 6), sound(6), h264, "-shortest")...), "In a bucket")
	portal.waitFor("the work is seen on the other one", `Number(document.querySelector('[data-creators-video="`+id+`"] [data-progress]')?.dataset.progress) > 0`)
	becomes(t, database, id, "published")
	if n := len(keys(id + "/1/")); n < 10 {
		t.Errorf("the bucket has %d files of it: %v", n, keys(""))
	}
	tabs := map[*site]*tab{first: person(t, browser), second: person(t, browser)}
	for s, p := range tabs {
		p.goTo(s.url + "/videos/" + id)
		p.waitFor("it is there", `document.querySelector('video')?.readyState >= 2`)
		p.evaluate(play)
		p.waitFor("it plays", `document.querySelector('video').currentTime > 0.4`)
	}
	for _, p := range tabs {
		p.waitFor("two watch", `document.querySelector('[data-watching]').dataset.watching === "2"`)
	}
	whole := get(t, second.url+"/media/"+id+"/1/video.mp4")
	part := ask(t, http.DefaultClient, http.MethodGet, second.url+"/media/"+id+"/1/video.mp4", "", nil, "Range", "bytes=100-199")
	if part.status != http.StatusPartialContent || part.body != whole.body[100:200] || part.header.Get("Content-Range") != "bytes 100-199/"+strconv.Itoa(len(whole.body)) {
		t.Errorf("a range: %d %q", part.status, part.header.Get("Content-Range"))
	}
	edit := "/creators-portal/videos/" + id
	owner.done(owner.submit(edit, edit+"/visibility", "visibility", "private"))
	until(t, "nobody else can have it", func() bool { return get(t, second.url+"/media/"+id+"/1/master.m3u8").status == http.StatusNotFound })
	for _, p := range tabs {
		p.ignore() // what they play ends
	}
	owner.done(owner.submit(edit, edit+"/delete"))
	until(t, "the bucket has nothing of it", func() bool { return len(keys(id)) == 0 && len(keys("uploads/"+id)) == 0 })
}
