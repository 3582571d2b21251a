package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"gopkg.in/yaml.v3"

	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

// scraped is what /metrics prints: the samples of each metric, by its name.
type scraped map[string][]sample

type sample struct {
	labels map[string]string
	value  float64
}

// scrape reads Prometheus's text format.
func scrape(t *testing.T, ops string) (scraped, string) {
	t.Helper()
	a := get(t, ops+"/metrics")
	if a.status != http.StatusOK {
		t.Fatalf("/metrics: %d\n%s", a.status, a.body)
	}
	line := regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})? (\S+)$`)
	label := regexp.MustCompile(`([a-z_]+)="((?:[^"\\]|\\.)*)"`)
	all := scraped{}
	for text := range strings.Lines(a.body) {
		if text = strings.TrimSpace(text); strings.HasPrefix(text, "#") {
			continue
		}
		found := line.FindStringSubmatch(text)
		if found == nil {
			t.Fatalf("/metrics prints %q", text)
		}
		value, err := strconv.ParseFloat(found[3], 64)
		if err != nil {
			t.Fatal(err)
		}
		s := sample{map[string]string{}, value}
		for _, l := range label.FindAllStringSubmatch(found[2], -1) {
			s.labels[l[1]] = l[2]
		}
		all[found[1]] = append(all[found[1]], s)
	}
	return all, a.body
}

// of returns the sum of a metric's samples that have these labels; -1 where there are none.
func (all scraped) of(name string, labels ...string) float64 {
	sum, found := 0.0, false
	for _, s := range all[name] {
		matches := true
		for i := 0; i+1 < len(labels); i += 2 {
			matches = matches && s.labels[labels[i]] == labels[i+1]
		}
		if matches {
			sum, found = sum+s.value, true
		}
	}
	if !found {
		return -1
	}
	return sum
}

// TestMetrics: what people do is counted, nothing of it is personal, and what the alert
// rules, the dashboard and the documentation name is what a running program prints.
func TestMetrics(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	s := start(t, folder(t), append(environment(database), "OPS_ADDRESS=127.0.0.1:0", "LOG_FORMAT=json", "LOG_LEVEL=debug"), "--no-demo")
	ops := opsOf(t, s)
	const email = "ada.lovelace@example.org"
	v := visit(t, s)
	page := v.post("/register", v.form("/register", "/register", "email", email, "password", "correct horse battery")).header.Get("Location")
	v.reached(page, "email-sent")
	get(t, s.url+"/videos/"+messagestore.NewID()) // nobody's
	ask(t, &http.Client{}, "BREW", s.url+"/", "", nil)
	frameFor(t, v.client, s.url+page+"/live", "data:") // its answer is counted when it ends

	var all scraped
	var body string
	until(t, "all that happened is counted", func() bool {
		all, body = scrape(t, ops)
		return all.of("video_tutorials_mails_total", "outcome", "sent") == 1 &&
			all.of("video_tutorials_http_requests_total", "route", "/register", "method", "POST", "status", "3xx") == 1 &&
			all.of("video_tutorials_http_requests_total", "route", "/register/:traceId/live", "method", "GET", "status", "2xx") >= 1 &&
			all.of("video_tutorials_messages_written_total", "category", "identity:command") >= 1 &&
			all.of("video_tutorials_subscription_handled_total", "subscription", "registrations") >= 1 &&
			all.of("video_tutorials_subscription_lag_messages") == 0
	})
	for name, want := range map[string]float64{
		"video_tutorials_build_info": 1, "video_tutorials_live_pages": 0, "video_tutorials_transcodes_under_way": 0,
		"video_tutorials_subscription_parked_streams": 0, "video_tutorials_database_listening": 2, "video_tutorials_subscription_state": subscriptions,
	} {
		if got := all.of(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if all.of("video_tutorials_http_request_duration_seconds_count", "route", "/register/:traceId/live") != -1 {
		t.Error("a stream's length is taken for the time of an answer")
	}
	if all.of("video_tutorials_http_requests_total", "method", "BREW") != -1 || all.of("video_tutorials_http_requests_total", "method", "other") != 1 {
		t.Error("a method that somebody made up has a series of its own")
	}
	if all.of("video_tutorials_http_requests_total", "route", "/videos/:id", "status", "4xx") != 1 {
		t.Error("a request for nothing is not counted")
	}
	version, err := commandOn(t, s, "--version")
	if build := all["video_tutorials_build_info"][0].labels; err != nil || !strings.Contains(version, build["version"]+", commit "+build["revision"]+",") {
		t.Errorf("the metrics tell of %v, --version of %s %v", build, version, err)
	}
	if n := len(all["video_tutorials_subscription_lag_seconds"]); n != subscriptions {
		t.Errorf("%d subscriptions have a lag", n)
	}
	if id := regexp.MustCompile(`[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-`).FindString(body); id != "" || strings.Contains(body, "lovelace") {
		t.Errorf("the metrics hold an id, or an address: %s", id)
	}
	t.Run("log", func(t *testing.T) { loggedAsJSON(t, s, page[strings.LastIndex(page, "/")+1:], email) })
	t.Run("alerts", func(t *testing.T) { checkAlerts(t, all) })
	t.Run("dashboard", func(t *testing.T) { checkDashboard(t, all) })
	t.Run("documentation", func(t *testing.T) {
		for name := range all {
			name = regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
			if strings.HasPrefix(name, metricsPrefix) && !strings.Contains(read(t, "docs/observability.md"), "`"+name+"`") {
				t.Errorf("docs/observability.md does not say what %s is", name)
			}
		}
		for _, name := range regexp.MustCompile("`("+metricsPrefix+"[a-z_]+)").FindAllStringSubmatch(read(t, "docs/observability.md"), -1) {
			if all.of(name[1]) == -1 && all.of(name[1]+"_count") == -1 {
				t.Errorf("docs/observability.md names %s, which is no metric", name[1])
			}
		}
	})
}

// loggedAsJSON demands that each line of the log is an object, and that those of a request
// and of the work that it set off name its trace.
func loggedAsJSON(t *testing.T, s *site, traceID, personal string) {
	t.Helper()
	seen := map[string]bool{}
	for line := range strings.Lines(s.output.String()) {
		if !strings.HasPrefix(line, "{") {
			continue // what it prints at its start
		}
		var entry struct {
			Msg          string `json:"msg"`
			TraceID      string `json:"trace_id"`
			Subscription string `json:"subscription"`
			Route        string `json:"route"`
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		if entry.TraceID == traceID {
			seen[entry.Msg+" "+entry.Subscription+entry.Route] = true
		}
		if strings.Contains(line, personal) {
			t.Errorf("the log holds an address: %s", line)
		}
	}
	for _, want := range []string{"request answered POST /register", "message handled identity:commands", "message handled sendEmail:commands"} {
		if !seen[want] {
			t.Errorf("no line %q names the trace, but %q", want, slices.Sorted(maps.Keys(seen)))
		}
	}
}

func checkAlerts(t *testing.T, all scraped) {
	t.Helper()
	var prometheus struct {
		RuleFiles []string `yaml:"rule_files"`
		Scrape    []struct {
			Job string `yaml:"job_name"`
		} `yaml:"scrape_configs"`
	}
	parseYAML(t, "deploy/prometheus/prometheus.yaml", &prometheus)
	if !slices.Equal(prometheus.RuleFiles, []string{"alerts.yaml"}) || len(prometheus.Scrape) != 1 {
		t.Errorf("prometheus.yaml: %+v", prometheus)
	}
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	parseYAML(t, "deploy/prometheus/alerts.yaml", &rules)
	guide, n := read(t, "docs/observability.md"), 0
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			n++
			checkQuery(t, all, rule.Alert, rule.Expr)
			if severity := rule.Labels["severity"]; severity != "page" && severity != "ticket" || rule.Annotations["summary"] == "" {
				t.Errorf("%s has severity %q and says %q", rule.Alert, severity, rule.Annotations["summary"])
			}
			if !strings.Contains(guide, "\n### "+rule.Alert+"\n") {
				t.Errorf("docs/observability.md does not say what to do when %s rings", rule.Alert)
			}
			for _, of := range regexp.MustCompile(`job="([^"]*)"`).FindAllStringSubmatch(rule.Expr, -1) {
				if of[1] != prometheus.Scrape[0].Job {
					t.Errorf("%s is about the job %s", rule.Alert, of[1])
				}
			}
		}
	}
	if headings := strings.Count(guide[strings.Index(guide, "## When an alert rings"):], "\n### "); headings != n {
		t.Errorf("%d alerts, and %d that are documented", n, headings)
	}
}

func checkDashboard(t *testing.T, all scraped) {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			ID            int
			Type, Title   string
			GridPos       struct{ X, Y, W, H int }
			Targets       []struct{ RefID, Expr string }
			Datasource    map[string]string
			Description   string
			LegendFormats []string
		}
	}
	if err := json.Unmarshal([]byte(read(t, "deploy/grafana/dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	for _, panel := range dashboard.Panels {
		if ids[panel.ID] {
			t.Errorf("two panels have the id %d", panel.ID)
		}
		ids[panel.ID] = true
		if panel.Type != "row" && len(panel.Targets) == 0 || panel.GridPos.X+panel.GridPos.W > 24 {
			t.Errorf("panel %q shows nothing, or lies outside", panel.Title)
		}
		for _, target := range panel.Targets {
			checkQuery(t, all, panel.Title, strings.ReplaceAll(target.Expr, "$__rate_interval", "1m"))
		}
	}
	if len(ids) < 20 {
		t.Errorf("%d panels", len(ids))
	}
}

// fromPrometheus are labels that it adds.
var fromPrometheus = []string{"job", "instance"}

// few are labels whose values are known.
var few = []string{"kind", "state", "outcome", "database"}

// wrongIn reads a query as Prometheus does and returns what is wrong with it: it names a metric that the program does not
// print, or a label or a value that the metric does not have, or does not ask a counter for its rate.
func wrongIn(all scraped, query string) (wrong []string) {
	expression, err := parser.ParseExpr(query)
	if err != nil {
		return []string{err.Error()}
	}
	say := func(format string, values ...any) { wrong = append(wrong, fmt.Sprintf(format, values...)) }
	asked := []string{}
	has := func(metric, label string) bool {
		return slices.Contains(fromPrometheus, label) || slices.ContainsFunc(all[metric], func(s sample) bool { _, is := s.labels[label]; return is })
	}
	parser.Inspect(expression, func(node parser.Node, path []parser.Node) error {
		metric, is := node.(*parser.VectorSelector)
		if !is {
			return nil
		}
		asked = append(asked, metric.Name)
		if all[metric.Name] == nil && metric.Name != "up" { // which Prometheus makes
			say("the program prints no %s", metric.Name)
			return nil
		}
		for _, matcher := range metric.LabelMatchers {
			switch {
			case matcher.Name == "__name__":
			case !has(metric.Name, matcher.Name):
				say("%s has no label %s", metric.Name, matcher.Name)
			case slices.Contains(few, matcher.Name):
				for value := range strings.SplitSeq(matcher.Value, "|") {
					if all.of(metric.Name, matcher.Name, value) == -1 {
						say("no sample of %s has %s %q", metric.Name, matcher.Name, value)
					}
				}
			}
		}
		if strings.HasSuffix(metric.Name, "_total") || strings.HasSuffix(metric.Name, "_bucket") {
			call, is := (*parser.Call)(nil), false
			if len(path) >= 2 {
				call, is = path[len(path)-2].(*parser.Call)
			}
			if !is || call.Func.Name != "rate" && call.Func.Name != "increase" {
				say("%s only grows, and is not asked for its rate", metric.Name)
			}
		}
		return nil
	})
	parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
		if sum, is := node.(*parser.AggregateExpr); is {
			for _, label := range sum.Grouping {
				if !slices.ContainsFunc(asked, func(metric string) bool { return has(metric, label) }) {
					say("nothing has the label %s", label)
				}
			}
		}
		return nil
	})
	if len(asked) == 0 {
		say("it asks for no metric")
	}
	return wrong
}

func checkQuery(t *testing.T, all scraped, where, query string) {
	t.Helper()
	for _, wrong := range wrongIn(all, query) {
		t.Errorf("%s: %s: %s", where, wrong, query)
	}
}

// TestQueriesAreRead: what is wrong with a query is found.
func TestQueriesAreRead(t *testing.T) {
	t.Parallel()
	all := scraped{"site_total": {{map[string]string{"outcome": "sent"}, 1}}, "site_pages": {{map[string]string{}, 1}}}
	for query, right := range map[string]bool{
		`sum by (outcome) (rate(site_total{outcome="sent"}[5m])) > 0.5`: true,
		`site_pages{job="x"} == 0`:                                      true,
		`site_page`:                                                     false,
		`sum by (outcome) (rate(site_total[5m])`:                        false,
		`rate(site_total{outcome="gone"}[5m])`:                          false,
		`rate(site_total{outcomes="sent"}[5m])`:                         false,
		`sum by (outcomes) (rate(site_total[5m]))`:                      false,
		`site_total > 5`:                                                false,
		`speed(site_pages[5m])`:                                         false,
		`5 > 4`:                                                         false,
		`sum by (outcome) rate(site_total[5m]}) > 1`:                    false,
	} {
		if wrong := wrongIn(all, query); len(wrong) == 0 != right {
			t.Errorf("%s: right is %v: %q", query, right, wrong)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func parseYAML(t *testing.T, name string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, name)), into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
