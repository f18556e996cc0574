"""Rules of Sidecars: ports taken in, hosts reached, and the ways between."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from plait.resources.rules import names, server_tls, traffic_policy, virtual_service, words
from plait.resources.rules.words import bad
from plait.resources.structure import Finding

_SOCKET = "unix://"
_APPLICATION = re.compile(r"(127\.0\.0\.1|0\.0\.0\.0|\[::1\]|\[::\])?:(\d+)")


def sidecar(each: Any) -> Iterator[Finding]:
    spec = each.spec
    yield from names.workload_labels("spec.workloadSelector", spec.workload_selector)
    if not (spec.egress or spec.ingress or spec.outbound_traffic_policy or spec.inbound_connection_pool):
        yield bad("spec", "the Sidecar changes nothing; add egress, ingress or another section")
    yield from traffic_policy.pool("spec.inboundConnectionPool", spec.inbound_connection_pool)
    numbers = [str(listener.port.number) for listener in spec.ingress]
    yield from words.unique("spec.ingress", numbers, "port")
    for index, ingress in enumerate(spec.ingress):
        yield from _ingress(f"spec.ingress[{index}]", ingress)
    yield from _egress_places(spec.egress)
    for index, egress in enumerate(spec.egress):
        yield from _egress(f"spec.egress[{index}]", egress)
    if spec.outbound_traffic_policy is not None:
        yield from _outbound("spec.outboundTrafficPolicy", spec.outbound_traffic_policy)


def _ingress(path: str, found: Any) -> Iterator[Finding]:
    yield from words.port(f"{path}.port.number", found.port.number)
    yield from words.bind(f"{path}.bind", found.bind, found.port.number, socket=False)
    yield from _port(f"{path}.port", found.port)
    if found.default_endpoint:
        yield from _application(f"{path}.defaultEndpoint", found.default_endpoint)
    yield from traffic_policy.pool(f"{path}.connectionPool", found.connection_pool)
    if (tls := found.tls) is None:
        return
    yield from server_tls.settings(f"{path}.tls", tls)
    if tls.mode in ("ISTIO_MUTUAL", "AUTO_PASSTHROUGH"):
        yield bad(f"{path}.tls.mode", f"mode {tls.mode} is for gateways; use SIMPLE, MUTUAL or OPTIONAL_MUTUAL")
    if tls.https_redirect:
        yield bad(f"{path}.tls.httpsRedirect", "only a gateway redirects; remove the field")
    if tls.credential_name:
        yield bad(f"{path}.tls.credentialName", "a sidecar takes certificates from files; use serverCertificate")
    if tls.subject_alt_names:
        yield bad(f"{path}.tls.subjectAltNames", "a sidecar checks no names of clients; remove the field")


def _port(path: str, port: Any) -> Iterator[Finding]:
    if port.name:
        yield from names.label(f"{path}.name", port.name, "port name")
    yield from words.protocol(f"{path}.protocol", port.protocol, empty=True)
    if port.target_port:
        yield bad(f"{path}.targetPort", "a listener has no target port; remove the field")


def _application(path: str, value: str) -> Iterator[Finding]:
    if value.startswith(_SOCKET):
        if value[len(_SOCKET) :][:1] not in ("/", "@"):
            yield bad(path, f"{value!r} names no absolute path; write unix:///PATH")
    elif found := _APPLICATION.fullmatch(value):
        yield from words.port(path, int(found[2]))
    else:
        text = "is not a place of the application; write 127.0.0.1:PORT, [::1]:PORT, 0.0.0.0:PORT, or unix:///PATH"
        yield bad(path, f"{value!r} {text}")


def _egress_places(listeners: tuple[Any, ...]) -> Iterator[Finding]:
    """Ports and sockets are listened at once; the listener without a port is for the rest and comes last."""
    seen: set[int | str] = set()
    rest = [index for index, each in enumerate(listeners) if each.port is None]
    for index, each in enumerate(listeners):
        if each.port is None:
            if len(rest) > 1 and index != rest[0]:
                yield bad(f"spec.egress[{index}]", "only one listener may be without a port; add one, or join them")
            elif index != len(listeners) - 1 and len(rest) == 1:
                yield bad(f"spec.egress[{index}]", "the listener without a port comes last; move it")
            continue
        place = each.port.number or each.bind
        if place in seen:
            yield bad(f"spec.egress[{index}]", f"another listener is at {place}; join them or change one")
        seen.add(place)


def _egress(path: str, found: Any) -> Iterator[Finding]:
    if not found.hosts:
        yield bad(f"{path}.hosts", "there is no host; add one such as ./*")
    for number, host in enumerate(found.hosts):
        namespace, slash, name = host.partition("/")
        if not slash or not namespace or not name:
            yield bad(f"{path}.hosts[{number}]", f"{host!r} has no form namespace/host; write ./* or */*")
        else:
            yield from names.namespaced_host(f"{path}.hosts[{number}]", host, none=True)
    number = found.port.number if found.port is not None else 0
    yield from words.bind(f"{path}.bind", found.bind, number, socket=True)
    if found.port is None:
        return
    yield from words.port(f"{path}.port.number", number, zero=True)
    yield from _port(f"{path}.port", found.port)
    if number == 0 and not found.bind.startswith(_SOCKET):
        yield bad(f"{path}.port.number", "port 0 is for a Unix domain socket; give the port, or bind to unix:///PATH")
    elif number == 0 and found.capture_mode not in ("DEFAULT", "NONE"):
        yield bad(f"{path}.captureMode", "nothing is captured for a Unix domain socket; use NONE or DEFAULT")


def _outbound(path: str, found: Any) -> Iterator[Finding]:
    if (proxy := found.egress_proxy) is None:
        return
    if found.mode != "ALLOW_ANY":
        yield bad(f"{path}.egressProxy", f"mode {found.mode} sends nothing to unknown hosts; use ALLOW_ANY")
        return
    yield from names.domain(f"{path}.egressProxy.host", proxy.host)
    if proxy.port is None:
        yield bad(f"{path}.egressProxy.port", "the port is missing; add port.number")
    yield from virtual_service.destination(f"{path}.egressProxy", proxy)
