package creatorsvideos_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"videotutorials/aggregators/aggregatortest"
	"videotutorials/aggregators/creatorsvideos"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const owner = "c7a41f57-3a6f-4f8c-8d3e-5f3b8f3ad9a1"

type fixture struct {
	*aggregatortest.Fixture[creatorsvideos.Queries]
}

// prepare makes a fixture whose aggregator does not run yet.
func prepare(t *testing.T) *fixture {
	t.Helper()
	return &fixture{aggregatortest.New(t, "creators_videos", creatorsvideos.New, creatorsvideos.NewQueries)}
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

func begun(id string) messagestore.Body {
	return publishingmsg.UploadBegun{VideoID: id, OwnerID: owner, FileName: "film.mov", Bytes: 1000}
}

func abandoned(id string) messagestore.Body { return publishingmsg.UploadAbandoned{VideoID: id} }

func started(attempt int) event {
	return func(id string) messagestore.Body {
		return publishingmsg.VideoPublishingStarted{VideoID: id, OwnerID: owner, SourceURI: publishingmsg.SourceKey(id), Attempt: attempt, FileName: "film.mov", Bytes: 1000}
	}
}

func transcoded(attempt int, name string) event {
	return func(id string) messagestore.Body {
		return publishingmsg.RenditionTranscoded{VideoID: id, Attempt: attempt, Name: name}
	}
}

func playable(attempt int) event {
	return func(id string) messagestore.Body {
		return publishingmsg.VideoPlayable{VideoID: id, OwnerID: owner, Attempt: attempt, HLSURI: "/media/master.m3u8", PosterURI: fmt.Sprintf("/poster%d", attempt), DurationMS: 1500, Width: 640, Height: 360}
	}
}

func published(attempt int) event {
	return func(id string) messagestore.Body {
		return publishingmsg.VideoPublished{VideoID: id, OwnerID: owner, Attempt: attempt, TranscodedURI: "/media/video.mp4", PosterURI: fmt.Sprintf("/poster%d", attempt), DurationMS: 1500, Width: 640, Height: 360}
	}
}

func failed(attempt int, reason string) event {
	return func(id string) messagestore.Body {
		return publishingmsg.VideoPublishingFailed{VideoID: id, OwnerID: owner, Attempt: attempt, Reason: reason}
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
		return publishingmsg.CaptionsRemoved{VideoID: videoID, CaptionsID: id, URI: "/" + id + ".vtt"}
	}
}

func chapters(uri string) event {
	return func(id string) messagestore.Body { return publishingmsg.ChaptersSet{VideoID: id, URI: uri} }
}

func noChapters(id string) messagestore.Body { return publishingmsg.ChaptersRemoved{VideoID: id} }

// film is a video that has come to a state.
func film(state creatorsvideos.State, attempt int, change ...func(*creatorsvideos.Video)) creatorsvideos.Video {
	v := creatorsvideos.Video{State: state, Attempt: attempt, OwnerID: owner, FileName: "film.mov", Bytes: 1000}
	if state == creatorsvideos.Playable || state == creatorsvideos.Published {
		v.Poster = fmt.Sprintf("/poster%d", attempt)
		measured(&v)
	}
	for _, c := range change {
		c(&v)
	}
	return v
}

func measured(v *creatorsvideos.Video) {
	v.Duration, v.Width, v.Height = 1500*time.Millisecond, 640, 360
}

func because(reason string) func(*creatorsvideos.Video) {
	return func(v *creatorsvideos.Video) { v.Reason = reason }
}

func titled(title string) func(*creatorsvideos.Video) {
	return func(v *creatorsvideos.Video) { v.Title = title }
}

func with(renditions ...string) func(*creatorsvideos.Video) {
	return func(v *creatorsvideos.Video) { v.Renditions = renditions }
}

func withoutFile(v *creatorsvideos.Video) { v.FileName, v.Bytes = "", 0 }

func TestWhatHappens(t *testing.T) {
	t.Parallel()
	const uploading, publishing, canBePlayed, isPublished, hasFailed, isCanceled = creatorsvideos.Uploading, creatorsvideos.Publishing,
		creatorsvideos.Playable, creatorsvideos.Published, creatorsvideos.Failed, creatorsvideos.Canceled
	cases := []struct {
		name   string
		events []event
		// begun and published are which of the events, from 1, set these times; 0: none.
		begun, published int
		want             creatorsvideos.Video
	}{
		{"uploading", []event{begun}, 1, 0, film(uploading, 0)},
		{"named while uploading", []event{begun, named("A"), described("About A"), named("B")}, 1, 0,
			film(uploading, 0, titled("B"), func(v *creatorsvideos.Video) { v.Description = "About A" })},
		{"begun twice", []event{begun, func(id string) messagestore.Body {
			return publishingmsg.UploadBegun{VideoID: id, OwnerID: messagestore.NewID(), FileName: "other.mov", Bytes: 2}
		}}, 1, 0, film(uploading, 0)},
		{"given up", []event{begun, named("A"), abandoned}, 0, 0, film("", 0)},
		{"given up, but handed in after all", []event{begun, named("A"), abandoned, started(1)}, 4, 0, film(publishing, 1, titled("A"))},
		{"given up too late", []event{begun, started(1), abandoned}, 1, 0, film(publishing, 1)},
		{"handed in", []event{begun, started(1)}, 1, 0, film(publishing, 1)},
		{"handed in, as it turned out", []event{begun, func(id string) messagestore.Body {
			return publishingmsg.VideoPublishingStarted{VideoID: id, OwnerID: owner, Attempt: 1, FileName: "other.mov", Bytes: 7}
		}}, 1, 0, film(publishing, 1, func(v *creatorsvideos.Video) { v.FileName, v.Bytes = "other.mov", 7 })},
		{"handed in, without a word about the file", []event{begun, func(id string) messagestore.Body {
			return publishingmsg.VideoPublishingStarted{VideoID: id, OwnerID: owner, Attempt: 1}
		}}, 1, 0, film(publishing, 1)},
		{"without an upload", []event{started(1)}, 1, 0, film(publishing, 1)},
		{"an upload that is told of late", []event{started(1), begun}, 1, 0, film(publishing, 1)},
		{"the first rendition", []event{begun, started(1), transcoded(1, "360p")}, 1, 0, film(publishing, 1, with("360p"))},
		{"playable", []event{begun, started(1), transcoded(1, "360p"), playable(1)}, 1, 0, film(canBePlayed, 1, with("360p"))},
		{"renamed while playable", []event{begun, started(1), transcoded(1, "360p"), playable(1), named("A")}, 1, 0, film(canBePlayed, 1, with("360p"), titled("A"))},
		{"published", []event{begun, started(1), transcoded(1, "360p"), playable(1), transcoded(1, "1080p"), transcoded(1, "240p"), published(1)}, 1, 7,
			film(isPublished, 1, with("240p", "360p", "1080p"))},
		{"published at once", []event{begun, started(1), published(1)}, 1, 3, film(isPublished, 1)},
		{"published twice", []event{begun, started(1), published(1), func(id string) messagestore.Body {
			return publishingmsg.VideoPublished{VideoID: id, OwnerID: owner, Attempt: 1, PosterURI: "/another", DurationMS: 1500, Width: 640, Height: 360}
		}}, 1, 3, film(isPublished, 1, func(v *creatorsvideos.Video) { v.Poster = "/another" })},
		{"playable after it was published", []event{begun, started(1), published(1), playable(1)}, 1, 3, film(isPublished, 1)},
		{"failed after it was published", []event{begun, started(1), published(1), failed(1, publishingmsg.Damaged)}, 1, 3, film(isPublished, 1)},
		{"canceled after it was published", []event{begun, started(1), published(1), canceled(1)}, 1, 3, film(isPublished, 1)},
		{"a rendition twice", []event{started(1), transcoded(1, "360p"), transcoded(1, "360p")}, 1, 0, film(publishing, 1, with("360p"))},
		{"failed", []event{begun, started(1), failed(1, publishingmsg.NotAVideo)}, 1, 0, film(hasFailed, 1, because(publishingmsg.NotAVideo))},
		{"failed for no reason", []event{begun, started(1), failed(1, "")}, 1, 0, film(hasFailed, 1, because("unknown"))},
		{"failed while playable", []event{begun, started(1), transcoded(1, "360p"), playable(1), failed(1, publishingmsg.Damaged)}, 1, 0,
			film(hasFailed, 1, because(publishingmsg.Damaged), measured)},
		{"tried again", []event{begun, started(1), transcoded(1, "360p"), playable(1), failed(1, publishingmsg.Damaged), started(2)}, 1, 0, film(publishing, 2, measured)},
		{"tried again and published", []event{begun, started(1), failed(1, publishingmsg.TookTooLong), started(2), transcoded(2, "360p"), playable(2), published(2)}, 1, 7,
			film(isPublished, 2, with("360p"))},
		{"canceled", []event{begun, started(1), transcoded(1, "360p"), playable(1), canceled(1)}, 1, 0, film(isCanceled, 1, measured)},
		{"canceled and published all the same", []event{begun, started(1), canceled(1), transcoded(1, "360p"), playable(1), published(1)}, 1, 0, film(isCanceled, 1)},
		{"canceled and failed all the same", []event{begun, started(1), canceled(1), failed(1, publishingmsg.Damaged)}, 1, 0, film(isCanceled, 1)},
		{"failed and canceled all the same", []event{begun, started(1), failed(1, publishingmsg.Damaged), canceled(1)}, 1, 0, film(hasFailed, 1, because(publishingmsg.Damaged))},
		{"a late worker while it is tried again", []event{begun, started(1), canceled(1), started(2), transcoded(1, "240p"), playable(1), published(1), failed(1, "x"), canceled(1), started(1)}, 1, 0,
			film(publishing, 2)},
		{"a late worker after it was published", []event{begun, started(1), canceled(1), started(2), published(2), published(1), playable(1), transcoded(1, "240p"), failed(1, "x"), canceled(1)}, 1, 5,
			film(isPublished, 2)},
		{"a late worker after the next attempt failed", []event{begun, started(1), canceled(1), started(2), failed(2, publishingmsg.Damaged), published(1)}, 1, 0,
			film(hasFailed, 2, because(publishingmsg.Damaged))},
		{"unlisted, private, public", []event{begun, made(publishingmsg.Unlisted), made(publishingmsg.Private), made(publishingmsg.Public)}, 1, 0, film(uploading, 0)},
		{"private", []event{begun, made(publishingmsg.Private), started(1)}, 1, 0, film(publishing, 1, func(v *creatorsvideos.Video) { v.Visibility = publishingmsg.Private })},
		{"captions and chapters", []event{begun, captions("1", "en"), captions("2", "de"), chapters("/1.vtt"), captions("3", "fr"), noCaptions("2"), chapters("/2.vtt")}, 1, 0,
			film(uploading, 0, func(v *creatorsvideos.Video) {
				v.Captions = []creatorsvideos.Captions{{ID: "1", Language: "en", Label: "EN", URI: "/1.vtt"}, {ID: "3", Language: "fr", Label: "FR", URI: "/3.vtt"}}
				v.Chapters = "/2.vtt"
			})},
		{"captions that are corrected", []event{begun, captions("1", "en"), captions("2", "de"), captions("1", "en-GB")}, 1, 0,
			film(uploading, 0, func(v *creatorsvideos.Video) {
				v.Captions = []creatorsvideos.Captions{{ID: "2", Language: "de", Label: "DE", URI: "/2.vtt"}, {ID: "1", Language: "en-GB", Label: "EN-GB", URI: "/1.vtt"}}
			})},
		{"neither captions nor chapters any more", []event{begun, captions("1", "en"), noCaptions("1"), noCaptions("1"), chapters("/1.vtt"), noChapters}, 1, 0, film(uploading, 0)},
		{"captions outlast an attempt", []event{begun, started(1), captions("1", "en"), chapters("/1.vtt"), failed(1, publishingmsg.Damaged), started(2), published(2)}, 1, 7,
			film(isPublished, 2, func(v *creatorsvideos.Video) {
				v.Captions, v.Chapters = []creatorsvideos.Captions{{ID: "1", Language: "en", Label: "EN", URI: "/1.vtt"}}, "/1.vtt"
			})},
		{"deleted while uploading", []event{begun, deleted}, 0, 0, film("", 0)},
		{"deleted in the middle", []event{begun, started(1), transcoded(1, "360p"), deleted, playable(1), published(1)}, 0, 0, film("", 0)},
		{"deleted stays deleted", []event{begun, started(1), published(1), deleted, begun, started(2), named("A"), captions("1", "en"), published(2), failed(2, "x"), canceled(2), abandoned}, 0, 0, film("", 0)},
		{"deleted unseen", []event{deleted, begun, started(1), published(1)}, 0, 0, film("", 0)},
		{"only named", []event{named("A")}, 0, 0, film("", 0)},
		{"of another program", []event{named("A"), published(0), described("About A"), published(0)}, 2, 2,
			film(isPublished, 0, withoutFile, titled("A"), func(v *creatorsvideos.Video) { v.Description = "About A" })},
		{"of another program, tried again", []event{started(0), failed(0, "x"), started(0), published(0)}, 1, 4, film(isPublished, 0)},
		{"of another program, failed", []event{failed(0, publishingmsg.NotAVideo)}, 1, 0, film(hasFailed, 0, withoutFile, because(publishingmsg.NotAVideo))},
	}

	f := start(t)
	var wants []creatorsvideos.Video
	for i, c := range cases {
		id := messagestore.NewID()
		at := f.happened(id, c.events...)
		c.want.ID = id
		if c.want.Visibility == "" {
			c.want.Visibility = publishingmsg.Public
		}
		if c.want.Renditions == nil {
			c.want.Renditions = []string{}
		}
		if c.want.Captions == nil {
			c.want.Captions = []creatorsvideos.Captions{}
		}
		if c.begun > 0 {
			c.want.BegunAt = at[c.begun-1]
		}
		if c.published > 0 {
			c.want.PublishedAt = at[c.published-1]
		}
		cases[i] = c
		if c.begun > 0 {
			wants = append(wants, c.want)
		}
	}
	check := func() {
		t.Helper()
		for _, c := range cases {
			got, version, err := f.Queries.ByID(f.Ctx, c.want.ID)
			if c.begun == 0 {
				if !errors.Is(err, creatorsvideos.ErrNotFound) {
					t.Errorf("%s: it is shown: %+v, %v", c.name, got, err)
				}
			} else if err != nil || version == 0 || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s: version %d, %v\n got %+v\nwant %+v", c.name, version, err, got, c.want)
			}
		}
		slices.SortFunc(wants, func(a, b creatorsvideos.Video) int { return b.BegunAt.Compare(a.BegunAt) })
		list, version, err := f.Queries.Of(f.Ctx, owner)
		if err != nil || version == 0 || !reflect.DeepEqual(list, wants) {
			t.Errorf("the list, newest first: version %d, %v\n got %+v\nwant %+v", version, err, list, wants)
		}
	}
	check()
	f.SameInOneBatch()
	check()
}

func TestNobodysVideos(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, id := range []string{"", "x", owner, strings.ToUpper(owner), "' OR true --"} {
		if list, version, err := f.Queries.Of(f.Ctx, id); len(list) > 0 || version != 0 || err != nil {
			t.Errorf("%q: %v, version %d, %v", id, list, version, err)
		}
		if _, _, err := f.Queries.ByID(f.Ctx, id); !errors.Is(err, creatorsvideos.ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
	// What is no video's or nobody's stops nothing.
	for _, bad := range []string{"", "x", strings.ToUpper(owner), "' OR true --"} {
		stream := publishingmsg.Category.Stream("1")
		f.Happened(stream, publishingmsg.UploadBegun{VideoID: bad, OwnerID: owner})
		f.Happened(stream, publishingmsg.VideoNamed{VideoID: bad, Name: "x"})
		f.Happened(stream, publishingmsg.VideoPublished{VideoID: bad, OwnerID: owner})
		id := messagestore.NewID()
		f.Happened(stream, publishingmsg.VideoPublished{VideoID: id, OwnerID: bad})
		if v, _, err := f.Queries.ByID(f.Ctx, id); err != nil || v.OwnerID != "" || v.State != creatorsvideos.Published {
			t.Errorf("of %q: %+v, %v", bad, v, err)
		}
	}
	if list, _, err := f.Queries.Of(f.Ctx, owner); len(list) > 0 || err != nil {
		t.Errorf("%v, %v", list, err)
	}
	f.SameInOneBatch()
}

// TestAnyOrder lets anything happen in any order: an attempt never gives way to an older
// one, which changes nothing, and a deleted video stays so.
func TestAnyOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 9))
			f := start(t)
			ids := []string{messagestore.NewID(), messagestore.NewID(), messagestore.NewID()}
			row := func(id string) (state string, attempt int, text string) {
				text = f.Query(`SELECT coalesce((SELECT to_jsonb(v)::text FROM creators_videos v WHERE video_id = $1), '')`, id)
				fmt.Sscan(f.Query(`SELECT coalesce((SELECT attempt FROM creators_videos WHERE video_id = $1), 0)::text`, id), &attempt)
				return f.Query(`SELECT coalesce((SELECT state FROM creators_videos WHERE video_id = $1), '')`, id), attempt, text
			}
			for range 120 {
				id, attempt := ids[r.IntN(len(ids))], 1+r.IntN(4)
				anything := []event{begun, abandoned, started(attempt), transcoded(attempt, "360p"), playable(attempt), published(attempt),
					failed(attempt, publishingmsg.Damaged), canceled(attempt), named(fmt.Sprint(r.IntN(9))), captions(fmt.Sprint(r.IntN(3)), "en"), noCaptions(fmt.Sprint(r.IntN(3)))}
				which := r.IntN(len(anything))
				e := anything[which]
				if r.IntN(60) == 0 {
					e, which = deleted, 0
				}
				stateBefore, before, textBefore := row(id)
				f.happened(id, e)
				state, now, text := row(id)
				ofAnAttempt := which >= 2 && which <= 7
				switch body := e(id); {
				case stateBefore == "deleted" && text != textBefore:
					t.Fatalf("%T changed a deleted video: %s", body, text)
				case state != "deleted" && now < before:
					t.Fatalf("%T: attempt %d after %d", body, now, before)
				case ofAnAttempt && attempt < before && text != textBefore:
					t.Fatalf("%T of attempt %d changed attempt %d:\n%s\n%s", body, attempt, before, textBefore, text)
				}
			}
			f.SameInOneBatch()
		})
	}
}

func TestTopics(t *testing.T) {
	t.Parallel()
	f := start(t)
	conn, err := f.Views.Acquire(f.Ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(f.Ctx, `LISTEN views`); err != nil {
		t.Fatal(err)
	}
	id, nobodys := messagestore.NewID(), messagestore.NewID()
	heard := func(what string) {
		t.Helper()
		n, err := conn.Conn().WaitForNotification(f.Ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, version, err := f.Queries.Of(f.Ctx, owner)
		if want := fmt.Sprintf("creatorsvideos/%s %d", owner, version); err != nil || n.Payload != want {
			t.Errorf("%s: heard %q, want %q, %v", what, n.Payload, want, err)
		}
	}
	f.happened(nobodys, named("of nobody whom we know"))
	f.happened(id, begun)
	heard("begun")
	// None of these says whose it is.
	f.happened(id, named("A"))
	heard("named")
	f.happened(id, started(1))
	heard("started")
	f.happened(id, transcoded(1, "360p"))
	heard("transcoded")
	f.happened(id, canceled(1))
	heard("canceled")
	f.happened(id, deleted)
	heard("deleted")
	if creatorsvideos.Topic(owner) != "creatorsvideos/"+owner {
		t.Error(creatorsvideos.Topic(owner))
	}
}

func TestThousandsInOneBatch(t *testing.T) {
	t.Parallel()
	f := prepare(t)
	for _, kind := range []string{"UploadBegun", "VideoPublishingStarted", "VideoPublished"} {
		f.Exec(f.MessageStore, `
			SELECT message_store.write_message(gen_random_uuid()::text, 'videoPublishing-' || id, $1, jsonb_build_object('videoId', id, 'ownerId', $2::text, 'attempt', 1, 'bytes', 5))
			FROM (SELECT md5(n::text)::uuid::text AS id FROM generate_series(1, 1500) AS n) AS videos`, kind, owner)
	}
	f.Run()
	f.NothingParked()
	if n := f.Query(`SELECT count(*)::text FROM creators_videos WHERE state = 'published' AND owner_id = $1`, owner); n != "1500" {
		t.Errorf("%s videos are published, want 1500", n)
	}
	list, _, err := f.Queries.Of(f.Ctx, owner)
	used := int64(0)
	for _, v := range list {
		used += v.Bytes
	}
	if err != nil || used != 7500 {
		t.Errorf("%d bytes are used, %v", used, err)
	}
}

func TestUnreadableDataStopsItsOwnStreamOnly(t *testing.T) {
	t.Parallel()
	f := start(t)
	bad, good := messagestore.NewID(), messagestore.NewID()
	f.Written(publishingmsg.Category.Stream(bad), begun(bad))
	f.Written(publishingmsg.Category.Stream(bad), publishingmsg.VideoPlayable{VideoID: bad, OwnerID: owner, Width: 1 << 40})
	f.Written(publishingmsg.Category.Stream(good), begun(good))
	f.CaughtUp()
	if s := f.Status()[0]; len(s.Parked) != 1 || s.Parked[publishingmsg.Category.Stream(bad)].Position != 1 {
		t.Errorf("%+v", s)
	}
	for _, id := range []string{bad, good} {
		if v, _, err := f.Queries.ByID(f.Ctx, id); err != nil || v.State != creatorsvideos.Uploading {
			t.Errorf("%+v, %v", v, err)
		}
	}
}

func TestQueriesUseIndexes(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.Exec(f.Views, `
		INSERT INTO creators_videos SELECT md5(n::text)::uuid, md5((n % 500)::text)::uuid, '', '', 'published', 'public', '', 1, '', 1, 0, 0, 0, '', '{}', '[]', '', now(), now()
		FROM generate_series(1, 5000) AS n`)
	f.Exec(f.Views, `ANALYZE creators_videos`)
	f.Planned("creators_videos_newest_first", func(q creatorsvideos.Queries) error {
		_, _, err := q.Of(f.Ctx, owner)
		return err
	})
	f.Planned("creators_videos_pkey", func(q creatorsvideos.Queries) error {
		if _, _, err := q.ByID(f.Ctx, owner); !errors.Is(err, creatorsvideos.ErrNotFound) {
			return err
		}
		return nil
	})
}
