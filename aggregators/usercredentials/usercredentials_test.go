package usercredentials_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"videotutorials/aggregators/aggregatortest"
	"videotutorials/aggregators/usercredentials"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

type fixture struct {
	*aggregatortest.Fixture[usercredentials.Queries]
}

// prepare makes a fixture whose aggregator does not run yet.
func prepare(t *testing.T) *fixture {
	t.Helper()
	return &fixture{aggregatortest.New(t, "user_credentials", usercredentials.New, usercredentials.NewQueries)}
}

func start(t *testing.T) *fixture {
	t.Helper()
	f := prepare(t)
	f.Run()
	return f
}

// identity is something that happened to a person.
func (f *fixture) identity(userID string, body messagestore.Body) time.Time {
	f.T.Helper()
	return f.Happened(identitymsg.Category.Stream(userID), body)
}

func (f *fixture) user(userID string) usercredentials.User {
	f.T.Helper()
	user, _, err := f.Queries.ByID(f.Ctx, userID)
	if err != nil {
		f.T.Fatal(err)
	}
	return user
}

// holder is who is found by an address; empty for nobody.
func (f *fixture) holder(address string) string {
	f.T.Helper()
	user, err := f.Queries.ByAddress(f.Ctx, address)
	if err != nil && !errors.Is(err, usercredentials.ErrNotFound) {
		f.T.Fatal(err)
	}
	return user.ID
}

func TestEachEvent(t *testing.T) {
	t.Parallel()
	f := start(t)
	id := messagestore.NewID()
	var want usercredentials.User
	is := func(what string) {
		t.Helper()
		if got := f.user(id); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %#v\nwant %#v", what, got, want)
		}
	}
	if _, version, err := f.Queries.ByID(f.Ctx, id); !errors.Is(err, usercredentials.ErrNotFound) || version != 0 {
		t.Errorf("nobody: version %d, %v", version, err)
	}

	at := f.identity(id, identitymsg.Registered{UserID: id, Email: "Ada@Example.COM", PasswordHash: "one"})
	want = usercredentials.User{ID: id, Email: "Ada@Example.COM", PasswordHash: "one", Roles: []string{}, RegisteredAt: at}
	is("registered")
	if f.holder("ada@example.com") != id || f.holder("Ada@Example.COM") != "" {
		t.Error("the normal form of the address, and only that, finds the person")
	}
	f.identity(id, identitymsg.Registered{UserID: id, Email: "other@example.com", PasswordHash: "other"})
	is("registered again")

	f.identity(id, identitymsg.EmailConfirmed{UserID: id, Email: "other@example.com"})
	is("another address confirmed")
	f.identity(id, identitymsg.EmailConfirmed{UserID: id, Email: "ada@example.com"})
	want.Confirmed = true
	is("confirmed")

	f.identity(id, identitymsg.EmailChangeRequested{UserID: id, Email: "Ada@Example.org"})
	want.PendingEmail = "Ada@Example.org"
	is("change requested")
	f.identity(id, identitymsg.EmailChangeRejected{UserID: id, Email: "third@example.org", Reason: identitymsg.EmailTaken})
	is("another change rejected")
	f.identity(id, identitymsg.EmailChangeRejected{UserID: id, Email: "ada@example.org", Reason: identitymsg.TooSoon})
	is("the same asked for too soon")
	f.identity(id, identitymsg.EmailChangeRejected{UserID: id, Email: "ada@example.org", Reason: identitymsg.PasswordOutdated})
	is("the same asked for with an old password")
	f.identity(id, identitymsg.EmailChangeRejected{UserID: id, Email: "ada@example.org", Reason: identitymsg.EmailTaken})
	want.PendingEmail = ""
	is("change rejected")
	f.identity(id, identitymsg.EmailChangeRequested{UserID: id, Email: "Ada@Example.org"})
	f.identity(id, identitymsg.EmailChanged{UserID: id, Email: "Ada@Example.org", Previous: "Ada@Example.COM"})
	want.Email = "Ada@Example.org"
	is("changed")
	if f.holder("ada@example.org") != id || f.holder("ada@example.com") != "" {
		t.Error("the new address finds the person, the old one nobody")
	}

	f.identity(id, identitymsg.EmailChangeRequested{UserID: id, Email: "eve@example.org"})
	want.PasswordChangedAt = f.identity(id, identitymsg.PasswordChanged{UserID: id, PasswordHash: "two", SessionID: "kept"})
	want.PasswordHash, want.Generation, want.KeptSession = "two", 1, "kept"
	is("password changed, and with it nothing is pending")
	f.identity(id, identitymsg.PasswordHashUpgraded{UserID: id, PasswordHash: "two, better"})
	want.PasswordHash = "two, better"
	is("hash upgraded")
	want.PasswordChangedAt = f.identity(id, identitymsg.PasswordChanged{UserID: id, PasswordHash: "three"})
	want.PasswordHash, want.Generation, want.KeptSession = "three", 2, ""
	is("password reset")

	f.identity(id, identitymsg.RoleGranted{UserID: id, Role: identitymsg.Creator})
	f.identity(id, identitymsg.RoleGranted{UserID: id, Role: identitymsg.Admin})
	f.identity(id, identitymsg.RoleGranted{UserID: id, Role: identitymsg.Admin})
	want.Roles = []string{identitymsg.Admin, identitymsg.Creator}
	is("roles granted")
	f.identity(id, identitymsg.RoleRevoked{UserID: id, Role: identitymsg.Creator})
	f.identity(id, identitymsg.RoleRevoked{UserID: id, Role: identitymsg.Creator})
	want.Roles = []string{identitymsg.Admin}
	is("a role revoked")

	// What refuses, or is about mail, changes nothing, nor the version.
	_, version, err := f.Queries.ByID(f.Ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []messagestore.Body{
		identitymsg.RegistrationRejected{UserID: id, Email: "x@example.org", Reason: identitymsg.AlreadyRegistered},
		identitymsg.RegistrationEmailSent{UserID: id}, identitymsg.ConfirmationRequested{UserID: id, Email: "x@example.org"},
		identitymsg.PasswordResetRequested{UserID: id}, identitymsg.PasswordChangeRejected{UserID: id, Reason: identitymsg.LinkUsed},
		identitymsg.EmailConfirmationRejected{UserID: id, Reason: identitymsg.TooSoon}, identitymsg.RoleChangeRejected{UserID: id, Role: "x"},
	} {
		f.identity(id, body)
	}
	is("refusals")
	if _, now, err := f.Queries.ByID(f.Ctx, messagestore.NewID()); !errors.Is(err, usercredentials.ErrNotFound) || now != version || version == 0 {
		t.Errorf("nobody: version %d after %d, %v", now, version, err)
	}
	f.SameInOneBatch()
	is("replayed")
}

// TestWhatConfirmsTheAddress sets the password in both ways: neither confirms by itself.
// After a link the component says by another event what it proves.
func TestWhatConfirmsTheAddress(t *testing.T) {
	t.Parallel()
	f := start(t)
	a, b := messagestore.NewID(), messagestore.NewID()
	f.identity(a, identitymsg.Registered{UserID: a, Email: "a@example.org"})
	f.identity(b, identitymsg.Registered{UserID: b, Email: "b@example.org"})
	f.identity(a, identitymsg.PasswordChanged{UserID: a, PasswordHash: "x", SessionID: messagestore.NewID()})
	if f.user(a).Confirmed {
		t.Error("confirmed by who is signed in")
	}
	f.identity(a, identitymsg.PasswordChanged{UserID: a, PasswordHash: "y"})
	if f.user(a).Confirmed {
		t.Error("confirmed without the event that says so")
	}
	f.identity(a, identitymsg.EmailConfirmed{UserID: a, Email: "a@example.org"})
	if !f.user(a).Confirmed || f.user(b).Confirmed {
		t.Error("not confirmed by the event, or somebody else is")
	}
	f.identity(b, identitymsg.EmailChanged{UserID: b, Email: "c@example.org", Previous: "b@example.org"})
	if !f.user(b).Confirmed {
		t.Error("not confirmed by the change of the address")
	}
	f.SameInOneBatch()
}

func TestTopics(t *testing.T) {
	t.Parallel()
	f := start(t)
	a, b := messagestore.NewID(), messagestore.NewID()
	f.identity(a, identitymsg.Registered{UserID: a, Email: "a@example.org"})
	conn, err := f.Views.Acquire(f.Ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(f.Ctx, `LISTEN views`); err != nil {
		t.Fatal(err)
	}
	f.identity(b, identitymsg.Registered{UserID: b, Email: "b@example.org"})
	heard, err := conn.Conn().WaitForNotification(f.Ctx)
	if topic := usercredentials.Topic(b); err != nil || !strings.HasPrefix(heard.Payload, topic+" ") || topic != "usercredentials/"+b {
		t.Errorf("heard %+v, %v", heard, err)
	}
}

// TestAddressesMove lets an address go from one person to another, which in one batch
// is one statement.
func TestAddressesMove(t *testing.T) {
	t.Parallel()
	f := start(t)
	a, b, c := messagestore.NewID(), messagestore.NewID(), messagestore.NewID()
	f.identity(a, identitymsg.Registered{UserID: a, Email: "first@example.org"})
	f.identity(b, identitymsg.Registered{UserID: b, Email: "second@example.org"})
	f.identity(a, identitymsg.EmailChanged{UserID: a, Email: "third@example.org", Previous: "first@example.org"})
	f.identity(b, identitymsg.EmailChanged{UserID: b, Email: "first@example.org", Previous: "second@example.org"})
	f.identity(a, identitymsg.EmailChanged{UserID: a, Email: "second@example.org", Previous: "third@example.org"})
	f.identity(c, identitymsg.Registered{UserID: c, Email: "third@example.org"})
	for range 2 {
		if f.holder("first@example.org") != b || f.holder("second@example.org") != a || f.holder("third@example.org") != c {
			t.Error(f.Rows())
		}
		f.SameInOneBatch()
	}
	// The same where the rows are there already and only the change is one batch.
	f.Stop()
	f.Written(identitymsg.Category.Stream(a), identitymsg.EmailChanged{UserID: a, Email: "fourth@example.org"})
	f.Written(identitymsg.Category.Stream(b), identitymsg.EmailChanged{UserID: b, Email: "Second@example.org"})
	f.Written(identitymsg.Category.Stream(a), identitymsg.EmailChanged{UserID: a, Email: "FIRST@example.org"})
	f.Run()
	f.NothingParked()
	if f.holder("first@example.org") != a || f.holder("second@example.org") != b || f.holder("fourth@example.org") != "" {
		t.Error(f.Rows())
	}
	f.SameInOneBatch()
}

// TestDataOfAnotherProgram holds two people with one address, ids that are none,
// things that happened to nobody, and addresses that are none.
func TestDataOfAnotherProgram(t *testing.T) {
	t.Parallel()
	f := start(t)
	first, second, odd, long, empty := messagestore.NewID(), messagestore.NewID(), messagestore.NewID(), messagestore.NewID(), messagestore.NewID()
	f.identity(first, identitymsg.Registered{UserID: first, Email: "twice@example.org"})
	f.identity(second, identitymsg.Registered{UserID: second, Email: "Twice@Example.org"})
	f.identity(odd, identitymsg.Registered{UserID: odd, Email: " Odd <odd@Example> ' \" \\ {}, ü\u2028"})
	f.identity(long, identitymsg.Registered{UserID: long, Email: random(9000) + "@example.org"})
	f.identity(long, identitymsg.EmailChangeRequested{UserID: long, Email: random(9000)})
	f.identity(empty, identitymsg.Registered{UserID: empty})
	for _, id := range []string{"", "7", "not-a-uuid", strings.ToUpper(messagestore.NewID()), "{" + messagestore.NewID() + "}", strings.Repeat("é", 900)} {
		f.Happened(identitymsg.Category.Stream(id), identitymsg.Registered{UserID: id, Email: "nobody@example.org"})
		f.Happened(identitymsg.Category.Stream(id), identitymsg.RoleGranted{UserID: id, Role: identitymsg.Admin})
		if _, _, err := f.Queries.ByID(f.Ctx, id); !errors.Is(err, usercredentials.ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
	nobody := messagestore.NewID()
	f.identity(nobody, identitymsg.RoleGranted{UserID: nobody, Role: identitymsg.Admin})
	f.identity(nobody, identitymsg.PasswordChanged{UserID: nobody, PasswordHash: "x"})
	f.identity(odd, identitymsg.RoleGranted{UserID: odd, Role: `a,"b"{}NULL\`})
	f.identity(odd, identitymsg.RoleGranted{UserID: odd, Role: ""})

	if f.holder("twice@example.org") != first || f.user(second).Email != "Twice@Example.org" {
		t.Error("who was first has the address; the second is there all the same")
	}
	if f.holder("odd <odd@example> ' \" \\ {}, ü") != odd || !reflect.DeepEqual(f.user(odd).Roles, []string{"", `a,"b"{}NULL\`}) {
		t.Errorf("%#v", f.user(odd))
	}
	if f.holder("") != "" || f.holder("nobody@example.org") != "" || len(f.user(long).Email) != 9012 {
		t.Error("an empty address, or one of nobody, finds somebody")
	}
	if n := f.Query(`SELECT count(*)::text FROM user_credentials`); n != "5" {
		t.Errorf("%s people, want 5", n)
	}
	f.SameInOneBatch()
	// The second may have the address when the first has gone, by a change as everybody.
	f.identity(first, identitymsg.EmailChanged{UserID: first, Email: "gone@example.org"})
	f.identity(second, identitymsg.EmailChanged{UserID: second, Email: "twice@example.org"})
	if f.holder("twice@example.org") != second {
		t.Error(f.Rows())
	}
	f.SameInOneBatch()
}

// random is text that does not compress below the limit of an index.
func random(bytes int) string {
	var b strings.Builder
	for b.Len() < bytes {
		b.WriteString(strings.ReplaceAll(messagestore.NewID(), "-", ""))
	}
	return b.String()[:bytes]
}

// TestUnreadableDataStopsItsOwnStreamOnly writes what does not decode.
func TestUnreadableDataStopsItsOwnStreamOnly(t *testing.T) {
	t.Parallel()
	f := prepare(t)
	bad, good := messagestore.NewID(), messagestore.NewID()
	f.Written(identitymsg.Category.Stream(bad), unreadable{UserID: 5})
	f.Written(identitymsg.Category.Stream(good), identitymsg.Registered{UserID: good, Email: "good@example.org"})
	f.Run()
	if f.holder("good@example.org") != good {
		t.Error(f.Rows())
	}
	if !f.TookApart() {
		t.Error("nobody would hear of it")
	}
	if parked := f.Status()[0].Parked; len(parked) != 1 || parked[identitymsg.Category.Stream(bad)].Attempts == 0 {
		t.Errorf("%+v", parked)
	}
}

type unreadable struct {
	UserID int `json:"userId"`
}

// MessageType returns "Registered".
func (unreadable) MessageType() string { return "Registered" }

func TestThousandsInOneBatch(t *testing.T) {
	t.Parallel()
	f := prepare(t)
	f.manyPeople(1500)
	began := time.Now()
	f.Run()
	t.Logf("4,500 events of 1,500 people, with %v", time.Since(began))
	f.NothingParked()
	if n := f.Query(`SELECT count(*)::text FROM user_credentials WHERE generation = 1 AND kept_session = 's' AND roles = '{creator}' AND password_hash = 'two' AND address = email`); n != "1500" {
		t.Errorf("%s people are as they should be, want 1500", n)
	}
}

// manyPeople lets people register, get a role and change their password.
func (f *fixture) manyPeople(n int) {
	f.T.Helper()
	for _, event := range []string{
		`'Registered', jsonb_build_object('userId', id, 'email', 'person' || n || '@example.org', 'passwordHash', 'one')`,
		`'RoleGranted', jsonb_build_object('userId', id, 'role', 'creator')`,
		`'PasswordChanged', jsonb_build_object('userId', id, 'passwordHash', 'two', 'sessionId', 's')`,
	} {
		f.Exec(f.MessageStore, `
			SELECT message_store.write_message(gen_random_uuid()::text, 'identity-' || id, `+event+`)
			FROM (SELECT n, md5(n::text)::uuid::text AS id FROM generate_series(1, $1::int) AS n) AS people`, n)
	}
}

func TestQueriesUseIndexes(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.identity("nobody", identitymsg.EmailConfirmed{}) // makes the checkpoint
	f.Exec(f.Views, `
		INSERT INTO user_credentials (user_id, email, address, password_hash, confirmed, pending_email, roles, generation, kept_session, registered_at)
		SELECT md5(n::text)::uuid, a, a, 'hash', true, '', '{}', 0, '', now() FROM generate_series(1, 5000) AS n, concat('person', n, '@example.org') AS a`)
	f.Exec(f.Views, `ANALYZE user_credentials`)
	f.Planned("user_credentials_address_key", func(q usercredentials.Queries) error {
		_, err := q.ByAddress(f.Ctx, "person77@example.org")
		return err
	})
	f.Planned("user_credentials_pkey", func(q usercredentials.Queries) error {
		_, _, err := q.ByID(f.Ctx, f.Query(`SELECT md5('77')::uuid::text`))
		return err
	})
}

func TestNothingPersonalIsLogged(t *testing.T) {
	t.Parallel()
	user := usercredentials.User{ID: "the id", Email: "secret e-mail", PasswordHash: "secret hash", PendingEmail: "secret new e-mail", KeptSession: "secret session"}
	var b bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		slog.New(handler).Info("logged in", "user", user, "pointer", &user)
	}
	fmt.Fprintf(&b, "%v %+v %s %v", user, user, user, fmt.Errorf("log in %v", &user))
	if strings.Contains(b.String(), "secret") || strings.Count(b.String(), "the id") != 8 {
		t.Error(b.String())
	}
}
