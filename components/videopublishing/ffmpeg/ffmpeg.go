// Package ffmpeg makes of any film what browsers play: HLS in several sizes, a poster,
// pictures for the seek bar and one plain MP4. It does so by the programs ffmpeg and
// ffprobe, which read what strangers hand in: they run in a sandbox without network,
// without other files, and with limits on time, memory and output (sandbox.go).
//
// Nothing here knows messages or the media store: files go in, files come out.
package ffmpeg

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	landlock "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// Config limits what an [Encoder] takes upon itself.
type Config struct {
	// Duration is the longest film that is taken; 0: 4 hours.
	Duration time.Duration
	// Memory is the most address space that one process may have, in bytes; 0: 3 GiB.
	Memory uint64
}

// Encoder runs ffmpeg and ffprobe. It keeps no state between calls and may be used by
// several goroutines at the same time.
type Encoder struct {
	config   Config
	version  string
	programs map[string]string // where ffmpeg and ffprobe are
	isolated bool              // run in namespaces of their own: not every machine allows them
	tonemaps bool              // can make of HDR what other screens show
	second   time.Duration     // shorter in tests
}

// Refusal is the error for what is the file's own fault: trying again does not help.
type Refusal struct {
	// Reason is one of "not-a-video", "no-video-track", "film-too-long", "too-big",
	// "damaged", "took-too-long", "too-much-output" and "needs-ffmpeg".
	Reason string
	// Detail is for the log.
	Detail string
}

const (
	notAVideo     = "not-a-video"
	noVideoTrack  = "no-video-track"
	filmTooLong   = "film-too-long"
	tooBig        = "too-big" // the picture, or what it takes to decode it
	damaged       = "damaged"
	tookTooLong   = "took-too-long"
	tooMuchOutput = "too-much-output"
	needsFFmpeg   = "needs-ffmpeg"
)

// Error says the reason and the detail.
func (r *Refusal) Error() string {
	if r.Detail == "" {
		return r.Reason
	}
	return r.Reason + ": " + r.Detail
}

const remedy = "(Debian: apt-get install ffmpeg)"

// Find looks for ffmpeg and ffprobe on the PATH, with all that is needed of them. Its
// error says in one sentence what is missing and how to get it.
func Find(config Config) (*Encoder, error) {
	if !confines {
		return nil, errors.New("films are transcoded on Linux only, where ffmpeg can be kept from all but the film")
	}
	config.Duration, config.Memory = orElse(config.Duration, 4*time.Hour), orElse(config.Memory, 3<<30)
	e := &Encoder{config: config, programs: map[string]string{}, second: time.Second}
	for _, name := range []string{"ffmpeg", "ffprobe"} {
		path, err := exec.LookPath(name)
		if err != nil {
			return nil, fmt.Errorf("%s is not on the PATH %s", name, remedy)
		}
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return nil, fmt.Errorf("find %s: %w", name, err)
		}
		if path, err = filepath.Abs(path); err != nil {
			return nil, fmt.Errorf("find %s: %w", name, err)
		}
		e.programs[name] = path
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, e.isolated = range []bool{true, false} { // containers often allow no namespaces
		version, err := e.list(ctx, "-version")
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EUSERS) || errors.Is(err, syscall.ENOSYS) {
			if e.isolated {
				continue
			}
		}
		if err != nil {
			return nil, fmt.Errorf("try ffmpeg: %w", err)
		}
		e.version, _, _ = strings.Cut(strings.TrimPrefix(version, "ffmpeg version "), " ")
		if complete(version) {
			e.tonemaps = strings.Contains(version, "--enable-libzimg")
			return e, nil
		}
		break
	}
	var missing []string
	for _, part := range []struct {
		list  string
		names []string
	}{
		{"-h muxer=hls", []string{"-hls_segment_options"}}, // since 4.4
		{"-encoders", []string{"libx264", "aac", "mjpeg"}},
		{"-filters", []string{"fps", "tpad", "scale", "split", "setsar", "yadif", "tile", "aresample", "aformat", "ebur128", "volume", "alimiter", "apad"}},
		{"-muxers", []string{"hls", "mp4", "framecrc"}},
	} {
		text, err := e.list(ctx, part.list)
		if err != nil {
			return nil, fmt.Errorf("try ffmpeg: %w", err)
		}
		words := strings.Fields(text)
		for _, name := range part.names {
			if !slices.Contains(words, name) {
				missing = append(missing, name)
			}
		}
		if part.list == "-filters" {
			e.tonemaps = slices.Contains(words, "zscale") && slices.Contains(words, "tonemap")
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("%s lacks %s: another build of ffmpeg is needed %s", e.programs["ffmpeg"], strings.Join(missing, ", "), remedy)
	}
	return e, nil
}

var (
	formatsVersion = regexp.MustCompile(`(?m)^ *libavformat +(\d+)\. *(\d+)\.`)
	partLeftOut    = regexp.MustCompile(`--disable-(everything|all|(encoder|filter|muxer|protocol)s?)\b`)
)

// complete reports whether what ffmpeg says of how it was built is enough to know that
// nothing is missing. Four lists would tell it too, in five times the time.
func complete(version string) bool {
	formats := formatsVersion.FindStringSubmatch(version)
	if formats == nil || partLeftOut.MatchString(version) || !strings.Contains(version, "--enable-libx264") {
		return false
	}
	major, _ := strconv.Atoi(formats[1])
	minor, _ := strconv.Atoi(formats[2])
	return major > 58 || major == 58 && minor >= 76 // ffmpeg 4.4
}

// list returns what ffmpeg prints about itself.
func (e *Encoder) list(ctx context.Context, what string) (string, error) {
	var text strings.Builder
	_, err := e.run(ctx, job{program: "ffmpeg", args: append([]string{"-hide_banner"}, strings.Fields(what)...), line: func(line string) (bool, error) {
		text.WriteString(line + "\n")
		return true, nil
	}})
	return text.String(), err
}

// String says which ffmpeg it is and what of the sandbox this machine allows.
func (e *Encoder) String() string {
	sandbox := "without Landlock"
	if version := landlockVersion(); version > 0 {
		sandbox = fmt.Sprintf("in Landlock %d", version)
	}
	if e.isolated {
		return fmt.Sprintf("ffmpeg %s, %s and namespaces of its own", e.version, sandbox)
	}
	return fmt.Sprintf("ffmpeg %s, %s, without namespaces of its own", e.version, sandbox)
}

// Gaps says what of the sandbox this machine does not allow, and what a film that breaks
// into ffmpeg could do therefore; it is empty where nothing is missing.
func (e *Encoder) Gaps() string { return gaps(landlockVersion(), e.isolated) }

func gaps(landlockVersion int, isolated bool) string {
	var found []string
	switch {
	case landlockVersion <= 0:
		found = append(found, "without Landlock in the kernel it could read and write all files of this user")
	case landlockVersion < 3:
		found = append(found, "with the Landlock of a kernel before 6.2 it could empty files of this user")
	}
	if !isolated {
		found = append(found, "without user, process and network namespaces it could reach the network and the processes of this user")
	}
	return strings.Join(found, "; ")
}

// landlockVersion is which version of Landlock the kernel has; 0: none.
func landlockVersion() int {
	version, err := landlock.LandlockGetABIVersion()
	if err != nil {
		return 0
	}
	return version
}
