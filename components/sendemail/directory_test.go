package sendemail

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data", "outbox")
	d := NewDirectory(dir, sender)
	mail := welcome("ann@example.com")
	for range 2 { // delivered twice it is one mail
		if err := d.Send(soon(t), mail); err != nil {
			t.Fatal(err)
		}
	}
	other := welcome("bob@example.com")
	if err := d.Send(soon(t), other); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Fatalf("the folder holds %v, %v", entries, err)
	}
	message, err := os.ReadFile(filepath.Join(dir, mail.EmailID+".eml"))
	if err != nil {
		t.Fatal(err)
	}
	header, text, html := read(t, message)
	if header.Get("To") != "<ann@example.com>" || text != mail.Text || html != mail.HTML {
		t.Errorf("the file says:\n%s", message)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, mail.EmailID+".eml"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

func TestDirectoryRefusesIDsThatLeadElsewhere(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "outbox")
	mail := welcome("ann@example.com")
	mail.EmailID = "../outside"
	var no *Refusal
	if err := NewDirectory(dir, sender).Send(soon(t), mail); !errors.As(err, &no) || !no.Permanent {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "..", "outside.eml")); !os.IsNotExist(err) {
		t.Errorf("written outside: %v", err)
	}
}

// A folder that cannot be written is trouble that somebody mends, not a refusal, and
// half a mail is never left behind.
func TestDirectoryThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mail := welcome("ann@example.com")
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	occupied := filepath.Join(dir, "occupied")
	if err := os.MkdirAll(filepath.Join(occupied, mail.EmailID+".eml", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{file, filepath.Join(file, "below"), occupied} {
		if err := NewDirectory(where, sender).Send(soon(t), mail); err == nil || errors.As(err, new(*Refusal)) {
			t.Errorf("%s: %v", where, err)
		}
	}
	entries, err := os.ReadDir(occupied)
	if err != nil || len(entries) != 1 || strings.HasPrefix(entries[0].Name(), ".") {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
