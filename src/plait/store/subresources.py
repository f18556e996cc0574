"""Subresources and reviews that are not plain reads and writes of an object: scale, binding, eviction, token, …

Each function takes the verbs it builds on; status goes through the ordinary verbs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from plait.store import access, errors
from plait.store.api import Document, PatchType
from plait.store.ask import Ask
from plait.store.patch import PatchError, json_patch, merge_patch
from plait.store.selectors import selector_text
from plait.store.state import stamp
from plait.store.tokens import Tokens
from plait.store.verbs import Verbs

_SCALE: Document = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}


def scale_of(document: Document, paths: Document | None = None) -> Document:
    """autoscaling/v1 Scale of a Deployment or ReplicaSet, or of a custom resource by the paths of its definition."""
    meta = document["metadata"]
    kept = {k: meta[k] for k in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp") if k in meta}
    where = paths or _SCALE
    if paths is None:
        selector = selector_text((document.get("spec") or {}).get("selector"))
    else:
        selector = str(_at(document, paths.get("labelSelectorPath", "")) or "")
    replicas = _at(document, where["specReplicasPath"])
    status: Document = {"replicas": _at(document, where["statusReplicasPath"]) or 0}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": kept,
        "spec": {"replicas": (1 if paths is None else 0) if replicas is None else replicas},
        "status": status | ({"selector": selector} if selector else {}),
    }


def _at(document: Document, path: str) -> Any:
    at: Any = document if path else None
    for step in path.strip(".").split(".") if path else ():
        at = at.get(step) if isinstance(at, dict) else None
    return at


async def rescale(verbs: Verbs, ask: Ask, body: Any, how: PatchType | None) -> Document:
    """PUT or PATCH of scale: only spec.replicas can change."""
    plain = replace(ask, subresource="", admitted=True)
    old, paths = verbs.get(plain), verbs.definitions.scale(ask.kind, ask.version)
    present = scale_of(old.document, paths)
    try:
        if how == "json":
            body = json_patch(present, body)
        elif how is not None:
            body = merge_patch(present, body)
    except PatchError as error:
        raise errors.bad_request(error.message) from error
    replicas = (body.get("spec") or {}).get("replicas", 0) if isinstance(body, dict) else None
    if not isinstance(replicas, int) or replicas < 0:
        text = f"Invalid value: {replicas}: must be a number greater than or equal to 0"
        raise errors.invalid(ask.kind, ask.name, [("spec.replicas", text, "FieldValueInvalid")])
    scale = await verbs.admit(ask, "UPDATE", present, {**present, **body})
    patch: Document = (scale.get("spec") or {}).get("replicas", replicas)
    for step in reversed((paths or _SCALE)["specReplicasPath"].strip(".").split(".")):
        patch = {step: patch}
    if version := (body.get("metadata") or {}).get("resourceVersion"):
        patch["metadata"] = {"resourceVersion": version}
    record, _ = await verbs.patch(plain, patch, "merge")
    return scale_of(record.document, paths)


async def bind(verbs: Verbs, ask: Ask, body: Document, now: float) -> Document:
    """POST pods/x/binding: put a pod on a node, once."""
    node = (body.get("target") or {}).get("name", "")
    plain = replace(ask, subresource="", admitted=True)
    pod = verbs.get(plain).document
    if not node:
        raise errors.invalid(ask.kind, ask.name, [("target.name", "Required value", "FieldValueRequired")])
    if placed := pod["spec"].get("nodeName"):
        raise errors.conflict(ask.kind, ask.name, f'pod {ask.name} is already assigned to node "{placed}"')
    if "deletionTimestamp" in pod["metadata"]:
        raise errors.conflict(ask.kind, ask.name, f"pod {ask.name} is being deleted, cannot be assigned to a host")
    await verbs.admit(ask, "CREATE", None, body)
    version = {"metadata": {"resourceVersion": pod["metadata"]["resourceVersion"]}}
    record, _ = await verbs.patch(plain, version | {"spec": {"nodeName": node}}, "merge")
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": stamp(now)}
    others = [c for c in record.document.get("status", {}).get("conditions") or () if c["type"] != "PodScheduled"]
    status = replace(ask, subresource="status", admitted=True)
    if not ask.dry_run:
        await verbs.patch(status, {"status": {"conditions": [*others, scheduled]}}, "merge")
    return _done()


async def evict(verbs: Verbs, ask: Ask, body: Document) -> Document:
    """POST pods/x/eviction: a delete by another name (there are no disruption budgets here)."""
    options = {"gracePeriodSeconds": 0} if ask.dry_run else {}
    await verbs.admit(ask, "CREATE", None, body)
    await verbs.delete(replace(ask, subresource="", admitted=True), {**options, **(body.get("deleteOptions") or {})})
    return _done()


def token(verbs: Verbs, tokens: Tokens, ask: Ask, body: Document, now: float) -> Document:
    """POST serviceaccounts/x/token."""
    spec = body.get("spec") or {}
    refusal = access.token_refusal(
        verbs.storage.state, ask.user, ask.namespace, ask.name, spec.get("boundObjectRef") or {}
    )
    if refusal:
        raise errors.forbidden(ask.kind, ask.name, refusal)
    status = tokens.request(ask.namespace, ask.name, spec, now)
    asked = {"audiences": ["https://kubernetes.default.svc.cluster.local"], "expirationSeconds": 3600, **spec}
    meta = {"name": ask.name, "namespace": ask.namespace, "creationTimestamp": stamp(now)}
    return {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": meta,
        "spec": asked,
        "status": status,
    }


async def finalize(verbs: Verbs, ask: Ask, body: Document) -> Document:
    """PUT namespaces/x/finalize: only spec.finalizers."""
    return verbs.finalize(replace(ask, subresource=""), list((body.get("spec") or {}).get("finalizers") or ())).document


def review(verbs: Verbs, tokens: Tokens, ask: Ask, body: Document, now: float) -> Document:
    """POST of a kind that is asked, not stored: the body with its status filled in."""
    spec, state, kind = body.get("spec") or {}, verbs.storage.state, ask.kind.kind
    if kind == "TokenReview":
        status = tokens.review(spec, now)
    elif kind == "SelfSubjectReview":
        status = {"userInfo": ask.user.document()}
    elif kind == "SelfSubjectRulesReview":
        status = access.rules_review(state, ask.user, spec.get("namespace", ""))
    elif kind == "SelfSubjectAccessReview":
        status = access.review(state, ask.user, spec)
    else:
        extra = {k: tuple(v) for k, v in (spec.get("extra") or {}).items()}
        user = access.User(spec.get("user", ""), tuple(spec.get("groups") or ()), spec.get("uid", ""), extra)
        status = access.review(state, user, spec)
    meta = {"creationTimestamp": None, **(body.get("metadata") or {})}
    identity = {"kind": kind, "apiVersion": ask.kind.api_version(ask.version)}
    return {**identity, "metadata": meta, "spec": spec, "status": status}


def _done() -> Document:
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
