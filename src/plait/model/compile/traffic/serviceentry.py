"""ServiceEntry -> HttpService, one for each host. DNS names and unix sockets as endpoints stand in it.

Endpoints with IP addresses, and workloads chosen by a selector, are workloads of the Mesh (`compile.external`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from ipaddress import ip_address, ip_network

from plait.model.attachment import labels_of
from plait.model.compile.memory import Memory
from plait.model.compile.services import DISTRIBUTION, Namespaces, balancing, inherited
from plait.model.compile.traffic.kubernetes_services import protocol, read
from plait.model.compile.traffic.report import BAD_VALUE, CONFLICT, NO_EFFECT, Report
from plait.model.compile.traffic.visibility import EVERYBODY, visible
from plait.model.http_services import HttpPort, HttpService, NamedEndpoint, Resolution
from plait.model.locality import Locality
from plait.resources.networking.service_entry import ServiceEntry, ServicePort
from plait.resources.networking.workload import WorkloadEntrySpec
from plait.resources.problems import Problem

KIND = "ServiceEntry"
_RESOLUTION: dict[str, Resolution] = {
    "STATIC": "workloads",
    "DNS": "dns",
    "DNS_ROUND_ROBIN": "dns_round_robin",
    "DYNAMIC_DNS": "dynamic_dns",
    "NONE": "none",
}


def services(
    found: Iterable[ServiceEntry],
    memory: Memory,
    problems: list[Problem],
    namespaces: Namespaces,
    exports: tuple[str, ...] = EVERYBODY,
) -> Iterator[HttpService]:
    """Of several entries of one namespace for one host the oldest counts; the others are told."""
    owners: dict[str, ServiceEntry] = {}
    for each in sorted(found, key=lambda s: (s.meta.creation_timestamp or "", s.namespace, s.name)):
        near = inherited(namespaces, each.namespace)
        make = partial(_services, each, near, exports)
        made, said = memory.made(("http-entry", each.ident), each, make, (near, exports))
        problems.extend(said)
        for service in made:
            first = owners.setdefault(service.key, each)
            if first is each:
                yield service
            else:
                text = f"host {service.hostname} is already described by the older {first.name}; join the two"
                problems.append(Problem(CONFLICT, "warning", KIND, each.namespace, each.name, "spec.hosts", text))


def _services(
    each: ServiceEntry, near: str, exports: tuple[str, ...]
) -> tuple[tuple[HttpService, ...], tuple[Problem, ...]]:
    report = Report(KIND, each.namespace, each.name)
    spec = each.spec
    resolution = _RESOLUTION[spec.resolution]
    external = spec.location == "MESH_EXTERNAL"
    if resolution == "none" and spec.endpoints:
        text = "endpoints are not used with resolution NONE; remove them or write STATIC or DNS"
        report.say(NO_EFFECT, "spec.endpoints", text)
    if resolution in ("dns", "dns_round_robin") and not spec.endpoints:
        for number, host in enumerate(spec.hosts):
            if host.startswith("*"):
                text = f"{host} cannot be looked up; add endpoints, or resolution NONE or DYNAMIC_DNS"
                report.error(BAD_VALUE, f"spec.hosts[{number}]", text)
    endpoints: list[NamedEndpoint] = []
    for number, entry in enumerate(spec.endpoints):
        if (endpoint := _endpoint(each, entry)) is not None:
            if resolution == "workloads" and not endpoint.address.startswith("unix://"):
                text = f"{entry.address!r} is a name, which resolution STATIC does not look up; write DNS"
                report.error(BAD_VALUE, f"spec.endpoints[{number}].address", text)
                continue
            endpoints.append(endpoint)
        elif resolution in ("dns", "dns_round_robin"):
            endpoints.append(_named(each, entry))
    made = tuple(
        HttpService(
            key=f"{each.namespace}/{host.lower()}",
            hostname=host.lower(),
            namespace=each.namespace,
            kind="ServiceEntry",
            name=each.name,
            ports=tuple(_port(p, each.meta.annotations) for p in spec.ports),
            addresses=_addresses(each, host, report),
            resolution=resolution,
            external=external,
            endpoints=tuple(endpoints) or (_itself(host, resolution) if spec.workload_selector is None else ()),
            subject_alt_names=spec.subject_alt_names,
            visible=visible(spec.export_to, each.namespace, exports),
            labels=labels_of(each.meta.labels),
            balancing=balancing(each.meta.annotations.get(DISTRIBUTION) or near),
            created=each.meta.creation_timestamp or "",
        )
        for host in spec.hosts
    )
    return made, report.problems


def _port(port: ServicePort, annotations: Mapping[str, str]) -> HttpPort:
    said = read(protocol(port.name, port.protocol or None), annotations)
    return HttpPort(port.number, port.name, said, port.target_port or port.number)


def _itself(host: str, resolution: Resolution) -> tuple[NamedEndpoint, ...]:
    if resolution in ("dns", "dns_round_robin") and not host.startswith("*"):
        return (NamedEndpoint(host.lower()),)
    return ()


def _endpoint(each: ServiceEntry, entry: WorkloadEntrySpec) -> NamedEndpoint | None:
    try:
        ip_address(entry.address)
    except ValueError:
        return _named(each, entry)
    return None


def _named(each: ServiceEntry, entry: WorkloadEntrySpec) -> NamedEndpoint:
    ports = tuple((p.number, entry.ports[p.name]) for p in each.spec.ports if p.name in entry.ports)
    region, _, rest = entry.locality.partition("/")
    zone, _, subzone = rest.partition("/")
    locality = Locality(region, zone, subzone)
    return NamedEndpoint(entry.address, ports, labels_of(entry.labels), locality, entry.weight or 1, entry.network)


def _addresses(each: ServiceEntry, host: str, report: Report) -> tuple[str, ...]:
    found: list[str] = []
    for number, text in enumerate(each.spec.addresses):
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            report.error(BAD_VALUE, f"spec.addresses[{number}]", f"{text!r} is no address or CIDR; write one")
            continue
        found.append(str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network))
    given = each.status.addresses if each.status is not None else ()
    found += [address.value for address in given if address.host in ("", host)] if not found else []
    return tuple(dict.fromkeys(found))
