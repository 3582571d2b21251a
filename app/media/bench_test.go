package media

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"videotutorials/aggregators/catalogue"
	"videotutorials/aggregators/creatorsvideos"
	"videotutorials/app/web"
	"videotutorials/db/dbtest"
	"videotutorials/db/media"
	"videotutorials/messagestore"
)

// BenchmarkFile downloads a file of 50 MB and a segment of 1 MB over loopback, from
// http.ServeFile as the floor and from the application with its question who may watch,
// by turns in the same run. The figures are medians; "of-floor" is how many times as long the application takes.
func BenchmarkFile(b *testing.B) {
	database, dir, id := dbtest.New(b), b.TempDir(), messagestore.NewID()
	if _, err := database.Views.Exec(b.Context(), `INSERT INTO catalogue (video_id, state, published_at, published_position, version) VALUES ($1, 'published', now(), 1, 1)`, id); err != nil {
		b.Fatal(err)
	}
	store, err := media.Open(b.Context(), "", dir)
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	router := web.New(web.Config{AppName: "Test", Log: slog.New(slog.DiscardHandler)})
	New(store, catalogue.NewQueries(database.Views), creatorsvideos.NewQueries(database.Views), web.NewSessions([]byte(strings.Repeat("s", 32)), false, nil)).Routes(router)
	site := httptest.NewServer(router)
	defer site.Close()
	for _, size := range []int64{50 << 20, 1 << 20} {
		name := fmt.Sprintf("%d.mp4", size>>20)
		if err := store.Put(b.Context(), id+"/1/"+name, make([]byte, size)); err != nil {
			b.Fatal(err)
		}
		floor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, filepath.Join(dir, id, "1", name))
		}))
		defer floor.Close()
		b.Run(fmt.Sprintf("%dMB", size>>20), func(b *testing.B) {
			download(b, floor.URL, size)
			download(b, site.URL+"/media/"+id+"/1/"+name, size)
			var ours, floors []time.Duration
			for b.Loop() {
				floors = append(floors, download(b, floor.URL, size))
				ours = append(ours, download(b, site.URL+"/media/"+id+"/1/"+name, size))
			}
			slices.Sort(ours)
			slices.Sort(floors)
			our, least := ours[len(ours)/2], floors[len(floors)/2]
			b.ReportMetric(float64(our)/float64(least), "of-floor")
			b.ReportMetric(float64(size)/our.Seconds()/(1<<20), "MB/s")
			b.ReportMetric(float64(size)/least.Seconds()/(1<<20), "floor-MB/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func download(b *testing.B, url string, size int64) time.Duration {
	b.Helper()
	begun := time.Now()
	response, err := http.Get(url)
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	n, err := io.Copy(io.Discard, response.Body)
	if err != nil || n != size || response.StatusCode != http.StatusOK {
		b.Fatalf("%d: %d of %d bytes, %v", response.StatusCode, n, size, err)
	}
	return time.Since(begun)
}
