package sendemail

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"videotutorials/components/sendemail/sendemailmsg"
)

const (
	// How long a mail server may take for one answer, and for a whole mail.
	answerTime = time.Minute
	mailTime   = 3 * time.Minute
	// Once the server has the whole mail, its answer is waited for this much longer than
	// anything else: a mail that went and is not known to have gone goes twice.
	verdictTime = 3 * time.Second
	// A server that has taken the mail is not waited for any longer than this.
	farewellTime = time.Second
	// A mail that broke so many connections in a row is postponed: a server that dies of
	// one mail would otherwise never see the next.
	mostBroken = 5
	// A server's words are kept up to so many bytes.
	longestReason = 300
)

// SMTP hands mails to a mail server.
type SMTP struct {
	host, port     string
	implicit       bool // TLS from the first byte; otherwise STARTTLS
	plain          bool // no TLS at all
	user, password string
	from           string
	tls            *tls.Config

	answerTime, mailTime time.Duration
	now                  func() time.Time

	mu     sync.Mutex
	broken map[string]int // connections that broke in a row, by the id of the mail
}

// NewSMTP returns the transport to the mail server at address:
//
//	smtp://user:password@host:587    STARTTLS, which must work; the port may be left out
//	smtps://user:password@host:465   TLS from the first byte; the port may be left out
//	smtp://host:25?tls=none          no TLS, for a mail server on the same machine
//
// User and password may be left out. from is the address that mails come from, with or
// without a name. A nil tlsConfig trusts the machine's certificate authorities. What is
// wrong with an address is said without quoting it.
func NewSMTP(address, from string, tlsConfig *tls.Config) (*SMTP, error) {
	u, err := url.Parse(address)
	if err != nil {
		// The error quotes what it could not read, which may be the password.
		return nil, errors.New("the mail server's address is no URL: what is not a letter or a digit in user and password is written as in %40 for @")
	}
	s := &SMTP{host: u.Hostname(), port: u.Port(), from: from, answerTime: answerTime, mailTime: mailTime, now: time.Now, broken: map[string]int{}}
	switch u.Scheme {
	case "smtp":
		s.port = cmp.Or(s.port, "587")
	case "smtps":
		s.port, s.implicit = cmp.Or(s.port, "465"), true
	default:
		return nil, errors.New("the mail server's address begins with neither smtp:// nor smtps://")
	}
	query, err := url.ParseQuery(u.RawQuery)
	s.plain = query.Get("tls") == "none"
	if port, bad := strconv.ParseUint(s.port, 10, 16); bad != nil || port == 0 || s.host == "" {
		return nil, errors.New("the mail server's address has no host, or no port between 1 and 65535")
	}
	if err != nil || len(query) > 0 && !s.plain || len(query) > 1 || s.plain && s.implicit || strings.Trim(u.Path, "/") != "" || u.Fragment != "" {
		return nil, errors.New("the mail server's address has more to it than host and port; all that may follow is ?tls=none after smtp://")
	}
	if u.User != nil {
		s.user = u.User.Username()
		s.password, _ = u.User.Password()
		if s.user == "" || s.password == "" {
			return nil, errors.New("the mail server's address has a user without a password, or the other way round")
		}
	}
	if _, err := netmail.ParseAddress(from); err != nil {
		return nil, fmt.Errorf("the address that mails come from: %w", err)
	}
	if tlsConfig == nil {
		tlsConfig = &tls.Config{}
	}
	s.tls = tlsConfig.Clone()
	s.tls.ServerName = cmp.Or(s.tls.ServerName, s.host)
	s.tls.MinVersion = max(s.tls.MinVersion, tls.VersionTLS12)
	return s, nil
}

// String returns host and port: what may be shown of a mail server.
func (s *SMTP) String() string { return net.JoinHostPort(s.host, s.port) }

// Send returns nil when the server has taken the mail. It fails with a [Refusal] where
// the server refused this mail: for good by a code of 500 and more, for now by one of
// 400 and more.
func (s *SMTP) Send(ctx context.Context, mail sendemailmsg.Mail) error {
	c, err := compose(mail, s.from, s.now())
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeoutCause(ctx, s.mailTime, fmt.Errorf("a mail took longer than %s", s.mailTime))
	defer cancel()
	client, conn, err := s.connect(limited)
	if err != nil {
		return fmt.Errorf("connect to the mail server %s: %w", s, ended(limited, err))
	}
	defer conn.Close()
	err = transmit(client, c, func() { conn.decided.Store(true) })
	var no *Refusal
	if err == nil || errors.As(err, &no) {
		s.broke(mail.EmailID, false)
		conn.patience = farewellTime
		_ = client.Quit() // the mail is decided already
		return err
	}
	if ctx.Err() == nil && !errors.Is(err, errLogIn) && s.broke(mail.EmailID, true) >= mostBroken {
		s.broke(mail.EmailID, false)
		return &Refusal{Reason: "the mail server broke the connection at this mail, time and again"}
	}
	return fmt.Errorf("mail server %s: %w", s, ended(limited, err))
}

// Check connects as for a mail, with TLS and log-in where these are set, and sends none.
func (s *SMTP) Check(ctx context.Context) error {
	limited, cancel := context.WithTimeoutCause(ctx, s.mailTime, fmt.Errorf("it took longer than %s", s.mailTime))
	defer cancel()
	client, conn, err := s.connect(limited)
	if err != nil {
		return fmt.Errorf("connect to the mail server %s: %w", s, ended(limited, err))
	}
	defer conn.Close()
	conn.patience = farewellTime
	_ = client.Quit()
	return nil
}

// ended says that ctx has ended rather than that the connection was closed for it.
func ended(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (s *SMTP) broke(emailID string, again bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !again {
		delete(s.broken, emailID)
		return 0
	}
	s.broken[emailID]++
	return s.broken[emailID]
}

// connect returns a client that has said hello, and has TLS and is logged in where
// that is wanted. The end of ctx closes the connection, and soon afterwards where the
// server has the whole mail.
func (s *SMTP) connect(ctx context.Context) (*smtp.Client, *patientConn, error) {
	var conn *patientConn
	dial := func(dialling context.Context, network, _ string) (net.Conn, error) {
		dialling, cancel := context.WithTimeout(dialling, s.answerTime)
		defer cancel()
		var d net.Dialer
		raw, err := d.DialContext(dialling, network, s.String())
		if err != nil {
			return nil, err
		}
		conn = &patientConn{Conn: raw, patience: s.answerTime}
		conn.stop = context.AfterFunc(ctx, func() {
			if conn.decided.Load() {
				time.AfterFunc(verdictTime, func() { raw.Close() })
				return
			}
			raw.Close()
		})
		if !s.implicit {
			return conn, nil
		}
		secure := tls.Client(conn, s.tls)
		return secure, secure.HandshakeContext(dialling)
	}
	options := []gomail.Option{gomail.WithTimeout(s.mailTime), gomail.WithTLSConfig(s.tls), gomail.WithDialContextFunc(dial)}
	switch {
	case s.implicit:
		options = append(options, gomail.WithSSL())
	case s.plain:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.user != "" { // without TLS, the library gives a password to this machine only
		options = append(options, gomail.WithUsername(s.user), gomail.WithPassword(s.password),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthPlain, gomail.SMTPAuthLogin, gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthCramMD5))
	}
	dialer, err := gomail.NewClient(s.host, options...)
	if err != nil {
		return nil, nil, err
	}
	client, err := dialer.DialToSMTPClientWithContext(ctx)
	if err != nil && conn != nil {
		conn.Close() // the library leaves it open
	}
	return client, conn, err
}

// transmit says one mail to a server that waits for one. It calls complete before the
// server can know that it has the whole mail.
func transmit(client *smtp.Client, c composed, complete func()) error {
	// A mail that asks for SMTPUTF8 can go no further where a server does not know it.
	client.SkipSMTPUTF8(!c.utf8)
	if knows, _ := client.Extension("SMTPUTF8"); c.utf8 && !knows {
		return &Refusal{Reason: "the mail server takes no address with letters beyond ASCII", Permanent: true}
	}
	if err := client.Mail("<" + c.from + ">"); err != nil {
		return answered("the sender", err)
	}
	if err := client.Rcpt("<" + c.to + ">"); err != nil {
		return answered("the recipient", err)
	}
	data, err := client.Data()
	if err != nil {
		return answered("the mail", err)
	}
	if _, err := data.Write(c.message); err != nil {
		return answered("the mail", err)
	}
	complete()
	return answered("the mail", data.Close())
}

// errLogIn says that the server takes no mail from us, whatever it is.
var errLogIn = errors.New("the mail server wants another log-in")

// answered tells a refusal of one mail from trouble with the server.
func answered(what string, err error) error {
	var answer *textproto.Error
	if err == nil || !errors.As(err, &answer) {
		return err
	}
	// The server's words are left out of what goes to the log: they may name the recipient.
	switch {
	case answer.Code == 530, answer.Code == 534, answer.Code == 535, answer.Code == 538:
		return fmt.Errorf("%w: %d to %s", errLogIn, answer.Code, what)
	case answer.Code == 421, answer.Code < 400: // it closes the connection, or makes no sense
		return fmt.Errorf("the mail server answered %d to %s", answer.Code, what)
	}
	return &Refusal{Reason: reason(fmt.Sprintf("the mail server refused %s: %d %s", what, answer.Code, answer.Msg)), Permanent: answer.Code >= 500}
}

// reason makes one line of a server's words.
func reason(text string) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "�"), func(r rune) bool {
		return unicode.IsControl(r) || unicode.IsSpace(r)
	}), " ")
	if len(text) > longestReason {
		text = strings.ToValidUTF8(text[:longestReason], "") + "…"
	}
	return text
}

// patientConn waits so long for each piece of an answer, and no longer.
type patientConn struct {
	net.Conn
	patience time.Duration
	stop     func() bool
	decided  atomic.Bool // the server has the whole mail
}

func (c *patientConn) Read(b []byte) (int, error) {
	if err := c.Conn.SetReadDeadline(time.Now().Add(c.patience)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c *patientConn) Write(b []byte) (int, error) {
	if err := c.Conn.SetWriteDeadline(time.Now().Add(c.patience)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// SetDeadline does nothing: the library sets one for the whole conversation.
func (c *patientConn) SetDeadline(time.Time) error { return nil }

func (c *patientConn) Close() error {
	c.stop()
	return c.Conn.Close()
}
