"""Guard: what must have been enforced before a connection reaches a workload's port, and what each way there enforces.

A policy that names a service binds the ports its pods serve it on, by whatever name or address they are reached. So a
port *owes* the policies of every service it serves (and of a waypoint before the workload itself), and a way to it (a
service, or the workload's own address) may be used only when what is enforced on that way is all that is owed.
Who refuses the other ways is decided by `model.enforcement`: the server's own proxy, for it knows a waypoint by its
identity; and the waypoint, for what comes by another way through itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct, structs

from plait.model.attachment import Attachment, Target
from plait.model.enforcement import ServerMode, decide, server_mode
from plait.model.http_security import HttpPolicy, HttpRule, Operation, Source
from plait.model.http_services import HttpService, Instance
from plait.model.l7 import L7
from plait.model.mesh import Settings, Workload
from plait.model.modes import Mode
from plait.model.policies import Group, Policy, Text

PREFIX = "plait_guard_"
"""Names of the L4 policies that carry a guard out begin so: no object of the API can be called this."""
SELECTED = f"{PREFIX}L4_"
"""Those of policies by selector begin so (no waypoint's name has a capital). Only node proxies need them: a sidecar
enforces such a policy itself."""
ALL_PORTS = 0
Owed = frozenset[str]
"""Policies as "Kind/ns/name"."""
_NOTHING: Owed = frozenset()


class Way(Struct, frozen=True, gc=False):
    """A way to a workload's port: by a service ("" its own address), through a waypoint ("ns/name", "" none)."""

    service: str
    waypoint: str
    enforced: Owed


class PortGuard(Struct, frozen=True, gc=False):
    """What a port (`ALL_PORTS`: every one not listed) owes, and all ways to it."""

    port: int
    owed: Owed
    ways: tuple[Way, ...]

    @property
    def waypoints(self) -> tuple[str, ...]:
        """Waypoints that enforce all that is owed on some way; through no other one may come."""
        return tuple(sorted({way.waypoint for way in self.ways if way.waypoint and self.owed <= way.enforced}))


class Guard:
    """Answers for one L7 world. `guard_of` keeps it beside that world."""

    def __init__(self, l7: L7) -> None:
        self._l7 = l7
        found: dict[Target, set[str]] = {}
        for kind, target, key in _security(l7):
            found.setdefault(target, set()).add(f"{kind}/{key}")
        self._by_target = {target: frozenset(keys) for target, keys in found.items()}
        self._of_waypoint: dict[str, Owed] = {"": _NOTHING}
        self._bound: dict[str, bool] = {}

    @property
    def idle(self) -> bool:
        """Nothing is attached to anything."""
        return not self._by_target

    def _binds(self, key: str) -> bool:
        """Whether anything binds requests to this service."""
        if key not in self._bound:
            service = self._l7.services.get(key)
            self._bound[key] = service is not None and bool(self.of_service(service))
        return self._bound[key]

    def of_service(self, service: HttpService) -> Owed:
        """What binds requests to a service: policies that name it, its waypoint, or the waypoint's class."""
        return self._naming(Target(service.kind, service.namespace, service.name)) | self.of_waypoint(service.waypoint)

    def of_waypoint(self, waypoint: str) -> Owed:
        """What binds everything that passes this waypoint."""
        if waypoint not in self._of_waypoint:
            self._of_waypoint[waypoint] = self._naming(*waypoint_targets(self._l7, waypoint))
        return self._of_waypoint[waypoint]

    def concerns(self, workload: Workload, instance: Instance) -> bool:
        """Whether any port of it may owe something; cheap, for it is asked of every workload at every change."""
        if instance.gateway or self.idle:
            return False
        if instance.waypoint and self.of_waypoint(instance.waypoint):
            return True
        return any(self._binds(membership.service) for membership in workload.services)

    def ports(self, workload: Workload) -> Iterator[PortGuard]:
        """Ports that owe something, in order; `ALL_PORTS` last. A pod that is not captured yet counts as ambient, so
        that its guard is there before its capture."""
        instance = self._l7.instances.get(workload.uid)
        if instance is None or not self.concerns(workload, instance):
            return
        before = instance.waypoint
        direct = Way("", before, self._guarded(instance, before, self.of_waypoint(before)))
        ways: dict[int, list[Way]] = {}
        for membership in workload.services:
            service = self._l7.services.get(membership.service)
            if service is not None:
                owed = self._guarded(instance, demanded(service, instance.mode), self.of_service(service))
                way = Way(service.key, service.waypoint, owed)
                for port in membership.ports:
                    ways.setdefault(port.target or port.service, []).append(way)
        for number in sorted(ways):
            every = (*ways[number], direct)
            if total := _NOTHING.union(*(way.enforced for way in every)):
                yield PortGuard(number, total, every)
        if direct.enforced:
            yield PortGuard(ALL_PORTS, direct.enforced, (direct,))

    def lacking(self, workload: Workload, port: int, enforced: Owed) -> Owed:
        """What this port owes beyond what is enforced on the way."""
        guards = {each.port: each.owed for each in self.ports(workload)}
        return guards.get(port, guards.get(ALL_PORTS, _NOTHING)) - enforced

    def _guarded(self, instance: Instance, waypoint: str, owed: Owed) -> Owed:
        """Nothing where the planner needs no guard: the proxy beside the instance enforces it, whatever the way."""
        return owed if decide("ambient", mode_of(instance, waypoint), "waypoint-policy").guard else _NOTHING

    def _naming(self, *targets: Target) -> Owed:
        return _NOTHING.union(*(self._by_target.get(target, _NOTHING) for target in targets))


def guard_of(l7: L7) -> Guard:
    kept = l7.__dict__.get("guard")
    if isinstance(kept, Guard):
        return kept
    made = Guard(l7)
    l7.__dict__["guard"] = made  # a cache, not part of the value
    return made


def mode_of(instance: Instance, waypoint: str) -> ServerMode:
    """How the planner sees an instance that is called through this waypoint ("" none), once it is captured."""
    if instance.gateway:
        return "gateway"
    return server_mode("sidecar" if instance.mode == "sidecar" else "ambient", bool(waypoint))


def demanded(service: HttpService, mode: Mode) -> str:
    """The waypoint that requests to such an instance have to pass. While clients move to a waypoint or away from it, it
    is optional: a sidecar judges those itself that did not pass it. A node proxy cannot, so there it is none."""
    optional = mode == "sidecar" and service.optional_waypoints
    return "" if optional else service.waypoint


def passing(policy: HttpPolicy, waypoint: tuple[str, ...]) -> HttpPolicy:
    """The policy with nothing to say to these principals: their waypoint has judged what they bring."""
    who = tuple(Text("exact", each) for each in waypoint)
    if not who:
        return policy
    if policy.action == "allow":
        return structs.replace(policy, rules=(*policy.rules, HttpRule(sources=(Source(principals=who),))))
    return structs.replace(policy, rules=tuple(_but(rule, who) for rule in policy.rules))


def _but(rule: HttpRule, who: tuple[Text, ...]) -> HttpRule:
    sources = rule.sources or (Source(),)
    spared = (structs.replace(each, not_principals=(*each.not_principals, *who)) for each in sources)
    return structs.replace(rule, sources=tuple(spared))


def identities(l7: L7, workloads: Mapping[str, Workload], settings: Settings) -> dict[str, tuple[str, ...]]:
    """By waypoint: who its pods are, and who they will be when there are none (yet), without `spiffe://`."""
    found: dict[str, set[str]] = {}
    for gateway in l7.gateways.values():
        if gateway.managed and gateway.waypoint:
            namespace = gateway.account_namespace or gateway.namespace
            expected = f"{settings.trust_domain}/ns/{namespace}/sa/{gateway.service_account}"
            found[f"{gateway.namespace}/{gateway.name}"] = {expected}
    for uid, instance in l7.instances.items():
        if instance.gateway in found and uid in workloads:
            found[instance.gateway].add(str(workloads[uid].identity).removeprefix("spiffe://"))
    return {name: tuple(sorted(who)) for name, who in found.items()}


def waypoint_targets(l7: L7, waypoint: str) -> tuple[Target, ...]:
    """What a policy may name to bind everything that passes this waypoint ("ns/name")."""
    gateway = l7.gateways.get(f"gateway-api/{waypoint}")
    namespace, _, name = waypoint.partition("/")
    return Target("Gateway", namespace, name), Target("GatewayClass", "", gateway.class_name if gateway else "")


def _security(l7: L7) -> Iterator[tuple[str, Target, str]]:
    """Everything attached by name that refuses somebody, or may once it has counted him."""
    for policy in l7.authorization.values():
        if policy.action != "audit" and not policy.dry_run:
            for target in policy.attachment.targets:
                yield "AuthorizationPolicy", target, policy.key
    for tokens in l7.authentication.values():
        for target in tokens.attachment.targets:
            yield "RequestAuthentication", target, tokens.key
    for limits in l7.limits.values():
        for target in limits.attachment.targets if limits.owed else ():
            yield "LimitPolicy", target, limits.key


def guarding(names: Iterable[str]) -> list[str]:
    """Which of these policies ("ns/name") let in nobody but waypoints."""
    return [key for key in names if f"/{PREFIX}" in key and f"/{SELECTED}" not in key]


# For sidecars ---


def as_http(policies: Mapping[str, Policy], names: Iterable[str]) -> Iterator[HttpPolicy]:
    """The guards among a workload's attached policies, as its sidecar enforces them."""
    for name in guarding(names):
        if (policy := policies.get(name)) is not None:
            yield HttpPolicy(
                policy.name, policy.namespace, "deny", Attachment(policy.namespace), tuple(map(_rule, policy.groups))
            )


def _rule(group: Group) -> HttpRule:
    """Its clauses are one match each: whose identity is not refused, and at which ports."""
    matches = [match for rule in group.rules for match in rule.matches]
    principals = tuple(text for match in matches for text in match.not_principals)
    ports = tuple(port for match in matches for port in match.destination_ports)
    others = tuple(port for match in matches for port in match.not_destination_ports)
    return HttpRule(
        sources=(Source(not_principals=principals),) if principals else (),
        operations=(Operation(ports=ports, not_ports=others),) if ports or others else (),
    )
