"""Who a tunnel says it comes from, at its destination: read once a tunnel or stream, printed by log lines and metrics.

The namespace comes from the verified certificate, the rest from the stream's `baggage`. Reading is kept apart from
printing because a CEL expression compiles its regular expressions each time it is printed: with some 30 labels in three
loggers that was 2 ms of CPU a connection. `telemetry.from_baggage` says the same for who has no filters before it.
"""

from __future__ import annotations

from typing import Final

from plait.envoy import telemetry
from plait.envoy.pieces import Doc, any_of, extension, state

_MD: Final = "plait.baggage"
_FS_NAMESPACE: Final = "plait.peer.namespace"
_UNKNOWN: Final = {"metadata_namespace": _MD, "value": telemetry.UNKNOWN}
_KEYS: Final = {
    "workload": "k8s[.](?:deployment|cronjob|pod|job)[.]name",
    "service": "service[.]name",
    "version": "service[.]version",
    "cluster": "k8s[.]cluster[.]name",
}
_LABELS: Final = {
    "workload": "workload",
    "app": "service",
    "version": "version",
    "canonical_service": "service",
    "canonical_revision": "version",
    "cluster": "cluster",
}


def tunnel_filter() -> Doc:
    """The network filter: what the certificate says, once the handshake is done. It precedes the HTTP filter."""
    namespace = "%CEL(re.extract(connection.uri_san_peer_certificate, '/ns/([^/]+)/', '\\\\1'))%"
    return extension(
        "envoy.filters.network.set_filter_state",
        "envoy.extensions.filters.network.set_filter_state.v3.Config",
        on_downstream_tls_handshake=[state(_FS_NAMESPACE, namespace, "envoy.string", "NONE")],
    )


def stream_filter() -> Doc:
    """The HTTP filter: what the header says. It precedes those that refuse, so that a refusal names its caller too.

    A later rule overwrites an earlier one, and a value that came out empty is not written: what the header does not say
    stays unknown. `:method` is there in every request.
    """
    rules: list[Doc] = []
    for key, pattern in _KEYS.items():
        rules.append({"header": ":method", "on_header_present": {**_UNKNOWN, "key": key}})
        rules.append({"header": "baggage", "on_header_present": _part(key, pattern)})
    return {
        "name": "envoy.filters.http.header_to_metadata",
        "typed_config": any_of("envoy.extensions.filters.http.header_to_metadata.v3.Config", request_rules=rules),
    }


def _part(key: str, pattern: str) -> Doc:
    regex = f"^(?:(?:.*?,)? *{pattern}=([^,;]+).*|.*)$"
    return {
        "metadata_namespace": _MD,
        "key": key,
        "regex_value_rewrite": {"pattern": {"regex": regex}, "substitution": "\\1"},
    }


def source() -> dict[str, str]:
    """Labels of the other side, where both filters stand before."""
    labels = {label: f"%DYNAMIC_METADATA({_MD}:{key})%" for label, key in _LABELS.items()}
    labels["workload_namespace"] = f"%FILTER_STATE({_FS_NAMESPACE}:PLAIN)%"
    labels["principal"] = "%DOWNSTREAM_PEER_URI_SAN%"
    return {key: labels[key] for key in telemetry.from_baggage()}
