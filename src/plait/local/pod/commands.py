"""Running one short command inside a container and reading what it printed: exec probes and lifecycle hooks."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from plait.local.containers import Containers, Running

_OUTPUT = 16 * 1024


async def execute(
    containers: Containers, running: Running, directory: Path, argv: Sequence[str], timeout: float
) -> tuple[int, str]:
    """Exit code and output (the first 16 KB); TimeoutError after `timeout` seconds, with the command killed."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            pid, ended = await containers.execute(running, directory, argv, (null, writer, writer))
        finally:
            os.close(writer)
            os.close(null)
        os.set_blocking(reader, False)
        try:
            async with asyncio.timeout(timeout):
                code = await ended
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            raise
        try:
            return code, os.read(reader, _OUTPUT).decode(errors="replace")
        except BlockingIOError:
            return code, ""
    finally:
        os.close(reader)
