"""The process that owns a local mesh: builds the fabric, forks the parts, restarts one that dies, ends them all.

It stays single-threaded and runs no event loop, so that it can fork at any time; the heavy imports are done once here
and shared by every child (start time and memory). It never cleans up: `teardown` does, the same way after a crash.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from plait.app import processes
from plait.app.processes import Process
from plait.base import heap, netns, observe
from plait.local import fabric, space
from plait.local.layout import Layout
from plait.local.record import ProcessId, Record, load, save

_log = observe.logger("supervisor")
Report = Callable[[str], None]
_RESTART_FIRST, _RESTART_MOST = 0.1, 5.0
_GRACE = 8.0


@dataclass(slots=True)
class Part:
    """One child: a name, the namespace it runs in (None = the host's) and what it runs."""

    name: str
    namespace: Path | None
    main: Callable[[], Coroutine[Any, Any, None]]
    pid: int = 0
    started: float = 0.0
    delay: float = _RESTART_FIRST
    due: float = field(default=0.0)
    restarts: int = 0
    last_end: str = ""


def run(layout: Layout, record: Record, report: Report) -> None:
    """Bring the mesh up and stay until SIGTERM; `report` is told each step as it is done."""
    observe.setup()
    holder = space.hold() if record.rootless else 0
    if holder:
        inode = space.user_namespace(holder)
        record = msgspec.structs.replace(record, user_namespace=inode, holder=ProcessId.of(holder))
    save(layout, msgspec.structs.replace(record, supervisor=ProcessId.of(os.getpid())))
    builder = _fork(lambda: _build(layout, record, holder), layout.logs / "fabric.log")
    parts = _parts(layout, record)  # the imports happen while the fabric is built
    heap.settle()
    gc.collect()
    gc.freeze()  # a collection that looked at them would part the pages that all processes share
    report("imports")
    _, status = os.waitpid(builder, 0)
    if status != 0:
        report(f"error: the network fabric could not be built: {_tail(layout.logs / 'fabric.log')}")
        return
    report("fabric")
    for part in parts:
        _start(part, layout, holder)
    _publish(parts, layout)
    report("processes")
    _fork(lambda: _announce(layout, record, report), layout.logs / "supervisor.log")
    _watch(parts, layout, holder)


def _announce(layout: Layout, record: Record, report: Report) -> None:
    """In a child of its own, so that the supervisor needs no event loop: wait until the mesh is ready, then say so."""
    from plait.app import readiness

    try:
        asyncio.run(readiness.wait(layout, record))
    except readiness.NotReady as error:
        report(f"error: {error}")
        return
    save(layout, msgspec.structs.replace(load(layout) or record, state="ready"))
    report("ready")


def _build(layout: Layout, record: Record, holder: int) -> None:
    space.enter(holder)
    fabric.build(layout, record.plan, record.nodes, join_host=not record.rootless)


def _parts(layout: Layout, record: Record) -> list[Part]:
    from plait.app import apiserver, control, node, readiness, relay  # noqa: F401 - readiness is for a later fork

    plan = record.plan
    inner = layout.netns("fab")
    doors = [(str(address), 6443) for address in plan.wires.addresses(plan.control)]
    parts = [
        Part("relay", None, lambda: relay.serve(record.port, layout.api_socket)),
        Part("apiserver", inner, lambda: apiserver.serve(layout, plan, bind=doors)),
        Part("control", inner, lambda: control.serve(layout, plan)),
    ]
    for number, name in enumerate(record.nodes, start=1):
        parts.append(Part(name, layout.netns(name), _node_main(node.serve, layout, record, name, number)))
    return parts


def _node_main(
    serve: Callable[..., Coroutine[Any, Any, None]], layout: Layout, record: Record, name: str, number: int
) -> Callable[[], Coroutine[Any, Any, None]]:
    return lambda: serve(layout, record.plan, name, number)


def _start(part: Part, layout: Layout, holder: int) -> None:
    def body() -> None:
        if part.namespace is not None:
            space.enter(holder)
            netns.enter(part.namespace)
        asyncio.run(_until_terminated(part.main))

    part.pid = _fork(body, layout.logs / f"{part.name}.log")
    part.started = time.monotonic()
    _log.info("started", part=part.name, pid=part.pid)


async def _until_terminated(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run the part until it ends or SIGTERM cancels it (its clean-up runs)."""
    task = asyncio.ensure_future(main())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return


def _fork(body: Callable[[], None], log: Path) -> int:
    """Run `body` in a child whose output goes to `log`; exit code 0 when it returned."""
    sys.stdout.flush()
    sys.stderr.flush()
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        observe.setup()
        body()
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _watch(parts: list[Part], layout: Layout, holder: int) -> None:
    """Restart what dies, with back-off, until SIGTERM or SIGINT; then end the children, nodes first."""
    signals = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    while True:
        waiting = [part.due for part in parts if not part.pid]
        timeout = max(0.0, min(waiting) - time.monotonic()) if waiting else 3600.0
        caught = signal.sigtimedwait(signals, timeout)
        if caught is not None and caught.si_signo != signal.SIGCHLD:
            break
        _reap(parts)
        for part in parts:
            if not part.pid and part.due <= time.monotonic():
                _start(part, layout, holder)
        _publish(parts, layout)
    _end(parts)


def _reap(parts: list[Part]) -> None:
    by_pid = {part.pid: part for part in parts if part.pid}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if part := by_pid.get(pid):
            lived = time.monotonic() - part.started
            part.delay = _RESTART_FIRST if lived > 30 else min(_RESTART_MOST, part.delay * 2)
            part.pid, part.due = 0, time.monotonic() + part.delay
            part.restarts, part.last_end = part.restarts + 1, _cause(status)
            _log.error("ended, restarting", part=part.name, status=status, after=f"{part.delay:.1f}s")


def _end(parts: list[Part]) -> None:
    for part in reversed(parts):
        if part.pid:
            os.kill(part.pid, signal.SIGTERM)
            os.kill(part.pid, signal.SIGCONT)  # a stopped process could not act on it
    deadline = time.monotonic() + _GRACE
    while any(part.pid for part in parts) and time.monotonic() < deadline:
        for part in parts:
            if part.pid and os.waitpid(part.pid, os.WNOHANG)[0]:
                part.pid = 0
        time.sleep(0.01)


def _publish(parts: list[Part], layout: Layout) -> None:
    """Tell `plait status` which processes there are."""
    processes.save(layout, [Process(part.name, ProcessId.of(part.pid), part.restarts, part.last_end) for part in parts])


def _cause(status: int) -> str:
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit code {os.waitstatus_to_exitcode(status)}"


def _tail(path: Path) -> str:
    try:
        return path.read_text().strip().splitlines()[-1]
    except (OSError, IndexError):
        return "no output"
