package identity

import (
	"context"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
)

// reservation says whose an address is; the zero value is nobody's. Its stream is
// what makes two people with one address impossible: only one write can be its first.
type reservation struct {
	holder string
	since  int64 // global position of the last time that it was reserved
}

func (r *reservation) reserved(m messagestore.Message[identitymsg.EmailReserved]) {
	r.holder, r.since = m.Data.UserID, m.GlobalPosition
}

func (r *reservation) released(m messagestore.Message[identitymsg.EmailReleased]) {
	if r.holder == m.Data.UserID {
		r.holder = ""
	}
}

func (c *Component) reservation(ctx context.Context, stream messagestore.Stream) (reservation, int64, error) {
	return messagestore.Fetch(ctx, c.store, stream, messagestore.Apply((*reservation).reserved), messagestore.Apply((*reservation).released))
}

// reserve makes an address, in its normal form, a person's and reports whether it is
// theirs now. A handler that died after it finds its own reservation again. It is
// written also where the person has the address: a release that is under way, of the
// time before, then comes too late.
func reserve[T any](ctx context.Context, c *Component, m messagestore.Message[T], normal, userID string) (bool, error) {
	stream := c.config.Key.AddressStream(normal)
	r, version, err := c.reservation(ctx, stream)
	if err != nil || r.holder != "" && r.holder != userID {
		return false, err
	}
	_, err = c.store.Write(ctx, stream, identitymsg.EmailReserved{UserID: userID}, messagestore.Follow(m),
		messagestore.WithID(messagestore.DeriveID(m.ID, "reserve")), messagestore.ExpectedVersion(version))
	err = unlessDone(err)
	return err == nil, err
}

// keepAddress reserves the address of somebody who registered when there were no
// reservations. Where anybody has or had it since, it stays as it is.
func (c *Component) keepAddress(ctx context.Context, m messagestore.Message[identitymsg.Registered]) error {
	normal, err := identitymsg.NormalAddress(m.Data.Email)
	if err != nil {
		return nil // nobody can ask for it
	}
	stream := c.config.Key.AddressStream(normal)
	version, err := c.store.Version(ctx, stream)
	if err != nil || version != messagestore.NoStream {
		return err
	}
	_, err = c.store.Write(ctx, stream, identitymsg.EmailReserved{UserID: m.Data.UserID}, messagestore.Follow(m),
		messagestore.WithID(messagestore.DeriveID(m.ID, "reserve")), messagestore.ExpectedVersion(version))
	return unlessDone(err)
}

// releaseAddress gives the previous address back, unless it was reserved again after
// the change: then somebody, perhaps the same person, has it anew.
func (c *Component) releaseAddress(ctx context.Context, m messagestore.Message[identitymsg.EmailChanged]) error {
	normal, err := identitymsg.NormalAddress(m.Data.Previous)
	if err != nil {
		return nil // it was never reserved
	}
	stream := c.config.Key.AddressStream(normal)
	r, version, err := c.reservation(ctx, stream)
	if err != nil || r.holder != m.Data.UserID || r.since > m.GlobalPosition {
		return err
	}
	_, err = c.store.Write(ctx, stream, identitymsg.EmailReleased{UserID: m.Data.UserID}, messagestore.Follow(m),
		messagestore.WithID(messagestore.DeriveID(m.ID, "release")), messagestore.ExpectedVersion(version))
	return unlessDone(err)
}
