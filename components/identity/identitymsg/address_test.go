package identitymsg_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"

	"videotutorials/components/identity/identitymsg"
)

func TestNormalAddress(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"ada@example.org":                  "ada@example.org",
		"  Ada@Example.ORG\t\n":            "ada@example.org",
		"\u00a0ada@example.org\u2003":      "ada@example.org", // other kinds of space
		"ada+lessons@example.org":          "ada+lessons@example.org",
		"a.d-a_'1@sub.example.co.uk":       "a.d-a_'1@sub.example.co.uk",
		"ada@example.org.":                 "ada@example.org", // the root of DNS
		"ada@localhost":                    "ada@localhost",
		"ada@BÜCHER.example":               "ada@xn--bcher-kva.example",
		"ada@bu\u0308cher.example":         "ada@xn--bcher-kva.example", // u and a combining diaeresis
		"ada@xn--bcher-kva.example":        "ada@xn--bcher-kva.example",
		"ada@XN--BCHER-KVA.example":        "ada@xn--bcher-kva.example",
		"ada@ｅｘａｍｐｌｅ.org":                  "ada@example.org", // full width
		"ada@example。org":                  "ada@example.org", // an ideographic full stop
		"ada@exam\u00adple.org":            "ada@example.org", // a soft hyphen, which nobody sees
		"ZOE\u0308@example.org":            "zo\u00eb@example.org",
		"zo\u00eb@example.org":             "zo\u00eb@example.org",
		"иван@пример.example":              "иван@xn--e1afmkfd.example",
		"o'neil@example.org":               "o'neil@example.org",
		strings.Repeat("a", 64) + "@x.org": strings.Repeat("a", 64) + "@x.org",

		"":                                 "",
		" ":                                "",
		"@":                                "",
		"ada":                              "",
		"ada@":                             "",
		"@example.org":                     "",
		"ada@example":                      "",
		"ada@.":                            "",
		"ada@.org":                         "",
		"ada@example..org":                 "",
		"ada@-example.org":                 "",
		"ada@exam_ple.org":                 "",
		"ada@exam ple.org":                 "",
		"ada@[127.0.0.1]":                  "",
		"ada@example.org:25":               "",
		"a da@example.org":                 "",
		"ada@b@example.org":                "",
		".ada@example.org":                 "",
		"ada.@example.org":                 "",
		"a..da@example.org":                "",
		`"ada"@example.org`:                "",
		`"a b"@example.org`:                "",
		`a\b@example.org`:                  "",
		"ada(x)@example.org":               "",
		"ada@example.org(x)":               "",
		"<ada@example.org>":                "",
		"Ada <ada@example.org>":            "",
		"ada@example.org, bob@example.org": "",
		"ada@example.org\r\nBcc: bob@example.org":       "",
		"ada\r\nBcc: bob@example.org":                   "",
		"ada\x00@example.org":                           "",
		"ada\x7f@example.org":                           "",
		"ada\u0085@example.org":                         "", // another line end
		"ada\u2028@example.org":                         "",
		"ada\u00a0b@example.org":                        "",
		"ada\u200b@example.org":                         "", // nothing to see
		"ada\u202egro@example.org":                      "", // written backwards
		"ada\u00ad@example.org":                         "",
		"ada@example\u202e.org":                         "",
		"ada\xff@example.org":                           "",
		"ada@example.org\xff":                           "",
		strings.Repeat("a", 65) + "@example.org":        "", // longer than SMTP takes
		"ada@" + strings.Repeat("a", 64) + ".org":       "",
		"ada@" + strings.Repeat("abcdefg.", 40) + "org": "",
	} {
		got, err := identitymsg.NormalAddress(typed)
		if got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, identitymsg.ErrNoAddress) {
			t.Errorf("%+q: %+q, %v; want %+q", typed, got, err, want)
		}
	}
}

// What is an address is one in its normal form, whatever was typed, and nothing in it
// could end a line of a mail's header.
func FuzzNormalAddress(f *testing.F) {
	for _, typed := range []string{"ada@example.org", "ADA@BÜCHER.example.", "zoe\u0308@ｅｘ.org", "İ@x.org", "\u1e9e@stra\u00dfe.example", "a@xn--.org", "a@\u2488com", "K@x.org", "a\u0345\u0301@x.y"} {
		f.Add(typed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		normal, err := identitymsg.NormalAddress(typed)
		if err != nil {
			if normal != "" {
				t.Errorf("%+q: %+q and an error", typed, normal)
			}
			return
		}
		if again, err := identitymsg.NormalAddress(normal); err != nil || again != normal {
			t.Errorf("%+q: %+q, and then %+q, %v", typed, normal, again, err)
		}
		for _, same := range []string{strings.ToUpper(normal[strings.LastIndexByte(normal, '@'):]), normal[strings.LastIndexByte(normal, '@'):] + "."} {
			if got, err := identitymsg.NormalAddress(normal[:strings.LastIndexByte(normal, '@')] + same); err != nil || got != normal {
				t.Errorf("%+q with the domain %q is %+q, %v", normal, same, got, err)
			}
		}
		for _, r := range normal {
			if unicode.IsControl(r) || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) {
				t.Errorf("%+q holds %U", normal, r)
			}
		}
		if len(normal) > 254 || strings.Count(normal, "@") != 1 {
			t.Errorf("%+q", normal)
		}
	})
}
