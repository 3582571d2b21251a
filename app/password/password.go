// Package password hashes passwords, compares them with hashes, and says which ones
// are too weak.
package password

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/text/unicode/norm"

	"videotutorials/messagestore"
)

// ErrBusy is returned when so many passwords wait to be hashed that another one would
// wait too long. It is transient: a moment later there is room.
var ErrBusy = messagestore.Transient(errors.New("too many passwords wait to be hashed"))

// parameters are written into each hash. 19 MiB and two passes are what OWASP asks of
// a server that hashes for many at once.
var parameters = &argon2id.Params{Memory: 19 << 10, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

const (
	longestQueue = 64      // at 50 ms a hash, about 3 s for each slot
	mostMemory   = 1 << 20 // KiB that verifying a hash may take
	mostPasses   = 100
	mostCost     = 15 // of bcrypt; each more doubles the time
)

// Hasher hashes passwords, a few at a time: each takes a processor and 19 MiB for tens
// of milliseconds, and many at once would leave nothing for the pages.
type Hasher struct {
	slots  chan struct{}
	queue  chan struct{}
	nobody string // a hash that no password has
	during func() // for tests: called while a slot is taken
}

// NewHasher returns a hasher that works on at most slots passwords at once; zero means
// half as many as there are processors.
func NewHasher(slots int) *Hasher {
	if slots < 1 {
		slots = max(1, runtime.GOMAXPROCS(0)/2)
	}
	return &Hasher{slots: make(chan struct{}, slots), queue: make(chan struct{}, longestQueue), nobody: nobody()}
}

// nobody returns a hash with the parameters of all others, of a password that nobody knows.
func nobody() string {
	random := make([]byte, parameters.SaltLength+parameters.KeyLength)
	rand.Read(random)
	salt, key := random[:parameters.SaltLength], random[parameters.SaltLength:]
	encoding := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, parameters.Memory, parameters.Iterations,
		parameters.Parallelism, encoding.EncodeToString(salt), encoding.EncodeToString(key))
}

// Hash returns the argon2id hash of a password, with its parameters and salt in it. It
// waits for its turn until ctx ends, and fails with [ErrBusy] where too many wait.
func (h *Hasher) Hash(ctx context.Context, password string) (hash string, err error) {
	leave, err := h.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	if hash, err = argon2id.CreateHash(norm.NFC.String(password), parameters); err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	return hash, nil
}

// Verify says whether a hash is that of a password, and whether it is outdated: made in
// another way than Hash makes it now. The empty hash stands for that of a person who
// does not exist, and one that cannot be read is nobody's either: no password has it,
// and finding that out is the same work. Verify waits as Hash does.
func (h *Hasher) Verify(ctx context.Context, password, hash string) (ok, outdated bool, err error) {
	leave, err := h.enter(ctx)
	if err != nil {
		return false, false, err
	}
	defer leave()
	if cost, err := bcrypt.Cost([]byte(hash)); err == nil && cost <= mostCost {
		// As it was typed: whoever made these did not normalise.
		return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil, true, nil
	}
	known := readable(hash)
	if !known {
		hash = h.nobody
	}
	same, made, err := argon2id.CheckHash(norm.NFC.String(password), hash)
	if err != nil {
		return false, false, fmt.Errorf("verify a password: %w", err)
	}
	return same && known, *made != *parameters, nil
}

// Sets says whether a command sets a password: where its id derives from what it replaces,
// a form that was posted twice asked for the same, and not for two different passwords.
// The command has the password's hash as passwordHash. Sets waits as Hash does.
func (h *Hasher) Sets(ctx context.Context, command messagestore.Raw, password string) (bool, error) {
	m, err := messagestore.Decode[struct {
		PasswordHash string `json:"passwordHash"`
	}](command)
	if err != nil {
		return false, err
	}
	same, _, err := h.Verify(ctx, password, m.Data.PasswordHash)
	return same, err
}

// readable says whether a hash is one of argon2id whose parameters neither make it
// panic nor take all the memory there is.
func readable(hash string) bool {
	if !strings.HasPrefix(hash, "$argon2id$") {
		return false
	}
	p, _, _, err := argon2id.DecodeHash(hash)
	return err == nil && p.Parallelism >= 1 && p.Iterations >= 1 && p.Iterations <= mostPasses && p.Memory <= mostMemory && p.KeyLength >= 16
}

// enter waits for a slot; leave gives it back.
func (h *Hasher) enter(ctx context.Context) (leave func(), err error) {
	select {
	case h.queue <- struct{}{}:
	default:
		return nil, ErrBusy
	}
	select {
	case h.slots <- struct{}{}:
		<-h.queue
	case <-ctx.Done():
		<-h.queue
		return nil, fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
	if h.during != nil {
		h.during()
	}
	return func() { <-h.slots }, nil
}
