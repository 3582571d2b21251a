package password

import (
	"strings"
	"unicode/utf8"

	"github.com/trustelem/zxcvbn"
	"golang.org/x/text/unicode/norm"
)

// How long a password is, in characters.
const (
	shortest = 8
	longest  = 128
)

// fewest is how many guesses a password must outlast, by somebody who knows which ones
// people choose: the ten thousand that are tried first are refused, and with them rows
// of keys, repetitions and years. Ten thousand tries to log in are within reach of the
// patient, however they are slowed.
const fewest = 10_000

// estimated is how much of a long password is looked at, in characters: what takes a
// guess for that much is slow enough, and the work grows faster than the length.
const estimated = 64

func isCommon(password string) bool {
	if i := nth(password, estimated); i >= 0 {
		password = password[:i]
	}
	return zxcvbn.PasswordStrength(password, nil).Guesses < fewest
}

// nth returns where the nth character begins, -1 where there are fewer.
func nth(text string, n int) int {
	for i := range text {
		if n == 0 {
			return i
		}
		n--
	}
	return -1
}

// Check returns what is wrong with a new password of the person with an e-mail address:
// "too-short", "too-long", "common" or "like-email"; it returns "" for a good one.
func Check(password, email string) string {
	password = norm.NFC.String(password)
	switch n := utf8.RuneCountInString(password); {
	case n < shortest:
		return "too-short"
	case n > longest:
		return "too-long"
	}
	lower := strings.ToLower(password)
	if likeEmail(lower, strings.ToLower(norm.NFC.String(strings.TrimSpace(email)))) {
		return "like-email"
	}
	if isCommon(lower) {
		return "common"
	}
	return ""
}

// likeEmail says whether a password is an address, or the part of it before the @, with
// fewer than four characters added.
func likeEmail(password, email string) bool {
	const added = 4
	name, _, _ := strings.Cut(email, "@")
	rest := password
	for _, part := range []string{email, name} {
		if utf8.RuneCountInString(part) >= 3 {
			rest = strings.ReplaceAll(rest, part, "")
		}
	}
	return rest != password && utf8.RuneCountInString(rest) < added
}
