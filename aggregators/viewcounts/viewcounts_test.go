package viewcounts_test

import (
	"testing"

	"videotutorials/aggregators/aggregatortest"
	"videotutorials/aggregators/viewcounts"
	"videotutorials/components/viewing/viewingmsg"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func TestCounts(t *testing.T) {
	t.Parallel()
	f := aggregatortest.New(t, "view_counts", viewcounts.New, viewcounts.NewQueries)
	f.Run()
	watched := func(videos ...string) {
		t.Helper()
		for _, video := range videos {
			f.Written(viewingmsg.Category.Stream(video), viewingmsg.VideoViewed{VideoID: video})
		}
		f.CaughtUp()
		f.NothingParked()
	}
	a, b, c := messagestore.NewID(), messagestore.NewID(), messagestore.NewID()
	watched(a)
	watched(a, b)
	counts, err := f.Queries.Of(f.Ctx, a, b, c)
	if err != nil || counts.Total != 3 || len(counts.Of) != 2 || counts.Of[a] != 2 || counts.Of[b] != 1 {
		t.Fatalf("%+v, %v", counts, err)
	}
	before := counts.Version
	watched(b)
	since, err := f.Queries.Since(f.Ctx, before, a, b, c)
	if err != nil || since.Version <= before || since.Total != 4 || len(since.Of) != 1 || since.Of[b] != 2 {
		t.Errorf("since %d: %+v, %v", before, since, err)
	}
	if since, err = f.Queries.Since(f.Ctx, since.Version, a, b, c); err != nil || len(since.Of) != 0 {
		t.Errorf("since now: %+v, %v", since, err)
	}
	if since, err = f.Queries.Since(f.Ctx, 1_000_000, a, b, c); err != nil || len(since.Of) != 2 {
		t.Errorf("since a version from the future: %+v, %v", since, err)
	}
}

func TestTopics(t *testing.T) {
	t.Parallel()
	if video, ok := viewcounts.VideoOf(viewcounts.Topic("x")); !ok || video != "x" {
		t.Errorf("%q, %v", video, ok)
	}
	if _, ok := viewcounts.VideoOf(viewcounts.TotalTopic); ok {
		t.Error("the total is no video")
	}
}
