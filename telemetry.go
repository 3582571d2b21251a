package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"videotutorials/app/web"
	"videotutorials/assets"
	"videotutorials/messagestore"
)

// answered is told of every request.
func (p *program) answered(c echo.Context, a web.Answer) {
	p.recorder.Request(a.Route, a.Status, a.Began, a.Ended, a.Wrote)
	p.metrics.request(c, a)
	if p.log.Enabled(c.Request().Context(), slog.LevelDebug) {
		p.log.Debug("request answered", "trace_id", web.TraceOf(c), "route", a.Route, "status", a.Status, "took", a.Ended.Sub(a.Began), "wrote", len(a.Wrote))
	}
	if p.telemetry != nil {
		p.telemetry.request(c, a)
	}
}

// observed is told of all that subscriptions do.
func (p *program) observed(o messagestore.Observation) {
	p.recorder.Observe(o)
	p.metrics.subscription(o)
	if p.log.Enabled(context.Background(), slog.LevelDebug) {
		p.logHandled(o)
	}
	if p.telemetry != nil {
		p.telemetry.subscription(o)
	}
}

// logHandled writes a line for what a subscription has done.
func (p *program) logHandled(o messagestore.Observation) {
	about := []any{"subscription", o.Subscription, "messages", len(o.Messages), "took", o.Ended.Sub(o.Began), "wrote", len(o.Wrote)}
	if len(o.Messages) == 1 {
		metadata, _ := o.Messages[0].Metadata() // without any it has no trace
		about = append(about, "trace_id", metadata.TraceID, "message", o.Messages[0])
	}
	if o.Err != nil {
		about = append(about, "error", messagestore.ErrorText(o.Err))
	}
	p.log.Debug("message handled", about...)
}

// telemetry sends spans by OTLP over HTTP. A trace has the id of the messages' trace.
// Whoever writes a message, a request or a component that handles another one, makes a
// span below its own with an id that is derived from the message's, and the message says
// so in its metadata, as a W3C traceparent. Whoever works on the message has its parent
// there, also in another process or another program. The trace of a traceparent that a
// request brings is linked to and not gone on with: its id is not ours to trust, because
// by their trace X-ray shows a person what they have set off.
// Nothing that a span holds is personal: no ids of people, no names of streams, no texts
// of errors.
type telemetry struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// newTelemetry returns what sends spans to an OTLP receiver, nil where there is none. It
// does not wait for the receiver: where that is away, spans are lost and nothing else.
func newTelemetry(ctx context.Context, endpoint, name string, log *slog.Logger) (*telemetry, error) {
	if endpoint == "" {
		return nil, nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(strings.TrimSuffix(endpoint, "/")+"/v1/traces"))
	if err != nil {
		return nil, fmt.Errorf("send spans to OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	version, _, _ := thisBuild()
	// What the environment sets, as OTEL_SERVICE_NAME, wins.
	described, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", name), attribute.String("service.version", version), attribute.String("service.instance.id", messagestore.NewID()),
	), resource.WithHost(), resource.WithProcessPID(), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("describe this process for spans: %w", err)
	}
	options := []sdktrace.TracerProviderOption{sdktrace.WithBatcher(exporter), sdktrace.WithResource(described), sdktrace.WithIDGenerator(spanIDs{})}
	if sampler := os.Getenv("OTEL_TRACES_SAMPLER"); sampler == "traceidratio" || sampler == "parentbased_traceidratio" {
		share, err := strconv.ParseFloat(os.Getenv("OTEL_TRACES_SAMPLER_ARG"), 64)
		if err != nil || share < 0 || share > 1 {
			return nil, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG is %q: with OTEL_TRACES_SAMPLER=%s it must be a share from 0 to 1, like 0.1", os.Getenv("OTEL_TRACES_SAMPLER_ARG"), sampler)
		}
		options = append(options, sdktrace.WithSampler(shareOfTraces{sdktrace.TraceIDRatioBased(share)}))
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("spans were lost", "error", err) }))
	provider := sdktrace.NewTracerProvider(options...)
	return &telemetry{provider, provider.Tracer("videotutorials")}, nil
}

// shareOfTraces sends some of the traces, each of them whole: what it decides depends on a
// trace's id alone, so all processes decide the same. The library's own takes for a random
// number what in our ids, which are UUIDs, begins with two bits that never change.
type shareOfTraces struct{ sdktrace.Sampler }

// ShouldSample decides about the trace of a span.
func (s shareOfTraces) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	sum := sha256.Sum256(p.TraceID[:])
	copy(p.TraceID[:], sum[:])
	return s.Sampler.ShouldSample(p)
}

// close sends what is left.
func (t *telemetry) close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // the error handler has been told
}

// mostSpans is how many traces one transaction of a projection has spans in, and
// recentSpan how old a message may be: the work of a replay is of no trace that anybody
// follows.
const (
	mostSpans  = 100
	recentSpan = 15 * time.Minute
)

// request makes a span in each trace that a request has written in, else in one of its
// own.
func (t *telemetry) request(c echo.Context, a web.Answer) {
	if strings.HasPrefix(c.Path(), assets.Prefix) || isStream(c) {
		return // a file, or a stream that lasts as long as its page
	}
	var links []trace.Link
	from := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(c.Request().Header)))
	if from.IsValid() { // whoever calls has a trace of theirs
		links = []trace.Link{{SpanContext: from}}
	}
	method, route, _ := strings.Cut(a.Route, " ")
	about := span{
		name: a.Route, kind: trace.SpanKindServer, began: a.Began, ended: a.Ended, links: links, failed: a.Status >= http.StatusInternalServerError,
		attributes: []attribute.KeyValue{
			attribute.String("http.request.method", method), attribute.String("http.route", route), attribute.Int("http.response.status_code", a.Status),
		},
	}
	in := []trace.TraceID{traceIDOf(web.TraceID(c))}
	if len(a.Wrote) > 0 {
		in = nil
	}
	for _, w := range a.Wrote {
		if id := traceIDOf(w.Metadata.TraceID); id.IsValid() && !slices.Contains(in, id) {
			in = append(in, id)
		}
	}
	for _, id := range in {
		about.trace, about.id = id, spanID("request", web.TraceID(c))
		t.add(about)
		t.wrote(about, a.Wrote)
	}
}

// wrote makes a span of each message that was written in another one.
func (t *telemetry) wrote(in span, messages []messagestore.Written) {
	for _, w := range messages {
		if at := writtenIn(w.Metadata); at.TraceID() == in.trace && traceIDOf(w.Metadata.TraceID) == in.trace {
			t.add(span{
				name: "write " + w.Type, kind: trace.SpanKindProducer, trace: in.trace, id: at.SpanID(), parent: in.id,
				began: in.began, ended: in.ended, attributes: messageAttributes(w.ID, w.Type, w.Stream),
			})
		}
	}
}

// subscription makes a span of a message that a component has handled, and of a
// projection's transaction one in each trace of its messages.
func (t *telemetry) subscription(o messagestore.Observation) {
	if last := len(o.Messages) - 1; last < 0 || time.Since(o.Messages[last].Time) > recentSpan {
		return
	}
	var seen []trace.TraceID
	for _, m := range o.Messages {
		metadata, err := m.Metadata()
		in := traceIDOf(metadata.TraceID)
		if err != nil || !in.IsValid() || slices.Contains(seen, in) || time.Since(m.Time) > recentSpan {
			continue
		}
		about := span{
			name: o.Subscription + " " + m.Type, kind: trace.SpanKindConsumer, trace: in, id: spanID(o.Subscription, m.ID, strconv.FormatInt(o.Began.UnixNano(), 10)),
			began: o.Began, ended: o.Ended, failed: o.Err != nil,
			attributes: append(messageAttributes(m.ID, m.Type, m.Stream), attribute.String("messaging.consumer.group.name", o.Subscription)),
		}
		if at := writtenIn(metadata); at.TraceID() == in {
			about.parent = at.SpanID()
		} else if at.IsValid() { // another program's, which has traces of its own
			about.links = []trace.Link{{SpanContext: at}}
		}
		if o.Projected {
			about.attributes = append(about.attributes, attribute.Int("messaging.batch.message_count", len(o.Messages)), attribute.Int64("projection.version", o.Version))
		}
		t.add(about)
		t.wrote(about, o.Wrote)
		if seen = append(seen, in); len(seen) >= mostSpans {
			return
		}
	}
}

func messageAttributes(id, kind string, stream messagestore.Stream) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("messaging.message.id", id), attribute.String("messaging.message.type", kind),
		attribute.String("messaging.destination.name", string(stream.Category())),
	}
}

// span is one to be sent.
type span struct {
	name         string
	kind         trace.SpanKind
	trace        trace.TraceID
	id, parent   trace.SpanID
	began, ended time.Time
	failed       bool
	links        []trace.Link
	attributes   []attribute.KeyValue
}

func (t *telemetry) add(s span) {
	ctx := context.WithValue(context.Background(), spanKey{}, s)
	if s.parent.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: s.trace, SpanID: s.parent, TraceFlags: trace.FlagsSampled, Remote: true}))
	}
	_, made := t.tracer.Start(ctx, s.name, trace.WithSpanKind(s.kind), trace.WithTimestamp(s.began), trace.WithLinks(s.links...), trace.WithAttributes(s.attributes...))
	if s.failed {
		made.SetStatus(codes.Error, "")
	}
	made.End(trace.WithTimestamp(s.ended))
}

// spanIDs gives each span the ids that it was made with.
type spanIDs struct{}

type spanKey struct{}

func (spanIDs) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	s, _ := ctx.Value(spanKey{}).(span)
	return s.trace, s.id
}

func (spanIDs) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	s, _ := ctx.Value(spanKey{}).(span)
	return s.id
}

// traceIDOf returns the 16 bytes of a message's trace id.
func traceIDOf(traceID string) (id trace.TraceID) {
	if messagestore.ValidID(traceID) {
		_, _ = hex.Decode(id[:], []byte(strings.ReplaceAll(traceID, "-", "")))
	}
	return id
}

// traceparent returns the span in which a message is written, in its trace, as W3C trace
// context; nothing where it has no trace.
func traceparent(id, traceID string) string {
	in := traceIDOf(traceID)
	if !in.IsValid() {
		return ""
	}
	return "00-" + in.String() + "-" + spanID("written", id).String() + "-01"
}

// writtenIn returns the span that a message says it was written in.
func writtenIn(m messagestore.Metadata) trace.SpanContext {
	says := propagation.MapCarrier{"traceparent": m.Traceparent}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), says))
}

func spanID(parts ...string) (id trace.SpanID) {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	copy(id[:], sum[:])
	return id
}
