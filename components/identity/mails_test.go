package identity

import (
	"bytes"
	"flag"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/components/sendemail/sendemailmsg"
	"videotutorials/messagestore"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestGoldenMails(t *testing.T) {
	t.Parallel()
	c := New(nil, Config{BaseURL: "https://videos.example.org/", AppName: "Video Tutorials"})
	link := c.link("/confirm-email", "MTc2|a+b=")
	for name, l := range map[string]letter{
		"welcome":          c.welcome("ada@example.org", link),
		"confirmation":     c.confirmation("ada@example.org", link),
		"password-reset":   c.passwordReset(c.link("/auth/reset-password", "MTc2|a+b=")),
		"password-changed": c.passwordChanged(),
		"new-address":      c.newAddress("lovelace@example.org", link),
		"old-address":      c.oldAddress("ada@example.org"),
	} {
		html, text := rendered(t, "Video Tutorials", l), "Subject: "+l.subject+"\n\n"+letterText("Video Tutorials", l)
		golden(t, name+".golden.html", strings.ReplaceAll(html, "><", ">\n<")+"\n")
		golden(t, name+".golden.txt", text)
		for _, said := range append(append([]string{l.action, l.link}, l.opening...), l.closing...) {
			if !strings.Contains(text, said) {
				t.Errorf("%s: the text leaves out %q", name, said)
			}
		}
		if strings.Count(html, "<style") != 1 || strings.Contains(html, "style=") || strings.Contains(html, "<img") || strings.Contains(html, "src=") || strings.Contains(html, "<script") || strings.Contains(html, "url(") {
			t.Errorf("%s is more than words and one style element", name)
		}
	}
}

func rendered(t *testing.T, appName string, l letter) string {
	t.Helper()
	var b bytes.Buffer
	if err := letterHTML(appName, l).Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it anew):\n%s", name, got)
	}
}

// Whatever was typed stays text.
func TestMailsAreEscaped(t *testing.T) {
	t.Parallel()
	c := New(nil, Config{BaseURL: "https://videos.example.org", AppName: `<i>Videos & "Co"`})
	typed := `<script>alert(1)</script>&"'@example.org`
	for _, l := range []letter{c.welcome(typed, "javascript:alert(1)"), c.confirmation(typed, "x"), c.newAddress(typed, "x"), c.oldAddress(typed)} {
		html := rendered(t, c.config.AppName, l)
		if strings.Contains(html, "<script") || strings.Contains(html, "<i>") || strings.Contains(html, `href="javascript`) {
			t.Errorf("%s", html)
		}
	}
}

// mail returns what was asked to be sent, which must be one message.
func (b bench) mail(emailID string) sendemailmsg.Mail {
	b.t.Helper()
	all := b.all(sendemailmsg.Category.CommandStream(emailID))
	if len(all) != 1 {
		b.t.Fatalf("%d commands to send the mail", len(all))
	}
	m, err := messagestore.Decode[sendemailmsg.Send](all[0])
	if err != nil {
		b.t.Fatal(err)
	}
	if m.Type != "Send" || m.Data.EmailID != emailID || m.Metadata.OriginStreamName.Category() != identitymsg.Category || m.Metadata.CausationMessageGlobalPosition == 0 {
		b.t.Errorf("%v from %+v", m, m.Metadata)
	}
	return m.Data.Mail
}

// token returns the token of the link in a mail.
func (b bench) token(m sendemailmsg.Mail, path string) string {
	b.t.Helper()
	_, link, found := strings.Cut(m.Text, "https://videos.example.org"+path+"?token=")
	link, _, ended := strings.Cut(link, "\n")
	token, err := url.QueryUnescape(link)
	if !found || !ended || err != nil || !strings.Contains(m.HTML, `href="https://videos.example.org`+path+"?token="+link+`"`) {
		b.t.Fatalf("no link to %s in %s\n%s", path, m.Text, m.HTML)
	}
	return token
}

func TestEventsAreMailed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	last := func() string { all := b.all(adaStream); return all[len(all)-1].ID }
	confirms := func(m sendemailmsg.Mail, to, email string) {
		t.Helper()
		got, err := b.config.Key.ReadConfirmation(b.token(m, "/confirm-email"))
		if want := (identitymsg.Confirmation{UserID: ada, Email: email}); err != nil || got != want || m.To != to {
			t.Errorf("to %s: %+v, %v; want %+v to %s", m.To, got, err, want, to)
		}
	}
	typed := "Ada@BÜCHER.example"
	b.When(b.events(), adaStream, identitymsg.Registered{UserID: ada, Email: typed, PasswordHash: "$argon2id$secret"})
	confirms(b.mail(identitymsg.WelcomeEmailID(ada)), "Ada@xn--bcher-kva.example", typed)

	b.When(b.events(), adaStream, identitymsg.ConfirmationRequested{UserID: ada, Email: "ada@example.org"})
	confirms(b.mail(messagestore.DeriveID("email", "confirmation", last())), "ada@example.org", "ada@example.org")

	b.When(b.events(), adaStream, identitymsg.EmailChangeRequested{UserID: ada, Email: "lovelace@example.org"})
	confirms(b.mail(messagestore.DeriveID("email", "new-address", last())), "lovelace@example.org", "lovelace@example.org")

	b.When(b.events(), adaStream, identitymsg.EmailChanged{UserID: ada, Email: "lovelace@example.org", Previous: "ada@example.org"})
	if m := b.mail(messagestore.DeriveID("email", "old-address", last())); m.To != "ada@example.org" || strings.Contains(m.Text+m.HTML, "lovelace") {
		t.Errorf("to %s: %s", m.To, m.Text)
	}

	b.When(b.events(), adaStream, identitymsg.PasswordResetRequested{UserID: ada, ResetID: "r1"})
	m := b.mail(messagestore.DeriveID("email", "password-reset", last()))
	if got, err := b.config.Key.ReadPasswordReset(b.token(m, "/auth/reset-password")); err != nil || got != (identitymsg.PasswordReset{UserID: ada, ResetID: "r1"}) || m.To != "lovelace@example.org" {
		t.Errorf("to %s: %+v, %v", m.To, got, err)
	}

	b.When(b.events(), adaStream, identitymsg.PasswordChanged{UserID: ada, PasswordHash: "$argon2id$secret", SessionID: "session"})
	if m := b.mail(messagestore.DeriveID("email", "password-changed", last())); m.To != "lovelace@example.org" || !strings.Contains(m.Text, "https://videos.example.org/auth/forgot-password\n") {
		t.Errorf("to %s: %s", m.To, m.Text)
	}

	sent, err := b.store.ReadCategory(b.ctx, sendemailmsg.Category.Commands(), messagestore.CategoryQuery{})
	if err != nil || len(sent) != 6 {
		t.Errorf("%d mails, %v", len(sent), err)
	}
	for _, m := range sent {
		if strings.Contains(string(m.Data), "argon2id") {
			t.Errorf("%v holds a hash", m)
		}
	}
}

// A link that no longer does anything is not sent.
func TestOnlyTheLastLinkIsSent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write(adaStream, registered)
	var asked []messagestore.Raw
	for _, id := range []string{"r1", "r2", "r2"} {
		asked = append(asked, b.write(adaStream, identitymsg.PasswordResetRequested{UserID: ada, ResetID: id}))
	}
	for _, m := range asked {
		b.handle(m, b.events())
	}
	sent, err := b.store.ReadCategory(b.ctx, sendemailmsg.Category.Commands(), messagestore.CategoryQuery{})
	if err != nil || len(sent) != 2 {
		t.Fatalf("%d mails, %v", len(sent), err)
	}
	for _, m := range asked[1:] { // asked for again while it works, it goes out again
		b.mail(messagestore.DeriveID("email", "password-reset", m.ID))
	}
}

// Who was welcomed when they registered, by whatever program, is not welcomed again.
func TestNobodyIsWelcomedTwice(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	old := b.write(adaStream, registered)
	b.write(adaStream, identitymsg.RegistrationEmailSent{UserID: ada, EmailID: "another"})
	b.handle(old, b.events())
	if n := len(b.all(sendemailmsg.Category.CommandStream(identitymsg.WelcomeEmailID(ada)))); n != 0 {
		t.Errorf("%d mails", n)
	}
}

func TestTheOutcomeOfTheWelcomeMail(t *testing.T) {
	t.Parallel()
	welcome := sendemailmsg.Mail{EmailID: identitymsg.WelcomeEmailID(ada), To: "ada@example.org"}
	other := sendemailmsg.Mail{EmailID: messagestore.DeriveID("email", "another"), To: "ada@example.org"}
	sent := identitymsg.RegistrationEmailSent{UserID: ada, EmailID: welcome.EmailID}
	failed := identitymsg.RegistrationEmailFailed{UserID: ada, EmailID: welcome.EmailID, Reason: "550 no such mailbox"}
	for name, test := range map[string]struct {
		given  bodies
		origin messagestore.Stream
		when   bodies
		then   bodies
	}{
		"sent":                 {bodies{registered}, adaStream, bodies{sendemailmsg.Sent{Mail: welcome}}, bodies{registered, sent}},
		"failed":               {bodies{registered}, adaStream, bodies{sendemailmsg.Failed{Mail: welcome, Reason: "550 no such mailbox"}}, bodies{registered, failed}},
		"told twice":           {bodies{registered}, adaStream, bodies{sendemailmsg.Sent{Mail: welcome}, sendemailmsg.Sent{Mail: welcome}}, bodies{registered, sent}},
		"another mail":         {bodies{registered}, adaStream, bodies{sendemailmsg.Sent{Mail: other}}, bodies{registered}},
		"of another component": {bodies{registered}, "videoPublishing-1", bodies{sendemailmsg.Sent{Mail: welcome}}, bodies{registered}},
		"nobody waits":         {bodies{registered}, "", bodies{sendemailmsg.Sent{Mail: welcome}}, bodies{registered}},
		"of nobody":            {nil, adaStream, bodies{sendemailmsg.Sent{Mail: welcome}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.Given(adaStream, test.given...)
			stream := sendemailmsg.Category.Stream(welcome.EmailID)
			for _, body := range test.when {
				if _, err := b.store.Write(b.ctx, stream, body, messagestore.WithMetadata(messagestore.Metadata{TraceID: "trace", OriginStreamName: test.origin})); err != nil {
					t.Fatal(err)
				}
			}
			for _, m := range b.all(stream) {
				b.handle(m, b.mails())
				b.handle(m, b.mails())
			}
			var got, want []string
			for _, m := range b.all(adaStream) {
				got = append(got, m.Type+string(m.Data))
			}
			written := newBench(t)
			for _, body := range test.then {
				m := written.write(adaStream, body)
				want = append(want, m.Type+string(m.Data))
			}
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
