"""Filter chains of one listener whose matches do not meet: where two want the same, Envoy refuses all of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_network

from plait.envoy.l7.context import Context
from plait.envoy.pieces import Doc

Place = tuple[tuple[str, str], ...]
_SPLIT = ("prefix_ranges", "server_names")
"""What a chain may keep a part of."""


def distinct(ctx: Context, made: Iterable[Doc], listener: str) -> list[Doc]:
    """The first chain keeps what a later one wants too; that one keeps the rest of its addresses or names."""
    taken: set[Place] = set()
    kept: list[Doc] = []
    for chain in made:
        match = chain.get("filter_chain_match", {})
        left = _left(match, taken)
        if left is None or _places(left) != _places(match):
            text = "another chain has the same match and keeps it; of this one only the rest stays"
            ctx.refuse(f"listener/{listener}", chain["name"], text)
        if left is None:
            continue
        taken |= _places(left)
        kept.append(chain if left == match else {**chain, "filter_chain_match": left})
    return kept


def _left(match: Doc, taken: set[Place]) -> Doc | None:
    """The match without repetitions and without what is taken; None when nothing is left."""
    once = {**match}
    for field in (field for field in _SPLIT if field in match):
        seen = {_word(value): value for value in reversed(match[field])}
        once[field] = [value for value in match[field] if seen[_word(value)] is value]
    if not _places(once) & taken:
        return match if once == match else once
    for field in _SPLIT:
        free = [value for value in once.get(field, ()) if not _places({**once, field: [value]}) & taken]
        if free:
            return {**once, field: free}
    return None


def _places(match: Doc) -> set[Place]:
    """Every combination of single values that it stands for."""
    options = [
        [(field, _word(value)) for value in (found if isinstance(found, list) else [found])]
        for field, found in sorted(match.items())
    ]
    return set(itertools.product(*options))


def _word(value: object) -> str:
    """Of an address range the network it means, whichever of its addresses names it."""
    if isinstance(value, dict) and "address_prefix" in value:
        return _network(f"{value['address_prefix']}/{value.get('prefix_len', 0)}")
    return str(value).lower()


@lru_cache(1 << 14)
def _network(block: str) -> str:
    return str(ip_network(block, strict=False))
