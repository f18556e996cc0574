"""Istio's Gateways on proxies of the user's own: in by HTTP and each mode of TLS; out by one that speaks TLS."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.mesh import Mesh, mesh, until
from kit.pki import Authority, Leaf
from plait.resources import kinds

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="enters namespaces of the host: needs root"),
]
SAMPLES = Path(__file__).parents[2] / "samples/gateways"
TLS_SERVER = """
import http.server, json, os, ssl, tempfile
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    def do_GET(self):
        body = json.dumps({"path": self.path, "host": self.headers["host"], "peer": self.client_address[0]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
with tempfile.NamedTemporaryFile() as file:
    file.write(os.environ["PEM"].encode())
    file.flush()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file.name)
server = http.server.ThreadingHTTPServer(("", 8443), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""
ASK = """
import json, os, socket, ssl, sys, tempfile
address, port, host, path, root, pem = sys.argv[1:]
try:
    talk = socket.create_connection((address, int(port)), 5)
    if root:
        context = ssl.create_default_context(cadata=root)
        context.check_hostname = False  # what a name in the certificate would add is not what is tried here
        if pem:
            with tempfile.NamedTemporaryFile() as file:
                file.write(pem.encode())
                file.flush()
                context.load_cert_chain(file.name)
        talk = context.wrap_socket(talk, server_hostname=host)
    talk.settimeout(5)
    talk.sendall(f"GET {path} HTTP/1.1\\r\\nhost: {host}\\r\\nconnection: close\\r\\n\\r\\n".encode())
    data = b""
    while more := talk.recv(65536):
        data += more
    head, _, body = data.partition(b"\\r\\n\\r\\n")
    print(json.dumps([int(head.split()[1]) if head else 0, body.decode()]))
except OSError as error:
    print(json.dumps([0, repr(error)]))
"""
HOST, PARTNER = "shop.example", "partner.example"


def pod(name: str, namespace: str, container: dict[str, Any], **labels: str) -> dict[str, Any]:
    spec = {"terminationGracePeriodSeconds": 0, "containers": [{"name": "app", **container}]}
    meta = {"name": name, "namespace": namespace, "labels": {"app": name, **labels}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def service(name: str, namespace: str, port: int, target: int, protocol: str) -> dict[str, Any]:
    spec = {"selector": {"app": name}, "ports": [{"name": protocol, "port": port, "targetPort": target}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def secret(name: str, leaf: Leaf, authority: Authority | None = None) -> dict[str, Any]:
    data = {"tls.crt": leaf.certificate.decode(), "tls.key": leaf.key.decode()}
    if authority is not None:
        data["ca.crt"] = authority.root.decode()
    meta = {"name": name, "namespace": "ingress"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "kubernetes.io/tls", "stringData": data}


def world(authority: Authority) -> Iterator[dict[str, Any]]:
    for name, labels in (("shop", {"istio.io/dataplane-mode": "ambient"}), ("out", {}), ("side", {})):
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    yield service("order", "shop", 80, 8080, "http")
    yield pod("order", "shop", {"image": "plait/witness"})
    leaf = authority.issue("spiffe://test/server")
    pem = {"name": "PEM", "value": (leaf.certificate + leaf.key).decode()}
    server = {"image": "python", "command": ["/usr/bin/python3", "-uc", TLS_SERVER], "env": [pem]}
    yield service("vault", "shop", 443, 8443, "tls")
    yield pod("vault", "shop", server)
    yield pod("partner", "out", server)
    idle = {"image": "busybox", "command": ["sleep", "1000"]}
    yield pod("client", "out", idle)
    yield pod("client", "side", idle, **{"sidecar.istio.io/inject": "true"})


class World:
    def __init__(self, mine: Mesh, authority: Authority) -> None:
        self.mesh, self.authority = mine, authority
        self.address = str(mine.get(kinds.SERVICE, "ingressgateway", "ingress")["spec"]["clusterIP"])

    def ask(
        self,
        port: int,
        path: str = "/",
        host: str = HOST,
        *,
        tls: bool = False,
        pem: str = "",
        address: str = "",
        client: str = "out",
    ) -> tuple[int, str]:
        root = self.authority.root.decode() if tls else ""
        words = (address or self.address, str(port), host, path, root, pem)
        status, body = json.loads(self.mesh.inside("client", ASK, *words, namespace=client))
        return status, body

    def servers(self, *servers: dict[str, Any]) -> None:
        """What the ingress Gateway listens on."""
        body = {"spec": {"servers": list(servers)}}
        self.mesh.ask(lambda api: api.patch(kinds.ISTIO_GATEWAY, "edge", body, "ingress"))


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    authority = Authority()
    with mesh(f"istiogw{os.getpid()}") as mine:
        mine.up("--nodes", "2")
        mine.apply("\n---\n".join(json.dumps(each) for each in world(authority)))
        for name in ("ingress", "egress"):
            mine.apply((SAMPLES / f"{name}.yaml").read_text())
        mine.apply(json.dumps(secret("shop-example", authority.issue("spiffe://test/edge"), authority)))
        mine.ready("shop", "order", "vault")
        mine.ready("out", "partner", "client")
        mine.ready("side", "client")
        mine.captured("shop", "order", "vault")
        found = World(mine, authority)
        until(lambda: found.ask(80)[0] == 200, "the ingress gateway answers")
        yield found


def https(mode: str, **tls: Any) -> dict[str, Any]:
    return {
        "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
        "hosts": [HOST],
        "tls": {"mode": mode, **tls},
    }


def test_a_gateway_of_ones_own_routes_by_host_and_path_and_says_404_otherwise(shared: World) -> None:
    status, body = shared.ask(80, "/orders")
    assert (status, json.loads(body)["path"]) == (200, "/orders")
    assert shared.ask(80, host="else.example")[0] == 404


def test_tls_simple_serves_the_secrets_certificate_and_a_new_one_without_a_restart(shared: World) -> None:
    until(lambda: shared.ask(443, tls=True)[0] == 200, "HTTPS is served")
    other = Authority("another root")
    before, shared.authority = shared.authority, other
    assert shared.ask(443, tls=True)[0] == 0, "the certificate is not of this authority"
    shared.mesh.apply(json.dumps(secret("shop-example", other.issue("spiffe://test/edge"), other)))
    until(lambda: shared.ask(443, tls=True)[0] == 200, "the new certificate is served")
    shared.authority = before
    shared.mesh.apply(json.dumps(secret("shop-example", before.issue("spiffe://test/edge"), before)))
    until(lambda: shared.ask(443, tls=True)[0] == 200, "and the first again")


def test_tls_mutual_lets_in_who_has_a_certificate_of_the_authority(shared: World) -> None:
    shared.servers(https("MUTUAL", credentialName="shop-example"))
    leaf, foreign = (a.issue("spiffe://test/me") for a in (shared.authority, Authority("stranger")))
    own, strange = ((each.certificate + each.key).decode() for each in (leaf, foreign))
    until(lambda: shared.ask(443, tls=True)[0] == 0, "who has no certificate is refused")
    until(lambda: shared.ask(443, tls=True, pem=own)[0] == 200, "who has one is served")
    assert shared.ask(443, tls=True, pem=strange)[0] == 0


def test_passthrough_goes_by_the_name_in_the_handshake_and_is_not_opened(shared: World) -> None:
    tls = {"port": {"number": 443, "name": "tls", "protocol": "TLS"}, "hosts": ["vault.example"]}
    shared.servers({**tls, "tls": {"mode": "PASSTHROUGH"}})
    match = {"port": 443, "sniHosts": ["vault.example"]}
    to = {"destination": {"host": "vault.shop.svc.cluster.local", "port": {"number": 443}}}
    spec = {"hosts": ["vault.example"], "gateways": ["edge"], "tls": [{"match": [match], "route": [to]}]}
    meta = {"name": "vault", "namespace": "ingress"}
    virtual = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": meta, "spec": spec}
    shared.mesh.apply(json.dumps(virtual))
    until(lambda: shared.ask(443, host="vault.example", tls=True)[0] == 200, "the server's own TLS is reached")
    assert json.loads(shared.ask(443, "/x", "vault.example", tls=True)[1])["host"] == "vault.example"
    assert shared.ask(443, host="else.example", tls=True)[0] == 0


def test_a_secret_that_is_missing_closes_its_port_and_no_other(shared: World) -> None:
    plain = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": [HOST]}
    shared.servers(plain, https("SIMPLE", credentialName="nowhere"))
    until(lambda: shared.ask(443, tls=True)[0] == 0 and shared.ask(80)[0] == 200, "443 is shut, 80 serves")


def test_what_leaves_goes_by_the_egress_gateway_and_only_there_becomes_tls(shared: World) -> None:
    (gateway,), _ = shared.mesh.ask(lambda api: api.list(kinds.POD, "egress"))
    shared.mesh.ready("egress", gateway["metadata"]["name"])  # although the partner's name cannot be looked up
    address = shared.mesh.address("partner", "out")
    endpoint = {"address": address, "ports": {"https": 8443}}
    spec = {"spec": {"resolution": "STATIC", "endpoints": [endpoint]}}
    shared.mesh.ask(lambda api: api.patch(kinds.SERVICE_ENTRY, "partner", spec, "egress"))

    trusted = {"tls.crt": "", "tls.key": "", "ca.crt": shared.authority.root.decode()}
    meta = {"name": "partner-ca", "namespace": "egress"}
    shared.mesh.apply(json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": trusted}))
    tls = {"mode": "SIMPLE", "credentialName": "partner-ca"}
    rule = {"spec": {"trafficPolicy": {"portLevelSettings": [{"port": {"number": 443}, "tls": tls}]}}}

    def asked() -> tuple[int, str]:
        return shared.ask(80, "/out", PARTNER, address="198.51.100.7", client="side")

    until(lambda: asked()[0] == 503, "the partner is of no public authority")
    shared.mesh.ask(lambda api: api.patch(kinds.DESTINATION_RULE, "partner", rule, "egress"))
    until(lambda: asked()[0] == 200, "the partner answers")
    seen = json.loads(asked()[1])
    assert seen == {"path": "/out", "host": PARTNER, "peer": gateway["status"]["podIP"]}
    shared.mesh.scale("egressgateway", 0, "egress")
    until(lambda: asked()[0] == 503, "nothing leaves beside the gateway")
