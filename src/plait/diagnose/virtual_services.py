"""VirtualServices: is every rule and every match reachable?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from plait.diagnose.evidence import Evidence
from plait.diagnose.messages import say
from plait.resources.networking.traffic import StringMatch
from plait.resources.networking.virtual_service import HTTPMatchRequest, L4MatchAttributes, VirtualService
from plait.resources.problems import Problem

_ANY_PATH = StringMatch(prefix="/")
_MAPPINGS = frozenset({"headers", "query_params", "without_headers", "source_labels"})
_CONDITIONS = tuple(name for name in HTTPMatchRequest.__struct_fields__ if name not in ("uri", "ignore_uri_case"))


def unreachable(evidence: Evidence) -> Iterator[Problem]:
    """Rules, and single matches, that an earlier one has taken everything from."""
    for each in evidence.all(VirtualService):
        rules: list[tuple[str, Sequence[Any]]] = [("http", each.spec.http), ("tls", each.spec.tls)]
        rules.append(("tcp", each.spec.tcp))
        for word, found in rules:
            yield from _taken(each, word, found)


def _taken(each: VirtualService, word: str, rules: Sequence[Any]) -> Iterator[Problem]:
    seen = _Seen()
    everything: int | None = None
    for number, rule in enumerate(rules):
        path, repeated = f"spec.{word}[{number}]", 0
        for place, match in enumerate(map(_bare, rule.match)):
            same = seen.same(match)
            before = seen.covering(match) if same is None else same
            repeated += same is not None
            if before is not None:
                text = f"rule {before} takes whatever this match would; remove it, or put it before that rule"
                yield say("IST0131", each, f"{path}.match[{place}]", text)
            seen.add(number, match)
        if everything is not None:
            text = f"rule {everything} takes every request before this one; move that to the end or give it a match"
            yield say("IST0130", each, path, text)
        elif rule.match and repeated == len(rule.match):
            yield say("IST0130", each, path, "every match of it stands in an earlier rule already; remove the rule")
        if everything is None and (not rule.match or any(_all(match) for match in rule.match)):
            everything = number


class _Seen:
    """Matches of earlier rules, found by what they are and by their path's prefix."""

    def __init__(self) -> None:
        self._same: dict[bytes, int] = {}
        self._prefixes: dict[str, list[tuple[int, HTTPMatchRequest]]] = {}

    def add(self, number: int, match: Any) -> None:
        self._same.setdefault(_key(match), number)
        if prefix := _prefix(match):
            self._prefixes.setdefault(prefix, []).append((number, match))

    def same(self, match: Any) -> int | None:
        return self._same.get(_key(match))

    def covering(self, match: Any) -> int | None:
        """The rule with a shorter prefix that asks nothing which this match does not ask too."""
        prefix = _prefix(match)
        for end in range(1, len(prefix) + 1):
            for number, earlier in self._prefixes.get(prefix[:end], ()):
                if _asks_less(earlier, match):
                    return number
        return None


def _key(match: Any) -> bytes:
    return msgspec.json.encode(match, order="sorted")


def _prefix(match: Any) -> str:
    return (match.uri.prefix or "") if isinstance(match, HTTPMatchRequest) and match.uri is not None else ""


def _bare(match: Any) -> Any:
    """What a match takes: its name does not count."""
    return msgspec.structs.replace(match, name="", stat_prefix="") if isinstance(match, HTTPMatchRequest) else match


def _asks_less(earlier: HTTPMatchRequest, later: HTTPMatchRequest) -> bool:
    """Whether all that the earlier match asks beside the path, the later asks too."""
    if earlier.ignore_uri_case != later.ignore_uri_case:
        return False
    return all(_asked(name, getattr(earlier, name), getattr(later, name)) for name in _CONDITIONS)


def _asked(name: str, earlier: Any, later: Any) -> bool:
    if not earlier:
        return True
    if name in _MAPPINGS:
        return all(later.get(key) == value for key, value in earlier.items())
    return bool(earlier == later)


def _all(match: Any) -> bool:
    """Does this match take every request?"""
    if isinstance(match, L4MatchAttributes):
        return match == L4MatchAttributes()
    if not isinstance(match, HTTPMatchRequest):
        return False
    bare = msgspec.structs.replace(_bare(match), ignore_uri_case=False)
    return bare in (HTTPMatchRequest(), HTTPMatchRequest(uri=_ANY_PATH))
