"""What does a CEL expression say? Compiled programs with the Kubernetes libraries beside the language's own.

Used by CEL rules of schemas (`schema.rules`) and by matchConditions of webhooks. Knows no schemas and no requests.
"""

from __future__ import annotations

import functools
import ipaddress
import itertools
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import cel
from cel.stdlib import add_stdlib_to_context

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")


class ExpressionError(Exception):
    """The expression does not compile, or could not be evaluated on this input."""


@functools.lru_cache(maxsize=4096)
def program(source: str) -> Any:
    """Compile once. ExpressionError says what the compiler says."""
    try:
        return cel.compile(source)
    except Exception as error:
        raise ExpressionError(f"{source}: {str(error).splitlines()[0]}") from error


def evaluate(source: str, variables: Mapping[str, Any]) -> Any:
    """The value of an expression; ExpressionError when it has none."""
    compiled = program(source)
    context = cel.Context(variables={**variables, "format": "format"}, functions=_functions(compiled))
    try:
        return compiled.execute(context)
    except Exception as error:
        raise ExpressionError(str(error).splitlines()[0]) from error


def _functions(compiled: Any) -> dict[str, Callable[..., Any]]:
    """Only what the expression calls: registering a function costs more than most rules do."""
    return {name: _LIBRARY[name] for name in compiled.functions() if name in _LIBRARY}


def _is_ip(value: str, version: int | None = None) -> bool:
    try:
        found = ipaddress.ip_address(value)
    except ValueError:
        return False
    return version is None or found.version == version


def _is_cidr(value: str) -> bool:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return False
    return "/" in value


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return bool(parts.scheme and (parts.netloc or parts.path.startswith("/"))) or value.startswith("/")


def _find_all(value: str, pattern: str, limit: int = -1) -> list[str]:
    found = [match.group(0) for match in re.finditer(pattern, value)]
    return found if limit < 0 else found[:limit]


def _find(value: str, pattern: str) -> str:
    match = re.search(pattern, value)
    return match.group(0) if match else ""


def _index(value: Any, wanted: Any, start: int = 0) -> int:
    if isinstance(value, str):
        return value.find(wanted, start)
    return next((i for i, each in enumerate(value) if each == wanted), -1)


def _last_index(value: Any, wanted: Any) -> int:
    if isinstance(value, str):
        return value.rfind(wanted)
    return max((i for i, each in enumerate(value) if each == wanted), default=-1)


def _ip(value: str) -> str:
    return str(ipaddress.ip_address(value))


def _cidr(value: str) -> str:
    ipaddress.ip_network(value, strict=False)
    return value


def _holds(network: str, other: str) -> bool:
    """cidr.containsIP and cidr.containsCIDR: false between families."""
    outer, inner = (ipaddress.ip_network(each, strict=False) for each in (network, other))
    if outer.version != inner.version:
        return False
    first, last = int(outer.network_address), int(outer.broadcast_address)
    return first <= int(inner.network_address) and int(inner.broadcast_address) <= last


def _query(value: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(value).query, keep_blank_values=True)


def _is_sorted(values: list[Any]) -> bool:
    return all(a <= b for a, b in itertools.pairwise(values))


def _validate(form: str, value: str) -> Any:
    """`format.dns1123Label().validate(x)`: an optional list of complaints, none when the value is good."""
    good = {
        "dns1123Label": lambda: len(value) <= 63 and _LABEL.match(value) is not None,
        "dns1123Subdomain": lambda: len(value) <= 253 and _SUBDOMAIN.match(value) is not None,
    }[form]()
    return cel.OptionalValue.none() if good else cel.OptionalValue.of([f"not a {form}: {value}"])


def _named(form: str) -> Callable[..., str]:
    return lambda *_: form


def _host(value: str) -> str:
    return urlsplit(value).netloc


_OWN: dict[str, Callable[..., Any]] = {
    "isIP": _is_ip,
    "isCIDR": _is_cidr,
    "isURL": _is_url,
    "url": lambda value: value,
    "getScheme": lambda value: urlsplit(value).scheme,
    "getHost": _host,
    "getHostname": lambda value: urlsplit(value).hostname or "",
    "getPort": lambda value: str(urlsplit(value).port or ""),
    "getEscapedPath": lambda value: quote(urlsplit(value).path, safe="/%:@!$&'()*+,;=~"),
    "getQuery": _query,
    "ip": _ip,
    "family": lambda value: ipaddress.ip_address(value).version,
    "cidr": _cidr,
    "containsIP": _holds,
    "containsCIDR": _holds,
    "prefixLength": lambda value: ipaddress.ip_network(value, strict=False).prefixlen,
    "indexOf": _index,
    "lastIndexOf": _last_index,
    "find": _find,
    "findAll": _find_all,
    "isSorted": _is_sorted,
    "validate": _validate,
    "hasValue": lambda value: value is not None,
    "value": lambda value: value,
    "dns1123Label": _named("dns1123Label"),
    "dns1123Subdomain": _named("dns1123Subdomain"),
}


def _library() -> dict[str, Callable[..., Any]]:
    context = cel.Context()
    add_stdlib_to_context(context)
    return {**context.functions, **_OWN}


_LIBRARY = _library()
