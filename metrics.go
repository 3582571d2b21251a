package main

import (
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"videotutorials/app/web"
	"videotutorials/components/sendemail/sendemailmsg"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
)

// metrics are what this process counts for Prometheus. What something else counts already
// is asked for when it is scraped: see [figures]. No label holds what a person has chosen:
// routes are patterns, and streams and ids are nowhere.
type metrics struct {
	registry       *prometheus.Registry
	requests       *prometheus.CounterVec
	requestSeconds *prometheus.HistogramVec
	handling       *prometheus.HistogramVec
	handlingErrors *prometheus.CounterVec
	mails          *prometheus.CounterVec
	transcodes     *prometheus.CounterVec
	transcoding    prometheus.Gauge
	transcodeTime  prometheus.Histogram
}

const metricsPrefix = "video_tutorials_"

// newMetrics returns the metrics of p, which need not be assembled yet.
func newMetrics(p *program) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricsPrefix + "http_requests_total", Help: "Requests that were answered, streams of live pages when they end.",
		}, []string{"method", "route", "status"}),
		requestSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: metricsPrefix + "http_request_duration_seconds", Help: "How long answers took, but for streams of live pages.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"method", "route", "status"}),
		handling: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: metricsPrefix + "handling_duration_seconds", Help: "How long a component took for a message, and a projection for a transaction, which may hold many.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30, 300},
		}, []string{"subscription"}),
		handlingErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricsPrefix + "handling_errors_total", Help: "Tries of a component to handle a message that failed.",
		}, []string{"subscription"}),
		mails: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricsPrefix + "mails_total", Help: "What became of mails: sent, postponed by the mail server, or failed for good.",
		}, []string{"outcome"}),
		transcodes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricsPrefix + "transcodes_total", Help: "What became of videos: published, or refused or given up.",
		}, []string{"outcome"}),
		transcoding: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: metricsPrefix + "transcodes_under_way", Help: "Videos that this process works on now.",
		}),
		transcodeTime: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: metricsPrefix + "transcode_duration_seconds", Help: "How long the work on a video took, in one go: a try that is broken off counts for itself.",
			Buckets: []float64{1, 5, 15, 60, 300, 900, 3600, 10800},
		}),
	}
	for _, outcome := range []string{"sent", "postponed", "failed"} {
		m.mails.WithLabelValues(outcome) // there from the start, so that a first failure is an increase
	}
	for _, outcome := range []string{"published", "failed"} {
		m.transcodes.WithLabelValues(outcome)
	}
	m.registry.MustRegister(m.requests, m.requestSeconds, m.handling, m.handlingErrors, m.mails, m.transcodes, m.transcoding, m.transcodeTime,
		figures{p}, buildInfo(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// buildInfo says by its labels which build runs.
func buildInfo() prometheus.Collector {
	version, revision, _ := thisBuild()
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: metricsPrefix + "build_info", Help: "Always 1; the labels say which build this is.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision, "goversion": runtime.Version()},
	}, func() float64 { return 1 })
}

// request counts a request that was answered.
func (m *metrics) request(c echo.Context, a web.Answer) {
	method, route, _ := strings.Cut(a.Route, " ")
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default: // whoever asks can make up as many as they like
		method = "other"
	}
	status := strconv.Itoa(a.Status/100) + "xx"
	m.requests.WithLabelValues(method, route, status).Inc()
	if !isStream(c) {
		m.requestSeconds.WithLabelValues(method, route, status).Observe(a.Ended.Sub(a.Began).Seconds())
	}
}

// isStream reports whether an answer was one that lasts as long as its page.
func isStream(c echo.Context) bool {
	return strings.HasPrefix(c.Response().Header().Get(echo.HeaderContentType), "text/event-stream")
}

// outcomes are the messages by which the end of a mail or a video is known.
var outcomes = map[string]struct{ of, outcome string }{
	sendemailmsg.Sent{}.MessageType():                   {"mail", "sent"},
	sendemailmsg.Postponed{}.MessageType():              {"mail", "postponed"},
	sendemailmsg.Failed{}.MessageType():                 {"mail", "failed"},
	publishingmsg.VideoPublished{}.MessageType():        {"video", "published"},
	publishingmsg.VideoPublishingFailed{}.MessageType(): {"video", "failed"},
}

// subscription counts what a subscription has done.
func (m *metrics) subscription(o messagestore.Observation) {
	m.handling.WithLabelValues(o.Subscription).Observe(o.Ended.Sub(o.Began).Seconds())
	failed := m.handlingErrors.WithLabelValues(o.Subscription) // there from the first message, so that an error is an increase
	if o.Err != nil {
		failed.Inc()
	}
	for _, w := range o.Wrote {
		end, known := outcomes[w.Type]
		switch category := w.Stream.Category(); {
		case !known:
		case end.of == "mail" && category == sendemailmsg.Category:
			m.mails.WithLabelValues(end.outcome).Inc()
		case end.of == "video" && category == publishingmsg.Category:
			m.transcodes.WithLabelValues(end.outcome).Inc()
		}
	}
}

// transcode counts a video that is worked on, until ended is called.
func (m *metrics) transcode() (ended func()) {
	began := time.Now()
	m.transcoding.Inc()
	return func() {
		m.transcoding.Dec()
		m.transcodeTime.Observe(time.Since(began).Seconds())
	}
}

// figures are what is counted elsewhere in the program and asked for when it is scraped.
type figures struct{ *program }

func figure(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(metricsPrefix+name, help, labels, nil)
}

var (
	lagMessagesFigure   = figure("subscription_lag_messages", "Messages that wait, counted up to 10,000.", "subscription", "kind")
	lagSecondsFigure    = figure("subscription_lag_seconds", "Age of the oldest message that waits.", "subscription", "kind")
	positionFigure      = figure("subscription_position", "Global position up to which all is handled.", "subscription", "kind")
	headFigure          = figure("subscription_head_position", "Global position of the last message of the category.", "subscription", "kind")
	handledFigure       = figure("subscription_handled_total", "Messages that this process has handled.", "subscription", "kind")
	retriesFigure       = figure("subscription_retries_total", "Tries that failed and were repeated.", "subscription", "kind")
	parkedFigure        = figure("subscription_parked_streams", "Streams that are set aside because one of their messages cannot be handled.", "subscription", "kind")
	stateFigure         = figure("subscription_state", "1 for the state that the subscription is in, in this process.", "subscription", "kind", "state")
	writtenFigure       = figure("messages_written_total", "Messages that this process has written.", "category")
	conflictsFigure     = figure("message_write_conflicts_total", "Writes that were refused because the stream was not at the expected version.", "category")
	duplicatesFigure    = figure("message_write_duplicates_total", "Writes of a message whose id was there already.", "category")
	writeErrorsFigure   = figure("message_write_errors_total", "Writes that failed otherwise; the message may have been written.", "category")
	pagesFigure         = figure("live_pages", "Pages that are open now and follow what happens.")
	framesFigure        = figure("live_frames_total", "Changes that were sent to open pages.")
	cutFigure           = figure("live_pages_cut_total", "Open pages whose browser accepted nothing for ten seconds.")
	notificationsFigure = figure("live_notifications_total", "Notifications of changed view data that were received.")
	listeningFigure     = figure("database_listening", "Whether the connection that listens for notifications stands.", "database")
	poolMostFigure      = figure("database_pool_max_connections", "Connections that the pool may have.", "database")
	poolUsedFigure      = figure("database_pool_used_connections", "Connections that are in use.", "database")
	poolIdleFigure      = figure("database_pool_idle_connections", "Connections that rest.", "database")
	poolTakenFigure     = figure("database_pool_acquires_total", "Times that a connection was taken.", "database")
	poolWaitedFigure    = figure("database_pool_waits_total", "Times that somebody had to wait for a connection.", "database")
	poolWaitFigure      = figure("database_pool_wait_seconds_total", "Seconds that were waited for connections.", "database")
	poolCanceledFigure  = figure("database_pool_canceled_acquires_total", "Times that somebody who waited for a connection gave up.", "database")
)

var allFigures = []*prometheus.Desc{
	lagMessagesFigure, lagSecondsFigure, positionFigure, headFigure, handledFigure, retriesFigure, parkedFigure, stateFigure,
	writtenFigure, conflictsFigure, duplicatesFigure, writeErrorsFigure,
	pagesFigure, framesFigure, cutFigure, notificationsFigure,
	listeningFigure, poolMostFigure, poolUsedFigure, poolIdleFigure, poolTakenFigure, poolWaitedFigure, poolWaitFigure, poolCanceledFigure,
}

// Describe names all figures.
func (f figures) Describe(to chan<- *prometheus.Desc) {
	for _, each := range allFigures {
		to <- each
	}
}

// Collect tells all figures as they stand now. It asks no database.
func (f figures) Collect(to chan<- prometheus.Metric) {
	gauge := func(of *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(of, prometheus.GaugeValue, value, labels...)
	}
	count := func(of *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(of, prometheus.CounterValue, value, labels...)
	}
	listening := f.subscriptions.Listening().Connected
	for _, s := range f.subscriptions.Status() {
		kind := string(kindOf(s))
		if listening { // or the lag is that of the moment when it was lost
			gauge(lagMessagesFigure, float64(s.LagMessages), s.Name, kind)
			gauge(lagSecondsFigure, s.LagSeconds, s.Name, kind)
		}
		gauge(positionFigure, float64(s.Position), s.Name, kind)
		gauge(headFigure, float64(s.Head), s.Name, kind)
		count(handledFigure, float64(s.Handled), s.Name, kind)
		count(retriesFigure, float64(s.Retries), s.Name, kind)
		gauge(parkedFigure, float64(len(s.Parked)), s.Name, kind)
		for _, state := range states {
			gauge(stateFigure, oneIf(s.State == state), s.Name, kind, string(state))
		}
	}
	for category, w := range f.store.Writes() {
		count(writtenFigure, float64(w.Written), string(category))
		count(conflictsFigure, float64(w.Conflicts), string(category))
		count(duplicatesFigure, float64(w.Duplicates), string(category))
		count(writeErrorsFigure, float64(w.Errors), string(category))
	}
	pages := f.hub.Stats()
	gauge(pagesFigure, float64(pages.Pages))
	count(framesFigure, float64(pages.Frames))
	count(cutFigure, float64(pages.Cut))
	count(notificationsFigure, float64(pages.Notifications))
	gauge(listeningFigure, oneIf(f.viewsListener.Status().Connected), viewsName)
	gauge(listeningFigure, oneIf(listening), messageStoreName)
	for name, pool := range map[string]*pgxpool.Pool{viewsName: f.views, messageStoreName: f.messages} {
		s := pool.Stat()
		gauge(poolMostFigure, float64(s.MaxConns()), name)
		gauge(poolUsedFigure, float64(s.AcquiredConns()), name)
		gauge(poolIdleFigure, float64(s.IdleConns()), name)
		count(poolTakenFigure, float64(s.AcquireCount()), name)
		count(poolWaitedFigure, float64(s.EmptyAcquireCount()), name)
		count(poolWaitFigure, s.EmptyAcquireWaitTime().Seconds(), name)
		count(poolCanceledFigure, float64(s.CanceledAcquireCount()), name)
	}
}

// The databases as metrics name them.
const (
	viewsName        = "views"
	messageStoreName = "message-store"
)

var states = []messagestore.State{
	messagestore.Standby, messagestore.CatchingUp, messagestore.Live, messagestore.Retrying,
	messagestore.Parked, messagestore.Paused, messagestore.Draining,
}

// kind says what a subscription is for, and so how long its messages may wait.
type kind string

const (
	viewData kind = "view-data" // what pages show
	deciding kind = "deciding"  // what a component decides with our databases alone
	// working is what takes as long as it takes, or waits for others: films, files and mails.
	working kind = "working"
)

func kindOf(s messagestore.Status) kind {
	switch {
	case s.Projection:
		return viewData
	case strings.HasPrefix(s.Name, "sendEmail:"), strings.HasPrefix(s.Name, "videoPublishing:") && s.Category != publishingmsg.Category.Commands():
		return working
	}
	return deciding
}

func oneIf(holds bool) float64 {
	if holds {
		return 1
	}
	return 0
}
