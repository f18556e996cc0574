"""HBONE: the listener that ends tunnels inside a pod (15008), and the internal listener that begins them for the node.

One internal listener and one cluster serve every local pod: whose certificate, which peer and which SAN come with the
connection. Inbound, a CONNECT may name only the pod itself, or the proxy would be an open relay.
"""

from __future__ import annotations

import re

from plait.base.wellknown import CLASSIC_LOCAL_MARK, CLASSIC_TUNNEL_MARK, HBONE_PORT, RESERVED_PORTS, TUNNEL_MARK
from plait.envoy import baggage, names, telemetry, tls
from plait.envoy.listeners import BUFFER, ORIGINAL_DST, netns_state, original_src, periodic, set_state, tcp_proxy
from plait.envoy.options import Options
from plait.envoy.pieces import ADS, STALLED, Doc, any_of, bound, extension, secured, state
from plait.model.views.node import LocalPod, NodeView

_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_RBAC_URL = any_of("envoy.extensions.filters.http.rbac.v3.RBAC")["@type"]
# What other meshes expect of a tunnel's end: 401 for policy, 400 for an authority that is not ours.
_REPLIES = {403: 401, 404: 400}


def tunnel_listener(options: Options) -> Doc:
    """The node's internal listener: wraps one connection into a CONNECT to the endpoint that was chosen.

    An absent identity prints as "-", which no certificate carries: the handshake fails, nothing is sent.
    """
    fields = {
        "time": "%START_TIME%",
        "direction": "tunnel",
        "src.identity": f"%FILTER_STATE({names.FS_SECRET}:PLAIN)%",
        "dst.addr": "%DOWNSTREAM_LOCAL_ADDRESS%",
        "dst.hbone_addr": "%UPSTREAM_REMOTE_ADDRESS%",
        "dst.expected": f"%DYNAMIC_METADATA({names.MD_TUNNEL}:identity)%",
        "flags": "%RESPONSE_FLAGS%",
        "error": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
        "details": "%CONNECTION_TERMINATION_DETAILS%",
        "duration_ms": "%DURATION%",
    }
    states = set_state(
        state(names.FS_SANS, f"%DYNAMIC_METADATA({names.MD_TUNNEL}:identity)%", names.FS_SANS, "ONCE"),
        state(names.FS_TARGET, f"%DYNAMIC_METADATA({names.MD_TUNNEL}:via)%", names.FS_TARGET, optional=True),
    )
    proxy = tcp_proxy(
        "tunnel",
        names.HBONE,
        [telemetry.log_line(options.access_log, fields, only=telemetry.failed())],
        tunneling_config={
            "hostname": "%DOWNSTREAM_LOCAL_ADDRESS%",
            "headers_to_add": [
                _header("baggage", f"%FILTER_STATE({names.FS_BAGGAGE}:PLAIN)%"),
                _header(
                    "forwarded",
                    f"%FILTER_STATE({names.FS_FORWARDED}:PLAIN)%%DYNAMIC_METADATA({names.MD_SERVICE}:forwarded)%",
                ),
            ],
        },
    )
    return {
        "name": names.TUNNEL_LISTENER,
        "internal_listener": {},
        "stat_prefix": "tunnel",
        "per_connection_buffer_limit_bytes": BUFFER,
        "listener_filters": [ORIGINAL_DST, *([original_src(CLASSIC_LOCAL_MARK)] if options.shared_netns else [])],
        "filter_chains": [{"name": "tunnel", "filters": [states, proxy]}],
    }


def _header(name: str, value: str) -> Doc:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def inbound(view: NodeView, pod: LocalPod, options: Options) -> Doc:
    """15008: ends tunnels meant for this pod. Routes and policies come by name, so a change does not cut tunnels."""
    trust_domain = pod.identity.removeprefix("spiffe://").partition("/")[0] or view.trust_domain
    return {
        "name": names.hbone_listener(pod.uid),
        **bound(pod.addresses, "0.0.0.0", "::", HBONE_PORT, pod.netns),
        "stat_prefix": "hbone",
        "traffic_direction": "INBOUND",
        "per_connection_buffer_limit_bytes": BUFFER,
        "filter_chains": [
            {
                "name": "hbone",
                "filters": [
                    baggage.tunnel_filter(),
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": _hcm(pod, options),
                    },
                ],
                **secured(tls.downstream(pod.identity, trust_domain)),
            }
        ],
    }


def _hcm(pod: LocalPod, options: Options) -> Doc:
    source, own, service = baggage.source(), telemetry.own(pod), telemetry.from_route()
    extra = {
        "mtls": "true",
        "authority": "%REQ(:authority)%",
        "code": "%RESPONSE_CODE%",
        "reason": "%RESPONSE_CODE_DETAILS%",
    }
    fields = telemetry.log_fields("inbound", source, own, service["service"], extra)
    fields["dst.addr"] = "%REQ(:authority)%"
    metrics = telemetry.metrics(
        "destination",
        source,
        own,
        service,
        "mutual_tls",
        live=options.live,
        opened="DownstreamTunnelSuccessfullyEstablished",
        periodic="DownstreamPeriodic",
        ended="DownstreamEnd",
    )
    return any_of(
        _HCM,
        stat_prefix="hbone",
        codec_type="HTTP2",
        # Or the client could name its own address in X-Forwarded-For, and the application would be shown that one.
        use_remote_address=True,
        skip_xff_append=True,
        generate_request_id=False,
        http2_protocol_options={
            "allow_connect": True,
            "max_concurrent_streams": 200,
            "initial_stream_window_size": 4194304,
            "initial_connection_window_size": 16777216,
            "connection_keepalive": {"interval": "30s", "timeout": "20s"},
        },
        upgrade_configs=[{"upgrade_type": "CONNECT"}],
        request_timeout="0s",
        stream_idle_timeout="0s",
        request_headers_timeout=STALLED,
        access_log=[telemetry.log_line(options.access_log, fields, only=telemetry.HTTP_ENDED), *metrics],
        access_log_options={"flush_log_on_tunnel_successfully_established": True, **periodic(options.live)},
        local_reply_config={"mappers": [_reply(have, want) for have, want in _REPLIES.items()]},
        rds={"route_config_name": names.inbound_route(pod.uid), "config_source": ADS},
        http_filters=[
            baggage.stream_filter(),
            _by_name(names.deny_filter(pod.uid)),
            _by_name(names.allow_filter(pod.uid)),
            extension(
                "envoy.filters.http.set_filter_state",
                "envoy.extensions.filters.http.set_filter_state.v3.Config",
                on_request_headers=[netns_state(pod)],
            ),
            extension(
                "envoy.filters.http.original_src",
                "envoy.extensions.filters.http.original_src.v3.OriginalSrc",
                mark=TUNNEL_MARK if pod.netns else CLASSIC_TUNNEL_MARK,
            ),
            extension("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router"),
        ],
    )


def _by_name(name: str) -> Doc:
    """A filter that arrives by discovery; the listener waits for it, so there is no moment without policy."""
    return {"name": name, "config_discovery": {"config_source": ADS, "type_urls": [_RBAC_URL]}}


def _reply(have: int, want: int) -> Doc:
    code = {"comparison": {"op": "EQ", "value": {"default_value": have, "runtime_key": f"plait.reply_{have}"}}}
    return {"filter": {"status_code_filter": code}, "status_code": want}


def route(view: NodeView, pod: LocalPod) -> Doc:
    """Which authorities this pod's tunnels may name: itself, at a port that is not the proxy's own.

    The regular expression refuses spellings (`:08080`, `: 8080`) that a port test in a policy would not recognise but
    that Envoy would connect to. Routes differ only in the service they say the tunnel is for (telemetry): the one the
    `forwarded` header names, if it is one of this pod's, else its first.
    """
    hosts = "|".join(re.escape(names.authority(address, 0)[:-2]) for address in pod.addresses)
    reserved = "|".join(str(port) for port in sorted(RESERVED_PORTS))
    own = _header_test(":authority", f"(?:{hosts}):[1-9][0-9]{{0,4}}")
    services = telemetry.services_of(view, pod)
    named = [
        _to_pod([own, _header_test("forwarded", test)], service)
        for service in services[1:]
        if (test := telemetry.host_test(service["service"])) is not None
    ]
    return {
        "name": names.inbound_route(pod.uid),
        "virtual_hosts": [
            {
                "name": "self",
                "domains": [f"{names.authority(address, 0)[:-2]}:*" for address in pod.addresses],
                "routes": [
                    {
                        "match": {
                            "connect_matcher": {},
                            "headers": [_header_test(":authority", f".*:(?:{reserved})")],
                        },
                        "direct_response": {"status": 400},
                    },
                    *named,
                    _to_pod([own], telemetry.first(services)),
                ],
            }
        ],
    }


def _to_pod(headers: list[Doc], service: dict[str, str]) -> Doc:
    return {
        "match": {"connect_matcher": {}, "headers": headers},
        "metadata": {"filter_metadata": {names.MD_PEER: dict(service)}},
        "route": {
            "cluster": names.INBOUND,
            "timeout": "0s",
            "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}],
        },
    }


def _header_test(name: str, regex: str) -> Doc:
    return {"name": name, "string_match": {"safe_regex": {"regex": regex}}}
