"""What a waypoint is told, story by story: compared with the committed documents, and read by the real Envoy.

After a wanted change: PLAIT_GOLDEN=write pytest tests/golden/test_waypoint.py, then read the diff.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kit import l7
from kit.envoys import validate
from kit.l7 import forward, route, to, upstream, virtual
from plait.envoy.roles import waypoint
from plait.model.attachment import Attachment, Target
from plait.model.http_security import (
    Authorizer,
    Condition,
    HttpPolicy,
    HttpRule,
    JwtRule,
    Operation,
    PathText,
    RequestAuthentication,
    Source,
)
from plait.model.policies import Account, Group, Policy, Range, Rule, Text
from plait.model.policies import Match as L4Match
from plait.model.routes import Delay, Fault
from plait.model.views.enforced import Enforced
from plait.model.views.upstreams import UpstreamEndpoint
from plait.model.views.waypoint import ServedPort, ServedService, ServedWorkload, WaypointView

HERE = Path(__file__).parent / "waypoint"
AT = Attachment("shop", targets=(Target("Service", "shop", "web"),))
JWKS = (
    '{"keys":[{"kty":"oct","kid":"k","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",'
    '"alg":"HS256"}]}'
)
UPSTREAMS = (
    upstream("web", "10.64.2.2", way="tunnel"),
    upstream("web", "10.64.2.2", way="tunnel", subset="v2"),
    upstream("db", "10.64.2.4", port=5432, target=5432, way="tunnel", protocol="tcp"),
    upstream("any", "10.64.2.5", port=9000, target=9000, way="tunnel", protocol="auto"),
    upstream("authz", "10.64.2.6", port=9191, target=9191, way="tunnel", protocol="grpc"),
)


def service(name: str, address: str, *ports: ServedPort, enforced: Enforced = l7.ENFORCED) -> ServedService:
    return ServedService(
        f"shop/{l7.host(name)}", l7.host(name), "shop", name, (address,) if address else (), ports, enforced
    )


def view(*services: ServedService, **more: object) -> WaypointView:
    found: dict[str, object] = {"workloads": (), "upstreams": UPSTREAMS, "enforced": l7.ENFORCED, **more}
    return WaypointView(  # type: ignore[arg-type]
        proxy=l7.proxy("waypoint", "waypoint"),
        settings=l7.SETTINGS,
        services=services,
        trust_domains=("cluster.local", "old.local"),
        **found,
    )


def web(enforced: Enforced = l7.ENFORCED) -> ServedService:
    hosts = (
        virtual(
            "web.shop:80",
            route("/v2", forward(to("web", subset="v2"))),
            route("/slow", forward("web"), fault=Fault(Delay(0.2))),
            route("/", forward(to("web", weight=9), to("web", subset="v2", weight=1))),
        ),
    )
    return service("web", "10.64.128.1", ServedPort(80, "http", hosts, (to("web"),)), enforced=enforced)


def policy(name: str, action: str, *rules: HttpRule, **more: object) -> HttpPolicy:
    return HttpPolicy(name, "shop", action, AT, rules, **more)  # type: ignore[arg-type]


UNASKED = HttpPolicy(
    "ask", "shop", "custom", AT, (HttpRule(operations=(Operation(paths=(PathText("prefix", "/admin"),)),)),), "nobody"
)
EVERYTHING = Enforced(
    policies=(
        policy(
            "ask", "custom", HttpRule(operations=(Operation(paths=(PathText("prefix", "/admin"),)),)), provider="authz"
        ),
        policy(
            "lost", "custom", HttpRule(operations=(Operation(paths=(PathText("exact", "/lost"),)),)), provider="nobody"
        ),
        policy(
            "deny",
            "deny",
            HttpRule(
                sources=(Source(namespaces=(Text("exact", "evil"),)), Source(ips=(Range("10.9.0.0", 16),))),
                operations=(
                    Operation(methods=(Text("exact", "DELETE"),), not_paths=(PathText("template", "/a/{*}/b/{**}"),)),
                ),
                conditions=(
                    Condition("header", "x-token", texts=(Text("prefix", "a"),), not_texts=(Text("exact", "ab"),)),
                ),
            ),
        ),
        policy("trial", "deny", HttpRule(sources=(Source(principals=(Text("presence"),)),)), dry_run=True),
        policy("audit", "audit", HttpRule()),
        policy(
            "allow",
            "allow",
            HttpRule(sources=(Source(accounts=(Account("shop", "client"),), remote_ips=(Range("10.0.0.0", 8),)),)),
            HttpRule(
                sources=(
                    Source(
                        request_principals=(Text("exact", "https://issuer/me"),),
                        trust_domains=(Text("exact", "cluster.local"),),
                    ),
                ),
                conditions=(
                    Condition("token.claim", path=("groups", "x"), texts=(Text("suffix", "admin"),)),
                    Condition("token.audience", texts=(Text("exact", "shop"),)),
                    Condition("destination.port", ports=(80,)),
                    Condition("sni", not_texts=(Text("exact", "no.example"),)),
                    Condition("filter", "my.filter", ("a",), texts=(Text("exact", "b"),), is_list=True),
                ),
            ),
        ),
    ),
    authentication=(
        RequestAuthentication(
            "tokens",
            "shop",
            AT,
            (
                JwtRule("https://issuer", ("shop",), JWKS, claim_headers=(("x-sub", "sub"),), forward=True),
                JwtRule(
                    "https://other", jwks_uri="https://keys.example/jwks", headers=(("x-jwt", "Token "),), params=("t",)
                ),
                JwtRule("https://none"),
            ),
        ),
    ),
    authorizers=(Authorizer("authz", "grpc", l7.host("authz"), 9191, timeout=1.0, fail_open=True),),
    telemetry=l7.PROMETHEUS,
)
L4 = (Policy("l4", "shop", "namespace", "deny", (Group((Rule((L4Match(namespaces=(Text("exact", "evil"),)),)),)),)),)
BY_ADDRESS = Policy(
    "by-address", "shop", "namespace", "deny", (Group((Rule((L4Match(source_ips=(Range("10.64.9.0", 24),)),)),)),)
)
STORIES: dict[str, WaypointView] = {
    "empty": view(upstreams=()),
    "held": view(upstreams=(), activator="10.64.255.1", l4=(BY_ADDRESS,)),
    "services": view(
        web(),
        service(
            "db",
            "10.64.128.2",
            ServedPort(5432, "tcp", (), (to("db", 5432),), ((("*.db.example",), (to("db", 5432),)),)),
        ),
        service(
            "any",
            "",
            ServedPort(9000, "auto", (virtual("any", route("/", forward(to("any", 9000)))),), (to("any", 9000),)),
        ),
        l4=L4,
    ),
    "policies": view(web(EVERYTHING)),
    "workload": view(
        workloads=(
            ServedWorkload(
                "Kubernetes//Pod/shop/web-1",
                "shop",
                ("10.64.2.2",),
                UpstreamEndpoint("10.64.2.2", 0, "tunnel", ("spiffe://cluster.local/ns/shop/sa/web",)),
                ((8080, "http"), (9000, "auto")),
                l7.ENFORCED,
            ),
        )
    ),
    "unasked": view(web(Enforced((UNASKED,), telemetry=l7.PROMETHEUS))),
}


@pytest.mark.parametrize("story", STORIES)
def test_documents_are_as_committed(story: str) -> None:
    found = {
        **waypoint.documents(STORIES[story]),
        "refusals": [str(each) for each in waypoint.refusals(STORIES[story])],
    }
    text = json.dumps(found, indent=1, sort_keys=True) + "\n"
    path = HERE / f"{story}.json"
    if os.environ.get("PLAIT_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text(), "PLAIT_GOLDEN=write rewrites the file; read the diff"


@pytest.mark.parametrize("story", STORIES)
def test_every_document_encodes(story: str) -> None:
    bundle = waypoint.translate(STORIES[story])
    found = waypoint.documents(STORIES[story])
    written = sum(len(found[kind]) for kind in ("clusters", "endpoints", "listeners", "routes"))
    assert sum(len(resources) for resources in bundle.types.values()) == written


@pytest.mark.envoy
@pytest.mark.parametrize("story", STORIES)
def test_envoy_accepts_the_whole(story: str, tmp_path: Path) -> None:
    validate(l7.composed(waypoint.documents(STORIES[story])), tmp_path)
