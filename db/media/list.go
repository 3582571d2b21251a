package media

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"os"

	"gocloud.dev/blob"
)

// File is a file of a [Store].
type File struct {
	Key  string
	Size int64 // in bytes
	// MD5 is that of the content in hexadecimal digits, empty where the bucket does not know it; that
	// of a folder never does.
	MD5 string
}

// Files returns all files in the order of their keys. One that is put or deleted meanwhile may be
// among them or not.
func (s *Store) Files(ctx context.Context) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		list := s.bucket.List(nil)
		for {
			object, err := list.Next(ctx)
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(File{}, fmt.Errorf("list the videos: %w", err))
				return
			}
			if check(object.Key) != nil { // none of ours, or not finished
				continue
			}
			if !yield(File{object.Key, object.Size, hex.EncodeToString(object.MD5)}, nil) {
				return
			}
		}
	}
}

// Local reports whether the files are in a folder of this machine.
func (s *Store) Local() bool { return s.folder != "" }

// Open returns the content of a file, which the caller closes.
func (s *Store) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := check(key); err != nil {
		return nil, err
	}
	r, err := s.bucket.NewReader(ctx, key, nil)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, known(err))
	}
	return r, nil
}

// PutFrom keeps what r reads in place of the file that was there. Nothing is kept where r ends with
// an error.
func (s *Store) PutFrom(ctx context.Context, key string, r io.Reader) (err error) {
	if err := check(key); err != nil {
		return err
	}
	if s.folder != "" {
		err = s.replace(key, func(f *os.File) error { _, err := io.Copy(f, r); return err })
	} else {
		err = s.bucket.Upload(ctx, key, r, &blob.WriterOptions{ContentType: ContentType(key)})
	}
	if err != nil {
		return fmt.Errorf("keep %s: %w", key, err)
	}
	return nil
}
