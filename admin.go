package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"

	"videotutorials/aggregators/usercredentials"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
)

// commandPatience is how long a command waits for the outcome of its messages.
const commandPatience = 30 * time.Second

// roleChange is what admin grant and admin revoke are told.
type roleChange struct {
	Email string `arg:"" help:"E-mail address of a registered person."`
	Role  string `enum:"admin,creator" default:"admin" help:"The role: admin or creator."`
}

// grantRole gives a registered person a role, revokeRole takes it away.
func (p *program) grantRole(ctx context.Context, out io.Writer, r roleChange) error {
	return p.changeRole(ctx, out, r, func(userID string) messagestore.Body {
		return identitymsg.GrantRole{UserID: userID, Role: r.Role}
	}, "is now")
}

func (p *program) revokeRole(ctx context.Context, out io.Writer, r roleChange) error {
	return p.changeRole(ctx, out, r, func(userID string) messagestore.Body {
		return identitymsg.RevokeRole{UserID: userID, Role: r.Role}
	}, "is not, or no longer,")
}

// changeRole writes the command and waits for its outcome, whether or not the site is
// running: it handles commands to identities itself until the outcome is there, and
// nothing else, least of all mails, which the site may be configured for in another way.
func (p *program) changeRole(ctx context.Context, out io.Writer, r roleChange, command func(userID string) messagestore.Body, says string) error {
	userID, err := p.holder(ctx, r.Email)
	if err != nil {
		return err
	}
	trace := messagestore.NewID()
	_, err = p.store.Write(ctx, identitymsg.Category.CommandStream(userID), command(userID), messagestore.WithMetadata(messagestore.Metadata{TraceID: trace}))
	if err != nil {
		return err
	}
	working, cancel := context.WithTimeout(ctx, commandPatience)
	defer cancel()
	group, working := errgroup.WithContext(working)
	group.Go(func() error { return p.roleChanges.Run(working) })
	group.Go(func() error {
		defer cancel()
		return p.roleChanged(working, identitymsg.Category.Stream(userID), trace)
	})
	if err := group.Wait(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s %s %s.\n", r.Email, says, map[string]string{identitymsg.Admin: "an administrator", identitymsg.Creator: "a creator"}[r.Role])
	// Anybody can register with an address that is not theirs.
	user, _, err := usercredentials.NewQueries(p.views).ByID(ctx, userID)
	if err == nil && !user.Confirmed {
		fmt.Fprintln(out, "The address is not confirmed: make sure that it was its owner who registered.")
	}
	return nil
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

// roleChanged waits for the event that the command of a trace led to.
func (p *program) roleChanged(ctx context.Context, stream messagestore.Stream, trace string) error {
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
			case m.Type == (identitymsg.RoleGranted{}).MessageType(), m.Type == (identitymsg.RoleRevoked{}).MessageType():
				return nil
			default:
				rejected, err := messagestore.Decode[identitymsg.RoleChangeRejected](m)
				if err != nil {
					return err
				}
				return fmt.Errorf("refused: %s", rejected.Data.Reason)
			}
		}
		for _, s := range p.roleChanges.Status() {
			if s.Paused {
				return fmt.Errorf("the command is written and waits: the subscription %s is paused, resume it in the admin portal", s.Name)
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
