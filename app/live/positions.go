package live

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Positions says up to which global position, inclusive, a page shows each projection: name → global position.
// A projection that is missing is one of which the page has nothing.
type Positions map[string]int64

// Positions come back from browsers, which may send anything.
const (
	maxPositionsLength = 1024 // bytes
	maxPositionsCount  = 32
)

// ParsePositions reads the form that String writes. The empty string means no positions.
func ParsePositions(s string) (Positions, error) {
	if len(s) > maxPositionsLength {
		return nil, fmt.Errorf("positions of %d bytes: at most %d are accepted", len(s), maxPositionsLength)
	}
	positions := Positions{}
	if s == "" {
		return positions, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		name, number, _ := strings.Cut(part, "=")
		position, err := parsePosition(number)
		if err != nil {
			return nil, fmt.Errorf("position %q: %w", part, err)
		}
		if !isName(name) {
			return nil, fmt.Errorf("position %q: not a projection's name", part)
		}
		if _, twice := positions[name]; twice {
			return nil, fmt.Errorf("position %q: %s is there twice", part, name)
		}
		positions[name] = position
	}
	if len(positions) > maxPositionsCount {
		return nil, fmt.Errorf("%d positions: at most %d are accepted", len(positions), maxPositionsCount)
	}
	return positions, nil
}

// String writes the positions sorted by name, as in "catalogue=12,viewcounts=345". It is the id of each frame,
// and what the ?at= of a page's stream address holds.
func (p Positions) String() string {
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
func (p Positions) before(q Positions) bool {
	for name, position := range p {
		if position < q[name] {
			return true
		}
	}
	return false
}

// parsePosition reads a global position: digits only, and small enough for a bigint.
func parsePosition(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is not a global position", s)
	}
	return int64(n), nil
}

func isName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
}

// parseNotification reads "<topic> <position>", the payload of NOTIFY views.
func parseNotification(payload string) (topic string, position int64, err error) {
	topic, number, _ := strings.Cut(payload, " ")
	if position, err = parsePosition(number); err != nil {
		return "", 0, err
	}
	if !isName(projectionOf(topic)) || strings.HasSuffix(topic, "/") {
		return "", 0, fmt.Errorf("%q is not a topic", topic)
	}
	return topic, position, nil
}

// projectionOf names the projection that a topic belongs to: its first path segment.
func projectionOf(topic string) string {
	name, _, _ := strings.Cut(topic, "/")
	return name
}
