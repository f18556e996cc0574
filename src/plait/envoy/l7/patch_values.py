"""What kind of Envoy message each place of an EnvoyFilter takes, and whether a value is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plait.base.type_urls import PREFIX
from plait.envoy import names
from plait.envoy.l7.spelling import proper
from plait.envoy.wire import WireError, encode

TYPES = {
    "LISTENER": names.LISTENER,
    "FILTER_CHAIN": PREFIX + "envoy.config.listener.v3.FilterChain",
    "NETWORK_FILTER": PREFIX + "envoy.config.listener.v3.Filter",
    "LISTENER_FILTER": PREFIX + "envoy.config.listener.v3.ListenerFilter",
    "HTTP_FILTER": PREFIX + "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
    "ROUTE_CONFIGURATION": names.ROUTE,
    "VIRTUAL_HOST": PREFIX + "envoy.config.route.v3.VirtualHost",
    "HTTP_ROUTE": PREFIX + "envoy.config.route.v3.Route",
    "CLUSTER": names.CLUSTER,
    "EXTENSION_CONFIG": names.EXTENSION,
    "BOOTSTRAP": names.BOOTSTRAP,
}


def misfit(apply_to: str, value: Mapping[str, Any]) -> WireError | None:
    """Why this is no value for such a patch in the API of the pinned Envoy; its path begins at the value."""
    kind = TYPES.get(apply_to)
    if kind is None:
        return None
    try:
        encode(kind, proper(kind, value))
    except WireError as error:
        return WireError(error.message, error.path.removeprefix(kind.removeprefix(PREFIX)))
    return None
