package identitymsg

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/gorilla/securecookie"

	"videotutorials/messagestore"
)

// Key is what only the programs of one installation know. Addresses are found by
// it, so it can never change; links in mails are signed by it.
type Key struct{ addresses, links, id []byte }

// NewKey returns the key made from a secret of at least 32 bytes.
func NewKey(secret []byte) (Key, error) {
	var k Key
	for purpose, derived := range map[string]*[]byte{"addresses": &k.addresses, "links": &k.links, "id": &k.id} {
		key, err := hkdf.Key(sha256.New, secret, nil, "identity "+purpose, 32)
		if err != nil {
			return Key{}, fmt.Errorf("derive the key for %s: %w", purpose, err)
		}
		*derived = key
	}
	return k, nil
}

// ID tells one key from another and says nothing about it.
func (k Key) ID() string { return hex.EncodeToString(k.id[:16]) }

// AddressID returns the id of an address in its normal form (see [NormalAddress]):
// the same for the same address, and nothing that an address can be read from.
func (k Key) AddressID(normal string) string {
	mac := hmac.New(sha256.New, k.addresses)
	mac.Write([]byte(normal))
	return hex.EncodeToString(mac.Sum(nil))
}

// AddressStream returns the stream that says whose an address is.
func (k Key) AddressStream(normal string) messagestore.Stream {
	return AddressCategory.Stream(k.AddressID(normal))
}

// How long a link in a mail works.
const (
	ConfirmationLasts  = 7 * 24 * time.Hour
	PasswordResetLasts = time.Hour
)

// ErrLink is returned for a token that is not ours, or no longer.
var ErrLink = errors.New("the link is not valid, or no longer")

// Confirmation is what a link that confirms an address says.
type Confirmation struct {
	UserID string `json:"u"`
	Email  string `json:"e"`
}

// PasswordReset is what a link to set a new password says.
type PasswordReset struct {
	UserID  string `json:"u"`
	ResetID string `json:"r"`
}

const (
	confirmationPurpose = "confirm-email"
	resetPurpose        = "reset-password"
	firstAdminPurpose   = "first-admin"
)

// ConfirmationToken returns the token of a link that confirms an address.
func (k Key) ConfirmationToken(c Confirmation) (string, error) {
	return k.token(confirmationPurpose, c)
}

// ReadConfirmation reads such a token; it fails with [ErrLink].
func (k Key) ReadConfirmation(token string) (c Confirmation, err error) {
	err = k.read(confirmationPurpose, ConfirmationLasts, token, &c)
	return c, err
}

// PasswordResetToken returns the token of a link to set a new password.
func (k Key) PasswordResetToken(r PasswordReset) (string, error) { return k.token(resetPurpose, r) }

// ReadPasswordReset reads such a token; it fails with [ErrLink].
func (k Key) ReadPasswordReset(token string) (r PasswordReset, err error) {
	err = k.read(resetPurpose, PasswordResetLasts, token, &r)
	return r, err
}

// FirstAdminToken returns the token of the link for the first administrator. It
// works until there is one.
func (k Key) FirstAdminToken() string {
	mac := hmac.New(sha256.New, k.links)
	mac.Write([]byte(firstAdminPurpose))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// IsFirstAdminToken reports whether a token is that one.
func (k Key) IsFirstAdminToken(token string) bool {
	return hmac.Equal([]byte(token), []byte(k.FirstAdminToken()))
}

func (k Key) codec(lasts time.Duration) *securecookie.SecureCookie {
	return securecookie.New(k.links, nil).SetSerializer(securecookie.JSONEncoder{}).MaxAge(int(lasts.Seconds()))
}

func (k Key) token(purpose string, v any) (string, error) {
	token, err := k.codec(0).Encode(purpose, v)
	if err != nil {
		return "", fmt.Errorf("sign a link to %s: %w", purpose, err)
	}
	return token, nil
}

func (k Key) read(purpose string, lasts time.Duration, token string, v any) error {
	if err := k.codec(lasts).Decode(purpose, token, v); err != nil {
		return fmt.Errorf("%w: %w", ErrLink, err)
	}
	return nil
}

// KeyStream says which key the addresses of this message store are found by.
const KeyStream messagestore.Stream = "identityKey-addresses"

// KeyChosen says so, by [Key.ID]. With another key nobody would be found, and every
// address could be registered again.
type KeyChosen struct {
	// KeyID is what [Key.ID] returns.
	KeyID string `json:"keyId"`
}

// MessageType returns "KeyChosen".
func (KeyChosen) MessageType() string { return "KeyChosen" }
