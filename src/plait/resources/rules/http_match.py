"""Conditions of HTTP rules of a VirtualService."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plait.resources.rules import names, words
from plait.resources.rules.names import HEADER
from plait.resources.rules.words import bad
from plait.resources.structure import Finding

_CLAIM = "@request.auth.claims"
ANY = "*"
"""No expression: as `regex` of a header that must be missing it means one of whatever value, as in Istio."""
_ONE = ("uri", "scheme", "method", "authority")


def match(path: str, found: Any, *, gateways: tuple[str, ...], delegates: bool) -> Iterator[Finding]:
    """One set of conditions; `gateways` are those of the rules, `delegates` whether another object has the routes."""
    for field in _ONE:
        yield from words.string_match(f"{path}.{field}", getattr(found, field), empty_prefix=field == "uri")
    claims_known = bool(gateways) and "mesh" not in gateways
    for field, headers in (("headers", found.headers), ("withoutHeaders", found.without_headers)):
        for name, value in headers.items():
            place = f"{path}.{field}[{name}]"
            if name.startswith(_CLAIM):
                if not claims_known:
                    yield bad(place, "token claims can be matched at gateways only; name gateways, and not mesh")
            elif not HEADER.fullmatch(name.removeprefix(":")):
                yield bad(place, f"{name!r} is not a header name; use letters, digits and '-'")
            if value is None or value.regex != ANY or field == "headers":
                yield from words.string_match(place, value)
    for name, value in found.query_params.items():
        yield from words.string_match(f"{path}.queryParams[{name}]", value)
    yield from words.port(f"{path}.port", found.port, zero=True)
    yield from source(path, found)
    if delegates:
        yield from _plain(path, found)


def source(path: str, found: Any) -> Iterator[Finding]:
    """Conditions on where the traffic comes from, alike for HTTP, TLS and TCP."""
    yield from names.labels(f"{path}.sourceLabels", found.source_labels)
    yield from names.gateways(f"{path}.gateways", found.gateways)
    yield from names.namespace(f"{path}.sourceNamespace", found.source_namespace)


def _plain(path: str, found: Any) -> Iterator[Finding]:
    tests = [(field, getattr(found, field)) for field in _ONE]
    for field in ("headers", "query_params", "without_headers"):
        name = {"headers": "headers", "query_params": "queryParams"}.get(field, "withoutHeaders")
        tests += [(f"{name}[{key}]", value) for key, value in getattr(found, field).items()]
    for place, value in tests:
        if value is not None and value.regex is not None:
            text = "a rule that delegates joins its conditions with those of the delegate, but not expressions"
            yield bad(f"{path}.{place}.regex", f"{text}; use exact or prefix")
