"""Does an object still say what we applied? Others may say more: defaults, fields of their own, further list items."""

from __future__ import annotations

from typing import Any

_KEYS = ("name", "uid", "mountPath", "port", "containerPort", "key")


def holds(live: Any, wanted: Any) -> bool:
    """Every field of `wanted` stands in `live`. A False too many costs an apply that changes nothing."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(name in live and holds(live[name], wanted[name]) for name in wanted)
    if isinstance(wanted, list):
        return isinstance(live, list) and all(any(_same(each, other) for other in live) for each in wanted)
    return bool(live == wanted)


def _same(wanted: Any, live: Any) -> bool:
    """List items are told apart by the first key they have, as the API server does."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        key = next((each for each in _KEYS if each in wanted), None)
        if key is not None and live.get(key) != wanted[key]:
            return False
    return holds(live, wanted)
