"""The cluster of a provider of the mesh configuration that reports go to."""

from __future__ import annotations

from plait.envoy.l7.context import Context
from plait.model.http_telemetry import Sink


def collector(ctx: Context, sink: Sink) -> str | None:
    if (sink.hostname, sink.port, "") in ctx.upstreams:
        return ctx.cluster(sink.hostname, sink.port)
    ctx.refuse("", f"extensionProviders.{sink.name}", f"the service {sink.hostname}:{sink.port} is not visible")
    return None
