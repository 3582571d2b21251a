package contracts

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"videotutorials/messagestore"
)

func TestEveryTypeOfTheSourceIsHere(t *testing.T) {
	t.Parallel()
	types := messageTypes(files(t))
	if len(types) < 60 {
		t.Fatalf("the source has %d types of messages", len(types))
	}
	here := map[goType]string{}
	bodies(func(category messagestore.Category, body messagestore.Body) {
		goType := goType{strings.TrimPrefix(reflect.TypeOf(body).PkgPath(), module), reflect.TypeOf(body).Name()}
		if _, twice := here[goType]; twice {
			t.Errorf("%v is here twice", goType)
		}
		here[goType] = body.MessageType()
	})
	for goType, name := range types {
		if !isMessagePackage(goType.pkg) {
			t.Errorf("%s.%s is a message outside of the packages for them", goType.pkg, goType.name)
		}
		if here[goType] != name {
			t.Errorf("%s.%s (%q) is %q in the registry", goType.pkg, goType.name, name, here[goType])
		}
	}
	if len(here) != len(types) {
		t.Errorf("%d types in the registry, %d in the source", len(here), len(types))
	}
}

func TestOfFindsAll(t *testing.T) {
	t.Parallel()
	for _, m := range All() {
		got, ok := Of(m.Category, m.Type)
		if !ok || !reflect.DeepEqual(got, m) {
			t.Errorf("%s %s is not found", m.Category, m.Type)
		}
		if (m.Kind == Command) != strings.HasSuffix(string(m.Category), ":command") {
			t.Errorf("%s %s is a %s", m.Category, m.Type, m.Kind)
		}
	}
	for _, unknown := range []messagestore.Category{"", "identity", "identity:command", "nothing", "identity:command:command"} {
		if m, ok := Of(unknown, "VideoNamed"); ok {
			t.Errorf("VideoNamed is found in %q: %+v", unknown, m)
		}
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		category messagestore.Category
		name     string
		want     []Field
	}{
		{"identity:command", "Register", []Field{{Name: "userId", Type: "string"}, {Name: "email", Type: "string", Masked: true}, {Name: "passwordHash", Type: "string", Masked: true}}},
		{"sendEmail", "Failed", []Field{{Name: "emailId", Type: "string"}, {Name: "to", Type: "string", Masked: true}, {Name: "subject", Type: "string", Masked: true},
			{Name: "text", Type: "string", Masked: true}, {Name: "html", Type: "string", Masked: true}, {Name: "reason", Type: "string", Masked: true}}},
		{"viewing", "VideoViewed", []Field{{Name: "videoId", Type: "string"}, {Name: "userId", Type: "string", Optional: true}}},
		{"subscriberPosition", "Read", []Field{{Name: "position", Type: "integer"}, {Name: "parked", Type: "object of object", Optional: true}, {Name: "parked.*.position", Type: "integer"},
			{Name: "parked.*.error", Type: "string"}, {Name: "parked.*.attempts", Type: "integer"}, {Name: "parked.*.released", Type: "boolean", Optional: true}}},
	} {
		m, ok := Of(test.category, test.name)
		if !ok {
			t.Errorf("%s %s is unknown", test.category, test.name)
		}
		got := slices.Clone(m.Fields)
		for i := range got {
			got[i].Doc = ""
		}
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s %s:\n got %+v\nwant %+v", test.category, test.name, got, test.want)
		}
	}
}

// What is named like this is never shown, whoever adds a message.
func TestFieldsThatMustBeMasked(t *testing.T) {
	t.Parallel()
	for _, m := range All() {
		for _, f := range m.Fields {
			name := strings.ToLower(f.Name[strings.LastIndexByte(f.Name, '.')+1:])
			secret := strings.Contains(name, "password") || strings.Contains(name, "email") && name != "emailid" || strings.Contains(name, "token") ||
				strings.Contains(name, "hash") || strings.Contains(name, "secret") || slices.Contains([]string{"to", "subject", "text", "html", "replaces", "previous"}, name)
			if m.Category == "videoPublishing" && f.Name == "replaces" { // a file on this site
				secret = false
			}
			if secret && !f.Masked {
				t.Errorf("%s %s: %s is not masked", m.Category, m.Type, f.Name)
			}
		}
	}
}

func TestMask(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat(`{"a":[`, n) + "1" + strings.Repeat("]}", n) }
	for name, test := range map[string]struct {
		stream     messagestore.Stream
		kind       string
		data, want string
		masked     string // separated by |
	}{
		"registered":                  {"identity-1", "Registered", `{"userId": "1", "email": "ada@example.org", "passwordHash": "$argon2"}`, `{"userId":"1","email":"[masked]","passwordHash":"[masked]"}`, "email|passwordHash"},
		"a command":                   {"identity:command-1", "Register", `{"email": "ada@example.org"}`, `{"email":"[masked]"}`, "email"},
		"nothing to mask":             {"videoPublishing-1", "VideoNamed", `{"videoId": "1", "name": "ada@example.org"}`, `{"videoId":"1","name":"ada@example.org"}`, ""},
		"embedded":                    {"sendEmail-1", "Sent", `{"emailId":"1","to":"a@b.c","subject":"s","text":"t","html":"h"}`, `{"emailId":"1","to":"[masked]","subject":"[masked]","text":"[masked]","html":"[masked]"}`, "html|subject|text|to"},
		"keys in other letters":       {"identity-1", "Registered", `{"EMAIL":"ada@example.org","Email":"x"}`, `{"EMAIL":"[masked]","Email":"[masked]"}`, "email"},
		"keys written as escapes":     {"identity-1", "Registered", `{"\u0065mail":"ada@example.org"}`, `{"\u0065mail":"[masked]"}`, "email"},
		"keys twice":                  {"identity-1", "Registered", `{"email":1,"email":2}`, `{"email":"[masked]","email":"[masked]"}`, "email"},
		"a key that folds":            {"sendEmail-1", "Sent", "{\"\u017fubject\":\"s\"}", "{\"\u017fubject\":\"[masked]\"}", "other fields"}, // the decoder takes it for subject
		"masked of another type":      {"identity-1", "Registered", `{"email":{"deep":["ada@example.org"]}}`, `{"email":"[masked]"}`, "email"},
		"masked null":                 {"identity-1", "Registered", `{"email":null}`, `{"email":"[masked]"}`, "email"},
		"a field that nobody knows":   {"identity-1", "Registered", `{"userId":"1","phone":"123","x":{"email":"a"}}`, `{"userId":"1","phone":"[masked]","x":"[masked]"}`, "other fields"},
		"known of another type":       {"identity-1", "Registered", `{"userId":{"email":"a"}}`, `{"userId":"[masked]"}`, "other fields"},
		"a number for a text":         {"identity-1", "Registered", `{"userId":12345678901234567890}`, `{"userId":"[masked]"}`, "other fields"},
		"numbers stay exact":          {"subscriberPosition-x", "Read", `{"position": 9223372036854775807}`, `{"position":9223372036854775807}`, ""},
		"nested":                      {"subscriberPosition-x", "Read", `{"position":1,"parked":{"a-1":{"position":2,"error":"e","secret":"s"},"b-2":7}}`, `{"position":1,"parked":{"a-1":{"position":2,"error":"e","secret":"[masked]"},"b-2":"[masked]"}}`, "other fields"},
		"null":                        {"subscriberPosition-x", "Read", `{"position":null,"parked":null}`, `{"position":null,"parked":null}`, ""},
		"hostile text":                {"videoPublishing-1", "VideoNamed", `{"name":"</script><script>\u0000\u202e\"'"}`, `{"name":"</script><script>\u0000\u202e\"'"}`, ""},
		"hostile keys":                {"videoPublishing-1", "VideoNamed", `{"</script>":1,"":2}`, `{"</script>":"[masked]","":"[masked]"}`, "other fields"},
		"deep":                        {"videoPublishing-1", "VideoNamed", `{"name":` + deep(4_000) + `}`, `{"name":"[masked]"}`, "other fields"},
		"deeper than any reader goes": {"videoPublishing-1", "VideoNamed", `{"name":` + deep(50_000) + `}`, `"[masked]"`, "data"},
		"empty object":                {"identity-1", "Registered", ` {} `, `{}`, ""},
		"a list":                      {"identity-1", "Registered", `["ada@example.org"]`, `"[masked]"`, "data"},
		"a text":                      {"identity-1", "Registered", `"ada@example.org"`, `"[masked]"`, "data"},
		"null for all":                {"identity-1", "Registered", `null`, `"[masked]"`, "data"},
		"no JSON":                     {"identity-1", "Registered", `{"email":"ada@example.org"`, `"[masked]"`, "data"},
		"two values":                  {"identity-1", "Registered", `{} {"email":"ada@example.org"}`, `"[masked]"`, "data"},
		"nothing":                     {"identity-1", "Registered", ``, ``, ""},
		"unknown type":                {"identity-1", "Renamed", `{"email":"ada@example.org"}`, `"[masked]"`, "*"},
		"unknown category":            {"other-1", "Registered", `{"email":"ada@example.org"}`, `"[masked]"`, "*"},
		"another program's":           {"weather-1", "RainFell", `{"ada@example.org":1}`, `"[masked]"`, "*"},
		"an event among commands":     {"identity:command-1", "Registered", `{"email":"ada@example.org"}`, `"[masked]"`, "*"},
		"unknown and empty":           {"weather-1", "RainFell", ``, ``, ""},
	} {
		data, masked := Mask(messagestore.Raw{Stream: test.stream, Type: test.kind, Data: json.RawMessage(test.data)})
		if string(data) != test.want || strings.Join(masked, "|") != test.masked {
			t.Errorf("%s: %.200s, masked %q; want %.200s, %q", name, data, masked, test.want, test.masked)
		}
	}
}

// Whatever the data are, nothing of a masked value comes through, and what comes is
// JSON.
func FuzzMask(f *testing.F) {
	for _, data := range []string{`{"email":"SECRET"}`, `{"userId":"1","EMAIL":["SECRET"]}`, `["SECRET"]`, `{"a":{"email":"SECRET"}}`, `{"email":"SECRET"`, `{"emai\u006c":"SECRET"}`} {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data string) {
		got, _ := Mask(messagestore.Raw{Stream: "identity-1", Type: "Registered", Data: json.RawMessage(data)})
		if strings.TrimSpace(data) != "" && !json.Valid(got) {
			t.Errorf("%q gives %q", data, got)
		}
		var shown struct{ Email, PasswordHash any }
		if json.Unmarshal(got, &shown) == nil && (shown.Email != nil && shown.Email != Masked || shown.PasswordHash != nil && shown.PasswordHash != Masked) {
			t.Errorf("%q gives %q", data, got)
		}
	})
}
