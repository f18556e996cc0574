"""The state machine of a migration: its record is a ConfigMap of the namespace, so whoever comes later goes on.

`apply` runs forward from where the record stands, `rollback` takes back what was done, from any point. A step that gets
stuck stops the run and changes nothing else: the world between two steps is sound by the order of the steps.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Literal

import msgspec
from msgspec import Struct

from plait.app.migration.plan import Plan, Scope
from plait.app.migration.steps import Step, steps
from plait.app.migration.work import Stuck, Work
from plait.model.modes import Mode
from plait.resources import kinds
from plait.store.api import Api, ApiError

Phase = Literal["running", "stopped", "done", "rolling back", "rolled back"]
_DONE: Final[tuple[Phase, ...]] = ("done", "rolled back")


class Record(Struct):
    """What is known of one migration. `position` steps are done; `labels` are those from before."""

    scope: Scope
    to: Mode
    before: Mode
    run: str
    steps: tuple[Step, ...]
    labels: dict[str, str | None] = {}
    position: int = 0
    phase: Phase = "running"
    reason: str = ""

    @property
    def name(self) -> str:
        return f"plait-migration-{self.scope.workload}" if self.scope.workload else "plait-migration"


class Refused(Exception):
    """The migration cannot begin; the message says why and what to do."""


class Migration:
    """One migration at one API server. `plan()` reads the world as it is now; `tell` hears of progress."""

    def __init__(
        self, api: Api, scope: Scope, plan: Callable[[Mode], Awaitable[Plan]], tell: Callable[[str], None]
    ) -> None:
        self._api, self._scope, self._plan, self._tell = api, scope, plan, tell

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

    async def apply(self, to: Mode, run: str, *, upto: int | None = None, timeout: float = 120.0) -> Record:
        """Begin, or go on where one of the same aim stopped. `upto`: only so many steps (the canary)."""
        record = await self.record()
        if record is None or record.phase in _DONE:
            record = await self._begun(to, run)
        elif record.to != to or record.phase == "rolling back":
            fix = f"finish it, or roll it back: plait migrate rollback {self._scope}"
            raise Refused(f"a migration of {self._scope} to {record.to} is under way ({record.phase}); {fix}")
        work = self._work(record)
        record.phase, record.reason = "running", ""
        limit = len(record.steps) if upto is None else min(upto, len(record.steps))
        while record.position < limit:
            step = record.steps[record.position]
            try:
                await work.do(step)
                took = await work.wait(step, record.to, timeout)
            except (Stuck, ApiError, OSError) as error:
                record.phase, record.reason = "stopped", str(error)
                await self._keep(record)
                raise
            self._tell(f"{record.position + 1} of {len(record.steps)}  {step.text} ({took:.1f} s)")
            record.position += 1
            await self._keep(record)
        if record.position == len(record.steps):
            record.phase = "done"
            await self._keep(record)
        return record

    async def rollback(self, *, timeout: float = 120.0) -> Record:
        """Everything as it was before, in an order in which no moment is without its policies."""
        record = await self.record()
        if record is None or record.phase == "rolled back":
            raise Refused(f"there is no migration of {self._scope} to roll back")
        work = self._work(record)
        record.phase = "rolling back"
        await self._keep(record)
        begun = record.steps[: record.position + 1]
        if any(step.verb in ("label", "unlabel") for step in begun):
            await work.relabel(record.labels)
            self._tell("labels are as they were")
        for step in begun:
            if step.verb == "restart":
                await work.do(step, back=True)
                took = await work.wait(step, record.before, timeout)
                self._tell(f"{step.subject} is {record.before} again ({took:.1f} s)")
        await work.wait(Step("settle", text=f"every pod is {record.before}"), record.before, timeout)
        for step in begun:
            if step.verb == "attach":
                await work.detach(step.subject)
        for step in begun:
            if step.verb == "waypoint":
                await work.forget_waypoint(step.subject)
        record.phase = "rolled back"
        await self._keep(record)
        return record

    # ---------------------------------------------------------------------------------------------------------- record
    async def _begun(self, to: Mode, run: str) -> Record:
        found = await self._plan(to)
        if not found.moves:
            raise Refused(f"{self._scope} has no pods that could move")
        if found.lost:
            one = found.lost[0]
            raise Refused(f"{one.object} would be lost for {one.client} clients of {one.about}: {one.reason}")
        modes = {move.mode for move in found.moves}
        before = next(iter(modes - {to}), to)
        if len(modes - {to}) > 1:
            raise Refused(f"{self._scope} has pods of several modes ({', '.join(sorted(modes))}): migrate by workload")
        record = Record(self._scope, to, before, run, steps(found))
        record.labels = await self._work(record).labels()
        await self._keep(record)
        return record

    def _work(self, record: Record) -> Work:
        async def compare() -> str:
            found = await self._plan(record.to)
            return "; ".join(f"{each.object} would be lost: {each.reason}" for each in found.lost)

        return Work(self._api, self._scope.namespace, self._scope.workload, record.to, record.run, compare)

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
