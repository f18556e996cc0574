"""Temporary: stands in for sibling files that have not landed yet. Goes away when they are there."""

from __future__ import annotations

from typing import Any

try:
    from plait.store import managed
except ImportError:

    class managed:  # type: ignore[no-redef]
        class ApplyConflict(Exception):
            causes: list[dict[str, Any]] = []  # noqa: RUF012

        @staticmethod
        def record_update(old: Any, new: Any, **_: Any) -> Any:
            return new

        @staticmethod
        def apply(live: Any, applied: Any, **_: Any) -> Any:
            from plait.store import patch

            return patch.merge_patch(live or {}, applied)


try:
    from plait.store import tables
except ImportError:
    tables = None  # type: ignore[assignment]
try:
    from plait.store import protobuf
except ImportError:
    protobuf = None  # type: ignore[assignment]
try:
    from plait.store import admission
except ImportError:
    admission = None  # type: ignore[assignment]
try:
    from plait.store import streams
except ImportError:
    streams = None  # type: ignore[assignment]
try:
    from plait.resources import validate
except ImportError:
    validate = None  # type: ignore[assignment]
