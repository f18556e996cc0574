"""Which pods this node's proxy serves, on disk: a restarted agent takes nothing from an Envoy that went on without it.

Envoy reconnects at once and is told what is no longer there. Until the kubelet has brought every pod back to the new
agent, this file is what stands for them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from plait.base.observe import logger
from plait.model.views.node import PodState

_log = logger("agent")


class Served:
    """`load` once, `save` at each change."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def load(self) -> dict[str, PodState]:
        """By UID; without those whose network namespace has gone: Envoy would refuse their listeners."""
        try:
            pods = msgspec.msgpack.decode(self._file.read_bytes(), type=tuple[PodState, ...])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            _log.warning("the list of served pods cannot be read", file=self._file, error=error)
            return {}
        return {pod.uid: pod for pod in pods if not pod.netns or Path(pod.netns).exists()}

    def save(self, pods: Iterable[PodState]) -> None:
        """A list that cannot be written costs the next agent its memory, not this one its work."""
        new = self._file.with_suffix(".new")
        try:
            new.write_bytes(msgspec.msgpack.encode(tuple(pods)))
            new.replace(self._file)
        except OSError as error:
            _log.warning("the list of served pods cannot be written", file=self._file, error=error)
