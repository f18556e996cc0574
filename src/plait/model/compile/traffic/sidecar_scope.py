"""Sidecar -> SidecarScope. Which one binds a pod is decided in `views.scope`; several that could are a problem here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from plait.model.attachment import labels_of
from plait.model.compile.memory import Memory
from plait.model.compile.traffic import policies
from plait.model.compile.traffic.istio_gateway import server_tls
from plait.model.compile.traffic.kubernetes_services import protocol
from plait.model.compile.traffic.report import BAD_VALUE, NO_EFFECT, Report
from plait.model.compile.traffic.virtualservice_http import destination
from plait.model.mesh import Settings
from plait.model.sidecars import Capture, Egress, HostFilter, Ingress, SidecarScope
from plait.model.traffic import Pool
from plait.resources.networking.sidecar import IstioEgressListener, IstioIngressListener, Sidecar
from plait.resources.networking.traffic import ConnectionPoolSettings, ServerTlsSettings
from plait.resources.problems import Problem

KIND = "Sidecar"
_CAPTURE: dict[str, Capture] = {"DEFAULT": "default", "IPTABLES": "iptables", "NONE": "none"}


def scopes(
    found: Iterable[Sidecar], settings: Settings, memory: Memory, problems: list[Problem]
) -> Iterator[SidecarScope]:
    wide: dict[str, Sidecar] = {}
    for each in sorted(found, key=lambda s: (s.meta.creation_timestamp or "", s.namespace, s.name)):
        scope, said = memory.made(("sidecar", each.ident), each, partial(_scope, each, settings))
        problems.extend(said)
        if not scope.selector and (first := wide.setdefault(each.namespace, each)) is not each:
            text = f"the older {first.name} is the namespace's already, so this has no effect; add a workloadSelector"
            problems.append(Problem("IST0111", "error", KIND, each.namespace, each.name, "spec", text))
            continue
        yield scope


def _scope(each: Sidecar, settings: Settings) -> tuple[SidecarScope, tuple[Problem, ...]]:
    report = Report(KIND, each.namespace, each.name)
    spec = each.spec
    outbound = spec.outbound_traffic_policy
    scope = SidecarScope(
        name=each.name,
        namespace=each.namespace,
        selector=labels_of(spec.workload_selector.labels) if spec.workload_selector is not None else (),
        egress=tuple(_egress(item, f"spec.egress[{n}]", each, report) for n, item in enumerate(spec.egress)) or None,
        ingress=tuple(_ingress(item, f"spec.ingress[{n}]", each, report) for n, item in enumerate(spec.ingress))
        or None,
        pool=_pool(spec.inbound_connection_pool, "spec.inboundConnectionPool", report),
        outbound="" if outbound is None else "allow_any" if outbound.mode == "ALLOW_ANY" else "registry_only",
        egress_proxy=destination(outbound.egress_proxy, 1, each.namespace, settings)
        if outbound is not None and outbound.egress_proxy is not None
        else None,
        created=each.meta.creation_timestamp or "",
    )
    return scope, report.problems


def _egress(item: IstioEgressListener, path: str, each: Sidecar, report: Report) -> Egress:
    filters = []
    for number, text in enumerate(item.hosts):
        where, slash, host = text.partition("/")
        if not slash:
            message = f"{text!r} lacks the namespace; write namespace/host, such as ./* or */{text}"
            report.error(BAD_VALUE, f"{path}.hosts[{number}]", message)
            continue
        filters.append(HostFilter(each.namespace if where == "." else where, host.lower()))
    port = item.port
    own = bool(item.bind) or item.capture_mode == "NONE"
    if port is not None and port.protocol and not own:
        report.unsupported(f"{path}.port.protocol", "the protocol of a port is declared by its services")
    if port is not None and port.target_port:
        report.unsupported(f"{path}.port.targetPort", "write the port of the service into number")
    return Egress(
        tuple(filters),
        port.number if port is not None else 0,
        protocol(port.name, port.protocol or None) if port is not None else "auto",
        port.name if port is not None else "",
        item.bind,
        _CAPTURE[item.capture_mode],
        own and port is not None and port.protocol.upper() == "HTTP_PROXY",
    )


def _ingress(item: IstioIngressListener, path: str, each: Sidecar, report: Report) -> Ingress:
    endpoint = item.default_endpoint
    if endpoint and not endpoint.startswith("unix://") and not endpoint.rpartition(":")[2].isdigit():
        report.error(BAD_VALUE, f"{path}.defaultEndpoint", f"{endpoint!r} is no address; write 127.0.0.1:PORT")
        endpoint = ""
    if item.bind and item.capture_mode != "NONE":
        text = "it has no effect; what is captured comes from all addresses: remove it, or add captureMode NONE"
        report.say(NO_EFFECT, f"{path}.bind", text)
    if item.port.target_port:
        report.unsupported(f"{path}.port.targetPort", "write the port of the application into defaultEndpoint")
    if item.tls is not None and item.tls.https_redirect:
        report.unsupported(f"{path}.tls.httpsRedirect", "a sidecar has no port for plain HTTP beside it; remove it")
    if item.tls is not None:
        _foreign_to_istio(item.tls, f"{path}.tls", report)
    return Ingress(
        item.port.number,
        protocol(item.port.name, item.port.protocol or None),
        item.port.name,
        item.bind,
        _CAPTURE[item.capture_mode],
        endpoint,
        server_tls(item.tls, each.namespace, f"{path}.tls", report) if item.tls is not None else None,
        _pool(item.connection_pool, f"{path}.connectionPool", report),
    )


def _foreign_to_istio(tls: ServerTlsSettings, path: str, report: Report) -> None:
    """Fields that Istio refuses here, and we do at validation. An API server that let them in has them in effect: a
    check of clients' names that was left out would let in more than was written."""
    for field, given, instead in (
        ("credentialName", tls.credential_name, "serverCertificate and privateKey, files of the pod"),
        ("subjectAltNames", tls.subject_alt_names, "an AuthorizationPolicy"),
    ):
        if given:
            report.error(BAD_VALUE, f"{path}.{field}", f"only gateways have {field}; it holds, but write {instead}")


def _pool(found: ConnectionPoolSettings | None, path: str, report: Report) -> Pool | None:
    """Toward the application. It is spoken to as the client speaks, so what chooses the protocol says nothing."""
    http = found.http if found is not None else None
    if http is not None:
        for field, given in (
            ("h2UpgradePolicy", http.h2_upgrade_policy not in (None, "DEFAULT")),
            ("useClientProtocol", http.use_client_protocol),
            ("maxConcurrentStreams", http.max_concurrent_streams),
            ("http2KeepAlive", http.http2_keep_alive is not None),
        ):
            if given:
                report.unsupported(
                    f"{path}.http.{field}", "a sidecar speaks to its application in the client's protocol; remove it"
                )
    return policies.pool(found, path, report)
