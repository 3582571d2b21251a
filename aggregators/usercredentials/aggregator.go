// Package usercredentials holds who can log in and how, in the table
// user_credentials. aggregator.go writes it, queries.go reads it, topic.go names
// what changed.
package usercredentials

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
)

// Aggregator projects the category identity.
type Aggregator struct {
	store *messagestore.Store
	views *pgxpool.Pool
}

// New returns the aggregator; views leads to the view data.
func New(store *messagestore.Store, views *pgxpool.Pool) *Aggregator {
	return &Aggregator{store, views}
}

// Subscriptions returns what the aggregator follows.
func (a *Aggregator) Subscriptions() []*messagestore.Subscription {
	return []*messagestore.Subscription{
		messagestore.NewProjection(a.store, a.views, messagestore.ProjectionConfig{Name: Name, Category: identitymsg.Category, Tables: []string{"user_credentials"}, Apply: apply}),
	}
}

func apply(ctx context.Context, tx pgx.Tx, b messagestore.Batch) (topics []string, err error) {
	c := changes{people: map[string]*row{}, taken: map[string]bool{}}
	handlers := []messagestore.Handler{
		messagestore.On(c.registered), messagestore.On(c.emailConfirmed),
		messagestore.On(c.emailChangeRequested), messagestore.On(c.emailChanged), messagestore.On(c.emailChangeRejected),
		messagestore.On(c.passwordChanged), messagestore.On(c.passwordHashUpgraded),
		messagestore.On(c.roleGranted), messagestore.On(c.roleRevoked),
	}
	for _, m := range b.Messages {
		if err := messagestore.Handle(ctx, m, handlers...); err != nil {
			return nil, err
		}
	}
	if len(c.all) == 0 {
		return nil, nil
	}
	if err := c.read(ctx, tx); err != nil {
		return nil, fmt.Errorf("read the credentials of %d people: %w", len(c.people), err)
	}
	changed := c.fold()
	if len(changed) == 0 {
		return nil, nil
	}
	if err := write(ctx, tx, changed); err != nil {
		return nil, fmt.Errorf("change the credentials of %d people: %w", len(changed), err)
	}
	for _, r := range changed {
		topics = append(topics, Topic(r.UserID))
	}
	return topics, nil
}

// row is one of the table; its zero value is that of nobody.
type row struct {
	UserID            string    `json:"user_id"`
	Email             string    `json:"email"`
	Address           string    `json:"address,omitzero"`
	PasswordHash      string    `json:"password_hash"`
	Confirmed         bool      `json:"confirmed"`
	PendingEmail      string    `json:"pending_email"`
	Roles             []string  `json:"roles"`
	Generation        int64     `json:"generation"`
	KeptSession       string    `json:"kept_session"`
	RegisteredAt      time.Time `json:"registered_at"`
	PasswordChangedAt time.Time `json:"password_changed_at,omitzero"`
}

// changes are those of one batch.
type changes struct {
	all    []change
	people map[string]*row // whom they are about
	taken  map[string]bool // addresses that they are about: whether somebody has them
}

type change struct {
	userID    string
	registers bool // it makes a row; every other one needs it
	apply     func(*row)
}

func (c *changes) add(userID string, apply func(*row)) {
	if messagestore.ValidID(userID) { // else it is nobody's
		c.people[userID] = &row{}
		c.all = append(c.all, change{userID: userID, apply: apply})
	}
}

func (c *changes) registered(_ context.Context, m messagestore.Message[identitymsg.Registered]) error {
	if !messagestore.ValidID(m.Data.UserID) {
		return nil
	}
	c.taken[addressOf(m.Data.Email)] = false
	c.people[m.Data.UserID] = &row{}
	c.all = append(c.all, change{userID: m.Data.UserID, registers: true, apply: func(r *row) {
		*r = row{UserID: m.Data.UserID, PasswordHash: m.Data.PasswordHash, Roles: []string{}, RegisteredAt: m.Time.UTC()}
		c.move(r, m.Data.Email)
	}})
	return nil
}

func (c *changes) emailConfirmed(_ context.Context, m messagestore.Message[identitymsg.EmailConfirmed]) error {
	c.add(m.Data.UserID, func(r *row) {
		if addressOf(m.Data.Email) == addressOf(r.Email) {
			r.Confirmed = true
		}
	})
	return nil
}

func (c *changes) emailChangeRequested(_ context.Context, m messagestore.Message[identitymsg.EmailChangeRequested]) error {
	c.add(m.Data.UserID, func(r *row) { r.PendingEmail = m.Data.Email })
	return nil
}

func (c *changes) emailChanged(_ context.Context, m messagestore.Message[identitymsg.EmailChanged]) error {
	c.taken[addressOf(m.Data.Email)] = false
	c.add(m.Data.UserID, func(r *row) {
		c.move(r, m.Data.Email)
		r.Confirmed, r.PendingEmail = true, ""
	})
	return nil
}

func (c *changes) emailChangeRejected(_ context.Context, m messagestore.Message[identitymsg.EmailChangeRejected]) error {
	c.add(m.Data.UserID, func(r *row) {
		// Who asks for the same again too soon still has the first mail, and its link works;
		// who knows an old password takes nothing back.
		if m.Data.Reason != identitymsg.TooSoon && m.Data.Reason != identitymsg.PasswordOutdated && addressOf(m.Data.Email) == addressOf(r.PendingEmail) {
			r.PendingEmail = ""
		}
	})
	return nil
}

func (c *changes) passwordChanged(_ context.Context, m messagestore.Message[identitymsg.PasswordChanged]) error {
	c.add(m.Data.UserID, func(r *row) {
		r.PasswordHash, r.KeptSession, r.PasswordChangedAt = m.Data.PasswordHash, m.Data.SessionID, m.Time.UTC()
		r.Generation++
		r.PendingEmail = "" // as the component: whoever knew the old password may have asked for it
	})
	return nil
}

func (c *changes) passwordHashUpgraded(_ context.Context, m messagestore.Message[identitymsg.PasswordHashUpgraded]) error {
	c.add(m.Data.UserID, func(r *row) { r.PasswordHash = m.Data.PasswordHash })
	return nil
}

func (c *changes) roleGranted(_ context.Context, m messagestore.Message[identitymsg.RoleGranted]) error {
	c.add(m.Data.UserID, func(r *row) {
		if at, has := slices.BinarySearch(r.Roles, m.Data.Role); !has {
			r.Roles = slices.Insert(r.Roles, at, m.Data.Role)
		}
	})
	return nil
}

func (c *changes) roleRevoked(_ context.Context, m messagestore.Message[identitymsg.RoleRevoked]) error {
	c.add(m.Data.UserID, func(r *row) {
		if at, has := slices.BinarySearch(r.Roles, m.Data.Role); has {
			r.Roles = slices.Delete(r.Roles, at, at+1)
		}
	})
	return nil
}

// longestAddress is in bytes. An address that nobody could write to must not break
// the index, whose entries have at most 2,704.
const longestAddress = 1000

// addressOf returns the form of an e-mail address that people are found by; empty
// where it is none.
func addressOf(email string) string {
	address, err := identitymsg.NormalAddress(email)
	if err != nil { // data of another program: what it took for an address
		address = strings.ToLower(strings.TrimSpace(email))
	}
	if len(address) > longestAddress {
		return ""
	}
	return address
}

// move gives a person an address. Where somebody has it already it stays theirs: the
// component reserves addresses, but data of another program has no reservations.
func (c *changes) move(r *row, email string) {
	c.taken[r.Address] = false
	r.Email, r.Address = email, ""
	if address := addressOf(email); address != "" && !c.taken[address] {
		r.Address, c.taken[address] = address, true
	}
}

func (c *changes) read(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `SELECT to_jsonb(u) FROM user_credentials u WHERE user_id = ANY($1::uuid[]) OR address = ANY($2::text[])`,
		slices.Collect(maps.Keys(c.people)), slices.Collect(maps.Keys(c.taken)))
	if err != nil {
		return err
	}
	known, err := pgx.CollectRows(rows, pgx.RowTo[row])
	for _, r := range known {
		c.taken[r.Address] = true
		if c.people[r.UserID] != nil {
			c.people[r.UserID] = &r
		}
	}
	return err
}

// fold applies the changes in their order and returns the rows that they are about.
func (c *changes) fold() (changed []*row) {
	touched := map[*row]bool{}
	for _, change := range c.all {
		r := c.people[change.userID]
		known := r.UserID != ""
		if known == change.registers {
			continue
		}
		change.apply(r)
		if !touched[r] {
			touched[r], changed = true, append(changed, r)
		}
	}
	return changed
}

func write(ctx context.Context, tx pgx.Tx, changed []*row) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO user_credentials (user_id, email, address, password_hash, confirmed, pending_email, roles, generation, kept_session, registered_at, password_changed_at)
		SELECT user_id, email, address, password_hash, confirmed, pending_email, roles, generation, kept_session, registered_at, password_changed_at
		FROM json_populate_recordset(NULL::user_credentials, $1)
		ON CONFLICT (user_id) DO UPDATE SET email = excluded.email, address = excluded.address, password_hash = excluded.password_hash,
			confirmed = excluded.confirmed, pending_email = excluded.pending_email, roles = excluded.roles, generation = excluded.generation,
			kept_session = excluded.kept_session, registered_at = excluded.registered_at, password_changed_at = excluded.password_changed_at`, changed)
	return err
}
