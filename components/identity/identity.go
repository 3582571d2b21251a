package identity

import (
	"strings"
	"time"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
)

// person is an identity as its events tell it; the zero value is nobody.
type person struct {
	id       string
	version  int64 // of the stream, when it was fetched
	sequence int64 // global position of the last command that was answered

	registered   bool
	email        string
	confirmed    bool   // the person reads the mail of email
	pending      string // the address that the person wants and has not confirmed
	passwordHash string
	roles        map[string]bool // false: taken away
	welcomed     bool            // what became of the welcome mail is known

	confirmationAsked, changeAsked time.Time

	resetID    string // of the last link to set a new password
	resetAsked time.Time
	resetOver  string    // why the link no longer works, empty while it does
	resetEnded time.Time // since when
}

// done reports whether a command of the person's has been answered. It compares the
// command's own position, which each answer carries: commands of one stream are
// handled in order, and that of another stream never says anything about this one.
func (p *person) done(position int64) bool { return p.sequence >= position }

// hasAddress reports whether an address is the person's, however it is written.
func (p *person) hasAddress(email string) bool {
	return p.registered && normalForm(p.email) == normalForm(email)
}

// wantsAddress reports the same of the address that waits to be confirmed.
func (p *person) wantsAddress(email string) bool {
	return p.pending != "" && normalForm(p.pending) == normalForm(email)
}

// normalForm is the normal form of an address. What is none may still be the
// address of somebody who registered before addresses were checked.
func normalForm(email string) string {
	if normal, err := identitymsg.NormalAddress(email); err == nil {
		return normal
	}
	return strings.ToLower(strings.TrimSpace(email))
}

var appliers = []messagestore.Applier[person]{
	apply(func(p *person, m messagestore.Message[identitymsg.Registered]) {
		p.registered, p.email, p.passwordHash = true, m.Data.Email, m.Data.PasswordHash
	}),
	apply(func(p *person, m messagestore.Message[identitymsg.RegistrationRejected]) {}),
	apply(func(p *person, m messagestore.Message[identitymsg.RegistrationEmailSent]) { p.welcomed = true }),
	apply(func(p *person, m messagestore.Message[identitymsg.RegistrationEmailFailed]) { p.welcomed = true }),
	apply(func(p *person, m messagestore.Message[identitymsg.EmailConfirmed]) {
		p.confirmed = p.confirmed || p.hasAddress(m.Data.Email)
	}),
	apply(func(p *person, m messagestore.Message[identitymsg.EmailConfirmationRejected]) {}),
	apply(func(p *person, m messagestore.Message[identitymsg.ConfirmationRequested]) {
		p.confirmationAsked = m.Time
	}),
	apply(func(p *person, m messagestore.Message[identitymsg.PasswordResetRequested]) {
		p.resetID, p.resetAsked, p.resetOver = m.Data.ResetID, m.Time, ""
	}),
	apply(func(p *person, m messagestore.Message[identitymsg.PasswordChanged]) {
		p.passwordHash = m.Data.PasswordHash
		if m.Data.SessionID == "" {
			p.endReset(identitymsg.LinkUsed, m.Time)
		} else {
			p.endReset(identitymsg.LinkOutdated, m.Time)
		}
		// Whoever knew the old password may have asked for it.
		p.pending = ""
	}),
	apply(func(p *person, m messagestore.Message[identitymsg.PasswordChangeRejected]) {}),
	apply(func(p *person, m messagestore.Message[identitymsg.PasswordHashUpgraded]) {
		p.passwordHash = m.Data.PasswordHash
	}),
	apply(func(p *person, m messagestore.Message[identitymsg.EmailChangeRequested]) {
		p.pending, p.changeAsked = m.Data.Email, m.Time
	}),
	apply(func(p *person, m messagestore.Message[identitymsg.EmailChanged]) {
		p.email, p.confirmed, p.pending = m.Data.Email, true, ""
		// The link went to the old address.
		p.endReset(identitymsg.LinkOutdated, m.Time)
	}),
	apply(func(p *person, m messagestore.Message[identitymsg.EmailChangeRejected]) {
		// Asking again too soon takes nothing back, nor does whoever knows an old password.
		if m.Data.Reason != identitymsg.TooSoon && m.Data.Reason != identitymsg.PasswordOutdated && p.wantsAddress(m.Data.Email) {
			p.pending = ""
		}
	}),
	apply(func(p *person, m messagestore.Message[identitymsg.RoleGranted]) { p.setRole(m.Data.Role, true) }),
	apply(func(p *person, m messagestore.Message[identitymsg.RoleRevoked]) { p.setRole(m.Data.Role, false) }),
	apply(func(p *person, m messagestore.Message[identitymsg.RoleChangeRejected]) {}),
}

// apply returns an applier that also remembers the command that an event answers. An
// event that names no cause is of another program, which answered what came before it.
func apply[T messagestore.Body](change func(*person, messagestore.Message[T])) messagestore.Applier[person] {
	return messagestore.Apply(func(p *person, m messagestore.Message[T]) {
		switch m.Metadata.CausationMessageStreamName {
		case identitymsg.Category.CommandStream(m.Stream.ID()):
			p.sequence = max(p.sequence, m.Metadata.CausationMessageGlobalPosition)
		case "":
			p.sequence = max(p.sequence, m.GlobalPosition)
		}
		change(p, m)
	})
}

func (p *person) endReset(reason string, at time.Time) {
	if p.resetOver == "" {
		p.resetOver, p.resetEnded = reason, at
	}
}

func (p *person) setRole(role string, has bool) {
	if p.roles == nil {
		p.roles = map[string]bool{}
	}
	p.roles[role] = has
}
