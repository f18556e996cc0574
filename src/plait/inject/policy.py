"""Does this pod get a sidecar? Labels of the namespace and the pod in, a verdict with its reason out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from plait.base.wellknown import DATAPLANE_MODE, DEFAULT_ROOT_NAMESPACE, INJECT, INJECTION, SIDECAR_STATUS

REVISION: Final = "istio.io/rev"
_NEVER: Final = frozenset({"kube-system", "kube-public", "kube-node-lease", DEFAULT_ROOT_NAMESPACE})


class Verdict(Struct, frozen=True):
    """`refused`: the pod asks for what cannot be, and must not start; `warning`: what a person should hear."""

    inject: bool
    reason: str
    refused: bool = False
    warning: str = ""


def verdict(
    pod: Mapping[str, Any],
    namespace: str,
    labels: Mapping[str, str],
    *,
    revisions: frozenset[str] = frozenset({"default"}),
) -> Verdict:
    """`labels` are the namespace's. The pod's own word wins over its namespace's; its label over its annotation."""
    meta, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    own, notes = meta.get("labels") or {}, meta.get("annotations") or {}
    asked = str(own.get(INJECT, notes.get(INJECT, ""))).lower()
    if SIDECAR_STATUS in notes:
        return Verdict(False, "it has a sidecar already")
    if namespace in _NEVER:
        return Verdict(False, f"pods of namespace {namespace} never get a sidecar")
    if spec.get("hostNetwork"):
        return Verdict(False, "a pod with hostNetwork shares the node's network, which must not be captured")
    if asked in ("false", "n", "no", "off"):
        return Verdict(False, f"{INJECT} says {asked}")
    wanted = asked in ("true", "y", "yes", "on")
    if asked and not wanted:
        return Verdict(False, f'{INJECT}: "{asked}" is neither true nor false', True)
    if labels.get(INJECTION) == "disabled":
        return Verdict(False, f"namespace {namespace} has {INJECTION}=disabled")
    ambient = own.get(DATAPLANE_MODE) == "ambient"
    if wanted and ambient:
        text = f"the pod asks for both modes: remove label {INJECT} or label {DATAPLANE_MODE}"
        return Verdict(False, text, True)
    revision = own.get(REVISION, labels.get(REVISION, ""))
    enabled = labels.get(INJECTION) == "enabled" or (revision in revisions and INJECTION not in labels)
    if not (wanted or enabled):
        return Verdict(False, f"neither namespace {namespace} nor the pod asks for one")
    if revision and revision not in revisions:
        return Verdict(False, f"revision {revision} is not ours ({', '.join(sorted(revisions))})")
    if ambient:
        return Verdict(False, f"the pod's own {DATAPLANE_MODE}=ambient wins over its namespace")
    both = labels.get(DATAPLANE_MODE) == "ambient" and not wanted
    warning = (
        f"namespace {namespace} asks for both modes, its pods get sidecars: remove one of the labels" if both else ""
    )
    return Verdict(True, "the pod asks for it" if wanted else f"namespace {namespace} asks for it", warning=warning)
