package views

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"
)

const letterID = "7b1e9a52-3c55-5b0e-9f0e-52d3c2f1c6a4"

var welcomeLetter = Letter{
	ID: letterID, From: "Video Tutorials <no-reply@localhost>", To: "ann@example.com", Subject: "Welcome",
	Date: time.Date(2026, 11, 22, 9, 30, 5, 0, time.FixedZone("", 3600)), Text: "Hello.\n  Confirm your address.\n", HTML: true,
}

func TestGoldenOutbox(t *testing.T) {
	t.Parallel()
	plain, unreadable := welcomeLetter, Letter{ID: changeID, Unreadable: true}
	plain.HTML, plain.Subject, plain.Date = false, "", time.Time{}
	for name, c := range map[string]templ.Component{
		"outbox-empty":      letters(Outbox{}, ""),
		"outbox-list":       letters(Outbox{Letters: []Letter{welcomeLetter, unreadable, plain}, More: true}, letterID),
		"outbox-letter":     letter(welcomeLetter),
		"outbox-plain":      letter(plain),
		"outbox-unreadable": letter(unreadable),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := lines.Replace(render(t, c)) + "\n"
			file := filepath.Join("testdata", name+".golden.html")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("%v; run go test ./views -update", err)
			}
			if got != string(want) {
				t.Errorf("%s differs from what is rendered now; look at the difference after go test ./views -update. Got:\n%s", file, got)
			}
		})
	}
}

func TestOutboxPages(t *testing.T) {
	t.Parallel()
	o := Outbox{Letters: []Letter{welcomeLetter}}
	list, open := render(t, OutboxPage(page, o)), render(t, OutboxLetterPage(page, o, welcomeLetter))
	part := func(c templ.Component) string { return render(t, c) }
	if !strings.Contains(list, part(letters(o, ""))) || strings.Contains(list, "<iframe") {
		t.Error("the outbox is not its list")
	}
	if !strings.Contains(open, part(letter(welcomeLetter))) || !strings.Contains(open, part(letters(o, letterID))) {
		t.Error("a mail's page is not the mail beside the list")
	}
}

// A mail may say anything: its text stays text, and its frame stays as closed as it is.
func TestHostileLetter(t *testing.T) {
	t.Parallel()
	for _, hostile := range []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `" sandbox="allow-scripts`, `</pre></iframe><b>`, `</title></template><b>`} {
		l := Letter{ID: letterID, From: hostile, To: hostile, Subject: hostile, Text: hostile, HTML: true}
		html := render(t, OutboxLetterPage(page, Outbox{Letters: []Letter{l}}, l))
		for _, unsafe := range []string{"<script>alert", "<img src=x", "' onmouseover='", `sandbox="allow-scripts`, "</iframe><b>", "</title></template><b>"} {
			if strings.Contains(html, unsafe) {
				t.Errorf("a mail of %q contains %s", hostile, unsafe)
			}
		}
	}
}
