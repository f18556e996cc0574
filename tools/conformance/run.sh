#!/bin/sh
# The Gateway API's conformance suite against a mesh of its own on this machine.
#
#   tools/conformance/run.sh mesh|gateway [FLAGS OF THE SUITE]      e.g. mesh --run-test=MeshTrafficSplit
#
# It builds suite and test servers with Go (cached by Go), starts a mesh with a private name and home, installs the API's
# definitions of the suite's release, runs, and takes the mesh down whatever happened. With no further flags it writes
#   docs/conformance/<part>-report.yaml   the suite's own report
#   docs/conformance/<part>-tests.txt     one line a test
# else both go to build/conformance/. Exit code: the suite's.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
PLAIT=${PLAIT:-$root/.venv/bin/plait}
PATH="$PATH:/usr/local/go/bin"
fail() { printf 'conformance: %s\n' "$*" >&2; exit 2; }

part=${1:-}
[ "$part" = mesh ] || [ "$part" = gateway ] || fail "usage: run.sh mesh|gateway [flags of the suite]"
shift
command -v go >/dev/null || fail "no Go: install Go 1.26 or newer (https://go.dev/dl)"
[ "$(id -u)" = 0 ] || fail "run as root: the suite dials gateways from this machine's own network"

out=$root/docs/conformance
[ $# = 0 ] || out=$root/build/conformance
work=$root/build/conformance
mkdir -p "$out" "$work/bin"

echo "conformance: building"
cd "$here"
go build -o "$work/bin/" ./echo/server ./echo/client sigs.k8s.io/gateway-api/conformance/echo-basic
go test -c -o "$work/bin/conformance.test" .
release=$(go list -m -f '{{.Version}}' sigs.k8s.io/gateway-api)
definitions=$(go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)/config/crd/standard

# Images of the suite's manifests. No test that we claim needs the DNS server; but the suite waits for every pod of its base.
cat >"$work/images.yaml" <<END
- pattern: registry.k8s.io/gateway-api/echo-advanced*
  entrypoint: [$work/bin/server]
  env: {PATH: "$work/bin:/usr/local/bin:/usr/bin:/bin"}
- pattern: registry.k8s.io/gateway-api/echo-basic*
  entrypoint: [$work/bin/echo-basic]
- pattern: registry.k8s.io/coredns/coredns*
  entrypoint: [/bin/sh, -c, exec sleep infinity]
END

name=conformance$$
PLAIT_HOME=$(mktemp -d /tmp/plait-conformance.XXXXXX)
PLAIT_IMAGES=$work/images.yaml
export PLAIT_HOME PLAIT_IMAGES
suite=
down() {
    [ -z "$suite" ] || kill "$suite" 2>/dev/null || true
    "$PLAIT" down --name "$name" >/dev/null 2>&1 || true
    rm -rf "$PLAIT_HOME"
}
trap down EXIT
trap 'exit 130' INT TERM
"$PLAIT" up --name "$name" --detach >/dev/null
KUBECONFIG=$PLAIT_HOME/$name/kubeconfig
export KUBECONFIG
for file in "$definitions"/gateway.networking.k8s.io_*.yaml; do
    case $file in *_vap_*) continue ;; esac # a ValidatingAdmissionPolicy, which our API server does not know
    "$PLAIT" apply --name "$name" -f "$file" >/dev/null
done

labels=istio.io/dataplane-mode=ambient
if [ "$part" = mesh ]; then
    labels=$labels,istio.io/use-waypoint=waypoint
    "$PLAIT" apply --name "$name" -f "$here/waypoints.yaml" >/dev/null
    features=$(tr '\n' ',' <"$here/mesh-features.txt")
    set -- --conformance-profiles=MESH-HTTP,MESH-GRPC "--supported-features=${features%,}" "$@"
else
    "$PLAIT" apply --name "$name" -f "$here/gateway-class.yaml" >/dev/null
    tries=100
    until "$PLAIT" get --name "$name" gatewayclass plait -o json | grep -q supportedFeatures; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || fail "GatewayClass plait has no status after 10 s: nothing writes statuses in this mesh"
        sleep 0.1
    done
    # Addresses for the test that asks for some: the last of the mesh's load balancer range, and one outside of it.
    range=$("$PLAIT" get --name "$name" svc kubernetes -o json | sed -n 's/.*"clusterIP": "\(10\.[0-9]*\)\..*/\1/p')
    cat >"$work/options.yaml" <<END
usableNetworkAddresses: [{type: IPAddress, value: $range.207.254}]
unusableNetworkAddresses: [{type: IPAddress, value: 192.0.2.1}]
END
    set -- "--conformance-options-file=$work/options.yaml" --gateway-class=plait --conformance-profiles=GATEWAY-HTTP,GATEWAY-GRPC,GATEWAY-TLS,GATEWAY-TCP "$@"
fi

echo "conformance: $part, Gateway API $release, mesh $name; the suite's output is in build/conformance/$part.log"
cd "$work"
code=0
nice "$work/bin/conformance.test" -test.v -test.run '^TestConformance$' -test.timeout 2h \
    "--namespace-labels=$labels" --mode="ambient" \
    --organization=plait --project=plait "--url=${PLAIT_URL:-https://plait.invalid}" --contact=none \
    "--version=$(git -C "$root" rev-parse --short HEAD)" "--report-output=$out/$part-report.yaml" "$@" \
    >"$work/$part.log" 2>&1 &
suite=$! # in the background, so that a signal ends the mesh at once
wait "$suite" || code=$?
suite=
grep -aoE 'RESULT (passed|failed) .*' "$work/$part.log" | cut -d' ' -f2-3 >"$out/$part-tests.txt" || true
passed=$(grep -c '^passed' "$out/$part-tests.txt" || true)
failed=$(grep -c '^failed' "$out/$part-tests.txt" || true)
echo "conformance: $passed passed, $failed failed"
grep '^failed' "$out/$part-tests.txt" || true
[ "$code" = 0 ] || [ "$failed" != 0 ] || tail -n 15 "$work/$part.log"
exit "$code"
