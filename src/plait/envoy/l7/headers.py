"""Header changes, with Envoy's command operators checked: one that Envoy cannot parse would refuse the whole route."""

from __future__ import annotations

import re

from plait.base.format_strings import literal, refused
from plait.envoy.l7.context import Context
from plait.envoy.pieces import Doc
from plait.model.routes import HeaderChange

_HOSTS = ("host", ":authority")
_BREAKS = re.compile(r"[\x00\n\r]")


def value(ctx: Context, text: str, source: str, path: str) -> str:
    """The value as Envoy's formatter takes it; what is changed for that is said."""
    written = formatted(text)
    if written != text:
        ctx.refuse(source, path, f"{text!r} is sent as text: {refused(text)}")
    return written


def formatted(text: str) -> str:
    """What is no format is text, all of it."""
    return literal(text.replace("%%", "%")) if refused(text) else text


def request(ctx: Context, change: HeaderChange, source: str) -> Doc:
    """Fields `request_headers_to_…` and `host_rewrite_literal` (only a route's own action takes that one)."""
    return _changes(ctx, change, "request", source)


def response(ctx: Context, change: HeaderChange, source: str) -> Doc:
    return _changes(ctx, change, "response", source)


def host(change: HeaderChange) -> str:
    """The host a request is given by a header change: Envoy has a field of its own for that."""
    return next((text for name, text in (*change.set, *change.add) if name.lower() in _HOSTS), "")


def _changes(ctx: Context, change: HeaderChange, side: str, source: str) -> Doc:
    added: list[Doc] = []
    for pairs, action in ((change.set, "OVERWRITE_IF_EXISTS_OR_ADD"), (change.add, "APPEND_IF_EXISTS_OR_ADD")):
        for name, text in pairs:
            if not _changeable(ctx, name, side, source):
                continue
            if _breaks(ctx, text, name, side, source):
                continue
            written = value(ctx, text, source, f"headers.{side}.{name}")
            added.append({"header": {"key": name, "value": written}, "append_action": action})
            if not written:
                ctx.refuse(source, f"headers.{side}.{name}", "a header is not set to nothing, it stays; use remove")
    removed = [name for name in change.remove if _changeable(ctx, name, side, source)]
    document: Doc = {}
    if added:
        document[f"{side}_headers_to_add"] = added
    if removed:
        document[f"{side}_headers_to_remove"] = removed
    return document


def _changeable(ctx: Context, name: str, side: str, source: str) -> bool:
    if side == "request" and name.lower() in _HOSTS:
        return False  # said by `host`
    if _breaks(ctx, name, name, side, source):
        return False
    if name.startswith(":") or not name or name.lower() in _HOSTS:
        ctx.refuse(source, f"headers.{side}.{name}", "Envoy changes no pseudo headers; use rewrite for path and host")
        return False
    return True


def _breaks(ctx: Context, text: str, name: str, side: str, source: str) -> bool:
    """Whether it would end the header it stands in."""
    found = _BREAKS.search(text) is not None
    if found:
        ctx.refuse(source, f"headers.{side}.{name!r}", "a header has no line breaks or zero bytes; left out")
    return found
