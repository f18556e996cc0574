"""LoadBalancer services: which address of the plan's range each has. Once given, an address stays with its service.

The range is of IPv4; a service of the other family, or of both, has the address beside (`AddressPlan.beside`).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from ipaddress import IPv4Address, IPv4Network, ip_address
from typing import Any

from plait.local.addresses import IPV4, AddressPlan
from plait.local.controllers.cluster import Cluster
from plait.local.controllers.controller import Controller
from plait.local.controllers.writes import Emit, Outcome, Write, status
from plait.resources.kinds import SERVICE
from plait.store.api import Document
from plait.store.informer import Key

CLASS = "plait.local/load-balancer"
_EVERYTHING: Key = ("", "services")
_SOURCE = "loadbalancer-controller"


def reconcile(services: Sequence[Document], network: IPv4Network) -> list[Write]:
    """One turn for all services, because an address can be given to one only."""
    ours = [s for s in services if is_ours(s)]
    taken = {address for s in ours for address in _addresses(s) if _within(address, network)}
    writes: list[Write] = []
    for service in sorted(services, key=lambda s: (s["metadata"]["namespace"], s["metadata"]["name"])):
        had = _addresses(service)
        if service not in ours:
            if had and service["spec"].get("type") != "LoadBalancer":
                writes += _set(service, "")
            continue
        asked = str(service["spec"].get("loadBalancerIP") or "")
        if had and _within(had[0], network) and asked in ("", had[0]):
            if _ingress(service) != _of_each_family(service, had[0]):
                writes += _set(service, had[0])
            continue
        if asked and (not _within(asked, network) or asked in taken):
            why = "is taken" if _within(asked, network) else f"is outside {network}, the range of this mesh"
            message = f"spec.loadBalancerIP {asked} {why}: leave it out, or choose another address of {network}"
            writes.append(Emit(service, "AllocationFailed", message, _SOURCE, "Warning"))
            continue
        address = asked or free(service, network, taken)
        if not address:
            message = f"no free address is left in {network}: delete a Service of type LoadBalancer"
            writes.append(Emit(service, "AllocationFailed", message, _SOURCE, "Warning"))
            continue
        taken.add(address)
        writes += _set(service, address)
    return writes


def is_ours(service: Document) -> bool:
    spec = service["spec"]
    return (
        spec.get("type") == "LoadBalancer"
        and spec.get("loadBalancerClass", CLASS) == CLASS
        and "deletionTimestamp" not in service["metadata"]
    )


def free(service: Document, network: IPv4Network, taken: set[str]) -> str:
    """The same service gets the same address again while it is free: the search starts at a digest of its name."""
    name = f"{service['metadata']['namespace']}/{service['metadata']['name']}"
    size = network.num_addresses - 2
    start = int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) % size
    for step in range(size):
        address = str(network[1 + (start + step) % size])
        if address not in taken:
            return address
    return ""


def _ingress(service: Document) -> list[str]:
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return [entry["ip"] for entry in ingress if entry.get("ip")]


def _addresses(service: Document) -> list[str]:
    """The same as addresses of our range, each once."""
    found = [ip_address(text) for text in _ingress(service)]
    return list(dict.fromkeys(str(a if isinstance(a, IPv4Address) else AddressPlan.origin(a)) for a in found))


def _of_each_family(service: Document, address: str) -> list[str]:
    beside = str(AddressPlan.beside(IPv4Address(address)))
    return [address if family == IPV4 else beside for family in service["spec"].get("ipFamilies") or (IPV4,)]


def _within(address: str, network: IPv4Network) -> bool:
    try:
        return IPv4Address(address) in network
    except ValueError:
        return False


def _set(service: Document, address: str) -> list[Write]:
    given = _of_each_family(service, address) if address else []
    balancer: dict[str, Any] = {"ingress": [{"ip": each, "ipMode": "VIP"} for each in given]} if given else {}
    return status(SERVICE, service, {**(service.get("status") or {}), "loadBalancer": balancer})


def controller(plan: AddressPlan) -> Controller:
    def turn(cluster: Cluster, key: Key, now: float) -> Outcome:
        return Outcome(tuple(reconcile(list(cluster[SERVICE].cache.values()), plan.load_balancers)))

    def changed(service: Document) -> list[Key]:
        return [_EVERYTHING] if is_ours(service) or _addresses(service) else []

    return Controller("loadbalancers", {SERVICE: changed}, turn, workers=1)
