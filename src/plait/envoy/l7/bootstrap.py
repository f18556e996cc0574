"""What a sidecar, gateway or waypoint is started with: bootstrap JSON; the command line is the node's.

Everything else comes by delta ADS over the agent's unix socket, secrets included.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from plait.base.wellknown import METRICS_PORT, READY_PORT
from plait.envoy import bootstrap as node
from plait.envoy.l7 import statistics
from plait.envoy.l7.merging import merged
from plait.envoy.l7.points import itself
from plait.envoy.pieces import Doc, any_of, bound, extension
from plait.model.proxies import Proxy

_METRICS = "prometheus_stats"


@dataclass(frozen=True, slots=True)
class ProxyBootstrap:
    """`admin` is a socket path or `ip:port`; `ready` a port for probes on all addresses, 0 none.

    `metrics` is the socket of the agent's page of this proxy's numbers, shown on METRICS_PORT as Istio's agent does.
    """

    proxy: Proxy
    xds_socket: str
    admin: str
    concurrency: int = 2
    heap_limit: int = 1 << 30
    max_connections: int = 100_000
    drain_seconds: int = 45
    ready: int = READY_PORT
    metrics: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


def node_id(proxy: Proxy) -> str:
    """Istio's: `<type>~<address>~<pod>.<namespace>~<namespace>.svc.cluster.local`."""
    kind = {"gateway": "router"}.get(proxy.role, proxy.role)
    address = proxy.addresses[0] if proxy.addresses else "127.0.0.1"
    return f"{kind}~{address}~{proxy.name}.{proxy.namespace}~{proxy.namespace}.svc.cluster.local"


def base(wanted: ProxyBootstrap) -> node.NodeBootstrap:
    """The same in the words of the node's bootstrap, for `plait.envoy.bootstrap.arguments`."""
    proxy = wanted.proxy
    metadata = {
        "NAME": proxy.name,
        "NAMESPACE": proxy.namespace,
        "SERVICE_ACCOUNT": proxy.service_account,
        "CLUSTER_ID": proxy.cluster,
        "INSTANCE_IPS": ",".join(proxy.addresses),
        "LABELS": dict(proxy.labels),
        "NODE_NAME": proxy.node,
        **({"NETWORK": proxy.network} if proxy.network else {}),
        **wanted.metadata,
    }
    return node.NodeBootstrap(
        node_id=node_id(proxy),
        xds_socket=wanted.xds_socket,
        admin=wanted.admin,
        cluster=f"{itself(proxy)['canonical_service']}.{proxy.namespace}",
        concurrency=wanted.concurrency,
        heap_limit=wanted.heap_limit,
        max_connections=wanted.max_connections,
        drain_seconds=wanted.drain_seconds,
        metadata=metadata,
    )


def bootstrap(wanted: ProxyBootstrap, patches: Iterable[Doc] = ()) -> Doc:
    """The bootstrap document; `patches` are what EnvoyFilters merge into it."""
    document = node.bootstrap(base(wanted))
    proxy = wanted.proxy
    place = proxy.locality
    if place.region or place.zone or place.subzone:
        document["node"]["locality"] = {"region": place.region, "zone": place.zone, "sub_zone": place.subzone}
    document["stats_config"] = statistics.config()
    static = document["static_resources"]
    if wanted.ready:
        static["listeners"] = [_ready(proxy, wanted.ready)]
    if wanted.metrics:
        static["clusters"].append(_page(wanted.metrics))
        static.setdefault("listeners", []).append(_metrics(proxy, METRICS_PORT))
    for patch in patches:
        document = merged(document, patch)
    return document


def text(wanted: ProxyBootstrap, patches: Iterable[Doc] = ()) -> str:
    """The bootstrap as the file Envoy reads (JSON)."""
    return json.dumps(bootstrap(wanted, patches), indent=1, sort_keys=True)


def _ready(proxy: Proxy, port: int) -> Doc:
    """Answers probes while Envoy takes traffic, and says no while it drains."""
    check = {
        "name": "envoy.filters.http.health_check",
        "typed_config": any_of(
            "envoy.extensions.filters.http.health_check.v3.HealthCheck",
            pass_through_mode=False,
            headers=[{"name": ":path", "string_match": {"exact": "/healthz/ready"}}],
        ),
    }
    route = {"match": {"path": "/healthz/ready"}, "direct_response": {"status": 200}}
    return _listener("ready", proxy, port, route, check)


def _metrics(proxy: Proxy, port: int) -> Doc:
    """For who scrapes the pod. Nothing but the page can be asked for."""
    route = {"match": {"path": "/stats/prometheus"}, "route": {"cluster": _METRICS}}
    return _listener("metrics", proxy, port, route)


def _page(socket: str) -> Doc:
    endpoint = {"endpoint": {"address": {"pipe": {"path": socket}}}}
    return {
        "name": _METRICS,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": _METRICS, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _listener(name: str, proxy: Proxy, port: int, route: Doc, *before: Doc) -> Doc:
    """One path of HTTP on all addresses."""
    filters = "envoy.extensions.filters"
    manager = extension(
        "envoy.filters.network.http_connection_manager",
        f"{filters}.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=name,
        route_config={"virtual_hosts": [{"name": name, "domains": ["*"], "routes": [route]}]},
        http_filters=[*before, extension("envoy.filters.http.router", f"{filters}.http.router.v3.Router")],
    )
    return {"name": name, **bound(proxy.addresses, "0.0.0.0", "::", port), "filter_chains": [{"filters": [manager]}]}
