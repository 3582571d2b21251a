package assets_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/chromedp/chromedp"

	"videotutorials/assets"
	"videotutorials/views"
)

// desk serves one page at /, pushes what a test gives it to that page, and holds its form
// until the test lets it go.
type desk struct {
	url    string
	push   chan templ.Component
	posted atomic.Int64
	letGo  chan struct{}
}

func newDesk(t *testing.T, shown func(views.Page) templ.Component) *desk {
	t.Helper()
	d := &desk{push: make(chan templ.Component), letGo: make(chan struct{})}
	show := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:")
		_ = shown(views.Page{
			AppName: "Test", CSS: assets.URL("app.css"), JS: assets.URL("app.js"), Icon: assets.URL("favicon.svg"), Live: "/live", Path: r.URL.Path,
		}).Render(r.Context(), w)
	}
	mux := http.NewServeMux()
	mux.Handle(assets.Prefix, assets.Handler())
	mux.HandleFunc("GET /{$}", show)
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for id := 1; ; id++ {
			if http.NewResponseController(w).Flush() != nil {
				return
			}
			select {
			case c := <-d.push:
				var fragment strings.Builder
				_ = c.Render(r.Context(), &fragment)
				fmt.Fprintf(w, "id: %d\ndata: %s\n\n", id, strings.ReplaceAll(fragment.String(), "\n", "\ndata: "))
			case <-r.Context().Done():
				return
			}
		}
	})
	mux.HandleFunc("POST "+views.ForgotPasswordPath, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm() // a server sees only after the body that a browser has left
		d.posted.Add(1)
		select {
		case <-d.letGo:
		case <-r.Context().Done():
		}
		show(w, r)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	d.url = server.URL
	return d
}

func (d *desk) pushes(t *testing.T, id string, fragment templ.Component) {
	t.Helper()
	select {
	case d.push <- views.Push(id, fragment):
	case <-time.After(30 * time.Second):
		t.Fatalf("no page is open for the push of %s", id)
	}
}

func TestWhatIsTypedSurvivesAPush(t *testing.T) {
	t.Parallel()
	begun := time.Now().Add(-90 * time.Minute)
	account := views.Account{Email: "reader@example.com", This: "here", SignIns: []views.SignIn{{ID: "here", At: begun, Browser: "Firefox on Linux"}}}
	d, ctx := newDesk(t, func(p views.Page) templ.Component { return views.AccountPage(p, account) }), browser(t)
	do(t, ctx, chromedp.Navigate(d.url))
	until(t, ctx, isOpen)
	until(t, ctx, `document.querySelector('#session-here time').textContent === '1 hour ago'`)
	do(t, ctx,
		chromedp.SendKeys("#new-email", "typed@example.com"),
		chromedp.Click("#new-password + .show-password"),
		chromedp.SendKeys("#new-password", "a word in the open"))
	changed := account
	changed.Confirmed = true
	changed.SignIns = append([]views.SignIn{{ID: "there", At: time.Now(), Browser: "Safari on iPhone"}}, account.SignIns...)
	d.pushes(t, views.AccountDetailsID, views.AccountDetails(changed))
	d.pushes(t, views.SignInsID, views.SignIns(changed))
	until(t, ctx, `document.querySelector('#session-there time')?.textContent === 'just now'`)
	until(t, ctx, `document.querySelector('#account-details').innerText.includes('confirmed')`)
	until(t, ctx, `document.querySelector('#new-email').value === 'typed@example.com'`)
	until(t, ctx, `document.querySelector('#new-password').value === 'a word in the open'`)
	until(t, ctx, `document.querySelector('#new-password').type === 'text'`)
	until(t, ctx, `document.activeElement.id === 'new-password'`)
	d.pushes(t, views.AccountID, views.SessionOver(views.AccountID))
	until(t, ctx, `document.querySelector('[data-session-over]') && !document.querySelector('#new-email')`)
}

func TestAFormIsSentOnce(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t, func(p views.Page) templ.Component {
		return views.ForgotPasswordPage(p, views.ForgotPasswordForm{})
	}), browser(t)
	const form = `document.querySelector('main form')`
	do(t, ctx, chromedp.Navigate(d.url))
	until(t, ctx, isOpen)
	// All in one go: while the answer is on its way a page need not answer a debugger.
	var seen string
	do(t, ctx,
		chromedp.SendKeys("#forgot-email", "reader@example.com"),
		chromedp.Evaluate(`(() => {
			const seen = []
			const button = document.querySelector('main form button')
			addEventListener('submit', (event) => seen.push(event.defaultPrevented ? 'dropped' : 'sent'))
			for (let i = 0; i < 3; i++) button.click()
			return seen.join(' ') + ', ' + button.textContent
		})()`, &seen))
	if seen != "sent dropped dropped, Sending…" {
		t.Errorf("three clicks were: %s", seen)
	}
	if err := eventually(ctx, func() bool { return d.posted.Load() > 0 }); err != nil {
		t.Fatal(err)
	}
	close(d.letGo)
	until(t, ctx, form+`.querySelector('button').textContent === 'Send the link' && `+form+`.elements.email.value === ''`)
	if n := d.posted.Load(); n != 1 {
		t.Errorf("the form was sent %d times", n)
	}
	do(t, ctx, chromedp.Evaluate(`history.back()`, nil))
	until(t, ctx, form+`.querySelector('button').textContent === 'Send the link' && !('sent' in `+form+`.dataset)`)
}

func TestAPasswordCanBeShown(t *testing.T) {
	t.Parallel()
	refused := views.Registration{Email: "reader@example.com", ReceivedAt: time.Now()}
	underWay := refused
	d, ctx := newDesk(t, func(p views.Page) templ.Component { return views.RegistrationPage(p, underWay) }), browser(t)
	do(t, ctx, chromedp.Navigate(d.url))
	until(t, ctx, isOpen)
	for _, id := range []string{"one", "two"} { // a form that comes with a push has it too, and only once
		refused.Rejected = &views.RegisterForm{ID: id, Email: "reader@example.com", EmailProblem: "email-taken"}
		d.pushes(t, views.RegistrationID, views.RegistrationSteps(refused))
		until(t, ctx, `document.querySelector('main form')?.elements.id.value === '`+id+`' && document.querySelectorAll('.show-password').length === 1`)
	}
	do(t, ctx, chromedp.Click(".show-password"))
	until(t, ctx, `document.querySelector('#register-password').type === 'text'`)
	// What is sent is a password field, though this page goes nowhere.
	do(t, ctx, chromedp.Evaluate(`addEventListener('submit', (event) => event.preventDefault())`, nil), chromedp.Click("main form .button"))
	until(t, ctx, `document.querySelector('#register-password').type === 'password'`)
}

// What shows on the page is also said, and after five seconds without news both tell what is
// being waited for.
func TestStepsAreSaid(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := views.Registration{Email: "reader@example.com", ReceivedAt: now}
	d, ctx := newDesk(t, func(p views.Page) templ.Component { return views.RegistrationPage(p, r) }), browser(t)
	do(t, ctx, chromedp.Navigate(d.url))
	until(t, ctx, isOpen)
	const said = `document.querySelector('[data-says]').textContent`
	const waits = `document.querySelector('.wait').checkVisibility({visibilityProperty: true})`
	until(t, ctx, said+` === '' && !`+waits)
	registered := r
	registered.RegisteredAt = now.Add(38 * time.Millisecond)
	d.pushes(t, views.RegistrationID, views.RegistrationSteps(registered))
	until(t, ctx, said+` === 'Registered, after 38 ms.'`)
	until(t, ctx, `document.querySelector('[data-step="email-queued"] .wait') && !`+waits)
	until(t, ctx, said+`.startsWith('Still waiting') && `+waits)
	late := registered
	late.Late = true
	d.pushes(t, views.RegistrationID, views.RegistrationSteps(late))
	until(t, ctx, `document.querySelector('[data-late]') && `+waits)
}
