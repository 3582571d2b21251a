package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/joho/godotenv"

	"videotutorials/components/sendemail"
	"videotutorials/db"
)

// config is what can be set, by flag or by environment.
type config struct {
	AppName          string        `name:"app-name" env:"APP_NAME" default:"Video Tutorials" placeholder:"NAME" help:"Name of the site."`
	Port             string        `env:"PORT" default:"3000" placeholder:"PORT" help:"TCP port to serve on; 0 takes a free one. With DOMAIN, HTTPS_PORT and HTTP_PORT are instead of it."`
	Domain           []string      `env:"DOMAIN" placeholder:"NAMES" help:"Names of the site, like videos.example,www.videos.example: it is served by HTTPS, with certificates that it gets from Let's Encrypt, whose terms are thereby accepted, and keeps in the data folder. The names must lead to this machine. Unset, it is served by HTTP."`
	HTTPSPort        string        `name:"https-port" env:"HTTPS_PORT" default:"443" placeholder:"PORT" help:"With DOMAIN, TCP port for HTTPS."`
	HTTPPort         string        `name:"http-port" env:"HTTP_PORT" default:"80" placeholder:"PORT" help:"With DOMAIN, TCP port for HTTP, which leads to HTTPS."`
	ACMEDirectoryURL string        `name:"acme-directory-url" env:"ACME_DIRECTORY_URL" placeholder:"URL" help:"With DOMAIN, another authority to get certificates from by ACME."`
	Drain            time.Duration `env:"DRAIN" default:"0s" placeholder:"LENGTH" help:"How long requests are still taken after the word to stop, while /ready says 503, like 10s: so long as a proxy or load balancer in front needs to hear that it should send nobody here any more."`
	DatabaseURL      string        `name:"database-url" env:"DATABASE_URL" placeholder:"URL" help:"Postgres database for view data, postgres://…; set together with the next, or neither."`
	MessageStoreURL  string        `name:"message-store-connection-string" env:"MESSAGE_STORE_CONNECTION_STRING" placeholder:"URL" help:"Postgres database for Message DB, postgres://…; with neither set, a private Postgres runs in the data folder."`
	BaseURL          string        `name:"base-url" env:"BASE_URL" placeholder:"URL" help:"Address of the site as people reach it, for links in mails: https://videos.example; unset, https:// and the first name of DOMAIN, else http://localhost and the port."`
	CookieSecret     string        `name:"cookie-secret" env:"COOKIE_SECRET" placeholder:"SECRET" help:"At least 32 characters that sign cookies; unset, a secret is made and kept in the data folder. Replicas need the same one."`
	IdentityKey      string        `name:"identity-key" env:"IDENTITY_KEY" placeholder:"KEY" help:"At least 32 characters by which e-mail addresses are found and links in mails are signed; unset, a key is made and kept in the data folder. It belongs to the message store and can never change."`
	SMTPURL          string        `name:"smtp-url" env:"SMTP_URL" placeholder:"URL" help:"Mail server: smtp://user:password@host:587 (STARTTLS) or smtps://user:password@host:465; unset, mails are written as files."`
	EmailDirectory   string        `name:"email-directory" env:"EMAIL_DIRECTORY" placeholder:"FOLDER" help:"Folder for mails where there is no mail server; unset, outbox in the data folder."`
	Sender           string        `name:"system-sender-email-address" env:"SYSTEM_SENDER_EMAIL_ADDRESS" placeholder:"ADDRESS" help:"Who mails are from; unset, no-reply at the host of the base URL."`
	Environment      string        `env:"ENVIRONMENT" default:"production" placeholder:"NAME" help:"development or production; development shows the mails that were written as files to everybody, at /outbox."`
	XRay             string        `name:"xray" env:"XRAY" placeholder:"on|off" help:"on lets everybody see what their own clicks set off, by a switch in the corner of each page; off does not. Unset, it is on in development."`
	TrustedProxies   string        `name:"trusted-proxies" env:"TRUSTED_PROXIES" placeholder:"NETWORKS" help:"Networks of proxies in front of the site, like 10.0.0.0/8,fd00::/8: what they say in X-Forwarded-For and X-Forwarded-Proto about where a visitor comes from, and whether by https, is believed. Unset, nobody is."`
	DataDir          string        `name:"data-dir" env:"DATA_DIR" default:"./data" placeholder:"FOLDER" help:"Folder for everything that is kept: videos, unfinished uploads, mails, the private Postgres, the cookie secret and the identity key."`
	MediaBucket      string        `name:"media-bucket" env:"MEDIA_BUCKET" placeholder:"URL" help:"Bucket for videos, s3://name?region=eu-central-1, for many machines; credentials are in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Unset, videos are files in the data folder."`
	MaxUploadBytes   int64         `name:"max-upload-bytes" env:"MAX_UPLOAD_BYTES" default:"4294967296" placeholder:"BYTES" help:"Longest file that can be uploaded, in bytes."`
	UploadQuota      int64         `name:"upload-quota-bytes" env:"UPLOAD_QUOTA_BYTES" default:"21474836480" placeholder:"BYTES" help:"How much one person may upload altogether, in bytes."`
	MaxVideoLength   time.Duration `name:"max-video-length" env:"MAX_VIDEO_LENGTH" default:"4h" placeholder:"LENGTH" help:"Longest video that is taken, like 90m or 4h."`
	Transcodes       int           `env:"TRANSCODES" default:"1" placeholder:"NUMBER" help:"How many videos are transcoded at the same time."`
	OTLPEndpoint     string        `name:"otel-exporter-otlp-endpoint" env:"OTEL_EXPORTER_OTLP_ENDPOINT" placeholder:"URL" help:"Receiver of OpenTelemetry spans by OTLP over HTTP, like http://localhost:4318; unset, there are none."`
	OpsAddress       string        `name:"ops-address" env:"OPS_ADDRESS" placeholder:"HOST:PORT" help:"Address for operators only, like 127.0.0.1:9090: metrics, profiles, health. Unset, there is none."`
	ReadyLag         time.Duration `name:"ready-lag" env:"READY_LAG" default:"30s" placeholder:"LENGTH" help:"How old the oldest message that waits may be while /ready says ok, like 30s or 2m."`
	LogFormat        string        `name:"log-format" env:"LOG_FORMAT" default:"text" placeholder:"NAME" help:"How the log is written: text or json."`
	Run              []string      `env:"RUN" placeholder:"PARTS" help:"What of the system this process runs: web, components, aggregators, or any component or aggregator by its name, like identity,send-email. Unset, it runs everything."`
	Group            string        `env:"COMPONENT_GROUP" placeholder:"MEMBER/MEMBERS" help:"Shares the work of each component among several processes: 2/5 makes this one the second of five. A process that runs no components is told how many there are, like 5. All processes of a site have the same number."`
	LogLevel         string        `name:"log-level" env:"LOG_LEVEL" default:"info" placeholder:"LEVEL" help:"What is logged: debug, info, warn or error."`
	Demo             bool          `name:"demo" negatable:"" default:"true" help:"Make the demo lessons on the first run with a private Postgres."`
}

// readDotEnv sets what a file sets and the environment does not, and returns the names of
// what it set.
func readDotEnv(name string) (fromFile map[string]bool, err error) {
	fromFile = map[string]bool{}
	set, err := godotenv.Read(name)
	var path *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case errors.As(err, &path):
		return nil, fmt.Errorf("%s cannot be read: %w", name, path.Err)
	case err != nil: // its text would show what stands in the file
		return nil, fmt.Errorf("%s cannot be read: each line must be NAME=value, a comment that begins with #, or empty", name)
	}
	for variable, value := range set {
		if _, already := os.LookupEnv(variable); !already {
			if err := os.Setenv(variable, value); err != nil {
				return nil, fmt.Errorf("%s: set %s: %w", name, variable, err)
			}
			fromFile[variable] = value != ""
		}
	}
	// An empty line of a .env file, or an empty variable, sets nothing.
	settings := reflect.TypeFor[config]()
	for i := range settings.NumField() {
		if variable := settings.Field(i).Tag.Get("env"); variable != "" && os.Getenv(variable) == "" {
			os.Unsetenv(variable)
		}
	}
	return fromFile, nil
}

// check refuses a value that makes no sense, with its name and why.
func (c config) check() (level slog.Level, err error) {
	if strings.TrimSpace(c.AppName) == "" {
		return level, errors.New("APP_NAME (--app-name) is empty: the site needs a name")
	}
	if err := checkPort("PORT (--port)", c.Port); err != nil {
		return level, err
	}
	if err := c.checkTLS(); err != nil {
		return level, err
	}
	if _, err := newShare(c.Run, c.Group); err != nil {
		return level, err
	}
	if c.Drain < 0 {
		return level, fmt.Errorf("DRAIN (--drain) is %s: it cannot be less than nothing", c.Drain)
	}
	if c.DataDir == "" {
		return level, errors.New("DATA_DIR (--data-dir) is empty: it must name a folder")
	}
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return level, fmt.Errorf("LOG_LEVEL (--log-level) is %q: it must be debug, info, warn or error", c.LogLevel)
	}
	if err := c.checkOps(); err != nil {
		return level, err
	}
	for _, limit := range []struct {
		name string
		set  int64
	}{
		{"MAX_UPLOAD_BYTES (--max-upload-bytes)", c.MaxUploadBytes}, {"UPLOAD_QUOTA_BYTES (--upload-quota-bytes)", c.UploadQuota},
		{"MAX_VIDEO_LENGTH (--max-video-length)", int64(c.MaxVideoLength)}, {"TRANSCODES (--transcodes)", int64(c.Transcodes)},
	} {
		if limit.set <= 0 {
			return level, fmt.Errorf("%s must be more than nothing", limit.name)
		}
	}
	if u, err := url.Parse(c.MediaBucket); c.MediaBucket != "" && (err != nil || u.Scheme != "s3" || u.Host == "") {
		return level, errors.New("MEDIA_BUCKET (--media-bucket) cannot be used: it must be like s3://name?region=eu-central-1")
	}
	if c.CookieSecret != "" && len(c.CookieSecret) < 32 {
		return level, fmt.Errorf("COOKIE_SECRET (--cookie-secret) has %d characters: it needs at least 32", len(c.CookieSecret))
	}
	if c.IdentityKey != "" && len(c.IdentityKey) < 32 {
		return level, fmt.Errorf("IDENTITY_KEY (--identity-key) has %d characters: it needs at least 32", len(c.IdentityKey))
	}
	if u, err := url.Parse(c.BaseURL); c.BaseURL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil) {
		return level, fmt.Errorf("BASE_URL (--base-url) is %q: it must be a scheme and a host, like https://videos.example", c.BaseURL)
	}
	if _, err := c.trustedProxies(); err != nil {
		return level, err
	}
	if c.Environment != "development" && c.Environment != "production" {
		return level, fmt.Errorf("ENVIRONMENT (--environment) is %q: it must be development or production", c.Environment)
	}
	if u, err := url.Parse(c.OTLPEndpoint); c.OTLPEndpoint != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		return level, errors.New("OTEL_EXPORTER_OTLP_ENDPOINT (--otel-exporter-otlp-endpoint) cannot be used: it must be like http://localhost:4318")
	}
	if c.XRay != "" && c.XRay != "on" && c.XRay != "off" {
		return level, fmt.Errorf("XRAY (--xray) is %q: it must be on or off", c.XRay)
	}
	if c.Sender != "" {
		if parsed, err := mail.ParseAddress(c.Sender); err != nil || parsed.Address != c.Sender {
			return level, fmt.Errorf("SYSTEM_SENDER_EMAIL_ADDRESS (--system-sender-email-address) is %q: it must be an e-mail address", c.Sender)
		}
	}
	if c.EmailDirectory != "" && c.SMTPURL == "" { // known now, and not when somebody waits for a mail
		err := os.MkdirAll(c.EmailDirectory, 0o700)
		if err == nil {
			err = syscall.Access(c.EmailDirectory, 0o3) // to write to it and to enter it
		}
		if err != nil {
			return level, fmt.Errorf("EMAIL_DIRECTORY (--email-directory) cannot be written to: %w", err)
		}
	}
	if c.SMTPURL != "" {
		if _, err := sendemail.NewSMTP(c.SMTPURL, "no-reply@localhost", nil); err != nil {
			return level, fmt.Errorf("SMTP_URL (--smtp-url) cannot be used: %w", err)
		}
	}
	if (c.DatabaseURL == "") != (c.MessageStoreURL == "") {
		return level, errors.New("only one of DATABASE_URL (--database-url) and MESSAGE_STORE_CONNECTION_STRING (--message-store-connection-string) is set: set both, or neither to run a private Postgres")
	}
	if c.DatabaseURL != "" {
		if err := db.CheckURL(c.DatabaseURL); err != nil {
			return level, fmt.Errorf("DATABASE_URL (--database-url) cannot be used: %w", err)
		}
		if err := db.CheckURL(c.MessageStoreURL); err != nil {
			return level, fmt.Errorf("MESSAGE_STORE_CONNECTION_STRING (--message-store-connection-string) cannot be used: %w", err)
		}
	}
	return level, nil
}

func checkPort(setting, set string) error {
	if port, err := strconv.Atoi(set); err != nil || port < 0 || port > 65535 {
		return fmt.Errorf("%s is %q: it must be a number from 0 to 65535", setting, set)
	}
	return nil
}

func (c config) mediaDir() string { return filepath.Join(c.DataDir, "media") }

// uploadsDir holds unfinished uploads, transcodingDir the work on videos.
func (c config) uploadsDir() string     { return filepath.Join(c.DataDir, "uploads") }
func (c config) transcodingDir() string { return filepath.Join(c.DataDir, "transcoding") }

// publicURL returns the address of the site as people reach it, without a slash at the end;
// empty where nobody has said it.
func (c config) publicURL() string {
	if c.BaseURL != "" {
		return strings.TrimSuffix(c.BaseURL, "/")
	}
	if domains, err := c.domains(); err == nil && len(domains) > 0 {
		return "https://" + hostAndPort(domains[0], c.HTTPSPort)
	}
	return ""
}

// baseURL returns the address of the site that links begin with.
func (c config) baseURL(port string) string {
	if public := c.publicURL(); public != "" {
		return public
	}
	return "http://localhost:" + port
}

// sitePort returns the port that the site is served on, and how it is set.
func (c config) sitePort() (setting, port string) {
	if c.https() {
		return "HTTPS_PORT (--https-port)", c.HTTPSPort
	}
	return "PORT (--port)", c.Port
}

// trustedProxies returns the networks that may say where a visitor comes from.
func (c config) trustedProxies() (networks []*net.IPNet, err error) {
	for text := range strings.SplitSeq(c.TrustedProxies, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		_, network, err := net.ParseCIDR(text)
		if err != nil {
			return nil, fmt.Errorf("TRUSTED_PROXIES (--trusted-proxies) has %q in it: each must be a network like 10.0.0.0/8", text)
		}
		networks = append(networks, network)
	}
	return networks, nil
}

// development reports whether the site is one to try things out with.
func (c config) development() bool { return c.Environment == "development" }

// xray says whether everybody can see what their own clicks set off.
func (c config) xray() bool { return c.XRay == "on" || c.XRay == "" && c.development() }

// transport returns the way that mails go, and the folder of the outbox where they
// are written as files.
func (c config) transport(baseURL string) (_ sendemail.Transport, outbox string, err error) {
	from := c.Sender
	if from == "" {
		u, err := url.Parse(baseURL)
		if err != nil {
			return nil, "", fmt.Errorf("BASE_URL (--base-url): %w", err)
		}
		host := u.Hostname()
		if net.ParseIP(host) != nil { // which is no part of an e-mail address
			host = "localhost"
		}
		from = "no-reply@" + host
	}
	if c.SMTPURL != "" {
		smtp, err := sendemail.NewSMTP(c.SMTPURL, from, nil)
		if err != nil {
			return nil, "", fmt.Errorf("SMTP_URL (--smtp-url) cannot be used: %w", err)
		}
		return smtp, "", nil
	}
	outbox = c.EmailDirectory
	if outbox == "" {
		outbox = filepath.Join(c.DataDir, "outbox")
	}
	return sendemail.NewDirectory(outbox, from), outbox, nil
}

// kept returns a secret that was set, else the one in a file of the data folder, nil where
// there is none yet.
func (c config) kept(set, file string) ([]byte, error) {
	if set != "" {
		return []byte(set), nil
	}
	name := filepath.Join(c.DataDir, file)
	secret, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read a secret: %w", err)
	case len(secret) < 32:
		return nil, fmt.Errorf("%s is too short to be a secret: put back the one that was there, or remove it to have a new one made", name)
	}
	return secret, nil
}

// secret returns the one that is kept, made on the first run. Two programs starting at
// once end up with the same one.
func (c config) secret(set, file string) ([]byte, error) {
	secret, err := c.kept(set, file)
	if err != nil || secret != nil {
		return secret, err
	}
	var random [32]byte
	rand.Read(random[:])
	return c.keep(file, []byte(hex.EncodeToString(random[:])))
}

// keep writes a secret to a file of the data folder, and returns the one that is there
// then: the first one stays.
func (c config) keep(file string, secret []byte) ([]byte, error) {
	if err := os.MkdirAll(c.DataDir, 0o755); err != nil {
		return nil, fmt.Errorf("DATA_DIR (--data-dir) cannot be made: %w", err)
	}
	made, err := os.CreateTemp(c.DataDir, "."+file+"-*")
	if err != nil {
		return nil, fmt.Errorf("make a secret: %w", err)
	}
	defer os.Remove(made.Name())
	defer made.Close()
	if _, err := made.Write(secret); err != nil {
		return nil, fmt.Errorf("make a secret: %w", err)
	}
	if err := made.Sync(); err != nil {
		return nil, fmt.Errorf("make a secret: %w", err)
	}
	// A link, not a rename: the first one stays.
	name := filepath.Join(c.DataDir, file)
	if err := os.Link(made.Name(), name); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("keep a secret: %w", err)
	}
	return os.ReadFile(name)
}
