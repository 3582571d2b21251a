package identity

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"strings"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/components/sendemail/sendemailmsg"
	"videotutorials/messagestore"
)

// letter is what a mail says, in the order in which it says it.
type letter struct {
	subject string
	opening []string
	action  string // what the link does
	link    string
	closing []string
}

func (c *Component) mailWelcome(ctx context.Context, m messagestore.Message[identitymsg.Registered]) error {
	p, err := c.person(ctx, m.Data.UserID)
	// Who registered long ago, with another program, has been welcomed by it.
	if err != nil || p.welcomed {
		return err
	}
	link, err := c.confirmationLink(m.Data.UserID, m.Data.Email)
	if err != nil {
		return err
	}
	return send(ctx, c, m, m.Data.UserID, identitymsg.WelcomeEmailID(m.Data.UserID), m.Data.Email, c.welcome(m.Data.Email, link))
}

func (c *Component) mailConfirmation(ctx context.Context, m messagestore.Message[identitymsg.ConfirmationRequested]) error {
	link, err := c.confirmationLink(m.Data.UserID, m.Data.Email)
	if err != nil {
		return err
	}
	return send(ctx, c, m, m.Data.UserID, mailID(m, "confirmation"), m.Data.Email, c.confirmation(m.Data.Email, link))
}

func (c *Component) mailPasswordReset(ctx context.Context, m messagestore.Message[identitymsg.PasswordResetRequested]) error {
	p, err := c.person(ctx, m.Data.UserID)
	if err != nil || p.resetID != m.Data.ResetID || p.resetOver != "" { // the link would do nothing
		return err
	}
	token, err := c.config.Key.PasswordResetToken(identitymsg.PasswordReset{UserID: m.Data.UserID, ResetID: m.Data.ResetID})
	if err != nil {
		return err
	}
	return send(ctx, c, m, m.Data.UserID, mailID(m, "password-reset"), p.email, c.passwordReset(c.link("/auth/reset-password", token)))
}

func (c *Component) mailPasswordChanged(ctx context.Context, m messagestore.Message[identitymsg.PasswordChanged]) error {
	p, err := c.person(ctx, m.Data.UserID)
	if err != nil {
		return err
	}
	return send(ctx, c, m, m.Data.UserID, mailID(m, "password-changed"), p.email, c.passwordChanged())
}

func (c *Component) mailNewAddress(ctx context.Context, m messagestore.Message[identitymsg.EmailChangeRequested]) error {
	link, err := c.confirmationLink(m.Data.UserID, m.Data.Email)
	if err != nil {
		return err
	}
	return send(ctx, c, m, m.Data.UserID, mailID(m, "new-address"), m.Data.Email, c.newAddress(m.Data.Email, link))
}

func (c *Component) mailOldAddress(ctx context.Context, m messagestore.Message[identitymsg.EmailChanged]) error {
	return send(ctx, c, m, m.Data.UserID, mailID(m, "old-address"), m.Data.Previous, c.oldAddress(m.Data.Previous))
}

func (c *Component) welcome(email, link string) letter {
	return letter{
		subject: "Welcome to " + c.config.AppName,
		opening: []string{"You registered at " + c.config.AppName + " with the address " + email + ".", "Confirm that it is yours. The link works for seven days; you can ask for another one on your account page."},
		action:  "Confirm the address", link: link,
		closing: []string{"If it was not you, somebody has typed your address instead of their own. Then do nothing: without you it stays unconfirmed."},
	}
}

func (c *Component) confirmation(email, link string) letter {
	return letter{
		subject: "Confirm your address",
		opening: []string{"You asked for another link to confirm the address " + email + " at " + c.config.AppName + ". It works for seven days."},
		action:  "Confirm the address", link: link,
		closing: []string{"If it was not you, do nothing."},
	}
}

func (c *Component) passwordReset(link string) letter {
	return letter{
		subject: "Set a new password",
		opening: []string{"Somebody, most likely you, asked to set a new password for your account at " + c.config.AppName + ".", "The link works once, and for one hour."},
		action:  "Set a new password", link: link,
		closing: []string{"If it was not you, do nothing: your password stays as it is."},
	}
}

func (c *Component) passwordChanged() letter {
	return letter{
		subject: "Your password was changed",
		opening: []string{"The password of your account at " + c.config.AppName + " was changed, and other sessions were ended.", "If it was you, there is nothing to do. If it was not you, set a new one now."},
		action:  "Set a new password", link: c.config.BaseURL + "/auth/forgot-password",
	}
}

func (c *Component) newAddress(email, link string) letter {
	return letter{
		subject: "Confirm your new address",
		opening: []string{"You want to use the address " + email + " for your account at " + c.config.AppName + ".", "It changes when you confirm it. The link works for seven days."},
		action:  "Confirm the new address", link: link,
		closing: []string{"If it was not you, somebody has typed your address instead of their own. Then do nothing."},
	}
}

func (c *Component) oldAddress(email string) letter {
	return letter{
		subject: "Your address was changed",
		opening: []string{"Your account at " + c.config.AppName + " no longer uses the address " + email + ", but another one that was confirmed.", "If it was you, there is nothing to do. If it was not you, tell the people who run the site: they can see the change."},
		action:  "Open the site", link: c.config.BaseURL + "/",
	}
}

// mailID returns the id of the mail that follows from an event.
func mailID[T any](m messagestore.Message[T], what string) string {
	return messagestore.DeriveID("email", what, m.ID)
}

func (c *Component) confirmationLink(userID, email string) (string, error) {
	token, err := c.config.Key.ConfirmationToken(identitymsg.Confirmation{UserID: userID, Email: email})
	return c.link("/confirm-email", token), err
}

func (c *Component) link(path, token string) string {
	return c.config.BaseURL + path + "?token=" + url.QueryEscape(token)
}

// send asks for a mail to be sent. It is the same mail however often its event comes.
func send[T any](ctx context.Context, c *Component, m messagestore.Message[T], userID, emailID, to string, l letter) error {
	var html bytes.Buffer
	if err := letterHTML(c.config.AppName, l).Render(ctx, &html); err != nil {
		return fmt.Errorf("write the mail %s: %w", emailID, err)
	}
	mail := sendemailmsg.Mail{EmailID: emailID, To: deliverable(to), Subject: l.subject, Text: letterText(c.config.AppName, l), HTML: html.String()}
	_, err := c.store.Write(ctx, sendemailmsg.Category.CommandStream(emailID), sendemailmsg.Send{Mail: mail},
		messagestore.Follow(m), messagestore.Origin(identitymsg.Category.Stream(userID)), messagestore.WithID(messagestore.DeriveID(emailID, "send")))
	return unlessDone(err)
}

// deliverable is an address as it was typed with the domain in the letters of DNS:
// not every mail server takes others.
func deliverable(email string) string {
	normal, err := identitymsg.NormalAddress(email)
	if err != nil {
		return email
	}
	email = strings.TrimSpace(email)
	return email[:strings.LastIndexByte(email, '@')] + normal[strings.LastIndexByte(normal, '@'):]
}

// letterText is the twin of letterHTML.
func letterText(appName string, l letter) string {
	paragraphs := append([]string{}, l.opening...)
	paragraphs = append(paragraphs, l.action+":\n"+l.link)
	paragraphs = append(paragraphs, l.closing...)
	return strings.Join(append(paragraphs, appName), "\n\n") + "\n"
}
