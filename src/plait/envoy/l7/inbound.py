"""A sidecar's inbound side: chains by port, by how the client speaks (Istio TLS, plain) and by protocol.

Istio's sidecars say by ALPN that they speak mesh TLS; other TLS is the application's own business.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from plait.envoy import names
from plait.envoy.l7 import balancing, limits, manager, points, routes, statistics, terminate, tls, upstreams
from plait.envoy.l7.authorization import Where
from plait.envoy.l7.chains import HTTP_PROTOCOLS
from plait.envoy.l7.context import Context, may_be_http, seconds
from plait.envoy.l7.duty import Duty
from plait.envoy.l7.points import Point
from plait.envoy.pieces import HTTP1, UNLIMITED, Doc, cidr, secured, socket_address
from plait.model.limits import narrowed
from plait.model.traffic import Pool
from plait.model.views.sidecar import InboundPort, SidecarView

PASSTHROUGH = "InboundPassthroughCluster"
TCP_ALPN = ("istio-peer-exchange", "istio")
HTTP_ALPN = ("istio-http/1.0", "istio-http/1.1", "istio-h2")
_SERVER_ALPN = ("h2", "http/1.1")
_ANYWHERE = ("", "0.0.0.0", "[::]")


def cluster_name(port: InboundPort) -> str:
    return f"inbound|{port.port}||" if port.port else PASSTHROUGH


def unlisted(view: SidecarView) -> InboundPort:
    """All ports that nobody lists, taken for what their first bytes say, so that policies about requests hold there."""
    return InboundPort(0, "auto", view.default_mtls)


def clusters(ctx: Context, view: SidecarView) -> list[Doc]:
    """To the application: where the packet was going, another port, or a socket file. Its source says it is ours."""
    found = [_application(ctx, PASSTHROUGH, None, view.pool)]
    for port in view.inbound:
        pool = narrowed(port.pool or view.pool, view.enforced.limits)
        found.append(_application(ctx, cluster_name(port), names_local(ctx, port), pool, _elsewhere(port)))
    return found


def names_local(ctx: Context, port: InboundPort) -> Doc | None:
    if port.endpoint.startswith("unix://"):
        return {"pipe": {"path": port.endpoint.removeprefix("unix://")}}
    if port.endpoint:
        host, _, number = port.endpoint.rpartition(":")
        if not number.isdigit():
            ctx.refuse("", f"ingress[{port.port}].defaultEndpoint", f"{port.endpoint!r} is no ip:port or unix:// path")
            return None
        return socket_address(host.strip("[]"), int(number)) if host not in _ANYWHERE else None
    return socket_address("127.0.0.1", port.port) if ctx.settings.inbound_localhost else None


def _elsewhere(port: InboundPort) -> int:
    """The port of the pod's own address that the endpoint names (0.0.0.0:PORT); 0: where the packet was going."""
    host, _, number = port.endpoint.rpartition(":")
    return int(number) if host in _ANYWHERE and number.isdigit() else 0


def _application(ctx: Context, name: str, local: Doc | None, pool: Pool | None, elsewhere: int = 0) -> Doc:
    common = upstreams.lifetimes(pool) if pool is not None else {}
    document: Doc = {
        "name": name,
        **({} if name == PASSTHROUGH else {"alt_stat_name": statistics.delimited(name)}),
        "connect_timeout": seconds(pool.connect_timeout if pool and pool.connect_timeout else 10.0),
        "circuit_breakers": UNLIMITED if pool is None else balancing.breakers(pool, None, ctx, ""),
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "use_downstream_protocol_config": {"http_protocol_options": HTTP1, "http2_protocol_options": {}},
                **({"common_http_protocol_options": common} if common else {}),
            }
        },
    }
    if pool is not None and pool.keepalive is not None:
        document["upstream_connection_options"] = {"tcp_keepalive": upstreams.keepalive(pool.keepalive)}
    if local is None:
        # What comes from 127.0.0.6 (or ::6) is not captured again by the pod's rules.
        bind: Doc = {"source_address": {"address": "127.0.0.6", "port_value": 0}}
        if any(":" in address for address in ctx.proxy.addresses):
            bind["extra_source_addresses"] = [{"address": {"address": "::6", "port_value": 0}}]
        moved = {"original_dst_lb_config": {"upstream_port_override": elsewhere}} if elsewhere else {}
        kind = {"type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", **moved}
        return {**document, **kind, "upstream_bind_config": bind}
    ends = [{"lb_endpoints": [{"endpoint": {"address": local}}]}]
    return {**document, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": ends}}


def route_configuration(ctx: Context, view: SidecarView, port: InboundPort) -> Doc:
    name, counts = cluster_name(port), limits.per_route(view.enforced.limits)
    if port.virtual_hosts:
        local = replace(ctx, local={port.hostname: name} if port.hostname else {})
        return routes.configuration(local, name, port.virtual_hosts, port.service_port or port.port, **counts)
    return {**_to_application(name, port.hostname, port.service_port or port.port), **counts}


def _to_application(name: str, hostname: str, number: int) -> Doc:
    """An application may close a connection that was kept for it in the very moment it is used again, and nobody can
    tell whether it read the request. One that may be sent twice is (RFC 9110, 9.2.1); another only if nothing of it was
    sent."""
    operation = f"{hostname}:{number}/*"
    routes = [
        _forwarded(name, operation, {"prefix": "/", "headers": [_SAFE]}, "reset-before-request,reset"),
        _forwarded(name, operation, {"prefix": "/"}, "reset-before-request"),
    ]
    host = {"name": f"inbound|http|{number}", "domains": ["*"], "routes": routes}  # patches know it by this name
    return {"name": name, "validate_clusters": False, "virtual_hosts": [host]}


_SAFE: Doc = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD|OPTIONS|TRACE"}}}


def _forwarded(cluster: str, operation: str, match: Doc, retried: str) -> Doc:
    action = {
        "cluster": cluster,
        "timeout": "0s",
        "max_stream_duration": {"max_stream_duration": "0s", "grpc_timeout_header_max": "0s"},
        "retry_policy": {"retry_on": retried, "num_retries": 2},
    }
    return {"match": match, "name": "default", "route": action, "decorator": {"operation": operation}}


# Chains ---


def listed(ctx: Context, view: SidecarView) -> Iterator[Doc]:
    """Chains of 15006: for each port, and for the ports nobody lists."""
    for port in view.inbound:
        yield from of_port(ctx, view, port)
    yield _loop(ctx, view)
    yield from of_port(ctx, view, unlisted(view))


def of_port(ctx: Context, view: SidecarView, port: InboundPort, *, own: bool = False) -> Iterator[Doc]:
    """`own`: of a listener for this port alone."""
    match: Doc = {} if own or not port.port else {"destination_port": port.port}
    name = f"0.0.0.0_{port.port}" if port.port else "virtualInbound"
    if port.tls is not None:
        socket = tls.server(ctx, port.tls, tls.HTTP_ALPN if may_be_http(port.protocol) else (), name)
        kind = "http" if may_be_http(port.protocol) else "tcp"
        yield _chain(ctx, view, port, kind, name, match, socket, mutual=port.tls.mode in ("mutual", "istio_mutual"))
        return
    if port.mtls != "disable":
        yield from _mutual(ctx, view, port, name, match)
    if port.mtls != "strict":
        yield from _plain(ctx, view, port, name, match)


def _mutual(ctx: Context, view: SidecarView, port: InboundPort, name: str, match: Doc) -> Iterator[Doc]:
    secure = {**match, "transport_protocol": "tls"}
    http, tcp = tls.mesh_server(ctx, _SERVER_ALPN), tls.mesh_server(ctx, TCP_ALPN)
    every = {} if port.mtls == "strict" else {"application_protocols": [*HTTP_ALPN, *TCP_ALPN]}
    if port.protocol == "auto":
        said = {**secure, "application_protocols": list(HTTP_ALPN)}
        yield _chain(ctx, view, port, "http", f"{name}-mtls-http", said, http, mutual=True)
        rest = {} if port.mtls == "strict" else {"application_protocols": list(TCP_ALPN)}
        yield _chain(ctx, view, port, "tcp", f"{name}-mtls-tcp", {**secure, **rest}, tcp, mutual=True)
    elif may_be_http(port.protocol):
        yield _chain(ctx, view, port, "http", f"{name}-mtls", {**secure, **every}, http, mutual=True)
    else:
        yield _chain(ctx, view, port, "tcp", f"{name}-mtls", {**secure, **every}, tcp, mutual=True)


def _plain(ctx: Context, view: SidecarView, port: InboundPort, name: str, match: Doc) -> Iterator[Doc]:
    raw = {**match, "transport_protocol": "raw_buffer"}
    if port.protocol == "auto":
        said = {**raw, "application_protocols": list(HTTP_PROTOCOLS)}
        yield _chain(ctx, view, port, "http", f"{name}-http", said, None, mutual=False)
        yield _chain(ctx, view, port, "tcp", f"{name}-tcp", raw, None, mutual=False)
    else:
        kind = "http" if may_be_http(port.protocol) else "tcp"
        yield _chain(ctx, view, port, kind, f"{name}-plain", raw, None, mutual=False)
    yield _chain(ctx, view, port, "tcp", f"{name}-tls", {**match, "transport_protocol": "tls"}, None, mutual=False)


def _loop(ctx: Context, view: SidecarView) -> Doc:
    point = points.incoming(view.proxy, _unknown(), mutual=False)
    return {
        "name": "virtualInbound-blackhole",
        "filter_chain_match": {"destination_port": ctx.options.inbound_port},
        "filters": manager.tcp(ctx, "loop", Duty(point, view.enforced, enforces=False), names.BLACKHOLE),
    }


def _named(port: InboundPort) -> dict[str, str]:
    """The port's service, by the same labels whichever way a request came in."""
    return points.service(port.hostname, port.hostname.partition(".")[0], port.service.partition("/")[0])


def _unknown() -> dict[str, str]:
    return points.service("", "", "")


def _chain(
    ctx: Context,
    view: SidecarView,
    port: InboundPort,
    kind: str,
    name: str,
    match: Doc,
    socket: Doc | None,
    *,
    mutual: bool,
    where: Where = "tls",
    point: Point | None = None,
) -> Doc:
    duty = Duty(point or points.incoming(view.proxy, _named(port), mutual=mutual), view.enforced, where)
    document: Doc = {"name": name, "filter_chain_match": match} if match else {"name": name}
    if kind == "http":
        http = manager.http(
            ctx,
            f"inbound_{name}",
            cluster_name(port),
            manager.Needs.of(port.virtual_hosts),
            duty,
            port.port,
            forward_client_cert_details="APPEND_FORWARD" if mutual else "SANITIZE",
            set_current_client_cert_details={"subject": True, "dns": True, "uri": True},
        )
        document["filters"] = [*limits.connections(view.enforced.limits, cluster_name(port)), http]
    else:
        pool = port.pool or view.pool
        cluster = cluster_name(port)
        filters = manager.tcp(ctx, cluster, duty, cluster, pool=pool, counted=cluster)
        document["filters"] = filters
    if socket is not None:
        document |= secured(socket)
    return document


# Tunnels ---


def tunnelled(ctx: Context, view: SidecarView) -> Iterator[Doc]:
    """Chains of main_internal: a tunnel may name only this pod, or the proxy would be an open relay."""
    own = {"prefix_ranges": [cidr(address) for address in view.proxy.addresses]}
    if not view.proxy.addresses:
        return
    for port in (*view.inbound, unlisted(view)):
        point = points.incoming(view.proxy, _named(port), mutual=True)
        seen = Point("destination", "server", terminate.source_labels(), point.destination, point.service, "mutual_tls")
        match = {**own, "destination_port": port.port} if port.port else own
        name = f"hbone_{port.port}" if port.port else "hbone"
        if port.protocol == "auto":
            said = {**match, "application_protocols": list(HTTP_PROTOCOLS)}
            yield _chain(ctx, view, port, "http", f"{name}-http", said, None, mutual=True, where="state", point=seen)
        kind = "http" if may_be_http(port.protocol) and port.protocol != "auto" else "tcp"
        yield _chain(ctx, view, port, kind, name, match, None, mutual=True, where="state", point=seen)
