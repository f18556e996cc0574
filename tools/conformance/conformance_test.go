// Package conformance runs the Gateway API's own suite, unchanged, against the API server that KUBECONFIG names.
//
// Flags are the suite's: run.sh passes them. Beside the suite's report, which counts by profile, it prints one line a test,
// because some tests belong to no profile and the report does not name those that passed.
package conformance

import (
	"fmt"
	"testing"
	"time"

	"sigs.k8s.io/gateway-api/conformance"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

func TestConformance(t *testing.T) {
	options := conformance.DefaultOptions(t)
	last := time.Now()
	options.Hook = func(t *testing.T, test suite.ConformanceTest, _ *suite.ConformanceTestSuite) {
		now := time.Now()
		fmt.Printf("RESULT %s %s %.1f\n", outcome(t), test.ShortName, now.Sub(last).Seconds())
		last = now
	}
	conformance.RunConformanceWithOptions(t, options)
}

func outcome(t *testing.T) string {
	switch {
	case t.Failed():
		return "failed"
	case t.Skipped():
		return "skipped"
	default:
		return "passed"
	}
}
