package views

// The codes that components and applications give as reasons, as sentences for the reader.
var sentences = map[string]string{
	"email-taken":        "Somebody has registered with this address already.",
	"email-invalid":      "This is not an e-mail address. One looks like name@example.com.",
	"already-registered": "You have sent this registration already.",
	"not-registered":     "There is no such account.",
	"same-email":         "This is the address you have already.",
	"already-confirmed":  "Your address is confirmed already.",
	"password-outdated":  "Your password was changed meanwhile. Try again with the new one.",
	"too-soon":           "The last mail was written less than a minute ago. Wait a minute, then ask again.",
	"link-used":          "This link was used already; each link works once.",
	"link-expired":       "This link is too old.",
	"link-outdated":      "This link no longer works: something newer took its place.",
	"unknown-role":       "There is no such role.",
	"admin-exists":       "There has been a first administrator already. Whoever runs the site can give you the role with admin grant.",

	"too-short":  "This password is too short. Use 8 characters or more.",
	"too-long":   "This password is too long. Use 128 characters or fewer.",
	"common":     "Many people use this password, so it is among the first that are guessed. Choose another.",
	"like-email": "This password is too much like your e-mail address. Choose another.",
	"wrong":      "This is not your password.",

	"sent-before": "This form was sent before with another password, and that one counts.",

	"change-under-way": "Another change of your password is under way. Wait a moment and try again.",

	"wrong-password":   "wrong password",
	"unknown-address":  "unknown address",
	"logged-out":       "Logged out",
	"ended-away":       "Ended from another browser",
	"password-changed": "Ended by a new password",
}

// sentence says a code in words: nothing for none, and something general for one that has no
// words of its own.
func sentence(code string) string { return sentenceOr(code, "This was refused. Try again.") }

func sentenceOr(code, general string) string {
	if code == "" {
		return ""
	}
	return or(sentences[code], general)
}
