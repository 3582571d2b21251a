package catalogue_test

import (
	"errors"
	"testing"
	"time"

	"videotutorials/aggregators/aggregatortest"
	"videotutorials/aggregators/catalogue"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func TestCatalogue(t *testing.T) {
	t.Parallel()
	f := aggregatortest.New(t, "catalogue", catalogue.New, catalogue.NewQueries)
	f.Run()
	happened := func(id string, bodies ...messagestore.Body) {
		t.Helper()
		for _, body := range bodies {
			f.Written(publishingmsg.Category.Stream(id), body)
		}
		f.CaughtUp()
		f.NothingParked()
	}
	newest := func(before int64, limit int) catalogue.List {
		t.Helper()
		list, err := f.Queries.Newest(f.Ctx, before, limit)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}

	a, b, c := messagestore.NewID(), messagestore.NewID(), messagestore.NewID()
	published := func(id string) publishingmsg.VideoPublished {
		return publishingmsg.VideoPublished{VideoID: id, TranscodedURI: "/media/" + id + "/video.mp4", PosterURI: "/poster", DurationMS: 1500}
	}
	if len(newest(0, 10).Videos) != 0 {
		t.Error("the catalogue is not empty at first")
	}
	happened(a, publishingmsg.VideoNamed{VideoID: a, Name: "A"})
	if list := newest(0, 10); len(list.Videos) != 0 || list.Version != 0 {
		t.Errorf("a video that is only named is listed, or told of: %+v", list)
	}
	if _, _, err := f.Queries.Video(f.Ctx, a); !errors.Is(err, catalogue.ErrNotFound) {
		t.Errorf("a video that is only named can be watched: %v", err)
	}
	happened(a, published(a), publishingmsg.VideoDescribed{VideoID: a, Description: "About A"})
	happened(b, published(b), publishingmsg.VideoNamed{VideoID: b, Name: "B"})
	happened(c, published(c))
	video, version, err := f.Queries.Video(f.Ctx, a)
	if err != nil || video.Title != "A" || video.Description != "About A" || video.Duration != 1500*time.Millisecond || video.Source != "/media/"+a+"/video.mp4" || video.Poster != "/poster" || time.Since(video.PublishedAt) > time.Minute {
		t.Errorf("%+v, %v", video, err)
	}
	list := newest(0, 2)
	if len(list.Videos) != 2 || list.Videos[0].ID != c || list.Videos[1].ID != b || !list.More || list.Version != version {
		t.Errorf("the first part: %+v", list)
	}
	list = newest(list.Videos[1].Position, 2)
	if len(list.Videos) != 1 || list.Videos[0].ID != a || list.More {
		t.Errorf("the second part: %+v", list)
	}
	// A new rendition keeps its place; a new name counts.
	again := published(a)
	again.DurationMS = 3000
	happened(a, again, publishingmsg.VideoNamed{VideoID: a, Name: "A, again"})
	list = newest(0, 10)
	if list.Videos[2].ID != a || list.Videos[2].Title != "A, again" || list.Videos[2].Duration != 3*time.Second || list.Version <= version {
		t.Errorf("after a new rendition: %+v", list)
	}
	if _, _, err := f.Queries.Video(f.Ctx, messagestore.NewID()); !errors.Is(err, catalogue.ErrNotFound) {
		t.Errorf("an unknown video: %v", err)
	}
}
