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
	if err != nil || p.resetTooSoon(m.Time) {
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

// confirmByReset says what a password that was set by a link proves: the link was in
// the mail of the address. After it the address only changes to one that is confirmed.
func (c *Component) confirmByReset(ctx context.Context, m messagestore.Message[identitymsg.PasswordChanged]) error {
	if m.Data.SessionID != "" { // by who is signed in, which proves nothing
		return nil
	}
	p, err := c.person(ctx, m.Data.UserID)
	if err != nil || !p.registered || p.confirmed {
		return err
	}
	return answer(ctx, c, p, m, identitymsg.EmailConfirmed{UserID: p.id, Email: p.email})
}

// resetTooSoon reports whether whoever asks at a time for a link to set a new password
// has one that is less than a minute old and works. It asks what was so at that time:
// a command that came too soon, and is delivered again after its link was used, still did.
func (p *person) resetTooSoon(at time.Time) bool {
	worked := p.resetOver == "" || at.Before(p.resetEnded)
	return worked && at.Sub(p.resetAsked) < pause
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
