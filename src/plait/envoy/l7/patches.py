"""EnvoyFilter: changes laid over finished documents, in order. One that does not fit is a refusal, never a crash."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from plait.envoy.l7.context import Context
from plait.model.patches import PatchSet


def apply(ctx: Context, sets: Iterable[PatchSet], found: Any, context: str) -> None:
    for each in sets:
        ctx.refuse(f"EnvoyFilter/{each.key}", "", "not yet")
