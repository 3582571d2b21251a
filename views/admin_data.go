package views

import (
	"context"
	"html"
	"io"
	"strings"

	"github.com/a-h/templ"
)

// How data are shown unless all of them are asked for: a message may hold megabytes, and be
// nested thousands of levels deep.
const (
	mostValue  = 2_000  // characters of one text
	mostData   = 60_000 // bytes of the page
	mostIndent = 24     // levels
)

// Data are the data or the metadata of a message: JSON as the store has it.
type Data struct {
	JSON []byte
	// Masks says that a text in the place of a value may stand for one that is masked, and
	// Mask what it is.
	Masks bool
	Mask  string
	// Whole says that nothing is left out of it, however long it is.
	Whole bool
}

// cut reports whether something is left out of what data show.
func (d Data) cut() bool {
	if d.Whole {
		return false
	}
	w := dataWriter{Data: d}
	w.write()
	return w.left
}

// data writes JSON over several lines. It reads the text from front to back and never recurs: it
// can be nested as deep as it likes.
func data(d Data) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, to io.Writer) error {
		w := dataWriter{Data: d}
		w.write()
		_, err := io.WriteString(to, `<pre class="data" tabindex="0">`+w.out.String()+`</pre>`)
		return err
	})
}

type dataWriter struct {
	Data
	out   strings.Builder
	depth int
	left  bool // something is left out
}

func (w *dataWriter) write() {
	text := string(w.JSON)
	for i := 0; i < len(text); {
		if !w.Whole && w.out.Len() > mostData {
			w.left = true
			w.note("… " + size(int64(len(text)-i)) + " more")
			return
		}
		switch c := text[i]; c {
		case ' ', '\t', '\n', '\r':
			i++
		case '{', '[':
			i++
			w.out.WriteByte(c)
			if rest := strings.TrimLeft(text[i:], " \t\r\n"); rest != "" && (rest[0] == '}' || rest[0] == ']') {
				w.out.WriteByte(rest[0])
				i = len(text) - len(rest) + 1
				break
			}
			w.depth++
			w.line()
		case '}', ']':
			i++
			w.depth--
			w.line()
			w.out.WriteByte(c)
		case ',':
			i++
			w.out.WriteByte(c)
			w.line()
		case ':':
			i++
			w.out.WriteString(": ")
		case '"':
			end := endOfString(text, i)
			w.text(text[i:end], strings.HasPrefix(strings.TrimLeft(text[end:], " \t\r\n"), ":"))
			i = end
		default:
			end := i + 1
			for end < len(text) && !strings.ContainsRune(" \t\r\n{}[],:\"", rune(text[end])) {
				end++
			}
			w.escaped(text[i:end])
			i = end
		}
	}
}

// endOfString returns where a string of JSON that begins at start is over.
func endOfString(text string, start int) int {
	for i := start + 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// text writes a string of JSON as it stands there.
func (w *dataWriter) text(quoted string, key bool) {
	switch {
	case key:
		w.out.WriteString(`<span class="key">`)
	case w.Masks && quoted == `"`+w.Mask+`"`:
		w.out.WriteString(`<span class="masked">masked</span>`)
		return
	default:
		w.out.WriteString(`<span class="text">`)
	}
	w.escaped(quoted)
	w.out.WriteString(`</span>`)
}

func (w *dataWriter) escaped(s string) {
	most := mostValue
	if w.Whole {
		most = 0
	}
	shorter := seen(s, most)
	if most > 0 && len(s) > most && len([]rune(s)) > most {
		w.left = true
	}
	w.out.WriteString(html.EscapeString(shorter))
}

func (w *dataWriter) line() {
	w.out.WriteByte('\n')
	for range max(0, min(w.depth, mostIndent)) {
		w.out.WriteString("  ")
	}
}

func (w *dataWriter) note(s string) {
	w.out.WriteString(`<span class="left-out">` + html.EscapeString(s) + `</span>`)
}
