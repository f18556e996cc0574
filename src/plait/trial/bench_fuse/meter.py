"""What the parts of one mesh cost, read from the kernel: CPU of every thread, private and shared memory.

CPU is /proc/PID/task/*/schedstat (nanoseconds on a CPU), read for every process apart, so no cgroup has to be set up
and nothing of the way is left out. Memory of a node's proxies is the sum of what each has for itself plus one copy of
the pages they share (the program's text): what they would cost on a machine of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from plait.app import processes
from plait.base import wellknown
from plait.resources import kinds
from plait.store.api import Document
from plait.trial import usage
from plait.trial.bench_fuse.worlds import NODES
from plait.trial.scene import Scene

Part = Literal["node proxy", "sidecar", "waypoint", "agent", "control"]
PROXIES: Final[tuple[Part, ...]] = ("node proxy", "sidecar", "waypoint")
BESIDE: Final[tuple[Part, ...]] = ("agent", "control")
"""`agent` is the node agent with kubelet, service proxy and DNS of the node: one process in the local runtime."""


@dataclass(frozen=True, slots=True)
class Member:
    """Processes of one part on one node ("" for what runs on none)."""

    part: Part
    node: str
    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of one part on one node."""

    part: Part
    node: str
    processes: int
    private: int
    shared: int
    proportional: int


async def members(scene: Scene, namespace: str, *, with_node_proxies: bool) -> tuple[Member, ...]:
    """Who belongs to what; found once, as nothing is restarted while blocks run.

    The local runtime has a node proxy on every node. Where no pod uses it, a mesh would not install it: it is left out.
    """
    pods, _ = await scene.api.list(kinds.POD, namespace)
    spaces: dict[tuple[Part, str], list[Path]] = {}
    if with_node_proxies:
        spaces = {("node proxy", node): [scene.layout.netns(node)] for node in NODES}
    for pod in pods:
        spaces.setdefault((_part(pod), pod["spec"]["nodeName"]), []).append(_netns(scene, pod))
    found = [Member(part, node, tuple(usage.proxies(where))) for (part, node), where in spaces.items()]
    running = {each.name: each.id.pid for each in processes.load(scene.layout)}
    found += [Member("agent", node, (running[node],)) for node in NODES]
    found.append(Member("control", "", (running["control"],)))
    return tuple(each for each in found if each.pids)


def cpu(found: tuple[Member, ...]) -> dict[Part, float]:
    """Seconds on a CPU so far."""
    spent: dict[Part, float] = dict.fromkeys((*PROXIES, *BESIDE), 0.0)
    for each in found:
        spent[each.part] += usage.cpu(each.pids)
    return spent


def since(before: Mapping[Part, float], after: Mapping[Part, float]) -> dict[Part, float]:
    return {part: after[part] - before[part] for part in before}


def memory(found: tuple[Member, ...]) -> list[Memory]:
    read = []
    for each in found:
        used = usage.measure(list(each.pids))
        read.append(Memory(each.part, each.node, used.proxies, used.private, used.shared, used.pss))
    return read


def proxy_bytes(read: list[Memory]) -> int:
    """Of all proxies of the mesh: private pages, and on each node one copy of the shared ones."""
    whole = 0
    for node in NODES:
        own = [each for each in read if each.node == node and each.part in PROXIES]
        whole += sum(each.private for each in own) + max((each.shared for each in own), default=0)
    return whole


def _part(pod: Document) -> Part:
    return "waypoint" if wellknown.GATEWAY_NAME in (pod["metadata"].get("labels") or {}) else "sidecar"


def _netns(scene: Scene, pod: Document) -> Path:
    return scene.layout.pod_netns(pod["metadata"]["uid"])
