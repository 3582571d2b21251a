package contracts

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"strings"

	"videotutorials/messagestore"
)

// documentJSON is made from the Go types, their comments, the contract.md of each
// component and the calls in the source, by `make contracts`.
//
//go:embed asyncapi.json
var documentJSON []byte

// Document returns all contracts as AsyncAPI 3 with JSON Schema. The slice is shared:
// do not change it.
func Document() []byte { return documentJSON }

// document is what [Message] needs of the document.
type document struct {
	Components struct {
		Messages map[string]struct {
			Summary     string   `json:"summary"`
			Description string   `json:"description"`
			Writers     []string `json:"x-writers"`
			Handlers    []string `json:"x-handlers"`
			Examples    []struct {
				Payload json.RawMessage `json:"payload"`
			} `json:"examples"`
			Payload property `json:"payload"`
		} `json:"messages"`
	} `json:"components"`
}

// property is the part of a JSON Schema that explains it.
type property struct {
	Description string              `json:"description"`
	Properties  map[string]property `json:"properties"`
	Items       *property           `json:"items"`
	Each        *property           `json:"additionalProperties"`
}

// key is what a type is called in the document, where a colon may not stand.
func key(category messagestore.Category, name string) string {
	return strings.ReplaceAll(string(category), ":", ".") + "." + name
}

func readDocument() document {
	var d document
	if err := json.Unmarshal(documentJSON, &d); err != nil {
		panic("read asyncapi.json: " + err.Error())
	}
	return d
}

// explain adds to a message what only the source says.
func (d document) explain(m *Message) {
	about := d.Components.Messages[key(m.Category, m.Type)]
	m.Doc, m.Writers, m.Handlers = about.Description, about.Writers, about.Handlers
	if m.Doc == "" {
		m.Doc = about.Summary
	}
	if len(about.Examples) > 0 {
		var example bytes.Buffer
		if err := json.Compact(&example, about.Examples[0].Payload); err != nil {
			panic("read asyncapi.json: " + err.Error())
		}
		m.Example = example.Bytes()
	}
	for i, f := range m.Fields {
		m.Fields[i].Doc = about.Payload.at(strings.Split(f.Name, ".")).Description
	}
}

func (p property) at(path []string) property {
	switch {
	case len(path) == 0:
		return p
	case path[0] != "*":
		return p.Properties[path[0]].at(path[1:])
	case p.Items != nil:
		return p.Items.at(path[1:])
	case p.Each != nil:
		return p.Each.at(path[1:])
	}
	return property{}
}
