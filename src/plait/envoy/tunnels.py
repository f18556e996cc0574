"""Parts that every proxy's tunnels share: how a connection reaches the internal listener, and HTTP/2 of the tunnel."""

from __future__ import annotations

from plait.envoy import names
from plait.envoy.pieces import Doc, any_of, extension

RAW: Doc = extension("envoy.transport_sockets.raw_buffer", "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer")
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def through_internal_listener(inner: Doc) -> Doc:
    """The transport socket to an internal listener, with what the tunnel needs to know of endpoint and service."""
    return extension(
        "envoy.transport_sockets.internal_upstream",
        "envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
        passthrough_metadata=[
            {"kind": {"host": {}}, "name": names.MD_ORIGINAL_DST},
            {"kind": {"host": {}}, "name": names.MD_TUNNEL},
            {"kind": {"cluster": {}}, "name": names.MD_SERVICE},
        ],
        transport_socket=inner,
    )


def http2(*, interval: str, timeout: str) -> Doc:
    """Protocol options of a cluster that opens tunnels; `interval` and `timeout` of its keepalive."""
    return {
        _HTTP_OPTIONS: any_of(
            _HTTP_OPTIONS,
            explicit_http_config={
                "http2_protocol_options": {
                    "allow_connect": True,
                    "max_concurrent_streams": 100,
                    "initial_stream_window_size": 4194304,
                    "initial_connection_window_size": 16777216,
                    "connection_keepalive": {"interval": interval, "timeout": timeout},
                }
            },
            # A tunnel does not outlive its certificate: after an hour new streams go to a new one.
            common_http_protocol_options={"idle_timeout": "300s", "max_connection_duration": "3600s"},
        )
    }
