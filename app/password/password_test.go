package password

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/text/unicode/norm"

	"videotutorials/messagestore"
)

func verify(t *testing.T, h *Hasher, password, hash string) (ok, outdated bool) {
	t.Helper()
	ok, outdated, err := h.Verify(t.Context(), password, hash)
	if err != nil {
		t.Fatal(err)
	}
	return ok, outdated
}

func TestHash(t *testing.T) {
	t.Parallel()
	h := NewHasher(1)
	hash, err := h.Hash(t.Context(), "a fine pássword")
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("%q, %v", hash, err)
	}
	if again, err := h.Hash(t.Context(), "a fine pássword"); err != nil || again == hash {
		t.Errorf("two hashes of a password are the same: no salt; %v", err)
	}
	for _, as := range []norm.Form{norm.NFC, norm.NFD} {
		if ok, outdated := verify(t, h, as.String("a fine pássword"), hash); !ok || outdated {
			t.Errorf("form %v: ok %v, outdated %v", as, ok, outdated)
		}
	}
	if ok, _ := verify(t, h, "A fine pássword", hash); ok {
		t.Error("another password is taken")
	}
}

func TestVerifyOtherHashes(t *testing.T) {
	t.Parallel()
	h := NewHasher(2)
	const password = "correct horse"
	made, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	decomposed := norm.NFD.String("é très bon")
	asTyped, err := bcrypt.GenerateFromPassword([]byte(decomposed), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	cheap, err := argon2id.CreateHash(password, &argon2id.Params{Memory: 1 << 10, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(made), "$2a")
	for _, test := range []struct {
		name, password, hash string
		ok, outdated         bool
	}{
		{"bcrypt 2a", password, "$2a" + rest, true, true},
		{"bcrypt 2b", password, "$2b" + rest, true, true},
		{"bcrypt 2y", password, "$2y" + rest, true, true},
		{"bcrypt, wrong", "correct house", string(made), false, true},
		{"bcrypt of what was not normalised", decomposed, string(asTyped), true, true},
		{"argon2id with other parameters", password, cheap, true, true},
		{"argon2id with other parameters, wrong", "correct house", cheap, false, true},
		{"nobody", password, "", false, false},
		{"nobody, empty password", "", "", false, false},
		{"not a hash", password, "letters", false, false},
		{"parameters that would panic", password, "$argon2id$v=19$m=19456,t=0,p=0$" + tail(cheap), false, false},
		{"parameters that would take all memory", password, "$argon2id$v=19$m=4294967295,t=2,p=1$" + tail(cheap), false, false},
		{"parameters that would take all time", password, "$argon2id$v=19$m=19456,t=4294967295,p=1$" + tail(cheap), false, false},
		{"bcrypt that would take years", password, "$2a$31" + string(made)[6:], false, false},
		{"an empty key", password, "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$", false, false},
	} {
		if ok, outdated := verify(t, h, test.password, test.hash); ok != test.ok || outdated != test.outdated {
			t.Errorf("%s: ok %v, outdated %v", test.name, ok, outdated)
		}
	}
}

// tail returns salt and key of a hash.
func tail(hash string) string { return strings.Join(strings.Split(hash, "$")[4:], "$") }

// Two commands with the same id can be told apart by the passwords that they set.
func TestSets(t *testing.T) {
	t.Parallel()
	h := NewHasher(1)
	hash, err := h.Hash(t.Context(), "a fine password")
	if err != nil {
		t.Fatal(err)
	}
	command := messagestore.Raw{Data: []byte(`{"userId":"x","passwordHash":"` + hash + `"}`)}
	for password, want := range map[string]bool{"a fine password": true, "another fine one": false} {
		if same, err := h.Sets(t.Context(), command, password); same != want || err != nil {
			t.Errorf("%q: %v, %v", password, same, err)
		}
	}
	if same, err := h.Sets(t.Context(), messagestore.Raw{Data: []byte(`{}`)}, ""); same || err != nil {
		t.Errorf("a command that sets none: %v, %v", same, err)
	}
	if _, err := h.Sets(t.Context(), messagestore.Raw{Data: []byte(`[]`)}, ""); err == nil {
		t.Error("what is no command is taken")
	}
}

// A log-in of nobody must not be told from one with a wrong password by what it costs.
func TestNobodyCostsTheSame(t *testing.T) {
	t.Parallel()
	h := NewHasher(1)
	hash, err := h.Hash(t.Context(), "a fine password")
	if err != nil {
		t.Fatal(err)
	}
	var work int
	h.during = func() { work++ }
	for _, hash := range []string{hash, "", "letters"} {
		work = 0
		if ok, _ := verify(t, h, "a wrong password", hash); ok || work != 1 {
			t.Errorf("%q: ok %v after %d hashes", hash, ok, work)
		}
	}
	of, _, _, err := argon2id.DecodeHash(h.nobody)
	if err != nil || *of != *parameters {
		t.Errorf("nobody's hash has the parameters %+v, %v", of, err)
	}
}

// A burst runs no more than two at once, all that the queue holds succeed, and the rest
// is told to come back.
func TestBurst(t *testing.T) {
	t.Parallel()
	const slots = 2
	h := NewHasher(slots)
	var running, most atomic.Int64
	begun, goOn := make(chan struct{}, 1000), make(chan struct{})
	h.during = func() {
		n := running.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		begun <- struct{}{}
		<-goOn
		running.Add(-1)
	}
	cheap, err := bcrypt.GenerateFromPassword([]byte("password"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	var tries sync.WaitGroup
	var right atomic.Int64
	try := func() {
		tries.Go(func() {
			if ok, _, err := h.Verify(t.Context(), "password", string(cheap)); err == nil && ok {
				right.Add(1)
			}
		})
	}
	for range slots {
		try()
		<-begun
	}
	waiting := func(n int) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); len(h.queue) != n; runtime.Gosched() { // those that wait have nobody to tell
			if time.Now().After(deadline) {
				t.Fatalf("%d wait, not %d", len(h.queue), n)
			}
		}
	}
	for n := range longestQueue {
		try()
		waiting(n + 1)
	}
	if _, _, err := h.Verify(t.Context(), "password", string(cheap)); !errors.Is(err, ErrBusy) || !messagestore.IsTransient(err) {
		t.Errorf("a full queue: %v", err)
	}
	if _, err := h.Hash(t.Context(), "password"); !errors.Is(err, ErrBusy) {
		t.Errorf("a full queue: %v", err)
	}
	close(goOn)
	tries.Wait()
	if right.Load() != slots+longestQueue || most.Load() != slots {
		t.Errorf("%d of %d were verified, %d at once", right.Load(), slots+longestQueue, most.Load())
	}
	if len(h.slots) != 0 || len(h.queue) != 0 {
		t.Errorf("%d slots and %d places are not given back", len(h.slots), len(h.queue))
	}
}

func TestWaitingEnds(t *testing.T) {
	t.Parallel()
	h := NewHasher(1)
	begun, goOn := make(chan struct{}), make(chan struct{})
	h.during = func() { begun <- struct{}{}; <-goOn }
	var first sync.WaitGroup
	first.Go(func() { h.Verify(t.Context(), "password", "") })
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, _, err := h.Verify(ctx, "password", "")
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(goOn)
	first.Wait()
	if len(h.slots) != 0 || len(h.queue) != 0 {
		t.Errorf("%d slots and %d places are not given back", len(h.slots), len(h.queue))
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ password, email, want string }{
		{"", "a@example.com", "too-short"},
		{"seven77", "a@example.com", "too-short"},
		{norm.NFD.String("ééééééé"), "", "too-short"}, // 14 code points, 7 characters
		{"éèêëàâäç", "", ""},
		{strings.Repeat("é", 120) + "eight888", "", ""},
		{strings.Repeat("x", 121) + "eight888", "", "too-long"},
		{"password", "", "common"},
		{"87654321", "", "common"},
		{"00000000", "", "common"},
		{"12341234", "", "common"},
		{"abcdefgh", "", "common"},
		{"19851985", "", "common"},
		{"qwertyui", "", "common"},
		{"        ", "", "common"},
		{strings.Repeat("a", 128), "", "common"},
		{"PassWord", "", "common"},
		{"trustno1", "", "common"},
		{"correct horse battery", "a@example.com", ""},
		{"anna.learns@example.com", "Anna.Learns@Example.com ", "like-email"},
		{"anna.learns", "anna.learns@example.com", "like-email"},
		{"Anna.Learns1!", "anna.learns@example.com", "like-email"},
		{"annaannaanna", "anna@example.com", "like-email"},
		{"anna eats apples", "anna@example.com", ""},
		{"lopsided", "l@example.com", ""}, // a letter is in every password
		{"lopsided", "", ""},
	} {
		if got := Check(test.password, test.email); got != test.want {
			t.Errorf("Check(%q, %q) = %q, want %q", test.password, test.email, got, test.want)
		}
	}
}

func BenchmarkHash(b *testing.B) {
	h := NewHasher(1)
	for b.Loop() {
		if _, err := h.Hash(b.Context(), "a fine password"); err != nil {
			b.Fatal(err)
		}
	}
}

// The original's data have hashes of cost 10.
func BenchmarkVerifyBcrypt(b *testing.B) {
	h := NewHasher(1)
	hash, err := bcrypt.GenerateFromPassword([]byte("a fine password"), 10)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if ok, _, err := h.Verify(b.Context(), "a fine password", string(hash)); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
