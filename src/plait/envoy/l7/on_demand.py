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
from plait.model.views.sidecar import SidecarView

Key = tuple[str, int, str]


def lazy(view: SidecarView, options: Options) -> frozenset[Key]:
    """Keys of upstreams."""
    # An EnvoyFilter and a plugin may name any cluster.
    if len(view.upstreams) <= options.eager or view.enforced.patches or view.enforced.plugins:
        return frozenset()
    named = set(_named(view))
    return frozenset(each.key for each in view.upstreams if each.key[:2] not in named and each.protocol not in CALLS)


def _named(view: SidecarView) -> Iterator[tuple[str, int]]:
    """Hosts and ports that are called beside a request, or by the proxy itself."""
    for found in asked(places(view.enforced)):
        yield found.hostname, found.port
    hosts = (*(host for each in view.http for host in each.virtual_hosts), *_inbound(view))
    for route in (route for host in hosts for route in host.routes):
        for mirror in route.mirrors:
            yield mirror.destination.hostname, mirror.destination.port
    if view.egress_proxy is not None:
        yield view.egress_proxy.hostname, view.egress_proxy.port


def _inbound(view: SidecarView) -> Iterator[VirtualHost]:
    return (host for port in view.inbound for host in port.virtual_hosts)
