"""Gateway + classes + listener sets -> Plan: whether its proxies are ours to run, and where it is reached.

`spec.addresses` decides: the name of a Service means that somebody else runs the proxies behind it; an IP address is
asked of the load balancer.
"""

from __future__ import annotations

from dataclasses import dataclass

from plait.base.wellknown import CLUSTER_DOMAIN
from plait.model.compile.traffic.gateway_api.classes import Runs
from plait.model.compile.traffic.gateway_api.gateway_status import ADDRESS_TYPES
from plait.model.gateways import Names, names
from plait.resources.gateway_api.gateway import Gateway, Listener, ListenerSet

Name = tuple[str, str]
SERVICE_TYPE = "networking.istio.io/service-type"


@dataclass(frozen=True, slots=True)
class Plan:
    """One Gateway whose class is ours. `sets`: ListenerSets it allows, the oldest first."""

    gateway: Gateway
    runs: Runs
    sets: tuple[ListenerSet, ...] = ()

    @property
    def waypoint(self) -> bool:
        return self.runs == "waypoint"

    @property
    def name(self) -> Name:
        return self.gateway.ident

    @property
    def names(self) -> Names:
        spec = self.gateway.spec
        return names(self.gateway.name, spec.gateway_class_name, self.waypoint, self.gateway.meta.annotations)

    @property
    def listeners(self) -> tuple[Listener, ...]:
        return (*self.gateway.spec.listeners, *(each for owner in self.sets for each in owner.spec.listeners))

    @property
    def asked(self) -> tuple[str, ...]:
        """IP addresses the Gateway wants to have."""
        return tuple(each.value for each in self.gateway.spec.addresses if each.type == "IPAddress" and each.value)

    @property
    def existing(self) -> tuple[Name, ...]:
        """Services of somebody else's deployment that serve this Gateway."""
        found = self.gateway.spec.addresses
        return tuple(_service(each.value, self.gateway.namespace) for each in found if _is_host(each.type, each.value))

    @property
    def unknown(self) -> tuple[str, ...]:
        """Types of addresses that nobody here can give."""
        return tuple(each.type for each in self.gateway.spec.addresses if each.type not in ADDRESS_TYPES)

    @property
    def managed(self) -> bool:
        """Are its proxies ours to run?"""
        return not self.existing and not self.unknown

    @property
    def services(self) -> tuple[Name, ...]:
        """Where it is reached."""
        return ((self.gateway.namespace, self.names.workload),) if self.managed else self.existing

    @property
    def service_type(self) -> str:
        return self.said(SERVICE_TYPE) or ("ClusterIP" if self.waypoint else "LoadBalancer")

    def said(self, annotation: str) -> str:
        """Of the Gateway, else of its infrastructure."""
        return self.gateway.meta.annotations.get(annotation) or self.annotations.get(annotation, "")

    @property
    def labels(self) -> dict[str, str]:
        """For everything made: those of `infrastructure`, else the Gateway's own."""
        infrastructure = self.gateway.spec.infrastructure
        given = infrastructure.labels if infrastructure is not None else {}
        return dict(given or self.gateway.meta.labels)

    @property
    def annotations(self) -> dict[str, str]:
        infrastructure = self.gateway.spec.infrastructure
        given = infrastructure.annotations if infrastructure is not None else {}
        return dict(given or self.gateway.meta.annotations)


def hostname(service: Name) -> str:
    namespace, name = service
    return f"{name}.{namespace}.svc.{CLUSTER_DOMAIN}"


def _is_host(kind: str, value: str) -> bool:
    return kind == "Hostname" and bool(value)


def _service(host: str, namespace: str) -> Name:
    """`name`, `name.namespace` or a full name of the cluster."""
    name, _, rest = host.partition(".")
    return rest.partition(".")[0] or namespace, name
