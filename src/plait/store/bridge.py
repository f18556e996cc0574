"""Temporary: stands in for sibling files that have not landed yet. Goes away when they are there."""

from __future__ import annotations

try:
    from plait.store import admission as admission  # type: ignore[attr-defined]
except ImportError:
    admission = None
try:
    from plait.store import streams as streams  # type: ignore[attr-defined]
except ImportError:
    streams = None
try:
    from plait.resources import validate as validate  # type: ignore[attr-defined]
except ImportError:
    validate = None
