package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

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
	firstFrame(t, s.url+page+"/live") // its answer is counted when it ends

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

// functions and words are those of PromQL that our queries use.
var (
	functions = []string{"rate", "increase", "changes", "histogram_quantile", "topk", "sum", "min", "max", "count"}
	words     = []string{"by", "and"}
)

// fromPrometheus are labels that it adds, and the metric that it makes.
var fromPrometheus = []string{"job", "instance"}

// checkQuery reads a query as far as names and brackets go: each metric is one that the
// program prints, with these labels and, where they are few and fixed, these values; each
// counter is asked for its rate.
func checkQuery(t *testing.T, all scraped, where, query string) {
	t.Helper()
	tokens := regexp.MustCompile(`"(?:[^"\\]|\\.)*"|[a-zA-Z_][a-zA-Z0-9_]*|\d+[smhd]|[0-9.]+|=~|!~|!=|==|>=|<=|[-+*/<>=(){}\[\],]|\s+|.`).FindAllString(query, -1)
	tokens = slices.DeleteFunc(tokens, func(token string) bool { return strings.TrimSpace(token) == "" })
	at := func(i int) string {
		if i < 0 || i >= len(tokens) {
			return ""
		}
		return tokens[i]
	}
	isName := regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`).MatchString
	closes := map[string]string{"(": ")", "{": "}", "[": "]"}
	var open []string
	metric, metrics := "", 0
	for i, token := range tokens {
		inside := ""
		if len(open) > 0 {
			inside = open[len(open)-1]
		}
		switch {
		case closes[token] != "":
			if at(i-1) == "by" {
				token = "by("
				closes["by("] = ")"
			}
			open = append(open, token)
		case token == ")" || token == "}" || token == "]":
			if inside == "" || closes[inside] != token {
				t.Errorf("%s: a bracket too many or the wrong one: %s", where, query)
				return
			}
			open = open[:len(open)-1]
		case isName(token) && inside == "{":
			value := strings.Trim(at(i+2), `"`)
			if operator := at(i + 1); !slices.Contains([]string{"=", "!=", "=~", "!~"}, operator) || !strings.HasPrefix(at(i+2), `"`) {
				t.Errorf("%s: %s is not compared with a text: %s", where, token, query)
			}
			if slices.Contains(fromPrometheus, token) {
				break
			}
			if !slices.ContainsFunc(all[metric], func(s sample) bool { _, has := s.labels[token]; return has }) {
				t.Errorf("%s: %s has no label %s", where, metric, token)
			}
			for each := range strings.SplitSeq(value, "|") {
				fixed := token == "kind" || token == "state" || token == "outcome" || token == "database"
				if fixed && all.of(metric, token, each) == -1 {
					t.Errorf("%s: no sample of %s has %s %q", where, metric, token, each)
				}
			}
		case isName(token) && inside == "by(":
			if !slices.Contains(fromPrometheus, token) && !slices.ContainsFunc(slices.Collect(maps.Keys(all)), func(name string) bool {
				return strings.Contains(query, name) && slices.ContainsFunc(all[name], func(s sample) bool { return s.labels[token] != "" })
			}) {
				t.Errorf("%s: nothing has the label %s: %s", where, token, query)
			}
		case isName(token) && slices.Contains(words, token):
		case isName(token) && (at(i+1) == "(" || at(i+1) == "by"):
			if !slices.Contains(functions, token) {
				t.Errorf("%s: %s is no function: %s", where, token, query)
			}
		case isName(token):
			metric = token
			metrics++
			if all[metric] == nil && metric != "up" {
				t.Errorf("%s: the program prints no %s", where, metric)
			}
			ranged := strings.Contains(strings.Join(tokens[i+1:min(len(tokens), i+40)], ""), "[")
			if before := at(i - 2); (strings.HasSuffix(metric, "_total") || strings.HasSuffix(metric, "_bucket")) && (!ranged || before != "rate" && before != "increase") {
				t.Errorf("%s: %s only grows, and is not asked for its rate: %s", where, metric, query)
			}
		case regexp.MustCompile(`^("|\d|=~|!~|!=|==|>=|<=|[-+*/<>=,])`).MatchString(token):
		default:
			t.Errorf("%s: %q in %s", where, token, query)
		}
	}
	if len(open) > 0 || metrics == 0 {
		t.Errorf("%s: brackets are open, or it asks for no metric: %s", where, query)
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
		found := &testing.T{}
		done := make(chan struct{})
		go func() { defer close(done); checkQuery(found, all, "test", query) }()
		<-done
		if found.Failed() == right {
			t.Errorf("%s: right is %v", query, right)
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
