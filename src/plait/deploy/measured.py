"""What was measured of a Gateway's proxies: where it is reached, and whether somebody answers there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from plait.base.wellknown import ACTIVATOR, MANAGED_SLICE
from plait.deploy.plans import Name, Plan, hostname

Document = dict[str, Any]
ADDRESS_TYPE = "networking.istio.io/address-type"


@dataclass(frozen=True, slots=True)
class Measured:
    """`addresses` are IP addresses or host names; `reason` is that of the condition Programmed, `message` its text."""

    addresses: tuple[str, ...]
    programmed: bool
    reason: str
    message: str = ""


def measured(
    plan: Plan,
    service: Callable[[Name], Document | None],
    slices: Callable[[Name], Iterable[Document]],
    failed: tuple[str, str] = ("", ""),
) -> Measured:
    """`service` finds a Service, `slices` its EndpointSlices; `failed`: why the proxies are not made (reason, text)."""
    ready = {name: any_ready(each for each in slices(name) if not _holds(each)) for name in plan.services}
    held = {name: any(map(_holds, slices(name))) for name in plan.services}
    present = {name: found for name in plan.services if (found := service(name)) is not None}
    addresses = tuple(dict.fromkeys(a for name, found in present.items() for a in _addresses(plan, name, found)))
    serving = any(ready[name] or held[name] for name in present)
    reason, message = _missing(plan, present, addresses, serving, failed)
    if reason:
        return Measured(addresses, False, reason, message)
    where = ", ".join(f"{name}.{namespace}" for namespace, name in present)
    if not any(ready[name] for name in present):
        return Measured(addresses, True, "Programmed", f"no proxy runs; a connection to Service {where} starts one")
    return Measured(addresses, True, "Programmed", f"proxies behind Service {where} are ready")


def _missing(
    plan: Plan,
    present: Mapping[Name, Document],
    addresses: tuple[str, ...],
    serving: bool,
    failed: tuple[str, str],
) -> tuple[str, str]:
    if failed[0]:
        return failed
    if plan.unknown:
        return "AddressNotUsable", f"addresses of type {', '.join(plan.unknown)} cannot be given; ask for an IPAddress"
    absent = [name for name in plan.services if name not in present]
    if absent and not plan.managed:
        where = ", ".join(map(hostname, absent))
        return "AddressNotUsable", f"spec.addresses names Service {where}, which does not exist; create it"
    if other := [each for each in plan.asked if each not in addresses]:
        return "AddressNotUsable", f"{', '.join(other)} was asked for and not given; see the events of the Service"
    if not addresses:
        return "AddressNotAssigned", "the Service has no address yet"
    if not serving:
        return "Pending", "no proxy of this gateway is ready yet"
    return "", ""


def _addresses(plan: Plan, name: Name, service: Document) -> Iterable[str]:
    """Those of the load balancer; inside the cluster an address and a host name, as the Gateway wants."""
    if service["spec"].get("type") == "LoadBalancer":
        ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
        return [each.get("ip") or each.get("hostname") or "" for each in ingress]
    wanted = plan.gateway.meta.annotations.get(ADDRESS_TYPE) or ("" if plan.waypoint else "Hostname")
    found = []
    cluster_ip = service["spec"].get("clusterIP")
    if wanted != "Hostname" and cluster_ip and cluster_ip != "None":
        found.append(str(cluster_ip))
    if wanted != "IPAddress":
        found.append(hostname(name))
    return found


def _holds(each: Document) -> bool:
    """Is it the activator's slice?"""
    return (each["metadata"].get("labels") or {}).get(MANAGED_SLICE) == ACTIVATOR


def any_ready(slices: Iterable[Document]) -> bool:
    """Has one of these EndpointSlices a ready endpoint? No word about it means ready."""
    return any(
        (endpoint.get("conditions") or {}).get("ready") is not False
        for each in slices
        for endpoint in each.get("endpoints") or ()
    )
