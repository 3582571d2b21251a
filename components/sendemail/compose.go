package sendemail

import (
	"bytes"
	"fmt"
	netmail "net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	gomail "github.com/wneessen/go-mail"
	"golang.org/x/net/idna"

	"videotutorials/components/sendemail/sendemailmsg"
	"videotutorials/messagestore"
)

// composed is a mail as it travels.
type composed struct {
	from, to string // of the envelope, without angle brackets
	utf8     bool   // an address has letters beyond ASCII
	message  []byte // headers and bodies
}

// longestSubject is far more than anybody reads, in bytes.
const longestSubject = 1000

// newlines makes one kind of line end of three: the encoding of mails gets confused by
// a carriage return alone.
var newlines = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// compose makes the message of a mail. It fails with a permanent [Refusal] for a mail
// that cannot be one.
func compose(m sendemailmsg.Mail, from string, date time.Time) (composed, error) {
	sender, err := netmail.ParseAddress(from)
	if err != nil {
		return composed{}, fmt.Errorf("the address that mails come from: %w", err)
	}
	to, err := recipient(m.To)
	if err != nil {
		return composed{}, err
	}
	switch {
	case !messagestore.ValidID(m.EmailID):
		return composed{}, &Refusal{Reason: "the id of the mail is no UUID", Permanent: true}
	case !oneLine(m.Subject) || len(m.Subject) > longestSubject || strings.Contains(m.Subject, "=?"): // mail programs would read that as a code
		return composed{}, &Refusal{Reason: "the subject is not one line of text", Permanent: true}
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(sender)
	msg.ToMailAddress(&netmail.Address{Address: to})
	msg.Subject(m.Subject)
	msg.SetDateWithValue(date)
	msg.SetMessageIDWithValue(m.EmailID + "@" + domain(sender.Address))
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(gomail.TypeTextPlain, newlines.Replace(m.Text))
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, newlines.Replace(m.HTML))
	}
	var b bytes.Buffer
	if _, err := msg.WriteTo(&b); err != nil {
		return composed{}, fmt.Errorf("compose mail %s: %w", m.EmailID, err)
	}
	return composed{from: sender.Address, to: to, utf8: !ascii(sender.Address) || !ascii(to), message: b.Bytes()}, nil
}

// recipient returns an address as SMTP takes it: nothing beside it, and its domain in
// the letters of DNS.
func recipient(address string) (string, error) {
	no := &Refusal{Reason: "this is no address that mail can go to", Permanent: true}
	parsed, err := netmail.ParseAddress(address)
	if err != nil || !oneLine(address) || parsed.Name != "" || parsed.Address != strings.TrimSpace(address) {
		return "", no
	}
	host, err := idna.Lookup.ToASCII(domain(parsed.Address))
	if err != nil {
		return "", no
	}
	return strings.TrimSuffix(parsed.Address, domain(parsed.Address)) + host, nil
}

func domain(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// oneLine reports whether a text can stand in a header: what has a control character
// or the separators of lines in it could become another header.
func oneLine(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
	})
}

func ascii(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII })
}
