"""Service -> HttpService: ports with protocols, visibility, names for policies. ExternalName becomes an alias.

Addresses and endpoints at L4 are made in `compile.services`; both have the same key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from ipaddress import ip_address

from plait.base.wellknown import OPTIONAL_WAYPOINT, SERVE_CALLS
from plait.model.attachment import labels_of
from plait.model.compile.memory import Memory
from plait.model.compile.services import Namespaces, hostname, inherited, of_service
from plait.model.compile.traffic.visibility import EVERYBODY, exported
from plait.model.http_services import CALLS, HttpPort, HttpService, PortProtocol
from plait.model.mesh import Settings
from plait.resources.kubernetes import Service, ServicePort

_WORDS: dict[str, PortProtocol] = {
    "http": "http",
    "http2": "http2",
    "h2c": "http2",
    "kubernetes.io/h2c": "http2",
    "grpc": "grpc",
    "grpc-web": "grpc-web",
    "https": "https",
    "kubernetes.io/wss": "https",
    "kubernetes.io/ws": "http",
    "ws": "http",
    "wss": "https",
    "tls": "tls",
    "tcp": "tcp",
    "udp": "udp",
    "mongo": "mongo",
    "redis": "redis",
    "mysql": "mysql",
    "thrift": "thrift",
    "dubbo": "dubbo",
    "hbone": "tcp",
    "mcp": "http",
}
_WELL_KNOWN: dict[int, PortProtocol] = {25: "tcp", 3306: "mysql", 27017: "mongo", 6379: "redis"}


def services(
    found: Iterable[Service],
    settings: Settings,
    memory: Memory,
    namespaces: Namespaces,
    exports: tuple[str, ...] = EVERYBODY,
) -> Iterator[HttpService]:
    for each in found:
        near = inherited(namespaces, each.namespace)
        make = partial(_service, each, settings, near, exports)
        yield memory.made(("http-service", each.ident), each, make, (near, exports))


def protocol(name: str, app_protocol: str | None = None) -> PortProtocol:
    """appProtocol wins; else the port's name up to a dash (grpc-web has one itself). Unknown words say nothing."""
    if app_protocol:
        return _WORDS.get(app_protocol.lower(), "auto")
    word = name.lower()
    if word == "grpc-web" or word.startswith("grpc-web-"):
        return "grpc-web"
    return _WORDS.get(word.partition("-")[0], "auto")


def read(said: PortProtocol, annotations: Mapping[str, str]) -> PortProtocol:
    """What proxies take the port for. A filter that answers calls refuses those it does not know (Redis: SUBSCRIBE,
    AUTH), so a port's name alone brings none; Envoy has none for MySQL in this build."""
    if said == "mysql" or (said in CALLS and annotations.get(SERVE_CALLS) != "true"):
        return "tcp"
    return said


def _service(each: Service, settings: Settings, near: str, exports: tuple[str, ...]) -> HttpService:
    spec = each.spec
    host = hostname(each.name, each.namespace, settings)
    addresses = (*(spec.cluster_ips or (spec.cluster_ip,)), *spec.external_ips)
    addresses = (*addresses, *(entry.ip for entry in each.status.load_balancer.ingress))
    return HttpService(
        key=f"{each.namespace}/{host}",
        hostname=host,
        namespace=each.namespace,
        kind="Service",
        name=each.name,
        ports=tuple(_port(port, each.meta.annotations) for port in spec.ports if port.protocol in ("TCP", "")),
        addresses=tuple(dict.fromkeys(text for address in addresses if (text := _address(address)))),
        headless=spec.cluster_ip == "None",
        alias=spec.external_name.lower().rstrip(".") if spec.type == "ExternalName" else "",
        visible=exported(each.meta.annotations, each.namespace, exports),
        labels=labels_of(each.meta.labels),
        optional_waypoints=tuple(filter(None, (each.meta.annotations.get(OPTIONAL_WAYPOINT),))),
        balancing=of_service(each, near),
        sticky_seconds=10800 if spec.session_affinity == "ClientIP" else 0,
        created=each.meta.creation_timestamp or "",
    )


def _port(port: ServicePort, annotations: Mapping[str, str]) -> HttpPort:
    said = protocol(port.name, port.app_protocol)
    if said == "auto" and port.port in _WELL_KNOWN:
        said = _WELL_KNOWN[port.port]  # server-first protocols must never be sniffed
    target = port.target_port
    number = target if isinstance(target, int) else int(target) if target.isdigit() else 0
    return HttpPort(port.port, port.name, read(said, annotations), number or (0 if target else port.port))


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        return ""
