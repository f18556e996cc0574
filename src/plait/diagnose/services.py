"""Services: does the port say its protocol, and do several services agree about one workload?"""

from __future__ import annotations

from collections.abc import Iterator

from plait.base.wellknown import GATEWAY_NAME, HBONE_PORT, INBOUND_PLAINTEXT_PORT, OUTBOUND_PORT
from plait.diagnose.evidence import SYSTEM, Evidence, Workload, control_plane
from plait.diagnose.messages import say
from plait.model.compile.traffic.kubernetes_services import protocol
from plait.resources import codes
from plait.resources.kubernetes import Service, ServicePort
from plait.resources.problems import Problem

# Not the ports of status and metrics: Services of gateways show those.
WAYPOINT_NAME = "istio.io/gateway-name"  # as older versions of Istio label a waypoint's pods
_CAPTURE_PORTS = (OUTBOUND_PORT, INBOUND_PLAINTEXT_PORT, HBONE_PORT)


def unnamed_protocols(evidence: Evidence) -> Iterator[Problem]:
    """Ports whose name tells no protocol: the first bytes of every connection decide."""
    for each in _applications(evidence):
        if each.spec.type == "ExternalName":
            continue
        for number, port in enumerate(each.spec.ports):
            if port.protocol in ("TCP", "") and protocol(port.name, port.app_protocol) == "auto":
                text = f"port {port.port} tells no protocol; name it http-…, grpc-…, tcp-… or set appProtocol"
                yield say("IST0118", each, f"spec.ports[{number}].name", text)


def external_names(evidence: Evidence) -> Iterator[Problem]:
    """Ports of ExternalName services that would take whatever connection goes to that port number."""
    for each in _applications(evidence):
        if each.spec.type != "ExternalName":
            continue
        for number, port in enumerate(each.spec.ports):
            spoken = protocol(port.name, port.app_protocol) if port.protocol in ("TCP", "") else "udp"
            if spoken == "auto" or port.name == "tcp":
                text = f"an ExternalName's port {port.port} without a protocol above TCP catches other traffic; name it"
                yield say("IST0150", each, f"spec.ports[{number}].name", f"{text} http-… or tls-…")


def reserved_ports(evidence: Evidence) -> Iterator[Problem]:
    """Services under a number on which sidecars listen: those let such connections pass as they are."""
    for each in _applications(evidence):
        for number, port in enumerate(each.spec.ports):
            if port.port in _CAPTURE_PORTS and GATEWAY_NAME not in each.meta.labels:
                text = f"sidecars listen on {port.port} themselves, so they pass this by: no identity, no routes"
                yield say(codes.RESERVED_PORT, each, f"spec.ports[{number}].port", f"{text}; use another port")


def one_port_two_protocols(evidence: Evidence) -> Iterator[Problem]:
    """A workload behind two services that call one port number by different protocols."""
    for workload, found in _behind(evidence):
        said: dict[int, dict[str, Service]] = {}
        for service, port in found:
            spoken = protocol(port.name, port.app_protocol) if port.protocol in ("TCP", "") else port.protocol.lower()
            said.setdefault(port.port, {}).setdefault(spoken, service)
        for number, protocols in said.items():
            if len(protocols) > 1:
                names = ", ".join(f"{service.name} ({word})" for word, service in sorted(protocols.items()))
                text = f"port {number} has several protocols: {names}; give it one"
                yield say("IST0116", workload, workload.path, text)


def one_target_two_ports(evidence: Evidence) -> Iterator[Problem]:
    """A workload's port that two services show under different numbers."""
    for workload, found in _behind(evidence):
        shown: dict[str, dict[int, Service]] = {}
        for service, port in found:
            shown.setdefault(str(port.target_port or port.port), {}).setdefault(port.port, service)
        for target, ports in shown.items():
            if len({service.name for service in ports.values()}) > 1:
                names = ", ".join(f"{service.name}:{number}" for number, service in sorted(ports.items()))
                text = f"target port {target} is shown as {names}; show it under one number"
                yield say("IST0137", workload, workload.path, text)


def _applications(evidence: Evidence) -> Iterator[Service]:
    """Services of users: not of Kubernetes, not of Istio itself."""
    every = (each for each in evidence.all(Service) if each.namespace not in SYSTEM)
    return (each for each in every if not control_plane(each.meta.labels))


def _behind(evidence: Evidence) -> Iterator[tuple[Workload, list[tuple[Service, ServicePort]]]]:
    """Every template and bare pod of the mesh with the ports of the services that select it."""
    services = [each for each in evidence.all(Service) if each.spec.selector]
    for workload in evidence.workloads:
        if workload.kind == "Pod" and workload.running:
            continue  # its Deployment stands for it
        if GATEWAY_NAME in workload.labels or WAYPOINT_NAME in workload.labels or not evidence.in_mesh(workload):
            continue
        mine = [each for each in services if each.namespace == workload.namespace]
        found = [(each, port) for each in mine if workload.carries(each.spec.selector) for port in each.spec.ports]
        if found:
            yield workload, found
