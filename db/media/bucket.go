package media

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"
)

// openTime is how long a bucket may take to show that it can be used.
const openTime = 20 * time.Second

func openBucket(ctx context.Context, address string) (*Store, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "s3" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil {
		return nil, errors.New("it must be like s3://name?region=eu-central-1")
	}
	s := &Store{name: "the bucket " + u.Host}
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	if s.bucket, err = dial(ctx, u); err != nil {
		return nil, err
	}
	if err := s.try(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s %w", s.name, inWords(err)), s.bucket.Close())
	}
	return s, nil
}

func dial(ctx context.Context, u *url.URL) (*blob.Bucket, error) {
	var region, endpoint string
	var pathStyle bool
	options := []func(*config.LoadOptions) error{config.WithLogger(logging.Nop{})}
	for name, values := range u.Query() {
		value := values[0]
		switch name {
		case "region":
			region = value
		case "endpoint":
			endpoint = value
			if e, err := url.Parse(value); err != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "" {
				return nil, errors.New("the endpoint must be like https://host:port")
			}
			// Few servers but Amazon's know the newer checksums.
			options = append(options, config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired))
		case "s3ForcePathStyle":
			var err error
			if pathStyle, err = strconv.ParseBool(value); err != nil {
				return nil, errors.New("s3ForcePathStyle must be true or false")
			}
		case "profile":
			options = append(options, config.WithSharedConfigProfile(value))
		default:
			return nil, fmt.Errorf("it has %s in it: only region, endpoint, s3ForcePathStyle and profile are known", name)
		}
	}
	if region != "" {
		options = append(options, config.WithRegion(region))
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("the settings for it cannot be read: %w", err)
	}
	switch {
	case loaded.Region == "" && endpoint == "":
		return nil, errors.New("it names no region: add region=eu-central-1 to it, or set AWS_REGION")
	case loaded.Region == "":
		loaded.Region = "us-east-1" // what servers expect that have none
	}
	if _, err := loaded.Credentials.Retrieve(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("its credentials were not found in time: %w", ctx.Err())
		}
		return nil, errors.New("there are no credentials for it: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	client := s3.NewFromConfig(loaded, func(o *s3.Options) {
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
		o.UsePathStyle = pathStyle
		o.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.DialContext = dialPatiently
			t.MaxIdleConnsPerHost = 64
		})
	})
	return s3blob.OpenBucket(ctx, client, u.Host, &s3blob.Options{RequestChecksumCalculation: loaded.RequestChecksumCalculation})
}

// try does once what the program needs later.
func (s *Store) try(ctx context.Context) error {
	key := "check/" + rand.Text()
	if _, _, err := s.bucket.ListPage(ctx, blob.FirstPageToken, 1, &blob.ListOptions{Prefix: key}); err != nil {
		return err
	}
	if err := s.bucket.WriteAll(ctx, key, nil, &blob.WriterOptions{ContentType: ContentType(key)}); err != nil {
		return err
	}
	return s.bucket.Delete(ctx, key)
}

// inWords shortens the error of a bucket to the end of a sentence that begins with its
// name.
func inWords(err error) error {
	var api smithy.APIError
	var network *net.OpError
	switch {
	case noSuchBucket(err):
		return errors.New("does not exist")
	case errors.As(err, &api):
		if api.ErrorMessage() == "" {
			return fmt.Errorf("cannot be used: %s", api.ErrorCode())
		}
		return fmt.Errorf("cannot be used: %s (%s)", api.ErrorMessage(), api.ErrorCode())
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("did not answer in time")
	case errors.As(err, &network):
		return fmt.Errorf("cannot be reached: %w", network)
	}
	return fmt.Errorf("cannot be used: %w", err)
}

func noSuchBucket(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "NoSuchBucket"
}

// stalled is how long a bucket may neither take nor send a byte.
const stalled = time.Minute

var dialer = net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}

func dialPatiently(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return patient{conn, stalled}, nil
}

// patient is a connection that breaks when nothing moves for too long. A limit on the
// whole of a request would have to be as long as the longest file takes.
type patient struct {
	net.Conn
	patience time.Duration
}

func (p patient) Read(b []byte) (int, error) {
	if err := p.SetReadDeadline(time.Now().Add(p.patience)); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}

func (p patient) Write(b []byte) (int, error) {
	if err := p.SetDeadline(time.Now().Add(p.patience)); err != nil { // somebody waits for the answer already
		return 0, err
	}
	return p.Conn.Write(b)
}

// download copies a file out of the bucket, in place of what a program that was killed
// has left of it. When it returns without an error, all of it is on the disk.
func (s *Store) download(ctx context.Context, key, to string) error {
	size, err := s.Size(ctx, key)
	if err != nil {
		return err
	}
	if info, err := os.Lstat(to); err == nil && info.Mode().IsRegular() && info.Size() == size {
		return nil
	}
	part := filepath.Join(filepath.Dir(to), ".fetch-"+filepath.Base(to))
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	defer func() {
		if same(part, f) {
			os.Remove(part)
		}
	}()
	for at := int64(0); at < size; {
		n, err := s.copyFrom(ctx, f, key, at)
		at += n
		switch {
		case n > 0 && ctx.Err() == nil: // whatever broke it on the way: it goes on from there
		case err != nil:
			return err
		default:
			return errors.Join(io.ErrUnexpectedEOF, ctx.Err())
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if !same(part, f) {
		return errors.New("somebody else has begun to fetch it to the same place")
	}
	return os.Rename(part, to)
}

func (s *Store) copyFrom(ctx context.Context, f *os.File, key string, at int64) (int64, error) {
	r, err := s.bucket.NewRangeReader(ctx, key, at, -1, nil)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return io.Copy(f, r)
}
