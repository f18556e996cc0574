"""Changes of headers: which names may be set and removed, and what a value may hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plait.resources.rules import words
from plait.resources.rules.names import HEADER
from plait.resources.rules.words import bad
from plait.resources.structure import Finding

AUTHORITY = frozenset({"host", ":authority"})


def changes(path: str, headers: Any) -> Iterator[Finding]:
    """Headers of a request may name the authority, anew only; those of a response may not."""
    for side in ("request", "response"):
        operations = getattr(headers, side) if headers is not None else None
        if operations is None:
            continue
        for verb in ("set", "add", "remove"):
            given = getattr(operations, verb)
            authority = side == "request" and verb != "remove"
            for index, name in enumerate(given):
                place = f"{path}.{side}.{verb}[{index if verb == 'remove' else name}]"
                yield from _name(place, name, authority=authority)
                if verb != "remove":
                    yield from value(place, given[name])


def of_response(path: str, name: str, text: str) -> Iterator[Finding]:
    """One that a proxy gives an answer of its own."""
    yield from _name(path, name, authority=False)
    yield from value(path, text)


def sets_authority(headers: Any) -> int:
    """How often the authority is given anew."""
    request = headers.request if headers is not None else None
    given = (*request.set, *request.add) if request is not None else ()
    return sum(1 for name in given if name.lower() in AUTHORITY)


def _name(path: str, name: str, *, authority: bool) -> Iterator[Finding]:
    if name.lower() in AUTHORITY:
        if not authority:
            yield bad(path, f"{name!r} can only be set or added, and only in the request; remove it here")
    elif name.startswith(":"):
        yield bad(path, f"{name!r} belongs to the request line; only :authority can be changed here")
    elif not HEADER.fullmatch(name):
        yield bad(path, f"{name!r} is not a header name; use letters, digits and '-'")


def value(path: str, text: str) -> Iterator[Finding]:
    """A format string of Envoy, in which nothing may end the header."""
    if any(character in text for character in "\0\r\n"):
        yield bad(path, f"{text!r} has a line break or a zero byte, which no header has; remove it")
    yield from words.format_string(path, text)
