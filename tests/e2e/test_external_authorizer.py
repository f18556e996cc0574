"""CUSTOM policies: the one proxy that applies the policy asks an authorizer of the user's, and its word holds."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
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
SAMPLE = (Path(__file__).parents[2] / "samples/authorization/external.yaml").read_text()
WORLD = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: shop}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: edge, namespace: shop}
spec: {parentRefs: [{name: edge}], rules: [{backendRefs: [{name: bare, port: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: dispatch, namespace: shop, labels: {istio.io/use-waypoint: waypoint}}
spec: {selector: {app: dispatch}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: dispatch, namespace: shop, labels: {app: dispatch}}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: plait/witness}]}
---
apiVersion: v1
kind: Service
metadata: {name: bare, namespace: shop}
spec: {selector: {app: bare}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: shop, labels: {app: bare}}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: plait/witness}]}
---
apiVersion: v1
kind: Service
metadata: {name: beside, namespace: shop}
spec: {selector: {app: beside}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: beside
  namespace: shop
  labels: {app: beside, sidecar.istio.io/inject: "true", istio.io/dataplane-mode: none}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: plait/witness}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: shop, labels: {app: client}}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: busybox, command: [sleep, "1000"]}]}
"""
ASK = """
import json, sys, urllib.error, urllib.request
url, body, *headers = sys.argv[1:]
request = urllib.request.Request(url, data=body.encode() or None, headers=dict(each.split("=", 1) for each in headers))
try:
    with urllib.request.urlopen(request, timeout=8) as answer:
        print(json.dumps([answer.status, dict(answer.headers), answer.read().decode()]))
except urllib.error.HTTPError as error:
    print(json.dumps([error.code, dict(error.headers), error.read().decode()]))
"""
RESULT, ALLOW = "x-ext-authz-check-result", "x-ext-authz=allow"


class World:
    def __init__(self, mine: Mesh) -> None:
        self.mesh = mine

    def ask(self, service: str, path: str, *headers: str, body: str = "") -> tuple[int, dict[str, str], str]:
        address = self.mesh.get(kinds.SERVICE, service, "shop")["spec"]["clusterIP"]
        said = self.mesh.inside("client", ASK, f"http://{address}{path}", body, *headers, namespace="shop")
        status, answered, text = json.loads(said)
        return status, answered, text

    def custom(self, name: str, provider: str, target: dict[str, Any], path: str) -> None:
        """A policy by which the provider decides about this path."""
        spec = {
            "action": "CUSTOM",
            "provider": {"name": provider},
            "rules": [{"to": [{"operation": {"paths": [path]}}]}],
        }
        meta = {"name": name, "namespace": "shop"}
        policy = {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": meta}
        self.mesh.apply(json.dumps({**policy, "spec": {**spec, **target}}))


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    with mesh(f"extauth{os.getpid()}") as mine:
        mine.up("--nodes", "2")
        mine.apply(WORLD)
        mine.apply(SAMPLE)
        mine.ready("shop", "dispatch", "bare", "beside", "client")
        for gateway in ("waypoint", "edge"):
            mine.programmed("shop", gateway)
        mine.captured("shop", "dispatch", "bare", "client")
        found = World(mine)
        until(lambda: found.ask("dispatch", "/orders", ALLOW)[0] == 200, "the authorizer lets a request pass")
        yield found


def test_the_authorizer_allows_denies_and_adds_headers_at_a_waypoint(shared: World) -> None:
    status, _, text = shared.ask("dispatch", "/orders/1", ALLOW)
    seen = dict(json.loads(text)["headers"])
    assert (status, seen[RESULT]) == (200, "allowed")
    status, headers, text = shared.ask("dispatch", "/orders/1")
    assert (status, headers[RESULT], text) == (403, "denied", "denied by the external authorizer\n")
    assert shared.ask("dispatch", "/elsewhere")[0] == 200, "what the policy does not name is nobody's business"


def test_the_authorizer_sees_the_body_up_to_its_cap(shared: World) -> None:
    assert shared.ask("dispatch", "/orders", ALLOW, body="fine")[0] == 200
    assert shared.ask("dispatch", "/orders", ALLOW, body="this is forbidden")[0] == 403
    beyond = "x" * 1024 + "forbidden"
    assert shared.ask("dispatch", "/orders", ALLOW, body=beyond)[0] == 200, "what is beyond the cap is not shown"


def test_an_authorizer_that_is_too_slow_fails_closed(shared: World) -> None:
    assert shared.ask("dispatch", "/orders/slow", ALLOW)[0] == 403


@pytest.mark.parametrize("provider", ["authorizer-http", "authorizer-grpc"])
@pytest.mark.parametrize("role", ["gateway", "sidecar"])
def test_gateways_and_sidecars_ask_it_too_over_http_and_grpc(shared: World, role: str, provider: str) -> None:
    reference = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}
    gateway, sidecar = {"targetRefs": [reference]}, {"selector": {"matchLabels": {"app": "beside"}}}
    service, target = ("edge-istio", gateway) if role == "gateway" else ("beside", sidecar)
    path = f"/{role}/{provider}"
    shared.custom(role, provider, target, f"{path}*")
    until(lambda: shared.ask(service, path)[0] == 403, "denied without the word")
    status, _, text = shared.ask(service, path, ALLOW)
    assert status == 200
    assert [RESULT, "allowed"] in json.loads(text)["headers"]
    assert shared.ask(service, "/elsewhere")[0] == 200


def test_of_a_provider_nobody_configured_what_it_would_be_asked_about_is_denied_and_nothing_else(shared: World) -> None:
    shared.custom("unknown", "nobody", {"selector": {"matchLabels": {"app": "beside"}}}, "/unknown*")
    try:
        until(lambda: shared.ask("beside", "/unknown", ALLOW)[0] == 403, "denied")
        assert shared.ask("beside", "/elsewhere")[0] == 200
    finally:
        shared.mesh.ask(lambda api: api.delete(kinds.AUTHORIZATION_POLICY, "unknown", "shop"))


def test_an_authorizer_that_is_away_fails_closed_and_open_where_that_was_asked_for(shared: World) -> None:
    shared.mesh.scale("authorizer", 0, "authorization")
    until(lambda: shared.ask("dispatch", "/orders", ALLOW)[0] == 403, "nobody answers: denied")
    config = shared.mesh.get(kinds.CONFIG_MAP, "istio", "istio-system")["data"]["mesh"]
    opened = {"data": {"mesh": config.replace("timeout: 1s", "timeout: 1s\n      failOpen: true", 1)}}
    shared.mesh.ask(lambda api: api.patch(kinds.CONFIG_MAP, "istio", opened, "istio-system"))
    until(lambda: shared.ask("dispatch", "/orders")[0] == 200, "nobody answers: let pass")
