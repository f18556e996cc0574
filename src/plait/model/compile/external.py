"""What runs outside Kubernetes: ServiceEntry -> services and inline endpoints, WorkloadEntry -> workloads.

An endpoint that is a DNS name is a workload with a `hostname` and no address; who sends there looks it up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from msgspec.structs import replace

from plait.base.wellknown import TUNNEL_LABEL, WORKLOAD_NAME
from plait.model.compile.memory import Memory
from plait.model.compile.services import (
    DISTRIBUTION,
    Namespaces,
    Selection,
    balancing,
    entry_ports,
    inherited,
    targets,
)
from plait.model.compile.workloads import Attached, canonical
from plait.model.mesh import (
    LoadBalancing,
    Locality,
    Membership,
    NetworkAddress,
    Service,
    Settings,
    Tunnel,
    Workload,
)
from plait.resources.networking.service_entry import ServiceEntry, ServiceEntryAddress
from plait.resources.networking.workload import WorkloadEntry, WorkloadEntrySpec
from plait.resources.problems import Problem

_GROUP = "istio.io/autoRegistrationGroup"
_LOOKED_UP = ("DNS", "DNS_ROUND_ROBIN")


def services(found: Iterable[ServiceEntry], memory: Memory, namespaces: Namespaces) -> Iterator[Service]:
    for each in found:
        near = inherited(namespaces, each.namespace)
        yield from memory.made(("entry", each.ident), each, partial(_services, each, near), near)


def entries(
    found: Iterable[WorkloadEntry],
    chosen: Selection,
    attached: Attached,
    settings: Settings,
    problems: list[Problem],
) -> Iterator[Workload]:
    """One workload for each WorkloadEntry; its address may be a name where a service that looks names up chooses it."""
    for each in found:
        labels = {**each.meta.labels, **each.spec.labels}
        members = [
            Membership(chosen.key(s), tuple(targets(s, partial(_at, each.spec))))
            for s in chosen.of(each.namespace, labels)
        ]
        by_name = False
        for entry in chosen.entries(each.namespace, labels):
            members += _memberships(entry, each.spec, entry.spec.hosts)
            by_name = by_name or entry.spec.resolution in _LOOKED_UP
        uid = f"{settings.cluster_id}/networking.istio.io/WorkloadEntry/{each.namespace}/{each.name}"
        policies = attached.to(each.namespace, labels)
        group = each.meta.annotations.get(_GROUP) or labels.get(WORKLOAD_NAME) or each.name
        written = _Written(uid, each.namespace, each.name, each.spec, labels, by_name, group)
        workload = _workload(written, members, policies, settings)
        if workload is None:
            problems.append(_no_address("WorkloadEntry", each.namespace, each.name, "spec.address", each.spec.address))
        else:
            yield workload


def inline(
    found: Iterable[ServiceEntry], attached: Attached, settings: Settings, problems: list[Problem]
) -> Iterator[Workload]:
    """The endpoints written into ServiceEntries; with DNS resolution names too, and without any the host itself.

    Labels of the ServiceEntry are those of its endpoints, too, where they have no such label themselves.
    """
    for each in found:
        if each.spec.resolution not in ("STATIC", *_LOOKED_UP):
            continue
        by_name = each.spec.resolution in _LOOKED_UP
        entry = f"{settings.cluster_id}/networking.istio.io/ServiceEntry/{each.namespace}/{each.name}"
        for number, endpoint in enumerate(each.spec.endpoints):
            uid, members = f"{entry}/{endpoint.address}", _memberships(each, endpoint, each.spec.hosts)
            labels = {**each.meta.labels, **endpoint.labels}
            policies = attached.to(each.namespace, labels)
            written = _Written(uid, each.namespace, each.name, endpoint, labels, by_name, each.name)
            workload = _workload(written, members, policies, settings)
            if workload is None:
                path = f"spec.endpoints[{number}].address"
                problems.append(_no_address("ServiceEntry", each.namespace, each.name, path, endpoint.address))
            else:
                yield workload
        if by_name and not each.spec.endpoints and each.spec.workload_selector is None:
            for host in each.spec.hosts:
                itself = WorkloadEntrySpec(address=host)
                members = _memberships(each, itself, (host,))
                written = _Written(f"{entry}/{host}", each.namespace, each.name, itself, {}, True, each.name)
                workload = _workload(written, members, (), settings)
                if workload is not None:
                    yield workload


def _services(each: ServiceEntry, near: str) -> tuple[Service, ...]:
    addresses: list[NetworkAddress] = []
    for text in each.spec.addresses:
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            continue  # validation reports it
        length = None if network.prefixlen == network.max_prefixlen else network.prefixlen
        addresses.append(NetworkAddress(str(network.network_address), "", length))
    given = each.status.addresses if each.status is not None and not each.spec.addresses else ()
    load_balancing = balancing(each.meta.annotations.get(DISTRIBUTION) or near)
    if each.spec.resolution == "NONE":  # to wherever the client looked the name up
        load_balancing = LoadBalancing(mode="passthrough", allow_unhealthy=True)
    return tuple(
        Service(
            name=each.name,
            namespace=each.namespace,
            hostname=host,
            addresses=tuple(addresses) or tuple(_given(given, host)),
            ports=tuple(entry_ports(each)),
            load_balancing=load_balancing,
            subject_alt_names=tuple(each.spec.subject_alt_names),
            namespace_only=each.spec.export_to == (".",),
        )
        for host in each.spec.hosts
    )


def _given(given: Iterable[ServiceEntryAddress], host: str) -> Iterator[NetworkAddress]:
    """Addresses that the control plane gave to this host."""
    for each in given:
        if each.host in ("", host):
            yield from (NetworkAddress(text) for text in _address(each.value))


def _memberships(each: ServiceEntry, endpoint: WorkloadEntrySpec, hosts: Iterable[str]) -> list[Membership]:
    named = {port.number: endpoint.ports[port.name] for port in each.spec.ports if port.name in endpoint.ports}
    ports = tuple(replace(port, target=named.get(port.service, port.target)) for port in entry_ports(each))
    return [Membership(f"{each.namespace}/{host}", ports) for host in hosts]


def _at(entry: WorkloadEntrySpec, name: str) -> int:
    """Where an entry serves a port of this name; 0 nowhere."""
    return entry.ports.get(name, 0)


class _Written(NamedTuple):
    """An endpoint as somebody wrote it: a WorkloadEntry, or one that stands in a ServiceEntry."""

    uid: str
    namespace: str
    name: str
    spec: WorkloadEntrySpec
    labels: Mapping[str, str]
    by_name: bool
    """Its address may be a DNS name, which proxies look up."""
    workload_name: str
    """What it is one of, for telemetry."""


def _workload(
    each: _Written, members: list[Membership], policies: tuple[str, ...], settings: Settings
) -> Workload | None:
    """None when its address is none."""
    spec = each.spec
    addresses, host = _address(spec.address), ""
    if not addresses:
        if not each.by_name or not _is_name(spec.address):
            return None
        host = spec.address.lower().rstrip(".")
    service, revision = canonical(each.labels, each.workload_name)
    tunnel: Tunnel = "hbone" if each.labels.get(TUNNEL_LABEL) == "http" else "none"
    region, _, rest = spec.locality.partition("/")
    zone, _, subzone = rest.partition("/")
    return Workload(
        uid=each.uid,
        name=each.name,
        namespace=each.namespace,
        addresses=addresses,
        hostname=host,
        network=spec.network or settings.network,
        tunnel=tunnel,
        trust_domain=settings.trust_domain,
        service_account=spec.service_account or "default",
        workload_name=each.workload_name,
        workload_type="pod",
        canonical_name=service,
        canonical_revision=revision,
        services=tuple(sorted(members, key=lambda m: m.service)),
        policies=policies,
        cluster_id=settings.cluster_id,
        native_tunnel=tunnel == "hbone",
        locality=Locality(region, zone, subzone) if spec.locality else None,
        capacity=spec.weight or None,
    )


def _address(text: str) -> tuple[str, ...]:
    try:
        return (str(ip_address(text)),)
    except ValueError:
        return ()


def _is_name(text: str) -> bool:
    return bool(text) and not text.startswith(("*", "unix:", "/"))


def _no_address(kind: str, namespace: str, name: str, path: str, address: str) -> Problem:
    text = f"{address!r} is no IP address; the node proxy sends only to IP addresses: write one"
    return Problem("PLT0321", "warning", kind, namespace, name, path, text)
