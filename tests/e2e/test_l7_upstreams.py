"""Real Envoys as gateways and sidecars: how they speak to what is behind them."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from contextlib import ExitStack
from pathlib import Path

import pytest

from kit import l7
from kit.l7 import forward, route, upstream, virtual
from kit.loopback import backend, envoy, free_port
from kit.pki import Authority
from plait.envoy.l7.options import Options
from plait.envoy.roles import gateway, sidecar
from plait.model.traffic import ClientTls, TrafficPolicy
from plait.model.views.gateway import GatewayView, HttpChain, ServerPort
from plait.model.views.sidecar import HttpOutbound, SidecarView

_ALSO: dict[str, tuple[str, ...]] = {"db-1": (), "db-2": ("127.0.0.3",)}
pytestmark = [pytest.mark.e2e, pytest.mark.envoy]


@pytest.mark.parametrize("protocol", ["auto", "http"])
def test_tls_to_a_server_that_would_rather_speak_http2_goes_on_in_the_clients_protocol(
    tmp_path: Path, protocol: str
) -> None:
    server = _server(tmp_path)
    server.set_alpn_protocols(["h2", "http/1.1"])
    policy = TrafficPolicy(tls=ClientTls("simple", sni="web.example", insecure=True))
    with backend("web", server) as behind:
        port = free_port()
        web = upstream("web", "127.0.0.1", target=behind, protocol=protocol, policy=policy)
        chain = HttpChain((), (virtual("shop", route("/", forward("web"))),), name="http.80")
        served = ServerPort(port, "127.0.0.1", "HTTP", (chain,))
        view = GatewayView(l7.proxy("gateway"), l7.SETTINGS, (served,), (web,), l7.ENFORCED)
        document = l7.composed(gateway.documents(view), run=True, admin=str(tmp_path / "admin"))
        with envoy(document, port, tmp_path):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/")
            answer = connection.getresponse()
            assert (answer.status, json.loads(answer.read())["alpn"]) == (200, "http/1.1")
            connection.close()


def test_tls_of_the_mesh_is_passed_on_unopened_by_the_name_of_a_cluster(tmp_path: Path) -> None:
    with ExitStack() as held:
        ports = {each: held.enter_context(backend(each or "all", _server(tmp_path))) for each in ("", "v2")}
        passed = tuple(
            upstream("web", "127.0.0.1", target=port, subset=subset, protocol="tcp") for subset, port in ports.items()
        )
        port = free_port()
        served = ServerPort(port, "127.0.0.1", "TLS", passed=tuple(each.key for each in passed))
        view = GatewayView(l7.proxy("gateway"), l7.SETTINGS, (served,), (), l7.ENFORCED, passed=passed)
        document = l7.composed(gateway.documents(view), run=True, admin=str(tmp_path / "admin"))
        held.enter_context(envoy(document, port, tmp_path))

        def ask(name: str, *alpn: str) -> str:
            """Who answers; "" nobody."""
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols(list(alpn))
            try:
                with socket.create_connection(("127.0.0.1", port), 5) as plain:
                    connection = http.client.HTTPConnection(name, timeout=5)
                    connection.sock = context.wrap_socket(plain, server_hostname=name)
                    connection.request("GET", "/")
                    return str(json.loads(connection.getresponse().read())["backend"])
            except (OSError, http.client.HTTPException):
                return ""

        host = l7.host("web")
        assert ask(f"outbound_.80_._.{host}", "istio") == "all"
        assert ask(f"outbound_.80_.v2_.{host}", "istio-http/1.1", "istio") == "v2"
        assert ask(f"outbound_.81_._.{host}", "istio") == "", "no such port"
        assert ask(host, "istio") == "", "no name of a cluster"
        assert ask(f"outbound_.80_._.{host}", "h2", "http/1.1") == "", "no TLS of the mesh"


def _server(folder: Path) -> ssl.SSLContext:
    leaf = Authority().issue("spiffe://cluster.local/ns/shop/sa/web")
    (folder / "web.crt").write_bytes(leaf.certificate)
    (folder / "web.key").write_bytes(leaf.key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "web.crt", folder / "web.key")
    return server


def test_a_request_to_a_headless_service_reaches_the_pod_that_was_dialed_even_a_sick_one(tmp_path: Path) -> None:
    with ExitStack() as held:
        pods = {name: held.enter_context(backend(name, address=f"127.0.0.{name[-1]}")) for name in ("db-1", "db-2")}
        ends = tuple(
            end
            for name, port in pods.items()
            for end in l7.ends(f"127.0.0.{name[-1]}", port=port, healthy=name == "db-1", others=_ALSO[name])
        )
        port, options = free_port(), Options(outbound_port=free_port(), inbound_port=free_port())
        http_ = HttpOutbound(
            port, (virtual("db", route("/", forward("db"))),), bind="0.0.0.0", capture=False, pinned=True
        )
        view = SidecarView(
            l7.proxy("sidecar"),
            l7.SETTINGS,
            (http_,),
            (),
            (upstream("db", endpoints=ends, pinned=True),),
            "allow_any",
            None,
            (),
            "permissive",
            l7.ENFORCED,
        )
        document = l7.composed(sidecar.documents(view, options), run=True, admin=str(tmp_path / "admin"))
        held.enter_context(envoy(document, port, tmp_path))

        def asked(address: str) -> tuple[str, bool]:
            connection = http.client.HTTPConnection(address, port, timeout=10)
            connection.request("GET", "/")
            found = json.loads(connection.getresponse().read())
            connection.close()
            return found["backend"], "x-plait-dialed" in found["headers"]

        answered = {address: {asked(address) for _ in range(4)} for address in (f"127.0.0.{n}" for n in range(1, 5))}
    assert answered == {
        "127.0.0.1": {("db-1", False)},
        "127.0.0.2": {("db-2", False)},
        "127.0.0.3": {("db-2", False)},  # another address of that pod
        "127.0.0.4": {("db-1", False)},  # nobody's address: any healthy one
    }


def test_a_socket_file_of_the_sidecars_own_serves_hosts_and_no_others(tmp_path: Path) -> None:
    path, options = str(tmp_path / "out.sock"), Options(outbound_port=free_port(), inbound_port=free_port())
    with backend("web") as behind:
        host = virtual("web:80", route("/", forward("web")), domains=("web", "web:80"))
        own = HttpOutbound(0, (host,), bind=f"unix://{path}", capture=False, by_port=True)
        web = upstream("web", "127.0.0.1", target=behind)
        view = SidecarView(
            l7.proxy("sidecar"), l7.SETTINGS, (own,), (), (web,), "allow_any", None, (), "permissive", l7.ENFORCED
        )
        document = l7.composed(sidecar.documents(view, options), run=True, admin=str(tmp_path / "admin"))
        with envoy(document, options.outbound_port, tmp_path):

            def ask(name: str) -> int:
                connection = http.client.HTTPConnection(name, timeout=5)
                connection.sock = socket.socket(socket.AF_UNIX)
                connection.sock.connect(path)
                connection.request("GET", "/")
                return connection.getresponse().status

            assert [ask(name) for name in ("web", "web:80", "web:81", "other")] == [200, 200, 502, 502]
