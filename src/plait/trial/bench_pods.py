"""The part of `plait bench l4 --faults` about pods: first acts, addresses that change hands, memory by local pods."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from plait.base import wellknown
from plait.resources.kinds import AUTHORIZATION_POLICY, POD, SERVICE_ACCOUNT
from plait.store.api import ApiError, Document
from plait.trial import usage
from plait.trial.losses import Report, Wanted, agent
from plait.trial.scene import Scene, SceneError, ready, until

_SPACE = "bench-l4"
# One GET on a connection of its own, at once; exit code 0 when it was answered with 200.
_FIRST_ACT = """
import http.client, sys, time
began = time.time()
try:
    c = http.client.HTTPConnection(sys.argv[1], 8080, timeout=5); c.request("GET", "/"); status = c.getresponse().status
except OSError as error:
    status = error
print(began, status, flush=True)
sys.exit(0 if status == 200 else 1)
"""


async def run(scene: Scene, address: str, wanted: Wanted, report: Report, tell: Callable[[str], None]) -> None:
    for name in ("trusted", "stranger"):
        await _made(scene, SERVICE_ACCOUNT, {"metadata": {"name": name, "namespace": _SPACE}})
    tell("pods whose first act is a call")
    failed = 0
    for number in range(wanted.starts):
        failed += not (await _acted(scene, f"first-{number}", "trusted", address))[0]
    report.add("pod starts whose first act is a call", wanted.starts, failed)
    tell("addresses that change hands")
    await _reuse(scene, address, wanted.reuses, report)
    tell("memory")
    for count in (1, wanted.local_pods):
        await _memory(scene, count, report)


async def _made(scene: Scene, kind: Any, document: Document) -> None:
    full = {"apiVersion": kind.api_version(), "kind": kind.kind, **document}
    await scene.api.create(kind, full, _SPACE)


def _pod(name: str, account: str, command: list[str]) -> Document:
    return {
        "metadata": {"name": name, "namespace": _SPACE, "labels": {"app": name}},
        "spec": {
            "serviceAccountName": account,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "nodeSelector": {"kubernetes.io/hostname": "node-1"},
            "containers": [{"name": "c", "image": "none", "command": command}],
        },
    }


async def _acted(scene: Scene, name: str, account: str, address: str) -> tuple[bool, str, float]:
    """Whether a new pod's first call was served, the pod's address, and seconds until that; the pod is deleted."""
    began = time.perf_counter()
    command = ["/usr/bin/python3", "-c", _FIRST_ACT, address]
    await _made(scene, POD, _pod(name, account, command))
    last: Document = {}

    async def ended() -> str:
        nonlocal last
        last = await scene.api.get(POD, name, _SPACE)
        phase = last.get("status", {}).get("phase")
        return "" if phase in ("Succeeded", "Failed") else f"{name} is {phase}"

    try:
        await until(ended, 30.0)
    except SceneError:
        return False, "", time.perf_counter() - began
    finally:
        await _gone(scene, name)
    status = last["status"]
    return status["phase"] == "Succeeded", status.get("podIP", ""), time.perf_counter() - began


async def _gone(scene: Scene, name: str) -> None:
    await scene.api.delete(POD, name, _SPACE)

    async def gone() -> str:
        try:
            await scene.api.get(POD, name, _SPACE)
        except ApiError:
            return ""
        return f"{name} is still there"

    await until(gone, 20.0)


async def _reuse(scene: Scene, address: str, count: int, report: Report) -> None:
    """Only `trusted` may call. Its pod goes, a `stranger` comes at once; where it got the same address it is judged."""
    await _made(
        scene,
        AUTHORIZATION_POLICY,
        {
            "metadata": {"name": "only-trusted", "namespace": _SPACE},
            "spec": {
                "selector": {"matchLabels": {"app": "echo"}},
                "rules": [{"from": [{"source": {"principals": [f"cluster.local/ns/{_SPACE}/sa/trusted"]}}]}],
            },
        },
    )
    await asyncio.sleep(1.0)
    judged = accepted = refused_wrongly = 0
    for number in range(count):
        served, before, _ = await _acted(scene, f"owner-{number}", "trusted", address)
        refused_wrongly += not served
        served, after, _ = await _acted(scene, f"thief-{number}", "stranger", address)
        if before and before == after:
            judged += 1
        accepted += served
    note = f"{judged} of {count} strangers had the address of the trusted pod before them"
    report.add("calls accepted under the wrong identity", count, accepted, note)
    report.add("calls of the trusted pod refused", count, refused_wrongly)
    await scene.api.delete(AUTHORIZATION_POLICY, "only-trusted", _SPACE)


async def _memory(scene: Scene, count: int, report: Report) -> None:
    """Private memory of agent and Envoy of node-1 with `count` captured pods on it (the client is one of them)."""
    extra = [f"idle-{number}" for number in range(count - 1)]
    for name in extra:
        await _made(scene, POD, _pod(name, "default", ["/bin/sleep", "infinity"]))
    await until(partial(_all_captured, scene, extra), 60.0)
    await asyncio.sleep(2.0)
    proxies = usage.measure(usage.proxies([scene.layout.netns("node-1")])).private
    agents = usage.measure([agent(scene, "node-1")]).private
    report.rows.append(
        {
            "what": f"private memory at {count} local pods",
            "of": None,
            "lost": None,
            "note": f"Envoy {proxies / 1e6:.1f} MB, agent {agents / 1e6:.1f} MB",
        }
    )
    for name in extra:
        await scene.api.delete(POD, name, _SPACE)


async def _all_captured(scene: Scene, names: list[str]) -> str:
    for name in names:
        pod = await scene.api.get(POD, name, _SPACE)
        notes = pod["metadata"].get("annotations") or {}
        if not ready(pod) or notes.get(wellknown.REDIRECTION) != "enabled":
            return f"{name} is not captured"
    return ""
