"""Rules of services and workloads outside Kubernetes: ServiceEntry, WorkloadEntry, WorkloadGroup."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plait.resources.rules import names, words
from plait.resources.rules.words import bad
from plait.resources.structure import Finding

_SEVERAL_HOSTS = frozenset({"HTTP", "HTTPS", "HTTP2", "HTTP_PROXY", "GRPC", "GRPC-WEB", "TLS"})
_LOOKED_UP = ("DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS")


def service_entry(each: Any) -> Iterator[Finding]:
    spec = each.spec
    for index, host in enumerate(spec.hosts):
        path = f"spec.hosts[{index}]"
        yield from words.host(path, host, star=False, partial=True)
        if host.startswith("*") and spec.resolution in ("DNS", "DNS_ROUND_ROBIN") and not spec.endpoints:
            yield bad(path, "a wildcard host cannot be looked up in DNS; use NONE or DYNAMIC_DNS, or add endpoints")
    for index, value in enumerate(spec.addresses):
        yield from words.address(f"spec.addresses[{index}]", value)
        if "/" in value and spec.resolution not in ("NONE", "STATIC"):
            yield bad(f"spec.addresses[{index}]", "a CIDR block needs resolution NONE or STATIC; change one")
    if spec.workload_selector is not None and spec.endpoints:
        yield bad("spec", "workloadSelector and endpoints exclude each other; keep one of them")
    yield from names.workload_labels("spec.workloadSelector", spec.workload_selector)
    if spec.resolution == "NONE" and spec.endpoints:
        yield bad("spec.endpoints", "resolution NONE takes no endpoints; use STATIC or remove them")
    if spec.resolution == "DNS_ROUND_ROBIN" and len(spec.endpoints) > 1:
        yield bad("spec.endpoints", "resolution DNS_ROUND_ROBIN takes one endpoint; keep one")
    yield from _ports(spec)
    known = {port.name for port in spec.ports}
    for index, endpoint in enumerate(spec.endpoints):
        path = f"spec.endpoints[{index}]"
        yield from _endpoint(path, endpoint, looked_up=spec.resolution in _LOOKED_UP)
        if endpoint.address.startswith("unix://") and len(spec.ports) != 1:
            yield bad(f"{path}.address", f"a unix socket serves one port, the service has {len(spec.ports)}; keep one")
        for name in endpoint.ports:
            if name not in known:
                yield bad(f"{path}.ports[{name}]", f"the service has no port {name!r}; name one of spec.ports")
    yield from names.export_to(spec.export_to, each.namespace, none=True)


def _ports(spec: Any) -> Iterator[Finding]:
    yield from words.unique("spec.ports", [str(port.number) for port in spec.ports], "port number")
    for index, port in enumerate(spec.ports):
        path = f"spec.ports[{index}]"
        yield from names.label(f"{path}.name", port.name, "port name")
        yield from words.protocol(f"{path}.protocol", port.protocol, empty=True)
        opaque = port.protocol.upper() not in _SEVERAL_HOSTS
        if opaque and spec.resolution != "NONE" and spec.addresses and len(spec.hosts) > 1:
            text = "a connection names no host, so several hosts cannot be told apart; keep one, or use HTTP or TLS"
            yield bad(path, text)


def workload_entry(each: Any) -> Iterator[Finding]:
    yield from _endpoint("spec", each.spec, looked_up=True)


def workload_group(each: Any) -> Iterator[Finding]:
    spec = each.spec
    if spec.metadata is not None:
        yield from names.labels("spec.metadata.labels", spec.metadata.labels)
    yield from _traits("spec.template", spec.template)
    if (probe := spec.probe) is None:
        return
    given = {
        "httpGet": probe.http_get is not None,
        "tcpSocket": probe.tcp_socket is not None,
        "exec": probe.exec is not None,
        "grpc": probe.grpc is not None,
    }
    yield from words.exactly_one("spec.probe", given)
    if probe.http_get is not None and probe.http_get.scheme not in ("", "HTTP", "HTTPS"):
        yield bad("spec.probe.httpGet.scheme", f"{probe.http_get.scheme!r} is unknown; use HTTP or HTTPS")
    if probe.exec is not None and not probe.exec.command:
        yield bad("spec.probe.exec.command", "there is no command; add one")


def _traits(path: str, workload: Any) -> Iterator[Finding]:
    yield from names.labels(f"{path}.labels", workload.labels)
    for name in workload.ports:
        yield from names.label(f"{path}.ports[{name}]", name, "port name")


def _endpoint(path: str, endpoint: Any, *, looked_up: bool) -> Iterator[Finding]:
    yield from _traits(path, endpoint)
    address = endpoint.address
    if not address:
        if not endpoint.network:
            yield bad(f"{path}.address", "the address is missing; add address or network")
    elif address.startswith("unix://"):
        if endpoint.ports:
            yield bad(f"{path}.ports", "a unix socket has no ports; remove them")
        if address[7:8] not in ("/", "@") or address.endswith("/"):
            yield bad(f"{path}.address", "a unix socket needs an absolute path to a file; write unix:///path")
    elif not looked_up:
        yield from words.address(f"{path}.address", address)
    elif not names.is_address(address):
        yield from names.domain(f"{path}.address", address)
