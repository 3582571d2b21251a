package videooperations_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"videotutorials/aggregators/aggregatortest"
	"videotutorials/aggregators/videooperations"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

type fixture struct {
	*aggregatortest.Fixture[videooperations.Queries]
}

// prepare makes a fixture whose aggregator does not run yet.
func prepare(t *testing.T) *fixture {
	t.Helper()
	return &fixture{aggregatortest.New(t, "video_operations", videooperations.New, videooperations.NewQueries)}
}

func start(t *testing.T) *fixture {
	t.Helper()
	f := prepare(t)
	f.Run()
	return f
}

// answered is an event that came of a person's request, by way of a command.
func (f *fixture) answered(traceID, userID, videoID string, body messagestore.Body) time.Time {
	f.T.Helper()
	return f.caused(traceID, userID, videoID, publishingmsg.Category.CommandStream(videoID), body)
}

func (f *fixture) caused(traceID, userID, videoID string, by messagestore.Stream, body messagestore.Body) time.Time {
	f.T.Helper()
	return f.Happened(publishingmsg.Category.Stream(videoID), body,
		messagestore.WithMetadata(messagestore.Metadata{TraceID: traceID, UserID: userID, CausationMessageStreamName: by, CausationMessageGlobalPosition: 1}))
}

func (f *fixture) is(want videooperations.Operation) {
	f.T.Helper()
	got, found, version, err := f.Queries.Of(f.Ctx, want.TraceID)
	if err != nil || !found || version == 0 || got != want {
		f.T.Errorf("%v, version %d, %v\n got %+v\nwant %+v", found, version, err, got, want)
	}
}

func TestEachEvent(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, userID := messagestore.NewID(), messagestore.NewID()
	if _, found, version, err := f.Queries.Of(f.Ctx, messagestore.NewID()); err != nil || found || version != 0 {
		t.Errorf("nothing yet: %v, version %d, %v", found, version, err)
	}
	var all []videooperations.Operation
	for _, c := range []struct {
		event         messagestore.Body
		reason, value string
	}{
		{publishingmsg.UploadBegun{VideoID: id, OwnerID: userID}, "", ""},
		{publishingmsg.UploadRejected{VideoID: id, Reason: publishingmsg.AlreadyBegun}, publishingmsg.AlreadyBegun, ""},
		{publishingmsg.UploadAbandoned{VideoID: id}, "", ""},
		{publishingmsg.VideoPublishingStarted{VideoID: id, OwnerID: userID}, "", ""},
		{publishingmsg.VideoPublishingRejected{VideoID: id, Reason: publishingmsg.NothingToRetry}, publishingmsg.NothingToRetry, ""},
		{publishingmsg.VideoPlayable{VideoID: id, OwnerID: userID}, "", ""},
		{publishingmsg.VideoPublished{VideoID: id, OwnerID: userID}, "", ""},
		{publishingmsg.VideoPublishingFailed{VideoID: id, OwnerID: userID, Reason: publishingmsg.NotAVideo}, publishingmsg.NotAVideo, ""},
		{publishingmsg.VideoPublishingCanceled{VideoID: id}, "", ""},
		{publishingmsg.VideoNamed{VideoID: id, Name: "A"}, "", "A"},
		{publishingmsg.VideoNameRejected{VideoID: id, Name: "A", Reason: publishingmsg.Same}, publishingmsg.Same, "A"},
		{publishingmsg.VideoDescribed{VideoID: id, Description: "About A"}, "", "About A"},
		{publishingmsg.VideoDescriptionRejected{VideoID: id, Description: "About A", Reason: publishingmsg.TooLong}, publishingmsg.TooLong, "About A"},
		{publishingmsg.VisibilityChanged{VideoID: id, Visibility: publishingmsg.Unlisted}, "", publishingmsg.Unlisted},
		{publishingmsg.VisibilityChangeRejected{VideoID: id, Visibility: "x", Reason: publishingmsg.UnknownChoice}, publishingmsg.UnknownChoice, "x"},
		{publishingmsg.VideoDeleted{VideoID: id}, "", ""},
		{publishingmsg.VideoDeletionRejected{VideoID: id, Reason: publishingmsg.Deleted}, publishingmsg.Deleted, ""},
		{publishingmsg.CaptionsAdded{VideoID: id, CaptionsID: "x"}, "", ""},
		{publishingmsg.CaptionsRemoved{VideoID: id, CaptionsID: "x"}, "", ""},
		{publishingmsg.CaptionsRejected{VideoID: id, CaptionsID: "x", Reason: publishingmsg.TooMany}, publishingmsg.TooMany, ""},
		{publishingmsg.ChaptersSet{VideoID: id, URI: "/x"}, "", ""},
		{publishingmsg.ChaptersRemoved{VideoID: id, URI: "/x"}, "", ""},
		{publishingmsg.ChaptersRejected{VideoID: id, Reason: publishingmsg.NotFound}, publishingmsg.NotFound, ""},
	} {
		want := videooperations.Operation{TraceID: messagestore.NewID(), VideoID: id, UserID: userID, Outcome: c.event.MessageType(), Reason: c.reason, Value: c.value}
		want.At = f.answered(want.TraceID, userID, id, c.event)
		f.is(want)
		all = append(all, want)
	}
	f.SameInOneBatch()
	for _, want := range all {
		f.is(want)
	}
}

// TestARetryEndsWithItsPublication follows one trace from the command to the end of the
// work that it set off.
func TestARetryEndsWithItsPublication(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, userID, traceID := messagestore.NewID(), messagestore.NewID(), messagestore.NewID()
	want := videooperations.Operation{TraceID: traceID, VideoID: id, UserID: userID}
	work := func(outcome string, body messagestore.Body) {
		t.Helper()
		at := f.caused(traceID, userID, id, publishingmsg.Category.Stream(id), body)
		if outcome != "" {
			want.Outcome, want.At = outcome, at
		}
		f.is(want)
	}
	want.Outcome = "VideoPublishingStarted"
	want.At = f.answered(traceID, userID, id, publishingmsg.VideoPublishingStarted{VideoID: id, OwnerID: userID, Attempt: 2})
	f.is(want)
	work("", publishingmsg.RenditionTranscoded{VideoID: id, Attempt: 2, Name: "360p"})
	work("VideoPlayable", publishingmsg.VideoPlayable{VideoID: id, OwnerID: userID, Attempt: 2})
	work("", publishingmsg.RenditionTranscoded{VideoID: id, Attempt: 2, Name: "720p"})
	work("VideoPublished", publishingmsg.VideoPublished{VideoID: id, OwnerID: userID, Attempt: 2})

	other := messagestore.NewID()
	f.answered(other, userID, id, publishingmsg.VideoPublishingStarted{VideoID: id, OwnerID: userID, Attempt: 3})
	at := f.caused(other, userID, id, publishingmsg.Category.Stream(id), publishingmsg.VideoPublishingFailed{VideoID: id, OwnerID: userID, Attempt: 3, Reason: publishingmsg.Damaged})
	f.is(videooperations.Operation{TraceID: other, VideoID: id, UserID: userID, Outcome: "VideoPublishingFailed", Reason: publishingmsg.Damaged, At: at})
	f.is(want)
	f.SameInOneBatch()
	f.is(want)
}

func TestTwoQueuedRenames(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, userID, first, second := messagestore.NewID(), messagestore.NewID(), messagestore.NewID(), messagestore.NewID()
	a := videooperations.Operation{TraceID: first, VideoID: id, UserID: userID, Outcome: "VideoNamed", Value: "A"}
	b := videooperations.Operation{TraceID: second, VideoID: id, UserID: userID, Outcome: "VideoNameRejected", Reason: publishingmsg.Same, Value: "A"}
	a.At = f.answered(first, userID, id, publishingmsg.VideoNamed{VideoID: id, Name: "A"})
	b.At = f.answered(second, userID, id, publishingmsg.VideoNameRejected{VideoID: id, Name: "A", Reason: publishingmsg.Same})
	f.is(a)
	f.is(b)
	f.SameInOneBatch()
	f.is(a)
	f.is(b)
}

// TestOnlyWhatACommandCausedIsAnOutcome has something else follow under the same trace.
func TestOnlyWhatACommandCausedIsAnOutcome(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, userID, traceID := messagestore.NewID(), messagestore.NewID(), messagestore.NewID()
	want := videooperations.Operation{TraceID: traceID, VideoID: id, UserID: userID, Outcome: "VideoNamed", Value: "A"}
	want.At = f.answered(traceID, userID, id, publishingmsg.VideoNamed{VideoID: id, Name: "A"})
	_, _, version, err := f.Queries.Of(f.Ctx, traceID)
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []messagestore.Stream{publishingmsg.Category.Stream(id), "identity:command-" + messagestore.Stream(id), "x"} {
		f.caused(traceID, userID, id, by, publishingmsg.VideoDescribed{VideoID: id, Description: "x"})
		f.is(want)
	}
	if _, _, now, err := f.Queries.Of(f.Ctx, traceID); err != nil || now != version {
		t.Errorf("version %d after %d, %v: a page was told of nothing", now, version, err)
	}
	f.SameInOneBatch()
	f.is(want)
	// Another program names no cause.
	want.Outcome, want.Value, want.UserID = "VideoDescribed", "About A", ""
	want.At = f.caused(traceID, "", id, "", publishingmsg.VideoDescribed{VideoID: id, Description: "About A"})
	f.is(want)
}

func TestWhatNobodyWaitsForIsSkipped(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, userID, traceID := messagestore.NewID(), messagestore.NewID(), messagestore.NewID()
	for _, bad := range []string{"", "x", strings.ToUpper(messagestore.NewID()), strings.Repeat("é", 5000), "' OR true --"} {
		f.answered(bad, userID, id, publishingmsg.VideoNamed{VideoID: id, Name: "A"})
		f.answered(traceID, userID, "1", publishingmsg.VideoNamed{VideoID: bad, Name: "A"})
		if _, found, _, err := f.Queries.Of(f.Ctx, bad); err != nil || found {
			t.Errorf("%.20q: %v, %v", bad, found, err)
		}
	}
	if rows := f.Rows(); rows != "" {
		t.Error(rows)
	}
	long := publishingmsg.VideoNameRejected{VideoID: id, Name: strings.Repeat(`"é\`, 5000), Reason: publishingmsg.TooLong}
	at := f.answered(traceID, "not a person", id, long)
	f.is(videooperations.Operation{TraceID: traceID, VideoID: id, Outcome: "VideoNameRejected", Reason: long.Reason, Value: long.Name, At: at})
}

func TestTopic(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, userID, traceID := messagestore.NewID(), messagestore.NewID(), messagestore.NewID()
	conn, err := f.Views.Acquire(f.Ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(f.Ctx, `LISTEN views`); err != nil {
		t.Fatal(err)
	}
	f.answered(traceID, userID, id, publishingmsg.VideoDeleted{VideoID: id})
	heard, err := conn.Conn().WaitForNotification(f.Ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, _, version, err := f.Queries.Of(f.Ctx, traceID)
	if want := fmt.Sprintf("videooperations/%s %d", traceID, version); err != nil || heard.Payload != want || videooperations.Topic(traceID) != "videooperations/"+traceID {
		t.Errorf("heard %q, want %q, %v", heard.Payload, want, err)
	}
}

func TestThousandsInOneBatch(t *testing.T) {
	t.Parallel()
	f := prepare(t)
	for _, kind := range []string{"VideoPublishingStarted", "VideoPublished"} {
		f.Exec(f.MessageStore, `
			SELECT message_store.write_message(gen_random_uuid()::text, 'videoPublishing-' || id, $1, jsonb_build_object('videoId', id), jsonb_build_object('traceId', md5(id)::uuid))
			FROM (SELECT md5(n::text)::uuid::text AS id FROM generate_series(1, 2000) AS n) AS videos`, kind)
	}
	f.Run()
	f.NothingParked()
	if n := f.Query(`SELECT count(*)::text FROM video_operations WHERE outcome = 'VideoPublished' AND trace_id = md5(video_id::text)::uuid`); n != "2000" {
		t.Errorf("%s operations are as they should be, want 2000", n)
	}
}

func TestQueriesUseIndexes(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.Exec(f.Views, `INSERT INTO video_operations SELECT md5(n::text)::uuid, md5(n::text)::uuid, NULL, 'x', '', '', now() FROM generate_series(1, 5000) AS n`)
	f.Exec(f.Views, `ANALYZE video_operations`)
	f.Planned("video_operations_pkey", func(q videooperations.Queries) error {
		_, _, _, err := q.Of(f.Ctx, messagestore.NewID())
		return err
	})
}
