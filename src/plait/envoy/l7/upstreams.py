"""An upstream as an Envoy cluster: discovery type, pools, protocol, and the way (plain, TLS, Istio TLS, tunnel) in."""

from __future__ import annotations

import re
from typing import Literal

from plait.base.wellknown import DRAIN_SECONDS
from plait.envoy import names
from plait.envoy.l7 import balancing, statistics, tls
from plait.envoy.l7.context import Context, may_be_http, seconds
from plait.envoy.l7.endpoints import assignment
from plait.envoy.pieces import ADS, HTTP1, UNLIMITED, Doc, any_of, extension, lookup_family
from plait.envoy.tunnels import RAW, through_internal_listener
from plait.model.traffic import ClientTls, Keepalive, Pool
from plait.model.views.upstreams import Upstream

OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_H2 = ("http2", "grpc", "grpc-web")
_DNS = {"dns": "STRICT_DNS", "dns_round_robin": "LOGICAL_DNS"}
_IDLE = DRAIN_SECONDS - 2.0
"""Seconds for which a connection of HTTP/1.1 to a pod is kept unused. Where the pod's proxy changes a filter chain, it
ends after the drain time what the old one still has; a request that is sent in that moment is lost, and nobody can tell
whether it was read. What was used meanwhile was asked to close, and what was not has been closed by then."""
_LABEL = re.compile(r"[^A-Za-z0-9._-]")


def clusters(ctx: Context, upstream: Upstream) -> list[Doc]:
    """The cluster, and its sibling for bytes that are not HTTP where Istio's TLS must tell them apart."""
    found = cluster(ctx, upstream)
    if not ctx.parted(upstream):
        return [found]
    socket = _istio(ctx, upstream, ("istio",))
    istio = {"name": "tlsMode-istio", "match": {"tlsMode": "istio"}, "transport_socket": socket}
    matches = [istio if each["name"] == istio["name"] else each for each in found.get("transport_socket_matches", [])]
    name = f"{found['name']}|tcp"
    own = {"name": name, "alt_stat_name": statistics.delimited(name), "transport_socket_matches": matches}
    return [found, {**found, **own}]


def passed(ctx: Context, upstream: Upstream) -> tuple[Doc, Doc]:
    """Cluster and endpoints for TLS of others, which is carried as it is."""
    name = server_name(upstream)
    found = cluster(ctx, upstream, name)
    del found["transport_socket_matches"]
    return found, assignment(name, upstream)


def server_name(upstream: Upstream) -> str:
    """By which Istio's clients ask for it in their TLS."""
    return f"outbound_.{upstream.port}_.{upstream.subset}_.{upstream.hostname}"


def cluster(ctx: Context, upstream: Upstream, name: str = "") -> Doc:
    """One cluster; `discovered` gives what is served apart from it."""
    name = name or ctx.cluster(*upstream.key)
    policy = upstream.policy
    pool = policy.pool or ctx.settings.pool or Pool()
    document: Doc = {
        "name": name,
        "alt_stat_name": statistics.delimited(name),
        "connect_timeout": seconds(pool.connect_timeout or ctx.settings.connect_timeout),
        **_discovery(ctx, name, upstream),
        "circuit_breakers": balancing.breakers(pool, policy.retry_budget, ctx, upstream.source),
        "metadata": {"filter_metadata": _metadata(ctx, upstream)},
    }
    found = policy.outliers or ctx.settings.outliers
    if found is not None:
        document["outlier_detection"] = balancing.outliers(found)
    if (alive := pool.keepalive or ctx.settings.keepalive) is not None:
        document["upstream_connection_options"] = {"tcp_keepalive": keepalive(alive)}
    protocol = _protocol(ctx, upstream, pool)
    if found is not None and found.codes:
        protocol["outlier_detection"] = _codes(found.codes)
    if protocol and upstream.resolution == "dynamic_dns" and not _own_checks(upstream):
        protocol["upstream_http_protocol_options"] = {"auto_sni": True, "auto_san_validation": True}
    if protocol:
        document["typed_extension_protocol_options"] = {OPTIONS: any_of(OPTIONS, **protocol)}
        if not any(key in protocol for key in ("explicit_http_config", "use_downstream_protocol_config")):
            protocol_fields = document["typed_extension_protocol_options"][OPTIONS]
            protocol_fields["explicit_http_config"] = {"http_protocol_options": {}}
    document |= _sockets(ctx, upstream)
    return document


def discovered(ctx: Context, upstream: Upstream) -> Doc | None:
    """What EDS serves for this upstream; None where the cluster holds or finds its endpoints itself."""
    name = ctx.cluster(*upstream.key)
    served = _discovery(ctx, name, upstream).get("type") == "EDS"
    return assignment(_served(name, upstream), upstream) if served else None


def _discovery(ctx: Context, name: str, upstream: Upstream) -> Doc:
    if upstream.resolution == "none" or _simple(upstream) == "passthrough":
        return {"type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED"}
    document = balancing.balancing(ctx, upstream)
    if upstream.resolution == "dynamic_dns":
        return _dynamic(ctx, upstream)
    if upstream.resolution in _DNS:
        ends = upstream.endpoints
        kind = _DNS[upstream.resolution] if len(ends) == 1 else "STRICT_DNS"  # a logical cluster has one host
        if all(end.address.startswith("unix://") for end in ends):
            kind = "STATIC"
        return {
            "type": kind,
            **document,
            **(
                {}
                if kind == "STATIC"
                else {
                    "dns_refresh_rate": seconds(ctx.settings.dns_refresh),
                    "respect_dns_ttl": True,
                    "dns_lookup_family": lookup_family(ctx.proxy.addresses),
                }
            ),
            "load_assignment": assignment(name, upstream),
        }
    if upstream.endpoints and all(end.address.startswith("unix://") for end in upstream.endpoints):
        return {"type": "STATIC", **document, "load_assignment": assignment(name, upstream)}
    return {
        "type": "EDS",
        "eds_cluster_config": {"eds_config": ADS, "service_name": _served(name, upstream)},
        **document,
    }


def _simple(upstream: Upstream) -> str:
    return upstream.policy.balancing.simple if upstream.policy.balancing is not None else ""


def _served(cluster: str, upstream: Upstream) -> str:
    """The name its endpoints are served under. To a waypoint and straight to the service they are other resources: what
    the cluster says of TLS differs too, and endpoints must never meet the cluster of the other way."""
    return f"{cluster}|waypoint" if upstream.waypoint else cluster


def _dynamic(ctx: Context, upstream: Upstream) -> Doc:
    cache = dns_cache(f"{_LABEL.sub('_', upstream.hostname)}", lookup_family(ctx.proxy.addresses))
    return {
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": extension(
            "envoy.clusters.dynamic_forward_proxy",
            "envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig",
            dns_cache_config=cache,
            **({"allow_insecure_cluster_options": True} if _own_checks(upstream) else {}),
        ),
    }


def _own_checks(upstream: Upstream) -> bool:
    """Does a rule say itself what the server is asked for and must prove? Else that follows from the request's host,
    and of a cluster of any host Envoy wants it said so."""
    tls = upstream.policy.tls
    return (
        tls is not None and tls.mode in ("simple", "mutual") and bool(tls.sni or tls.subject_alt_names or tls.insecure)
    )


def dns_cache(name: str, family: str) -> Doc:
    return {"name": name, "dns_lookup_family": family, "max_hosts": 4096}


def _metadata(ctx: Context, upstream: Upstream) -> Doc:
    named = {"host": upstream.hostname, "name": upstream.service or upstream.hostname, "namespace": upstream.namespace}
    istio: Doc = {"services": [named]}
    if upstream.source:
        istio["config"] = upstream.source
    if upstream.subset:
        istio["subset"] = upstream.subset
    return {
        "istio": istio,
        names.MD_PEER: {
            "service": upstream.hostname,
            "service_name": upstream.service or upstream.hostname,
            "service_namespace": upstream.namespace or "unknown",
        },
        **({names.MD_ON_DEMAND: {}} if upstream.key in ctx.lazy else {}),
    }


def keepalive(wanted: Keepalive) -> Doc:
    document: Doc = {}
    if wanted.probes:
        document["keepalive_probes"] = wanted.probes
    if wanted.time:
        document["keepalive_time"] = int(wanted.time)
    if wanted.interval:
        document["keepalive_interval"] = int(wanted.interval)
    return document


def lifetimes(pool: Pool, *, http: bool = True) -> Doc:
    """How long connections last, as Envoy reads it for its HTTP and its TCP pools.

    Of HTTP the idle time of its connections holds where none is said for HTTP itself.
    """
    common: Doc = {}
    idle = pool.http_idle_timeout if http and pool.http_idle_timeout is not None else pool.tcp_idle_timeout
    if idle is not None:
        common["idle_timeout"] = seconds(idle)
    if pool.max_connection_duration is not None:
        common["max_connection_duration"] = seconds(pool.max_connection_duration)
    if pool.max_requests_per_connection:
        common["max_requests_per_connection"] = pool.max_requests_per_connection
    return common


def _protocol(ctx: Context, upstream: Upstream, pool: Pool) -> Doc:
    """HTTP options. Of TCP clusters only the times of connections are said (Envoy reads them for its TCP pool too)."""
    common = lifetimes(pool, http=may_be_http(upstream.protocol))
    if may_be_http(upstream.protocol) and upstream.protocol not in _H2 and upstream.resolution == "workloads":
        common = {"idle_timeout": seconds(_IDLE), **common}
    document: Doc = {"common_http_protocol_options": common} if common else {}
    if not may_be_http(upstream.protocol):
        return document
    second: Doc = {}
    if pool.max_streams:
        second["max_concurrent_streams"] = pool.max_streams
    if pool.ping_interval is not None:
        second["connection_keepalive"] = {
            "interval": seconds(pool.ping_interval),
            "timeout": seconds(pool.ping_timeout or 20.0),
        }
    spoken = _spoken(ctx, upstream, pool)
    if spoken == "client":
        document["use_downstream_protocol_config"] = {"http_protocol_options": HTTP1, "http2_protocol_options": second}
    elif spoken == "http2":
        document["explicit_http_config"] = {"http2_protocol_options": second}
    else:
        document["explicit_http_config"] = {"http_protocol_options": HTTP1}
    policy = upstream.policy.tls
    if policy is not None and policy.mode in ("simple", "mutual") and not policy.sni:
        names_found = not (policy.subject_alt_names or upstream.subject_alt_names)
        document["upstream_http_protocol_options"] = {
            "auto_sni": True,
            **({"auto_san_validation": True} if names_found and not policy.insecure else {}),
        }
    return document


def _spoken(ctx: Context, upstream: Upstream, pool: Pool) -> Literal["http1", "http2", "client"]:
    """Which HTTP a pool of connections speaks; `client`: what the client spoke."""
    said = upstream.protocol != "auto"  # the mesh upgrades what is HTTP for certain
    upgraded = pool.upgrade == "always" or (pool.upgrade == "" and ctx.settings.upgrade_to_http2 and said)
    # Clients of a gateway agree on HTTP/2 with it, whatever a server behind it speaks: nothing follows from theirs.
    asked = not said and not upgraded and ctx.proxy.role != "gateway"
    if pool.client_protocol or asked:
        return "client"
    return "http2" if upstream.protocol in _H2 or upgraded else "http1"


def _codes(codes: tuple[int, ...]) -> Doc:
    tests = [
        {"http_response_headers_match": {"headers": [{"name": ":status", "string_match": {"exact": str(code)}}]}}
        for code in codes
    ]
    return {"error_matcher": tests[0] if len(tests) == 1 else {"or_match": {"rules": tests}}}


# Ways in ---


def _sockets(ctx: Context, upstream: Upstream) -> Doc:
    """One socket where all endpoints go one way; else a match for each way, tunnels first."""
    ways = {end.way for end in upstream.endpoints}
    policy = upstream.policy.tls
    own = _own(ctx, upstream, policy)
    if own is None and ways == {"istio"} and _simple(upstream) == "passthrough":
        # Whoever is dialed is none of the endpoints, so what all of them speak has to do.
        return {"transport_socket": _istio(ctx, upstream)}
    default = _proxy_protocol(own, upstream)
    if upstream.resolution != "workloads" and ways <= {"plain"}:
        return {"transport_socket": default} if default is not None else {}
    matches: list[Doc] = []
    if upstream.external and ways <= {"plain"}:
        return {"transport_socket": default} if default is not None else {}
    matches.append(
        {"name": "hbone", "match": {"tunnel": "http"}, "transport_socket": through_internal_listener(own or RAW)}
    )
    if policy is None or policy.mode == "istio_mutual":
        matches.append(
            {"name": "tlsMode-istio", "match": {"tlsMode": "istio"}, "transport_socket": _istio(ctx, upstream)}
        )
    matches.append({"name": "default", "match": {}, "transport_socket": default or RAW})
    return {"transport_socket_matches": matches}


def _own(ctx: Context, upstream: Upstream, policy: ClientTls | None) -> Doc | None:
    """What the policy itself asks for, None for raw bytes.

    No ALPN is configured: Envoy then offers the protocol of the connection pool, and a pool may be of either where
    requests go on in the protocol they came in. Offering both would let the server choose what the pool does not speak.
    """
    if policy is None or policy.mode == "disable":
        return None
    if policy.mode == "istio_mutual":
        return None if any(end.way != "plain" for end in upstream.endpoints) else _istio(ctx, upstream)
    return tls.client(ctx, policy, upstream.hostname, upstream.subject_alt_names, upstream.source)


def _istio(ctx: Context, upstream: Upstream, alpn: tuple[str, ...] = ()) -> Doc:
    policy = upstream.policy.tls
    sans = (
        policy.subject_alt_names
        if policy is not None and policy.subject_alt_names
        else (
            *(name for end in upstream.endpoints if not end.via for name in end.identities),
            *upstream.subject_alt_names,
        )
    )
    sni = policy.sni if policy is not None and policy.sni else server_name(upstream)
    return tls.workload_client(sans, sni, alpn or _alpn(ctx, upstream))


def _alpn(ctx: Context, upstream: Upstream) -> tuple[str, ...]:
    """What Istio's sidecars offer: HTTP is told from bytes by these names. The server reads what it agreed to, so that
    is what the pool speaks; it agrees to none where either may come, and then tells the two by the first bytes."""
    if not may_be_http(upstream.protocol):
        return ("istio",)
    spoken = _spoken(ctx, upstream, upstream.policy.pool or ctx.settings.pool or Pool())
    if upstream.protocol == "auto" or spoken == "client":
        return "istio-http/1.1", "istio-h2"
    if spoken == "http2":
        return "istio-h2", "istio", "h2"
    return "istio-http/1.1", "istio", "http/1.1"


def _proxy_protocol(inner: Doc | None, upstream: Upstream) -> Doc | None:
    version = upstream.policy.proxy_protocol
    if not version:
        return inner
    return extension(
        "envoy.transport_sockets.upstream_proxy_protocol",
        "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
        config={"version": version.upper()},
        transport_socket=inner or RAW,
    )


# Clusters that every L7 proxy has ---


def passthrough() -> Doc:
    return {
        "name": names.PASSTHROUGH,
        "type": "ORIGINAL_DST",
        "lb_policy": "CLUSTER_PROVIDED",
        "connect_timeout": "10s",
        "circuit_breakers": UNLIMITED,
        "typed_extension_protocol_options": {
            OPTIONS: any_of(
                OPTIONS,
                use_downstream_protocol_config={"http_protocol_options": HTTP1, "http2_protocol_options": {}},
            )
        },
    }


def blackhole() -> Doc:
    return {"name": names.BLACKHOLE, "type": "STATIC", "connect_timeout": "1s"}
