"""connect_terminate: the listener that ends tunnels for a waypoint or a sidecar, and what it hands on.

Who calls and from where travels in filter state to `main_internal`, never in headers: a client cannot write it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from plait.base.wellknown import HELD_PORT
from plait.envoy import telemetry as l4
from plait.envoy.l7 import tls
from plait.envoy.l7.authorization import FS_PRINCIPAL
from plait.envoy.l7.context import Context
from plait.envoy.pieces import ADS, STALLED, UNLIMITED, Doc, any_of, bound, extension, secured, state
from plait.envoy.rbac import Peer
from plait.envoy.rbac import filters as l4_filters
from plait.envoy.tunnels import RAW, through_internal_listener
from plait.model.policies import Policy

NAME, INTERNAL, HELD = "connect_terminate", "main_internal", "connect_held"
_PROXY_HEADER = extension(
    "envoy.filters.listener.proxy_protocol", "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"
)
FS_AUTHORITY = "io.istio.connect_authority"
_LOCAL = "envoy.filters.listener.original_dst.local_ip"
_REMOTE = "envoy.filters.listener.original_dst.remote_ip"
IDENTITY = f"%FILTER_STATE({FS_PRINCIPAL}:PLAIN)%"
_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_SET = "envoy.extensions.filters.http.set_filter_state.v3.Config"


def source_labels() -> dict[str, str]:
    """Telemetry labels of the caller, as `main_internal` reads them."""
    return {key: f"%FILTER_STATE(plait.source.{key}:PLAIN)%" for key in l4.from_baggage()}


def listener(
    ctx: Context, port: int, policies: Iterable[Policy], domains: tuple[str, ...], peer: Peer = "direct_remote_ip"
) -> Doc:
    """`policies` are the L4 ones that bind this proxy itself; they are judged before anything is connected."""
    guards = l4_filters("connect", tuple(policies), ctx.proxy.addresses, True, peer)
    said = [
        state(FS_PRINCIPAL, "%DOWNSTREAM_PEER_URI_SAN%", "envoy.hashable_string", "ONCE"),
        state(FS_AUTHORITY, "%REQ(:AUTHORITY)%", "envoy.string", "ONCE"),
        state(_LOCAL, "%REQ(:AUTHORITY)%", _LOCAL, "ONCE"),
        state(_REMOTE, "%DOWNSTREAM_REMOTE_ADDRESS%", _REMOTE, "ONCE"),
        *(state(f"plait.source.{key}", value, "envoy.string", "ONCE") for key, value in l4.from_baggage().items()),
    ]
    config = any_of(
        _HCM,
        stat_prefix=NAME,
        codec_type="HTTP2",
        rds={"route_config_name": NAME, "config_source": ADS},
        use_remote_address=True,
        skip_xff_append=True,
        generate_request_id=False,
        request_timeout="0s",
        stream_idle_timeout="0s",
        request_headers_timeout=STALLED,
        upgrade_configs=[{"upgrade_type": "CONNECT"}],
        http2_protocol_options={
            "allow_connect": True,
            "max_concurrent_streams": 200,
            "initial_stream_window_size": 4194304,
            "initial_connection_window_size": 16777216,
            "connection_keepalive": {"interval": "10s", "timeout": "20s"},
        },
        http_filters=[
            *({"name": name, "typed_config": document} for name, document in guards.items()),
            extension("connect_authority", _SET, on_request_headers=said),
            extension("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router"),
        ],
    )
    return {
        "name": NAME,
        **bound(ctx.proxy.addresses, "0.0.0.0", "::", port),
        "traffic_direction": "INBOUND",
        "stat_prefix": NAME,
        "filter_chains": [
            {
                "name": "default",
                "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": config}],
                **secured(tls.mesh_server(ctx, ["h2"], hbone=True, domains=domains)),
            }
        ],
    }


def held(ctx: Context, activator: str, policies: Iterable[Policy], domains: tuple[str, ...]) -> Iterator[Doc]:
    """The same for connections that the activator held while we started. "" is nobody.

    The PROXY header in front says whose they are, and is believed of nobody but the activator's own address: every
    other connection finds no chain, so it is closed.
    """
    if not activator:
        return
    document = listener(ctx, HELD_PORT, policies, domains, "source_ip")
    (chain,) = document["filter_chains"]
    own = {"address_prefix": activator, "prefix_len": 128 if ":" in activator else 32}
    yield {
        **document,
        "name": HELD,
        "stat_prefix": HELD,
        "listener_filters": [_PROXY_HEADER],
        "filter_chains": [{**chain, "filter_chain_match": {"direct_source_prefix_ranges": [own]}}],
    }


def route(refused: Collection[int] = ()) -> Doc:
    """`refused`: ports that no tunnel may name, however they are spelled, or a proxy could be led to itself."""
    to = {
        "cluster": INTERNAL,
        "timeout": "0s",
        "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}],
    }
    routes: list[Doc] = [{"match": {"connect_matcher": {}}, "route": to}]
    if refused:
        ports = "|".join(str(port) for port in sorted(refused))
        named = {"name": ":authority", "string_match": {"safe_regex": {"regex": f".*:[^1-9]*(?:{ports})"}}}
        routes.insert(0, {"match": {"connect_matcher": {}, "headers": [named]}, "direct_response": {"status": 400}})
    return {
        "name": NAME,
        "validate_clusters": False,
        "virtual_hosts": [{"name": NAME, "domains": ["*"], "routes": routes}],
    }


def cluster() -> Doc:
    inner = {"endpoint": {"address": {"envoy_internal_address": {"server_listener_name": INTERNAL}}}}
    return {
        "name": INTERNAL,
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": UNLIMITED,
        "load_assignment": {"cluster_name": INTERNAL, "endpoints": [{"lb_endpoints": [inner]}]},
        "transport_socket": through_internal_listener(RAW),
    }
