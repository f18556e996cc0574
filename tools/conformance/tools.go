//go:build tools

package conformance

// The suite's server for gateway tests is a program of the same module: named here so that go.sum knows what it needs.
import _ "sigs.k8s.io/gateway-api/conformance/echo-basic"
