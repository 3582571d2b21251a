package sendemail

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"videotutorials/components/sendemail/sendemailmsg"
	"videotutorials/messagestore"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// read takes a message apart as a mail program does: its headers, its text and its HTML.
func read(t *testing.T, message []byte) (header netmail.Header, text, html string) {
	t.Helper()
	msg, err := netmail.ReadMessage(strings.NewReader(string(message)))
	if err != nil {
		t.Fatal(err)
	}
	decode := func(r io.Reader, encoding string) string {
		if encoding != "quoted-printable" {
			t.Fatalf("a part is encoded by %q", encoding)
		}
		b, err := io.ReadAll(quotedprintable.NewReader(r))
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(string(b), "\r\n", "\n")
	}
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	if kind == "text/plain" {
		return msg.Header, decode(msg.Body, msg.Header.Get("Content-Transfer-Encoding")), ""
	}
	if kind != "multipart/alternative" {
		t.Fatalf("the message is %s", kind)
	}
	parts := multipart.NewReader(msg.Body, params["boundary"])
	for _, want := range []string{"text/plain; charset=UTF-8", "text/html; charset=UTF-8"} {
		part, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		if got := part.Header.Get("Content-Type"); got != want {
			t.Fatalf("a part is %q, want %q", got, want)
		}
		body := decode(part, part.Header.Get("Content-Transfer-Encoding"))
		if strings.HasPrefix(want, "text/html") {
			html = body
		} else {
			text = body
		}
	}
	if _, err := parts.NextRawPart(); err != io.EOF {
		t.Fatalf("there are more parts: %v", err)
	}
	return msg.Header, text, html
}

func TestComposedMail(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("Häuser am Meer und ", 20)
	for _, mail := range []sendemailmsg.Mail{
		welcome("ann@example.com"),
		{To: "ann+tag@sub.example.com", Subject: "Grüße, 你好 – ☕", Text: "Grüße\n你好 ☕\n", HTML: "<p>Grüße, 你好 ☕</p>"},
		{To: "ann@example.com", Subject: long, Text: long + "\n.\n..\n.dots\nFrom here\n--\ntrailing \nspace\t\n", HTML: "<p>" + long + "</p>"},
		{To: "ann@example.com", Subject: "\"quotes\" <b@example.com>, c", Text: "only text"},
	} {
		mail.EmailID = messagestore.DeriveID("mail", mail.Subject)
		c, err := compose(mail, sender, noon)
		if err != nil {
			t.Errorf("%+v: %v", mail, err)
			continue
		}
		for line := range strings.SplitSeq(string(c.message), "\r\n") {
			if len(line) > 998 || strings.ContainsAny(line, "\r\n") || strings.ContainsFunc(line, func(r rune) bool { return r > 127 }) {
				t.Errorf("a line is no line of mail: %q", line)
			}
		}
		header, text, html := read(t, c.message)
		if text != mail.Text || html != mail.HTML {
			t.Errorf("text %q, want %q\nHTML %q, want %q", text, mail.Text, html, mail.HTML)
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(header.Get("Subject"))
		if err != nil || subject != mail.Subject {
			t.Errorf("the subject is %q, want %q, %v", subject, mail.Subject, err)
		}
		if date, err := header.Date(); err != nil || !date.Equal(noon) {
			t.Errorf("the date is %v, %v", date, err)
		}
		if list, err := header.AddressList("To"); err != nil || len(list) != 1 || list[0].Address != mail.To {
			t.Errorf("To is %v, %v", list, err)
		}
	}
}

// What people type never becomes a header or another recipient.
func TestHeaderInjection(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*sendemailmsg.Mail){
		"To CRLF":             func(m *sendemailmsg.Mail) { m.To += "\r\nBcc: eve@example.com" },
		"To LF":               func(m *sendemailmsg.Mail) { m.To += "\nBcc: eve@example.com" },
		"To CR":               func(m *sendemailmsg.Mail) { m.To += "\rBcc: eve@example.com" },
		"To folded":           func(m *sendemailmsg.Mail) { m.To += "\r\n " },
		"To SMTP command":     func(m *sendemailmsg.Mail) { m.To += ">\r\nRCPT TO:<eve@example.com" },
		"To two":              func(m *sendemailmsg.Mail) { m.To += ", eve@example.com" },
		"To named":            func(m *sendemailmsg.Mail) { m.To = "Eve <eve@example.com>" },
		"To in brackets":      func(m *sendemailmsg.Mail) { m.To = "<eve@example.com>" },
		"To quoted CRLF":      func(m *sendemailmsg.Mail) { m.To = "\"a\r\nBcc: eve@example.com\"@example.com" },
		"To quoted space":     func(m *sendemailmsg.Mail) { m.To = `"eve@example.com> "@example.com` },
		"To commented":        func(m *sendemailmsg.Mail) { m.To = "ann@example.com (eve)" },
		"To encoded word":     func(m *sendemailmsg.Mail) { m.To = "=?utf-8?q?eve?= <ann@example.com>" },
		"To NUL":              func(m *sendemailmsg.Mail) { m.To = "ann\x00@example.com" },
		"To empty":            func(m *sendemailmsg.Mail) { m.To = "" },
		"To without a domain": func(m *sendemailmsg.Mail) { m.To = "ann" },
		"To bad domain":       func(m *sendemailmsg.Mail) { m.To = "ann@exa_mple..com" },
		"To broken UTF-8":     func(m *sendemailmsg.Mail) { m.To = "ann\xff@example.com" },
		"Subject CRLF":        func(m *sendemailmsg.Mail) { m.Subject += "\r\nBcc: eve@example.com" },
		"Subject LF":          func(m *sendemailmsg.Mail) { m.Subject += "\nBcc: eve@example.com" },
		"Subject CR":          func(m *sendemailmsg.Mail) { m.Subject += "\rBcc: eve@example.com" },
		"Subject folded":      func(m *sendemailmsg.Mail) { m.Subject += "\r\n and on" },
		"Subject and body":    func(m *sendemailmsg.Mail) { m.Subject += "\r\n\r\nAnother body" },
		"Subject U+2028":      func(m *sendemailmsg.Mail) { m.Subject += "\u2028Bcc: eve@example.com" },
		"Subject U+0085":      func(m *sendemailmsg.Mail) { m.Subject += "\u0085Bcc: eve@example.com" },
		"Subject in code":     func(m *sendemailmsg.Mail) { m.Subject = "=?utf-8?b?DQpCY2M6IGFAYi5j?=" },
		"Subject broken":      func(m *sendemailmsg.Mail) { m.Subject += "\xff" },
		"Subject too long":    func(m *sendemailmsg.Mail) { m.Subject = strings.Repeat("x", 2000) },
		"id of a path":        func(m *sendemailmsg.Mail) { m.EmailID = "../../etc/passwd" },
		"id CRLF":             func(m *sendemailmsg.Mail) { m.EmailID += "\r\nBcc: eve@example.com" },
		"id empty":            func(m *sendemailmsg.Mail) { m.EmailID = "" },
	} {
		mail := welcome("ann@example.com")
		change(&mail)
		_, err := compose(mail, sender, noon)
		var no *Refusal
		if !errors.As(err, &no) || !no.Permanent {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := compose(welcome("ann@example.com"), "no sender", noon); err == nil || errors.As(err, new(*Refusal)) {
		t.Errorf("a sender that is no address is not the mail's fault: %v", err)
	}
}

// Whatever a mail says, the message has exactly our headers, and its text and HTML are
// what was said.
func FuzzCompose(f *testing.F) {
	f.Add("ann@example.com", "Welcome", "Hello\n", "<p>Hello</p>")
	f.Add("jörg@bücher.example", "Grüße\r\nBcc: a@b.c", ".\r\n.\r\n", "--boundary--\r\n")
	f.Add("a@b.c\nX: y", "=?utf-8?b?DQpCY2M6IGFAYi5j?=", "=\n=3D\r", "\x00\xff")
	f.Add("a'b{c}@d.example", " leading and trailing ", "a\rb\n\rc", strings.Repeat("=", 100))
	f.Add("a@b.example", strings.Repeat("ü ", 300), strings.Repeat(" ", 200), "<p>\t \n</p>")
	f.Add("a@b.example", strings.Repeat("x", 990), "", "")
	f.Add("a@b.example", "", "\r\x19\n", "0")
	f.Fuzz(func(t *testing.T, to, subject, text, html string) {
		mail := sendemailmsg.Mail{EmailID: messagestore.DeriveID("fuzz"), To: to, Subject: subject, Text: text, HTML: html}
		c, err := compose(mail, sender, noon)
		if errors.As(err, new(*Refusal)) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		header, gotText, gotHTML := read(t, c.message)
		var names []string
		for name, values := range header {
			names = append(names, name)
			if len(values) != 1 {
				t.Errorf("%s is there %d times", name, len(values))
			}
		}
		slices.Sort(names)
		want := []string{"Auto-Submitted", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To"}
		if html == "" {
			want = slices.Insert(want, 1, "Content-Transfer-Encoding")
		}
		if !slices.Equal(names, want) {
			t.Errorf("headers %q", names)
		}
		if got, err := new(mime.WordDecoder).DecodeHeader(header.Get("Subject")); err != nil || strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(subject), " ") {
			t.Errorf("subject %q becomes %q, %v", subject, got, err)
		}
		if gotText != newlines.Replace(text) || gotHTML != newlines.Replace(html) {
			t.Errorf("text %q becomes %q, HTML %q becomes %q", text, gotText, html, gotHTML)
		}
	})
}
