// Package media keeps the files of videos under keys like
// "<videoId>/1/master.m3u8": in a folder of this machine, or in a bucket that many
// machines share.
//
// A key has either nothing or a whole file: one that is being written is not seen, and
// one that is written is on the disk. In the folder each file has its key as its path,
// so that everybody can look at them.
package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/gcerrors"
	"golang.org/x/sync/errgroup"
)

// ErrNotFound is returned for a key that there is no file under.
var ErrNotFound = errors.New("no such file")

// Store is a place for files. Its methods can be called at the same time.
type Store struct {
	bucket *blob.Bucket
	folder string // "" where the files are in a bucket
	name   string
}

// Open returns the store of a bucket like "s3://name?region=eu-central-1", or where
// bucketURL is empty that of the folder dir, which is made if need be. It tries whether
// files can be listed, written and deleted there, and the error says in a sentence what
// is wrong.
//
// A server that is not Amazon's is named by &endpoint=https://host:port and, where it
// has no host name for each bucket, &s3ForcePathStyle=true. Credentials come from the
// usual places: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, the machine's role.
func Open(ctx context.Context, bucketURL, dir string) (*Store, error) {
	if bucketURL != "" {
		return openBucket(ctx, bucketURL)
	}
	return openFolder(dir)
}

func openFolder(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("the folder for videos: %w", err)
	}
	s := &Store{folder: dir, name: "files in " + dir}
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return nil, fmt.Errorf("the folder for videos cannot be made: %w", err)
	}
	if err := s.tidy(); err != nil {
		return nil, fmt.Errorf("the folder for videos cannot be written to: %w", err)
	}
	if s.bucket, err = fileblob.OpenBucket(dir, &fileblob.Options{Metadata: fileblob.MetadataDontWrite}); err != nil {
		return nil, fmt.Errorf("the folder for videos cannot be opened: %w", err)
	}
	return s, nil
}

// Close ends the use of the store.
func (s *Store) Close() error { return s.bucket.Close() }

// String says in words where the files are.
func (s *Store) String() string { return s.name }

// Put keeps a short file in place of the one that was there.
func (s *Store) Put(ctx context.Context, key string, content []byte) error {
	if err := check(key); err != nil {
		return err
	}
	var err error
	if s.folder != "" {
		err = s.replace(key, func(f *os.File) error { _, err := f.Write(content); return err })
	} else {
		err = s.bucket.WriteAll(ctx, key, content, &blob.WriterOptions{ContentType: ContentType(key)})
	}
	if err != nil {
		return fmt.Errorf("keep %s: %w", key, err)
	}
	return nil
}

// PutFile keeps a file of this machine in place of the one that was there. The file
// must not be written to any more: where that is possible both are the same from then
// on, and deleting one leaves the other. What is no regular file is refused.
func (s *Store) PutFile(ctx context.Context, key, file string) error {
	if err := check(key); err != nil {
		return err
	}
	from, err := openRegular(file)
	if err != nil {
		return fmt.Errorf("keep %s: %w", key, err)
	}
	defer from.Close()
	if s.folder != "" {
		err = s.take(key, from)
	} else {
		err = s.bucket.Upload(ctx, key, from, &blob.WriterOptions{ContentType: ContentType(key)})
	}
	if err != nil {
		return fmt.Errorf("keep %s: %w", key, err)
	}
	return nil
}

// Read returns a file of at most the given number of bytes; a longer one is an error.
func (s *Store) Read(ctx context.Context, key string, most int64) ([]byte, error) {
	if err := check(key); err != nil {
		return nil, err
	}
	r, err := s.bucket.NewReader(ctx, key, nil)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, known(err))
	}
	defer r.Close()
	content, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	if int64(len(content)) > most {
		return nil, fmt.Errorf("read %s: it has more than %d bytes", key, most)
	}
	return content, nil
}

// Fetch returns the path of a file on this machine that has the content of key, to be
// read only: the file of the folder itself, or a copy in workDir that is the caller's
// to remove. A copy that is complete is not made again; one caller at a time makes it.
func (s *Store) Fetch(ctx context.Context, key, workDir string) (string, error) {
	if err := check(key); err != nil {
		return "", err
	}
	var file string
	var err error
	if s.folder != "" {
		file = s.path(key)
		_, err = s.Size(ctx, key)
		return file, err
	}
	file = filepath.Join(workDir, path.Base(key))
	if err = s.download(ctx, key, file); err != nil {
		return "", fmt.Errorf("fetch %s: %w", key, known(err))
	}
	return file, nil
}

// Size returns how many bytes a file has.
func (s *Store) Size(ctx context.Context, key string) (int64, error) {
	if err := check(key); err != nil {
		return 0, err
	}
	attributes, err := s.bucket.Attributes(ctx, key)
	if err != nil {
		return 0, fmt.Errorf("look for %s: %w", key, known(err))
	}
	return attributes.Size, nil
}

// Delete deletes files. One that is not there is no error.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := check(key); err != nil {
			return err
		}
		if err := s.bucket.Delete(ctx, key); err != nil && !errors.Is(known(err), ErrNotFound) {
			return fmt.Errorf("delete %s: %w", key, err)
		}
		if s.folder != "" {
			s.prune(path.Dir(key))
		}
	}
	return nil
}

// DeleteBelow deletes all files whose keys begin with prefix and a slash.
func (s *Store) DeleteBelow(ctx context.Context, prefix string) error {
	prefix = strings.TrimSuffix(prefix, "/")
	if err := check(prefix); err != nil {
		return err
	}
	if s.folder != "" {
		if err := os.RemoveAll(s.path(prefix)); err != nil {
			return fmt.Errorf("delete what is below %s: %w", prefix, err)
		}
		s.prune(path.Dir(prefix))
		return nil
	}
	if err := s.deleteListed(ctx, prefix+"/"); err != nil {
		return fmt.Errorf("delete what is below %s: %w", prefix, err)
	}
	return nil
}

// A bucket takes a while for each file.
const deletedAtOnce = 16

func (s *Store) deleteListed(ctx context.Context, prefix string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(deletedAtOnce)
	list := s.bucket.List(&blob.ListOptions{Prefix: prefix})
	for {
		object, err := list.Next(ctx)
		if err == io.EOF {
			return group.Wait()
		}
		if err != nil {
			return errors.Join(group.Wait(), err)
		}
		group.Go(func() error {
			if err := s.bucket.Delete(ctx, object.Key); err != nil && !errors.Is(known(err), ErrNotFound) {
				return err
			}
			return nil
		})
	}
}

// known returns an error that is ErrNotFound where err says that.
func known(err error) error {
	if gcerrors.Code(err) == gcerrors.NotFound && !noSuchBucket(err) {
		return ErrNotFound
	}
	return err
}

// What stands in a key can be in a path and in a URL as it is, and begins with no dot:
// neither ".." nor a file of our own.
var keys = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}){0,4}$`)

func check(key string) error {
	if !keys.MatchString(key) || strings.HasSuffix(key, ".attrs") { // which would be no file of ours in a folder
		return fmt.Errorf("%q is no key of a file", key)
	}
	return nil
}

const urlPrefix = "/media/"

// Path returns the path of a file on this site.
func Path(key string) string { return urlPrefix + key }

// Key returns the key of a file from its path on this site; not ok where the path is
// not that of a file.
func Key(urlPath string) (key string, ok bool) {
	key, ok = strings.CutPrefix(urlPath, urlPrefix)
	if !ok || check(key) != nil {
		return "", false
	}
	return key, true
}

var contentTypes = map[string]string{
	".m3u8": "application/vnd.apple.mpegurl",
	".m4s":  "video/iso.segment",
	".mp4":  "video/mp4",
	".webm": "video/webm",
	".jpg":  "image/jpeg",
	".vtt":  "text/vtt; charset=utf-8",
}

// ContentType returns the type of a file by the end of its key.
func ContentType(key string) string {
	if kind, ok := contentTypes[path.Ext(key)]; ok {
		return kind
	}
	return "application/octet-stream"
}
