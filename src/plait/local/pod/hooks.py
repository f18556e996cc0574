"""What a container's lifecycle hook (postStart, preStop) asks for: a pause, a command inside it, or a request to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from plait.local.containers import StartError
from plait.local.pod import probes

Execute = Callable[[Sequence[str], float], Awaitable[tuple[int, str]]]
"""(command, seconds) -> its exit code and what it printed."""
UNLIMITED = 86400.0
"""Seconds for a postStart hook: Kubernetes sets no limit to it, as it may wait for something."""


class HookFailed(Exception):
    """The text says why."""


async def run(
    hook: Mapping[str, Any], container: Mapping[str, Any], address: str, execute: Execute, limit: float
) -> None:
    """Returns when the hook has done its work; HookFailed when it failed or took longer than `limit` seconds."""
    try:
        async with asyncio.timeout(limit):
            if "sleep" in hook:
                await asyncio.sleep(float(hook["sleep"].get("seconds", 0)))
            elif "exec" in hook:
                code, said = await execute([str(word) for word in hook["exec"].get("command") or ()], limit)
                if code:
                    raise HookFailed(f"exit code {code}: {said.strip()[:200]}")
            elif "httpGet" in hook:
                good, said = await probes.http_get(hook["httpGet"], dict(container), address)
                if not good:
                    raise HookFailed(said)
    except TimeoutError as error:
        raise HookFailed(f"not done after {limit:g} s") from error
    except (OSError, StartError, ValueError) as error:
        raise HookFailed(str(error)) from error
