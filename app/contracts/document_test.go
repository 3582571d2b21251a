package contracts

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"

	"videotutorials/messagestore"
)

var update = flag.Bool("update", false, "write asyncapi.json and released.json anew")

// object is a part of the document.
type object = map[string]any

func ref(parts ...string) object { return object{"$ref": "#/" + strings.Join(parts, "/")} }

// generate makes the document from the source.
func generate(t *testing.T) []byte {
	t.Helper()
	packages := files(t)
	used := usesOf(packages, messageTypes(packages))
	said, commented := proseOf(t, packages), comments(packages)
	reflector := jsonschema.Reflector{
		Anonymous: true, DoNotReference: true, AllowAdditionalProperties: true,
		LookupComment: func(goType reflect.Type, field string) string {
			return commented[strings.TrimPrefix(goType.PkgPath(), module)+"."+goType.Name()+"."+field]
		},
	}
	schema := func(v any) *jsonschema.Schema {
		s := reflector.Reflect(v)
		s.Version, s.Description = "", ""
		return s
	}
	channels, operations, messages := object{}, object{}, object{}
	bodies(func(category messagestore.Category, body messagestore.Body) {
		m, _ := Of(category, body.MessageType())
		goType := goType{m.Package, reflect.TypeOf(body).Name()}
		about := said[m.Package+"."+m.Type]
		payload := schema(body)
		for _, f := range m.Fields {
			if property, ok := payload.Properties.Get(f.Name); ok && f.Masked {
				property.Extras = object{"x-masked": true}
			}
		}
		message := object{
			"name": m.Type, "title": m.Type, "summary": commented[m.Package+"."+goType.name+"."], "contentType": "application/json",
			"headers": ref("components", "schemas", "Metadata"), "payload": payload,
			"x-kind": m.Kind, "x-package": m.Package, "x-schema-version": m.SchemaVersion,
			"x-writers": notNil(used.writers[goType]), "x-handlers": notNil(used.handlers[goType]),
		}
		if about.text != "" {
			message["description"] = about.text
			message["examples"] = []object{{"payload": about.example}}
		}
		messages[key(category, m.Type)] = message

		channelKey := strings.ReplaceAll(string(category), ":", ".")
		channel, ok := channels[channelKey].(object)
		if !ok {
			channel = object{
				"address": string(category) + "-{id}", "title": string(category), "messages": object{},
				"parameters": object{"id": object{"description": "What the stream is of: contract.md of the component says it."}},
			}
			channels[channelKey] = channel
		}
		channel["messages"].(object)[m.Type] = ref("components", "messages", key(category, m.Type))
		operate := func(action, verb string, pkgs []string) {
			for _, pkg := range pkgs {
				name := strings.ReplaceAll(pkg, "/", ".") + "." + verb + "." + channelKey
				operation, ok := operations[name].(object)
				if !ok {
					operation = object{"action": action, "title": pkg + " " + verb + " " + string(category), "channel": ref("channels", channelKey), "messages": []object{}}
					operations[name] = operation
				}
				operation["messages"] = append(operation["messages"].([]object), ref("channels", channelKey, "messages", m.Type))
			}
		}
		operate("send", "writes", used.writers[goType])
		operate("receive", "handles", used.handlers[goType])
	})
	for _, o := range operations {
		slices.SortFunc(o.(object)["messages"].([]object), func(a, b object) int { return strings.Compare(a["$ref"].(string), b["$ref"].(string)) })
	}
	metadata := schema(messagestore.Metadata{})
	metadata.Description = commented["messagestore.Metadata."]
	out, err := json.MarshalIndent(struct {
		AsyncAPI    string `json:"asyncapi"`
		Info        object `json:"info"`
		ContentType string `json:"defaultContentType"`
		Channels    object `json:"channels"`
		Operations  object `json:"operations"`
		Components  object `json:"components"`
	}{
		"3.0.0", object{
			"title": "Messages of the video tutorials", "version": "1.0.0", "license": object{"name": "MIT"},
			"description": "Every message in the message store: the streams of a category are a channel, the metadata are the headers. Readers ignore what they do not know. A form that breaks readers has a higher schemaVersion in the metadata; x-masked is personal or secret.",
		}, "application/json", channels, operations, object{"messages": messages, "schemas": object{"Metadata": metadata}},
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}

func notNil(s []string) []string { return append([]string{}, s...) }

// TestDocument demands that asyncapi.json is what the source says, and released.json
// what readers and stores have seen; with -update it writes both, unless that breaks
// readers.
func TestDocument(t *testing.T) {
	released := readReleases(t)
	for _, complaint := range broken(released, All()) {
		t.Error(complaint)
	}
	if t.Failed() {
		t.Fatal("this breaks whoever reads what is stored. Keep the field, or give the type another form by a method SchemaVersion that returns a higher number; a type stays for as long as messages of it are stored")
	}
	grown, err := json.MarshalIndent(grow(released, All()), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{"asyncapi.json": generate(t), "released.json": append(grown, '\n')} {
		if *update {
			if err := os.WriteFile(name, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the source says, from %s: run make contracts", name, firstDifference(got, want))
		}
	}
}

func firstDifference(got, want []byte) string {
	a, b := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d: %q; the source says %q", i+1, a[i], b[i])
		}
	}
	return "its end on"
}

// form is one version of a type: its fields with their types, as "string"; "string?" can
// be left out.
type form map[string]string

// releases are all forms that were ever written, by category, type and version.
type releases map[messagestore.Category]map[string]map[string]form

func readReleases(t *testing.T) releases {
	t.Helper()
	text, err := os.ReadFile("released.json")
	if err != nil {
		t.Fatal(err)
	}
	var r releases
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func formOf(m Message) form {
	f := form{}
	for _, field := range m.Fields {
		f[field.Name] = field.Type
		if field.Optional {
			f[field.Name] += "?"
		}
	}
	return f
}

// broken says in which ways what is written now breaks readers of what was released.
func broken(released releases, now []Message) (complaints []string) {
	current := map[messagestore.Category]map[string]Message{}
	for _, m := range now {
		if current[m.Category] == nil {
			current[m.Category] = map[string]Message{}
		}
		current[m.Category][m.Type] = m
	}
	complain := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	for category, types := range released {
		if current[category] == nil {
			complain("the category %s is gone", category)
			continue
		}
		for name, versions := range types {
			m, ok := current[category][name]
			if !ok {
				complain("%s %s is gone", category, name)
				continue
			}
			newest := 0
			for version := range versions {
				n, err := strconv.Atoi(version)
				if err != nil {
					complain("%s %s has a version %q", category, name, version)
				}
				newest = max(newest, n)
			}
			if m.SchemaVersion < newest {
				complain("%s %s: version %d was released, and now it is %d", category, name, newest, m.SchemaVersion)
			}
			if m.SchemaVersion != newest {
				continue
			}
			before, after := versions[strconv.Itoa(newest)], formOf(m)
			for field, was := range before {
				is, ok := after[field]
				switch {
				case !ok:
					complain("%s %s: the field %s is gone", category, name, field)
				case strings.TrimSuffix(is, "?") != strings.TrimSuffix(was, "?"):
					complain("%s %s: %s was %s and is %s", category, name, field, was, is)
				case is != was && strings.HasSuffix(is, "?"):
					complain("%s %s: %s can be left out now", category, name, field)
				case is != was:
					complain("%s %s: %s could be left out, and in what is stored it is", category, name, field)
				}
			}
			for field, is := range after {
				_, known := before[field]
				outer, isInner := strings.CutSuffix(field[:strings.LastIndexByte(field, '.')+1], ".")
				_, outerKnown := before[strings.TrimSuffix(outer, ".*")]
				if !known && !strings.HasSuffix(is, "?") && (!isInner || outerKnown) {
					complain("%s %s: the new field %s is missing in what is stored; it has to be one that can be left out", category, name, field)
				}
			}
		}
	}
	slices.Sort(complaints)
	return complaints
}

// grow adds what is written now to what was released.
func grow(released releases, now []Message) releases {
	for _, m := range now {
		if released == nil {
			released = releases{}
		}
		if released[m.Category] == nil {
			released[m.Category] = map[string]map[string]form{}
		}
		if released[m.Category][m.Type] == nil {
			released[m.Category][m.Type] = map[string]form{}
		}
		released[m.Category][m.Type][strconv.Itoa(m.SchemaVersion)] = formOf(m)
	}
	return released
}

func TestEachBreakIsRefused(t *testing.T) {
	t.Parallel()
	before := []Message{
		{Category: "a", Type: "Done", SchemaVersion: 1, Fields: []Field{{Name: "id", Type: "string"}, {Name: "note", Type: "string", Optional: true}, {Name: "list", Type: "array of object"}, {Name: "list.*.n", Type: "integer"}}},
		{Category: "a", Type: "Undone", SchemaVersion: 2, Fields: []Field{{Name: "id", Type: "string"}}},
		{Category: "b", Type: "Done", SchemaVersion: 1},
	}
	for name, test := range map[string]struct {
		change func(now []Message) []Message
		want   string
	}{
		"nothing":                {func(now []Message) []Message { return now }, ""},
		"a field gone":           {func(now []Message) []Message { now[0].Fields = now[0].Fields[1:]; return now }, "a Done: the field id is gone"},
		"an optional field gone": {func(now []Message) []Message { now[0].Fields = slices.Delete(now[0].Fields, 1, 2); return now }, "a Done: the field note is gone"},
		"a field renamed":        {func(now []Message) []Message { now[0].Fields[1].Name = "remark"; return now }, "a Done: the field note is gone"},
		"an inner field renamed": {func(now []Message) []Message { now[0].Fields[3].Name = "list.*.m"; return now }, "a Done: the field list.*.n is gone|a Done: the new field list.*.m is missing in what is stored; it has to be one that can be left out"},
		"another type":           {func(now []Message) []Message { now[0].Fields[0].Type = "integer"; return now }, "a Done: id was string and is integer"},
		"a list of others":       {func(now []Message) []Message { now[0].Fields[2].Type = "array of string"; return now }, "a Done: list was array of object and is array of string"},
		"optional now":           {func(now []Message) []Message { now[0].Fields[0].Optional = true; return now }, "a Done: id can be left out now"},
		"required now":           {func(now []Message) []Message { now[0].Fields[1].Optional = false; return now }, "a Done: note could be left out, and in what is stored it is"},
		"a new field that is required": {func(now []Message) []Message {
			now[0].Fields = append(now[0].Fields, Field{Name: "x", Type: "string"})
			return now
		}, "a Done: the new field x is missing in what is stored; it has to be one that can be left out"},
		"a new optional field": {func(now []Message) []Message {
			now[0].Fields = append(now[0].Fields, Field{Name: "x", Type: "string", Optional: true})
			return now
		}, ""},
		"a new optional object": {func(now []Message) []Message {
			now[0].Fields = append(now[0].Fields, Field{Name: "x", Type: "object", Optional: true}, Field{Name: "x.y", Type: "string"})
			return now
		}, ""},
		"a type gone":      {func(now []Message) []Message { return now[1:] }, "a Done is gone"},
		"a category gone":  {func(now []Message) []Message { return now[:2] }, "the category b is gone"},
		"another category": {func(now []Message) []Message { now[2].Category = "c"; return now }, "the category b is gone"},
		"a type renamed":   {func(now []Message) []Message { now[0].Type = "Finished"; return now }, "a Done is gone"},
		"a new type": {func(now []Message) []Message {
			return append(now, Message{Category: "a", Type: "New", SchemaVersion: 1})
		}, ""},
		"a version back": {func(now []Message) []Message { now[1].SchemaVersion = 1; return now }, "a Undone: version 2 was released, and now it is 1"},
		"all of it with a higher version": {func(now []Message) []Message {
			now[0].Fields, now[0].SchemaVersion = []Field{{Name: "other", Type: "integer"}}, 2
			return now
		}, ""},
	} {
		released := grow(nil, before)
		now := slices.Clone(before)
		for i := range now {
			now[i].Fields = slices.Clone(now[i].Fields)
		}
		now = test.change(now)
		if got := strings.Join(broken(released, now), "|"); got != test.want {
			t.Errorf("%s: %q; want %q", name, got, test.want)
		}
		if test.want == "" { // and what is released next is seen by the one after it
			if grown := grow(released, now); len(broken(grown, now)) != 0 || len(grown["a"]["Done"]) != now[0].SchemaVersion {
				t.Errorf("%s: %v", name, grown["a"]["Done"])
			}
		}
	}
}

// The document is AsyncAPI 3, by the schema of those who keep that.
func TestDocumentIsAsyncAPI(t *testing.T) {
	t.Parallel()
	file, err := os.Open(top + "/node_modules/@asyncapi/specs/schemas/3.0.0.json")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	meta, err := validator.UnmarshalJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	compiler := validator.NewCompiler()
	if err := compiler.AddResource("asyncapi.json", meta); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("asyncapi.json")
	if err != nil {
		t.Fatal(err)
	}
	check := func(document []byte) error {
		v, err := validator.UnmarshalJSON(bytes.NewReader(document))
		if err != nil {
			return err
		}
		return schema.Validate(v)
	}
	if err := check(Document()); err != nil {
		t.Errorf("%v", err)
	}
	if check(bytes.Replace(Document(), []byte(`"action": "send"`), []byte(`"action": "push"`), 1)) == nil {
		t.Error("an operation that does what nobody knows is accepted")
	}
}

// Each type is explained, and its example is of its schema.
func TestEveryTypeIsExplained(t *testing.T) {
	t.Parallel()
	var d struct {
		Components struct {
			Messages map[string]struct {
				Payload json.RawMessage `json:"payload"`
			} `json:"messages"`
		} `json:"components"`
	}
	if err := json.Unmarshal(Document(), &d); err != nil {
		t.Fatal(err)
	}
	for _, m := range All() {
		name := key(m.Category, m.Type)
		if m.Doc == "" || len(m.Example) == 0 || len(m.Writers) == 0 {
			t.Errorf("%s: doc %q, example %s, writers %q", name, m.Doc, m.Example, m.Writers)
			continue
		}
		if m.Kind == Command && len(m.Handlers) == 0 {
			t.Errorf("nobody handles %s", name)
		}
		for _, f := range m.Fields {
			if f.Doc == "" {
				t.Errorf("%s: nothing is said of %s", name, f.Name)
			}
		}
		payload, err := validator.UnmarshalJSON(bytes.NewReader(d.Components.Messages[name].Payload))
		if err != nil {
			t.Fatal(err)
		}
		compiler := validator.NewCompiler()
		if err := compiler.AddResource("payload.json", payload); err != nil {
			t.Fatal(err)
		}
		schema, err := compiler.Compile("payload.json")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		example, err := validator.UnmarshalJSON(bytes.NewReader(m.Example))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(example); err != nil {
			t.Errorf("the example of %s: %v", name, err)
		}
		if schema.Validate("") == nil {
			t.Errorf("%s: a text is taken for data", name)
		}
	}
}

// What contract.md says of who writes a type is what the source does.
func TestWrittenByWhomTheContractsName(t *testing.T) {
	t.Parallel()
	said := proseOf(t, files(t))
	for _, m := range All() {
		if p := said[m.Package+"."+m.Type]; m.Package != "messagestore" && !slices.Equal(p.writers, m.Writers) {
			t.Errorf("%s %s is written by %q; its contract says %q", m.Category, m.Type, m.Writers, p.writers)
		}
	}
}
