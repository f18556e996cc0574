"""What a sidecar is told, story by story: compared with the committed documents, and read by the real Envoy.

After a wanted change: PLAIT_GOLDEN=write pytest tests/golden/test_sidecar.py, then read the diff.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kit import l7
from kit.envoys import validate
from kit.l7 import forward, host, route, to, upstream, virtual
from plait.envoy.roles import sidecar
from plait.model.attachment import Attachment
from plait.model.gateways import Certificate, ServerTls
from plait.model.http_security import HttpPolicy, HttpRule, Operation, Source
from plait.model.policies import Text
from plait.model.traffic import (
    ClientTls,
    Cookie,
    Hash,
    Keepalive,
    LoadBalancing,
    Outliers,
    Pool,
    RetryBudget,
    TrafficPolicy,
    TunnelPolicy,
    Warmup,
)
from plait.model.views.enforced import Enforced
from plait.model.views.sidecar import HttpOutbound, InboundPort, SidecarView, TcpOutbound
from plait.model.views.upstreams import UpstreamEndpoint

HERE = Path(__file__).parent / "sidecar"


def view(**more: object) -> SidecarView:
    found: dict[str, object] = {
        "proxy": l7.proxy("sidecar", "client"),
        "settings": l7.SETTINGS,
        "http": (),
        "tcp": (),
        "upstreams": (),
        "inbound": (),
        "default_mtls": "permissive",
        "unknown": "allow_any",
        "egress_proxy": None,
        "enforced": l7.ENFORCED,
        **more,
    }
    return SidecarView(**found)  # type: ignore[arg-type]


WEB = virtual(f"{host('web')}:80", route("/", forward("web")), domains=(host("web"), f"{host('web')}:80", "web"))
GUARDED = Enforced(
    policies=(
        HttpPolicy(
            "a",
            "shop",
            "allow",
            Attachment("shop"),
            (
                HttpRule(
                    (Source(principals=(Text("exact", "cluster.local/ns/shop/sa/client"),)),),
                    (Operation(ports=(8080,)),),
                ),
                HttpRule(operations=(Operation(methods=(Text("exact", "GET"),)),)),
            ),
        ),
    ),
    telemetry=l7.PROMETHEUS,
)
PORTS = (
    InboundPort(8080, "http", "permissive", f"shop/{host('web')}", host("web"), 80),
    InboundPort(9090, "grpc", "strict"),
    InboundPort(5432, "tcp", "permissive"),
    InboundPort(7000, "auto", "permissive"),
    InboundPort(7001, "auto", "strict"),
    InboundPort(7002, "http", "disable", endpoint="127.0.0.1:8002"),
    InboundPort(7003, "http", "disable", endpoint="unix:///run/app.sock", bind="0.0.0.0"),
    InboundPort(7443, "http", "disable", tls=ServerTls("simple", (Certificate("", "/c.pem", "/k.pem"),))),
)
STORIES: dict[str, SidecarView] = {
    "empty": view(),
    "outbound": view(
        http=(HttpOutbound(80, (WEB,), sniff=True), HttpOutbound(8000, (WEB,), bind="127.0.0.1", capture=False)),
        tcp=(
            TcpOutbound(5432, ("10.64.128.2",), (to("db", 5432),)),
            TcpOutbound(80, ("10.64.128.3",), (to("any", 80),), sniff=True, protocol="auto"),
            TcpOutbound(443, (), (to("out.example", 443),), ("out.example",), "tls"),
        ),
        upstreams=(
            upstream("web", "10.64.2.2", way="istio"),
            upstream("db", "10.64.2.4", port=5432, target=5432, protocol="tcp", way="tunnel"),
            upstream("any", "10.64.2.5", protocol="auto", way="istio"),
            upstream(
                "out.example", "out.example", port=443, target=443, protocol="tls", resolution="dns", external=True
            ),
        ),
        unknown="registry_only",
    ),
    "policies": view(
        upstreams=(
            upstream(
                "hash",
                "10.64.2.2",
                policy=TrafficPolicy(
                    LoadBalancing(hash=Hash(cookie=Cookie("c", "/", 0.0), algorithm="maglev", size=65537)),
                    Pool(10, 1.5, Keepalive(3, 60.0, 10.0), 60.0, None, 5, 6, 7, 8, 9.0, "always", max_streams=11),
                    Outliers(True, 5, 3, 7, 1.0, 30.0, 50, 20, (500, 429)),
                    ClientTls("mutual", "sni.example", ("a.example",), "/c", "/k", "/r"),
                    proxy_protocol="v2",
                    retry_budget=RetryBudget(20.0, 3, None),
                ),
            ),
            upstream(
                "warm", "10.64.2.3", policy=TrafficPolicy(LoadBalancing("round_robin", warmup=Warmup(10.0, 20.0, 1.5)))
            ),
            upstream("odd", "10.64.2.3", policy=TrafficPolicy(LoadBalancing("random", warmup=Warmup(10.0)))),
            upstream("pass", policy=TrafficPolicy(LoadBalancing("passthrough"))),
            upstream("*.wild.example", port=443, protocol="tls", resolution="dynamic_dns", external=True),
            upstream(
                "rr.example",
                "rr.example",
                resolution="dns_round_robin",
                external=True,
                policy=TrafficPolicy(tls=ClientTls("simple")),
            ),
            upstream("sock", endpoints=(UpstreamEndpoint("unix:///run/s.sock", 0),)),
            upstream(
                "tun",
                "10.64.2.9",
                port=443,
                protocol="tcp",
                policy=TrafficPolicy(tunnel=TunnelPolicy("CONNECT", "x.example", 443)),
            ),
        ),
        tcp=(TcpOutbound(443, ("10.64.128.9",), (to("tun", 443),)),),
    ),
    "inbound": view(inbound=PORTS, enforced=GUARDED),
    "dual": view(
        proxy=l7.proxy("sidecar", "client", addresses=("10.64.1.2", "fd64::1:2")),
        http=(HttpOutbound(80, (WEB,), sniff=True),),
        tcp=(TcpOutbound(9000, ("10.64.128.9", "fd64::80:9"), (to("raw", 9000),), (), "tcp", "raw"),),
        upstreams=(upstream("raw", "fd64::2:2", port=9000, target=9000, protocol="tcp"), upstream("web", "10.64.2.2")),
        inbound=PORTS[:1],
        tunnel=True,
    ),
    "transparent": view(proxy=l7.proxy("sidecar", "client", transparent=True), inbound=PORTS[:1], tunnel=True),
    "strict": view(inbound=PORTS[:1], default_mtls="strict", tunnel=True, enforced=GUARDED),
}


@pytest.mark.parametrize("story", STORIES)
def test_documents_are_as_committed(story: str) -> None:
    found = {**sidecar.documents(STORIES[story]), "refusals": [str(each) for each in sidecar.refusals(STORIES[story])]}
    text = json.dumps(found, indent=1, sort_keys=True) + "\n"
    path = HERE / f"{story}.json"
    if os.environ.get("PLAIT_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text(), "PLAIT_GOLDEN=write rewrites the file; read the diff"


@pytest.mark.parametrize("story", STORIES)
def test_every_document_encodes(story: str) -> None:
    bundle = sidecar.translate(STORIES[story])
    found = sidecar.documents(STORIES[story])
    written = sum(len(found[kind]) for kind in ("clusters", "endpoints", "listeners", "routes"))
    assert sum(len(resources) for resources in bundle.types.values()) == written


@pytest.mark.envoy
@pytest.mark.parametrize("story", STORIES)
def test_envoy_accepts_the_whole(story: str, tmp_path: Path) -> None:
    validate(l7.composed(sidecar.documents(STORIES[story])), tmp_path)
