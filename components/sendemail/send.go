package sendemail

import (
	"context"
	"errors"
	"time"

	"videotutorials/components/sendemail/sendemailmsg"
	"videotutorials/messagestore"
)

// send tries a mail for the first time.
func (c *Component) send(ctx context.Context, m messagestore.Message[sendemailmsg.Send]) error {
	stream := sendemailmsg.Category.Stream(m.Data.EmailID)
	e, version, err := c.fetch(ctx, stream)
	if err != nil {
		return err
	}
	if e.settled || e.attempts > 0 { // a postponed mail is the business of retry
		c.untold.Delete(m.ID)
		return nil
	}
	return outcome(ctx, c, m, stream, version, func() (messagestore.Body, error) {
		return c.try(ctx, m.Data.Mail, 1, false)
	})
}

// retry returns the handler that tries mails again after one of the pauses.
func (c *Component) retry(pause int) func(context.Context, messagestore.Message[sendemailmsg.Postponed]) error {
	return func(ctx context.Context, m messagestore.Message[sendemailmsg.Postponed]) error {
		if min(m.Data.Attempt, len(c.config.RetryAfter))-1 != pause {
			return nil
		}
		e, version, err := c.fetch(ctx, m.Stream)
		if err != nil {
			return err
		}
		if e.settled || e.attempts != m.Data.Attempt {
			c.untold.Delete(m.ID)
			return nil
		}
		after := c.config.RetryAfter[pause]
		if err := wait(ctx, min(time.Until(m.Time.Add(after)), after)); err != nil {
			return err
		}
		command, err := c.store.Last(ctx, sendemailmsg.Category.CommandStream(m.Data.EmailID), sendemailmsg.Send{}.MessageType())
		if err != nil {
			return err
		}
		wanted, err := messagestore.Decode[sendemailmsg.Send](command)
		if err != nil {
			return err
		}
		last := m.Time.Add(after).Sub(e.postponed) >= c.config.GiveUpAfter
		return outcome(ctx, c, m, m.Stream, version, func() (messagestore.Body, error) {
			return c.try(ctx, wanted.Data.Mail, m.Data.Attempt+1, last)
		})
	}
}

// try gives a mail to the transport and says what became of it.
func (c *Component) try(ctx context.Context, mail sendemailmsg.Mail, attempt int, last bool) (messagestore.Body, error) {
	err := c.transport.Send(ctx, mail)
	var no *Refusal
	switch {
	case err == nil:
		return sendemailmsg.Sent{Mail: mail}, nil
	case !errors.As(err, &no):
		return nil, messagestore.Transient(err)
	case no.Permanent || last:
		return sendemailmsg.Failed{Mail: mail, Reason: no.Reason}, nil
	default:
		return sendemailmsg.Postponed{EmailID: mail.EmailID, Attempt: attempt, Reason: no.Reason}, nil
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
