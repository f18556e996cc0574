"""A command's start: it waits for no module that it has no use for."""

from __future__ import annotations

import subprocess
import sys

import pytest

KERNEL, CONTROL, AGENT = "pyroute2", "plait.app.control", "plait.app.companions"
"""A third of a second of every start, more than one, and half of one."""


@pytest.mark.parametrize(
    ("command", "useless"),
    [
        ("apply", KERNEL),
        ("get", KERNEL),
        ("delete", KERNEL),
        ("waypoint", KERNEL),
        ("status", CONTROL),
        ("proxy_status", AGENT),
        ("proxy_config", AGENT),
    ],
)
def test_a_command_does_not_wait_for_what_it_does_not_use(command: str, useless: str) -> None:
    script = f"import sys, plait.cli.{command}; print({useless!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "False\n"
