package views

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// count writes 1234567 as 1,234,567.
func count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// one picks the singular for exactly one.
func one(n int64, singular, plural string) string {
	if n == 1 {
		return singular
	}
	return plural
}

// length writes a duration as a player shows it: 0:07, 12:30, 1:02:03.
func length(d time.Duration) string {
	s := int64(d / time.Second) // rounded down, as players do
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// isoLength writes a duration for the datetime attribute of <time>.
func isoLength(d time.Duration) string {
	return fmt.Sprintf("PT%dS", int64(d/time.Second))
}

// seconds writes a duration as a decimal number of seconds, for scripts.
func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
}

// spokenSeconds rounds up, so that what the page promises is never less than what it asks.
func spokenSeconds(d time.Duration) string {
	n := int64((d + time.Second - 1) / time.Second)
	return strconv.FormatInt(n, 10) + one(n, " second", " seconds")
}

// title stands in for a lesson that nobody has named yet.
func title(s string) string {
	if s == "" {
		return "Untitled lesson"
	}
	return s
}

// elapsed writes how long something took: in milliseconds up to ten seconds, then ever coarser.
func elapsed(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return count(d.Milliseconds()) + " ms"
	case d < 2*time.Minute:
		return strconv.FormatFloat(float64(d.Milliseconds()/100)/10, 'f', 1, 64) + " s"
	case d < 2*time.Hour:
		return strconv.FormatInt(int64(d/time.Minute), 10) + " min"
	case d < 48*time.Hour:
		return strconv.FormatInt(int64(d/time.Hour), 10) + " h"
	}
	return strconv.FormatInt(int64(d/(24*time.Hour)), 10) + " days"
}

// size writes a length in units of 1,024, rounded down to one decimal where that says more: a
// limit that is written so is never more than is taken.
func size(n int64) string {
	units := []string{"bytes", "kB", "MB", "GB", "TB"}
	value, unit := float64(max(n, 0)), 0
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	digits := strconv.FormatFloat(math.Floor(value*10)/10, 'f', 1, 64)
	if value >= 100 || strings.HasSuffix(digits, ".0") {
		digits = strconv.FormatInt(int64(value), 10)
	}
	return digits + " " + units[unit]
}

// span writes a length of time in its one or two largest units: 4 hours, 1 hour 30 minutes.
func span(d time.Duration) string {
	h, m, s := int64(d/time.Hour), int64(d/time.Minute)%60, int64(d/time.Second)%60
	parts := make([]string, 0, 3)
	for _, part := range []struct {
		n    int64
		unit string
	}{{h, "hour"}, {m, "minute"}, {s, "second"}} {
		if part.n > 0 {
			parts = append(parts, count(part.n)+" "+one(part.n, part.unit, part.unit+"s"))
		}
	}
	if len(parts) == 0 {
		return "0 seconds"
	}
	return strings.Join(parts[:min(2, len(parts))], " ")
}

// left writes an estimate, coarser than it is known: it would jump otherwise.
func left(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < 10*time.Second:
		return "a few seconds left"
	case d < 55*time.Second:
		return fmt.Sprintf("about %d s left", d.Round(10*time.Second)/time.Second)
	case d < 59*time.Minute+30*time.Second:
		return fmt.Sprintf("about %d min left", d.Round(time.Minute)/time.Minute)
	}
	return fmt.Sprintf("about %d h left", d.Round(time.Hour)/time.Hour)
}
