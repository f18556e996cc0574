"""Rules of balancing: consistent hashes, slow start, localities."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from plait.resources.rules import words
from plait.resources.rules.words import bad
from plait.resources.structure import Finding

_LARGEST_TABLE = 5000011
_TOPOLOGY = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone")


def balancer(path: str, found: Any) -> Iterator[Finding]:
    if found.simple is not None and found.consistent_hash is not None:
        yield bad(path, "simple and consistentHash exclude each other; keep one of them")
    if found.consistent_hash is not None:
        yield from _hash(f"{path}.consistentHash", found.consistent_hash)
    yield from words.positive(f"{path}.warmupDurationSecs", found.warmup_duration_secs)
    if (warmup := found.warmup) is not None:
        yield from words.positive(f"{path}.warmup.duration", warmup.duration)
        if warmup.aggression is not None and warmup.aggression < 1:
            yield bad(f"{path}.warmup.aggression", f"{warmup.aggression} is less than 1; write at least 1")
    if found.locality_lb_setting is not None:
        yield from localities(f"{path}.localityLbSetting", found.locality_lb_setting)


def _hash(path: str, found: Any) -> Iterator[Finding]:
    keys = {
        "httpHeaderName": found.http_header_name,
        "httpCookie": found.http_cookie,
        "useSourceIp": found.use_source_ip,
        "httpQueryParameterName": found.http_query_parameter_name,
    }
    yield from words.exactly_one(path, keys, none_is_fine=True)
    if found.http_cookie is not None and not found.http_cookie.name:
        yield bad(f"{path}.httpCookie.name", "the cookie has no name; give it one")
    rings = {"ringHash": found.ring_hash, "maglev": found.maglev, "minimumRingSize": found.minimum_ring_size}
    yield from words.exactly_one(path, rings, none_is_fine=True)
    if found.maglev is not None:
        size = found.maglev.table_size
        if size >= _LARGEST_TABLE or not _is_prime(size):
            yield bad(f"{path}.maglev.tableSize", f"{size} is not a prime below {_LARGEST_TABLE}; write one, as 65537")


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % each for each in range(2, int(number**0.5) + 1))


def localities(path: str, found: Any) -> Iterator[Finding]:
    """Shares, failover and priorities by locality: `region/zone/subzone`, `*` for the rest of it."""
    yield from words.exactly_one(path, {"distribute": found.distribute, "failover": found.failover}, none_is_fine=True)
    for index, share in enumerate(found.distribute):
        place = f"{path}.distribute[{index}]"
        yield from _overlaps(f"{place}.from", [share.from_])
        yield from _overlaps(f"{place}.to", list(share.to))
        for name, weight in share.to.items():
            if not 1 <= weight <= 100:
                yield bad(f"{place}.to[{name}]", f"{weight} is not a share; write a percent of 1 to 100")
        if (total := sum(share.to.values())) != 100:
            yield bad(f"{place}.to", f"the shares add up to {total}; make them 100")
    for index, each in enumerate(found.failover):
        place = f"{path}.failover[{index}]"
        if each.from_ == each.to:
            yield bad(place, "from and to are the same region; name another")
        for field, region in (("from", each.from_), ("to", each.to)):
            if "/" in region or "*" in region:
                yield bad(f"{place}.{field}", f"{region!r} is no region; write its name alone, as us-east1")
    for label in _TOPOLOGY if found.failover else ():
        if label in found.failover_priority:
            yield bad(f"{path}.failoverPriority", f"failover says where {label} leads; remove one of them")


_LOCALITY = re.compile(r"\*|[^/*]+(/[^/*]+){0,2}|[^/*]+(/[^/*]+)?/\*")


def _overlaps(path: str, given: list[str]) -> Iterator[Finding]:
    for index, name in enumerate(given):
        if not _LOCALITY.fullmatch(name):
            yield bad(path, f"{name!r} is no locality; write region/zone/subzone, with '*' as the last part only")
            continue
        for other in given[:index]:
            if _within(name, other) or _within(other, name):
                yield bad(path, f"the localities {other!r} and {name!r} overlap; keep one of them")


def _within(name: str, wide: str) -> bool:
    """Whether a locality lies in another: `a/b` and `a/b/*` hold all of `a/b/c`."""
    stem = wide.removesuffix("*").rstrip("/")
    return not stem or name == stem or name.startswith(f"{stem}/")
