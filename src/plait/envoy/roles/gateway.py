"""How a GatewayView is said to Envoy: a listener per port, a chain per set of server names, routes by name.

An ingress gateway trusts the connection's address, not what a client writes into X-Forwarded-For, but for as many hops
as the mesh configuration says.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from plait.base.bundle import Bundle
from plait.envoy.l7 import inbound, limits, manager, patches, points, routes, tls
from plait.envoy.l7 import upstreams as upstream_documents
from plait.envoy.l7.bundle import Documents, encode
from plait.envoy.l7.context import Context
from plait.envoy.l7.duty import Duty
from plait.envoy.l7.manager import Needs
from plait.envoy.l7.options import DEFAULT, Options
from plait.envoy.l7.parts import Parts
from plait.envoy.l7.patching.matching import Known
from plait.envoy.l7.report import Refusal
from plait.envoy.pieces import Doc, bound, cidr, extension, secured, socket_address
from plait.model.views.gateway import GatewayView, HttpChain, ServerPort, TcpChain
from plait.model.views.upstreams import Upstream

PROXY_HEADER = extension(
    "envoy.filters.listener.proxy_protocol", "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"
)
TLS_INSPECTOR = extension(
    "envoy.filters.listener.tls_inspector", "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
)
_CERTIFICATE = {"subject": True, "cert": True, "dns": True, "uri": True}


def translate(view: GatewayView, options: Options = DEFAULT) -> Bundle:
    """Everything pushed to this gateway but secrets."""
    return encode(build(view, options)).bundle


def documents(view: GatewayView, options: Options = DEFAULT) -> dict[str, list[Doc]]:
    return build(view, options).dictionary()


def refusals(view: GatewayView, options: Options = DEFAULT) -> tuple[Refusal, ...]:
    """What of the view is not said to Envoy, and why."""
    return encode(build(view, options)).refusals


def build(view: GatewayView, options: Options = DEFAULT, parts: Parts | None = None) -> Documents:
    parts = parts or Parts()
    upstreams = parts.known(view.upstreams)
    parts.begin((upstreams,), view.proxy, view.settings, options)
    ctx = Context(view.proxy, view.settings, options, upstreams, parts=parts)
    found = Documents(parts=parts)
    for port in view.ports:
        made = _listener(ctx, view, port, found)
        if made is not None:
            found.listeners.append(made)
    found.add_upstreams(ctx)
    for each in view.passed:
        cluster, ends = upstream_documents.passed(ctx, each)
        found.clusters.append(cluster)
        found.endpoints.append(ends)
    ports = {each.port: frozenset(each.servers) for each in view.ports if each.servers}
    patches.apply(ctx, view.enforced.patches, found, "gateway", Known(ports=ports))
    found.refusals = tuple(ctx.report.found)
    return found


def _listener(ctx: Context, view: GatewayView, port: ServerPort, found: Documents) -> Doc | None:
    source = f"Gateway port {port.port}"
    for host in port.unpassed:
        text = f"{host} has a waypoint, which AUTO_PASSTHROUGH cannot pass; connections for it are closed"
        ctx.refuse(source, "tls.mode", f"{text}; terminate its TLS in a server of its own")
    for gateway in port.refused:
        text = f"port {port.port} is one of {port.protocol} for an older Gateway of the same pods"
        ctx.refuse(gateway, "spec.servers", f"{text}, so the server here is left out; use another port")
    chains: list[Doc] = []
    for number, chain in enumerate(port.http):
        chains.append(_http(ctx, view, port, chain, number, found))
    chains += [_tcp(ctx, view, chain, port) for chain in port.tcp]
    through = {each.key: each for each in view.passed}
    chains += [_passed(ctx, view, through[key], port) for key in port.passed]
    if not chains:
        return None
    chains = _distinct(ctx, chains, source)
    bind = port.bind or "0.0.0.0"
    document: Doc = {
        "name": f"{bind}_{port.port}",
        **_bound(ctx, bind, port.port),
        "traffic_direction": "OUTBOUND",
        "stat_prefix": f"gateway_{port.port}",
        "filter_chains": chains,
    }
    before = [PROXY_HEADER] if ctx.settings.proxy_protocol else []
    if any("transport_socket" in chain or "filter_chain_match" in chain for chain in chains):
        before.append(TLS_INSPECTOR)
    if before:
        document["listener_filters"] = before
    return document


def _bound(ctx: Context, bind: str, port: int) -> Doc:
    if bind.startswith("unix://"):
        return {"address": {"pipe": {"path": bind.removeprefix("unix://")}}}
    if bind == "0.0.0.0":
        return bound(ctx.proxy.addresses, bind, "::", port)
    return {"address": socket_address(bind, port)}


def _distinct(ctx: Context, chains: list[Doc], source: str) -> list[Doc]:
    """Envoy refuses a whole listener for two chains of one match: the first keeps it."""
    taken: set[str] = set()
    kept: list[Doc] = []
    for chain in chains:
        match = chain.get("filter_chain_match", {})
        rest = repr(sorted((key, value) for key, value in match.items() if key != "server_names"))
        wanted = [name for name in match.get("server_names", [""]) if f"{rest}{name}" not in taken]
        for name in set(match.get("server_names", [""])) - set(wanted):
            ctx.refuse(source, chain["name"], f"the server name {name or '(any)'} is taken by another chain")
        if not wanted:
            continue
        taken.update(f"{rest}{name}" for name in wanted)
        if "server_names" in match:
            chain["filter_chain_match"] = {**match, "server_names": wanted}
        kept.append(chain)
    return kept


def _http(ctx: Context, view: GatewayView, port: ServerPort, chain: HttpChain, number: int, found: Documents) -> Doc:
    secure = chain.tls is not None
    name = chain.name or (f"http.{port.port}" if not secure else f"https.{port.port}.{number}")
    found.routes.append(
        routes.configuration(
            replace(ctx, secure=secure),
            name,
            chain.virtual_hosts,
            port.port,
            ignore_port_in_host_matching=True,
            **limits.per_route(view.enforced.limits),
        )
    )
    more: dict[str, Any] = {
        "use_remote_address": True,
        "xff_num_trusted_hops": ctx.settings.trusted_hops,
        "forward_client_cert_details": ctx.settings.client_certificate_details.upper() or "SANITIZE_SET",
        "set_current_client_cert_details": _CERTIFICATE,
    }
    point = points.outgoing(view.proxy)
    http = manager.http(
        ctx,
        f"outbound_0.0.0.0_{port.port}",
        name,
        Needs.of(chain.virtual_hosts),
        Duty(point, view.enforced),
        port.port,
        **more,
    )
    counts = limits.connections(view.enforced.limits, f"port {port.port}")
    document: Doc = {"name": name, "filters": [*counts, http]}
    if chain.tls is not None:
        document |= secured(tls.server(ctx, chain.tls, tls.HTTP_ALPN, name))
        if match := _names(chain.server_names):
            document["filter_chain_match"] = match
    return document


def _tcp(ctx: Context, view: GatewayView, chain: TcpChain, port: ServerPort) -> Doc:
    name = chain.name or f"tcp.{port.port}"
    point = points.outgoing(view.proxy)
    document: Doc = {
        "name": name,
        "filters": manager.tcp(
            ctx,
            f"tcp.{port.port}",
            Duty(point, view.enforced),
            chain.destinations,
            counted=f"port {port.port}",
        ),
    }
    match = _names(chain.server_names)
    if chain.sources:
        match["source_prefix_ranges"] = [cidr(block) for block in chain.sources]
    if chain.addresses:
        match["prefix_ranges"] = [cidr(block) for block in chain.addresses]
    if chain.tls is not None:
        alpn = ("istio-peer-exchange", "istio") if chain.tls.mode == "istio_mutual" else ()
        document |= secured(tls.server(ctx, chain.tls, alpn, name))
    elif chain.server_names:
        match["transport_protocol"] = "tls"
    if match:
        document["filter_chain_match"] = match
    return document


def _passed(ctx: Context, view: GatewayView, upstream: Upstream, port: ServerPort) -> Doc:
    """Connections of the mesh's own TLS for one cluster of their client."""
    name = upstream_documents.server_name(upstream)
    duty = Duty(points.outgoing(view.proxy), view.enforced)
    chain = manager.tcp(ctx, name, duty, name, pool=upstream.policy.pool, counted=f"port {port.port}")
    match = {
        "server_names": [name],
        "transport_protocol": "tls",
        "application_protocols": [*inbound.HTTP_ALPN, *inbound.TCP_ALPN],
    }
    return {"name": name, "filters": chain, "filter_chain_match": match}


def _names(server_names: tuple[str, ...]) -> Doc:
    """`*` means every name, which Envoy writes by writing none."""
    if not server_names or "*" in server_names:
        return {}
    return {"server_names": sorted(set(server_names))}
