"""Istio Gateway -> Gateway: servers become listeners. Two objects that want one port in different ways are a problem.

The pods are chosen by labels, in any namespace. Certificates are found and checked in `gateway_credentials`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from plait.model.attachment import labels_of
from plait.model.compile.memory import Memory
from plait.model.compile.traffic import ciphers
from plait.model.compile.traffic.report import BAD_VALUE, CONFLICT, Report
from plait.model.gateways import Certificate, Gateway, HostScope, Listener, Protocol, ServerTls, TlsVersion
from plait.resources.networking.gateway import Gateway as Written
from plait.resources.networking.gateway import Server
from plait.resources.networking.traffic import ServerTlsSettings
from plait.resources.problems import Problem

KIND = "Gateway"
_PROTOCOLS: dict[str, Protocol] = {
    "HTTP": "HTTP",
    "HTTPS": "HTTPS",
    "GRPC": "GRPC",
    "GRPC-WEB": "GRPC",
    "HTTP2": "HTTP2",
    "TLS": "TLS",
    "TCP": "TCP",
    "MONGO": "MONGO",
    "HBONE": "HBONE",
}
_VERSIONS: dict[str, TlsVersion] = {"TLSV1_0": "1.0", "TLSV1_1": "1.1", "TLSV1_2": "1.2", "TLSV1_3": "1.3"}


def gateways(found: Iterable[Written], memory: Memory, problems: list[Problem]) -> Iterator[Gateway]:
    for each in found:
        gateway, said = memory.made(("istio-gateway", each.ident), each, partial(_gateway, each))
        problems.extend(said)
        yield gateway


def _gateway(each: Written) -> tuple[Gateway, tuple[Problem, ...]]:
    report = Report(KIND, each.namespace, each.name)
    listeners: list[Listener] = []
    for number, server in enumerate(each.spec.servers):
        listener = _listener(each, server, number, report)
        clash = next((other for other in listeners if _clash(listener, other)), None)
        if clash is not None:
            text = f"port {listener.port} is already {clash.protocol} in this gateway; use another port"
            report.error(CONFLICT, f"spec.servers[{number}].port", text)
            continue
        listeners.append(listener)
    gateway = Gateway(
        key=f"{each.namespace}/{each.name}",
        namespace=each.namespace,
        name=each.name,
        listeners=tuple(listeners),
        selector=labels_of(each.spec.selector),
        created=each.meta.creation_timestamp or "",
    )
    return gateway, report.problems


def _clash(one: Listener, other: Listener) -> bool:
    if (one.port, one.bind) != (other.port, other.bind):
        return False
    return family(one) != family(other)


def family(listener: Listener) -> str:
    """Listeners share a port when they are of one family."""
    if listener.protocol == "TLS" or listener.tls is not None:
        return "tls"
    return "http" if listener.protocol in ("HTTP", "HTTP2", "GRPC") else "tcp"


def _listener(each: Written, server: Server, number: int, report: Report) -> Listener:
    path = f"spec.servers[{number}]"
    protocol = _PROTOCOLS.get(server.port.protocol.upper())
    broken = ""
    if protocol is None:
        broken = f"protocol {server.port.protocol!r} is unknown"
        words = "HTTP, HTTPS, GRPC, HTTP2, TLS, TCP or MONGO"
        report.error(BAD_VALUE, f"{path}.port.protocol", f"{broken}; write {words}")
    tls = server_tls(server.tls, "", f"{path}.tls", report) if server.tls is not None else None
    https_only = server.tls is not None and server.tls.https_redirect
    if protocol in ("HTTP", "HTTP2", "GRPC") and tls is not None:
        tls = None  # only httpsRedirect means anything here
    if protocol in ("HTTPS", "TLS") and tls is None and not broken:
        broken = f"protocol {protocol} needs tls"
        report.error(BAD_VALUE, f"{path}.tls", f"{broken}; add it")
    if server.port.target_port:
        report.unsupported(f"{path}.port.targetPort", "a gateway listens at number itself; remove targetPort")
    if server.default_endpoint:
        report.unsupported(f"{path}.defaultEndpoint", "bind a VirtualService to the gateway")
    return Listener(
        name=server.name or server.port.name,
        port=server.port.number,
        protocol=protocol or "TCP",
        hosts=tuple(_scope(host, each.namespace) for host in server.hosts),
        bind=server.bind,
        tls=tls,
        https_only=https_only,
        default_endpoint=server.default_endpoint,
        broken=broken,
    )


def _scope(text: str, namespace: str) -> HostScope:
    """`ns/host`; `./host` means the gateway's own namespace, `*/host` and `host` any."""
    where, slash, host = text.rpartition("/")
    where = namespace if where == "." else where if slash else "*"
    return HostScope(host.lower() or "*", where or "*")


def server_tls(found: ServerTlsSettings, namespace: str, path: str, report: Report) -> ServerTls:
    """`namespace` is where Secrets are; "": that is settled later (`gateway_credentials`)."""
    names = found.credential_names or ((found.credential_name,) if found.credential_name else ())
    certificates = [Certificate(secret=_secret(name, namespace)) for name in names]
    certificates += [
        Certificate("", each.server_certificate, each.private_key)
        for each in (found.tls_certificates if not certificates else ())
    ]
    if not certificates and found.server_certificate:
        certificates = [Certificate("", found.server_certificate, found.private_key)]
    mode = found.mode.lower()
    if mode in ("simple", "mutual", "optional_mutual") and not certificates:
        report.error(BAD_VALUE, path, f"mode {found.mode} needs a certificate; add credentialName or the files")
    roots = _secret(found.ca_cert_credential_name, namespace) if found.ca_cert_credential_name else ""
    if not roots and mode in ("mutual", "optional_mutual") and names:
        roots = _secret(names[0], namespace)
    return ServerTls(
        mode,  # type: ignore[arg-type]
        tuple(certificates),
        roots,
        found.ca_certificates or next((c.ca_certificates for c in found.tls_certificates if c.ca_certificates), ""),
        (),
        found.ca_crl,
        found.subject_alt_names,
        found.verify_certificate_spki,
        found.verify_certificate_hash,
        _VERSIONS.get(found.min_protocol_version, ""),
        _VERSIONS.get(found.max_protocol_version, ""),
        ciphers.suites(found.cipher_suites, f"{path}.cipherSuites", report),
        bool(found.insecure_skip_verify),
    )


def _secret(name: str, namespace: str) -> str:
    """As "ns/name", as far as that is known."""
    bare = name.removeprefix("kubernetes-gateway://").removeprefix("kubernetes://")
    return bare if "/" in bare or not namespace else f"{namespace}/{bare}"
