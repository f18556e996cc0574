"""What a sidecar does when its application closes a kept connection in the moment it is used again."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kit import l7, loopback
from plait.envoy.l7 import inbound
from plait.envoy.l7.context import Context
from plait.envoy.l7.options import DEFAULT
from plait.envoy.pieces import Doc, any_of, extension
from plait.model.views.sidecar import InboundPort, SidecarView

PORT = InboundPort(8080, "http", "permissive")
VIEW = SidecarView(
    proxy=l7.proxy("sidecar", "web"),
    settings=l7.SETTINGS,
    http=(),
    tcp=(),
    upstreams=(),
    inbound=(PORT,),
    default_mtls="permissive",
    unknown="allow_any",
    egress_proxy=None,
    enforced=l7.ENFORCED,
)


@contextmanager
def forgetful() -> Iterator[int]:
    """An application that answers one request on each connection and closes it when the second has come."""

    def serve(connection: socket.socket) -> None:
        with connection:
            for answer in (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx", b""):
                read = b""
                while b"\r\n\r\n" not in read:
                    more = connection.recv(65536)
                    if not more:
                        return
                    read += more
                connection.sendall(answer)

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield int(server.getsockname()[1])


def proxy(port: int, application: int) -> Doc:
    """The sidecar's own routes on loopback."""
    routes = inbound.route_configuration(Context(VIEW.proxy, VIEW.settings, DEFAULT, {}), VIEW, PORT)
    manager = extension(
        "envoy.filters.network.http_connection_manager",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="inbound",
        route_config=routes,
        http_filters=[
            {
                "name": "envoy.filters.http.router",
                "typed_config": any_of("envoy.extensions.filters.http.router.v3.Router"),
            }
        ],
    )
    listening = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    there = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": application}}}}
    name = inbound.cluster_name(PORT)
    ends = {"cluster_name": name, "endpoints": [{"lb_endpoints": [there]}]}
    return {
        "static_resources": {
            "listeners": [{"name": "in", "address": listening, "filter_chains": [{"filters": [manager]}]}],
            "clusters": [{"name": name, "type": "STATIC", "load_assignment": ends}],
        }
    }


@pytest.mark.envoy
def test_what_may_be_sent_twice_is_and_nothing_else(tmp_path: Path) -> None:
    port = loopback.free_port()
    with forgetful() as application, loopback.envoy(proxy(port, application), port, tmp_path):

        def ask(method: str) -> int:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request(method, "/", body=b"x" if method == "POST" else None)
            return connection.getresponse().status

        assert [ask("GET") for _ in range(6)] == [200] * 6
        assert sorted({ask("POST") for _ in range(4)}) == [200, 503], "it may have been read"
