"""DaemonSet: one pod on every node that it fits, replaced node by node when the template changes."""

from __future__ import annotations

from collections.abc import Sequence

from plait.local.controllers import podset, scheduler
from plait.local.controllers.cluster import Cluster
from plait.local.controllers.controller import Controller, itself, managed_by
from plait.local.controllers.strategy import portion
from plait.local.controllers.writes import Create, Outcome, Write, remove, status
from plait.resources.kinds import DAEMON_SET, NODE, POD
from plait.store.api import Document
from plait.store.informer import Key

HASH = "controller-revision-hash"
_STAYS = ("not-ready", "unreachable", "disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")


def reconcile(daemon_set: Document, pods: Sequence[Document], nodes: Sequence[Document], now: float) -> Outcome:
    """`pods`: managed by it."""
    if "deletionTimestamp" in daemon_set["metadata"]:
        return Outcome()
    spec = daemon_set["spec"]
    hashed = podset.digest(spec["template"])
    made = podset.pod_from(spec["template"], DAEMON_SET, daemon_set, labels={HASH: hashed})
    made["spec"]["tolerations"] = [
        *(made["spec"].get("tolerations") or ()),
        *({"key": f"node.kubernetes.io/{taint}", "operator": "Exists"} for taint in _STAYS),
    ]
    wanted = [n["metadata"]["name"] for n in nodes if not scheduler.misfit(made, n, ignore_unschedulable=True)]
    writes: list[Write] = []
    kept: dict[str, Document] = {}
    busy = {str(pod["spec"].get("nodeName")) for pod in pods if podset.is_terminating(pod)}
    for pod in sorted(pods, key=lambda p: (not podset.is_ready(p), p["metadata"]["name"])):
        if podset.is_terminating(pod):
            continue
        node = str(pod["spec"].get("nodeName") or "")
        if node in kept or node not in wanted or not podset.is_active(pod):
            writes.append(remove(POD, pod))
            busy.add(node)
        else:
            kept[node] = pod
    min_ready = float(spec.get("minReadySeconds", 0))
    waits = {node: podset.available_in(pod, min_ready, now) for node, pod in kept.items()}
    for node in wanted:
        if node not in kept and node not in busy:  # the one before must be gone: it may hold a host port
            writes.append(Create(POD, {**made, "spec": {**made["spec"], "nodeName": node}}))
    old = [node for node, pod in kept.items() if (pod["metadata"].get("labels") or {}).get(HASH) != hashed]
    update = spec.get("updateStrategy") or {}
    if update.get("type", "RollingUpdate") == "RollingUpdate":
        limit = (update.get("rollingUpdate") or {}).get("maxUnavailable", 1)
        room = max(1, portion(limit, len(wanted), up=True)) - sum(waits.get(node) != 0 for node in wanted)
        for node in sorted(old, key=lambda name: (waits[name] == 0, name)):
            if waits[node] != 0 or room > 0:
                room -= waits[node] == 0
                writes.append(remove(POD, kept[node]))
    available = sum(wait == 0 for wait in waits.values())
    fresh: Document = {
        "desiredNumberScheduled": len(wanted),
        "currentNumberScheduled": len(kept),
        "numberMisscheduled": sum(p["spec"].get("nodeName") not in wanted and podset.is_active(p) for p in pods),
        "numberReady": sum(map(podset.is_ready, kept.values())),
        "observedGeneration": daemon_set["metadata"].get("generation", 1),
    }
    counts = {
        "updatedNumberScheduled": len(kept) - len(old),
        "numberAvailable": available,
        "numberUnavailable": len(wanted) - available,
    }
    fresh.update({name: count for name, count in counts.items() if count})
    again = min((wait for wait in waits.values() if wait), default=None)
    return Outcome((*writes, *status(DAEMON_SET, daemon_set, fresh)), again)


def controller() -> Controller:
    def turn(cluster: Cluster, key: Key, now: float) -> Outcome:
        daemon_set = cluster[DAEMON_SET].cache.get(key)
        if daemon_set is None:
            return Outcome()
        nodes = sorted(cluster[NODE].cache.values(), key=lambda n: str(n["metadata"]["name"]))
        return reconcile(daemon_set, cluster.controlled(POD, daemon_set), nodes, now)

    wakes = {DAEMON_SET: itself, POD: managed_by(DAEMON_SET)}
    return Controller("daemonsets", wakes, turn, wakes_in={NODE: lambda cluster, _: list(cluster[DAEMON_SET].cache)})
