"""What a name means to a pod of the mesh: the answers of the node proxy's resolver. Pure; messages are `base.dns_wire`.

Services of the cluster, hosts of ServiceEntries (also wildcards) and members of headless services. The names are tried
as the pod's own resolver would with its search path, so a short name and one with the search domain behind it are found
in one question. None is "not the mesh's": whoever asked is to be sent on to the nameserver that was asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from plait.model.index import Index
from plait.model.mesh import Service


class Meaning(Struct, frozen=True, gc=False):
    """`hostname` is the name as the mesh has it (the question may be shorter or longer); no addresses: NODATA."""

    hostname: str
    addresses: tuple[str, ...]
    alias: bool = False
    """The question carried a search domain that the name has not."""


def lookup(index: Index, namespace: str, name: str) -> Meaning | None:
    """The meaning of a name (lower case, without the last dot) to a pod of this namespace."""
    domain = index.mesh.settings.cluster_domain
    for candidate, alias in _candidates(name, namespace, domain):
        found = _visible(index, namespace, candidate)
        if found is None:
            continue
        addresses = _addresses(index, found)
        if addresses or _inside(found.hostname, domain):
            return Meaning(candidate, addresses, alias)
    return None


def _candidates(name: str, namespace: str, domain: str) -> Iterator[tuple[str, bool]]:
    """The name itself, what its search path makes of a short one, and what it is without a search domain."""
    yield name, False
    labels = name.count(".")
    if labels == 0:
        yield f"{name}.{namespace}.svc.{domain}", False
    elif labels == 1:
        yield f"{name}.svc.{domain}", False
    elif labels == 2 and name.endswith(".svc"):
        yield f"{name}.{domain}", False
    for search in (f".{namespace}.svc.{domain}", f".svc.{domain}", f".{domain}"):
        # "web" with "shop.svc.cluster.local" behind it is the service's full name, not an alias of a host "web".
        if name.endswith(search) and "." in (bare := name.removesuffix(search)):
            yield bare, True


def _visible(index: Index, namespace: str, hostname: str) -> Service | None:
    """Of several services with this host: the pod's own namespace's, then the cluster's own, then by key."""
    for owners in (index.by_hostname.get(key, ()) for key in _keys(hostname)):
        seen = [s for s in owners if s.namespace == namespace or not s.namespace_only]
        if seen:
            return min(seen, key=lambda s: (s.namespace != namespace, not s.canonical, s.key))
    return None


def _keys(hostname: str) -> Iterable[str]:
    """The host itself, then wildcards from the longest on."""
    yield hostname
    _, _, parent = hostname.partition(".")
    while parent:
        yield f"*.{parent}"
        _, _, parent = parent.partition(".")


def _addresses(index: Index, service: Service) -> tuple[str, ...]:
    network = index.mesh.settings.network
    own = tuple(a.address for a in service.addresses if a.length is None and a.network == network)
    return own or tuple(_members(index, service))


def _members(index: Index, service: Service) -> Iterator[str]:
    """Of a headless service: its members, the sick ones only where the service publishes them."""
    unready = service.load_balancing is not None and service.load_balancing.allow_unhealthy
    for workload in sorted(index.workloads_of(service.key), key=lambda w: w.uid):
        if workload.healthy or unready:
            yield from workload.addresses


def _inside(hostname: str, domain: str) -> bool:
    """A name of the cluster exists also without an address; a host outside may be known to the world."""
    return hostname.endswith(f".svc.{domain}")
