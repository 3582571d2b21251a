package outbox_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	_ "image/png" // screenshots
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/labstack/echo/v4"
)

// In a real browser: the frame has the mail's style and nothing else that the mail
// wants, and its link leads the whole window on.
func TestFrameInChromium(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var evil atomic.Int32
	s.router.Any("/evil", func(c echo.Context) error { evil.Add(1); return c.String(http.StatusOK, "evil") })
	s.router.GET("/confirm", func(c echo.Context) error { return c.HTML(http.StatusOK, "<title>Confirm</title>") })
	server := httptest.NewServer(s.router)
	t.Cleanup(server.Close)
	attacks := strings.NewReplacer("{EVIL}", server.URL+"/evil", "{SITE}", server.URL, "=", "=3D").Replace(
		`<html><head><meta http-equiv="refresh" content="0;url={EVIL}"><style>a { position: fixed; inset: 0; background: rgb(1, 200, 3) url({EVIL}) }</style><link rel="stylesheet" href="{EVIL}"></head>` +
			`<body><script src="{EVIL}"></script><script>top.location = "{EVIL}"</script><img src="{EVIL}" onerror="fetch('{EVIL}')"><iframe src="{EVIL}"></iframe><object data="{EVIL}"></object><video src="{EVIL}" autoplay></video>` +
			`<a href="{SITE}/confirm" style="background: red">Confirm</a></body></html>`)
	s.write(id(1)+".eml", fmt.Sprintf(mail, "x", "y", attacks))

	ctx := browser(t)
	var box struct{ X, Y, Width, Height float64 }
	do(t, ctx, chromedp.EmulateViewport(1200, 900), chromedp.Navigate(server.URL+"/outbox/"+id(1)),
		chromedp.ScrollIntoView("iframe"), chromedp.Evaluate(`document.querySelector("iframe").getBoundingClientRect().toJSON()`, &box))
	x, y := int(box.X+box.Width/2), int(box.Y+min(box.Height, 300)/2)
	for want := (color.RGBA{1, 200, 3, 255}); ; { // a frame may be painted later than its page
		var png []byte
		do(t, ctx, chromedp.CaptureScreenshot(&png))
		shot, _, err := image.Decode(bytes.NewReader(png))
		if err != nil {
			t.Fatal(err)
		}
		if color.RGBAModel.Convert(shot.At(x, y)) == want {
			break
		}
	}
	do(t, ctx, chromedp.MouseClickXY(float64(x), float64(y)))
	untilAt(t, ctx, server.URL+"/confirm")
	if n := evil.Load(); n > 0 {
		t.Errorf("the mail asked for %d things", n)
	}

	// The frame's address opened by itself can do no more.
	do(t, ctx, chromedp.Navigate(server.URL+"/outbox/"+id(1)+"/html"), chromedp.MouseClickXY(100, 100))
	untilAt(t, ctx, server.URL+"/confirm")
	if n := evil.Load(); n > 0 {
		t.Errorf("the mail by itself asked for %d things", n)
	}
}

// browser starts Chromium, which is gone when the test ends.
func browser(t *testing.T) context.Context {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			program = found
			break
		}
	}
	if program == "" {
		t.Fatal("this test needs Chromium: install the package chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}

func do(t *testing.T, ctx context.Context, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// untilAt waits until the window is at an address.
func untilAt(t *testing.T, ctx context.Context, address string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var at string
		err := chromedp.Run(ctx, chromedp.Location(&at)) // it fails while the page is being replaced
		if err == nil && at == address {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the window is at %q, %v", at, err)
		}
	}
}
