package sendemail

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"videotutorials/components/sendemail/sendemailmsg"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const (
	sender   = "Video Tutorials <no-reply@video-tutorials.example>"
	user     = "site"
	password = "s3cret/@:pass"
	// What a password looks like in an address.
	login = "site:s3cret%2F%40%3Apass@"
)

// mailServer is a real mail server on the loopback interface. A hook that is nil lets
// everything through.
type mailServer struct {
	t    testing.TB
	addr string
	ca   *x509.CertPool // of its certificate

	// The hooks see each step; a mail is received when all of them let it through.
	onMail, onRcpt func(conn *smtp.Conn, address string) error
	onData         func(conn *smtp.Conn, to string, message []byte) error

	mu       sync.Mutex
	received []delivery
	arrived  chan struct{} // gets something for each delivery
}

type delivery struct {
	from, to, user string
	utf8, tls      bool
	message        []byte
}

type security int

const (
	noTLS security = iota
	startTLS
	implicitTLS
)

// newMailServer starts a server with the hooks of m, at its address where it has one. mechanisms are those of AUTH that it offers; without
// any it asks nobody to log in.
func newMailServer(t testing.TB, s security, m *mailServer, mechanisms ...string) *mailServer {
	t.Helper()
	m.t, m.arrived = t, make(chan struct{}, 1000)
	listener, err := net.Listen("tcp", cmp.Or(m.addr, "127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	m.addr = listener.Addr().String()
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		session := &session{server: m, conn: c, mechanisms: mechanisms}
		if len(mechanisms) == 0 {
			return session, nil
		}
		return &authSession{session}, nil
	}))
	server.Domain, server.EnableSMTPUTF8 = "mail.example", true
	server.MaxMessageBytes = 256 << 10
	server.ErrorLog = log.New(io.Discard, "", 0)
	server.AllowInsecureAuth = s == noTLS
	if s != noTLS {
		certificate, ca := certify(t)
		m.ca = ca
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
	}
	if s == implicitTLS {
		listener = tls.NewListener(listener, server.TLSConfig)
	}
	serving := make(chan struct{})
	go func() {
		defer close(serving)
		if err := server.Serve(listener); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, smtp.ErrServerClosed) {
			t.Errorf("mail server: %v", err)
		}
	}()
	t.Cleanup(func() {
		server.Close()
		<-serving
	})
	return m
}

// client returns the transport to the server; address is what stands before the host
// in its URL, after what follows it.
func (m *mailServer) client(before, after string) *SMTP {
	m.t.Helper()
	s, err := NewSMTP(before+m.addr+after, sender, &tls.Config{RootCAs: m.ca})
	if err != nil {
		m.t.Fatal(err)
	}
	return s
}

func (m *mailServer) deliveries() []delivery {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.received
}

// to returns how many mails an address has received.
func (m *mailServer) to(address string) (n int) {
	for _, d := range m.deliveries() {
		if d.to == address {
			n++
		}
	}
	return n
}

type session struct {
	server     *mailServer
	conn       *smtp.Conn
	mechanisms []string
	delivery   delivery
	loggedIn   bool
}

func (s *session) Reset()        { s.delivery = delivery{user: s.delivery.user} }
func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, options *smtp.MailOptions) error {
	if len(s.mechanisms) > 0 && !s.loggedIn {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
	}
	s.delivery.from, s.delivery.utf8 = from, options.UTF8
	_, s.delivery.tls = s.conn.TLSConnectionState()
	if s.server.onMail != nil {
		return s.server.onMail(s.conn, from)
	}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.delivery.to = to
	if s.server.onRcpt != nil {
		return s.server.onRcpt(s.conn, to)
	}
	return nil
}

func (s *session) Data(r io.Reader) error {
	message, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.server.onData != nil {
		if err := s.server.onData(s.conn, s.delivery.to, message); err != nil {
			return err
		}
	}
	s.delivery.message = message
	s.server.mu.Lock()
	s.server.received = append(s.server.received, s.delivery)
	s.server.mu.Unlock()
	s.server.arrived <- struct{}{}
	return nil
}

type authSession struct{ *session }

func (s *authSession) AuthMechanisms() []string { return s.mechanisms }

func (s *authSession) Auth(mechanism string) (sasl.Server, error) {
	check := func(name, word string) error {
		if name != user || word != password {
			return smtp.ErrAuthFailed
		}
		s.loggedIn, s.delivery.user = true, name
		return nil
	}
	if mechanism == "LOGIN" {
		return &loginServer{check: check}, nil
	}
	return sasl.NewPlainServer(func(_, name, word string) error { return check(name, word) }), nil
}

// loginServer is the server's side of AUTH LOGIN.
type loginServer struct {
	check func(name, word string) error
	name  *string
}

func (l *loginServer) Next(answer []byte) (challenge []byte, done bool, err error) {
	switch {
	case answer == nil:
		return []byte("Username:"), false, nil
	case l.name == nil:
		name := string(answer)
		l.name = &name
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(*l.name, string(answer))
}

// certify returns a certificate for this machine and the authority that signed it.
func certify(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	make := func(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if parent == nil {
			parent, signer = template, key
		}
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
		if err != nil {
			t.Fatal(err)
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return certificate, key
	}
	authority, signer := make(&x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	leaf, key := make(&x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Mail server"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, authority, signer)
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}, pool
}

// scripted is a server that does with each connection what a test says, for what no
// real one does.
func scripted(t testing.TB, talk func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var talking sync.WaitGroup
	talking.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			talking.Go(func() {
				defer conn.Close()
				talk(conn)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		talking.Wait()
	})
	return listener.Addr().String()
}

func welcome(to string) sendemailmsg.Mail {
	return sendemailmsg.Mail{
		EmailID: messagestore.DeriveID("email", "welcome", to), To: to, Subject: "Welcome",
		Text: "Hello.\nConfirm your address.\n", HTML: "<p>Hello.</p><p><a href=\"https://video-tutorials.example/confirm-email?token=a.b\">Confirm your address</a></p>",
	}
}

func refusal(code int) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: "Not this one"}
}
