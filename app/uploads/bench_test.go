package uploads

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkUpload takes 200 MB through the real server, to the disk and handed over, and
// beside it copies the same bytes to a file of the same folder: "ratio" is how much of
// the speed of the copy is left.
func BenchmarkUpload(b *testing.B) {
	const length = 200 << 20
	s := start(b)
	content := random(60, length)
	var uploading, copying time.Duration
	b.SetBytes(length)
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		person := s.person()
		path, _ := person.begin(length)
		b.StartTimer()
		begun := time.Now()
		if a := person.patch(path, 0, bytes.NewReader(content)); a.status != http.StatusNoContent {
			b.Fatalf("%d %q", a.status, a.body)
		}
		uploading += time.Since(begun)
		b.StopTimer()
		begun = time.Now()
		copied := filepath.Join(s.dir, "copy")
		f, err := os.Create(copied)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(struct{ io.Writer }{f}, struct{ io.Reader }{bytes.NewReader(content)}); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
		copying += time.Since(begun)
		os.Remove(copied)
		b.StartTimer()
	}
	b.ReportMetric(float64(length*b.N)/copying.Seconds()/1e6, "copy-MB/s")
	b.ReportMetric(copying.Seconds()/uploading.Seconds(), "ratio")
}
