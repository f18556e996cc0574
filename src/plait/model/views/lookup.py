"""Lookups over L7 by hostname, namespace and parent. They follow from L7 alone and decide nothing about proxies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from msgspec import Struct

from plait.model.http_services import HttpService
from plait.model.l7 import L7
from plait.model.routes import Routing
from plait.model.sidecars import SidecarScope
from plait.model.traffic import Traffic

T = TypeVar("T")


class Lookup(Struct, frozen=True, eq=False):
    services: dict[str, tuple[HttpService, ...]]
    """By hostname, Kubernetes services first, then the oldest."""
    in_mesh: dict[str, tuple[Routing, ...]]
    """Routings bound to the mesh, by host, the oldest first."""
    wild: tuple[str, ...]
    """Wildcard hosts of `in_mesh`, the most specific first."""
    by_service: dict[str, tuple[Routing, ...]]
    """Gateway API routes by the service they are attached to."""
    by_gateway: dict[str, tuple[Routing, ...]]
    traffic: dict[str, dict[str, tuple[Traffic, ...]]]
    """Namespace -> host -> rules, the oldest first."""
    wild_traffic: dict[str, tuple[str, ...]]
    """Wildcard hosts of `traffic` by namespace, the most specific first."""
    instances: dict[str, tuple[str, ...]]
    """Uids of the pods made for a gateway or waypoint ("ns/name")."""
    scopes: dict[str, tuple[SidecarScope, ...]]
    """Sidecar scopes by namespace, those with a selector first, then the oldest."""

    def traffic_of(self, namespace: str, host: str) -> Iterator[Traffic]:
        """Rules of a namespace for a host: of the exact name first, then of longer wildcards."""
        found = self.traffic.get(namespace, {})
        yield from found.get(host, ())
        for name in self.wild_traffic.get(namespace, ()):
            if host.endswith(name[1:]):
                yield from found[name]


def lookup(l7: L7) -> Lookup:
    kept = l7.__dict__.get("lookup")
    if isinstance(kept, Lookup):
        return kept
    mesh: dict[str, list[Routing]] = {}
    services: dict[str, list[Routing]] = {}
    gateways: dict[str, list[Routing]] = {}
    for routing in sorted(l7.routings.values(), key=lambda r: r.age):
        for parent in routing.parents:
            if parent.kind == "service":
                services.setdefault(parent.key, []).append(routing)
            elif parent.kind == "gateway":
                gateways.setdefault(parent.key, []).append(routing)
            else:
                for host in routing.hosts:
                    mesh.setdefault(host, []).append(routing)
    traffic: dict[str, dict[str, list[Traffic]]] = {}
    for rule in sorted(l7.traffic.values(), key=lambda t: (t.created, t.name)):
        traffic.setdefault(rule.namespace, {}).setdefault(rule.host, []).append(rule)
    hosts: dict[str, list[HttpService]] = {}
    for service in sorted(l7.services.values(), key=lambda s: (s.kind != "Service", s.created, s.key)):
        hosts.setdefault(service.hostname, []).append(service)
    scopes: dict[str, list[SidecarScope]] = {}
    for scope in sorted(l7.sidecars.values(), key=lambda s: (not s.selector, s.created, s.name)):
        scopes.setdefault(scope.namespace, []).append(scope)
    instances: dict[str, list[str]] = {}
    for uid, instance in l7.instances.items():
        if instance.gateway:
            instances.setdefault(instance.gateway, []).append(uid)
    made = Lookup(
        _frozen(hosts),
        _frozen(mesh),
        wildcards(mesh),
        _frozen(services),
        _frozen(gateways),
        {namespace: _frozen(found) for namespace, found in traffic.items()},
        {namespace: wildcards(found) for namespace, found in traffic.items()},
        {name: tuple(uids) for name, uids in instances.items()},
        _frozen(scopes),
    )
    l7.__dict__["lookup"] = made  # a cache, not part of the value
    return made


def wildcards(hosts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted((host for host in hosts if host.startswith("*")), key=lambda h: (-len(h), h)))


def _frozen(found: dict[str, list[T]]) -> dict[str, tuple[T, ...]]:
    return {name: _once(values) for name, values in found.items()}


def _once(values: Iterable[T]) -> tuple[T, ...]:
    seen: dict[int, T] = {id(value): value for value in values}
    return tuple(seen.values())
