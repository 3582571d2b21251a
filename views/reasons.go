package views

// The reasons and codes that components and applications give, as sentences.
var sentences = map[string]string{
	"email-taken":        "Somebody has registered with this address already. If it was you, log in.",
	"email-invalid":      "This is no e-mail address. It looks like name@example.com.",
	"already-registered": "This registration is there already. Log in.",
	"not-registered":     "There is no such account.",
	"same-email":         "This is the address you have already.",
	"too-soon":           "A mail went out less than a minute ago. Wait a minute, then ask again.",
	"link-used":          "This link was used already. It works once.",
	"link-expired":       "This link is too old.",
	"link-outdated":      "This link no longer works: a later one took its place.",
	"unknown-role":       "There is no such role.",
	"admin-exists":       "There is an admin already.",
	"too-short":          "This password is too short. Use at least 8 characters.",
	"too-long":           "This password is too long. Use at most 128 characters.",
	"common":             "Many people use this password, so it is tried first by those who guess. Choose another.",
	"like-email":         "This password is too much like the e-mail address. Choose another.",
	"wrong":              "This is not your password.",
}

// sentence says a code in words: nothing for none, and something general for one that is not
// known here.
func sentence(code string) string {
	if code == "" {
		return ""
	}
	return or(sentences[code], "This was refused.")
}
