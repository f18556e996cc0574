"""What is in effect of a security object that nobody can read: its last readable state, else the strictest it could be.

Dropping it would let in whom it kept out. Our API server stores none; another one (an older schema, a newer API) may.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from plait.resources import codes, kinds
from plait.resources.decode import decode, problem
from plait.resources.kinds import Kind
from plait.resources.kubernetes import ConfigMap
from plait.resources.mesh_config.mesh import understood
from plait.resources.meta import Resource
from plait.resources.problems import Problem

Document = dict[str, Any]
_STRICTEST: dict[Kind, Document | None] = {
    kinds.AUTHORIZATION_POLICY: {"action": "DENY", "rules": [{}]},
    kinds.PEER_AUTHENTICATION: {"mtls": {"mode": "STRICT"}},
    kinds.REQUEST_AUTHENTICATION: None,  # tokens alone forbid nothing: who asks for them is a policy
}
KINDS = frozenset(_STRICTEST)
"""Of which the last readable state stays in effect."""
_MESH = "mesh"
_BINDING = ("selector", "targetRef", "targetRefs")


def in_effect(document: Document, before: Resource | None) -> tuple[Resource | None, tuple[Problem, ...]]:
    """Instead of this unreadable document. None: nothing, as of every kind whose absence lets nobody in."""
    kind = kinds.by_document(document)
    if kind is None or kind not in _STRICTEST:
        return None, ()
    made, what = before, "its last readable state stays in effect"
    if made is None:
        made = next(_closed(document, _STRICTEST[kind]), None)
        what = "what it binds is refused meanwhile" if made is not None else "it has no effect"
    text = f"it cannot be read, so {what}; mend it or delete it"
    return made, (problem(document, codes.UNREADABLE, "spec", text),)


def configuration(found: ConfigMap, before: ConfigMap | None) -> tuple[ConfigMap, tuple[Problem, ...]]:
    """The ConfigMap of the mesh configuration: a text that cannot be read does not replace one that could.

    Defaults instead would take away every provider, and with them log lines, spans and what CUSTOM policies let pass.
    """
    data, last = found.data or {}, (before.data or {}).get(_MESH, "") if before is not None else None
    config, wrong = understood(data.get(_MESH, ""))
    if config is not None or last is None or understood(last)[0] is None:
        return found, ()
    text = "it cannot be read, so its last readable state stays in effect; mend it"
    kept = Problem(codes.UNREADABLE, "error", "ConfigMap", found.namespace, found.name, f"data.{_MESH}", text)
    return msgspec.structs.replace(found, data={**data, _MESH: last}), (*wrong, kept)


def _closed(document: Document, strictest: Document | None) -> Iterator[Resource]:
    """Bound as the document says, as far as that can be read; else to its whole namespace."""
    spec, metadata = (part if isinstance(part, dict) else {} for part in map(document.get, ("spec", "metadata")))
    if strictest is None or spec.get("action") == "AUDIT":
        return
    name = {key: metadata.get(key, "") for key in ("name", "namespace")}
    said = {"annotations": metadata["annotations"]} if "annotations" in metadata else {}
    bound = {key: spec[key] for key in _BINDING if key in spec}
    for extra, binding in ((said, bound), ({}, bound), ({}, {})):
        closed = {**document, "metadata": {**name, **extra}, "spec": {**binding, **strictest}}
        closed.pop("status", None)
        made, wrong = decode(closed)
        if made is not None and not wrong:
            yield made
