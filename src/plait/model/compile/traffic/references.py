"""Do routes lead anywhere? Hosts, subsets, ports, gateways and providers that are named but not there.

Only problems come out: a view answers such a share with an error status, so one wrong name costs one route.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from plait.model.compile.memory import Ask, Memory
from plait.model.compile.traffic.report import PROVIDER
from plait.model.gateways import Gateway
from plait.model.hostnames import fits
from plait.model.http_security import Authorizer, HttpPolicy
from plait.model.http_services import HttpService
from plait.model.routes import Destination, Forward, Routing
from plait.model.traffic import Traffic
from plait.resources.problems import Problem

_WILD = "*."
"""Under this key are all that have a wildcard for host; no host is written so."""


def tables(
    services: Mapping[str, HttpService],
    traffic: Mapping[str, Traffic],
    gateways: Mapping[str, Gateway],
    memory: Memory,
) -> dict[str, Mapping[Any, Any]]:
    """What may be named, for who asks: hosts, the rules that define subsets for them, and gateways."""
    return {
        "services": memory.grouped("services-named", services, lambda s: _places(s.hostname), lambda s: s.key),
        "rules": memory.grouped("rules-named", traffic, lambda t: _places(t.host), lambda t: (t.namespace, t.name)),
        "gateways": gateways,
    }


def _places(host: str) -> tuple[str, ...]:
    return (host, _WILD) if host.startswith("*") else (host,)


def wrong_routes(routing: Routing, ask: Ask) -> Iterator[Problem]:
    """Of a VirtualService: references of the Gateway API are looked up as they are read. `ask` has the `tables`."""
    kind, namespace, name = routing.kind, routing.namespace, routing.name
    for path, destination in _destinations(routing):
        if text := _wrong(destination, ask):
            yield Problem("IST0101", "error", kind, namespace, name, path, text)
    for parent in routing.parents:
        if parent.kind == "gateway" and not parent.key.startswith("gateway-api/"):
            gateway = ask("gateways", parent.key)
            if gateway is None:
                text = f"gateway {parent.key} does not exist; create it or mend the name"
                yield Problem("IST0101", "error", kind, namespace, name, "spec.gateways", text)
            elif not any(_bound(host, routing.namespace, gateway) for host in routing.hosts):
                text = f"no server of gateway {parent.key} has one of the hosts; add it to both"
                yield Problem("IST0132", "warning", kind, namespace, name, "spec.hosts", text)


def _wrong(destination: Destination, ask: Ask) -> str:
    """What is wrong with a destination; "" nothing."""
    host = destination.hostname
    services: tuple[HttpService, ...] = ask("services", host) or ()
    if not services and not any(fits(each.hostname, host) for each in ask("services", _WILD) or ()):
        return f"host {host} does not exist; create a Service or ServiceEntry, or write the full name"
    if destination.port and services and all(s.ports and s.port(destination.port) is None for s in services):
        return f"host {host} has no port {destination.port}; use one of its ports"
    if destination.subset and not _defined(destination.subset, ask("rules", host)):
        wild = (each for each in ask("rules", _WILD) or () if fits(each.host, host))
        if not _defined(destination.subset, wild):
            return f"subset {destination.subset} of {host} does not exist; define it in a DestinationRule"
    return ""


def _defined(subset: str, rules: Iterable[Traffic] | None) -> bool:
    return any(rule.subset(subset) is not None for rule in rules or ())


def _bound(host: str, namespace: str, gateway: Gateway) -> bool:
    return any(
        scope.namespace in ("*", namespace) and (fits(scope.host, host) or fits(host, scope.host))
        for listener in gateway.listeners
        for scope in listener.hosts
    )


def _destinations(routing: Routing) -> Iterator[tuple[str, Destination]]:
    for number, route in enumerate(routing.http):
        path = f"spec.http[{number}]"
        action = route.action
        if isinstance(action, Forward):
            for place, each in enumerate(action.destinations):
                yield f"{path}.route[{place}].destination", each
        for place, mirror in enumerate(route.mirrors):
            yield f"{path}.mirrors[{place}].destination", mirror.destination
    lower = [("tls", n, tls.destinations) for n, tls in enumerate(routing.tls)]
    lower += [("tcp", n, tcp.destinations) for n, tcp in enumerate(routing.tcp)]
    for word, number, destinations in lower:
        for place, each in enumerate(destinations):
            yield f"spec.{word}[{number}].route[{place}].destination", each


def wrong_providers(policies: Iterable[HttpPolicy], authorizers: Mapping[str, Authorizer]) -> Iterator[Problem]:
    for policy in policies:
        if policy.action == "custom" and policy.provider and policy.provider not in authorizers:
            text = f"provider {policy.provider!r} is not in extensionProviders of the mesh configuration"
            message = f"{text}; what the policy is about is denied meanwhile, add it there"
            kind = "AuthorizationPolicy"
            yield Problem(PROVIDER, "error", kind, policy.namespace, policy.name, "spec.provider.name", message)


def idle_gateways(gateways: Iterable[Gateway], labels: Iterable[Mapping[str, str]]) -> Iterator[Problem]:
    """Istio gateways whose selector no pod meets."""
    every = list(labels)
    for gateway in gateways:
        if gateway.managed or not gateway.selector:
            continue
        if not any(all(found.get(k) == v for k, v in gateway.selector) for found in every):
            text = "no pod carries these labels, so nobody serves this gateway; start one or mend the selector"
            yield Problem("IST0101", "warning", "Gateway", gateway.namespace, gateway.name, "spec.selector", text)
