"""Filters of routes with what makes each of its fields meaningful: the type, and one field that is enough."""

from __future__ import annotations

from typing import Any

_BACKEND = {"name": "cart", "port": 80}
_AUTH = {"protocol": "HTTP", "backendRef": _BACKEND, "http": {}}
_CALLED = {"protocol": "GRPC", "backendRef": _BACKEND, "grpc": {}}
_PATH = {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/a"}}
_PREFIX = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/a"}}
_NAMED = {"group": "other.example", "kind": "Other", "name": "other"}
FILTERS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("requestHeaderModifier", "RequestHeaderModifier", {}),
    ("responseHeaderModifier", "ResponseHeaderModifier", {}),
    (r"requestMirror", "RequestMirror", {"backendRef": _BACKEND}),
    (r"requestRedirect\.(?!path)", "RequestRedirect", {}),
    (r"requestRedirect\.path\.replaceFullPath", "RequestRedirect", _PATH),
    (r"requestRedirect\.path\.replacePrefixMatch", "RequestRedirect", _PREFIX),
    (r"urlRewrite\.(?!path)", "URLRewrite", {}),
    (r"urlRewrite\.path\.replaceFullPath", "URLRewrite", _PATH),
    (r"urlRewrite\.path\.replacePrefixMatch", "URLRewrite", _PREFIX),
    (r"cors", "CORS", {"allowOrigins": ["https://a.example"]}),
    (r"externalAuth\.(?!grpc)", "ExternalAuth", _AUTH),
    (r"externalAuth\.grpc", "ExternalAuth", _CALLED),
    (r"extensionRef", "ExtensionRef", _NAMED),
)
PLACES = ((r"rules\[\]\.filters\[\]\.", False), (r"backendRefs\[\]\.filters\[\]\.", True))


def dependencies() -> list[tuple[str, dict[str, Any]]]:
    """(expression for the path, what must stand beside it) for both places of filters."""
    found = []
    for place, inside in PLACES:
        for pattern, kind, config in FILTERS:
            filters = {"filters": [{"type": kind, kind_field(kind): config}]}
            rule: dict[str, Any] = {"backendRefs": [filters]} if inside else filters
            if "path.replacePrefix" in pattern.replace("\\", ""):
                rule["matches"] = [{"path": {"type": "PathPrefix", "value": "/old"}}]
            found.append((rf"Route:.*{place}{pattern}", {"rules": [rule]}))
    return found


def kind_field(kind: str) -> str:
    return {"URLRewrite": "urlRewrite", "CORS": "cors"}.get(kind, kind[0].lower() + kind[1:])
