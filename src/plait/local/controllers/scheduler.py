"""Scheduler: on which node does a pending pod run, or why on none? Spreads by count; reads no resources.

Honoured: nodeSelector, required node affinity, taints and tolerations, unschedulable and NotReady nodes, host ports.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from plait.local.controllers import podset
from plait.local.controllers.cluster import Cluster, controllers_of
from plait.local.controllers.controller import Controller
from plait.local.controllers.selectors import expression_holds
from plait.local.controllers.times import stamp
from plait.local.controllers.writes import Bind, Emit, Outcome, Patch, Write
from plait.resources.kinds import NODE, POD
from plait.store.api import Document
from plait.store.informer import Key

NAME = "default-scheduler"
_EVERYTHING: Key = ("", "pods")


def reconcile(pods: Sequence[Document], nodes: Sequence[Document], now: float) -> list[Write]:
    """Bind what is pending, in order of creation; each binding counts for the next."""
    writes: list[Write] = []
    load: Counter[str] = Counter()
    kin: Counter[tuple[str, str]] = Counter()
    ports: set[tuple[str, str, int]] = set()
    for pod in pods:
        if (node := pod["spec"].get("nodeName")) and podset.phase(pod) not in ("Succeeded", "Failed"):
            _count(pod, node, load, kin, ports)
    for pod in sorted(filter(is_pending, pods), key=lambda p: int(p["metadata"].get("resourceVersion", 0) or 0)):
        choice, message = choose(pod, nodes, load, kin, ports)
        if choice:
            _count(pod, choice, load, kin, ports)
            metadata = pod["metadata"]
            writes.append(Bind(metadata["namespace"], metadata["name"], metadata["uid"], choice))
            text = f"Successfully assigned {metadata['namespace']}/{metadata['name']} to {choice}"
            writes.append(Emit(pod, "Scheduled", text, NAME))
        else:
            writes += _unschedulable(pod, message, now)
    return writes


def is_pending(pod: Document) -> bool:
    spec = pod["spec"]
    return (
        not spec.get("nodeName")
        and podset.is_active(pod)
        and spec.get("schedulerName", NAME) == NAME
        and not spec.get("schedulingGates")
    )


def choose(
    pod: Document,
    nodes: Sequence[Document],
    load: Mapping[str, int],
    kin: Mapping[tuple[str, str], int],
    ports: Iterable[tuple[str, str, int]] = (),
) -> tuple[str, str]:
    """(node, "") or ("", why none)."""
    taken = set(ports)
    reasons: Counter[str] = Counter()
    fitting: list[str] = []
    for node in nodes:
        name = node["metadata"]["name"]
        reason = misfit(pod, node)
        if not reason and any((name, protocol, port) in taken for protocol, port in _host_ports(pod)):
            reason = "node(s) didn't have free ports for the requested pod ports"
        if reason:
            reasons[reason] += 1
        else:
            fitting.append(name)
    if not fitting:
        detail = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        return "", f"0/{len(nodes)} nodes are available" + (f": {detail}." if detail else ": the cluster has no nodes.")
    family = _family(pod)
    return min(fitting, key=lambda name: (kin.get((name, family), 0), load.get(name, 0), name)), ""


def misfit(pod: Document, node: Document, *, ignore_unschedulable: bool = False) -> str:
    """Why this pod may not run on this node; "" when it may."""
    spec, metadata = pod["spec"], node["metadata"]
    labels = metadata.get("labels") or {}
    node_spec = node.get("spec") or {}
    if not ignore_unschedulable:
        if not _is_ready(node):
            return "node(s) were not ready"
        if node_spec.get("unschedulable"):
            return "node(s) were unschedulable"
    if not (spec.get("nodeSelector") or {}).items() <= labels.items() or not _affine(spec, metadata["name"], labels):
        return "node(s) didn't match Pod's node affinity/selector"
    for taint in node_spec.get("taints") or ():
        if taint.get("effect") in ("NoSchedule", "NoExecute") and not tolerated(taint, spec.get("tolerations") or ()):
            return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
    return ""


def tolerated(taint: Mapping[str, Any], tolerations: Iterable[Mapping[str, Any]]) -> bool:
    for toleration in tolerations:
        if toleration.get("effect") not in (None, "", taint.get("effect")):
            continue
        if toleration.get("key") not in (None, "", taint.get("key")):
            continue
        if toleration.get("operator") == "Exists" or toleration.get("value", "") == (taint.get("value") or ""):
            return True
    return False


def _affine(spec: Mapping[str, Any], name: str, labels: Mapping[str, str]) -> bool:
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    fields = {"metadata.name": name}
    return any(
        all(expression_holds(e, labels) for e in term.get("matchExpressions") or ())
        and all(expression_holds(e, fields) for e in term.get("matchFields") or ())
        for term in required.get("nodeSelectorTerms") or ()
    )


def _is_ready(node: Document) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _family(pod: Document) -> str:
    """Pods that should be spread over nodes: those of one owner."""
    return next(iter(controllers_of(pod)), "") or f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _host_ports(pod: Document) -> list[tuple[str, int]]:
    return [
        (port.get("protocol", "TCP"), port["hostPort"])
        for container in pod["spec"].get("containers") or ()
        for port in container.get("ports") or ()
        if port.get("hostPort")
    ]


def _count(
    pod: Document, node: str, load: Counter[str], kin: Counter[tuple[str, str]], ports: set[tuple[str, str, int]]
) -> None:
    load[node] += 1
    kin[node, _family(pod)] += 1
    ports.update((node, protocol, port) for protocol, port in _host_ports(pod))


def _unschedulable(pod: Document, message: str, now: float) -> list[Write]:
    present = (pod.get("status") or {}).get("conditions") or []
    for condition in present:
        if condition.get("type") == "PodScheduled" and condition.get("message") == message:
            return []
    metadata = pod["metadata"]
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
        "lastTransitionTime": stamp(now),
    }
    body = {"status": {"conditions": [*(c for c in present if c.get("type") != "PodScheduled"), condition]}}
    version = metadata.get("resourceVersion", "")
    return [
        Patch(POD, metadata["namespace"], metadata["name"], body, "status", version),
        Emit(pod, "FailedScheduling", message, NAME, "Warning"),
    ]


def controller() -> Controller:
    """One key for all pods: placing one changes what is best for the next."""

    def turn(cluster: Cluster, key: Key, now: float) -> Outcome:
        pods = list(cluster[POD].cache.values())
        if not any(map(is_pending, pods)):
            return Outcome()
        return Outcome(tuple(reconcile(pods, list(cluster[NODE].cache.values()), now)))

    def pod_changed(pod: Document) -> list[Key]:
        return [_EVERYTHING] if is_pending(pod) else []

    return Controller("scheduler", {POD: pod_changed, NODE: lambda _: [_EVERYTHING]}, turn, workers=1)
