// Package webvtt reads WebVTT, the format of captions and chapters, and tells a person
// what is wrong with a file that is none.
//
// It is stricter than browsers, which drop without a word what they do not understand:
// whoever hands in a file wants to know. What it takes is what the W3C's WebVTT calls
// conforming, and beyond that the header lines and the "align:middle" of older tools.
package webvtt

import (
	"bytes"
	"fmt"
	"html"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// MostBytes is how long a file may be.
	MostBytes = 1 << 20
	// MostCues is how many cues a file may have: enough for four hours with one every
	// second and a half.
	MostCues = 10_000
)

// Cue is a text and when it is shown.
type Cue struct {
	// Start and End count from the beginning of the film; End is after Start.
	Start, End time.Duration
	// Text is in one line, without markup. Who speaks is markup, too.
	Text string
}

// Error is what is wrong with a file.
type Error struct {
	// Line counts from 1; zero where it is the file as a whole.
	Line int
	// Reason is a sentence.
	Reason string
}

// Error returns the sentence, after the number of its line.
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Reason
	}
	return "Line " + strconv.Itoa(e.Line) + ": " + e.Reason
}

// Parse returns the cues of a file in its order, which is that of their beginnings; those
// without a text are left out. What is wrong with the file is an [*Error], about the
// first thing that is.
//
// The parser is our own because those that there are read on where a person is to be
// told, do not say the line everywhere, and panic on a line that ends with an arrow.
func Parse(text []byte) ([]Cue, error) {
	if len(text) > MostBytes {
		return nil, wrong(0, "The file is longer than 1 MB.")
	}
	for _, mark := range []string{"\xff\xfe", "\xfe\xff"} {
		if bytes.HasPrefix(text, []byte(mark)) {
			return nil, wrong(0, "The file is written in UTF-16. Save it as UTF-8.")
		}
	}
	p := parser{lines: lines(bytes.TrimPrefix(text, []byte("\ufeff")))}
	for i, line := range p.lines {
		switch {
		case !utf8.ValidString(line):
			return nil, wrong(i+1, "This is not UTF-8. Save the file with that encoding.")
		case strings.ContainsRune(line, 0):
			return nil, wrong(i+1, "This is not text.")
		}
	}
	if err := p.header(); err != nil {
		return nil, err
	}
	for p.skipBlank(); p.at < len(p.lines); p.skipBlank() {
		if err := p.block(); err != nil {
			return nil, err
		}
	}
	if len(p.cues) == 0 {
		return nil, wrong(0, "There is no cue with a text in the file.")
	}
	return p.cues, nil
}

func wrong(line int, reason string, args ...any) error {
	return &Error{line, fmt.Sprintf(reason, args...)}
}

// lines splits a text at LF, CRLF and CR.
func lines(text []byte) []string {
	s := strings.ReplaceAll(strings.ReplaceAll(string(text), "\r\n", "\n"), "\r", "\n")
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}

type parser struct {
	lines []string
	at    int // index of the line that is next
	cues  []Cue
	count int           // cues with and without a text
	last  time.Duration // start of the last one
}

const arrow = "-->"

func (p *parser) skipBlank() {
	for p.at < len(p.lines) && p.lines[p.at] == "" {
		p.at++
	}
}

// header reads up to the first blank line. What stands below WEBVTT is for other
// programs.
func (p *parser) header() error {
	first := p.lines[0]
	rest, ok := strings.CutPrefix(first, "WEBVTT")
	switch {
	case strings.TrimSpace(strings.Join(p.lines[:min(len(p.lines), 10)], "")) == "":
		return wrong(0, "The file is empty.")
	case !ok && looksLikeSubRip(p.lines):
		return wrong(1, "This is a SubRip file (.srt). Convert it to WebVTT (.vtt), which begins with a line WEBVTT and has points instead of commas in its times.")
	case !ok || rest != "" && rest[0] != ' ' && rest[0] != '\t':
		return wrong(1, "A WebVTT file begins with a line WEBVTT.")
	}
	for p.at = 1; p.at < len(p.lines) && p.lines[p.at] != ""; p.at++ {
		if strings.Contains(p.lines[p.at], arrow) {
			return wrong(p.at+1, "A blank line is missing between WEBVTT and the first cue.")
		}
	}
	return nil
}

var subRipTimes = regexp.MustCompile(`^\d+:\d\d:\d\d,\d{3} --> `)

func looksLikeSubRip(lines []string) bool {
	for _, line := range lines[:min(len(lines), 5)] {
		if subRipTimes.MatchString(line) {
			return true
		}
	}
	return false
}

// block reads what stands between blank lines: a note, a style, a region or a cue.
func (p *parser) block() error {
	line := p.lines[p.at]
	name, _, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
	switch {
	case strings.Contains(line, arrow):
		return p.cue()
	case name == "NOTE":
		return p.skipBlock("a note")
	case strings.TrimRight(line, " \t") == "STYLE" || strings.TrimRight(line, " \t") == "REGION":
		if p.count > 0 {
			return wrong(p.at+1, "%s belongs before the first cue.", name)
		}
		return p.skipBlock(name)
	case strings.TrimSpace(line) == "":
		return wrong(p.at+1, "This line looks blank and is not: take the spaces out of it.")
	}
	if p.at+1 == len(p.lines) || !strings.Contains(p.lines[p.at+1], arrow) {
		return wrong(p.at+1, "Here should be the times of a cue, like 00:01.000 --> 00:04.000, or a name for it with its times on the next line.")
	}
	p.at++
	return p.cue()
}

func (p *parser) skipBlock(what string) error {
	for ; p.at < len(p.lines) && p.lines[p.at] != ""; p.at++ {
		if strings.Contains(p.lines[p.at], arrow) {
			return wrong(p.at+1, "An arrow cannot stand in %s; a blank line may be missing before it.", what)
		}
	}
	return nil
}

// cue reads times and settings in one line and the text below it.
func (p *parser) cue() error {
	start, end, err := p.times()
	if err != nil {
		return err
	}
	if p.count++; p.count > MostCues {
		return wrong(p.at+1, "There are more than %d cues in the file.", MostCues)
	}
	p.last = start
	var words []string
	for p.at++; p.at < len(p.lines) && p.lines[p.at] != ""; p.at++ {
		line := p.lines[p.at]
		if strings.Contains(line, arrow) {
			return wrong(p.at+1, "A blank line, without a space in it, is missing before this cue; in a text, an arrow is written --&gt;.")
		}
		text, reason := plain(line)
		if reason != "" {
			return wrong(p.at+1, "%s", reason)
		}
		words = append(words, strings.Fields(text)...)
	}
	if len(words) > 0 {
		p.cues = append(p.cues, Cue{start, end, strings.Join(words, " ")})
	}
	return nil
}

func (p *parser) times() (start, end time.Duration, err error) {
	line, number := p.lines[p.at], p.at+1
	left, right, _ := strings.Cut(line, arrow)
	from := strings.Trim(left, " \t")
	rest := strings.Fields(right)
	to := ""
	if len(rest) > 0 {
		to, rest = rest[0], rest[1:]
	}
	for _, t := range []struct {
		text  string
		where string
		into  *time.Duration
	}{{from, "before", &start}, {to, "after", &end}} {
		switch {
		case t.text == "":
			return 0, 0, wrong(number, "There is no time %s the arrow.", t.where)
		case strings.Contains(t.text, ","):
			return 0, 0, wrong(number, "A time has a point before its thousandths and no comma: %s.", strings.ReplaceAll(shortened(t.text), ",", "."))
		}
		var ok bool
		if *t.into, ok = timestamp(t.text); !ok {
			return 0, 0, wrong(number, "“%s” is no time. Times are written like 00:01.000 or 01:02:03.000.", shortened(t.text))
		}
	}
	switch {
	case !strings.HasSuffix(left, " ") && !strings.HasSuffix(left, "\t") || !strings.HasPrefix(right, " ") && !strings.HasPrefix(right, "\t"):
		return 0, 0, wrong(number, "A space is missing beside the arrow.")
	case end <= start:
		return 0, 0, wrong(number, "The cue ends before it begins, or at the same time.")
	case start < p.last:
		return 0, 0, wrong(number, "The cue begins before the one above it; cues stand in the order of their beginnings.")
	}
	for _, setting := range rest {
		if !isSetting(setting) {
			return 0, 0, wrong(number, "“%s” says nothing about a cue that is known; there are vertical, line, position, size, align and region.", shortened(setting))
		}
	}
	return start, end, nil
}

var clock = regexp.MustCompile(`^(?:([0-9]{2,4}):)?([0-5][0-9]):([0-5][0-9])\.([0-9]{3})$`)

func timestamp(s string) (t time.Duration, ok bool) {
	m := clock.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	for i, unit := range []time.Duration{time.Hour, time.Minute, time.Second, time.Millisecond} {
		n, _ := strconv.Atoi(m[i+1]) // the hours may be missing, which is 0
		t += time.Duration(n) * unit
	}
	return t, true
}

const percentage = `(?:100(?:\.0+)?|[0-9]{1,2}(?:\.[0-9]+)?)%`

var settings = map[string]*regexp.Regexp{
	"vertical": regexp.MustCompile(`^(?:rl|lr)$`),
	"line":     regexp.MustCompile(`^(?:-?[0-9]+(?:\.[0-9]+)?|` + percentage + `)(?:,(?:start|center|end))?$`),
	"position": regexp.MustCompile(`^` + percentage + `(?:,(?:line-left|center|line-right))?$`),
	"size":     regexp.MustCompile(`^` + percentage + `$`),
	"align":    regexp.MustCompile(`^(?:start|center|middle|end|left|right)$`),
	"region":   regexp.MustCompile(`^.+$`),
}

func isSetting(s string) bool {
	name, value, _ := strings.Cut(s, ":")
	form, known := settings[name]
	return known && form.MatchString(value)
}

// plain returns a line of a cue's text without its markup, or what is wrong with it.
// Tags are taken away before entities are decoded: what is written &lt;b&gt; is text.
func plain(line string) (text, reason string) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(line, "<")
		b.WriteString(before)
		if !found {
			return html.UnescapeString(b.String()), ""
		}
		tag, after, closed := strings.Cut(rest, ">")
		if !closed || strings.Contains(tag, "<") {
			return "", "A < begins markup, and its > is missing. In a text it is written &lt;."
		}
		if !isTag(tag) {
			return "", fmt.Sprintf("“<%s>” is no markup. In a text, < is written &lt;.", shortened(tag))
		}
		line = after
	}
}

// isTag takes what has the form of a tag; browsers show the text of those that they do
// not know.
func isTag(tag string) bool {
	if _, isTime := timestamp(tag); isTime {
		return true
	}
	name := strings.TrimPrefix(tag, "/")
	return name != "" && (name[0] >= 'a' && name[0] <= 'z' || name[0] >= 'A' && name[0] <= 'Z')
}

// shortened keeps what is quoted readable.
func shortened(s string) string {
	const most = 40
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}
