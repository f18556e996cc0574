"""The PodStatus document of a lifecycle: phase, conditions with their transition times, container statuses. Pure."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from plait.local.pod.lifecycle import Container, Ending, Lifecycle
from plait.store.api import Document


@dataclass(frozen=True, slots=True)
class Place:
    """Where the pod is, an address a family; empty until known."""

    host_ips: tuple[str, ...]
    pod_ips: tuple[str, ...]
    started_at: float


OURS = frozenset({"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"})


def seconds(text: str) -> float:
    """The moment a status names; 0 when it names none."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() if text else 0.0


def stamp(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def of_container(status: Document, name: str) -> Document:
    """What a pod's status says of one container; {} when nothing."""
    known: list[Document] = [
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ]
    return next((each for each in known if each["name"] == name), {})


def compose(lifecycle: Lifecycle, pod: Document, place: Place, now: float) -> Document:
    """The whole status; conditions other controllers wrote (readiness gates) are kept from the document."""
    old: Document = pod.get("status") or {}
    status: Document = {
        "phase": lifecycle.phase,
        "conditions": _conditions(lifecycle, pod, old, now),
        "hostIP": place.host_ips[0],
        "hostIPs": [{"ip": address} for address in place.host_ips],
        "startTime": stamp(place.started_at),
        "qosClass": old.get("qosClass") or _quality(pod),
        "containerStatuses": [_container(c, lifecycle) for c in lifecycle.of("main")],
    }
    if place.pod_ips:
        status["podIP"] = place.pod_ips[0]
        status["podIPs"] = [{"ip": address} for address in place.pod_ips]
    if inits := lifecycle.of("init", "sidecar"):
        status["initContainerStatuses"] = [_container(c, lifecycle) for c in inits]
    if lifecycle.failure is not None:
        status["reason"], status["message"] = lifecycle.failure
    if "observedGeneration" in old or "generation" in pod["metadata"]:
        status["observedGeneration"] = pod["metadata"].get("generation", 1)
    return status


def restore(lifecycle: Lifecycle, status: Document) -> None:
    """The way back of `compose`, for a pod that has ended: what its status says of it is all there is to know."""
    for key in ("initContainerStatuses", "containerStatuses"):
        for each in status.get(key) or ():
            ended = (each.get("state") or {}).get("terminated")
            container = lifecycle.containers.get(each["name"])
            if ended and container is not None:
                lifecycle.restored(each["name"], each.get("restartCount", 0), None)
                lifecycle.exited(
                    each["name"],
                    int(ended["exitCode"]),
                    int(ended.get("signal") or 0),
                    seconds(ended.get("finishedAt") or ""),
                    reason=ended.get("reason", ""),
                    message=ended.get("message", ""),
                    id=container.id,
                )
    if not lifecycle.complete:
        lifecycle.failed(status.get("reason") or "Failed", status.get("message") or "")


def _conditions(lifecycle: Lifecycle, pod: Document, old: Document, now: float) -> list[Document]:
    complete = lifecycle.phase == "Succeeded"
    working = [c for c in lifecycle.containers.values() if c.role != "init"]
    unready = sorted(c.name for c in working if not c.ready)
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or ()]
    known = {c["type"]: c for c in old.get("conditions") or ()}
    closed = [gate for gate in gates if known.get(gate, {}).get("status") != "True"]
    containers: tuple[bool, str, str]
    if complete:
        containers = (False, "PodCompleted", "")
    elif lifecycle.phase == "Failed":
        containers = (False, "PodFailed", "")
    elif unready:
        containers = (False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
    else:
        containers = (True, "", "")
    if containers[0] and closed:
        ready = (
            False,
            "ReadinessGatesNotReady",
            f"corresponding condition of pod readiness gate {closed[0]!r} is not True",
        )
    else:
        ready = containers
    waiting = [c.name for c in lifecycle.of("init", "sidecar") if not (c.ready or c.started)]
    initialized: tuple[bool, str, str] = (True, "PodCompleted" if complete else "", "")
    if not lifecycle.initialized:
        initialized = (False, "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(waiting)}]")
    computed: dict[str, tuple[bool, str, str]] = {
        "PodReadyToStartContainers": (lifecycle.phase != "Succeeded", "", ""),
        "Initialized": initialized,
        "Ready": ready,
        "ContainersReady": containers,
        "PodScheduled": (True, "", ""),
    }
    result = [_condition(kind, *value, known, now) for kind, value in computed.items()]
    return result + [c for kind, c in known.items() if kind not in computed]


def _condition(
    kind: str, value: bool, reason: str, message: str, known: Mapping[str, Document], now: float
) -> Document:
    before = known.get(kind, {})
    same = before.get("status") == str(value) and before.get("lastTransitionTime")
    condition: Document = {"type": kind, "status": str(value), "lastProbeTime": None}
    condition["lastTransitionTime"] = before["lastTransitionTime"] if same else stamp(now)
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    return condition


def _container(container: Container, lifecycle: Lifecycle) -> Document:
    status: Document = {
        "name": container.name,
        "image": container.spec.get("image", ""),
        "imageID": "",
        "ready": container.ready,
        "restartCount": container.attempt,
        "started": container.started,
        "state": _state(container, lifecycle),
        "lastState": {},
    }
    if container.id:
        status["containerID"] = f"plait://{container.id}"
    last = container.previous
    if container.stage == "exited" and "waiting" in status["state"]:
        last = container.ending
    if last is not None:
        status["lastState"] = {"terminated": _terminated(last)}
    return status


def _state(container: Container, lifecycle: Lifecycle) -> dict[str, Any]:
    if container.stage in ("running", "stopping"):
        return {"running": {"startedAt": stamp(container.started_at)}}
    if container.stage == "exited" and container.ending is not None:
        if container.reason == "CrashLoopBackOff" and not (lifecycle.complete or lifecycle.terminating):
            return {"waiting": {"reason": container.reason, "message": container.message}}
        return {"terminated": _terminated(container.ending)}
    waiting = {"reason": container.reason or "ContainerCreating"}
    if container.message:
        waiting["message"] = container.message
    return {"waiting": waiting}


def _terminated(ending: Ending) -> Document:
    document: Document = {
        "exitCode": ending.code,
        "reason": ending.reason,
        "startedAt": stamp(ending.started_at),
        "finishedAt": stamp(ending.finished_at),
        "containerID": f"plait://{ending.id}",
    }
    if ending.signal:
        document["signal"] = ending.signal
    if ending.message:
        document["message"] = ending.message
    return document


def _quality(pod: Document) -> str:
    resources = [c.get("resources") or {} for c in pod["spec"]["containers"]]
    if not any(r.get("requests") or r.get("limits") for r in resources):
        return "BestEffort"
    for each in resources:
        limits = each.get("limits") or {}
        if not {"cpu", "memory"} <= set(limits) or any(
            (each.get("requests") or {}).get(name, limits[name]) != limits[name] for name in ("cpu", "memory")
        ):
            return "Burstable"
    return "Guaranteed"
