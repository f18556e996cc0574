"""Does RE2 take an expression, as Envoy has it? Told without Envoy, so that one bad expression costs no other route.

RE2 has no look-around, no back references and no possessive repeats, at most 1000 of anything counted, and Envoy
refuses programs above a size. `tests/e2e/test_expressions.py` compares the verdicts with those of the real one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

PROGRAM_SIZE: Final = 32768
"""Envoy's bound in our bootstraps (runtime `re2.max_program_size.error_level`). By default it is 100."""
_MOST_REPEATS: Final = 1000
_DEEPEST: Final = 1000
_REPEAT: Final = re.compile(r"\{(\d+)(?:(,)(\d*))?\}")
_GROUP: Final = re.compile(r"\?(?:P?<(\w+)>|([imsU]*(?:-[imsU]+)?)(:|(?=\))))")
_ESCAPE: Final = re.compile(
    r"x(?:[0-9A-Fa-f]{2}|\{0*(?:[0-9A-Fa-f]{1,5}|10[0-9A-Fa-f]{4})\})|0[0-7]{0,2}|[1-7][0-7]{1,2}|[aftnrv]|[^A-Za-z0-9\x80-\U0010ffff]",
    re.DOTALL,
)
_SET: Final = re.compile(r"[dDsSwW]|[pP](?:\{\^?(\w+)\}|(\w))")
_POSIX: Final = re.compile(
    r"\[:\^?(?:alnum|alpha|ascii|blank|cntrl|digit|graph|lower|print|punct|space|upper|word|xdigit):\]"
)
_CATEGORY: Final = re.compile(r"Any|C[cfos]?|L[lmotu]?|M[cen]?|N[dlo]?|P[cdefios]?|S[ckmo]?|Z[lps]?")
_SCRIPT: Final = re.compile(r"[A-Z][a-z]+(?:_[A-Z][a-z]+)*|Nko|Phags_Pa|SignWriting")
"""A script's name is only known to be of their form."""


class Refused(Exception):
    """Why RE2 does not take it, in its own words."""


@dataclass(slots=True)
class _Open:
    """A group that is not closed yet: its size, and what its last piece weighs."""

    size: int = 0
    last: int | None = None
    """Size of what a repeat would repeat; None: nothing, or a repeat already."""
    repeated: str = ""
    """The repeat just read, which no other may follow."""
    repeats: int = 1
    """The most that counted repeats inside multiply to."""
    within: int = 1
    """The same of the last piece."""

    def add(self, size: int, within: int = 1) -> None:
        self.size += size
        self.last, self.repeated, self.within = size, "", within


@lru_cache(4096)
def refused(text: str) -> str:
    """RE2's complaint; "" when it takes the expression."""
    try:
        size = _size(text)
    except Refused as error:
        return str(error)
    return f"its program of about {size} instructions is too large (most {PROGRAM_SIZE})" if size > PROGRAM_SIZE else ""


def _size(text: str) -> int:
    """About how large its program is."""
    groups, at = [_Open()], 0
    while at < len(text):
        here, char = groups[-1], text[at]
        if char in "*+?" or (char == "{" and _REPEAT.match(text, at)):
            at = _repeat(here, text, at)
        elif char == "(":
            at = _opened(groups, text, at + 1)
        elif char == ")":
            if len(groups) == 1:
                raise Refused(f"unexpected ): {text}")
            _closed(groups)
            at += 1
        elif char == "|":
            here.size, here.last, here.repeated = here.size + 1, None, ""
            at += 1
        elif char == "[":
            at = _class(text, at)
            here.add(1)
        elif char == "\\":
            at = _escaped(here, text, at)
        else:
            here.add(len(char.encode()) if char not in "^$." else 1)
            at += 1
    if len(groups) > 1:
        raise Refused(f"missing ): {text}")
    return groups[0].size


def _repeat(here: _Open, text: str, at: int) -> int:
    counted = _REPEAT.match(text, at) if text[at] == "{" else None
    end = counted.end() if counted else at + 1
    if end < len(text) and text[end] == "?":
        end += 1
    said = text[at:end]
    if here.repeated:
        raise Refused(f"bad repetition operator: {here.repeated}{said}")
    if here.last is None:
        raise Refused(f"no argument for repetition operator: {said}")
    times, within = 1, here.within
    if counted:
        least, most = int(counted[1]), int(counted[3] or counted[1])
        times = max(least, most)
        within *= max(times, 1)
        if times > _MOST_REPEATS or most < least or within > _MOST_REPEATS:
            raise Refused(f"invalid repetition size: {counted[0]}")
        here.size += here.last * (times - 1) + (most - least)
    here.size += 1
    here.repeats, here.repeated = max(here.repeats, within), said
    return end


def _opened(groups: list[_Open], text: str, at: int) -> int:
    """`at` is behind the bracket."""
    if len(groups) > _DEEPEST:
        raise Refused("expression nests too deeply")
    if not text.startswith("?", at):
        groups.append(_Open(2))
        return at
    found = _GROUP.match(text, at)
    if found is None:
        named = re.match(r"\?P?<(?![=!])[^>]*>?", text[at:])
        said = f"({named[0] if named else text[at : at + 3]}"
        raise Refused(f"invalid {'named capture group' if named else 'perl operator'}: {said}")
    if found[1]:
        groups.append(_Open(2))
    elif found[3] == ":":
        groups.append(_Open())
    else:
        return found.end() + 1  # flags for the rest of the group
    return found.end()


def _closed(groups: list[_Open]) -> None:
    inner = groups.pop()
    outer = groups[-1]
    outer.add(inner.size, inner.repeats)
    outer.repeats = max(outer.repeats, inner.repeats)


def _escaped(here: _Open, text: str, at: int) -> int:
    if text.startswith(r"\Q", at):
        end = text.find(r"\E", at + 2)
        here.add(len(text[at + 2 : end if end >= 0 else None].encode()))
        return end + 2 if end >= 0 else len(text)
    if text[at + 1 : at + 2] in ("A", "z", "b", "B", "C"):
        here.add(1)
        return at + 2
    here.add(1)
    return _character(text, at)


def _character(text: str, at: int, *, sets: bool = True) -> int:
    """Behind an escape that stands for characters, in a class or outside."""
    if at + 1 >= len(text):
        raise Refused("trailing \\")
    found = _SET.match(text, at + 1) if sets else None
    if found is not None:
        name = found[1] or found[2]
        if name and not _CATEGORY.fullmatch(name) and not (len(name) > 2 and _SCRIPT.fullmatch(name)):
            raise Refused(f"invalid character class range: \\{found[0]}")
        return found.end()
    found = _ESCAPE.match(text, at + 1)
    if found is None:
        raise Refused(f"invalid escape sequence: {text[at : at + 2]}")
    return found.end()


def _class(text: str, at: int) -> int:
    """Behind a `[…]`."""
    began, at = at, at + 1
    if text.startswith("^", at):
        at += 1
    first = True
    while first or not text.startswith("]", at):
        first = False
        if at >= len(text):
            raise Refused(f"missing ]: {text[began:]}")
        if text.startswith("[:", at) and ":]" in text[at + 2 :]:
            found = _POSIX.match(text, at)
            if found is None:
                raise Refused(f"invalid character class range: {text[at : text.index(':]', at + 2) + 2]}")
            at = found.end()
        elif text[at] == "\\" and (_SET.match(text, at + 1)):
            at = _character(text, at)
        else:
            at = _range(text, at)
    return at + 1


def _range(text: str, at: int) -> int:
    low = at
    at = _one(text, at)
    if not text.startswith("-", at) or text.startswith("-]", at) or at + 1 >= len(text):
        return at
    high = at + 1
    at = _one(text, high)
    if _plain(text[low : high - 1]) > _plain(text[high:at]):
        raise Refused(f"invalid character class range: {text[low:at]}")
    return at


def _one(text: str, at: int) -> int:
    return _character(text, at, sets=False) if text[at] == "\\" else at + 1


def _plain(text: str) -> int:
    """The code point that a character or an escape stands for."""
    if not text.startswith("\\"):
        return ord(text)
    said = text[1:]
    if said[0] == "x":
        return int(said[1:].strip("{}"), 16)
    if said[0].isdigit():
        return int(said, 8)
    return {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}.get(said) or ord(said)
