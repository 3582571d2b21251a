package sendemail

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	netmail "net/mail"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"videotutorials/messagestore"
)

// soon returns a context that ends long after everything should have happened.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestMailIsTaken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		security      security
		before, after string
		mechanisms    []string
	}{
		"plain":                     {noTLS, "smtp://", "?tls=none", nil},
		"plain with password":       {noTLS, "smtp://" + login, "?tls=none", []string{"PLAIN"}},
		"STARTTLS":                  {startTLS, "smtp://", "", nil},
		"STARTTLS with AUTH PLAIN":  {startTLS, "smtp://" + login, "/", []string{"LOGIN", "PLAIN"}},
		"STARTTLS with AUTH LOGIN":  {startTLS, "smtp://" + login, "", []string{"LOGIN"}},
		"TLS":                       {implicitTLS, "smtps://", "", nil},
		"TLS with AUTH PLAIN":       {implicitTLS, "smtps://" + login, "", []string{"PLAIN"}},
		"TLS with AUTH LOGIN":       {implicitTLS, "smtps://" + login, "", []string{"LOGIN"}},
		"a password nobody asks of": {startTLS, "smtp://", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newMailServer(t, c.security, &mailServer{}, c.mechanisms...)
			s := server.client(c.before, c.after)
			mail := welcome("ann@example.com")
			if err := s.Send(soon(t), mail); err != nil {
				t.Fatal(err)
			}
			got := server.deliveries()
			if len(got) != 1 {
				t.Fatalf("%d mails arrived", len(got))
			}
			d := got[0]
			if d.from != "no-reply@video-tutorials.example" || d.to != "ann@example.com" || d.utf8 || d.tls != (c.security != noTLS) || (d.user == user) != (c.mechanisms != nil) {
				t.Errorf("envelope %q → %q, UTF-8 %v, TLS %v, user %q", d.from, d.to, d.utf8, d.tls, d.user)
			}
			msg, err := netmail.ReadMessage(strings.NewReader(string(d.message)))
			if err != nil {
				t.Fatal(err)
			}
			for header, want := range map[string]string{
				"From": `"Video Tutorials" <no-reply@video-tutorials.example>`, "To": "<ann@example.com>", "Subject": "Welcome",
				"Message-Id": "<" + mail.EmailID + "@video-tutorials.example>", "Auto-Submitted": "auto-generated",
			} {
				if got := msg.Header.Get(header); got != want {
					t.Errorf("%s is %q, want %q", header, got, want)
				}
			}
		})
	}
}

// What the server refuses about one mail is a refusal, and says whether to try again.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"sender", "recipient", "mail"} {
		for _, code := range []int{421, 450, 451, 452, 530, 535, 550, 552, 554} {
			t.Run(fmt.Sprint(at, " ", code), func(t *testing.T) {
				t.Parallel()
				server := &mailServer{}
				switch at {
				case "sender":
					server.onMail = func(*smtp.Conn, string) error { return refusal(code) }
				case "recipient":
					server.onRcpt = func(*smtp.Conn, string) error { return refusal(code) }
				case "mail":
					server.onData = func(*smtp.Conn, string, []byte) error { return refusal(code) }
				}
				newMailServer(t, noTLS, server)
				err := server.client("smtp://", "?tls=none").Send(soon(t), welcome("ann@example.com"))
				var no *Refusal
				isRefusal := errors.As(err, &no)
				if about := code != 421 && code != 530 && code != 535; isRefusal != about {
					t.Fatalf("%d to the %s is %v (%T)", code, at, err, err)
				}
				if isRefusal && (no.Permanent != (code >= 500) || no.Reason != fmt.Sprintf("the mail server refused the %s: %d %d.1.1 Not this one", at, code, code/100)) {
					t.Errorf("%d to the %s is %+v", code, at, no)
				}
				if strings.Contains(err.Error(), "ann@") || len(server.deliveries()) != 0 {
					t.Errorf("%v, %d deliveries", err, len(server.deliveries()))
				}
			})
		}
	}
}

func TestMailThatIsTooLong(t *testing.T) {
	t.Parallel()
	server := newMailServer(t, noTLS, &mailServer{})
	mail := welcome("ann@example.com")
	mail.Text = strings.Repeat("All work and no play.\n", 20_000)
	var no *Refusal
	if err := server.client("smtp://", "?tls=none").Send(soon(t), mail); !errors.As(err, &no) || !no.Permanent {
		t.Errorf("a mail that is too long: %v", err)
	}
}

// Trouble with the server is not about the mail: the caller tries again.
func TestTrouble(t *testing.T) {
	t.Parallel()
	quick := func(s *SMTP) *SMTP {
		s.answerTime, s.mailTime = 50*time.Millisecond, 500*time.Millisecond
		return s
	}
	plain := func(t *testing.T, addr string) *SMTP {
		s, err := NewSMTP("smtp://"+addr+"?tls=none", sender, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for name, make := range map[string]func(t *testing.T) *SMTP{
		"nobody listens": func(t *testing.T) *SMTP {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			l.Close()
			return plain(t, l.Addr().String())
		},
		"closes at once": func(t *testing.T) *SMTP { return plain(t, scripted(t, func(net.Conn) {})) },
		"is no mail server": func(t *testing.T) *SMTP {
			return plain(t, scripted(t, func(c net.Conn) { io.WriteString(c, "SSH-2.0-x\r\n") }))
		},
		"greets with 554": func(t *testing.T) *SMTP {
			return plain(t, scripted(t, func(c net.Conn) { io.WriteString(c, "554 no\r\n") }))
		},
		"answers with noise": func(t *testing.T) *SMTP {
			return plain(t, scripted(t, func(c net.Conn) { io.WriteString(c, "220 hello\r\n250\r\n\x00\xff\r\n") }))
		},
		"says nothing at all": func(t *testing.T) *SMTP {
			return quick(plain(t, scripted(t, func(c net.Conn) { io.Copy(io.Discard, c) })))
		},
		"says a byte at a time": func(t *testing.T) *SMTP {
			return quick(plain(t, scripted(t, func(c net.Conn) {
				tick := time.NewTicker(10 * time.Millisecond)
				defer tick.Stop()
				for range tick.C {
					if _, err := io.WriteString(c, "2"); err != nil {
						return
					}
				}
			})))
		},
		"has no STARTTLS": func(t *testing.T) *SMTP { return newMailServer(t, noTLS, &mailServer{}).client("smtp://", "") },
		"has no TLS":      func(t *testing.T) *SMTP { return quick(newMailServer(t, noTLS, &mailServer{}).client("smtps://", "")) },
		"of an unknown CA": func(t *testing.T) *SMTP {
			m := newMailServer(t, startTLS, &mailServer{})
			_, m.ca = certify(t)
			return m.client("smtp://", "")
		},
		"of an unknown CA, TLS": func(t *testing.T) *SMTP {
			m := newMailServer(t, implicitTLS, &mailServer{})
			_, m.ca = certify(t)
			return m.client("smtps://", "")
		},
		"of another name": func(t *testing.T) *SMTP {
			m := newMailServer(t, startTLS, &mailServer{})
			m.addr = strings.Replace(m.addr, "127.0.0.1", "localhost", 1)
			return m.client("smtp://", "")
		},
		"offers no AUTH": func(t *testing.T) *SMTP { return newMailServer(t, startTLS, &mailServer{}).client("smtp://"+login, "") },
		"wants a log-in": func(t *testing.T) *SMTP {
			return newMailServer(t, startTLS, &mailServer{}, "PLAIN").client("smtp://", "")
		},
		"refuses the password": func(t *testing.T) *SMTP {
			return newMailServer(t, startTLS, &mailServer{}, "PLAIN").client("smtp://site:s3cret-wrong@", "")
		},
		"refuses it by LOGIN": func(t *testing.T) *SMTP {
			return newMailServer(t, startTLS, &mailServer{}, "LOGIN").client("smtp://site:s3cret-wrong@", "")
		},
		"drops at the sender": func(t *testing.T) *SMTP {
			return newMailServer(t, noTLS, &mailServer{onMail: func(c *smtp.Conn, _ string) error { return c.Conn().Close() }}).client("smtp://", "?tls=none")
		},
		"drops at the recipient": func(t *testing.T) *SMTP {
			return newMailServer(t, noTLS, &mailServer{onRcpt: func(c *smtp.Conn, _ string) error { return c.Conn().Close() }}).client("smtp://", "?tls=none")
		},
		"drops after the mail": func(t *testing.T) *SMTP {
			return newMailServer(t, noTLS, &mailServer{onData: func(c *smtp.Conn, _ string, _ []byte) error { return errors.Join(c.Conn().Close(), refusal(451)) }}).client("smtp://", "?tls=none")
		},
		"drops in the mail": func(t *testing.T) *SMTP {
			return plain(t, scripted(t, func(c net.Conn) {
				answerUntil(c, "DATA")
				io.WriteString(c, "354 go on\r\n")
				io.CopyN(io.Discard, c, 100)
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := make(t)
			err := s.Send(soon(t), welcome("ann@example.com"))
			var no *Refusal
			if err == nil || errors.As(err, &no) {
				t.Fatalf("a server that %s: %v", name, err)
			}
			if text := err.Error(); strings.Contains(text, "s3cret") || strings.Contains(text, "ann@") {
				t.Errorf("the error tells too much: %s", text)
			}
			t.Log(err)
		})
	}
}

// answerUntil talks as a mail server that agrees to everything, until a command.
func answerUntil(c net.Conn, command string) {
	io.WriteString(c, "220 mail.example\r\n")
	lines := bufio.NewScanner(c)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), command) {
		io.WriteString(c, "250 mail.example\r\n")
	}
}

// A mail that is with the server is sent, whatever the server does to say goodbye.
func TestNoGoodbye(t *testing.T) {
	t.Parallel()
	for name, goodbye := range map[string]func(net.Conn){
		"drops the connection": func(net.Conn) {},
		"refuses":              func(c net.Conn) { io.WriteString(c, "500 no\r\n"); io.Copy(io.Discard, c) },
		"says nothing":         func(c net.Conn) { io.Copy(io.Discard, c) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := scripted(t, func(c net.Conn) {
				answerUntil(c, "DATA")
				io.WriteString(c, "354 go on\r\n")
				for b, end := []byte{0}, ""; !strings.HasSuffix(end, "\r\n.\r\n"); end += string(b) {
					if _, err := c.Read(b); err != nil {
						return
					}
				}
				io.WriteString(c, "250 it is mine\r\n")
				goodbye(c)
			})
			s, err := NewSMTP("smtp://"+addr+"?tls=none", sender, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Send(soon(t), welcome("ann@example.com")); err != nil {
				t.Error(err)
			}
		})
	}
}

// A server that dies of one mail would never see the next if that one were tried for
// ever.
func TestMailThatBreaksConnections(t *testing.T) {
	t.Parallel()
	server := newMailServer(t, noTLS, &mailServer{onRcpt: func(c *smtp.Conn, to string) error {
		if to == "poison@example.com" {
			return c.Conn().Close()
		}
		return nil
	}})
	s := server.client("smtp://", "?tls=none")
	for range 2 {
		for n := 1; n <= mostBroken; n++ {
			if err := s.Send(soon(t), welcome("ann@example.com")); err != nil {
				t.Fatal(err)
			}
			err := s.Send(soon(t), welcome("poison@example.com"))
			var no *Refusal
			if refused := errors.As(err, &no); refused != (n == mostBroken) || refused && no.Permanent {
				t.Fatalf("connection %d: %v", n, err)
			}
		}
	}
	if len(s.broken) > 0 {
		t.Errorf("%d mails are remembered", len(s.broken))
	}
	locked := newMailServer(t, startTLS, &mailServer{}, "PLAIN").client("smtp://", "")
	for range mostBroken + 1 {
		if err := locked.Send(soon(t), welcome("ann@example.com")); !errors.Is(err, errLogIn) {
			t.Fatalf("a server that wants a log-in is trouble with the server for ever, not with a mail: %v", err)
		}
	}
}

func TestEndOfContext(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"greeting", "recipient", "mail"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(soon(t))
			stuck := func() { cancel(); <-t.Context().Done() }
			server := &mailServer{}
			var addr string
			switch at {
			case "greeting":
				addr = scripted(t, func(c net.Conn) { cancel(); io.Copy(io.Discard, c) })
			case "recipient":
				server.onRcpt = func(*smtp.Conn, string) error { stuck(); return nil }
			case "mail":
				server.onData = func(*smtp.Conn, string, []byte) error { stuck(); return refusal(451) }
			}
			if addr == "" {
				addr = newMailServer(t, noTLS, server).addr
			}
			s, err := NewSMTP("smtp://"+addr+"?tls=none", sender, nil)
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if err := s.Send(ctx, welcome("ann@example.com")); !errors.Is(err, context.Canceled) {
				t.Errorf("stopped: %v", err)
			}
			if took := time.Since(began); took > s.answerTime/2 {
				t.Errorf("it took %s to stop", took)
			}
		})
	}
}

// What went before the end is known to have gone.
func TestEndOfContextWhileTheServerDecides(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(soon(t))
	server := newMailServer(t, noTLS, &mailServer{onData: func(*smtp.Conn, string, []byte) error { cancel(); return nil }})
	if err := server.client("smtp://", "?tls=none").Send(ctx, welcome("ann@example.com")); err != nil || len(server.deliveries()) != 1 {
		t.Errorf("%v, %d deliveries", err, len(server.deliveries()))
	}
}

// Addresses with letters beyond ASCII go where the server takes them; those without
// never ask for it, as such a mail could go no further at some servers.
func TestLettersBeyondASCII(t *testing.T) {
	t.Parallel()
	server := newMailServer(t, noTLS, &mailServer{})
	s := server.client("smtp://", "?tls=none")
	for _, to := range []string{"jörg@example.com", "ann@bücher.example"} {
		if err := s.Send(soon(t), welcome(to)); err != nil {
			t.Error(err)
		}
	}
	got := server.deliveries()
	if len(got) != 2 || got[0].to != "jörg@example.com" || !got[0].utf8 || got[1].to != "ann@xn--bcher-kva.example" || got[1].utf8 {
		t.Errorf("arrived: %+v", got)
	}
	var talked atomic.Bool
	old, err := NewSMTP("smtp://"+scripted(t, func(c net.Conn) { answerUntil(c, "MAIL"); talked.Store(true) })+"?tls=none", sender, nil)
	if err != nil {
		t.Fatal(err)
	}
	var no *Refusal
	if err := old.Send(soon(t), welcome("jörg@example.com")); !errors.As(err, &no) || !no.Permanent {
		t.Errorf("a server without SMTPUTF8: %v", err)
	}
}

func TestNewSMTP(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"smtp://mail.example":               "mail.example:587",
		"smtps://mail.example":              "mail.example:465",
		"smtp://mail.example:25?tls=none":   "mail.example:25",
		"smtp://u:p@mail.example/":          "mail.example:587",
		"smtps://a%40b:p%25%2f@[::1]:10465": "[::1]:10465",
	} {
		s, err := NewSMTP(address, "no-reply@localhost", nil)
		if err != nil || s.String() != want || s.tls.MinVersion != tls.VersionTLS12 || s.tls.ServerName != s.host {
			t.Errorf("%s: %v, %v", address, s, err)
		}
	}
	for _, address := range []string{
		"", "mail.example", "mail.example:25", "http://mail.example", "smtp://", "smtp://:25", "smtp://mail.example:0", "smtp://mail.example:70000",
		"smtp://mail.example:smtp", "smtp://mail.example/inbox", "smtp://mail.example?tls=maybe", "smtp://mail.example?tls=none&x=1", "smtp://mail.example?x=1", "smtps://mail.example?tls=none",
		"smtp://mail.example#x", "smtp://s3cret@mail.example", "smtp://:s3cret@mail.example", "smtp://u:s3cret%zz@mail.example", "smtp://u:s3cret@x@mail.example:s3cret", "smtp://u:s3c/ret@mail.example", "smtp://u:s3cret@mail example", "smtp://u:s3c ret\x01@mail.example",
		"smtp://u:s3cret/@mail.example", "smtp://u:s3cret?@mail.example", "smtp://u:s3cret#@mail.example",
	} {
		_, err := NewSMTP(address, "no-reply@localhost", nil)
		if err == nil {
			t.Errorf("%q is taken", address)
		} else if strings.Contains(err.Error(), "s3c") {
			t.Errorf("%q: the error tells the password: %v", address, err)
		}
	}
	if _, err := NewSMTP("smtp://mail.example", "nobody", nil); err == nil {
		t.Error("a sender that is no address is taken")
	}
	s, err := NewSMTP("smtp://site:s3cret@mail.example", "no-reply@localhost", nil)
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(s) + fmt.Sprintf("%v %+v", s, s); strings.Contains(text, "s3cret") {
		t.Errorf("it prints as %s", text)
	}
}

func TestReason(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"550 no\r\n such\x00 one\xff": "550 no such one�",
		strings.Repeat("é", 200):      strings.Repeat("é", 150) + "…",
		strings.Repeat("€", 200):      strings.Repeat("€", 100) + "…",
	} {
		if got := reason(text); got != want {
			t.Errorf("%q becomes %q", text, got)
		}
	}
	if id := welcome("a@b.example").EmailID; !messagestore.ValidID(id) {
		t.Error(id)
	}
}
