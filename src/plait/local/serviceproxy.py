"""The shell of `services.rules`: follows Services and EndpointSlices, keeps this namespace's tables as they say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from plait.base import aio
from plait.base.observe import logger
from plait.local.addresses import IPV4, IPV6, AddressPlan
from plait.local.services import JUMPS, PREFIX, rules
from plait.resources.kinds import ENDPOINT_SLICE, SERVICE
from plait.store.api import Api
from plait.store.informer import Informer

_SETTLE = 0.02  # seconds: a rollout changes many endpoints at once
_PROGRAM = {IPV4: "iptables", IPV6: "ip6tables"}
_log = logger("services")


async def run(api: Api, *, node: int, plan: AddressPlan, family: str = IPV4) -> None:
    """Keep one family's tables of the current network namespace until cancelled."""
    informers = Informer(api, SERVICE), Informer(api, ENDPOINT_SLICE)
    changed = asyncio.Event()
    for informer in informers:
        informer.on_change(lambda old, new: changed.set())
    tasks = [aio.spawn(informer.run(), f"informer {informer.kind}") for informer in informers]
    applied, delays = "", aio.backoff(0.1, 5.0)
    try:
        for informer in informers:
            await informer.synced.wait()
        while True:
            changed.clear()
            wanted = rules(*(informer.cache.values() for informer in informers), node=node, plan=plan, family=family)
            try:
                if wanted != applied:
                    await apply(wanted, _PROGRAM[family])
                    applied, delays = wanted, aio.backoff(0.1, 5.0)
            except RuntimeError as error:
                _log.error("service addresses not updated", error=error)
                await asyncio.sleep(next(delays))
                continue
            await changed.wait()
            await asyncio.sleep(_SETTLE)
    finally:
        await aio.cancel(*tasks)


async def apply(text: str, program: str = "iptables") -> None:
    """Replace all of our chains by `text`, in one transaction a table. RuntimeError says what iptables said."""
    given = transaction(text, await _command(f"{program}-save"))
    await _command(f"{program}-restore", "--noflush", "-w", given=given)


def transaction(text: str, present: str) -> str:
    """`text` for a namespace whose tables are `present`: chains we no longer want go, jumps that are missing come.

    One program run for all of it: a node runs this for every change of an endpoint.
    """
    declared = {line[1:].split()[0] for line in text.splitlines() if line.startswith(":")}
    there = {table: set(lines) for table, lines in _tables(present)}
    made = []
    for table, lines in _tables(text):
        known = there.get(table, set())
        stale = sorted({line[1:].split()[0] for line in known if line.startswith(f":{PREFIX}")} - declared)
        # Naming a chain empties it; only then, and with nobody jumping to it, may it go.
        jumps = [f"-A {chain} -j {ours}" for where, chain, ours in JUMPS if where == table]
        missing = [line for line in jumps if line not in known]
        emptied, dropped = [f":{name} - [0:0]" for name in stale], [f"-X {name}" for name in stale]
        made += [f"*{table}", *emptied, *lines, *missing, *dropped, "COMMIT"]
    return "\n".join((*made, ""))


def _tables(text: str) -> Iterator[tuple[str, list[str]]]:
    """The lines of each table, without its first and last."""
    table, lines = "", list[str]()
    for line in text.splitlines():
        if line.startswith("*"):
            table, lines = line[1:], []
        elif line == "COMMIT":
            yield table, lines
        elif line and not line.startswith("#"):
            lines.append(line)


async def _command(*words: str, given: str = "") -> str:
    process = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate(given.encode())
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)}: {err.decode(errors='replace').strip()}")
    return out.decode()
