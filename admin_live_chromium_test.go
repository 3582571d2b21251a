package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

// chief registers somebody, makes them an administrator and logs them in.
func (p *tab) chief(s *site, database *dbtest.DB) {
	p.t.Helper()
	member(p.t, s, "chief@example.test", goodPassword)
	if out, err := commandOn(p.t, s, "admin", "grant", "chief@example.test"); err != nil {
		p.t.Fatalf("admin grant: %v\n%s", err, out)
	}
	settled(p.t, database, s)
	p.logIn(s, "chief@example.test", goodPassword)
}

// rowsOf returns what the rows of the live tail show, the newest first.
func tailOf(shown string) (positions []int64, types []string) {
	_, body, _ := strings.Cut(shown, `id="tail-rows"`)
	for _, row := range regexp.MustCompile(`(?s)<tr.*?</tr>`).FindAllString(body, -1) {
		number := regexp.MustCompile(`data-row[^>]*>(\d+)<`).FindStringSubmatch(row)
		kind := regexp.MustCompile(`class="type">\s*<a[^>]*><bdi>([^<]*)<`).FindStringSubmatch(row)
		if number == nil || kind == nil {
			continue
		}
		position, _ := strconv.ParseInt(number[1], 10, 64)
		positions, types = append(positions, position), append(types, kind[1])
	}
	return positions, types
}

// An administrator watches all messages come while another person registers, then has the
// component of identities wait: that person's page waits, too, and completes by itself once
// it is resumed.
func TestAnAdministratorWatchesAndSteers(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	browser := chromium(t)
	admin, other := person(t, browser).still(true), person(t, browser).still(true)
	admin.chief(s, database)

	admin.goTo(s.url + "/admin/tail?category=identity")
	admin.sees("the line is open", `data-live="open"`)
	v := visit(t, s)
	v.reached(v.register("ben@example.test", goodPassword), "email-sent")
	shown := admin.sees("the registration in the tail", `RegistrationEmailSent`)
	positions, types := tailOf(shown)
	if !slices.IsSortedFunc(positions, func(a, b int64) int { return int(b - a) }) {
		t.Errorf("out of order: %v", positions)
	}
	if at, said := slices.Index(types, "Registered"), slices.Index(types, "RegistrationEmailSent"); at < 0 || said < 0 || at < said {
		t.Errorf("the newest stand first: %v", types)
	}

	admin.goTo(s.url + "/admin/subscriptions")
	admin.press(`form[action="/admin/subscriptions/identity:commands/pause"] button`)
	admin.sees("it is paused", `state-paused`)
	other.do(page.BringToFront())
	other.goTo(s.url + "/register")
	other.fill(`input[name="email"]`, "ada@example.test")
	other.fill(`input[name="password"]`, goodPassword)
	other.press(`form[action="/register"] button[data-busy]`)
	if shown := other.sees("the page waits", step("received", "done")); stepState(shown, "registered") != "waiting" {
		t.Errorf("registered is %q", stepState(shown, "registered"))
	}
	other.mark()
	other.sees("it says that it takes longer", `data-state="waiting"`)
	admin.do(page.BringToFront())
	admin.sees("a message waits", `(?s)id="subscription-identity:commands".*?data-label="lag">1<`)
	if n := len(messagesIn(t, database, identitymsg.Category, identitymsg.Registered{})); n != 2 {
		t.Errorf("%d people are registered while the component is paused", n)
	}
	admin.press(`form[action="/admin/subscriptions/identity:commands/pause"] button[formaction$="/resume"]`)
	other.do(page.BringToFront())
	other.sees("it completes", step("email-sent", "done"))
	other.demandMark()
}

// A thousand messages a second, by writers that overtake one another and give up: the tail
// counts each, shows them in order and stays usable.
func TestTheTailKeepsUp(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := startOn(t, database)
	admin := person(t, chromium(t)).still(true)
	admin.chief(s, database)
	admin.goTo(s.url + "/admin/tail")
	shown := admin.sees("the line is open", `data-live="open"`)
	from := regexp.MustCompile(`\?at=[^"]*tail%3D(\d+)`).FindStringSubmatch(shown)
	if from == nil {
		t.Fatal("the page does not say where it begins")
	}

	const writers, each = 4, 500
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			for i := range each {
				_, err := database.MessageStore.Exec(within(t), `
					DO $$ BEGIN
						PERFORM message_store.write_message(gen_random_uuid()::varchar, 'load`+fmt.Sprint(w)+`-`+fmt.Sprint(i%7)+`', 'Loaded', '{}');
						IF random() < 0.05 THEN RAISE EXCEPTION USING ERRCODE = 'VT001'; END IF;
					END $$`)
				if err != nil && !strings.Contains(err.Error(), "VT001") {
					t.Error(err)
					return
				}
			}
		})
	}
	began := time.Now()
	running.Wait()
	t.Logf("%.0f messages a second", writers*each/time.Since(began).Seconds())
	var want int64
	if err := database.MessageStore.QueryRow(within(t), `SELECT count(*) FROM message_store.messages WHERE global_position > $1::bigint`, from[1]).Scan(&want); err != nil {
		t.Fatal(err)
	}
	seen := func() (int64, string) {
		shown := admin.now()
		number := regexp.MustCompile(`data-seen="(\d+)"`).FindStringSubmatch(shown)
		if number == nil {
			return 0, shown
		}
		n, _ := strconv.ParseInt(number[1], 10, 64)
		return n, shown
	}
	// Positions of component subscriptions are messages too, so there may be more by now.
	until(t, "the tail has counted everything", func() bool { n, _ := seen(); return n >= want })
	settled(t, database, s)
	var exact int64
	until(t, "the counter is exact", func() bool {
		n, _ := seen()
		if err := database.MessageStore.QueryRow(within(t), `SELECT count(*) FROM message_store.messages WHERE global_position > $1::bigint`, from[1]).Scan(&exact); err != nil {
			t.Fatal(err)
		}
		return n == exact
	})
	_, shown = seen()
	positions, _ := tailOf(shown)
	if len(positions) < 100 || len(positions) > 501 {
		t.Errorf("%d rows", len(positions))
	}
	for i := 1; i < len(positions); i++ {
		if positions[i] >= positions[i-1] {
			t.Fatalf("out of order: %v", positions)
		}
	}

	// It stands still where it was left, and goes on from there.
	admin.press(`.tail-act`)
	at := admin.sees("it is paused", `Paused at <code>\d+</code>`)
	if strings.Contains(at, `data-live=`) {
		t.Error("a paused page follows all the same")
	}
	store := messagestore.New(database.MessageStore)
	if _, err := store.Write(within(t), "meanwhile-1", identitymsg.Registered{}); err != nil {
		t.Fatal(err)
	}
	admin.press(`.tail-act`)
	admin.sees("what came meanwhile", `meanwhile-1`)
}
