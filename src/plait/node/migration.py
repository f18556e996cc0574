"""A listening socket that closes loses nothing: connections that wait in it go to another one at the same port.

Two generations of a proxy listen side by side (SO_REUSEPORT) when one replaces the other. By default the kernel resets
what had arrived at a socket and was not accepted when it is closed; since Linux 5.14 it can hand this over.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from plait.base import netns
from plait.base.observe import logger

_log = logger("node")
_SETTING = Path("/proc/sys/net/ipv4/tcp_migrate_req")  # for IPv6 too; shows the caller's namespace


def allow(namespaces: Iterable[Path]) -> list[Path]:
    """Blocks; returns the namespaces in which it is not possible. One that has gone does not count."""
    missing = []
    for space in namespaces:
        try:
            netns.call(space, _SETTING.write_text, "1")
        except OSError as error:
            if space.exists():
                missing.append(space)
                _log.warning("waiting connections may be reset at a handover", netns=space, error=error)
    return missing
