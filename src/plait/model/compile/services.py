"""Service -> services; which pods back which service or ServiceEntry; EndpointSlices written by hand -> endpoints.

As in other implementations of workload discovery, membership of pods follows selectors and health follows the pod's
readiness, so an endpoint is right as soon as the pod is. Slices count for Services without a selector, where they make
pods members, and for endpoints that are no pods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from ipaddress import ip_address
from typing import Any

from plait.base.wellknown import ACTIVATOR, MANAGED_SLICE, POOL
from plait.model.compile.memory import Ask, Memory
from plait.model.mesh import (
    AppProtocol,
    IpFamilies,
    LoadBalancing,
    Membership,
    NetworkAddress,
    Port,
    Scope,
    Service,
    Settings,
    Workload,
)
from plait.resources import kubernetes
from plait.resources.kubernetes import EndpointSlice, Namespace, Pod, ServicePort
from plait.resources.networking.service_entry import ServiceEntry

Name = tuple[str, str]
Namespaces = Mapping[Name, Namespace]

_SERVICE_NAME = "kubernetes.io/service-name"
_PROTOCOLS: Mapping[str, AppProtocol] = {
    "http": "http11",
    "http2": "http2",
    "kubernetes.io/h2c": "http2",
    "grpc": "grpc",
    "grpc-web": "grpc",
    "tcp": "tcp",
    "https": "tls",
    "tls": "tls",
}
DISTRIBUTION = "networking.istio.io/traffic-distribution"
_NEAR: Mapping[str, tuple[Scope, ...]] = {
    "preferclose": ("network", "region", "zone"),
    "prefersamezone": ("network", "region", "zone"),
    "prefersamenode": ("network", "region", "zone", "subzone", "node"),
}


class Selection:
    """All Services, findable by the labels they select; the ways from a pod to its memberships."""

    def __init__(
        self,
        services: Mapping[Name, kubernetes.Service],
        settings: Settings,
        slices: Iterable[EndpointSlice],
        entries: Mapping[Name, ServiceEntry],
        memory: Memory,
    ) -> None:
        self._settings, self._services = settings, services
        self._listed: dict[Name, dict[str, tuple[Port, ...]]] = {}
        for each in slices:
            self._list(each)
        self.tables: Mapping[str, Mapping[Any, Any]] = {
            "selecting": memory.grouped("selecting", services, _selected, lambda each: each.ident),
            "choosing": memory.grouped("choosing", entries, _chosen, lambda each: each.ident),
            "listed": self._listed,
        }
        """What is looked up for a pod."""

    def _found(self, table: str, key: Any) -> Any:
        return self.tables[table].get(key)

    def _list(self, each: EndpointSlice) -> None:
        """Pods that a slice names for a Service that selects none, or that run elsewhere for it: in the pool."""
        service = self.sliced(each)
        if service is None or (service.spec.selector and each.meta.labels.get(MANAGED_SLICE) != POOL):
            return
        ports = _listed_ports(each, service)
        for endpoint in each.endpoints or ():
            pod = endpoint.target_ref
            if pod is not None and pod.kind == "Pod":
                members = self._listed.setdefault((pod.namespace or each.namespace, pod.name), {})
                key = self.key(service)
                members[key] = tuple(dict.fromkeys((*members.get(key, ()), *ports)))

    def services(self, memory: Memory, namespaces: Namespaces) -> Iterator[Service]:
        for service in self._services.values():
            if service.spec.type == "ExternalName":
                continue
            near = inherited(namespaces, service.namespace)
            made = partial(_service, service, self._settings, near)
            yield memory.made(("service", service.ident), service, made, near)

    def named(self, namespace: str, name: str) -> kubernetes.Service | None:
        found = self._services.get((namespace, name))
        return found if found is not None and found.spec.type != "ExternalName" else None

    def sliced(self, each: EndpointSlice) -> kubernetes.Service | None:
        """The Service whose endpoints a slice lists."""
        return self.named(each.namespace, each.meta.labels.get(_SERVICE_NAME, ""))

    def key(self, service: kubernetes.Service) -> str:
        return f"{service.namespace}/{hostname(service.name, service.namespace, self._settings)}"

    def of(self, namespace: str, labels: Mapping[str, str], ask: Ask | None = None) -> Iterator[kubernetes.Service]:
        """Services whose selector these labels meet. `ask` looks into the `tables` for somebody who notes that."""
        found = ask or self._found
        for label, value in labels.items():
            for service in found("selecting", (namespace, label, value)) or ():
                if service.spec.selector.items() <= labels.items():
                    yield service

    def entries(self, namespace: str, labels: Mapping[str, str], ask: Ask | None = None) -> Iterator[ServiceEntry]:
        """ServiceEntries of this namespace whose workloadSelector these labels meet."""
        for entry in (ask or self._found)("choosing", namespace) or ():
            selector = entry.spec.workload_selector
            if selector is not None and selector.labels.items() <= labels.items():
                yield entry

    def memberships(self, pod: Pod, ask: Ask) -> tuple[Membership, ...]:
        found = [
            Membership(self.key(service), tuple(targets(service, partial(_named, pod))))
            for service in self.of(pod.namespace, pod.meta.labels, ask)
        ]
        found += [Membership(key, ports) for key, ports in (ask("listed", pod.ident) or {}).items()]
        for entry in self.entries(pod.namespace, pod.meta.labels, ask):
            ports = tuple(entry_ports(entry))
            found += [Membership(f"{entry.namespace}/{host}", ports) for host in entry.spec.hosts]
        return tuple(sorted(found, key=lambda m: m.service))


def _selected(service: kubernetes.Service) -> Iterator[tuple[str, str, str]]:
    """Namespace, and one label that all whom it selects have."""
    if service.spec.selector and service.spec.type != "ExternalName":
        label, value = min(service.spec.selector.items())
        yield service.namespace, label, value


def _chosen(entry: ServiceEntry) -> Iterator[str]:
    if entry.spec.workload_selector is not None and entry.spec.workload_selector.labels:
        yield entry.namespace


def inherited(namespaces: Namespaces, namespace: str) -> str:
    """The traffic distribution that a namespace's annotation asks for where its services say nothing."""
    found = namespaces.get(("", namespace))
    return found.meta.annotations.get(DISTRIBUTION, "") if found is not None else ""


def entry_ports(entry: ServiceEntry) -> Iterator[Port]:
    """The ports of its services, each with the one behind it that workloads have which say nothing else."""
    for port in entry.spec.ports:
        yield Port(port.number, port.target_port or port.number, application_protocol(port.protocol, None))


def hostname(name: str, namespace: str, settings: Settings) -> str:
    return f"{name}.{namespace}.svc.{settings.cluster_domain}"


def application_protocol(port_name: str, app_protocol: str | None) -> AppProtocol:
    """appProtocol, else the port name up to its first dash, in Istio's words."""
    return _PROTOCOLS.get((app_protocol or port_name.partition("-")[0]).lower(), "")


def manual(
    slices: Iterable[EndpointSlice], chosen: Selection, settings: Settings, memory: Memory
) -> Iterator[Workload]:
    """Endpoints of slices that stand for no pod (somebody wrote the slice by hand)."""
    for each in slices:
        service = chosen.sliced(each)
        if service is None or each.address_type == "FQDN" or each.meta.labels.get(MANAGED_SLICE) == ACTIVATOR:
            continue
        yield from memory.made(("slice", each.ident), each, partial(_listed, each, service, chosen, settings), service)


def _service(service: kubernetes.Service, settings: Settings, near: str) -> Service:
    spec = service.spec
    given = (*(spec.cluster_ips or (spec.cluster_ip,)), *(each.ip for each in service.status.load_balancer.ingress))
    addresses = dict.fromkeys(text for address in given if (text := _address(address)))
    return Service(
        name=service.name,
        namespace=service.namespace,
        hostname=hostname(service.name, service.namespace, settings),
        addresses=tuple(NetworkAddress(address, settings.network) for address in addresses),
        ports=tuple(_port(port) for port in spec.ports if port.protocol in ("TCP", "")),
        load_balancing=of_service(service, near),
        ip_families=_families(spec.ip_families),
        canonical=True,
    )


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        return ""  # headless ("None"), not yet given, or a name


def _port(port: ServicePort) -> Port:
    target = port.target_port if isinstance(port.target_port, int) else 0
    return Port(port.port, target or (port.port if port.target_port in (0, "") else 0), _protocol(port))


def _protocol(port: ServicePort) -> AppProtocol:
    return application_protocol(port.name, port.app_protocol)


def targets(service: kubernetes.Service, named: Callable[[str], int]) -> Iterator[Port]:
    """Ports of a Service at what stands behind it; `named`: where that serves a target said by name, 0 nowhere."""
    for port in service.spec.ports:
        if port.protocol not in ("TCP", ""):
            continue
        target = port.target_port or port.port
        if isinstance(target, str):
            target = int(target) if target.isdigit() else named(target)
        if target:
            yield Port(port.port, target, _protocol(port))


def _named(pod: Pod, name: str) -> int:
    containers = (*pod.spec.containers, *(c for c in pod.spec.init_containers if c.restart_policy == "Always"))
    return next((p.container_port for c in containers for p in c.ports if p.name == name and p.protocol == "TCP"), 0)


def of_service(service: kubernetes.Service, near: str) -> LoadBalancing | None:
    """How a Service's endpoints are chosen; `near`: the traffic distribution its namespace asks for."""
    spec = service.spec
    unready = spec.publish_not_ready_addresses
    if spec.internal_traffic_policy == "Local":
        return LoadBalancing(("node",), "strict", unready)
    wanted = spec.traffic_distribution or service.meta.annotations.get(DISTRIBUTION) or near
    return balancing(wanted, unready) or (LoadBalancing(allow_unhealthy=True) if unready else None)


def balancing(wanted: str, unready: bool = False) -> LoadBalancing | None:
    """Near endpoints first, as a traffic distribution asks for; None where it asks for nothing known."""
    scopes = _NEAR.get(wanted.lower())
    return LoadBalancing(scopes, "failover", unready) if scopes else None


def _families(families: tuple[str, ...]) -> IpFamilies:
    if len(families) > 1:
        return "dual"
    return "" if not families else "ipv4" if families[0] == "IPv4" else "ipv6"


def _listed_ports(each: EndpointSlice, service: kubernetes.Service) -> tuple[Port, ...]:
    numbers = {port.name or "": port.port for port in each.ports or () if port.port and port.protocol in (None, "TCP")}
    return tuple(Port(p.port, n, _protocol(p)) for p in service.spec.ports if (n := numbers.get(p.name)))


def _listed(
    each: EndpointSlice, service: kubernetes.Service, chosen: Selection, settings: Settings
) -> tuple[Workload, ...]:
    return tuple(_endpoints(each, service, chosen, settings))


def _endpoints(
    each: EndpointSlice, service: kubernetes.Service, chosen: Selection, settings: Settings
) -> Iterator[Workload]:
    ports = _listed_ports(each, service)
    for endpoint in each.endpoints or ():
        if endpoint.target_ref is not None and endpoint.target_ref.kind == "Pod":
            continue
        for address in filter(None, map(_address, endpoint.addresses)):
            yield Workload(
                uid=f"{settings.cluster_id}/discovery.k8s.io/EndpointSlice/{each.namespace}/{each.name}/{address}",
                name=each.name,
                namespace=each.namespace,
                addresses=(address,),
                network=settings.network,
                trust_domain=settings.trust_domain,
                workload_name=each.name,
                workload_type="pod",
                canonical_name=service.name,
                canonical_revision="latest",
                status="unhealthy" if endpoint.conditions.ready is False else "healthy",
                services=(Membership(chosen.key(service), ports),),
                cluster_id=settings.cluster_id,
                node=endpoint.node_name or "",
                host_network=True,  # nobody knows whose address it is: it says nothing of who else has it
            )
