"""parentRef -> Parent: which listeners of which gateway, or which service, take a route, and why others do not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import msgspec

from plait.model import hostnames as hosts
from plait.model.compile.services import hostname
from plait.model.compile.traffic.gateway_api.listener_tls import GROUP
from plait.model.compile.traffic.gateway_api.listeners import Open
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
    """One parent's answer. `parent` None: not attached; `reference` is what the status repeats."""

    reference: ParentReference
    parent: Parent | None
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
        if ref.group in ("", "core") and ref.kind == "Service":
            key = f"{where}/{hostname(ref.name, where, self._settings)}"
            return self._service(self._services.get(key), ref, reference, namespace)
        if ref.group == "networking.istio.io" and ref.kind == "ServiceEntry":
            entry = next(
                (s for s in self._services.values() if (s.kind, s.namespace, s.name) == (ref.kind, where, ref.name)),
                None,
            )
            return self._service(entry, ref, reference, namespace)
        return None

    def _service(
        self, service: HttpService | None, ref: Written, reference: ParentReference, namespace: str
    ) -> Attached:
        if service is None:
            return _refused(reference, "NoMatchingParent", f"{ref.kind} {ref.name} does not exist; create it")
        if ref.port is not None and service.port(ref.port) is None:
            return _refused(reference, "NoMatchingParent", f"{ref.kind} {ref.name} has no port {ref.port}; use another")
        parent = Parent("service", service.key, (), ref.port or 0, service.namespace == namespace)
        return Attached(reference, parent, Condition("Accepted", "True", "Accepted"))

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
        parent = Parent("gateway", f"gateway-api/{name[0]}/{name[1]}", sections) if sections else None
        return Attached(reference, parent, Condition("Accepted", "True", "Accepted"), name[0])


def _meets(listener: str, hostnames: tuple[str, ...]) -> bool:
    return not hostnames or any(hosts.meet(listener, each) is not None for each in hostnames)


def _refused(reference: ParentReference, reason: str, text: str) -> Attached:
    return Attached(reference, None, Condition("Accepted", "False", reason, text))
