package identitymsg

import (
	"errors"
	"net/mail"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// ErrNoAddress is returned for what is no e-mail address.
var ErrNoAddress = errors.New("not an e-mail address")

// What SMTP and DNS allow, in bytes.
const (
	longestAddress = 254
	longestLocal   = 64
	longestLabel   = 63
)

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
	if err != nil {
		return "", ErrNoAddress
	}
	domain = strings.TrimSuffix(strings.ToLower(domain), ".")
	labels := strings.Split(domain, ".")
	if len(labels) < 2 && domain != "localhost" || slices.ContainsFunc(labels, func(label string) bool { return label == "" || len(label) > longestLabel }) {
		return "", ErrNoAddress
	}
	local := norm.NFC.String(strings.ToLower(address[:at]))
	normal := local + "@" + domain
	if len(local) > longestLocal || len(normal) > longestAddress || strings.ContainsFunc(local, unseen) || strings.ContainsAny(local, `"\<>(),;:[]`) {
		return "", ErrNoAddress
	}
	// A name or a comment beside the address is read by some programs in other ways
	// than by others.
	if parsed, err := mail.ParseAddress(normal); err != nil || parsed.Address != normal || parsed.Name != "" {
		return "", ErrNoAddress
	}
	return normal, nil
}

// unseen is a space, a control character, or one that changes how others look: with
// them two addresses would look like one.
func unseen(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }
