"""What is said of BackendTLSPolicies: by gateway, for those whose routes reach a target; else by the target itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from plait.model.compile.traffic.gateway_api import backend_tls
from plait.model.compile.traffic.gateway_api.listener_tls import GROUP
from plait.model.routes import Destination, Forward, Routing
from plait.model.status import ParentReference, ParentStatus, RouteStatus
from plait.resources.gateway_api.policies import BackendTLSPolicy

_MOST = 16
"""Ancestors that one status may name."""


def of_policies(
    policies: Iterable[BackendTLSPolicy], read: backend_tls.Read, routings: Iterable[Routing]
) -> Iterator[tuple[BackendTLSPolicy, RouteStatus]]:
    if not read.conditions:
        return
    reached = _reached(routings)
    for each in policies:
        conditions = read.conditions.get(each.ident)
        if conditions is None:
            continue
        gateways = {key for service in read.targets[each.ident] for key in reached.get(service, ())}
        references = [_gateway(key) for key in sorted(gateways)] or list(_targets(each))
        yield each, RouteStatus(tuple(ParentStatus(found, conditions) for found in references[:_MOST]))


def _gateway(key: str) -> ParentReference:
    _, namespace, name = key.split("/", 2)
    return ParentReference(GROUP, "Gateway", name, namespace)


def _targets(each: BackendTLSPolicy) -> Iterable[ParentReference]:
    """Without a gateway there is nobody else to speak of: a wrong target or root is told all the same."""
    return dict.fromkeys(
        ParentReference(ref.group, ref.kind, ref.name, section_name=ref.section_name) for ref in each.spec.target_refs
    )


def _reached(routings: Iterable[Routing]) -> Mapping[str, set[str]]:
    """Keys of the gateways that send to a service, by its key."""
    reached: dict[str, set[str]] = {}
    for routing in routings:
        gateways = {p.key for p in routing.parents if p.kind == "gateway"}
        for destination in _destinations(routing):
            reached.setdefault(f"{destination.namespace}/{destination.hostname}", set()).update(gateways)
    return reached


def _destinations(routing: Routing) -> Iterator[Destination]:
    for route in routing.http:
        if isinstance(route.action, Forward):
            yield from route.action.destinations
        yield from (mirror.destination for mirror in route.mirrors)
    for tls in routing.tls:
        yield from tls.destinations
    for tcp in routing.tcp:
        yield from tcp.destinations
