package adminsummary_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"videotutorials/aggregators/adminsummary"
	"videotutorials/aggregators/aggregatortest"
	"videotutorials/components/authentication/authenticationmsg"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/components/viewing/viewingmsg"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

type fixture struct {
	*aggregatortest.Fixture[adminsummary.Queries]
}

func start(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{aggregatortest.New(t, "admin_streams", adminsummary.New, adminsummary.NewQueries)}
	f.Run()
	return f
}

func (f *fixture) rows() string {
	f.T.Helper()
	return f.Query(`SELECT string_agg(row, E'\n' ORDER BY row) FROM (
		SELECT to_jsonb(s)::text AS row FROM admin_streams s UNION ALL SELECT to_jsonb(c)::text FROM admin_categories c
		UNION ALL SELECT to_jsonb(t)::text FROM admin_types t UNION ALL SELECT to_jsonb(u)::text FROM admin_users u) r`)
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func by(userID string) messagestore.WriteOption {
	return messagestore.WithMetadata(messagestore.Metadata{UserID: userID})
}

func TestEachMessageCountsOnce(t *testing.T) {
	t.Parallel()
	f := start(t)
	ann, video := messagestore.NewID(), messagestore.NewID()
	registered := f.Happened(identitymsg.Category.Stream(ann), identitymsg.Registered{UserID: ann})
	f.Happened(authenticationmsg.Category.Stream(ann), authenticationmsg.UserLoggedIn{UserID: ann})
	for range 3 {
		f.Happened(viewingmsg.Category.Stream(video), viewingmsg.VideoViewed{VideoID: video}, by(ann))
	}
	f.Happened(viewingmsg.Category.Stream(video), viewingmsg.VideoViewed{VideoID: video}, messagestore.WithMetadata(messagestore.Metadata{SchemaVersion: 2}))
	last := f.Happened(viewingmsg.Category.Stream(messagestore.NewID()), viewingmsg.VideoViewed{})

	stream := must[adminsummary.Stream](t)(f.Queries.Stream(f.Ctx, viewingmsg.Category.Stream(video)))
	if stream.Messages != 4 || stream.LastType != "VideoViewed" || stream.LastPosition != 6 || stream.Category != viewingmsg.Category {
		t.Errorf("%+v", stream)
	}
	categories := must[[]adminsummary.Category](t)(f.Queries.Categories(f.Ctx, "", 500))
	if c := categories[len(categories)-1]; len(categories) != 3 || c.Streams != 2 || c.Messages != 5 || !c.LastAt.Equal(last) {
		t.Errorf("%+v", categories)
	}
	var counted []string
	for _, k := range must[[]adminsummary.Type](t)(f.Queries.Types(f.Ctx, "", 500)) {
		counted = append(counted, fmt.Sprintf("%s %s v%d: %d", k.Category, k.Type, k.SchemaVersion, k.Messages))
	}
	if got := strings.Join(counted, ", "); got != "authentication UserLoggedIn v1: 1, identity Registered v1: 1, viewing VideoViewed v1: 4, viewing VideoViewed v2: 1" {
		t.Error(got)
	}
	user := must[adminsummary.User](t)(f.Queries.User(f.Ctx, ann))
	if user.Viewings != 3 || user.Messages != 3 || user.SignIns != 1 || !user.RegisteredAt.Equal(registered) || user.RegisteredPosition != 1 {
		t.Errorf("%+v", user)
	}

	before := f.rows()
	f.Stop()
	f.Exec(f.Views, `TRUNCATE admin_streams, admin_categories, admin_types, admin_users, checkpoint`)
	f.Run()
	f.NothingParked()
	if after := f.rows(); after != before {
		t.Errorf("one by one:\n%s\nin one batch:\n%s", before, after)
	}
}

func TestListsArePaged(t *testing.T) {
	t.Parallel()
	f := start(t)
	for i := 1; i <= 9; i++ {
		f.Written(messagestore.Stream(fmt.Sprintf("%s-%d", []string{"even", "odd"}[i%2], i)), viewingmsg.VideoViewed{})
		id := messagestore.NewID()
		f.Written(identitymsg.Category.Stream(id), identitymsg.Registered{UserID: id})
	}
	f.CaughtUp()
	f.NothingParked()
	names := func(list []adminsummary.Stream, err error) string {
		t.Helper()
		must[[]adminsummary.Stream](t)(list, err)
		var names []string
		for _, s := range list {
			names = append(names, string(s.Stream))
		}
		return strings.Join(names, " ")
	}
	for _, test := range []struct{ got, want string }{
		{names(f.Queries.Streams(f.Ctx, "odd", adminsummary.Page{Limit: 2})), "odd-9 odd-7"},
		{names(f.Queries.Streams(f.Ctx, "odd", adminsummary.Page{Limit: 2, Before: 13})), "odd-5 odd-3"},
		{names(f.Queries.Streams(f.Ctx, "odd", adminsummary.Page{Limit: 2, After: 5})), "odd-7 odd-5"},
		{names(f.Queries.Streams(f.Ctx, "nothing", adminsummary.Page{})), ""},
		{names(f.Queries.Streams(f.Ctx, "\x00", adminsummary.Page{})), ""},
		{names(f.Queries.With(f.Ctx, "9")), "odd-9"},
		{names(f.Queries.With(f.Ctx, "")), ""},
		{names(f.Queries.With(f.Ctx, "\x00")), ""},
	} {
		if test.got != test.want {
			t.Errorf("%q, want %q", test.got, test.want)
		}
	}
	if all := must[[]adminsummary.Stream](t)(f.Queries.Streams(f.Ctx, "", adminsummary.Page{Limit: 4})); len(all) != 4 || all[1].Stream != "odd-9" {
		t.Errorf("%+v", all)
	}
	users := must[[]adminsummary.User](t)(f.Queries.Users(f.Ctx, adminsummary.Page{Limit: 3, Before: 10}))
	if len(users) != 3 || users[0].RegisteredPosition != 8 || users[2].RegisteredPosition != 4 {
		t.Errorf("%+v", users)
	}
	if _, err := f.Queries.Stream(f.Ctx, "odd-2"); !errors.Is(err, adminsummary.ErrNotFound) {
		t.Error(err)
	}
	if _, err := f.Queries.User(f.Ctx, "nobody"); !errors.Is(err, adminsummary.ErrNotFound) {
		t.Error(err)
	}
}

// What other programs write, or somebody who means harm, is counted as it is.
func TestAnythingIsCounted(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, m := range []struct{ stream, kind, metadata string }{
		{"a", "T", `null`}, {"a-", "T", `[1]`}, {"-", "T", `"x"`}, {`<script>-"'`, `<script>`, `{"userId": {}}`},
		{"a-b", "T", `{"schemaVersion": "one"}`}, {"a-b", "T", `{"schemaVersion": -5}`}, {"a-b", "T", `{"schemaVersion": 99999999999}`},
		{strings.Repeat("s", 2000) + "-1", strings.Repeat("t", 200_000), `{"userId": "` + strings.Repeat("u", 200_000) + `", "traceId": "` + strings.Repeat("v", 200_000) + `"}`},
	} {
		f.Exec(f.MessageStore, `SELECT message_store.write_message(gen_random_uuid()::varchar, $1, $2, 'null', $3)`, m.stream, m.kind, m.metadata)
	}
	f.CaughtUp()
	f.NothingParked()
	if got := f.Query(`SELECT sum(messages)::text FROM admin_streams`); got != "8" {
		t.Error(got)
	}
	if got := f.Query(`SELECT sum(messages)::text FROM admin_types`); got != "8" {
		t.Error(got)
	}
}

// However many categories and types there are, all are found and counted.
func TestMoreCategoriesThanAreReadAtOnce(t *testing.T) {
	t.Parallel()
	f := start(t)
	const many = 1234
	f.Exec(f.Views, `INSERT INTO admin_categories SELECT CASE n WHEN 1 THEN '' ELSE 'c' || n END, 2, 3, n, now() FROM generate_series(1, 1234) n`)
	f.Exec(f.Views, `INSERT INTO admin_types SELECT gen_random_uuid(), 't' || n % 2, 'c' || n / 4, 1 + n / 2 % 2, 1, n, now() FROM generate_series(1, 1234) n`)
	f.Exec(f.Views, `INSERT INTO admin_streams VALUES ('c1234-x', 'c1234', 1, 'T', 2, now()), ('-x', '', 1, 'T', 1, now()), ('c2-y', 'c2', 1, 'T', 3, now())`)
	seen, after := map[messagestore.Category]bool{}, ""
	for {
		list := must[[]adminsummary.Category](t)(f.Queries.Categories(f.Ctx, after, 500))
		for _, c := range list {
			if seen[c.Category] || string(c.Category) < after {
				t.Fatalf("%q after %q", c.Category, after)
			}
			seen[c.Category], after = true, string(c.Category)
		}
		if len(list) < 500 {
			break
		}
	}
	if len(seen) != many {
		t.Errorf("%d categories", len(seen))
	}
	kinds, key, before := map[string]bool{}, "", ""
	for {
		list := must[[]adminsummary.Type](t)(f.Queries.Types(f.Ctx, key, 500))
		for _, k := range list {
			name := fmt.Sprintf("%s %s %d", k.Category, k.Type, k.SchemaVersion)
			if kinds[name] || name < before {
				t.Fatalf("%s after %s", name, before)
			}
			kinds[name], key, before = true, k.Key, name
		}
		if len(list) < 500 {
			break
		}
	}
	if len(kinds) != many {
		t.Errorf("%d types", len(kinds))
	}
	if got := must[adminsummary.Totals](t)(f.Queries.Totals(f.Ctx)); got != (adminsummary.Totals{Messages: 3 * many, Streams: 2 * many, Categories: many}) {
		t.Errorf("%+v", got)
	}
	if c, err := f.Queries.Category(f.Ctx, "c1234"); err != nil || c.Messages != 3 {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := f.Queries.Category(f.Ctx, "c0"); !errors.Is(err, adminsummary.ErrNotFound) {
		t.Error(err)
	}
	if list := must[[]adminsummary.Stream](t)(f.Queries.With(f.Ctx, "x")); len(list) != 2 || list[0].Stream != "c1234-x" {
		t.Errorf("%+v", list)
	}
	for _, key := range []string{messagestore.NewID(), "nothing"} {
		if list := must[[]adminsummary.Type](t)(f.Queries.Types(f.Ctx, key, 500)); len(list) != 0 {
			t.Errorf("%d types after none", len(list))
		}
	}
}

func TestListsUseTheirIndexes(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.Exec(f.Views, `INSERT INTO admin_streams SELECT 'c' || n % 10 || '-' || n, 'c' || n % 10, 1, 'T', n, now() FROM generate_series(1, 20000) n`)
	f.Exec(f.Views, `INSERT INTO admin_categories SELECT 'c' || n, 1, 1, n, now() FROM generate_series(0, 9) n`)
	f.Exec(f.Views, `ANALYZE admin_streams, admin_categories`)
	f.Planned("admin_streams_pkey", func(q adminsummary.Queries) error {
		_, err := q.With(f.Ctx, "77")
		return err
	})
	f.Planned("admin_streams_of_category", func(q adminsummary.Queries) error {
		_, err := q.Streams(f.Ctx, "c7", adminsummary.Page{Before: 15000})
		return err
	})
	f.Planned("admin_streams_of_category", func(q adminsummary.Queries) error {
		_, err := q.Streams(f.Ctx, "c", adminsummary.Page{After: 5})
		return err
	})
	f.Planned("admin_streams_newest_first", func(q adminsummary.Queries) error {
		_, err := q.Streams(f.Ctx, "", adminsummary.Page{})
		return err
	})
}
