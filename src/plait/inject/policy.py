"""Does this pod get a sidecar? Labels of the namespace and the pod in, a verdict with its reason out.

The rules are Istio's: either label may forbid (`istio-injection=disabled`, `sidecar.istio.io/inject: "false"`), else
either may ask. Where labels ask for a sidecar and for ambient mode, the pod gets the sidecar and somebody hears why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from plait.base.wellknown import (
    DATAPLANE_MODE,
    DEFAULT_ROOT_NAMESPACE,
    INJECT,
    INJECTION,
    PROXY_CONTAINER,
    REVISION,
    SIDECAR_STATUS,
)
from plait.inject.pod import AUTO
from plait.inject.settings import Settings
from plait.resources.injection import is_gateway

SYSTEM: Final = ("kube-node-lease", "kube-public", "kube-system", "local-path-storage")
"""Namespaces whose pods never get a proxy."""
_SETTINGS: Final = Settings()
_YES, _NO = ("true", "y", "yes", "on"), ("false", "n", "no", "off")


class Verdict(Struct, frozen=True):
    """`refused`: the pod asks for what cannot be, and must not start; `warning`: what a person should hear.

    `path` is the field that a refusal or a warning is about.
    """

    inject: bool
    reason: str
    refused: bool = False
    warning: str = ""
    path: str = ""


def verdict(
    pod: Mapping[str, Any],
    namespace: str,
    labels: Mapping[str, str],
    *,
    revision: str = "default",
    root_namespace: str = DEFAULT_ROOT_NAMESPACE,
    settings: Settings = _SETTINGS,
) -> Verdict:
    """`labels` are the namespace's, `revision` is ours. The pod's label wins over its annotation of the same name."""
    meta, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    own, notes = meta.get("labels") or {}, meta.get("annotations") or {}
    asked = str(own.get(INJECT, notes.get(INJECT, ""))).lower()
    where = f"metadata.{'labels' if INJECT in own else 'annotations'}[{INJECT}]"
    if SIDECAR_STATUS in notes and _proxied(spec):
        return Verdict(False, "it has a proxy already")
    if asked and asked not in (*_YES, *_NO):
        return Verdict(False, f'"{asked}" is neither "true" nor "false"; write one of them', True, path=where)
    if asked in _NO:
        return Verdict(False, f"{INJECT} says {asked}")
    if namespace in SYSTEM:
        return Verdict(False, f"pods of namespace {namespace} never get a sidecar")
    if namespace == root_namespace and asked not in _YES and not is_gateway(notes):
        return Verdict(False, f"pods of namespace {namespace} get a sidecar only where they ask for one themselves")
    if spec.get("hostNetwork"):
        return Verdict(False, "a pod with hostNetwork shares the node's network, which must not be captured")
    if (said := labels.get(INJECTION, "enabled")) != "enabled":
        return Verdict(False, f"namespace {namespace} has {INJECTION}={said}")
    if not asked and (why := settings.refusal(own)):
        return Verdict(False, why)
    wanted, whose = _wanted(asked in _YES, own, labels, namespace)
    if not wanted:
        return Verdict(False, f"neither namespace {namespace} nor the pod asks for one")
    named = _revision(own, labels)
    if named not in ("", revision):
        return Verdict(False, f"{REVISION}={named} is another control plane's; ours is {revision}")
    return Verdict(True, whose, warning=_both(asked in _YES, own, labels, namespace), path=f"labels[{DATAPLANE_MODE}]")


def _proxied(spec: Mapping[str, Any]) -> bool:
    """A status that was copied from another pod makes no proxy."""
    listed = (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
    return any(each.get("name") == PROXY_CONTAINER and each.get("image") != AUTO for each in listed)


def _wanted(asked: bool, own: Mapping[str, str], labels: Mapping[str, str], namespace: str) -> tuple[bool, str]:
    if asked:
        return True, "the pod asks for it"
    if labels.get(INJECTION) == "enabled" or (INJECTION not in labels and labels.get(REVISION)):
        return True, f"namespace {namespace} asks for it"
    return bool(own.get(REVISION)), "the pod names a revision"


def _revision(own: Mapping[str, str], labels: Mapping[str, str]) -> str:
    """Whose business the pod is: `istio-injection=enabled` means the default one, else the namespace names it."""
    if labels.get(INJECTION) == "enabled":
        return ""
    return labels.get(REVISION, own.get(REVISION, ""))


def _both(asked: bool, own: Mapping[str, str], labels: Mapping[str, str], namespace: str) -> str:
    """A pod that asks for a sidecar in an ambient namespace is how the modes are mixed; the rest is at odds."""
    if own.get(DATAPLANE_MODE) == "ambient":
        text = f"the pod gets a sidecar, so its label {DATAPLANE_MODE}=ambient has no effect"
        return f'{text}; remove it, or opt out of injection by label {INJECT}: "false"'
    if labels.get(DATAPLANE_MODE) == "ambient" and not asked:
        text = f"namespace {namespace} asks for both modes and its pods get sidecars"
        return f"{text}; remove its injection label ({INJECTION} or {REVISION}) or its label {DATAPLANE_MODE}"
    return ""
