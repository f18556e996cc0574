"""Pods and pod templates: has the sidecar come, can it work, and is `image: auto` ever replaced?"""

from __future__ import annotations

from collections.abc import Iterator

from plait.base.wellknown import DATAPLANE_MODE, INJECT, NODE_PROXY_PORTS, PROXY_CONTAINER, PROXY_PORTS, PROXY_UID
from plait.diagnose.evidence import Document, Evidence, Workload, control_plane, part
from plait.diagnose.messages import say
from plait.resources import codes
from plait.resources.problems import Problem


def without_proxy(evidence: Evidence) -> Iterator[Problem]:
    """Pods that should have a sidecar and have none. (One that is pending may not be described wholly.)"""
    for each in evidence.workloads:
        described = each.kind == "Pod" and (each.running or not each.phase) and not control_plane(each.labels)
        if described and evidence.injected(each) and not evidence.has_sidecar(each):
            text = "it has no sidecar though injection is on; let it be made again (kubectl rollout restart)"
            yield say("IST0103", each, "spec.containers", text)


def reserved_user(evidence: Evidence) -> Iterator[Problem]:
    """Applications that run as the proxy's user: capture would let their packets pass."""
    for each in evidence.workloads:
        if control_plane(each.labels):
            continue
        text = f"user {PROXY_UID} is a sidecar's, so its traffic is not captured; choose another"
        if _user(each.spec) == PROXY_UID:
            yield say("IST0144", each, f"{each.path}.securityContext.runAsUser", text)
        for number, container in enumerate(each.containers):
            if container.get("name") != PROXY_CONTAINER and _user(container) == PROXY_UID:
                yield say("IST0144", each, f"{each.path}.containers[{number}].securityContext.runAsUser", text)


def reserved_ports(evidence: Evidence) -> Iterator[Problem]:
    """Applications that listen where their proxy does: one of the two cannot."""
    for each in evidence.workloads:
        if evidence.injected(each) or evidence.has_sidecar(each):
            taken, whose = PROXY_PORTS, "the sidecar"
        elif evidence.ambient(each):
            taken, whose = NODE_PROXY_PORTS, "the node's proxy"
        else:
            continue
        for number, container in enumerate(each.containers):
            if container.get("name") == PROXY_CONTAINER:
                continue
            for at, port in enumerate(container.get("ports") or ()):
                if isinstance(port, dict) and port.get("containerPort") in taken:
                    text = f"{whose} listens on {port['containerPort']} in this pod; let the application use another"
                    path = f"{each.path}.containers[{number}].ports[{at}].containerPort"
                    yield say(codes.RESERVED_PORT, each, path, f"{text} (in the Service only targetPort changes)")


def both_modes(evidence: Evidence) -> Iterator[Problem]:
    """Pods that say ambient of themselves and get a sidecar."""
    for each in evidence.workloads:
        if each.labels.get(DATAPLANE_MODE) == "ambient" and evidence.injected(each):
            text = "a sidecar is injected, which wins over ambient mode; remove this label"
            fix = f'{text}, or say {INJECT}: "false"'
            yield say(codes.BOTH_MODES, each, f"{each.path.removesuffix('spec')}metadata.labels[{DATAPLANE_MODE}]", fix)


def image_auto(evidence: Evidence) -> Iterator[Problem]:
    """`image: auto` is a request to the injector; without it nobody knows such an image."""
    for each in evidence.workloads:
        if evidence.injected(each):
            continue
        for number, container in enumerate(each.containers):
            if container.get("image") == "auto":
                text = "auto is filled in by injection, which is off here; label the namespace istio-injection=enabled"
                yield say(_auto(each), each, f"{each.path}.containers[{number}].image", text)


def _auto(each: Workload) -> str:
    return "IST0147" if each.kind == "Pod" else "IST0146"


def _user(holder: Document) -> object:
    return part(holder, "securityContext").get("runAsUser")
