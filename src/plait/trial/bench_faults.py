"""`plait bench l4 --faults`: what is lost while parts of the mesh end, pods come and go and addresses change hands.

Every figure is a count of what went wrong beside how often it could have. Nothing is retried. What ends by `kill -9`
may lose connections that it held: that is counted like everything else, not excused.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp

from plait.app.agent_paths import RESTART
from plait.base import wellknown
from plait.resources.kinds import SERVICE
from plait.trial import bench_pods, bench_reuse, child, held, load, usage
from plait.trial.losses import Report, Wanted, agent
from plait.trial.scene import Pod, Scene, SceneError, until

Part = Callable[[Scene, str, Wanted, Report, Callable[[str], None]], Awaitable[None]]
"""One group of counts: the scene, the address of the server's Service, how much, where to, and whom to tell."""
_SPACE = "bench-l4"
_SETTLE = 2.0


async def run(scene: Scene, samples: Path, wanted: Wanted, tell: Callable[[str], None]) -> Report:
    """All that is wanted, one part after another, in one mesh."""
    await scene.apply(samples / "bench" / "pair.yaml")
    await scene.wait_ready(["bench-none", _SPACE])
    await until(partial(_labelled, scene, "enabled"), 20.0)
    report = Report()
    address = str((await scene.api.get(SERVICE, "echo", _SPACE))["spec"]["clusterIP"])
    for name in wanted.parts or PARTS:
        tell(name)
        await PARTS[name](scene, address, wanted, report, tell)
    return report


async def _ends(scene: Scene, address: str, wanted: Wanted, report: Report, tell: Callable[[str], None]) -> None:
    """Parts of the mesh end or are handed over on the client's node."""
    client = await scene.pod(_SPACE, "client")
    for what, act in (
        ("agent killed", partial(_kill_agent, scene, client.node)),
        ("Envoy handed over", partial(_hand_over, scene, client.node)),
        ("Envoy killed", partial(_kill_envoy, scene, client.node)),
    ):
        tell(f"  {what}")
        async with _under_load(scene, client, address, wanted.connections, wanted.rate, True, what, report):
            await act()


async def _cycles(scene: Scene, address: str, wanted: Wanted, report: Report, tell: Callable[[str], None]) -> None:
    """Both pods leave the mesh and enter it, again and again."""
    client = await scene.pod(_SPACE, "client")
    what = f"{wanted.cycles} times out and in"
    async with _under_load(scene, client, address, 50, 200.0, False, what, report):
        for number in range(wanted.cycles):
            for mode, value in ((None, None), ("ambient", "enabled")):
                await scene.label_namespace(_SPACE, {wellknown.DATAPLANE_MODE: mode})
                await until(partial(_labelled, scene, value), 20.0, 0.02)
            if number % 20 == 19:
                tell(f"  {number + 1} of {wanted.cycles} times")


PARTS: dict[str, Part] = {
    "ends": _ends,
    "cycles": _cycles,
    "starts": bench_pods.starts,
    "reuse": bench_reuse.run,
    "memory": bench_pods.memory,
}


@asynccontextmanager
async def _under_load(
    scene: Scene, client: Pod, address: str, connections: int, rate: float, keep: bool, what: str, report: Report
) -> AsyncIterator[None]:
    """Long connections and requests around what happens in the block, and a row for each of both."""
    plan = load.Plan(address, 8080, rate=rate, connections=16, keep_alive=keep)
    long = child.start(partial(held.hold, address, 8080, connections), client.netns, scene.holder)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, long.wait_started)
    requests = child.start(partial(load.run, plan), client.netns, scene.holder)
    await asyncio.sleep(_SETTLE)
    try:
        yield
        await asyncio.sleep(_SETTLE)
    finally:
        sent = await loop.run_in_executor(None, requests.finish)
        kept = await loop.run_in_executor(None, long.finish)
    report.add(f"{what}: long connections", kept.opened, kept.broken_total, _reasons(kept.broken))
    how = "kept connections" if keep else "a connection each"
    reasons = _reasons(sent.lost)
    if sent.unsent:
        reasons = f"{reasons + ', ' if reasons else ''}the machine carried less: {sent.unsent} never sent"
    report.add(f"{what}: requests at {rate:.0f} rps, {how}", sent.sent, sent.lost_total, reasons)


def _reasons(found: dict[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in found.items())


async def _labelled(scene: Scene, value: str | None) -> str:
    pods = await scene.pods(_SPACE)
    late = [pod.name for pod in pods if pod.annotations.get(wellknown.REDIRECTION) != value]
    return f"redirection is not {value} on {', '.join(late)}" if late or not pods else ""


def _envoys(scene: Scene, node: str) -> list[int]:
    return usage.proxies([scene.layout.netns(node)])


async def _kill_agent(scene: Scene, node: str) -> None:
    old = agent(scene, node)
    if not old:
        raise SceneError(f"no agent of {node} is running")
    os.kill(old, signal.SIGKILL)

    async def back() -> str:
        return "" if agent(scene, node) not in (0, old) else f"no new agent on {node}"

    await until(back, 20.0)


async def _kill_envoy(scene: Scene, node: str) -> None:
    old = set(_envoys(scene, node))
    for pid in old:
        os.kill(pid, signal.SIGKILL)

    async def back() -> str:
        return "" if set(_envoys(scene, node)) - old else f"no new Envoy on {node}"

    await until(back, 20.0)


async def _hand_over(scene: Scene, node: str) -> None:
    connector = aiohttp.UnixConnector(str(scene.layout.command_socket(node)))
    timeout = aiohttp.ClientTimeout(60)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        session.post(f"http://agent{RESTART}") as answer,
    ):
        if answer.status != 200:
            raise SceneError(f"{node}: {await answer.text()}")
