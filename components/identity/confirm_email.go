package identity

import (
	"context"
	"time"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
)

// pause is how long a person waits before the same mail can be asked for again.
const pause = time.Minute

func (c *Component) confirmEmail(ctx context.Context, m messagestore.Message[identitymsg.ConfirmEmail]) error {
	p, err := c.person(ctx, m.Data.UserID)
	if err != nil || p.done(m.GlobalPosition) {
		return err
	}
	switch {
	case !p.registered:
		return answer(ctx, c, p, m, identitymsg.EmailConfirmationRejected{UserID: p.id, Reason: identitymsg.NotRegistered})
	case p.hasAddress(m.Data.Email):
		return answer(ctx, c, p, m, identitymsg.EmailConfirmed{UserID: p.id, Email: p.email})
	case !p.wantsAddress(m.Data.Email):
		return answer(ctx, c, p, m, identitymsg.EmailConfirmationRejected{UserID: p.id, Reason: identitymsg.LinkOutdated})
	}
	ours, err := reserve(ctx, c, m, normalForm(p.pending), p.id)
	if err != nil {
		return err
	}
	if !ours {
		return answer(ctx, c, p, m, identitymsg.EmailChangeRejected{UserID: p.id, Email: p.pending, Reason: identitymsg.EmailTaken})
	}
	return answer(ctx, c, p, m, identitymsg.EmailChanged{UserID: p.id, Email: p.pending, Previous: p.email})
}

// requestConfirmation asks for another mail to the address that waits for it: the one
// that the person changes to, or else their own.
func (c *Component) requestConfirmation(ctx context.Context, m messagestore.Message[identitymsg.RequestConfirmation]) error {
	p, err := c.person(ctx, m.Data.UserID)
	if err != nil || p.done(m.GlobalPosition) {
		return err
	}
	reject := func(reason string) error {
		return answer(ctx, c, p, m, identitymsg.EmailConfirmationRejected{UserID: p.id, Reason: reason})
	}
	if !p.registered {
		return reject(identitymsg.NotRegistered)
	}
	if p.confirmed && p.pending == "" {
		return reject(identitymsg.AlreadyConfirmed)
	}
	if m.Time.Sub(p.confirmationAsked) < pause {
		return reject(identitymsg.TooSoon)
	}
	email := p.email
	if p.pending != "" {
		email = p.pending
	}
	return answer(ctx, c, p, m, identitymsg.ConfirmationRequested{UserID: p.id, Email: email})
}
