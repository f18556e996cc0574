from __future__ import annotations

from collections.abc import Sequence

import pytest

from plait.local.pod import hooks
from plait.local.pod.hooks import HookFailed


async def executed(argv: Sequence[str], limit: float) -> tuple[int, str]:
    return (0, "") if argv == ["true"] else (3, "no such thing\n")


async def test_a_command_and_a_pause_end_well() -> None:
    await hooks.run({"exec": {"command": ["true"]}}, {}, "127.0.0.1", executed, hooks.UNLIMITED)
    await hooks.run({"sleep": {"seconds": 0}}, {}, "127.0.0.1", executed, 1.0)


async def test_a_failure_says_why() -> None:
    with pytest.raises(HookFailed, match="exit code 3: no such thing"):
        await hooks.run({"exec": {"command": ["false"]}}, {}, "127.0.0.1", executed, 1.0)
    with pytest.raises(HookFailed, match=r"not done after 0\.01 s"):
        await hooks.run({"sleep": {"seconds": 60}}, {}, "127.0.0.1", executed, 0.01)
    with pytest.raises(HookFailed):
        await hooks.run({"httpGet": {"port": 1, "host": "127.0.0.1"}}, {}, "127.0.0.1", executed, 5.0)
