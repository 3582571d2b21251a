package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

// upload is a file on its way, as a program that speaks tus sends it.
type upload struct {
	v        *visitor
	file     string
	location string // of the upload, as a path
	id       string // of the video
}

// beginUpload asks for an upload of a file, with a title.
func (v *visitor) beginUpload(file, title string) (*upload, answer) {
	v.t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		v.t.Fatal(err)
	}
	encoded := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	a := ask(v.t, v.client, http.MethodPost, v.url+"/creators-portal/uploads", "", nil,
		"Tus-Resumable", "1.0.0", "Upload-Length", strconv.FormatInt(info.Size(), 10),
		"Upload-Metadata", "filename "+encoded(filepath.Base(file))+",title "+encoded(title))
	u := &upload{v: v, file: file, id: a.header.Get("X-Video-Id")}
	if at, err := url.Parse(a.header.Get("Location")); err == nil {
		u.location = at.Path
	}
	return u, a
}

// offset asks how far the upload has come.
func (u *upload) offset() (int64, error) {
	request, err := http.NewRequestWithContext(within(u.v.t), http.MethodHead, u.v.url+u.location, nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Tus-Resumable", "1.0.0")
	response, err := u.v.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("HEAD: %s", response.Status)
	}
	return strconv.ParseInt(response.Header.Get("Upload-Offset"), 10, 64)
}

// send sends what is missing, in one request.
func (u *upload) send(from int64) (status int, err error) {
	f, err := os.Open(u.file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(within(u.v.t), http.MethodPatch, u.v.url+u.location, io.NewSectionReader(f, from, info.Size()-from))
	if err != nil {
		return 0, err
	}
	request.ContentLength = info.Size() - from
	request.Header.Set("Tus-Resumable", "1.0.0")
	request.Header.Set("Content-Type", "application/offset+octet-stream")
	request.Header.Set("Upload-Offset", strconv.FormatInt(from, 10))
	response, err := u.v.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// handIn uploads a file as a page with scripts does, and returns the video's id.
func (v *visitor) handIn(file, title string) (id string) {
	v.t.Helper()
	u, a := v.beginUpload(file, title)
	if a.status != http.StatusCreated || !messagestore.ValidID(u.id) {
		v.t.Fatalf("the upload is not begun: %d %q %s", a.status, u.id, said(a.body))
	}
	if status, err := u.send(0); err != nil || status != http.StatusNoContent {
		v.t.Fatalf("the upload is not finished: %d, %v", status, err)
	}
	return u.id
}

// videoRow is what the view data says of a video.
type videoRow struct {
	State, Reason, Title string
	Attempt              int
	Renditions           []string
}

func rowOf(t testing.TB, database *dbtest.DB, video string) (row videoRow, found bool) {
	t.Helper()
	err := database.Views.QueryRow(context.Background(), `SELECT state, reason, title, attempt FROM creators_videos WHERE video_id = $1`, video).
		Scan(&row.State, &row.Reason, &row.Title, &row.Attempt)
	if errors.Is(err, pgx.ErrNoRows) {
		return row, false
	}
	if err != nil {
		t.Fatal(err)
	}
	return row, true
}

// becomes waits until a video is in a state.
func becomes(t testing.TB, database *dbtest.DB, video string, states ...string) (row videoRow) {
	t.Helper()
	tick, deadline := time.NewTicker(20*time.Millisecond), time.Now().Add(filmPatience)
	defer tick.Stop()
	for ; time.Now().Before(deadline); <-tick.C {
		if row, _ = rowOf(t, database, video); slices.Contains(states, row.State) {
			return row
		}
	}
	t.Fatalf("%s is still %+v, and not %s", video, row, strings.Join(states, " or "))
	return row
}

// filmPatience is how long the work on a film of a few seconds may take on a busy machine.
const filmPatience = 4 * time.Minute

// happened are the types of a video's events, in order.
func happened(t testing.TB, database *dbtest.DB, video string) (types []string) {
	t.Helper()
	for m, err := range messagestore.New(database.MessageStore).Read(within(t), publishingmsg.Category.Stream(video), 0) {
		if err != nil {
			t.Fatal(err)
		}
		types = append(types, m.Type)
	}
	return types
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}

// Every kind of file that people hand in is published and plays, in its own shape, or is
// refused with a reason that they read.
func TestFilmsArePublishedOrRefused(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	// Two, because nobody may have all of these in the making at once.
	creator, refused := member(t, s, "films@example.com", goodPassword), member(t, s, "refused@example.com", goodPassword)
	f := newFilms(t)
	f.other = filepath.Join(dataDir(s), "media", "uploads", creator.handIn(filmOf("320x180", 1, h264)(f), "The other video"))
	ids := map[string]string{}
	for _, c := range filmCases() {
		by := creator
		if c.reason != "" {
			by = refused
		}
		ids[c.name] = by.handIn(c.make(&films{t: t, ffmpeg: f.ffmpeg, dir: t.TempDir(), other: f.other, port: f.port, asked: f.asked}), c.name)
	}
	p := person(t, chromium(t))
	for _, c := range filmCases() {
		row := becomes(t, database, ids[c.name], "published", "failed")
		if row.Reason != c.reason {
			t.Errorf("%s: %s for %q, want %q", c.name, row.State, row.Reason, c.reason)
			continue
		}
		if c.reason != "" {
			page := refused.get("/creators-portal/videos/" + ids[c.name])
			if page.status != http.StatusOK || !strings.Contains(page.body, `class="making" data-state="failed"`) {
				t.Errorf("%s: the page does not say why: %s", c.name, said(page.body))
			}
			if a := get(t, s.url+"/videos/"+ids[c.name]); a.status != http.StatusNotFound {
				t.Errorf("%s can be watched: %d", c.name, a.status)
			}
			continue
		}
		p.goTo(s.url + "/videos/" + ids[c.name])
		p.waitFor(c.name+" is there", `document.querySelector('video')?.readyState >= 2`)
		p.evaluate(play)
		if c.name == "one frame" {
			p.waitFor(c.name+" plays", `document.querySelector('video').ended || document.querySelector('video').currentTime > 0`)
		} else {
			p.waitFor(c.name+" plays", `document.querySelector('video').currentTime > 0.4`)
		}
		shape := p.evaluate(`document.querySelector('video').videoWidth / document.querySelector('video').videoHeight`)
		if got, err := strconv.ParseFloat(shape, 64); err != nil || got < c.wide/c.high*0.97 || got > c.wide/c.high*1.03 {
			t.Errorf("%s: its picture is %s wide for each high, want %.3f", c.name, shape, c.wide/c.high)
		}
	}
	if n := f.asked.Load(); n != 0 {
		t.Errorf("a file made this machine connect to a port of it, %d times", n)
	}
}

// While one film is worked on, another is published and both can be named; the work can
// be canceled and tried again.
func TestLongWorkHoldsUpNothing(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database, "--transcodes", "2")
	creator := member(t, s, "busy@example.com", goodPassword)
	f := newFilms(t)
	long := creator.handIn(f.run("long.mp4", args(picture("1280x720", 90), sound(90), h264, "-shortest")...), "A long one")
	becomes(t, database, long, "publishing")
	short := creator.handIn(f.run("short.mp4", args(picture("320x180", 1), sound(1), h264, "-shortest")...), "A short one")
	for _, name := range []string{"First name", "Second name"} {
		creator.asked(creator.submit("/creators-portal/videos/"+long, "/creators-portal/videos/"+long+"/name", "name", name))
	}
	becomes(t, database, short, "published")
	until(t, "both names were taken", func() bool {
		row, _ := rowOf(t, database, long)
		return row.Title == "Second name"
	})
	if row, _ := rowOf(t, database, long); row.State != "publishing" && row.State != "playable" {
		t.Errorf("the long one is %s already: this shows nothing", row.State)
	}
	if n := count(happened(t, database, long), "VideoNamed"); n < 2 {
		t.Errorf("named %d times", n)
	}
	creator.asked(creator.submit("/creators-portal/videos/"+long, "/creators-portal/videos/"+long+"/cancel"))
	becomes(t, database, long, "canceled")
	until(t, "its files are gone", func() bool {
		left, err := filepath.Glob(filepath.Join(dataDir(s), "media", long, "*"))
		return err == nil && len(left) == 0
	})
	until(t, "the work on it has stopped", func() bool {
		left, err := filepath.Glob(filepath.Join(dataDir(s), "transcoding", long+"*"))
		return err == nil && len(left) == 0
	})
	creator.asked(creator.submit("/creators-portal/videos/"+long, "/creators-portal/videos/"+long+"/retry"))
	if row := becomes(t, database, long, "publishing", "playable"); row.Attempt != 2 {
		t.Errorf("attempt %d", row.Attempt)
	}
	creator.asked(creator.submit("/creators-portal/videos/"+long, "/creators-portal/videos/"+long+"/delete"))
	becomes(t, database, long, "deleted")
	until(t, "all of it is gone", func() bool {
		left, err := filepath.Glob(filepath.Join(dataDir(s), "media", "*", long+"*"))
		return err == nil && len(left) == 0
	})
}

// A program that is killed in the middle goes on with what was finished, also where two of
// them go on.
func TestTranscodingSurvivesAKill(t *testing.T) {
	t.Parallel()
	database, dir := dbtest.New(t), folder(t)
	s := start(t, dir, environment(database))
	creator := member(t, s, "killed@example.com", goodPassword)
	f := newFilms(t)
	video := creator.handIn(f.run("film.mp4", args(picture("1280x720", 8), sound(8), h264, "-shortest")...), "Killed in the middle")
	becomes(t, database, video, "playable")
	s.kill()
	if n := count(happened(t, database, video), "RenditionTranscoded"); n != 1 {
		t.Fatalf("%d renditions were done when the program was killed: this shows nothing", n)
	}
	start(t, dir, environment(database))
	second := start(t, dir, environment(database))
	becomes(t, database, video, "published")
	all := happened(t, database, video)
	if n := count(all, "RenditionTranscoded"); n != 4 || count(all, "VideoPlayable") != 1 || count(all, "VideoPublished") != 1 {
		t.Errorf("%d renditions: %v", n, all)
	}
	if a := get(t, second.url+"/media/"+video+"/1/master.m3u8"); a.status != http.StatusOK || strings.Count(a.body, "#EXT-X-STREAM-INF") != 4 {
		t.Errorf("%d: %s", a.status, a.body)
	}
}

// Nobody sees or touches what is another person's.
func TestVideosOfOthers(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	owner, other := member(t, s, "owner@example.com", goodPassword), member(t, s, "other@example.com", goodPassword)
	stranger := visit(t, s)
	f := newFilms(t)
	id := owner.handIn(filmOf("320x180", 2, h264)(f), "Mine")
	becomes(t, database, id, "published")
	edit := "/creators-portal/videos/" + id
	for _, path := range []string{edit, edit + "/live"} {
		if a := other.get(path); a.status != http.StatusNotFound {
			t.Errorf("another person gets %s: %d", path, a.status)
		}
	}
	if a := stranger.get(edit); a.status != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), "/auth/log-in") {
		t.Errorf("who is signed out gets %d, %s", a.status, a.header.Get("Location"))
	}
	for _, what := range []string{"name", "description", "visibility", "delete", "cancel", "retry", "chapters/remove"} {
		form := url.Values{"name": {"Yours"}, "description": {"Yours"}, "visibility": {"public"}}
		if a := other.post(edit+"/"+what, form); a.status != http.StatusNotFound {
			t.Errorf("another person posts %s: %d", what, a.status)
		}
	}
	master, watch := "/media/"+id+"/1/master.m3u8", "/videos/"+id
	segment := regexp.MustCompile(`(?m)^[^#\n]+\.m3u8$`)
	check := func(visibility string, listed bool, forOthers int) {
		t.Helper()
		owner.done(owner.submit(edit, edit+"/visibility", "visibility", visibility))
		until(t, "the video is "+visibility, func() bool {
			a := get(t, s.url+watch)
			return a.status == forOthers && strings.Contains(get(t, s.url+"/").body, id) == listed
		})
		for _, path := range []string{watch, watch + "/live", master, "/media/" + id + "/1/video.mp4", "/media/" + id + "/1/poster.jpg"} {
			if strings.HasSuffix(path, "/live") && forOthers == http.StatusOK {
				continue // a stream
			}
			for who, v := range map[string]*visitor{"another person": other, "who is signed out": stranger} {
				if a := v.get(path); a.status != forOthers {
					t.Errorf("%s: %s gets %d for %s", visibility, who, a.status, path)
				}
			}
		}
		for _, path := range []string{watch, master} {
			if a := owner.get(path); a.status != http.StatusOK {
				t.Errorf("%s: its owner gets %d for %s", visibility, a.status, path)
			}
		}
		if a := stranger.post("/record-viewing/"+id, nil); (a.status == http.StatusNotFound) != (forOthers == http.StatusNotFound) {
			t.Errorf("%s: a viewing is answered with %d", visibility, a.status)
		}
	}
	check("private", false, http.StatusNotFound)
	check("unlisted", false, http.StatusOK)
	check("public", true, http.StatusOK)
	if a := get(t, s.url+master); !segment.MatchString(a.body) {
		t.Errorf("the master playlist names no other: %s", a.body)
	}
	for _, path := range []string{"/media/uploads/" + id, "/media/" + id + "/1/../../uploads/" + id, "/media/uploads%2f" + id} {
		if a := owner.get(path); a.status != http.StatusNotFound {
			t.Errorf("what was handed in can be had at %s: %d", path, a.status)
		}
	}
	owner.done(owner.submit(edit, edit+"/delete"))
	until(t, "the video is gone", func() bool { return get(t, s.url+watch).status == http.StatusNotFound })
	if a := owner.get(master); a.status != http.StatusNotFound {
		t.Errorf("the file of a deleted video: %d", a.status)
	}
	if all := happened(t, database, id); count(all, "VideoPublished") != 1 || count(all, "VideoDeleted") != 1 {
		t.Errorf("its history: %v", all)
	}
}

// Where there is no ffmpeg, what browsers play is published as it is.
func TestPublishingWithoutFFmpeg(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	f := newFilms(t)
	s := start(t, folder(t), append(environment(database), "PATH=/nowhere"))
	creator := member(t, s, "plain@example.com", goodPassword)
	if page := creator.get("/creators-portal"); !strings.Contains(said(page.body), "no ffmpeg") {
		t.Errorf("the portal does not say what is missing: %s", said(page.body))
	}
	mp4 := creator.handIn(filmOf("320x180", 2, h264)(f), "MP4")
	webm := creator.handIn(f.run("film.webm", args(picture("320x180", 2), sound(2), "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus -shortest")...), "WebM")
	other := creator.handIn(f.run("film.avi", args(picture("320x180", 2), sound(2), "-c:v mpeg4 -c:a mp3 -shortest")...), "AVI")
	p := person(t, chromium(t))
	for _, id := range []string{mp4, webm} {
		becomes(t, database, id, "published")
		p.goTo(s.url + "/videos/" + id)
		p.waitFor("it is there", `document.querySelector('video')?.readyState >= 2`)
		p.evaluate(play)
		p.waitFor("it plays", `document.querySelector('video').currentTime > 0.4`)
	}
	if row := becomes(t, database, other, "failed"); row.Reason != publishingmsg.NeedsFFmpeg {
		t.Errorf("%+v", row)
	}
}

// What may be uploaded is said before and kept to by the server.
func TestLimitsOfUploads(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database, "--max-upload-bytes", "102400", "--upload-quota-bytes", "153600")
	creator := member(t, s, "limits@example.com", goodPassword)
	if page := said(creator.get("/creators-portal").body); !regexp.MustCompile(`100\s?kB`).MatchString(page) || !regexp.MustCompile(`150\s?kB`).MatchString(page) {
		t.Errorf("the portal does not tell the limits: %s", page)
	}
	f := newFilms(t)
	big, fits := f.write("big.mp4", make([]byte, 102_401)), f.write("fits.mp4", make([]byte, 90_000))
	if _, a := creator.beginUpload(big, "Too big"); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a file that is too big: %d", a.status)
	}
	if _, a := creator.beginUpload(fits, "Fits"); a.status != http.StatusCreated {
		t.Errorf("a file that fits: %d %s", a.status, a.body)
	}
	if _, a := creator.beginUpload(fits, "Too much"); a.status < 400 || a.status >= 500 || a.body == "" {
		t.Errorf("more than the quota: %d %q", a.status, a.body)
	}
	if _, a := visit(t, s).beginUpload(fits, "Nobody's"); a.status != http.StatusUnauthorized {
		t.Errorf("who is signed out: %d", a.status)
	}
	if a := creator.sendForm(big, "Too big", ""); a.status != http.StatusRequestEntityTooLarge && a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "Too big") {
		t.Errorf("the form with a file that is too big: %d %s", a.status, said(a.body))
	}
}

// sendForm sends the form of the portal as a browser without scripts does.
func (v *visitor) sendForm(file, title, description string) answer {
	v.t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		v.t.Fatal(err)
	}
	var body bytes.Buffer
	const boundary = "----boundary"
	for _, field := range [][2]string{{"title", title}, {"description", description}} {
		fmt.Fprintf(&body, "--%s\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n", boundary, field[0], field[1])
	}
	fmt.Fprintf(&body, "--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=%q\r\nContent-Type: video/mp4\r\n\r\n", boundary, filepath.Base(file))
	body.Write(content)
	fmt.Fprintf(&body, "\r\n--%s--\r\n", boundary)
	return ask(v.t, v.client, http.MethodPost, v.url+"/creators-portal/videos", "multipart/form-data; boundary="+boundary, &body)
}
