"""The part of `plait bench l4 --faults` about addresses that change hands: is anybody taken for who was there before?

On each of a few addresses pods follow one another, of two service accounts in turn. The next pods are there before the
last has ended and wait for its address, so one has it within milliseconds, before anybody has heard that the old one is
gone. The server lets one account in at one port and the other at another. Each pod's first act is to try both: it must
be let in at its own, and nowhere else.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from plait.base import aio
from plait.resources.kinds import AUTHORIZATION_POLICY, POD
from plait.trial.bench_pods import LANES, NODE, SPACE, account, ended, made, pod
from plait.trial.losses import Report, Wanted
from plait.trial.scene import Scene, SceneError

_PORTS = {"trusted": 8080, "stranger": 8081}
_ACCOUNTS = tuple(_PORTS)
_LAST_HOST = 254  # the lanes take addresses from the end of the node's range, which ordinary pods reach last
_WAITING = 2
_BASE = 64  # of the exit code: a script that fails has 1
# Exit code: 64, plus 1 if the port of `trusted` answered, plus 2 if that of `stranger` did.
_TRY_BOTH = """
import socket, sys
def answered(port, words, last):
    try:
        with socket.create_connection((sys.argv[1], port), 5) as c:
            c.settimeout(5); c.sendall(words)
            if last: c.shutdown(socket.SHUT_WR)
            return bool(c.recv(1))
    except OSError:
        return False
asked = answered(8080, b"GET / HTTP/1.1\\r\\nhost: echo\\r\\n\\r\\n", False), answered(8081, b"x", True)
sys.exit(64 + asked[0] + 2 * asked[1])
"""


@dataclass(slots=True)
class Found:
    """`accepted` under the wrong identity, `refused` under the right one, and what did not come to that."""

    judged: int = 0
    accepted: int = 0
    refused: int = 0
    failed: list[str] = field(default_factory=list)

    def judge(self, account: str, code: int) -> None:
        """`code` is the exit code of a pod of this account."""
        if not 0 <= code - _BASE <= 3:
            self.failed.append(f"exit code {code}")
            return
        own, other = (1, 2) if account == "trusted" else (2, 1)
        self.judged += 1
        self.accepted += bool((code - _BASE) & other)
        self.refused += not (code - _BASE) & own


async def run(scene: Scene, address: str, wanted: Wanted, report: Report, tell: Callable[[str], None]) -> None:
    """`wanted.reuses` changes of hands; one pod more a lane, which nobody was before."""
    for name in _ACCOUNTS:
        await account(scene, name)
    await made(scene, AUTHORIZATION_POLICY, _policy())
    await asyncio.sleep(1.0)
    lanes = min(LANES, wanted.reuses)
    found, changes = Found(), iter(range(wanted.reuses))
    own = [str(scene.record.plan.pods(1)[_LAST_HOST - number]) for number in range(lanes)]
    async with _watched(scene.layout.node(NODE) / "addresses.json") as gaps:
        await asyncio.gather(*(_lane(scene, each, address, changes, found, tell) for each in own))
    await scene.api.delete(AUTHORIZATION_POLICY, "one-port-each", SPACE)
    pods = wanted.reuses + lanes
    late = sum(gap > 0.1 for gap in gaps)
    spread = f"median {statistics.median(gaps) * 1000:.0f} ms, longest {max(gaps) * 1000:.0f} ms" if gaps else ""
    report.add("addresses taken over later than 100 ms", len(gaps), late, spread)
    report.add("accepted under the wrong identity after a change of hands", found.judged, found.accepted)
    report.add("refused under the right identity after a change of hands", found.judged, found.refused)
    report.add("pods of changed addresses that were not judged", pods, pods - found.judged, ", ".join(found.failed[:3]))


async def _lane(
    scene: Scene, own: str, address: str, changes: Iterator[int], found: Found, tell: Callable[[str], None]
) -> None:
    """One address. `_WAITING` pods wait for it at any time, so that one is there whenever it becomes free."""
    command = ["/usr/bin/python3", "-c", _TRY_BOTH, address]
    waiting: deque[tuple[str, str]] = deque()

    async def begin(turn: int) -> None:
        who, name = _ACCOUNTS[turn % 2], f"heir-{own.rpartition('.')[2]}-{turn}"
        await made(scene, POD, pod(name, who, command, own))
        waiting.append((name, who))

    await begin(0)
    turns = count(1)
    while waiting:
        while len(waiting) <= _WAITING and (number := next(changes, None)) is not None:
            await begin(next(turns))
            if number % 100 == 99:
                tell(f"  {number + 1} addresses change hands")
        name, who = waiting.popleft()
        try:
            found.judge(who, await ended(scene, name))
        except SceneError as error:
            found.failed.append(str(error))
        await scene.api.delete(POD, name, SPACE)


def _policy() -> dict[str, object]:
    """At the server: each account at its port, nobody else anywhere."""
    rules = [
        {
            "from": [{"source": {"principals": [f"cluster.local/ns/{SPACE}/sa/{who}"]}}],
            "to": [{"operation": {"ports": [str(port)]}}],
        }
        for who, port in _PORTS.items()
    ]
    return {
        "metadata": {"name": "one-port-each", "namespace": SPACE},
        "spec": {"selector": {"matchLabels": {"app": "echo"}}, "rules": rules},
    }


@asynccontextmanager
async def _watched(file: Path) -> AsyncIterator[list[float]]:
    """Seconds between the last moment an address was seen with one pod and the first with the next (so: at most)."""
    gaps: list[float] = []
    task = aio.spawn(_watch(file, gaps), "addresses")
    try:
        yield gaps
    finally:
        await aio.cancel(task)


async def _watch(file: Path, gaps: list[float]) -> None:
    last: dict[str, tuple[str, float]] = {}
    while True:
        now = time.perf_counter()
        for uid, address in json.loads(file.read_text()).items():
            before = last.get(address)
            if before is not None and before[0] != uid:
                gaps.append(now - before[1])
            last[address] = (uid, now)
        await asyncio.sleep(0.005)
