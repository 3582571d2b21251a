package identity

import (
	"context"
	"strings"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
)

// changeEmail reserves nothing: the address is the person's when they have confirmed
// it, or else anybody could keep others from registering.
func (c *Component) changeEmail(ctx context.Context, m messagestore.Message[identitymsg.ChangeEmail]) error {
	p, err := c.person(ctx, m.Data.UserID)
	if err != nil || p.done(m.GlobalPosition) {
		return err
	}
	email := strings.TrimSpace(m.Data.Email)
	reject := func(reason string) error {
		return answer(ctx, c, p, m, identitymsg.EmailChangeRejected{UserID: p.id, Email: email, Reason: reason})
	}
	if reason := p.whyNoChange(m.Data.Replaces); reason != "" {
		return reject(reason)
	}
	normal, err := identitymsg.NormalAddress(email)
	switch {
	case err != nil:
		return reject(identitymsg.EmailInvalid)
	case p.hasAddress(email):
		return reject(identitymsg.SameEmail)
	}
	r, _, err := c.reservation(ctx, c.config.Key.AddressStream(normal))
	switch {
	case err != nil:
		return err
	case r.holder != "" && r.holder != p.id:
		return reject(identitymsg.EmailTaken)
	case m.Time.Sub(p.changeAsked) < pause:
		return reject(identitymsg.TooSoon)
	}
	return answer(ctx, c, p, m, identitymsg.EmailChangeRequested{UserID: p.id, Email: email})
}
