"""`plait bench up` and `plait bench enrol`: time to the first mTLS request, and to enrol."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from plait.base import wellknown
from plait.resources.kinds import SERVICE
from plait.trial import talk
from plait.trial.scene import Scene, until


async def first_request(scene: Scene, samples: Path) -> None:
    """Apply the enrolled pair of the bench and return when a request went through mutual TLS."""
    await scene.apply(samples / "bench" / "pair.yaml")

    async def answered() -> str:
        clients = await scene.pods("bench-l4", "app=client")
        if not clients or clients[0].annotations.get(wellknown.REDIRECTION) != "enabled":
            return "the client is not captured"
        if not await scene.pods("bench-l4", "app=echo"):
            return "the server is not ready"
        service = await scene.api.get(SERVICE, "echo", "bench-l4")
        reply = await scene.inside(clients[0], lambda _: talk.get(service["spec"]["clusterIP"], 8080))
        return "" if reply.status == 200 else f"{reply.status} {reply.body}"

    await until(answered, 30.0)


async def enrolments(scene: Scene, samples: Path, rounds: int, tell: Callable[[str], None]) -> list[float]:
    """Seconds from label to verified capture of the two pods of bench-none, `rounds` times."""
    await scene.apply(samples / "bench" / "pair.yaml")
    await scene.wait_ready(["bench-none"])
    took = []
    for number in range(rounds):
        began = time.perf_counter()
        await scene.label_namespace("bench-none", {wellknown.DATAPLANE_MODE: "ambient"})
        await until(lambda: _all(scene, "enabled"), 20.0)
        took.append(time.perf_counter() - began)
        tell(f"round {number + 1}: {took[-1] * 1000:.0f} ms")
        await scene.label_namespace("bench-none", {wellknown.DATAPLANE_MODE: None})
        await until(lambda: _all(scene, None), 30.0)
    return took


async def _all(scene: Scene, value: str | None) -> str:
    pods = await scene.pods("bench-none")
    late = [pod.name for pod in pods if pod.annotations.get(wellknown.REDIRECTION) != value]
    return f"redirection is not {value} on {', '.join(late)}" if late or not pods else ""
