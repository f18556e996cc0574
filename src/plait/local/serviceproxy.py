"""The shell of `services.rules`: follows Services and EndpointSlices, keeps this namespace's tables as they say."""

from __future__ import annotations

import asyncio

from plait.base import aio
from plait.base.observe import logger
from plait.local.addresses import AddressPlan
from plait.local.services import JUMPS, PREFIX, rules
from plait.resources.kinds import ENDPOINT_SLICE, SERVICE
from plait.store.api import Api
from plait.store.informer import Informer

_SETTLE = 0.02  # seconds: a rollout changes many endpoints at once
_log = logger("services")


async def run(api: Api, *, node: int, plan: AddressPlan) -> None:
    """Keep the tables of the current network namespace until cancelled."""
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
            wanted = rules(*(informer.cache.values() for informer in informers), node=node, plan=plan)
            try:
                if wanted != applied:
                    await apply(wanted)
                    applied, delays = wanted, aio.backoff(0.1, 5.0)
            except RuntimeError as error:
                _log.error("service addresses not updated", error=error)
                await asyncio.sleep(next(delays))
                continue
            await changed.wait()
            await asyncio.sleep(_SETTLE)
    finally:
        await aio.cancel(*tasks)


async def apply(text: str) -> None:
    """Replace all of our chains by `text`, in one transaction a table. RuntimeError says what iptables said."""
    declared = {line[1:].split()[0] for line in text.splitlines() if line.startswith(":")}
    present = await _command("iptables-save", "-t", "nat")
    stale = {
        name
        for line in present.splitlines()
        if line.startswith(f":{PREFIX}") and (name := line[1:].split()[0]) not in declared
    }
    # Naming a chain empties it; only then, and with nobody jumping to it, may it go.
    emptied = "".join(f":{name} - [0:0]\n" for name in sorted(stale))
    dropped = "".join(f"-X {name}\n" for name in sorted(stale))
    head, _, rest = text.partition("COMMIT\n")
    head = head.replace("*nat\n", f"*nat\n{emptied}", 1)
    await _command("iptables-restore", "--noflush", "-w", given=f"{head}{dropped}COMMIT\n{rest}")
    for table, chain, ours in JUMPS:
        try:
            await _command("iptables", "-w", "-t", table, "-C", chain, "-j", ours)
        except RuntimeError:
            await _command("iptables", "-w", "-t", table, "-A", chain, "-j", ours)


async def _command(*words: str, given: str = "") -> str:
    process = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate(given.encode())
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)}: {err.decode(errors='replace').strip()}")
    return out.decode()
