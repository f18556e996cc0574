"""AUTO_PASSTHROUGH: TLS between workloads that an east-west gateway passes on, unopened, to the service of its name.

The name is that of a cluster as Istio's clients write it (`outbound_.PORT_.SUBSET_.HOST`), so no route is asked. Who
opens the TLS is the instance's own proxy: instances without a sidecar are not among the endpoints. A service with a
waypoint is not passed on, since its waypoint could not be on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from plait.model.gateways import Listener
from plait.model.hostnames import fits
from plait.model.http_services import HttpService
from plait.model.views.resolve import Resolver
from plait.model.views.upstreams import Upstream


def automatic(listener: Listener) -> bool:
    return listener.tls is not None and listener.tls.mode == "auto_passthrough"


def passed(listeners: Iterable[Listener], resolver: Resolver) -> tuple[tuple[Upstream, ...], tuple[str, ...]]:
    """Where these listeners lead, by key; and hosts that they mean and cannot serve."""
    hosts = {scope.host for each in listeners if automatic(each) for scope in each.hosts}
    found: dict[tuple[str, int, str], Upstream] = {}
    left: set[str] = set()
    for service in resolver.scope.services() if hosts else ():
        if service.external or service.alias or not any(fits(host, service.hostname) for host in hosts):
            continue
        if resolver.through_waypoint(service):
            left.add(service.hostname)
            continue
        found.update(_of(service, resolver))
    return tuple(found[key] for key in sorted(found)), tuple(sorted(left))


def _of(service: HttpService, resolver: Resolver) -> Mapping[tuple[str, int, str], Upstream]:
    subsets = tuple(_subsets(service, resolver))
    made = (resolver.passed(service, port.number, subset) for port in service.ports for subset in subsets)
    return {each.key: each for each in made}


def _subsets(service: HttpService, resolver: Resolver) -> Iterator[str]:
    yield ""
    if (rule := resolver.scope.rule(service)) is not None:
        yield from (subset.name for subset in rule.subsets)
