package admin

import (
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// comesTo waits until a rebuild is in a phase.
func (s *site) comesTo(name string, phase messagestore.RebuildPhase) (at messagestore.Rebuild) {
	s.t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for at.Phase != phase {
		select {
		case <-look.C:
		case <-s.ctx.Done():
			s.t.Fatalf("it does not come to %s: %+v", phase, at)
		}
		var err error
		if at, err = s.app.Rebuilds().Of(s.ctx, name); err != nil {
			s.t.Fatal(err)
		}
	}
	return at
}

func (s *site) exec(sql string) {
	s.t.Helper()
	if _, err := s.db.Views.Exec(s.ctx, sql); err != nil {
		s.t.Fatal(err)
	}
}

// done are the events of an administrator but those of opened pages.
func (b *browser) done() []string {
	return slices.DeleteFunc(b.events(b.user), func(e string) bool { return strings.HasPrefix(e, "PageOpened") })
}

var tags = regexp.MustCompile(`<[^>]*>`)

// words are the text of a page.
func words(page string) string {
	return strings.Join(strings.Fields(html.UnescapeString(tags.ReplaceAllString(page, " "))), " ")
}

// An administrator rebuilds the credentials of people, of which one is wrong: the page shows
// how far it is and what is different, without personal data, and each step is written down.
func TestRebuildOnItsPage(t *testing.T) {
	t.Parallel()
	s := start(t)
	admin := s.admin()
	ada := s.registered("ada@example.org")
	s.registered("bob@example.org")
	s.written(identitymsg.Category.Stream(ada), identitymsg.RoleGranted{UserID: ada, Role: identitymsg.Creator})
	s.caughtUp()
	s.exec(`UPDATE user_credentials SET roles = '{admin}', email = 'mallory@example.org' WHERE address = 'ada@example.org'`)
	const path = "/admin/rebuild/usercredentials"

	if list := words(admin.shown(views.AdminRebuildPath).body); !strings.Contains(list, "usercredentials user_credentials 2 ") || !strings.Contains(list, " never ") {
		t.Errorf("the list is\n%s", list)
	}
	page := admin.shown(path)
	if !strings.Contains(page.body, path+views.AdminRebuildStart) || strings.Contains(page.body, path+views.AdminRebuildCancel) {
		t.Errorf("the page is\n%s", page.body)
	}
	for _, act := range []string{views.AdminRebuildCompare, views.AdminRebuildSwitch, views.AdminRebuildCancel} {
		if a := admin.post(path+act, "sure", "yes"); a.status != http.StatusConflict {
			t.Errorf("%s of nothing: %d", act, a.status)
		}
	}
	// Each refusal was the page, too.
	if got := admin.events(admin.user); !slices.Equal(got[len(got)-3:], slices.Repeat([]string{`PageOpened {"path":"` + path + `"}`}, 3)) {
		t.Errorf("written down:\n%s", strings.Join(got, "\n"))
	}
	frames := admin.frames(streamOf(t, page))
	if a := admin.post(path + views.AdminRebuildStart); a.status != http.StatusSeeOther || a.to != path {
		t.Fatalf("start: %d to %q\n%s", a.status, a.to, a.body)
	}
	s.comesTo("usercredentials", messagestore.RebuildReady)
	s.await(frames, "What the switch changes")
	if a := admin.post(path + views.AdminRebuildStart); a.status != http.StatusConflict {
		t.Errorf("started twice: %d", a.status)
	}
	page = admin.shown(path)
	text := words(page.body)
	for _, want := range []string{"user_credentials 2 2 0 0 1", "changed email masked masked", `roles ["admin"] ["creator"]`, "Change 1 row, at once", "started by " + admin.user} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(page.body, "example.org") || strings.Contains(page.body, "argon2") {
		t.Error("personal data are shown")
	}
	if a := admin.post(path + views.AdminRebuildSwitch); a.status != http.StatusUnprocessableEntity {
		t.Errorf("switched without being sure: %d", a.status)
	}
	if a := admin.post(path + views.AdminRebuildCompare); a.status != http.StatusSeeOther {
		t.Errorf("compare: %d", a.status)
	}
	if a := admin.post(path+views.AdminRebuildSwitch, "sure", "yes"); a.status != http.StatusSeeOther || a.to != path {
		t.Fatalf("switch: %d to %q\n%s", a.status, a.to, a.body)
	}
	s.comesTo("usercredentials", messagestore.RebuildDone)
	s.await(frames, "What the switch has changed")
	var roles []string
	if err := s.db.Views.QueryRow(s.ctx, `SELECT roles FROM user_credentials WHERE email = 'ada@example.org'`).Scan(&roles); err != nil || !slices.Equal(roles, []string{identitymsg.Creator}) {
		t.Errorf("after the switch %v, %v", roles, err)
	}
	// Another one is cancelled.
	if a := admin.post(path + views.AdminRebuildStart); a.status != http.StatusSeeOther {
		t.Fatalf("start: %d", a.status)
	}
	if a := admin.post(path + views.AdminRebuildCancel); a.status != http.StatusSeeOther {
		t.Fatalf("cancel: %d", a.status)
	}
	s.comesTo("usercredentials", messagestore.RebuildCancelled)
	want := []string{
		`RebuildStarted {"projection":"usercredentials"}`,
		`RebuildSwitched {"differences":[{"changed":1,"onlyNew":0,"onlyOld":0,"table":"user_credentials"}],"projection":"usercredentials"}`,
		`RebuildStarted {"projection":"usercredentials"}`,
		`RebuildCancelled {"projection":"usercredentials"}`,
	}
	if got := admin.done(); !slices.Equal(got, want) {
		t.Errorf("written down:\n%s", strings.Join(got, "\n"))
	}
	if a := admin.get("/admin/rebuild/nothing"); a.status != http.StatusNotFound {
		t.Errorf("a rebuild of nothing: %d", a.status)
	}
}

// A column is masked until somebody says that it may be shown.
func TestColumnsAreMasked(t *testing.T) {
	t.Parallel()
	for _, column := range []string{
		"email", "address", "password_hash", "pending_email", "browser", "kept_session", "failed_reason", "rejected_reason", "reason", "value", "file_name", "new_column",
	} {
		if got := ShownValue(column, []byte(`"ada@example.org"`)); got != "masked" {
			t.Errorf("%s is shown: %s", column, got)
		}
		if got := ShownValue(column, []byte(`null`)); got != "null" {
			t.Errorf("nothing in %s is %q", column, got)
		}
	}
	for _, column := range []string{"user_id", "title", "views", "roles", "last_at"} {
		if got := ShownValue(column, []byte(`"1"`)); got != "1" {
			t.Errorf("%s is %q", column, got)
		}
	}
	// What names a row is shown.
	s := start(t)
	rows, err := s.db.Views.Query(s.ctx, `
		SELECT DISTINCT k.column_name::text FROM information_schema.table_constraints c JOIN information_schema.key_column_usage k USING (constraint_schema, constraint_name)
		WHERE c.constraint_type = 'PRIMARY KEY' AND c.constraint_schema = 'public' AND c.table_name NOT IN ('checkpoint', 'rebuild', 'goose_db_version')`)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(keys) < 5 {
		t.Fatalf("%v, %v", keys, err)
	}
	for _, column := range keys {
		if !slices.Contains(showable, column) {
			t.Errorf("rows are named by %s, which is masked", column)
		}
	}
}

// What cannot be written down is not begun.
func TestRebuildIsNotBegunUnseen(t *testing.T) {
	t.Parallel()
	s := start(t)
	admin := s.admin()
	s.registered("ada@example.org")
	if _, err := s.db.MessageStore.Exec(s.ctx, `ALTER FUNCTION message_store.write_message(varchar, varchar, varchar, jsonb, jsonb, bigint) RENAME TO away`); err != nil {
		t.Fatal(err)
	}
	if a := admin.post("/admin/rebuild/usercredentials" + views.AdminRebuildStart); a.status < 500 {
		t.Errorf("%d", a.status)
	}
	if at, err := s.app.Rebuilds().Of(s.ctx, "usercredentials"); err != nil || at.Phase != "" {
		t.Errorf("it is %q, %v", at.Phase, err)
	}
}

// Rows hold what people wrote.
func TestRebuildShowsHostileRows(t *testing.T) {
	t.Parallel()
	s := start(t)
	admin := s.admin()
	s.registered("ada@example.org")
	s.exec(`INSERT INTO admin_categories VALUES ('<script>alert(1)</script>', 1, 1, 1, now())`)
	if a := admin.post("/admin/rebuild/adminsummary" + views.AdminRebuildStart); a.status != http.StatusSeeOther {
		t.Fatalf("start: %d", a.status)
	}
	s.comesTo("adminsummary", messagestore.RebuildReady)
	if body := admin.shown("/admin/rebuild/adminsummary").body; strings.Contains(body, "<script>alert") || !strings.Contains(body, "&lt;script&gt;alert(1)") {
		t.Errorf("%s", body)
	}
}
