package webvtt

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

const s, ms = time.Second, time.Millisecond

func TestParse(t *testing.T) {
	t.Parallel()
	one := []Cue{{s, 4 * s, "Hello"}}
	for name, test := range map[string]struct {
		text string
		want []Cue
	}{
		"the least":       {"WEBVTT\n\n00:01.000 --> 00:04.000\nHello", one},
		"LF at the end":   {"WEBVTT\n\n00:01.000 --> 00:04.000\nHello\n", one},
		"CRLF":            {"WEBVTT\r\n\r\n00:01.000 --> 00:04.000\r\nHello\r\n\r\n", one},
		"CR":              {"WEBVTT\r\r00:01.000 --> 00:04.000\rHello\r", one},
		"BOM":             {"\ufeffWEBVTT\n\n00:01.000 --> 00:04.000\nHello\n", one},
		"many blank ones": {"WEBVTT\n\n\n\n00:01.000 --> 00:04.000\nHello\n\n\n\n", one},
		"a title":         {"WEBVTT - what it is\n\n00:01.000 --> 00:04.000\nHello\n", one},
		"header lines":    {"WEBVTT\nKind: captions\nLanguage: en\n\n00:01.000 --> 00:04.000\nHello\n", one},
		"hours":           {"WEBVTT\n\n01:02:03.004 --> 101:02:03.004\nHello\n", []Cue{{time.Hour + 2*time.Minute + 3*s + 4*ms, 101*time.Hour + 2*time.Minute + 3*s + 4*ms, "Hello"}}},
		"a name":          {"WEBVTT\n\n1\n00:01.000 --> 00:04.000\nHello\n", one},
		"a long name":     {"WEBVTT\n\nNOTES of a kind\n00:01.000 --> 00:04.000\nHello\n", one},
		"tabs":            {"WEBVTT\n\n00:01.000\t-->\t00:04.000\talign:start\nHello\n", one},
		"settings":        {"WEBVTT\n\n00:01.000 --> 00:04.000 vertical:rl line:-1,end position:10.5%,line-left size:100% align:middle region:top\nHello\n", one},
		"blocks": {"WEBVTT\n\nNOTE\nfor others\nwho read\n\nNOTE in one line\n\nSTYLE\n::cue { color: red }\n\nREGION\nid:top\nlines:3\n\n" +
			"00:01.000 --> 00:04.000\nHello\n\nNOTE at the end", one},
		"lines and markup": {"WEBVTT\n\n00:01.000 --> 00:04.000\n<v.loud Ann Lee>It is <i>not</i> <c.red.big>5 &lt; 4</c>,\n<00:02.000>\tfish &amp;&nbsp;chips</v>\n",
			[]Cue{{s, 4 * s, "It is not 5 < 4, fish & chips"}}},
		"markup as text": {"WEBVTT\n\n00:01.000 --> 00:04.000\n&lt;script&gt;alert(1)&lt;/script&gt; --&gt; a & b\n", []Cue{{s, 4 * s, "<script>alert(1)</script> --> a & b"}}},
		"overlapping":    {"WEBVTT\n\n00:01.000 --> 00:04.000\none\n\n00:01.000 --> 00:02.000\ntwo\n\n00:03.999 --> 00:04.000\nthree\n", []Cue{{s, 4 * s, "one"}, {s, 2 * s, "two"}, {3999 * ms, 4 * s, "three"}}},
		"without a text": {"WEBVTT\n\n00:00.000 --> 00:00.001\n\n00:00.500 --> 00:00.900\n<i> </i>\n\n00:01.000 --> 00:04.000\nHello\n", one},
	} {
		got, err := Parse([]byte(test.text))
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	t.Parallel()
	const head = "WEBVTT\n\n"
	for name, test := range map[string]struct {
		text string
		line int
		says string
	}{
		"nothing":           {"", 0, "empty"},
		"blank":             {"\n \n", 0, "empty"},
		"only the head":     {"WEBVTT", 0, "no cue"},
		"only notes":        {head + "NOTE x\n", 0, "no cue"},
		"only empty cues":   {head + "00:01.000 --> 00:02.000\n", 0, "no cue"},
		"too long":          {head + strings.Repeat("x", MostBytes), 0, "longer than 1 MB"},
		"another file":      {"\x89PNG\r\n\x1a\n\x00", 1, "UTF-8"},
		"an MP4":            {"\x00\x00\x00\x20ftypisom", 1, "not text"},
		"UTF-16":            {"\xff\xfeW\x00", 0, "UTF-16"},
		"Latin-1":           {head + "00:01.000 --> 00:02.000\ncaf\xe9\n", 4, "UTF-8"},
		"no head":           {"00:01.000 --> 00:02.000\nx\n", 1, "begins with a line WEBVTT"},
		"another head":      {"WEBVTTX\n\n00:01.000 --> 00:02.000\nx\n", 1, "begins with a line WEBVTT"},
		"SubRip":            {"1\r\n00:00:01,000 --> 00:00:02,000\r\nx\r\n", 1, "SubRip"},
		"no blank line":     {"WEBVTT\n00:01.000 --> 00:02.000\nx\n", 2, "blank line is missing"},
		"comma":             {head + "00:01,000 --> 00:02.000\nx\n", 3, "comma: 00:01.000"},
		"comma at the end":  {head + "00:01.000 --> 00:02,000\nx\n", 3, "comma: 00:02.000"},
		"no end":            {head + "00:01.000 -->\nx\n", 3, "no time after"},
		"no start":          {head + "--> 00:01.000\nx\n", 3, "no time before"},
		"seconds only":      {head + "1.000 --> 00:02.000\nx\n", 3, "“1.000” is no time"},
		"one digit":         {head + "0:01.000 --> 00:02.000\nx\n", 3, "is no time"},
		"60 seconds":        {head + "00:60.000 --> 01:02.000\nx\n", 3, "is no time"},
		"60 minutes":        {head + "00:01.000 --> 60:00.000\nx\n", 3, "is no time"},
		"no thousandths":    {head + "00:01.00 --> 00:02.000\nx\n", 3, "is no time"},
		"endless hours":     {head + "99999999999999999999:00:01.000 --> 00:02.000\nx\n", 3, "is no time"},
		"other digits":      {head + "٠٠:01.000 --> 00:02.000\nx\n", 3, "is no time"},
		"no spaces":         {head + "00:01.000-->00:02.000\nx\n", 3, "space is missing"},
		"backwards":         {head + "00:02.000 --> 00:01.000\nx\n", 3, "ends before it begins"},
		"no length":         {head + "00:01.000 --> 00:01.000\nx\n", 3, "ends before it begins"},
		"out of order":      {head + "00:02.000 --> 00:03.000\nx\n\n00:01.999 --> 00:03.000\nx\n", 6, "before the one above"},
		"order by empty":    {head + "00:02.000 --> 00:03.000\n\n00:01.999 --> 00:03.000\nx\n", 5, "before the one above"},
		"unknown setting":   {head + "00:01.000 --> 00:02.000 colour:red\nx\n", 3, "“colour:red”"},
		"bad setting":       {head + "00:01.000 --> 00:02.000 size:101%\nx\n", 3, "“size:101%”"},
		"setting apart":     {head + "00:01.000 --> 00:02.000 align: start\nx\n", 3, "“align:”"},
		"two arrows":        {head + "00:01.000 --> 00:02.000 --> 00:03.000\nx\n", 3, "“-->”"},
		"cues together":     {head + "00:01.000 --> 00:02.000\nx\n00:02.000 --> 00:03.000\ny\n", 5, "is missing before this cue"},
		"a space between":   {head + "00:01.000 --> 00:02.000\nx\n \n00:02.000 --> 00:03.000\ny\n", 6, "without a space in it"},
		"a space after":     {head + "00:01.000 --> 00:02.000\nx\n\n \n00:02.000 --> 00:03.000\ny\n", 6, "looks blank"},
		"text without time": {head + "00:01.000 --> 00:02.000\nx\n\ny\n", 6, "times of a cue"},
		"two names":         {head + "a\nb\n00:01.000 --> 00:02.000\nx\n", 3, "times of a cue"},
		"name at the end":   {head + "00:01.000 --> 00:02.000\nx\n\n2", 6, "times of a cue"},
		"arrow in a note":   {head + "NOTE x\n00:01.000 --> 00:02.000\nx\n", 4, "cannot stand in a note"},
		"arrow in a style":  {head + "STYLE\n00:01.000 --> 00:02.000\nx\n", 4, "cannot stand in STYLE"},
		"late style":        {head + "00:01.000 --> 00:02.000\nx\n\nSTYLE\n::cue {}\n", 6, "STYLE belongs before"},
		"late region":       {head + "00:01.000 --> 00:02.000\n\nREGION \nid:x\n", 5, "REGION belongs before"},
		"open markup":       {head + "00:01.000 --> 00:02.000\nx\n<i y\n", 5, "> is missing"},
		"a heart":           {head + "00:01.000 --> 00:02.000\nI <3 you > me\n", 4, "“<3 you >” is no markup"},
		"less than":         {head + "00:01.000 --> 00:02.000\na < b\n", 4, "> is missing"},
		"empty markup":      {head + "00:01.000 --> 00:02.000\na <> b\n", 4, "“<>” is no markup"},
		"markup in markup":  {head + "00:01.000 --> 00:02.000\n<b <i> x\n", 4, "> is missing"},
		"CRLF counts once":  {"WEBVTT\r\n\r\n00:01.000 --> 00:02.000\r\nx\r\n\r\ny\r\n", 6, "times of a cue"},
		"BOM counts not":    {"\ufeffWEBVTT\n\nx\n", 3, "times of a cue"},
	} {
		cues, err := Parse([]byte(test.text))
		var wrong *Error
		if !errors.As(err, &wrong) || cues != nil {
			t.Errorf("%s: %v, %v", name, cues, err)
			continue
		}
		if wrong.Line != test.line || !strings.Contains(wrong.Reason, test.says) {
			t.Errorf("%s: %v; want line %d, %q", name, wrong, test.line, test.says)
		}
		if prefix := fmt.Sprintf("Line %d: ", test.line); strings.HasPrefix(err.Error(), prefix) != (test.line > 0) {
			t.Errorf("%s: says %q", name, err)
		}
	}
}

func TestMostCues(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("WEBVTT\n")
	for i := range MostCues {
		fmt.Fprintf(&b, "\n%02d:%02d:%02d.000 --> 09:00:00.000\nx\n", i/3600, i/60%60, i%60)
	}
	if cues, err := Parse([]byte(b.String())); err != nil || len(cues) != MostCues {
		t.Errorf("%d cues, %v", len(cues), err)
	}
	b.WriteString("\n08:00:00.000 --> 09:00:00.000\nx\n")
	if _, err := Parse([]byte(b.String())); err == nil || !strings.Contains(err.Error(), "Line 30003: There are more than 10000 cues") {
		t.Error(err)
	}
}

// Whatever is handed in, it is read or refused with a line of the file; what is read
// keeps what [Cue] promises.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"WEBVTT\n\n00:01.000 --> 00:04.000\nHello\n", "\ufeffWEBVTT x\r\n\r\nNOTE\r\ny\r\n\r\n1\r\n00:00:01.000 --> 99:00:04.000 align:start line:0\r\n<v A>b</v> &amp; <00:02.000>c\r\n",
		"WEBVTT\r\rSTYLE\r::cue{}\r\r00:01.000 --> \r", "1\n00:00:01,000 --> 00:00:02,000\nx", "", "\n", "WEBVTT\n\n-->", "WEBVTT\n\n00:01.000 -->\n", "WEBVTT\n\na\n-->\n<", "WEBVTT\n\n00:01.000 --> 00:02.000\n<\xff>", "\xff\xfe",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		cues, err := Parse(text)
		if err != nil {
			var wrong *Error
			if !errors.As(err, &wrong) || cues != nil {
				t.Fatalf("%v, %v", cues, err)
			}
			if n := len(lines(text)); wrong.Line < 0 || wrong.Line > n || !utf8.ValidString(err.Error()) || strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("%q of %d lines", err, n)
			}
			return
		}
		last := time.Duration(0)
		for _, c := range cues {
			if c.Start < last || c.End <= c.Start || c.Text == "" || !utf8.ValidString(c.Text) || c.Text != strings.Join(strings.Fields(c.Text), " ") {
				t.Fatalf("%+v after %s", c, last)
			}
			last = c.Start
		}
		if len(cues) == 0 {
			t.Fatal("nothing was read, and nothing is wrong")
		}
	})
}
