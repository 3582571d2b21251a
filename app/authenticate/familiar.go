package authenticate

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gorilla/securecookie"
	"github.com/labstack/echo/v4"

	"videotutorials/messagestore"
	"videotutorials/views"
)

const (
	familiarCookie = "known"
	familiarFor    = 365 * 24 * time.Hour
	mostAccounts   = 8
)

// familiar lets browsers keep which accounts they were used for, so that a stranger who
// tries many passwords does not stand in the way of the person.
type familiar struct{ codec *securecookie.SecureCookie }

// browser is what a browser keeps: an id of its own and a few letters of the id of each
// address that somebody has logged in with.
type browser struct {
	ID       string   `json:"i"`
	Accounts []string `json:"a"`
}

func newFamiliar(secret []byte) familiar {
	key := hmac.New(sha256.New, secret)
	key.Write([]byte("authenticate " + familiarCookie))
	return familiar{securecookie.New(key.Sum(nil), nil).SetSerializer(securecookie.JSONEncoder{}).MaxAge(int(familiarFor.Seconds()))}
}

// browser returns what the browser of a request kept; nothing where that is no good.
func (f familiar) browser(c echo.Context) (b browser) {
	cookie, err := c.Cookie(familiarCookie)
	if err != nil || f.codec.Decode(familiarCookie, cookie.Value, &b) != nil {
		return browser{}
	}
	return b
}

// keep lets the browser keep b, for the pages of this application.
func (f familiar) keep(c echo.Context, b browser, secure bool) error {
	value, err := f.codec.Encode(familiarCookie, b)
	if err != nil {
		return fmt.Errorf("sign the cookie %s: %w", familiarCookie, err)
	}
	c.SetCookie(&http.Cookie{
		Name: familiarCookie, Value: value, Path: views.LogInPath, MaxAge: int(familiarFor.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: secure,
	})
	return nil
}

func (b browser) knows(account string) bool { return slices.Contains(b.Accounts, short(account)) }

// with returns the browser with one account more, the eight last ones.
func (b browser) with(account string) browser {
	if b.ID == "" {
		b.ID = messagestore.NewID()
	}
	accounts := slices.DeleteFunc(slices.Clone(b.Accounts), func(other string) bool { return other == short(account) })
	accounts = append(accounts, short(account))
	return browser{b.ID, accounts[max(0, len(accounts)-mostAccounts):]}
}

// short keeps the cookie small; 64 bits are enough to tell accounts apart.
func short(account string) string { return account[:min(16, len(account))] }
