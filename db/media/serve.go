package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"gocloud.dev/blob"
)

// Serve answers a GET or HEAD request with a file or the part of it that is asked for,
// with the type that the end of its key says, an ETag and Last-Modified. Whether the
// file may be seen, and how long it may be kept, is the caller's business.
//
// [ErrNotFound] is returned before anything was answered, another error perhaps after
// the beginning.
func (s *Store) Serve(w http.ResponseWriter, r *http.Request, key string) error {
	if err := check(key); err != nil {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	if strings.Contains(r.Header.Get("Range"), ",") {
		// Thousands of parts can be asked for at once, each a request to the bucket. The
		// whole file is a right answer too.
		r = r.Clone(r.Context())
		r.Header.Del("Range")
	}
	if s.folder != "" {
		return s.serveFile(w, r, key)
	}
	return s.serveObject(w, r, key)
}

func (s *Store) serveFile(w http.ResponseWriter, r *http.Request, key string) error {
	f, err := openRegular(s.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("serve %s: %w", key, ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("serve %s: %w", key, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("serve %s: %w", key, err)
	}
	tag := fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size())
	serve(w, r, key, tag, info.ModTime(), f)
	return nil
}

func serve(w http.ResponseWriter, r *http.Request, key, tag string, modified time.Time, content io.ReadSeeker) {
	w.Header().Set("Content-Type", ContentType(key))
	if tag != "" {
		w.Header().Set("ETag", tag)
	}
	http.ServeContent(w, r, "", modified, content)
}

func (s *Store) serveObject(w http.ResponseWriter, r *http.Request, key string) error {
	o := &object{ctx: r.Context(), bucket: s.bucket, key: key}
	defer o.close()
	if err := o.begin(r); err != nil {
		return fmt.Errorf("serve %s: %w", key, known(err))
	}
	serve(w, r, key, o.tag, o.modified, o)
	if o.failed != nil {
		return fmt.Errorf("serve %s: %w", key, o.failed)
	}
	return nil
}

// object reads a file of a bucket from where it was sought.
type object struct {
	ctx    context.Context
	bucket *blob.Bucket
	key    string

	size     int64
	tag      string
	modified time.Time

	offset int64        // of the next byte
	body   *blob.Reader // nil where none is open
	bodyAt int64        // where the body is
	failed error        // nobody is told what Read returns
}

// begin finds out what there is to say about the file. For most requests it begins to
// read it where they want it, which saves one request to the bucket for each segment of
// a video. That is no more than a guess: what is answered is decided by
// http.ServeContent, and Read begins anew where it was wrong.
func (o *object) begin(r *http.Request) error {
	if at, length, ok := plainRange(r); ok {
		err := o.open(at, length)
		if err == nil {
			o.size, o.modified = o.body.Size(), o.body.ModTime()
			return nil
		}
		if !outside(err) {
			return err
		}
	}
	attributes, err := o.bucket.Attributes(o.ctx, o.key)
	if err != nil {
		return err
	}
	o.size, o.modified, o.tag = attributes.Size, attributes.ModTime, attributes.ETag
	return nil
}

// plainRange returns the part that a request wants, a length of -1 for all that follows;
// not ok where that depends on the file, or nothing of it may be wanted.
func plainRange(r *http.Request) (at, length int64, ok bool) {
	if r.Method != http.MethodGet {
		return 0, 0, false
	}
	for _, condition := range []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range"} {
		if r.Header.Get(condition) != "" {
			return 0, 0, false
		}
	}
	header := r.Header.Get("Range")
	if header == "" {
		return 0, -1, true
	}
	first, last, ok := strings.Cut(strings.TrimPrefix(header, "bytes="), "-")
	at, err := strconv.ParseInt(first, 10, 64)
	if !ok || err != nil || at < 0 {
		return 0, 0, false
	}
	if last == "" {
		return at, -1, true
	}
	end, err := strconv.ParseInt(last, 10, 64)
	return at, end - at + 1, err == nil && end >= at && end < math.MaxInt64
}

func outside(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "InvalidRange"
}

// open begins to read the file that the tag names, of whatever there is where none is
// known yet.
func (o *object) open(at, length int64) error {
	body, err := o.bucket.NewRangeReader(o.ctx, o.key, at, length, &blob.ReaderOptions{BeforeRead: func(as func(any) bool) error {
		var input *s3.GetObjectInput
		if o.tag != "" && as(&input) {
			input.IfMatch = &o.tag
		}
		return nil
	}})
	if err != nil {
		return err
	}
	var output s3.GetObjectOutput
	if body.As(&output) && output.ETag != nil {
		o.tag = *output.ETag
	}
	o.body, o.bodyAt = body, at
	return nil
}

func (o *object) close() {
	if o.body != nil {
		o.body.Close()
		o.body = nil
	}
}

// Seek implements [io.Seeker].
func (o *object) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += o.offset
	case io.SeekEnd:
		offset += o.size
	}
	if offset < 0 {
		return 0, errors.New("sought before the beginning of a file")
	}
	o.offset = offset
	return offset, nil
}

// Read implements [io.Reader].
func (o *object) Read(p []byte) (n int, err error) {
	if o.offset >= o.size {
		return 0, io.EOF
	}
	if o.body != nil && o.bodyAt != o.offset {
		o.close()
	}
	if o.body == nil {
		if err := o.open(o.offset, -1); err != nil {
			o.failed = err
			return 0, err
		}
	}
	n, err = o.body.Read(p)
	o.offset += int64(n)
	o.bodyAt = o.offset
	if err == io.EOF && o.offset < o.size {
		err = nil
		if n == 0 {
			err = io.ErrUnexpectedEOF
		}
	}
	if err != nil && err != io.EOF {
		o.failed = err
	}
	return n, err
}
