package main

import (
	"context"
	"errors"
	"fmt"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
)

// identityKey returns the installation's key. The first program to start writes down
// which one it is, and one that comes with another key does not start: nobody would
// be found by their address, and every address could be registered again.
func (p *program) identityKey(ctx context.Context) (identitymsg.Key, error) {
	secret, err := p.config.secret(p.config.IdentityKey, "identity-key")
	if err != nil {
		return identitymsg.Key{}, err
	}
	key, err := identitymsg.NewKey(secret)
	if err != nil {
		return identitymsg.Key{}, err
	}
	_, err = p.store.Write(ctx, identitymsg.KeyStream, identitymsg.KeyChosen{KeyID: key.ID()}, messagestore.ExpectedVersion(messagestore.NoStream))
	if err == nil || !errors.Is(err, messagestore.ErrWrongExpectedVersion) {
		return key, err
	}
	last, err := p.store.Last(ctx, identitymsg.KeyStream, "")
	if err != nil {
		return identitymsg.Key{}, err
	}
	chosen, err := messagestore.Decode[identitymsg.KeyChosen](last)
	if err != nil {
		return identitymsg.Key{}, err
	}
	if chosen.Data.KeyID != key.ID() {
		return identitymsg.Key{}, fmt.Errorf("this is not the identity key that the message store was begun with: set IDENTITY_KEY (--identity-key), or put back the file identity-key of the data folder %s", p.config.DataDir)
	}
	return key, nil
}
