package identity

import (
	"context"
	"strings"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/components/sendemail/sendemailmsg"
	"videotutorials/messagestore"
)

func (c *Component) register(ctx context.Context, m messagestore.Message[identitymsg.Register]) error {
	p, err := c.person(ctx, m.Data.UserID)
	if err != nil || p.done(m.GlobalPosition) {
		return err
	}
	email := strings.TrimSpace(m.Data.Email)
	reject := func(reason string) error {
		return answer(ctx, c, p, m, identitymsg.RegistrationRejected{UserID: p.id, Email: email, Reason: reason})
	}
	if p.registered {
		return reject(identitymsg.AlreadyRegistered)
	}
	normal, err := identitymsg.NormalAddress(email)
	if err != nil {
		return reject(identitymsg.EmailInvalid)
	}
	ours, err := reserve(ctx, c, m, normal, p.id)
	if err != nil {
		return err
	}
	if !ours {
		return reject(identitymsg.EmailTaken)
	}
	return answer(ctx, c, p, m, identitymsg.Registered{UserID: p.id, Email: email, PasswordHash: m.Data.PasswordHash})
}

func (c *Component) welcomeSent(ctx context.Context, m messagestore.Message[sendemailmsg.Sent]) error {
	return welcomeOutcome(ctx, c, m, m.Data.EmailID, func(userID string) messagestore.Body {
		return identitymsg.RegistrationEmailSent{UserID: userID, EmailID: m.Data.EmailID}
	})
}

func (c *Component) welcomeFailed(ctx context.Context, m messagestore.Message[sendemailmsg.Failed]) error {
	return welcomeOutcome(ctx, c, m, m.Data.EmailID, func(userID string) messagestore.Body {
		return identitymsg.RegistrationEmailFailed{UserID: userID, EmailID: m.Data.EmailID, Reason: m.Data.Reason}
	})
}

// welcomeOutcome writes once what became of a person's welcome mail; other mails, of
// this component or another, are passed over.
func welcomeOutcome[T any](ctx context.Context, c *Component, m messagestore.Message[T], emailID string, event func(userID string) messagestore.Body) error {
	origin := m.Metadata.OriginStreamName
	if origin.Category() != identitymsg.Category || emailID != identitymsg.WelcomeEmailID(origin.ID()) {
		return nil
	}
	p, err := c.person(ctx, origin.ID())
	if err != nil || !p.registered || p.welcomed {
		return err
	}
	return answer(ctx, c, p, m, event(p.id))
}
