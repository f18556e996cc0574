"""Which objects are about requests to this server: the input of the planner, object by object."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from plait.model.attachment import Attachment, Target
from plait.model.enforcement import Kind
from plait.model.guard import waypoint_targets
from plait.model.http_services import HttpService
from plait.model.limits import LimitPolicy
from plait.model.mesh import Mesh, Workload
from plait.model.proxies import Proxy
from plait.model.views.scope import Scope

_CONVERTED = "converted_peer_authentication_"


class Called(Struct, frozen=True):
    """A workload as it is called: by a service or by its own address (None), at a service port and its own port."""

    workload: Workload
    service: HttpService | None
    port: int
    target: int

    def waypoint(self, mesh: Mesh) -> str:
        """Gateway ("ns/name") that stands before it when it is called so; "" none."""
        if self.service is not None:
            return self.service.waypoint
        instance = mesh.l7.instances.get(self.workload.uid)
        return instance.waypoint if instance is not None else ""


class Bound(Struct, frozen=True, gc=False):
    """An object, and what the planner takes it for. PeerAuthentication is named where exactly one can be told."""

    kind: str
    namespace: str
    name: str
    taken_for: Kind
    detail: str = ""


def binding(mesh: Mesh, called: Called, asking: Proxy) -> Iterator[Bound]:
    """In the order of a request: routes and balancing as `asking` sees them, then policies."""
    if called.service is not None:
        yield from _traffic(mesh, called.service, called.port, asking)
    targets = waypoint_targets(mesh.l7, called.waypoint(mesh))
    if called.service is not None:
        targets = (*targets, Target(called.service.kind, called.service.namespace, called.service.name))
    for policy in sorted(mesh.l7.authorization.values(), key=lambda p: p.key):
        detail = ", ".join(word for word in (policy.action.upper(), "dry run" if policy.dry_run else "") if word)
        if policy.attachment.names(*targets):
            yield Bound("AuthorizationPolicy", policy.namespace, policy.name, "waypoint-policy", detail)
        elif _selects(mesh, called.workload, policy.attachment):
            kind: Kind = "l7-policy" if policy.needs_http else "l4-policy"
            yield Bound("AuthorizationPolicy", policy.namespace, policy.name, kind, detail)
    for tokens in sorted(mesh.l7.authentication.values(), key=lambda t: t.key):
        issuers = ", ".join(rule.issuer for rule in tokens.rules)
        if tokens.attachment.names(*targets):
            yield Bound("RequestAuthentication", tokens.namespace, tokens.name, "waypoint-policy", issuers)
        elif _selects(mesh, called.workload, tokens.attachment):
            yield Bound("RequestAuthentication", tokens.namespace, tokens.name, "authentication", issuers)
    for limits in sorted(mesh.l7.limits.values(), key=lambda each: each.order):
        if limits.attachment.names(*targets):
            yield from _limits(limits)
    yield from _peers(mesh, called)


def _limits(limits: LimitPolicy) -> Iterator[Bound]:
    """Its sections are two things to the planner: what must be counted, and what only keeps load away."""
    counted = [*(rate.name for rate in limits.rates), *(["shared"] if limits.shared is not None else [])]
    if counted:
        yield Bound("LimitPolicy", limits.namespace, limits.name, "rate-limit", ", ".join(counted))
    words = {"breaker": "circuit breaker", "adaptive": "adaptive concurrency", "connections": "connections"}
    if load := [word for field, word in words.items() if getattr(limits, field) is not None]:
        yield Bound("LimitPolicy", limits.namespace, limits.name, "load-limit", ", ".join(load))


def _selects(mesh: Mesh, workload: Workload, attachment: Attachment) -> bool:
    instance = mesh.l7.instances.get(workload.uid)
    return instance is not None and attachment.selects(workload.namespace, dict(instance.labels))


def _traffic(mesh: Mesh, service: HttpService, port: int, asking: Proxy) -> Iterator[Bound]:
    scope = Scope(mesh, asking)
    found = scope.attached(service, port)
    if not found:
        both = (scope.routing(service.hostname, http=http) for http in (True, False))
        found = list({each.key: each for each in both if each is not None}.values())
    for routing in found:
        yield Bound(routing.kind, routing.namespace, routing.name, "route")
    if (rule := scope.rule(service)) is not None:
        yield Bound("DestinationRule", rule.namespace, rule.name, "balancing")


def _peers(mesh: Mesh, called: Called) -> Iterator[Bound]:
    demand = mesh.l7.peer_modes.get(called.workload.uid)
    if demand is None:
        return
    named = [key for key in called.workload.policies if f"/{_CONVERTED}" in key]
    namespace, _, name = named[0].partition("/") if len(named) == 1 else ("", "", "")
    mode = demand.at(called.target).upper()
    yield Bound("PeerAuthentication", namespace, name.removeprefix(_CONVERTED), "peer-mode", mode)
