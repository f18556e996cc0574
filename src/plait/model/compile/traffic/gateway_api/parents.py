"""parentRef -> Parent: which listeners of which gateway, or which service, take a route, and why others do not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import msgspec

from plait.model import hostnames as hosts
from plait.model.compile.traffic.gateway_api.listener_tls import GROUP
from plait.model.compile.traffic.gateway_api.listeners import Open
from plait.model.compile.traffic.gateway_api.named import is_entry, is_service, named
from plait.model.http_services import HttpService
from plait.model.mesh import Settings
from plait.model.routes import Parent
from plait.model.status import Condition, ParentReference
from plait.resources.gateway_api.shared import ParentReference as Written
from plait.resources.kubernetes import Namespace

Name = tuple[str, str]
Listening = tuple[Name, str]
"""A listener of a gateway, by the section's name."""


class Attached(msgspec.Struct, frozen=True):
    """One parent's answer. Without `parents` it is not attached; `reference` is what the status repeats."""

    reference: ParentReference
    parents: tuple[Parent, ...]
    """One, or each host of a ServiceEntry."""
    accepted: Condition
    gateway: str = ""
    """Namespace of the gateway that answers."""

    def sees_from(self, namespace: str) -> str:
        """The namespace that must see what a route of `namespace` names by host: the gateway's, or its own."""
        return self.gateway or namespace


class Parents:
    """All gateways and services a route can attach to; counts the routes of every listener."""

    def __init__(
        self,
        opened: Mapping[Name, tuple[Open, ...]],
        foreign: Iterable[Name],
        sets: Mapping[Name, Name],
        services: Mapping[str, HttpService],
        namespaces: Mapping[Name, Namespace],
        settings: Settings,
    ) -> None:
        self._opened, self._foreign, self._sets = opened, set(foreign), sets
        self._services, self._namespaces, self._settings = services, namespaces, settings
        self._counts: dict[Listening, int] = {}
        self._counting: list[Listening] = []

    def attached(self, gateway: Name, section: str) -> int:
        return self._counts.get((gateway, section), 0)

    @contextmanager
    def counting(self) -> Iterator[list[Listening]]:
        """The listeners that take what is looked for meanwhile; `count` says that they really do."""
        self._counting = []
        yield self._counting

    def count(self, found: Iterable[Listening]) -> None:
        for each in found:
            self._counts[each] = self._counts.get(each, 0) + 1

    def find(self, ref: Written, kind: str, namespace: str, hostnames: tuple[str, ...]) -> Attached | None:
        """The answer for one parentRef; None when the parent is somebody else's business."""
        reference = ParentReference(ref.group, ref.kind, ref.name, ref.namespace, ref.section_name, ref.port)
        where = ref.namespace or namespace
        if ref.group == GROUP and ref.kind == "Gateway":
            return self._gateway((where, ref.name), "", ref, reference, kind, namespace, hostnames)
        if ref.group == GROUP and ref.kind == "ListenerSet":
            gateway = self._sets.get((where, ref.name))
            if gateway is None:
                return None
            return self._gateway(gateway, f"{where}/{ref.name}/", ref, reference, kind, namespace, hostnames)
        if is_service(ref) or is_entry(ref):
            return self._services_of(ref, reference, where, namespace)
        return None

    def _services_of(self, ref: Written, reference: ParentReference, where: str, namespace: str) -> Attached:
        found = named(ref, where, self._services, self._settings)
        if not found:
            return _refused(reference, "NoMatchingParent", f"{ref.kind} {ref.name} does not exist; create it")
        if ref.port is not None and all(each.port(ref.port) is None for each in found):
            return _refused(reference, "NoMatchingParent", f"{ref.kind} {ref.name} has no port {ref.port}; use another")
        parents = tuple(Parent("service", s.key, (), ref.port or 0, s.namespace == namespace) for s in found)
        return Attached(reference, parents, Condition("Accepted", "True", "Accepted"))

    def _gateway(
        self,
        name: Name,
        prefix: str,
        ref: Written,
        reference: ParentReference,
        kind: str,
        namespace: str,
        hostnames: tuple[str, ...],
    ) -> Attached | None:
        opened = self._opened.get(name)
        if opened is None:
            if name in self._foreign:
                return None
            text = f"Gateway {name[0]}/{name[1]} does not exist, or nobody here runs its class"
            return _refused(reference, "NoMatchingParent", text)
        own = [each for each in opened if each.section.startswith(prefix) and ("/" in each.section) == bool(prefix)]
        wanted = [
            each
            for each in own
            if (ref.section_name is None or each.section == prefix + ref.section_name)
            and (ref.port is None or each.listener.port == ref.port)
        ]
        if not wanted:
            return _refused(reference, "NoMatchingParent", "the gateway has no such listener; mend sectionName or port")
        of_kind = [each for each in wanted if each.takes(kind)]
        if not of_kind:
            return _refused(reference, "NotAllowedByListeners", f"no listener takes {kind}s; set allowedRoutes.kinds")
        meeting = [each for each in of_kind if _meets(each.hostname, hostnames)]
        if not meeting:
            text = "no hostname of the route is one of the listener's; change one of them"
            return _refused(reference, "NoMatchingListenerHostname", text)
        fitting = [each for each in meeting if each.admits(namespace, self._namespaces)]
        if not fitting:
            text = f"no listener allows {kind}s of namespace {namespace}; set allowedRoutes"
            return _refused(reference, "NotAllowedByListeners", text)
        for each in fitting:
            self._counting.append((name, each.section))
        sections = tuple(each.section for each in fitting if not each.listener.broken)
        parents = (Parent("gateway", f"gateway-api/{name[0]}/{name[1]}", sections),) if sections else ()
        return Attached(reference, parents, Condition("Accepted", "True", "Accepted"), name[0])


def _meets(listener: str, hostnames: tuple[str, ...]) -> bool:
    return not hostnames or any(hosts.meet(listener, each) is not None for each in hostnames)


def _refused(reference: ParentReference, reason: str, text: str) -> Attached:
    return Attached(reference, (), Condition("Accepted", "False", reason, text))
