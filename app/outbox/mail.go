package outbox

import (
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"time"

	"videotutorials/app/web"
	"videotutorials/messagestore"
	"videotutorials/views"
)

const (
	extension = ".eml"
	// The newest so many mails are listed.
	mostListed = 200
	// What is longer than this was not written by the site, in bytes.
	longestMail = 1 << 20
	// How deep parts may lie in parts.
	deepest = 5
)

// letters lists the newest mails, the newest first.
func (a *App) letters() (o views.Outbox, err error) {
	root, err := os.OpenRoot(a.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil // the first mail makes it
	}
	if err != nil {
		return o, err
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return o, err
	}
	type file struct {
		id      string
		written time.Time
	}
	var files []file
	for _, entry := range entries {
		id, isMail := strings.CutSuffix(entry.Name(), extension)
		if !isMail || !messagestore.ValidID(id) || !entry.Type().IsRegular() {
			continue
		}
		if info, err := entry.Info(); err == nil { // otherwise it has just gone
			files = append(files, file{id, info.ModTime()})
		}
	}
	slices.SortFunc(files, func(a, b file) int {
		if c := b.written.Compare(a.written); c != 0 {
			return c
		}
		return strings.Compare(a.id, b.id)
	})
	o.More = len(files) > mostListed
	for _, f := range files[:min(len(files), mostListed)] {
		l, _, err := read(root, f.id)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return o, err
		}
		o.Letters = append(o.Letters, l)
	}
	return o, nil
}

// letter returns a mail and its HTML part.
func (a *App) letter(id string) (l views.Letter, html string, err error) {
	if messagestore.ValidID(id) {
		var root *os.Root
		if root, err = os.OpenRoot(a.dir); err == nil {
			defer root.Close()
			l, html, err = read(root, id)
		}
	}
	if l.ID == "" && (err == nil || errors.Is(err, fs.ErrNotExist)) {
		err = web.NotFound("There is no such mail in the outbox.")
	}
	return l, html, err
}

// read reads the file of a mail. What is no mail is shown as such.
func read(root *os.Root, id string) (l views.Letter, html string, err error) {
	info, err := root.Lstat(id + extension)
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist // a link leads elsewhere
	}
	if err != nil {
		return l, "", err
	}
	f, err := root.Open(id + extension)
	if err != nil {
		return l, "", err
	}
	defer f.Close()
	l, html, err = parse(&io.LimitedReader{R: f, N: longestMail})
	if err != nil || info.Size() > longestMail {
		l, html = views.Letter{Unreadable: true, Date: info.ModTime()}, ""
	}
	l.ID = id
	return l, html, nil
}

// parse reads a mail: what its headers say, its first plain text and its first HTML.
func parse(r io.Reader) (l views.Letter, html string, err error) {
	msg, err := netmail.ReadMessage(r)
	if err != nil {
		return l, "", err
	}
	l.From, l.To, l.Subject = people(msg.Header.Get("From")), people(msg.Header.Get("To")), decoded(msg.Header.Get("Subject"))
	if date, err := msg.Header.Date(); err == nil {
		l.Date = date
	}
	var plain, styled *string
	err = parts(textproto.MIMEHeader(msg.Header), msg.Body, 0, func(kind, text string) {
		switch {
		case kind == "text/plain" && plain == nil:
			plain = &text
		case kind == "text/html" && styled == nil:
			styled = &text
		}
	})
	if err != nil {
		return l, "", err
	}
	if plain != nil {
		l.Text = *plain
	}
	if styled != nil {
		l.HTML, html = true, *styled
	}
	return l, html, nil
}

// parts gives each text in a mail to found.
func parts(header textproto.MIMEHeader, body io.Reader, depth int, found func(kind, text string)) error {
	kind, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	if header.Get("Content-Type") == "" {
		kind, err = "text/plain", nil
	}
	if err != nil {
		return err
	}
	if strings.HasPrefix(kind, "multipart/") {
		if depth == deepest {
			return errors.New("parts lie too deep in parts")
		}
		for inside := multipart.NewReader(body, params["boundary"]); ; {
			part, err := inside.NextRawPart()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			if err := parts(part.Header, part, depth+1, found); err != nil {
				return err
			}
		}
	}
	if kind != "text/plain" && kind != "text/html" {
		return nil
	}
	switch strings.ToLower(header.Get("Content-Transfer-Encoding")) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	found(kind, strings.ReplaceAll(strings.ToValidUTF8(string(text), "�"), "\r\n", "\n"))
	return nil
}

// decoded reads a header as people do.
func decoded(header string) string {
	var words mime.WordDecoder
	text, err := words.DecodeHeader(header)
	if err != nil {
		text = header
	}
	return strings.ToValidUTF8(text, "�")
}

// people reads a header of addresses: a name stands before its address, and an address
// without one alone.
func people(header string) string {
	list, err := netmail.ParseAddressList(header)
	if err != nil {
		return decoded(header)
	}
	all := make([]string, len(list))
	for i, one := range list {
		all[i] = one.Address
		if one.Name != "" {
			all[i] = one.Name + " <" + one.Address + ">"
		}
	}
	return strings.ToValidUTF8(strings.Join(all, ", "), "�")
}
