"""Lookups over L7 by hostname, namespace and parent. They follow from L7 alone and decide nothing about proxies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from msgspec import Struct

from plait.model.grouping import regrouped
from plait.model.http_services import HttpService, Instance
from plait.model.l7 import L7
from plait.model.routes import Routing
from plait.model.sidecars import SidecarScope
from plait.model.traffic import Traffic

T = TypeVar("T")


class Lookup(Struct, frozen=True, eq=False):
    services: dict[str, tuple[HttpService, ...]]
    """By hostname, Kubernetes services first, then the oldest."""
    aliases: dict[str, tuple[HttpService, ...]]
    """ExternalName services by the host they stand for."""
    in_mesh: dict[str, tuple[Routing, ...]]
    """Routings bound to the mesh, by host, the oldest first."""
    wild: tuple[str, ...]
    """Wildcard hosts of `in_mesh`, the most specific first."""
    by_service: dict[str, tuple[Routing, ...]]
    """Gateway API routes by the service they are attached to."""
    by_gateway: dict[str, tuple[Routing, ...]]
    traffic: dict[tuple[str, str], tuple[Traffic, ...]]
    """Rules by namespace and host, the oldest first."""
    wild_traffic: dict[str, tuple[Traffic, ...]]
    """Those with a wildcard for host by namespace, the most specific first, then the oldest."""
    instances: dict[str, tuple[str, ...]]
    """Uids of the pods made for a gateway or waypoint ("ns/name")."""
    scopes: dict[str, tuple[SidecarScope, ...]]
    """Sidecar scopes by namespace, those with a selector first, then the oldest."""

    def traffic_of(self, namespace: str, host: str) -> Iterator[Traffic]:
        """Rules of a namespace for a host: of the exact name first, then of longer wildcards."""
        yield from self.traffic.get((namespace, host), ())
        for rule in self.wild_traffic.get(namespace, ()):
            if host.endswith(rule.host[1:]):
                yield rule


def lookup(l7: L7, before: L7 | None = None) -> Lookup:
    """The lookups of this L7. Those of `before` (an earlier one) make it cost only what changed."""
    kept = l7.__dict__.get("lookup")
    if isinstance(kept, Lookup):
        return kept
    last = before.__dict__.get("lookup") if before is not None else None
    old, older = (before, last) if before is not None and isinstance(last, Lookup) else (L7(), _EMPTY)
    in_mesh = regrouped(older.in_mesh, old.routings, l7.routings, _mesh_hosts, _age)
    same = old.services is l7.services
    made = Lookup(
        older.services if same else _hosts(l7.services.values(), lambda service: service.hostname),
        older.aliases if same else _hosts(l7.services.values(), lambda service: service.alias),
        in_mesh,
        older.wild if in_mesh.keys() == older.in_mesh.keys() else wildcards(in_mesh),
        regrouped(older.by_service, old.routings, l7.routings, _services, _age),
        regrouped(older.by_gateway, old.routings, l7.routings, _gateways, _age),
        regrouped(older.traffic, old.traffic, l7.traffic, lambda rule: ((rule.namespace, rule.host),), _rank),
        regrouped(older.wild_traffic, old.traffic, l7.traffic, _wild_namespace, _wild_rank),
        older.instances if old.instances is l7.instances else _made_for(l7.instances.values()),
        older.scopes if old.sidecars is l7.sidecars else _scopes(l7.sidecars.values()),
    )
    l7.__dict__["lookup"] = made  # a cache, not part of the value
    return made


def carried(old: L7, new: L7) -> None:
    """If the old one was looked up in, the new one will be: make its lookups of the old ones, which is cheap now."""
    if "lookup" in old.__dict__:
        lookup(new, old)


def _age(routing: Routing) -> tuple[str, ...]:
    return *routing.age, routing.kind


def _mesh_hosts(routing: Routing) -> Iterable[str]:
    bound = any(parent.kind not in ("service", "gateway") for parent in routing.parents)
    return routing.hosts if bound else ()


def _services(routing: Routing) -> Iterable[str]:
    return (parent.key for parent in routing.parents if parent.kind == "service")


def _gateways(routing: Routing) -> Iterable[str]:
    return (parent.key for parent in routing.parents if parent.kind == "gateway")


def _rank(rule: Traffic) -> tuple[str, str]:
    return rule.created, rule.name


def _wild_namespace(rule: Traffic) -> Iterable[str]:
    return (rule.namespace,) if rule.host.startswith("*") else ()


def _wild_rank(rule: Traffic) -> tuple[int, str, str, str]:
    return -len(rule.host), rule.host, *_rank(rule)


def _hosts(services: Iterable[HttpService], name: Callable[[HttpService], str]) -> dict[str, tuple[HttpService, ...]]:
    found: dict[str, list[HttpService]] = {}
    for service in sorted(services, key=lambda s: (s.kind != "Service", s.created, s.key)):
        if host := name(service):
            found.setdefault(host, []).append(service)
    return _frozen(found)


def _scopes(sidecars: Iterable[SidecarScope]) -> dict[str, tuple[SidecarScope, ...]]:
    found: dict[str, list[SidecarScope]] = {}
    for scope in sorted(sidecars, key=lambda s: (not s.selector, s.created, s.name)):
        found.setdefault(scope.namespace, []).append(scope)
    return _frozen(found)


def _made_for(instances: Iterable[Instance]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for instance in instances:
        if instance.gateway:
            found.setdefault(instance.gateway, []).append(instance.uid)
    return {name: tuple(uids) for name, uids in found.items()}


def wildcards(hosts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted((host for host in hosts if host.startswith("*")), key=lambda h: (-len(h), h)))


def _frozen(found: dict[str, list[T]]) -> dict[str, tuple[T, ...]]:
    return {name: tuple(values) for name, values in found.items()}


_EMPTY = Lookup({}, {}, {}, (), {}, {}, {}, {}, {}, {})
