package usercredentials

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/messagestore"
)

// User is a person who has registered.
type User struct {
	// ID is the person's UUID, also the id of their streams.
	ID string
	// Email is the address as the person typed it.
	Email string
	// PasswordHash is never shown nor logged.
	PasswordHash string
	// Confirmed says that the person reads the mail of Email.
	Confirmed bool
	// PendingEmail is the address that the person changes to; it is to be confirmed.
	PendingEmail string
	// Roles are those beside that of a viewer, sorted.
	Roles []string
	// Generation counts the changes of the password: a session that began under
	// another one is over, unless it is KeptSession.
	Generation int64
	// KeptSession is the session that the last change of the password left going.
	KeptSession string
	// RegisteredAt is when the person registered, in UTC.
	RegisteredAt time.Time
	// PasswordChangedAt is when the password last changed, in UTC; zero if it never did.
	PasswordChangedAt time.Time
}

// LogValue names the person and leaves out what is personal.
func (u User) LogValue() slog.Value { return slog.GroupValue(slog.String("user_id", u.ID)) }

// String names the person and leaves out what is personal, so that no error text
// holds it.
func (u User) String() string { return "user " + u.ID }

// ErrNotFound is returned where nobody has the address or the id.
var ErrNotFound = errors.New("no such person")

// Queries reads the credentials.
type Queries struct{ views *pgxpool.Pool }

// NewQueries returns queries on the view data.
func NewQueries(views *pgxpool.Pool) Queries { return Queries{views} }

// ByAddress returns the person with an e-mail address in its normal form. It fails
// with [ErrNotFound].
func (q Queries) ByAddress(ctx context.Context, normal string) (User, error) {
	user, _, err := q.read(ctx, `u.address = $1`, normal)
	return user, err
}

// ByID returns a person, and the version of the view data that says so. It fails
// with [ErrNotFound], also then with the version.
func (q Queries) ByID(ctx context.Context, userID string) (User, int64, error) {
	if !messagestore.ValidID(userID) {
		return q.read(ctx, `false`)
	}
	return q.read(ctx, `u.user_id = $1`, userID)
}

func (q Queries) read(ctx context.Context, which string, args ...any) (user User, version int64, err error) {
	// One statement, so one snapshot: the version is that of exactly this row.
	var r *row
	err = q.views.QueryRow(ctx, `
		SELECT c.version, to_jsonb(u) FROM checkpoint c LEFT JOIN user_credentials u ON `+which+`
		WHERE c.name = '`+Name+`'`, args...).Scan(&version, &r)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && r == nil {
		err = ErrNotFound
	}
	if err != nil {
		return User{}, version, fmt.Errorf("read credentials: %w", err)
	}
	return User{ID: r.UserID, Email: r.Email, PasswordHash: r.PasswordHash, Confirmed: r.Confirmed, PendingEmail: r.PendingEmail,
		Roles: r.Roles, Generation: r.Generation, KeptSession: r.KeptSession,
		RegisteredAt: r.RegisteredAt.UTC(), PasswordChangedAt: r.PasswordChangedAt.UTC()}, version, nil
}
