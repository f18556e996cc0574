"""Every protocol through every way: a pair of ambient pods at L4, a waypoint between them, a pair of sidecars."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit import protocol_server as server
from kit.mesh import Mesh, mesh, until
from plait.resources import kinds

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="enters namespaces of the host: needs root"),
]
TESTS = Path(__file__).parents[1]
WAYS = {
    "l4": {"istio.io/dataplane-mode": "ambient"},
    "waypoint": {"istio.io/dataplane-mode": "ambient", "istio.io/use-waypoint": "waypoint"},
    "sidecar": {"istio-injection": "enabled"},
}
PORTS = {
    "http": (80, server.HTTP),
    "http2": (81, server.HTTP2),
    "grpc": (82, server.GRPC),
    "http-ws": (83, server.WEBSOCKET),
    "tcp-mail": (84, server.GREETING),
    "https": (443, server.TLS),
    "mail": (85, server.UNDECLARED),
    "redis": (6379, server.REDIS),
}
GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: waypoint}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
"""
# Without it a proxy waits for the first byte of a client for ever where nobody has said the protocol, as Istio does.
CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "protocolDetectionTimeout: 2s"}
"""


def pod(name: str, namespace: str, node: int, command: list[str], **container: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": f"node-{node}"},
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "c", "image": "python", "command": command, **container}],
        },
    }


def world() -> Iterator[dict[str, Any]]:
    for way, labels in WAYS.items():
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": way, "labels": labels}}
        ports = [{"name": name, "port": port, "targetPort": target} for name, (port, target) in PORTS.items()]
        meta: dict[str, Any] = {"name": "server", "namespace": way}
        meta["annotations"] = {"plait.dev/serve-calls": "true"}
        spec = {"selector": {"app": "server"}, "ports": ports}
        yield {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}
        command = [sys.executable, "-um", "kit.protocol_server"]
        probe = {"tcpSocket": {"port": server.GRPC}, "periodSeconds": 1}
        path = [{"name": "PYTHONPATH", "value": str(TESTS)}]
        yield pod("server", way, 2, command, env=path, readinessProbe=probe)
        yield pod("client", way, 1, ["sleep", "10000"])


class World:
    def __init__(self, mine: Mesh) -> None:
        self.mesh = mine

    def says(self, way: str, word: str, port: str) -> Any:
        """What the client of this protocol gets from the server's Service."""
        host = self.mesh.get(kinds.SERVICE, "server", way)["spec"]["clusterIP"]
        return self.asks(way, word, host, PORTS[port][0])

    def asks(self, way: str, word: str, host: str, port: int) -> Any:
        command = ["nsenter", f"--net={self.mesh.space('client', way)}", sys.executable, "-m", "kit.protocol_client"]
        environment = {**os.environ, "PYTHONPATH": str(TESTS)}
        done = subprocess.run(
            [*command, word, host, str(port)], capture_output=True, text=True, timeout=60, env=environment
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def admin(self, way: str, path: str, pod: str = "server") -> str:
        """What an L7 proxy of this way says on its admin socket: the waypoint, or the sidecar of a pod."""
        labels = "gateway.networking.k8s.io/gateway-name=waypoint" if way == "waypoint" else f"app={pod}"
        (found,), _ = self.mesh.ask(lambda api: api.list(kinds.POD, way, labels=labels))
        socket = self.mesh.layout.proxies / found["metadata"]["uid"] / "admin.sock"
        command = ["curl", "-s", "--unix-socket", str(socket), f"http://envoy{path}"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    with mesh(f"proto{os.getpid()}") as mine:
        mine.up("--nodes", "2")
        mine.apply("\n---\n".join([CONFIG, *(json.dumps(each) for each in world()), GATEWAY]))
        for way in WAYS:
            mine.ready(way, "server", "client")
        for way in ("l4", "waypoint"):
            mine.captured(way, "server", "client")
        mine.programmed("waypoint", "waypoint")
        found = World(mine)
        for way in WAYS:
            until(lambda: found.says(way, "expect", "http")["status"] == "200", f"the first answer: {way}")  # noqa: B023
        until(lambda: "inbound-vip|80|http" in found.admin("waypoint", "/clusters"), "the waypoint knows the service")
        yield found


every_way = pytest.mark.parametrize("way", WAYS)


@every_way
def test_http1_keeps_chunks_and_trailers_of_both_directions(shared: World, way: str) -> None:
    assert shared.says(way, "http1", "http") == {"status": "200", "body": "hello", "sent": "yes", "told": True}


@every_way
def test_a_client_that_expects_100_is_told_to_go_on(shared: World, way: str) -> None:
    assert shared.says(way, "expect", "http") == {"first": "100", "status": "200", "body": "hello"}


@every_way
def test_http2_by_prior_knowledge_with_streams_side_by_side_and_trailers(shared: World, way: str) -> None:
    wanted = {"statuses": ["200", "200"], "trailers": 2, "paths": ["/one", "/two"]}
    assert shared.says(way, "http2", "http2") == wanted


@every_way
def test_grpc_calls_of_each_kind_and_statuses(shared: World, way: str) -> None:
    assert shared.says(way, "grpc", "grpc") == {
        "unary": "unary hello",
        "down": ["n 0", "n 1", "n 2"],
        "up": "a b c",
        "both": ["heard word 0", "heard word 1", "heard word 2"],
        "failed": ["FAILED_PRECONDITION", "as asked"],
    }


@pytest.mark.parametrize("way", ["waypoint", "sidecar"])
def test_grpc_web_of_a_browser_is_answered_by_a_grpc_server(shared: World, way: str) -> None:
    assert shared.says(way, "grpc-web", "grpc") == {"status": "200", "message": True, "trailers": True}


@every_way
def test_a_websocket_is_opened_and_heard(shared: World, way: str) -> None:
    assert shared.says(way, "websocket", "http-ws") == ["heard one", "heard two"]


@every_way
@pytest.mark.parametrize("port", ["tcp-mail", "mail"], ids=["declared", "undeclared"])
def test_a_server_that_speaks_first_is_heard(shared: World, way: str, port: str) -> None:
    assert shared.says(way, "greeting", port) == ["220 mail.example ready", "250 HELO"]


@every_way
def test_a_port_no_service_has_carries_bytes_too(shared: World, way: str) -> None:
    address = shared.mesh.address("server", way)
    assert shared.asks(way, "greeting", address, server.GREETING) == ["220 mail.example ready", "250 HELO"]


@every_way
def test_commands_of_redis_are_answered(shared: World, way: str) -> None:
    assert shared.says(way, "redis", "redis") == ["+OK", "blue"]


@pytest.mark.parametrize(("way", "pod"), [("waypoint", "waypoint"), ("sidecar", "client")])
def test_commands_of_redis_are_counted_where_they_are_read(shared: World, way: str, pod: str) -> None:
    shared.says(way, "redis", "redis")
    text = shared.admin(way, "/stats?filter=redis.*command&usedonly", pod)
    assert re.search(r"command\.get\.total: [1-9]", text) and re.search(r"command\.set\.total: [1-9]", text), text


@every_way
def test_tls_of_the_application_is_not_ended_on_the_way(shared: World, way: str) -> None:
    assert shared.says(way, "tls", "https") == {"answer": "in TLS: hello", "own": True}


@pytest.mark.parametrize("way", ["waypoint", "sidecar"])
def test_the_requests_were_seen_as_such(shared: World, way: str) -> None:
    """They did not pass as mere bytes: the proxy has counted them."""
    text = shared.admin(way, "/stats?filter=istio_requests_total&usedonly")
    assert "istio_requests_total" in text and "grpc" in text
