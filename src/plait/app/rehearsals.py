"""EnvoyFilters are tried on a spare Envoy before any proxy is told: one that it refuses never gets there.

`changed` stands between the informer and the pipeline. A filter that is being tried, or was refused, leaves its last
good state in effect; which is none when it was never good, or when the control plane has started anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import tempfile
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from plait.base import aio
from plait.base.observe import logger
from plait.envoy.l7 import rehearsal
from plait.model.compile.traffic.extensions import patch_set
from plait.model.mesh import Settings
from plait.model.patches import Patch
from plait.proxy.processes import envoy_binary
from plait.resources import codes, kinds
from plait.resources.decode import decode
from plait.resources.kinds import Kind
from plait.resources.networking.envoy_filter import EnvoyFilter
from plait.resources.problems import Problem
from plait.store.api import Document

_PATIENCE = 10.0
_WORDS = 600
"""Characters of Envoy's complaint that a status shows."""
_log = logger("rehearsals")
Judge = Callable[[Document], Awaitable[str]]
"""Why Envoy refuses a bootstrap; "" when it takes it, or cannot be asked."""


class World(Protocol):
    """The pipeline, as far as it is fed here."""

    def changed(self, kind: Kind, old: Document | None, new: Document | None) -> None: ...
    def refused(self, kind: Kind, document: Document, problem: Problem) -> None: ...


class Rehearsals:
    def __init__(self, world: World, settings: Settings, judge: Judge | None = None) -> None:
        self._world, self._settings, self._judge = world, settings, judge or asked
        self._known: dict[str, Problem | None] = {}
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._one = asyncio.Semaphore(1)

    def changed(self, old: Document | None, new: Document | None) -> None:
        """For `Informer.on_change`."""
        document = new or old
        if document is None:
            return
        name = document["metadata"].get("namespace", ""), document["metadata"]["name"]
        if (running := self._running.pop(name, None)) is not None:
            running.cancel()
        patches = _patches(new, self._settings) if new is not None else ()
        if new is None or rehearsal.configuration(patches) is None:
            self._world.changed(kinds.ENVOY_FILTER, old, new)
        elif (key := _key(new)) in self._known:
            self._tell(new, self._known[key])
        else:
            task = aio.spawn(self._rehearse(new, key, patches), f"rehearsal of {name[0]}/{name[1]}")
            self._running[name] = task
            task.add_done_callback(lambda done: self._ended(name, done))

    async def settled(self) -> None:
        """Until all that was handed in so far is judged: a world is not told without the filters it has."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def close(self) -> None:
        await aio.cancel(*self._running.values())

    def _ended(self, name: tuple[str, str], task: asyncio.Task[None]) -> None:
        if self._running.get(name) is task:
            del self._running[name]

    async def _rehearse(self, document: Document, key: str, patches: tuple[Patch, ...]) -> None:
        async with self._one:
            problem = await self._judged(document, patches)
        self._known = {**dict(list(self._known.items())[-100:]), key: problem}
        self._tell(document, problem)

    async def _judged(self, document: Document, patches: tuple[Patch, ...]) -> Problem | None:
        """All at once; one by one only to say which it was."""
        whole = rehearsal.configuration(patches)
        if whole is None or not (words := await self._judge(whole)):
            return None
        path = patches[0].path
        for patch in patches if len(patches) > 1 else ():
            single = rehearsal.configuration((patch,))
            if single is not None and (found := await self._judge(single)):
                path, words = patch.path, found
                break
        meta = document["metadata"]
        said = f"Envoy refuses it, so no proxy is told and the last good state stays: {words}; mend it"
        return Problem(codes.REFUSED, "error", "EnvoyFilter", meta.get("namespace", ""), meta["name"], path, said)

    def _tell(self, document: Document, problem: Problem | None) -> None:
        if problem is None:
            self._world.changed(kinds.ENVOY_FILTER, None, document)
        else:
            self._world.refused(kinds.ENVOY_FILTER, document, problem)


def _key(document: Document) -> str:
    """Of what a verdict depends on."""
    meta = document["metadata"]
    said = [meta.get("namespace", ""), meta["name"], document.get("spec")]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _patches(document: Document, settings: Settings) -> tuple[Patch, ...]:
    """None of what cannot be read: the pipeline says why."""
    typed, problems = decode(document)
    if not isinstance(typed, EnvoyFilter) or any(each.severity == "error" for each in problems):
        return ()
    found, _ = patch_set(typed, settings)
    return found.patches if found is not None else ()


async def asked(configuration: dict[str, Any]) -> str:
    """By the binary that proxies run, in a process of its own that ends with the answer."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(configuration, file)
        file.flush()
        flags = (
            "--mode",
            "validate",
            "-c",
            file.name,
            "--log-level",
            "error",
            "--base-id",
            "0",
            "--disable-hot-restart",
        )
        try:
            async with asyncio.timeout(_PATIENCE):
                process = await asyncio.create_subprocess_exec(
                    str(envoy_binary()),
                    *flags,
                    env={},
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                )
                _, told = await process.communicate()
        except (OSError, TimeoutError) as error:
            _log.warning("no Envoy to ask; the filter passes untried", error=repr(error))
            return ""
    return "" if process.returncode == 0 else _complaint(told.decode(errors="replace"))


def _complaint(log: str) -> str:
    """What Envoy says, without where in itself, of which file, and what was put before a script."""
    found = re.findall(r"error initializing configuration '[^']*': (.*?)(?:\n\[|\Z)", log, re.DOTALL)
    said = re.sub(r"goo\.gle/debug\w+", "", (found[-1] if found else log).replace(rehearsal.UNHEARD, ""))
    return " ".join(said.split())[:_WORDS]
