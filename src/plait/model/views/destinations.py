"""Who is behind an original destination `ip:port`: the endpoints a node proxy may send to, and how.

Service addresses come first, then workload addresses, else the destination is unknown and passes through untouched.
Locality preference and health are decided here, so a translator only writes down what it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address
from typing import Literal

from msgspec import Struct

from plait.model.index import Index
from plait.model.mesh import GatewayAddress, LoadBalancing, Locality, Membership, Mesh, Port, Service, Workload


class Peer(Struct, frozen=True, gc=False):
    """Telemetry labels of one side of a connection. `principal` is a SPIFFE URI or empty."""

    namespace: str = ""
    workload: str = ""
    workload_type: str = ""
    pod: str = ""
    canonical_name: str = ""
    canonical_revision: str = ""
    service_account: str = ""
    cluster: str = ""
    node: str = ""
    principal: str = ""


class Endpoint(Struct, frozen=True, gc=False):
    """One place to send to. Plain: connect to address:port. Tunnel: CONNECT to it at `via`, else at address:15008.

    `named`: the address is a DNS name that the proxy looks up.
    """

    address: str
    port: int
    tunnel: bool = False
    identities: tuple[str, ...] = ()
    """SPIFFE URIs of which the tunnel's peer must present one; empty only for plain endpoints."""
    via: str = ""
    """`ip:port` of the waypoint instance that terminates the tunnel; "" when the endpoint's own node does."""
    healthy: bool = True
    priority: int = 0
    """0 is nearest by the service's locality preference; higher ones are used when nearer ones are gone."""
    weight: int = 1
    peer: Peer = Peer()
    named: bool = False


class Origin(Struct, frozen=True, gc=False):
    """Where the asking node proxy is, for locality preference."""

    node: str = ""
    network: str = ""
    cluster: str = ""
    locality: Locality = Locality()


class Destination(Struct, frozen=True, gc=False):
    """The answer. `unknown` and `passthrough`: connect to the original address; otherwise only to `endpoints`.

    No endpoints (nobody healthy, no such port) means: refuse. `waypoint`: a waypoint stands before the endpoints.
    """

    kind: Literal["service", "workload", "unknown"]
    address: str
    port: int
    endpoints: tuple[Endpoint, ...] = ()
    service: str = ""
    """`ns/hostname` where the destination is a service."""
    service_name: str = ""
    namespace: str = ""
    hostname: str = ""
    passthrough: bool = False
    waypoint: bool = False


def find(mesh: Mesh, index: Index, address: str, port: int, origin: Origin = Origin()) -> Destination:
    """Look an original destination up. Never raises: text that is no address is simply unknown."""
    try:
        address = str(ip_address(address))
    except ValueError:
        return Destination("unknown", address, port, passthrough=True)
    network = mesh.settings.network
    service = index.service(address, network)
    if service is not None:
        return _service(mesh, index, service, address, port, origin)
    workload = index.workload(address, network)
    if workload is None or workload.host_network:
        return Destination("unknown", address, port, passthrough=True)
    if workload.waypoint is not None:
        ends = tuple(_through(mesh, index, workload.waypoint, address, port, peer_of(workload)))
        return Destination("workload", address, port, ends, namespace=workload.namespace, waypoint=True)
    return Destination("workload", address, port, (_direct(workload, address, port),), namespace=workload.namespace)


def listed(mesh: Mesh) -> Iterator[tuple[str, int]]:
    """Every address and port of every service."""
    for service in mesh.services.values():
        for address in service.addresses:
            if address.length is None and address.network == mesh.settings.network:
                for port in service.ports:
                    yield address.address, port.service


def peer_of(workload: Workload) -> Peer:
    return Peer(
        namespace=workload.namespace,
        workload=workload.workload_name or workload.name,
        workload_type=workload.workload_type,
        pod=workload.name,
        canonical_name=workload.canonical_name or workload.name,
        canonical_revision=workload.canonical_revision or "latest",
        service_account=workload.service_account,
        cluster=workload.cluster_id,
        node=workload.node,
        principal=str(workload.identity) if workload.tunnel != "none" else "",
    )


def _service(mesh: Mesh, index: Index, service: Service, address: str, port: int, origin: Origin) -> Destination:
    known = next((p for p in service.ports if p.service == port), None)
    balancing = service.load_balancing or LoadBalancing()
    ends: tuple[Endpoint, ...] = ()
    if known is not None and service.waypoint is not None:
        ends = tuple(_through(mesh, index, service.waypoint, address, port, Peer(namespace=service.namespace)))
    elif known is not None and balancing.mode != "passthrough":
        ends = tuple(_members(index, service, known, address, balancing, origin))
    return Destination(
        "service",
        address,
        port,
        ends,
        service=service.key,
        service_name=service.name,
        namespace=service.namespace,
        hostname=service.hostname,
        passthrough=balancing.mode == "passthrough" and service.waypoint is None,
        waypoint=service.waypoint is not None,
    )


def _members(
    index: Index, service: Service, port: Port, address: str, balancing: LoadBalancing, origin: Origin
) -> Iterator[Endpoint]:
    for workload in sorted(index.workloads_of(service.key), key=lambda w: w.uid):
        if not (workload.healthy or balancing.allow_unhealthy) or workload.network != origin.network:
            continue  # other networks need a gateway, which the node proxy does not speak to yet
        target = _target(workload, service.key, port)
        own = _alike(workload.addresses, address)
        place = rank(workload, balancing, origin)
        if not target or place is None:
            continue
        if not own and workload.hostname:
            weight = 1 if workload.capacity is None else workload.capacity
            yield Endpoint(workload.hostname, target, priority=place, weight=weight, peer=peer_of(workload), named=True)
        if not own:
            continue
        yield _direct(workload, own[0], target, service.subject_alt_names, place)


def _alike(addresses: Sequence[str], address: str) -> Sequence[str]:
    """Those of the family that was asked for; all where there is none of it."""
    return [each for each in addresses if (":" in each) == (":" in address)] or addresses


def _target(workload: Workload, service: str, port: Port) -> int:
    membership: Membership | None = next((m for m in workload.services if m.service == service), None)
    if membership is None:
        return 0
    return next((p.target or port.target or p.service for p in membership.ports if p.service == port.service), 0)


def _direct(
    workload: Workload, address: str, port: int, alternative: tuple[str, ...] = (), priority: int = 0
) -> Endpoint:
    tunnel = workload.tunnel == "hbone"
    identities = (str(workload.identity), *alternative) if tunnel else ()
    weight = 1 if workload.capacity is None else workload.capacity
    return Endpoint(address, port, tunnel, identities, "", workload.healthy, priority, weight, peer_of(workload))


def _through(
    mesh: Mesh, index: Index, waypoint: GatewayAddress, address: str, port: int, peer: Peer
) -> Iterator[Endpoint]:
    """One endpoint per healthy instance of the waypoint; none of them means that nobody may pass (fail closed)."""
    instances: Iterable[Workload] = ()
    if waypoint.service:
        instances = index.workloads_of(waypoint.service)
    elif waypoint.address is not None:
        at, network = waypoint.address.address, waypoint.address.network
        if (service := index.service(at, network)) is not None:
            instances = index.workloads_of(service.key)
        elif (workload := index.workload(at, network)) is not None:
            instances = (workload,)
    for instance in sorted(instances, key=lambda w: w.uid):
        if instance.healthy and instance.addresses:
            host = _alike(instance.addresses, address)[0]
            via = f"[{host}]:{waypoint.hbone_port}" if ":" in host else f"{host}:{waypoint.hbone_port}"
            yield Endpoint(address, port, True, (str(instance.identity),), via, peer=peer)


def rank(workload: Workload, balancing: LoadBalancing, origin: Origin) -> int | None:
    """How many of the preferred scopes do NOT match, from the first mismatch on; None: excluded (strict)."""
    there = workload.locality or Locality()
    here = origin.locality
    same = {
        "network": workload.network == origin.network,
        "cluster": workload.cluster_id == origin.cluster,
        "region": there.region == here.region,
        "zone": (there.region, there.zone) == (here.region, here.zone),
        "subzone": there == here,
        "node": workload.node == origin.node,
    }
    matched = 0
    for scope in balancing.preference:
        if not same.get(scope, True):
            break
        matched += 1
    missing = len(balancing.preference) - matched
    return None if missing and balancing.mode == "strict" else missing
