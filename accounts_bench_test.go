package main

import (
	"bufio"
	"context"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"videotutorials/app/password"
)

// hashes returns how many passwords a second the hasher of the program manages by
// itself, with as many who wait for it.
func hashes(b *testing.B, clients int, d time.Duration) float64 {
	hasher := password.NewHasher(0)
	var total atomic.Int64
	var hashing sync.WaitGroup
	start := time.Now()
	for range clients {
		hashing.Go(func() {
			for time.Since(start) < d {
				if _, err := hasher.Hash(b.Context(), goodPassword); err != nil {
					b.Error(err)
					return
				}
				total.Add(1)
			}
		})
	}
	hashing.Wait()
	return float64(total.Load()) / time.Since(start).Seconds()
}

// Registrations from the POST of the form to the row of credentials, by eight people at
// a time. Floor: the hashes alone, in as many slots.
func BenchmarkSiteRegistrations(b *testing.B) {
	x := startBench(b).serve()
	ctx := b.Context()
	const clients, each = 8, 20
	registered := func() (n int) {
		if err := x.views.QueryRow(ctx, `SELECT count(*) FROM user_credentials`).Scan(&n); err != nil {
			b.Fatal(err)
		}
		return n
	}
	people := 0
	site := func() float64 {
		applicants, forms := make([]*applicant, clients*each), make([]url.Values, clients*each)
		for i := range applicants { // the forms are there before the clock runs
			applicants[i] = &applicant{email: fmt.Sprintf("person-%d@example.test", people), url: x.url}
			people++
			var err error
			if forms[i], err = applicants[i].form(ctx); err != nil {
				b.Fatal(err)
			}
		}
		start := time.Now()
		var sending sync.WaitGroup
		for c := range clients {
			sending.Go(func() {
				for i := c; i < len(applicants); i += clients {
					if err := applicants[i].send(ctx, forms[i]); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		sending.Wait()
		until(b, "all are registered", func() bool { return registered() == people })
		return float64(len(applicants)) / time.Since(start).Seconds()
	}
	var ours, theirs float64
	for range 2 { // in turn
		ours += site() / 2
		theirs += hashes(b, clients, 3*time.Second) / 2
	}
	b.ReportMetric(ours, "site-registrations/s")
	b.ReportMetric(theirs, "hashes/s")
	b.ReportMetric(0, "ns/op")
}

var liveURL = regexp.MustCompile(`hx-sse:connect="([^"]+)"`)

// From the POST of the form to "registered" on the page that it leads to, at rest; what
// the page shows at once counts, and else the frame of its stream. Floor: the hash alone.
func BenchmarkSiteRegistrationToStep(b *testing.B) {
	x := startBench(b).serve()
	ctx := b.Context()
	people := 0
	site := func() time.Duration {
		a := &applicant{email: fmt.Sprintf("person-%d@example.test", people), url: x.url}
		people++
		form, err := a.form(ctx)
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		if err := a.send(ctx, form); err != nil {
			b.Fatal(err)
		}
		body, _, _, err := a.persist(ctx, http.MethodGet, a.page, nil)
		if err != nil {
			b.Fatal(err)
		}
		if stepState(body, "registered") == "done" {
			return time.Since(start)
		}
		live := liveURL.FindStringSubmatch(body)
		if live == nil {
			b.Fatal(said(body))
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, x.url+html.UnescapeString(live[1]), nil)
		if err != nil {
			b.Fatal(err)
		}
		stream, err := a.http.Do(request)
		if err != nil {
			b.Fatal(err)
		}
		defer stream.Body.Close()
		for lines := bufio.NewReader(stream.Body); ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				b.Fatal(err)
			}
			if stepState(line, "registered") == "done" {
				return time.Since(start)
			}
		}
	}
	hasher := password.NewHasher(1)
	floor := func() time.Duration {
		start := time.Now()
		if _, err := hasher.Hash(ctx, goodPassword); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	const blocks, each = 10, 20
	site()
	floor()
	var ours, theirs []time.Duration
	for range blocks { // in turn
		for range each {
			ours = append(ours, site())
			x.rest(people)
		}
		for range each {
			theirs = append(theirs, floor())
		}
	}
	quantiles(b, "step", ours)
	quantiles(b, "hash", theirs)
	b.ReportMetric(0, "ns/op")
}

// rest waits until the mails of so many people are sent: nothing is going on then.
func (x *bench) rest(people int) {
	x.b.Helper()
	until(x.b, "the mails are sent", func() bool {
		var sent int
		if err := x.views.QueryRow(x.b.Context(), `SELECT count(*) FROM registrations WHERE sent_at IS NOT NULL`).Scan(&sent); err != nil {
			x.b.Fatal(err)
		}
		return sent == people
	})
}

// The home page with and without a burst of log-ins: 32 people who all try at once and
// again, each from an address of their own, so that nobody is slowed.
func BenchmarkSitePagesDuringLogIns(b *testing.B) {
	x := startBench(b).serve()
	x.publish(24)
	pages := func(d time.Duration) (took []time.Duration) {
		client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
		for start := time.Now(); time.Since(start) < d; {
			begins := time.Now()
			response, err := client.Get(x.url + "/")
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
				b.Fatalf("%s: %v", response.Status, err)
			}
			response.Body.Close()
			took = append(took, time.Since(begins))
		}
		return took
	}
	var tries atomic.Int64
	burst := func(ctx context.Context) (stopped *sync.WaitGroup) {
		stopped = &sync.WaitGroup{}
		for i := range 32 {
			stopped.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					// Five tries are free of waiting.
					jar, err := cookiejar.New(nil)
					if err != nil {
						b.Error(err)
						return
					}
					from := net.IPv4(127, 1, byte(i), byte(1+n/5%250))
					client := &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}).DialContext}}
					form := url.Values{"email": {fmt.Sprintf("nobody-%d-%d@example.test", i, n)}, "password": {"wrong " + goodPassword}}
					request, err := http.NewRequestWithContext(ctx, http.MethodPost, x.url+"/auth/log-in", strings.NewReader(form.Encode()))
					if err != nil {
						b.Error(err)
						return
					}
					request.Header.Set("Content-Type", formType)
					response, err := client.Do(request)
					if err != nil {
						if ctx.Err() == nil {
							b.Error(err)
						}
						return
					}
					io.Copy(io.Discard, response.Body)
					response.Body.Close()
					if response.StatusCode != http.StatusUnprocessableEntity {
						b.Errorf("a try: %s", response.Status)
						return
					}
					tries.Add(1)
				}
			})
		}
		return stopped
	}
	const d = 3 * time.Second
	pages(d / 3)
	var alone, beside []time.Duration
	for range 3 { // in turn
		alone = append(alone, pages(d)...)
		ctx, cancel := context.WithCancel(b.Context())
		stopped := burst(ctx)
		before := tries.Load()
		until(b, "the burst has begun", func() bool { return tries.Load() > before })
		beside = append(beside, pages(d)...)
		cancel()
		stopped.Wait()
	}
	quantiles(b, "alone", alone)
	quantiles(b, "burst", beside)
	b.ReportMetric(float64(tries.Load())/(3*d).Seconds(), "log-ins/s")
	b.ReportMetric(0, "ns/op")
}
