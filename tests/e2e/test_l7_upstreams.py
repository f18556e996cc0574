"""Real Envoys as gateways: how they speak to what is behind them."""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path

import pytest

from kit import l7
from kit.l7 import forward, route, upstream, virtual
from kit.loopback import backend, envoy, free_port
from kit.pki import Authority
from plait.envoy.roles import gateway
from plait.model.traffic import ClientTls, TrafficPolicy
from plait.model.views.gateway import GatewayView, HttpChain, ServerPort

pytestmark = [pytest.mark.e2e, pytest.mark.envoy]


@pytest.mark.parametrize("protocol", ["auto", "http"])
def test_tls_to_a_server_that_would_rather_speak_http2_goes_on_in_the_clients_protocol(
    tmp_path: Path, protocol: str
) -> None:
    leaf = Authority().issue("spiffe://cluster.local/ns/shop/sa/web")
    (tmp_path / "web.crt").write_bytes(leaf.certificate)
    (tmp_path / "web.key").write_bytes(leaf.key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "web.crt", tmp_path / "web.key")
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
