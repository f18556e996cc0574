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
_ATTRIBUTES: Final = (
    *("connection", "destination", "filter_state", "metadata", "request"),
    *("response", "source", "upstream", "upstream_filter_state", "xds"),
)
_NAMESPACES: Final = frozenset({"re", "string", "list", "map", "null_type"})
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
        compiled = cel.compile(text)
    except Exception as error:  # the library has no error of its own
        return str(error).splitlines()[0]
    for name in compiled.functions():
        if name.isidentifier() and name not in _FUNCTIONS:
            return f"there is no function {name}"
    if found := _LOOPS.search(text):
        return f"{found[1]} is a loop, which no proxy evaluates"
    for name in compiled.variables():
        if name not in _ATTRIBUTES and name not in _NAMESPACES and name not in _FUNCTIONS:
            return f"there is no attribute {name}; all begin with one of {', '.join(_ATTRIBUTES)}"
    for one, other in _PATTERNS.findall(text):
        if why := regexes.refused(one or other):
            return f"{one or other!r} is no RE2 expression: {why}"
    return ""


def refused_tag(text: str) -> str:
    """Why no tag of a metric can have this value: text in quotes is taken as it is, anything else is an expression."""
    if not text or plain_text(text) is not None:
        return ""
    # The expression stands in an operator of Envoy's formatter, which would end there.
    return "an expression cannot have )% in it; put a blank between" if ")%" in text else refused(text)
