"""Checks that rules of several kinds share: hosts, addresses, ports, expressions, one-of."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any

from plait.base import format_strings
from plait.resources import codes, durations
from plait.resources.structure import Finding

_LABEL = re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?")


def bad(path: str, message: str) -> Finding:
    """A broken rule."""
    return Finding(codes.SCHEMA, path, message)


def exactly_one(path: str, given: dict[str, Any], *, none_is_fine: bool = False) -> Iterator[Finding]:
    """One of these fields must be given; both too many and none are told."""
    present = [name for name, value in given.items() if value]
    if len(present) > 1:
        yield bad(path, f"{' and '.join(present)} exclude each other; keep one of them")
    elif not present and not none_is_fine:
        yield bad(path, f"none of {', '.join(given)} is given; add one")


def host(path: str, value: str, *, star: bool = True, partial: bool = False) -> Iterator[Finding]:
    """A host name, with a wildcard only in its first label: `*.a`, `*-a.b`, with `partial` also `*a.b`."""
    if value == "*" and star:
        return
    name = value.removeprefix("*.") if value.startswith("*.") else value.removeprefix("*-")
    labels = (name.removeprefix("*") if partial else name).removesuffix(".").split(".")
    fits = len(value) <= 255 and all(len(each) <= 63 and _LABEL.fullmatch(each) for each in labels)
    if not fits or labels[-1].isdecimal():
        yield bad(path, f"{value!r} is not a host name; write one such as a.example.com or *.example.com")


def address(path: str, value: str) -> Iterator[Finding]:
    """An IP address or a CIDR block."""
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        yield bad(path, f"{value!r} is neither an IP address nor a CIDR block; write one such as 10.0.0.0/8")


def bind(path: str, value: str, number: int | None, *, socket: bool) -> Iterator[Finding]:
    """Where a listener of this port number listens: an IP address, or (`socket`) a Unix domain socket with port 0."""
    if socket and value.startswith("unix://"):
        if value.removeprefix("unix://")[:1] not in ("/", "@"):
            yield bad(path, f"{value!r} names no absolute path; write unix:///PATH, or unix://@NAME")
        if number:
            yield bad(path, f"a Unix domain socket has no port, but {number} is given; write 0, or an IP address here")
    elif value:
        try:
            ipaddress.ip_address(value)
        except ValueError:
            instead = "; write one such as 127.0.0.1" + (", or unix:///PATH with port 0" if socket else "")
            yield bad(path, f"{value!r} is no IP address{instead}")


def port(path: str, value: int | None, *, zero: bool = False) -> Iterator[Finding]:
    if value is not None and not (1 <= value <= 65535 or (zero and value == 0)):
        yield bad(path, f"{value} is not a port; write a number of 1 to 65535")


_PROTOCOLS = frozenset(
    {
        "HTTP",
        "HTTPS",
        "GRPC",
        "GRPC-WEB",
        "HTTP2",
        "MONGO",
        "TCP",
        "TLS",
        "REDIS",
        "MYSQL",
        "UDP",
        "HTTP_PROXY",
    }
)


def protocol(path: str, value: str, *, empty: bool = False) -> Iterator[Finding]:
    if value.upper() not in _PROTOCOLS and not (empty and not value):
        yield bad(path, f"{value!r} is not a protocol; use one of HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP, TLS")


def positive(path: str, value: str | None) -> Iterator[Finding]:
    """A duration of at least one millisecond, in whole milliseconds."""
    number = durations.seconds(value) if value is not None else None
    if number is None:
        return
    if number < 0.001:
        yield bad(path, f"{value} is shorter than 1ms; write a longer duration")
    elif abs(number * 1000 - round(number * 1000)) > 1e-6:
        yield bad(path, f"{value} is no whole number of milliseconds; round it")


# RE2 has neither look-around nor back references nor possessive or atomic groups.
_NOT_RE2 = re.compile(r"(?<!\\)(?:\\\\)*(?:\(\?(?:=|!|<=|<!|>|\()|\\[1-9]|[*+?}]\+)")
_RE2_ONLY = re.compile(r"\\p\{?\^?\w+\}?|\\P\{?\w+\}?|\\z|\\C|\[\[:\^?\w+:\]\]")


def expression(path: str, value: str | None) -> Iterator[Finding]:
    """An RE2 expression."""
    if value is None:
        return
    if len(value) > 1024:
        yield bad(path, "the expression is longer than 1024 characters; shorten it")
        return
    text = ""
    if found := _NOT_RE2.search(value):
        text = f"RE2 has no {found.group()!r}"
    else:
        try:
            plain = re.sub(r"\(\?[imsU-]+\)", "", _RE2_ONLY.sub("[a]", value)).replace("(?P<", "(?P<")
            re.compile(re.sub(r"\(\?[imsU-]+:", "(?:", plain))
        except (re.error, OverflowError, RecursionError) as error:
            text = str(error)
    if text:
        yield bad(path, f"{value!r} is not an RE2 expression: {text}; rewrite it")


def format_string(path: str, text: str) -> Iterator[Finding]:
    """A text in which `%OPERATOR(argument)%` stands for what Envoy knows of a request."""
    if why := format_strings.refused(text):
        yield bad(path, f"{text!r} is no format of Envoy: {why}")


def string_match(path: str, match: Any, *, empty_prefix: bool = False) -> Iterator[Finding]:
    """exact, prefix or regex: at most one, and the expression must compile. Only a path may begin with nothing."""
    if match is None:
        return
    given = {"exact": match.exact is not None, "prefix": match.prefix is not None, "regex": match.regex is not None}
    yield from exactly_one(path, given, none_is_fine=True)
    if match.prefix == "" and not empty_prefix:
        yield bad(f"{path}.prefix", "the prefix is empty; give one or remove the match")
    if match.regex == "":
        yield bad(f"{path}.regex", "the expression is empty; give one or remove the match")
    yield from expression(f"{path}.regex", match.regex)


def unique(path: str, names: list[str], what: str) -> Iterator[Finding]:
    """Names given twice."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            yield bad(f"{path}[{index}]", f"the {what} {name!r} is given twice; rename one")
        seen.add(name)


def whole_seconds(path: str, value: str | None) -> Iterator[Finding]:
    """A duration of whole seconds, for what is told in seconds."""
    yield from positive(path, value)
    number = durations.seconds(value) if value is not None else None
    if number is not None and number % 1 and number >= 0.001:
        yield bad(path, f"{value} is no whole number of seconds; round it")
