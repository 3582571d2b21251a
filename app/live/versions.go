package live

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Versions says up to which version, inclusive, a page shows each projection: name → version.
// A projection that is missing is one of which the page has nothing.
type Versions map[string]int64

// Versions come back from browsers, which may send anything.
const (
	maxVersionsLength = 1024 // bytes
	maxVersionsCount  = 32
)

// ParseVersions reads the form that String writes. The empty string means no versions.
func ParseVersions(s string) (Versions, error) {
	if len(s) > maxVersionsLength {
		return nil, fmt.Errorf("versions of %d bytes: at most %d are accepted", len(s), maxVersionsLength)
	}
	versions := Versions{}
	if s == "" {
		return versions, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		name, number, _ := strings.Cut(part, "=")
		version, err := parseVersion(number)
		if err != nil {
			return nil, fmt.Errorf("version %q: %w", part, err)
		}
		if !isName(name) {
			return nil, fmt.Errorf("version %q: not a projection's name", part)
		}
		if _, twice := versions[name]; twice {
			return nil, fmt.Errorf("version %q: %s is there twice", part, name)
		}
		versions[name] = version
	}
	if len(versions) > maxVersionsCount {
		return nil, fmt.Errorf("%d versions: at most %d are accepted", len(versions), maxVersionsCount)
	}
	return versions, nil
}

// String writes the versions sorted by name, as in "catalogue=12,viewcounts=345". It is the id of each frame,
// and what the ?at= of a page's stream address holds.
func (p Versions) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(name)
		b.WriteByte('=')
		b.WriteString(strconv.FormatInt(p[name], 10))
	}
	return b.String()
}

// before tells whether p is behind q in some projection that p names.
func (p Versions) before(q Versions) bool {
	for name, version := range p {
		if version < q[name] {
			return true
		}
	}
	return false
}

// parseVersion reads a version: digits only, and small enough for a bigint.
func parseVersion(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is not a version", s)
	}
	return int64(n), nil
}

func isName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
}

// parseNotification reads "<topic> <version>", the payload of NOTIFY views.
func parseNotification(payload string) (topic string, version int64, err error) {
	topic, number, _ := strings.Cut(payload, " ")
	if version, err = parseVersion(number); err != nil {
		return "", 0, err
	}
	if !isName(projectionOf(topic)) || strings.HasSuffix(topic, "/") {
		return "", 0, fmt.Errorf("%q is not a topic", topic)
	}
	return topic, version, nil
}

// projectionOf names the projection that a topic belongs to: its first path segment.
func projectionOf(topic string) string {
	name, _, _ := strings.Cut(topic, "/")
	return name
}
