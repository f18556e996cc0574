"""Does Envoy take a CEL expression? Told without Envoy, so that one bad expression costs no other report.

Its grammar is the language's; of the functions it knows the standard ones without `string`, and it evaluates no loops.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import cel

from plait.base import regexes

_FUNCTIONS: Final = frozenset(
    (
        *("size", "contains", "startsWith", "endsWith", "matches", "extract", "capture", "captureN", "has"),
        *("int", "uint", "double", "bytes", "bool", "dyn", "type", "duration", "timestamp"),
        *("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"),
        *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
    )
)
_LOOPS: Final = re.compile(r"\.\s*(all|exists|exists_one|map|filter)\s*\(\s*[A-Za-z_]\w*\s*,")
_PATTERNS: Final = re.compile(r"""\.\s*matches\s*\(\s*(?:'([^'\\]*)'|"([^"\\]*)")\s*\)""")


_QUOTED: Final = re.compile(r"""'[^']*'|"[^"]*\"""")


def plain_text(text: str) -> str | None:
    """What stands between quotes, where the whole expression is one such text."""
    return text[1:-1] if _QUOTED.fullmatch(text) else None


@lru_cache(1024)
def refused(text: str) -> str:
    """Why it is no expression that a proxy can evaluate; "" when it is."""
    try:
        functions = cel.compile(text).functions()
    except Exception as error:  # the library has no error of its own
        return str(error).splitlines()[0]
    for name in functions:
        if name.isidentifier() and name not in _FUNCTIONS:
            return f"there is no function {name}"
    if found := _LOOPS.search(text):
        return f"{found[1]} is a loop, which no proxy evaluates"
    for one, other in _PATTERNS.findall(text):
        if why := regexes.refused(one or other):
            return f"{one or other!r} is no RE2 expression: {why}"
    return ""
