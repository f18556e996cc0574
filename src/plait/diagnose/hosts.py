"""Hosts: the services that there are by name, who sees each, and its ports. What routes may lead to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from plait.diagnose.evidence import Evidence
from plait.model import hostnames
from plait.model.compile.traffic.visibility import exported, visible
from plait.model.http_services import HttpService
from plait.resources.kubernetes import Service
from plait.resources.networking.service_entry import ServiceEntry


class Host(NamedTuple):
    """A name of a Service or ServiceEntry; `visible` are namespaces, or `*`."""

    name: str
    visible: tuple[str, ...]
    ports: tuple[int, ...]

    def seen(self, readers: Iterable[str]) -> bool:
        return "*" in self.visible or any(reader in self.visible for reader in readers)


class Hosts:
    """All hosts, exact names and wildcards."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._exact: dict[str, list[Host]] = {}
        self._wild: list[Host] = []
        for service in evidence.all(Service):
            name = hostnames.full(service.name, service.namespace, evidence.mesh.settings)
            default = evidence.config.default_service_export_to
            seen = exported(service.meta.annotations, service.namespace, default)
            self._add(Host(name, seen, tuple(port.port for port in service.spec.ports)))
        for entry in evidence.all(ServiceEntry):
            seen = visible(entry.spec.export_to, entry.namespace, evidence.config.default_service_export_to)
            for name in entry.spec.hosts:
                full = hostnames.full(name, entry.namespace, evidence.mesh.settings)
                self._add(Host(full, seen, tuple(port.number for port in entry.spec.ports)))
        for found in evidence.mesh.l7.services.values():
            if found.kind not in ("Service", "ServiceEntry"):
                self._add(_of(found))

    def _add(self, host: Host) -> None:
        if host.name.startswith("*"):
            self._wild.append(host)
        else:
            self._exact.setdefault(host.name, []).append(host)

    def named(self, name: str) -> list[Host]:
        """Those of this full name; where there are none, the wildcards that it fits."""
        return self._exact.get(name) or [each for each in self._wild if hostnames.fits(each.name, name)]

    def inside(self, pattern: str) -> list[Host]:
        """Those that a name or wildcard has something in common with."""
        if not pattern.startswith("*"):
            return self.named(pattern)
        every = [*(each for found in self._exact.values() for each in found), *self._wild]
        return [each for each in every if hostnames.overlap(pattern, each.name) is not None]


def _of(service: HttpService) -> Host:
    return Host(service.hostname, service.visible, tuple(port.number for port in service.ports))


def readers(export_to: Iterable[str], namespace: str) -> tuple[str, ...]:
    """Namespaces for which an object with this `exportTo` must make sense: without one, its own."""
    words = [word for word in export_to if word not in ("*", "~")]
    return tuple(namespace if word == "." else word for word in words) or (namespace,)
