// Package sendemail sends e-mail. One command is one mail: it is sent, or refused for
// good, or postponed and tried again until the one or the other.
package sendemail

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"videotutorials/components/sendemail/sendemailmsg"
	"videotutorials/messagestore"
)

// Transport is a way that mails go: [SMTP] or [Directory].
type Transport interface {
	// Send returns when the mail is in other hands. A [Refusal] is about this mail;
	// any other error is about the way itself, which is tried again for as long as it
	// takes. The mail with the same id is the same mail.
	Send(ctx context.Context, mail sendemailmsg.Mail) error
}

// Refusal is an error that says no to one mail, while others may go.
type Refusal struct {
	// Reason is what the mail server said, or what is wrong with the mail.
	Reason string
	// Permanent tells that the same mail will never be taken.
	Permanent bool
}

// Error returns the reason.
func (r *Refusal) Error() string { return r.Reason }

// Config is what [New] may be told beside the transport.
type Config struct {
	// RetryAfter are the pauses before the second, the third and each later try of a
	// postponed mail; the last one repeats. Where it is empty they are 1 s, 10 s, 1 min
	// and 5 min. A pause that is taken away leaves the mails that wait for it behind.
	RetryAfter []time.Duration
	// GiveUpAfter is how long after the first refusal a mail is tried; 0 is 24 hours.
	GiveUpAfter time.Duration
	// Group is the share of the work that this one does; the zero value is all of it.
	Group messagestore.Group
}

// Component is the component.
type Component struct {
	store     *messagestore.Store
	transport Transport
	config    Config
	// untold are outcomes that are not in the store yet, by the message that was
	// handled: when Postgres is away just after a mail went, the mail must not go again.
	untold sync.Map
}

// New returns the component.
func New(store *messagestore.Store, transport Transport, config Config) *Component {
	if len(config.RetryAfter) == 0 {
		config.RetryAfter = []time.Duration{time.Second, 10 * time.Second, time.Minute, 5 * time.Minute}
	}
	if config.GiveUpAfter == 0 {
		config.GiveUpAfter = 24 * time.Hour
	}
	return &Component{store: store, transport: transport, config: config}
}

// Subscriptions returns what the component follows. Each pause has a subscription of
// its own: those that wait equally long are due in the order in which they come, so no
// mail waits behind one with a longer pause.
func (c *Component) Subscriptions() []*messagestore.Subscription {
	all := []*messagestore.Subscription{messagestore.NewSubscription(c.store, messagestore.SubscriptionConfig{
		Name: "sendEmail:commands", Category: sendemailmsg.Category.Commands(), Handlers: []messagestore.Handler{messagestore.On(c.send)}, Group: c.config.Group,
	})}
	for pause := range c.config.RetryAfter {
		all = append(all, messagestore.NewSubscription(c.store, messagestore.SubscriptionConfig{
			Name: "sendEmail:retries-" + strconv.Itoa(pause+1), Category: sendemailmsg.Category, Handlers: []messagestore.Handler{messagestore.On(c.retry(pause))}, Group: c.config.Group,
		}))
	}
	return all
}

// email is the entity: what has become of a mail.
type email struct {
	settled   bool // sent, or failed
	attempts  int
	postponed time.Time // first
}

func (e *email) sent(messagestore.Message[sendemailmsg.Sent])     { e.settled = true }
func (e *email) failed(messagestore.Message[sendemailmsg.Failed]) { e.settled = true }
func (e *email) postpone(m messagestore.Message[sendemailmsg.Postponed]) {
	if e.attempts == 0 {
		e.postponed = m.Time
	}
	e.attempts = m.Data.Attempt
}

func (c *Component) fetch(ctx context.Context, stream messagestore.Stream) (email, int64, error) {
	return messagestore.Fetch(ctx, c.store, stream,
		messagestore.Apply((*email).sent), messagestore.Apply((*email).failed), messagestore.Apply((*email).postpone))
}

// telling is how long the store may take to learn what became of a mail when it is
// time to stop: a mail that went and is not known to have gone goes twice.
const telling = 5 * time.Second

// outcome writes what became of a mail, which find finds out, once for the message m.
func outcome[T messagestore.Body](ctx context.Context, c *Component, m messagestore.Message[T], stream messagestore.Stream, version int64, find func() (messagestore.Body, error)) error {
	found, ok := c.untold.Load(m.ID)
	if !ok {
		body, err := find()
		if err != nil {
			return err
		}
		found = body
		c.untold.Store(m.ID, found)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), telling)
	defer cancel()
	_, err := c.store.Write(ctx, stream, found.(messagestore.Body),
		messagestore.WithID(messagestore.DeriveID(m.ID, "sendEmail", "outcome")), messagestore.ExpectedVersion(version), messagestore.Follow(m))
	if err != nil {
		return fmt.Errorf("tell what became of a mail: %w", err)
	}
	c.untold.Delete(m.ID)
	return nil
}
