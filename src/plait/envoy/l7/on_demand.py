"""Which clusters of a sidecar may come when its traffic asks for them, so that its memory follows its use.

In a small mesh none: all come early, and no first request waits. Never those that something else than a route or a
chain of bytes names, because only these two ask.
"""

from __future__ import annotations

from collections.abc import Iterator

from plait.envoy.l7.options import Options
from plait.model.http_services import CALLS
from plait.model.routes import VirtualHost
from plait.model.views.enforcing import asked, places
from plait.model.views.sidecar import Outbound, SidecarView

Key = tuple[str, int, str]


def lazy(view: SidecarView, options: Options) -> frozenset[Key]:
    """Keys of upstreams, of this sidecar."""
    if not may(view):
        return frozenset()
    waiting, needed = of_calls(view, options), beside(view)
    return frozenset(key for key in waiting if key[:2] not in needed) if needed else waiting


def of_calls(view: Outbound, options: Options) -> frozenset[Key]:
    """Those that nothing in its calls needs early."""
    if len(view.upstreams) <= options.eager:
        return frozenset()
    named = set(_mirrored(host for each in view.http for host in each.virtual_hosts))
    if view.egress_proxy is not None:
        named.add((view.egress_proxy.hostname, view.egress_proxy.port))
    return frozenset(each.key for each in view.upstreams if each.key[:2] not in named and each.protocol not in CALLS)


def may(view: SidecarView) -> bool:
    """An EnvoyFilter and a plugin may name any cluster."""
    return not (view.enforced.patches or view.enforced.plugins)


def beside(view: SidecarView) -> set[tuple[str, int]]:
    """Hosts and ports that the proxy itself calls, or on the way in."""
    found = {(each.hostname, each.port) for each in asked(places(view.enforced))}
    found.update(_mirrored(host for port in view.inbound for host in port.virtual_hosts))
    return found


def _mirrored(hosts: Iterator[VirtualHost]) -> Iterator[tuple[str, int]]:
    for route in (route for host in hosts for route in host.routes):
        for mirror in route.mirrors:
            yield mirror.destination.hostname, mirror.destination.port
