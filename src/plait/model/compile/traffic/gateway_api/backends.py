"""backendRef -> Destination, or why there is none. A wrong one breaks its share of one rule; ResolvedRefs says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from plait.model.compile.services import hostname
from plait.model.compile.traffic.gateway_api import named
from plait.model.compile.traffic.gateway_api.grants import Grants
from plait.model.http_services import HttpService
from plait.model.mesh import Settings
from plait.model.routes import Destination
from plait.resources.gateway_api.shared import ParentReference as Written

GROUP = "gateway.networking.k8s.io"


class Reference(named.Reference, Protocol):
    """What all spellings of a reference to a backend have."""

    @property
    def namespace(self) -> str | None: ...
    @property
    def port(self) -> int | None: ...


class Found(msgspec.Struct, frozen=True):
    """`reason` is the condition's word when the backend cannot be used."""

    destination: Destination
    reason: str = ""


class Backends:
    def __init__(
        self,
        services: Mapping[str, HttpService],
        grants: Grants,
        settings: Settings,
        parents: frozenset[tuple[str, str]] = frozenset(),
        viewers: frozenset[str] = frozenset(),
    ) -> None:
        self._services, self._grants, self._settings, self._parents = services, grants, settings, parents
        self._viewers = viewers

    def of_route(self, parents: Sequence[Written], namespace: str, viewers: Iterable[str]) -> Backends:
        """As one route finds them; `viewers` are the namespaces that must see what it names by host.

        A route of Services alone needs no grant to send to one of them: its requests are addressed to that Service
        anyway, the route only says how its callers are served.
        """
        own: frozenset[tuple[str, str]] = frozenset()
        if all(each.kind == "Service" and each.group in ("", "core") for each in parents):
            own = frozenset((each.namespace or namespace, each.name) for each in parents)
        return Backends(self._services, self._grants, self._settings, own, frozenset(viewers))

    def seen(self, ref: Reference, namespace: str) -> bool:
        """Whether a proxy of the namespace knows the host that is named. Services are known by their grants."""
        return not _by_host(ref) or self._by_name(ref.name.lower(), (namespace,)) is not None

    def find(self, ref: Reference, kind: str, namespace: str, weight: int = 1) -> Found:
        """The destination of a reference written in a route of this kind and namespace."""
        where = ref.namespace or namespace
        port = ref.port or 0
        if _by_host(ref):
            host, where_of = ref.name.lower(), ""
            if ref.namespace is not None and ref.namespace != namespace:
                return _broken(host, port, weight, "InvalidKind", "a Hostname has no namespace")
        elif ref.group in ("", "core") and ref.kind == "Service":
            host, where_of = hostname(ref.name, where, self._settings), where
        else:
            text = f"{ref.kind} of group {ref.group!r} cannot be a backend; use a Service"
            return _broken(ref.name, port, weight, "InvalidKind", text)
        granted = (where, ref.name) in self._parents or self._grants.permits(
            (GROUP, kind, namespace), ("", "Service", where), ref.name
        )
        if not granted:
            text = f"no ReferenceGrant of {where} allows {kind}s of {namespace} to name {ref.name}; create one"
            return _broken(host, port, weight, "RefNotPermitted", text)
        service = self._services.get(f"{where}/{host}") if where_of else self._by_name(host, self._viewers)
        if service is None:
            text = f"{ref.kind} {ref.name} does not exist in {where}; create it or mend the name"
            if not where_of:
                text = f"{ref.kind} {ref.name} does not exist, or is not exported to {', '.join(sorted(self._viewers))}"
            return _broken(host, port, weight, "BackendNotFound", text)
        if not port and ref.kind == "Service":
            return _broken(host, port, weight, "InvalidKind", f"the port of Service {ref.name} is missing; add it")
        if port and service.ports and service.port(port) is None and not service.alias:
            text = f"{ref.kind} {ref.name} has no port {port}; use one of its ports"
            return _broken(host, port, weight, "BackendNotFound", text)
        return Found(Destination(host, port, "", weight, namespace=where_of))

    def _by_name(self, host: str, viewers: Iterable[str]) -> HttpService | None:
        """The service of that host that one of the viewers sees."""
        wanted = {"*", *viewers}
        return next((s for s in self._services.values() if s.hostname == host and wanted & set(s.visible)), None)


def _by_host(ref: Reference) -> bool:
    return ref.group == "networking.istio.io" and ref.kind == "Hostname"


def _broken(host: str, port: int, weight: int, reason: str, text: str) -> Found:
    return Found(Destination(host, port, "", weight, broken=text), reason)
