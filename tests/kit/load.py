"""Load that counts what goes wrong: a script for a pod, run until its standard input ends.

with load(mesh, "client", host, 9000, idle=60, busy=12, rate=120) as running: …
running.found  # {"idle": 60, "busy": 12, "done": n, "lost": [], "broken": []}
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from typing import Any

from kit.mesh import Mesh

SCRIPT = r"""
import asyncio, json, sys
host, port, idle, busy, rate = sys.argv[1], *map(int, sys.argv[2:6])
found = {"idle": 0, "busy": 0, "said": 0, "done": 0, "lost": [], "broken": [], "slowest": 0.0}
clock = lambda: asyncio.get_running_loop().time()
stop = asyncio.Event()

async def ask(r, w):
    w.write(b"hi\n")
    line = await asyncio.wait_for(r.readline(), 10)
    if line != b"hi\n":
        raise ConnectionError("ended" if not line else repr(line))

async def long(kind, pause):
    try:
        r, w = await asyncio.wait_for(asyncio.open_connection(host, port), 10)
        await ask(r, w)
    except Exception as e:
        found["broken"].append(f"{kind} at open: {e!r}"); return
    found[kind] += 1
    began = clock()
    try:
        while not stop.is_set():
            if pause:
                await ask(r, w); found["said"] += 1
                await asyncio.sleep(pause)
            else:
                waits = [asyncio.ensure_future(r.read(1)), asyncio.ensure_future(stop.wait())]
                done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                if waits[0] in done:
                    waits[0].result(); raise ConnectionError("ended")
                waits[0].cancel(); await asyncio.gather(*waits, return_exceptions=True)
        await ask(r, w)
    except Exception as e:
        found["broken"].append(f"{kind} after {clock() - began:.2f} s: {e!r}")
    w.close()

async def once(began):
    start = clock()
    try:
        r, w = await asyncio.wait_for(asyncio.open_connection(host, port), 10)
        await ask(r, w)
        w.close()
    except Exception as e:
        found["lost"].append(f"{start - began:.2f} s: {e!r}")
    found["done"] += 1
    found["slowest"] = max(found["slowest"], clock() - start)

async def new():
    began, number, open_ = clock(), 0, set()
    while rate and not stop.is_set():
        task = asyncio.ensure_future(once(began)); open_.add(task); task.add_done_callback(open_.discard)
        number += 1
        await asyncio.sleep(max(0.0, began + number / rate - clock()))
    await asyncio.gather(*open_)

async def main():
    longs = [asyncio.ensure_future(long(*each)) for each in [("idle", 0)] * idle + [("busy", 0.05)] * busy]
    while found["idle"] + found["busy"] + len(found["broken"]) < idle + busy:
        await asyncio.sleep(0.02)
    print("ready", flush=True)
    work = asyncio.ensure_future(new())
    await asyncio.to_thread(sys.stdin.read)
    stop.set()
    await asyncio.gather(work, *longs)
    print(json.dumps(found))

asyncio.run(main())
"""


class Running:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.found: dict[str, Any] = {}


@contextlib.contextmanager
def load(
    mesh: Mesh, pod: str, host: str, port: int, *, idle: int, busy: int, rate: int, namespace: str = "duo"
) -> Iterator[Running]:
    """All long connections are open when the block begins."""
    arguments = [host, *map(str, (port, idle, busy, rate))]
    command = ["nsenter", f"--net={mesh.space(pod, namespace)}", "/usr/bin/python3", "-c", SCRIPT, *arguments]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    running = Running(process)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield running
        out, err = process.communicate("", timeout=30)
        assert process.returncode == 0, err
        running.found = json.loads(out)
    finally:
        process.kill()
        process.communicate()
