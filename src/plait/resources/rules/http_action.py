"""What an HTTP rule of a VirtualService does: redirect, answer, rewrite, retry, fail on purpose, CORS."""

from __future__ import annotations

import base64
import http
from collections.abc import Iterator
from typing import Any

from plait.resources import grpc_status
from plait.resources.rules import words
from plait.resources.rules.names import HEADER
from plait.resources.rules.words import bad
from plait.resources.structure import Finding

_BODY = 1 << 20  # bytes
_LEAST_SHARE = 0.0001  # percent: one in a million
_METHODS = frozenset(
    {
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "CONNECT",
        "OPTIONS",
        "TRACE",
        "*",
    }
)
_RETRY_ON = frozenset(
    {
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure",
        "envoy-ratelimited",
        "refused-stream",
        "retriable-4xx",
        "retriable-status-codes",
        "retriable-headers",
        "http3-post-connect-failure",
        "cancelled",
        "deadline-exceeded",
        "internal",
        "resource-exhausted",
        "unavailable",
    }
)


def redirect(path: str, found: Any) -> Iterator[Finding]:
    given = (found.uri, found.authority, found.scheme, found.port is not None, found.derive_port is not None)
    if not any(given):
        yield bad(path, "nothing is changed; give uri, authority, scheme, port or derivePort")
    code = found.redirect_code
    if code and not 300 <= code <= 399:
        yield bad(f"{path}.redirectCode", f"{code} is not a redirect; write one of 301, 302, 303, 307, 308")
    if found.scheme and found.scheme not in ("http", "https"):
        yield bad(f"{path}.scheme", f"{found.scheme!r} is unknown; use http or https")
    yield from words.port(f"{path}.port", found.port)
    both = {"port": found.port is not None, "derivePort": found.derive_port is not None}
    yield from words.exactly_one(path, both, none_is_fine=True)


def answer(path: str, found: Any) -> Iterator[Finding]:
    yield from _status(f"{path}.status", found.status)
    if (body := found.body) is None:
        return
    given = {"string": body.string is not None, "bytes": body.bytes is not None}
    yield from words.exactly_one(f"{path}.body", given, none_is_fine=True)
    raw = (body.string or "").encode()
    if body.bytes is not None:
        try:
            raw = base64.b64decode(body.bytes, validate=True)
        except ValueError:
            yield bad(f"{path}.body.bytes", "the value is not base64; encode it")
    if len(raw) > _BODY:
        yield bad(f"{path}.body", f"the body has {len(raw)} bytes, at most {_BODY} are allowed; shorten it")


def rewrite(path: str, found: Any) -> Iterator[Finding]:
    regex = found.uri_regex_rewrite
    if not (found.uri or found.authority or regex is not None):
        yield bad(path, "nothing is changed; give uri, uriRegexRewrite or authority")
    if regex is None:
        return
    yield from words.exactly_one(path, {"uri": bool(found.uri), "uriRegexRewrite": True})
    for name in ("match", "rewrite"):
        if not getattr(regex, name):
            yield bad(f"{path}.uriRegexRewrite.{name}", f"uriRegexRewrite needs match and rewrite; add {name}")
    yield from words.expression(f"{path}.uriRegexRewrite.match", regex.match)


def retries(path: str, found: Any) -> Iterator[Finding]:
    if found.attempts < 0:
        yield bad(f"{path}.attempts", f"{found.attempts} is negative; write 0 or more")
    elif found.attempts == 0 and (found.per_try_timeout or found.retry_on or found.retry_remote_localities):
        yield bad(f"{path}.attempts", "0 attempts turn retries off; give a number or remove the other fields")
    yield from words.positive(f"{path}.perTryTimeout", found.per_try_timeout)
    yield from words.positive(f"{path}.backoff", found.backoff)
    for each in found.retry_on.split(",") if found.retry_on else ():
        if each.strip() not in _RETRY_ON and not _known_status(each.strip()):
            text = f"{each!r} is neither a condition nor an HTTP status; use {', '.join(sorted(_RETRY_ON))}"
            yield bad(f"{path}.retryOn", text)


def _known_status(text: str) -> bool:
    return text.isdecimal() and int(text) in {status.value for status in http.HTTPStatus}


def fault(path: str, found: Any) -> Iterator[Finding]:
    if found.delay is None and found.abort is None:
        yield bad(path, "there is neither delay nor abort; add one")
    if (delay := found.delay) is not None:
        yield from words.exactly_one(f"{path}.delay", {"fixedDelay": delay.fixed_delay})
        if delay.exponential_delay is not None:
            yield bad(f"{path}.delay.exponentialDelay", "only fixedDelay is supported; use it")
        yield from words.positive(f"{path}.delay.fixedDelay", delay.fixed_delay)
        yield from share(f"{path}.delay.percentage", delay.percentage)
        if delay.percent is not None and not 0 <= delay.percent <= 100:
            yield bad(f"{path}.delay.percent", f"{delay.percent} is not a percent; write 0 to 100")
    if (abort := found.abort) is not None:
        given = {
            "httpStatus": abort.http_status is not None,
            "grpcStatus": abort.grpc_status is not None,
            "http2Error": abort.http2_error is not None,
        }
        yield from words.exactly_one(f"{path}.abort", given, none_is_fine=True)
        if abort.http_status is not None:
            yield from _status(f"{path}.abort.httpStatus", abort.http_status)
        if abort.grpc_status is not None and abort.grpc_status not in grpc_status.CODES:
            yield bad(
                f"{path}.abort.grpcStatus",
                f"{abort.grpc_status!r} is unknown; use one of {', '.join(sorted(grpc_status.CODES))}",
            )
        yield from share(f"{path}.abort.percentage", abort.percentage)


def _status(path: str, value: int) -> Iterator[Finding]:
    if not 200 <= value <= 599:
        yield bad(path, f"{value} is not an HTTP status; write one of 200 to 599")


def share(path: str, found: Any) -> Iterator[Finding]:
    """A percentage of requests, of which Envoy knows millionths."""
    if found is None:
        return
    if not 0 <= found.value <= 100:
        yield bad(f"{path}.value", f"{found.value} is not a percent; write 0 to 100")
    elif 0 < found.value < _LEAST_SHARE:
        yield bad(f"{path}.value", f"{found.value} is less than {_LEAST_SHARE}; write at least that, or 0")


def cors(path: str, found: Any) -> Iterator[Finding]:
    for index, origin in enumerate(found.allow_origins):
        if origin.exact == "" or (origin.exact is None and origin.prefix is None and origin.regex is None):
            yield bad(f"{path}.allowOrigins[{index}]", "the origin is empty; give exact, prefix or regex")
        yield from words.string_match(f"{path}.allowOrigins[{index}]", origin)
    for index, method in enumerate(found.allow_methods):
        if method not in _METHODS:
            yield bad(f"{path}.allowMethods[{index}]", f"{method!r} is not a method; use {', '.join(sorted(_METHODS))}")
    for field, names in (("allowHeaders", found.allow_headers), ("exposeHeaders", found.expose_headers)):
        for index, name in enumerate(names):
            if not HEADER.fullmatch(name):
                yield bad(f"{path}.{field}[{index}]", f"{name!r} is not a header name; use letters, digits and '-'")
    yield from words.whole_seconds(f"{path}.maxAge", found.max_age)
