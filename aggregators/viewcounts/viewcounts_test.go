package viewcounts_test

import (
	"context"
	"testing"
	"time"

	"videotutorials/aggregators/viewcounts"
	"videotutorials/components/viewing/viewingmsg"
	"videotutorials/db"
	"videotutorials/db/dbtest"
	"videotutorials/messagestore"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

type fixture struct {
	t       *testing.T
	ctx     context.Context
	store   *messagestore.Store
	all     *messagestore.Subscriptions
	queries viewcounts.Queries
}

func start(t *testing.T) *fixture {
	t.Helper()
	database := dbtest.New(t)
	listen, err := db.ListenConfig(database.MessageStoreURL)
	if err != nil {
		t.Fatal(err)
	}
	store := messagestore.New(database.MessageStore)
	f := &fixture{t: t, store: store, queries: viewcounts.NewQueries(database.Views)}
	f.all = messagestore.NewSubscriptions(listen, nil, viewcounts.New(store, database.Views).Subscriptions()...)
	var cancel context.CancelFunc
	f.ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
	done := make(chan struct{})
	go func() { defer close(done); f.all.Run(f.ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return f
}

func (f *fixture) watched(videos ...string) {
	f.t.Helper()
	for _, video := range videos {
		if _, err := f.store.Write(f.ctx, viewingmsg.Category.Stream(video), viewingmsg.VideoViewed{VideoID: video}); err != nil {
			f.t.Fatal(err)
		}
	}
	if err := f.all.CaughtUp(f.ctx, f.store); err != nil {
		f.t.Fatalf("%v; %+v", err, f.all.Status())
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	f := start(t)
	a, b, c := messagestore.NewID(), messagestore.NewID(), messagestore.NewID()
	if err := f.all.CaughtUp(f.ctx, f.store); err != nil {
		t.Fatal(err)
	}
	f.watched(a)
	f.watched(a, b)
	counts, err := f.queries.Of(f.ctx, a, b, c)
	if err != nil || counts.Total != 3 || len(counts.Of) != 2 || counts.Of[a] != 2 || counts.Of[b] != 1 {
		t.Fatalf("%+v, %v", counts, err)
	}
	before := counts.Version
	f.watched(b)
	since, err := f.queries.Since(f.ctx, before, a, b, c)
	if err != nil || since.Version <= before || since.Total != 4 || len(since.Of) != 1 || since.Of[b] != 2 {
		t.Errorf("since %d: %+v, %v", before, since, err)
	}
	if since, err = f.queries.Since(f.ctx, since.Version, a, b, c); err != nil || len(since.Of) != 0 {
		t.Errorf("since now: %+v, %v", since, err)
	}
	if since, err = f.queries.Since(f.ctx, 1_000_000, a, b, c); err != nil || len(since.Of) != 2 {
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
