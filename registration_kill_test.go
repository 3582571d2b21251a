package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/components/sendemail/sendemailmsg"
	"videotutorials/db/dbtest"
)

// applicant registers and does not give up: where nobody answers, they send the same
// form again, as a person does who presses the button once more. Each comes from an
// address of their own, as people do: from one address so many would be slowed.
type applicant struct {
	email string
	url   string
	http  *http.Client
	tries int
	page  string
}

// aroundTheAnswer is within what time of a mail server's answer a kill may come: the
// answer is on its way, read, or written down.
const aroundTheAnswer = 6 * time.Millisecond

// applied counts the applicants of this run.
var applied atomic.Int64

// apply ends when the applicant stands on the page that follows their registration.
func (a *applicant) apply(ctx context.Context) error {
	form, err := a.form(ctx)
	if err != nil {
		return err
	}
	if err := a.send(ctx, form); err != nil {
		return err
	}
	body, status, _, err := a.persist(ctx, http.MethodGet, a.page, nil)
	if err == nil && status != http.StatusOK {
		return fmt.Errorf("%s stands at %s: %d\n%s", a.email, a.page, status, said(body))
	}
	return err
}

// form gets the form and fills it.
func (a *applicant) form(ctx context.Context) (form url.Values, err error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	n := applied.Add(1)
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 64, byte(n>>8), byte(n))}}
	a.http = &http.Client{
		Jar: jar, Transport: &http.Transport{DialContext: from.DialContext},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	body, _, _, err := a.persist(ctx, http.MethodGet, "/register", nil)
	if err != nil {
		return nil, err
	}
	form, ok := formIn(body, "/register")
	if !ok {
		return nil, fmt.Errorf("no form: %s", said(body))
	}
	form.Set("email", a.email)
	form.Set("password", goodPassword)
	return form, nil
}

// send sends the form until it leads to the page that follows the registration.
func (a *applicant) send(ctx context.Context, form url.Values) error {
	body, status, to, err := a.persist(ctx, http.MethodPost, "/register", form)
	if err != nil {
		return err
	}
	if status != http.StatusSeeOther || !registrationPath.MatchString(to) {
		return fmt.Errorf("%s: %d, leads to %q\n%s", a.email, status, to, said(body))
	}
	a.page = to
	return nil
}

// persist asks until there is an answer of the site that is not about its own trouble.
func (a *applicant) persist(ctx context.Context, method, path string, form url.Values) (body string, status int, to string, err error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		a.tries++
		request, err := http.NewRequestWithContext(ctx, method, a.url+path, strings.NewReader(form.Encode()))
		if err != nil {
			return "", 0, "", err
		}
		request.Header.Set("Content-Type", formType)
		if response, err := a.http.Do(request); err == nil {
			text, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err == nil && response.StatusCode < 500 {
				return string(text), response.StatusCode, response.Header.Get("Location"), nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", 0, "", fmt.Errorf("%s at %s: %w", a.email, path, ctx.Err())
		}
	}
}

// The program is killed a hundred times while a hundred people register. Afterwards
// each is registered once and has got one welcome mail. A second one is allowed only
// where death came between the mail server's 250 and our event: nobody can do both at
// once.
func TestRegistrationsSurviveAHundredKills(t *testing.T) {
	t.Parallel()
	const people, kills, atOnce, mortal = 100, 100, 6, "mortal"
	database, mails := dbtest.New(t), startMailServer(t)
	env := []string{"SMTP_URL=" + mails.url, "PATH=/nowhere"} // who registers needs no ffmpeg, and each start would ask it
	for _, e := range environment(database) {
		if name, address, _ := strings.Cut(e, "="); strings.HasPrefix(address, "postgres") {
			u, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			query := u.Query()
			query.Set("application_name", mortal) // tells its connections from those of this test
			u.RawQuery = query.Encode()
			e = name + "=" + u.String()
		}
		env = append(env, e)
	}
	if _, err := built(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s := start(t, folder(t), env)
	starting, port := time.Since(began), s.port()

	// How long one takes here, from the form to the end, is how long a kill may be put off.
	first := &applicant{email: "first@example.test", url: s.url}
	begins := time.Now()
	if err := first.apply(within(t)); err != nil {
		t.Fatal(err)
	}
	mails.wait(within(t), "the first mail", func() bool { return len(mails.taken) == 1 })
	until(t, "the first is done", func() bool {
		return len(messagesIn(t, database, identitymsg.Category, identitymsg.RegistrationEmailSent{})) == 1
	})
	window := time.Since(begins)
	seed := uint64(began.UnixNano())
	if again := os.Getenv("KILL_SEED"); again != "" { // the moments of a run that failed
		var err error
		if seed, err = strconv.ParseUint(again, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d: starting takes %v, a registration %v", seed, starting, window)
	random := rand.New(rand.NewPCG(seed, 0))

	ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
	defer cancel()
	applicants, arrived := make([]*applicant, people), make(chan error, people)
	accepted := map[string]int{} // mails taken whose event is not there: by emailId
	deathsBetween, waiting := 0, 0
	arrives := func() {
		t.Helper()
		select {
		case err := <-arrived:
			if err != nil {
				t.Fatal(err)
			}
			waiting--
		case <-ctx.Done():
			t.Fatal("out of time")
		}
	}
	for i := range kills {
		// On a busy machine nobody would get through: a few at a time, then.
		for waiting >= atOnce {
			arrives()
		}
		waiting++
		applicants[i] = &applicant{email: fmt.Sprintf("person-%03d@example.test", i), url: s.url}
		go func() { arrived <- applicants[i].apply(ctx) }()
		// Death comes while it starts, while it works, or around the mail server's answer.
		var moment time.Duration
		switch n := random.IntN(10); {
		case n < 2:
			moment = time.Duration(random.Int64N(int64(starting)))
		case n < 7:
			s.await()
			moment = time.Duration(random.Int64N(int64(window)))
		default:
			s.await()
			mails.another(ctx, 2*window)
			moment = time.Duration(random.Int64N(int64(aroundTheAnswer)))
		}
		timer := time.NewTimer(moment)
		select {
		case <-timer.C:
		case <-ctx.Done():
			t.Fatal("out of time")
		}
		s.kill()
		if strings.Contains(s.output.String(), "DATA RACE") {
			t.Fatal(s.output)
		}
		// What it had sent out is taken or lost before anybody counts.
		mails.quiet(ctx)
		until(t, "the connections of the dead are closed", func() (closed bool) {
			err := database.Views.QueryRow(ctx, `SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = $1`, mortal).Scan(&closed)
			if err != nil {
				t.Fatal(err)
			}
			return closed
		})
		sent := map[string]bool{}
		for _, m := range decoded[sendemailmsg.Sent](t, database, sendemailmsg.Category) {
			sent[m.EmailID] = true
		}
		for id, n := range byMessage(mails.all()) {
			if !sent[id] && n > accepted[id] {
				deathsBetween += n - accepted[id]
				accepted[id] = n
			}
		}
		s.launchAt(port)
	}
	throughDeaths := rows(t, database, "user_credentials") - 1
	s.await()
	for waiting > 0 {
		arrives()
	}
	until(t, "everybody's mail is sent", func() bool {
		return len(messagesIn(t, database, identitymsg.Category, identitymsg.RegistrationEmailSent{})) >= people+1
	})
	settled(t, database, s)

	seen := map[string]bool{}
	for _, r := range decoded[identitymsg.Registered](t, database, identitymsg.Category) {
		if seen[r.Email] || seen[r.UserID] {
			t.Errorf("%s is registered twice", r.Email)
		}
		seen[r.Email], seen[r.UserID] = true, true
	}
	for name, n := range map[string]int{
		"commands":            len(messagesIn(t, database, identitymsg.Category.Commands(), identitymsg.Register{})),
		"identities":          len(seen) / 2,
		"reservations":        len(messagesIn(t, database, identitymsg.AddressCategory, identitymsg.EmailReserved{})),
		"rows of credentials": rows(t, database, "user_credentials"),
		"commands to send":    len(messagesIn(t, database, sendemailmsg.Category.Commands(), sendemailmsg.Send{})),
		"Sent":                len(messagesIn(t, database, sendemailmsg.Category, sendemailmsg.Sent{})),
		"events that say so":  len(messagesIn(t, database, identitymsg.Category, identitymsg.RegistrationEmailSent{})),
	} {
		if n != people+1 {
			t.Errorf("%s: %d, not %d", name, n, people+1)
		}
	}
	if n := len(messagesIn(t, database, identitymsg.Category, identitymsg.RegistrationRejected{})); n != 0 {
		t.Errorf("%d were refused", n)
	}
	deliveries, twice, tries := byMessage(mails.all()), 0, 0
	for id, n := range deliveries {
		if n > 1+accepted[id] {
			t.Errorf("mail %s was sent %d times, and death came after %d of them", id, n, accepted[id])
		}
		if n > 1 {
			twice++
		}
	}
	for _, a := range applicants {
		if took := mails.took(a.email); len(took) == 0 {
			t.Errorf("%s has no mail", a.email)
		} else if id := messageID(took[0]); id != identitymsg.WelcomeEmailID(userOf(t, database, a.email)) {
			t.Errorf("%s has mail %s", a.email, id)
		}
		body, _, _, err := a.persist(ctx, http.MethodGet, a.page, nil)
		if err != nil || stepState(body, "email-sent") != "done" {
			t.Errorf("the page of %s: %v\n%s", a.email, err, said(body))
		}
		tries += a.tries - 4 // form, form sent, page, page again
	}
	t.Logf("%d registrations, %d of them before the last of %d kills, in %v: asked again %d times; death came %d times between the server's 250 and our event, %d mails were sent twice",
		people, throughDeaths, kills, time.Since(began).Round(time.Second), tries, deathsBetween, twice)
}

// messageID returns the emailId that a mail was sent by.
func messageID(d delivery) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(d.MessageID, "<"), "@")
	return id
}

func byMessage(all []delivery) map[string]int {
	n := map[string]int{}
	for _, d := range all {
		n[messageID(d)]++
	}
	return n
}

func userOf(t *testing.T, database *dbtest.DB, email string) (id string) {
	t.Helper()
	if err := database.Views.QueryRow(within(t), `SELECT user_id FROM user_credentials WHERE address = $1`, email).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}
