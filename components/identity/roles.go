package identity

import (
	"context"
	"errors"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
)

func (c *Component) grantRole(ctx context.Context, m messagestore.Message[identitymsg.GrantRole]) error {
	p, err := c.person(ctx, m.Data.UserID)
	if err != nil || p.done(m.GlobalPosition) {
		return err
	}
	if reason := whyNot(p, m.Data.Role); reason != "" {
		return answer(ctx, c, p, m, identitymsg.RoleChangeRejected{UserID: p.id, Role: m.Data.Role, Reason: reason})
	}
	if m.Data.Role == identitymsg.Admin { // the link for the first one ends, whoever that is
		if _, err := claim(ctx, c, m, p.id); err != nil {
			return err
		}
	}
	return answer(ctx, c, p, m, identitymsg.RoleGranted{UserID: p.id, Role: m.Data.Role})
}

func (c *Component) revokeRole(ctx context.Context, m messagestore.Message[identitymsg.RevokeRole]) error {
	p, err := c.person(ctx, m.Data.UserID)
	if err != nil || p.done(m.GlobalPosition) {
		return err
	}
	if reason := whyNot(p, m.Data.Role); reason != "" {
		return answer(ctx, c, p, m, identitymsg.RoleChangeRejected{UserID: p.id, Role: m.Data.Role, Reason: reason})
	}
	return answer(ctx, c, p, m, identitymsg.RoleRevoked{UserID: p.id, Role: m.Data.Role})
}

func (c *Component) claimFirstAdmin(ctx context.Context, m messagestore.Message[identitymsg.ClaimFirstAdmin]) error {
	p, err := c.person(ctx, m.Data.UserID)
	if err != nil || p.done(m.GlobalPosition) {
		return err
	}
	reject := func(reason string) error {
		return answer(ctx, c, p, m, identitymsg.RoleChangeRejected{UserID: p.id, Role: identitymsg.Admin, Reason: reason})
	}
	if !p.registered {
		return reject(identitymsg.NotRegistered)
	}
	first, err := claim(ctx, c, m, p.id)
	if err != nil {
		return err
	}
	is, was := p.roles[identitymsg.Admin]
	// The first one's link must not give back what was taken from them.
	if first != p.id || was && !is {
		return reject(identitymsg.AdminExists)
	}
	return answer(ctx, c, p, m, identitymsg.RoleGranted{UserID: p.id, Role: identitymsg.Admin})
}

// whyNot says why a role can neither be granted to a person nor revoked.
func whyNot(p person, role string) string {
	switch {
	case role != identitymsg.Creator && role != identitymsg.Admin:
		return identitymsg.UnknownRole
	case !p.registered:
		return identitymsg.NotRegistered
	}
	return ""
}

// claim makes a person the first administrator where there was none, and returns who
// that is or was.
func claim[T any](ctx context.Context, c *Component, m messagestore.Message[T], userID string) (first string, err error) {
	_, err = c.store.Write(ctx, identitymsg.FirstAdminStream, identitymsg.FirstAdminClaimed{UserID: userID}, messagestore.Follow(m),
		messagestore.WithID(messagestore.DeriveID(m.ID, "claim")), messagestore.ExpectedVersion(messagestore.NoStream))
	if err == nil {
		return userID, nil
	}
	if !errors.Is(err, messagestore.ErrWrongExpectedVersion) {
		return "", err
	}
	last, err := c.store.Last(ctx, identitymsg.FirstAdminStream, "")
	if err != nil {
		return "", err
	}
	claimed, err := messagestore.Decode[identitymsg.FirstAdminClaimed](last)
	return claimed.Data.UserID, err
}
