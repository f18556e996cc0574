"""The life of a waypoint and of a gateway: a Gateway is all that is written; proxies come, scale, and go with it."""

from __future__ import annotations

import json
import os
import ssl
import urllib.error
import urllib.request
from typing import Any

import pytest

from kit.behind_waypoint import CLIENT, NAMESPACE, SERVER, SERVICE
from kit.mesh import Mesh, mesh, until
from kit.pki import Authority
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.store.api import ApiError

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.skipif(os.geteuid() != 0, reason="enters namespaces of the host: needs root"),
]
WAYPOINT = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: shop}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
"""
EDGE = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: istio
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: door}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop}
spec:
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{name: web, port: 80}]}]
"""
ASK = """
import sys, urllib.error, urllib.request
try:
    answer = urllib.request.urlopen(sys.argv[1], timeout=3)
    print(answer.status, answer.headers.get("server"))
except urllib.error.HTTPError as error:
    print(error.code, error.headers.get("server"))
except OSError as error:
    print("closed")
"""


def pods(mine: Mesh, gateway: str) -> list[dict[str, Any]]:
    labels = f"gateway.networking.k8s.io/gateway-name={gateway}"
    found, _ = mine.ask(lambda api: api.list(kinds.POD, "shop", labels=labels))
    return list(found)


def ready(mine: Mesh, gateway: str) -> int:
    return sum(
        any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", ()))
        and "deletionTimestamp" not in pod["metadata"]
        for pod in pods(mine, gateway)
    )


def absent(mine: Mesh, kind: Kind, name: str) -> bool:
    try:
        mine.get(kind, name, "shop")
    except ApiError as error:
        return error.code == 404
    return False


def door(authority: Authority) -> str:
    """The Secret of the HTTPS listener."""
    leaf = authority.issue("spiffe://test/door")
    data = {"tls.crt": leaf.certificate.decode(), "tls.key": leaf.key.decode()}
    metadata = {"name": "door", "namespace": "shop"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/tls"}
    return json.dumps({**secret, "stringData": data})


def trusting(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.root.decode())
    context.check_hostname = False
    return context


def outside(url: str, context: ssl.SSLContext | None = None) -> int:
    """The status of a request from the host's own network namespace; 0 when nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=3, context=context) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


@pytest.mark.reliability(number=7)
def test_a_waypoint_comes_serves_scales_survives_a_killed_control_plane_and_goes() -> None:
    with mesh(f"wpl{os.getpid()}") as mine:
        mine.up("--nodes", "2")
        for text in (NAMESPACE, SERVICE, SERVER, CLIENT, WAYPOINT):
            mine.apply(text)
        mine.ready("shop", "web", "client")
        mine.captured("shop", "web", "client")
        mine.programmed("shop", "waypoint")
        assert ready(mine, "waypoint") == 1
        mesh_address = mine.get(kinds.SERVICE, "waypoint", "shop")["spec"]["clusterIP"]
        assert mine.get(kinds.GATEWAY, "waypoint", "shop")["status"]["addresses"] == [
            {"type": "IPAddress", "value": mesh_address},
            {"type": "Hostname", "value": "waypoint.shop.svc.cluster.local"},
        ]
        address = mine.get(kinds.SERVICE, "web", "shop")["spec"]["clusterIP"]

        def answer() -> str:
            return mine.inside("client", ASK, f"http://{address}/", namespace="shop").strip()

        until(lambda: answer() == "200 istio-envoy", "a request passes the waypoint")
        mine.scale("waypoint", 2, "shop")
        mine.kill(mine.pid("control"))
        until(lambda: ready(mine, "waypoint") == 2, "two replicas")
        mine.apply(WAYPOINT.replace("name: waypoint", "name: waypoint, labels: {istio.io/waypoint-for: all}"))
        until(
            lambda: "istio.io/waypoint-for" in mine.get(kinds.DEPLOYMENT, "waypoint", "shop")["metadata"]["labels"],
            "a new control plane follows",
        )
        assert mine.get(kinds.DEPLOYMENT, "waypoint", "shop")["spec"]["replicas"] == 2
        mine.kill(mine.pid("control"))
        mine.plait("delete", "gateways.gateway.networking.k8s.io", "waypoint", "-n", "shop")
        for kind in (kinds.DEPLOYMENT, kinds.SERVICE, kinds.SERVICE_ACCOUNT):
            until(lambda kind=kind: absent(mine, kind, "waypoint"), f"no {kind.kind}")
        until(lambda: not pods(mine, "waypoint"), "no pod")
        folder = mine.layout.proxies
        until(lambda: not list(folder.iterdir()), "no folder of a proxy")


def test_a_gateway_is_reached_from_the_host_at_the_address_of_its_load_balancer() -> None:
    first, second = Authority("first"), Authority("second")
    with mesh(f"gwl{os.getpid()}") as mine:
        mine.up("--nodes", "2")
        for text in (NAMESPACE.replace("istio.io/use-waypoint: waypoint", "a: b"), SERVICE, SERVER, door(first), EDGE):
            mine.apply(text)
        mine.ready("shop", "web")
        mine.programmed("shop", "edge")
        (address,) = mine.get(kinds.GATEWAY, "edge", "shop")["status"]["addresses"]
        assert address["type"] == "IPAddress"
        plain, secure = f"http://{address['value']}/", f"https://{address['value']}/"
        until(lambda: outside(plain) == 200, "a request from the host")
        until(lambda: outside(secure, trusting(first)) == 200, "and one over TLS")
        assert outside(secure, trusting(second)) == 0
        mine.apply(door(second))
        until(lambda: outside(secure, trusting(second)) == 200, "the new certificate")
        mine.apply(EDGE.replace("port: 80, protocol: HTTP", "port: 8080, protocol: HTTP"))
        until(lambda: outside(f"http://{address['value']}:8080/") == 200, "the same address, another port")
