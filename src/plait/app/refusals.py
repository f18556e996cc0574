"""Tells people what Envoy refused: an Event and a condition on the pod, once, and taken back when it is mended."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from plait.app.configuration import Refusal
from plait.base.observe import logger
from plait.node.forms import Target

_EVERY = 0.5
_log = logger("agent")


class Refusing(Protocol):
    def refusals(self) -> tuple[Refusal, ...]: ...


class Voice(Protocol):
    """Where it is said; `node_api.Announcements` is one."""

    async def event(self, target: Target, reason: str, message: str, *, warning: bool) -> None: ...
    async def condition(self, target: Target, accepted: bool, message: str) -> None: ...


class Complaints:
    """`run()` compares what is refused with what was said."""

    def __init__(self, config: Refusing, voice: Voice, targets: Mapping[str, Target]) -> None:
        self._config, self._voice, self._targets = config, voice, targets
        self._said: dict[str, str] = {}

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            await self.look()

    async def look(self) -> None:
        """Say what is new since the last look."""
        now: dict[str, str] = {}
        for refusal in self._config.refusals():
            if refusal.pod in self._targets:
                now.setdefault(refusal.pod, str(refusal))
        for uid in [uid for uid in self._said if uid not in self._targets]:
            del self._said[uid]
        for uid in now.keys() | self._said.keys():
            if now.get(uid) != self._said.get(uid):
                await self._say(uid, now.get(uid, ""))

    async def _say(self, uid: str, problem: str) -> None:
        target = self._targets[uid]
        try:
            await self._voice.condition(target, not problem, problem or "the proxy took every part of it")
            if problem:
                await self._voice.event(target, "ConfigurationRefused", problem, warning=True)
        except Exception as error:  # the API server is away: said at a later look
            _log.debug("refusal not told", pod=target, error=error)
            return
        if problem:
            self._said[uid] = problem
        else:
            del self._said[uid]
