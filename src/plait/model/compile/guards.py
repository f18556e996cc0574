"""Guards as L4 policies: a workload that owes L7 policies refuses whoever is not a waypoint that enforces them.

Ordinary DENY policies attached to the workload, so any ztunnel carries them out; a sidecar does so too. What nobody can
enforce refuses everybody, and a problem on its author says why and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

import msgspec

from plait.base.wellknown import GATEWAY_ACCOUNT
from plait.model.compile.memory import Memory
from plait.model.compile.traffic.report import GUARDED
from plait.model.enforcement import decide
from plait.model.guard import ALL_PORTS, PREFIX, Guard, Owed, PortGuard, Way, guard_of, mode_of
from plait.model.guard import identities as waypoint_identities
from plait.model.http_services import HttpService
from plait.model.l7 import L7
from plait.model.mesh import Membership, Settings, Workload
from plait.model.policies import Group, Match, Policy, Rule, Text
from plait.resources.problems import Problem


class Guards:
    """`workloads` attaches them; afterwards `policies` and `problems` are complete."""

    def __init__(self, l7: L7, settings: Settings, memory: Memory) -> None:
        self._l7, self._settings, self._memory = l7, settings, memory
        self._guard: Guard = guard_of(l7)
        self._policies: dict[str, Policy] = {}
        self._problems: dict[Problem, None] = {}

    @property
    def policies(self) -> Iterable[Policy]:
        return self._policies.values()

    @property
    def problems(self) -> Iterable[Problem]:
        return self._problems

    def workloads(self, found: Mapping[str, Workload]) -> Iterator[Workload]:
        if self._guard.idle:
            yield from found.values()
            return
        identities, used = waypoint_identities(self._l7, found, self._settings), set[str]()
        alike: dict[tuple[str, str, str, tuple[Membership, ...]], tuple[str, ...]] = {}
        for uid, each in found.items():
            instance = self._l7.instances.get(uid)
            if instance is None or not self._guard.concerns(each, instance):
                yield each
                continue
            kind = each.namespace, instance.mode, instance.waypoint, each.services
            if kind not in alike:  # pods of one service owe the same
                alike[kind] = tuple(self._made(each, identities, used))
            own = alike[kind]
            yield self._memory.made(("guarded", uid), each, partial(_attached, each, own), own) if own else each
        self._problems.update(dict.fromkeys(self._shared(used, identities, found)))

    def _made(self, workload: Workload, identities: Mapping[str, tuple[str, ...]], used: set[str]) -> Iterator[str]:
        """Makes the guards of workloads like this one, and tells what is wrong with them."""
        guards = tuple(self._guard.ports(workload))
        for guard in guards:
            self._problems.update(dict.fromkeys(self._wrong(workload, guard)))
            used.update(guard.waypoints)
        for waypoints, ports in _grouped(guards):
            policy = _policy(workload.namespace, waypoints, ports, identities)
            self._policies[policy.key] = policy
            yield policy.key

    # What is wrong ---

    def _wrong(self, workload: Workload, guard: PortGuard) -> Iterator[Problem]:
        for way in guard.ways:
            service = self._l7.services.get(way.service)
            if service is None:
                continue
            if way.enforced and not way.waypoint:
                yield from self._unenforced(service, way.enforced, workload)
            elif way.enforced and not self._runs(way.waypoint):
                text = f"{way.waypoint}, which {service.kind} {service.namespace}/{service.name} wants, is no waypoint"
                fix = "create it (plait waypoint apply) or mend the label"
                yield from _about(way.enforced, f"{text}, so connections to its pods are refused; {fix}")
            if lacking := guard.owed - way.enforced:
                yield _bypass(service, lacking, guard, way)

    def _shared(
        self, waypoints: set[str], identities: Mapping[str, tuple[str, ...]], found: Mapping[str, Workload]
    ) -> Iterator[Problem]:
        """A waypoint is known by its account: others with the same one are taken for it."""
        accounts = {who: name for name in sorted(waypoints) for who in identities.get(name, ())}
        names = {who.rpartition("/")[2] for who in accounts}
        others: dict[str, list[str]] = {}
        for uid, workload in found.items():
            if workload.service_account not in names:
                continue
            waypoint = accounts.get(str(workload.identity).removeprefix("spiffe://"), "")
            instance = self._l7.instances.get(uid)
            if waypoint and instance is not None and instance.gateway != waypoint:
                others.setdefault(waypoint, []).append(f"{workload.namespace}/{workload.name}")
        for waypoint, pods in others.items():
            who = f"pod {min(pods)}" + (f" and {len(pods) - 1} more" if len(pods) > 1 else "")
            text = f"the waypoint shares its account with {who}, who so get past its policies; give it one of its own"
            path = f"metadata.annotations[{GATEWAY_ACCOUNT}]"
            namespace, _, name = waypoint.partition("/")
            yield Problem(GUARDED, "warning", "Gateway", namespace, name, path, text)

    def _runs(self, waypoint: str) -> bool:
        gateway = self._l7.gateways.get(f"gateway-api/{waypoint}")
        return gateway is not None and gateway.waypoint

    def _unenforced(self, service: HttpService, policies: Owed, workload: Workload) -> Iterator[Problem]:
        decision = decide("ambient", mode_of(self._l7.instances[workload.uid], ""), "waypoint-policy")
        text = f"{service.kind} {service.namespace}/{service.name} has no waypoint, and pods without sidecar"
        text = f"{text}, so connections to these are refused: {decision.reason} (plait waypoint apply)"
        yield from _about(policies, text)


def _attached(workload: Workload, guards: tuple[str, ...]) -> Workload:
    return msgspec.structs.replace(workload, policies=tuple(sorted({*workload.policies, *guards})))


def _about(policies: Owed, text: str) -> Iterator[Problem]:
    for policy in sorted(policies):
        kind, namespace, name = policy.split("/")
        yield Problem(GUARDED, "warning", kind, namespace, name, "spec.targetRefs", text)


def _bypass(service: HttpService, lacking: Owed, guard: PortGuard, way: Way) -> Problem:
    """A service whose requests get past policies of pods it shares with another one."""
    behind = guard.waypoints
    named = ", ".join(sorted(policy.replace("/", " ", 1) for policy in lacking))
    where = "" if guard.port == ALL_PORTS else f" at port {guard.port}"
    text = f"pods of this service{where} are bound by {named}, which its requests do not pass, so they are refused"
    through = f" and send it through waypoint {behind[0]}" if behind and way.waypoint not in behind else ""
    fix = f"name it in the policy's targetRefs too{through}, or let it select other pods"
    return Problem(GUARDED, "warning", service.kind, service.namespace, service.name, "spec.selector", f"{text}; {fix}")


# Policies ---


def _grouped(guards: tuple[PortGuard, ...]) -> Iterator[tuple[tuple[str, ...], Match]]:
    """Waypoints through which one may come, and where; ports with the same ones together."""
    ports: dict[tuple[str, ...], list[int]] = {}
    for guard in guards:
        ports.setdefault(guard.waypoints, []).append(guard.port)
    listed = {guard.port for guard in guards} - {ALL_PORTS}
    for waypoints, own in ports.items():
        if ALL_PORTS in own:
            yield waypoints, Match(not_destination_ports=tuple(sorted(listed - set(own))))
        else:
            yield waypoints, Match(destination_ports=tuple(sorted(own)))


def _policy(
    namespace: str, waypoints: tuple[str, ...], where: Match, identities: Mapping[str, tuple[str, ...]]
) -> Policy:
    """Refuses everybody at these ports but the waypoints."""
    passing = tuple(sorted({who for name in waypoints for who in identities.get(name, ())}))
    clauses = [Rule((where,))] if where != Match() else []
    if passing:
        clauses.append(Rule((Match(not_principals=tuple(Text("exact", who) for who in passing)),)))
    return Policy(_name(namespace, waypoints, where), namespace, "workload", "deny", (Group(tuple(clauses)),))


def _name(namespace: str, waypoints: tuple[str, ...], where: Match) -> str:
    """Says for people what it is, and is another for every other content (objects are named in small letters)."""
    names = [name.removeprefix(f"{namespace}/").replace("/", ":") for name in waypoints] or ["NOBODY"]
    ports = [*map(str, where.destination_ports)]
    if where.not_destination_ports:
        ports = ["NOT", *map(str, where.not_destination_ports)]
    return PREFIX + "_".join([*names, *ports])
