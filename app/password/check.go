package password

import (
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/trustelem/zxcvbn/frequency"
	"golang.org/x/text/unicode/norm"
)

// How long a password is, in characters.
const (
	shortest = 8
	longest  = 128
)

// common are the passwords that are tried first, in lower case.
var common = sync.OnceValue(func() map[string]struct{} {
	set := map[string]struct{}{}
	for _, p := range frequency.FrequencyLists["passwords"] {
		if utf8.RuneCountInString(p) >= shortest {
			set[p] = struct{}{}
		}
	}
	return set
})

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
	if _, is := common()[lower]; is {
		return "common"
	}
	if likeEmail(lower, strings.ToLower(norm.NFC.String(strings.TrimSpace(email)))) {
		return "like-email"
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
