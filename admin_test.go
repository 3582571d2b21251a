package main

import (
	"net/http"
	"strings"
	"testing"

	"videotutorials/db/dbtest"
)

// The first page is kept for everybody, but not that of administrators, which has a link
// to the portal; and whoever loses the role loses the link and the portal.
func TestTheLinkToThePortal(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	member(t, s, "chief@example.test", goodPassword)
	member(t, s, "ben@example.test", goodPassword)
	change := func(how string) {
		t.Helper()
		if out, err := commandOn(t, s, "admin", how, "chief@example.test"); err != nil {
			t.Fatalf("admin %s: %v\n%s", how, err, out)
		}
		settled(t, database, s)
	}
	change("grant")
	chief, ben := visit(t, s).entered("chief@example.test", goodPassword), visit(t, s).entered("ben@example.test", goodPassword)
	const link = `href="/admin"`
	for range 2 {
		for name, has := range map[string]bool{
			"chief": strings.Contains(chief.get("/").body, link), "ben": strings.Contains(ben.get("/").body, link), "nobody": strings.Contains(visit(t, s).get("/").body, link),
		} {
			if has != (name == "chief") {
				t.Errorf("%s has a link: %t", name, has)
			}
		}
	}
	if a := chief.get("/admin"); a.status != http.StatusOK {
		t.Errorf("the administrator: %d", a.status)
	}
	change("revoke")
	if a := chief.get("/admin"); a.status != http.StatusForbidden {
		t.Errorf("who was one: %d", a.status)
	}
	if strings.Contains(chief.get("/").body, link) {
		t.Error("who was one has a link")
	}
}
