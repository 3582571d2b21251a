package uploads

import (
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// How many characters there may be.
const (
	mostTitle       = 100
	mostDescription = 5000
	mostFileName    = 200
)

func tooLong(s string, most int) bool { return utf8.RuneCountInString(s) > most }

// fileName returns what a file is called, without the folders and without what cannot be
// shown; "" where nothing is left.
func fileName(sent string) string {
	return cut(line(sent[strings.LastIndexAny(sent, `/\`)+1:]), mostFileName)
}

// titleOf returns a title for a file that has none.
func titleOf(fileName string) string {
	title := strings.TrimSpace(strings.TrimSuffix(fileName, path.Ext(fileName)))
	if title == "" {
		title = fileName
	}
	if title == "" {
		title = "Untitled"
	}
	return cut(title, mostTitle)
}

// line returns a text as one line.
func line(sent string) string { return strings.Join(strings.Fields(shown(sent)), " ") }

// text returns a text of several lines.
func text(sent string) string {
	return strings.TrimSpace(shown(strings.ReplaceAll(sent, "\r\n", "\n")))
}

// shown leaves out what is no character, controls a terminal, or turns round what stands
// beside it.
func shown(sent string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(sent, "\uFFFD"))
}

func cut(s string, most int) string {
	if tooLong(s, most) {
		s = strings.TrimSpace(string([]rune(s)[:most]))
	}
	return s
}
