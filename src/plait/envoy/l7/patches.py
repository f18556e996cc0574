"""EnvoyFilter: changes laid over finished documents, in order. One that does not fit is a refusal, never a crash.

Matching is Istio's: by context, listener (name, port), chain (name, SNI, protocols), filter and sub-filter, route
configuration (name, port, gateway, virtual host, route), cluster (name, service, port, subset); in a waypoint also by
the served port, filter and route (`waypoint`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from plait.envoy.l7.bundle import URLS, Documents
from plait.envoy.l7.context import Context
from plait.envoy.l7.merging import edited
from plait.envoy.l7.patch_values import TYPES
from plait.envoy.l7.patching import clusters, listeners, routes
from plait.envoy.l7.patching.matching import Known, ours
from plait.envoy.l7.spelling import proper
from plait.envoy.pieces import Doc
from plait.envoy.wire import WireError, encode
from plait.model.patches import Patch, PatchSet


def apply(ctx: Context, sets: Iterable[PatchSet], found: Documents, role: str, known: Known = Known()) -> None:
    """All patches of all sets but those for the bootstrap (`bootstrap_patches`)."""
    for each in sets:
        source = f"EnvoyFilter/{each.key}"
        for patch in each.patches:
            value = usable(ctx, patch, source)
            if value is None or patch.apply_to == "BOOTSTRAP" or not ours(patch, role, ""):
                continue
            before = {kind: list(getattr(found, kind)) for kind in URLS}
            try:
                done = _one(found, patch, value, role, known)
                _check(found, before)
            except (KeyError, TypeError, AttributeError, ValueError, WireError) as error:
                for kind, documents in before.items():
                    setattr(found, kind, documents)
                ctx.refuse(source, patch.path, f"the match or value cannot be applied, nothing is changed: {error}")
                continue
            if not done:
                ctx.refuse(
                    source, patch.path, f"nothing here for {patch.operation} of {patch.apply_to}; check the match"
                )


def _check(found: Documents, before: dict[str, list[Doc]]) -> None:
    """What a patch has made must be Envoy's API, or the whole document would be lost to it."""
    for kind, url in URLS.items():
        known = {id(document) for document in before[kind]}
        for document in getattr(found, kind):
            if id(document) not in known:
                encode(url, document)


def usable(ctx: Context, patch: Patch, source: str) -> Doc | None:
    """The value with proper field names, if Envoy's API has them."""
    kind = TYPES.get(patch.apply_to)
    if kind is None:
        ctx.refuse(source, f"{patch.path}.applyTo", f"{patch.apply_to} is none of {', '.join(TYPES)}")
        return None
    try:
        if patch.proxy_version and not re.search(patch.proxy_version, ctx.options.version):
            return None
    except re.error:
        ctx.refuse(
            source, f"{patch.path}.match.proxy.proxyVersion", f"{patch.proxy_version!r} is no regular expression"
        )
        return None
    tags = dict(patch.proxy_metadata)
    if any(ctx.proxy.tags.get(name) != value for name, value in tags.items()):
        return None
    value = proper(kind, patch.value)
    try:
        encode(kind, value)
    except WireError as error:
        ctx.refuse(source, f"{patch.path}.value", f"not Envoy's API: {error}")
        return None
    return dict(value)


def _one(found: Documents, patch: Patch, value: Doc, role: str, known: Known) -> bool:
    match patch.apply_to:
        case "CLUSTER":
            return clusters.patched(found, patch, value, role, known)
        case "ROUTE_CONFIGURATION" | "VIRTUAL_HOST" | "HTTP_ROUTE":
            return routes.patched(found, patch, value, role, known)
        case "EXTENSION_CONFIG":
            found.extensions, done = edited(
                found.extensions, patch.operation, value, lambda e: e["name"] == value.get("name")
            )
            return done
        case _:
            return listeners.patched(found, patch, value, role)


def bootstrap_patches(ctx: Context, sets: Iterable[PatchSet]) -> list[Doc]:
    """What is merged into the bootstrap, in order: only MERGE is meant for it."""
    found: list[Doc] = []
    for each in sets:
        for patch in each.patches:
            if patch.apply_to != "BOOTSTRAP" or not ours(patch, ctx.proxy.role, ""):
                continue
            source = f"EnvoyFilter/{each.key}"
            if patch.operation != "MERGE":
                ctx.refuse(source, f"{patch.path}.operation", "a bootstrap can only be merged")
            elif (value := usable(ctx, patch, source)) is not None:
                found.append(value)
    return found
