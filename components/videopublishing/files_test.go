package videopublishing

import (
	"slices"
	"strings"
	"testing"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/messagestore"
)

const someoneElse = "0b6c1d50-52a1-4f0b-9a3d-7f6f9d1e5b22"

// Each message that leaves files behind takes its own and no others.
func TestFilesGo(t *testing.T) {
	t.Parallel()
	var (
		others = []string{publishingmsg.SourceKey(someoneElse), someoneElse + "/1/360p_00000.m4s", someoneElse + "/captions-" + captionsA + ".vtt"}
		all    = []string{
			source, film + "/1/360p_00000.m4s", film + "/1/master.m3u8", film + "/2/master.m3u8", film + "/poster.jpg",
			film + "/captions-" + captionsA + ".vtt", film + "/captions-" + captionsB + ".vtt", film + "/chapters-1.vtt", film + "/chapters-2.vtt",
		}
		first       = []string{film + "/1/360p_00000.m4s", film + "/1/master.m3u8"}
		canceled    = publishingmsg.VideoPublishingCanceled{VideoID: film, Attempt: 1}
		added       = bodies{begun, captionsAdded(captionsA), captionsAdded(captionsB)}
		removed     = publishingmsg.CaptionsRemoved{VideoID: film, CaptionsID: captionsA, URI: captionsURI(captionsA)}
		chaptersSet = publishingmsg.ChaptersSet{VideoID: film, URI: chaptersURI(1)}
		replaced    = publishingmsg.ChaptersSet{VideoID: film, URI: chaptersURI(2), Replaces: chaptersURI(1)}
	)
	for about, test := range map[string]struct {
		given bodies
		when  messagestore.Body // an event
		gone  []string
	}{
		"deleted":                           {bodies{begun, started(1), done}, deleted, all},
		"given up":                          {bodies{begun}, abandoned, all},
		"failed":                            {bodies{begun, started(1)}, failedBy(publishingmsg.Damaged, 1), first},
		"canceled":                          {bodies{begun, started(1)}, canceled, first},
		"captions removed":                  {added, removed, []string{film + "/captions-" + captionsA + ".vtt"}},
		"captions removed that are another": {bodies{begun}, publishingmsg.CaptionsRemoved{VideoID: film, CaptionsID: captionsA, URI: "/media/" + someoneElse + "/captions-" + captionsA + ".vtt"}, nil},
		"chapters removed":                  {bodies{begun, chaptersSet}, publishingmsg.ChaptersRemoved{VideoID: film, URI: chaptersURI(1)}, []string{film + "/chapters-1.vtt"}},
		"chapters set":                      {bodies{begun}, chaptersSet, nil},
		"chapters replaced":                 {bodies{begun, chaptersSet}, replaced, []string{film + "/chapters-1.vtt"}},
		"refused as it was started before":  {bodies{begun, started(1)}, publishingmsg.VideoPublishingRejected{VideoID: film, Reason: publishingmsg.AlreadyStarted}, nil},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, Config{})
			b.stored(all...)
			b.stored(others...)
			b.Given(filmStream, test.given...)
			b.When(b.files(), filmStream, test.when)
			want := slices.DeleteFunc(slices.Concat(all, others), func(key string) bool { return slices.Contains(test.gone, key) })
			slices.Sort(want)
			if got := b.kept(); !slices.Equal(got, want) {
				t.Errorf("there are %q\nwant %q", got, want)
			}
		})
	}
}

// A file is stored before the command is written: what is refused leaves none.
func TestFilesOfWhatWasRefusedGo(t *testing.T) {
	t.Parallel()
	b := newBench(t, Config{})
	inUse := []string{film + "/captions-" + captionsA + ".vtt", film + "/chapters-1.vtt"}
	b.stored(inUse...)
	b.stored(film+"/chapters-2.vtt", film+"/captions-"+captionsB+".vtt", source)
	b.Given(filmStream, begun)
	b.asks(ada, addCaptions(captionsA), publishingmsg.SetChapters{VideoID: film, URI: chaptersURI(1)})
	refused := addCaptions(captionsB)
	refused.Label = ""
	b.asks(ada, refused, addCaptions(captionsA), // the second names a file that is in use
		publishingmsg.SetChapters{VideoID: film, URI: chaptersURI(1)}, publishingmsg.RemoveCaptions{VideoID: film, CaptionsID: captionsB})
	b.asks(bob, publishingmsg.SetChapters{VideoID: film, URI: chaptersURI(2)}, publishingmsg.RemoveChapters{VideoID: film})
	b.deliverFiles()
	if got, want := b.kept(), append(inUse, source); !slices.Equal(got, want) {
		t.Errorf("there are %q\nwant %q", got, want)
	}

	// The file arrives when the video has gone.
	b.asks(ada, remove)
	b.deliverFiles()
	if got := b.kept(); len(got) > 0 {
		t.Errorf("there are %q", got)
	}
	b.stored(source)
	b.asks(ada, publish)
	b.deliverFiles()
	if got := b.kept(); len(got) > 0 {
		t.Errorf("there are %q", got)
	}
}

// deliverFiles gives all events of the film to the handlers that remove files.
func (b bench) deliverFiles() {
	b.t.Helper()
	for _, m := range b.all(filmStream) {
		b.handle(m, b.files())
	}
}

// An event that is delivered again does not take what has come into use since.
func TestAFileInUseStays(t *testing.T) {
	t.Parallel()
	b := newBench(t, Config{})
	b.stored(film+"/chapters-1.vtt", film+"/chapters-2.vtt")
	b.Given(filmStream, begun, publishingmsg.ChaptersSet{VideoID: film, URI: chaptersURI(1)},
		publishingmsg.ChaptersSet{VideoID: film, URI: chaptersURI(2), Replaces: chaptersURI(1)},
		publishingmsg.ChaptersSet{VideoID: film, URI: chaptersURI(1), Replaces: chaptersURI(2)})
	b.deliverFiles()
	if got, want := b.kept(), []string{film + "/chapters-1.vtt"}; !slices.Equal(got, want) {
		t.Errorf("there are %q, want %q", got, want)
	}
}

// What a message says of another video, or of something that is none, takes nothing.
func TestFilesOfOthersStay(t *testing.T) {
	t.Parallel()
	b := newBench(t, Config{})
	b.stored(publishingmsg.SourceKey(someoneElse), someoneElse+"/1/360p_00000.m4s", someoneElse+"/captions-"+captionsA+".vtt", film+"/1/360p_00000.m4s", source)
	kept := b.kept()
	for _, id := range []string{someoneElse, film + "/1", "uploads", ".", "..", "", strings.ToUpper(film)} {
		for _, stream := range []messagestore.Stream{filmStream, publishingmsg.Category.Stream("uploads")} {
			attempt := started(1)
			attempt.VideoID = id
			b.Given(stream, publishingmsg.VideoDeleted{VideoID: id}, publishingmsg.UploadAbandoned{VideoID: id}, publishingmsg.VideoPublishingFailed{VideoID: id, Attempt: 1},
				publishingmsg.VideoPublishingCanceled{VideoID: id, Attempt: 1}, publishingmsg.VideoPublishingRejected{VideoID: id, Reason: publishingmsg.Deleted},
				publishingmsg.CaptionsRemoved{VideoID: id, CaptionsID: captionsA, URI: "/media/" + someoneElse + "/captions-" + captionsA + ".vtt"}, attempt)
			for _, m := range b.all(stream) {
				b.handle(m, append(b.files(), b.work()...))
			}
		}
	}
	if got := b.kept(); !slices.Equal(got, kept) {
		t.Errorf("there are %q\nwant %q", got, kept)
	}
	b.workDirIsEmpty()
}
