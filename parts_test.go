package main

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/components/sendemail/sendemailmsg"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

func TestShare(t *testing.T) {
	t.Parallel()
	all, err := newShare(nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if !all.runs(partWeb) || !all.does("identity:commands", messagestore.Group{}) || !all.counts("viewcounts") || len(all.groups()) != 1 {
		t.Error("a process that is told nothing does not run everything")
	}
	some, err := newShare([]string{"send-email", " viewcounts"}, "2/3")
	if err != nil {
		t.Fatal(err)
	}
	groups := some.groups()
	if some.runs(partWeb) || some.counts("catalogue") || !some.counts("viewcounts") || len(groups) != 3 {
		t.Errorf("%+v", some)
	}
	for i, group := range groups {
		if some.does("sendEmail:retries-1", group) != (i == 1) || some.does("identity:commands", group) {
			t.Errorf("member %d of %+v", i, some)
		}
	}
	web, err := newShare([]string{"web"}, "3")
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(web.groups(), func(g messagestore.Group) bool { return web.does("identity:commands", g) }) || !web.runs(partWeb) {
		t.Errorf("%+v", web)
	}
	for _, group := range []string{"0/5", "6/5", "x", "1/", "/5", "-1/5", "1/5/5", "1/5 ", "0"} {
		if g, err := newShare(nil, group); err == nil || !strings.Contains(err.Error(), "--group") {
			t.Errorf("%q is %+v, %v", group, g, err)
		}
	}
	statuses := []messagestore.Status{{Name: "sendEmail:commands"}, {Name: "viewcounts", Projection: true}}
	if err := some.check(statuses); err != nil {
		t.Error(err)
	}
	for group, right := range map[string]bool{"1/2": true, "2": false, "1": true, "": true} {
		mine, err := newShare(nil, group)
		if err != nil {
			t.Fatal(err)
		}
		if err := mine.check(statuses); (err == nil) != right {
			t.Errorf("everything in group %q: %v", group, err)
		}
	}
	if err := web.check(statuses); err != nil {
		t.Error(err)
	}
	if err := some.check(statuses[:1]); err == nil || !strings.Contains(err.Error(), `"viewcounts"`) || !strings.Contains(err.Error(), "send-email") {
		t.Errorf("%v", err)
	}
}

// does reports whether the program does the work of a subscription now.
func (s *site) does(subscription string) bool {
	s.t.Helper()
	_, h := healthOf(s.t, s)
	return slices.ContainsFunc(h.Subscriptions, func(one subscriptionHealth) bool {
		return one.Name == subscription && one.State != messagestore.Standby
	})
}

// Each part of the system runs in a process of its own: two for the web, one for the
// aggregators, two for the components. Everybody sees what happens on the others, and where
// the active process dies, the other goes on.
func TestTheSystemInParts(t *testing.T) {
	t.Parallel()
	database, mails := dbtest.New(t), startMailServer(t)
	env := append(environment(database), "SMTP_URL="+mails.url, "COOKIE_SECRET="+strings.Repeat("secret", 6), "PATH=/nowhere")
	run := func(parts string) *site { return start(t, folder(t), env, "--run", parts) }
	web, other, aggregators := run("web"), run("web"), run("aggregators")
	active := run("identity,send-email")
	until(t, "the first does the work", func() bool { return active.does("identity:events") && active.does("sendEmail:commands") })
	standby := run("components")
	until(t, "the second does what the first does not", func() bool { return standby.does("videoPublishing:commands") })
	for _, s := range []*site{web, other, aggregators, standby} {
		if s.does("identity:commands") || s.does("sendEmail:commands") {
			t.Errorf("%v does what another does", s.args)
		}
	}
	for _, s := range []*site{aggregators, active} {
		if a := get(t, s.url+"/"); a.status != http.StatusNotFound {
			t.Errorf("%v answers %d at /", s.args, a.status)
		}
	}

	ada := visit(t, web)
	page := ada.register("ada@example.test", goodPassword)
	ada.reached(page, "email-sent")
	elsewhere := &visitor{t, ada.client, other.url}
	elsewhere.reached(page, "email-sent")
	elsewhere.entered("ada@example.test", goodPassword)

	active.kill()
	died := time.Now()
	until(t, "the standby does the work", func() bool { return standby.does("identity:events") && standby.does("sendEmail:commands") })
	t.Logf("taken over after %s", time.Since(died))
	bob := visit(t, other)
	bob.reached(bob.register("bob@example.test", goodPassword), "email-sent")
	settled(t, database, web, other, aggregators, standby)
	for _, email := range []string{"ada@example.test", "bob@example.test"} {
		if n := len(mails.took(email)); n != 1 {
			t.Errorf("%d mails for %s", n, email)
		}
	}

	if out, err := commandOn(t, web, "admin", "grant", "bob@example.test"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	bob.entered("bob@example.test", goodPassword)
	until(t, "the portal says which process does what", func() bool {
		shown := bob.get("/admin/subscriptions").body
		row := regexp.MustCompile(`(?s)<tr id="subscription-sendEmail:commands">.*?</tr>`).FindString(shown)
		return strings.Contains(row, ">live<") && strings.Contains(row, fmt.Sprintf("process %d<", standby.command.Process.Pid)) &&
			!strings.Contains(shown, fmt.Sprintf("process %d", active.command.Process.Pid)) &&
			strings.Contains(shown, fmt.Sprintf("process %d", aggregators.command.Process.Pid)) && strings.Contains(shown, "answers this page")
	})

	frame := make(chan string, 1)
	go func() {
		frame <- frameWith(t, other.url+"/live?at=catalogue%3D0%2Cviewcounts%3D0&before=0", `data-videos-watched="1"`)
	}()
	until(t, "the page of the other replica is open", func() bool { _, h := healthOf(t, other); return h.OpenPages == 1 })
	somebodyWatches(t, database, messagestore.NewID())
	<-frame

	aggregators.stop()
	web.stop()
	if out, err := commandOn(t, web, "--run", "web,identiy", "--port", "0"); err == nil || !strings.Contains(out, `"identiy"`) || !strings.Contains(out, "video-publishing") {
		t.Errorf("a part that there is not: %v\n%s", err, out)
	}
}

// The work of each component is shared by two processes, and each mail goes out once.
func TestAGroupSharesTheWork(t *testing.T) {
	t.Parallel()
	const people = 12
	database, mails := dbtest.New(t), startMailServer(t)
	env := append(environment(database), "SMTP_URL="+mails.url, "PATH=/nowhere")
	web := start(t, folder(t), env, "--run", "web,aggregators", "--group", "2")
	one := start(t, folder(t), env, "--run", "components", "--group", "1/2")
	two := start(t, folder(t), env, "--run", "components", "--group", "2/2")
	if out, err := commandOn(t, web, "serve", "--run", "components", "--group", "1/3", "--port", "0"); err == nil || !strings.Contains(out, "--group") || !strings.Contains(out, "among 3 here and among 2") {
		t.Errorf("another number of members: %v\n%s", err, out)
	}
	for i := range people {
		a := &applicant{email: fmt.Sprintf("person-%d@example.test", i), url: web.url}
		if err := a.apply(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "everybody's mail is sent", func() bool {
		return len(messagesIn(t, database, identitymsg.Category, identitymsg.RegistrationEmailSent{})) == people
	})
	settled(t, database, web, one, two)
	// A command beside the site takes over its number, and does nothing that a member does.
	if out, err := commandOn(t, web, "admin", "grant", "person-0@example.test"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	until(t, "one of the members has granted the role", func() bool {
		return len(messagesIn(t, database, identitymsg.Category, identitymsg.RoleGranted{})) == 1
	})
	for _, m := range messagesIn(t, database, messagestore.PositionCategory, nil) {
		if !strings.HasSuffix(string(m.Stream), "of2") {
			t.Errorf("somebody works on %s", m.Stream)
		}
	}
	for id, n := range byMessage(mails.all()) {
		if n != 1 {
			t.Errorf("mail %s was sent %d times", id, n)
		}
	}
	for _, name := range []string{"sendEmail:commands:1of2", "sendEmail:commands:2of2"} {
		until(t, name+" has done some of it", func() bool {
			return slices.ContainsFunc(messagesIn(t, database, messagestore.PositionCategory, nil), func(m messagestore.Raw) bool { return m.Stream == messagestore.PositionCategory.Stream(name) })
		})
	}
}

// The active process of the components dies while a hundred people register: everybody is
// registered, and gets one mail.
func TestRegistrationsOutliveTheirComponent(t *testing.T) {
	t.Parallel()
	const people, atOnce = 100, 6
	database, mails := dbtest.New(t), startMailServer(t)
	env := append(environment(database), "SMTP_URL="+mails.url, "PATH=/nowhere")
	web := start(t, folder(t), env, "--run", "web,aggregators")
	active := start(t, folder(t), env, "--run", "components")
	until(t, "the first does the work", func() bool { return active.does("identity:events") && active.does("sendEmail:commands") })
	standby := start(t, folder(t), env, "--run", "components")
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
	defer cancel()
	// Death comes in the middle of a mail that is not taken yet: what is between the server's 250
	// and our event is in TestRegistrationsSurviveAHundredKills.
	const middle = "person-33@example.test"
	asleep := make(chan struct{})
	mails.treat(middle, way{asleep: asleep})
	slots, arrived := make(chan struct{}, atOnce), make(chan error, people)
	go func() {
		for i := range people {
			slots <- struct{}{}
			go func() {
				defer func() { <-slots }()
				arrived <- (&applicant{email: fmt.Sprintf("person-%d@example.test", i), url: web.url}).apply(ctx)
			}()
		}
	}()
	mails.wait(ctx, "the middle one", func() bool { return mails.ways[middle].tries == 1 })
	active.kill()
	close(asleep)
	for range people {
		if err := <-arrived; err != nil {
			t.Fatal(err)
		}
	}
	untilLong(t, 3*patience, "everybody's mail is sent", func() bool {
		return len(messagesIn(t, database, identitymsg.Category, identitymsg.RegistrationEmailSent{})) == people
	})
	settled(t, database, web, standby)
	for id, n := range byMessage(mails.all()) {
		if n != 1 {
			t.Errorf("mail %s was sent %d times", id, n)
		}
	}
	for what, n := range map[string]int{
		"identities": len(messagesIn(t, database, identitymsg.Category, identitymsg.Registered{})),
		"Sent":       len(messagesIn(t, database, sendemailmsg.Category, sendemailmsg.Sent{})),
		"rows":       rows(t, database, "user_credentials"),
		"mails":      len(mails.all()),
	} {
		if n != people {
			t.Errorf("%s: %d", what, n)
		}
	}
}
