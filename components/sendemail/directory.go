package sendemail

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"videotutorials/components/sendemail/sendemailmsg"
)

// Directory writes mails into a folder instead of sending them: "<emailId>.eml", as a
// mail program reads it.
type Directory struct {
	dir, from string
	now       func() time.Time
}

// NewDirectory returns the transport that writes to dir, which is made with the first
// mail; from is the address that mails come from, with or without a name.
func NewDirectory(dir, from string) *Directory {
	return &Directory{dir: dir, from: from, now: time.Now}
}

// Send writes a mail. A reader finds the whole mail or none, also after a power cut.
func (d *Directory) Send(_ context.Context, mail sendemailmsg.Mail) error {
	c, err := compose(mail, d.from, d.now())
	if err != nil {
		return err
	}
	// Links in mails open accounts, so the folder is for its owner only.
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return fmt.Errorf("make the folder for mails: %w", err)
	}
	temporary, err := os.CreateTemp(d.dir, ".mail-*")
	if err != nil {
		return fmt.Errorf("write mail %s: %w", mail.EmailID, err)
	}
	defer os.Remove(temporary.Name()) // it is another name by then if all went well
	_, err = temporary.Write(c.message)
	if err == nil {
		err = temporary.Sync()
	}
	if closed := temporary.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(temporary.Name(), filepath.Join(d.dir, mail.EmailID+".eml"))
	}
	if err == nil {
		err = syncFolder(d.dir)
	}
	if err != nil {
		return fmt.Errorf("write mail %s: %w", mail.EmailID, err)
	}
	return nil
}

func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
