package main

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
)

// special is a Go type whose JSON form is not its struct.
type special struct {
	schema object
	code   string // the letter in the protobuf table
}

var anything = object{"x-kubernetes-preserve-unknown-fields": true}

const (
	meta = "io.k8s.apimachinery.pkg.apis.meta.v1."
	ext  = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."
)

var specials = map[string]special{
	meta + "Time":      {object{"type": "string", "format": "date-time"}, "T"},
	meta + "MicroTime": {object{"type": "string", "format": "date-time"}, "U"},
	meta + "Duration":  {object{"type": "string"}, "D"},
	meta + "FieldsV1":  {object{"type": "object", "x-kubernetes-preserve-unknown-fields": true}, "R"},
	"io.k8s.apimachinery.pkg.runtime.RawExtension": {
		object{"type": "object", "x-kubernetes-preserve-unknown-fields": true}, "R"},
	"io.k8s.apimachinery.pkg.api.resource.Quantity": {
		object{"oneOf": []any{object{"type": "string"}, object{"type": "number"}}, "format": "quantity"}, "Q"},
	"io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
		object{"oneOf": []any{object{"type": "integer"}, object{"type": "string"}}, "format": "int-or-string"}, "I"},
	ext + "JSON":                         {anything, "R"},
	ext + "JSONSchemaPropsOrArray":       {anything, "A"},
	ext + "JSONSchemaPropsOrBool":        {anything, "O"},
	ext + "JSONSchemaPropsOrStringArray": {anything, "S"},
}

// definition is the name under which kube-apiserver publishes a type: io.k8s.api.core.v1.Pod.
func definition(t reflect.Type) string {
	host, rest, _ := strings.Cut(t.PkgPath(), "/")
	labels := strings.Split(host, ".")
	for i, j := 0, len(labels)-1; i < j; i, j = i+1, j-1 {
		labels[i], labels[j] = labels[j], labels[i]
	}
	return strings.Join(labels, ".") + "." + strings.ReplaceAll(rest, "/", ".") + "." + t.Name()
}

func (w *writer) property(owner reflect.Type, field reflect.StructField, doc comment) object {
	out := w.schemaOf(field.Type)
	if ref, ok := out["$ref"]; ok && (doc.text != "" || len(doc.marks) > 0) {
		out = object{"allOf": []any{object{"$ref": ref}}}
	}
	if doc.text != "" {
		out["description"] = doc.text
	}
	if kind := doc.marks["listType"]; kind != "" {
		out["x-kubernetes-list-type"] = kind
		if kind == "map" {
			out["x-kubernetes-list-map-keys"] = doc.keys
		}
	}
	if kind := doc.marks["mapType"]; kind != "" {
		out["x-kubernetes-map-type"] = kind
	}
	if kind := doc.marks["structType"]; kind != "" {
		out["x-kubernetes-map-type"] = kind
	}
	if strategy := field.Tag.Get("patchStrategy"); strategy != "" {
		out["x-kubernetes-patch-strategy"] = strategy
	}
	if key := field.Tag.Get("patchMergeKey"); key != "" {
		out["x-kubernetes-patch-merge-key"] = key
	}
	if text, ok := doc.marks["default"]; ok {
		var value any
		if json.Unmarshal([]byte(text), &value) == nil {
			out["default"] = value
		}
	}
	return out
}

func (w *writer) schemaOf(t reflect.Type) object {
	switch t.Kind() {
	case reflect.Pointer:
		return w.schemaOf(t.Elem())
	case reflect.Struct:
		return object{"$ref": "#/components/schemas/" + w.visit(t)}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return object{"type": "string", "format": "byte"}
		}
		return object{"type": "array", "items": w.schemaOf(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": w.schemaOf(t.Elem())}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int32, reflect.Int64:
		return object{"type": "integer", "format": t.Kind().String()}
	case reflect.Int:
		return object{"type": "integer"}
	case reflect.Float64:
		return object{"type": "number", "format": "double"}
	case reflect.String:
		out := object{"type": "string"}
		if values := w.source.enum(t); len(values) > 0 {
			out["enum"] = values
		}
		return out
	}
	panic("no schema for " + t.String())
}

func protobufNumber(field reflect.StructField) (string, bool) {
	parts := strings.Split(field.Tag.Get("protobuf"), ",")
	if len(parts) < 2 {
		return "", false
	}
	_, err := strconv.Atoi(parts[1])
	return parts[1], err == nil
}

// wire is one field of a protobuf table, "code|json|definition". Before the letter of the element stand: "[" repeated,
// "{" map, "*" pointer (a zero is a value), "!" written even when zero (no omitempty).
func (w *writer) wire(field reflect.StructField, json string, omit bool) string {
	t, flags := field.Type, ""
	if !omit {
		flags = "!"
	}
	if t.Kind() == reflect.Pointer {
		t, flags = t.Elem(), flags+"*"
	}
	switch {
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		t, flags = t.Elem(), flags+"["
	case t.Kind() == reflect.Map:
		t, flags = t.Elem(), flags+"{"
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	code, ref := "", ""
	switch t.Kind() {
	case reflect.Struct:
		ref = w.visit(t)
		if special, known := specials[ref]; known {
			code = special.code
		} else {
			code = "m"
		}
	case reflect.Slice:
		// A named list as a map's value (ExtraValue, Verbs) travels as a message with one repeated field.
		code = "L"
		if t.Elem().Kind() == reflect.Uint8 {
			code = "b"
		}
	case reflect.String:
		code = "s"
	case reflect.Bool:
		code = "B"
	case reflect.Int32, reflect.Int64, reflect.Int:
		code = "i"
	case reflect.Float64:
		code = "d"
	default:
		panic("no wire form for " + t.String())
	}
	return flags + code + "|" + json + "|" + ref
}
