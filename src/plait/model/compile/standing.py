"""Which services and workloads are reached through a waypoint: the L7 attachment, said to node proxies as an address.

Only a waypoint that has an address counts: until then there is nothing to send to, and clients go straight. A waypoint
with an address and without a running instance stops traffic; a node proxy decides that, not this file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address

import msgspec

from plait.model.compile.traffic.instances import GATEWAY_NAME
from plait.model.l7 import L7
from plait.model.mesh import GatewayAddress, NetworkAddress, Service, Settings, Workload
from plait.resources import kubernetes
from plait.resources.gateway_api.gateway import Gateway

Name = tuple[str, str]


class Standing:
    """Addresses of all waypoints; what stands behind which."""

    def __init__(
        self,
        l7: L7,
        gateways: Mapping[Name, Gateway],
        written: Mapping[Name, kubernetes.Service],
        found: Iterable[Service],
        settings: Settings,
    ) -> None:
        self._l7 = l7
        waypoints = [each for each in l7.gateways.values() if each.managed and each.waypoint]
        self._addresses: dict[str, GatewayAddress] = {}
        if not waypoints:
            return
        labelled = {
            (each.namespace, each.meta.labels[GATEWAY_NAME]): each.name
            for each in sorted(written.values(), key=lambda s: s.ident, reverse=True)
            if GATEWAY_NAME in each.meta.labels
        }
        reachable = {(each.namespace, each.name): each for each in found if each.canonical and each.addresses}
        hosts = {each.hostname: each for each in reachable.values()}
        for waypoint in waypoints:
            name = waypoint.namespace, waypoint.name
            own = reachable.get((waypoint.namespace, labelled.get(name, waypoint.name)))
            gateway = gateways.get(name)
            given = _status(gateway, hosts, settings) if gateway is not None else None
            address = GatewayAddress(service=own.key) if own is not None else given
            if address is not None:
                self._addresses["/".join(name)] = address

    def services(self, found: Iterable[Service]) -> Iterator[Service]:
        for each in found:
            known = self._l7.services.get(each.key) if self._addresses else None
            address = self._addresses.get(known.waypoint) if known is not None else None
            if known is None or address is None or address.service == each.key:
                yield each
            else:
                yield msgspec.structs.replace(each, waypoint=address, ingress_use_waypoint=known.ingress_waypoint)

    def workloads(self, found: Iterable[Workload]) -> Iterator[Workload]:
        for each in found:
            known = self._l7.instances.get(each.uid) if self._addresses else None
            address = self._addresses.get(known.waypoint) if known is not None else None
            yield each if address is None else msgspec.structs.replace(each, waypoint=address)


def _status(gateway: Gateway, hosts: Mapping[str, Service], settings: Settings) -> GatewayAddress | None:
    """The first usable of status.addresses."""
    for each in gateway.status.addresses if gateway.status is not None else ():
        if each.type == "Hostname" and each.value in hosts:
            return GatewayAddress(service=hosts[each.value].key)
        if each.type == "IPAddress":
            try:
                return GatewayAddress(address=NetworkAddress(str(ip_address(each.value)), settings.network))
            except ValueError:
                continue
    return None
