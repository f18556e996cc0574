"""Store: the agent's copy of the mesh, kept by applying deltas. What cannot be read is reported, the rest stays.

Unknown fields pass unseen (a newer control plane may send them); unknown enum values fall back to the protocol's zero,
except a tunnel protocol we do not speak, which makes the workload a problem: guessing there would mean plaintext.
A node holds the whole mesh and uses little of it, so equal words are one object (`once`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import ip_address
from sys import intern as once
from typing import Any, TypeVar

from google.protobuf.message import DecodeError
from msgspec import Struct

from plait.base import wellknown
from plait.base.bundle import Resource
from plait.model import mesh as nouns
from plait.model import policies as words
from plait.model.extension import Extension
from plait.model.mesh import Mesh, Settings
from plait.wds import messages as wire

T = TypeVar("T")
K = TypeVar("K", bound=str)


class Unreadable(Struct, frozen=True):
    """One resource that was refused; the last good one of that name, if any, stays in use."""

    type_url: str
    name: str
    message: str


class Store:
    """`apply` each delta; `mesh` is the world after it. Unchanged objects keep their identity."""

    def __init__(self, settings: Settings) -> None:
        self.mesh = Mesh(settings)

    def apply(self, type_url: str, resources: Iterable[Resource], removed: Iterable[str]) -> tuple[Unreadable, ...]:
        """Take a delta in. A resource that cannot be read leaves the last good one in place and is reported."""
        problems: list[Unreadable] = []
        if type_url == wire.ADDRESS_TYPE:
            workloads, services = dict(self.mesh.workloads), dict(self.mesh.services)
            for name in removed:
                workloads.pop(name, None)
                services.pop(name, None)
            for resource in resources:
                try:
                    read = address(resource.value)
                except (DecodeError, ValueError) as error:
                    problems.append(Unreadable(type_url, resource.name, str(error)))
                    continue
                if isinstance(read, nouns.Workload):
                    _put(workloads, read.uid, read)
                else:
                    _put(services, once(read.key), read)
            self.mesh = Mesh(
                self.mesh.settings,
                _kept(self.mesh.workloads, workloads),
                _kept(self.mesh.services, services),
                self.mesh.policies,
            )
        elif type_url == wire.AUTHORIZATION_TYPE:
            policies = dict(self.mesh.policies)
            for name in removed:
                policies.pop(name, None)
            for resource in resources:
                try:
                    _put(policies, resource.name, authorization(resource.value))
                except (DecodeError, ValueError) as error:
                    problems.append(Unreadable(type_url, resource.name, str(error)))
            known = _kept(self.mesh.policies, policies)
            self.mesh = Mesh(self.mesh.settings, self.mesh.workloads, self.mesh.services, known)
        else:
            problems.append(Unreadable(type_url, "", "this is no type of workload discovery"))
        return tuple(problems)


def address(value: bytes) -> nouns.Workload | nouns.Service:
    """Read one istio.workload.Address; DecodeError or ValueError where it cannot be meant."""
    message = wire.Address.FromString(value)
    match message.WhichOneof("type"):
        case "workload":
            return _workload(message.workload)
        case "service":
            return _service(message.service)
        case _:
            raise ValueError("neither a workload nor a service")


def authorization(value: bytes) -> words.Policy:
    """Read one istio.security.Authorization."""
    m = wire.Authorization.FromString(value)
    return words.Policy(
        m.name,
        m.namespace,
        _strictly(wire.REACH, m.scope, "scope"),
        _strictly(wire.ACTION, m.action, "action"),
        tuple(
            words.Group(tuple(words.Rule(tuple(_match(match) for match in rule.matches)) for rule in group.rules))
            for group in m.groups
        ),
        m.dry_run,
        _extensions(m.extensions),
    )


def _workload(m: Any) -> nouns.Workload:
    if not m.uid:
        raise ValueError("uid is empty: a workload is named by it")
    if m.tunnel_protocol == 2:
        raise ValueError("tunnel_protocol LEGACY_ISTIO_MTLS is not spoken by node proxies")
    return nouns.Workload(
        uid=once(m.uid),
        name=once(m.name),
        namespace=once(m.namespace),
        addresses=tuple(once(str(ip_address(packed))) for packed in m.addresses),
        network=once(m.network),
        tunnel=_strictly(wire.TUNNEL, m.tunnel_protocol, "tunnel_protocol"),
        trust_domain=once(m.trust_domain or wellknown.DEFAULT_TRUST_DOMAIN),
        service_account=once(m.service_account or "default"),
        node=once(m.node),
        workload_name=once(m.workload_name or m.name),
        workload_type=_word(wire.WORKLOAD_TYPE, m.workload_type),
        canonical_name=once(m.canonical_name or m.name),
        canonical_revision=once(m.canonical_revision),
        status="healthy" if m.status == 0 else "unhealthy",
        services=tuple(nouns.Membership(once(key), _ports(m.services[key].ports)) for key in sorted(m.services)),
        policies=tuple(m.authorization_policies),
        waypoint=_gateway(m.waypoint) if m.HasField("waypoint") else None,
        network_gateway=_gateway(m.network_gateway) if m.HasField("network_gateway") else None,
        cluster_id=once(m.cluster_id or wellknown.CLUSTER_ID),
        hostname=once(m.hostname),
        native_tunnel=m.native_tunnel,
        application_tunnel=nouns.ApplicationTunnel(
            _strictly(wire.TUNNELLED_APP, m.application_tunnel.protocol, "application_tunnel"),
            m.application_tunnel.port,
        )
        if m.HasField("application_tunnel")
        else None,
        locality=nouns.Locality(m.locality.region, m.locality.zone, m.locality.subzone)
        if m.HasField("locality")
        else None,
        host_network=m.network_mode == 1,
        capacity=m.capacity.value if m.HasField("capacity") else None,
        extensions=_extensions(m.extensions),
    )


def _service(m: Any) -> nouns.Service:
    if not m.hostname:
        raise ValueError("hostname is empty: a service is named by namespace and hostname")
    balancing = m.load_balancing
    return nouns.Service(
        name=once(m.name),
        namespace=once(m.namespace),
        hostname=once(m.hostname),
        addresses=tuple(_address(each) for each in m.addresses),
        ports=_ports(m.ports),
        subject_alt_names=tuple(m.subject_alt_names),
        waypoint=_gateway(m.waypoint) if m.HasField("waypoint") else None,
        load_balancing=nouns.LoadBalancing(
            tuple(_word(wire.SCOPE, scope) for scope in balancing.routing_preference),
            _word(wire.BALANCING, balancing.mode),
            balancing.health_policy == 1,
        )
        if m.HasField("load_balancing")
        else None,
        ip_families=_word(wire.FAMILIES, m.ip_families),
        canonical=m.canonical,
        ingress_use_waypoint=m.ingress_use_waypoint,
        weighted_waypoints=tuple(
            nouns.WeightedWaypoint(_gateway(each.destination), each.weight) for each in m.weighted_waypoints
        ),
        namespace_only=m.visibility == 1,
        extensions=_extensions(m.extensions),
    )


def _match(m: Any) -> words.Match:
    return words.Match(
        _texts(m.namespaces),
        _texts(m.not_namespaces),
        _texts(m.principals),
        _texts(m.not_principals),
        _ranges(m.source_ips),
        _ranges(m.not_source_ips),
        _ranges(m.destination_ips),
        _ranges(m.not_destination_ips),
        tuple(m.destination_ports),
        tuple(m.not_destination_ports),
        tuple(words.Account(a.namespace, a.serviceAccount) for a in m.service_accounts),
        tuple(words.Account(a.namespace, a.serviceAccount) for a in m.not_service_accounts),
        _extensions(m.extensions),
    )


def _texts(sent: Iterable[Any]) -> tuple[words.Text, ...]:
    texts: list[words.Text] = []
    for m in sent:
        how = m.WhichOneof("match_type")
        if how is None:
            raise ValueError("a string match says neither exact, prefix, suffix nor presence")
        texts.append(words.Text(how, "" if how == "presence" else getattr(m, how)))
    return tuple(texts)


def _ranges(sent: Iterable[Any]) -> tuple[words.Range, ...]:
    ranges = tuple(words.Range(str(ip_address(m.address)), m.length) for m in sent)
    for each in ranges:
        if each.length > ip_address(each.address).max_prefixlen:
            raise ValueError(f"prefix length {each.length} is too long for {each.address}")
    return ranges


def _address(m: Any) -> nouns.NetworkAddress:
    return nouns.NetworkAddress(
        once(str(ip_address(m.address))), once(m.network), m.length if m.HasField("length") else None
    )


def _gateway(m: Any) -> nouns.GatewayAddress:
    match m.WhichOneof("destination"):
        case "hostname":
            return nouns.GatewayAddress(f"{m.hostname.namespace}/{m.hostname.hostname}", None, m.hbone_mtls_port)
        case "address":
            return nouns.GatewayAddress("", _address(m.address), m.hbone_mtls_port)
        case _:
            raise ValueError("a gateway has neither hostname nor address")


def _ports(sent: Iterable[Any]) -> tuple[nouns.Port, ...]:
    return _same(tuple(nouns.Port(p.service_port, p.target_port, _word(wire.PROTOCOL, p.app_protocol)) for p in sent))


@lru_cache(1024)
def _same(ports: tuple[nouns.Port, ...]) -> tuple[nouns.Port, ...]:
    """One object for equal ports: most services of a mesh have the same few."""
    return ports


def _extensions(sent: Iterable[Any]) -> tuple[Extension, ...]:
    return tuple(Extension(m.name, m.config.type_url, m.config.value) for m in sent)


def _word(table: Mapping[K, int], number: int) -> Any:
    return next((word for word, value in table.items() if value == number), next(iter(table)))


def _strictly(table: Mapping[K, int], number: int, field: str) -> Any:
    if number not in table.values():
        raise ValueError(f"{field} {number} is not known here")
    return _word(table, number)


def _put(table: dict[str, T], name: str, value: T) -> None:
    if table.get(name) != value:
        table[name] = value


def _kept(old: Mapping[str, T], new: dict[str, T]) -> Mapping[str, T]:
    same = len(old) == len(new) and all(old.get(name) is value for name, value in new.items())
    return old if same else new
