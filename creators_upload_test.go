package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

// valve passes connections on to the site, and of what browsers send over each, after its
// first bytes, only as much as it was opened for.
type valve struct {
	url string

	mu     sync.Mutex
	opened *sync.Cond
	left   int64
}

func newValve(t *testing.T, to string) *valve {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	v := &valve{url: "http://localhost:" + port}
	v.opened = sync.NewCond(&v.mu)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go v.pass(conn, to)
		}
	}()
	t.Cleanup(func() { v.open(1 << 40) })
	return v
}

func (v *valve) open(bytes int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.left += bytes
	v.opened.Broadcast()
}

func (v *valve) take(n int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for v.left < n {
		v.opened.Wait()
	}
	v.left -= n
}

func (v *valve) pass(from net.Conn, address string) {
	defer from.Close()
	to, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer to.Close()
	go func() {
		_, _ = io.Copy(from, to)
		from.Close()
	}()
	free, piece := 256<<10, make([]byte, 64<<10)
	for {
		n, err := from.Read(piece)
		if err != nil {
			return
		}
		if free -= n; free < 0 {
			v.take(int64(n))
		}
		if _, err := to.Write(piece[:n]); err != nil {
			return
		}
	}
}

// An upload is paused and goes on, also after the server was killed, and in another tab
// after its own was closed; what was typed meanwhile is there. What arrives is what was
// sent.
func TestAnUploadIsPausedAndGoesOnInAnotherTab(t *testing.T) {
	t.Parallel()
	database, dir := dbtest.New(t), folder(t)
	s := start(t, dir, environment(database))
	f := newFilms(t)
	film, err := os.ReadFile(filmOf("320x180", 2, h264)(f))
	if err != nil {
		t.Fatal(err)
	}
	const padding = 48 << 20 // much more than all buffers on the way hold
	film = append(binary.BigEndian.AppendUint32(film, padding), "free"...)
	film = append(film, bytes.Repeat([]byte("nothing "), padding/8-1)...)
	file := f.write("A long way.mp4", film)

	v, browser := newValve(t, s.url[len("http://"):]), chromium(t)
	member(t, s, "patient@example.com", goodPassword)
	p := person(t, browser)
	p.logIn(&site{url: v.url}, "patient@example.com", goodPassword)
	p.sees("they are logged in", `action="/auth/log-out"`)
	p.goTo(v.url + "/creators-portal")
	p.waitFor("the page takes files", `document.querySelector('[data-upload-ready]')`)
	p.choose("#upload-file", file)
	const card = `document.querySelector('[data-uploads] [data-upload]')`
	p.waitFor("it is begun", card+`?.dataset.video`)
	id := p.evaluate(card + `.dataset.video`)
	arrived := func() int64 {
		info, err := os.Stat(filepath.Join(dir, "uploads", strings.ReplaceAll(id, "-", "")))
		if err != nil {
			return 0
		}
		return info.Size()
	}
	p.fill(`[data-uploads] input[name="title"]`, "Typed on the way")
	p.evaluate(`document.activeElement.blur()`)
	v.open(2 << 20)
	until(t, "a part of it has arrived", func() bool { return arrived() > 0 })
	p.waitFor("the title is saved", `document.querySelector('[data-uploads] [data-upload-note="title"] [data-field="saved"]')`)

	p.evaluate(card + `.querySelector("[data-upload-pause]").click()`)
	p.waitFor("it is paused", card+`.dataset.state === "paused"`)
	v.open(4 << 20)
	p.evaluate(card + `.querySelector("[data-upload-resume]").click()`)
	before := arrived()
	v.open(8 << 20)
	until(t, "more of it has arrived", func() bool { return arrived() > before })

	p.ignore() // a server that is away is an error to Chromium
	port := s.port()
	s.kill()
	p.waitFor("the page notices", card+`.dataset.state === "offline"`)
	s.startAt(port)
	before = arrived()
	v.open(8 << 20)
	until(t, "it goes on by itself", func() bool { return arrived() > before })

	next := window(t, browser, p.cookies)
	p.do(chromedp.ActionFunc(func(ctx context.Context) error {
		tab := chromedp.FromContext(ctx)
		return target.CloseTarget(tab.Target.TargetID).Do(cdp.WithExecutor(ctx, tab.Browser))
	}))
	v.open(1 << 40)
	next.goTo(v.url + "/creators-portal")
	next.waitFor("the page takes files", `document.querySelector('[data-upload-ready]')`)
	next.choose("#upload-file", file)
	next.waitFor("what was typed is there", `document.querySelector('[data-uploads] input[name="title"]').value === "Typed on the way"`)
	next.waitFor("all of it has arrived", card+`.dataset.state === "finished"`)
	if again := next.evaluate(card + `.dataset.video`); again != id || !messagestore.ValidID(id) {
		t.Errorf("%s went on as %s", id, again)
	}
	if row := becomes(t, database, id, "published"); row.Title != "Typed on the way" {
		t.Errorf("%+v", row)
	}
	source, err := os.ReadFile(filepath.Join(dir, "media", "uploads", id))
	if err != nil {
		t.Fatal(err)
	}
	if sha256.Sum256(source) != sha256.Sum256(film) {
		t.Errorf("%d bytes arrived, which are not the %d that were sent", len(source), len(film))
	}
}
