package ffmpeg

import (
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// AsItIs is what [PlayableAsItIs] found in a file.
type AsItIs struct {
	// ContentType is "video/mp4" or "video/webm".
	ContentType string
	// Duration is zero where the file does not say it.
	Duration time.Duration
	// Width and Height are those of the picture as it is shown.
	Width, Height int
}

// PlayableAsItIs says whether browsers play a file without anything done to it: an MP4
// with H.264, and AAC or no sound, or a WebM with VP8, VP9 or AV1, and Opus, Vorbis or no
// sound. It needs no ffmpeg, and reads little of the file. A [*Refusal] says why not.
func PlayableAsItIs(file string) (AsItIs, error) {
	f, err := os.Open(file)
	if err != nil {
		return AsItIs{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return AsItIs{}, err
	}
	found, err := playableAsItIs(f, info.Size())
	if err == nil && (found.Width <= 0 || found.Height <= 0) {
		err = &Refusal{Reason: damaged, Detail: "the picture has no size"}
	}
	if err == nil && (found.Width > mostPixels/found.Height) {
		err = &Refusal{Reason: tooBig, Detail: fmt.Sprintf("%d×%d", found.Width, found.Height)}
	}
	if err != nil {
		return AsItIs{}, fmt.Errorf("look into %s: %w", file, err)
	}
	return found, nil
}

func playableAsItIs(f io.ReaderAt, size int64) (AsItIs, error) {
	start := make([]byte, 512)
	n, err := f.ReadAt(start, 0)
	if err != nil && err != io.EOF {
		return AsItIs{}, err
	}
	start = start[:n]
	switch {
	case !container(start):
		kind, _, _ := strings.Cut(http.DetectContentType(start), "/")
		switch {
		case n == 0 || kind == "text" || kind == "image" || n >= 12 && string(start[4:8]) == "ftyp": // a still picture
			return AsItIs{}, &Refusal{Reason: notAVideo}
		case kind == "audio":
			return AsItIs{}, &Refusal{Reason: noVideoTrack}
		}
		return AsItIs{}, &Refusal{Reason: needsFFmpeg}
	case string(start[4:8]) == "ftyp" && string(start[8:12]) != "qt  ":
		return mp4AsItIs(f, size)
	case string(start[:4]) == "\x1aE\xdf\xa3":
		return webmAsItIs(f, size)
	}
	return AsItIs{}, &Refusal{Reason: needsFFmpeg}
}

// mostHeader is the most bytes that are read of what describes a film.
const mostHeader = 64 << 20

// mp4AsItIs looks into an MP4 (ISO/IEC 14496-12), whose parts are boxes in boxes.
func mp4AsItIs(f io.ReaderAt, size int64) (AsItIs, error) {
	var moov []byte
	at := int64(0)
	for boxes := 0; at < size; boxes++ {
		head := make([]byte, 16)
		n, err := f.ReadAt(head, at)
		if err != nil && err != io.EOF {
			return AsItIs{}, err
		}
		body, length, ok := boxHead(head[:n], uint64(size-at))
		if !ok {
			return AsItIs{}, &Refusal{Reason: damaged, Detail: fmt.Sprintf("it ends within what begins at %d", at)}
		}
		if boxes == 100_000 {
			return AsItIs{}, &Refusal{Reason: needsFFmpeg, Detail: "there is no end to its boxes"}
		}
		if string(head[4:8]) == "moov" && moov == nil {
			if length > mostHeader {
				return AsItIs{}, &Refusal{Reason: needsFFmpeg, Detail: "it has a header of more than 64 MiB"}
			}
			moov = make([]byte, length-uint64(body))
			if _, err := f.ReadAt(moov, at+int64(body)); err != nil {
				return AsItIs{}, err
			}
		}
		at += int64(length)
	}
	if moov == nil {
		return AsItIs{}, &Refusal{Reason: damaged, Detail: "it has no header"}
	}

	found := AsItIs{ContentType: "video/mp4"}
	if mvhd := child(moov, "mvhd"); len(mvhd) >= 20 && mvhd[0] == 0 {
		found.Duration = ticks(uint64(binary.BigEndian.Uint32(mvhd[16:])), binary.BigEndian.Uint32(mvhd[12:]))
	} else if len(mvhd) >= 32 {
		found.Duration = ticks(binary.BigEndian.Uint64(mvhd[24:]), binary.BigEndian.Uint32(mvhd[20:]))
	}
	fragmented := child(moov, "mvex") != nil
	video := false
	for name, trak := range boxes(moov) {
		if name != "trak" {
			continue
		}
		mdia := child(trak, "mdia")
		hdlr, stbl := child(mdia, "hdlr"), child(child(mdia, "minf"), "stbl")
		stsd := child(stbl, "stsd")
		if len(hdlr) < 12 || len(stsd) < 16 {
			continue
		}
		codec, entry := firstBox(stsd[8:])
		switch string(hdlr[8:12]) {
		case "vide":
			if !video && !h264(codec, entry) {
				return AsItIs{}, &Refusal{Reason: needsFFmpeg, Detail: "its pictures are " + codec}
			}
			if stsz := child(stbl, "stsz"); !fragmented && (len(stsz) < 12 || binary.BigEndian.Uint32(stsz[8:]) == 0) {
				return AsItIs{}, &Refusal{Reason: damaged, Detail: "there are no pictures"}
			}
			if !video {
				found.Width, found.Height = shown(child(trak, "tkhd"))
			}
			video = true
		case "soun":
			if !aac(codec, entry) {
				return AsItIs{}, &Refusal{Reason: needsFFmpeg, Detail: "its sound is " + codec}
			}
		}
	}
	if !video {
		return AsItIs{}, &Refusal{Reason: noVideoTrack}
	}
	return found, nil
}

// boxHead reads the head of a box of which at most most bytes are there: how long it is,
// and with its body.
func boxHead(head []byte, most uint64) (body int, length uint64, ok bool) {
	if len(head) < 8 {
		return 0, 0, false
	}
	body, length = 8, uint64(binary.BigEndian.Uint32(head))
	switch {
	case length == 0: // to the end
		length = most
	case length == 1 && len(head) >= 16:
		body, length = 16, binary.BigEndian.Uint64(head[8:])
	}
	return body, length, length >= uint64(body) && length <= most
}

// boxes goes through the boxes in the body of another, as far as they are whole.
func boxes(all []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for len(all) > 0 {
			body, length, ok := boxHead(all, uint64(len(all)))
			if !ok || !yield(string(all[4:8]), all[body:length]) {
				return
			}
			all = all[length:]
		}
	}
}

// child returns the body of the first box with a name; nil where there is none.
func child(all []byte, name string) []byte {
	for n, body := range boxes(all) {
		if n == name {
			return body
		}
	}
	return nil
}

func firstBox(all []byte) (name string, body []byte) {
	for n, b := range boxes(all) {
		return n, b
	}
	return "", nil
}

// h264 says whether a description of pictures is H.264 that browsers decode: 8 bits, 4:2:0.
func h264(codec string, entry []byte) bool {
	const visual = 78 // what all descriptions of pictures begin with
	if codec != "avc1" && codec != "avc3" || len(entry) < visual {
		return false
	}
	config := child(entry[visual:], "avcC")
	return len(config) >= 4 && slices.Contains([]byte{66, 77, 88, 100}, config[1])
}

// aac says whether a description of sound is AAC.
func aac(codec string, entry []byte) bool {
	const audible = 28
	if codec != "mp4a" || len(entry) < audible {
		return false
	}
	esds := child(entry[audible:], "esds")
	if len(esds) < 4 {
		return false
	}
	// Descriptors in descriptors: the one with tag 4 says which codec it is.
	for d := esds[4:]; len(d) >= 2; {
		tag := d[0]
		length, used := 0, 1
		for used < len(d) && used <= 4 {
			b := d[used]
			length, used = length<<7|int(b&0x7f), used+1
			if b&0x80 == 0 {
				break
			}
		}
		d = d[used:]
		switch {
		case tag == 3 && len(d) >= 3: // its own three bytes, then the others; no flags are usual
			d = d[3:]
		case tag == 4 && len(d) >= 1:
			return slices.Contains([]byte{0x40, 0x66, 0x67, 0x68}, d[0])
		default:
			d = d[min(length, len(d)):]
		}
	}
	return false
}

// shown returns the size of the picture that the header of a track tells.
func shown(tkhd []byte) (width, height int) {
	at := 40 // of the matrix
	if len(tkhd) > 0 && tkhd[0] == 1 {
		at = 52
	}
	if len(tkhd) < at+44 {
		return 0, 0
	}
	width, height = int(binary.BigEndian.Uint32(tkhd[at+36:])>>16), int(binary.BigEndian.Uint32(tkhd[at+40:])>>16)
	if a := int32(binary.BigEndian.Uint32(tkhd[at:])); a == 0 { // turned by a quarter
		return height, width
	}
	return width, height
}

// ticks is the duration of n of them; zero for "not known".
func ticks(n uint64, perSecond uint32) time.Duration {
	if perSecond == 0 || n == math.MaxUint32 || n == math.MaxUint64 {
		return 0
	}
	return duration(float64(n) / float64(perSecond))
}

// The elements of WebM that matter here.
const (
	ebmlHeader    = 0x1A45DFA3
	ebmlDocType   = 0x4282
	webmSegment   = 0x18538067
	webmInfo      = 0x1549A966
	webmScale     = 0x2AD7B1
	webmDuration  = 0x4489
	webmTracks    = 0x1654AE6B
	webmTrack     = 0xAE
	webmTrackType = 0x83
	webmCodec     = 0x86
	webmVideo     = 0xE0
	webmWidth     = 0xB0
	webmHeight    = 0xBA
	webmCluster   = 0x1F43B675
)

// webmAsItIs looks into a WebM (RFC 8794 and RFC 9559), whose parts are elements in
// elements. What it has to know stands before the first cluster of pictures and sound.
func webmAsItIs(f io.ReaderAt, size int64) (AsItIs, error) {
	parts := map[uint64][]byte{}
	at := int64(0)
	for elements := 0; ; elements++ {
		head := make([]byte, 12)
		n, err := f.ReadAt(head, at)
		if err != nil && err != io.EOF {
			return AsItIs{}, err
		}
		id, length, body, known := elementHead(head[:n])
		left := size - at - int64(body)
		if body == 0 || (known && length > uint64(max(0, left))) {
			return AsItIs{}, &Refusal{Reason: damaged, Detail: fmt.Sprintf("it ends within what begins at %d", at)}
		}
		if elements == 10_000 {
			return AsItIs{}, &Refusal{Reason: needsFFmpeg, Detail: "there is no end to its elements"}
		}
		at += int64(body)
		if id == webmSegment {
			continue // its parts are next
		}
		if id == webmCluster {
			break
		}
		if !known {
			return AsItIs{}, &Refusal{Reason: needsFFmpeg, Detail: "it is not told how long its header is"}
		}
		if (id == ebmlHeader || id == webmInfo || id == webmTracks) && parts[id] == nil {
			if length > mostHeader {
				return AsItIs{}, &Refusal{Reason: needsFFmpeg, Detail: "it has a header of more than 64 MiB"}
			}
			parts[id] = make([]byte, length)
			if _, err := f.ReadAt(parts[id], at); err != nil {
				return AsItIs{}, err
			}
		}
		at += int64(length)
	}
	info, tracks := parts[webmInfo], parts[webmTracks]
	if kind := strings.TrimRight(string(element(parts[ebmlHeader], ebmlDocType)), "\x00"); kind != "webm" {
		return AsItIs{}, &Refusal{Reason: needsFFmpeg, Detail: "it is not WebM"}
	}

	found := AsItIs{ContentType: "video/webm"}
	scale := orElse(number(element(info, webmScale)), 1_000_000)
	switch d := element(info, webmDuration); len(d) {
	case 4:
		found.Duration = duration(float64(math.Float32frombits(binary.BigEndian.Uint32(d))) * float64(scale) / 1e9)
	case 8:
		found.Duration = duration(math.Float64frombits(binary.BigEndian.Uint64(d)) * float64(scale) / 1e9)
	}
	found.Duration = max(0, found.Duration)
	video := false
	for id, track := range elements(tracks) {
		if id != webmTrack {
			continue
		}
		codec := strings.TrimRight(string(element(track, webmCodec)), "\x00")
		var allowed []string
		switch number(element(track, webmTrackType)) {
		case 1:
			allowed = []string{"V_VP8", "V_VP9", "V_AV1"}
			if size := element(track, webmVideo); !video {
				found.Width, found.Height = int(min(number(element(size, webmWidth)), 1<<20)), int(min(number(element(size, webmHeight)), 1<<20))
			}
			video = true
		case 2:
			allowed = []string{"A_OPUS", "A_VORBIS"}
		default:
			continue
		}
		if !slices.Contains(allowed, codec) {
			return AsItIs{}, &Refusal{Reason: needsFFmpeg, Detail: fmt.Sprintf("there is a track of %q", codec)}
		}
	}
	if !video {
		return AsItIs{}, &Refusal{Reason: noVideoTrack}
	}
	return found, nil
}

// elementHead reads the head of an element: body is how long that is, 0 where it is none.
// known is false for an element that lasts until something else begins.
func elementHead(head []byte) (id, length uint64, body int, known bool) {
	if len(head) == 0 || head[0] < 0x10 {
		return 0, 0, 0, false
	}
	width := 1
	for mask := byte(0x80); head[0]&mask == 0; mask >>= 1 {
		width++
	}
	if len(head) <= width || head[width] == 0 {
		return 0, 0, 0, false
	}
	for _, b := range head[:width] {
		id = id<<8 | uint64(b)
	}
	head = head[width:]
	long, mask := 1, byte(0x80)
	for ; head[0]&mask == 0; mask >>= 1 {
		long++
	}
	if len(head) < long {
		return 0, 0, 0, false
	}
	length = uint64(head[0] & (mask - 1))
	for _, b := range head[1:long] {
		length = length<<8 | uint64(b)
	}
	return id, length, width + long, length != 1<<(7*long)-1
}

// elements goes through the elements in the body of another, as far as they are whole.
func elements(all []byte) iter.Seq2[uint64, []byte] {
	return func(yield func(uint64, []byte) bool) {
		for len(all) > 0 {
			id, length, body, known := elementHead(all)
			if body == 0 || !known || length > uint64(len(all)-body) || !yield(id, all[body:body+int(length)]) {
				return
			}
			all = all[body+int(length):]
		}
	}
}

// element returns the body of the first element with an id; nil where there is none.
func element(all []byte, id uint64) []byte {
	for i, body := range elements(all) {
		if i == id {
			return body
		}
	}
	return nil
}

func number(bytes []byte) (n uint64) {
	for _, b := range bytes[:min(8, len(bytes))] {
		n = n<<8 | uint64(b)
	}
	return n
}
