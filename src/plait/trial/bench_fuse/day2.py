"""Day-2 tasks, done for real in two ways: what an operator types, what restarts, which requests are lost.

Both ways begin with the same namespace outside the mesh: two applications, and a client in the way's mode that is no
part of what is operated. Requests run all the time, a connection each, so that nothing hides in kept connections.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from plait.base.wellknown import GATEWAY_NAME
from plait.resources import kinds
from plait.store.api import ApiError
from plait.trial import child, load, rolling, usage
from plait.trial.bench_fuse.tasks import APPS, NAMESPACE, PORT, TASKS, Task, Way, address, world
from plait.trial.bench_fuse.worlds import NODES
from plait.trial.scene import Scene, SceneError, until

_RATE, _PATIENCE = 50.0, 90.0


@dataclass(frozen=True, slots=True)
class Done:
    task: str
    way: Way
    commands: tuple[str, ...]
    restarted: int
    replaced: int
    lost: int
    requests: int
    seconds: float
    failed: str = ""


async def run(scene: Scene, way: Way, tell: Callable[[str], None]) -> list[Done]:
    """All tasks in their order; each begins where the one before ended."""
    await scene.put(world(way))
    await scene.wait_ready([NAMESPACE], _PATIENCE)
    await until(partial(rolling.in_mode, scene, "client", NAMESPACE, way), _PATIENCE, 0.1)
    done = []
    for task in TASKS:
        done.append(await _do(scene, way, task))
        tell(f"{task.name} ({way}): {done[-1].failed or f'{done[-1].seconds:.1f} s'}")
    return done


async def _do(scene: Scene, way: Way, task: Task) -> Done:
    client = await scene.pod(NAMESPACE, "client")
    hosts = [await address(scene, app) for app in APPS]
    plans = [load.Plan(host, PORT, rate=_RATE / len(hosts), keep_alive=False, inside=client.netns) for host in hosts]
    before = await _standing(scene)
    loading = child.start(partial(load.together, plans), None, scene.holder)
    await asyncio.sleep(1.0)
    began, failed = time.perf_counter(), ""
    try:
        for command in task.ways[way]:
            await command.work(scene)
        await until(lambda: task.settled(scene, way), _PATIENCE, 0.1)
    except (SceneError, ApiError) as error:
        failed = str(error)
    seconds = time.perf_counter() - began
    await asyncio.sleep(1.0)
    result = await asyncio.get_running_loop().run_in_executor(None, loading.finish)
    after = await _standing(scene)
    words = tuple(command.words for command in task.ways[way])
    restarted = before["applications"] - after["applications"]
    replaced = after["proxies"] - before["proxies"]  # an old node proxy lives until its last connection ends
    return Done(task.name, way, words, len(restarted), len(replaced), result.lost_total, result.sent, seconds, failed)


async def _standing(scene: Scene) -> dict[str, set[str]]:
    """Who runs now: pods of the applications, and proxies that belong to none of them.

    A container that was restarted is another one, like a pod that was made anew.
    """
    pods, _ = await scene.api.list(kinds.POD, NAMESPACE)
    found: dict[str, set[str]] = {"applications": set(), "proxies": set()}
    for pod in pods:
        restarts = [each.get("restartCount", 0) for each in (pod.get("status") or {}).get("containerStatuses") or ()]
        mark = f"{pod['metadata']['uid']} {restarts}"
        gateway = GATEWAY_NAME in (pod["metadata"].get("labels") or {})
        if not pod["metadata"].get("deletionTimestamp"):
            found["proxies" if gateway else "applications"].add(mark)
    for node in NODES:
        found["proxies"] |= {str(pid) for pid in usage.proxies([scene.layout.netns(node)])}
    return found


def saving(done: Sequence[Done]) -> tuple[float, float]:
    """What the ambient way saves of (commands + pods restarted): as the mean over tasks, and of all tasks together.

    Only tasks that both ways came to the end of.
    """
    cost = {(each.task, each.way): len(each.commands) + each.restarted for each in done if not each.failed}
    both = [(cost[task, "sidecar"], cost[task, "ambient"]) for task, way in cost if _twin(cost, task, way)]
    if not both:
        return 0.0, 0.0
    whole = 1 - sum(ours for _, ours in both) / sum(theirs for theirs, _ in both)
    return sum(1 - ours / theirs for theirs, ours in both) / len(both), whole


def _twin(cost: Mapping[tuple[str, Way], int], task: str, way: Way) -> bool:
    return way == "sidecar" and (task, "ambient") in cost
