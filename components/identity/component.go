// Package identity decides who a person is: registration, the address and its
// confirmation, the password and the roles. contract.md says which messages it
// takes and writes.
package identity

import (
	"context"
	"errors"
	"strings"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/components/sendemail/sendemailmsg"
	"videotutorials/messagestore"
)

// Config is what [New] needs to know.
type Config struct {
	// Key finds addresses and signs the links in mails.
	Key identitymsg.Key
	// BaseURL is where browsers reach the site, "https://videos.example.org"; the
	// links in mails begin with it.
	BaseURL string
	// AppName is the name of the site in mails.
	AppName string
	// Group is the share of the work that this one does; the zero value is all of it.
	Group messagestore.Group
}

// Component handles the commands to identities and what follows from their events.
type Component struct {
	store  *messagestore.Store
	config Config
}

// New returns the component.
func New(store *messagestore.Store, config Config) *Component {
	config.BaseURL = strings.TrimRight(config.BaseURL, "/")
	return &Component{store, config}
}

// Subscriptions returns what the component follows: the commands, its own events
// (mails, reservations and what a reset confirms follow from them) and the outcomes of its mails.
func (c *Component) Subscriptions() []*messagestore.Subscription {
	follow := func(name string, category messagestore.Category, handlers []messagestore.Handler) *messagestore.Subscription {
		return messagestore.NewSubscription(c.store, messagestore.SubscriptionConfig{Name: name, Category: category, Handlers: handlers, Group: c.config.Group})
	}
	return []*messagestore.Subscription{
		follow("identity:commands", identitymsg.Category.Commands(), c.commands()),
		follow("identity:events", identitymsg.Category, c.events()),
		follow("identity:mails", sendemailmsg.Category, c.mails()),
	}
}

func (c *Component) commands() []messagestore.Handler {
	return []messagestore.Handler{
		messagestore.On(c.register),
		messagestore.On(c.confirmEmail), messagestore.On(c.requestConfirmation),
		messagestore.On(c.requestPasswordReset), messagestore.On(c.resetPassword),
		messagestore.On(c.changePassword), messagestore.On(c.upgradePasswordHash),
		messagestore.On(c.changeEmail),
		messagestore.On(c.grantRole), messagestore.On(c.revokeRole), messagestore.On(c.claimFirstAdmin),
	}
}

func (c *Component) events() []messagestore.Handler {
	return []messagestore.Handler{
		messagestore.On(c.keepAddress), messagestore.On(c.mailWelcome),
		messagestore.On(c.mailConfirmation), messagestore.On(c.mailPasswordReset), messagestore.On(c.mailPasswordChanged),
		messagestore.On(c.confirmByReset),
		messagestore.On(c.mailNewAddress), messagestore.On(c.mailOldAddress), messagestore.On(c.releaseAddress),
	}
}

func (c *Component) mails() []messagestore.Handler {
	return []messagestore.Handler{messagestore.On(c.welcomeSent), messagestore.On(c.welcomeFailed)}
}

// person fetches the identity with an id; nobody has it where it is not registered.
func (c *Component) person(ctx context.Context, userID string) (person, error) {
	p, version, err := messagestore.Fetch(ctx, c.store, identitymsg.Category.Stream(userID), appliers...)
	p.id, p.version = userID, version
	return p, err
}

// answer writes what was decided about a person after a message: one event for each
// message, expecting that nothing has happened to the person since they were fetched.
func answer[T any](ctx context.Context, c *Component, p person, m messagestore.Message[T], event messagestore.Body) error {
	_, err := c.store.Write(ctx, identitymsg.Category.Stream(p.id), event, messagestore.Follow(m),
		messagestore.WithID(messagestore.DeriveID(m.ID, "answer")), messagestore.ExpectedVersion(p.version))
	return unlessDone(err)
}

// unlessDone takes a derived id that is there already for what it is: done before.
func unlessDone(err error) error {
	if errors.Is(err, messagestore.ErrDuplicateID) {
		return nil
	}
	return err
}
