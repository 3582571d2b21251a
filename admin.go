package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
)

// commandPatience is how long a command waits for the outcome of its messages.
const commandPatience = 30 * time.Second

// grantAdmin makes a registered person an administrator, whether or not the site is
// running: it runs the components beside it until the outcome is there.
func (p *program) grantAdmin(ctx context.Context, out io.Writer, email string) error {
	userID, err := p.holder(ctx, email)
	if err != nil {
		return err
	}
	trace := messagestore.NewID()
	_, err = p.store.Write(ctx, identitymsg.Category.CommandStream(userID), identitymsg.GrantRole{UserID: userID, Role: identitymsg.Admin},
		messagestore.WithMetadata(messagestore.Metadata{TraceID: trace}))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, commandPatience)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.subscriptions.Run(ctx) })
	group.Go(func() error {
		defer cancel()
		return p.granted(ctx, identitymsg.Category.Stream(userID), trace)
	})
	if err := group.Wait(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s is an administrator.\n", email)
	return err
}

// holder returns the person who has an address.
func (p *program) holder(ctx context.Context, email string) (userID string, err error) {
	normal, err := identitymsg.NormalAddress(email)
	if err != nil {
		return "", fmt.Errorf("%q: %w", email, err)
	}
	last, err := p.store.Last(ctx, p.key.AddressStream(normal), "")
	if errors.Is(err, messagestore.ErrNoMessage) || err == nil && last.Type != (identitymsg.EmailReserved{}).MessageType() {
		return "", fmt.Errorf("nobody is registered as %s", normal)
	}
	if err != nil {
		return "", err
	}
	reserved, err := messagestore.Decode[identitymsg.EmailReserved](last)
	return reserved.Data.UserID, err
}

// granted waits for the event that the command of a trace led to.
func (p *program) granted(ctx context.Context, stream messagestore.Stream, trace string) error {
	for {
		for m, err := range p.store.Read(ctx, stream, 0) {
			if err != nil {
				return err
			}
			metadata, err := m.Metadata()
			if err != nil {
				return err
			}
			switch {
			case metadata.TraceID != trace:
			case m.Type == (identitymsg.RoleGranted{}).MessageType():
				return nil
			default:
				rejected, err := messagestore.Decode[identitymsg.RoleChangeRejected](m)
				if err != nil {
					return err
				}
				return fmt.Errorf("refused: %s", rejected.Data.Reason)
			}
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return errors.New("the command is written, and its outcome is not there yet: see the site's log, or its /health")
		}
	}
}

// firstAdminLink returns the link that makes whoever follows it the first
// administrator, empty where there is one.
func (p *program) firstAdminLink(ctx context.Context) (string, error) {
	version, err := p.store.Version(ctx, identitymsg.FirstAdminStream)
	if err != nil || version != messagestore.NoStream {
		return "", err
	}
	return p.baseURL + "/first-admin?token=" + url.QueryEscape(p.key.FirstAdminToken()), nil
}
