package identity

import (
	"context"
	"time"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
)

// requestPasswordReset writes nothing where there is nobody to write to, and nothing
// about it: the address may be anybody's. The command stands in the stream of the
// address and not of a person, so that what was done is told by time and by id.
func (c *Component) requestPasswordReset(ctx context.Context, m messagestore.Message[identitymsg.RequestPasswordReset]) error {
	r, _, err := c.reservation(ctx, identitymsg.AddressCategory.Stream(m.Data.AddressID))
	if err != nil || r.holder == "" {
		return err
	}
	p, err := c.person(ctx, r.holder)
	if err != nil || m.Time.Sub(p.resetAsked) < pause {
		return err
	}
	// An address that is reserved and not, or no longer, the person's leads to nobody.
	if c.config.Key.AddressID(normalForm(p.email)) != m.Data.AddressID {
		return nil
	}
	resetID := messagestore.DeriveID(m.ID, "reset")
	// Anybody can ask, and that must not end the link that the person has in their mail.
	if p.whyNoReset(m.Time) == "" {
		resetID = p.resetID
	}
	return answer(ctx, c, p, m, identitymsg.PasswordResetRequested{UserID: p.id, ResetID: resetID})
}

func (c *Component) resetPassword(ctx context.Context, m messagestore.Message[identitymsg.ResetPassword]) error {
	p, err := c.person(ctx, m.Data.UserID)
	if err != nil || p.done(m.GlobalPosition) {
		return err
	}
	reason := p.whyNoReset(m.Time)
	switch {
	case !p.registered:
		reason = identitymsg.NotRegistered
	case m.Data.ResetID != p.resetID:
		reason = identitymsg.LinkOutdated
	}
	if reason != "" {
		return answer(ctx, c, p, m, identitymsg.PasswordChangeRejected{UserID: p.id, Reason: reason})
	}
	return answer(ctx, c, p, m, identitymsg.PasswordChanged{UserID: p.id, PasswordHash: m.Data.PasswordHash})
}

// whyNoReset says why the last link to set a new password does not work at a time;
// empty while it does. The token in each mail runs out by itself, too.
func (p *person) whyNoReset(at time.Time) string {
	switch {
	case p.resetID == "":
		return identitymsg.LinkOutdated
	case p.resetOver == "" && at.Sub(p.resetAsked) > identitymsg.PasswordResetLasts:
		return identitymsg.LinkExpired
	}
	return p.resetOver
}
