package db

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const applicationName = "video-tutorials"

// OpenViews returns a pool for the view data. It connects when it is first used, so it needs no database yet. A
// statement is given up after 60 s and a wait for a lock after 15 s (SQLSTATE 57014 and 55P03), unless the URL says
// otherwise. pool_max_conns in the URL changes the size of the pool, which is 8.
func OpenViews(ctx context.Context, databaseURL string) (*pgxpool.Pool, error) {
	return openPool(ctx, databaseURL, "views", nil)
}

// OpenMessageStore returns a pool for Message DB, whose functions need their schema on the search path. Otherwise it
// is like OpenViews.
func OpenMessageStore(ctx context.Context, databaseURL string) (*pgxpool.Pool, error) {
	return openPool(ctx, databaseURL, "message store", map[string]string{"search_path": "message_store,public"})
}

// ListenConfig returns the configuration for the one connection of a process that listens to a database. Such a
// connection mostly waits, so it has no timeouts, and TCP finds out within a minute that the other side is gone.
func ListenConfig(databaseURL string) (*pgx.ConnConfig, error) {
	config, err := connConfig(databaseURL)
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["application_name"] = applicationName + " listen"
	config.AfterConnect = noticeTheEnd
	return config, nil
}

// noticeTheEnd has the server find out within about twenty seconds that this machine is gone without a word, and let
// go of the locks that the connection holds: by itself it would take up to two hours. This side gives up a
// connection earlier, so that what the next one does is not done twice. Over a socket file the server ignores it.
func noticeTheEnd(ctx context.Context, conn *pgconn.PgConn) error {
	_, err := conn.Exec(ctx, `SELECT set_config('tcp_user_timeout', '20s', false), set_config('tcp_keepalives_idle', '10', false),
		set_config('tcp_keepalives_interval', '3', false), set_config('tcp_keepalives_count', '3', false)`).ReadAll()
	if err != nil {
		return fmt.Errorf("have the server notice when this machine is gone: %w", err)
	}
	return nil
}

// CheckURL returns an error in plain words unless the program can use databaseURL as the address of a database. It
// does not connect, and the error holds no password.
func CheckURL(databaseURL string) error {
	_, err := connConfig(databaseURL)
	return err
}

func openPool(ctx context.Context, databaseURL, purpose string, params map[string]string) (*pgxpool.Pool, error) {
	u, err := parseURL(databaseURL)
	if err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("read the database URL: %w", err)
	}
	prepare(config.ConnConfig)
	for name, value := range map[string]string{
		"application_name":                    applicationName + " " + purpose,
		"statement_timeout":                   "60s",
		"lock_timeout":                        "15s",
		"idle_in_transaction_session_timeout": "60s",
	} {
		if config.ConnConfig.RuntimeParams[name] == "" {
			config.ConnConfig.RuntimeParams[name] = value
		}
	}
	for name, value := range params {
		config.ConnConfig.RuntimeParams[name] = value
	}
	if !u.Query().Has("pool_max_conns") {
		config.MaxConns = 8
	}
	config.MaxConnIdleTime = 5 * time.Minute
	config.MaxConnLifetimeJitter = 10 * time.Minute
	// pgx would ping every connection that rested for a second, and so double the queries of an idle program. The
	// socket knows for nothing whether the server closed it; only where it is in doubt do we ask.
	config.ShouldPing = func(_ context.Context, params pgxpool.ShouldPingParams) bool {
		return !silent(params.Conn.PgConn().Conn())
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open the pool for the %s: %w", purpose, err)
	}
	return pool, nil
}

// silent tells whether conn is open and has nothing to read, which is how a connection to Postgres rests. One that
// was closed has an end of file to read, or the server's parting words.
func silent(conn net.Conn) bool {
	if wrapped, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = wrapped.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	var peekErr error
	err = raw.Control(func(fd uintptr) {
		_, _, peekErr = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	return err == nil && errors.Is(peekErr, syscall.EAGAIN)
}

// connConfig reads a database URL for a single connection.
func connConfig(databaseURL string) (*pgx.ConnConfig, error) {
	if _, err := parseURL(databaseURL); err != nil {
		return nil, err
	}
	// Read as a pool's, because its parameters must not reach the server.
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("read the database URL: %w", err)
	}
	prepare(config.ConnConfig)
	return config.ConnConfig, nil
}

func prepare(config *pgx.ConnConfig) {
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second
	}
	dialer := &net.Dialer{
		Timeout:         config.ConnectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 20 * time.Second, Interval: 10 * time.Second, Count: 3},
	}
	config.DialFunc = dialer.DialContext
}

// parseURL reads a database URL. Its errors say nothing of what stands in the URL beyond the scheme: a password with
// an unescaped character can turn up in any part of it.
func parseURL(databaseURL string) (*url.URL, error) {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return nil, errors.New("not a valid URL: write it as postgres://user:password@host:5432/database, with special characters in the password percent-encoded")
	}
	switch {
	case u.Scheme == "postgres" || u.Scheme == "postgresql":
		return u, nil
	case u.Scheme == "" || u.Host == "" && u.Path == "":
		return nil, errors.New("not a URL: write it as postgres://user:password@host:5432/database")
	default:
		return nil, fmt.Errorf("a %s:// URL: only Postgres is supported, write it as postgres://user:password@host:5432/database", u.Scheme)
	}
}
