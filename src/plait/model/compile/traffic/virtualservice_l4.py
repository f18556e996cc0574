"""TLS and TCP rules of a VirtualService -> TlsRoute, TcpRoute. The protocols say no more than these fields."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from plait.model.attachment import labels_of
from plait.model.compile.traffic.report import BAD_VALUE, Report
from plait.model.compile.traffic.virtualservice_http import destination, gateway_key
from plait.model.mesh import Settings
from plait.model.routes import Destination, TcpMatch, TcpRoute, TlsMatch, TlsRoute
from plait.resources.networking.virtual_service import RouteDestination, VirtualService


def tls(each: VirtualService, settings: Settings, report: Report) -> Iterator[TlsRoute]:
    for number, rule in enumerate(each.spec.tls):
        matches = []
        for place, match in enumerate(rule.match):
            path = f"spec.tls[{number}].match[{place}]"
            subnets = _subnets(match.destination_subnets, f"{path}.destinationSubnets", report)
            if subnets is None:
                continue
            for name in match.sni_hosts:
                if not any(_belongs(name, host) for host in each.spec.hosts):
                    text = f"{name} is none of spec.hosts, so the match never applies; add it there"
                    report.say(BAD_VALUE, f"{path}.sniHosts", text)
            matches.append(
                TlsMatch(
                    tuple(name.lower() for name in match.sni_hosts),
                    subnets,
                    match.port,
                    labels_of(match.source_labels),
                    match.source_namespace,
                    _gateways(match.gateways, each.namespace),
                )
            )
        if matches:
            yield TlsRoute(tuple(matches), _split(rule.route, each, settings), "", _source(each))


def tcp(each: VirtualService, settings: Settings, report: Report) -> Iterator[TcpRoute]:
    for number, rule in enumerate(each.spec.tcp):
        matches = []
        for place, match in enumerate(rule.match):
            path = f"spec.tcp[{number}].match[{place}]"
            subnets = _subnets(match.destination_subnets, f"{path}.destinationSubnets", report)
            sources = _subnets((match.source_subnet,) if match.source_subnet else (), f"{path}.sourceSubnet", report)
            if subnets is not None and sources is not None:
                matches.append(
                    TcpMatch(
                        subnets,
                        sources,
                        match.port,
                        labels_of(match.source_labels),
                        match.source_namespace,
                        _gateways(match.gateways, each.namespace),
                    )
                )
        if matches or not rule.match:
            yield TcpRoute(tuple(matches), _split(rule.route, each, settings), "", _source(each))


def _source(each: VirtualService) -> str:
    return f"VirtualService/{each.namespace}/{each.name}"


def _split(routes: tuple[RouteDestination, ...], each: VirtualService, settings: Settings) -> tuple[Destination, ...]:
    single = len(routes) == 1
    return tuple(
        destination(split.destination, 1 if single else max(split.weight, 0), each.namespace, settings)
        for split in routes
    )


def _gateways(names: tuple[str, ...], namespace: str) -> tuple[str, ...]:
    return tuple("mesh" if name == "mesh" else gateway_key(name, namespace) for name in names)


def _subnets(given: tuple[str, ...], path: str, report: Report) -> tuple[str, ...] | None:
    """CIDRs, or None when one cannot be read: then the match must not apply to more than was meant."""
    try:
        return tuple(str(ip_network(text, strict=False)) for text in given)
    except ValueError as error:
        report.error(BAD_VALUE, path, f"{error}; write an address or CIDR such as 10.0.0.0/8")
        return None


def _belongs(name: str, host: str) -> bool:
    return host == name or (host.startswith("*") and name.endswith(host[1:])) or "." not in host
