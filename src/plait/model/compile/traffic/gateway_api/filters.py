"""Filters of HTTPRoute and GRPCRoute -> what a Route holds. What cannot be done is said by a condition's reason."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from plait.model.compile.traffic.gateway_api.backends import Backends
from plait.model.routes import NO_CHANGE, Cors, HeaderChange, Mirror, Redirect, Rewrite, TextMatch
from plait.resources.gateway_api.routes import HTTPCORSFilter, HTTPPathModifier
from plait.resources.gateway_api.shared import HeaderFilter, RequestMirrorFilter


class Read(msgspec.Struct):
    """All filters of one rule or backend, and what is wrong with them."""

    request: HeaderChange = NO_CHANGE
    response: HeaderChange = NO_CHANGE
    redirect: Redirect | None = None
    rewrite: Rewrite | None = None
    cors: Cors | None = None
    mirrors: tuple[Mirror, ...] = ()
    unresolved: tuple[str, str] | None = None
    """(reason, sentence) of a reference that leads nowhere."""
    unsupported: str = ""
    unrunnable: str = ""
    """Of a filter of somebody else's kind: what it was to act on must not pass without it."""


def read(filters: Iterable[Any], backends: Backends, kind: str, namespace: str) -> Read:
    found = Read()
    for each in filters:
        match each.type:
            case "RequestHeaderModifier" if each.request_header_modifier is not None:
                found.request = _change(each.request_header_modifier)
            case "ResponseHeaderModifier" if each.response_header_modifier is not None:
                found.response = _change(each.response_header_modifier)
            case "RequestMirror" if each.request_mirror is not None:
                _mirror(each.request_mirror, found, backends, kind, namespace)
            case "RequestRedirect" if each.request_redirect is not None:
                found.redirect = _redirect(each.request_redirect)
            case "URLRewrite" if each.url_rewrite is not None:
                path, prefix = _path(each.url_rewrite.path)
                found.rewrite = Rewrite(each.url_rewrite.hostname or "", path, prefix)
            case "CORS" if each.cors is not None:
                found.cors = _cors(each.cors)
            case "ExtensionRef":
                reference = each.extension_ref
                name = f"{reference.kind} {reference.name}" if reference is not None else "nothing"
                found.unrunnable = f"ExtensionRef to {name} is not supported; use a known filter"
                found.unresolved = ("InvalidKind", found.unrunnable)
            case _:
                found.unsupported = f"filter {each.type} is not supported yet; remove it"
    return found


def joined(rule: Read, backend: Read) -> Read:
    """Filters of a rule with those of its only backend, but header changes: these stay at the backend."""
    return Read(
        rule.request,
        rule.response,
        rule.redirect or backend.redirect,
        backend.rewrite or rule.rewrite,
        backend.cors or rule.cors,
        (*rule.mirrors, *backend.mirrors),
        rule.unresolved or backend.unresolved,
        rule.unsupported or backend.unsupported,
        rule.unrunnable or backend.unrunnable,
    )


def beyond_headers(found: Read) -> bool:
    return bool(found.redirect or found.rewrite or found.cors or found.mirrors or found.unsupported)


def _change(given: HeaderFilter) -> HeaderChange:
    return HeaderChange(
        tuple((h.name, h.value) for h in given.set), tuple((h.name, h.value) for h in given.add), given.remove
    )


def _mirror(given: RequestMirrorFilter, found: Read, backends: Backends, kind: str, namespace: str) -> None:
    backend = backends.find(given.backend_ref, kind, namespace)
    if backend.reason:
        found.unresolved = (backend.reason, backend.destination.broken)
        return
    percent = 100.0
    if given.percent is not None:
        percent = float(given.percent)
    elif given.fraction is not None:
        percent = 100.0 * given.fraction.numerator / max(given.fraction.denominator, 1)
    if percent > 0:
        found.mirrors = (*found.mirrors, Mirror(backend.destination, percent))


def _redirect(given: Any) -> Redirect:
    path, prefix = _path(given.path)
    # Without a port the specification asks for the scheme's well-known one, or (no scheme) the listener's.
    port = given.port if given.port is not None else 0 if given.scheme else None
    return Redirect(given.status_code, given.scheme or "", given.hostname or "", port, path, prefix)


def _path(given: HTTPPathModifier | None) -> tuple[str, str | None]:
    if given is None:
        return "", None
    if given.type == "ReplaceFullPath":
        return given.replace_full_path or "/", None
    return "", given.replace_prefix_match or "/"


def _cors(given: HTTPCORSFilter) -> Cors:
    origins = []
    for text in given.allow_origins:
        if text == "*":
            origins.append(TextMatch("present"))
        elif "*" in text:
            before, _, after = text.partition("*")
            origins.append(TextMatch("regex", f"{_literal(before)}.*{_literal(after)}"))
        else:
            origins.append(TextMatch("exact", text))
    return Cors(
        tuple(origins),
        given.allow_methods,
        given.allow_headers,
        given.expose_headers,
        float(given.max_age),
        given.allow_credentials,
        False,
    )


def _literal(text: str) -> str:
    return "".join(f"\\{c}" if c in r"\.+*?()|[]{}^$/" and c != "/" else c for c in text)
