package accountoperations_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"videotutorials/aggregators/accountoperations"
	"videotutorials/aggregators/aggregatortest"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

type fixture struct {
	*aggregatortest.Fixture[accountoperations.Queries]
}

// prepare makes a fixture whose aggregator does not run yet.
func prepare(t *testing.T) *fixture {
	t.Helper()
	return &fixture{aggregatortest.New(t, "account_operations", accountoperations.New, accountoperations.NewQueries)}
}

func start(t *testing.T) *fixture {
	t.Helper()
	f := prepare(t)
	f.Run()
	return f
}

// answered is an event that came of a request.
func (f *fixture) answered(traceID, userID string, body messagestore.Body) time.Time {
	f.T.Helper()
	return f.Happened(identitymsg.Category.Stream(userID), body, messagestore.WithMetadata(messagestore.Metadata{TraceID: traceID}))
}

func (f *fixture) is(want accountoperations.Operation) {
	f.T.Helper()
	got, found, version, err := f.Queries.Of(f.Ctx, want.TraceID)
	if err != nil || !found || version == 0 || got != want {
		f.T.Errorf("%v, version %d, %v\n got %+v\nwant %+v", found, version, err, got, want)
	}
}

func TestEachEvent(t *testing.T) {
	t.Parallel()
	f := start(t)
	id := messagestore.NewID()
	if _, found, version, err := f.Queries.Of(f.Ctx, messagestore.NewID()); err != nil || found || version != 0 {
		t.Errorf("nothing yet: %v, version %d, %v", found, version, err)
	}
	var all []accountoperations.Operation
	for _, c := range []struct {
		event  messagestore.Body
		reason string
	}{
		{identitymsg.EmailConfirmed{UserID: id, Email: "x"}, ""},
		{identitymsg.EmailConfirmationRejected{UserID: id, Reason: identitymsg.LinkOutdated}, identitymsg.LinkOutdated},
		{identitymsg.ConfirmationRequested{UserID: id, Email: "x"}, ""},
		{identitymsg.PasswordChanged{UserID: id, PasswordHash: "x"}, ""},
		{identitymsg.PasswordChangeRejected{UserID: id, Reason: identitymsg.LinkUsed}, identitymsg.LinkUsed},
		{identitymsg.EmailChangeRequested{UserID: id, Email: "x"}, ""},
		{identitymsg.EmailChanged{UserID: id, Email: "x", Previous: "y"}, ""},
		{identitymsg.EmailChangeRejected{UserID: id, Email: "x", Reason: identitymsg.EmailTaken}, identitymsg.EmailTaken},
		{identitymsg.RoleGranted{UserID: id, Role: "x"}, ""},
		{identitymsg.RoleRevoked{UserID: id, Role: "x"}, ""},
		{identitymsg.RoleChangeRejected{UserID: id, Role: "x", Reason: identitymsg.UnknownRole}, identitymsg.UnknownRole},
	} {
		want := accountoperations.Operation{TraceID: messagestore.NewID(), UserID: id, Outcome: c.event.MessageType(), Reason: c.reason}
		want.At = f.answered(want.TraceID, id, c.event)
		f.is(want)
		all = append(all, want)
	}
	f.SameInOneBatch()
	for _, want := range all {
		f.is(want)
	}
}

func TestTheLastEventOfATraceCounts(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, traceID := messagestore.NewID(), messagestore.NewID()
	f.answered(traceID, id, identitymsg.EmailChangeRejected{UserID: id, Reason: identitymsg.TooSoon})
	at := f.answered(traceID, id, identitymsg.EmailChangeRequested{UserID: id, Email: "x"})
	want := accountoperations.Operation{TraceID: traceID, UserID: id, Outcome: "EmailChangeRequested", At: at}
	f.is(want)
	// What the same request set off beside is no outcome of it.
	for _, body := range []messagestore.Body{
		identitymsg.PasswordHashUpgraded{UserID: id}, identitymsg.RegistrationEmailSent{UserID: id}, identitymsg.PasswordResetRequested{UserID: id},
		identitymsg.Registered{UserID: id}, identitymsg.RegistrationRejected{UserID: id}, identitymsg.RegistrationEmailFailed{UserID: id},
	} {
		f.answered(traceID, id, body)
	}
	f.is(want)
	f.SameInOneBatch()
	f.is(want)
}

// TestOnlyWhatACommandCausedIsAnOutcome sets a password by a link, which also confirms
// the address: the operation is that of the password.
func TestOnlyWhatACommandCausedIsAnOutcome(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, traceID := messagestore.NewID(), messagestore.NewID()
	caused := func(by messagestore.Stream, body messagestore.Body) time.Time {
		t.Helper()
		return f.Happened(identitymsg.Category.Stream(id), body,
			messagestore.WithMetadata(messagestore.Metadata{TraceID: traceID, CausationMessageStreamName: by, CausationMessageGlobalPosition: 1}))
	}
	confirmed := identitymsg.EmailConfirmed{UserID: id, Email: "x"}
	at := caused(identitymsg.Category.CommandStream(id), identitymsg.PasswordChanged{UserID: id, PasswordHash: "x"})
	want := accountoperations.Operation{TraceID: traceID, UserID: id, Outcome: "PasswordChanged", At: at}
	f.is(want)
	_, _, version, err := f.Queries.Of(f.Ctx, traceID)
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []messagestore.Stream{identitymsg.Category.Stream(id), "sendEmail-" + messagestore.Stream(id), "sendEmail:command-" + messagestore.Stream(id), "x"} {
		caused(by, confirmed)
		f.is(want)
	}
	if _, _, now, err := f.Queries.Of(f.Ctx, traceID); err != nil || now != version {
		t.Errorf("version %d after %d, %v: a page was told of nothing", now, version, err)
	}
	f.SameInOneBatch()
	f.is(want)

	want.Outcome, want.At = "EmailConfirmed", caused(identitymsg.Category.CommandStream(id), confirmed)
	f.is(want)
	f.SameInOneBatch()
	f.is(want)
}

func TestWhatNobodyWaitsForIsSkipped(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, traceID := messagestore.NewID(), messagestore.NewID()
	for _, bad := range []string{"", "x", strings.ToUpper(messagestore.NewID()), strings.Repeat("é", 5000), "' OR true --"} {
		f.answered(bad, id, identitymsg.EmailConfirmed{UserID: id})
		f.answered(traceID, bad[:min(len(bad), 50)], identitymsg.EmailConfirmed{UserID: bad})
		if _, found, _, err := f.Queries.Of(f.Ctx, bad); err != nil || found {
			t.Errorf("%.20q: %v, %v", bad, found, err)
		}
	}
	if rows := f.Rows(); rows != "" {
		t.Error(rows)
	}
	long := identitymsg.PasswordChangeRejected{UserID: id, Reason: strings.Repeat(`"é\`, 5000)}
	at := f.answered(traceID, id, long)
	f.is(accountoperations.Operation{TraceID: traceID, UserID: id, Outcome: "PasswordChangeRejected", Reason: long.Reason, At: at})
}

func TestTopic(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, traceID := messagestore.NewID(), messagestore.NewID()
	conn, err := f.Views.Acquire(f.Ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(f.Ctx, `LISTEN views`); err != nil {
		t.Fatal(err)
	}
	f.answered(traceID, id, identitymsg.PasswordChanged{UserID: id})
	heard, err := conn.Conn().WaitForNotification(f.Ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, _, version, err := f.Queries.Of(f.Ctx, traceID)
	if want := fmt.Sprintf("accountoperations/%s %d", traceID, version); err != nil || heard.Payload != want || accountoperations.Topic(traceID) != "accountoperations/"+traceID {
		t.Errorf("heard %q, want %q, %v", heard.Payload, want, err)
	}
}

func TestThousandsInOneBatch(t *testing.T) {
	t.Parallel()
	f := prepare(t)
	for _, kind := range []string{"EmailChangeRequested", "EmailChanged"} {
		f.Exec(f.MessageStore, `
			SELECT message_store.write_message(gen_random_uuid()::text, 'identity-' || id, $1, jsonb_build_object('userId', id), jsonb_build_object('traceId', md5(id)::uuid))
			FROM (SELECT md5(n::text)::uuid::text AS id FROM generate_series(1, 2000) AS n) AS people`, kind)
	}
	f.Run()
	f.NothingParked()
	if n := f.Query(`SELECT count(*)::text FROM account_operations WHERE outcome = 'EmailChanged' AND trace_id = md5(user_id::text)::uuid`); n != "2000" {
		t.Errorf("%s operations are as they should be, want 2000", n)
	}
}

func TestQueriesUseIndexes(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.Exec(f.Views, `INSERT INTO account_operations SELECT md5(n::text)::uuid, md5(n::text)::uuid, 'x', '', now() FROM generate_series(1, 5000) AS n`)
	f.Exec(f.Views, `ANALYZE account_operations`)
	f.Planned("account_operations_pkey", func(q accountoperations.Queries) error {
		_, _, _, err := q.Of(f.Ctx, messagestore.NewID())
		return err
	})
}
