"""The story of `plait demo --waypoint`: a waypoint comes, splits, refuses, sleeps, wakes and goes; each is counted.

Whether a request arrived is asked of the servers, never of a proxy.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from plait.resources import kinds
from plait.trial.evidence import Evidence
from plait.trial.scene import Scene, until
from plait.trial.waypoint import manifests
from plait.trial.waypoint.manifests import AROUND, NAME, SERVICE, TARGET
from plait.trial.waypoint.stage import PATIENCE, Asked, Stage

_SPLIT = 400
_NEAR = 0.07
"""How far from 80 % the share of that many requests may be: 3.5 standard deviations."""
_RATE = 100.0


async def tell(scene: Scene, evidence: Evidence) -> None:
    """Every claim in turn; `SceneError` when the mesh does not come so far."""
    stage = await Stage.of(scene)
    await _declared(stage, evidence)
    await _weighted(stage, evidence)
    await _denied(stage, evidence)
    await _around(stage, evidence)
    await _asleep(stage, evidence)
    await _detached(stage, evidence)
    await _gone(stage, evidence)


async def _declared(stage: Stage, evidence: Evidence) -> None:
    before = await stage.ask(5)
    began = time.perf_counter()
    await stage.apply(manifests.gateway())
    await stage.use(NAME)
    await until(lambda: _through(stage), PATIENCE)
    took = time.perf_counter() - began
    after = await stage.ask(20)
    evidence.check(
        "a Gateway and a label put a waypoint on the way",
        before.proxied == 0 and after.proxied == after.sent == after.arrived.total() and after.statuses[200] == 20,
        f"{took * 1e3:.0f} ms to the first answer through it; then {after.proxied} of {after.sent} passed it "
        f"and {after.arrived.total()} arrived; before: {before.proxied} of {before.sent}",
    )


async def _weighted(stage: Stage, evidence: Evidence) -> None:
    await stage.apply(manifests.weights(v1=100, v2=0))
    await until(lambda: _all_to(stage, "v1"), PATIENCE)
    await stage.apply(manifests.weights(v1=80, v2=20))
    await until(lambda: _reaches(stage, "v2"), PATIENCE)
    split = await stage.ask(_SPLIT)
    share = split.arrived["v1"] / max(1, split.arrived.total())
    evidence.check(
        "a route splits by weight",
        split.arrived.total() == _SPLIT and abs(share - 0.8) <= _NEAR,
        f"80 and 20 written: {split.arrived['v1']} at v1 and {split.arrived['v2']} at v2, of {_SPLIT}",
    )


async def _denied(stage: Stage, evidence: Evidence) -> None:
    before = await stage.ask(5, "/admin/users")
    await stage.apply(manifests.no_admin())
    await until(lambda: _refuses(stage, "/admin/users"), PATIENCE)
    denied, served = await stage.ask(20, "/admin/users"), await stage.ask(20, "/orders")
    evidence.check(
        "a policy denies a path, and the denied requests do not arrive",
        denied.statuses == {403: 20} and not denied.arrived.total() and served.arrived.total() == 20,
        f"/admin: {_said(denied)} (before: {_said(before)}); /orders: {_said(served)}",
    )


async def _around(stage: Stage, evidence: Evidence) -> None:
    """The server's own node refuses whoever did not come through the waypoint."""
    (pod, *_) = await stage.scene.pods(manifests.NAMESPACE, f"app={SERVICE}")
    ways = {
        "the pod's address": await stage.ask(5, "/admin/users", pod.address, TARGET),
        f"Service {AROUND}": await stage.ask(5, "/admin/users", stage.addresses[AROUND]),
    }
    evidence.check(
        "nobody gets around it: other ways to the same pods are refused",
        all(not each.arrived.total() and not each.statuses[200] for each in ways.values()),
        "; ".join(f"{way}: {_said(each)}" for way, each in ways.items()),
    )
    await stage.scale(0)
    await until(lambda: _proxies(stage, 0), PATIENCE)
    alone = await stage.ask(5, "/orders")
    await stage.scale(1)
    await until(lambda: _through(stage), PATIENCE)
    back, denied = await stage.ask(5, "/orders"), await stage.ask(5, "/admin/users")
    evidence.check(
        "without a proxy nothing passes unjudged",
        not alone.arrived.total() and back.arrived.total() == 5 and denied.statuses == {403: 5},
        f"no proxy: {_said(alone)}; a new one: /orders {_said(back)}, /admin {_said(denied)}",
    )


async def _asleep(stage: Stage, evidence: Evidence) -> None:
    """Sleep after two seconds without use; then requests at once at full rate."""
    await stage.apply(manifests.gateway(**{"plait.dev/scale-to-zero": "2s"}))
    slept = await until(lambda: _proxies(stage, 0), PATIENCE)
    result, arrived = await stage.burst(_RATE, 3.0)
    denied = await stage.ask(5, "/admin/users")
    evidence.check(
        "a waypoint that nobody uses sleeps; the next requests wait for it and none is lost",
        not result.lost_total and arrived == result.sent and denied.statuses == {403: 5},
        f"asleep after {slept:.1f} s; then {result.lost_total} of {result.sent} lost at {_RATE:.0f} rps, {arrived} "
        f"arrived; the slowest waited {result.percentile(1.0) * 1e3:.0f} ms; /admin {_said(denied)}"
        + (f" ({dict(result.lost)})" if result.lost else ""),
    )


async def _detached(stage: Stage, evidence: Evidence) -> None:
    """Under load. The policy goes first: while it stands at a server's node, nobody may pass without a waypoint."""
    await stage.delete(kinds.AUTHORIZATION_POLICY, "no-admin")
    await stage.delete(kinds.HTTP_ROUTE, SERVICE)
    await until(lambda: _unguarded(stage), PATIENCE)
    running, tag = stage.loading(_RATE)
    await asyncio.sleep(1.0)
    await stage.use("none")
    await until(lambda: _straight(stage), PATIENCE)
    await asyncio.sleep(1.0)
    result = await asyncio.get_running_loop().run_in_executor(None, running.finish)
    arrived = (await stage.counted(tag)).total()
    after = await stage.ask(20)
    evidence.check(
        "it is taken off the way under load, and no request is lost",
        not result.lost_total and arrived == result.sent > _RATE and not after.proxied,
        f"{result.lost_total} of {result.sent} lost at {_RATE:.0f} rps, {arrived} arrived; then {after.proxied} of "
        f"{after.sent} passed it" + (f" ({dict(result.lost)})" if result.lost else ""),
    )


async def _gone(stage: Stage, evidence: Evidence) -> None:
    made = (kinds.DEPLOYMENT, kinds.SERVICE, kinds.SERVICE_ACCOUNT)
    before = [kind.kind for kind in made if await stage.present(kind)]
    await stage.delete(kinds.GATEWAY, NAME)

    async def gone() -> str:
        left = [kind.kind for kind in made if await stage.present(kind)]
        return f"still there: {left}, {await stage.proxies()} pods" if left or await stage.proxies() else ""

    took = await until(gone, PATIENCE)
    folders = len(list(stage.scene.layout.proxies.iterdir()))
    after = await stage.ask(20)
    evidence.check(
        "with its Gateway everything goes that was made for it",
        len(before) == len(made) and not folders and after.arrived.total() == 20,
        f"{', '.join(before)} and their pods gone after {took:.1f} s, {folders} folders of proxies left; "
        f"the service answers: {_said(after)}",
    )


def _said(asked: Asked) -> str:
    """What the client got, and what arrived."""
    got = ", ".join(f"{count}x {status or 'closed'}" for status, count in sorted(asked.statuses.items()))
    return f"{got}, {asked.arrived.total()} arrived"


async def _through(stage: Stage) -> str:
    asked = await stage.ask(1)
    return "" if asked.proxied and asked.statuses[200] else f"not through the waypoint yet: {_said(asked)}"


async def _straight(stage: Stage) -> str:
    asked = await stage.ask(1)
    return "" if not asked.proxied and asked.statuses[200] else f"still through the waypoint: {_said(asked)}"


async def _all_to(stage: Stage, version: str) -> str:
    asked = await stage.ask(10)
    return (
        "" if asked.arrived == Counter({version: 10, **_none(version)}) else f"not only to {version}: {asked.arrived}"
    )


def _none(but: str) -> dict[str, int]:
    return {version: 0 for version in manifests.VERSIONS if version != but}


async def _reaches(stage: Stage, version: str) -> str:
    return "" if (await stage.ask(10)).arrived[version] else f"nothing comes to {version} yet"


async def _refuses(stage: Stage, path: str) -> str:
    asked = await stage.ask(1, path)
    return "" if asked.statuses[403] else f"{path} is not refused yet: {_said(asked)}"


async def _unguarded(stage: Stage) -> str:
    """The policy is gone from the waypoint and from the node of every server."""
    pods = await stage.scene.pods(manifests.NAMESPACE, f"app={SERVICE}")
    ways = [await stage.ask(1, "/admin/users")]
    ways += [await stage.ask(1, "/admin/users", pod.address, TARGET) for pod in pods]
    return "" if all(each.statuses[200] for each in ways) else f"refused yet: {'; '.join(map(_said, ways))}"


async def _proxies(stage: Stage, wanted: int) -> str:
    found = await stage.proxies()
    return "" if found == wanted else f"{found} proxies, not {wanted}"
