"""What Envoy refuses is tried on a spare one where that is cheap; else a proxy keeps its last good configuration."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

from kit.mesh import Mesh, mesh, until
from plait.resources import kinds

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="enters namespaces of the host: needs root"),
]
WORLD = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: edge, namespace: shop}
spec: {parentRefs: [{name: edge}], rules: [{backendRefs: [{name: web, port: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: plait/witness}]}
"""
FILTER = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: script, namespace: shop}
spec:
  configPatches:
  - applyTo: HTTP_FILTER
    match: {context: GATEWAY, listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}}
    patch:
      operation: INSERT_BEFORE
      value:
        name: envoy.filters.http.lua
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
          default_source_code: {inline_string: "SCRIPT"}
"""
GOOD = "function envoy_on_response(handle) handle:headers():add('x-script', 'ran') end"
BAD = "function envoy_on_response(handle) this is no Lua"
# Good for itself: only the whole chain of a proxy shows that nothing may stand behind the router.
MISPLACED = (
    FILTER.replace("INSERT_BEFORE", "INSERT_AFTER")
    .replace("name: script", "name: misplaced")
    .replace(
        "{name: envoy.filters.network.http_connection_manager}",
        "{name: envoy.filters.network.http_connection_manager, subFilter: {name: envoy.filters.http.router}}",
    )
)
GET = """
import sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=5) as answer:
    print(answer.status, answer.headers.get("x-script", "-"))
"""


def programmed(mine: Mesh) -> dict[str, Any]:
    conditions = mine.get(kinds.GATEWAY, "edge", "shop")["status"]["conditions"]
    return next(each for each in conditions if each["type"] == "Programmed")


def reconciled(mine: Mesh) -> dict[str, Any]:
    conditions = mine.get(kinds.ENVOY_FILTER, "script", "shop").get("status", {}).get("conditions", ())
    return next((each for each in conditions if each["type"] == "Reconciled"), {})


@pytest.mark.reliability(number=26)
def test_what_envoy_refuses_is_in_a_status_and_costs_nothing() -> None:
    with mesh(f"refusal{os.getpid()}") as mine:
        mine.up("--nodes", "1")
        mine.apply(WORLD)
        mine.ready("shop", "web")
        mine.programmed("shop", "edge")
        address = mine.get(kinds.SERVICE, "edge-istio", "shop")["spec"]["clusterIP"]

        def answer() -> str:
            return mine.inside("web", GET, f"http://{address}/", namespace="shop").strip()

        mine.apply(FILTER.replace("SCRIPT", GOOD))
        until(lambda: answer() == "200 ran", "the script runs")
        before = refusals(mine)
        mine.apply(FILTER.replace("SCRIPT", BAD))
        took = until(
            lambda: reconciled(mine).get("status") == "False", "the object's status says that Envoy refuses it"
        )
        assert took < 5, took
        words = reconciled(mine)["message"]
        assert "script load error" in words and "spec.configPatches[0]" in words, "Envoy's own words, and where"
        assert answer() == "200 ran", "the last good state stays"
        assert refusals(mine) == before and programmed(mine)["status"] == "True", "no proxy was told"

        mine.apply(FILTER.replace("SCRIPT", GOOD.replace("ran", "ran again")))
        until(lambda: answer() == "200 ran again", "mended, it is told")
        assert reconciled(mine)["status"] == "True"

        mine.apply(MISPLACED.replace("SCRIPT", GOOD))
        until(lambda: programmed(mine)["status"] == "False", "the status says that the proxy refuses")
        told = programmed(mine)
        assert told["reason"] == "Invalid" and "keeps its last configuration" in told["message"]
        assert "must be the last filter" in told["message"], "Envoy's own words"
        assert answer() == "200 ran again", "the last good configuration serves"
        mine.ask(lambda api: api.delete(kinds.ENVOY_FILTER, "misplaced", "shop"))
        until(lambda: programmed(mine)["status"] == "True", "mended: programmed again")
        mine.ask(lambda api: api.delete(kinds.ENVOY_FILTER, "script", "shop"))
        until(lambda: answer() == "200 -", "and without")


def refusals(mine: Mesh) -> list[str]:
    """How often the gateway's Envoy has refused something, by its own count."""
    labels = "gateway.networking.k8s.io/gateway-name=edge"
    (pod,), _ = mine.ask(lambda api: api.list(kinds.POD, "shop", labels=labels))
    socket = mine.layout.proxies / pod["metadata"]["uid"] / "admin.sock"
    command = ["curl", "-s", "--unix-socket", str(socket), "http://envoy/stats?filter=lds.update_rejected"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.splitlines()
