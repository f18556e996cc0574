"""The state machine of a migration: its record is a ConfigMap of the namespace, so whoever comes later goes on.

`apply` runs forward from where the record stands, `rollback` takes back what was done, from any point. A step that gets
stuck stops the run and changes nothing else: the world between two steps is sound by the order of the steps.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Final, Literal

import msgspec
from msgspec import Struct

from plait.app import reading
from plait.app.migration.outlook import Outlook, outlook
from plait.app.migration.plan import Scope
from plait.app.migration.shadow import differing
from plait.app.migration.steps import Step, back, steps
from plait.app.migration.work import Stuck, Work
from plait.model.modes import Mode
from plait.resources import kinds
from plait.store.api import Api, ApiError

Phase = Literal["running", "stopped", "done", "rolling back", "rolled back"]
_KEPT: Final = 4000
"""Verdicts in the record: a ConfigMap holds a megabyte."""
_DONE: Final[tuple[Phase, ...]] = ("done", "rolled back")


class Record(Struct):
    """What is known of one migration. `position` steps are done; `labels` are those from before."""

    scope: Scope
    to: Mode
    before: Mode
    run: str
    steps: tuple[Step, ...]
    labels: dict[str, str | None] = {}
    judged: dict[str, str] = {}
    """Requests, and how they were judged before (the first `_KEPT`; without any nothing is compared)."""
    position: int = 0
    back: tuple[Step, ...] = ()
    """While it is rolled back: what is done for that, of which `undone` are done."""
    undone: int = 0
    phase: Phase = "running"
    reason: str = ""

    @property
    def name(self) -> str:
        return f"plait-migration-{self.scope.workload}" if self.scope.workload else "plait-migration"


class Refused(Exception):
    """The migration cannot begin; the message says why and what to do."""


Look = Callable[[Mode], Awaitable[Outlook]]


def looking(api: Api, scope: Scope, waypoint: str = "waypoint") -> Look:
    """The world of an API server as it is when asked. ApiError when that refuses."""

    async def look(to: Mode) -> Outlook:
        found = await reading.documents(api)
        return outlook(found, reading.made(found), scope, to, waypoint)

    return look


class Migration:
    """One migration at one API server. `look` reads the world as it is now; `tell` hears of progress."""

    def __init__(
        self,
        api: Api,
        scope: Scope,
        look: Look,
        tell: Callable[[str], None],
    ) -> None:
        self._api, self._scope, self._look, self._tell = api, scope, look, tell

    async def record(self) -> Record | None:
        """Of the last migration of this scope, None when there was none."""
        name = f"plait-migration-{self._scope.workload}" if self._scope.workload else "plait-migration"
        try:
            found = await self._api.get(kinds.CONFIG_MAP, name, self._scope.namespace)
        except ApiError as error:
            if error.code == 404:
                return None
            raise
        return msgspec.json.decode((found.get("data") or {})["record"], type=Record)

    async def apply(
        self, to: Mode, run: str, *, canary: float = 1.0, accepted: bool = False, timeout: float = 120.0
    ) -> Record:
        """Begin, or go on where one of the same aim stopped. `canary`: stop when this share of pods was made anew.

        `accepted`: some requests may be judged differently afterwards.
        """
        record = await self.record()
        if record is None or record.phase in _DONE:
            record = await self._begun(to, run, canary, accepted)
        elif record.to != to or record.phase == "rolling back":
            fix = f"finish it, or roll it back: plait migrate rollback {self._scope}"
            raise Refused(f"a migration of {self._scope} to {record.to} is under way ({record.phase}); {fix}")
        if accepted:
            record.judged = {}
        work = self._work(record, record.to, record.run)
        record.phase, record.reason = "running", ""
        while record.position < len(record.steps):
            try:
                if canary < 1 and (few := _few(record, canary)) is not None:
                    return await self._canary(work, record, few, timeout)
                await self._step(work, record.steps, record.position, timeout)
            except (Stuck, ApiError, OSError) as error:
                record.phase, record.reason = "stopped", str(error)
                await self._keep(record)
                raise
            record.position += 1
            await self._keep(record)
        record.phase = "done"
        await self._keep(record)
        return record

    async def _canary(self, work: Work, record: Record, few: int, timeout: float) -> Record:
        """The last pods of the share, and a halt."""
        step = record.steps[record.position]
        if few:
            await work.some(step, few, timeout)
        pods = sum(each.pods for each in record.steps[: record.position]) + few
        record.phase = "stopped"
        record.reason = f"canary: {pods} of {_pods(record)} pods are {record.to}; look, then apply again or roll back"
        await self._keep(record)
        return record

    async def rollback(self, *, timeout: float = 120.0) -> Record:
        """Everything as it was before, in an order in which no moment is without its policies."""
        record = await self.record()
        if record is None or record.phase == "rolled back":
            raise Refused(f"there is no migration of {self._scope} to roll back")
        if record.phase != "rolling back":
            record.phase, record.reason, record.undone = "rolling back", "", 0
            record.back = back(record.steps[: record.position + 1], record.before)
            await self._keep(record)
        work = self._work(record, record.before, f"{record.run}-back")
        while record.undone < len(record.back):
            try:
                await self._step(work, record.back, record.undone, timeout)
            except (Stuck, ApiError, OSError) as error:
                record.reason = str(error)
                await self._keep(record)
                raise
            record.undone += 1
            await self._keep(record)
        record.phase, record.reason = "rolled back", ""
        await self._keep(record)
        return record

    async def _step(self, work: Work, steps: tuple[Step, ...], number: int, timeout: float) -> None:
        await work.do(steps[number])
        took = await work.wait(steps[number], timeout)
        self._tell(f"{number + 1} of {len(steps)}  {steps[number].text} ({took:.1f} s)")

    # The record ---

    async def _begun(self, to: Mode, run: str, canary: float, accepted: bool) -> Record:
        seen = await self._look(to)
        found = seen.plan
        if not found.moves:
            raise Refused(f"{self._scope} has no pods that could move")
        if seen.obstacles:
            raise Refused("; ".join(seen.obstacles))
        if found.lost:
            one = found.lost[0]
            raise Refused(f"{one.object} would be lost for {one.client} clients of {one.about}: {one.reason}")
        if canary < 1 and not any(move.restarts for move in found.moves):
            fix = f"begin with one workload of it: plait migrate apply {self._scope.namespace}/NAME --to {to}"
            raise Refused(f"no pods of {self._scope} are made anew, so there is no canary; {fix}")
        if seen.differences and not accepted:
            first, many = seen.differences[0], f"{len(seen.differences)} of {len(seen.now)} requests"
            fix = "mend the policies, or accept it (--accept-differences)"
            raise Refused(f"{many} would be judged differently, such as {first}; {fix}")
        modes = {move.mode for move in found.moves}
        before = next(iter(modes - {to}), to)
        if len(modes - {to}) > 1:
            raise Refused(f"{self._scope} has pods of several modes ({', '.join(sorted(modes))}): migrate by workload")
        record = Record(self._scope, to, before, run, steps(found))
        record.judged = {} if accepted else dict(islice(seen.now.items(), _KEPT))
        record.labels = await self._work(record, to, run).labels()
        await self._keep(record)
        return record

    def _work(self, record: Record, to: Mode, mark: str) -> Work:
        async def compare() -> str:
            seen = await self._look(record.to)
            lost = [f"{each.object} would be lost: {each.reason}" for each in seen.plan.lost]
            found = {str(one) for world in (seen.now, seen.then) for one in differing(record.judged, world)}
            if found:
                fix = (
                    "if that is meant (policies were changed meanwhile), go on with --accept-differences; or roll back"
                )
                lost.append(f"judged differently than at the beginning: {'; '.join(sorted(found)[:5])}; {fix}")
            return "; ".join(lost)

        back = record.phase == "rolling back"
        return Work(self._api, self._scope, to, record.labels, mark, compare, back=back)

    async def _keep(self, record: Record) -> None:
        document = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": record.name, "labels": {"plait.dev/migration": record.phase.replace(" ", "-")}},
            "data": {"record": msgspec.json.encode(record).decode()},
        }
        await self._api.patch(
            kinds.CONFIG_MAP,
            record.name,
            document,
            self._scope.namespace,
            type="apply",
            force=True,
            manager="plait-migrate",
        )


def _pods(record: Record) -> int:
    return sum(step.pods for step in record.steps)


def _few(record: Record, share: float) -> int | None:
    """How many pods of the step at hand the canary still wants, None: all of it may be done."""
    step, moved = record.steps[record.position], sum(each.pods for each in record.steps[: record.position])
    left = math.ceil(share * _pods(record)) - moved
    return left if step.verb == "restart" and left < step.pods else None
