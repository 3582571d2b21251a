package identitymsg_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"videotutorials/components/identity/identitymsg"
)

var secret = bytes.Repeat([]byte("k"), 32)

func newKey(t *testing.T, secret []byte) identitymsg.Key {
	t.Helper()
	key, err := identitymsg.NewKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var (
	confirmation  = identitymsg.Confirmation{UserID: "c7a41f57-3a6f-4f8c-8d3e-5f3b8f3ad9a1", Email: "zoë@example.org"}
	passwordReset = identitymsg.PasswordReset{UserID: "c7a41f57-3a6f-4f8c-8d3e-5f3b8f3ad9a1", ResetID: "5a0c8c3e-52a1-4f0b-9a3d-7f6f9d1e5b22"}
)

func TestTokens(t *testing.T) {
	t.Parallel()
	key, other := newKey(t, secret), newKey(t, bytes.Repeat([]byte("o"), 32))
	confirm, err := key.ConfirmationToken(confirmation)
	if err != nil {
		t.Fatal(err)
	}
	reset, err := key.PasswordResetToken(passwordReset)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := newKey(t, secret).ReadConfirmation(confirm); err != nil || got != confirmation {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := newKey(t, secret).ReadPasswordReset(reset); err != nil || got != passwordReset {
		t.Errorf("%+v, %v", got, err)
	}
	readConfirmation := func(k identitymsg.Key) func(string) error {
		return func(token string) error { _, err := k.ReadConfirmation(token); return err }
	}
	readReset := func(k identitymsg.Key) func(string) error {
		return func(token string) error { _, err := k.ReadPasswordReset(token); return err }
	}
	for name, refused := range map[string]struct {
		read  func(string) error
		token string
	}{
		"another key":                     {readConfirmation(other), confirm},
		"another key, reset":              {readReset(other), reset},
		"another purpose":                 {readConfirmation(key), reset},
		"another purpose, reset":          {readReset(key), confirm},
		"nothing":                         {readConfirmation(key), ""},
		"no token":                        {readReset(key), "x"},
		"very long":                       {readReset(key), strings.Repeat("A", 1<<20)},
		"the first administrator's token": {readReset(key), key.FirstAdminToken()},
		"seven days old":                  {readConfirmation(key), craft(t, "confirm-email", confirmation, time.Now().Add(-identitymsg.ConfirmationLasts-time.Minute))},
		"an hour old":                     {readReset(key), craft(t, "reset-password", passwordReset, time.Now().Add(-identitymsg.PasswordResetLasts-time.Minute))},
	} {
		if err := refused.read(refused.token); !errors.Is(err, identitymsg.ErrLink) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Just not too old: so what was refused above was refused for its age.
	if err := readConfirmation(key)(craft(t, "confirm-email", confirmation, time.Now().Add(-identitymsg.ConfirmationLasts+time.Minute))); err != nil {
		t.Error(err)
	}
	if err := readReset(key)(craft(t, "reset-password", passwordReset, time.Now().Add(-identitymsg.PasswordResetLasts+time.Minute))); err != nil {
		t.Error(err)
	}
	for i := range confirm { // no letter of it can be another one
		changed := []byte(confirm)
		changed[i] = map[bool]byte{true: 'B', false: 'A'}[changed[i] == 'A']
		if got, err := key.ReadConfirmation(string(changed)); err == nil && got != confirmation {
			t.Errorf("letter %d changed: %+v", i, got)
		}
	}
}

// craft signs a token as the key made from secret did at another time.
func craft(t *testing.T, purpose string, v any, at time.Time) string {
	t.Helper()
	links, err := hkdf.Key(sha256.New, secret, nil, "identity links", 32)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	signed := fmt.Sprintf("%d|%s|", at.Unix(), base64.URLEncoding.EncodeToString(append(data, '\n')))
	mac := hmac.New(sha256.New, links)
	mac.Write([]byte(strings.TrimSuffix(purpose+"|"+signed, "|")))
	return base64.URLEncoding.EncodeToString(mac.Sum([]byte(signed)))
}

// What is stored or sent by a key must be found by the same key for ever: these values
// never change.
func TestKeysAreStable(t *testing.T) {
	t.Parallel()
	key := newKey(t, secret)
	for what, value := range map[string][2]string{
		"id":          {key.ID(), "a7897b3540f74f75d4cf79b6bda0204e"},
		"address":     {key.AddressID("ada@example.org"), "cec4fa7cdebe46701998e4a7fa8e4ce9dac8a91ffc522180ee0eabb84a358b75"},
		"stream":      {string(key.AddressStream("ada@example.org")), "emailAddress-cec4fa7cdebe46701998e4a7fa8e4ce9dac8a91ffc522180ee0eabb84a358b75"},
		"first admin": {key.FirstAdminToken(), "e310452ca52c289cd706a9a3b4890e23"},
		"welcome":     {identitymsg.WelcomeEmailID("c7a41f57-3a6f-4f8c-8d3e-5f3b8f3ad9a1"), "8f7eef9d-c4c3-5c6e-9c53-8809991c068c"},
	} {
		if value[0] != value[1] {
			t.Errorf("%s: %s, want %s", what, value[0], value[1])
		}
	}
	other := newKey(t, bytes.Repeat([]byte("o"), 32))
	if key.AddressID("ada@example.org") == other.AddressID("ada@example.org") || key.AddressID("ada@example.org") == key.AddressID("bob@example.org") || key.ID() == other.ID() {
		t.Error("two are the same")
	}
	if !key.IsFirstAdminToken(key.FirstAdminToken()) || key.IsFirstAdminToken(other.FirstAdminToken()) || key.IsFirstAdminToken("") || key.IsFirstAdminToken(key.FirstAdminToken()+"0") {
		t.Error("the first administrator's token")
	}
}
