"""What every Envoy said of a request that went wrong: its log lines, also of pods that have gone since.

A pod's log goes with the pod, and what goes wrong while pods go is what is looked for. So each log is linked into a
folder of its own as it appears, and read when the load is over. Proxies that read HTTP know a request by its id, node
proxies know the connection by its source.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from plait.base import aio
from plait.base.wellknown import DEFAULT_ROOT_NAMESPACE, PROXY_CONTAINER
from plait.local.layout import Layout
from plait.resources.kinds import EVENT
from plait.store.api import Document
from plait.trial.load import Lost
from plait.trial.scene import Scene

LOGGED: Final[Document] = {
    "apiVersion": "telemetry.istio.io/v1",
    "kind": "Telemetry",
    "metadata": {"name": "every-request", "namespace": DEFAULT_ROOT_NAMESPACE},
    "spec": {"accessLogging": [{"providers": [{"name": "envoy"}]}]},
}
"""Every proxy that reads HTTP writes a line for each request."""
MOST: Final = 20
"""Wrong answers that are looked up."""
NEAR: Final = 12.0
"""Seconds before a wrong answer in which what happened to pods may have to do with it."""
_LOOK: Final = 0.2
_FLUSHED: Final = 11.0
"""Seconds until an Envoy has written what it keeps in its buffer (10, its default)."""


@dataclass(frozen=True, slots=True)
class Traced:
    """A wrong answer, the lines of proxies that name it, and what happened to pods shortly before."""

    lost: Lost
    lines: tuple[str, ...]
    events: tuple[str, ...]


class KeptLogs:
    """`async with` while the load runs: `began` is when it did, on the clock."""

    def __init__(self, layout: Layout) -> None:
        self._layout, self._folder = layout, layout.root / "kept-logs"
        self._watching: asyncio.Task[Any] | None = None
        self.began = aio.now()

    async def __aenter__(self) -> KeptLogs:
        self._folder.mkdir(exist_ok=True)
        self._watching, self.began = aio.spawn(self._watch(), "logs of proxies"), aio.now()
        return self

    async def __aexit__(self, *ended: object) -> None:
        await aio.cancel(self._watching)

    async def traced(self, scene: Scene, lost: Iterable[Lost]) -> tuple[Traced, ...]:
        """The first wrong answers; waits until proxies have written their lines."""
        chosen = sorted(lost)[:MOST]
        if not chosen:
            return ()
        events, _ = await scene.api.list(EVENT)
        await asyncio.sleep(_FLUSHED)
        return tuple(await asyncio.to_thread(self.find, chosen, events))

    def find(self, lost: Iterable[Lost], events: Iterable[Document] = ()) -> list[Traced]:
        """All of them, from the lines that are there now."""
        lost = list(lost)
        found: dict[str, list[str]] = {word: [] for each in lost for word in _words(each)}
        for name, line in self._lines():
            for word in found:
                if word in line:
                    found[word].append(f"{name}: {line}")
        happened = sorted(_happened(events))
        return [
            Traced(
                each,
                tuple(line for word in _words(each) for line in found[word]),
                tuple(text for at, text in happened if -NEAR < at - self.began - each.at < 1.0),
            )
            for each in lost
        ]

    def link(self) -> None:
        """Keep the logs that are there now. One that was turned over is another file."""
        for log in (self._layout.root / "nodes").glob(f"*/pods/*/logs/{PROXY_CONTAINER}/*.log"):
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                name = (log.parents[2] / "etc" / "hostname").read_text().strip()
                os.link(log, self._folder / f"{name}.{log.stat().st_ino}")

    async def _watch(self) -> None:
        while True:
            self.link()
            await asyncio.sleep(_LOOK)

    def _lines(self) -> Iterator[tuple[str, str]]:
        """The name of the proxy, and what it wrote."""
        pods = [(path.name.rpartition(".")[0], path) for path in sorted(self._folder.iterdir())]
        nodes = [(path.parent.name, path) for path in sorted((self._layout.root / "nodes").glob("*/access.log*"))]
        for name, path in (*pods, *nodes):
            with path.open(errors="replace") as lines:
                for line in lines:
                    yield name, line.rstrip()


def told(found: Iterable[Traced], began: float) -> Iterator[str]:
    """For people. `began`: when the load did, on the clock, as times in logs are those of the clock."""
    for each in found:
        lost, source = each.lost, each.lost.source or "no connection"
        yield f"{lost.reason} at {_clock(began + lost.at)}: request {lost.request} from {source}"
        yield from (f"    {line}" for line in each.lines or ("no proxy wrote a line about it",))
        yield from (f"    {line}" for line in each.events)


def _words(lost: Lost) -> tuple[str, ...]:
    """What a line about this request has: its id, or its connection, in quotes as both kinds of logs have it."""
    return tuple(f'"{each}"' for each in (lost.request, lost.source) if each)


def _happened(events: Iterable[Mapping[str, Any]]) -> Iterator[tuple[float, str]]:
    for each in events:
        moment = str(each.get("lastTimestamp") or "")
        if moment:
            about = each["involvedObject"]
            text = f"{moment} {about['kind']} {about['name']}: {each.get('message', '')}"
            yield datetime.fromisoformat(moment).timestamp(), text


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S.%f")[:-3]
