package identitymsg

import (
	"errors"
	"net/mail"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// ErrNoAddress is returned for what is no e-mail address.
var ErrNoAddress = errors.New("not an e-mail address")

// longestAddress is what SMTP allows, in bytes.
const longestAddress = 254

// NormalAddress returns the form of an e-mail address that is the same for all ways
// to write it: without space around it, NFC, in lower case, its domain in the
// letters of DNS (IDNA). Two addresses are one if their normal forms are equal. It
// fails with [ErrNoAddress].
func NormalAddress(address string) (string, error) {
	address = norm.NFC.String(strings.TrimSpace(address))
	at := strings.LastIndexByte(address, '@')
	if at < 1 || !utf8.ValidString(address) {
		return "", ErrNoAddress
	}
	domain, err := idna.Lookup.ToASCII(address[at+1:])
	if err != nil || !strings.Contains(strings.Trim(domain, "."), ".") && domain != "localhost" {
		return "", ErrNoAddress
	}
	normal := norm.NFC.String(strings.ToLower(address[:at])) + "@" + strings.TrimSuffix(strings.ToLower(domain), ".")
	parsed, err := mail.ParseAddress(normal)
	// A name or a comment beside the address, a quoted part and a control character are
	// read by some programs in other ways than by others.
	if err != nil || parsed.Address != normal || parsed.Name != "" || len(normal) > longestAddress || strings.ContainsAny(normal, " \"\\<>(),;:\t\r\n") {
		return "", ErrNoAddress
	}
	return normal, nil
}
