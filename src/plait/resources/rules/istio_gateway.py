"""Rules of Istio's Gateway: ports, hosts and TLS of its servers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plait.resources.rules import names, server_tls, words
from plait.resources.rules.words import bad
from plait.resources.structure import Finding

_HTTP = ("HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTP_PROXY")


def gateway(each: Any) -> Iterator[Finding]:
    if not each.spec.servers:
        yield bad("spec.servers", "there is no server; add one")
    for index, server in enumerate(each.spec.servers):
        path = f"spec.servers[{index}]"
        yield from words.port(f"{path}.port.number", server.port.number, zero=server.bind.startswith("unix://"))
        yield from words.bind(f"{path}.bind", server.bind, server.port.number, socket=True)
        yield from words.protocol(f"{path}.port.protocol", server.port.protocol)
        if not server.port.name:
            yield bad(f"{path}.port.name", "the name is empty; give the port a name")
        if server.port.target_port:
            yield bad(f"{path}.port.targetPort", "a gateway listens at number itself; remove targetPort")
        if not server.hosts:
            yield bad(f"{path}.hosts", "there is no host; add one or '*'")
        for number, host in enumerate(server.hosts):
            yield from _host(f"{path}.hosts[{number}]", host)
        yield from _tls(f"{path}.tls", server)
    yield from words.unique("spec.servers", [server.port.name for server in each.spec.servers], "port name")


def _host(path: str, value: str) -> Iterator[Finding]:
    if "/" not in value:
        yield from words.host(path, value)
    elif value.count("/") > 1 or value.startswith("/"):
        yield bad(path, f"{value!r} has no form namespace/host; write one")
    else:
        yield from names.namespaced_host(path, value, none=False)


def _tls(path: str, server: Any) -> Iterator[Finding]:
    tls, protocol = server.tls, server.port.protocol.upper()
    if tls is None:
        if protocol in ("HTTPS", "TLS"):
            yield bad(path, f"a server of protocol {protocol} needs tls; add it")
        return
    files = (tls.server_certificate, tls.private_key, tls.ca_certificates)
    if protocol in _HTTP and (tls.mode not in ("PASSTHROUGH", "AUTO_PASSTHROUGH") or any(files)):
        yield bad(path, f"protocol {protocol} is plain text, which takes httpsRedirect alone; use HTTPS")
    elif protocol not in (*_HTTP, "HTTPS", "TLS"):
        yield bad(path, f"protocol {protocol} is plain text; use TLS, or remove tls")
    yield from server_tls.settings(path, tls)
