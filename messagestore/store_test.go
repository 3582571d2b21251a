package messagestore_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

func TestStreamNames(t *testing.T) {
	t.Parallel()
	s := accounts.CommandStream("a-1+b")
	if s != "account:command-a-1+b" || s.Category() != "account:command" || s.ID() != "a-1+b" || s.CardinalID() != "a-1" {
		t.Errorf("%s: category %s, id %s, cardinal id %s", s, s.Category(), s.ID(), s.CardinalID())
	}
	if c := messagestore.Stream("account"); c.Category() != "account" || c.ID() != "" {
		t.Errorf("a category's name: category %q, id %q", c.Category(), c.ID())
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	if a, b := messagestore.NewID(), messagestore.NewID(); a == b || !messagestore.ValidID(a) || a[14] != '4' {
		t.Errorf("new ids: %s, %s", a, b)
	}
	a := messagestore.DeriveID("a", "bc")
	if a != messagestore.DeriveID("a", "bc") || a == messagestore.DeriveID("ab", "c") || a[14] != '5' || !messagestore.ValidID(a) {
		t.Errorf("derived id %s is not stable, not distinct or not a UUID", a)
	}
	for _, bad := range []string{"", "x", strings.ToUpper(a), a + "0", a[:35] + "g", strings.ReplaceAll(a, "-", "0")} {
		if messagestore.ValidID(bad) {
			t.Errorf("%q passes as an id", bad)
		}
	}
}

func TestWriteAndRead(t *testing.T) {
	t.Parallel()
	store := messagestore.New(dbtest.New(t).MessageStore)
	ctx := within(t)
	stream := accounts.Stream("1")

	if v, err := store.Version(ctx, stream); err != nil || v != messagestore.NoStream {
		t.Errorf("version of an empty stream: %d, %v", v, err)
	}
	if _, err := store.Last(ctx, stream, ""); !errors.Is(err, messagestore.ErrNoMessage) {
		t.Errorf("last message of an empty stream: %v", err)
	}
	const n = 2345 // more than two pages
	for i := range n {
		if p := write(t, store, stream, deposited{"1", int64(i)}); p != int64(i) {
			t.Fatalf("message %d is at position %d", i, p)
		}
	}
	write(t, store, stream, withdrawn{"1", 7})
	write(t, store, accounts.Stream("2"), deposited{"2", 1})

	next := int64(0)
	for m, err := range store.Read(ctx, stream, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if m.Position != next || m.Stream != stream {
			t.Fatalf("read %s at %d, want position %d", m.Stream, m.Position, next)
		}
		next++
	}
	if next != n+1 {
		t.Errorf("read %d messages of %d", next, n+1)
	}
	if m, err := store.Last(ctx, stream, ""); err != nil || m.Type != "Withdrawn" || m.Position != n {
		t.Errorf("last message: %v, %v", m, err)
	}
	if m, err := store.Last(ctx, stream, "Deposited"); err != nil || m.Position != n-1 {
		t.Errorf("last Deposited: %v, %v", m, err)
	}
	if v, err := store.Version(ctx, stream); err != nil || v != n {
		t.Errorf("version: %d, %v", v, err)
	}
	all, err := store.ReadCategory(ctx, accounts, messagestore.CategoryQuery{Limit: 5000})
	if err != nil || len(all) != n+2 || all[n+1].Stream != "account-2" {
		t.Errorf("category: %d messages, %v", len(all), err)
	}
	var inGroups int
	for member := range 3 {
		part, err := store.ReadCategory(ctx, accounts, messagestore.CategoryQuery{Limit: 5000, Group: messagestore.Group{Member: member, Size: 3}})
		if err != nil {
			t.Fatal(err)
		}
		inGroups += len(part)
	}
	if inGroups != n+2 {
		t.Errorf("three members of a group read %d messages of %d", inGroups, n+2)
	}
}

func TestExpectedVersion(t *testing.T) {
	t.Parallel()
	store := messagestore.New(dbtest.New(t).MessageStore)
	stream := accounts.Stream("1")
	write(t, store, stream, deposited{"1", 1}, messagestore.ExpectedVersion(messagestore.NoStream))
	_, err := store.Write(within(t), stream, deposited{"1", 2}, messagestore.ExpectedVersion(messagestore.NoStream))
	if !errors.Is(err, messagestore.ErrWrongExpectedVersion) {
		t.Errorf("a stream that exists, expected to be empty: %v", err)
	}
	if p := write(t, store, stream, deposited{"1", 2}, messagestore.ExpectedVersion(0)); p != 1 {
		t.Errorf("written at %d", p)
	}
}

func TestAnIDIsWrittenOnce(t *testing.T) {
	t.Parallel()
	store := messagestore.New(dbtest.New(t).MessageStore)
	ctx, id := within(t), messagestore.DeriveID("test", "once")
	if has, err := store.Has(ctx, id); err != nil || has {
		t.Errorf("in an empty store: %v, %v", has, err)
	}
	const n = 20
	results := make(chan error, n)
	for range n { // at once, and into different streams: the id is unique in the whole store
		go func() {
			_, err := store.Write(ctx, accounts.Stream(messagestore.NewID()), deposited{"1", 1}, messagestore.WithID(id))
			results <- err
		}()
	}
	written := 0
	for range n {
		switch err := <-results; {
		case err == nil:
			written++
		case !errors.Is(err, messagestore.ErrDuplicateID):
			t.Error(err)
		}
	}
	if written != 1 {
		t.Errorf("written %d times", written)
	}
	if has, err := store.Has(ctx, id); err != nil || !has {
		t.Errorf("after the write: %v, %v", has, err)
	}
}

func TestMetadataFollowsTheCause(t *testing.T) {
	t.Parallel()
	store := messagestore.New(dbtest.New(t).MessageStore)
	ctx := within(t)
	write(t, store, accounts.Stream("1"), deposited{"1", 1}, messagestore.WithMetadata(messagestore.Metadata{
		TraceID: "trace", UserID: "user", Traceparent: "00-trace", CorrelationStreamName: "transfer-1", ReplyStreamName: "reply-1", SchemaVersion: 2}))
	raw, err := store.Last(ctx, accounts.Stream("1"), "")
	if err != nil {
		t.Fatal(err)
	}
	cause, err := messagestore.Decode[deposited](raw)
	if err != nil {
		t.Fatal(err)
	}
	write(t, store, accounts.Stream("2"), withdrawn{"2", 1}, messagestore.Follow(cause))
	raw, err = store.Last(ctx, accounts.Stream("2"), "")
	if err != nil {
		t.Fatal(err)
	}
	m, err := raw.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	if m.TraceID != "trace" || m.UserID != "user" || m.Traceparent != "00-trace" || m.CorrelationStreamName != "transfer-1" || m.ReplyStreamName != "reply-1" {
		t.Errorf("not taken over: %+v", m)
	}
	if m.CausationMessageStreamName != "account-1" || m.CausationMessagePosition == nil || *m.CausationMessagePosition != 0 || m.CausationMessageGlobalPosition != cause.GlobalPosition {
		t.Errorf("the cause is not named: %+v", m)
	}
	if m.SchemaVersion != 0 {
		t.Errorf("the cause's schema version was taken over")
	}
	byCorrelation, err := store.ReadCategory(ctx, accounts, messagestore.CategoryQuery{Correlation: "transfer"})
	if err != nil || len(byCorrelation) != 2 {
		t.Errorf("by correlation: %d, %v", len(byCorrelation), err)
	}
}

func TestLogsHoldNoData(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, nil))
	raw := messagestore.Raw{ID: "id", Stream: "account-1", Type: "Deposited", Data: []byte(`{"secret":"personal"}`), RawMetadata: []byte(`{"userId":"personal"}`)}
	m := messagestore.Message[deposited]{Stream: "account-1", Type: "Deposited", Data: deposited{AccountID: "personal"}}
	log.Info("x", "raw", raw, "message", m)
	if strings.Contains(out.String(), "personal") || !strings.Contains(out.String(), "account-1") {
		t.Error(out.String())
	}
}

func TestErrorTextHoldsNoValues(t *testing.T) {
	t.Parallel()
	_, err := messagestore.New(dbtest.New(t).MessageStore).Has(within(t), "somebody@example.com")
	if err == nil || !strings.Contains(err.Error(), "somebody@") {
		t.Fatalf("Postgres does not quote the value: %v", err)
	}
	if text := messagestore.ErrorText(errors.Unwrap(err)); strings.Contains(text, "somebody@") || !strings.Contains(text, "22P02") {
		t.Error(text)
	}
}

type account struct {
	Balance int64
	Opened  bool
}

func (a *account) deposited(m messagestore.Message[deposited]) {
	a.Opened = true
	a.Balance += m.Data.Amount
}
func (a *account) withdrawn(m messagestore.Message[withdrawn]) { a.Balance -= m.Data.Amount }

func TestFetch(t *testing.T) {
	t.Parallel()
	store := messagestore.New(dbtest.New(t).MessageStore)
	ctx := within(t)
	a, version, err := messagestore.Fetch(ctx, store, accounts.Stream("1"), messagestore.Apply((*account).deposited))
	if err != nil || a.Opened || version != messagestore.NoStream {
		t.Errorf("an empty stream: %+v at %d, %v", a, version, err)
	}
	for range 1001 {
		write(t, store, accounts.Stream("1"), deposited{"1", 2})
	}
	write(t, store, accounts.Stream("1"), withdrawn{"1", 1})
	a, version, err = messagestore.Fetch(ctx, store, accounts.Stream("1"), messagestore.Apply((*account).deposited), messagestore.Apply((*account).withdrawn))
	if err != nil || a.Balance != 2001 || version != 1001 {
		t.Errorf("%+v at %d, %v", a, version, err)
	}
}

// closed is in its second form.
type closed struct{}

func (closed) MessageType() string { return "Closed" }
func (closed) SchemaVersion() int  { return 2 }

func TestTheVersionOfAFormIsWritten(t *testing.T) {
	t.Parallel()
	store := messagestore.New(dbtest.New(t).MessageStore)
	ctx := within(t)
	for _, test := range []struct {
		body   messagestore.Body
		option messagestore.WriteOption
		want   int
	}{
		{closed{}, messagestore.WithMetadata(messagestore.Metadata{}), 2},
		{closed{}, messagestore.WithMetadata(messagestore.Metadata{SchemaVersion: 1}), 1}, // a copy of an older one
		{deposited{"1", 1}, messagestore.WithMetadata(messagestore.Metadata{}), 0},
	} {
		write(t, store, accounts.Stream("1"), test.body, test.option)
		raw, err := store.Last(ctx, accounts.Stream("1"), "")
		if err != nil {
			t.Fatal(err)
		}
		if m, err := raw.Metadata(); err != nil || m.SchemaVersion != test.want {
			t.Errorf("%s: version %d, %v; want %d", raw.Type, m.SchemaVersion, err, test.want)
		}
	}
}
