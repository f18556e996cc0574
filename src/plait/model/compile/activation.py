"""A waypoint that sleeps: nobody runs it now, and the activator holds whoever calls until somebody does.

The activator's EndpointSlice stands beside the pods' own for as long as the waypoint may sleep. While no pod is ready,
the waypoint's instance is the address of its own Service: connections there reach the activator, which carries bytes
and can neither read nor answer them, because clients go on to expect the waypoint's own identity.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address

from plait.base.wellknown import ACTIVATOR, GATEWAY_ACCOUNT, GATEWAY_NAME, MANAGED_SLICE, PLACEMENT, POOL_NAMESPACE
from plait.model import pool
from plait.model.attachment import labels_of
from plait.model.compile.services import Selection
from plait.model.http_services import Instance
from plait.model.mesh import Membership, Port, Settings, Workload
from plait.resources.kubernetes import EndpointSlice


def holds(each: EndpointSlice) -> bool:
    """Is it the activator's?"""
    return each.meta.labels.get(MANAGED_SLICE) == ACTIVATOR


def asleep(
    slices: Iterable[EndpointSlice], chosen: Selection, found: Iterable[Workload], settings: Settings
) -> Iterator[Workload]:
    """One instance for each waypoint that may sleep and has no healthy pod among the workloads `found`."""
    held = [each for each in slices if holds(each)]
    if not held:
        return
    backed = {member.service for workload in found if workload.healthy for member in workload.services}
    for each in held:
        service = chosen.sliced(each)
        if service is None or chosen.key(service) in backed or not _is_address(service.spec.cluster_ip):
            continue
        ports = tuple(Port(port.port, port.port) for port in service.spec.ports)
        namespace, account = _account(each, service.name)
        yield Workload(
            uid=_uid(each, settings),
            name=each.name,
            namespace=namespace,
            addresses=(service.spec.cluster_ip,),
            network=settings.network,
            tunnel="hbone",
            trust_domain=settings.trust_domain,
            service_account=account,
            workload_name=service.name,
            canonical_name=service.name,
            canonical_revision="latest",
            services=(Membership(chosen.key(service), ports),),
            cluster_id=settings.cluster_id,
            host_network=True,  # nobody is to take the Service's address for that of this workload
        )


def instances(
    slices: Iterable[EndpointSlice], workloads: Mapping[str, Workload], settings: Settings
) -> Iterator[Instance]:
    """The same for L7: of which Gateway they are."""
    for each in slices:
        if holds(each) and (uid := _uid(each, settings)) in workloads:
            gateway = each.meta.labels.get(GATEWAY_NAME, "")
            yield Instance(uid, labels_of(each.meta.labels), gateway=f"{each.namespace}/{gateway}" if gateway else "")


def _account(each: EndpointSlice, service: str) -> tuple[str, str]:
    """As whom the waypoint will run, so whom clients are to expect."""
    annotations = each.meta.annotations
    if annotations.get(PLACEMENT) == "managed":
        return POOL_NAMESPACE, pool.account(each.namespace, each.meta.labels.get(GATEWAY_NAME, ""))
    return each.namespace, annotations.get(GATEWAY_ACCOUNT) or service


def _uid(each: EndpointSlice, settings: Settings) -> str:
    return f"{settings.cluster_id}/discovery.k8s.io/EndpointSlice/{each.namespace}/{each.name}/{ACTIVATOR}"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
