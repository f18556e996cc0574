"""What runs outside Kubernetes: ServiceEntry -> services and inline endpoints, WorkloadEntry -> workloads.

An endpoint that is a DNS name is a workload with a `hostname` and no address; who sends there looks it up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from ipaddress import ip_address, ip_network

from plait.base.wellknown import TUNNEL_LABEL
from plait.model.compile.memory import Memory
from plait.model.compile.services import Selection, application_protocol
from plait.model.compile.workloads import Attached, canonical
from plait.model.mesh import Locality, Membership, NetworkAddress, Port, Service, Settings, Tunnel, Workload
from plait.resources.networking.service_entry import ServiceEntry, ServiceEntryAddress
from plait.resources.networking.workload import WorkloadEntry, WorkloadEntrySpec
from plait.resources.problems import Problem

_LOOKED_UP = ("DNS", "DNS_ROUND_ROBIN")


def services(found: Iterable[ServiceEntry], memory: Memory) -> Iterator[Service]:
    for each in found:
        yield from memory.made(("entry", each.ident), each, partial(_services, each))


def entries(
    found: Iterable[WorkloadEntry],
    outside: Iterable[ServiceEntry],
    chosen: Selection,
    attached: Attached,
    settings: Settings,
    problems: list[Problem],
) -> Iterator[Workload]:
    """One workload for each WorkloadEntry with an IP address."""
    for each in found:
        labels = {**each.meta.labels, **each.spec.labels}
        members = [
            Membership(chosen.key(s), tuple(Port(p.port, _entry_port(each.spec, p.name, p.port)) for p in s.spec.ports))
            for s in chosen.of(each.namespace, labels)
        ]
        for entry in outside:
            selector = entry.spec.workload_selector
            if entry.namespace == each.namespace and selector and selector.labels.items() <= labels.items():
                members += _memberships(entry, each.spec, entry.spec.hosts)
        uid = f"{settings.cluster_id}/networking.istio.io/WorkloadEntry/{each.namespace}/{each.name}"
        policies = attached.to(each.namespace, labels)
        workload = _workload(uid, each.namespace, each.name, each.spec, labels, members, policies, settings)
        if workload is None:
            problems.append(_no_address("WorkloadEntry", each.namespace, each.name, "spec.address", each.spec.address))
        else:
            yield workload


def inline(found: Iterable[ServiceEntry], settings: Settings, problems: list[Problem]) -> Iterator[Workload]:
    """The endpoints written into ServiceEntries; with DNS resolution names too, and without any the host itself."""
    for each in found:
        if each.spec.resolution not in ("STATIC", *_LOOKED_UP):
            continue
        by_name = each.spec.resolution in _LOOKED_UP
        entry = f"{settings.cluster_id}/networking.istio.io/ServiceEntry/{each.namespace}/{each.name}"
        for number, endpoint in enumerate(each.spec.endpoints):
            uid, members = f"{entry}/{endpoint.address}", _memberships(each, endpoint, each.spec.hosts)
            workload = _workload(
                uid, each.namespace, each.name, endpoint, endpoint.labels, members, (), settings, by_name=by_name
            )
            if workload is None:
                path = f"spec.endpoints[{number}].address"
                problems.append(_no_address("ServiceEntry", each.namespace, each.name, path, endpoint.address))
            else:
                yield workload
        if by_name and not each.spec.endpoints and each.spec.workload_selector is None:
            for host in each.spec.hosts:
                itself = WorkloadEntrySpec(address=host)
                members = _memberships(each, itself, (host,))
                workload = _workload(
                    f"{entry}/{host}", each.namespace, each.name, itself, {}, members, (), settings, by_name=True
                )
                if workload is not None:
                    yield workload


def _services(each: ServiceEntry) -> tuple[Service, ...]:
    addresses: list[NetworkAddress] = []
    for text in each.spec.addresses:
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            continue  # validation reports it
        length = None if network.prefixlen == network.max_prefixlen else network.prefixlen
        addresses.append(NetworkAddress(str(network.network_address), "", length))
    given = each.status.addresses if each.status is not None and not each.spec.addresses else ()
    return tuple(
        Service(
            name=each.name,
            namespace=each.namespace,
            hostname=host,
            addresses=tuple(addresses) or tuple(_given(given, host)),
            ports=tuple(
                Port(p.number, p.target_port or p.number, application_protocol(p.protocol, None))
                for p in each.spec.ports
            ),
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
    ports = tuple(
        Port(
            p.number,
            _entry_port(endpoint, p.name, p.target_port or p.number),
            application_protocol(p.protocol, None),
        )
        for p in each.spec.ports
    )
    return [Membership(f"{each.namespace}/{host}", ports) for host in hosts]


def _entry_port(spec: WorkloadEntrySpec, name: str, default: int) -> int:
    return spec.ports.get(name, default)


def _workload(
    uid: str,
    namespace: str,
    name: str,
    spec: WorkloadEntrySpec,
    labels: Mapping[str, str],
    members: list[Membership],
    policies: tuple[str, ...],
    settings: Settings,
    *,
    by_name: bool = False,
) -> Workload | None:
    """`by_name`: an address may be a DNS name, which proxies look up."""
    addresses, host = _address(spec.address), ""
    if not addresses:
        if not by_name or not _is_name(spec.address):
            return None
        host = spec.address.lower().rstrip(".")
    service, revision = canonical(labels, name)
    tunnel: Tunnel = "hbone" if labels.get(TUNNEL_LABEL) == "http" else "none"
    region, _, rest = spec.locality.partition("/")
    zone, _, subzone = rest.partition("/")
    return Workload(
        uid=uid,
        name=name,
        namespace=namespace,
        addresses=addresses,
        hostname=host,
        network=spec.network or settings.network,
        tunnel=tunnel,
        trust_domain=settings.trust_domain,
        service_account=spec.service_account or "default",
        workload_name=name,
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
