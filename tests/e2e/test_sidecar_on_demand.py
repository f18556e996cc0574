"""A sidecar of a large mesh holds the clusters that its traffic has used; first requests are like all others."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from kit import sidecars
from kit.mesh import Mesh, mesh, until
from plait.resources import kinds

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.geteuid() != 0, reason="sidecars are known by their user: needs root"),
]
ROUTE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: split, namespace: shop}
spec:
  hosts: [split]
  http:
  - route: [{destination: {host: one}, weight: 50}, {destination: {host: two}, weight: 50}]
    mirror: {host: mirror}
"""
POST = r"""
import http.client, sys
c = http.client.HTTPConnection(sys.argv[1], 80, timeout=10); c.request("POST", "/", body=b"x" * 200_000)
print(c.getresponse().status)
"""
TCP = r"""
import socket, sys
with socket.create_connection((sys.argv[1], 80), 5) as s:
    s.settimeout(5); s.sendall(b"GET / HTTP/1.0\r\n\r\n"); print(s.recv(99).decode().split()[1])
"""


@pytest.fixture(scope="module")
def mine() -> Iterator[Mesh]:
    with mesh(f"sod{os.getpid()}") as made:
        made.up("--nodes", "1", "--eager-services", "3")
        made.apply(sidecars.NAMESPACE)
        names = ("get", "post", "raw", "one", "two", "split", "mirror", "idle")
        texts = {name: sidecars.service(name).replace(f"app: {name}", "app: web") for name in names}
        texts["raw"] = texts["raw"].replace("name: http", "name: tcp")
        web = sidecars.server("web", "node-1", annotations={"sidecar.istio.io/inject": "false"})
        made.apply("---\n".join((web, *texts.values(), sidecars.client(), ROUTE)))
        made.ready("shop", "client", "web")
        until(lambda: "mirror.shop.svc.cluster.local" in sidecars.services(made, "client"), "it is configured")
        yield made


def held(mine: Mesh) -> set[str]:
    return {name.partition(".")[0] for name in sidecars.services(mine, "client")}


def requests(mine: Mesh, name: str) -> int:
    """How many requests to this service the sidecar has counted, whatever became of them."""
    uid = mine.get(kinds.POD, "client", "shop")["metadata"]["uid"]
    page = str(mine.layout.proxies / uid / "metrics.sock")
    command = ["curl", "-s", "--unix-socket", page, "http://envoy/stats/prometheus"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout
    found = re.findall(rf'^istio_requests_total{{.*destination_service_name="{name}".*}} (\d+)', text, re.M)
    return sum(map(int, found))


def test_what_nobody_has_used_is_not_held(mine: Mesh) -> None:
    assert "mirror" in held(mine), "a mirrored request cannot wait for its cluster"
    assert not held(mine) & {"get", "post", "raw", "one", "two", "idle"}


def test_the_first_request_is_answered_and_counted_once(mine: Mesh) -> None:
    assert sidecars.ask(mine, sidecars.cluster_ip(mine, "get"))[:2] == (200, "istio-envoy")
    assert "get" in held(mine) and "idle" not in held(mine)
    until(lambda: requests(mine, "get") == 1, "one request is counted")
    assert sidecars.ask(mine, sidecars.cluster_ip(mine, "get"))[0] == 200
    until(lambda: requests(mine, "get") == 2, "two requests are counted")


def test_a_first_request_with_a_body(mine: Mesh) -> None:
    assert mine.inside("client", POST, sidecars.cluster_ip(mine, "post"), namespace="shop").strip() == "200"
    assert "post" in held(mine)


def test_a_first_connection_that_is_not_http(mine: Mesh) -> None:
    assert mine.inside("client", TCP, sidecars.cluster_ip(mine, "raw"), namespace="shop").strip() == "200"
    assert "raw" in held(mine)


def test_weighted_routes_to_what_nobody_has_used(mine: Mesh) -> None:
    address = sidecars.cluster_ip(mine, "split")
    assert [sidecars.ask(mine, address)[0] for _ in range(8)] == [200] * 8
    assert held(mine) & {"one", "two"}
    assert "idle" not in held(mine)
