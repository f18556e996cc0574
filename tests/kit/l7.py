"""Short builders of the views of L7 proxies, and a whole static Envoy configuration out of their documents."""

from __future__ import annotations

import json
from typing import Any

from kit.pki import Authority
from plait.envoy import bootstrap
from plait.model.http_telemetry import Sink
from plait.model.l7 import L7Settings
from plait.model.locality import Locality
from plait.model.proxies import Proxy, Role
from plait.model.routes import Destination, Forward, Match, PathMatch, Route, VirtualHost
from plait.model.views.destinations import Peer
from plait.model.views.enforced import Enforced, Telemetry
from plait.model.views.upstreams import Upstream, UpstreamEndpoint

Document = dict[str, Any]
SETTINGS = L7Settings()
PROMETHEUS = Telemetry(sinks=(Sink("prometheus", "prometheus"),))
ENFORCED = Enforced(telemetry=PROMETHEUS)


def proxy(role: Role, name: str = "edge", **more: Any) -> Proxy:
    more.setdefault("addresses", ("10.64.3.1",))
    return Proxy(role, "shop", name, labels=(("app", name),), service_account=name, **more)


def host(name: str) -> str:
    return f"{name}.shop.svc.cluster.local"


def ends(*addresses: str, port: int = 8080, **more: Any) -> tuple[UpstreamEndpoint, ...]:
    peer = Peer(namespace="shop", workload="web", canonical_name="web", canonical_revision="v1")
    return tuple(
        UpstreamEndpoint(address, port, peer=peer, locality=Locality("r1", "z1"), **more) for address in addresses
    )


def upstream(
    name: str, *addresses: str, port: int = 80, target: int = 8080, way: str = "plain", **more: Any
) -> Upstream:
    hostname = name if "." in name else host(name)
    identities = () if way == "plain" else (f"spiffe://cluster.local/ns/shop/sa/{name}",)
    found = ends(*addresses, port=target, way=way, identities=identities)
    more.setdefault("protocol", "http")
    return Upstream(hostname, port, namespace="shop", service=name, endpoints=more.pop("endpoints", found), **more)


def to(name: str, port: int = 80, **more: Any) -> Destination:
    return Destination(name if "." in name else host(name), port, **more)


def route(path: str, action: Any, how: str = "prefix", **more: Any) -> Route:
    match = more.pop("match", None) or Match(path=PathMatch(how, path))  # type: ignore[arg-type]
    return Route(more.pop("name", path), (match,), action, source="VirtualService/shop/web", **more)


def forward(*names: Any, **more: Any) -> Forward:
    return Forward(tuple(each if isinstance(each, Destination) else to(each) for each in names), **more)


def virtual(name: str, *routes: Route, domains: tuple[str, ...] = ("*",), **more: Any) -> VirtualHost:
    return VirtualHost(name, domains, routes, **more)


def composed(found: Document, *, run: bool = False, admin: str = "", authority: Authority | None = None) -> Document:
    """One static bootstrap: what comes by name is put in its place, so that Envoy reads that too.

    Validation of Envoy 1.40 crashes on secrets by ADS (there is no stream) and on a stats scope that access loggers
    share; both are taken out.
    """
    static = json.loads(json.dumps({"clusters": found["clusters"], "listeners": found["listeners"]}))
    held = {each["cluster_name"]: each for each in found["endpoints"]}
    for cluster in static["clusters"]:
        if cluster.get("type") == "EDS":
            cluster["type"] = "STATIC"
            del cluster["eds_cluster_config"]
            cluster["load_assignment"] = held.get(cluster["name"], {"cluster_name": cluster["name"]})
    if not run:
        for scope in find(static, "stats_scope"):
            del scope["sharing_name"]
    authority = authority or Authority()
    leaf = authority.issue("spiffe://cluster.local/ns/shop/sa/edge")
    for context in find(static, "common_tls_context"):
        if "filename" in context.get("validation_context", {}).get("trusted_ca", {}):
            context["validation_context"]["trusted_ca"] = {"inline_string": authority.root.decode()}
        by_name = context.pop("tls_certificate_sds_secret_configs", None)
        if by_name or context.pop("tls_certificates", None):
            context["tls_certificates"] = [
                {
                    "certificate_chain": {"inline_string": leaf.certificate.decode()},
                    "private_key": {"inline_string": leaf.key.decode()},
                }
            ]
        if combined := context.pop("combined_validation_context", None):
            checks = combined["default_validation_context"]
            context["validation_context"] = {**checks, "trusted_ca": {"inline_string": authority.root.decode()}}
    routes = {each["name"]: each for each in found["routes"]}
    for holder in managers(static["listeners"]):
        holder["route_config"] = routes[holder.pop("rds")["route_config_name"]]
    return {
        "node": {"id": "plait-test", "cluster": "plait-test"},
        "admin": {"address": {"pipe": {"path": admin or "/tmp/plait-l7-validate.sock"}}},
        "bootstrap_extensions": [
            {
                "name": "envoy.bootstrap.internal_listener",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener"
                },
            }
        ],
        "layered_runtime": bootstrap.RUNTIME,
        "static_resources": static,
    }


def managers(document: Any) -> list[Document]:
    """Every connection manager that gets its routes by name."""
    if isinstance(document, dict):
        here = [document] if "rds" in document else []
        return here + [found for value in document.values() for found in managers(value)]
    return [found for value in document for found in managers(value)] if isinstance(document, list) else []


def find(document: Any, key: str) -> list[Document]:
    """Every object that stands under `key` anywhere."""
    if isinstance(document, dict):
        here = [document[key]] if key in document else []
        return here + [found for value in document.values() for found in find(value, key)]
    return [found for value in document for found in find(value, key)] if isinstance(document, list) else []
