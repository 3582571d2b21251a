// Package messagestoretest tests handlers over a real store, in the form given,
// when, then. Every message is delivered as a subscription may deliver it: to two
// processes at once, and then again: what Then finds shows that the handler ignores
// what it has done. Whether it expects the version that it fetched is not shown where
// a derived id alone makes its writes unique.
package messagestoretest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"videotutorials/messagestore"
)

// Scenario is one test of handlers over a store of its own.
type Scenario struct {
	t     testing.TB
	store *messagestore.Store
	ctx   context.Context
	given map[messagestore.Stream]int64 // versions before the first When
}

// New returns a scenario over an empty store.
func New(t testing.TB, store *messagestore.Store) *Scenario {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return &Scenario{t: t, store: store, ctx: ctx, given: map[messagestore.Stream]int64{}}
}

// Given writes what has happened to a stream before.
func (s *Scenario) Given(stream messagestore.Stream, bodies ...messagestore.Body) *Scenario {
	s.t.Helper()
	for _, body := range bodies {
		position, err := s.store.Write(s.ctx, stream, body)
		if err != nil {
			s.t.Fatal(err)
		}
		s.given[stream] = position + 1
	}
	return s
}

// When writes messages to a stream and only then delivers them, one after the
// other: each to two processes at once, and once more.
func (s *Scenario) When(handlers []messagestore.Handler, stream messagestore.Stream, bodies ...messagestore.Body) *Scenario {
	s.t.Helper()
	from := s.given[stream]
	for _, body := range bodies {
		position, err := s.store.Write(s.ctx, stream, body, messagestore.WithMetadata(messagestore.Metadata{TraceID: "trace-" + stream.ID()}))
		if err != nil {
			s.t.Fatal(err)
		}
		s.given[stream] = position + 1
	}
	for m, err := range s.store.Read(s.ctx, stream, from) {
		if err != nil {
			s.t.Fatal(err)
		}
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() { s.deliver(m, handlers) })
		}
		both.Wait()
		s.deliver(m, handlers)
	}
	return s
}

// deliver retries a lost race as a subscription does.
func (s *Scenario) deliver(m messagestore.Raw, handlers []messagestore.Handler) {
	for {
		err := messagestore.Handle(s.ctx, m, handlers...)
		if err == nil {
			return
		}
		if !errors.Is(err, messagestore.ErrWrongExpectedVersion) && !errors.Is(err, messagestore.ErrDuplicateID) {
			s.t.Error(err)
			return
		}
	}
}

// Then demands that exactly these messages were written to a stream, each with the
// trace of what caused it.
func (s *Scenario) Then(stream messagestore.Stream, want ...messagestore.Body) *Scenario {
	s.t.Helper()
	var got []string
	for m, err := range s.store.Read(s.ctx, stream, s.given[stream]) {
		if err != nil {
			s.t.Fatal(err)
		}
		metadata, err := m.Metadata()
		if err != nil {
			s.t.Fatal(err)
		}
		if metadata.TraceID == "" || metadata.CausationMessageGlobalPosition == 0 {
			s.t.Errorf("%s does not say what caused it: use messagestore.Follow", m.Type)
		}
		got = append(got, m.Type+" "+canonical(s.t, m.Data))
	}
	var wanted []string
	for _, body := range want {
		data, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		wanted = append(wanted, body.MessageType()+" "+canonical(s.t, data))
	}
	if !reflect.DeepEqual(got, wanted) {
		s.t.Errorf("%s:\n got %s\nwant %s", stream, strings.Join(got, "\n     "), strings.Join(wanted, "\n     "))
	}
	return s
}

// canonical gives equal JSON one form.
func canonical(t testing.TB, data []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

var (
	heading = regexp.MustCompile(`(?m)^## (\w+)$`)
	example = regexp.MustCompile("(?s)```json\n(.*?)```")
)

// Contract holds a contract.md against the types: its second-level headings are
// exactly their names, and below each stands an example that decodes strictly and
// that shows every field.
func Contract(t testing.TB, file string, bodies ...messagestore.Body) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]reflect.Type{}
	for _, body := range bodies {
		types[body.MessageType()] = reflect.TypeOf(body)
	}
	headings := heading.FindAllSubmatchIndex(text, -1)
	for i, at := range headings {
		name, end := string(text[at[2]:at[3]]), len(text)
		if i+1 < len(headings) {
			end = headings[i+1][0]
		}
		kind, ok := types[name]
		if !ok {
			t.Errorf("%s describes %s, which is no type of the contract", file, name)
			continue
		}
		delete(types, name)
		if err := shown(kind, text[at[1]:end]); err != nil {
			t.Errorf("%s: %s: %v", file, name, err)
		}
	}
	for name := range types {
		t.Errorf("%s does not describe %s", file, name)
	}
}

func shown(kind reflect.Type, section []byte) error {
	found := example.FindSubmatch(section)
	if found == nil {
		return errors.New("no example")
	}
	body := reflect.New(kind)
	decoder := json.NewDecoder(bytes.NewReader(found[1]))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(body.Interface()); err != nil {
		return fmt.Errorf("the example: %w", err)
	}
	for i := range kind.NumField() {
		if body.Elem().Field(i).IsZero() {
			return fmt.Errorf("the example leaves out %s", kind.Field(i).Name)
		}
	}
	return nil
}
