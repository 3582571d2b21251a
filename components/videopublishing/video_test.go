package videopublishing

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/dbtest"
	"videotutorials/db/media"
	"videotutorials/messagestore"
	"videotutorials/messagestore/messagestoretest"
)

var (
	ada = messagestore.DeriveID("test", "ada")
	bob = messagestore.DeriveID("test", "bob")

	film         = messagestore.DeriveID("test", "film")
	filmStream   = publishingmsg.Category.Stream(film)
	filmCommands = publishingmsg.Category.CommandStream(film)
)

type bodies = []messagestore.Body

// bench is a component over a store and a folder of media of its own.
type bench struct {
	*messagestoretest.Scenario
	*Component
	t        *testing.T
	ctx      context.Context
	database *dbtest.DB
	mediaDir string
}

func newBench(t *testing.T, config Config) bench {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	database, dir := dbtest.New(t), t.TempDir()
	store := messagestore.New(database.MessageStore)
	if config.Media == nil {
		var err error
		if config.Media, err = media.Open(ctx, "", dir); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { config.Media.Close() })
	}
	if config.WorkDir == "" {
		config.WorkDir = t.TempDir()
	}
	return bench{Scenario: messagestoretest.New(t, store), Component: New(store, config), t: t, ctx: ctx, database: database, mediaDir: dir}
}

func (b bench) all(stream messagestore.Stream) (all []messagestore.Raw) {
	b.t.Helper()
	for m, err := range b.store.Read(b.ctx, stream, 0) {
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// kinds returns the types of the messages of a stream.
func (b bench) kinds(stream messagestore.Stream) (kinds []string) {
	b.t.Helper()
	for _, m := range b.all(stream) {
		kinds = append(kinds, m.Type)
	}
	return kinds
}

// write writes a message on behalf of a person.
func (b bench) write(userID string, stream messagestore.Stream, body messagestore.Body) messagestore.Raw {
	b.t.Helper()
	about := messagestore.Metadata{TraceID: messagestore.NewID(), UserID: userID}
	if _, err := b.store.Write(b.ctx, stream, body, messagestore.WithMetadata(about)); err != nil {
		b.t.Fatal(err)
	}
	m, err := b.store.Last(b.ctx, stream, "")
	if err != nil {
		b.t.Fatal(err)
	}
	return m
}

// happened writes an event as something that the video's own work has written.
func (b bench) happened(body messagestore.Body) messagestore.Raw {
	b.t.Helper()
	return b.write(ada, filmStream, body)
}

// asks has a person's commands to the video queued and then handled, each twice.
func (b bench) asks(userID string, commands ...messagestore.Body) {
	b.t.Helper()
	for _, command := range commands {
		b.write(userID, filmCommands, command)
	}
	b.When(b.commands(), filmCommands)
}

// handle gives a message to handlers as a subscription does.
func (b bench) handle(m messagestore.Raw, handlers []messagestore.Handler) {
	b.t.Helper()
	err := messagestore.ErrWrongExpectedVersion
	for errors.Is(err, messagestore.ErrWrongExpectedVersion) {
		err = messagestore.Handle(b.ctx, m, handlers...)
	}
	if err != nil {
		b.t.Error(err)
	}
}

// stored puts a file with its key as content into the media store.
func (b bench) stored(keys ...string) {
	b.t.Helper()
	for _, key := range keys {
		if err := b.config.Media.Put(b.ctx, key, []byte(key)); err != nil {
			b.t.Fatal(err)
		}
	}
}

// kept returns the keys of all files in the media store.
func (b bench) kept() (keys []string) {
	b.t.Helper()
	return filesBelow(b.t, b.mediaDir)
}

func filesBelow(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, _ := filepath.Rel(dir, path)
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

const (
	captionsA = "5a0c8c3e-52a1-4f0b-9a3d-7f6f9d1e5b22"
	captionsB = "9c4e2a77-52a1-4f0b-9a3d-7f6f9d1e5b22"
)

var (
	source    = publishingmsg.SourceKey(film)
	begin     = publishingmsg.BeginUpload{VideoID: film, OwnerID: ada, FileName: "lesson.mov", Bytes: 7}
	begun     = publishingmsg.UploadBegun{VideoID: film, OwnerID: ada, FileName: "lesson.mov", Bytes: 7}
	abandon   = publishingmsg.AbandonUpload{VideoID: film}
	abandoned = publishingmsg.UploadAbandoned{VideoID: film}
	publish   = publishingmsg.PublishVideo{VideoID: film, OwnerID: ada, SourceURI: source, FileName: "lesson.mov", Bytes: 7}
	retry     = publishingmsg.RetryPublishing{VideoID: film}
	cancel    = publishingmsg.CancelPublishing{VideoID: film}
	remove    = publishingmsg.DeleteVideo{VideoID: film}
	deleted   = publishingmsg.VideoDeleted{VideoID: film}
	done      = publishingmsg.VideoPublished{VideoID: film, OwnerID: ada, SourceURI: source, TranscodedURI: media.Path(film + "/1/video.mp4"), Attempt: 1}
)

func started(attempt int) publishingmsg.VideoPublishingStarted {
	return publishingmsg.VideoPublishingStarted{VideoID: film, OwnerID: ada, SourceURI: source, Attempt: attempt, FileName: "lesson.mov", Bytes: 7}
}

func failedBy(reason string, attempt int) publishingmsg.VideoPublishingFailed {
	return publishingmsg.VideoPublishingFailed{VideoID: film, OwnerID: ada, SourceURI: source, Attempt: attempt, Reason: reason}
}

func name(name string) messagestore.Body {
	return publishingmsg.NameVideo{VideoID: film, Name: name}
}

func named(name string) messagestore.Body {
	return publishingmsg.VideoNamed{VideoID: film, Name: name}
}

func captionsURI(id string) string { return media.Path(film + "/captions-" + id + ".vtt") }

func chaptersURI(n int) string { return media.Path(fmt.Sprintf("%s/chapters-%d.vtt", film, n)) }

func addCaptions(id string) publishingmsg.AddCaptions {
	return publishingmsg.AddCaptions{VideoID: film, CaptionsID: id, Language: "en", Label: "English", URI: captionsURI(id)}
}

func captionsAdded(id string) publishingmsg.CaptionsAdded {
	return publishingmsg.CaptionsAdded{VideoID: film, CaptionsID: id, Language: "en", Label: "English", URI: captionsURI(id)}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	var (
		uploadRejected = func(reason string) messagestore.Body {
			return publishingmsg.UploadRejected{VideoID: film, Reason: reason}
		}
		rejected = func(reason string) messagestore.Body {
			return publishingmsg.VideoPublishingRejected{VideoID: film, Reason: reason}
		}
		playable   = publishingmsg.VideoPlayable{VideoID: film, OwnerID: ada, Attempt: 1, HLSURI: media.Path(film + "/1/master.m3u8")}
		canceledAt = func(attempt int) messagestore.Body {
			return publishingmsg.VideoPublishingCanceled{VideoID: film, Attempt: attempt}
		}
		nameRejected = func(name, reason string) messagestore.Body {
			return publishingmsg.VideoNameRejected{VideoID: film, Name: name, Reason: reason}
		}
		describe = func(text string) messagestore.Body {
			return publishingmsg.DescribeVideo{VideoID: film, Description: text}
		}
		described = func(text string) messagestore.Body {
			return publishingmsg.VideoDescribed{VideoID: film, Description: text}
		}
		descriptionRejected = func(text, reason string) messagestore.Body {
			return publishingmsg.VideoDescriptionRejected{VideoID: film, Description: text, Reason: reason}
		}
		show = func(to string) messagestore.Body {
			return publishingmsg.ChangeVisibility{VideoID: film, Visibility: to}
		}
		shown = func(to string) messagestore.Body {
			return publishingmsg.VisibilityChanged{VideoID: film, Visibility: to}
		}
		showRejected = func(to, reason string) messagestore.Body {
			return publishingmsg.VisibilityChangeRejected{VideoID: film, Visibility: to, Reason: reason}
		}
		removeRejected = func(reason string) messagestore.Body {
			return publishingmsg.VideoDeletionRejected{VideoID: film, Reason: reason}
		}
		removeCaptions = func(id string) messagestore.Body {
			return publishingmsg.RemoveCaptions{VideoID: film, CaptionsID: id}
		}
		captionsRemoved = func(id string) messagestore.Body {
			return publishingmsg.CaptionsRemoved{VideoID: film, CaptionsID: id, URI: captionsURI(id)}
		}
		captionsRejected = func(id, reason string) messagestore.Body {
			return publishingmsg.CaptionsRejected{VideoID: film, CaptionsID: id, Reason: reason}
		}
		addWith = func(change func(*publishingmsg.AddCaptions)) messagestore.Body {
			c := addCaptions(captionsA)
			change(&c)
			return c
		}
		setChapters = func(n int) messagestore.Body {
			return publishingmsg.SetChapters{VideoID: film, URI: chaptersURI(n)}
		}
		chaptersSet      = publishingmsg.ChaptersSet{VideoID: film, URI: chaptersURI(1)}
		removeChapters   = publishingmsg.RemoveChapters{VideoID: film}
		chaptersRemoved  = publishingmsg.ChaptersRemoved{VideoID: film, URI: chaptersURI(1)}
		chaptersRejected = func(reason string) messagestore.Body {
			return publishingmsg.ChaptersRejected{VideoID: film, Reason: reason}
		}

		manyCaptions = bodies{begun}
	)
	for range mostCaptions {
		manyCaptions = append(manyCaptions, captionsAdded(messagestore.NewID()))
	}
	var long, longest = strings.Repeat("é", mostName+1), strings.Repeat("é", mostName)
	var longText, longestText = strings.Repeat("é", mostDescription+1), strings.Repeat("é", mostDescription)
	const nobody = "nobody" // as userId: none

	shared := newBench(t, Config{})
	for about, test := range map[string]struct {
		as    string // ada where it is empty
		given bodies
		when  bodies
		then  bodies
	}{
		"begin":                          {when: bodies{begin}, then: bodies{begun}},
		"begin, for nobody":              {as: nobody, when: bodies{begin}, then: bodies{begun}},
		"begin for another":              {as: bob, when: bodies{begin}, then: bodies{uploadRejected(publishingmsg.NotOwner)}},
		"begin twice":                    {when: bodies{begin, begin}, then: bodies{begun, uploadRejected(publishingmsg.AlreadyBegun)}},
		"begin what is published":        {given: bodies{done}, when: bodies{begin}, then: bodies{uploadRejected(publishingmsg.AlreadyBegun)}},
		"begin what was deleted":         {given: bodies{begun, deleted}, when: bodies{begin}, then: bodies{uploadRejected(publishingmsg.Deleted)}},
		"begin what was given up":        {given: bodies{begun, abandoned}, when: bodies{begin}, then: bodies{uploadRejected(publishingmsg.Deleted)}},
		"begin after a refusal":          {given: bodies{uploadRejected(publishingmsg.NotOwner)}, when: bodies{begin}, then: bodies{begun}},
		"give up":                        {given: bodies{begun}, when: bodies{abandon}, then: bodies{abandoned}},
		"give up, the site itself":       {as: nobody, given: bodies{begun}, when: bodies{abandon}, then: bodies{abandoned}},
		"give up twice":                  {given: bodies{begun}, when: bodies{abandon, abandon}, then: bodies{abandoned, uploadRejected(publishingmsg.Deleted)}},
		"give up another's":              {as: bob, given: bodies{begun}, when: bodies{abandon}, then: bodies{uploadRejected(publishingmsg.NotOwner)}},
		"give up nothing":                {when: bodies{abandon}, then: bodies{uploadRejected(publishingmsg.NotFound)}},
		"give up nothing, nobody":        {as: nobody, when: bodies{abandon}, then: bodies{uploadRejected(publishingmsg.NotFound)}},
		"give up what is worked on":      {given: bodies{begun}, when: bodies{publish, abandon}, then: bodies{started(1), uploadRejected(publishingmsg.AlreadyStarted)}},
		"give up what is published":      {as: nobody, given: bodies{begun, started(1), done}, when: bodies{abandon}, then: bodies{uploadRejected(publishingmsg.AlreadyStarted)}},
		"publish":                        {given: bodies{begun}, when: bodies{publish}, then: bodies{started(1)}},
		"publish without an upload":      {when: bodies{publish}, then: bodies{started(1)}},
		"publish, for nobody":            {as: nobody, when: bodies{publish}, then: bodies{started(1)}},
		"publish for another":            {as: bob, when: bodies{publish}, then: bodies{rejected(publishingmsg.NotOwner)}},
		"publish another's":              {as: bob, given: bodies{begun}, when: bodies{publish, publishingmsg.PublishVideo{VideoID: film, OwnerID: bob, SourceURI: source}}, then: bodies{rejected(publishingmsg.NotOwner), rejected(publishingmsg.NotOwner)}},
		"publish twice":                  {given: bodies{begun}, when: bodies{publish, publish}, then: bodies{started(1), rejected(publishingmsg.AlreadyStarted)}},
		"publish what is published":      {given: bodies{done}, when: bodies{publish}, then: bodies{rejected(publishingmsg.AlreadyStarted)}},
		"publish what failed":            {given: bodies{begun, started(1), failedBy(publishingmsg.Damaged, 1)}, when: bodies{publish}, then: bodies{rejected(publishingmsg.AlreadyStarted)}},
		"publish what was deleted":       {given: bodies{begun}, when: bodies{remove, publish}, then: bodies{deleted, rejected(publishingmsg.Deleted)}},
		"publish what was given up":      {given: bodies{begun}, when: bodies{abandon, publish}, then: bodies{abandoned, rejected(publishingmsg.Deleted)}},
		"publish what another publishes": {as: bob, given: bodies{deleted}, when: bodies{publish}, then: bodies{rejected(publishingmsg.Deleted)}},

		"retry what failed":              {given: bodies{begun, started(1), failedBy(publishingmsg.Damaged, 1)}, when: bodies{retry}, then: bodies{started(2)}},
		"retry what was canceled":        {given: bodies{started(1)}, when: bodies{cancel, retry}, then: bodies{canceledAt(1), started(2)}},
		"retry twice":                    {given: bodies{started(1), failedBy(publishingmsg.Damaged, 1)}, when: bodies{retry, retry}, then: bodies{started(2), rejected(publishingmsg.NothingToRetry)}},
		"retry a third time":             {given: bodies{started(1), canceledAt(1), started(2), failedBy(publishingmsg.Damaged, 2)}, when: bodies{retry}, then: bodies{started(3)}},
		"retry what is worked on":        {given: bodies{started(1), playable}, when: bodies{retry}, then: bodies{rejected(publishingmsg.NothingToRetry)}},
		"retry what is handed in":        {given: bodies{begun}, when: bodies{retry}, then: bodies{rejected(publishingmsg.NothingToRetry)}},
		"retry what is published":        {given: bodies{started(1), done}, when: bodies{retry}, then: bodies{rejected(publishingmsg.NothingToRetry)}},
		"retry what another program did": {given: bodies{publishingmsg.VideoPublishingFailed{VideoID: film, OwnerID: ada, SourceURI: source, Reason: "ECONNRESET"}}, when: bodies{retry}, then: bodies{publishingmsg.VideoPublishingStarted{VideoID: film, OwnerID: ada, SourceURI: source, Attempt: 1}}},
		"retry another's":                {as: bob, given: bodies{started(1), failedBy(publishingmsg.Damaged, 1)}, when: bodies{retry}, then: bodies{rejected(publishingmsg.NotOwner)}},
		"retry nothing":                  {when: bodies{retry}, then: bodies{rejected(publishingmsg.NotFound)}},
		"retry what was deleted":         {given: bodies{started(1), failedBy(publishingmsg.Damaged, 1), deleted}, when: bodies{retry}, then: bodies{rejected(publishingmsg.Deleted)}},
		"cancel":                         {given: bodies{begun}, when: bodies{publish, cancel}, then: bodies{started(1), canceledAt(1)}},
		"cancel what can be watched":     {given: bodies{started(1), playable}, when: bodies{cancel}, then: bodies{canceledAt(1)}},
		"cancel twice":                   {given: bodies{started(1)}, when: bodies{cancel, cancel}, then: bodies{canceledAt(1), rejected(publishingmsg.NothingToCancel)}},
		"cancel a retry":                 {given: bodies{started(1), failedBy(publishingmsg.Damaged, 1)}, when: bodies{retry, cancel}, then: bodies{started(2), canceledAt(2)}},
		"cancel what is published":       {given: bodies{started(1), done}, when: bodies{cancel}, then: bodies{rejected(publishingmsg.NothingToCancel)}},
		"cancel what is handed in":       {given: bodies{begun}, when: bodies{cancel}, then: bodies{rejected(publishingmsg.NothingToCancel)}},
		"cancel another's":               {as: bob, given: bodies{started(1)}, when: bodies{cancel}, then: bodies{rejected(publishingmsg.NotOwner)}},
		"cancel, as nobody":              {as: nobody, given: bodies{started(1)}, when: bodies{cancel}, then: bodies{rejected(publishingmsg.NotOwner)}},
		"cancel nothing":                 {when: bodies{cancel}, then: bodies{rejected(publishingmsg.NotFound)}},
		"cancel what was deleted":        {given: bodies{started(1)}, when: bodies{remove, cancel}, then: bodies{deleted, rejected(publishingmsg.Deleted)}},

		"name":                     {given: bodies{begun}, when: bodies{name("  Streams ")}, then: bodies{named("Streams")}},
		"name, queued twice":       {given: bodies{begun}, when: bodies{name("Streams"), name("Positions")}, then: bodies{named("Streams"), named("Positions")}},
		"name, and back":           {given: bodies{begun, named("Streams")}, when: bodies{name("Positions"), name("Streams")}, then: bodies{named("Positions"), named("Streams")}},
		"name what is worked on":   {given: bodies{begun, started(1)}, when: bodies{name("Streams"), name("Positions")}, then: bodies{named("Streams"), named("Positions")}},
		"name what is published":   {given: bodies{done}, when: bodies{name("Streams")}, then: bodies{named("Streams")}},
		"name what failed":         {given: bodies{started(1), failedBy(publishingmsg.Damaged, 1)}, when: bodies{name("Streams")}, then: bodies{named("Streams")}},
		"name, the same":           {given: bodies{begun, named("Streams")}, when: bodies{name(" Streams")}, then: bodies{nameRejected("Streams", publishingmsg.Same)}},
		"name, the same twice":     {given: bodies{begun}, when: bodies{name("Streams"), name("Streams")}, then: bodies{named("Streams"), nameRejected("Streams", publishingmsg.Same)}},
		"name, blank":              {given: bodies{begun}, when: bodies{name(" \n\t ")}, then: bodies{nameRejected("", publishingmsg.Blank)}},
		"name, too long":           {given: bodies{begun}, when: bodies{name(long)}, then: bodies{nameRejected(long, publishingmsg.TooLong)}},
		"name, as long as can be":  {given: bodies{begun}, when: bodies{name(longest)}, then: bodies{named(longest)}},
		"name another's":           {as: bob, given: bodies{begun}, when: bodies{name("Streams")}, then: bodies{nameRejected("Streams", publishingmsg.NotOwner)}},
		"name, as nobody":          {as: nobody, given: bodies{begun}, when: bodies{name("Streams")}, then: bodies{nameRejected("Streams", publishingmsg.NotOwner)}},
		"name nothing":             {when: bodies{name("Streams")}, then: bodies{nameRejected("Streams", publishingmsg.NotFound)}},
		"name what has only names": {given: bodies{named("Positions")}, when: bodies{name("Streams")}, then: bodies{nameRejected("Streams", publishingmsg.NotFound)}},
		"name what was deleted":    {given: bodies{begun}, when: bodies{remove, name("Streams")}, then: bodies{deleted, nameRejected("Streams", publishingmsg.Deleted)}},
		"name what was given up":   {given: bodies{begun, abandoned}, when: bodies{name("Streams")}, then: bodies{nameRejected("Streams", publishingmsg.Deleted)}},

		"describe":                  {given: bodies{begun}, when: bodies{describe(" One.\r\nTwo.\r\n")}, then: bodies{described("One.\nTwo.")}},
		"describe, queued twice":    {given: bodies{begun}, when: bodies{describe("One."), describe("Two.")}, then: bodies{described("One."), described("Two.")}},
		"describe by nothing":       {given: bodies{begun, described("One.")}, when: bodies{describe(" ")}, then: bodies{described("")}},
		"describe, nothing at all":  {given: bodies{begun}, when: bodies{describe("")}, then: bodies{descriptionRejected("", publishingmsg.Same)}},
		"describe, the same":        {given: bodies{begun, described("One.\nTwo.")}, when: bodies{describe("One.\r\nTwo.")}, then: bodies{descriptionRejected("One.\nTwo.", publishingmsg.Same)}},
		"describe, too long":        {given: bodies{begun}, when: bodies{describe(longText), describe(longestText)}, then: bodies{descriptionRejected(longText, publishingmsg.TooLong), described(longestText)}},
		"describe another's":        {as: bob, given: bodies{begun}, when: bodies{describe("One.")}, then: bodies{descriptionRejected("One.", publishingmsg.NotOwner)}},
		"describe nothing":          {when: bodies{describe("One.")}, then: bodies{descriptionRejected("One.", publishingmsg.NotFound)}},
		"describe what was deleted": {given: bodies{done}, when: bodies{remove, describe("One.")}, then: bodies{deleted, descriptionRejected("One.", publishingmsg.Deleted)}},

		"show to nobody else":      {given: bodies{begun}, when: bodies{show(publishingmsg.Private)}, then: bodies{shown(publishingmsg.Private)}},
		"show, queued twice":       {given: bodies{done}, when: bodies{show(publishingmsg.Unlisted), show(publishingmsg.Public)}, then: bodies{shown(publishingmsg.Unlisted), shown(publishingmsg.Public)}},
		"show to all as before":    {given: bodies{done}, when: bodies{show(publishingmsg.Public)}, then: bodies{showRejected(publishingmsg.Public, publishingmsg.Same)}},
		"show, the same":           {given: bodies{done, shown(publishingmsg.Private)}, when: bodies{show(publishingmsg.Private)}, then: bodies{showRejected(publishingmsg.Private, publishingmsg.Same)}},
		"show to the moon":         {given: bodies{done}, when: bodies{show("moon"), show("")}, then: bodies{showRejected("moon", publishingmsg.UnknownChoice), showRejected("", publishingmsg.UnknownChoice)}},
		"show another's":           {as: bob, given: bodies{done}, when: bodies{show(publishingmsg.Private)}, then: bodies{showRejected(publishingmsg.Private, publishingmsg.NotOwner)}},
		"show nothing":             {when: bodies{show(publishingmsg.Private)}, then: bodies{showRejected(publishingmsg.Private, publishingmsg.NotFound)}},
		"show what was deleted":    {given: bodies{done, deleted}, when: bodies{show(publishingmsg.Private)}, then: bodies{showRejected(publishingmsg.Private, publishingmsg.Deleted)}},
		"delete":                   {given: bodies{done}, when: bodies{remove}, then: bodies{deleted}},
		"delete twice":             {given: bodies{done}, when: bodies{remove, remove}, then: bodies{deleted, removeRejected(publishingmsg.Deleted)}},
		"delete what is worked on": {given: bodies{begun}, when: bodies{publish, remove}, then: bodies{started(1), deleted}},
		"delete what is handed in": {given: bodies{begun}, when: bodies{remove}, then: bodies{deleted}},
		"delete what was given up": {given: bodies{begun}, when: bodies{abandon, remove}, then: bodies{abandoned, removeRejected(publishingmsg.Deleted)}},
		"delete another's":         {as: bob, given: bodies{done}, when: bodies{remove}, then: bodies{removeRejected(publishingmsg.NotOwner)}},
		"delete nothing":           {when: bodies{remove}, then: bodies{removeRejected(publishingmsg.NotFound)}},

		"caption":                         {given: bodies{begun}, when: bodies{addWith(func(c *publishingmsg.AddCaptions) { c.Label = " English " })}, then: bodies{captionsAdded(captionsA)}},
		"caption, queued twice":           {given: bodies{done}, when: bodies{addCaptions(captionsA), addCaptions(captionsB)}, then: bodies{captionsAdded(captionsA), captionsAdded(captionsB)}},
		"caption, the same":               {given: bodies{begun}, when: bodies{addCaptions(captionsA), addCaptions(captionsA)}, then: bodies{captionsAdded(captionsA), captionsRejected(captionsA, publishingmsg.Same)}},
		"caption by what was removed":     {given: bodies{begun, captionsAdded(captionsA), captionsRemoved(captionsA)}, when: bodies{addCaptions(captionsA)}, then: bodies{captionsRejected(captionsA, publishingmsg.Same)}},
		"caption by the file of others":   {given: bodies{begun, captionsAdded(captionsB)}, when: bodies{addWith(func(c *publishingmsg.AddCaptions) { c.URI = captionsURI(captionsB) })}, then: bodies{captionsRejected(captionsA, publishingmsg.Same)}},
		"caption by the chapters":         {given: bodies{begun, chaptersSet}, when: bodies{addWith(func(c *publishingmsg.AddCaptions) { c.URI = chaptersURI(1) })}, then: bodies{captionsRejected(captionsA, publishingmsg.Same)}},
		"caption without a label":         {given: bodies{begun}, when: bodies{addWith(func(c *publishingmsg.AddCaptions) { c.Label = " " })}, then: bodies{captionsRejected(captionsA, publishingmsg.Blank)}},
		"caption with a long label":       {given: bodies{begun}, when: bodies{addWith(func(c *publishingmsg.AddCaptions) { c.Label = strings.Repeat("x", mostLabel+1) })}, then: bodies{captionsRejected(captionsA, publishingmsg.TooLong)}},
		"caption in no language":          {given: bodies{begun}, when: bodies{addWith(func(c *publishingmsg.AddCaptions) { c.Language = "en us" })}, then: bodies{captionsRejected(captionsA, publishingmsg.UnknownChoice)}},
		"caption by a file of another's":  {given: bodies{begun}, when: bodies{addWith(func(c *publishingmsg.AddCaptions) { c.URI = media.Path(bob + "/captions.vtt") })}, then: bodies{captionsRejected(captionsA, publishingmsg.NotFound)}},
		"caption by a file of elsewhere":  {given: bodies{begun}, when: bodies{addWith(func(c *publishingmsg.AddCaptions) { c.URI = "https://example.org/" + film + "/x.vtt" })}, then: bodies{captionsRejected(captionsA, publishingmsg.NotFound)}},
		"caption in many languages":       {given: manyCaptions, when: bodies{addCaptions(captionsA)}, then: bodies{captionsRejected(captionsA, publishingmsg.TooMany)}},
		"caption another's":               {as: bob, given: bodies{begun}, when: bodies{addCaptions(captionsA)}, then: bodies{captionsRejected(captionsA, publishingmsg.NotOwner)}},
		"caption nothing":                 {when: bodies{addCaptions(captionsA)}, then: bodies{captionsRejected(captionsA, publishingmsg.NotFound)}},
		"caption what was deleted":        {given: bodies{done}, when: bodies{remove, addCaptions(captionsA)}, then: bodies{deleted, captionsRejected(captionsA, publishingmsg.Deleted)}},
		"remove captions":                 {given: bodies{begun, captionsAdded(captionsA), captionsAdded(captionsB)}, when: bodies{removeCaptions(captionsA), removeCaptions(captionsB)}, then: bodies{captionsRemoved(captionsA), captionsRemoved(captionsB)}},
		"remove captions twice":           {given: bodies{begun, captionsAdded(captionsA)}, when: bodies{removeCaptions(captionsA), removeCaptions(captionsA)}, then: bodies{captionsRemoved(captionsA), captionsRejected(captionsA, publishingmsg.NotFound)}},
		"remove others":                   {given: bodies{begun, captionsAdded(captionsA)}, when: bodies{removeCaptions(captionsB)}, then: bodies{captionsRejected(captionsB, publishingmsg.NotFound)}},
		"remove captions of another's":    {as: bob, given: bodies{begun, captionsAdded(captionsA)}, when: bodies{removeCaptions(captionsA)}, then: bodies{captionsRejected(captionsA, publishingmsg.NotOwner)}},
		"remove captions of nothing":      {when: bodies{removeCaptions(captionsA)}, then: bodies{captionsRejected(captionsA, publishingmsg.NotFound)}},
		"remove captions with the video":  {given: bodies{begun, captionsAdded(captionsA)}, when: bodies{remove, removeCaptions(captionsA)}, then: bodies{deleted, captionsRejected(captionsA, publishingmsg.Deleted)}},
		"set chapters":                    {given: bodies{begun}, when: bodies{setChapters(1)}, then: bodies{chaptersSet}},
		"set chapters, queued twice":      {given: bodies{done}, when: bodies{setChapters(1), setChapters(2)}, then: bodies{chaptersSet, publishingmsg.ChaptersSet{VideoID: film, URI: chaptersURI(2), Replaces: chaptersURI(1)}}},
		"set chapters, the same":          {given: bodies{begun, chaptersSet}, when: bodies{setChapters(1)}, then: bodies{chaptersRejected(publishingmsg.Same)}},
		"set chapters of another's":       {as: bob, given: bodies{begun}, when: bodies{setChapters(1)}, then: bodies{chaptersRejected(publishingmsg.NotOwner)}},
		"set chapters from elsewhere":     {given: bodies{begun}, when: bodies{publishingmsg.SetChapters{VideoID: film, URI: "/media/../secret"}}, then: bodies{chaptersRejected(publishingmsg.NotFound)}},
		"set chapters of nothing":         {when: bodies{setChapters(1)}, then: bodies{chaptersRejected(publishingmsg.NotFound)}},
		"set chapters of what is gone":    {given: bodies{done, deleted}, when: bodies{setChapters(1)}, then: bodies{chaptersRejected(publishingmsg.Deleted)}},
		"remove chapters":                 {given: bodies{begun, chaptersSet}, when: bodies{removeChapters}, then: bodies{chaptersRemoved}},
		"remove chapters twice":           {given: bodies{begun, chaptersSet}, when: bodies{removeChapters, removeChapters}, then: bodies{chaptersRemoved, chaptersRejected(publishingmsg.NotFound)}},
		"remove chapters of another's":    {as: bob, given: bodies{begun, chaptersSet}, when: bodies{removeChapters}, then: bodies{chaptersRejected(publishingmsg.NotOwner)}},
		"remove chapters of nothing":      {when: bodies{removeChapters}, then: bodies{chaptersRejected(publishingmsg.NotFound)}},
		"remove chapters of what is gone": {given: bodies{begun, chaptersSet, deleted}, when: bodies{removeChapters}, then: bodies{chaptersRejected(publishingmsg.Deleted)}},
	} {
		// Each with a video of its own: a database for each takes longer than all of them.
		id := messagestore.DeriveID("test", about)
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			b := bench{Scenario: messagestoretest.New(t, shared.store), Component: shared.Component, t: t, ctx: t.Context()}
			b.Given(publishingmsg.Category.Stream(id), of(id, test.given)...)
			who := test.as
			switch who {
			case "":
				who = ada
			case nobody:
				who = ""
			}
			for _, command := range of(id, test.when) {
				b.write(who, publishingmsg.Category.CommandStream(id), command)
			}
			b.When(b.commands(), publishingmsg.Category.CommandStream(id))
			b.Then(publishingmsg.Category.Stream(id), of(id, test.then)...)
		})
	}
}

// of returns messages about the film as they are about another video.
func of(videoID string, about bodies) (others bodies) {
	for _, body := range about {
		other := reflect.New(reflect.TypeOf(body)).Elem()
		other.Set(reflect.ValueOf(body))
		for i := range other.NumField() {
			if field := other.Field(i); field.Kind() == reflect.String {
				field.SetString(strings.ReplaceAll(field.String(), film, videoID))
			}
		}
		others = append(others, other.Interface().(messagestore.Body))
	}
	return others
}

// What names folders is a UUID, whatever a command says.
func TestAVideoHasAUUID(t *testing.T) {
	t.Parallel()
	b := newBench(t, Config{})
	for _, id := range []string{"uploads", "..", film + "x", strings.ToUpper(film)} {
		stream := publishingmsg.Category.Stream(id)
		b.When(b.commands(), publishingmsg.Category.CommandStream(id),
			publishingmsg.BeginUpload{VideoID: id, OwnerID: ada}, publishingmsg.PublishVideo{VideoID: id, OwnerID: ada, SourceURI: source}).
			Then(stream, publishingmsg.UploadRejected{VideoID: id, Reason: publishingmsg.NotFound},
				publishingmsg.VideoPublishingRejected{VideoID: id, Reason: publishingmsg.NotFound})
	}
}

// What the work has written meanwhile, which no command has caused, does not make a
// command that waits look done.
func TestACommandThatWaitsIsNotLost(t *testing.T) {
	t.Parallel()
	b := newBench(t, Config{})
	b.asks(ada, publish)
	waits := b.write(ada, filmCommands, name("Streams"))
	work := b.all(filmStream)[0]
	m, err := messagestore.Decode[publishingmsg.VideoPublishingStarted](work)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.Write(b.ctx, filmStream, done, messagestore.Follow(m)); err != nil {
		t.Fatal(err)
	}
	b.handle(waits, b.commands())
	b.handle(waits, b.commands())
	if got, want := b.kinds(filmStream), []string{"VideoPublishingStarted", "VideoPublished", "VideoNamed"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// What another program answered, whose events say less, is not answered again.
func TestCommandsOfOldAreDone(t *testing.T) {
	t.Parallel()
	b := newBench(t, Config{})
	old := b.write(ada, filmCommands, publish)
	b.Given(filmStream, done)
	b.handle(old, b.commands())
	if kinds := b.kinds(filmStream); len(kinds) != 1 {
		t.Errorf("%v", kinds)
	}
	b.asks(ada, name("Streams")) // with the old one once more
	if kinds := b.kinds(filmStream); len(kinds) != 2 || kinds[1] != "VideoNamed" {
		t.Errorf("%v", kinds)
	}
}

// What was decided on a video as it was is not written when something has happened since.
func TestADecisionOnOldFactsIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, Config{})
	b.Given(filmStream, begun)
	m, err := messagestore.Decode[publishingmsg.NameVideo](b.write(ada, filmCommands, name("Streams")))
	if err != nil {
		t.Fatal(err)
	}
	v, err := b.video(b.ctx, film)
	if err != nil {
		t.Fatal(err)
	}
	b.Given(filmStream, deleted)
	if err := answer(b.ctx, b.Component, v, m, named("Streams")); !errors.Is(err, messagestore.ErrWrongExpectedVersion) {
		t.Error(err)
	}
}
