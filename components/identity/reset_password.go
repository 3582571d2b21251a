package identity

import (
	"context"

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
	return answer(ctx, c, p, m, identitymsg.PasswordResetRequested{UserID: p.id, ResetID: messagestore.DeriveID(m.ID, "reset")})
}

func (c *Component) resetPassword(ctx context.Context, m messagestore.Message[identitymsg.ResetPassword]) error {
	p, err := c.person(ctx, m.Data.UserID)
	if err != nil || p.done(m.GlobalPosition) {
		return err
	}
	reason := p.resetOver
	switch {
	case !p.registered:
		reason = identitymsg.NotRegistered
	case m.Data.ResetID != p.resetID || p.resetID == "":
		reason = identitymsg.LinkOutdated
	case reason == "" && m.Time.Sub(p.resetAsked) > identitymsg.PasswordResetLasts:
		reason = identitymsg.LinkExpired
	}
	if reason != "" {
		return answer(ctx, c, p, m, identitymsg.PasswordChangeRejected{UserID: p.id, Reason: reason})
	}
	return answer(ctx, c, p, m, identitymsg.PasswordChanged{UserID: p.id, PasswordHash: m.Data.PasswordHash})
}
