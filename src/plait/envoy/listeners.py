"""The two TCP listeners of a captured pod: what leaves it (15001) and what enters it without a tunnel (15006).

Both are bound inside the pod's network namespace, so whose traffic it is, is a constant of the listener. The tunnel
listener (15008) and the node's internal listener are in `hbone`.
"""

from __future__ import annotations

from plait.base.format_strings import literal
from plait.base.wellknown import CAPTURE_PROBE_IP, CAPTURE_PROBE_IP6, INBOUND_PLAINTEXT_PORT, OUTBOUND_PORT, PROXY_MARK
from plait.envoy import names, plaintext, telemetry
from plait.envoy.options import Options
from plait.envoy.pieces import ADS, Doc, any_of, bound, cidr, extension, state
from plait.model.views.node import LocalPod, NodeView

BUFFER = 262144
ORIGINAL_DST = extension(
    "envoy.filters.listener.original_dst", "envoy.extensions.filters.listener.original_dst.v3.OriginalDst"
)
_SET_STATE = "envoy.extensions.filters.network.set_filter_state.v3.Config"
_TCP_PROXY = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"


def netns_state(pod: LocalPod) -> Doc:
    """Upstream sockets of this connection open in the pod's namespace.

    It must be hashable: only then is it part of the connection pool's key, and only that keeps the connections of two
    pods (two identities) off each other's tunnels. It must also be the only hashable one, or pools split needlessly.
    """
    if not pod.netns:  # node-level capture: one namespace for all, so the pod's address takes that part
        return state(names.FS_ORIGIN, pod.addresses[0], "envoy.hashable_string")
    return state(names.FS_NETNS, literal(pod.netns), "envoy.hashable_string")


def original_src(mark: int) -> Doc:
    """Upstream sockets keep the address of the connection's client."""
    return extension(
        "envoy.filters.listener.original_src",
        "envoy.extensions.filters.listener.original_src.v3.OriginalSrc",
        mark=mark,
    )


def set_state(*objects: Doc) -> Doc:
    return extension("envoy.filters.network.set_filter_state", _SET_STATE, on_new_connection=list(objects))


def service_state(view: NodeView, pod: LocalPod) -> Doc:
    """The named filter that says which service a connection without a tunnel is taken to be for (telemetry)."""
    labels = telemetry.first(telemetry.services_of(view, pod))
    states = [state(names.FS_SERVICE + key, literal(value), "envoy.string", "NONE") for key, value in labels.items()]
    return any_of(_SET_STATE, on_new_connection=states)


def periodic(every: float) -> Doc:
    """Access loggers hear of a living connection every so many seconds; 0 for never."""
    return {"access_log_flush_interval": f"{every:g}s"} if every else {}


def tcp_proxy(stat_prefix: str, cluster: str, access_log: list[Doc], *, every: float = 0.0, **more: object) -> Doc:
    return {
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": any_of(
            _TCP_PROXY,
            stat_prefix=stat_prefix,
            cluster=cluster,
            # Applications decide how long a silent connection lives; dead peers are found by keepalive.
            idle_timeout="0s",
            access_log=access_log,
            access_log_options={"flush_access_log_on_connected": True, **periodic(every)},
            **more,
        ),
    }


def outbound(view: NodeView, pod: LocalPod, options: Options) -> Doc:
    """15001: known ranges and services are looked up at the first connection, the rest passes, loops are dropped."""
    on_demand = [_outbound_states(pod), _outbound_proxy(pod, options)]
    guard = {
        "name": "loop",
        "filter_chain_match": {"prefix_ranges": _ranges(pod, "127.0.0.0/8", "::1/128")},
        "filters": [tcp_proxy("loop", names.BLACKHOLE, [_outbound_log(pod, options)])],
    }
    probe = {  # ended with a FIN, so that the kernel still shows the connection's end at 15001 to who asks
        "name": "probe",
        "filter_chain_match": {"prefix_ranges": _ranges(pod, CAPTURE_PROBE_IP, CAPTURE_PROBE_IP6)},
        "filters": [tcp_proxy("probe", names.BLACKHOLE, [])],
    }
    chains = [guard, probe]
    if view.ranges:
        match = {"prefix_ranges": [cidr(block) for block in view.ranges]}
        chains.append({"name": "mesh", "filter_chain_match": match, "filters": on_demand})
        if view.beyond:  # a chain of its own: when these change, only connections to them are drained
            match = {"prefix_ranges": [cidr(address) for address in view.beyond]}
            chains.append({"name": "beyond", "filter_chain_match": match, "filters": on_demand})
        rest = [set_state(netns_state(pod)), _passing(pod, options)]
    else:
        rest = on_demand  # no ranges are declared, so everything may be ours
    return {
        "name": names.outbound_listener(pod.uid),
        **bound(pod.addresses, "127.0.0.1", "::1", OUTBOUND_PORT, pod.netns),
        "stat_prefix": "outbound",
        "traffic_direction": "OUTBOUND",
        "per_connection_buffer_limit_bytes": BUFFER,
        "listener_filters": [ORIGINAL_DST],
        "filter_chains": chains,
        "default_filter_chain": {"name": "rest", "filters": rest},
    }


def _ranges(pod: LocalPod, ipv4: str, ipv6: str) -> list[Doc]:
    """Of the families that the pod has."""
    return [cidr(ipv4), cidr(ipv6)] if any(":" in address for address in pod.addresses) else [cidr(ipv4)]


def _outbound_states(pod: LocalPod) -> Doc:
    # The internal listener's connection is then the pod's, and its tunnel keeps that source.
    # (Of the family that the client spoke, which is also the endpoint's.)
    remote = names.authority(pod.addresses[0], 0) if len(pod.addresses) == 1 else "%DOWNSTREAM_REMOTE_ADDRESS%"
    source = () if pod.netns else (state(names.FS_REMOTE, remote, names.FS_REMOTE, "ONCE"),)
    return set_state(
        netns_state(pod),
        *source,
        state(names.FS_SECRET, literal(pod.identity), "envoy.string"),
        # Never shared: the internal listener's proxy would obey it too and call itself until the process dies.
        state(names.FS_CLUSTER, f"{names.ON_DEMAND}%DOWNSTREAM_LOCAL_ADDRESS%", names.FS_CLUSTER, "NONE"),
        # For the internal listener only, hence ONCE.
        state(names.FS_BAGGAGE, literal(_baggage(pod)), "envoy.string", "ONCE"),
        state(names.FS_FORWARDED, 'for="%DOWNSTREAM_REMOTE_ADDRESS%"', "envoy.string", "ONCE"),
    )


def _baggage(pod: LocalPod) -> str:
    peer = pod.peer
    kind, workload = peer.workload_type or "pod", peer.workload or pod.name
    return telemetry.baggage(peer.cluster, pod.namespace, kind, workload, peer.canonical_name, peer.canonical_revision)


def _outbound_proxy(pod: LocalPod, options: Options) -> Doc:
    security = f"%UPSTREAM_METADATA({names.MD_PEER}:security)%"
    own, there, service = telemetry.own(pod), telemetry.from_endpoint(), telemetry.from_cluster()
    return tcp_proxy(
        "outbound",
        names.BLACKHOLE,
        [_outbound_log(pod, options), *telemetry.metrics("source", own, there, service, security, live=options.live)],
        every=options.live,
        on_demand={"odcds_config": ADS, "timeout": "5s"},
    )


def _passing(pod: LocalPod, options: Options) -> Doc:
    own, there = telemetry.own(pod), telemetry.nobody()
    service = {
        "service": telemetry.UNKNOWN,
        "service_name": names.PASSTHROUGH,
        "service_namespace": telemetry.UNKNOWN,
    }
    metrics = telemetry.metrics("source", own, there, service, "none", live=options.live)
    return tcp_proxy("passthrough", names.PASSTHROUGH, [_outbound_log(pod, options), *metrics], every=options.live)


def _outbound_log(pod: LocalPod, options: Options) -> Doc:
    extra = {"dst.endpoint": "%UPSTREAM_REMOTE_ADDRESS%", "cluster": "%UPSTREAM_CLUSTER%"}
    service = telemetry.from_cluster()["service"]
    fields = telemetry.log_fields("outbound", telemetry.own(pod), telemetry.from_endpoint(), service, extra)
    return telemetry.log_line(options.access_log, fields, only=telemetry.ENDED)


def inbound_plaintext(pod: LocalPod, options: Options) -> Doc:
    """15006: the chain is chosen by policy before anything is connected; the application sees the client's address."""
    entry = plaintext.verdict(pod.policies, pod.addresses, strict=pod.strict, known=pod.known)
    source, own = telemetry.nobody(), telemetry.own(pod)
    service = telemetry.from_state()
    fields = telemetry.log_fields("inbound", source, own, service["service"], {"mtls": "false"})
    line = telemetry.log_line(options.access_log, fields, only=telemetry.ENDED)
    metrics = telemetry.metrics("destination", source, own, service, "none", live=options.live)
    # By name, because a filter chain that changes ends its connections, and services come and go.
    said = {
        "name": names.service_filter(pod.uid),
        "config_discovery": {"config_source": ADS, "type_urls": [any_of(_SET_STATE)["@type"]]},
    }
    return {
        "name": names.plaintext_listener(pod.uid),
        **bound(pod.addresses, "0.0.0.0", "::", INBOUND_PLAINTEXT_PORT, pod.netns),
        "stat_prefix": "inbound",
        "traffic_direction": "INBOUND",
        "per_connection_buffer_limit_bytes": BUFFER,
        "tcp_keepalive": {"keepalive_time": 60, "keepalive_interval": 15, "keepalive_probes": 4},
        "listener_filters": [
            ORIGINAL_DST,
            original_src(PROXY_MARK),
        ],
        "filter_chains": [
            {
                "name": plaintext.ALLOWED,
                "filters": [
                    said,
                    set_state(netns_state(pod)),
                    tcp_proxy("inbound", _application(pod), [line, *metrics], every=options.live),
                ],
            },
            {
                "name": plaintext.REFUSED,
                "filters": [said, tcp_proxy("refused", names.BLACKHOLE, [line, *metrics[:2]])],
            },
        ],
        "filter_chain_matcher": plaintext.chain_matcher(entry),
    }


def _application(pod: LocalPod) -> str:
    """Sockets of node-level capture carry other marks towards an application than towards a peer."""
    return names.PASSTHROUGH if pod.netns else names.INBOUND_PLAINTEXT
