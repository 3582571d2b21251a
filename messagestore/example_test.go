package messagestore_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"videotutorials/messagestore"
)

// The wire contract of a component: its category and its message types.
const transfers messagestore.Category = "transfer"

type Transfer struct {
	TransferID string `json:"transferId"`
	Amount     int64  `json:"amount"`
}

func (Transfer) MessageType() string { return "Transfer" }

type Transferred struct {
	TransferID string `json:"transferId"`
	Amount     int64  `json:"amount"`
	// Sequence is the global position of the command that this answers.
	Sequence int64 `json:"sequence"`
}

func (Transferred) MessageType() string { return "Transferred" }

// The entity: nothing has happened yet where it is zero.
type transferEntity struct{ sequence int64 }

func (t *transferEntity) transferred(m messagestore.Message[Transferred]) {
	t.sequence = m.Data.Sequence
}

// The component, whose handler has four beats.
type bank struct{ store *messagestore.Store }

func (b bank) transfer(ctx context.Context, m messagestore.Message[Transfer]) error {
	stream := transfers.Stream(m.Data.TransferID)
	t, version, err := messagestore.Fetch(ctx, b.store, stream, messagestore.Apply((*transferEntity).transferred))
	if err != nil {
		return err
	}
	if t.sequence >= m.GlobalPosition {
		return nil // done already
	}
	_, err = b.store.Write(ctx, stream, Transferred{m.Data.TransferID, m.Data.Amount, m.GlobalPosition},
		messagestore.ExpectedVersion(version), messagestore.Follow(m), messagestore.WithID(messagestore.DeriveID(m.ID, "transfer")))
	return err
}

// A command is written, a component handles it, and the outcome is in the stream
// of the entity.
func ExampleNewSubscription() {
	database := exampleDatabase()
	store := messagestore.New(database.MessageStore)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	component := bank{store}
	commands := messagestore.NewSubscription(store, messagestore.SubscriptionConfig{
		Name: "bank:commands", Category: transfers.Commands(),
		Handlers: []messagestore.Handler{messagestore.On(component.transfer)},
	})
	all := messagestore.NewSubscriptions(exampleListen(database), nil, commands)
	stopped := make(chan error)
	go func() { stopped <- all.Run(ctx) }()

	if _, err := store.Write(ctx, transfers.CommandStream("1"), Transfer{"1", 11}); err != nil {
		log.Fatal(err)
	}
	if err := all.CaughtUp(ctx, store); err != nil {
		log.Fatal(err)
	}
	last, err := store.Last(ctx, transfers.Stream("1"), "")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(last.Stream, last.Type)

	stop()
	fmt.Println(<-stopped)
	// Output:
	// transfer-1 Transferred
	// <nil>
}

// Long work in one stream holds up no other: the first transfer waits for the second,
// and a third, of the stream of the first, for that one.
func ExampleSubscriptionConfig_concurrency() {
	database := exampleDatabase()
	store := messagestore.New(database.MessageStore)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	second := make(chan struct{})
	handle := func(ctx context.Context, m messagestore.Message[Transfer]) error {
		switch m.Data.Amount {
		case 1:
			select {
			case <-second:
			case <-ctx.Done(): // whatever takes long must be able to stop
				return ctx.Err()
			}
		case 2:
			defer close(second)
		}
		fmt.Println(m.Stream, m.Data.Amount)
		return nil
	}
	for i, id := range []string{"long", "short", "long"} {
		if _, err := store.Write(ctx, transfers.CommandStream(id), Transfer{id, int64(i + 1)}); err != nil {
			log.Fatal(err)
		}
	}
	commands := messagestore.NewSubscription(store, messagestore.SubscriptionConfig{
		Name: "bank:commands", Category: transfers.Commands(), Concurrency: 2,
		Handlers: []messagestore.Handler{messagestore.On(handle)},
	})
	all := messagestore.NewSubscriptions(exampleListen(database), nil, commands)
	stopped := make(chan error)
	go func() { stopped <- all.Run(ctx) }()
	if err := all.CaughtUp(ctx, store); err != nil {
		log.Fatal(err)
	}
	stop()
	<-stopped
	// Output:
	// transfer:command-short 2
	// transfer:command-long 1
	// transfer:command-long 3
}

// A projection keeps a table: rows and checkpoint change together.
func ExampleNewProjection() {
	database := exampleDatabase()
	store := messagestore.New(database.MessageStore)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	create(ctx, database.Views, `CREATE TABLE volume (amount bigint NOT NULL); INSERT INTO volume VALUES (0)`)

	volume := messagestore.NewProjection(store, database.Views, messagestore.ProjectionConfig{
		Name: "volume", Category: transfers,
		Apply: func(ctx context.Context, tx pgx.Tx, b messagestore.Batch) ([]string, error) {
			var sum int64 // net change of the whole batch: one statement
			add := messagestore.On(func(_ context.Context, m messagestore.Message[Transferred]) error {
				sum += m.Data.Amount
				return nil
			})
			for _, m := range b.Messages {
				if err := messagestore.Handle(ctx, m, add); err != nil {
					return nil, err
				}
			}
			_, err := tx.Exec(ctx, `UPDATE volume SET amount = amount + $1`, sum)
			return []string{"volume"}, err
		},
	})
	all := messagestore.NewSubscriptions(exampleListen(database), nil, volume)
	stopped := make(chan error)
	go func() { stopped <- all.Run(ctx) }()

	for i := range 3 {
		id := fmt.Sprint(i)
		if _, err := store.Write(ctx, transfers.Stream(id), Transferred{TransferID: id, Amount: 5}); err != nil {
			log.Fatal(err)
		}
	}
	if err := all.CaughtUp(ctx, store); err != nil {
		log.Fatal(err)
	}
	var amount int64
	if err := database.Views.QueryRow(ctx, `SELECT amount FROM volume`).Scan(&amount); err != nil {
		log.Fatal(err)
	}
	fmt.Println(amount)
	stop()
	<-stopped
	// Output: 15
}

// What must happen once is written under an id that says what it is.
func ExampleDeriveID() {
	store := messagestore.New(exampleDatabase().MessageStore)
	for range 2 { // a double click
		_, err := store.Write(context.Background(), "viewing-v1", Transfer{TransferID: "v1"},
			messagestore.WithID(messagestore.DeriveID("viewing", "session 1", "v1", "2026-11-22")))
		fmt.Println(errors.Is(err, messagestore.ErrDuplicateID))
	}
	// Output:
	// false
	// true
}

// Two writers that saw the same version: the second must look again.
func ExampleExpectedVersion() {
	store := messagestore.New(exampleDatabase().MessageStore)
	for range 2 {
		_, err := store.Write(context.Background(), "reservation-room7", Transfer{TransferID: "room7"},
			messagestore.ExpectedVersion(messagestore.NoStream))
		fmt.Println(errors.Is(err, messagestore.ErrWrongExpectedVersion))
	}
	// Output:
	// false
	// true
}

// All messages of all categories, in order, for audit and export.
func ExampleStore_All() {
	store := messagestore.New(exampleDatabase().MessageStore)
	ctx := context.Background()
	for _, stream := range []messagestore.Stream{"b-1", "a-1", "b-1"} {
		if _, err := store.Write(ctx, stream, Transfer{TransferID: "1"}); err != nil {
			log.Fatal(err)
		}
	}
	reader := store.All(0)
	page, err := reader.Next(ctx, 100)
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range page {
		fmt.Println(m.GlobalPosition, m.Stream, m.Position)
	}
	// Output:
	// 1 b-1 0
	// 2 a-1 0
	// 3 b-1 1
}

func create(ctx context.Context, pool *pgxpool.Pool, sql string) {
	if _, err := pool.Exec(ctx, sql); err != nil {
		log.Fatal(err)
	}
}
