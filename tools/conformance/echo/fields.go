// Package echo holds what the mesh suite's two programs share: a server that tells what it was asked, and a client that prints it.
//
// The suite runs `client URL` in a pod and reads the output with one regular expression a field, so the names are the wire format.
package echo

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Method is the gRPC method of the echo service. Its request and answer are messages with one string, field 1.
const Method = "/proto.EchoTestService/Echo"

// Fields are lines `Name=value`, in order.
type Fields []string

// Add appends one field; a line break in the value would end it.
func (f *Fields) Add(name, value string) {
	*f = append(*f, name+"="+strings.NewReplacer("\n", " ", "\r", " ").Replace(value))
}

// Headers appends every value of every header, `name=Header:value`, in alphabetical order.
func (f *Fields) Headers(name string, headers http.Header) {
	keys := make([]string, 0, len(headers))
	for key := range headers {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		for _, value := range headers[key] {
			f.Add(name, fmt.Sprintf("%s:%s", key, value))
		}
	}
}

// String is the text that goes over the wire or to stdout.
func (f Fields) String() string { return strings.Join(f, "\n") + "\n" }
