// Command schemas writes src/plait/store/data/kubernetes.json.gz: OpenAPI v3 schemas and protobuf field tables of the
// built-in Kubernetes kinds, by reflection over the published Go types. Markers and documentation come from the source
// comments of the same modules; facts.json adds what neither knows (defaults and ranges from the API server's own code).
//
//	cd tools/schemas && go run . ../../src/plait/store/data/kubernetes.json.gz
package main

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
)

//go:embed facts.json
var facts []byte

type object = map[string]any

// writer collects one schema and one protobuf table for each type it meets.
type writer struct {
	source *source
	facts  map[string]map[string]object
	used   map[string]bool
	schema object
	proto  object
}

func main() {
	w := &writer{source: newSource(), used: map[string]bool{}, schema: object{}, proto: object{}}
	check(json.Unmarshal(facts, &w.facts))
	for _, root := range roots {
		name := w.visit(reflect.TypeOf(root.value))
		w.schema[name].(object)["x-kubernetes-group-version-kind"] = root.kinds()
	}
	for name, fields := range w.facts {
		for field := range fields {
			if !w.used[name+"."+field] {
				fmt.Fprintf(os.Stderr, "facts.json names %s.%s, which no type has\n", name, field)
				os.Exit(1)
			}
		}
	}
	text, err := json.Marshal(object{"definitions": w.schema, "protobuf": w.proto})
	check(err)
	var packed bytes.Buffer
	zip, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	check(err)
	_, err = zip.Write(text)
	check(err)
	check(zip.Close())
	check(os.WriteFile(os.Args[1], packed.Bytes(), 0o644))
	fmt.Printf("%d types, %d bytes, %d packed\n", len(w.schema), len(text), packed.Len())
}

// visit makes sure a struct type is described and returns its definition name.
func (w *writer) visit(t reflect.Type) string {
	name := definition(t)
	if _, seen := w.schema[name]; seen {
		return name
	}
	if special, known := specials[name]; known {
		w.schema[name] = special.schema
		return name
	}
	properties, required, table := object{}, []string{}, object{}
	out := object{"type": "object"}
	w.schema[name] = out
	if doc := w.source.typeDoc(t); doc.text != "" {
		out["description"] = doc.text
	}
	if w.source.typeDoc(t).marks["structType"] == "atomic" {
		out["x-kubernetes-map-type"] = "atomic"
	}
	w.fields(t, properties, &required, table)
	if len(properties) > 0 {
		out["properties"] = properties
	}
	if len(required) > 0 {
		out["required"] = required
	}
	w.proto[name] = table
	return name
}

func (w *writer) fields(t reflect.Type, properties object, required *[]string, table object) {
	for i := range t.NumField() {
		field := t.Field(i)
		tag := field.Tag.Get("json")
		if !field.IsExported() || tag == "-" {
			continue
		}
		parts := strings.Split(tag, ",")
		inline := field.Anonymous && parts[0] == ""
		number, hasNumber := protobufNumber(field)
		if inline {
			var nested object = table
			if hasNumber {
				table[number] = "m||" + w.visit(field.Type)
				nested = object{}
			}
			w.fields(field.Type, properties, required, nested)
			continue
		}
		json, omit := parts[0], strings.Contains(tag, ",omitempty") || strings.Contains(tag, ",omitzero")
		doc := w.source.fieldDoc(t, field.Name)
		if json == "" {
			continue
		}
		property := w.property(t, field, doc)
		for key, value := range w.facts[definition(t)][json] {
			property[key] = value
		}
		w.used[definition(t)+"."+json] = true
		properties[json] = property
		_, optional := doc.marks["optional"]
		if !omit && !optional {
			*required = append(*required, json)
		}
		if hasNumber {
			table[number] = w.wire(field, json, omit)
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
