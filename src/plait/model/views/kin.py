"""Kin: sidecars that see the same and call it the same way, so that their outbound side is made once for all of them.

A mesh has thousands of sidecars and few kinds of them. What tells two apart is their own (name, account, addresses of
the same families) unless some object asks for it: a selector for a label, a service for the node of its callers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from plait.model.attachment import Labels
from plait.model.l7 import L7
from plait.model.mesh import Mesh
from plait.model.proxies import Proxy
from plait.model.routes import Routing
from plait.model.traffic import LocalityPolicy, Traffic, TrafficPolicy


def kin(mesh: Mesh, proxy: Proxy) -> Proxy:
    """Who stands for this sidecar and all of its kin: it without what nothing outbound depends on.

    One that nothing is captured for is of no kin: its listeners keep off its own application's ports.
    """
    if proxy.uncaptured:
        return proxy
    asked = _asked(mesh.l7)
    return Proxy(
        role=proxy.role,
        namespace=proxy.namespace,
        name="",
        labels=tuple(each for each in proxy.labels if each[0] in asked.labels),
        addresses=proxy.addresses if asked.addresses else tuple(map(_family, proxy.addresses)),
        node=proxy.node if asked.nodes else "",
        network=proxy.network,
        cluster=proxy.cluster,
        locality=proxy.locality,
        trust_domain=proxy.trust_domain,
    )


def _family(address: str) -> str:
    return "::" if ":" in address else "0.0.0.0"


class _Asked(Struct, frozen=True):
    """What objects of the mesh ask about a client: which labels (their names), its addresses, its node."""

    labels: frozenset[str]
    addresses: bool
    nodes: bool


def _asked(l7: L7) -> _Asked:
    kept = l7.__dict__.get("asked of clients")
    if isinstance(kept, _Asked):
        return kept
    labels = {name for each in l7.sidecars.values() for name, _ in each.selector}
    for rule in l7.traffic.values():
        labels.update(_of_rule(rule))
    labels.update(_of_locality(l7.settings.locality))
    for routing in l7.routings.values():
        labels.update(name for wanted in _source_labels(routing) for name, _ in wanted)
    made = _Asked(
        frozenset(labels),
        any(match.sources for routing in l7.routings.values() for tcp in routing.tcp for match in tcp.matches),
        any(each.balancing is not None for each in l7.services.values()),
    )
    l7.__dict__["asked of clients"] = made  # a cache, not part of the value
    return made


def _source_labels(routing: Routing) -> Iterator[Labels]:
    for routes in (routing.http, routing.tls, routing.tcp):
        yield from (match.source_labels for route in routes for match in route.matches)


def _of_rule(rule: Traffic) -> Iterable[str]:
    yield from (name for name, _ in rule.selector)
    for policy in (rule.policy, *(subset.policy for subset in rule.subsets)):
        for each in (policy, *(at_port for _, at_port in policy.ports)):
            yield from _of_policy(each)


def _of_policy(policy: TrafficPolicy) -> Iterable[str]:
    return _of_locality(policy.balancing.locality if policy.balancing is not None else None)


def _of_locality(policy: LocalityPolicy | None) -> Iterable[str]:
    """Labels in which a near endpoint is like the client; `name=value` asks for none of the client's."""
    return (each.partition("=")[0] for each in policy.priority) if policy is not None else ()
