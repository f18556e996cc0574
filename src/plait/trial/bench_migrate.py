"""`plait bench migrate`: an app of three services moves from sidecars to ambient and back, every answer judged.

`cart` has a DENY policy of a path and `till` an ALLOW policy of its callers' identity, both attached by name: only a
proxy that reads HTTP, and sees who calls, can judge them, so their enforcement point moves from sidecars to a waypoint
that the migration makes. `stock` has none. Callers are an ambient and a sidecar pod of another namespace. It is `plait
migrate` that moves them: there with `apply`, back by `rollback` and by `apply --to sidecar` in turn.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

from plait.app.migration.plan import Scope
from plait.app.migration.run import Migration, looking
from plait.app.migration.work import Stuck
from plait.base.wellknown import DATAPLANE_MODE, INJECT, INJECTION
from plait.resources import kinds
from plait.resources.kinds import by_document
from plait.store.api import Document
from plait.trial import child, kept_logs, load, rolling
from plait.trial.scene import Scene, until

NAMESPACE: Final = "moving"
CALLERS: Final = "callers"
SERVICES: Final = ("cart", "till", "stock")
Client = Literal["ambient", "sidecar"]
CLIENTS: Final[tuple[Client, ...]] = ("ambient", "sidecar")
CALLS: Final[tuple[tuple[Client, bool], ...]] = (("ambient", False), ("sidecar", False), ("sidecar", True))
"""Client, and whether it keeps its connections. One that is kept at L4 ends with the pod at its other end, as without a
mesh, and what is sent at that moment is the application's to send again; so only those to a sidecar are kept."""
STREAMS: Final = (("cart", "/", 200), ("cart", "/denied", 403), ("till", "/", 200), ("stock", "/", 200))
"""Service, path, and the status that is right at every moment."""
_PATIENCE, _STEP = 300.0, 600.0


@dataclass(frozen=True, slots=True)
class Wanted:
    requests: int = 50_000
    rate: float = 200.0


QUICK = Wanted(requests=4_000, rate=50.0)


@dataclass(slots=True)
class Report:
    """`results` by service, path and client; `steps`: when each ended (seconds since the load began), and its name."""

    results: list[tuple[str, str, str, load.Result]] = field(default_factory=list)
    steps: list[tuple[float, str]] = field(default_factory=list)
    migrations: int = 0
    stopped: str = ""
    """Why the last migration did not come to its end."""

    @property
    def sent(self) -> int:
        return sum(result.sent for *_, result in self.results)

    def wrong(self, differing: bool) -> Counter[str]:
        """Requests that were answered, but otherwise than is right (`differing`), or else not answered; and when."""
        found: Counter[str] = Counter()
        for service, path, client, result in self.results:
            for lost in result.lost_at:
                if _differs(lost.reason) is differing:
                    step = self._during(lost.at)
                    found[f"{lost.reason}: {client} -> {service}{path}, before the end of {step}"] += 1
        return found

    def rows(self) -> list[dict[str, Any]]:
        sent = self.sent
        rows = [
            {"what": "migrations", "of": self.migrations, "wrong": int(bool(self.stopped)), "note": self.stopped},
            _row("requests lost", sent, self.wrong(differing=False)),
            _row("requests judged differently", sent, self.wrong(differing=True)),
        ]
        for service, path, right in STREAMS:
            mine = [result for name, where, _, result in self.results if (name, where) == (service, path)]
            note = f"right is {right}"
            wrong = sum(result.lost_total for result in mine)
            rows.append(
                {
                    "what": f"requests to {service}{path}",
                    "of": sum(r.sent for r in mine),
                    "wrong": wrong,
                    "note": note,
                }
            )
        return rows

    @property
    def held(self) -> bool:
        return not self.stopped and not any(result.lost for *_, result in self.results)

    def _during(self, at: float) -> str:
        return next((name for ended, name in self.steps if at <= ended), "the load")


def _differs(reason: str) -> bool:
    """A status below 500 is an answer."""
    word, _, number = reason.partition(" ")
    return word == "status" and number.isdigit() and int(number) < 500


def _row(what: str, of: int, wrong: Counter[str]) -> dict[str, Any]:
    note = "; ".join(f"{count} {name}" for name, count in wrong.most_common(5))
    return {"what": what, "of": of, "wrong": wrong.total(), "note": note}


async def run(scene: Scene, wanted: Wanted, tell: Callable[[str], None]) -> Report:
    """Begins and ends with sidecars; migrations go on until so many requests are sent."""
    await _set_up(scene)
    report = Report()
    clients = {each: await scene.pod(CALLERS, f"client-{each}") for each in CLIENTS}
    hosts = {name: await _address(scene, name) for name in SERVICES}
    streams = [(*stream, client, keep) for stream in STREAMS for client, keep in CALLS]
    plans = [
        load.Plan(
            hosts[service],
            8080,
            rate=wanted.rate / len(streams),
            connections=4,
            keep_alive=keep,
            path=path,
            right=right,
            phase=number / wanted.rate,
            inside=clients[client].netns,
            name=f"{client}-{service}{path.rstrip('/').replace('/', '-')}-{'kept' if keep else 'each'}",
        )
        for number, (service, path, right, client, keep) in enumerate(streams)
    ]
    async with kept_logs.KeptLogs(scene.layout) as logs:
        results = await _migrating(scene, wanted, plans, report, tell)
    for (service, path, _, client, _), result in zip(streams, results, strict=True):
        report.results.append((service, path, client, result))
    traced = await logs.traced(scene, (lost for result in results for lost in result.lost_at))
    for line in kept_logs.told(traced, logs.began):
        tell(line)
    return report


async def _migrating(
    scene: Scene, wanted: Wanted, plans: Sequence[load.Plan], report: Report, tell: Callable[[str], None]
) -> list[load.Result]:
    """Migrations under load, until so many requests are sent and all is as in the beginning."""
    loading = child.start(partial(_all, plans), None, scene.holder, precise=True)
    began = time.perf_counter()

    def step(words: str) -> None:
        report.steps.append((time.perf_counter() - began, words))

    migration = Migration(scene.api, Scope(NAMESPACE), looking(scene.api, Scope(NAMESPACE)), step)
    try:
        await asyncio.sleep(1.0)
        while (time.perf_counter() - began) * wanted.rate < wanted.requests or report.migrations % 2:
            await _move(migration, report.migrations)
            report.migrations += 1
            tell(f"migration {report.migrations}, about {(time.perf_counter() - began) * wanted.rate:.0f} requests")
        await asyncio.sleep(1.0)
    except Stuck as stuck:  # what was seen until then is told all the same
        report.stopped = str(stuck)
    finally:
        results = await asyncio.get_running_loop().run_in_executor(None, loading.finish)
    return results


async def _move(migration: Migration, number: int) -> None:
    """There, back by rollback, there, back by a migration of its own."""
    if number % 4 == 1:
        await migration.rollback(timeout=_STEP)
    else:
        await migration.apply("sidecar" if number % 4 == 3 else "ambient", secrets.token_hex(4), timeout=_STEP)


async def _all(plans: Sequence[load.Plan], stop: asyncio.Event) -> list[load.Result]:
    return list(await asyncio.gather(*(load.run(plan, stop) for plan in plans)))


# The app ---


async def _set_up(scene: Scene) -> None:
    for document in world():
        kind, meta = by_document(document), document["metadata"]
        assert kind is not None, document
        await scene.api.patch(kind, meta["name"], document, meta.get("namespace", ""), type="apply", force=True)
    await scene.wait_ready([CALLERS, NAMESPACE], _PATIENCE)
    for name in SERVICES:
        await until(partial(rolling.rolled, scene, name, NAMESPACE), _PATIENCE, 0.05)
        await until(partial(rolling.in_mode, scene, name, NAMESPACE, "sidecar"), _PATIENCE, 0.05)
    for client in CLIENTS:
        await until(partial(rolling.in_mode, scene, f"client-{client}", CALLERS, client), _PATIENCE, 0.05)
        await until(partial(_judges, scene, client), _PATIENCE, 0.1)


async def _judges(scene: Scene, client: str) -> str:
    """Every stream is judged right before anything moves."""
    pod = await scene.pod(CALLERS, f"client-{client}")
    for service, path, right in STREAMS:
        plan = load.Plan(await _address(scene, service), 8080, rate=20.0, seconds=0.2, connections=1, path=path)
        result = await scene.inside(pod, partial(load.run, plan))
        if set(result.statuses) != {right}:
            return f"{service}{path} from {client}: {dict(result.statuses)} {dict(result.lost)}, not {right}"
    return ""


async def _address(scene: Scene, service: str) -> str:
    return str((await scene.api.get(kinds.SERVICE, service, NAMESPACE))["spec"]["clusterIP"])


def world() -> list[Document]:
    """Everything in the order of creation."""
    return list(_world())


def _world() -> Iterator[Document]:
    yield kept_logs.LOGGED
    spaces = {NAMESPACE: {INJECTION: "enabled"}, CALLERS: {}}
    for name, labels in spaces.items():
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    for name in SERVICES:
        yield _object("v1", "ServiceAccount", name)
        ports = [{"name": "http", "port": 8080}]
        yield _object("v1", "Service", name, spec={"selector": {"app": name}, "ports": ports})
        yield rolling.deployment(name, NAMESPACE, replicas=2)
    yield _policy("denied", "cart", "DENY", {"to": [{"operation": {"paths": ["/denied"]}}]})
    callers = {"from": [{"source": {"principals": [f"cluster.local/ns/{CALLERS}/sa/default"]}}]}
    yield _policy("callers", "till", "ALLOW", callers)
    for client, labels in (("ambient", {DATAPLANE_MODE: "ambient"}), ("sidecar", {INJECT: "true"})):
        container = {"name": "app", "image": "busybox", "command": ["sleep", "infinity"]}
        pod = {"terminationGracePeriodSeconds": 0, "containers": [container]}
        yield _object("v1", "Pod", f"client-{client}", CALLERS, {"app": f"client-{client}", **labels}, spec=pod)


def _object(
    version: str, kind: str, name: str, namespace: str = NAMESPACE, labels: dict[str, str] | None = None, **rest: Any
) -> Document:
    meta = {"name": name, "namespace": namespace, **({"labels": labels} if labels else {})}
    return {"apiVersion": version, "kind": kind, "metadata": meta, **rest}


def _policy(name: str, service: str, action: str, rule: Document) -> Document:
    target = {"group": "", "kind": "Service", "name": service}
    spec = {"targetRefs": [target], "action": action, "rules": [rule]}
    return _object("security.istio.io/v1", "AuthorizationPolicy", name, spec=spec)
