package contracts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"videotutorials/messagestore"
)

// Masked stands in place of a value that is masked.
const Masked = "[masked]"

// What [Mask] names beside fields of the contract.
const (
	// Everything is named where the type is unknown: nobody has said what may be shown.
	Everything = "*"
	// WholeData is named where the data are no object, as they should be.
	WholeData = "data"
	// OtherFields is named for what the contract does not know, or knows as another
	// type: nobody can tell what it holds.
	OtherFields = "other fields"
)

// Mask returns the data of a message with [Masked] in the place of each value that is
// personal or secret, and the names of those, as in [Message.Fields]. What the
// contract of its type does not tell of is masked too, and so are the whole data of an
// unknown type: one of another program, one that is no longer written, or a known one in a
// category that is not its own.
func Mask(m messagestore.Raw) (data json.RawMessage, masked []string) {
	mask, known := masks[typeKey{m.Stream.Category(), m.Type}]
	if len(bytes.TrimSpace(m.Data)) == 0 {
		return m.Data, nil
	}
	if !known {
		return json.RawMessage(hidden), []string{Everything}
	}
	w := maskWriter{masked: map[string]bool{}}
	if kindOf(m.Data) != mask.kind || !json.Valid(m.Data) || w.value(m.Data, mask) != nil {
		return json.RawMessage(hidden), []string{WholeData}
	}
	return w.out.Bytes(), slices.Sorted(maps.Keys(w.masked))
}

type typeKey struct {
	category messagestore.Category
	name     string
}

// mask says what of a value is shown.
type mask struct {
	name   string // as in Message.Fields
	hidden bool
	kind   string           // the JSON type, empty for any
	fields map[string]*mask // of an object, by the key in lower case: it is decoded like this
	each   *mask            // of the values of an array or a map
}

func newMasks() map[typeKey]*mask {
	all := map[typeKey]*mask{}
	bodies(func(category messagestore.Category, body messagestore.Body) {
		all[typeKey{category, body.MessageType()}] = newMask(reflect.TypeOf(body), "")
	})
	return all
}

func newMask(t reflect.Type, name string) *mask {
	m := &mask{name: name, kind: jsonType(t)}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case m.kind == "object" && t.Kind() == reflect.Struct:
		m.fields = map[string]*mask{}
		for f, key := range jsonFields(t) {
			inner := newMask(f.Type, strings.TrimPrefix(name+"."+key, "."))
			inner.hidden = isMasked(f)
			m.fields[strings.ToLower(key)] = inner
		}
	case m.kind == "object", m.kind == "array":
		m.each = newMask(t.Elem(), name+".*")
	}
	return m
}

// maskWriter copies JSON. What is hidden or unexpected is left out without looking
// into it, however deep it is.
type maskWriter struct {
	out    bytes.Buffer
	masked map[string]bool
}

const hidden = `"` + Masked + `"`

// value copies a value. A mask of nil hides it.
func (w *maskWriter) value(value json.RawMessage, m *mask) error {
	switch {
	case m != nil && m.hidden:
		w.masked[m.name] = true
	case m != nil && m.kind == "" || string(value) == "null":
		w.out.Write(value)
		return nil
	case m == nil || kindOf(value) != m.kind && !(kindOf(value) == "integer" && m.kind == "number"):
		w.masked[OtherFields] = true
	case m.kind == "object" || m.kind == "array":
		return w.inside(value, m)
	default:
		w.out.Write(value)
		return nil
	}
	w.out.WriteString(hidden)
	return nil
}

// inside copies an object or array, keys as they stand.
func (w *maskWriter) inside(value json.RawMessage, m *mask) error {
	in := json.NewDecoder(bytes.NewReader(value))
	open, err := in.Token()
	if err != nil {
		return err
	}
	fmt.Fprint(&w.out, open)
	for first := true; in.More(); first = false {
		if !first {
			w.out.WriteByte(',')
		}
		inner := m.each
		if m.kind == "object" {
			start := in.InputOffset()
			key, err := in.Token()
			if err != nil {
				return err
			}
			w.out.Write(bytes.TrimLeft(value[start:in.InputOffset()], ", \t\r\n"))
			w.out.WriteByte(':')
			if m.each == nil {
				inner = m.fields[strings.ToLower(key.(string))]
			}
		}
		var next json.RawMessage
		if err := in.Decode(&next); err != nil {
			return err
		}
		if err := w.value(next, inner); err != nil {
			return err
		}
	}
	end, err := in.Token()
	fmt.Fprint(&w.out, end)
	return err
}

// kindOf returns the JSON type of a value by how it begins. A whole number is an
// integer for us, and any other is none.
func kindOf(value json.RawMessage) string {
	value = bytes.TrimSpace(value)
	switch {
	case len(value) == 0:
		return ""
	case value[0] == '{':
		return "object"
	case value[0] == '[':
		return "array"
	case value[0] == '"':
		return "string"
	case value[0] == 't' || value[0] == 'f':
		return "boolean"
	case value[0] == 'n':
		return "null"
	case bytes.ContainsAny(value, ".eE"):
		return "number"
	}
	return "integer"
}
