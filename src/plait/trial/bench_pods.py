"""The part of `plait bench l4 --faults` about pods that come and go: first acts, and memory by local pods.

Pods are made a few at a time: the local runtime starts one in about a second of CPU, and what is asked is whether the
first call is served, not how many pods the machine can start at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from plait.base import wellknown
from plait.resources.kinds import POD, SERVICE_ACCOUNT, Kind
from plait.store.api import ApiError, Document
from plait.trial import usage
from plait.trial.losses import Report, Wanted, agent
from plait.trial.scene import Scene, SceneError, ready, until

SPACE = "bench-l4"
NODE = "node-1"
LANES = 4
_POLL = 0.05  # of each lane: the API server is part of the machine that is measured
_STARTED = 60.0
# One GET on a connection of its own, at once; exit code 0 when it was answered with 200.
_FIRST_ACT = """
import http.client, sys
try:
    c = http.client.HTTPConnection(sys.argv[1], 8080, timeout=5); c.request("GET", "/"); status = c.getresponse().status
except OSError as error:
    status = error
print(status, flush=True)
sys.exit(0 if status == 200 else 9)
"""


async def starts(scene: Scene, address: str, wanted: Wanted, report: Report, tell: Callable[[str], None]) -> None:
    """Pods whose first act is a call, `LANES` at a time."""
    await account(scene, "trusted")
    numbers = iter(range(wanted.starts))
    reasons: list[str] = []

    async def lane() -> None:
        for number in numbers:
            name = f"first-{number}"
            await made(scene, POD, pod(name, "trusted", ["/usr/bin/python3", "-c", _FIRST_ACT, address]))
            try:
                if (code := await ended(scene, name)) != 0:
                    reasons.append(f"{name}: exit code {code}")
            except SceneError as error:
                reasons.append(str(error))
            await gone(scene, name)
            if number % 100 == 99:
                tell(f"  {number + 1} of {wanted.starts} pods")

    await asyncio.gather(*(lane() for _ in range(LANES)))
    report.add(
        f"pod starts whose first act is a call, {LANES} at a time",
        wanted.starts,
        len(reasons),
        ", ".join(reasons[:3]),
    )


async def memory(scene: Scene, _: str, wanted: Wanted, report: Report, tell: Callable[[str], None]) -> None:
    """Of agent and Envoy of one node with so many captured pods on it; the client of the pair is one of them."""
    have = 1
    for count in sorted(wanted.local_pods):
        extra = [f"idle-{number}" for number in range(have, count)]
        for name in extra:
            await made(scene, POD, pod(name, "default", ["/bin/sleep", "infinity"]))
        have = max(have, count)
        await until(partial(_captured, scene, extra), 60.0 + count, 0.2)
        await asyncio.sleep(2.0)
        tell(f"  {count} local pods")
        proxy = usage.measure(usage.proxies([scene.layout.netns(NODE)]))
        beside = usage.measure([agent(scene, NODE)])
        report.say(
            f"memory of {NODE} at {count} local pods (private / proportional)",
            f"Envoy {_mb(proxy)}, agent and kubelet {_mb(beside)}",
        )
    for number in range(1, have):
        await scene.api.delete(POD, f"idle-{number}", SPACE)


def _mb(used: usage.Usage) -> str:
    return f"{used.private / 1e6:.1f} / {used.pss / 1e6:.1f} MB"


async def account(scene: Scene, name: str) -> None:
    """A service account, which may be there already."""
    try:
        await made(scene, SERVICE_ACCOUNT, {"metadata": {"name": name, "namespace": SPACE}})
    except ApiError as error:
        if error.code != 409:
            raise


async def made(scene: Scene, kind: Kind, document: Document) -> None:
    full = {"apiVersion": kind.api_version(), "kind": kind.kind, **document}
    await scene.api.create(kind, full, SPACE)


def pod(name: str, service_account: str, command: list[str], address: str = "") -> Document:
    """A pod that runs once on `NODE`; `address` is the one it is to have, "" for any."""
    return {
        "metadata": {
            "name": name,
            "namespace": SPACE,
            "labels": {"app": name},
            **({"annotations": {wellknown.ADDRESS: address}} if address else {}),
        },
        "spec": {
            "serviceAccountName": service_account,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "nodeSelector": {"kubernetes.io/hostname": NODE},
            "containers": [{"name": "c", "image": "none", "command": command}],
        },
    }


async def ended(scene: Scene, name: str) -> int:
    """The exit code of the pod's only container, once it has ended."""
    code = -1

    async def over() -> str:
        nonlocal code
        status = (await scene.api.get(POD, name, SPACE)).get("status") or {}
        for each in status.get("containerStatuses") or ():
            if (final := (each.get("state") or {}).get("terminated")) is not None:
                code = int(final["exitCode"])
                return ""
        return f"{name} is {status.get('phase')}"

    await until(over, _STARTED, _POLL)
    return code


async def gone(scene: Scene, name: str) -> None:
    """Delete the pod and wait until nothing of it is left."""
    await scene.api.delete(POD, name, SPACE)

    async def absent() -> str:
        try:
            await scene.api.get(POD, name, SPACE)
        except ApiError:
            return ""
        return f"{name} is still there"

    await until(absent, _STARTED, _POLL)


async def _captured(scene: Scene, names: list[str]) -> str:
    items, _ = await scene.api.list(POD, SPACE)
    known = {item["metadata"]["name"]: item for item in items}
    for name in names:
        found = known.get(name)
        notes = (found["metadata"].get("annotations") or {}) if found else {}
        if found is None or not ready(found) or notes.get(wellknown.REDIRECTION) != "enabled":
            return f"{name} is not captured"
    return ""
