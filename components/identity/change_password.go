package identity

import (
	"context"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
)

// changePassword trusts that whoever wrote the command knew the current password.
func (c *Component) changePassword(ctx context.Context, m messagestore.Message[identitymsg.ChangePassword]) error {
	p, err := c.person(ctx, m.Data.UserID)
	if err != nil || p.done(m.GlobalPosition) {
		return err
	}
	if !p.registered {
		return answer(ctx, c, p, m, identitymsg.PasswordChangeRejected{UserID: p.id, Reason: identitymsg.NotRegistered})
	}
	return answer(ctx, c, p, m, identitymsg.PasswordChanged{UserID: p.id, PasswordHash: m.Data.PasswordHash, SessionID: m.Data.SessionID})
}

func (c *Component) upgradePasswordHash(ctx context.Context, m messagestore.Message[identitymsg.UpgradePasswordHash]) error {
	p, err := c.person(ctx, m.Data.UserID)
	if err != nil || p.done(m.GlobalPosition) {
		return err
	}
	switch {
	case !p.registered:
		return answer(ctx, c, p, m, identitymsg.PasswordChangeRejected{UserID: p.id, Reason: identitymsg.NotRegistered})
	case p.passwordHash != m.Data.Replaces: // the password is another one by now
		return answer(ctx, c, p, m, identitymsg.PasswordChangeRejected{UserID: p.id, Reason: identitymsg.LinkOutdated})
	}
	return answer(ctx, c, p, m, identitymsg.PasswordHashUpgraded{UserID: p.id, PasswordHash: m.Data.PasswordHash})
}
