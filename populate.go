package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"videotutorials/app/password"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
)

// populate writes a number of Register commands. The addresses end in example.com,
// where no mail arrives, and all have one password, which is printed.
func (p *program) populate(ctx context.Context, out io.Writer, number int) error {
	if number < 1 {
		return errors.New("populate needs a number of at least 1")
	}
	run := messagestore.NewID()
	secret := messagestore.NewID()
	hash, err := password.NewHasher(1).Hash(ctx, secret) // once: it takes longer than all else
	if err != nil {
		return err
	}
	for i := range number {
		id := messagestore.DeriveID("populate", run, fmt.Sprint(i))
		email := fmt.Sprintf("viewer-%d.%s@example.com", i+1, run[:8])
		_, err := p.store.Write(ctx, identitymsg.Category.CommandStream(id),
			identitymsg.Register{UserID: id, Email: email, PasswordHash: hash},
			messagestore.WithMetadata(messagestore.Metadata{TraceID: messagestore.NewID(), UserID: id}))
		if err != nil {
			return err
		}
		fmt.Fprintln(out, email)
	}
	_, err = fmt.Fprintf(out, "Register was written %d times. The password of all is %s\n", number, secret)
	return err
}
