"""What an edge proxy is told, story by story: compared with the committed documents, and read by the real Envoy.

After a wanted change: PLAIT_GOLDEN=write pytest tests/golden/test_gateway.py, then read the diff.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kit import l7
from kit.envoys import validate
from kit.l7 import forward, route, to, upstream, virtual
from plait.envoy.roles import gateway
from plait.model.compile.traffic import ciphers
from plait.model.gateways import Certificate, ServerTls
from plait.model.routes import (
    Abort,
    Cors,
    Delay,
    Fault,
    FieldMatch,
    HeaderChange,
    Match,
    Mirror,
    PathMatch,
    Redirect,
    Respond,
    Retry,
    Rewrite,
    Route,
    Session,
    TextMatch,
)
from plait.model.views.gateway import GatewayView, HttpChain, ServerPort, TcpChain
from plait.model.views.upstreams import Upstream

HERE = Path(__file__).parent / "gateway"
WEB = upstream("web", "10.64.2.2", way="tunnel")
API = upstream("api", "10.64.2.3", way="istio", protocol="grpc")
DB = upstream("db", "10.64.2.4", port=5432, protocol="tcp")


def view(*ports: ServerPort, upstreams: tuple[Upstream, ...] = (WEB, API, DB), **more: object) -> GatewayView:
    found = {"proxy": l7.proxy("gateway"), "settings": l7.SETTINGS, "enforced": l7.ENFORCED, **more}
    return GatewayView(ports=ports, upstreams=upstreams, **found)  # type: ignore[arg-type]


def plain(*routes: Route) -> GatewayView:
    hosts = (virtual("shop.example:80", *routes, domains=("shop.example",)),)
    return view(ServerPort(80, "", "HTTP", http=(HttpChain((), hosts, name="http.80"),)))


def secure(tls: ServerTls, *names: str) -> GatewayView:
    hosts = (virtual("shop.example:443", route("/", forward("web")), domains=("shop.example",)),)
    chain = HttpChain(names, hosts, tls, "https.443.https.edge.shop")
    return view(ServerPort(443, "", "HTTPS", http=(chain,)))


CERTIFICATES = (Certificate("shop/rsa"), Certificate("shop/ecdsa"))
STORIES: dict[str, GatewayView] = {
    "empty": view(),
    "routes": plain(
        route("/exact", forward("web"), how="exact"),
        route("/seg", forward("api"), how="segments", rewrite=Rewrite(prefix="/")),
        route("/re[a-z]+", forward("web"), how="regex", rewrite=Rewrite(regex="/re(.*)", substitution="/\\1")),
        route("/old", Redirect(302, host="new.example", prefix="/new", port=None)),
        route("/gone", Respond(410, b"gone")),
        route("/split", forward(to("web", weight=90), to("api", weight=10), to("none", weight=1, broken="no service"))),
        route("/missing", forward(to("none", broken="no service"), missing_status=500)),
        route("/fault", forward("web"), fault=Fault(Delay(0.1, 50.0), Abort(10.5, 503))),
        route("/mirror", forward("web"), mirrors=(Mirror(to("api"), 25.0),)),
        route(
            "/cors",
            forward("web"),
            cors=Cors((TextMatch("regex", "https://.*"),), ("GET",), max_age=60.0, credentials=True),
        ),
        route("/session", forward("web"), session=Session("cookie", "s", 60.0)),
        route("/session-header", forward("web"), session=Session("header")),
        route(
            "/headers",
            forward("web"),
            match=Match(
                path=PathMatch("prefix", "/headers"),
                method=TextMatch("exact", "GET"),
                headers=(FieldMatch("x-a", TextMatch("prefix", "b")), FieldMatch("x-b", TextMatch("exact", "c"), True)),
                query=(FieldMatch("q", TextMatch("present")),),
            ),
            request=HeaderChange(
                (("x-set", "%REQ(:path)%"), ("host", "inner.example")), (("x-add", "100%"),), ("x-drop",)
            ),
            timeout=3.5,
            retry=Retry(3, ("5xx",), (503,), 1.0, other_localities=True),
        ),
    ),
    "tls_simple": secure(ServerTls("simple", CERTIFICATES, least="1.2", most="1.3"), "shop.example"),
    "tls_mutual": secure(ServerTls("mutual", CERTIFICATES[:1], subject_alt_names=("client.example",)), "shop.example"),
    "tls_istio": secure(ServerTls("istio_mutual"), "*.mesh.example"),
    "tls_workload": secure(ServerTls("istio_simple", ciphers=tuple(sorted(ciphers.SUITES))), "*.mesh.example"),
    "passthrough": view(
        ServerPort(
            443,
            "",
            "TLS",
            tcp=(
                TcpChain(("db.example",), (to("db", 5432),), name="passthrough"),
                TcpChain(
                    ("api.example",), (to("db", 5432, weight=3), to("web", weight=1)), ServerTls("simple", CERTIFICATES)
                ),
            ),
        ),
        ServerPort(5432, "", "TCP", tcp=(TcpChain((), (to("db", 5432),)),)),
    ),
    "auto_passthrough": view(
        ServerPort(
            15443,
            "",
            "TLS",
            passed=(("web.shop.svc.cluster.local", 80, ""), ("web.shop.svc.cluster.local", 80, "v2")),
            unpassed=("api.shop.svc.cluster.local",),
        ),
        upstreams=(),
        passed=(
            upstream("web", "10.64.2.2", protocol="tcp"),
            upstream("web", "10.64.2.3", subset="v2", protocol="tcp"),
        ),
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_documents_are_as_committed(story: str) -> None:
    text = json.dumps(gateway.documents(STORIES[story]), indent=1, sort_keys=True) + "\n"
    path = HERE / f"{story}.json"
    if os.environ.get("PLAIT_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text(), "PLAIT_GOLDEN=write rewrites the file; read the diff"


@pytest.mark.parametrize("story", STORIES)
def test_every_document_encodes(story: str) -> None:
    bundle = gateway.translate(STORIES[story])
    found = gateway.documents(STORIES[story])
    written = sum(len(found[kind]) for kind in ("clusters", "endpoints", "listeners", "routes"))
    assert sum(len(resources) for resources in bundle.types.values()) == written


@pytest.mark.envoy
@pytest.mark.parametrize("story", STORIES)
def test_envoy_accepts_the_whole(story: str, tmp_path: Path) -> None:
    validate(l7.composed(gateway.documents(STORIES[story])), tmp_path)
