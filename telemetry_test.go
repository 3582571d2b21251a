package main

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

// receiver is an OTLP receiver that keeps what it is sent.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*spans.Span
	from  map[*spans.Span]int64 // the number of the process that sent it
	sent  bytes.Buffer          // as text
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{from: map[*spans.Span]int64{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		var body io.Reader = request.Body
		if request.Header.Get("Content-Encoding") == "gzip" {
			unpacked, err := gzip.NewReader(body)
			if err != nil {
				t.Error(err)
				return
			}
			body = unpacked
		}
		b, err := io.ReadAll(body)
		var export collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(b, &export)
		}
		if err != nil || request.URL.Path != "/v1/traces" {
			t.Errorf("%s %s: %v", request.Method, request.URL, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.sent.WriteString(export.String())
		for _, resource := range export.ResourceSpans {
			var process int64
			for _, attribute := range resource.Resource.GetAttributes() {
				if attribute.Key == "process.pid" {
					process = attribute.Value.GetIntValue()
				}
			}
			for _, scope := range resource.ScopeSpans {
				r.spans = append(r.spans, scope.Spans...)
				for _, s := range scope.Spans {
					r.from[s] = process
				}
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(r.Close)
	return r
}

// of returns the spans of a trace by their ids, and all that was sent as text.
func (r *receiver) of(t *testing.T, traceID string) (map[string]*spans.Span, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := map[string]*spans.Span{}
	for _, s := range r.spans {
		if hex.EncodeToString(s.TraceId) != strings.ReplaceAll(traceID, "-", "") {
			continue
		}
		id := hex.EncodeToString(s.SpanId)
		if twice := found[id]; twice != nil {
			t.Errorf("%q and %q have one id", twice.Name, s.Name)
		}
		found[id] = s
	}
	return found, r.sent.String()
}

// sentBy returns the number of the process that sent a span.
func (r *receiver) sentBy(s *spans.Span) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int(r.from[s])
}

// TestSpansAreThoseOfTheMessages: a registration's spans have the ids that its messages'
// metadata lead to, so processes that never speak make one tree.
func TestSpansAreThoseOfTheMessages(t *testing.T) {
	t.Parallel()
	to, database := newReceiver(t), dbtest.New(t)
	env := append(environment(database), "OTEL_EXPORTER_OTLP_ENDPOINT="+to.URL, "OTEL_BSP_SCHEDULE_DELAY=50", "LOG_LEVEL=debug", "LOG_FORMAT=json")
	s := start(t, folder(t), env, "--run", "web")
	components, aggregators := start(t, folder(t), env, "--run", "components"), start(t, folder(t), env, "--run", "aggregators")
	v := visit(t, s)
	const email, caller = "ada@example.org", "4bf92f3577b34da6a3ce929d0e0e4736"
	form := v.form("/register", "/register", "email", email, "password", "correct horse battery")
	a := v.post("/register", form, "traceparent", "00-"+caller+"-00f067aa0ba902b7-01")
	page := a.header.Get("Location")
	v.reached(page, "email-sent")
	traceID := strings.TrimPrefix(page, "/register/")
	store := messagestore.New(database.MessageStore)
	messages, err := store.Find(within(t), messagestore.Query{TraceID: traceID, Data: true})
	if err != nil || len(messages) < 6 {
		t.Fatalf("%d messages, %v", len(messages), err)
	}
	slices.Reverse(messages)
	person := messages[0].Stream.ID()

	// Every message has the span in which it was written. That is below a request where it
	// has no cause, and else below work on its cause, which is below the cause's own.
	var found map[string]*spans.Span
	spanOf := func(m messagestore.Raw) *spans.Span {
		metadata, err := m.Metadata()
		if err != nil || !strings.Contains(metadata.Traceparent, strings.ReplaceAll(traceID, "-", "")) {
			t.Fatalf("%s says it was written in %q, %v", m.Type, metadata.Traceparent, err)
		}
		id := writtenIn(metadata).SpanID()
		return found[id.String()]
	}
	until(t, "the spans of all messages have come", func() bool {
		found, _ = to.of(t, traceID)
		applied := 0
		for _, s := range found {
			if s.Name == "registrations Registered" || s.Name == "usercredentials Registered" {
				applied++
			}
		}
		return applied == 2 && !slices.ContainsFunc(messages, func(m messagestore.Raw) bool { return spanOf(m) == nil })
	})
	parentOf := func(s *spans.Span) *spans.Span { return found[hex.EncodeToString(s.ParentSpanId)] }
	for _, m := range messages {
		metadata, err := m.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		written, by := spanOf(m), parentOf(spanOf(m))
		if written.Name != "write "+m.Type || by == nil {
			t.Errorf("%s was written in %v by %v", m.Type, written, by)
			continue
		}
		if metadata.CausationMessagePosition == nil {
			if by.Name != "POST /register" || to.sentBy(by) != s.command.Process.Pid || len(by.ParentSpanId) > 0 || len(by.Links) != 1 || hex.EncodeToString(by.Links[0].TraceId) != caller {
				t.Errorf("the request: %v", by)
			}
			continue
		}
		i := slices.IndexFunc(messages, func(m messagestore.Raw) bool { return m.GlobalPosition == metadata.CausationMessageGlobalPosition })
		if i < 0 {
			t.Fatalf("%s has no cause", m.Type)
		}
		cause := spanOf(messages[i]).SpanId
		if to.sentBy(by) != components.command.Process.Pid {
			t.Errorf("%q is of process %d", by.Name, to.sentBy(by))
		}
		if !bytes.Equal(by.ParentSpanId, cause) || !strings.HasPrefix(by.Name, "identity:") && !strings.HasPrefix(by.Name, "sendEmail:") {
			t.Errorf("%s was written by %v, which is not about its cause", m.Type, by)
		}
	}
	for _, one := range found {
		if len(one.ParentSpanId) > 0 && parentOf(one) == nil {
			t.Errorf("%q is an orphan", one.Name)
		}
		if one.EndTimeUnixNano < one.StartTimeUnixNano {
			t.Errorf("%q ends before it begins", one.Name)
		}
		if name, _, _ := strings.Cut(one.Name, " "); name == "registrations" && to.sentBy(one) != aggregators.command.Process.Pid {
			t.Errorf("%q is of process %d", one.Name, to.sentBy(one))
		}
	}
	for process, says := range map[*site]string{s: "request answered", components: "message handled", aggregators: "message handled"} {
		named := func(line string) bool {
			return strings.Contains(line, `"msg":"`+says+`"`) && strings.Contains(line, `"trace_id":"`+traceID+`"`)
		}
		if !slices.ContainsFunc(strings.Split(process.output.String(), "\n"), named) {
			t.Errorf("the log of %v does not name the trace", process.args)
		}
	}
	v.get("/auth/log-in")
	until(t, "a request that writes nothing has a span", func() bool {
		_, sent := to.of(t, traceID)
		return strings.Contains(sent, "GET /auth/log-in")
	})
	if _, sent := to.of(t, traceID); strings.Contains(sent, email) || strings.Contains(sent, person) || strings.Contains(sent, "emailAddress-") {
		t.Error("a span holds what is personal")
	}
}

// Where only some traces are sent, these are sent whole, and as many as was said.
func TestAShareOfTheTraces(t *testing.T) {
	t.Parallel()
	const of = 2000
	sampler, sent := shareOfTraces{sdktrace.TraceIDRatioBased(0.1)}, 0
	for range of {
		in := traceIDOf(messagestore.NewID())
		root := sampler.ShouldSample(sdktrace.SamplingParameters{ParentContext: t.Context(), TraceID: in, Name: "POST /register", Kind: trace.SpanKindServer})
		work := sampler.ShouldSample(sdktrace.SamplingParameters{ParentContext: t.Context(), TraceID: in, Name: "identity:commands Register", Kind: trace.SpanKindConsumer})
		if root.Decision != work.Decision {
			t.Fatalf("half of the trace %s is sent", in)
		}
		if root.Decision == sdktrace.RecordAndSample {
			sent++
		}
	}
	if sent < of/20 || sent > of*3/20 {
		t.Errorf("%d of %d traces are sent", sent, of)
	}
}
