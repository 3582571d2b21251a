package live

import (
	"maps"
	"strings"
	"testing"
)

func TestVersionsReadWhatTheyWrite(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "catalogue=12", "catalogue=12,viewcounts=345", "a=0,b-c=1,d_e=9223372036854775807"} {
		p, err := ParseVersions(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if got := p.String(); got != text {
			t.Errorf("%q came back as %q", text, got)
		}
	}
	p, err := ParseVersions("b=2,a=1")
	if err != nil || !maps.Equal(p, Versions{"a": 1, "b": 2}) || p.String() != "a=1,b=2" {
		t.Errorf("got %v, %v", p, err)
	}
}

func TestMalformedVersionsAreRefused(t *testing.T) {
	t.Parallel()
	many := strings.TrimSuffix(strings.Repeat("a=1,", 3), ",")
	for i := range 33 {
		many += "," + strings.Repeat("x", i+1) + "=1"
	}
	for _, text := range []string{
		"12", "a", "a=", "=1", "a=-1", "a=+1", "a=1.0", "a=1,", ",a=1", "a=1,,b=2", "a=1,a=2", "a b=1", "a/b=1", "ä=1",
		"a=1\nb=2", "a=9223372036854775808", "a==1", strings.Repeat("a", 1023) + "=1", many,
	} {
		if p, err := ParseVersions(text); err == nil {
			t.Errorf("%.40q was read as %v", text, p)
		}
	}
	var several []string
	for i := range 33 {
		several = append(several, strings.Repeat("x", i+1)[:min(i+1, 20)]+strings.Repeat("y", i/20)+"=1")
	}
	if p, err := ParseVersions(strings.Join(several, ",")); err == nil {
		t.Errorf("%d versions were accepted", len(p))
	}
}

func FuzzParseVersions(f *testing.F) {
	f.Add("catalogue=12,viewcounts=345")
	f.Add("a=1,a=2")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParseVersions(text)
		if err != nil {
			return
		}
		again, err := ParseVersions(p.String())
		if err != nil || !maps.Equal(p, again) {
			t.Errorf("%q: %v became %v, %v", text, p, again, err)
		}
	})
}

func TestNotificationsAreRead(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]struct {
		topic   string
		version int64
	}{
		"viewcounts/abc 345": {"viewcounts/abc", 345},
		"catalogue 1":        {"catalogue", 1},
		"a/b/c 0":            {"a/b/c", 0},
	} {
		topic, version, err := parseNotification(payload)
		if err != nil || topic != want.topic || version != want.version {
			t.Errorf("%q: got %q %d, %v", payload, topic, version, err)
		}
	}
	for _, payload := range []string{"", " ", "catalogue", "catalogue ", " 1", "/a 1", "a/ 1", "a b 1", "a 1 ", "a -1", "a x", "a=b 1"} {
		if topic, version, err := parseNotification(payload); err == nil {
			t.Errorf("%q was read as %q %d", payload, topic, version)
		}
	}
}
