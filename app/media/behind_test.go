package media

import (
	"net/http"
	"testing"

	"videotutorials/messagestore"
)

// Two projections do not come to an event at the same moment: a video that its owner's
// page shows is there for its owner, and for nobody else before the catalogue has it.
func TestTheCatalogueIsBehind(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	owner, id := messagestore.NewID(), messagestore.NewID()
	s.put(id+"/1/poster.jpg", "a picture")
	if _, err := s.Views.Exec(s.Ctx, `INSERT INTO checkpoint (name, version) VALUES ('creatorsvideos', 1)`); err != nil {
		t.Fatal(err)
	}
	_, err := s.Views.Exec(s.Ctx, `
		INSERT INTO creators_videos (video_id, owner_id, title, description, state, visibility, file_name, bytes, reason, attempt, duration_ms, width, height, poster, renditions, captions, chapters, begun_at)
		VALUES ($1, $2, '', '', 'playable', 'public', '', 0, '', 1, 0, 0, 0, '', '{}', '[]', '', now())`, id, owner)
	if err != nil {
		t.Fatal(err)
	}
	for who, want := range map[string]int{owner: http.StatusOK, messagestore.NewID(): http.StatusNotFound, "": http.StatusNotFound} {
		a := s.ask(s.browser(who), http.MethodGet, "/media/"+id+"/1/poster.jpg")
		if a.status != want || want == http.StatusOK && a.header.Get("Cache-Control") != never {
			t.Errorf("%q: %d %v", who, a.status, a.header)
		}
	}
	if _, err := s.Views.Exec(s.Ctx, `UPDATE creators_videos SET state = 'failed'`); err != nil {
		t.Fatal(err)
	}
	if a := s.ask(s.browser(owner), http.MethodGet, "/media/"+id+"/1/poster.jpg"); a.status != http.StatusNotFound {
		t.Errorf("the files of a video that failed: %d", a.status)
	}
}
