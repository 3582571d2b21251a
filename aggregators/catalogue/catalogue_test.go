package catalogue_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"videotutorials/aggregators/aggregatortest"
	"videotutorials/aggregators/catalogue"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const owner = "c7a41f57-3a6f-4f8c-8d3e-5f3b8f3ad9a1"

type fixture struct {
	*aggregatortest.Fixture[catalogue.Queries]
}

func prepare(t *testing.T) *fixture {
	t.Helper()
	return &fixture{aggregatortest.New(t, "catalogue", catalogue.New, catalogue.NewQueries)}
}

func start(t *testing.T) *fixture {
	t.Helper()
	f := prepare(t)
	f.Run()
	return f
}

// event is something that may happen to a video.
type event func(videoID string) messagestore.Body

// happened lets events happen to a video, one by one, and returns their times.
func (f *fixture) happened(videoID string, events ...event) (at []time.Time) {
	f.T.Helper()
	for _, e := range events {
		at = append(at, f.Happened(publishingmsg.Category.Stream(videoID), e(videoID)))
	}
	return at
}

func (f *fixture) newest(before int64, limit int) catalogue.List {
	f.T.Helper()
	list, err := f.Queries.Newest(f.Ctx, before, limit)
	if err != nil {
		f.T.Fatal(err)
	}
	return list
}

// lists demands that these videos are listed, the newest first.
func (f *fixture) lists(want ...string) {
	f.T.Helper()
	got := []string{}
	for _, v := range f.newest(0, 100).Videos {
		got = append(got, v.ID)
	}
	if len(want) != len(got) || len(want) > 0 && !reflect.DeepEqual(got, want) {
		f.T.Errorf("listed are %v, want %v", got, want)
	}
}

// again makes the rows anew, from all messages at once.
func (f *fixture) again() {
	f.T.Helper()
	f.Stop()
	f.Exec(f.Views, `TRUNCATE catalogue, checkpoint`)
	f.Run()
	f.NothingParked()
}

func started(attempt int) event {
	return func(id string) messagestore.Body {
		return publishingmsg.VideoPublishingStarted{VideoID: id, OwnerID: owner, Attempt: attempt}
	}
}

func playable(attempt int) event {
	return func(id string) messagestore.Body {
		return publishingmsg.VideoPlayable{VideoID: id, OwnerID: owner, Attempt: attempt,
			HLSURI: fmt.Sprintf("/hls%d", attempt), PosterURI: fmt.Sprintf("/poster%d", attempt), DurationMS: 1500, Width: 640, Height: 360}
	}
}

func published(attempt int) event {
	return func(id string) messagestore.Body {
		return publishingmsg.VideoPublished{VideoID: id, OwnerID: owner, Attempt: attempt, TranscodedURI: fmt.Sprintf("/source%d", attempt),
			HLSURI: fmt.Sprintf("/hls%d", attempt), PosterURI: fmt.Sprintf("/poster%d", attempt), StoryboardURI: fmt.Sprintf("/storyboard%d", attempt),
			DurationMS: 1500, Width: 640, Height: 360}
	}
}

func failed(attempt int) event {
	return func(id string) messagestore.Body {
		return publishingmsg.VideoPublishingFailed{VideoID: id, OwnerID: owner, Attempt: attempt, Reason: publishingmsg.Damaged}
	}
}

func canceled(attempt int) event {
	return func(id string) messagestore.Body {
		return publishingmsg.VideoPublishingCanceled{VideoID: id, Attempt: attempt}
	}
}

func named(name string) event {
	return func(id string) messagestore.Body { return publishingmsg.VideoNamed{VideoID: id, Name: name} }
}

func described(description string) event {
	return func(id string) messagestore.Body {
		return publishingmsg.VideoDescribed{VideoID: id, Description: description}
	}
}

func made(visibility string) event {
	return func(id string) messagestore.Body {
		return publishingmsg.VisibilityChanged{VideoID: id, Visibility: visibility}
	}
}

func deleted(id string) messagestore.Body { return publishingmsg.VideoDeleted{VideoID: id} }

func captions(id, language string) event {
	return func(videoID string) messagestore.Body {
		return publishingmsg.CaptionsAdded{VideoID: videoID, CaptionsID: id, Language: language, Label: strings.ToUpper(language), URI: "/" + id + ".vtt"}
	}
}

func noCaptions(id string) event {
	return func(videoID string) messagestore.Body {
		return publishingmsg.CaptionsRemoved{VideoID: videoID, CaptionsID: id}
	}
}

func chapters(uri string) event {
	return func(id string) messagestore.Body { return publishingmsg.ChaptersSet{VideoID: id, URI: uri} }
}

func noChapters(id string) messagestore.Body { return publishingmsg.ChaptersRemoved{VideoID: id} }

func TestCatalogue(t *testing.T) {
	t.Parallel()
	f := start(t)
	a, b, c := messagestore.NewID(), messagestore.NewID(), messagestore.NewID()
	// As they were published before there were streams of renditions, attempts and owners' choices.
	published := func(id string) messagestore.Body {
		return publishingmsg.VideoPublished{VideoID: id, TranscodedURI: "/media/" + id + "/video.mp4", PosterURI: "/poster", DurationMS: 1500}
	}
	if len(f.newest(0, 10).Videos) != 0 {
		t.Error("the catalogue is not empty at first")
	}
	f.happened(a, named("A"))
	if list := f.newest(0, 10); len(list.Videos) != 0 || list.Version != 0 {
		t.Errorf("a video that is only named is listed, or told of: %+v", list)
	}
	if _, _, err := f.Queries.Video(f.Ctx, a); !errors.Is(err, catalogue.ErrNotFound) {
		t.Errorf("a video that is only named can be watched: %v", err)
	}
	f.happened(a, published, described("About A"))
	f.happened(b, published, named("B"))
	f.happened(c, published)
	video, version, err := f.Queries.Video(f.Ctx, a)
	if err != nil || video.Title != "A" || video.Description != "About A" || video.Duration != 1500*time.Millisecond || video.Source != "/media/"+a+"/video.mp4" ||
		video.Poster != "/poster" || video.Visibility != publishingmsg.Public || time.Since(video.PublishedAt) > time.Minute {
		t.Errorf("%+v, %v", video, err)
	}
	list := f.newest(0, 2)
	if len(list.Videos) != 2 || list.Videos[0].ID != c || list.Videos[1].ID != b || !list.More || list.Version != version {
		t.Errorf("the first part: %+v", list)
	}
	list = f.newest(list.Videos[1].Position, 2)
	if len(list.Videos) != 1 || list.Videos[0].ID != a || list.More {
		t.Errorf("the second part: %+v", list)
	}
	// A new rendition keeps its place; a new name counts.
	f.happened(a, func(id string) messagestore.Body {
		again := published(id).(publishingmsg.VideoPublished)
		again.DurationMS = 3000
		return again
	}, named("A, again"))
	list = f.newest(0, 10)
	if list.Videos[2].ID != a || list.Videos[2].Title != "A, again" || list.Videos[2].Duration != 3*time.Second || list.Version <= version {
		t.Errorf("after a new rendition: %+v", list)
	}
	f.again()
	f.lists(c, b, a)
	for _, id := range []string{messagestore.NewID(), "", "x", strings.ToUpper(a), "' OR true --"} {
		if _, _, err := f.Queries.Video(f.Ctx, id); !errors.Is(err, catalogue.ErrNotFound) {
			t.Errorf("video %q: %v", id, err)
		}
		if _, _, err := f.Queries.Access(f.Ctx, id); !errors.Is(err, catalogue.ErrNotFound) {
			t.Errorf("video %q: %v", id, err)
		}
	}
}

func TestWhatHappens(t *testing.T) {
	t.Parallel()
	stream := func(attempt int) catalogue.Video {
		return catalogue.Video{OwnerID: owner, Visibility: publishingmsg.Public, HLS: fmt.Sprintf("/hls%d", attempt), Poster: fmt.Sprintf("/poster%d", attempt),
			Duration: 1500 * time.Millisecond, Width: 640, Height: 360, Captions: []catalogue.Captions{}}
	}
	whole := func(attempt int, change ...func(*catalogue.Video)) *catalogue.Video {
		v := stream(attempt)
		v.Source, v.Storyboard = fmt.Sprintf("/source%d", attempt), fmt.Sprintf("/storyboard%d", attempt)
		for _, c := range change {
			c(&v)
		}
		return &v
	}
	one, two := stream(1), stream(2)
	cases := []struct {
		name   string
		events []event
		since  int              // which of the events, from 1, made it watchable
		want   *catalogue.Video // nil: it cannot be watched
	}{
		{"begun", []event{func(id string) messagestore.Body { return publishingmsg.UploadBegun{VideoID: id, OwnerID: owner} }}, 0, nil},
		{"being transcoded", []event{named("A"), started(1)}, 0, nil},
		{"playable", []event{started(1), playable(1)}, 2, &one},
		{"published", []event{started(1), playable(1), published(1)}, 2, whole(1)},
		{"published at once", []event{started(1), published(1)}, 2, whole(1)},
		{"named in between", []event{started(1), playable(1), named("A"), described("About A"), published(1), named("B")}, 2,
			whole(1, func(v *catalogue.Video) { v.Title, v.Description = "B", "About A" })},
		{"playable after it was published", []event{published(1), playable(1)}, 1, whole(1)},
		{"failed after it was published", []event{published(1), failed(1), canceled(1)}, 1, whole(1)},
		{"failed", []event{started(1), failed(1)}, 0, nil},
		{"failed while playable", []event{started(1), playable(1), failed(1)}, 0, nil},
		{"canceled while playable", []event{started(1), playable(1), canceled(1)}, 0, nil},
		{"tried again", []event{started(1), playable(1), failed(1), started(2)}, 0, nil},
		{"playable at the second attempt", []event{started(1), playable(1), failed(1), started(2), playable(2)}, 5, &two},
		{"a late worker after it was canceled", []event{started(1), canceled(1), playable(1), published(1)}, 0, nil},
		{"a late worker while it is tried again", []event{started(1), canceled(1), started(2), playable(1), published(1), started(1)}, 0, nil},
		{"a late worker while the next is playable", []event{started(1), canceled(1), started(2), playable(2), failed(1), canceled(1), published(1), started(1)}, 4, &two},
		{"unlisted", []event{published(1), made(publishingmsg.Unlisted)}, 1, whole(1, func(v *catalogue.Video) { v.Visibility = publishingmsg.Unlisted })},
		{"private before it was published", []event{started(1), made(publishingmsg.Private), playable(1), published(1)}, 3,
			whole(1, func(v *catalogue.Video) { v.Visibility = publishingmsg.Private })},
		{"captions and chapters", []event{captions("1", "en"), published(1), captions("2", "de"), captions("3", "fr"), noCaptions("2"), chapters("/1.vtt"), chapters("/2.vtt")}, 2,
			whole(1, func(v *catalogue.Video) {
				v.Captions = []catalogue.Captions{{ID: "1", Language: "en", Label: "EN", URI: "/1.vtt"}, {ID: "3", Language: "fr", Label: "FR", URI: "/3.vtt"}}
				v.Chapters = "/2.vtt"
			})},
		{"neither any more", []event{published(1), captions("1", "en"), noCaptions("1"), chapters("/1.vtt"), noChapters}, 1, whole(1)},
		{"deleted", []event{published(1), deleted}, 0, nil},
		{"deleted in the middle", []event{started(1), playable(1), deleted, published(1)}, 0, nil},
		{"deleted stays deleted", []event{published(1), deleted, named("A"), started(2), playable(2), published(2), made(publishingmsg.Public), captions("1", "en")}, 0, nil},
	}
	f := start(t)
	ids := make([]string, len(cases))
	for i, c := range cases {
		ids[i] = messagestore.NewID()
		at := f.happened(ids[i], c.events...)
		if c.want == nil {
			continue
		}
		want := *c.want // some share it
		want.ID, want.PublishedAt = ids[i], at[c.since-1]
		cases[i].want = &want
	}
	check := func() {
		t.Helper()
		listed := []string{}
		var place int64
		for i, c := range cases {
			got, version, err := f.Queries.Video(f.Ctx, ids[i])
			visibility, ownerID, accessErr := f.Queries.Access(f.Ctx, ids[i])
			if c.want == nil {
				if !errors.Is(err, catalogue.ErrNotFound) || !errors.Is(accessErr, catalogue.ErrNotFound) {
					t.Errorf("%s: it can be watched: %+v, %v, %v", c.name, got, err, accessErr)
				}
				continue
			}
			if got.Position <= place {
				t.Errorf("%s: its place is %d, behind %d", c.name, got.Position, place)
			}
			place, got.Position = got.Position, 0
			if err != nil || version == 0 || !reflect.DeepEqual(got, *c.want) {
				t.Errorf("%s: version %d, %v\n got %+v\nwant %+v", c.name, version, err, got, *c.want)
			}
			if accessErr != nil || visibility != c.want.Visibility || ownerID != owner {
				t.Errorf("%s: %s, of %s, %v", c.name, visibility, ownerID, accessErr)
			}
			if c.want.Visibility == publishingmsg.Public {
				listed = append([]string{ids[i]}, listed...)
			}
		}
		f.lists(listed...)
	}
	check()
	f.again()
	check()
}

func TestAVideoKeepsItsPlace(t *testing.T) {
	t.Parallel()
	f := start(t)
	a, b, c := messagestore.NewID(), messagestore.NewID(), messagestore.NewID()
	f.happened(a, started(1), playable(1))
	f.happened(b, published(1))
	f.happened(a, published(1))
	f.lists(b, a)
	f.happened(a, made(publishingmsg.Unlisted))
	f.lists(b)
	f.happened(a, made(publishingmsg.Private))
	f.lists(b)
	f.happened(c, published(1))
	f.happened(a, made(publishingmsg.Public))
	f.lists(c, b, a)
	f.again()
	f.lists(c, b, a)
	// What failed was never published: it appears when it is.
	d := messagestore.NewID()
	f.happened(d, playable(1))
	e := messagestore.NewID()
	f.happened(e, playable(1))
	f.happened(d, failed(1), started(2), playable(2))
	f.lists(d, e, c, b, a)
	f.again()
	f.lists(d, e, c, b, a)
}

func TestTopic(t *testing.T) {
	t.Parallel()
	f := start(t)
	id := messagestore.NewID()
	at := int64(0)
	for _, c := range []struct {
		what    string
		event   event
		changed bool
	}{
		{"named", named("A"), false},
		{"started", started(1), false},
		{"captions before anybody can watch", captions("1", "en"), false},
		{"playable", playable(1), true},
		{"named while it can be watched", named("B"), true},
		{"published", published(1), true},
		{"unlisted", made(publishingmsg.Unlisted), true},
		{"captions", captions("2", "de"), true},
		{"deleted", deleted, true},
		{"named when it is gone", named("C"), false},
	} {
		f.happened(id, c.event)
		if now := f.newest(0, 1).Version; now > at != c.changed {
			t.Errorf("%s: version %d after %d", c.what, now, at)
		} else {
			at = now
		}
	}
}

// TestRowsFromBefore reads the messages once more into rows that a migration has left.
func TestRowsFromBefore(t *testing.T) {
	t.Parallel()
	f := start(t)
	a, b := messagestore.NewID(), messagestore.NewID()
	f.happened(a, named("A"), published(0), described("About A"))
	f.happened(b, published(0))
	before := f.newest(0, 10)
	f.Stop()
	f.Exec(f.Views, `UPDATE catalogue SET owner_id = NULL, hls = '', storyboard = '', width = 0, height = 0`)
	f.Exec(f.Views, `UPDATE checkpoint SET position = 0`)
	if visibility, ownerID, err := f.Queries.Access(f.Ctx, a); visibility != publishingmsg.Public || ownerID != "" || err != nil {
		t.Errorf("%s, of %q, %v", visibility, ownerID, err)
	}
	f.Run()
	f.NothingParked()
	if after := f.newest(0, 10); !reflect.DeepEqual(after.Videos, before.Videos) || after.Version <= before.Version {
		t.Errorf("\n got %+v\nwant %+v", after, before)
	}
}

func TestWhatIsNoVideosIsSkipped(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, bad := range []string{"", "x", strings.ToUpper(owner), "' OR true --"} {
		f.Happened(publishingmsg.Category.Stream("1"), publishingmsg.VideoPublished{VideoID: bad, OwnerID: owner})
	}
	if rows := f.Rows(); rows != "" {
		t.Error(rows)
	}
	id := messagestore.NewID()
	f.Happened(publishingmsg.Category.Stream(id), publishingmsg.VideoPublished{VideoID: id, OwnerID: "nobody"})
	if visibility, ownerID, err := f.Queries.Access(f.Ctx, id); visibility != publishingmsg.Public || ownerID != "" || err != nil {
		t.Errorf("%s, of %q, %v", visibility, ownerID, err)
	}
}

func TestThousandsInOneBatch(t *testing.T) {
	t.Parallel()
	f := prepare(t)
	for _, kind := range []string{"VideoNamed", "VideoPublished"} {
		f.Exec(f.MessageStore, `
			SELECT message_store.write_message(gen_random_uuid()::text, 'videoPublishing-' || id, $1, jsonb_build_object('videoId', id, 'name', 'A'))
			FROM (SELECT md5(n::text)::uuid::text AS id FROM generate_series(1, 2000) AS n) AS videos`, kind)
	}
	f.Run()
	f.NothingParked()
	if n := f.Query(`SELECT count(*)::text FROM catalogue WHERE state = 'published' AND title = 'A'`); n != "2000" {
		t.Errorf("%s videos are published, want 2000", n)
	}
}

func TestQueriesUseIndexes(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.Exec(f.Views, `
		INSERT INTO catalogue (video_id, published_at, published_position, visibility, version)
		SELECT md5(n::text)::uuid, now(), n, CASE n % 10 WHEN 0 THEN 'private' ELSE 'public' END, 1 FROM generate_series(1, 5000) AS n`)
	f.Exec(f.Views, `ANALYZE catalogue`)
	for _, before := range []int64{0, 4000} {
		f.Planned("catalogue_newest_first", func(q catalogue.Queries) error {
			_, err := q.Newest(f.Ctx, before, 20)
			return err
		})
	}
	for _, ask := range []func(catalogue.Queries) error{
		func(q catalogue.Queries) error { _, _, err := q.Video(f.Ctx, owner); return err },
		func(q catalogue.Queries) error { _, _, err := q.Access(f.Ctx, owner); return err },
	} {
		f.Planned("catalogue_pkey", func(q catalogue.Queries) error {
			if err := ask(q); !errors.Is(err, catalogue.ErrNotFound) {
				return err
			}
			return nil
		})
	}
}
