package signins_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"videotutorials/aggregators/aggregatortest"
	"videotutorials/aggregators/signins"
	"videotutorials/components/authentication/authenticationmsg"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

type fixture struct {
	*aggregatortest.Fixture[signins.Queries]
}

// prepare makes a fixture whose aggregator does not run yet.
func prepare(t *testing.T) *fixture {
	t.Helper()
	return &fixture{aggregatortest.New(t, "sign_ins", signins.New, signins.NewQueries)}
}

func start(t *testing.T) *fixture {
	t.Helper()
	f := prepare(t)
	f.Run()
	return f
}

// authentication is something that happened when somebody logged in or out.
func (f *fixture) authentication(userID string, body messagestore.Body, options ...messagestore.WriteOption) time.Time {
	f.T.Helper()
	return f.Happened(authenticationmsg.Category.Stream(userID), body, options...)
}

func (f *fixture) list(userID string, limit int, want ...signins.SignIn) {
	f.T.Helper()
	got, _, err := f.Queries.Of(f.Ctx, userID, limit)
	if err != nil || !slices.Equal(got, want) {
		f.T.Errorf("%v\n got %+v\nwant %+v", err, got, want)
	}
}

func (f *fixture) ended(sessionID string) bool {
	f.T.Helper()
	ended, err := f.Queries.Ended(f.Ctx, sessionID)
	if err != nil {
		f.T.Fatal(err)
	}
	return ended
}

func (f *fixture) open(userID string, want ...string) {
	f.T.Helper()
	got, err := f.Queries.Open(f.Ctx, userID)
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		f.T.Errorf("open are %v, want %v, %v", got, want, err)
	}
}

func TestEachEvent(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, one, two, failure, without := messagestore.NewID(), messagestore.NewID(), messagestore.NewID(), messagestore.NewID(), messagestore.NewID()
	f.list(id, 10)
	f.open(id)
	first := signins.SignIn{ID: one, Browser: "Firefox on Linux"}
	first.At = f.authentication(id, authenticationmsg.UserLoggedIn{UserID: id, SessionID: one, Browser: "Firefox on Linux"})
	f.list(id, 10, first)
	f.open(id, one)
	failed := signins.SignIn{ID: failure, Browser: "curl", FailedReason: authenticationmsg.WrongPassword}
	failed.At = f.authentication(id, authenticationmsg.UserLoginFailed{UserID: id, Reason: authenticationmsg.WrongPassword, Browser: "curl"}, messagestore.WithID(failure))
	second := signins.SignIn{ID: two}
	second.At = f.authentication(id, authenticationmsg.UserLoggedIn{UserID: id, SessionID: two})
	f.list(id, 10, second, failed, first)
	f.list(id, 2, second, failed, first) // the open ones are never pushed off
	f.open(id, one, two)
	if f.ended(one) || f.ended(two) || f.ended(failure) || f.ended(messagestore.NewID()) {
		t.Error("a session has ended that has not")
	}

	first.EndedReason = authenticationmsg.EndedAway
	first.EndedAt = f.authentication(id, authenticationmsg.SessionEnded{UserID: id, SessionID: one, Reason: authenticationmsg.EndedAway})
	f.list(id, 10, second, failed, first)
	f.list(id, 2, second, failed)
	f.open(id, two)
	if !f.ended(one) || f.ended(two) {
		t.Error("it has ended, the other has not")
	}
	f.authentication(id, authenticationmsg.SessionEnded{UserID: id, SessionID: one, Reason: authenticationmsg.LoggedOut})
	f.authentication(id, authenticationmsg.UserLoggedIn{UserID: id, SessionID: one, Browser: "again"})
	f.list(id, 10, second, failed, first)

	// From another program: no session, no reason.
	old := signins.SignIn{ID: without}
	old.At = f.authentication(id, authenticationmsg.UserLoggedIn{UserID: id}, messagestore.WithID(without))
	noReason := signins.SignIn{ID: messagestore.NewID(), FailedReason: "unknown"}
	noReason.At = f.authentication(id, authenticationmsg.UserLoginFailed{UserID: id}, messagestore.WithID(noReason.ID))
	f.list(id, 10, noReason, old, second, failed, first)
	f.open(id, two, without)
	f.SameInOneBatch()
	f.list(id, 10, noReason, old, second, failed, first)
}

// TestTheEndMayBeKnownFirst writes the end of a session before and after its beginning,
// also one that somebody else claims to end.
func TestTheEndMayBeKnownFirst(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, thief := messagestore.NewID(), messagestore.NewID()
	first, stolen, later := messagestore.NewID(), messagestore.NewID(), messagestore.NewID()
	end := func(userID, session string) time.Time {
		return f.authentication(userID, authenticationmsg.SessionEnded{UserID: userID, SessionID: session, Reason: "x"})
	}
	begin := func(session string) time.Time {
		return f.authentication(id, authenticationmsg.UserLoggedIn{UserID: id, SessionID: session, Browser: "b"})
	}
	ended := end(id, first)
	if !f.ended(first) {
		t.Error("it has ended")
	}
	f.list(id, 10)
	f.open(id)
	began := begin(first)
	want := signins.SignIn{ID: first, At: began, Browser: "b", EndedAt: ended, EndedReason: "x"}
	f.list(id, 10, want)
	if !f.ended(first) {
		t.Error("it has still ended")
	}

	end(thief, stolen)
	stolenAt := begin(stolen)
	laterAt := begin(later)
	end(thief, later)
	f.list(id, 10, signins.SignIn{ID: later, At: laterAt, Browser: "b"}, signins.SignIn{ID: stolen, At: stolenAt, Browser: "b"}, want)
	f.list(thief, 10)
	f.open(id, stolen, later)
	f.open(thief)
	if f.ended(stolen) || f.ended(later) {
		t.Error("somebody ended a session of somebody else")
	}
	f.SameInOneBatch()
	f.open(id, stolen, later)
}

// TestNoSessionOutlastsItsCookie lets sessions grow old that nobody has ended.
func TestNoSessionOutlastsItsCookie(t *testing.T) {
	t.Parallel()
	f := start(t)
	id := messagestore.NewID()
	began := func(age time.Duration) signins.SignIn {
		t.Helper()
		s := signins.SignIn{ID: messagestore.NewID()}
		f.authentication(id, authenticationmsg.UserLoggedIn{UserID: id, SessionID: s.ID})
		s.At = time.Now().Add(-age).UTC().Truncate(time.Microsecond)
		f.Exec(f.Views, `UPDATE sign_ins SET at = $2 WHERE id = $1`, s.ID, s.At)
		return s
	}
	const longest = 90 * 24 * time.Hour
	older, old, young := began(longest+time.Hour), began(longest), began(longest-time.Hour)
	f.open(id, young.ID)
	older.EndedAt, old.EndedAt = older.At.Add(longest), old.At.Add(longest)
	f.list(id, 10, young, old, older)
	failed := signins.SignIn{ID: messagestore.NewID(), FailedReason: authenticationmsg.WrongPassword}
	failed.At = f.authentication(id, authenticationmsg.UserLoginFailed{UserID: id, Reason: authenticationmsg.WrongPassword}, messagestore.WithID(failed.ID))
	f.list(id, 2, failed, young) // what is over is not kept on the list as open
}

func TestWhatIsNobodysIsSkipped(t *testing.T) {
	t.Parallel()
	f := start(t)
	id := messagestore.NewID()
	address := strings.Repeat("0123456789abcdef", 4) // the id of an address that nobody has
	for _, bad := range []string{"", "x", address, strings.ToUpper(id), "{" + id + "}"} {
		f.authentication(bad, authenticationmsg.UserLoginFailed{UserID: bad, Reason: authenticationmsg.UnknownAddress})
		f.authentication(bad, authenticationmsg.UserLoggedIn{UserID: bad, SessionID: messagestore.NewID()})
		f.authentication(bad, authenticationmsg.SessionEnded{UserID: bad, SessionID: messagestore.NewID()})
		f.authentication(id, authenticationmsg.SessionEnded{UserID: id, SessionID: bad})
		f.list(bad, 10)
		f.open(bad)
		if !f.ended(bad) {
			t.Errorf("%q is a session that goes on", bad)
		}
	}
	if rows := f.Rows(); rows != "" {
		t.Error(rows)
	}
	odd := signins.SignIn{ID: messagestore.NewID(), Browser: strings.Repeat(`"é\`, 5000)}
	odd.At = f.authentication(id, authenticationmsg.UserLoggedIn{UserID: id, SessionID: "no uuid", Browser: odd.Browser}, messagestore.WithID(odd.ID))
	f.list(id, 10, odd)
}

func TestTopic(t *testing.T) {
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
	f.authentication(id, authenticationmsg.UserLoggedIn{UserID: id, SessionID: messagestore.NewID()})
	heard, err := conn.Conn().WaitForNotification(f.Ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, version, err := f.Queries.Of(f.Ctx, id, 1)
	if want := fmt.Sprintf("signins/%s %d", id, version); err != nil || heard.Payload != want || signins.Topic(id) != "signins/"+id {
		t.Errorf("heard %q, want %q, %v", heard.Payload, want, err)
	}
	if list, other, err := f.Queries.Of(f.Ctx, messagestore.NewID(), 1); err != nil || list != nil || other != version {
		t.Errorf("of nobody: %v, version %d, %v", list, other, err)
	}
}

func TestThousandsInOneBatch(t *testing.T) {
	t.Parallel()
	f := prepare(t)
	for _, event := range []string{`'UserLoggedIn', jsonb_build_object('userId', id, 'sessionId', session)`, `'UserLoginFailed', jsonb_build_object('userId', id)`, `'SessionEnded', jsonb_build_object('userId', id, 'sessionId', session)`} {
		f.Exec(f.MessageStore, `
			SELECT message_store.write_message(gen_random_uuid()::text, 'authentication-' || id, `+event+`)
			FROM (SELECT md5((n % 10)::text)::uuid::text AS id, md5(n::text)::uuid::text AS session FROM generate_series(1, 1500) AS n) AS sessions`)
	}
	f.Run()
	f.NothingParked()
	if n := f.Query(`SELECT concat(count(*), ' ', count(ended_at), ' ', count(DISTINCT user_id)) FROM sign_ins`); n != "3000 1500 10" {
		t.Errorf("%s sign-ins, ended, people; want 3000 1500 10", n)
	}
}

func TestQueriesUseIndexes(t *testing.T) {
	t.Parallel()
	f := start(t)
	// Most of them are failures, which a stranger can add to one person's without end.
	f.Exec(f.Views, `
		INSERT INTO sign_ins SELECT md5(n::text)::uuid, md5((n % greatest(1, 50 * (n % 2)))::text)::uuid, now() - n * interval '1 minute', '',
			CASE WHEN n % 50 = 0 THEN '' ELSE 'wrong-password' END, CASE WHEN n % 100 = 0 THEN now() END, '' FROM generate_series(1, 8000) AS n`)
	f.Exec(f.Views, `ANALYZE sign_ins`)
	person := f.Query(`SELECT md5('0')::uuid::text`)
	f.Planned("sign_ins_pkey", func(q signins.Queries) error {
		_, err := q.Ended(f.Ctx, f.Query(`SELECT md5('100')::uuid::text`))
		return err
	})
	f.Planned("sign_ins_newest_first", func(q signins.Queries) error { _, _, err := q.Of(f.Ctx, person, 20); return err })
	f.Planned("sign_ins_open", func(q signins.Queries) error { _, err := q.Open(f.Ctx, person); return err })
	if plan := f.Plan(func(q signins.Queries) error { _, _, err := q.Of(f.Ctx, person, 20); return err }); strings.Contains(plan, "Bitmap") {
		t.Errorf("the newest are found by sorting all:\n%s", plan)
	}
	if open, err := f.Queries.Open(f.Ctx, person); err != nil || len(open) != 80 {
		t.Errorf("%d are open, want 80, %v", len(open), err)
	}
}
