package identity

import (
	"context"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
)

// changePassword trusts that the password that was checked is the one of Replaces, and
// sees for itself that this is the current one: view data may be behind, and who knows
// an old password must not take the account back.
func (c *Component) changePassword(ctx context.Context, m messagestore.Message[identitymsg.ChangePassword]) error {
	p, err := c.person(ctx, m.Data.UserID)
	if err != nil || p.done(m.GlobalPosition) {
		return err
	}
	if reason := p.whyNoChange(m.Data.Replaces); reason != "" {
		return answer(ctx, c, p, m, identitymsg.PasswordChangeRejected{UserID: p.id, Reason: reason})
	}
	return answer(ctx, c, p, m, identitymsg.PasswordChanged{UserID: p.id, PasswordHash: m.Data.PasswordHash, SessionID: m.Data.SessionID})
}

func (c *Component) upgradePasswordHash(ctx context.Context, m messagestore.Message[identitymsg.UpgradePasswordHash]) error {
	p, err := c.person(ctx, m.Data.UserID)
	if err != nil || p.done(m.GlobalPosition) {
		return err
	}
	if reason := p.whyNoChange(m.Data.Replaces); reason != "" {
		return answer(ctx, c, p, m, identitymsg.PasswordChangeRejected{UserID: p.id, Reason: reason})
	}
	return answer(ctx, c, p, m, identitymsg.PasswordHashUpgraded{UserID: p.id, PasswordHash: m.Data.PasswordHash})
}

// whyNoChange says why nothing is changed for somebody whose password was checked
// against a hash; empty where that is the person's.
func (p *person) whyNoChange(hash string) string {
	switch {
	case !p.registered:
		return identitymsg.NotRegistered
	case p.passwordHash != hash:
		return identitymsg.PasswordOutdated
	}
	return ""
}
