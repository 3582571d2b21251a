package views

import "strings"

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

// What is said of a video, where it differs from what the same code says of an account: why
// something was refused or failed, and what to do about it.
var videoSentences = map[string]string{
	"blank":             "It has no letters. A video needs a name.",
	"too-long":          "This is too long. Make it shorter.",
	"same":              "This is so already; nothing has changed.",
	"not-owner":         "This video belongs to somebody else.",
	"not-found":         "There is no such video. It may have been deleted.",
	"deleted":           "This video is deleted. Its file would have to be uploaded again.",
	"already-begun":     "This upload has begun already. Choose the file again to begin another one.",
	"already-started":   "This video is being made already. Its page shows how far it is.",
	"nothing-to-retry":  "There is nothing to try again: the last attempt neither failed nor was stopped.",
	"nothing-to-cancel": "There is nothing to stop: no work on this video is going on.",
	"unknown-choice":    "This is none of the choices. Choose one of those shown.",
	"too-many":          "There are too many of them. Remove one that is no longer needed, then add this one.",

	"name-too-long":           "This name is too long. Use 100 characters or fewer.",
	"name-same":               "This is its name already.",
	"description-too-long":    "This description is too long. Use 5,000 characters or fewer.",
	"description-same":        "This is its description already.",
	"captions-blank":          "The name in the menu has no letters.",
	"captions-too-long":       "The name in the menu is too long. Use 50 characters or fewer.",
	"captions-same":           "These captions were added before. Choose the file again to add them once more.",
	"captions-too-many":       "A video has at most 20 captions. Remove those that are no longer needed, then add these.",
	"captions-unknown-choice": "There is no language with this code. Codes are like en, de or pt-BR.",
	"captions-not-found":      "These captions are not there. They may have been removed already.",
	"chapters-not-found":      "There are no chapters. They may have been removed already.",
	"no-language":             "Say in which language they are, by its code: en, de or pt-BR.",
	"unknown-language":        "There is no language with this code. Codes are like en, de or pt-BR.",
	"too-many-in-the-making":  "Many of your videos are being made already. Wait until some of them are done, then have this one tried again.",

	"not-a-video":     "This file is not a video that can be read here. Upload the film itself, such as an MP4, MOV, MKV or WebM file.",
	"no-video-track":  "This file has sound, but no picture. Upload one with a picture.",
	"film-too-long":   "The film is longer than is taken here. Cut it into parts and upload them one by one.",
	"too-big":         "The picture has more pixels than are taken here. Export it with 3840 × 2160 pixels or fewer, then upload it again.",
	"damaged":         "The file is damaged or incomplete. Play it to its end on your machine; if that fails, export it again, then upload it.",
	"took-too-long":   "The work took far longer than a film of this length should. Export it as MP4 (H.264), then upload it again.",
	"too-much-output": "The work produced far more data than a film of this length should. Export it as MP4 (H.264), then upload it again.",
	"needs-ffmpeg":    "This machine cannot convert videos, so it takes only files that browsers play as they are: MP4 with H.264 and AAC, or WebM. Export it as one of these, then upload it again.",
	"our-fault":       "Something went wrong here while the video was made. It is our fault, not yours. Try again later; your file is kept.",
	"source-missing":  "The uploaded file is no longer there. Upload it again.",

	"no-file":          "No file was chosen. Choose one, then send the form again.",
	"empty-file":       "This file is empty. Choose the film itself.",
	"too-large":        "This file is larger than is taken here. Export it with a lower bitrate, or cut it into parts.",
	"over-quota":       "This file does not fit into the room that you have left. Delete a video that you no longer need, then upload it.",
	"too-many-uploads": "You have many uploads that are not finished, or videos that are still being made. Wait for some of them, or give them up, then choose this file again.",
	"no-room":          "The disk of this site is full. Nothing of the file was kept; try again later.",
	"incomplete":       "The file did not arrive whole. Try again.",
	"title-too-long":   "This title is too long. Use 100 characters or fewer.",
}

// videoSentence says a code about a video in words. What is no code it gives back as it is: what
// is wrong with a file is said with its line.
func videoSentence(code string) string {
	if said, known := videoSentences[code]; known || code == "" {
		return said
	}
	if isCode(code) {
		return sentence(code)
	}
	return code
}

// videoSentenceOf says a code about a part of a video: its name, its captions.
func videoSentenceOf(part, code string) string {
	if said, known := videoSentences[part+"-"+code]; known {
		return said
	}
	return videoSentence(code)
}

// isCode reports whether a text is a code: lower-case words with hyphens between them.
func isCode(text string) bool {
	return strings.Trim(text, "abcdefghijklmnopqrstuvwxyz-") == ""
}
