"""What is told about each connection: one access log line and Istio's standard TCP metrics, from both sides.

The source side knows itself (constants of the pod's listener) and the other side from endpoint metadata. The
destination side knows itself, and its peer from the certificate and from the `baggage` of the CONNECT.
"""

from __future__ import annotations

import re
from typing import Final, Literal
from urllib.parse import quote

from plait.base.format_strings import literal
from plait.envoy import names
from plait.envoy.pieces import Doc, extension
from plait.model.views.destinations import Destination, Peer
from plait.model.views.node import LocalPod, NodeView

UNKNOWN: Final = "unknown"
Reporter = Literal["source", "destination"]
Security = Literal["mutual_tls", "none"]
# Gauges of living connections: `proxy.living` reads them and leaves them out of the page.
LIVE: Final = "istio_live"
LIVE_SENT: Final = "istio_live_sent_bytes"
LIVE_RECEIVED: Final = "istio_live_received_bytes"
_HOST: Final = re.compile(r"[A-Za-z0-9.*_-]+")
_SIDE: Final = ("workload", "workload_namespace", "principal", "app", "version", "canonical_service")
_SIDE_ALL: Final = (*_SIDE, "canonical_revision", "cluster")
_SERVICE: Final = ("service", "service_name", "service_namespace")
# Flags of a connection that never reached anybody: it is counted as opened when it ends.
_NEVER_CONNECTED: Final = ["UH", "UF", "UO", "NR", "NC", "UAEX", "RL"]


# What the two sides are called ---


def peer_labels(peer: Peer, security: Security) -> Doc:
    """Endpoint metadata from which a source names the other side. Every key is present: an absent one prints as "-"."""
    return {**_labels(peer), "security": security}


def service_labels(found: Destination) -> Doc:
    """Cluster metadata: which service was meant."""
    return {
        "service": found.hostname or UNKNOWN,
        "service_name": found.service_name or UNKNOWN,
        "service_namespace": found.namespace or UNKNOWN,
    }


def forwarded_host(found: Destination) -> str:
    """What a tunnel's `forwarded` header says beside the client's address: the service the client has addressed."""
    return f";host={found.hostname}" if _HOST.fullmatch(found.hostname) else ""


def services_of(view: NodeView, pod: LocalPod) -> list[dict[str, str]]:
    """Constant labels of the services this pod backs, by name."""
    found = next((w for a in pod.addresses if (w := view.index.workload(a)) is not None), None)
    keys = sorted(membership.service for membership in found.services) if found and pod.known else []
    services = [view.mesh.services[key] for key in keys if key in view.mesh.services]
    return [{"service": s.hostname, "service_name": s.name, "service_namespace": s.namespace} for s in services]


def first(services: list[dict[str, str]]) -> dict[str, str]:
    """What a connection is taken to be for when nobody said it."""
    return services[0] if services else nobody(_SERVICE)


def host_test(hostname: str) -> str | None:
    """The regular expression of a `forwarded` header that names this service; None for what is no host name."""
    if not _HOST.fullmatch(hostname):
        return None
    return f'(?:.*;)?host="?{re.escape(hostname)}"?(?:;.*)?'


def from_route() -> dict[str, str]:
    """Which service a tunnel is for: routes come by name, so services may come and go without cutting tunnels."""
    return {key: f"%METADATA(ROUTE:{names.MD_PEER}:{key})%" for key in _SERVICE}


def from_state() -> dict[str, str]:
    """The same where there are no routes: a named filter has said it when the connection came."""
    return {key: f"%FILTER_STATE({names.FS_SERVICE}{key}:PLAIN)%" for key in _SERVICE}


def _labels(peer: Peer) -> dict[str, str]:
    return {
        "workload": peer.workload or peer.pod or UNKNOWN,
        "workload_namespace": peer.namespace or UNKNOWN,
        "principal": peer.principal or UNKNOWN,
        "app": peer.canonical_name or UNKNOWN,
        "version": peer.canonical_revision or UNKNOWN,
        "canonical_service": peer.canonical_name or UNKNOWN,
        "canonical_revision": peer.canonical_revision or UNKNOWN,
        "cluster": peer.cluster or UNKNOWN,
    }


def own(pod: LocalPod) -> dict[str, str]:
    """Constant labels of a local pod; its principal is known even before the control plane describes it."""
    return {key: literal(value) for key, value in {**_labels(pod.peer), "principal": pod.identity}.items()}


def from_endpoint() -> dict[str, str]:
    """The other side, at the source: metadata of the endpoint that was chosen."""
    return {key: f"%UPSTREAM_METADATA({names.MD_PEER}:{key})%" for key in _SIDE_ALL}


def from_cluster() -> dict[str, str]:
    return {key: f"%CLUSTER_METADATA({names.MD_PEER}:{key})%" for key in _SERVICE}


def nobody(keys: tuple[str, ...] = _SIDE_ALL) -> dict[str, str]:
    return dict.fromkeys(keys, UNKNOWN)


def baggage(cluster: str, namespace: str, workload_type: str, workload: str, service: str, version: str) -> str:
    """The header in which a source says who it is (W3C baggage with the keys ztunnel uses)."""
    pairs = {
        "k8s.cluster.name": cluster,
        "k8s.namespace.name": namespace,
        f"k8s.{workload_type}.name": workload,
        "service.name": service,
        "service.version": version,
    }
    return ",".join(f"{key}={quote(value)}" for key, value in pairs.items() if value)


def from_baggage() -> dict[str, str]:
    """The other side, at the destination of a tunnel: namespace from the verified certificate, the rest as it says."""
    said = {
        "workload": "k8s[.](?:deployment|cronjob|pod|job)[.]name",
        "app": "service[.]name",
        "version": "service[.]version",
        "canonical_service": "service[.]name",
        "canonical_revision": "service[.]version",
        "cluster": "k8s[.]cluster[.]name",
    }
    labels = {key: _from_header("baggage", f"(?:^|,){pattern}=([^,;]+)") for key, pattern in said.items()}
    labels["principal"] = "%DOWNSTREAM_PEER_URI_SAN%"
    labels["workload_namespace"] = "%CEL(re.extract(connection.uri_san_peer_certificate, '/ns/([^/]+)/', '\\\\1'))%"
    return {key: labels[key] for key in _SIDE_ALL}


def _from_header(header: str, pattern: str) -> str:
    value = f"request.headers['{header}']"
    return (
        f"%CEL('{header}' in request.headers && {value}.matches('{pattern}') "
        f"? re.extract({value}, '{pattern}', '\\\\1') : '{UNKNOWN}')%"
    )


# Metrics ---


def metrics(
    reporter: Reporter,
    source: dict[str, str],
    destination: dict[str, str],
    service: dict[str, str],
    security: str,
    *,
    live: float = 0.0,
    opened: str = "TcpUpstreamConnected",
    periodic: str = "TcpPeriodic",
    ended: str = "TcpConnectionEnd",
) -> list[Doc]:
    """Stats loggers: connections opened, connections closed with their bytes, and the bytes of those that live.

    A counter takes no differences. So what a living connection has moved so far is in gauges of its own, set anew every
    `live` seconds (0: never) until its end, when the counters take it over; the agent's page adds the gauges to the
    counters (`proxy.living`). Labels are dear (a formatter each), so only one gauge carries them, the others the
    stream's name. A living connection has no flags, so bytes are always counted without.
    """
    labels = {
        "reporter": reporter,
        **{f"source_{key}": source[key] for key in _SIDE_ALL},
        **{f"destination_{key}": destination[key] for key in _SIDE_ALL},
        **{f"destination_{key}": service[key] for key in _SERVICE},
        "request_protocol": "tcp",
        "response_flags": "%RESPONSE_FLAGS%",
        "connection_security_policy": security,
    }
    tags = [{"name": name, "value_format": value} for name, value in labels.items()]
    # As Istio defines them: sent in the response, received in the request.
    sent, received = "%BYTES_SENT%", "%BYTES_RECEIVED%"
    moved: dict[str, int | str] = {"sent_bytes_total": sent, "received_bytes_total": received}
    unflagged = [{**tag, "value_format": "-"} if tag["name"] == "response_flags" else tag for tag in tags]
    never = {"and_filter": {"filters": [_log_type(ended), {"response_flag_filter": {"flags": _NEVER_CONNECTED}}]}}
    connected = {"or_filter": {"filters": [_log_type(opened), never]}}
    loggers = [
        _logger(connected, _counters(tags, {"connections_opened_total": 1})),
        _logger(_log_type(ended), _counters(tags, {"connections_closed_total": 1}) + _counters(unflagged, moved)),
    ]
    if live:
        # After the counters, so that nothing is seen twice: a page is made of counters first.
        seen = {"and_filter": {"filters": [_log_type(ended), _at_least(live)]}}
        gauges = _living(unflagged, sent, received, periodic, ended)
        loggers.append(_logger({"or_filter": {"filters": [_log_type(periodic), seen]}}, [], gauges))
    return loggers


def _living(tags: list[Doc], sent: str, received: str, periodic: str, ended: str) -> list[Doc]:
    """Does the stream live (first: without it the others do not count), and what has it moved?"""
    # The streams of a tunnel have no identifiers of their own.
    stream = {"name": "stream", "value_format": "%CONNECTION_ID%-%START_TIME(%s.%9f)%"}

    def gauge(name: str, held: list[Doc], value: str, kind: str) -> Doc:
        return {"stat": {"name": name, "tags": held}, "value_format": value, "set": {"log_type": kind}}

    return [
        gauge(LIVE, [stream], "%CEL(1)%", periodic),
        gauge(LIVE, [stream], "%CEL(0)%", ended),
        gauge(LIVE_RECEIVED, [stream], received, periodic),
        gauge(LIVE_SENT, [*tags, stream], sent, periodic),
    ]


def _log_type(kind: str) -> Doc:
    return {"log_type_filter": {"types": [kind]}}


def _at_least(seconds: float) -> Doc:
    value = {"default_value": round(seconds * 1000), "runtime_key": "plait.live"}
    return {"duration_filter": {"comparison": {"op": "GE", "value": value}}}


def _counters(tags: list[Doc], values: dict[str, int | str]) -> list[Doc]:
    return [
        {
            "stat": {"name": f"istio_tcp_{name}", "tags": tags},
            **({"value_fixed": value} if isinstance(value, int) else {"value_format": value}),
        }
        for name, value in values.items()
    ]


def _logger(chosen: Doc, counters: list[Doc], gauges: list[Doc] | None = None) -> Doc:
    scope = {"prefix": "", "sharing_name": "istio", "enable_eviction": True}
    logger = extension(
        "envoy.access_loggers.stats",
        "envoy.extensions.access_loggers.stats.v3.Config",
        stats_scope={**scope, "max_counters": 20000, "max_gauges": 10000},
        counters=counters,
        gauges=gauges or [],
    )
    return {**logger, "filter": chosen}


# Access log ---


def log_line(path: str, fields: dict[str, str], *, only: Doc | None = None) -> Doc:
    """One JSON object a connection, appended to `path`."""
    logger = extension(
        "envoy.access_loggers.file",
        "envoy.extensions.access_loggers.file.v3.FileAccessLog",
        path=path,
        log_format={"json_format": fields},
    )
    return {**logger, "filter": only} if only is not None else logger


def log_fields(
    direction: str, source: dict[str, str], destination: dict[str, str], service: str, extra: dict[str, str]
) -> dict[str, str]:
    """The fields every line has, whichever side wrote it."""
    return {
        "time": "%START_TIME%",
        "direction": direction,
        "src.addr": "%DOWNSTREAM_REMOTE_ADDRESS%",
        "src.workload": source["workload"],
        "src.namespace": source["workload_namespace"],
        "src.identity": source["principal"],
        "dst.addr": "%DOWNSTREAM_LOCAL_ADDRESS%",
        "dst.service": service,
        "dst.workload": destination["workload"],
        "dst.namespace": destination["workload_namespace"],
        "dst.identity": destination["principal"],
        "bytes_sent": "%BYTES_SENT%",
        "bytes_recv": "%BYTES_RECEIVED%",
        "duration_ms": "%DURATION%",
        "flags": "%RESPONSE_FLAGS%",
        "error": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
        "details": "%CONNECTION_TERMINATION_DETAILS%",
        **extra,
    }


ENDED: Final[Doc] = _log_type("TcpConnectionEnd")
HTTP_ENDED: Final[Doc] = _log_type("DownstreamEnd")


def failed() -> Doc:
    """Only what went wrong."""
    return {"and_filter": {"filters": [ENDED, {"response_flag_filter": {}}]}}
