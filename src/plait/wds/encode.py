"""Mesh -> Bundle: every workload, service and policy as the bytes any ztunnel reads.

Values that equal the protocol's default are left out (trust domain cluster.local, account default, cluster Kubernetes,
names equal to the pod's). A resource whose noun is the previous encoding's very object is not encoded again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from typing import Any, TypeVar

from msgspec import Struct

from plait.base import wellknown
from plait.base.bundle import Bundle, Resource, version_of
from plait.model.extension import Extension
from plait.model.mesh import GatewayAddress, Mesh, NetworkAddress, Port, Service, Workload
from plait.model.policies import Account, Match, Policy, Range, Text
from plait.wds import messages as wire

T = TypeVar("T")


class Encoded(Struct, frozen=True, eq=False):
    """A bundle and the mesh it says, kept so that the next encoding can reuse what did not change."""

    mesh: Mesh
    bundle: Bundle


def encode(mesh: Mesh, previous: Encoded | None = None) -> Encoded:
    """The whole mesh for the wire; unchanged types of `previous` come back as the same mapping."""
    old = previous.mesh if previous is not None else Mesh()
    had = previous.bundle if previous is not None else Bundle()
    addresses = had.of(wire.ADDRESS_TYPE)
    if previous is None or old.workloads is not mesh.workloads or old.services is not mesh.services:
        addresses = {
            **_reused(addresses, old.services, mesh.services, service),
            **_reused(addresses, old.workloads, mesh.workloads, workload),
        }
    policies = had.of(wire.AUTHORIZATION_TYPE)
    if previous is None or old.policies is not mesh.policies:
        policies = _reused(policies, old.policies, mesh.policies, policy)
    return Encoded(mesh, Bundle({wire.ADDRESS_TYPE: addresses, wire.AUTHORIZATION_TYPE: policies}))


def _reused(
    had: Mapping[str, Resource], old: Mapping[str, T], new: Mapping[str, T], one: Callable[[T], Resource]
) -> dict[str, Resource]:
    return {name: had[name] if old.get(name) is value and name in had else one(value) for name, value in new.items()}


def workload(w: Workload) -> Resource:
    """One workload, named by its uid, with `<network>/<ip>` as further names."""
    message = wire.Address()
    to = message.workload
    to.uid, to.name, to.namespace, to.network, to.node = w.uid, w.name, w.namespace, w.network, w.node
    to.addresses.extend(packed(address) for address in w.addresses)
    to.tunnel_protocol = wire.TUNNEL[w.tunnel]
    to.trust_domain = _unless(w.trust_domain, wellknown.DEFAULT_TRUST_DOMAIN)
    to.service_account = _unless(w.service_account, "default")
    to.cluster_id = _unless(w.cluster_id, wellknown.CLUSTER_ID)
    to.workload_name = _unless(w.workload_name, w.name)
    to.canonical_name = _unless(w.canonical_name, w.name)
    to.canonical_revision, to.hostname = w.canonical_revision, w.hostname
    to.workload_type = wire.WORKLOAD_TYPE[w.workload_type]
    to.native_tunnel = w.native_tunnel
    to.authorization_policies.extend(w.policies)
    to.status = 0 if w.healthy else 1
    to.network_mode = int(w.host_network)
    if w.waypoint is not None:
        _gateway(to.waypoint, w.waypoint)
    if w.network_gateway is not None:
        _gateway(to.network_gateway, w.network_gateway)
    for member in w.services:
        _ports(to.services[member.service].ports, member.ports)
    if w.application_tunnel is not None:
        to.application_tunnel.protocol = wire.TUNNELLED_APP[w.application_tunnel.protocol]
        to.application_tunnel.port = w.application_tunnel.port
    if w.locality is not None:
        to.locality.region, to.locality.zone, to.locality.subzone = (
            w.locality.region,
            w.locality.zone,
            w.locality.subzone,
        )
    if w.capacity is not None:
        to.capacity.value = w.capacity
    _extensions(to.extensions, w.extensions)
    aliases = tuple(f"{w.network}/{address}" for address in w.addresses)
    return _resource(w.uid, message, aliases, tuple(member.service for member in w.services))


def service(s: Service) -> Resource:
    """One service, named `<namespace>/<hostname>`, with its addresses as further names."""
    message = wire.Address()
    to = message.service
    to.name, to.namespace, to.hostname = s.name, s.namespace, s.hostname
    for address in s.addresses:
        _address(to.addresses.add(), address)
    _ports(to.ports, s.ports)
    to.subject_alt_names.extend(s.subject_alt_names)
    if s.waypoint is not None:
        _gateway(to.waypoint, s.waypoint)
    if s.load_balancing is not None:
        to.load_balancing.routing_preference.extend(wire.SCOPE[scope] for scope in s.load_balancing.preference)
        to.load_balancing.mode = wire.BALANCING[s.load_balancing.mode]
        to.load_balancing.health_policy = int(s.load_balancing.allow_unhealthy)
    to.ip_families = wire.FAMILIES[s.ip_families]
    to.canonical, to.ingress_use_waypoint = s.canonical, s.ingress_use_waypoint
    for each in s.weighted_waypoints:
        entry = to.weighted_waypoints.add(weight=each.weight)
        _gateway(entry.destination, each.destination)
    to.visibility = int(s.namespace_only)
    _extensions(to.extensions, s.extensions)
    return _resource(s.key, message, tuple(address.key for address in s.addresses))


def policy(p: Policy) -> Resource:
    """One authorization policy, named `<namespace>/<name>`."""
    to = wire.Authorization(name=p.name, namespace=p.namespace, scope=wire.REACH[p.scope], action=wire.ACTION[p.action])
    to.dry_run = p.dry_run
    for group in p.groups:
        rules = to.groups.add().rules
        for rule in group.rules:
            matches = rules.add().matches
            for match in rule.matches:
                _match(matches.add(), match)
    _extensions(to.extensions, p.extensions)
    return _resource(p.key, to, ())


def packed(address: str) -> bytes:
    return ip_address(address).packed


def _resource(name: str, message: Any, aliases: tuple[str, ...], groups: tuple[str, ...] = ()) -> Resource:
    # Deterministic, so that equal nouns have equal bytes and versions whatever the map order.
    value = bytes(message.SerializeToString(deterministic=True))
    return Resource(name, version_of(value), value, aliases, groups)


def _unless(value: str, default: str) -> str:
    return "" if value == default else value


def _address(to: Any, address: NetworkAddress) -> None:
    to.network, to.address = address.network, packed(address.address)
    if address.length is not None:
        to.length = address.length


def _gateway(to: Any, gateway: GatewayAddress) -> None:
    if gateway.service:
        to.hostname.namespace, _, to.hostname.hostname = gateway.service.partition("/")
    elif gateway.address is not None:
        _address(to.address, gateway.address)
    to.hbone_mtls_port = gateway.hbone_port


def _ports(to: Any, ports: Iterable[Port]) -> None:
    for port in ports:
        to.add(service_port=port.service, target_port=port.target, app_protocol=wire.PROTOCOL[port.protocol])


def _extensions(to: Any, extensions: Iterable[Extension]) -> None:
    for extension in extensions:
        entry = to.add(name=extension.name)
        entry.config.type_url, entry.config.value = extension.type_url, extension.value


def _match(to: Any, match: Match) -> None:
    for field, texts in (
        (to.namespaces, match.namespaces),
        (to.not_namespaces, match.not_namespaces),
        (to.principals, match.principals),
        (to.not_principals, match.not_principals),
    ):
        for text in texts:
            _text(field.add(), text)
    for field, ranges in (
        (to.source_ips, match.source_ips),
        (to.not_source_ips, match.not_source_ips),
        (to.destination_ips, match.destination_ips),
        (to.not_destination_ips, match.not_destination_ips),
    ):
        for each in ranges:
            _range(field.add(), each)
    to.destination_ports.extend(match.destination_ports)
    to.not_destination_ports.extend(match.not_destination_ports)
    for field, accounts in ((to.service_accounts, match.accounts), (to.not_service_accounts, match.not_accounts)):
        for account in accounts:
            _account(field.add(), account)
    _extensions(to.extensions, match.extensions)


def _text(to: Any, text: Text) -> None:
    if text.how == "presence":
        to.presence.SetInParent()
    else:
        setattr(to, text.how, text.value)


def _range(to: Any, each: Range) -> None:
    to.address, to.length = packed(each.address), each.length


def _account(to: Any, account: Account) -> None:
    to.namespace, to.serviceAccount = account.namespace, account.name
