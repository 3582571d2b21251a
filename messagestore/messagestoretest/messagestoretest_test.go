package messagestoretest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
	"videotutorials/messagestore/messagestoretest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const doors messagestore.Category = "door"

type open struct {
	DoorID string `json:"doorId"`
}

func (open) MessageType() string { return "Open" }

type opened struct {
	DoorID   string `json:"doorId"`
	Sequence int64  `json:"sequence"`
}

func (opened) MessageType() string { return "Opened" }

type door struct{ sequence int64 }

func (d *door) opened(m messagestore.Message[opened]) { d.sequence = m.Data.Sequence }

// handlers returns a door's handler, which can be spoilt in the two usual ways.
func handlers(store *messagestore.Store, forgets, careless bool) []messagestore.Handler {
	return []messagestore.Handler{messagestore.On(func(ctx context.Context, m messagestore.Message[open]) error {
		stream := doors.Stream(m.Data.DoorID)
		d, version, err := messagestore.Fetch(ctx, store, stream, messagestore.Apply((*door).opened))
		if err != nil {
			return err
		}
		if !forgets && d.sequence >= m.GlobalPosition {
			return nil
		}
		options := []messagestore.WriteOption{messagestore.Follow(m)}
		if !careless {
			options = append(options, messagestore.ExpectedVersion(version))
		}
		_, err = store.Write(ctx, stream, opened{m.Data.DoorID, m.GlobalPosition}, options...)
		return err
	})}
}

// recorder is a test that may fail without failing this one.
type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Helper()                           {}
func (r *recorder) Error(args ...any)                 { r.failures = append(r.failures, "error") }
func (r *recorder) Errorf(format string, args ...any) { r.failures = append(r.failures, format) }

func TestScenario(t *testing.T) {
	t.Parallel()
	for name, spoilt := range map[string]struct{ forgets, careless, passes bool }{
		"right": {false, false, true}, "does not look whether it is done": {true, false, false}, "expects no version and forgets": {true, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := messagestore.New(dbtest.New(t).MessageStore)
			r := &recorder{TB: t}
			messagestoretest.New(r, store).
				Given(doors.Stream("1"), opened{"1", 0}).
				When(handlers(store, spoilt.forgets, spoilt.careless), doors.CommandStream("1"), open{"1"}, open{"1"}). // two queued commands
				Then(doors.Stream("1"), opened{"1", 2}, opened{"1", 3})
			if passed := len(r.failures) == 0; passed != spoilt.passes {
				t.Errorf("passed: %v, failures %q", passed, r.failures)
			}
		})
	}
}

func TestContract(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"## Open\n\n```json\n{\"doorId\": \"1\"}\n```\n":           "",
		"## Open\n\n```json\n{\"doorId\": \"1\", \"x\": 1}\n```\n": "example",
		"## Open\n\n```json\n{}\n```\n":                            "leaves out",
		"## Open\n":                                                "no example",
		"## Shut\n\n```json\n{}\n```\n":                            "no type",
		"# Only a title\n":                                         "does not describe",
	} {
		file := filepath.Join(t.TempDir(), "contract.md")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c := &collector{TB: t}
		messagestoretest.Contract(c, file, open{})
		if err := errors.Join(c.errs...); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

type collector struct {
	testing.TB
	errs []error
}

func (c *collector) Helper() {}
func (c *collector) Errorf(format string, args ...any) {
	for _, a := range args {
		if err, ok := a.(error); ok {
			c.errs = append(c.errs, err)
			return
		}
	}
	c.errs = append(c.errs, errors.New(format))
}
