package registrations_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"videotutorials/aggregators/aggregatortest"
	"videotutorials/aggregators/registrations"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/components/sendemail/sendemailmsg"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

type fixture struct {
	*aggregatortest.Fixture[registrations.Queries]
}

// prepare makes a fixture whose aggregator does not run yet.
func prepare(t *testing.T) *fixture {
	t.Helper()
	return &fixture{aggregatortest.New(t, "registrations", registrations.New, registrations.NewQueries)}
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

// welcome is the command to send a person's welcome mail.
func welcome(userID string) (messagestore.Stream, sendemailmsg.Send, messagestore.WriteOption) {
	return mail(identitymsg.WelcomeEmailID(userID), identitymsg.Category.Stream(userID))
}

func mail(emailID string, origin messagestore.Stream) (messagestore.Stream, sendemailmsg.Send, messagestore.WriteOption) {
	return sendemailmsg.Category.CommandStream(emailID), sendemailmsg.Send{Mail: sendemailmsg.Mail{EmailID: emailID, To: "x@example.org"}},
		messagestore.WithMetadata(messagestore.Metadata{OriginStreamName: origin})
}

func (f *fixture) queued(userID string) time.Time {
	f.T.Helper()
	stream, send, option := welcome(userID)
	return f.Happened(stream, send, option)
}

func (f *fixture) is(what string, want registrations.Registration) {
	f.T.Helper()
	got, found, _, err := f.Queries.Of(f.Ctx, want.UserID)
	if err != nil || !found || got != want {
		f.T.Errorf("%s: %v, %v\n got %+v\nwant %+v", what, found, err, got, want)
	}
}

func TestEachStep(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, other := messagestore.NewID(), messagestore.NewID()
	if _, found, versions, err := f.Queries.Of(f.Ctx, id); err != nil || found || !maps.Equal(versions, map[string]int64{registrations.Name: 0, registrations.MailName: 0}) {
		t.Errorf("nothing yet: %v, %v, %v", found, versions, err)
	}
	want := registrations.Registration{UserID: id, Email: "Ada@example.org"}
	want.RegisteredAt = f.identity(id, identitymsg.Registered{UserID: id, Email: "Ada@example.org", PasswordHash: "hash"})
	f.is("registered", want)
	f.identity(id, identitymsg.Registered{UserID: id, Email: "other@example.org"})
	f.identity(id, identitymsg.RegistrationRejected{UserID: id, Email: "other@example.org", Reason: identitymsg.AlreadyRegistered})
	f.is("who is registered stays so", want)
	want.QueuedAt = f.queued(id)
	f.is("queued", want)
	f.queued(id)
	f.is("queued again", want)
	want.SentAt = f.identity(id, identitymsg.RegistrationEmailSent{UserID: id, EmailID: identitymsg.WelcomeEmailID(id)})
	f.is("sent", want)
	want.ConfirmedAt = f.identity(id, identitymsg.EmailConfirmed{UserID: id, Email: "ada@example.org"})
	f.is("confirmed", want)
	f.identity(id, identitymsg.RegistrationEmailSent{UserID: id})
	f.identity(id, identitymsg.EmailConfirmed{UserID: id, Email: "ada@example.org"})
	f.is("the first time counts", want)

	refused := registrations.Registration{UserID: other, Email: "Ada@example.org", RejectedReason: identitymsg.EmailTaken}
	f.identity(other, identitymsg.RegistrationRejected{UserID: other, Email: "Ada@example.org", Reason: identitymsg.EmailTaken})
	f.is("rejected", refused)
	f.identity(other, identitymsg.RegistrationRejected{UserID: other, Email: "Ada@", Reason: identitymsg.EmailInvalid})
	refused.Email, refused.RejectedReason = "Ada@", identitymsg.EmailInvalid
	f.is("rejected for another reason", refused)
	f.identity(other, identitymsg.RegistrationRejected{UserID: other})
	refused.Email, refused.RejectedReason = "", "unknown"
	f.is("rejected for none", refused)
	refused.RegisteredAt = f.identity(other, identitymsg.Registered{UserID: other, Email: "bob@example.org"})
	refused.Email, refused.RejectedReason = "bob@example.org", ""
	f.is("registered after all", refused)
	f.identity(other, identitymsg.RegistrationEmailFailed{UserID: other, Reason: "550 no such mailbox"})
	refused.FailedReason = "550 no such mailbox"
	f.is("failed", refused)
	f.identity(other, identitymsg.RegistrationEmailFailed{UserID: other})
	refused.FailedReason = "unknown"
	f.is("failed for no reason", refused)

	f.SameInOneBatch()
	f.is("replayed", want)
	f.is("replayed", refused)
}

// TestWhatConfirms lets people get at a link in the mail of an address in other ways
// than by the one of the welcome mail. A new password alone confirms nothing, however it
// was set: the page names the event that did.
func TestWhatConfirms(t *testing.T) {
	t.Parallel()
	f := start(t)
	var all []registrations.Registration
	for what, event := range map[string]func(userID string) messagestore.Body{
		"reset": func(id string) messagestore.Body {
			return identitymsg.EmailConfirmed{UserID: id, Email: "reset@example.org"}
		},
		"change": func(id string) messagestore.Body {
			return identitymsg.EmailChanged{UserID: id, Email: "new@example.org"}
		},
	} {
		want := registrations.Registration{UserID: messagestore.NewID(), Email: what + "@example.org"}
		want.RegisteredAt = f.identity(want.UserID, identitymsg.Registered{UserID: want.UserID, Email: want.Email})
		f.identity(want.UserID, identitymsg.PasswordChanged{UserID: want.UserID, PasswordHash: "x", SessionID: messagestore.NewID()})
		f.is(what+": not by who is signed in", want)
		f.identity(want.UserID, identitymsg.PasswordChanged{UserID: want.UserID, PasswordHash: "y"})
		f.is(what+": not by the password of a link", want)
		want.ConfirmedAt = f.identity(want.UserID, event(want.UserID))
		f.is(what, want)
		f.identity(want.UserID, event(want.UserID))
		f.is(what+", the first time counts", want)
		all = append(all, want)
	}
	f.SameInOneBatch()
	for _, want := range all {
		f.is("replayed", want)
	}
}

// TestEitherProjectionMayBeFirst writes the mail's command before and after what the
// person's stream says.
func TestEitherProjectionMayBeFirst(t *testing.T) {
	t.Parallel()
	f := start(t)
	a, b := messagestore.NewID(), messagestore.NewID()
	var wantA, wantB registrations.Registration
	wantA = registrations.Registration{UserID: a, QueuedAt: f.queued(a)}
	f.is("only queued", wantA)
	wantA.Email, wantA.RegisteredAt = "a@example.org", f.identity(a, identitymsg.Registered{UserID: a, Email: "a@example.org"})
	f.is("queued first", wantA)
	wantB = registrations.Registration{UserID: b, Email: "b@example.org", RegisteredAt: f.identity(b, identitymsg.Registered{UserID: b, Email: "b@example.org"})}
	wantB.QueuedAt = f.queued(b)
	f.is("registered first", wantB)
	wantA.SentAt = f.identity(a, identitymsg.RegistrationEmailSent{UserID: a})
	f.is("the other's column stays", wantA)
	f.SameInOneBatch()
	f.is("replayed", wantA)
	f.is("replayed", wantB)
}

// TestBothAtOnce lets both projections catch up on the same thousands of people at the
// same time: neither loses what the other writes, nor do they wait in a circle.
func TestBothAtOnce(t *testing.T) {
	t.Parallel()
	f := prepare(t)
	const people = 4000
	ids := make([]string, people)
	welcomes := make([]string, people)
	for i := range ids {
		ids[i] = messagestore.NewID()
		welcomes[i] = identitymsg.WelcomeEmailID(ids[i])
	}
	f.Exec(f.MessageStore, `
		SELECT message_store.write_message(gen_random_uuid()::text, 'identity-' || id, 'Registered', jsonb_build_object('userId', id, 'email', 'x@example.org'))
		FROM unnest($1::text[]) AS id`, ids)
	f.Exec(f.MessageStore, `
		SELECT message_store.write_message(gen_random_uuid()::text, 'sendEmail:command-' || email, 'Send', jsonb_build_object('emailId', email), jsonb_build_object('originStreamName', 'identity-' || id))
		FROM unnest($1::text[], $2::text[]) AS mails(id, email) ORDER BY id`, ids, welcomes)
	for range 3 {
		began := time.Now()
		f.Run()
		t.Logf("%d people by both, with %v", people, time.Since(began))
		f.NothingParked()
		for _, s := range f.Status() {
			if s.Retries > 0 {
				t.Errorf("%s retried %d times: %s", s.Name, s.Retries, s.LastError)
			}
		}
		if n := f.Query(`SELECT count(*)::text FROM registrations WHERE registered_at IS NOT NULL AND queued_at IS NOT NULL AND email <> ''`); n != fmt.Sprint(people) {
			t.Errorf("%s people have both, want %d", n, people)
		}
		f.Stop()
		f.Exec(f.Views, `TRUNCATE registrations, checkpoint`)
	}
}

func TestOnlyTheWelcomeMailCounts(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, other := messagestore.NewID(), messagestore.NewID()
	upper := strings.ToUpper(id)
	for emailID, origin := range map[string]messagestore.Stream{
		messagestore.NewID():                "identity-" + messagestore.Stream(id),        // another mail of the person
		identitymsg.WelcomeEmailID(id):      "",                                           // nobody waits
		identitymsg.WelcomeEmailID(other):   "identity-" + messagestore.Stream(id),        // somebody else's
		identitymsg.WelcomeEmailID("x"):     "identity-x",                                 // no id
		identitymsg.WelcomeEmailID(""):      "identity",                                   // no id
		identitymsg.WelcomeEmailID(upper):   "identity-" + messagestore.Stream(upper),     // no id either
		identitymsg.WelcomeEmailID(id)[:35]: "identity-" + messagestore.Stream(id),        // no mail of anybody
		"x":                                 "videoPublishing-" + messagestore.Stream(id), // another component's
	} {
		stream, send, option := mail(emailID, origin)
		f.Happened(stream, send, option)
	}
	stream, send, option := mail(identitymsg.WelcomeEmailID(id), "identity:command-"+messagestore.Stream(id))
	f.Happened(stream, send, option)
	for _, userID := range []string{"", "x", upper} {
		f.identity(userID, identitymsg.Registered{UserID: userID})
		f.identity(userID, identitymsg.RegistrationEmailSent{UserID: userID})
		if _, found, versions, err := f.Queries.Of(f.Ctx, userID); err != nil || found || len(versions) != 2 {
			t.Errorf("%q: %v, %v, %v", userID, found, versions, err)
		}
	}
	if rows := f.Rows(); rows != "" {
		t.Error(rows)
	}
}

func TestTopicsAndVersions(t *testing.T) {
	t.Parallel()
	f := start(t)
	id := messagestore.NewID()
	conn, err := f.Views.Acquire(f.Ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(f.Ctx, `LISTEN views`); err != nil {
		t.Fatal(err)
	}
	hears := func(topic, name string) {
		t.Helper()
		heard, err := conn.Conn().WaitForNotification(f.Ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, _, versions, err := f.Queries.Of(f.Ctx, id)
		if want := fmt.Sprintf("%s %d", topic, versions[name]); err != nil || heard.Payload != want {
			t.Errorf("heard %q, want %q, %v", heard.Payload, want, err)
		}
	}
	f.identity(id, identitymsg.Registered{UserID: id})
	hears("registrations/"+id, registrations.Name)
	f.queued(id)
	hears("registrations-mail/"+id, registrations.MailName)
	if registrations.Topic(id) != "registrations/"+id || registrations.MailTopic(id) != "registrations-mail/"+id {
		t.Error(registrations.Topic(id), registrations.MailTopic(id))
	}
}

func TestQueriesUseIndexes(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.Exec(f.Views, `INSERT INTO registrations (user_id) SELECT md5(n::text)::uuid FROM generate_series(1, 5000) AS n`)
	f.Exec(f.Views, `ANALYZE registrations`)
	f.Planned("registrations_pkey", func(q registrations.Queries) error {
		_, _, _, err := q.Of(f.Ctx, messagestore.NewID())
		return err
	})
}

func TestNothingPersonalIsLogged(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("seen", "registration", registrations.Registration{UserID: "the id", Email: "secret e-mail"})
	if strings.Contains(b.String(), "secret") || !strings.Contains(b.String(), "the id") {
		t.Error(b.String())
	}
}
